"""Bring e-mail addresses and domains into the one form in which they may be compared.

What could be read in two ways is refused, not repaired (TEN-007): whoever reads the address after us
might take the other one. Whether a domain is a connection's own is `flows.login`'s to decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import idna

from .errors import EmailInvalid

# RFC 5321 4.1.2, Dot-string of atext: no quoted local part, no comment, no spaces, ASCII only. Letters
# beyond ASCII (RFC 6531) look alike too easily, and databases fold them together ("ı" and "i").
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LONGEST_LOCAL_PART = 64  # RFC 5321 4.5.3.1.1
_LONGEST_ADDRESS = 254  # RFC 5321 4.5.3.1.3, less the angle brackets


@dataclass(frozen=True, slots=True)
class Email:
    """An address in its one form. RFC 5321 2.4 lets a local part tell cases apart; no provider does."""

    address: str = field(repr=False)
    """Lower-cased, with its domain in A-labels: to be compared, and handed to the host."""
    local: str = field(repr=False)
    domain: str


def normalise_domain(text: str) -> str:
    """The domain as lower-case A-labels (RFC 5890), the one form that is ever compared.

    Raises ValueError, without the text, for anything but a plain name of two labels or more.
    """
    try:
        domain = idna.encode(_lower(text), strict=True, std3_rules=True).decode("ascii")
    except UnicodeError as error:  # idna's own errors are subclasses
        raise ValueError("is not a domain name") from error
    labels = domain.split(".")
    if not labels[-1]:
        raise ValueError("must not end with a dot")
    if len(labels) < 2:
        raise ValueError("is not a whole domain name: it has only one part")
    if labels[-1].isdigit():
        raise ValueError("is an IP address, not a domain name")
    return domain


def read_email(text: str) -> Email:
    """Raises EmailInvalid, without the text, for what is not exactly one plain address."""
    if len(text) > _LONGEST_ADDRESS:
        raise EmailInvalid("the e-mail address is too long")
    if text.count("@") != 1:
        raise EmailInvalid("the e-mail address does not have exactly one @")
    local, domain_text = text.split("@")
    if len(local) > _LONGEST_LOCAL_PART or not _LOCAL_PART.fullmatch(local):
        raise EmailInvalid("the e-mail address's local part is not plain")
    try:
        domain = normalise_domain(domain_text)
    except ValueError as error:
        raise EmailInvalid(f"the e-mail address's domain {error}") from None
    return Email(address=f"{local.lower()}@{domain}", local=local.lower(), domain=domain)


def _lower(text: str) -> str:
    """Lower case, but never from another script into ASCII (KELVIN SIGN would become a k)."""
    if any(not before.isascii() and any(map(str.isascii, before.lower())) for before in text):
        raise ValueError("is not a domain name: it has a look-alike of an ASCII letter")
    return text.lower()
