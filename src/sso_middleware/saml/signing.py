"""Sign what we send, in this process: no xmlsec1 binary, no temporary file.

pysaml2 builds a message with an empty Signature in it; here that Signature is filled in. One shape
only: enveloped, exclusive canonicalisation, RSA with SHA-256, 384 or 512 and the same digest. Verifying what others
signed is `signature`'s, and shares no code with this.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree

from .parties import KeyPair, OurSignatureAlgorithm

if TYPE_CHECKING:
    from saml2.sigver import CryptoBackend

_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
RSA_SHA256 = f"{_MORE}rsa-sha256"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
EXCLUSIVE_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_DS = "{http://www.w3.org/2000/09/xmldsig#}"


@dataclass(frozen=True, slots=True)
class Algorithms:
    """What a key signs with, by the names of RFC 6931 and XML Encryption 5.7."""

    signature: str
    digest: str
    hash: hashes.HashAlgorithm


_ALGORITHMS: dict[OurSignatureAlgorithm, Algorithms] = {
    "rsa-sha256": Algorithms(RSA_SHA256, SHA256, hashes.SHA256()),
    "rsa-sha384": Algorithms(f"{_MORE}rsa-sha384", f"{_MORE}sha384", hashes.SHA384()),
    "rsa-sha512": Algorithms(f"{_MORE}rsa-sha512", "http://www.w3.org/2001/04/xmlenc#sha512", hashes.SHA512()),
}


def algorithms_of(key: KeyPair) -> Algorithms:
    """For the template of an enveloped signature, and for SigAlg."""
    return _ALGORITHMS[key.algorithm]


def sign_bytes(data: bytes, key: KeyPair) -> bytes:
    """RSA (PKCS#1 v1.5) with the key's own hash, as HTTP-Redirect and XML signatures want it."""
    return _load(key.private_key).sign(data, PKCS1v15(), algorithms_of(key).hash)


def sign_enveloped(xml: str | bytes, node_id: str, key: KeyPair) -> str:
    """Fill in the empty Signature that is a child of the one element whose ID is `node_id`.

    `xml` was built by us, and its Signature made by pysaml2's `pre_signature_part`. Raises ValueError
    if there is no such element or template, or if the template asks for other algorithms than ours.
    """
    document = etree.fromstring(xml if isinstance(xml, bytes) else xml.encode(), _parser())
    element = _only([found for found in document.iter("*") if found.get("ID") == node_id], "element with this ID")
    signature = _only(element.findall(f"{_DS}Signature"), "Signature directly in the element")
    signed_info = _only(signature.findall(f"{_DS}SignedInfo"), "SignedInfo")
    reference = _only(signed_info.findall(f"{_DS}Reference"), "Reference")
    algorithms = algorithms_of(key)
    _check_template(signed_info, reference, node_id, algorithms)
    digest = hashlib.new(algorithms.hash.name, _canonical_without(element, signature)).digest()
    _fill(reference, "DigestValue", digest)
    _fill(signature, "SignatureValue", sign_bytes(_canonical(signed_info), key))
    return etree.tostring(document, encoding="unicode")


def crypto_backend(key: KeyPair) -> CryptoBackend:
    """Our signing in the shape that pysaml2 plugs in. It signs, with `key`, and does nothing else."""
    from saml2.sigver import CryptoBackend  # noqa: PLC0415 - late: importing pysaml2 takes most of a second

    class InProcessSigning(CryptoBackend):  # type: ignore[misc]  # pysaml2's stubs leave sigver untyped
        def sign_statement(self, statement: str | bytes, node_name: str, key_file: str, node_id: str) -> str:
            return sign_enveloped(statement, node_id, key)

    return cast("CryptoBackend", InProcessSigning())


@lru_cache(maxsize=32)
def _load(private_key: bytes) -> RSAPrivateKey:
    # Cached because OpenSSL checks the whole key while loading it: 0.1 s for RSA-3072.
    loaded = load_pem_private_key(private_key, password=None)
    if not isinstance(loaded, RSAPrivateKey):
        raise ValueError("our own keys are RSA keys")
    return loaded


def _check_template(
    signed_info: etree._Element, reference: etree._Element, node_id: str, algorithms: Algorithms
) -> None:
    # pysaml2 falls back to SHA-1 wherever it isn't told otherwise: then this is the place to notice.
    found = [element.get("Algorithm") for element in signed_info.iter() if element.get("Algorithm")]
    if found != [EXCLUSIVE_C14N, algorithms.signature, ENVELOPED, EXCLUSIVE_C14N, algorithms.digest]:
        raise ValueError(f"the signature template asks for other algorithms: {found}")
    if reference.get("URI") != f"#{node_id}":
        raise ValueError("the signature template refers to another element")


def _canonical_without(element: etree._Element, signature: etree._Element) -> bytes:
    """The exclusive canonical form of `element` as it is without its Signature (xmldsig-core 6.6.4)."""
    position = element.index(signature)
    if signature.tail:  # `remove` would take the text behind the Signature along
        raise ValueError("there is text behind the Signature")
    element.remove(signature)
    try:
        return _canonical(element)
    finally:
        element.insert(position, signature)


def _canonical(element: etree._Element) -> bytes:
    canonical = etree.tostring(element, method="c14n", exclusive=True, with_comments=False)
    if not canonical:
        raise ValueError("canonicalisation gave nothing")
    return canonical


def _fill(parent: etree._Element, tag: str, value: bytes) -> None:
    _only(parent.findall(f"{_DS}{tag}"), tag).text = b64encode(value).decode("ascii")


def _only(found: list[etree._Element], what: str) -> etree._Element:
    if len(found) != 1:
        raise ValueError(f"{len(found)} times {what}, not once")
    return found[0]


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
