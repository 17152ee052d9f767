"""Logout messages: what is read of genuine ones, by either binding, and what ours look like.

The forged ones are in tests/attacks/test_slo.py.
"""

from __future__ import annotations

import base64
from dataclasses import FrozenInstanceError, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree
from signxml.verifier import XMLVerifier
from tests.identity_provider import IdentityProvider, check_redirect_signature, form_value, make_signer, sign
from tests.logout_messages import (
    MORE,
    LogoutShape,
    deflated,
    honest_request,
    honest_response,
    quote_upper,
    render_logout,
    sign_query,
    signed_form,
    signed_query,
)
from tests.response_shape import SIGNATURE_PLACEHOLDER
from tests.saml.conversation import IDP, NOW, SERVICE_PROVIDER
from tests.xml_encryption import Encryption

from sso_middleware.errors import MessageRefused, SignatureMissing
from sso_middleware.saml import parties
from sso_middleware.saml.assertion import NAME_ID_EMAIL, NAME_ID_PERSISTENT, NAME_ID_UNSPECIFIED, NameID, Verified
from sso_middleware.saml.bindings import FormPost, Outgoing, Redirect
from sso_middleware.saml.certificates import read_certificate
from sso_middleware.saml.logout import (
    LogoutMessage,
    LogoutRequest,
    LogoutResponse,
    read_logout_form,
    read_logout_query,
    verify_logout_request,
    verify_logout_response,
)
from sso_middleware.saml.logout_sending import build_logout_request, build_logout_response
from sso_middleware.saml.parsing import MAX_ENCODED, inflate
from sso_middleware.saml.parties import BINDING_POST, BINDING_REDIRECT, Endpoint, Expected, KeyPair, Trust

SLO_URL = "https://app.example.com/sso/acme/slo"
EXPECTED = Expected("_logout-request-of-ours", NOW - timedelta(seconds=30))
REQUEST = honest_request(issuer=IDP.entity_id, slo_url=SLO_URL, now=NOW)
RESPONSE = honest_response(issuer=IDP.entity_id, slo_url=SLO_URL, now=NOW, in_response_to=EXPECTED.request_id)
REDIRECT = Endpoint(BINDING_REDIRECT, "https://idp.acme.example/slo")
POST = Endpoint(BINDING_POST, "https://idp.acme.example/slo?a=1")
OUR_SIGNER = make_signer("our own key")
OUR_KEY = KeyPair(OUR_SIGNER.private_pem.encode(), OUR_SIGNER.certificate)
NAME_ID = NameID("ada/ü&<1>", NAME_ID_PERSISTENT, IDP.entity_id, SERVICE_PROVIDER.entity_id)


def by_redirect(shape: LogoutShape, idp: IdentityProvider = IDP, **packing: Any) -> LogoutMessage:
    return read_logout_query(signed_query(shape, idp.signer, **packing))


def by_post(shape: LogoutShape, idp: IdentityProvider = IDP) -> LogoutMessage:
    return read_logout_form(signed_form(shape, idp.signer))


def request_of(message: LogoutMessage, *, now: datetime = NOW, **trust: Any) -> LogoutRequest:
    believed = Trust(trust.pop("identity_provider", None) or IDP.describe(), **trust)
    return verify_logout_request(message, trust=believed, service_provider=SERVICE_PROVIDER, slo_url=SLO_URL, now=now)


def response_of(message: LogoutMessage, *, now: datetime = NOW) -> LogoutResponse:
    return verify_logout_response(message, trust=Trust(IDP.describe()), slo_url=SLO_URL, expected=EXPECTED, now=now)


both_bindings = pytest.mark.parametrize("received", [by_redirect, by_post], ids=["redirect", "post"])


@both_bindings
def test_a_request_says_whom_and_which_sessions(received: Any) -> None:
    """Plain values, to the letter, and until when the id must be remembered."""
    shape = replace(
        REQUEST,
        name_id=" ada ",
        name_id_attributes=f'NameQualifier="{IDP.entity_id}" SPNameQualifier="{SERVICE_PROVIDER.entity_id}"',
        session_indexes=("_1", " _2"),
    )
    message = received(shape)
    assert (message.is_request, message.issuer, message.in_response_to) == (True, IDP.entity_id, None)
    request = request_of(message)
    assert request.name_id == NameID(" ada ", NAME_ID_UNSPECIFIED, IDP.entity_id, SERVICE_PROVIDER.entity_id)
    assert request.session_indexes == ("_1", " _2")
    assert (request.id, request.issuer, request.issued_at) == (shape.id, IDP.entity_id, NOW)
    assert request.valid_until == NOW + timedelta(minutes=7)


@both_bindings
def test_a_request_without_session_index_is_for_all_of_them(received: Any) -> None:
    """SAML core 3.7.3.1; NotOnOrAfter may be absent, too."""
    request = request_of(received(replace(REQUEST, session_indexes=(), not_on_or_after=None)))
    assert request.session_indexes == ()


@both_bindings
@pytest.mark.parametrize(
    ("status", "is_partial"),
    [
        (("Success",), False),
        (("Success", "PartialLogout"), True),
        (("Responder", "PartialLogout"), True),
    ],
)
def test_a_response_says_whether_all_went_well(received: Any, status: tuple[str, ...], is_partial: bool) -> None:
    """SAML core 3.7.3.2."""
    message = received(replace(RESPONSE, status=status))
    assert (message.is_request, message.in_response_to) == (False, EXPECTED.request_id)
    response = response_of(message)
    assert (response.is_partial, response.in_response_to) == (is_partial, EXPECTED.request_id)
    assert (response.id, response.issuer, response.issued_at) == (RESPONSE.id, IDP.entity_id, NOW)
    assert response.valid_until == NOW + timedelta(minutes=7)


@both_bindings
def test_a_genuine_failure_is_no_sign_out(received: Any) -> None:
    """The identity provider says that it did not do it."""
    with pytest.raises(MessageRefused) as refusal:
        response_of(received(replace(RESPONSE, status=("Requester", "UnknownPrincipal"))))
    assert refusal.value.code == "status_not_success"


@both_bindings
def test_an_encrypted_name_id_is_read(received: Any) -> None:
    """Only where the connection's encryption is on; the signature covers it by then, so AES-CBC will do."""
    recipient = make_signer("ours, for encryption")
    assert isinstance(recipient.private_key, RSAPrivateKey)
    message = received(replace(REQUEST, encryption=Encryption(recipient.certificate, block="aes256-cbc")))
    request = request_of(message, encryption="optional", decryption_keys=(recipient.private_key,))
    assert request.name_id == NameID("ada@acme.example", NAME_ID_EMAIL)
    assert refusal_of(message) == "encryption_unexpected"


def refusal_of(message: LogoutMessage, **setting: Any) -> str:
    with pytest.raises(MessageRefused) as refusal:
        request_of(message, **setting)
    return refusal.value.code


@both_bindings
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"not_on_or_after": NOW - timedelta(seconds=120)}, "expired"),
        ({"issued_at": NOW - timedelta(minutes=7)}, "stale"),
        ({"issued_at": NOW + timedelta(seconds=121)}, "not_yet_valid"),
        ({"name_id": " "}, "name_id_missing"),
        ({"name_id": "x" * 1025}, "name_id_invalid"),
        ({"name_id_attributes": 'NameQualifier="https://idp.other.example"'}, "name_qualifier_mismatch"),
        ({"name_id_attributes": 'SPNameQualifier="https://other.example"'}, "name_qualifier_mismatch"),
    ],
)
def test_a_genuine_request_must_keep_the_rules(received: Any, changes: dict[str, Any], code: str) -> None:
    """As a Response must; within the leeway it passes."""
    assert refusal_of(received(replace(REQUEST, **changes))) == code


@pytest.mark.parametrize(
    "changes",
    [
        {"not_on_or_after": NOW - timedelta(seconds=119)},
        {"issued_at": NOW - timedelta(seconds=419)},
        {"issued_at": NOW + timedelta(seconds=120)},
    ],
)
def test_two_clocks_may_differ_by_the_leeway(changes: dict[str, Any]) -> None:
    """To the second."""
    assert request_of(by_redirect(replace(REQUEST, **changes))).id == REQUEST.id


def test_a_response_may_not_be_older_than_our_request() -> None:
    """Nobody can answer before being asked."""
    with pytest.raises(MessageRefused) as refusal:
        response_of(by_redirect(replace(RESPONSE, issued_at=EXPECTED.issued_at - timedelta(seconds=121))))
    assert refusal.value.code == "stale"


@both_bindings
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": "1.1"}, "version_unsupported"),
        ({"id": "1"}, "id_invalid"),
        ({"inner_xml": "<saml:NameID>boss</saml:NameID>"}, "schema_violated"),
        ({"inner_xml": '<saml:BaseID xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"/>'}, "schema_violated"),
        ({"inner_xml": "<!-- -->"}, "comment_not_allowed"),
    ],
)
def test_the_gate_is_the_same_as_for_responses(received: Any, changes: dict[str, Any], code: str) -> None:
    """Refused for its form, before any cryptography."""
    with pytest.raises(MessageRefused) as refusal:
        received(replace(REQUEST, **changes))
    assert refusal.value.code == code


def test_a_message_by_redirect_has_no_signature_of_its_own() -> None:
    """SAML bindings 3.4.4.1: it is the query string that is signed."""
    signed_inside = sign(render_logout(REQUEST, SIGNATURE_PLACEHOLDER), IDP.signer)
    query = f"SAMLRequest={quote_upper(deflated(signed_inside))}&SigAlg={quote_upper(f'{MORE}rsa-sha256')}"
    with pytest.raises(MessageRefused) as refusal:
        read_logout_query(sign_query(query, IDP.signer))
    assert refusal.value.code == "signature_misplaced"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "message_ambiguous"),
        ("SAMLart=x", "message_ambiguous"),
        ("SAMLRequest=AAAA&RelayState=x&SigAlg=x", "signature_missing"),
        ("RelayState=x&SAMLRequest=AAAA&SigAlg=x&Signature=AAAA", "query_malformed"),
        (f"SAMLRequest={'A' * (MAX_ENCODED + 1)}&SigAlg=x&Signature=AAAA", "message_too_large"),
        ("SAMLRequest=AAAA&SigAlg=x&Signature=AAAA", "deflate_invalid"),
        ("SAMLRequest=*&SigAlg=x&Signature=AAAA", "base64_invalid"),
        ("SAMLRequest=AAAA&RelayState=ü&SigAlg=x&Signature=AAAA", "query_malformed"),
    ],
)
def test_a_query_string_that_holds_no_message_is_refused(query: str, code: str) -> None:
    """In this order: which message, how large, what is in it."""
    with pytest.raises(MessageRefused) as refusal:
        read_logout_query(query)
    assert refusal.value.code == code


def test_a_message_grows_to_its_limit_only() -> None:
    """A few kilobytes could unpack into gigabytes (CVE-2025-25293)."""
    bomb = quote_upper(deflated(" " * (MAX_ENCODED + 1)))
    with pytest.raises(MessageRefused) as refusal:
        read_logout_query(f"SAMLRequest={bomb}&SigAlg=x&Signature=AAAA")
    assert refusal.value.code == "message_too_large"
    assert "once inflated" in str(refusal.value)  # and no further, whatever is read of it afterwards


def test_relay_state_is_read_as_a_form_writes_it() -> None:
    """A blank may come as a plus sign, and a plus sign escaped."""
    query = signed_query(REQUEST, IDP.signer, relay_state="x").partition("&RelayState")[0]
    sent = sign_query(f"{query}&RelayState=a+b%2Bc%20d&SigAlg={quote_upper(f'{MORE}rsa-sha256')}", IDP.signer)
    message = read_logout_query(sent)
    assert message.relay_state == "a b+c d"
    assert request_of(message).id == REQUEST.id


def test_relay_state_must_be_text() -> None:
    """It is given back."""
    query = signed_query(REQUEST, IDP.signer, relay_state="x").replace("RelayState=x", "RelayState=%ff")
    with pytest.raises(MessageRefused) as refusal:
        read_logout_query(query)
    assert refusal.value.code == "query_malformed"
    assert read_logout_form(signed_form(REQUEST, IDP.signer, relay_state="x")).relay_state == "x"


def test_a_form_without_a_signature_is_refused() -> None:
    """Anybody can write one; its honest twin is believed."""
    unsigned = {REQUEST.parameter: form_value(render_logout(REQUEST).encode())}
    with pytest.raises(SignatureMissing):
        request_of(read_logout_form(unsigned))
    assert request_of(by_post(REQUEST)).id


def test_a_response_in_the_place_of_a_request_is_refused() -> None:
    """The name of the parameter says which it is; whoever asks for the one never gets the other."""
    as_request = signed_query(RESPONSE, IDP.signer).replace("SAMLResponse", "SAMLRequest")
    with pytest.raises(MessageRefused) as refusal:
        read_logout_query(as_request)
    assert refusal.value.code == "root_unexpected"
    with pytest.raises(MessageRefused) as refusal:
        request_of(by_redirect(RESPONSE))
    assert refusal.value.code == "root_unexpected"
    with pytest.raises(MessageRefused) as refusal:
        response_of(by_post(REQUEST))
    assert refusal.value.code == "root_unexpected"


def test_an_elliptic_curve_signs_the_query_as_r_and_s() -> None:
    """As in XML signatures (RFC 9231 2.3.6), and only with the key that is pinned."""
    curved = IdentityProvider(IDP.entity_id, IDP.sso_url, kind="p256", key="curved")
    message = by_redirect(REQUEST, curved, sig_alg=f"{MORE}ecdsa-sha256")
    assert request_of(message, identity_provider=curved.describe()).id == REQUEST.id
    assert request_of(message, identity_provider=IDP.describe(curved)).id == REQUEST.id
    assert refusal_of(message) == "signature_invalid"


def test_stronger_digests_are_welcome() -> None:
    """SHA-512 over the query string."""
    assert request_of(by_redirect(REQUEST, sig_alg=f"{MORE}rsa-sha512")).id == REQUEST.id


@both_bindings
def test_a_connection_may_allow_fewer_algorithms(received: Any) -> None:
    """Of logout messages as of Responses."""
    message = received(REQUEST)
    assert refusal_of(message, signature_algorithms=("rsa-sha512",)) == "algorithm_not_allowed"
    assert request_of(message, signature_algorithms=("rsa-sha256",)).id == REQUEST.id


def test_nobody_else_makes_one() -> None:
    """Having one in hand means that it was verified; it can't be changed, and names nobody in a repr."""
    request = request_of(by_redirect(REQUEST))
    with pytest.raises(FrozenInstanceError):
        request.id = "other"  # type: ignore[misc]
    with pytest.raises(TypeError, match="only verify_logout_request"):
        replace(request, verified=Verified())
    with pytest.raises(TypeError, match="only verify_logout_response"):
        replace(response_of(by_post(RESPONSE)), verified=Verified())
    for shown in (repr(request), repr(by_redirect(REQUEST, relay_state="token-of-theirs"))):
        assert not {"ada", "_session-1", "token-of-theirs"} & set(shown.replace("'", " ").split())
        assert "ada@acme.example" not in shown


# Ours


def request_to(to: Endpoint, *, relay_state: str = "opaque") -> Outgoing:
    return build_logout_request(
        request_id="_of-ours",
        service_provider=SERVICE_PROVIDER,
        to=to,
        key=OUR_KEY,
        name_id=NAME_ID,
        session_indexes=("_1", "_2"),
        relay_state=relay_state,
        issued_at=NOW,
    )


def xml_in(sent: Outgoing, parameter: str) -> etree._Element:
    """Read as an identity provider would, the signature verified by others than us."""
    if isinstance(sent, FormPost):
        xml = base64.b64decode(dict(sent.fields)[parameter])
        XMLVerifier().verify(xml, x509_cert=OUR_KEY.certificate)
        return etree.fromstring(xml)
    query = parse_qs(urlsplit(sent.url).query)
    if parameter == "SAMLRequest":
        check_redirect_signature(sent.url, OUR_KEY.certificate)
    return etree.fromstring(inflate(base64.b64decode(query[parameter][0]), limit=100_000))


@pytest.mark.parametrize("to", [REDIRECT, POST], ids=["redirect", "post"])
def test_our_request_echoes_the_name_id_and_the_session_indexes(to: Endpoint) -> None:
    """Identity providers compare each part of them."""
    request = xml_in(request_to(to), "SAMLRequest")
    name_id = request.find("{*}NameID")
    assert name_id is not None
    assert name_id.text == NAME_ID.value
    assert {str(key): str(value) for key, value in name_id.attrib.items()} == {
        "Format": NAME_ID_PERSISTENT,
        "NameQualifier": IDP.entity_id,
        "SPNameQualifier": SERVICE_PROVIDER.entity_id,
    }
    assert [index.text for index in request.iterfind("{*}SessionIndex")] == ["_1", "_2"]
    assert (request.get("Destination"), request.get("ID")) == (to.location, "_of-ours")
    assert (request.get("IssueInstant"), request.get("NotOnOrAfter")) == (
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:05:00Z",
    )
    assert request.findtext("{*}Issuer") == SERVICE_PROVIDER.entity_id


def test_our_request_carries_a_short_relay_state_only() -> None:
    """80 bytes (SAML bindings 3.4.3)."""
    with pytest.raises(ValueError, match="longer than 80"):
        request_to(REDIRECT, relay_state="x" * 81)


@pytest.mark.parametrize("to", [REDIRECT, POST], ids=["redirect", "post"])
@pytest.mark.parametrize("is_partial", [False, True])
def test_our_answer_verifies_as_an_identity_providers_would(to: Endpoint, is_partial: bool) -> None:
    """Our own verification of the other side's messages takes it, RelayState given back to the letter."""
    relay_state = "theirs+/=&" * 20
    sent = build_logout_response(
        response_id="_answer-of-ours",
        in_response_to=EXPECTED.request_id,
        service_provider=SERVICE_PROVIDER,
        to=to,
        key=OUR_KEY,
        relay_state=relay_state,
        issued_at=NOW,
        is_partial=is_partial,
    )
    assert xml_in(sent, "SAMLResponse").get("InResponseTo") == EXPECTED.request_id
    query = urlsplit(sent.url).query
    message = read_logout_query(query) if isinstance(sent, Redirect) else read_logout_form(dict(sent.fields))
    assert message.relay_state == relay_state
    us = parties.IdentityProvider(SERVICE_PROVIDER.entity_id, (), (), (read_certificate(OUR_KEY.certificate),))
    response = verify_logout_response(
        message,
        trust=Trust(us),
        slo_url=to.location,
        expected=EXPECTED,
        now=NOW,
    )
    assert (response.id, response.is_partial) == ("_answer-of-ours", is_partial)
