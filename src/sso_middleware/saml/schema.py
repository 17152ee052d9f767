"""What a message may look like: its elements in their order and number, their attributes, their IDs.

The tables are the schemas of SAML 2.0, XML Signature and XML Encryption, less everything that no login
needs; what isn't in them is refused (form.py). So one shape is left, and whoever reads it later finds each
element in the one place where it can be. Nothing here verifies anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lxml import etree

from ..errors import TimeInvalid

Element = etree._Element

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
    "saml:Attribute": ("saml:AttributeValue*", "Name! any"),
    "saml:AttributeValue": ("#text (saml:NameID|other)*", "any"),
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


@dataclass(frozen=True, slots=True)
class Shape:
    """What an element holds."""

    children: re.Pattern[str]
    """Matches the children's names, each followed by a comma."""
    has_text: bool
    attributes: frozenset[str]
    required: frozenset[str]

    def fits(self, names: Sequence[str]) -> bool:
        return self.children.fullmatch("".join(f"{name}," for name in names)) is not None


def _read_table(table: Mapping[str, tuple[str, str]]) -> dict[str, Shape]:
    return {name: _read_row(content, attributes) for name, (content, attributes) in table.items()}


def _read_row(content: str, attributes: str) -> Shape:
    model = re.sub(r"[A-Za-z0-9:]+", r"(?:\g<0>,)", content.removeprefix("#text"))
    return Shape(
        children=re.compile(model.replace(" ", "")),
        has_text=content.startswith("#text"),
        attributes=frozenset(attributes.replace("!", "").split()),
        required=frozenset(name[:-1] for name in attributes.split() if name.endswith("!")),
    )


SHAPES = _read_table(_TABLE)
FAILURE_SHAPES = SHAPES | _read_table(_FAILURE_TABLE)


def tag(name: str) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


_NAMES = {tag(name): name for name in (row.rpartition("/")[2] for row in SHAPES)}


def name_of(element: Element) -> str:
    """`saml:Issuer`, whatever prefix the sender took; `other` outside the namespaces that we know."""
    return _NAMES.get(str(element.tag)) or qualified_name(str(element.tag)) or "other"


def qualified_name(tag_or_key: str) -> str | None:
    """With our prefix for its namespace; None if that is not one of ours."""
    namespace, _, local = tag_or_key.removeprefix("{").rpartition("}")
    prefix = _PREFIXES.get(namespace)
    return f"{prefix}:{local}" if prefix else None


# Values


def text_of(element: Element) -> str:
    """The text of an element that has no children, to the letter."""
    return element.text or ""


def attribute_of(element: Element, name: str) -> str:
    """The value of an attribute that the table requires."""
    return str(element.attrib[name])


_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,20})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def read_time(text: str) -> datetime:
    """An xs:dateTime, in UTC. Fractions beyond microseconds are cut off (Entra sends seven digits).

    SAML core 1.3.3 demands UTC; an offset is read as what it says, a time without any zone is refused
    with TimeInvalid, for it could mean anything.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise TimeInvalid("not a dateTime with a time zone")
    seconds, fraction, zone = match.groups()
    try:
        return datetime.fromisoformat(seconds + (fraction or ".0")[:7].ljust(7, "0") + zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise TimeInvalid("not a date and time that exists") from error


def find_one(element: Element, path: str) -> Element:
    """The element at this path, which the table requires."""
    return next(element.iterfind(path, NAMESPACES))
