"""What the test identity provider really signed: the messages that are cut up, and the truth about each.

The truth is taken from the shape that was signed, never from our own reading of the message. Only the
truths of `acceptable` messages may ever come out of a verification: signed by the pinned key, for us,
now, in answer to this very request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from tests.attacks.scene import ASSERTION_SIGNED, BOTH_SIGNED, EVERY_WAY, RESPONSE_SIGNED, default_scene
from tests.identity_provider import IdentityProvider, make_signer
from tests.response_shape import ResponseShape
from tests.xml_encryption import Encryption

from sso_middleware.saml.assertion import NAME_ID_UNSPECIFIED, Assertion, Attribute, NameID
from sso_middleware.saml.parties import Trust

SCENE = default_scene()
MALLORY = "mallory@acme.example"
"""An honest account of the attacker's own, at the same identity provider."""
RECIPIENT = make_signer("our encryption key, for generated attacks")

Truth = dict[str, Any]


@dataclass(frozen=True)
class Genuine:
    """A message that somebody really signed."""

    name: str
    xml: bytes = field(repr=False)
    shape: ResponseShape = field(repr=False)
    acceptable: bool
    """Whether the pinned key signed it, for us, now, in answer to our request or, unsolicited, to none."""


@cache
def genuine_messages() -> tuple[Genuine, ...]:
    """Made once a process: signing is slow."""
    return (*_acceptable(), *_of_the_right_key(), *_of_other_keys())


def _acceptable() -> Iterator[Genuine]:
    """The honest person's answers to our request, in every way that we accept, and the attacker's own."""
    for way, signed in EVERY_WAY.items():
        yield _genuine(way, acceptable=True, **signed)
        yield _genuine(f"{way}, the attacker's own", acceptable=True, email=MALLORY, **signed)
        yield _genuine(f"{way}, PrefixList", acceptable=True, inclusive_prefixes=("xs",), **signed)
        yield _genuine(f"{way}, default namespace", acceptable=True, assertion_prefix="", **signed)
        yield _genuine(f"{way}, unsolicited", acceptable=True, request_id=None, **signed)
    gcm, cbc = Encryption(RECIPIENT.certificate), Encryption(RECIPIENT.certificate, "aes256-cbc")
    beside = replace(gcm, key_beside=True, transport="oaep-sha256")
    yield _genuine("GCM", acceptable=True, encryption=gcm, **ASSERTION_SIGNED)
    yield _genuine("GCM, key beside", acceptable=True, encryption=beside, **ASSERTION_SIGNED)
    yield _genuine("GCM, response signed", acceptable=True, encryption=gcm, **RESPONSE_SIGNED)
    yield _genuine("CBC, both signed", acceptable=True, encryption=cbc, **BOTH_SIGNED)


def _of_the_right_key() -> Iterator[Genuine]:
    """Genuine in every respect but one: each may be found lying about, and none signs in here and now."""
    long_ago = SCENE.now - timedelta(days=365)
    elsewhere = "https://elsewhere.example/saml"
    for way, signed in EVERY_WAY.items():
        yield _genuine(f"{way}, another audience", audience=elsewhere, **signed)
        yield _genuine(f"{way}, another request", request_id="_request-of-another-browser", **signed)
    yield _genuine("another recipient", recipient=elsewhere, destination=elsewhere, **BOTH_SIGNED)
    yield _genuine("expired", now=long_ago, **BOTH_SIGNED)
    yield _genuine("failure", status=("Responder", "NoPassive"), has_assertion=False, **RESPONSE_SIGNED)
    yield _genuine("never signed", email=SCENE.victim, sign_assertion=False)


def _of_other_keys() -> Iterator[Genuine]:
    """What the attacker, and another organization's identity provider, sign about the victim."""
    for way, signed in EVERY_WAY.items():
        for who, provider in {"impostor": SCENE.impostor, "another IdP": SCENE.other_idp}.items():
            yield _genuine(f"{way}, {who}", provider, email=SCENE.victim, issuer=SCENE.idp.entity_id,
                           response_issuer=SCENE.idp.entity_id, **signed)  # fmt: skip


def _genuine(
    name: str, provider: IdentityProvider = SCENE.idp, /, *, acceptable: bool = False, **changes: Any
) -> Genuine:
    setting: dict[str, Any] = {"request_id": SCENE.request_id, "email": SCENE.email, "now": SCENE.now}
    sent = provider.respond(SCENE.service_provider, **(setting | changes))
    return Genuine(name, sent.xml, sent.shape, acceptable)


# What may come out


@cache
def acceptable_truths(request_id: str | None) -> dict[str, Truth]:
    """Assertion ID → what that assertion says of whom, in answer to this request (None: unsolicited)."""
    return {
        each.shape.assertion_id: _truth(each.shape)
        for each in genuine_messages()
        if each.acceptable and each.shape.in_response_to == request_id
    }


def _truth(shape: ResponseShape) -> Truth:
    assert isinstance(shape.confirmation_not_on_or_after, datetime)
    values: dict[str, Attribute] = {}
    for sent in shape.attributes:
        values[sent.name] = Attribute(sent.name, sent.name_format, sent.values)
    return {
        "id": shape.assertion_id,
        "issuer": shape.issuer,
        "issued_at": shape.assertion_issued_at,
        "in_response_to": shape.confirmation_in_response_to,
        "name_id": NameID(shape.name_id or "", shape.name_id_format or NAME_ID_UNSPECIFIED),
        "attributes": tuple(values.values()),
        "authenticated_at": shape.authn_instant,
        "session_index": shape.session_index,
        "session_ends_at": shape.session_not_on_or_after,
        "authn_context": shape.authn_context,
        "valid_until": shape.confirmation_not_on_or_after + Trust(SCENE.idp.describe()).leeway,
    }


def told(assertion: Assertion) -> Truth:
    """Every value of an accepted assertion."""
    return {each.name: getattr(assertion, each.name) for each in fields(assertion)}


def decryption_key() -> RSAPrivateKey:
    assert isinstance(RECIPIENT.private_key, RSAPrivateKey)
    return RECIPIENT.private_key
