"""Whether a Response proves who someone is, and what of it is believed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lxml import etree
from tests.identity_provider import IdentityProvider, find_one
from tests.response_shape import SentAttribute
from tests.saml.conversation import (
    EMAIL,
    EXPECTED,
    IDP,
    LEEWAY,
    MINUTE,
    NOW,
    SERVICE_PROVIDER,
    edited,
    our_encryption,
    refusal,
    respond,
    verify,
)

from sso_middleware.errors import DigestMismatch, MessageRefused, StatusNotSuccess
from sso_middleware.saml import parsing
from sso_middleware.saml.assertion import NAME_ID_EMAIL, NAME_ID_UNSPECIFIED
from sso_middleware.saml.parsing import Status, parse_signed, read_message_xml
from sso_middleware.saml.parties import Expected, Trust
from sso_middleware.saml.response import _verify_assertion, check_failure, verify_response
from sso_middleware.saml.schema import required_child
from sso_middleware.saml.signature import verify_signature

ASSERTION = {"sign_assertion": True, "sign_response": False}
RESPONSE = {"sign_assertion": False, "sign_response": True}
BOTH = {"sign_assertion": True, "sign_response": True}
NEITHER = {"sign_assertion": False, "sign_response": False}
STATUS = "urn:oasis:names:tc:SAML:2.0:status:"


def test_an_assertion_holds_what_was_stated() -> None:
    """Every value, of a Response that answers our request."""
    ends = NOW + timedelta(hours=8)
    assertion = verify(
        respond(assertion_id="_one", session_index="_s", session_not_on_or_after=ends, authn_instant=NOW - MINUTE)
    )
    assert (assertion.id, assertion.issuer, assertion.issued_at) == ("_one", IDP.entity_id, NOW)
    assert assertion.in_response_to == EXPECTED.request_id
    assert (assertion.name_id.value, assertion.name_id.format) == (EMAIL, NAME_ID_EMAIL)
    assert (assertion.session_index, assertion.session_ends_at) == ("_s", ends)
    assert assertion.authenticated_at == NOW - MINUTE
    assert assertion.authn_context == "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
    assert {attribute.name: attribute.values for attribute in assertion.attributes}["role_mapping"] == (
        "engineering",
        "all staff",
    )


def test_what_was_not_stated_is_none() -> None:
    """An unsolicited Response with no more than it must have."""
    assertion = verify(
        respond(request_id=None, session_index=None, name_id_format=None, name_qualifier="", attributes=()),
        expected=None,
    )
    assert (assertion.in_response_to, assertion.session_index, assertion.session_ends_at) == (None, None, None)
    assert (assertion.name_id.format, assertion.name_id.name_qualifier) == (NAME_ID_UNSPECIFIED, None)
    assert assertion.attributes == ()


# Which signatures


@pytest.mark.parametrize(
    ("signed", "demanded", "code"),
    [
        (NEITHER, "either", "signature_missing"),
        (ASSERTION, "either", "accepted"),
        (RESPONSE, "either", "accepted"),
        (BOTH, "either", "accepted"),
        (NEITHER, "assertion", "assertion_signature_missing"),
        (ASSERTION, "assertion", "accepted"),
        (RESPONSE, "assertion", "assertion_signature_missing"),
        (BOTH, "assertion", "accepted"),
        (NEITHER, "response", "response_signature_missing"),
        (ASSERTION, "response", "response_signature_missing"),
        (RESPONSE, "response", "accepted"),
        (BOTH, "response", "accepted"),
        (NEITHER, "both", "response_signature_missing"),
        (ASSERTION, "both", "response_signature_missing"),
        (RESPONSE, "both", "assertion_signature_missing"),
        (BOTH, "both", "accepted"),
    ],
)
def test_the_connection_says_what_must_be_signed(signed: dict[str, bool], demanded: str, code: str) -> None:
    """One signature over the assertion at least; more where the connection demands it (SIG-001 to SIG-003)."""
    assert refusal(respond(**signed), signed=demanded) == code


# What is believed


def setting(**changes: Any) -> dict[str, Any]:
    own = {"trust": Trust(IDP.describe()), "service_provider": SERVICE_PROVIDER, "expected": EXPECTED, "now": NOW}
    return own | changes


def test_only_signed_bytes_are_read() -> None:
    """What a parser could see beside the signed bytes never reaches an assertion (XSW-023).

    The tree is changed behind the gate's back, as no message can be: a comment splits the NameID, so
    that `text` is another than what was signed, while the canonical form, and the digest, stay.
    """
    message = read_message_xml(respond(**BOTH))
    name_id = find_one(message.element, "saml:Assertion/saml:Subject/saml:NameID")
    comment = etree.Comment("x")
    comment.tail, name_id.text = EMAIL[3:], EMAIL[:3]
    name_id.append(comment)
    assert name_id.text == "ada"
    assert verify_response(message, **setting()).name_id.value == EMAIL


def test_only_signed_bytes_are_held_to_the_rules() -> None:
    """Of a signed Response, what it says of itself is the signed one as well."""
    message = read_message_xml(respond(**RESPONSE))
    issuer = find_one(message.element, "saml:Issuer")
    comment = etree.Comment("x")
    comment.tail, issuer.text = IDP.entity_id[3:], IDP.entity_id[:3]
    issuer.append(comment)
    assert issuer.text == "htt"
    assert verify_response(message, **setting()).issuer == IDP.entity_id


def test_only_signed_bytes_are_decrypted() -> None:
    """Of a signed Response the ciphertext is the signed one: here too the tree says another thing than it did."""
    enciphered, key = our_encryption()
    message = read_message_xml(respond(encryption=enciphered, **RESPONSE))
    encrypted = find_one(message.element, "saml:EncryptedAssertion/{*}EncryptedData/{*}CipherData/{*}CipherValue")
    comment = etree.Comment("x")
    comment.tail, encrypted.text = (encrypted.text or "")[40:], (encrypted.text or "")[:40]
    encrypted.append(comment)
    trust = Trust(IDP.describe(), encryption="required", decryption_keys=(key,))
    assert verify_response(message, **setting(trust=trust)).name_id.value == EMAIL


def test_verifying_leaves_the_message_as_it_was() -> None:
    """The same message may be verified again, and gives the same; one that was refused may be looked at again."""
    message = read_message_xml(respond(**BOTH))
    before = etree.tostring(message.element)
    assert verify_response(message, **setting()) == verify_response(message, **setting())
    assert etree.tostring(message.element) == before

    changed = read_message_xml(respond(**ASSERTION).replace(EMAIL.encode(), b"boss@acme.example"))
    before = etree.tostring(changed.element)
    with pytest.raises(DigestMismatch):
        verify_response(changed, **setting())
    assert etree.tostring(changed.element) == before


def test_no_name_of_a_message_outlives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """lxml keeps every name and namespace that a thread ever reads: made-up ones would fill the memory for good.

    A few may stay (test_parsing.py); then no more, in whatever part of a message they come.
    """
    monkeypatch.setattr(parsing, "_allowance", parsing._Allowance(0))
    named = "<f:plain xmlns:f='urn:f' f:attribute=''/>"
    enciphered, key = our_encryption()
    messages = [
        respond(extensions_xml=named, **signed)
        for signed in (BOTH, ASSERTION, RESPONSE, {"encryption": enciphered, **ASSERTION}, NEITHER)
    ]
    new = [message.replace(b"f:plain", b"f:never-seen").replace(b"urn:f'", b"urn:g'") for message in messages]
    setting: dict[str, Any] = {"encryption": "optional", "decryption_keys": (key,)}

    def names_kept() -> int:
        for message in messages:
            refusal(message, **setting)
        before = etree.memory_debugger.dict_size()
        codes = {refusal(message, **setting) for message in new}
        assert codes == {"accepted", "digest_mismatch", "signature_missing"}
        return int(etree.memory_debugger.dict_size() - before)

    with ThreadPoolExecutor(max_workers=1) as thread:  # of this one nothing was read yet
        assert thread.submit(names_kept).result() == 0


def test_it_must_be_remembered_until_its_age_alone_refuses_it() -> None:
    """`valid_until` is the first moment at which the same message is stale, not earlier (RPL-005)."""
    message = respond(confirmation_not_on_or_after=NOW + 60 * MINUTE, not_on_or_after=NOW + 60 * MINUTE)
    until = verify(message).valid_until
    asked = Expected(EXPECTED.request_id, NOW)
    assert refusal(message, now=until - timedelta(microseconds=1), expected=asked) == "accepted"
    assert refusal(message, now=until, expected=asked) == "stale"
    assert until <= NOW + 10 * MINUTE + LEEWAY


# Attributes


def attributes_in(**changes: Any) -> dict[str, tuple[str, ...]]:
    return {attribute.name: attribute.values for attribute in verify(respond(**changes)).attributes}


def test_repeated_attributes_come_together_in_order() -> None:
    """Keycloak sends `Role` once for each role; a second statement hides nothing (PRO-047)."""
    attributes = (
        SentAttribute("Role", ("b", "a")),
        SentAttribute("Email", (EMAIL,)),
        SentAttribute("Role", ("c", "a"), name_format=None),
    )
    second = "<saml:AttributeStatement><saml:Attribute Name='Role'><saml:AttributeValue>d</saml:AttributeValue>"
    assertion = verify(
        respond(attributes=attributes, further_statements_xml=second + "</saml:Attribute></saml:AttributeStatement>")
    )
    assert [attribute.name for attribute in assertion.attributes] == ["Role", "Email"]
    assert assertion.attributes[0].values == ("b", "a", "c", "a", "d")
    assert assertion.attributes[0].name_format == "urn:oasis:names:tc:SAML:2.0:attrname-format:basic"


def test_empty_is_a_value_and_none_is_none() -> None:
    """An empty AttributeValue is the empty text, an Attribute without values has none (PRO-053)."""
    values = attributes_in(attributes=(SentAttribute("empty", ("",)), SentAttribute("none", ())))
    assert values == {"empty": ("",), "none": ()}


def test_a_value_is_kept_to_the_letter() -> None:
    """Spaces, line breaks, markup characters and any script."""
    value = " Ünïcødé <b>&amp;</b> \n\t 你好 "
    assert attributes_in(attributes=(SentAttribute("v", (value,)),)) == {"v": (value,)}


def test_a_value_with_elements_in_it_is_no_text() -> None:
    """eduPersonTargetedID holds a NameID, others hold XML: neither is read as text (XML-010)."""
    statement = (
        "<saml:AttributeStatement><saml:Attribute Name='v'>"
        "<saml:AttributeValue><saml:NameID>x</saml:NameID></saml:AttributeValue>"
        "<saml:AttributeValue>admin<f:b xmlns:f='urn:f'/>@acme.example</saml:AttributeValue>"
        "<saml:AttributeValue>text</saml:AttributeValue>"
        "</saml:Attribute></saml:AttributeStatement>"
    )
    assert attributes_in(attributes=(), further_statements_xml=statement) == {"v": ("text",)}


def test_of_two_statements_the_earliest_times_count() -> None:
    """Two AuthnStatements: the first one's index and context, the earliest times (PRO-027, PRO-029)."""
    second = (
        "<saml:AuthnStatement AuthnInstant='2026-03-01T11:00:00Z' SessionIndex='_second'"
        " SessionNotOnOrAfter='2026-03-01T13:00:00Z'><saml:AuthnContext/></saml:AuthnStatement>"
    )
    assertion = verify(
        respond(session_index="_first", session_not_on_or_after=NOW + 90 * MINUTE, further_statements_xml=second)
    )
    assert assertion.session_index == "_first"
    assert assertion.authenticated_at == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert assertion.session_ends_at == datetime(2026, 3, 1, 13, tzinfo=UTC)


def test_a_statement_may_name_no_context() -> None:
    """AuthnContextClassRef may be absent."""
    statement = "<saml:AuthnStatement AuthnInstant='2026-03-01T11:00:00Z'><saml:AuthnContext/></saml:AuthnStatement>"
    assert verify(respond(has_authn_statement=False, further_statements_xml=statement)).authn_context is None


# Failures


def failure(**changes: Any) -> bytes:
    return respond(**{"status": ("Responder", "NoPassive"), "has_assertion": False, **changes})


def status_of(xml: bytes, **changes: Any) -> Status:
    return check_failure(read_message_xml(xml), **setting(**changes))


def test_a_failure_is_no_proof_of_anything() -> None:
    """Signed or not, it makes no assertion."""
    for signed in (False, True):
        with pytest.raises(StatusNotSuccess):
            verify(failure(sign_response=signed))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"response_issuer": None},
        {"destination": None},
        {"sign_response": True},
        {"sign_response": True, "destination": None},
    ],
)
def test_a_failure_needs_no_signature(changes: dict[str, Any]) -> None:
    """It answers our request, and what it says of itself fits."""
    status = status_of(failure(**changes))
    assert (status.code, status.sub_code) == (STATUS + "Responder", STATUS + "NoPassive")


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        (failure(in_response_to="_another"), "in_response_to_mismatch"),
        (failure(in_response_to=None), "in_response_to_mismatch"),
        (failure(response_issuer="https://other.example"), "issuer_mismatch"),
        (failure(destination="https://other.example"), "destination_mismatch"),
        (failure(destination=""), "destination_mismatch"),
        (failure(sign_response=True).replace(b"NoPassive", b"AuthnFailed"), "digest_mismatch"),
        (respond(IdentityProvider(key="x"), status=("Responder",), has_assertion=False, sign_response=True),
         "signature_invalid"),
        (failure(sign_response=True, signature_algorithm="rsa-sha1"), "algorithm_not_allowed"),
    ],
)  # fmt: skip
def test_a_failure_that_doesn_t_fit_is_refused(xml: bytes, code: str) -> None:
    """Another request's, another provider's, for another place, or changed."""
    with pytest.raises(MessageRefused) as refused:
        status_of(xml)
    assert refused.value.code == code


def test_a_failure_that_nobody_asked_for() -> None:
    """Without a request there is nothing that it may say it answers."""
    assert status_of(failure(request_id=None), expected=None).code == STATUS + "Responder"
    with pytest.raises(MessageRefused):
        status_of(failure(), expected=None)


def test_the_status_of_a_signed_failure_is_the_signed_one() -> None:
    """It is read from the bytes that were signed, words included."""
    signed = failure(sign_response=True, status_message="no session")
    assert status_of(signed).message == "no session"
    assert status_of(edited(signed, lambda root: None)).message == "no session"

    # As in test_only_signed_bytes_are_read: the tree says another thing than what was signed.
    message = read_message_xml(signed)
    words = find_one(message.element, "samlp:Status/samlp:StatusMessage")
    comment = etree.Comment("x")
    comment.tail, words.text = " session", "no"
    words.append(comment)
    assert check_failure(message, **setting()).message == "no session"


def test_a_failure_has_the_connection_s_exceptions() -> None:
    """SHA-1 and another Destination, each until its date."""
    sha1 = failure(sign_response=True, signature_algorithm="rsa-sha1", digest_algorithm="sha1")
    assert status_of(sha1, trust=Trust(IDP.describe(), sha1_until=NOW + MINUTE)).code == STATUS + "Responder"
    elsewhere = failure(destination="https://proxy.example/acs")
    skipping = Trust(IDP.describe(), skip_destination_until=NOW + MINUTE)
    assert status_of(elsewhere, trust=skipping).code == STATUS + "Responder"
    for xml, trust in ((sha1, Trust(IDP.describe(), sha1_until=NOW)), (elsewhere, Trust(IDP.describe()))):
        with pytest.raises(MessageRefused):
            status_of(xml, trust=trust)


def test_two_signatures_must_be_for_one_assertion() -> None:
    """The assertion's own signature is for what the Response's covers, whatever a parser made of it.

    No message is known that gets so far, so the step is asked by itself, with the parts of two genuine ones.
    """
    one, other = (
        read_message_xml(respond(sign_response=True, email=email)).element for email in (EMAIL, "eve@acme.example")
    )
    signed_one, signed_other = (
        parse_signed(verify_signature(response, keys=IDP.describe().keys, allow_sha1=False), "samlp:Response")
        for response in (one, other)
    )
    trust = Trust(identity_provider=IDP.describe())

    assert _verify_assertion(one, signed_one, trust, NOW).get("ID") == required_child(one, "saml:Assertion").get("ID")
    with pytest.raises(DigestMismatch, match="covers another assertion"):
        _verify_assertion(one, signed_other, trust, NOW)
