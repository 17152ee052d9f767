"""Operate on genuine messages at random: what an attacker can do who has them, our certificates, and a key of his own.

Each operation takes a `Patient` and changes it, or leaves it alone where it finds nothing to do. None
knows what is refused. All chance comes from the one `Random` that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from lxml import etree
from tests.attacks.surgery import Element, digest_now, ds, forge, saml, samlp, sign_again
from tests.identity_provider import find_one
from tests.response_shape import DS, EXCLUSIVE_C14N, SAML, SAMLP, XSI
from tests.xml_encryption import XENC, XENC11, BlockCipher, Encryption, encrypted_assertion

from .messages import MALLORY, RECIPIENT, SCENE, Genuine, genuine_messages

T = TypeVar("T")

NAMESPACES = (SAML, SAMLP, DS, XENC, EXCLUSIVE_C14N, "urn:mine", "urn:oasis:names:tc:SAML:1.0:assertion", "")
LOCAL_NAMES = ("Response", "Assertion", "Signature", "SignedInfo", "Reference", "DigestValue", "Object", "Subject",
               "NameID", "Issuer", "Conditions", "Advice", "Extensions", "Status", "StatusDetail", "Attribute",
               "AttributeValue", "EncryptedAssertion", "SubjectConfirmationData", "KeyInfo", "X")  # fmt: skip
WRAPPERS = (ds("Object"), samlp("Extensions"), saml("Advice"), samlp("StatusDetail"), saml("Assertion"),
            samlp("Response"), ds("KeyInfo"), saml("AttributeValue"), "{urn:mine}Wrapper")  # fmt: skip
ID_NAMES = ("ID", "Id", "id", "{http://www.w3.org/XML/1998/namespace}id", "{urn:x}ID", f"{{{SAML}}}ID")
ALGORITHMS = (
    EXCLUSIVE_C14N, EXCLUSIVE_C14N + "WithComments", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    DS + "enveloped-signature", DS + "base64", "http://www.w3.org/TR/1999/REC-xpath-19991116",
    DS + "sha1", DS + "rsa-sha1", DS + "hmac-sha1", "http://www.w3.org/2001/04/xmlenc#sha256",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", XENC + "aes256-cbc", XENC11 + "aes128-gcm",
)  # fmt: skip
TEXTS = (SCENE.victim, MALLORY, "", " ", "AAAA", "true", SCENE.service_provider.entity_id, SCENE.idp.entity_id)
BLOCKS: tuple[BlockCipher, ...] = ("aes256-gcm", "aes256-cbc", "tripledes")


@dataclass
class Patient:
    """The message on the table, and what was done to it."""

    root: Element
    done: list[str] = field(default_factory=list)


Operation = Callable[[Random, Patient], None]


def operate(random: Random, patient: Patient) -> None:
    operation = random.choice(OPERATIONS)
    patient.done.append(operation.__name__)
    operation(random, patient)


def open_up(message: Genuine) -> Patient:
    return Patient(etree.fromstring(message.xml), [message.name])


# Finding


def some(random: Random, patient: Patient) -> Element:
    return random.choice(list(patient.root.iter("*")))


def inner(random: Random, patient: Patient) -> Element | None:
    """Any element but the root."""
    return _one_of(random, list(patient.root.iterdescendants("*")))


def key_part(random: Random, patient: Patient) -> Element | None:
    """Among the elements that attacks are about, any but the root."""
    names = (saml("Assertion"), ds("Signature"), saml("Subject"), saml("NameID"), saml("EncryptedAssertion"),
             saml("Conditions"), ds("Reference"), ds("SignedInfo"), saml("AttributeStatement"))  # fmt: skip
    return _one_of(random, list(patient.root.iterdescendants(*names)))


def signed_elements(patient: Patient) -> list[Element]:
    return [parent for each in patient.root.iter(ds("Signature")) if (parent := each.getparent()) is not None]


def donor(random: Random) -> Element:
    return etree.fromstring(random.choice(genuine_messages()).xml)


def _one_of(random: Random, choices: Sequence[T]) -> T | None:
    return random.choice(choices) if choices else None


def _put(random: Random, guest: Element, parent: Element) -> None:
    parent.insert(random.randint(0, len(parent)), guest)


def _put_anywhere(random: Random, guest: Element, patient: Patient) -> None:
    hosts = [each for each in patient.root.iter("*") if guest not in each.iterancestors() and each is not guest]
    host = random.choice(hosts)
    if random.random() < 0.3:  # in a place that reads like one of its own
        host = random.choice((patient.root, *signed_elements(patient)))
        host = host if host in hosts else patient.root
    if random.random() < 0.25:
        wrapper = etree.Element(random.choice(WRAPPERS))
        wrapper.append(guest)
        guest = wrapper
    _put(random, guest, host)


def _take(element: Element) -> Element:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)
    element.tail = None
    return element


# Whole subtrees


def move(random: Random, patient: Patient) -> None:
    if (element := random.choice((inner, key_part))(random, patient)) is not None:
        _put_anywhere(random, _take(element), patient)


def duplicate(random: Random, patient: Patient) -> None:
    if (element := random.choice((inner, key_part))(random, patient)) is not None:
        _put_anywhere(random, deepcopy(element), patient)


def remove(random: Random, patient: Patient) -> None:
    if (element := random.choice((inner, key_part))(random, patient)) is not None:
        _take(element)


def nest(random: Random, patient: Patient) -> None:
    """Wrap an element, or the whole message."""
    element = some(random, patient)
    wrapper = etree.Element(random.choice(WRAPPERS))
    if (parent := element.getparent()) is None:
        patient.root = wrapper
    else:
        parent.replace(element, wrapper)
    wrapper.append(element)


def nest_in_another(random: Random, patient: Patient) -> None:
    """Put the whole message somewhere into another."""
    guest, patient.root = patient.root, donor(random)
    _put_anywhere(random, guest, patient)


def unwrap(random: Random, patient: Patient) -> None:
    """Children take their parent's place."""
    if (element := inner(random, patient)) is not None and (parent := element.getparent()) is not None:
        for child in element:
            element.addprevious(child)
        parent.remove(element)


def graft(random: Random, patient: Patient) -> None:
    """A subtree of another message, put in or put in the place of its like."""
    names = (saml("Assertion"), ds("Signature"), saml("Subject"), saml("NameID"), samlp("Status"),
             saml("AttributeStatement"), saml("EncryptedAssertion"), saml("Issuer"))  # fmt: skip
    parts = list(donor(random).iterdescendants(*names))
    part = deepcopy(random.choice(parts)) if parts else None
    if part is None:
        return
    likes = list(patient.root.iterdescendants(str(part.tag)))
    like = _one_of(random, likes)
    if like is not None and (parent := like.getparent()) is not None and random.random() < 0.7:
        parent.replace(like, part)
    else:
        _put_anywhere(random, part, patient)


def hide_and_forge(random: Random, patient: Patient) -> None:
    """What every wrapping attack does: forge where it is read, and keep what was signed somewhere else."""
    if (signed := _one_of(random, signed_elements(patient))) is None:
        return
    genuine = deepcopy(signed)
    genuine.tail = None
    if random.random() < 0.5:
        genuine.remove(find_one(genuine, "ds:Signature"))
    elif random.random() < 0.7:
        signed.remove(find_one(signed, "ds:Signature"))
    _make_victim(signed)
    if random.random() < 0.7:
        signed.set("ID", "_evil")
    _put_anywhere(random, genuine, patient)


def forge_somewhere(random: Random, patient: Patient) -> None:
    _make_victim(some(random, patient))


def forge_and_digest(random: Random, patient: Patient) -> None:
    """Forge, and make the digest fit, which takes no key."""
    if (signed := _one_of(random, signed_elements(patient))) is not None:
        _make_victim(signed)
        signature = find_one(signed, "ds:Signature")
        for value in signature.iterfind(".//{*}DigestValue"):
            value.text = digest_now(signed, signature)


def _make_victim(element: Element) -> None:
    for person in (SCENE.email, MALLORY):
        if any(node.text == person for node in element.iter("*")):
            forge(element, person, SCENE.victim)


def sign_with_another_key(random: Random, patient: Patient) -> None:
    """The attacker's own signature, in the place of one, beside it, or where there was none."""
    elements = list(patient.root.iter(saml("Assertion"), samlp("Response")))
    if (element := _one_of(random, elements)) is None:
        return
    if element.find(ds("Signature")) is None or random.random() < 0.2:
        model = etree.fromstring(genuine_messages()[0].xml)
        signature = find_one(model, ".//ds:Signature")
        find_one(signature, ".//ds:Reference").set("URI", f"#{element.get('ID')}")
        element.insert(min(1, len(element)), signature)
    if find_one(element, "ds:Signature").find(".//{*}SignatureValue") is not None:
        _sign_again(random, element)


def _sign_again(random: Random, element: Element) -> None:
    signer = random.choice((SCENE.impostor, SCENE.other_idp)).signer
    signature = find_one(element, "ds:Signature")
    if signature.find(ds("SignedInfo")) is not None and signature.find(ds("SignatureValue")) is not None:
        sign_again(element, signer)


def encrypt(random: Random, patient: Patient) -> None:
    """Anybody can encrypt for us: the certificate is public."""
    if (assertion := _one_of(random, list(patient.root.iterdescendants(saml("Assertion"))))) is None:
        return
    parent = assertion.getparent()
    assert parent is not None
    plain = etree.tostring(assertion, with_tail=False).decode()
    encryption = Encryption(RECIPIENT.certificate, random.choice(BLOCKS), key_beside=random.random() < 0.3)
    parent.replace(assertion, etree.fromstring(encrypted_assertion(plain, encryption)))


def swap(random: Random, patient: Patient) -> None:
    first, second = inner(random, patient), inner(random, patient)
    if first is None or second is None or first in second.iter("*") or second in first.iter("*"):
        return
    place, other = first.getparent(), second.getparent()
    assert place is not None
    assert other is not None
    place.replace(first, marker := etree.Element("marker"))
    other.replace(second, first)
    place.replace(marker, second)


# Names, attributes, text


def rename(random: Random, patient: Patient) -> None:
    element = some(random, patient)
    namespace = etree.QName(element).namespace
    name = random.choice(LOCAL_NAMES)
    element.tag = f"{{{namespace}}}{name}" if namespace else name


def re_namespace(random: Random, patient: Patient) -> None:
    element = random.choice((some(random, patient), key_part(random, patient)))
    if element is None:
        return
    namespace = random.choice(NAMESPACES)
    name = etree.QName(element).localname
    element.tag = f"{{{namespace}}}{name}" if namespace else name


def set_attribute(random: Random, patient: Patient) -> None:
    """A value from elsewhere in the message, or one that somebody might like to see there."""
    element = some(random, patient)
    values = [str(value) for each in patient.root.iter("*") for value in each.attrib.values()]
    value = random.choice((*values, *TEXTS, *ALGORITHMS, "#_evil", "2.0", "", "2049-01-01T00:00:00Z"))
    names = [str(name) for name in element.attrib]
    element.set(
        random.choice((*names, *names, "ID", "Destination", "InResponseTo", "Consent", f"{{{XSI}}}type")), value
    )


def remove_attribute(random: Random, patient: Patient) -> None:
    element = some(random, patient)
    if names := [str(name) for name in element.attrib]:
        del element.attrib[random.choice(names)]


def set_id(random: Random, patient: Patient) -> None:
    """Another element's ID, or one of its own, under the right name or one like it."""
    ids = [str(value) for each in patient.root.iter("*") for value in (each.get("ID"), each.get("Id")) if value]
    some(random, patient).set(random.choice(ID_NAMES), random.choice((*ids, "_evil")))


def point_elsewhere(random: Random, patient: Patient) -> None:
    references = list(patient.root.iterdescendants(ds("Reference"), ds("RetrievalMethod")))
    if (reference := _one_of(random, references)) is not None:
        ids = [f"#{value}" for each in patient.root.iter("*") if (value := each.get("ID"))]
        reference.set("URI", random.choice((*ids, "", "#", "#xpointer(/)", "https://attacker.example/", "#_evil")))


def set_algorithm(random: Random, patient: Patient) -> None:
    if (element := _one_of(random, [each for each in patient.root.iter("*") if each.get("Algorithm")])) is not None:
        element.set("Algorithm", random.choice(ALGORITHMS))


def set_text(random: Random, patient: Patient) -> None:
    element = some(random, patient)
    texts = [each.text for each in patient.root.iter("*") if each.text]
    element.text = random.choice((*texts, *TEXTS))


def split_text(random: Random, patient: Patient) -> None:
    """A child in the middle of a text: one reader stops before it, another passes over it."""
    if (element := _one_of(random, [each for each in patient.root.iter("*") if each.text])) is not None:
        text = element.text or ""
        at = random.randint(0, len(text))
        child: Element = random.choice((etree.Comment("x"), etree.ProcessingInstruction("x"), etree.Element("x")))
        child.tail, element.text = text[at:], text[:at]
        element.insert(0, child)


def add_space(random: Random, patient: Patient) -> None:
    """Between elements, where it changes nothing but what a signature covers."""
    element = some(random, patient)
    space = random.choice((" ", "\n", "\t\n  "))
    if len(element) and not (element.text or "").strip():
        element.text = (element.text or "") + space
    elif element.getparent() is not None:
        element.tail = (element.tail or "") + space


OPERATIONS: tuple[Operation, ...] = (
    move, duplicate, remove, nest, nest_in_another, unwrap, graft, graft, hide_and_forge, hide_and_forge,
    hide_and_forge, forge_somewhere, forge_and_digest, sign_with_another_key, encrypt, swap, rename, re_namespace,
    set_attribute, remove_attribute, set_id, point_elsewhere, set_algorithm, set_text, split_text, add_space, add_space,
)  # fmt: skip
"""What gains an attacker more comes more often."""
