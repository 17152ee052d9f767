"""What a message may look like: its elements in their order and number, their attributes, their IDs.

The tables are the schemas of SAML 2.0, XML Signature and XML Encryption, less everything that no login
needs; what isn't in them is refused (form.py). So one shape is left, and whoever reads it later finds each
element in the one place where it can be. Nothing here verifies anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast, overload
from xml.etree import ElementTree

from lxml import etree

from ..errors import TimeInvalid
from .content import Place, read_model

Element = etree._Element
"""Of what came, as lxml parsed it: it can be canonicalized, and nothing in it is believed."""
SignedElement = ElementTree.Element
"""Of what a verified signature covers, as expat parsed it (parsing.parse_signed)."""
AnyElement = Element | SignedElement

NAMESPACES = {
    "samlp": "urn:oasis:names:tc:SAML:2.0:protocol",
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "dsig11": "http://www.w3.org/2009/xmldsig11#",
    "ec": "http://www.w3.org/2001/10/xml-exc-c14n#",
    "xenc": "http://www.w3.org/2001/04/xmlenc#",
    "xenc11": "http://www.w3.org/2009/xmlenc11#",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_PREFIXES = {namespace: prefix for prefix, namespace in NAMESPACES.items()}

ASSERTIONS = ("saml:Assertion", "saml:EncryptedAssertion")
SIGNABLE = ("samlp:Response", "saml:Assertion", "samlp:LogoutRequest", "samlp:LogoutResponse")
"""What has a Version, and may have a Signature of its own."""
ENCRYPTED = ("saml:EncryptedAssertion", "saml:EncryptedID")

STATUS_SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
ENTITY_FORMAT = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"

ENVELOPED_SIGNATURE = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
EXCLUSIVE_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    key: str
    """rsa (PKCS 1 v1.5, as RFC 9231 2.3 defines these) or ecdsa."""
    digest: str

    @property
    def name(self) -> str:
        return f"{self.key}-{self.digest}"


_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
SIGNATURE_ALGORITHMS = {
    _MORE + "rsa-sha256": SignatureAlgorithm("rsa", "sha256"),
    _MORE + "rsa-sha384": SignatureAlgorithm("rsa", "sha384"),
    _MORE + "rsa-sha512": SignatureAlgorithm("rsa", "sha512"),
    _MORE + "ecdsa-sha256": SignatureAlgorithm("ecdsa", "sha256"),
    _MORE + "ecdsa-sha384": SignatureAlgorithm("ecdsa", "sha384"),
    _MORE + "ecdsa-sha512": SignatureAlgorithm("ecdsa", "sha512"),
    # SHA-1 is known here so that signature.py can tell a dated exception from nonsense.
    "http://www.w3.org/2000/09/xmldsig#rsa-sha1": SignatureAlgorithm("rsa", "sha1"),
    _MORE + "ecdsa-sha1": SignatureAlgorithm("ecdsa", "sha1"),
}
DIGEST_ALGORITHMS = {
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    _MORE + "sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
    "http://www.w3.org/2000/09/xmldsig#sha1": "sha1",
}

# Content models, as in a DTD: names in order with ? * + | ( ). `#text` in front: text is allowed;
# `other` is an element of a namespace that isn't ours, with whatever is in it. After it the
# attributes: `!` is required, `any` is whatever can't be taken for an ID.
_TABLE: dict[str, tuple[str, str]] = {
    # SAML core 3.3.3, 3.2.2. At most one assertion (SAML2Int), a Signature only after Issuer.
    "samlp:Response": (
        "(saml:Issuer ds:Signature?)? samlp:Extensions? samlp:Status (saml:Assertion|saml:EncryptedAssertion)?",
        "ID! Version! IssueInstant! InResponseTo Destination Consent",
    ),
    # 3.7.1, 3.7.2. Profiles 4.4.4: an Issuer. A BaseID names nobody that we know.
    "samlp:LogoutRequest": (
        "saml:Issuer ds:Signature? samlp:Extensions? (saml:NameID|saml:EncryptedID) samlp:SessionIndex*",
        "ID! Version! IssueInstant! Destination Consent Reason NotOnOrAfter",
    ),
    "samlp:SessionIndex": ("#text", ""),
    "samlp:LogoutResponse": (
        "saml:Issuer ds:Signature? samlp:Extensions? samlp:Status",
        "ID! Version! IssueInstant! InResponseTo Destination Consent",
    ),
    "samlp:Extensions": ("other*", ""),
    "samlp:Status": ("samlp:StatusCode samlp:StatusMessage? samlp:StatusDetail?", ""),
    "samlp:StatusCode": ("samlp:StatusCode?", "Value!"),
    "samlp:StatusMessage": ("#text", ""),
    "samlp:StatusDetail": ("#text other*", ""),
    # SAML core 2.3.3, 2.2. Advice can't hold an assertion (attacks: XSW-022), a Statement or an
    # AuthzDecisionStatement says nothing that we act on.
    "saml:Assertion": (
        "saml:Issuer ds:Signature? saml:Subject? saml:Conditions? saml:Advice?"
        " (saml:AuthnStatement|saml:AttributeStatement)*",
        "ID! Version! IssueInstant!",
    ),
    "saml:EncryptedAssertion": ("xenc:EncryptedData xenc:EncryptedKey?", ""),
    "saml:Issuer": ("#text", "Format NameQualifier SPNameQualifier SPProvidedID"),
    "saml:NameID": ("#text", "Format NameQualifier SPNameQualifier SPProvidedID"),
    "saml:EncryptedID": ("xenc:EncryptedData xenc:EncryptedKey?", ""),
    "saml:Advice": ("other*", ""),
    # 2.4
    "saml:Subject": ("(saml:NameID|saml:EncryptedID)? saml:SubjectConfirmation*", ""),
    "saml:SubjectConfirmation": ("saml:NameID? saml:SubjectConfirmationData?", "Method!"),
    "saml:SubjectConfirmationData": (
        "ds:KeyInfo*",
        "NotBefore NotOnOrAfter Recipient InResponseTo Address xsi:type",
    ),
    # 2.5. A Condition of an unknown type gets as far as rules.py, which says so by name.
    "saml:Conditions": (
        "(saml:AudienceRestriction|saml:OneTimeUse|saml:ProxyRestriction|saml:Condition)*",
        "NotBefore NotOnOrAfter",
    ),
    "saml:AudienceRestriction": ("saml:Audience+", ""),
    "saml:Audience": ("#text", ""),
    "saml:OneTimeUse": ("", ""),
    "saml:ProxyRestriction": ("saml:Audience*", "Count"),
    "saml:Condition": ("#text other*", "any"),
    # 2.7. Google sends an AttributeStatement without any Attribute, so none is allowed here too.
    "saml:AuthnStatement": (
        "saml:SubjectLocality? saml:AuthnContext",
        "AuthnInstant! SessionIndex SessionNotOnOrAfter",
    ),
    "saml:SubjectLocality": ("", "Address DNSName"),
    "saml:AuthnContext": (
        "saml:AuthnContextClassRef? (saml:AuthnContextDecl|saml:AuthnContextDeclRef)? saml:AuthenticatingAuthority*",
        "",
    ),
    "saml:AuthnContextClassRef": ("#text", ""),
    "saml:AuthnContextDecl": ("#text other*", "any"),
    "saml:AuthnContextDeclRef": ("#text", ""),
    "saml:AuthenticatingAuthority": ("#text", ""),
    "saml:AttributeStatement": ("saml:Attribute*", ""),
    "saml:Attribute": ("saml:AttributeValue*", "Name! NameFormat FriendlyName any"),
    "saml:AttributeValue": ("#text (saml:NameID|other)*", "xsi:type any"),
    # XML Signature 4. Object and Manifest have no place (SAML core 5.4.5).
    "ds:Signature": ("ds:SignedInfo ds:SignatureValue ds:KeyInfo?", "Id"),
    "ds:SignedInfo": ("ds:CanonicalizationMethod ds:SignatureMethod ds:Reference+", "Id"),
    "ds:CanonicalizationMethod": ("ec:InclusiveNamespaces?", "Algorithm!"),
    "ds:SignatureMethod": ("", "Algorithm!"),
    "ds:Reference": ("ds:Transforms ds:DigestMethod ds:DigestValue", "URI Id"),
    "ds:Transforms": ("ds:Transform+", ""),
    "ds:Transform": ("ec:InclusiveNamespaces?", "Algorithm!"),
    "ec:InclusiveNamespaces": ("", "PrefixList!"),
    "ds:DigestMethod": ("", "Algorithm!"),
    "ds:DigestValue": ("#text", ""),
    "ds:SignatureValue": ("#text", "Id"),
    # No key in it is ever used, by whatever name. A reference to one has no place.
    "ds:KeyInfo": ("(ds:KeyName|ds:X509Data|ds:KeyValue)+", "Id"),
    "ds:KeyName": ("#text", ""),
    "ds:X509Data": ("(ds:X509Certificate|ds:X509SubjectName|ds:X509IssuerSerial|ds:X509SKI)+", ""),
    "ds:X509Certificate": ("#text", ""),
    "ds:X509SubjectName": ("#text", ""),
    "ds:X509IssuerSerial": ("ds:X509IssuerName ds:X509SerialNumber", ""),
    "ds:X509IssuerName": ("#text", ""),
    "ds:X509SerialNumber": ("#text", ""),
    "ds:X509SKI": ("#text", ""),
    "ds:KeyValue": ("ds:RSAKeyValue|dsig11:ECKeyValue", ""),
    "ds:RSAKeyValue": ("ds:Modulus ds:Exponent", ""),
    "ds:Modulus": ("#text", ""),
    "ds:Exponent": ("#text", ""),
    "dsig11:ECKeyValue": ("dsig11:NamedCurve dsig11:PublicKey", "Id"),
    "dsig11:NamedCurve": ("", "URI!"),
    "dsig11:PublicKey": ("#text", ""),
    # XML Encryption 3. CipherReference would be fetched (ENC-011): it has no place.
    "xenc:EncryptedData": ("xenc:EncryptionMethod ds:KeyInfo? xenc:CipherData", "Id Type"),
    "xenc:EncryptedData/ds:KeyInfo": ("xenc:EncryptedKey|ds:RetrievalMethod", "Id"),
    "ds:RetrievalMethod": ("", "URI! Type"),
    "xenc:EncryptedKey": (
        "xenc:EncryptionMethod ds:KeyInfo? xenc:CipherData xenc:ReferenceList? xenc:CarriedKeyName?",
        "Id Recipient",
    ),
    "xenc:EncryptionMethod": ("(ds:DigestMethod|xenc11:MGF)*", "Algorithm!"),
    "xenc11:MGF": ("", "Algorithm!"),
    "xenc:CipherData": ("xenc:CipherValue", ""),
    "xenc:CipherValue": ("#text", ""),
    "xenc:ReferenceList": ("xenc:DataReference+", ""),
    "xenc:DataReference": ("", "URI!"),
    "xenc:CarriedKeyName": ("#text", ""),
}

# A failure needs no trust to be one, so one that can't be told in the schema's words stays readable:
# Auth0's samlp puts its words into an attribute of StatusMessage.
_FAILURE_TABLE = {
    "samlp:Status": ("samlp:StatusCode (samlp:StatusMessage|samlp:StatusDetail)*", ""),
    "samlp:StatusMessage": ("#text", "any"),
}


def tag(name: str) -> str:
    """As parsers say it: namespace in braces, then the name."""
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


_TAGS = {name: tag(name) for name in (row.rpartition("/")[2] for row in _TABLE)}
_NAMES = {tag: name for name, tag in _TAGS.items()}


@dataclass(slots=True, eq=False)
class State:
    """Where one stands among the children of an element."""

    may_end: bool
    steps: dict[str, tuple[State, Shape]] = field(default_factory=dict, repr=False)
    """By the tag of the next child: where one stands then, and what that child holds."""


@dataclass(slots=True, eq=False)
class Shape:
    """What an element holds. One row of the table, made ready for the way through a tree (form.py)."""

    name: str
    content: Place
    """By the names of the children; `other` among them."""
    start: State
    """The same by their tags, without `other`."""
    has_text: bool
    attributes: frozenset[str]
    required: frozenset[str]
    keys: Mapping[str, bool]
    """`attributes`, as parsers say them, and whether each is required."""
    id_key: str | None
    """ID (SAML) or Id (XML Signature, XML Encryption)."""
    in_context: Mapping[str, str]
    """The rows of children that are one thing here and another elsewhere."""
    is_noted: bool
    """Whether more is checked of it than its shape."""

    def fits(self, names: Sequence[str]) -> bool:
        place: Place | None = self.content
        for name in names:
            place = place.next.get(name) if place else None
        return place is not None and place.may_end

    def allows(self, keys: Iterable[str | bytes]) -> bool:
        """Whether these are all in the table, and all that are required among them."""
        missing = len(self.required)
        for key in keys:
            is_required = self.keys.get(key)  # type: ignore[arg-type]  # bytes are in the stubs only
            if is_required is None:
                return False
            missing -= is_required
        return missing == 0


def _read_table(table: Mapping[str, tuple[str, str]]) -> dict[str, Shape]:
    shapes = {name: _read_row(name, *row, table) for name, row in table.items()}
    for shape in shapes.values():
        shape.start = _link(shape.content, shape, shapes, {})
    return shapes


def _read_row(name: str, content: str, attributes: str, table: Mapping[str, tuple[str, str]]) -> Shape:
    names = frozenset(attributes.replace("!", "").split())
    id_key = next((name for name in ("ID", "Id") if name in names), None)
    return Shape(
        name=name,
        content=read_model(content.removeprefix("#text")),
        start=State(may_end=False),
        has_text=content.startswith("#text"),
        attributes=names,
        required=frozenset(name[:-1] for name in attributes.split() if name.endswith("!")),
        keys={tag(name) if ":" in name else name: f"{name}!" in attributes.split() for name in names},
        id_key=id_key,
        in_context={row.rpartition("/")[2]: row for row in table if row.startswith(f"{name}/")},
        is_noted=id_key is not None or name in ENCRYPTED,
    )


def _link(place: Place, parent: Shape, shapes: Mapping[str, Shape], done: dict[int, State]) -> State:
    state = done.setdefault(id(place), State(place.may_end))
    if place.next and not state.steps:
        state.steps = {}
        for name, following in place.next.items():
            if name != "other":
                shape = shapes[parent.in_context.get(name, name)]
                known = done.get(id(following))
                state.steps[_TAGS[name]] = (known or _link(following, parent, shapes, done), shape)
    return state


SHAPES = _read_table(_TABLE)
FAILURE_SHAPES = _read_table(_TABLE | _FAILURE_TABLE)


def name_of(element: AnyElement) -> str:
    """`saml:Issuer`, whatever prefix the sender took; `other` outside the namespaces that we know."""
    return _NAMES.get(element.tag) or qualified_name(element.tag) or "other"


def qualified_name(tag_or_key: str) -> str | None:
    """With our prefix for its namespace; None if that is not one of ours."""
    namespace, _, local = tag_or_key.removeprefix("{").rpartition("}")
    prefix = _PREFIXES.get(namespace)
    return f"{prefix}:{local}" if prefix else None


# Parts


@overload
def child(element: Element, name: str) -> Element | None: ...
@overload
def child(element: SignedElement, name: str) -> SignedElement | None: ...
def child(element: AnyElement, name: str) -> AnyElement | None:
    """The first of its children that has this name."""
    return element.find(_TAGS[name])


@overload
def required_child(element: Element, name: str) -> Element: ...
@overload
def required_child(element: SignedElement, name: str) -> SignedElement: ...
def required_child(element: AnyElement, name: str) -> AnyElement:
    """The one that the table requires."""
    found = child(element, name)
    if found is None:
        raise LookupError(name)
    return found


@overload
def children(element: Element, name: str) -> list[Element]: ...
@overload
def children(element: SignedElement, name: str) -> list[SignedElement]: ...
def children(element: AnyElement, name: str) -> list[Element] | list[SignedElement]:
    """All of its children that have this name."""
    return element.findall(_TAGS[name])


def parts_of(element: AnyElement) -> list[AnyElement]:
    """All of its children."""
    return cast("list[AnyElement]", list(element))


def anywhere_in(element: AnyElement, name: str) -> list[AnyElement]:
    """All that have this name, however deep."""
    return cast("list[AnyElement]", list(element.iter(_TAGS[name])))


# Values


def text_of(element: AnyElement) -> str:
    """The text of an element that has no children, to the letter."""
    return element.text or ""


def attribute_of(element: AnyElement, name: str) -> str:
    """The value of an attribute that the table requires."""
    return str(element.attrib[name])


_TIME = re.compile(r"(\d{4}-\d\d-\d\dT)(\d\d:\d\d:\d\d(?:\.\d{1,20})?)(Z|[+-]\d\d:\d\d)", re.ASCII)
_END_OF_DAY = re.compile(r"24:00:00(\.0+)?")


def read_time(text: str) -> datetime:
    """An xs:dateTime, in UTC. Fractions beyond microseconds are cut off (Entra sends seven digits).

    SAML core 1.3.3 demands UTC; an offset is read as what it says, a time without any zone is refused
    with TimeInvalid, for it could mean anything.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise TimeInvalid("not a dateTime with a time zone")
    day, time, zone = match.groups()
    try:
        if _END_OF_DAY.fullmatch(time):
            # XML Schema 3.2.7.1: it is the first moment of the next day.
            return (datetime.fromisoformat(f"{day}00:00:00{zone}") + timedelta(days=1)).astimezone(UTC)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise TimeInvalid("not a date and time that exists") from error
