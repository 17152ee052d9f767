"""Headers that claim an identity. Only we may say who somebody is, so they go on the way in (WEB-008)."""

from __future__ import annotations

from collections.abc import Iterable

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
_PREFIXES = ("x-auth-request-", "x-sso-")


class IdentityHeaders:
    """Tells them by name. An underscore counts as a hyphen: CGI and WSGI can't tell them apart (RFC 3875 4.1.18)."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._names = _NAMES | {_canonical(name) for name in more}

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        canonical = _canonical(name)
        return canonical in self._names or canonical.startswith(_PREFIXES)


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-")
