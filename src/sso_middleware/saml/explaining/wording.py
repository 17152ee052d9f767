"""How two values differ, and how anything that came from outside is shown: short, printable, nobody's address."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

LONGEST = 120
"""Characters of one value from outside."""

# A quoted one too, and o'brien's; what stands before it in a URL or a list is not part of it.
_LOCAL_PART = re.compile(r""""[^"@]*"@|(?<![^\s@<>,;:/"=])[^\s@<>,;:/"=]+@""")
_PORT = re.compile(r"^(https?)://([^/]*?):(?:80|443)(?=/|$)", re.IGNORECASE)
_SCHEME = re.compile(r"^https?(?=://)", re.IGNORECASE)
_HOST = re.compile(r"^(https?://)[^/?#]*", re.IGNORECASE)
_TENANT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

# From the slightest difference to the greatest: the first after which the two are the same is the one.
FOLDS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("differs only in white space around it", str.strip),
    ("differs only in the trailing slash", lambda text: text.rstrip("/")),
    ("differs only in http against https", lambda text: _SCHEME.sub("https", text)),
    ("differs only in upper and lower case", str.casefold),
    ("differs only in the port", lambda text: _PORT.sub(r"\1://\2", text)),
    ("names another tenant of the same identity provider", lambda text: _TENANT.sub("tenant", text)),
    ("differs only in host name or port", lambda text: _HOST.sub(r"\1", text)),
)
_SPELLING = 5
"""So many of them are no more than spelling, and can come together."""


def how_it_differs(came: str, expected: str) -> str | None:
    """In words, if little is different; None if it is something else altogether, or the same."""
    if came == expected:
        return None
    for words, fold in FOLDS:
        if fold(came) == fold(expected):
            return words
    return "differs only in spelling: slash, scheme, case or port" if _spelt(came) == _spelt(expected) else None


def _spelt(text: str) -> str:
    for _, fold in FOLDS[:_SPELLING]:
        text = fold(text)
    return text


def differences(came: Iterable[str | None], expected: str) -> tuple[str, ...]:
    """Of each value that came, once."""
    told = (how_it_differs(value, expected) for value in came if value is not None)
    return tuple(dict.fromkeys(words for words in told if words))


def clean(text: str, limit: int = LONGEST) -> str:
    """Printable, with no local part of an e-mail address, and no longer than `limit`."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * limit])
    masked = _LOCAL_PART.sub("…@", printable)
    return masked if len(masked) <= limit else masked[: limit - 1] + "…"


def shown(value: str | None) -> str:
    """One value, quoted."""
    return "none" if value is None else f'"{clean(value)}"'


def shown_all(values: Iterable[str | None]) -> str:
    """Each value once, the first few."""
    distinct = list(dict.fromkeys(values))
    more = f" and {len(distinct) - 3} more" if len(distinct) > 3 else ""
    return ", ".join(map(shown, distinct[:3])) + more if distinct else "none"


def clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def duration(span: timedelta) -> str:
    """Roughly, as one says it: 7 minutes."""
    seconds = int(abs(span).total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}s"
    return f"{seconds} seconds"
