"""What a message says of itself, read without believing it, for an explanation and for nothing else.

Anyone may have written it, and of several elements that could be meant the first is taken. No value
about the person is kept: of a NameID whether there is one, of attributes their names, of e-mail
addresses the domain. What the gate would not even parse is not looked at either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from itertools import islice

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from ...errors import Base64Invalid, MessageRefused, TimeInvalid
from ..assertion import Assertion
from ..parsing import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_ENCODED,
    decode_base64,
    inflate,
    parse_untrusted,
)
from ..schema import NAMESPACES, Element, read_time, tag

MOST = 8
"""Values of one kind that are read: there is one, or there are two."""
MOST_ATTRIBUTES = 40
LONGEST = 2000
"""Characters of a value: longer than any that is right, and short enough to be compared in many ways."""
_EMAIL = re.compile(r"[^@\s]+@((?:[A-Za-z0-9-]{1,63}\.){1,10}[A-Za-z]{2,63})")


@dataclass(frozen=True, slots=True)
class SeenCertificate:
    """A certificate in a KeyInfo. No key of it is ever used."""

    fingerprint: str
    not_after: datetime | None


@dataclass(frozen=True, slots=True)
class SeenSignature:
    on: str
    """Response or Assertion, or whatever it stands in."""
    algorithm: str
    digest: str
    certificates: tuple[SeenCertificate, ...]
    is_last: bool
    """Whether it is the last of several children, where the schema has it second."""


@dataclass(frozen=True, slots=True)
class Glimpse:
    """Of a Response, and of whatever else was sent in its place."""

    kind: str
    """Response, LogoutRequest, …"""
    issuers: tuple[str, ...] = ()
    destination: str | None = None
    in_response_to: tuple[str | None, ...] = ()
    """Of the Response, then of each SubjectConfirmationData."""
    issue_instants: tuple[datetime, ...] = ()
    status: tuple[str, ...] = ()
    status_message: str | None = None
    signatures: tuple[SeenSignature, ...] = ()
    encryption: tuple[str, ...] | None = None
    """The algorithms of data and key; None if nothing is encrypted."""
    has_assertion: bool = False
    """One that can be read: not encrypted."""
    audiences: tuple[tuple[str, ...], ...] = ()
    recipients: tuple[str | None, ...] = ()
    not_before: tuple[datetime, ...] = ()
    not_on_or_after: tuple[datetime, ...] = ()
    session_ends: tuple[datetime, ...] = ()
    authn_contexts: tuple[str, ...] = ()
    name_id: str = "none"
    """none, empty, encrypted or present."""
    name_id_format: str | None = None
    attributes: tuple[tuple[str, int], ...] = ()
    """Names, and how many values each has."""
    email_domains: tuple[str, ...] = ()

    @property
    def is_failure(self) -> bool:
        return bool(self.status) and not self.status[0].endswith(":Success")

    def is_signed(self, part: str) -> bool:
        """Whether it has a Signature there; not whether that is good for anything."""
        return any(signature.on == part for signature in self.signatures)


def glimpse_at(sent: str | bytes) -> Glimpse | None:
    """What this form value (str) or XML (bytes) says of itself; None if it can't be parsed safely."""
    if len(sent) > MAX_ENCODED:
        return None
    try:
        return _read(
            parse_untrusted(_unpack(sent), max_bytes=MAX_ENCODED, max_elements=MAX_ELEMENTS, max_depth=MAX_DEPTH)
        )
    except MessageRefused:
        return None


def glimpse_of(assertion: Assertion) -> Glimpse:
    """The same of an assertion that was verified: what is in question then is who it speaks of."""
    values = [value for attribute in assertion.attributes for value in attribute.values]
    return Glimpse(
        kind="Response",
        has_assertion=True,
        name_id="present",
        name_id_format=assertion.name_id.format,
        attributes=tuple((attribute.name, len(attribute.values)) for attribute in assertion.attributes)[
            :MOST_ATTRIBUTES
        ],
        email_domains=_email_domains([assertion.name_id.value, *values]),
    )


def _unpack(sent: str | bytes) -> bytes:
    if isinstance(sent, bytes):
        return sent
    data = decode_base64(sent)
    # Deflated where it must not be: refused already, and worth a look all the same.
    return data if data.lstrip().startswith(b"<") else inflate(data, limit=MAX_ENCODED)


def _read(root: Element) -> Glimpse:
    assertion = next(root.iter(tag("saml:Assertion")), None)
    glimpse = Glimpse(
        kind=etree.QName(root).localname,
        issuers=_texts(root, "saml:Issuer"),
        destination=_attribute(root, "Destination"),
        in_response_to=(_attribute(root, "InResponseTo"),),
        issue_instants=_times([root.get("IssueInstant")]),
        status=_values(root, "samlp:Status//samlp:StatusCode", "Value"),
        status_message=next(iter(_texts(root, "samlp:Status/samlp:StatusMessage")), None),
        signatures=tuple(map(_read_signature, islice(root.iter(tag("ds:Signature")), MOST))),
        encryption=_read_encryption(root),
    )
    return glimpse if assertion is None else _with_assertion(glimpse, assertion)


def _with_assertion(envelope: Glimpse, assertion: Element) -> Glimpse:
    data = "saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData"
    bounded = [*assertion.iterfind(data, NAMESPACES), *assertion.iterfind("saml:Conditions", NAMESPACES)][:MOST]
    name_id = assertion.find("saml:Subject/saml:NameID", NAMESPACES)
    restrictions = islice(assertion.iterfind("saml:Conditions/saml:AudienceRestriction", NAMESPACES), MOST)
    return replace(
        envelope,
        has_assertion=True,
        issuers=envelope.issuers + _texts(assertion, "saml:Issuer"),
        in_response_to=envelope.in_response_to + _optional_values(assertion, data, "InResponseTo"),
        issue_instants=envelope.issue_instants + _times([assertion.get("IssueInstant")]),
        audiences=tuple(_texts(restriction, "saml:Audience") for restriction in restrictions),
        recipients=_optional_values(assertion, data, "Recipient"),
        not_before=_times(element.get("NotBefore") for element in bounded),
        not_on_or_after=_times(element.get("NotOnOrAfter") for element in bounded),
        session_ends=_times(_values(assertion, "saml:AuthnStatement", "SessionNotOnOrAfter")),
        authn_contexts=_texts(assertion, "saml:AuthnStatement/saml:AuthnContext/saml:AuthnContextClassRef"),
        name_id=_kind_of_name_id(assertion, name_id),
        name_id_format=None if name_id is None else _attribute(name_id, "Format"),
        attributes=tuple(islice(_read_attributes(assertion), MOST_ATTRIBUTES)),
        email_domains=_email_domains(
            element.text or "" for element in assertion.iter(tag("saml:NameID"), tag("saml:AttributeValue"))
        ),
    )


def _kind_of_name_id(assertion: Element, name_id: Element | None) -> str:
    if name_id is not None:
        return "present" if (name_id.text or "").strip() else "empty"
    return "none" if assertion.find("saml:Subject/saml:EncryptedID", NAMESPACES) is None else "encrypted"


def _read_attributes(assertion: Element) -> Iterator[tuple[str, int]]:
    for attribute in assertion.iterfind("saml:AttributeStatement/saml:Attribute", NAMESPACES):
        yield _attribute(attribute, "Name") or "", len(attribute.findall("saml:AttributeValue", NAMESPACES))


def _email_domains(values: Iterable[str]) -> tuple[str, ...]:
    matches = (_EMAIL.fullmatch(value[:320].strip()) for value in islice(values, 5 * MOST_ATTRIBUTES))
    return tuple(dict.fromkeys(match[1].lower() for match in matches if match))[:MOST]


def _read_signature(signature: Element) -> SeenSignature:
    parent = signature.getparent()
    certificates = islice(signature.iter(tag("ds:X509Certificate")), MOST)
    return SeenSignature(
        on="" if parent is None else etree.QName(parent).localname,
        algorithm=next(iter(_values(signature, "ds:SignedInfo/ds:SignatureMethod", "Algorithm")), ""),
        digest=next(iter(_values(signature, "ds:SignedInfo/ds:Reference/ds:DigestMethod", "Algorithm")), ""),
        certificates=tuple(seen for element in certificates if (seen := _read_certificate(element.text or ""))),
        is_last=parent is not None and len(parent) > 2 and parent[-1] is signature,
    )


def _read_certificate(text: str) -> SeenCertificate | None:
    try:
        der = decode_base64(text)
    except Base64Invalid:
        return None
    try:
        not_after = x509.load_der_x509_certificate(der).not_valid_after_utc
    except (ValueError, x509.InvalidVersion):
        not_after = None
    return SeenCertificate(fingerprint(der), not_after)


def fingerprint(der: bytes) -> str:
    """SHA-256, the first half, as a person compares it."""
    return ":".join(f"{byte:02X}" for byte in sha256(der).digest()[:16])


def fingerprint_of_pem(certificate: str) -> str:
    return fingerprint(x509.load_pem_x509_certificate(certificate.encode()).public_bytes(Encoding.DER))


def _read_encryption(root: Element) -> tuple[str, ...] | None:
    methods = islice(root.iter(tag("xenc:EncryptionMethod")), MOST)
    algorithms = tuple(_attribute(method, "Algorithm") or "" for method in methods)
    is_encrypted = next(root.iter(tag("saml:EncryptedAssertion"), tag("saml:EncryptedID")), None) is not None
    return algorithms if is_encrypted else None


def _attribute(element: Element, name: str) -> str | None:
    value = element.get(name)
    return None if value is None else value[:LONGEST]


def _texts(element: Element, path: str) -> tuple[str, ...]:
    return tuple((found.text or "")[:LONGEST] for found in islice(element.iterfind(path, NAMESPACES), MOST))


def _optional_values(element: Element, path: str, name: str) -> tuple[str | None, ...]:
    return tuple(_attribute(found, name) for found in islice(element.iterfind(path, NAMESPACES), MOST))


def _values(element: Element, path: str, name: str) -> tuple[str, ...]:
    return tuple(value for value in _optional_values(element, path, name) if value is not None)


def _times(texts: Iterable[str | None]) -> tuple[datetime, ...]:
    return tuple(moment for text in texts if (moment := _read_time(text)))


def _read_time(text: str | None) -> datetime | None:
    try:
        return None if text is None else read_time(text)
    except TimeInvalid:
        return None
