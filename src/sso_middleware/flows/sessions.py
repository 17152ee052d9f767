"""Open, find and end sessions: the record in the store, the token in the cookie.

How long one lives is `timeouts`'s; what a session that must be renewed leads to is `renewing`'s.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast

from ..calling import Call
from ..connections import Connection
from ..errors import InvalidToken, StoreUnavailable
from ..principal import Principal
from ..saml.assertion import Assertion
from ..stores.records import Device, Session
from ..stores.sessions import Remembered
from ..timeouts import Verdict, judge
from ..tokens import hash_token, new_token
from ..web import Cookie, Request
from .logout_keys import logout_key
from .reporting import report
from .site import Site

log = logging.getLogger("sso_middleware")

KIND = "session"
ALIAS_FOR = timedelta(seconds=10)
"""How long the old id of a renewed session is good once the new one has come back: other tabs are under way."""
AT_ONCE = timedelta(seconds=3)
"""So soon after another one a renewal is a circle: two processes of different settings, say, or tabs that wake up."""
_RENEWED = "session renewed"
_MOST_RENEWALS_BEHIND = 3
_MOBILE = re.compile(r"Mobi|Android|iPhone|iPad|iPod")


@dataclass(frozen=True, slots=True)
class Found:
    """The session of a browser, and what the limits say of it now."""

    session: Session
    verdict: Verdict
    token: str | None = field(repr=False)
    """The one whose hash is the session's id; None if the browser has an older one and it can't be derived."""
    cookie: Cookie | None = None
    """To be set: the browser still has an old id, and the reply that told it the new one got lost."""


# Finding


def token_of(site: Site, request: Request) -> str | None:
    """The session token in the cookie, if the cookie is one of ours. There may be no record of it any more."""
    cookie = request.cookie(site.cookie_name(KIND))
    if cookie is None:
        return None
    try:
        return site.tokens.verify(KIND, cookie)
    except InvalidToken:
        return None


async def find_session(site: Site, request: Request, call: Call, *, is_activity: bool = True) -> Session | None:
    """The live session of this browser. Seeing it counts as activity, unless told otherwise."""
    found = await look_up(site, request, call, is_activity=is_activity)
    return found.session if found is not None and found.verdict == "live" else None


async def look_up(site: Site, request: Request, call: Call, *, is_activity: bool = True) -> Found | None:
    """The session of this browser, also one that must be renewed or has ended. Raises StoreUnavailable.

    None if it has none, or one that was revoked. Only a live one counts as seen.
    """
    token = token_of(site, request)
    if token is None:
        return None
    entry = await site.sessions.find(hash_token(token), call)
    found = None if entry is None else await _follow(site, call, entry, token)
    if found is None:
        return None
    entry, token, cookie = found
    verdict = judge_session(site, entry, site.now())
    if verdict != "live":
        # Another process may have seen it later than this one knows: nobody is signed out before the limit.
        again = await site.sessions.read(entry.session.id, call)
        if again is None or again.session.replaced_by is not None:
            return None if again is None else await look_up_again(site, call, again, token)
        entry = again
        verdict = judge_session(site, entry, site.now())
    if verdict == "ended":
        entry = await _end_for_good(site, request, call, entry)
        verdict = judge_session(site, entry, site.now())
    if verdict == "live" and is_activity:
        await _touch(site, call, entry)
    return Found(replace(entry.session, last_seen=entry.last_seen), verdict, token, cookie)


async def look_up_again(site: Site, call: Call, entry: Remembered, token: str | None) -> Found | None:
    """It was renewed at this very moment: what its old id stands for now."""
    found = await _follow(site, call, entry, token or "")
    if found is None:
        return None
    entry, token, cookie = found
    return Found(entry.session, judge_session(site, entry, site.now()), token, cookie)


async def _follow(
    site: Site, call: Call, entry: Remembered, token: str
) -> tuple[Remembered, str | None, Cookie | None] | None:
    """From an old id to the session that it stands for; None if it is good no longer."""
    session = entry.session
    if session.replaced_by is None:
        if not session.is_confirmed:
            await call(site.store.confirm_renewal, session.id, site.now() + ALIAS_FOR)
            entry.session = replace(session, is_confirmed=True)
        return entry, token, None
    if session.alias_ends_at is not None and not _is_still_good(session.alias_ends_at, site.now()):
        return None
    newest = await site.sessions.find(session.replaced_by, call)
    if newest is None:
        return None
    derived = next((t for t in _tokens_after(site, token) if hash_token(t) == newest.session.id), None)
    is_lost = session.alias_ends_at is None and derived is not None
    cookie = _cookie(site, cast("str", derived), newest.session) if is_lost else None
    return newest, derived, cookie


def _is_still_good(alias_ends_at: datetime, now: datetime) -> bool:
    """Machines may differ by as much again; but a clock that was set back must not begin the seconds anew."""
    return timedelta() < alias_ends_at - now <= 2 * ALIAS_FOR


def _tokens_after(site: Site, token: str) -> Iterator[str]:
    tokens = [token]
    for _ in range(_MOST_RENEWALS_BEHIND):
        tokens = [after for before in tokens for after in site.tokens.derive(_RENEWED, before)]
        yield from tokens


def judge_session(site: Site, entry: Remembered, now: datetime) -> Verdict:
    """What the connection as it is now, and the limits, say of it."""
    session = entry.session
    connection = site.connections.get(session.connection_id)
    if connection is None or not _may_go_on(site, session, connection):
        return "ended"
    if entry.last_seen != session.last_seen:
        session = replace(session, last_seen=entry.last_seen)
    verdict = judge(session, connection.timeouts[session.device], now)
    if (
        verdict == "live"
        and session.policy not in ("", connection.policy)
        and now >= session.authenticated_at + AT_ONCE
    ):
        return "renew"  # what the connection reads from an assertion was changed since
    return verdict


def _may_go_on(site: Site, session: Session, connection: Connection) -> bool:
    """Whether its person might sign in by this connection, as it is now."""
    if not connection.admits(session.email):
        return False
    domain = session.email.rpartition("@")[2]
    return not domain or (connection.has_domain(domain) and not site.connections.is_of_another(domain, connection))


async def _touch(site: Site, call: Call, entry: Remembered) -> None:
    """Written through before the reply, so that no other process thinks it idle."""
    session, now = entry.session, site.now()
    connection = site.connections.get(session.connection_id)
    if connection is None or now - entry.last_seen <= connection.timeouts[session.device].step:
        return
    try:
        await call(site.store.touch_session, session.id, now)
    except StoreUnavailable:
        if not site.sessions.may_be_believed(now):
            raise
        return  # for as long as what we remember may be believed; then nobody is let in
    entry.last_seen = max(entry.last_seen, now)


async def _end_for_good(site: Site, request: Request, call: Call, entry: Remembered) -> Remembered:
    """Remember that it has ended, so that it stays so whatever the clock or an admin does next."""
    session, now = entry.session, site.now()
    connection = site.connections.get(session.connection_id)
    if connection is None or session.timed_out_at is not None:
        return entry
    if not _may_go_on(site, session, connection):
        await call(site.store.end_session, session.id, now)
        site.sessions.forget_now(session.id)
        await report(site, request, call, "session_ended", connection_id=connection.id, email=session.email)
    elif await call(site.store.time_out_session, session.id, entry.last_seen, now):
        site.sessions.forget_now(session.id)
        entry.session = replace(session, timed_out_at=now)
        await report(site, request, call, "session_timed_out", connection_id=connection.id, email=session.email)
    else:
        return await site.sessions.read(session.id, call) or entry  # somebody has seen it at this very moment
    return entry


async def is_still_live(site: Site, session_id: str, call: Call) -> bool:
    """Whether a session that was live at the start of a long answer still is. Never raises.

    A renewed one goes on under its new id. While the store can't tell, it is not: the gate lets nobody in
    then either.
    """
    try:
        await site.directory.follow(call)
        entry = await site.sessions.find(session_id, call)
        if entry is not None and entry.session.replaced_by is not None:
            entry = await site.sessions.find(entry.session.replaced_by, call)
        if entry is not None and judge_session(site, entry, site.now()) != "live":
            entry = await site.sessions.read(entry.session.id, call)
        if entry is not None and entry.session.replaced_by is not None:
            return True  # renewed at this very moment: asked again in a moment
    except Exception as error:  # whatever a store raises must not leave the answer open, unwatched
        log.error("a long answer ends, since its session can't be looked up: %s", type(error).__name__)
        return False
    return entry is not None and judge_session(site, entry, site.now()) == "live"


# Opening


def device_of(request: Request) -> Device:
    """What the browser says it runs on; unclear means desktop, whose limits are the narrower ones."""
    hint = request.headers.get("Sec-CH-UA-Mobile")
    if hint in ("?0", "?1"):
        return "mobile" if hint == "?1" else "desktop"
    return "mobile" if _MOBILE.search(request.headers.get("User-Agent", "")) else "desktop"


async def open_session(
    site: Site, request: Request, call: Call, connection: Connection, assertion: Assertion, principal: Principal
) -> Cookie:
    """A new session under a new token; the one that this browser had before ends (WEB-001)."""
    token, now = new_token(), site.now()
    session = make_session(connection, assertion, principal, token=token, device=device_of(request), now=now)
    before = token_of(site, request)
    await call(site.store.add_session, session, replaces=hash_token(before) if before else None)
    if before is not None:
        site.sessions.forget_now(hash_token(before))
    return _cookie(site, token, session)


async def withdraw_session(site: Site, call: Call, cookie: Cookie) -> None:
    """End the session whose cookie this is, before anybody has it."""
    id = hash_token(site.tokens.verify(KIND, cookie.value))
    await call(site.store.end_session, id, site.now())
    site.sessions.forget_now(id)


async def renew_session(
    site: Site, call: Call, found: Found, connection: Connection, assertion: Assertion, principal: Principal
) -> Cookie | None:
    """The same session under a new token; the old one is an alias for a while. None if it has ended meanwhile.

    The new token follows from the old one: two tabs that renew at once arrive at the same, and one whose
    reply got lost is told it again.
    """
    old, now = found.session, site.now()
    token = site.tokens.derive(_RENEWED, found.token or new_token())[0]
    renewed = make_session(
        connection,
        assertion,
        principal,
        token=token,
        device=old.device,
        now=now,
        created_at=old.created_at or old.authenticated_at,
    )
    renewed = replace(renewed, is_confirmed=False, lineage=lineage_of(old))
    kept_as = await call(site.store.renew_session, old.id, renewed, now)
    site.sessions.forget_now(old.id)
    return _cookie(site, token, renewed) if kept_as == renewed.id else None


def make_session(
    connection: Connection,
    assertion: Assertion,
    principal: Principal,
    *,
    token: str,
    device: Device,
    now: datetime,
    created_at: datetime | None = None,
) -> Session:
    """The absolute end counts from the sign-in, and a renewal does not move it."""
    expires_at = (created_at or now) + connection.timeouts[device].absolute
    if assertion.session_ends_at is not None:
        expires_at = min(expires_at, assertion.session_ends_at)
    return Session(
        id=hash_token(token),
        connection_id=connection.id,
        principal_key=principal.key,
        principal=_principal_to_json(principal),
        name_id=json.dumps(asdict(assertion.name_id)),
        session_index=assertion.session_index,
        authenticated_at=now,
        last_seen=now,
        expires_at=expires_at,
        email=principal.email,
        logout_key=logout_key(connection, assertion.name_id),
        device=device,
        policy=connection.policy,
        created_at=created_at or now,
    )


def _cookie(site: Site, token: str, session: Session) -> Cookie:
    """Good for as long as the session can last; the server decides whether it does."""
    seconds = int((session.expires_at - site.now()).total_seconds())
    return site.cookie(KIND, site.tokens.sign(KIND, token), seconds=max(0, seconds))


# Reading


def lineage_of(session: Session) -> str:
    """What stays the same when it is renewed: forms are bound to it."""
    return session.lineage or session.id


def principal_of(session: Session) -> Principal:
    values = cast("Mapping[str, str]", session.principal)
    lists = cast("Mapping[str, list[str]]", session.principal)
    attributes = cast("Mapping[str, Mapping[str, list[str]]]", session.principal)["attributes"]
    grants = cast("Mapping[str, Mapping[str, list[str]]]", session.principal).get("grants", {})
    return Principal(
        connection_id=session.connection_id,
        organization=values["organization"],
        key=session.principal_key,
        email=values["email"],
        first_name=values["first_name"],
        last_name=values["last_name"],
        user_id=values["user_id"],
        roles=tuple(lists["roles"]),
        grants={scope: tuple(roles) for scope, roles in grants.items()},
        attributes={name: tuple(held) for name, held in attributes.items()},
        authenticated_at=session.authenticated_at,
        expires_at=session.expires_at,
    )


def _principal_to_json(principal: Principal) -> dict[str, object]:
    return {
        "organization": principal.organization,
        "email": principal.email,
        "first_name": principal.first_name,
        "last_name": principal.last_name,
        "user_id": principal.user_id,
        "roles": list(principal.roles),
        "grants": {scope: list(roles) for scope, roles in principal.grants.items()},
        "attributes": {name: list(values) for name, values in principal.attributes.items()},
    }
