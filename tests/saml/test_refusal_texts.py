"""The words of each refusal: an admin reads them in the log and in the events, so they are an interface too."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from lxml import etree
from tests.identity_provider import IdentityProvider, find_one
from tests.response_shape import SENDER_VOUCHES, XSI
from tests.saml.conversation import (
    EXPECTED,
    IDP,
    MINUTE,
    NOW,
    SERVICE_PROVIDER,
    our_encryption,
    respond,
    verify,
)
from tests.xml_encryption import BlockCipher, KeyTransport

from sso_middleware.errors import DecryptionFailed, MessageRefused
from sso_middleware.saml.encryption import decrypt
from sso_middleware.saml.logout import read_logout_query
from sso_middleware.saml.parsing import decode_base64, decode_saml_response, inflate, parse_signed, parse_untrusted
from sso_middleware.saml.parsing import read_message_xml as read
from sso_middleware.saml.rules import check_logout_destination
from sso_middleware.saml.signature import check_covered, verify_detached, verify_signature

ACS = SERVICE_PROVIDER.acs_url
ENTITY = SERVICE_PROVIDER.entity_id
ELSEWHERE = "https://other.example"
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
RSA_SHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
WITHOUT_SHA1 = "SHA-1, and no dated exception of this connection's allows it"
NO_KEY = "no pinned key of this connection made the signature"


def text_of_refusal(act: Callable[[], object]) -> str:
    with pytest.raises(MessageRefused) as refused:
        act()
    return refused.value.detail


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def posted(xml: bytes) -> str:
    return base64.b64encode(xml).decode()


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (lambda: decode_saml_response("A" * 262145), "SAMLResponse is longer than 262144 characters"),
        (
            lambda: decode_saml_response(posted(deflate(b"<a/>"))),
            "SAMLResponse is deflated, which only HTTP-Redirect does (SAML bindings 3.4.4.1)",
        ),
        (lambda: decode_base64("é"), "not base64"),
        (lambda: decode_base64("PGEvPh=="), "not the one spelling in base64 of anything"),
        (lambda: inflate(b"\xff", limit=9), "not a DEFLATE stream"),
        (lambda: inflate(deflate(b"x" * 10), limit=9), "more than 9 bytes once inflated"),
        (lambda: inflate(b"", limit=9), "not exactly one DEFLATE stream"),
        (lambda: read(respond(status=("Responder",))), "an assertion in a Response whose Status is not Success"),
        (lambda: read(respond(has_assertion=False)), "no assertion in a Response whose Status is Success"),
        (lambda: read(b"<a/>"), "the root element is not samlp:Response"),
        (lambda: parse_signed(b"<a/>", "saml:Assertion"), "the root element is not saml:Assertion"),
        (lambda: parse_signed(b"<a>\n<", "saml:Assertion"), "not well-formed XML (line 2)"),
    ],
)
def test_what_could_not_be_read(act: Callable[[], object], text: str) -> None:
    """The field, its encoding, and what must be in it."""
    assert text_of_refusal(act) == text


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        (b"<a>" + b"x" * 93 + b"</a>", ""),
        (b"<a>" + b"x" * 94 + b"</a>", "more than 100 bytes of XML"),
        (b"\xef\xbb\xbf<a/>", "a byte order mark or NUL"),
        (b"<a>\xe9</a>", "not UTF-8"),
        (b"<a><?b c?></a>", "a processing instruction"),
        (b"<a><![CDATA[b]]></a>", "a CDATA section"),
        (b"<a><!-- --></a>", "a comment"),
        (b"<!DOCTYPE a><a/>", "a document type or other declaration"),
        (b'<?xml version="1.1"?><a/>', "an XML declaration of another version than 1.0"),
        (b'<?xml version="1.0" encoding="latin1"?><a/>', "an encoding other than UTF-8 is declared"),
    ],
)
def test_what_may_not_be_in_xml(xml: bytes, text: str) -> None:
    """Of the bytes, before any parser has them."""

    def parse() -> object:
        return parse_untrusted(xml, max_bytes=100, max_elements=9, max_depth=9)

    if text:
        assert text_of_refusal(parse) == text
    else:
        assert parse() is not None


def test_what_only_libxml2_refuses() -> None:
    """By its line, and without libxml2's words."""
    too_long = b"<a>\n<%s/></a>" % (b"b" * 60_000)
    act = partial(parse_untrusted, too_long, max_bytes=100_000, max_elements=9, max_depth=9)
    assert text_of_refusal(act) == "not well-formed XML (line 2)"


OLD = "0001-01-01T00:00:00Z"
DECLARED = {"sp_name_qualifier": "x"}
UNKNOWN_CONDITION = f"<saml:Condition xmlns:xsi='{XSI}' xmlns:f='urn:f' xsi:type='f:Moon'/>"
LONG = "https://long.example/" + "x" * 500


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        # the Response
        ({"issuer_format": "urn:x"}, "the Format of Issuer is not that of an entity"),
        ({"issuer": ELSEWHERE}, f"Issuer is {ELSEWHERE!r}, expected {IDP.entity_id!r}"),
        ({"issuer": LONG}, f"Issuer is {LONG[:200]!r}, expected {IDP.entity_id!r}"),
        ({"destination": ELSEWHERE}, f"Destination is {ELSEWHERE!r}, expected {ACS!r}"),
        ({"destination": None, "sign_response": True}, f"Destination is absent, expected {ACS!r}"),
        (
            {"in_response_to": None},
            "InResponseTo is not that of our login request, or is there where we asked nothing",
        ),
        ({"issued_at": NOW + DAY}, "IssueInstant is 2026-03-02 12:00:00+00:00, and it is 2026-03-01 12:00:00+00:00"),
        ({"issued_at": OLD}, "IssueInstant is 0001-01-01 00:00:00+00:00, and it is 2026-03-01 12:00:00+00:00"),
        (
            {"issued_at": NOW - 3 * MINUTE},
            "IssueInstant is 2026-03-01 11:57:00+00:00, before our request of 2026-03-01 11:59:30+00:00",
        ),
        # the assertion
        ({"has_subject": False}, "no Subject"),
        ({"confirmation_method": SENDER_VOUCHES}, "no bearer SubjectConfirmation"),
        ({"has_confirmation_data": False}, "a bearer SubjectConfirmation without its data"),
        ({"recipient": ELSEWHERE}, f"Recipient is {ELSEWHERE!r}, expected {ACS!r}"),
        ({"recipient": None}, f"Recipient is absent, expected {ACS!r}"),
        (
            {"confirmation_not_on_or_after": None},
            "a bearer confirmation must have NotOnOrAfter, and no NotBefore",
        ),
        ({"has_conditions": False}, "no Conditions"),
        ({"conditions_inner_xml": UNKNOWN_CONDITION}, "a Condition of a type that we don't know"),
        (
            {"not_before": NOW + DAY},
            "not before 2026-03-02 12:00:00+00:00, and it is 2026-03-01 12:00:00+00:00: is one of the clocks wrong?",
        ),
        (
            {"not_on_or_after": NOW - DAY},
            "not on or after 2026-02-28 12:00:00+00:00, and it is 2026-03-01 12:00:00+00:00",
        ),
        ({"audience": None}, "no AudienceRestriction"),
        ({"audience": ("a", "b", "c", "d")}, f"Audience is 'a', 'b', 'c', expected {ENTITY!r}"),
        ({"has_authn_statement": False}, "no AuthnStatement"),
        ({"authn_instant": NOW + DAY}, "AuthnInstant lies ahead"),
        ({"session_not_on_or_after": NOW}, "the session at the identity provider ended at 2026-03-01 12:00:00+00:00"),
        ({"name_id": None}, "no NameID"),
        ({"name_id": " "}, "an empty NameID"),
        ({"name_id": "a\nb"}, "a NameID with control characters, or longer than 1024"),
        ({"name_qualifier": "x"}, "NameQualifier is not the identity provider's entity id"),
        ({"sp_name_qualifier": "x"}, "SPNameQualifier is not our entity id"),
        # signatures
        ({"sign_assertion": False}, "neither the Response nor the Assertion is signed"),
        ({"signature_algorithm": "rsa-sha1"}, WITHOUT_SHA1),
        ({"digest_algorithm": "sha1"}, WITHOUT_SHA1),
        ({"status": ("Responder",), "has_assertion": False}, "the top-level StatusCode is not Success"),
    ],
)
def test_what_came_and_what_was_expected(changes: dict[str, Any], text: str) -> None:
    """Of a Response that identity provider and connection agree on but for one thing."""
    assert text_of_refusal(lambda: verify(respond(**changes))) == text


ENCRYPTION, OUR_KEY = our_encryption()
SIGNED_BOTH = {"sign_response": True}


@pytest.mark.parametrize(
    ("changes", "setting", "text"),
    [
        ({}, {"signed": "response"}, "the Response is not signed, and this connection demands it"),
        (
            {"sign_assertion": False, **SIGNED_BOTH},
            {"signed": "both"},
            "the Assertion is not signed, and this connection demands it",
        ),
        (
            {},
            {"signature_algorithms": ("rsa-sha512",)},
            "rsa-sha256, which allowed_signature_algorithms of this connection does not list",
        ),
        ({}, {"encryption": "required"}, "the assertion is not encrypted, and this connection requires it"),
        ({"encryption": ENCRYPTION}, {}, "it is encrypted, and this connection's encryption is off"),
        ({"encryption": ENCRYPTION}, {"encryption": "optional"}, str(DecryptionFailed())),
        (
            {},
            {"authn_contexts": ("urn:strong",)},
            "AuthnContextClassRef is 'urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport',"
            " which authn_contexts does not list",
        ),
        (
            {"authn_instant": NOW - DAY},
            {"expected": replace(EXPECTED, force_authn=True)},
            "AuthnInstant is 2026-02-28 12:00:00+00:00, before our request of 2026-03-01 11:59:30+00:00",
        ),
        ({}, {"identity_provider": IdentityProvider(key="another").describe()}, NO_KEY),
    ],
)
def test_what_the_connection_demands(changes: dict[str, Any], setting: dict[str, Any], text: str) -> None:
    """Of an honest Response that this connection, or our request, wants otherwise."""
    assert text_of_refusal(lambda: verify(respond(**changes), **setting)) == text


def test_an_authn_context_that_is_not_there() -> None:
    """It is told as absent."""
    statement = "<saml:AuthnStatement AuthnInstant='2026-03-01T12:00:00Z'><saml:AuthnContext/></saml:AuthnStatement>"
    message = respond(has_authn_statement=False, further_statements_xml=statement)
    text = text_of_refusal(lambda: verify(message, authn_contexts=("urn:strong",)))
    assert text == "AuthnContextClassRef is absent, which authn_contexts does not list"


def test_a_logout_message_for_another_place() -> None:
    """What came, and our own address."""
    for destination, shown in ((None, "absent"), (ELSEWHERE, repr(ELSEWHERE))):
        message = etree.Element("a", {} if destination is None else {"Destination": destination})
        act = partial(check_logout_destination, message, ACS)
        assert text_of_refusal(act) == f"Destination is {shown}, expected {ACS!r}"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", "not exactly one of SAMLRequest and SAMLResponse"),
        ("SAMLRequest=AAAA&SigAlg=x", "no Signature in the query string"),
        (
            "SAMLRequest=AAAA&SigAlg=x&SigAlg=y&Signature=AAAA",
            "the parameters are not SAMLRequest, RelayState, SigAlg and Signature, once and in order",
        ),
        ("SAMLRequest=AAAA&RelayState=ü&SigAlg=x&Signature=AAAA", "the query string is not ASCII"),
        (f"SAMLRequest={'A' * 262144}&SigAlg=x&Signature=AAAA", "not a DEFLATE stream"),
        (
            f"SAMLRequest={'A' * 262145}&SigAlg=x&Signature=AAAA",
            "SAMLRequest is longer than 262144 characters",
        ),
    ],
)
def test_a_logout_query_that_is_none(query: str, text: str) -> None:
    """Which parameter, and what of it."""
    assert text_of_refusal(lambda: read_logout_query(query)) == text


def test_a_signature_that_does_not_hold() -> None:
    """Of a query string, and of a message that was changed, or that makes no canonical form."""
    keys = IDP.describe().keys

    def detached(algorithm: str) -> str:
        return text_of_refusal(
            lambda: verify_detached(b"data", b"value", algorithm=algorithm, keys=keys, allow_sha1=False)
        )

    assert detached("urn:x") == "a signature algorithm that we don't know"
    assert detached(RSA_SHA1) == WITHOUT_SHA1
    assert detached(RSA_SHA256) == NO_KEY
    changed = respond().replace(b"<saml:Subject>", b"<saml:Subject> ")
    assert text_of_refusal(lambda: verify(changed)) == "what was signed has been changed since"
    unwritable = etree.fromstring(respond().replace(b"<ds:SignedInfo", b'<ds:SignedInfo xmlns:x="1"'))
    act = partial(verify_signature, find_one(unwritable, "saml:Assertion"), keys=keys, allow_sha1=False)
    assert text_of_refusal(act) == "it can't be canonicalized"


def test_a_canonical_form_that_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No canonicalizer should ever say that."""
    message = respond()
    monkeypatch.setattr("sso_middleware.saml.signature.etree.tostring", lambda *args, **options: b"")
    assert text_of_refusal(lambda: verify(message)) == "its canonical form is empty"


def test_two_signatures_for_two_assertions() -> None:
    """Both hold, but not for the same."""
    one = parse_signed(respond(name_id="one"), "samlp:Response")[-1]
    other = parse_signed(respond(name_id="other"), "samlp:Response")[-1]
    text = text_of_refusal(lambda: check_covered(one, other))
    assert text == "the Response's signature covers another assertion than the assertion's own"


@pytest.mark.parametrize(
    ("block", "transport", "text"),
    [
        ("tripledes", "oaep-sha1", "the data must be an element under AES-GCM, or under AES-CBC if signed"),
        ("aes128-cbc", "oaep-sha1", "AES-CBC in a Response that is not signed: let your IdP sign the response too"),
        ("aes128-gcm", "rsa-1_5", "the key must be under RSA-OAEP"),
    ],
)
def test_how_it_must_be_encrypted(block: BlockCipher, transport: KeyTransport, text: str) -> None:
    """And whose part it is to change that."""
    encryption, key = our_encryption(block=block, transport=transport)
    encrypted = find_one(etree.fromstring(respond(encryption=encryption)), "saml:EncryptedAssertion")
    act = partial(decrypt, encrypted, keys=(key,), is_authenticated=False)
    assert text_of_refusal(act) == text
    honest = find_one(etree.fromstring(respond(encryption=ENCRYPTION)), "saml:EncryptedAssertion")
    assert decrypt(honest, keys=(OUR_KEY,), is_authenticated=False)
