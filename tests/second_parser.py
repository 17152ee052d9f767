"""Expat, which shares no code with the parser that we use, reading a document: the same as lxml, or a fault."""

from __future__ import annotations

from xml.parsers import expat

from lxml import etree

Node = tuple[str, ...]


def as_lxml_reads(element: etree._Element) -> list[Node]:
    """Start, text, end, in document order; names as `{namespace}local`."""
    nodes: list[Node] = [
        (
            "start",
            str(element.tag),
            *(f"{k}={v}" for k, v in sorted((str(k), str(v)) for k, v in element.attrib.items())),
        )
    ]
    nodes += [("text", element.text)] if element.text else []
    for child in element:
        nodes += as_lxml_reads(child)
        nodes += [("text", child.tail)] if child.tail else []
    return [*nodes, ("end", str(element.tag))]


def as_expat_reads(xml: bytes) -> list[Node]:
    nodes: list[Node] = []
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True

    def name(raw: str) -> str:
        return "{" + raw if "}" in raw else raw

    def start(raw: str, attributes: dict[str, str]) -> None:
        nodes.append(
            ("start", name(raw), *(f"{k}={v}" for k, v in sorted((name(k), v) for k, v in attributes.items())))
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda raw: nodes.append(("end", name(raw)))
    parser.CharacterDataHandler = lambda text: nodes.append(("text", text))
    parser.Parse(xml, True)
    return nodes
