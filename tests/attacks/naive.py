"""A service provider as attackers like them: it verifies one element and then reads another.

It finds the signed element by its ID anywhere, checks the digest and the value for real, and then
takes the NameID of whichever assertion it happens to find. An attack of wrapping that does not fool
it would prove nothing by being refused.
"""

from __future__ import annotations

import base64
from copy import deepcopy

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree
from tests.attacks.surgery import Element, ds, hash_of, saml
from tests.identity_provider import Signer, find_one

NAME_ID = etree.ETXPath(f"string({saml('Subject')}/{saml('NameID')})")


def believes(xml: bytes, signer: Signer) -> set[str]:
    """The NameIDs that one careless reader or another would take, if some signature holds; else none."""
    root = etree.fromstring(xml)
    if not any(holds(root, signature, signer) for signature in root.iter(ds("Signature"))):
        return set()
    assertions = list(root.iter(saml("Assertion")))
    return {str(NAME_ID(assertion)) for assertion in (assertions[0], assertions[-1])}


def holds(root: Element, signature: Element, signer: Signer) -> bool:
    assert isinstance(signer.private_key, RSAPrivateKey)
    signed_info = find_one(signature, "ds:SignedInfo")
    value = base64.b64decode(find_one(signature, "ds:SignatureValue").text or "")
    canonical = etree.tostring(signed_info, method="c14n", exclusive=True)
    try:
        signer.private_key.public_key().verify(value, canonical, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    wanted = find_one(signed_info, ".//ds:Reference").get("URI", "")[1:]
    digest = find_one(signed_info, ".//ds:DigestValue").text
    return any(digest == _digest(element, signature) for element in root.iter("*") if element.get("ID") == wanted)


def _digest(element: Element, signature: Element) -> str:
    copied = deepcopy(element)
    if element in signature.iterancestors():
        index = list(element.iter(ds("Signature"))).index(signature)
        mine = list(copied.iter(ds("Signature")))[index]
        parent = mine.getparent()
        assert parent is not None
        parent.remove(mine)
    canonical = etree.tostring(copied, method="c14n", exclusive=True)
    return base64.b64encode(hash_of(hashes.SHA256(), canonical)).decode()
