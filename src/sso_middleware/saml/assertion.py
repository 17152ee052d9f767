"""What an identity provider stated about a person, once we have verified that it did.

Values only. `verify_response` (response.py) is the one place that makes an `Assertion`; having one in
hand means: signed by this connection's pinned key, for us, now, in answer to our request (or to none).
An assertion waits for `finish` as bytes under our own seal; `load_assertion` brings it back.
"""

from __future__ import annotations

import json
from dataclasses import InitVar, asdict, dataclass, field
from datetime import datetime

NAME_ID_EMAIL = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
NAME_ID_PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
NAME_ID_TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
NAME_ID_UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"


@dataclass(frozen=True, slots=True)
class NameID:
    """SAML core 2.2.3. The value is opaque, kept to the letter."""

    value: str = field(repr=False)
    format: str = NAME_ID_UNSPECIFIED
    name_qualifier: str | None = None
    sp_name_qualifier: str | None = None


@dataclass(frozen=True, slots=True)
class Attribute:
    """SAML core 2.7.3.1. `values` may be empty, and a value may be the empty string."""

    name: str
    name_format: str | None
    values: tuple[str, ...] = field(repr=False)


class Verified:
    """What a maker of an `Assertion` must hold up: so that none is made by accident, or by `replace`."""


VERIFIED = Verified()
"""For response.py, and for `load_assertion` below; a test holds that nothing else names it."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """SAML core 2.3.3, what we need of it, after every check passed."""

    id: str
    issuer: str
    issued_at: datetime
    in_response_to: str | None
    """None for an unsolicited Response."""
    name_id: NameID
    attributes: tuple[Attribute, ...]
    authenticated_at: datetime
    session_index: str | None = field(repr=False)
    session_ends_at: datetime | None
    """SessionNotOnOrAfter, the earliest of all statements."""
    authn_context: str | None
    valid_until: datetime
    """After this (leeway included) the same assertion would be refused for its age alone."""
    verified: InitVar[Verified]

    def __post_init__(self, verified: Verified) -> None:
        if verified is not VERIFIED:
            raise TypeError("only verify_response makes an Assertion")


def dump_assertion(assertion: Assertion) -> bytes:
    """JSON, to be sealed: it holds a NameID and attributes."""
    return json.dumps(asdict(assertion), default=datetime.isoformat, ensure_ascii=False).encode()


def load_assertion(dumped: bytes) -> Assertion:
    """What `dump_assertion` made. `dumped` must come out of our own authenticated seal and from nowhere else."""
    values = json.loads(dumped)
    return Assertion(
        **values
        | {
            "issued_at": datetime.fromisoformat(values["issued_at"]),
            "name_id": NameID(**values["name_id"]),
            "attributes": tuple(
                Attribute(one["name"], one["name_format"], tuple(one["values"])) for one in values["attributes"]
            ),
            "authenticated_at": datetime.fromisoformat(values["authenticated_at"]),
            "session_ends_at": values["session_ends_at"] and datetime.fromisoformat(values["session_ends_at"]),
            "valid_until": datetime.fromisoformat(values["valid_until"]),
        },
        verified=VERIFIED,
    )
