"""Cut genuine messages up, as an attacker does: copy, forge, move, drop, and sign again.

Nothing here knows what is refused. What an edit leaves alone keeps its bytes, as far as exclusive
canonicalisation can tell, so a genuine signature that is moved about is still a genuine one.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from copy import deepcopy

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree
from tests.identity_provider import Signer, find_one
from tests.response_shape import DS, EXCLUSIVE_C14N, SAML, SAMLP

Element = etree._Element
Edit = Callable[[Element], None]

ENVELOPED = DS + "enveloped-signature"


def saml(name: str) -> str:
    return f"{{{SAML}}}{name}"


def samlp(name: str) -> str:
    return f"{{{SAMLP}}}{name}"


def ds(name: str) -> str:
    return f"{{{DS}}}{name}"


def edited(xml: bytes, edit: Edit) -> bytes:
    """The message after `edit` had its way with the root element."""
    root = etree.fromstring(xml)
    edit(root)
    return etree.tostring(root)


def swapped(xml: bytes, old: str, new: str) -> bytes:
    """The message with this text replaced everywhere; it must be there."""
    assert old.encode() in xml, old
    return xml.replace(old.encode(), new.encode())


def assertion_in(root: Element) -> Element:
    return find_one(root, "saml:Assertion")


def signature_of(element: Element) -> Element:
    """The element's own signature, not one further down."""
    return find_one(element, "ds:Signature")


def remove(element: Element) -> Element:
    parent = element.getparent()
    assert parent is not None
    parent.remove(element)
    return element


def without_signature(element: Element) -> Element:
    """A copy that lacks its own signature."""
    copied = deepcopy(element)
    remove(signature_of(copied))
    return copied


def forge(element: Element, honest: str, forged: str) -> Element:
    """Put another person's address wherever the honest one stands, here and below."""
    hits = [node for node in element.iter("*") if node.text == honest]
    assert hits, "nothing to forge"
    for node in hits:
        node.text = forged
    return element


def insert_before(new: Element, reference: Element) -> None:
    reference.addprevious(new)


def wrap_in(tag: str, *children: Element) -> Element:
    wrapper = etree.Element(tag)
    wrapper.extend(children)
    return wrapper


def digest_now(element: Element, signature: Element) -> str:
    """SHA-256 of the element without this signature, in exclusive canonical form, base64."""
    copied = deepcopy(element)
    if element in signature.iterancestors():
        ours = list(element.iter(ds("Signature"))).index(signature)
        remove(list(copied.iter(ds("Signature")))[ours])
    canonical = etree.tostring(copied, method="c14n", exclusive=True)
    return _base64(_sha256(canonical))


def sign_again(element: Element, signer: Signer, *, digest: str | None = None, c14n: str = EXCLUSIVE_C14N) -> None:
    """Make the element's own signature hold again, after its SignedInfo was changed (RSA-SHA256).

    Every Reference gets `digest`, or else the digest of the element as it stands. The SignedInfo is
    canonicalised by `c14n`, so that what it says of itself is true.
    """
    signature = signature_of(element)
    for value in signature.iterfind(".//{*}Reference/{*}DigestValue"):
        value.text = digest or digest_now(element, signature)
    sign_info_again(signature, signer, c14n=c14n)


def sign_info_again(
    signature: Element,
    signer: Signer,
    *,
    c14n: str = EXCLUSIVE_C14N,
    algorithm: hashes.HashAlgorithm | None = None,
) -> None:
    """Only the SignatureValue, over the SignedInfo as it stands."""
    assert isinstance(signer.private_key, RSAPrivateKey)
    canonical = etree.tostring(
        find_one(signature, "ds:SignedInfo"),
        method="c14n",
        exclusive=c14n.startswith(EXCLUSIVE_C14N),
        with_comments=c14n.endswith("WithComments"),
    )
    value = signer.private_key.sign(canonical, padding.PKCS1v15(), algorithm or hashes.SHA256())
    find_one(signature, "ds:SignatureValue").text = _base64(value)


def hash_of(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    state = hashes.Hash(algorithm)
    state.update(data)
    return state.finalize()


def _sha256(data: bytes) -> bytes:
    return hash_of(hashes.SHA256(), data)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
