"""Finding one entity in a document of many: in one pass, with little memory, and as strictly as in a small one."""

from __future__ import annotations

import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree
from tests.saml.test_metadata import (
    ENTITY_ID,
    NAMESPACES,
    NOW,
    SIGNING,
    endpoint,
    entity,
    group,
    idp_role,
    in_xml,
    key_descriptor,
    refusal,
    sp_role,
)

from sso_middleware.errors import MetadataUnusable
from sso_middleware.saml.entities import find_entity, read_root
from sso_middleware.saml.metadata import examine_metadata, read_idp_metadata, read_metadata
from sso_middleware.saml.metadata_bytes import MAX_AGGREGATE_BYTES, MAX_BYTES

PADDING = "<md:Extensions>" + "<x:e xmlns:x='urn:x'>some words</x:e>" * 60 + "</md:Extensions>"


def large(count: int, *, then: str = "") -> bytes:
    entities = (entity(PADDING, idp_role(), entity_id=f"https://idp{number}.example/") for number in range(count))
    return group(*entities, then).encode()


def test_one_is_found_among_thousands() -> None:
    """Wherever it stands, and of a document that would be too large without saying which."""
    xml = large(1500)
    assert len(xml) > MAX_BYTES
    for number in (0, 700, 1499):
        name = f"https://idp{number}.example/"
        assert read_idp_metadata(xml, now=NOW, entity_id=name).entity_id == name
    with pytest.raises(MetadataUnusable, match="say the entity_id of yours"):
        read_idp_metadata(xml, now=NOW)


def test_what_is_not_wanted_does_not_stay() -> None:
    """Beside the document itself little is allocated by Python; no text of the whole is made."""
    xml = large(1500)
    tracemalloc.start()
    find_entity(xml, "https://idp1499.example/")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(xml) * 1.5


@pytest.mark.parametrize(
    ("then", "why"),
    [
        ("<?x?>", "processing instruction"),
        ("<![CDATA[x]]>", "CDATA"),
        ("<!DOCTYPE x>", "document type"),
        ("\0", "NUL"),
        ("<md:EntityDescriptor>", "not well-formed"),
        ("<x></x>" * 2_100_000, "tags"),
        (" " * MAX_AGGREGATE_BYTES, "bytes"),
        (entity(entity_id=ENTITY_ID), "more than once"),
    ],
)
def test_the_end_of_a_large_document_is_looked_at_too(then: str, why: str) -> None:
    """Although the entity that is wanted went by long before."""
    xml = group(entity(), then)
    assert read_idp_metadata(group(entity()).encode(), now=NOW, entity_id=ENTITY_ID).entity_id == ENTITY_ID
    assert why in refusal(xml, entity_id=ENTITY_ID)


def test_a_document_full_of_question_marks_is_read_as_strictly() -> None:
    """Or of comments: how they are looked for depends on how many there are, what is found does not."""
    many = f"<md:Extensions>{'?! ' * 15_000}</md:Extensions><!-- a comment -->"
    assert read_idp_metadata(entity(many, idp_role()).encode(), now=NOW).entity_id == ENTITY_ID
    for bad, why in (("<?x?>", "processing instruction"), ("<![CDATA[x]]>", "CDATA"), ("<!ENTITY x 'y'>", "document")):
        assert why in refusal(entity(many, bad, idp_role()))
        assert why in refusal(entity(bad, idp_role()))


def test_an_entity_that_is_not_in_its_place_is_none() -> None:
    """MDT-011: within another's Extensions, or another root, it describes nobody."""
    hidden = entity(entity_id="https://hidden.example/")
    xml = group(entity(f"<md:Extensions>{hidden}</md:Extensions>", idp_role()))
    assert read_idp_metadata(xml.encode(), now=NOW).entity_id == ENTITY_ID
    assert "no identity provider https://hidden.example/" in refusal(xml, entity_id="https://hidden.example/")
    assert "its first element is list" in refusal(f"<list>{hidden}</list>")


def test_groups_within_groups_end_somewhere() -> None:
    """Ten are more than anybody has."""
    xml = entity()
    for _ in range(10):
        xml = group(xml)
    assert read_idp_metadata(xml.encode(), now=NOW).entity_id == ENTITY_ID
    assert "10 deep" in refusal(group(xml))


def test_the_entity_is_read_as_strictly_as_alone() -> None:
    """Depth and number are counted for it alone, and its neighbours' do not matter."""
    deep = "<x:e xmlns:x='urn:x'>" * 45 + "</x:e>" * 45
    bad = entity(f"<md:Extensions>{deep}</md:Extensions>", idp_role())
    assert "nested more than" in refusal(group(bad), entity_id=ENTITY_ID)
    neighbour = entity(f"<md:Extensions>{deep}</md:Extensions>", entity_id="urn:other")
    found = read_idp_metadata(group(neighbour, entity()).encode(), now=NOW, entity_id=ENTITY_ID)
    assert found.entity_id == ENTITY_ID


def test_prefixes_of_the_group_come_along() -> None:
    """A document of its own needs them, and its signature was made with them."""
    inner = entity().replace(NAMESPACES, "")
    found = find_entity(group(inner).encode(), None)
    assert etree.fromstring(found.xml).nsmap["ds"] == "http://www.w3.org/2000/09/xmldsig#"


def test_the_whole_is_read_where_all_of_it_is_signed() -> None:
    """With the same refusals."""
    assert len(read_root(group(entity(), entity(entity_id="urn:b")).encode())) == 2
    with pytest.raises(MetadataUnusable, match="not well-formed"):
        read_root(b"<a><b></a>")
    with pytest.raises(MetadataUnusable, match="HTML"):
        read_root(b"<html><br></html>")


@pytest.mark.parametrize("declaration", ['<?xml version="1.1"?>', '<?xml version="1.0" encoding="latin-1"?>'])
def test_a_declaration_says_utf_8_and_1_0(declaration: str) -> None:
    """Another encoding would be read otherwise by others."""
    assert "not acceptable XML" in refusal(declaration + entity())


# What the document says of its own validity


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("PT30S", timedelta(seconds=30)),
        ("PT0.5S", timedelta(milliseconds=500)),
        ("P1DT2H3M", timedelta(days=1, hours=2, minutes=3)),
        ("P1Y2M", timedelta(days=425)),
        (" PT6H ", timedelta(hours=6)),
    ],
)
def test_a_cache_duration_is_read(value: str, expected: timedelta) -> None:
    """xs:duration; of several the shortest counts, the groups' included."""
    xml = group(entity(attributes=f'cacheDuration="{value}"'), attributes='cacheDuration="P9Y"')
    assert read_metadata(xml.encode(), now=NOW).cache_duration == expected
    assert read_metadata(entity().encode(), now=NOW).cache_duration is None


@pytest.mark.parametrize("value", ["", "P", "PT", "6h", "-PT6H", "P99999999999D", "PT6"])
def test_a_cache_duration_that_is_none_is_refused(value: str) -> None:
    assert "not a duration" in refusal(entity(attributes=f'cacheDuration="{value}"'))


def test_the_copy_to_keep_says_the_same_as_the_whole() -> None:
    """The entity alone, ending when the first of its groups does."""
    xml = group(group(entity(), attributes='validUntil="2026-12-01T00:00:00Z"'), attributes='validUntil="2030-01-01"')
    whole = read_metadata(xml.encode(), now=NOW)
    alone = read_metadata(whole.document, now=NOW)
    assert whole.valid_until == alone.valid_until
    assert f"{whole.valid_until:%Y-%m-%d}" == "2026-12-01"
    assert alone.identity_provider == whole.identity_provider
    assert alone.document == whole.document


def test_a_signature_that_nobody_asked_for_is_not_kept() -> None:
    """The copy is of what was said; who signed it was asked, or not, when it came."""
    signed = entity("<ds:Signature/>", idp_role())
    assert b"Signature" not in read_metadata(signed.encode(), now=NOW).document


def test_every_problem_is_told_at_once() -> None:
    """And everything that could be read is there for a look at it."""
    xml = entity(
        idp_role(
            key_descriptor("AAAA"),
            key_descriptor("not base64!"),
            endpoint("http://idp.example/sso"),
            endpoint("javascript:x", tag="SingleLogoutService"),
        ),
        entity_id="urn:with space",
        attributes='validUntil="2020-01-01T00:00:00Z"',
    )
    examined = examine_metadata(xml.encode(), now=NOW)
    told = " | ".join(examined.problems)
    for words in ("spaces", "http, not https", "SingleLogoutService", "certificate 1", "certificate 2", "valid until"):
        assert words in told
    assert examined.metadata.identity_provider.entity_id == "urn:with space"
    with pytest.raises(MetadataUnusable, match="certificate 2"):
        read_metadata(xml.encode(), now=NOW)


def test_a_wanted_entity_is_not_named_where_nobody_is() -> None:
    """Of a document without an identity provider, what it is instead says more than whom it lacks."""
    theirs = group(entity(sp_role(), entity_id="urn:sp"))
    assert "the metadata of a service provider" in refusal(theirs, entity_id=ENTITY_ID)
    others = group(entity(entity_id="urn:another"))
    told = refusal(others, entity_id=ENTITY_ID)
    assert told == f"no identity provider {ENTITY_ID} in this metadata, only urn:another"


def test_a_service_provider_beside_it_is_no_second_one() -> None:
    xml = group(entity(sp_role(), entity_id="urn:sp"), entity(idp_role(key_descriptor(in_xml(SIGNING)), endpoint())))
    assert read_idp_metadata(xml.encode(), now=NOW).entity_id == ENTITY_ID


@pytest.mark.parametrize("mark", ["<?x?>", "<![CDATA[x]]>", "<!DOCTYPE x>", "<!ELEMENT x>"])
def test_a_mark_across_two_pieces_is_seen(mark: str) -> None:
    """Documents are looked at in pieces: wherever one ends, nothing slips through between two."""
    start, end = group(entity(), "|").split("|")
    room = 64 * 1024 - len(start)
    for before in range(room - len(mark) - 1, room + 2):
        assert "not well-formed" not in refusal(f"{start}{' ' * before}{mark}{end}", entity_id=ENTITY_ID)


@pytest.mark.parametrize("text", ["<!-- a comment -->", "é", "€", "<x xmlns='urn:x'/>"])
def test_what_is_allowed_may_lie_across_two_pieces(text: str) -> None:
    """A comment, or a character of several bytes, is the same wherever a piece ends."""
    start, end = group(entity(), "<md:Extensions>|</md:Extensions>").split("|")
    room = 64 * 1024 - len(start)
    for before in range(room - len(text.encode()) - 1, room + 2):
        xml = f"{start}{' ' * before}{text}{end}".encode()
        assert read_idp_metadata(xml, now=NOW, entity_id=ENTITY_ID).entity_id == ENTITY_ID


def test_a_file_is_read_as_its_text_is(tmp_path: Path) -> None:
    """In pieces from the disk, so that little of it is ever in memory; as strictly."""
    file = tmp_path / "federation.xml"
    file.write_bytes(large(1500))
    tracemalloc.start()
    assert (
        read_idp_metadata(file, now=NOW, entity_id="https://idp1499.example/").entity_id == "https://idp1499.example/"
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1024 * 1024
    file.write_bytes(large(1500, then="<!DOCTYPE x>"))
    with pytest.raises(MetadataUnusable, match="document type"):
        read_idp_metadata(file, now=NOW, entity_id="https://idp1499.example/")
    with pytest.raises(FileNotFoundError):
        read_idp_metadata(tmp_path / "missing.xml", now=NOW)
