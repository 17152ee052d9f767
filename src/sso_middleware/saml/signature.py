"""Verify the Signature of a Response or an Assertion with pinned keys, and hand on what was signed.

form.py has left one shape only: one Reference, to the element that the Signature stands in, by the
enveloped-signature transform and exclusive canonicalization. So this is XML Signature 3.2 without
its options. No key comes from a message; whose keys are pinned, and what must be signed, are the
caller's to say. What is returned is exactly the bytes whose digest matched: only they are believed,
once they are parsed again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from ..errors import AlgorithmNotAllowed, CanonicalizationFailed, DigestMismatch, SignatureInvalid
from .parsing import decode_base64, parse_part
from .parties import PinnedKey
from .schema import (
    DIGEST_ALGORITHMS,
    NAMESPACES,
    SIGNATURE_ALGORITHMS,
    Element,
    SignatureAlgorithm,
    attribute_of,
    find_one,
    text_of,
)

_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
    "sha1": hashes.SHA1,  # only under a dated exception: _check_strength
}


def verify_signature(signed: Element, *, keys: Sequence[PinnedKey], allow_sha1: bool) -> bytes:
    """The canonical form of `signed` without its Signature, if one of `keys` signed exactly that.

    Raises AlgorithmNotAllowed, SignatureInvalid (not signed by
    any of `keys`), DigestMismatch (changed afterwards), CanonicalizationFailed.
    """
    signature = find_one(signed, "ds:Signature")
    signed_info = _verify_signed_info(signature, keys, allow_sha1)
    with _taken_out(signed, signature):
        return _verify_digest(signed, signed_info, allow_sha1)


def check_covered(signed: Element, part: Element) -> None:
    """That `part` of a verified Response is, but for its Signature, what that Signature covers: `signed`.

    Raises DigestMismatch if two signatures were for two assertions.
    """
    with _taken_out(part, find_one(part, "ds:Signature")):
        covered = _canonicalize(part, [])
    if covered != _canonicalize(signed, []):
        raise DigestMismatch("the Response's signature covers another assertion than the assertion's own")


def _verify_signed_info(signature: Element, keys: Sequence[PinnedKey], allow_sha1: bool) -> Element:
    """XML Signature 3.2.2: SignedInfo, parsed again from the bytes that one of the keys signed."""
    signed_info = find_one(signature, "ds:SignedInfo")
    algorithm = SIGNATURE_ALGORITHMS[attribute_of(find_one(signed_info, "ds:SignatureMethod"), "Algorithm")]
    _check_strength(algorithm.digest, allow_sha1)
    canonical = _canonicalize(signed_info, _prefixes(signed_info, "ds:CanonicalizationMethod"))
    value = decode_base64(text_of(find_one(signature, "ds:SignatureValue")))
    if not any(_is_signed_by(key.public_key, algorithm, value, canonical) for key in keys):
        raise SignatureInvalid("no pinned key of this connection made the signature")
    return parse_part(canonical, "ds:SignedInfo")


def _verify_digest(signed: Element, signed_info: Element, allow_sha1: bool) -> bytes:
    """XML Signature 3.2.1, with what the verified SignedInfo says and nothing else."""
    reference = find_one(signed_info, "ds:Reference")
    digest = DIGEST_ALGORITHMS[attribute_of(find_one(reference, "ds:DigestMethod"), "Algorithm")]
    _check_strength(digest, allow_sha1)
    canonical = _canonicalize(signed, _prefixes(reference, "ds:Transforms/ds:Transform[2]"))
    expected = decode_base64(text_of(find_one(reference, "ds:DigestValue")))
    if not hmac.compare_digest(hashlib.new(digest, canonical).digest(), expected):
        raise DigestMismatch("what was signed has been changed since")
    return canonical


def _check_strength(digest: str, allow_sha1: bool) -> None:
    if digest == "sha1" and not allow_sha1:
        raise AlgorithmNotAllowed("SHA-1, and no dated exception of this connection's allows it")


def _is_signed_by(
    key: RSAPublicKey | EllipticCurvePublicKey, algorithm: SignatureAlgorithm, value: bytes, data: bytes
) -> bool:
    digest = _HASHES[algorithm.digest]()
    try:
        if algorithm.key == "rsa" and isinstance(key, RSAPublicKey):
            key.verify(value, data, PKCS1v15(), digest)
        elif algorithm.key == "ecdsa" and isinstance(key, EllipticCurvePublicKey):
            key.verify(_read_ecdsa(value, key), data, ECDSA(digest))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _read_ecdsa(value: bytes, key: EllipticCurvePublicKey) -> bytes:
    """XML Signature 6.4.3: r and s end to end, each as long as the curve's order; never ASN.1."""
    length = (key.curve.key_size + 7) // 8
    if len(value) != 2 * length:
        raise InvalidSignature
    return encode_dss_signature(int.from_bytes(value[:length]), int.from_bytes(value[length:]))


@contextmanager
def _taken_out(signed: Element, signature: Element) -> Iterator[None]:
    """The enveloped-signature transform, for a while. lxml takes along the text behind an element, and that was signed.

    Not on a copy: that would leave its names in this thread (parsing.py).
    """
    issuer = signed[0]  # form.py: a Signature comes directly after Issuer
    text = issuer.tail
    issuer.tail = (text or "") + (signature.tail or "")
    signed.remove(signature)
    try:
        yield
    finally:
        issuer.tail = text
        signed.insert(1, signature)


def _prefixes(element: Element, path: str) -> list[str]:
    """The PrefixList of exclusive canonicalization (4): Okta sends `xs`, for the sake of xsi:type."""
    prefixes = element.find(f"{path}/ec:InclusiveNamespaces", NAMESPACES)
    return [] if prefixes is None else attribute_of(prefixes, "PrefixList").split()


def _canonicalize(element: Element, prefixes: list[str]) -> bytes:
    try:
        canonical = etree.tostring(
            element, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=prefixes
        )
    except etree.LxmlError as error:
        raise CanonicalizationFailed("it can't be canonicalized") from error
    if not canonical:
        # An empty text has a digest too, and it fits any message (CVE-2025-66568).
        raise CanonicalizationFailed("its canonical form is empty")
    return canonical
