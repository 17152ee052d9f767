"""How much there is in a document, and which words: as expat sees it go by, before anything is built of it.

It stops at the first excess. expat keeps nothing, and it is another parser than the one that builds the
tree: what the two don't both call well-formed is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from xml.parsers import expat

from ..errors import NamespaceNotAbsolute, XmlMalformed, XmlTooComplex

MAX_ATTRIBUTES = 32
"""On one element, namespace declarations included."""
MAX_NAMESPACE = 256
"""Characters. The canonical form may repeat a namespace on each element: one of 100 KB made a gigabyte of it."""

_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.")


def read_words(xml: bytes, *, max_elements: int, max_depth: int) -> AbstractSet[str | None]:
    """The names, prefixes and namespaces in a document. Raises XmlMalformed, XmlTooComplex, NamespaceNotAbsolute."""
    counter = _Counter(max_elements, max_depth)
    words: dict[str, str] = {}
    parser = expat.ParserCreate("utf-8", namespace_separator="}", intern=words)
    parser.ordered_attributes = True
    parser.StartNamespaceDeclHandler = counter.declare
    parser.StartElementHandler = counter.start
    parser.EndElementHandler = counter.end
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise XmlMalformed(f"not well-formed XML (line {error.lineno})") from None
    return words.keys()


@dataclass(slots=True)
class _Counter:
    max_elements: int
    max_depth: int
    elements: int = 0
    depth: int = 0
    declared: int = 0
    """Namespaces, on the element that is about to start."""

    def declare(self, prefix: str | None, namespace: str | None) -> None:
        self.declared += 1
        if namespace and len(namespace) > MAX_NAMESPACE:
            raise XmlTooComplex(f"a namespace of more than {MAX_NAMESPACE} characters")
        # A relative one leaves canonicalisation undefined, and libxml2's comes out empty (CVE-2025-66568).
        if namespace and not _ABSOLUTE_URI.match(namespace):
            raise NamespaceNotAbsolute("a namespace that is no absolute URI")

    def start(self, name: str, attributes: Sequence[str]) -> None:
        self.elements += 1
        self.depth += 1
        if self.elements > self.max_elements:
            raise XmlTooComplex(f"more than {self.max_elements} elements")
        if self.depth > self.max_depth:
            raise XmlTooComplex(f"elements nested more than {self.max_depth} deep")
        if len(attributes) // 2 + self.declared > MAX_ATTRIBUTES:
            raise XmlTooComplex(f"more than {MAX_ATTRIBUTES} attributes on one element")
        self.declared = 0

    def end(self, name: str) -> None:
        self.depth -= 1
