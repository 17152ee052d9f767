"""The five vectors that the package ships for its self-test at start: one honest, four to refuse.

Each is refused by another part of the path, so that none of them could fail unnoticed.
"""

from __future__ import annotations

from tests.attacks.scene import BOTH_SIGNED, Scene, default_scene
from tests.attacks.signed_info import on_signed_info, set_uri
from tests.attacks.surgery import Element, ds, edited, remove
from tests.attacks.wrapping import xsw4

from .reading import Json
from .suite import Vector, vectors_file

ELSEWHERE = "https://attacker.example/assertion.xml"


def self_test_file() -> Json:
    scene = default_scene()
    messages: dict[str, tuple[bytes, str | None]] = {
        "good": (scene.respond(inclusive_prefixes=("xs",), **BOTH_SIGNED), None),
        "forged": (scene.respond_as(scene.impostor), "signature_invalid"),
        "unsigned": (edited(scene.respond(), drop_signatures), "signature_missing"),
        "re-wrapped": (edited(scene.respond(), lambda root: xsw4(scene, root)), "assertion_misplaced"),
        "external reference": (
            edited(scene.respond(), lambda root: refer_elsewhere(scene, root)),
            "reference_not_allowed",
        ),
    }
    return vectors_file(Vector(id, message, scene, {}, code) for id, (message, code) in messages.items())


def drop_signatures(root: Element) -> None:
    for signature in list(root.iter(ds("Signature"))):
        remove(signature)


def refer_elsewhere(scene: Scene, root: Element) -> None:
    """Signed by the right key, but for something that lies elsewhere."""
    on_signed_info(set_uri(lambda assertion: ELSEWHERE))(scene, root)
