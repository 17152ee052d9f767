"""Check a tree against the tables of schema.py, and the few clauses that no table can say.

Of a Response as it came, of one whose signature was verified, and of what was decrypted alike. What
passes has one shape; whether it is genuine is not asked here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import (
    AlgorithmNotAllowed,
    AssertionMisplaced,
    AttributeNotAllowed,
    AttributeRequired,
    CanonicalizationNotAllowed,
    DuplicateId,
    EncryptionMalformed,
    EncryptionReferenceNotAllowed,
    IdInvalid,
    KeyInfoNotAllowed,
    MessageRefused,
    ReferenceNotAllowed,
    SchemaViolated,
    SignatureMalformed,
    SignatureMisplaced,
    TooManyAssertions,
    TransformNotAllowed,
    VersionUnsupported,
    XmlTooComplex,
)
from .schema import (
    ASSERTIONS,
    DIGEST_ALGORITHMS,
    ENCRYPTED,
    ENVELOPED_SIGNATURE,
    EXCLUSIVE_C14N,
    FAILURE_SHAPES,
    SHAPES,
    SIGNABLE,
    SIGNATURE_ALGORITHMS,
    AnyElement,
    Element,
    Shape,
    State,
    anywhere_in,
    attribute_of,
    child,
    name_of,
    parts_of,
    qualified_name,
    tag,
)

# What a parent's content raises when it is wrong; else it goes by the parent's namespace.
_REFUSALS: dict[str, type[MessageRefused]] = {
    "ds": SignatureMalformed,
    "xenc": EncryptionMalformed,
    "ds:CanonicalizationMethod": CanonicalizationNotAllowed,
    "ds:SignatureMethod": AlgorithmNotAllowed,
    "ds:Transforms": TransformNotAllowed,
    "ds:Transform": TransformNotAllowed,
    "ds:KeyInfo": KeyInfoNotAllowed,
    "ds:X509Data": KeyInfoNotAllowed,
    "ds:KeyValue": KeyInfoNotAllowed,
    "saml:EncryptedAssertion": EncryptionMalformed,
    "saml:EncryptedID": EncryptionMalformed,
    "xenc:EncryptedData/ds:KeyInfo": EncryptionReferenceNotAllowed,
    "xenc:CipherData": EncryptionReferenceNotAllowed,
}

MAX_PREFIXES = 32
"""In one PrefixList: each is looked up for each element. The longest in use have about ten."""

# An element of these names in another namespace, or none, is there to be mistaken for ours.
_LOOK_ALIKES = {"Response", "Assertion", "EncryptedAssertion", "Signature", "EncryptedData", "EncryptedKey"}


_END = State(may_end=True)
_BEFORE = State(may_end=False, steps={tag(name): (_END, shape) for name, shape in SHAPES.items() if "/" not in name})
_ASSERTION_TAGS = tuple(map(tag, ASSERTIONS))


def check_form(root: AnyElement) -> None:
    """Everything that can be refused for its form alone. `root` is a message, or a part of one.

    Raises a MessageMalformed (AlgorithmNotAllowed for an algorithm that we don't know).
    """
    has_assertion = any(part.tag in _ASSERTION_TAGS for part in root)
    shapes = SHAPES if has_assertion else FAILURE_SHAPES
    found = _Found()
    _check_element(root, shapes[name_of(root)], shapes, found)
    _check_found(found)


def check_common_form(root: AnyElement, max_depth: int) -> bool:
    """The same for what has no element or attribute but those in the tables: nearly every honest message.

    In one go, which is quick. False, where `check_form` must look: to refuse it for what is wrong, or
    to allow it for its content that is not ours. It says yes to nothing that `check_form` refuses.
    """
    found = _Found()
    if not _is_common(root, max_depth, found):
        return False
    _check_found(found)
    return True


def _check_found(found: _Found) -> None:
    _check_ids(found.ids)
    for element in found.signable:
        _check_version(element)
    for element in found.signable:
        signature = child(element, "ds:Signature")
        if signature is not None:
            _check_signature(element, signature)
    for element in found.encrypted:
        _check_encrypted(element)


def check_signature_form(signed: Element) -> None:
    """The one Signature of an element that no table here describes: SAML metadata, where it comes first.

    Raises a MessageMalformed.
    """
    signatures = signed.findall(tag("ds:Signature"))
    if len(signatures) != 1 or signatures[0] is not signed[0]:
        raise SignatureMisplaced("there must be one Signature, and it must come first")
    _check_element(signatures[0], SHAPES["ds:Signature"], SHAPES, _Found())
    _check_signature(signed, signatures[0])


@dataclass(slots=True)
class _Found:
    """What the way through the tree leaves to be checked after it."""

    ids: list[str] = field(default_factory=list)
    signable: list[AnyElement] = field(default_factory=list)
    encrypted: list[AnyElement] = field(default_factory=list)

    def note(self, element: AnyElement, shape: Shape) -> None:
        identifier = None if shape.id_key is None else element.get(shape.id_key)
        if identifier is not None:
            self.ids.append(identifier)
        if shape.name in SIGNABLE:
            self.signable.append(element)
        elif shape.name in ENCRYPTED:
            self.encrypted.append(element)


def _is_common(root: AnyElement, max_depth: int, found: _Found) -> bool:
    state, left, has_text = _BEFORE, 1, False
    around: list[tuple[State, int, bool]] = []
    for element in root.iter():
        while not left and state.may_end:  # the way back, from the last child of each
            state, left, has_text = around.pop()
        step = state.steps.get(element.tag) if left else None
        if step is None:
            break
        state, shape = step
        left -= 1
        keys = element.keys()
        if (keys or shape.required) and not shape.allows(keys):
            break
        if not shape.has_text and element.text and _holds_text(element.text):
            break
        if not has_text and element.tail and _holds_text(element.tail):
            break
        if shape.is_noted:
            found.note(element, shape)
        if len(element):
            around.append((state, left, has_text))
            state, left, has_text = shape.start, len(element), shape.has_text
            if len(around) >= max_depth:
                break
        elif not shape.start.may_end:
            break
    else:
        return state.may_end and all(outer.may_end for outer, _, _ in around)
    return False


def _check_element(element: AnyElement, shape: Shape, shapes: Mapping[str, Shape], found: _Found) -> None:
    if not shape.allows(element.keys()):
        _check_attributes(element, shape)
    if shape.is_noted:
        found.note(element, shape)
    parts = parts_of(element)
    names = [name_of(part) for part in parts]
    if not shape.fits(names):
        raise _refusal_for(shape, names)(f"{shape.name} does not hold what it must, in order and number")
    if not shape.has_text and any(_holds_text(text or "") for text in (element.text, *[part.tail for part in parts])):
        raise _refusal(shape.name)(f"{shape.name} holds text")
    _check_foreign([part for part, name in zip(parts, names, strict=True) if name == "other"])
    for part, name in zip(parts, names, strict=True):
        if name != "other":
            _check_element(part, shapes[shape.in_context.get(name, name)], shapes, found)


def _holds_text(text: str) -> bool:
    return text.strip(" \t\r\n") != ""


def _refusal_for(shape: Shape, names: Sequence[str]) -> type[MessageRefused]:
    """What is most telling: a signature or an assertion is out of place if all would be well without it."""
    if shape.fits([child for child in names if child != "ds:Signature"]):
        return SignatureMisplaced
    if shape.fits([child for child in names if child not in ASSERTIONS]):
        return AssertionMisplaced if sum(child in ASSERTIONS for child in names) == 1 else TooManyAssertions
    return _refusal(shape.name)


def _refusal(name: str) -> type[MessageRefused]:
    return _REFUSALS.get(name) or _REFUSALS.get(name.partition(":")[0], SchemaViolated)


def _check_attributes(element: AnyElement, shape: Shape) -> None:
    present = set(map(_attribute_name, map(str, element.keys())))
    allowed = shape.attributes
    unknown = {key for key in present - allowed if "any" not in allowed or _is_like_an_id(key)}
    if unknown:
        raise AttributeNotAllowed(f"{shape.name} has an attribute that the schema does not give it")
    if not shape.required <= present:
        raise AttributeRequired(f"{shape.name} has no {', '.join(sorted(shape.required - present))}")


def _attribute_name(key: str) -> str:
    return qualified_name(key) or key


def _is_like_an_id(key: str) -> bool:
    # x:ID, xml:id, Id beside ID: some reader takes the other one ("The Fragile Lock", 2025).
    return key.replace("}", ":").rpartition(":")[2].lower() == "id"


def _check_foreign(elements: Sequence[AnyElement]) -> None:
    """Content that is none of ours, and that nobody could take for ours. Each name is looked at once."""
    parts = [part for element in elements for part in element.iter()]
    for name in {str(part.tag) for part in parts}:
        if qualified_name(name) or name.rpartition("}")[2] in _LOOK_ALIKES:
            raise SchemaViolated("an element of SAML or XML Signature in a place for other content")
    for key in {str(key) for part in parts for key in part.attrib}:
        if _is_like_an_id(_attribute_name(key)):
            raise AttributeNotAllowed("an ID on an element that is not ours")


# xs:ID is an NCName (SAML core 1.3.4). The length is ours: an assertion's ID is kept.
_NAME = re.compile(r"[^\W\d][\w.-]{0,255}")


def _check_ids(ids: Sequence[str]) -> None:
    if not all(map(_NAME.fullmatch, ids)):
        raise IdInvalid("an ID that is no xs:ID; it must begin with a letter or an underscore")
    if len(set(ids)) != len(ids):
        raise DuplicateId("two elements have the same ID")


def _check_version(signable: AnyElement) -> None:
    # SAML core 2.3.3, 3.2.1, 3.2.2
    if signable.get("Version") != "2.0":
        raise VersionUnsupported(f"{name_of(signable)} is not of version 2.0")


def _check_signature(signed: AnyElement, signature: AnyElement) -> None:
    """One Reference, to the element that the Signature stands in, by the only transforms there are."""
    canonicalization, method, *references = signature[0]  # SignedInfo; the table has these in this order
    if canonicalization.get("Algorithm") != EXCLUSIVE_C14N:
        raise CanonicalizationNotAllowed("the canonicalization must be exclusive, without comments")
    if [reference.get("URI") for reference in references] != [f"#{signed.get('ID')}"]:
        raise ReferenceNotAllowed("a Signature must refer to the element it stands in, and only to that (core 5.4.2)")
    transforms, digest, _ = references[0]
    # SAML core 5.4.4; in this order, or canonical octets would have to be parsed again to drop the Signature.
    if [transform.get("Algorithm") for transform in transforms] != [ENVELOPED_SIGNATURE, EXCLUSIVE_C14N]:
        raise TransformNotAllowed("the transforms must be enveloped-signature and exclusive canonicalization")
    if len(transforms[0]):
        raise TransformNotAllowed("enveloped-signature takes no parameter")
    if method.get("Algorithm") not in SIGNATURE_ALGORITHMS:
        raise AlgorithmNotAllowed("a signature algorithm that we don't know")
    if digest.get("Algorithm") not in DIGEST_ALGORITHMS:
        raise AlgorithmNotAllowed("a digest algorithm that we don't know")
    for parameters in (*canonicalization, *transforms[1]):
        if len(attribute_of(parameters, "PrefixList").split()) > MAX_PREFIXES:
            raise XmlTooComplex(f"more than {MAX_PREFIXES} prefixes in a PrefixList")


def _check_encrypted(encrypted: AnyElement) -> None:
    """One EncryptedData, one EncryptedKey, and no reference but from one to the other.

    The key lies in the data's KeyInfo, or beside the data with a RetrievalMethod to it (Okta).
    """
    keys = anywhere_in(encrypted, "xenc:EncryptedKey")
    _check_references(encrypted, "ds:RetrievalMethod", keys)
    _check_references(encrypted, "xenc:DataReference", [encrypted[0]])
    if len(keys) != 1:
        raise EncryptionMalformed("there must be one EncryptedKey")


def _check_references(encrypted: AnyElement, name: str, targets: Sequence[AnyElement]) -> None:
    ids = {f"#{target.get('Id')}" for target in targets}
    if any(reference.get("URI") not in ids for reference in anywhere_in(encrypted, name)):
        raise EncryptionReferenceNotAllowed(f"{name} refers to something else than the element beside it")
