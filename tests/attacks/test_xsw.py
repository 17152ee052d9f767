"""XSW: a genuine signature, moved to where it proves something else than what is read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lxml import etree
from tests.attacks.naive import believes
from tests.attacks.scene import (
    BOTH_SIGNED,
    EVERY_WAY,
    RESPONSE_SIGNED,
    Attack,
    Scene,
    check_refused,
    check_twin_accepted,
    cut,
    default_scene,
    said,
    verify,
)
from tests.attacks.surgery import Element, assertion_in, edited, sign_again, signature_of, swapped
from tests.attacks.wrapping import (
    CLASSIC_ON_ASSERTION,
    captured_message,
    conceal_signed,
    evil_twin,
    failure_as_decoy,
    failure_with_assertion,
    insert,
    nested_in,
    same_id_twin,
    second_signature,
    two_captured_messages,
    unsigned_twin_after,
    xsw1,
    xsw2,
    xsw3,
)
from tests.identity_provider import find_one
from tests.response_shape import SAML, SAMLP, XSI

FAILURE = {"status": ("Responder", "NoPassive"), "has_assertion": False, **RESPONSE_SIGNED}

CLASSIC: tuple[Attack, ...] = (
    cut("XSW-001", "response signed", "signature_malformed", xsw1, genuine=RESPONSE_SIGNED),
    cut("XSW-001", "both signed", "signature_malformed", xsw1, genuine=BOTH_SIGNED),
    cut("XSW-002", "response signed", "schema_violated", xsw2, genuine=RESPONSE_SIGNED),
    cut("XSW-002", "both signed", "schema_violated", xsw2, genuine=BOTH_SIGNED),
    *(
        cut(row, way, code, CLASSIC_ON_ASSERTION[row], genuine=EVERY_WAY[way])
        for way in ("assertion signed", "both signed")
        for row, code in {
            "XSW-003": "too_many_assertions",
            "XSW-004": "assertion_misplaced",
            "XSW-005": "too_many_assertions",
            "XSW-006": "assertion_misplaced",
            "XSW-007": "schema_violated",
            "XSW-008": "signature_malformed",
        }.items()
    ),
    cut("XSW-014", "before", "too_many_assertions", same_id_twin(before=True)),
    cut("XSW-014", "after", "too_many_assertions", same_id_twin(before=False)),
    cut("XSW-020", "before", "too_many_assertions", xsw3),
    cut("XSW-020", "after", "too_many_assertions", unsigned_twin_after),
    cut("XSW-022", "Extensions", "assertion_misplaced", conceal_signed("in Extensions")),
    cut("XSW-022", "foreign element", "schema_violated", conceal_signed("in a foreign element")),
    cut("XSW-022", "StatusDetail", "assertion_misplaced", conceal_signed("in StatusDetail")),
    cut("XSW-022", "SubjectConfirmationData", "assertion_misplaced", conceal_signed("in SubjectConfirmationData")),
    cut("XSW-022", "AttributeValue", "assertion_misplaced", conceal_signed("in AttributeValue")),
    cut("XSW-022", "Advice", "assertion_misplaced", conceal_signed("in Advice")),
    *(
        cut("XSW-012", place, "schema_violated", nested_in(place), genuine=RESPONSE_SIGNED)
        for place in ("first", "before the status", "last")
    ),
    *(
        cut("XSW-021", place, "schema_violated", nested_in(place), genuine=RESPONSE_SIGNED)
        for place in ("in the status", "in StatusDetail", "in Extensions", "in SubjectConfirmationData",
                      "in AttributeValue", "in Advice")
    ),
    cut("XSW-024", "expired, last", "schema_violated", nested_in("last", captured="expired")),
    cut("XSW-024", "expired, Extensions", "schema_violated", nested_in("in Extensions", captured="expired")),
)  # fmt: skip
"""Those that fool a verifier which looks for the signed element by its ID."""


def on_failure(edit: Callable[[Scene, Element], None]) -> Callable[[Scene], bytes]:
    return lambda scene: edited(captured_message(scene, "failure"), lambda root: edit(scene, root))


def out_of_order(edit: Callable[[Element], None]) -> Callable[[Scene, Element], None]:
    """Re-order the assertion's children, and let the identity provider's own key sign that."""

    def change(scene: Scene, root: Element) -> None:
        assertion = assertion_in(root)
        edit(assertion)
        sign_again(assertion, scene.idp.signer)

    return change


def to_front(path: str) -> Callable[[Element], None]:
    return lambda assertion: assertion.insert(0, find_one(assertion, path))


def authn_statement_first(assertion: Element) -> None:
    find_one(assertion, "saml:Conditions").addprevious(find_one(assertion, "saml:AuthnStatement"))


def signature_last(assertion: Element) -> None:
    assertion.append(signature_of(assertion))


def with_attribute(path: str, name: str, value: str | None = None) -> Callable[[Scene, Element], None]:
    """Give an element another kind of ID, before its own, with the value of the signed one or `value`."""

    def edit(scene: Scene, root: Element) -> None:
        element = root if path == "." else find_one(root, path)
        own = {str(each): str(text) for each, text in element.attrib.items()}
        element.attrib.clear()
        element.set(name, value or own["ID"])
        for each, text in own.items():
            element.set(each, text)

    return edit


def instead_of_id(name: str) -> Callable[[Scene, Element], None]:
    def edit(scene: Scene, root: Element) -> None:
        assertion = assertion_in(root)
        assertion.set(name, assertion.attrib.pop("ID"))

    return edit


def relative_namespace(path: str) -> Callable[[Scene], bytes]:
    """CVE-2025-66568: canonicalising under a relative namespace fails, and an empty text is easily hashed."""

    def build(scene: Scene) -> bytes:
        return swapped(scene.respond(), f"<{path} ", f'<{path} xmlns:ns="1" ')

    return build


def renamed(path: str, namespace: str) -> Callable[[Scene], bytes]:
    """The element under the same local name in another namespace, or in none."""

    def build(scene: Scene) -> bytes:
        def edit(root: Element) -> None:
            element = root if path == "." else find_one(root, path)
            name = etree.QName(element).localname
            element.tag = f"{{{namespace}}}{name}" if namespace else name

        return edited(scene.respond(), edit)

    return build


def unsigned_lookalike(scene: Scene, root: Element) -> None:
    """A forged Assertion in another namespace in front of the genuine one."""
    evil = evil_twin(scene, assertion_in(root))
    evil.tag = "{urn:oasis:names:tc:SAML:1.0:assertion}Assertion"
    assertion_in(root).addprevious(evil)


def lookalike_in_extensions(scene: Scene, root: Element) -> None:
    evil = evil_twin(scene, assertion_in(root))
    evil.tag = "{urn:oasis:names:tc:SAML:1.0:assertion}Assertion"
    insert(evil, root, "in Extensions")


def foreign_with_our_id(scene: Scene, root: Element) -> None:
    """Something else under the very ID that the genuine signature refers to."""
    stranger = etree.Element("{urn:mine}Thing", ID=str(assertion_in(root).get("ID")))
    insert(stranger, root, "in Extensions")


OTHERS: tuple[Attack, ...] = (
    *(
        cut("XSW-009", f"evil {'first' if first else 'last'}", "signature_misplaced",
            second_signature("assertion", evil_first=first))
        for first in (True, False)
    ),
    cut("XSW-010", "Subject first", "schema_violated", out_of_order(to_front("saml:Subject"))),
    cut("XSW-010", "Conditions first", "schema_violated", out_of_order(to_front("saml:Conditions"))),
    cut("XSW-010", "AuthnStatement before Conditions", "schema_violated", out_of_order(authn_statement_first)),
    cut("XSW-010", "Signature first", "signature_misplaced", out_of_order(to_front("ds:Signature"))),
    cut("XSW-010", "Signature last", "signature_misplaced", out_of_order(signature_last)),
    *(
        cut("XSW-011", f"evil {'first' if first else 'last'}", "signature_misplaced",
            second_signature("response", evil_first=first), genuine=RESPONSE_SIGNED)
        for first in (True, False)
    ),
    cut("XSW-013", "two captured messages", "schema_violated", two_captured_messages, genuine=RESPONSE_SIGNED),
    *(
        cut("XSW-024", f"failure, {place}", "schema_violated", nested_in(place, captured="failure"))
        for place in ("first", "last", "in StatusDetail", "in Extensions", "in Advice", "in AttributeValue")
    ),
    Attack("XSW-025", "assertion put in", "status_contradicted", on_failure(failure_with_assertion)),
    Attack("XSW-025", "decoy", "signature_malformed", on_failure(failure_as_decoy)),
    said("XSW-015", "Response and Assertion", "duplicate_id", response_id="_same", assertion_id="_same"),
    cut("XSW-015", "foreign element with our ID", "attribute_not_allowed", foreign_with_our_id),
    *(
        cut("XSW-016", f"{label} of the {where}", "attribute_not_allowed", with_attribute(path, name, "_evil"))
        for where, path in {"response": ".", "assertion": "saml:Assertion"}.items()
        for label, name in {
            "x:ID": "{urn:x}ID",
            "xsi:ID": f"{{{XSI}}}ID",
            "xml:ID": "{http://www.w3.org/XML/1998/namespace}ID",
            "saml:ID": f"{{{SAML}}}ID",
        }.items()
    ),
    *(
        cut("XSW-017", f"{label} next to ID", "attribute_not_allowed", with_attribute("saml:Assertion", name, "_evil"))
        for label, name in {"Id": "Id", "id": "id", "xml:id": "{http://www.w3.org/XML/1998/namespace}id"}.items()
    ),
    *(
        cut("XSW-017", f"{label} instead of ID", "attribute_not_allowed", instead_of_id(name))
        for label, name in {"Id": "Id", "id": "id", "xml:id": "{http://www.w3.org/XML/1998/namespace}id"}.items()
    ),
    Attack("XSW-018", "on the Response", "namespace_not_absolute", relative_namespace("samlp:Response")),
    Attack("XSW-018", "on the Assertion", "namespace_not_absolute", relative_namespace("saml:Assertion")),
    Attack("XSW-019", "Response in none", "root_unexpected", renamed(".", "")),
    Attack("XSW-019", "Response elsewhere", "root_unexpected", renamed(".", SAML)),
    Attack("XSW-019", "Assertion in none", "schema_violated", renamed("saml:Assertion", "")),
    Attack("XSW-019", "Assertion elsewhere", "schema_violated", renamed("saml:Assertion", SAMLP)),
    Attack("XSW-019", "Signature in none", "schema_violated", renamed("saml:Assertion/ds:Signature", "")),
    Attack("XSW-019", "Signature elsewhere", "schema_violated", renamed("saml:Assertion/ds:Signature", SAMLP)),
    cut("XSW-019", "look-alike in Extensions", "schema_violated", lookalike_in_extensions),
    cut("XSW-019", "look-alike in front", "schema_violated", unsigned_lookalike),
)  # fmt: skip

ATTACKS = CLASSIC + OTHERS


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_attack_is_refused(attack: Attack) -> None:
    """Each wrapping attack is refused, for its own reason."""
    check_refused(attack)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_honest_twin_is_accepted(attack: Attack) -> None:
    """The same message without the attack signs the person in."""
    check_twin_accepted(attack)


@pytest.mark.parametrize("attack", CLASSIC, ids=str)
def test_the_attack_is_a_genuine_one(attack: Attack) -> None:
    """A verifier that looks for the signed element by its ID would sign the victim in."""
    scene = default_scene()
    message = attack.build(scene)
    assert isinstance(message, bytes)
    assert scene.victim in believes(message, scene.idp.signer)


def test_xsw_023_only_signed_values_are_read() -> None:
    """Whatever the unsigned envelope says, every value of the assertion is the signed one."""
    scene = default_scene()
    honest = scene.respond()
    changed = edited(honest, lambda root: root.set("IssueInstant", "2026-03-01T12:01:00Z"))
    changed = edited(changed, lambda root: root.set("Consent", "urn:oasis:names:tc:SAML:2.0:consent:prior"))
    assert verify(scene, changed) == verify(scene, honest)
    values = {attribute.name: attribute.values for attribute in verify(scene, changed).attributes}
    assert values["Email"] == (scene.email,)


@pytest.mark.parametrize("name", ["InResponseTo", "Destination"])
def test_xsw_023_the_unsigned_envelope_can_only_refuse(name: str) -> None:
    """A change to the unsigned envelope leads to a refusal or to nothing, never to another identity."""
    scene = default_scene()
    check_refused(
        Attack(
            "XSW-023",
            name,
            {"InResponseTo": "in_response_to_mismatch", "Destination": "destination_mismatch"}[name],
            lambda scene: edited(scene.respond(), lambda root: root.set(name, "https://other.example/")),
        ),
        scene,
    )
