"""Metadata that is signed, by signxml, as a federation or an identity provider signs it."""

from __future__ import annotations

from typing import Any

from lxml import etree
from signxml.signer import XMLSigner
from tests.identity_provider import MD, Signer
from tests.response_shape import DS, EXCLUSIVE_C14N


def signed(xml: str, signer: Signer, **changes: Any) -> bytes:
    """As a federation signs: enveloped, the Signature first, over the root's ID."""
    root = etree.fromstring(xml.encode())
    root.set("ID", "_m1")
    placeholder = etree.Element(f"{{{DS}}}Signature", Id="placeholder")
    root.insert(0, placeholder)
    algorithms = {"signature_algorithm": "rsa-sha256", "digest_algorithm": "sha256", **changes}
    signer_ = XMLSigner(c14n_algorithm=EXCLUSIVE_C14N, **algorithms)
    return etree.tostring(signer_.sign(root, key=signer.private_key, cert=signer.certificate, reference_uri="_m1"))


def in_group(*documents: bytes | str) -> str:
    inner = "".join(d if isinstance(d, str) else d.decode() for d in documents)
    return f'<EntitiesDescriptor xmlns="{MD}">{inner}</EntitiesDescriptor>'
