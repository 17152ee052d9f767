"""What we sign, others verify; what would be signed wrongly, we don't sign."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from lxml import etree
from signxml.verifier import XMLVerifier

from sso_middleware.saml.keys import generate_key_pair
from sso_middleware.saml.parties import KeyPair, OurSignatureAlgorithm
from sso_middleware.saml.signing import (
    RSA_SHA256,
    SHA256,
    algorithms_of,
    crypto_backend,
    sign_bytes,
    sign_enveloped,
)

NOW = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)
DS = "http://www.w3.org/2000/09/xmldsig#"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"


@pytest.fixture(scope="module")
def key() -> KeyPair:
    return generate_key_pair("signing", NOW)


def template(node_id: str, *, signature: str = RSA_SHA256, digest: str = SHA256) -> str:
    return (
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"/>'
        f'<ds:SignatureMethod Algorithm="{signature}"/><ds:Reference URI="#{node_id}"><ds:Transforms>'
        f'<ds:Transform Algorithm="{DS}enveloped-signature"/><ds:Transform Algorithm="{EXCLUSIVE}"/></ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{digest}"/><ds:DigestValue/></ds:Reference></ds:SignedInfo>'
        "<ds:SignatureValue/></ds:Signature>"
    )


def verify_with_signxml(xml: str, key: KeyPair) -> etree._Element:
    results = XMLVerifier().verify(xml.encode(), x509_cert=key.certificate, id_attribute="ID")
    result = results[0] if isinstance(results, list) else results
    assert result.signed_xml is not None
    return result.signed_xml


def verify_with_xmlsec(xml: str, node_id: str, key: KeyPair) -> None:
    document = etree.fromstring(xml.encode())
    xmlsec.tree.add_ids(document, ["ID"])
    signed = next(node for node in document.iter("*") if node.get("ID") == node_id)
    signature = signed.find(f"{{{DS}}}Signature")
    assert signature is not None
    context = xmlsec.SignatureContext()
    public = x509.load_pem_x509_certificate(key.certificate.encode()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    context.key = xmlsec.Key.from_memory(pem, xmlsec.constants.KeyDataFormatPem)
    context.verify(signature)


NESTED = (
    '<p:Response xmlns:p="urn:p" xmlns:a="urn:a" xmlns:unused="urn:u" ID="r">\n  text &amp; more '
    "<p:Issuer>é</p:Issuer>{outer}"
    '<a:Assertion xmlns:xs="urn:xs" ID="a"><a:Issuer>x</a:Issuer>{inner}<a:Value type="xs:string"> 1 &#13; </a:Value>'
    "</a:Assertion> tail </p:Response>"
)


def test_signatures_of_an_inner_and_then_of_the_outer_element_verify_elsewhere(key: KeyPair) -> None:
    """signxml and xmlsec agree with us on a signed element inside a signed element, namespaces from outside and all."""
    xml = NESTED.format(outer=template("r"), inner=template("a"))

    signed = sign_enveloped(sign_enveloped(xml, "a", key), "r", key)

    assert verify_with_signxml(signed, key).get("ID") == "r"
    verify_with_xmlsec(signed, "r", key)
    verify_with_xmlsec(signed, "a", key)


def test_an_inner_element_alone_verifies_elsewhere(key: KeyPair) -> None:
    """Only the assertion signed: what surrounds it is not in its digest, its tail text neither."""
    signed = sign_enveloped(NESTED.format(outer="", inner=template("a")), "a", key)

    verify_with_xmlsec(signed, "a", key)
    assert verify_with_signxml(signed.replace(" tail ", ""), key).get("ID") == "a"  # it stumbles over tails itself


def test_nothing_but_the_two_values_is_changed(key: KeyPair) -> None:
    """Signing fills in DigestValue and SignatureValue and leaves every other byte of the content alone."""
    xml = NESTED.format(outer=template("r"), inner="")
    signed = etree.fromstring(sign_enveloped(xml, "r", key))

    for name in ("DigestValue", "SignatureValue"):
        for element in signed.iter(f"{{{DS}}}{name}"):
            assert element.text
            element.text = None
    assert etree.tostring(signed, method="c14n") == etree.tostring(etree.fromstring(xml), method="c14n")


@pytest.mark.parametrize("algorithm", ["rsa-sha256", "rsa-sha384", "rsa-sha512"])
def test_a_key_signs_with_the_algorithm_that_it_says(key: KeyPair, algorithm: OurSignatureAlgorithm) -> None:
    """Signature and digest alike; signxml and xmlsec agree, and a template for another is refused."""
    asked_for = replace(key, algorithm=algorithm)
    algorithms = algorithms_of(asked_for)
    assert algorithms.signature.endswith(algorithm)
    assert algorithms.digest.endswith(algorithm.removeprefix("rsa-"))
    xml = NESTED.format(outer=template("r", signature=algorithms.signature, digest=algorithms.digest), inner="")

    signed = sign_enveloped(xml, "r", asked_for)

    assert verify_with_signxml(signed, key).get("ID") == "r"
    verify_with_xmlsec(signed, "r", key)
    other = replace(key, algorithm="rsa-sha384" if algorithm == "rsa-sha512" else "rsa-sha512")
    with pytest.raises(ValueError, match="other algorithms"):
        sign_enveloped(xml, "r", other)


@pytest.mark.parametrize(
    "algorithms",
    [
        {"signature": f"{DS}rsa-sha1"},
        {"digest": f"{DS}sha1"},
        {"signature": f"{DS}hmac-sha1"},
        {"signature": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512"},
    ],
)
def test_no_other_algorithm_is_signed_with(key: KeyPair, algorithms: dict[str, str]) -> None:
    """pysaml2's SHA-1 default, should it ever come through, is an error and not a signature."""
    with pytest.raises(ValueError, match="other algorithms"):
        sign_enveloped(NESTED.format(outer=template("r", **algorithms), inner=""), "r", key)


@pytest.mark.parametrize(
    "xml",
    [
        pytest.param(NESTED.format(outer="", inner=""), id="no template"),
        pytest.param(NESTED.format(outer="", inner=template("r")), id="a template elsewhere"),
        pytest.param(NESTED.format(outer=template("r") * 2, inner=""), id="two templates"),
        pytest.param(NESTED.format(outer=template("a"), inner=""), id="a template for another element"),
        pytest.param(NESTED.format(outer=template("r"), inner="").replace('ID="a"', 'ID="r"'), id="the ID twice"),
        pytest.param(NESTED.format(outer=template("r"), inner="").replace('ID="r"', 'ID="s"'), id="no such ID"),
        pytest.param(NESTED.format(outer=template("r") + "text", inner=""), id="text behind the template"),
    ],
)
def test_a_template_that_is_not_clearly_for_one_element_is_not_filled_in(key: KeyPair, xml: str) -> None:
    """What would be signed is one element, named by one ID, with one template directly in it."""
    with pytest.raises(ValueError, match=r"not once|another element|behind the Signature"):
        sign_enveloped(xml, "r", key)


def test_an_empty_canonical_form_is_not_signed(key: KeyPair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our signature over nothing would be one over anything, for whoever reads it carelessly (CVE-2025-66568)."""
    monkeypatch.setattr("sso_middleware.saml.signing.etree.tostring", lambda *args, **options: b"")
    with pytest.raises(ValueError, match="gave nothing"):
        sign_enveloped(NESTED.format(outer=template("r"), inner=""), "r", key)


def test_a_key_of_another_kind_signs_nothing(key: KeyPair) -> None:
    """Settings refuse it at start (keys.py); should one get here, no signature says RSA and is something else."""
    curve = ec.generate_private_key(ec.SECP256R1())
    pem = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match="RSA keys"):
        sign_bytes(b"query", replace(key, private_key=pem))


def test_bytes_are_signed_with_rsa_sha256(key: KeyPair) -> None:
    """The cryptography library verifies our signature over plain bytes."""
    public = x509.load_pem_x509_certificate(key.certificate.encode()).public_key()
    assert isinstance(public, RSAPublicKey)

    public.verify(sign_bytes(b"query", key), b"query", PKCS1v15(), hashes.SHA256())


def test_pysaml2_signs_through_us(key: KeyPair) -> None:
    """Plugged into pysaml2's own security context, our signing is what it uses, with no binary and no key file."""
    from saml2.sigver import SecurityContext

    context = SecurityContext(crypto_backend(key))
    xml = NESTED.format(outer=template("r"), inner="")

    signed = context.sign_statement(xml, "urn:p:Response", node_id="r")

    assert verify_with_signxml(signed, key).get("ID") == "r"
