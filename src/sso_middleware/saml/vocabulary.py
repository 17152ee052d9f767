"""The words of a message that are worth keeping: those of the schemas, and the prefixes in common use.

lxml keeps every name, prefix and namespace that a thread has read for as long as the thread lives, and
blanks between tags with them. These may stay; parsing.py reads a document with any other word in a
thread that ends. Nothing is refused here: an honest message with words of its own only takes longer.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

from .schema import FAILURE_SHAPES, NAMESPACES, SHAPES, tag

_MORE_NAMESPACES = {
    "http://www.w3.org/2001/XMLSchema",
    "http://www.w3.org/XML/1998/namespace",
    "urn:oasis:names:tc:SAML:2.0:profiles:attribute:X500",
    "http://schemas.xmlsoap.org/ws/2009/09/identity/claims",
}
COMMON_PREFIXES = frozenset(
    {*NAMESPACES, "saml2", "saml2p", "dsig", "enc", "xs", "xsd", "xml", "x500", "a", "e"}
    | {f"ns{number}" for number in range(10)}
)

# What Attribute and AttributeValue carry beside what the tables name.
_MORE_ATTRIBUTES = {
    "OriginalIssuer",
    "http://schemas.xmlsoap.org/ws/2009/09/identity/claims}OriginalIssuer",
    "urn:oasis:names:tc:SAML:2.0:profiles:attribute:X500}Encoding",
    "http://www.w3.org/2001/XMLSchema-instance}nil",
    "http://www.w3.org/XML/1998/namespace}lang",
}


def _as_expat_says(name: str) -> str:
    """Namespace, brace, name; the name alone if it is in none."""
    return tag(name)[1:] if ":" in name else name


_NAMES = {row.rpartition("/")[2] for row in SHAPES}
_ATTRIBUTES = {key for shapes in (SHAPES, FAILURE_SHAPES) for shape in shapes.values() for key in shape.attributes}
_VOCABULARY: frozenset[str | None] = frozenset(
    {None}
    | {_as_expat_says(name) for name in _NAMES | _ATTRIBUTES}
    | set(NAMESPACES.values())
    | _MORE_NAMESPACES
    | COMMON_PREFIXES
    | _MORE_ATTRIBUTES
)

# libxml2 keeps blanks of 16 to 59 characters between two tags. Of indentation there are a few dozen kinds.
_ODD_BLANKS = re.compile(rb">(?!\r?\n?(?: *|\t*)<)[ \t\r\n]{16}")


def is_familiar(xml: bytes, words: AbstractSet[str | None]) -> bool:
    """Whether reading `xml` leaves nothing new behind. `words`: its names, prefixes and namespaces.

    None among them is the prefix of a default namespace, or no namespace.
    """
    return words <= _VOCABULARY and _ODD_BLANKS.search(xml) is None
