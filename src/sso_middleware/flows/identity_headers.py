"""Headers that claim an identity. Only we may say who somebody is, so they go on the way in (WEB-008)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Name = TypeVar("Name", bytes, str)

_NAMES = frozenset(
    {
        "remote-user",
        "x-remote-user",
        "x-forwarded-user",
        "x-forwarded-email",
        "x-forwarded-groups",
        "x-forwarded-preferred-username",
    }
)
_MOST_KNOWN, _LONGEST_KNOWN = 1024, 64
_PREFIXES = ("x-auth-request-", "x-sso-")


class IdentityHeaders:
    """Tells them by name. An underscore counts as a hyphen: CGI and WSGI can't tell them apart (RFC 3875 4.1.18)."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._names = _NAMES | {_canonical(name) for name in more}
        # What was said of names that came before, to the letter. Bounded: anybody can make names up.
        self.known: dict[bytes, bool] = {}
        """Names as ASGI has them."""
        self.known_variables: dict[str, bool] = {}
        """Names as WSGI has them: of every variable of its environ."""

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        canonical = _canonical(name)
        return canonical in self._names or canonical.startswith(_PREFIXES)

    def claims(self, name: bytes) -> bool:
        """The same of a name as ASGI has it."""
        return _remember(self.known, name, name.decode("latin-1") in self)

    def variable_claims(self, name: str) -> bool:
        """The same of a variable of WSGI's, which need not be a header."""
        return _remember(self.known_variables, name, name.startswith("HTTP_") and name[5:] in self)


def _remember(known: dict[Name, bool], name: Name, found: bool) -> bool:
    if len(known) < _MOST_KNOWN and len(name) <= _LONGEST_KNOWN:
        known[name] = found
    return found


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-")
