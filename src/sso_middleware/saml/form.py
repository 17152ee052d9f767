"""Check a tree against the tables of schema.py, and the few clauses that no table can say.

Of a Response as it came, of one whose signature was verified, and of what was decrypted alike. What
passes has one shape; whether it is genuine is not asked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from lxml import etree

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
    ENVELOPED_SIGNATURE,
    EXCLUSIVE_C14N,
    FAILURE_SHAPES,
    NAMESPACES,
    SHAPES,
    SIGNATURE_ALGORITHMS,
    Element,
    Shape,
    name_of,
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


def check_form(root: Element) -> None:
    """Everything that can be refused for its form alone. `root` is a Response, or what was decrypted.

    Raises a MessageMalformed (AlgorithmNotAllowed for an algorithm that we don't know).
    """
    has_assertion = any(True for _ in root.iter(*map(tag, ASSERTIONS)))
    shapes = SHAPES if has_assertion else FAILURE_SHAPES
    _check_element(root, name_of(root), shapes)
    _check_ids(root)
    _check_versions(root)
    for signed in root.iter(tag("samlp:Response"), tag("saml:Assertion")):
        for signature in signed.iterfind("ds:Signature", NAMESPACES):
            _check_signature(signed, signature)
    for encrypted in root.iter(tag("saml:EncryptedAssertion"), tag("saml:EncryptedID")):
        _check_encrypted(encrypted)


def _check_element(element: Element, name: str, shapes: Mapping[str, Shape]) -> None:
    shape = shapes[name]
    _check_attributes(element, name, shape)
    names = [name_of(child) for child in element]
    if not shape.fits(names):
        raise _refusal_for(name, shape, names)(f"{name} does not hold what it must, in order and number")
    if not shape.has_text and any(text.strip(" \t\r\n") for text in _texts(element)):
        raise _refusal(name)(f"{name} holds text")
    for child, child_name in zip(element, names, strict=True):
        if child_name == "other":
            _check_foreign(child)
        else:
            _check_element(child, _in_context(name, child_name), shapes)


def _in_context(parent: str, name: str) -> str:
    """KeyInfo is one thing in a Signature and another in encrypted data."""
    in_context = f"{parent}/{name}"
    return in_context if in_context in SHAPES else name


def _refusal_for(name: str, shape: Shape, names: Sequence[str]) -> type[MessageRefused]:
    """What is most telling: a signature or an assertion is out of place if all would be well without it."""
    if shape.fits([child for child in names if child != "ds:Signature"]):
        return SignatureMisplaced
    if shape.fits([child for child in names if child not in ASSERTIONS]):
        return AssertionMisplaced if sum(child in ASSERTIONS for child in names) == 1 else TooManyAssertions
    return _refusal(name)


def _refusal(name: str) -> type[MessageRefused]:
    return _REFUSALS.get(name) or _REFUSALS.get(name.partition(":")[0], SchemaViolated)


def _texts(element: Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        yield child.tail or ""


def _check_attributes(element: Element, name: str, shape: Shape) -> None:
    present = {_attribute_name(str(key)) for key in element.attrib}
    allowed = shape.attributes
    unknown = {key for key in present - allowed if "any" not in allowed or _is_like_an_id(key)}
    if unknown:
        raise AttributeNotAllowed(f"{name} has an attribute that the schema does not give it")
    if not shape.required <= present:
        raise AttributeRequired(f"{name} has no {', '.join(sorted(shape.required - present))}")


def _attribute_name(key: str) -> str:
    return qualified_name(key) or key


def _is_like_an_id(key: str) -> bool:
    # x:ID, xml:id, Id beside ID: some reader takes the other one ("The Fragile Lock", 2025).
    return key.replace("}", ":").rpartition(":")[2].lower() == "id"


def _check_foreign(element: Element) -> None:
    """Content that is none of ours, and that nobody could take for ours."""
    for part in element.iter():
        if name_of(part) != "other" or etree.QName(part).localname in _LOOK_ALIKES:
            raise SchemaViolated("an element of SAML or XML Signature in a place for other content")
        if any(_is_like_an_id(_attribute_name(str(key))) for key in part.attrib):
            raise AttributeNotAllowed("an ID on an element that is not ours")


# xs:ID is an NCName (SAML core 1.3.4). The length is ours: an assertion's ID is kept.
_NAME = re.compile(r"[^\W\d][\w.-]{0,255}")


def _check_ids(root: Element) -> None:
    ids = [value for element in root.iter() for key in ("ID", "Id") if (value := element.get(key)) is not None]
    if not all(_NAME.fullmatch(value) for value in ids):
        raise IdInvalid("an ID that is no xs:ID; it must begin with a letter or an underscore")
    if len(set(ids)) != len(ids):
        raise DuplicateId("two elements have the same ID")


def _check_versions(root: Element) -> None:
    # SAML core 2.3.3, 3.2.2
    for element in root.iter(tag("samlp:Response"), tag("saml:Assertion")):
        if element.get("Version") != "2.0":
            raise VersionUnsupported(f"{name_of(element)} is not of version 2.0")


def _check_signature(signed: Element, signature: Element) -> None:
    """One Reference, to the element that the Signature stands in, by the only transforms there are."""
    if _algorithms(signature, "ds:CanonicalizationMethod") != [EXCLUSIVE_C14N]:
        raise CanonicalizationNotAllowed("the canonicalization must be exclusive, without comments")
    references = signature.findall("ds:SignedInfo/ds:Reference", NAMESPACES)
    if [reference.get("URI") for reference in references] != [f"#{signed.get('ID')}"]:
        raise ReferenceNotAllowed("a Signature must refer to the element it stands in, and only to that (core 5.4.2)")
    # SAML core 5.4.4; in this order, or canonical octets would have to be parsed again to drop the Signature.
    transforms = references[0].findall("ds:Transforms/ds:Transform", NAMESPACES)
    if [transform.get("Algorithm") for transform in transforms] != [ENVELOPED_SIGNATURE, EXCLUSIVE_C14N]:
        raise TransformNotAllowed("the transforms must be enveloped-signature and exclusive canonicalization")
    if len(transforms[0]):
        raise TransformNotAllowed("enveloped-signature takes no parameter")
    if not SIGNATURE_ALGORITHMS.keys() >= set(_algorithms(signature, "ds:SignatureMethod")):
        raise AlgorithmNotAllowed("a signature algorithm that we don't know")
    if not DIGEST_ALGORITHMS.keys() >= set(_algorithms(signature, "ds:Reference/ds:DigestMethod")):
        raise AlgorithmNotAllowed("a digest algorithm that we don't know")
    for prefixes in signature.iter(tag("ec:InclusiveNamespaces")):
        if len(prefixes.get("PrefixList", "").split()) > MAX_PREFIXES:
            raise XmlTooComplex(f"more than {MAX_PREFIXES} prefixes in a PrefixList")


def _algorithms(signature: Element, path: str) -> list[str | None]:
    return [element.get("Algorithm") for element in signature.findall(f"ds:SignedInfo/{path}", NAMESPACES)]


def _check_encrypted(encrypted: Element) -> None:
    """One EncryptedData, one EncryptedKey, and no reference but from one to the other.

    The key lies in the data's KeyInfo, or beside the data with a RetrievalMethod to it (Okta).
    """
    keys = list(encrypted.iter(tag("xenc:EncryptedKey")))
    _check_references(encrypted, "ds:RetrievalMethod", keys)
    _check_references(encrypted, "xenc:DataReference", [encrypted[0]])
    if len(keys) != 1:
        raise EncryptionMalformed("there must be one EncryptedKey")


def _check_references(encrypted: Element, name: str, targets: Sequence[Element]) -> None:
    ids = {f"#{target.get('Id')}" for target in targets}
    if any(reference.get("URI") not in ids for reference in encrypted.iter(tag(name))):
        raise EncryptionReferenceNotAllowed(f"{name} refers to something else than the element beside it")
