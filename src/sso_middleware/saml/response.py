"""Decide whether a Response proves who someone is.

Everything here is pure: the caller brings the message, whom to trust, and the time. The steps are
those of the design, in order: the gate was passed (parsing.py); verify the Response's signature,
decrypt, verify the assertion's, each time going on with nothing but what was signed, parsed again;
then the rules (rules.py). Finding the connection, refusing replays, comparing the browser and opening
a session are `flows`'.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ..errors import (
    AssertionSignatureMissing,
    DecryptionFailed,
    EncryptionRequired,
    EncryptionUnexpected,
    MessageRefused,
    NameIdMissing,
    ResponseSignatureMissing,
    SignatureInvalid,
    SignatureMissing,
)
from . import rules
from .assertion import NAME_ID_UNSPECIFIED, VERIFIED, Assertion, Attribute, NameID
from .encryption import decrypt
from .parsing import Message, Status, parse_part, parse_signed, read_envelope
from .parties import Expected, ServiceProvider, Trust
from .schema import (
    AnyElement,
    Element,
    SignedElement,
    attribute_of,
    child,
    children,
    name_of,
    read_time,
    required_child,
    text_of,
)
from .signature import check_covered, signature_algorithm_of, verify_signature


def verify_response(
    message: Message, *, trust: Trust, service_provider: ServiceProvider, expected: Expected | None, now: datetime
) -> Assertion:
    """What the identity provider states, if `message` proves it: to us, now, in answer to `expected`.

    `expected` None means unsolicited: then nothing in it may claim to answer a request. Raises a
    MessageRefused. The caller must still claim the assertion's ID, so that it is accepted once.
    """
    signed_response = _verify_if_signed(message.element, trust, now)
    response = message.element if signed_response is None else signed_response
    rules.check_status(response)
    assertion = _verify_assertion(message.element, signed_response, trust, now)

    rules.check_issuer(response, trust.identity_provider)
    rules.check_destination(
        response,
        is_signed=signed_response is not None,
        service_provider=service_provider,
        trust=trust,
        now=now,
    )
    rules.check_in_response_to(response, expected)
    rules.check_age(response, expected=expected, trust=trust, now=now)

    rules.check_issuer(assertion, trust.identity_provider)
    rules.check_age(assertion, expected=expected, trust=trust, now=now)
    rules.check_confirmations(assertion, service_provider=service_provider, expected=expected, trust=trust, now=now)
    rules.check_conditions(assertion, trust, now)
    rules.check_audience(assertion, service_provider)
    rules.check_authn_statements(assertion, expected=expected, trust=trust, now=now)
    rules.check_authn_contexts(assertion, trust)
    name_id = _take_name_id(assertion, trust)
    rules.check_name_id(name_id, identity_provider=trust.identity_provider, service_provider=service_provider)
    return _read_assertion(assertion, name_id, expected, trust)


def check_failure(
    message: Message, *, trust: Trust, service_provider: ServiceProvider, expected: Expected | None, now: datetime
) -> Status:
    """Why the identity provider did not sign the person in, if this Response answers `expected`.

    A failure needs no signature to be one, but one that is there must verify. Raises a MessageRefused.
    """
    signed_response = _verify_if_signed(message.element, trust, now)
    response = message.element if signed_response is None else signed_response
    rules.check_issuer(response, trust.identity_provider)
    rules.check_destination(response, is_signed=False, service_provider=service_provider, trust=trust, now=now)
    rules.check_in_response_to(response, expected)
    return read_envelope(response).status


# What is believed


def _verify_if_signed(element: Element, trust: Trust, now: datetime) -> SignedElement | None:
    """The element, parsed again from exactly the bytes that its Signature covers; None if it has none."""
    if child(element, "ds:Signature") is None:
        return None
    rules.check_signature_algorithm(signature_algorithm_of(element), trust)
    allow_sha1 = trust.sha1_until is not None and now < trust.sha1_until
    try:
        signed = verify_signature(element, keys=trust.identity_provider.keys, allow_sha1=allow_sha1)
    except SignatureInvalid:
        # Another identity provider's message is told as what it is; the admin looks elsewhere then.
        rules.check_issuer(element, trust.identity_provider)
        raise
    return parse_signed(signed, name_of(element))


def _verify_assertion(
    received: Element, signed_response: SignedElement | None, trust: Trust, now: datetime
) -> SignedElement:
    """The one assertion (form.py), as its own Signature covers it, or else as the Response's does."""
    candidate, by_response = _take_assertion(received, signed_response, trust)
    by_itself = _verify_if_signed(candidate, trust, now)
    if by_itself is not None and by_response is not None:
        check_covered(by_itself, by_response)
    return _choose_covered(by_response, by_itself, trust)


def _take_assertion(
    received: Element, signed_response: SignedElement | None, trust: Trust
) -> tuple[Element, SignedElement | None]:
    """The assertion as it came, and as it is in the verified Response, if that is signed.

    Its own Signature is verified where it stood on arrival, because the Response's canonical form drops
    a namespace that only a PrefixList further in names.
    """
    response = received if signed_response is None else signed_response
    encrypted = child(response, "saml:EncryptedAssertion")
    if encrypted is not None:
        plaintext, candidate = _decrypt(
            encrypted, "saml:Assertion", trust, is_authenticated=signed_response is not None
        )
        return candidate, None if signed_response is None else parse_signed(plaintext, "saml:Assertion")
    if trust.encryption == "required":
        raise EncryptionRequired("the assertion is not encrypted, and this connection requires it")
    candidate = required_child(received, "saml:Assertion")
    return candidate, None if signed_response is None else required_child(signed_response, "saml:Assertion")


def _choose_covered(by_response: SignedElement | None, by_itself: SignedElement | None, trust: Trust) -> SignedElement:
    # SAML profiles 4.1.4.3: a signature must cover the assertion, on itself or on the Response around
    # it. Every one that was there has verified by now; the connection may demand the one, or both.
    if trust.signed in ("response", "both") and by_response is None:
        raise ResponseSignatureMissing("the Response is not signed, and this connection demands it")
    if trust.signed in ("assertion", "both") and by_itself is None:
        raise AssertionSignatureMissing("the Assertion is not signed, and this connection demands it")
    assertion = by_response if by_itself is None else by_itself
    if assertion is None:
        raise SignatureMissing("neither the Response nor the Assertion is signed")
    return assertion


def _take_name_id(assertion: SignedElement, trust: Trust) -> AnyElement:
    subject = required_child(assertion, "saml:Subject")  # check_confirmations
    encrypted = child(subject, "saml:EncryptedID")
    if encrypted is not None:
        # By now a verified signature covers it: the assertion's own, or the Response's.
        return decrypt_part(encrypted, "saml:NameID", trust, is_authenticated=True)
    name_id = child(subject, "saml:NameID")
    if name_id is None:
        raise NameIdMissing("no NameID")
    return name_id


def decrypt_part(encrypted: AnyElement, expected_root: str, trust: Trust, *, is_authenticated: bool) -> Element:
    """What is in an EncryptedAssertion or EncryptedID, through the gate. Raises a DecryptionRefused."""
    return _decrypt(encrypted, expected_root, trust, is_authenticated=is_authenticated)[1]


def _decrypt(
    encrypted: AnyElement, expected_root: str, trust: Trust, *, is_authenticated: bool
) -> tuple[bytes, Element]:
    if trust.encryption == "off":
        raise EncryptionUnexpected("it is encrypted, and this connection's encryption is off")
    plaintext = decrypt(encrypted, keys=trust.decryption_keys, is_authenticated=is_authenticated)
    try:
        return plaintext, parse_part(plaintext, expected_root)
    except MessageRefused as error:
        raise DecryptionFailed from error  # whoever changed a ciphertext is not told how far it came


# What it says


def _read_assertion(
    assertion: SignedElement, name_id: AnyElement, expected: Expected | None, trust: Trust
) -> Assertion:
    statements = children(assertion, "saml:AuthnStatement")
    contexts = [
        text_of(context)
        for statement in statements
        for context in children(required_child(statement, "saml:AuthnContext"), "saml:AuthnContextClassRef")
    ]
    times = [read_time(attribute_of(statement, "AuthnInstant")) for statement in statements]
    ends = [read_time(end) for statement in statements if (end := statement.get("SessionNotOnOrAfter")) is not None]
    return Assertion(
        id=attribute_of(assertion, "ID"),
        issuer=trust.identity_provider.entity_id,
        issued_at=read_time(attribute_of(assertion, "IssueInstant")),
        in_response_to=expected.request_id if expected else None,
        name_id=read_name_id(name_id),
        attributes=tuple(_read_attributes(assertion)),
        authenticated_at=min(times),
        session_index=next((index for statement in statements if (index := statement.get("SessionIndex"))), None),
        session_ends_at=min(ends, default=None),
        authn_context=contexts[0] if contexts else None,
        valid_until=rules.latest_arrival(assertion, trust),
        verified=VERIFIED,
    )


def read_name_id(name_id: AnyElement) -> NameID:
    """The values of a NameID that was verified, to the letter."""
    # SAML core 2.2.2: no Format means unspecified. An empty qualifier qualifies nothing.
    return NameID(
        value=text_of(name_id),
        format=name_id.get("Format") or NAME_ID_UNSPECIFIED,
        name_qualifier=name_id.get("NameQualifier") or None,
        sp_name_qualifier=name_id.get("SPNameQualifier") or None,
    )


def _read_attributes(assertion: SignedElement) -> Iterator[Attribute]:
    """One Attribute a Name, in document order; the values of one that is repeated come together (Keycloak).

    Nothing overwrites anything, so no order of statements hides a value.
    """
    formats: dict[str, str | None] = {}
    values: dict[str, list[str]] = {}
    for statement in children(assertion, "saml:AttributeStatement"):
        for attribute in statement:
            name = attribute_of(attribute, "Name")
            formats.setdefault(name, attribute.get("NameFormat"))
            # A value with elements in it is no text: eduPersonTargetedID's NameID, or an attempt to split one.
            values.setdefault(name, []).extend(text_of(value) for value in attribute if len(value) == 0)
    return (Attribute(name, formats[name], tuple(values[name])) for name in formats)
