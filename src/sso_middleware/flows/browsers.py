"""The browser binding: a login ends in the browser in which it began (RPL-010, login CSRF).

Also the mark of a browser that has signed in here before, by which the limiter tells it from a flood
that comes from the same address.

Each browser carries a random id in a cookie. Two tabs that start at once in a fresh browser would
overwrite each other's id; so each new id has a cookie name of its own, and every one of them counts.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

from ..errors import InvalidToken
from ..tokens import hash_token, new_token
from ..web import Cookie, Request
from .site import Site

KIND = "browser"
_LIFETIME_SECONDS = 24 * 3600
KNOWN = "known"
_KNOWN_SECONDS = 90 * 24 * 3600
_MOST = 4
_SUFFIX = re.compile(r"[0-9a-f]{6}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Browser:
    """The ids that this browser came with, and the one to bind a new login to."""

    id: str = field(repr=False)
    others: tuple[str, ...] = field(repr=False)
    cookies: tuple[Cookie, ...]
    """To be set on the reply that binds something to `id`."""

    @property
    def binding(self) -> str:
        """What is stored with a login request."""
        return hash_token(self.id)


def ids_of(site: Site, request: Request) -> dict[str, str]:
    """Cookie kind → id, of every browser cookie that came."""
    prefix = site.cookie_name(KIND) + "-"
    return {
        f"{KIND}-{name[len(prefix) :]}": value
        for name, value in request.cookies().items()
        if name.startswith(prefix) and _SUFFIX.fullmatch(name, len(prefix)) and value and _TOKEN.fullmatch(value)
    }


def recognise(site: Site, request: Request) -> Browser:
    """This browser; a new id if it has none."""
    found = ids_of(site, request)
    kind = min(found, default=f"{KIND}-{secrets.token_hex(3)}")
    id = found.pop(kind, None) or new_token()
    surplus = sorted(found)[_MOST - 1 :]
    return Browser(
        id=id,
        others=tuple(found.values()),
        cookies=(
            site.cookie(kind, id, seconds=_LIFETIME_SECONDS),
            *(site.no_cookie(old) for old in surplus),
        ),
    )


def bindings_of(site: Site, request: Request) -> list[str]:
    """Whatever this browser may have been bound to."""
    return [hash_token(id) for id in ids_of(site, request).values()]


def is_bound(site: Site, request: Request, binding: str) -> str | None:
    """The binding itself if one of this browser's ids matches it, else None."""
    hashes = (hash_token(id) for id in ids_of(site, request).values())
    return next((h for h in hashes if secrets.compare_digest(h, binding)), None)


def known_browser(site: Site, request: Request) -> str | None:
    """Which of those that have signed in here before this is. It says nothing of who did, or may."""
    try:
        return site.tokens.verify(KNOWN, request.cookie(site.cookie_name(KNOWN)) or "")
    except InvalidToken:
        return None


def known_cookie(site: Site, request: Request) -> Cookie:
    """Mark this browser, or keep its mark."""
    mark = known_browser(site, request) or hash_token(new_token())
    return site.cookie(KNOWN, site.tokens.sign(KNOWN, mark), seconds=_KNOWN_SECONDS)
