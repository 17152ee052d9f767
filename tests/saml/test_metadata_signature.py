"""Metadata that must be signed: by whom, where, and what is read afterwards."""

from __future__ import annotations

import pytest
from lxml import etree
from tests.identity_provider import IdentityProvider, make_signer
from tests.metadata_refreshing import NOW
from tests.metadata_signing import in_group, signed

from sso_middleware.errors import MetadataSignatureRefused, MetadataUnusable
from sso_middleware.saml.certificates import read_certificate
from sso_middleware.saml.metadata import read_idp_metadata, read_metadata
from sso_middleware.saml.metadata_bytes import MAX_AGGREGATE_BYTES

IDP = IdentityProvider()
OTHER = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso")
FEDERATION = make_signer("the federation")
KEYS = [read_certificate(FEDERATION.certificate)]


def read(document: bytes | str, entity_id: str | None = None) -> str:
    xml = document if isinstance(document, bytes) else document.encode()
    return read_idp_metadata(xml, now=NOW, entity_id=entity_id, signed_by=KEYS).entity_id


def test_the_whole_document_may_be_signed() -> None:
    """One entity, or a group of which one is meant; several without a name are refused all the same."""
    assert read(signed(IDP.metadata, FEDERATION)) == IDP.entity_id
    group = signed(in_group(IDP.metadata, OTHER.metadata), FEDERATION)
    assert read(group, OTHER.entity_id) == OTHER.entity_id
    with pytest.raises(MetadataUnusable, match="say which one"):
        read(group)


def test_the_entity_alone_may_be_signed() -> None:
    """In a group that nobody signed; of that only what shortens its validity counts."""
    group = in_group(signed(OTHER.metadata, FEDERATION), IDP.metadata)
    assert read(group, OTHER.entity_id) == OTHER.entity_id
    with pytest.raises(MetadataSignatureRefused, match="not signed"):
        read(group, IDP.entity_id)
    ended = group.replace(" xmlns=", ' validUntil="2020-01-01T00:00:00Z" xmlns=', 1)
    with pytest.raises(MetadataUnusable, match="was valid until"):
        read(ended, OTHER.entity_id)


@pytest.mark.parametrize("indent", ["\n", "\n    <!-- signed on Monday -->\n"])
def test_text_around_the_signature_was_signed_as_it_is(indent: str) -> None:
    """Blank lines and comments are what real documents have."""
    xml = signed(IDP.metadata.replace("<IDPSSO", indent + "<IDPSSO"), FEDERATION)
    assert read(xml) == IDP.entity_id
    assert b"Signature" not in read_metadata(xml, now=NOW, signed_by=KEYS).document


def moved(xml: bytes) -> bytes:
    root = etree.fromstring(xml)
    root.append(root[0])
    return etree.tostring(root)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (IDP.metadata.encode(), "not signed"),
        (signed(IDP.metadata, make_signer("stranger")), "no pinned key"),
        (signed(IDP.metadata, FEDERATION).replace(b"acme.example/sso", b"evil.example/sso"), "changed"),
        (moved(signed(IDP.metadata, FEDERATION)), "come first"),
        (signed(IDP.metadata, FEDERATION).replace(b'URI="#_m1"', b'URI="#_m2"'), "refer to the element"),
        (signed(IDP.metadata, FEDERATION).replace(b'URI="#_m1"', b'URI=""'), "refer to the element"),
        (signed(IDP.metadata, FEDERATION).replace(b"</ns0:Signature>", b"<ns0:Object/></ns0:Signature>"), "in order"),
        (signed(IDP.metadata, FEDERATION).replace(b"</ns0:Signature>", b"words</ns0:Signature>"), "holds text"),
    ],
)
def test_anything_else_is_refused_in_words(document: bytes, why: str) -> None:
    """MDT-004, MDT-005: unsigned, by another, changed, in another place, about something else."""
    assert read(signed(IDP.metadata, FEDERATION)) == IDP.entity_id
    with pytest.raises(MetadataSignatureRefused, match=why):
        read(document)


def test_a_large_signed_document_has_its_limit() -> None:
    """As an unsigned one."""
    with pytest.raises(MetadataUnusable, match="bytes"):
        read(signed(IDP.metadata, FEDERATION) + b" " * MAX_AGGREGATE_BYTES, IDP.entity_id)
