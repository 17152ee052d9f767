"""How messages travel: what is signed is what is sent."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from tests.saml.test_signing import template

from sso_middleware.saml import bindings
from sso_middleware.saml.bindings import FormPost, Redirect, send_request
from sso_middleware.saml.keys import generate_key_pair
from sso_middleware.saml.parsing import inflate
from sso_middleware.saml.parties import BINDING_POST, BINDING_REDIRECT, Endpoint, KeyPair
from sso_middleware.saml.signing import RSA_SHA256, sign_bytes

NOW = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)
MESSAGE = '<x ID="i">é</x>'


@pytest.fixture(scope="module")
def key() -> KeyPair:
    return generate_key_pair("bindings", NOW)


def send(location: str, key: KeyPair, relay_state: str = "opaque-1") -> str:
    sent = send_request(MESSAGE, "i", to=Endpoint(BINDING_REDIRECT, location), key=key, relay_state=relay_state)
    assert isinstance(sent, Redirect)
    return sent.url


def verify_query(query: str, key: KeyPair) -> None:
    signed, _, signature = query.rpartition("&Signature=")
    public = x509.load_pem_x509_certificate(key.certificate.encode()).public_key()
    assert isinstance(public, RSAPublicKey)
    value = b64decode(parse_qs(f"s={signature}")["s"][0], validate=True)
    public.verify(value, signed[signed.index("SAMLRequest=") :].encode(), PKCS1v15(), hashes.SHA256())


def test_a_redirect_carries_the_message_signed_over_the_query_string(key: KeyPair) -> None:
    """The raw query, as sent and in the standard's order, is what the signature covers; RelayState is in it."""
    url = send("https://idp.example/sso", key)

    query = urlsplit(url).query
    verify_query(query, key)
    assert [field.partition("=")[0] for field in query.split("&")] == [
        "SAMLRequest",
        "RelayState",
        "SigAlg",
        "Signature",
    ]
    fields = parse_qs(query)
    assert fields["SigAlg"] == [RSA_SHA256]
    assert fields["RelayState"] == ["opaque-1"]
    assert inflate(b64decode(fields["SAMLRequest"][0]), limit=1000) == MESSAGE.encode()


def test_a_changed_query_no_longer_verifies(key: KeyPair) -> None:
    """Another RelayState under our signature is noticed."""
    query = urlsplit(send("https://idp.example/sso", key)).query

    with pytest.raises(InvalidSignature):
        verify_query(query.replace("opaque-1", "opaque-2"), key)


@pytest.mark.parametrize(
    ("location", "start"),
    [
        ("https://idp.example/sso?tenant=a%20b", "https://idp.example/sso?tenant=a%20b&SAMLRequest="),
        ("https://idp.example/sso?", "https://idp.example/sso?SAMLRequest="),
    ],
)
def test_a_query_of_the_identity_providers_own_is_kept(key: KeyPair, location: str, start: str) -> None:
    """An SSO address with a query of its own keeps it, to the letter, in front of ours and outside the signature."""
    url = send(location, key)

    assert url.startswith(start)
    verify_query(urlsplit(url).query, key)


def test_without_a_relay_state_none_is_sent(key: KeyPair) -> None:
    """An empty RelayState is left out, of the signature too."""
    query = urlsplit(send("https://idp.example/sso", key, relay_state="")).query

    assert "RelayState" not in query
    verify_query(query, key)


def test_a_form_without_a_relay_state_has_no_such_field(key: KeyPair) -> None:
    """A response to a request that brought none sends none back, not an empty one (SAML bindings 3.5.3)."""
    to = Endpoint(BINDING_POST, "https://idp.example/slo")
    signable = f'<x ID="i">{template("i")}</x>'
    with_one, without = (
        bindings.send("SAMLResponse", signable, "i", to=to, key=key, relay_state=relay_state)
        for relay_state in ("theirs", "")
    )

    assert isinstance(with_one, FormPost)
    assert isinstance(without, FormPost)
    assert [name for name, _ in with_one.fields] == ["SAMLResponse", "RelayState"]
    assert [name for name, _ in without.fields] == ["SAMLResponse"]


def test_a_query_is_signed_with_the_key_s_own_algorithm_or_not_at_all(key: KeyPair) -> None:
    """Should pysaml2 ever ask for another (its default is SHA-1), it gets no signer."""
    assert bindings._QuerySigning(key).get_signer(RSA_SHA256).sign(b"query") == sign_bytes(b"query", key)
    with pytest.raises(ValueError, match="we don't sign with"):
        bindings._QuerySigning(key).get_signer("http://www.w3.org/2000/09/xmldsig#rsa-sha1")


@pytest.mark.parametrize("binding", [BINDING_REDIRECT, BINDING_POST])
def test_a_relay_state_over_80_bytes_is_not_sent(key: KeyPair, binding: str) -> None:
    """Bytes, not characters: SAML bindings 3.4.3."""
    with pytest.raises(ValueError, match="80 bytes"):
        send_request(MESSAGE, "i", to=Endpoint(binding, "https://idp.example"), key=key, relay_state="é" * 41)


def test_neither_way_of_sending_shows_the_message_in_its_repr() -> None:
    """A log line with an outgoing message in it says where to, at most."""
    assert "secret" not in repr(Redirect("https://idp.example/?SAMLRequest=secret"))
    assert "secret" not in repr(FormPost("https://idp.example/", (("SAMLRequest", "secret"),)))
