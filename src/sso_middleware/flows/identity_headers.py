"""Headers that claim an identity. Only we may say who somebody is, so they go on the way in (WEB-008)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

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
PLAIN, COOKIE, CLAIM = 0, 1, 2
_MOST_KNOWN, _LONGEST_KNOWN = 1024, 64
_PREFIXES = ("x-auth-request-", "x-sso-")


class IdentityHeaders:
    """Tells them by name. An underscore counts as a hyphen: CGI and WSGI can't tell them apart (RFC 3875 4.1.18)."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._names = _NAMES | {_canonical(name) for name in more}
        self.headers: Mapping[bytes, int] = _Remembered(self._header)
        """By name as ASGI has it: PLAIN, COOKIE or CLAIM."""
        self.variables: Mapping[str, int] = _Remembered(self._variable)
        """By name of a variable of WSGI's environ, which need not be a header."""

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        canonical = _canonical(name)
        return canonical in self._names or canonical.startswith(_PREFIXES)

    def _header(self, name: bytes) -> int:
        return COOKIE if name == b"cookie" else CLAIM if name.decode("latin-1") in self else PLAIN

    def _variable(self, name: str) -> int:
        if name in ("REMOTE_USER", "AUTH_TYPE"):
            return CLAIM
        return CLAIM if name.startswith("HTTP_") and name[5:] in self else PLAIN


class _Remembered(dict[Name, int], Generic[Name]):
    """What was said of names that came before, to the letter. Bounded: anybody can make names up."""

    def __init__(self, tell: Callable[[Name], int]) -> None:
        self._tell: Callable[[Name], int] = tell

    def __missing__(self, name: Name) -> int:
        found = self._tell(name)
        if len(self) < _MOST_KNOWN and len(name) <= _LONGEST_KNOWN:
            self[name] = found
        return found


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-")
