"""Open an encrypted message for the other verifiers, by python-xmlsec, which shares no code with ours."""

from __future__ import annotations

import xmlsec
from lxml import etree
from tests.attacks.surgery import Element
from tests.identity_provider import Signer, find_one
from tests.xml_encryption import DS, ELEMENT_TYPE, XENC


def opened(xml: bytes, recipient: Signer) -> list[bytes]:
    """The documents that hold every signature: the message itself, and what is encrypted in it."""
    root = etree.fromstring(xml)
    return [xml, *(_decrypt(each, recipient) for each in root.iter(f"{{{XENC}}}EncryptedData"))]


def _decrypt(data: Element, recipient: Signer) -> bytes:
    _bring_key_inside(data)
    keys = xmlsec.KeysManager()
    keys.add_key(xmlsec.Key.from_memory(recipient.private_pem, xmlsec.constants.KeyDataFormatPem))
    data.set("Type", ELEMENT_TYPE)  # which is what no Type means, too; xmlsec would hand out bytes
    return etree.tostring(xmlsec.EncryptionContext(keys).decrypt(data), with_tail=False)


def _bring_key_inside(data: Element) -> None:
    """Okta puts EncryptedKey beside the data, and a RetrievalMethod inside, which xmlsec does not follow."""
    info = find_one(data, "ds:KeyInfo")
    parent = data.getparent()
    assert parent is not None
    for pointer in info.findall(f"{{{DS}}}RetrievalMethod"):
        info.replace(pointer, find_one(parent, f"{{{XENC}}}EncryptedKey"))
