"""Recognise how an identity provider was named: by URL, by file, by its metadata, or by hand.

One input takes all four, so that nobody has to know which is which. Nothing is read or fetched here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from .egress import check_url
from .errors import EgressRefused

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")
_LABEL = re.compile(r"[A-Za-z][A-Za-z /()-]{0,40}:\s+")
"""As admin pages have it: `Entity ID: https://…`. The space tells it from a URL's scheme."""
_LONGEST_PATH = 4096


@dataclass(frozen=True, slots=True)
class FromUrl:
    url: str


@dataclass(frozen=True, slots=True)
class FromFile:
    path: Path


@dataclass(frozen=True, slots=True)
class FromXml:
    xml: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ByHand:
    """What an admin page shows: entity id, sign-in URL and certificates."""

    entity_id: str
    sso_url: str
    certificates: tuple[str, ...] = field(repr=False)


Source = FromUrl | FromFile | FromXml | ByHand


def recognise(text: str) -> Source:
    """Which of the four this is. Raises ValueError in words that go on from the input's name."""
    given = text.strip().removeprefix("\ufeff").lstrip()
    if not given:
        raise ValueError("must not be empty")
    if given.startswith("<"):
        return FromXml(given)
    if "-----BEGIN " in given:
        return _by_hand(given)
    if "\n" in given or len(given) > _LONGEST_PATH:
        raise ValueError(
            "is neither a URL, nor a file, nor metadata (which begins with <), nor entity id, sign-in URL and"
            " certificate on lines of their own"
        )
    if "://" in given:
        return FromUrl(read_metadata_url(given))
    return FromFile(Path(given))


def is_path(text: str) -> bool:
    """Whether this names a file."""
    try:
        return isinstance(recognise(text), FromFile)
    except ValueError:
        return False


def read_metadata_url(text: str) -> str:
    """Raises ValueError for one that we would never connect to."""
    try:
        check_url(text)
    except EgressRefused as error:
        raise ValueError(f"can't be used: {error.detail}") from None
    return text


def _by_hand(text: str) -> ByHand:
    certificates = tuple(_CERTIFICATE.findall(text))
    lines = [line.strip() for line in _CERTIFICATE.sub("\n", text).splitlines() if line.strip()]
    if not certificates or any("-----" in line for line in lines):
        raise ValueError("holds PEM that is not a whole certificate (-----BEGIN CERTIFICATE----- to its END)")
    values = [_LABEL.sub("", line, count=1) for line in lines]
    if len(values) != 2:
        raise ValueError("holds a certificate; besides, there must be two lines: the entity id and the sign-in URL")
    return ByHand(values[0], values[1], certificates)
