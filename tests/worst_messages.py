"""The most expensive messages that anybody could think of, within the size that is read at all.

Each is built into a genuine, signed Response, which whoever has an account holds one of: the signature
over its SignedInfo still verifies, so that what comes after that must be cheap too.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import count, islice

from tests.attacks.scene import BOTH_SIGNED, Scene, default_scene
from tests.response_shape import SentAttribute

from sso_middleware.saml.parsing import MAX_ENCODED

ROOM = MAX_ENCODED // 4 * 3
"""Bytes of XML that fit."""

_VALUE = b'<saml:AttributeValue xsi:type="xs:string">engineering</saml:AttributeValue>'


def worst_messages() -> dict[str, str]:
    """What it is → the form field."""
    scene = default_scene()
    return {
        name: base64.b64encode(xml).decode() if isinstance(xml := build(scene), bytes) else xml
        for name, build in _BUILDERS.items()
    }


def _with(xml: bytes, *, before: bytes = b"", inside: bytes = b"", declared: bytes = b"") -> bytes:
    """A genuine message with something in, or before, one of its values."""
    assert _VALUE in xml
    return xml.replace(_VALUE, before + b"<saml:AttributeValue" + declared + b">" + inside + b"</saml:AttributeValue>")


def _filled(scene: Scene, piece: Callable[[int], bytes], most: int = 10**6, declared: bytes = b"") -> bytes:
    """As many different pieces in a value as fit."""
    xml = scene.respond()
    room = ROOM - len(_with(xml, declared=declared))
    pieces: list[bytes] = []
    for made in islice(map(piece, count()), most):
        if (room := room - len(made)) < 0:
            break
        pieces.append(made)
    return _with(xml, inside=b"".join(pieces), declared=declared)


def _names(number: int) -> bytes:
    return b"<n%d/>" % number


def _namespaces(number: int) -> bytes:
    return b'<a:n%d xmlns:a="urn:%d"/>' % (number, number)


def _many_declarations(number: int) -> bytes:
    return b"<n" + b"".join(b' xmlns:p%d="urn:%d.%d"' % (each, number, each) for each in range(31)) + b"/>"


def _many_attributes(number: int) -> bytes:
    return b"<n" + b"".join(b' a%d.%d=""' % (number, each) for each in range(31)) + b"/>"


def _attributes_at_once(scene: Scene) -> bytes:
    attributes = b"".join(b' a%d=""' % each for each in range(16_000))
    return _with(scene.respond(), inside=b"<n" + attributes + b"/>")


def _deep(scene: Scene) -> bytes:
    levels = 20_000
    return _with(scene.respond(), inside=b"<n>" * levels + b"</n>" * levels)


def _one_namespace_rendered_often(scene: Scene) -> bytes:
    """Exclusive canonicalization repeats a declaration at each element that uses it: one becomes thousands."""
    return _filled(scene, lambda number: b"<a:n/>", 4800, b' xmlns:a="urn:' + b"x" * 100_000 + b'"')


def _many_namespaces_rendered_often(scene: Scene, length: int = 3000) -> bytes:
    declared = b"".join(b' xmlns:p%d="urn:%d%s"' % (each, each, b"x" * length) for each in range(20))
    used = b"".join(b' p%d:a=""' % each for each in range(20))
    return _filled(scene, lambda number: b"<n" + used + b"/>", 4800, declared)


def _groups(scene: Scene) -> bytes:
    groups = tuple(f"{number:05d}" for number in range(1_900))
    return scene.respond(attributes=(SentAttribute("Email", (scene.email,)), SentAttribute("g", groups)), **BOTH_SIGNED)


def _long_text(text: bytes) -> Callable[[Scene], bytes]:
    def build(scene: Scene) -> bytes:
        xml = scene.respond()
        return _with(xml, inside=text * ((ROOM - len(xml)) // len(text)))

    return build


_BUILDERS: dict[str, Callable[[Scene], bytes | str]] = {
    "honest, 1,900 groups, signed twice": _groups,
    "one long text": _long_text(b"x"),
    "one long text of references": _long_text(b"&#x10FFFF;"),
    "one long text to escape": _long_text(b"&gt;\r"),
    "elements, each of another name": lambda scene: _filled(scene, _names, 4800),
    "too many elements": lambda scene: _filled(scene, lambda number: b"<n/>"),
    "namespaces, each another": lambda scene: _filled(scene, _namespaces, 4800),
    "many declarations on each element": lambda scene: _filled(scene, _many_declarations),
    "many attributes on each element": lambda scene: _filled(scene, _many_attributes),
    "attributes on one element": _attributes_at_once,
    "nested": _deep,
    "one long namespace, used often": _one_namespace_rendered_often,
    "many long namespaces, used often": _many_namespaces_rendered_often,
    "many namespaces, used often": lambda scene: _many_namespaces_rendered_often(scene, length=200),
    "base64 of nothing but spaces": lambda scene: " " * MAX_ENCODED,
    "ten million characters": lambda scene: "A" * 10_000_000,
}
