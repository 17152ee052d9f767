"""Let a request pass from memory: what most requests are, in a few microseconds, without a thread, a store or a hook.

It decides nothing that the gate would decide otherwise: it only repeats, for as long as that may be
believed, what the gate has said of this session and what the settings say of this path. Whatever is
new, unusual or due it leaves to the gate, by answering None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ..bounded import Bounded
from ..connections import Connection
from ..errors import InvalidToken
from ..stores.sessions import Remembered
from ..timeouts import soft_end
from ..tokens import hash_token
from ..web import PassThrough, Request
from .gate import keeps_out_of_caches
from .kept_forms import PARAMETER
from .paths import access_of, intercepted_at
from .sessions import KIND
from .site import Site

Path = tuple[str, str | None]
"""Below the mount: decoded, and as sent (None where the server does not tell)."""

Key = tuple[str | bytes | None, ...]
"""What a path is read from: as it came, with parts of it that no rule reads."""

_MOST_PATHS = 4096
_LONGEST_KEY = 512
"""Longer ones are not remembered: anybody can make them up."""
_NOBODY = PassThrough()


# What the settings say of one path of the host's.
_OPEN, _PROTECTED, _PROTECTED_CACHEABLE = 1, 2, 3


@dataclass(frozen=True, slots=True)
class _Passes:
    """What the gate said of one session, and until when it would say so again."""

    connection: Connection
    """As it was: another object in its place is a reason to ask the gate."""
    until: datetime
    """When it must be written that the session was seen, or renewed: whichever comes first."""
    by_policy: dict[int, PassThrough] = field(repr=False)


class Recall:
    """Of one process. `is_ours` says which paths are never the host's."""

    def __init__(self, site: Site, is_ours: Callable[[str, str | None], bool]) -> None:
        self._site = site
        self._is_ours = is_ours
        self._now = site.now
        self._is_fresh = site.sessions.is_fresh
        self._connection = site.connections.get
        self._mark = f"{site.cookie_name(KIND)}="
        self._policies: Bounded[Key, int] = Bounded(_MOST_PATHS)
        self._entries: Bounded[str, Remembered] = Bounded(site.settings.remembered_sessions // 2)
        """By cookie, to the letter. Good while the cache has this very entry: only what is there hears of changes."""
        self._remembered = site.sessions.get
        # In `domains` the host is asked who is signed in there, each time; with `challenge` its answer is read.
        self._asks_host = site.settings.mode == "domains"
        self._reads_challenges = site.settings.challenge

    def __call__(
        self,
        method: str,
        key: Key,
        read_path: Callable[[Any], Path],
        native: object,
        cookies: str | None,
        query: str | bytes,
    ) -> PassThrough | None:
        """What the gate would say of this HTTP request; None: ask the gate.

        `native` is the scope or environ, `key` as much of it as `read_path` reads. `cookies` is the one Cookie header.
        """
        policy = self._policies.get(key) or self._learn_path(key, read_path(native))
        if policy is None or method == "OPTIONS":
            return None
        mark = self._mark
        start = -1 if cookies is None else cookies.find(mark)
        if start < 0 or cookies is None:
            return None if policy != _OPEN or self._reads_challenges else _NOBODY
        # A blank alone is within another cookie's value, which a sibling host may set.
        if (start and cookies[start - 2 : start] != "; ") or cookies.find(mark, start + 1) >= 0:
            return None
        start += len(mark)
        end = cookies.find(";", start)
        entry = self._entries.get(cookies[start:] if end < 0 else cookies[start:end])
        if entry is None or self._remembered(entry.session.id) is not entry or (query and self._has_kept_form(query)):
            return None
        passes: _Passes | None = entry.memo
        now = self._now()
        if (
            passes is None
            or now >= passes.until
            or not self._is_fresh(now)
            or self._connection(passes.connection.id) is not passes.connection
            or (self._asks_host and policy != _OPEN)
        ):
            return None
        return passes.by_policy[policy]

    def _learn_path(self, key: Key, read: Path) -> int | None:
        path, raw_path = read
        if self._is_ours(path, raw_path) or intercepted_at(self._site.settings, path, raw_path) is not None:
            return None
        if access_of(self._site.settings, path, raw_path) == "public":
            policy = _OPEN
        else:
            policy = _PROTECTED if keeps_out_of_caches(self._site, path) else _PROTECTED_CACHEABLE
        if sum(len(part or "") for part in key) <= _LONGEST_KEY:
            self._policies.put(key, policy)
        return policy

    @staticmethod
    def _has_kept_form(query: str | bytes) -> bool:
        return (PARAMETER if isinstance(query, str) else PARAMETER.encode()) in query  # type: ignore[operator]

    def learn(self, request: Request, decision: PassThrough) -> None:
        """The gate let this one pass: remember as whom, if nothing about it was out of the ordinary."""
        site, principal = self._site, decision.principal
        if decision.query is not None or decision.replay is not None:
            return
        cookie = request.cookie(site.cookie_name(KIND))
        if principal is None or decision.session_key is None or cookie is None or decision.cookies:
            return
        entry = site.sessions.get(decision.session_key)
        connection = site.connections.get(principal.connection_id)
        if entry is None or connection is None or not self._is_its_own(cookie, entry):
            return
        if entry.session.policy not in ("", connection.policy):
            return  # it is renewed in a moment
        entry.memo = _Passes(
            connection,
            until=_until(entry, connection),
            by_policy={
                _OPEN: replace(decision, is_protected=False, keeps_out_of_caches=False),
                _PROTECTED: replace(decision, is_protected=True, keeps_out_of_caches=True),
                _PROTECTED_CACHEABLE: replace(decision, is_protected=True, keeps_out_of_caches=False),
            },
        )

    def _is_its_own(self, cookie: str, entry: Remembered) -> bool:
        """Whether this very cookie is the session's own: not an old one, of a session that was renewed."""
        if self._entries.get(cookie) is not entry:
            try:
                token = self._site.tokens.verify(KIND, cookie)
            except InvalidToken:
                return False
            if hash_token(token) != entry.session.id:
                return False
            self._entries.put(cookie, entry)
        return True


def _until(entry: Remembered, connection: Connection) -> datetime:
    timeouts = connection.timeouts[entry.session.device]
    session = replace(entry.session, last_seen=entry.last_seen)
    return min(entry.last_seen + timeouts.step, soft_end(session, timeouts))
