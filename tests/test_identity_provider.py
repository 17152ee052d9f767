"""The tests' identity provider: what it signs is what others verify. Our own verifier has no say here."""

from __future__ import annotations

import base64
import zlib
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
import xmlsec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from lxml import etree
from tests.identity_provider import NAMESPACES, IdentityProvider, find_one, make_signer, read_redirect
from tests.response_shape import DS, SAML, SAMLP
from tests.xml_encryption import BlockCipher, Encryption, KeyTransport

from sso_middleware.saml.parties import ServiceProvider

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERVICE_PROVIDER = ServiceProvider("https://app.example.com/sso/acme/metadata", "https://app.example.com/sso/acme/acs")


def verify_with_xmlsec(signed: etree._Element, certificate: str) -> None:
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(certificate.encode(), xmlsec.constants.KeyDataFormatCertPem)
    context.register_id(signed, "ID")
    context.verify(find_one(signed, "ds:Signature"))


@pytest.mark.parametrize("prefixes", [(), ("xs",)])
@pytest.mark.parametrize("kind", ["rsa2048", "p256", "p384"])
@pytest.mark.parametrize("assertion_prefix", ["saml", ""])
def test_xmlsec_verifies_both_signatures(kind: str, prefixes: tuple[str, ...], assertion_prefix: str) -> None:
    """xmlsec, which shares no code with signxml, believes what the test identity provider signs."""
    idp = IdentityProvider(kind=kind)  # type: ignore[arg-type]  # parametrized
    sent = idp.respond(
        SERVICE_PROVIDER,
        request_id="_request",
        email="ada@acme.example",
        now=NOW,
        sign_response=True,
        inclusive_prefixes=prefixes,
        assertion_prefix=assertion_prefix,
    )
    document = etree.fromstring(sent.xml)
    verify_with_xmlsec(document, idp.certificate)
    verify_with_xmlsec(find_one(document, "saml:Assertion"), idp.certificate)
    assert document[1].tag == f"{{{DS}}}Signature"
    assert [str(prefix.get("PrefixList")) for prefix in document.iter("{*}InclusiveNamespaces")] == (
        ["xs"] * 4 if prefixes else []
    )


def test_a_login_answers_the_request_of_the_redirect() -> None:
    """The Response goes to the ACS and names the request that the redirect carried; RelayState comes back."""
    request = (
        f'<samlp:AuthnRequest xmlns:samlp="{SAMLP}" xmlns:saml="{SAML}" ID="_r1" IsPassive="true"'
        f' AssertionConsumerServiceURL="{SERVICE_PROVIDER.acs_url}">'
        f"<saml:Issuer>{SERVICE_PROVIDER.entity_id}</saml:Issuer></samlp:AuthnRequest>"
    )
    deflate = zlib.compressobj(wbits=-15)
    packed = base64.b64encode(deflate.compress(request.encode()) + deflate.flush()).decode()
    url = "https://idp.acme.example/sso?" + urlencode({"SAMLRequest": packed, "RelayState": "token"})
    assert read_redirect(url).is_passive
    form = IdentityProvider().log_in(url, "ada.lovelace@acme.example", now=NOW)
    response = etree.fromstring(base64.b64decode(form["SAMLResponse"]))
    assert form["RelayState"] == "token"
    assert response.get("InResponseTo") == "_r1"
    assert response.get("Destination") == SERVICE_PROVIDER.acs_url
    assert response.findtext(".//saml:Audience", namespaces=NAMESPACES) == SERVICE_PROVIDER.entity_id
    values = {
        a.get("Name"): a.findtext("saml:AttributeValue", namespaces=NAMESPACES) for a in response.iter("{*}Attribute")
    }
    assert (values["FirstName"], values["LastName"]) == ("Ada", "Lovelace")


def test_a_refusal_carries_no_assertion() -> None:
    """`refuse` answers with Responder and the code within, and nothing to believe."""
    sent = IdentityProvider().respond(
        SERVICE_PROVIDER,
        request_id="_r",
        email="",
        now=NOW,
        status=("Responder", "NoPassive"),
        has_assertion=False,
        sign_response=True,
    )
    response = etree.fromstring(sent.xml)
    codes = [str(code.attrib["Value"]).rpartition(":")[2] for code in response.iter(f"{{{SAMLP}}}StatusCode")]
    assert codes == ["Responder", "NoPassive"]
    assert response.find("saml:Assertion", NAMESPACES) is None


@pytest.mark.parametrize("transport", ["oaep-sha1", "rsa-1_5"])
@pytest.mark.parametrize("block", ["aes128-gcm", "aes256-gcm", "aes256-cbc", "tripledes"])
def test_xmlsec_opens_what_was_encrypted(block: BlockCipher, transport: KeyTransport) -> None:
    """xmlsec finds the whole assertion, signature and all, in the EncryptedAssertion."""
    recipient = make_signer("a service provider's encryption key")
    sent = IdentityProvider().respond(
        SERVICE_PROVIDER,
        request_id="_r",
        email="ada@acme.example",
        now=NOW,
        encryption=Encryption(recipient.certificate, block, transport),
    )
    response = etree.fromstring(sent.xml)
    assert b"ada@acme.example" not in sent.xml
    manager = xmlsec.KeysManager()
    pem = recipient.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    manager.add_key(xmlsec.Key.from_memory(pem, xmlsec.constants.KeyDataFormatPem))
    context = xmlsec.EncryptionContext(manager)
    opened = context.decrypt(find_one(response, ".//{*}EncryptedData"))
    assert opened.tag == f"{{{SAML}}}Assertion"
    assert opened.find("ds:Signature", NAMESPACES) is not None
