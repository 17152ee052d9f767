"""Find one entity in a metadata document, which may describe thousands (a federation's aggregate).

The document goes by once, and only the entity that is wanted stays; what is handed on is its own bytes,
for the strict parser (metadata.py). So a large document costs the time of reading it, and little memory.
What the entity says, and who signed it, are not looked at here.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from lxml import etree

from ..errors import MetadataUnusable
from .metadata_bytes import MAX_AGGREGATE_BYTES, MAX_BYTES, WEB_PAGE, CheckedBytes, Document, opened

MAX_NAMES = 20
MAX_GROUPS = 10
"""EntitiesDescriptors within each other."""
SAML2_PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"

_MD = "{urn:oasis:names:tc:SAML:2.0:metadata}"
_ENTITY = f"{_MD}EntityDescriptor"
_GROUP = f"{_MD}EntitiesDescriptor"
_STRICT: Any = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,  # libxml2's own limits stay on
    "remove_comments": True,  # and a comment must not split a text
    "collect_ids": False,
}


@dataclass(frozen=True, slots=True)
class Entity:
    """One EntityDescriptor, as a document of its own, and what the groups around it say of their validity."""

    xml: bytes = field(repr=False)
    group_valid_until: tuple[str, ...] = ()
    group_cache_duration: tuple[str, ...] = ()


def find_entity(document: Document, entity_id: str | None) -> Entity:
    """The one identity provider that this document describes, or the one called `entity_id` among several.

    Raises MetadataUnusable, in words for the admin who supplied it; OSError for a file that can't be read.
    """
    # lxml keeps all names that a thread has read, for as long as it lives (parsing.py): this one ends.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_find, document, entity_id).result()


def _find(document: Document, entity_id: str | None) -> Entity:
    search = _Search(entity_id)
    search.run(document)
    return search.found(document)


def read_root(document: Document, *, max_bytes: int = MAX_AGGREGATE_BYTES) -> etree._Element:
    """The whole document as a tree: for a signature that covers all of it. In a thread that ends."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_parse_all, document, max_bytes).result()


def _parse_all(document: Document, max_bytes: int) -> etree._Element:
    with opened(document, max_bytes) as text, _errors_in_words(text):
        parser = etree.XMLParser(**_STRICT)
        return etree.parse(cast("BinaryIO", text), parser).getroot()


@contextmanager
def _errors_in_words(text: CheckedBytes) -> Iterator[None]:
    try:
        yield
    except etree.XMLSyntaxError as error:
        # libxml2's own text may quote the document.
        raise MetadataUnusable(text.in_words(f"not well-formed XML (line {error.lineno})")) from None


# The entities


class _Search:
    """One pass over a document: who is in it, and the bytes of the one that is wanted."""

    def __init__(self, entity_id: str | None) -> None:
        self._wanted = entity_id
        self._seen: set[str] = set()
        self._repeated: set[str] = set()
        self._providers: set[str] = set()
        self._roles: set[str] = set()
        self._entity: Entity | None = None
        self._chosen = ""

    def run(self, document: Document) -> None:
        with opened(document, MAX_BYTES if self._wanted is None else MAX_AGGREGATE_BYTES) as text:
            parts = etree.iterparse(text, events=("end",), tag=_ENTITY, **_STRICT)
            with _errors_in_words(text):
                for _, element in parts:
                    self._look_at(element)
        _check_root(parts.root)

    def _look_at(self, element: etree._Element) -> None:
        if self._wanted is None or element.get("entityID") == self._wanted:
            self._note(element)
        parent = element.getparent()
        if parent is None or parent.tag == _GROUP:  # else it is a part of another entity, such as it is
            element.clear()

    def _note(self, element: etree._Element) -> None:
        groups = list(element.iterancestors())
        if len(groups) > MAX_GROUPS:
            raise MetadataUnusable(f"groups of entities more than {MAX_GROUPS} deep")
        if any(group.tag != _GROUP for group in groups):
            return
        name = element.get("entityID", "")
        (self._repeated if name in self._seen else self._seen).add(name)
        self._roles |= {str(child.tag) for child in element}
        if not idp_descriptors(element):
            return
        self._providers.add(name)
        if self._entity is None:
            self._chosen = name
            self._entity = _taken_from_its_groups(element)

    def found(self, document: Document) -> Entity:
        if self._entity is None:
            raise MetadataUnusable(self._why_not(document))
        if len(self._providers) > 1:
            raise MetadataUnusable(
                f"{len(self._providers)} identity providers in this metadata; say which one by entity_id:"
                f" {_names(self._providers)}"
            )
        # Two descriptions of one entity could say different things: which of them would be true?
        if self._chosen in self._repeated:
            raise MetadataUnusable(f"the entity {_names(self._providers)} is described more than once")
        return self._entity

    def _why_not(self, document: Document) -> str:
        if self._wanted is not None:
            everybody = _Search(None)
            everybody.run(document)
            if everybody._providers:
                others = _names(everybody._providers)
                return f"no identity provider {shown(self._wanted)} in this metadata, only {others}"
            return everybody._why_not(document)
        if f"{_MD}SPSSODescriptor" in self._roles:
            return "this is the metadata of a service provider (ours?); the identity provider's is needed here"
        if f"{_MD}IDPSSODescriptor" in self._roles:
            return "the identity provider in this metadata does not speak SAML 2.0"
        return "no identity provider in this metadata: there is no IDPSSODescriptor"


def _check_root(root: etree._Element) -> None:
    if root.tag not in (_ENTITY, _GROUP):
        name = etree.QName(root).localname
        raise MetadataUnusable(
            WEB_PAGE if name == "html" else f"this is XML, but its first element is {shown(name)}, not EntityDescriptor"
        )


def _taken_from_its_groups(element: etree._Element) -> Entity:
    groups = list(element.iterancestors())
    return Entity(
        xml=etree.tostring(element, encoding="utf-8", xml_declaration=False, with_tail=False),
        group_valid_until=tuple(value for group in groups if (value := group.get("validUntil")) is not None),
        group_cache_duration=tuple(value for group in groups if (value := group.get("cacheDuration")) is not None),
    )


def idp_descriptors(entity: etree._Element) -> list[etree._Element]:
    """Its roles of a SAML 2.0 identity provider."""
    return [
        descriptor
        for descriptor in entity.findall(f"{_MD}IDPSSODescriptor")
        if SAML2_PROTOCOL in descriptor.get("protocolSupportEnumeration", "").split()
    ]


def _names(entities: set[str]) -> str:
    names = sorted(map(shown, entities))
    return ", ".join(names[:MAX_NAMES]) + (f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else "")


def shown(text: str) -> str:
    """For the log: short, and no line of it can be forged."""
    return repr(text[:200])[1:-1]
