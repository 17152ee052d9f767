"""XML signature wrapping: where the genuine, signed element goes, and where its forged twin stands.

The eight classic ones are those of Somorovsky et al., "On Breaking SAML" (2012), in the numbering of
the tool SAML Raider. Each edit is given a genuine message and leaves a genuine signature in it.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Literal

from lxml import etree
from tests.attacks.scene import RESPONSE_SIGNED, Scene
from tests.attacks.surgery import (
    Element,
    assertion_in,
    ds,
    insert_before,
    remove,
    saml,
    samlp,
    signature_of,
    without_signature,
    wrap_in,
)
from tests.identity_provider import find_one

SceneEdit = Callable[[Scene, Element], None]


def evil_twin(scene: Scene, element: Element) -> Element:
    """A forged copy without a signature, under an ID of its own."""
    evil = scene.forge(without_signature(element))
    evil.set("ID", "_evil")
    return evil


def turn_evil(scene: Scene, element: Element) -> None:
    """Forge the element where it stands, signature and all, under an ID of its own."""
    scene.forge(element)
    element.set("ID", "_evil")


def xsw1(scene: Scene, root: Element) -> None:
    original = without_signature(root)
    turn_evil(scene, root)
    signature_of(root).append(original)


def xsw2(scene: Scene, root: Element) -> None:
    original = without_signature(root)
    turn_evil(scene, root)
    insert_before(original, signature_of(root))


def xsw3(scene: Scene, root: Element) -> None:
    insert_before(evil_twin(scene, assertion_in(root)), assertion_in(root))


def xsw4(scene: Scene, root: Element) -> None:
    original = assertion_in(root)
    evil = evil_twin(scene, original)
    root.replace(original, evil)
    evil.append(original)


def xsw5(scene: Scene, root: Element) -> None:
    evil = assertion_in(root)
    original = without_signature(evil)
    turn_evil(scene, evil)
    root.append(original)


def xsw6(scene: Scene, root: Element) -> None:
    evil = assertion_in(root)
    original = without_signature(evil)
    turn_evil(scene, evil)
    signature_of(evil).append(original)


def xsw7(scene: Scene, root: Element) -> None:
    original = assertion_in(root)
    insert_before(wrap_in(samlp("Extensions"), evil_twin(scene, original)), original)


def xsw8(scene: Scene, root: Element) -> None:
    evil = assertion_in(root)
    original = without_signature(evil)
    turn_evil(scene, evil)
    signature_of(evil).append(wrap_in(ds("Object"), original))


CLASSIC_ON_ASSERTION: dict[str, SceneEdit] = {
    "XSW-003": xsw3, "XSW-004": xsw4, "XSW-005": xsw5, "XSW-006": xsw6, "XSW-007": xsw7, "XSW-008": xsw8
}  # fmt: skip


def same_id_twin(before: bool) -> SceneEdit:
    """The forged twin under the very ID that the genuine signature refers to."""

    def edit(scene: Scene, root: Element) -> None:
        original = assertion_in(root)
        evil = scene.forge(without_signature(original))
        if before:
            insert_before(evil, original)
        else:
            original.addnext(evil)

    return edit


def unsigned_twin_after(scene: Scene, root: Element) -> None:
    assertion_in(root).addnext(evil_twin(scene, assertion_in(root)))


def second_signature(level: Literal["assertion", "response"], *, evil_first: bool) -> SceneEdit:
    """A second direct Signature: the impostor's, beside the genuine one."""

    def edit(scene: Scene, root: Element) -> None:
        element = root if level == "response" else assertion_in(root)
        genuine = signature_of(element)
        theirs = etree.fromstring(scene.respond_as(scene.impostor, sign_response=True))
        evil = signature_of(theirs if level == "response" else assertion_in(theirs))
        if evil_first:
            insert_before(evil, genuine)
        else:
            genuine.addnext(evil)

    return edit


def nested_in(place: str, *, captured: Literal["ours", "failure", "expired"] = "ours") -> SceneEdit:
    """A whole genuine signed Response inside a forged one whose children are out of order."""

    def edit(scene: Scene, root: Element) -> None:
        original = etree.fromstring(captured_message(scene, captured))
        scene.forge(root)
        for signature in list(root.iter(ds("Signature"))):
            remove(signature)
        insert(original, root, place)

    return edit


def captured_message(scene: Scene, kind: Literal["ours", "failure", "expired"]) -> bytes:
    """What an attacker may well hold: a login of his own, a refusal, or an old login elsewhere."""
    if kind == "failure":
        return scene.respond(status=("Responder", "NoPassive"), has_assertion=False, **RESPONSE_SIGNED)
    if kind == "expired":
        return scene.respond(
            now=scene.now.replace(year=scene.now.year - 1), audience="https://elsewhere.example/", **RESPONSE_SIGNED
        )
    return scene.respond(**RESPONSE_SIGNED)


def insert(guest: Element, root: Element, place: str) -> None:
    if place == "first":
        root.insert(0, guest)
    elif place == "before the status":
        insert_before(guest, find_one(root, "samlp:Status"))
    elif place == "in the status":
        find_one(root, "samlp:Status").append(guest)
    elif place == "in StatusDetail":
        find_one(root, "samlp:Status").append(wrap_in(samlp("StatusDetail"), guest))
    elif place == "in Extensions":
        insert_before(wrap_in(samlp("Extensions"), guest), find_one(root, "samlp:Status"))
    elif place == "in a foreign element":
        insert(wrap_in("{urn:mine}Wrapper", guest), root, "in Extensions")
    elif place == "in SubjectConfirmationData":
        find_one(root, ".//saml:SubjectConfirmationData").append(guest)
    elif place == "in AttributeValue":
        find_one(root, ".//saml:AttributeValue").append(guest)
    elif place == "in Advice":
        find_one(root, ".//saml:Conditions").addnext(wrap_in(saml("Advice"), guest))
    else:
        assert place == "last", place
        root.append(guest)


def two_captured_messages(scene: Scene, root: Element) -> None:
    """A second Signature on the Response, and a second captured Response out of order, at once."""
    second_signature("response", evil_first=True)(scene, root)
    insert(etree.fromstring(scene.respond(response_id="_second", **RESPONSE_SIGNED)), root, "before the status")
    scene.forge(assertion_in(root))


def conceal_signed(place: str) -> SceneEdit:
    """The genuine signed assertion hidden away; the forged one where assertions belong."""

    def edit(scene: Scene, root: Element) -> None:
        original = assertion_in(root)
        root.replace(original, evil_twin(scene, original))
        insert(original, root, place)

    return edit


def failure_with_assertion(scene: Scene, root: Element) -> None:
    """A genuine signed refusal, with a forged assertion put in and its Status left alone."""
    root.append(forged_assertion(scene))


def failure_as_decoy(scene: Scene, root: Element) -> None:
    """A forged login whose Signature repeats the refusal's SignatureValue, with the refusal in an Object."""
    original = deepcopy(root)
    signature = signature_of(root)
    signature.append(wrap_in(ds("Object"), without_signature(original)))
    root.set("ID", "_evil")
    code = find_one(root, "samlp:Status/samlp:StatusCode")
    code.set("Value", "urn:oasis:names:tc:SAML:2.0:status:Success")
    for inner in list(code):
        code.remove(inner)
    root.append(forged_assertion(scene))


def forged_assertion(scene: Scene) -> Element:
    return assertion_in(etree.fromstring(scene.respond(email=scene.victim, sign_assertion=False)))
