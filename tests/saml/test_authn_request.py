"""The AuthnRequest: what it asks for, and that identity providers can trust and read it."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest
from lxml import etree
from signxml.verifier import XMLVerifier

from sso_middleware.saml.authn_request import build_authn_request
from sso_middleware.saml.bindings import FormPost, Redirect
from sso_middleware.saml.keys import generate_key_pair
from sso_middleware.saml.parsing import inflate
from sso_middleware.saml.parties import (
    BINDING_POST,
    BINDING_REDIRECT,
    Endpoint,
    IdentityProvider,
    KeyPair,
    ServiceProvider,
)

NOW = datetime(2026, 11, 21, 21, 0, 5, 999, tzinfo=UTC)
REQUEST_ID = "_0123456789abcdef0123456789abcdef"
SERVICE_PROVIDER = ServiceProvider("https://app.example.com/sso/acme/metadata", "https://app.example.com/sso/acme/acs")
REDIRECT = Endpoint(BINDING_REDIRECT, "https://idp.example/redirect")
POST = Endpoint(BINDING_POST, "https://idp.example/post?a=1")
SAMLP = "{urn:oasis:names:tc:SAML:2.0:protocol}"
SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"


@pytest.fixture(scope="module")
def key() -> KeyPair:
    return generate_key_pair("requests", NOW)


def provider(*endpoints: Endpoint) -> IdentityProvider:
    return IdentityProvider("https://idp.example/metadata", endpoints, (), ())


def ask(
    key: KeyPair,
    identity_provider: IdentityProvider,
    *,
    issued_at: datetime = NOW,
    request_id: str = REQUEST_ID,
    is_passive: bool = False,
    force_authn: bool = False,
    name_id_format: str | None = None,
) -> tuple[Redirect | FormPost, bytes]:
    """What is sent, and the XML in it."""
    sent = build_authn_request(
        request_id=request_id,
        service_provider=SERVICE_PROVIDER,
        identity_provider=identity_provider,
        key=key,
        relay_state="opaque",
        issued_at=issued_at,
        is_passive=is_passive,
        force_authn=force_authn,
        name_id_format=name_id_format,
    )
    if isinstance(sent, FormPost):
        return sent, b64decode(dict(sent.fields)["SAMLRequest"], validate=True)
    return sent, inflate(b64decode(parse_qs(urlsplit(sent.url).query)["SAMLRequest"][0]), limit=10_000)


def test_a_redirect_is_preferred_and_carries_no_signature_in_the_message(key: KeyPair) -> None:
    """HTTP-Redirect signs the query string, so the XML has no Signature (SAML bindings 3.4.4.1)."""
    sent, xml = ask(key, provider(POST, REDIRECT))

    assert isinstance(sent, Redirect)
    assert sent.url.startswith("https://idp.example/redirect?SAMLRequest=")
    assert b"Signature" not in xml


def test_what_the_request_says(key: KeyPair) -> None:
    """Every attribute that the profile asks for is there, nothing that makes an identity provider stumble."""
    _, xml = ask(key, provider(REDIRECT))

    request = etree.fromstring(xml)
    assert request.tag == f"{SAMLP}AuthnRequest"
    assert dict(request.items()) == {
        "ID": REQUEST_ID,
        "Version": "2.0",
        "IssueInstant": "2026-11-21T21:00:05Z",
        "Destination": "https://idp.example/redirect",
        "ProtocolBinding": BINDING_POST,
        "AssertionConsumerServiceURL": "https://app.example.com/sso/acme/acs",
    }
    assert [child.tag for child in request] == [f"{SAML}Issuer", f"{SAMLP}NameIDPolicy"]
    assert request[0].text == "https://app.example.com/sso/acme/metadata"
    assert dict(request[1].items()) == {"AllowCreate": "true"}


def test_the_time_is_in_utc(key: KeyPair) -> None:
    """A time in another zone is the same instant in the message (SAML core 1.3.3)."""
    _, xml = ask(key, provider(REDIRECT), issued_at=NOW.astimezone(timezone(timedelta(hours=5, minutes=30))))

    assert etree.fromstring(xml).get("IssueInstant") == "2026-11-21T21:00:05Z"


def test_passive_forced_and_a_name_id_format_are_asked_for_on_request_only(key: KeyPair) -> None:
    """IsPassive, ForceAuthn and Format appear where they were wanted."""
    _, xml = ask(key, provider(REDIRECT), is_passive=True, force_authn=True, name_id_format="urn:f")

    request = etree.fromstring(xml)
    assert request.get("IsPassive") == "true"
    assert request.get("ForceAuthn") == "true"
    policy = request.find(f"{SAMLP}NameIDPolicy")
    assert policy is not None
    assert policy.get("Format") == "urn:f"


def test_a_post_only_identity_provider_gets_a_form_with_an_enveloped_signature(key: KeyPair) -> None:
    """signxml verifies the message, its Signature directly after Issuer, and finds the whole request signed."""
    sent, xml = ask(key, provider(POST))

    assert isinstance(sent, FormPost)
    assert sent.url == "https://idp.example/post?a=1"
    assert dict(sent.fields)["RelayState"] == "opaque"
    request = etree.fromstring(xml)
    assert [etree.QName(child).localname for child in request] == ["Issuer", "Signature", "NameIDPolicy"]
    result = XMLVerifier().verify(xml, x509_cert=key.certificate, id_attribute="ID")
    assert not isinstance(result, list)
    assert result.signed_xml is not None
    assert result.signed_xml.get("ID") == REQUEST_ID
    assert request.get("Destination") == "https://idp.example/post?a=1"


@pytest.mark.parametrize("request_id", ["0123456789abcdef0123", "_short", "", "_with space in the id", "_" + "x" * 200])
def test_an_id_that_is_not_an_xs_id_is_not_sent(key: KeyPair, request_id: str) -> None:
    """Entra ID refuses an ID that starts with a digit; a short one could be guessed."""
    with pytest.raises(ValueError, match="request id"):
        ask(key, provider(REDIRECT), request_id=request_id)
