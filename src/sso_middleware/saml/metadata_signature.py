"""Metadata that must be signed: find the entity only in what one of the given keys signed.

A federation signs the whole document, others each entity. Whichever it is, what is read afterwards are
the bytes whose digest matched, parsed again, so that nothing beside them can be taken for them (MDT-005).
Whether metadata must be signed is the caller's to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lxml import etree

from ..errors import MessageRefused, MetadataSignatureRefused
from . import form
from .entities import Entity, find_entity, read_root
from .metadata_bytes import MAX_AGGREGATE_BYTES, MAX_BYTES, Document
from .parties import PinnedKey
from .schema import NAMESPACES
from .signature import verify_signature


def find_signed_entity(document: Document, entity_id: str | None, keys: Sequence[PinnedKey]) -> Entity:
    """The identity provider that `entities.find_entity` finds, in the part that is signed by one of `keys`.

    Raises MetadataUnusable, and MetadataSignatureRefused where nothing that covers it is signed by them.
    """
    root = read_root(document, max_bytes=MAX_BYTES if entity_id is None else MAX_AGGREGATE_BYTES)
    if _is_signed(root):
        return find_entity(_verified(root, keys), entity_id)
    found = find_entity(document, entity_id)
    # Of the groups around it, which nobody signed, only what shortens its validity is kept: that may be anybody's.
    entity = read_root(found.xml)
    if not _is_signed(entity):
        raise MetadataSignatureRefused("the metadata is not signed, and this connection's must be")
    return replace(found, xml=find_entity(_verified(entity, keys), entity.get("entityID")).xml)


def _is_signed(element: etree._Element) -> bool:
    return element.find("ds:Signature", NAMESPACES) is not None


def _verified(element: etree._Element, keys: Sequence[PinnedKey]) -> bytes:
    try:
        form.check_signature_form(element)
        # SHA-1 never: metadata is what all the rest hangs on.
        return verify_signature(element, keys=keys, allow_sha1=False)
    except MessageRefused as error:
        raise MetadataSignatureRefused(f"the metadata's signature is not acceptable: {error.detail}") from error
