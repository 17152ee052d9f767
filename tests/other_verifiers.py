"""signxml and python-xmlsec, which never run in production, must agree with us on what we accept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import xmlsec
from cryptography.exceptions import InvalidSignature as CryptographyInvalidSignature
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

# Whether SHA-1 may be used is our tests' question, not theirs. Its schema knows no InclusiveNamespaces.
_SIGNXML = SignatureConfiguration(
    location="./", signature_methods=frozenset(SignatureMethod), digest_algorithms=frozenset(DigestAlgorithm)
)
NAMESPACES = {"ds": "http://www.w3.org/2000/09/xmldsig#"}


def check_that_others_agree(xml: bytes, certificates: Iterable[str]) -> int:
    """Both verify each signature in clear text by one of these certificates (PEM); how many there were."""
    known = list(certificates)
    checked = 0
    for document in signed_documents(xml):
        assert any(signxml_verifies(document, certificate) for certificate in known), "signxml does not agree"
        assert any(xmlsec_verifies(document, certificate) for certificate in known), "xmlsec does not agree"
        checked += 1
    return checked


def signed_documents(xml: bytes) -> Iterator[bytes]:
    """Each signed element as a document of its own (exclusive canonicalization makes it one)."""
    root = etree.fromstring(xml)
    for signature in root.iterfind(".//ds:Signature", NAMESPACES):
        parent = signature.getparent()
        assert parent is not None
        yield etree.tostring(parent, with_tail=False)


def signxml_verifies(document: bytes, certificate: str) -> bool:
    try:
        XMLVerifier().verify(document, x509_cert=certificate, expect_config=_SIGNXML, validate_schema=False)
    except (SignXMLException, CryptographyInvalidSignature):
        return False
    return True


def xmlsec_verifies(document: bytes, certificate: str) -> bool:
    root = etree.fromstring(document)
    signature = root.find("ds:Signature", NAMESPACES)
    assert signature is not None
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(certificate, xmlsec.constants.KeyDataFormatCertPem)
    context.register_id(root, "ID")
    try:
        context.verify(signature)
    except xmlsec.Error:
        return False
    return True
