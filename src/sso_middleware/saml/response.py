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
from .parsing import Message, Status, parse_part, read_envelope
from .parties import Expected, ServiceProvider, Trust
from .schema import NAMESPACES, Element, attribute_of, find_one, name_of, read_time, text_of
from .signature import check_covered, verify_signature


def verify_response(
    message: Message, *, trust: Trust, service_provider: ServiceProvider, expected: Expected | None, now: datetime
) -> Assertion:
    """What the identity provider states, if `message` proves it: to us, now, in answer to `expected`.

    `expected` None means unsolicited: then nothing in it may claim to answer a request. Raises a
    MessageRefused. The caller must still claim the assertion's ID, so that it is accepted once.
    """
    response, response_is_signed = _verify_if_signed(message.element, trust, now)
    rules.check_status(response)
    candidate = _take_assertion(response, trust, is_authenticated=response_is_signed)
    assertion, assertion_is_signed = _verify_assertion(candidate, message.element, trust, now)
    _check_coverage(trust, response_is_signed=response_is_signed, assertion_is_signed=assertion_is_signed)

    rules.check_issuer(response, trust.identity_provider)
    rules.check_destination(
        response, is_signed=response_is_signed, service_provider=service_provider, trust=trust, now=now
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
    response, _ = _verify_if_signed(message.element, trust, now)
    rules.check_issuer(response, trust.identity_provider)
    rules.check_destination(response, is_signed=False, service_provider=service_provider, trust=trust, now=now)
    rules.check_in_response_to(response, expected)
    return read_envelope(response).status


# What is believed


def _verify_if_signed(element: Element, trust: Trust, now: datetime) -> tuple[Element, bool]:
    """The element, parsed again from exactly the bytes that its Signature covers; itself if it has none."""
    if element.find("ds:Signature", NAMESPACES) is None:
        return element, False
    allow_sha1 = trust.sha1_until is not None and now < trust.sha1_until
    try:
        signed = verify_signature(element, keys=trust.identity_provider.keys, allow_sha1=allow_sha1)
    except SignatureInvalid:
        # Another identity provider's message is told as what it is; the admin looks elsewhere then.
        rules.check_issuer(element, trust.identity_provider)
        raise
    return parse_part(signed, name_of(element)), True


def _verify_assertion(candidate: Element, received: Element, trust: Trust, now: datetime) -> tuple[Element, bool]:
    """The assertion as its own Signature covers it; itself if it has none.

    In a signed Response that Signature is verified where it stood on arrival, because the Response's
    canonical form drops a namespace that only a PrefixList further in names. It must say the same.
    """
    in_place = received.find("saml:Assertion", NAMESPACES)
    if in_place is None or in_place is candidate or candidate.find("ds:Signature", NAMESPACES) is None:
        return _verify_if_signed(candidate, trust, now)  # decrypted, or only one of the two is signed
    assertion, _ = _verify_if_signed(in_place, trust, now)
    check_covered(assertion, candidate)
    return assertion, True


def _take_assertion(response: Element, trust: Trust, *, is_authenticated: bool) -> Element:
    """The one assertion (form.py), decrypted, and through the gate again if it was encrypted."""
    assertion = response.find("saml:Assertion", NAMESPACES)
    if assertion is not None:
        if trust.encryption == "required":
            raise EncryptionRequired("the assertion is not encrypted, and this connection requires it")
        return assertion
    encrypted = find_one(response, "saml:EncryptedAssertion")
    return _decrypt(encrypted, "saml:Assertion", trust, is_authenticated=is_authenticated)


def _take_name_id(assertion: Element, trust: Trust) -> Element:
    encrypted = assertion.find("saml:Subject/saml:EncryptedID", NAMESPACES)
    if encrypted is not None:
        # By now a verified signature covers it: the assertion's own, or the Response's.
        return _decrypt(encrypted, "saml:NameID", trust, is_authenticated=True)
    name_id = assertion.find("saml:Subject/saml:NameID", NAMESPACES)
    if name_id is None:
        raise NameIdMissing("no NameID")
    return name_id


def _decrypt(encrypted: Element, expected_root: str, trust: Trust, *, is_authenticated: bool) -> Element:
    if trust.encryption == "off":
        raise EncryptionUnexpected("it is encrypted, and this connection's encryption is off")
    plaintext = decrypt(encrypted, keys=trust.decryption_keys, is_authenticated=is_authenticated)
    try:
        return parse_part(plaintext, expected_root)
    except MessageRefused as error:
        raise DecryptionFailed from error  # whoever changed a ciphertext is not told how far it came


def _check_coverage(trust: Trust, *, response_is_signed: bool, assertion_is_signed: bool) -> None:
    # SAML profiles 4.1.4.3: a signature must cover the assertion, on itself or on the Response around
    # it. Every one that was there has verified by now; the connection may demand the one, or both.
    if trust.signed in ("response", "both") and not response_is_signed:
        raise ResponseSignatureMissing("the Response is not signed, and this connection demands it")
    if trust.signed in ("assertion", "both") and not assertion_is_signed:
        raise AssertionSignatureMissing("the Assertion is not signed, and this connection demands it")
    if not response_is_signed and not assertion_is_signed:
        raise SignatureMissing("neither the Response nor the Assertion is signed")


# What it says


def _read_assertion(assertion: Element, name_id: Element, expected: Expected | None, trust: Trust) -> Assertion:
    statements = assertion.findall("saml:AuthnStatement", NAMESPACES)
    contexts = assertion.findall("saml:AuthnStatement/saml:AuthnContext/saml:AuthnContextClassRef", NAMESPACES)
    ends = [end for statement in statements if (end := statement.get("SessionNotOnOrAfter")) is not None]
    return Assertion(
        id=attribute_of(assertion, "ID"),
        issuer=trust.identity_provider.entity_id,
        issued_at=read_time(attribute_of(assertion, "IssueInstant")),
        in_response_to=expected.request_id if expected else None,
        name_id=_read_name_id(name_id),
        attributes=tuple(_read_attributes(assertion)),
        authenticated_at=min(read_time(attribute_of(statement, "AuthnInstant")) for statement in statements),
        session_index=next((index for statement in statements if (index := statement.get("SessionIndex"))), None),
        session_ends_at=min((read_time(end) for end in ends), default=None),
        authn_context=text_of(contexts[0]) if contexts else None,
        valid_until=rules.latest_arrival(assertion, trust),
        verified=VERIFIED,
    )


def _read_name_id(name_id: Element) -> NameID:
    # SAML core 2.2.2: no Format means unspecified. An empty qualifier qualifies nothing.
    return NameID(
        value=text_of(name_id),
        format=name_id.get("Format") or NAME_ID_UNSPECIFIED,
        name_qualifier=name_id.get("NameQualifier") or None,
        sp_name_qualifier=name_id.get("SPNameQualifier") or None,
    )


def _read_attributes(assertion: Element) -> Iterator[Attribute]:
    """One Attribute a Name, in document order; the values of one that is repeated come together (Keycloak).

    Nothing overwrites anything, so no order of statements hides a value.
    """
    formats: dict[str, str | None] = {}
    values: dict[str, list[str]] = {}
    for attribute in assertion.iterfind("saml:AttributeStatement/saml:Attribute", NAMESPACES):
        name = attribute_of(attribute, "Name")
        formats.setdefault(name, attribute.get("NameFormat"))
        # A value with elements in it is no text: eduPersonTargetedID's NameID, or an attempt to split one.
        values.setdefault(name, []).extend(
            text_of(value) for value in attribute.iterfind("saml:AttributeValue", NAMESPACES) if len(value) == 0
        )
    return (Attribute(name, formats[name], tuple(values[name])) for name in formats)
