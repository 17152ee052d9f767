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
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from ..errors import AlgorithmNotAllowed, CanonicalizationFailed, DigestMismatch, SignatureInvalid
from .parsing import decode_base64, parse_signed
from .parties import PinnedKey
from .schema import (
    DIGEST_ALGORITHMS,
    SIGNATURE_ALGORITHMS,
    AnyElement,
    Element,
    SignatureAlgorithm,
    SignedElement,
    attribute_of,
    required_child,
    text_of,
)
from .vocabulary import COMMON_PREFIXES

_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
    "sha1": hashes.SHA1,  # only under a dated exception: _check_strength
}


_PREFIX = re.compile(r"(?!xml)[A-Za-z_][\w.-]*", re.ASCII | re.IGNORECASE)
"""What can be declared, in the letters that prefixes are made of; not `#default`, nor the reserved ones."""


def verify_signature(signed: Element, *, keys: Sequence[PinnedKey], allow_sha1: bool) -> bytes:
    """The canonical form of `signed` without its Signature, if one of `keys` signed exactly that.

    Raises AlgorithmNotAllowed, SignatureInvalid (not signed by
    any of `keys`), DigestMismatch (changed afterwards), CanonicalizationFailed.
    """
    signature = required_child(signed, "ds:Signature")
    signed_info = _verify_signed_info(signature, keys, allow_sha1)
    with _taken_out(signed, signature):
        return _verify_digest(signed, signed_info, allow_sha1)


def signature_algorithm_of(signed: Element) -> str:
    """The name of what made the Signature that stands in this element; nothing of it is verified yet."""
    signed_info = required_child(signed, "ds:Signature")[0]
    return attribute_of(signed_info[1], "Algorithm")


def verify_detached(data: bytes, value: bytes, *, algorithm: str, keys: Sequence[PinnedKey], allow_sha1: bool) -> None:
    """That one of `keys` made `value` over `data` (HTTP-Redirect, SAML bindings 3.4.4.1).

    Raises AlgorithmNotAllowed, SignatureInvalid.
    """
    if algorithm not in SIGNATURE_ALGORITHMS:
        raise AlgorithmNotAllowed("a signature algorithm that we don't know")
    known = SIGNATURE_ALGORITHMS[algorithm]
    _check_strength(known.digest, allow_sha1)
    if not any(_is_signed_by(key.public_key, known, value, data) for key in keys):
        raise SignatureInvalid("no pinned key of this connection made the signature")


def check_covered(signed: SignedElement, part: SignedElement) -> None:
    """That `part` of a verified Response is, but for its Signature, what that Signature covers: `signed`.

    Its Signature is taken out of it. Raises DigestMismatch if two signatures were for two assertions.
    """
    issuer, signature = part[0], part[1]
    issuer.tail = (issuer.tail or "") + (signature.tail or "")
    part.remove(signature)
    if not _says_the_same(signed, part):
        raise DigestMismatch("the Response's signature covers another assertion than the assertion's own")


def _says_the_same(one: SignedElement, other: SignedElement) -> bool:
    """To the letter, but for the prefixes that the names have."""
    return (
        one.tag == other.tag
        and one.attrib == other.attrib
        and (one.text or "") == (other.text or "")
        and len(one) == len(other)
        and all(map(_says_the_same, one, other))
        and [part.tail or "" for part in one] == [part.tail or "" for part in other]
    )


def _verify_signed_info(signature: Element, keys: Sequence[PinnedKey], allow_sha1: bool) -> SignedElement:
    """XML Signature 3.2.2: SignedInfo, parsed again from the bytes that one of the keys signed."""
    signed_info, signature_value = signature[0], signature[1]
    algorithm = SIGNATURE_ALGORITHMS[attribute_of(signed_info[1], "Algorithm")]
    _check_strength(algorithm.digest, allow_sha1)
    canonical = _canonicalize(signed_info, _prefixes(signed_info[0]))
    value = decode_base64(text_of(signature_value))
    if not any(_is_signed_by(key.public_key, algorithm, value, canonical) for key in keys):
        raise SignatureInvalid("no pinned key of this connection made the signature")
    return parse_signed(canonical, "ds:SignedInfo")


def _verify_digest(signed: Element, signed_info: SignedElement, allow_sha1: bool) -> bytes:
    """XML Signature 3.2.1, with what the verified SignedInfo says and nothing else."""
    transforms, method, value = signed_info[2]  # the Reference
    digest = DIGEST_ALGORITHMS[attribute_of(method, "Algorithm")]
    _check_strength(digest, allow_sha1)
    canonical = _canonicalize(signed, _prefixes(transforms[1]))
    expected = decode_base64(text_of(value))
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
    # form.py: a Signature comes directly after Issuer, and in metadata it comes first.
    issuer = signature.getprevious()
    text = signed.text if issuer is None else issuer.tail
    _set_text_before(signed, issuer, (text or "") + (signature.tail or ""))
    signed.remove(signature)
    try:
        yield
    finally:
        _set_text_before(signed, issuer, text)
        signed.insert(0 if issuer is None else 1, signature)


def _set_text_before(signed: Element, issuer: Element | None, text: str | None) -> None:
    if issuer is None:
        signed.text = text
    else:
        issuer.tail = text


def _prefixes(canonicalization: AnyElement) -> list[str]:
    """The PrefixList of exclusive canonicalization (4): Okta sends `xs`, for the sake of xsi:type."""
    return [prefix for parameter in canonicalization for prefix in attribute_of(parameter, "PrefixList").split()]


def _canonicalize(element: Element, prefixes: list[str]) -> bytes:
    if prefixes and not COMMON_PREFIXES.issuperset(prefixes):
        # Anybody can make prefixes up, and a thread keeps them: this one ends (parsing.py).
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(_write, element, prefixes).result()
    return _write(element, prefixes)


def _write(element: Element, prefixes: list[str]) -> bytes:
    # lxml passes over a prefix that its own thread has never read, although the document declares it.
    declared = " ".join(f'xmlns:{prefix}="urn:x"' for prefix in set(prefixes) if _PREFIX.fullmatch(prefix))
    if declared:
        etree.fromstring(f"<x {declared}/>")
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
