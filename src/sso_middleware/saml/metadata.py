"""Metadata: what we tell an identity provider about us, and what we read about it (SAML metadata 2).

Ours is built by pysaml2. Theirs is read here, by the same strict parser as every message, because what
it names is what we will trust. Fetching metadata and deciding about a changed document are not here.
"""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import cast
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from ..errors import CertificateUnusable, MessageRefused, MetadataUnusable
from .assertion import NAME_ID_EMAIL, NAME_ID_PERSISTENT, NAME_ID_UNSPECIFIED
from .certificates import read_certificate
from .parsing import parse_untrusted
from .parties import BINDING_POST, BINDING_REDIRECT, Endpoint, IdentityProvider, PinnedKey, ServiceProvider

MAX_BYTES = 5 * 1024 * 1024
MAX_ELEMENTS = 50_000
MAX_DEPTH = 40
MAX_KEYS = 20
"""Each is tried on each message; a rollover needs two."""
MAX_LOCATION = 2048
MAX_ENTITY_ID = 1024
"""SAML core 8.3.6."""
SAML2_PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"

NAMESPACES = {"md": "urn:oasis:names:tc:SAML:2.0:metadata", "ds": "http://www.w3.org/2000/09/xmldsig#"}

_MD = "{urn:oasis:names:tc:SAML:2.0:metadata}"
_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_NAME_ID_FORMATS = (NAME_ID_PERSISTENT, NAME_ID_EMAIL, NAME_ID_UNSPECIFIED)
"""In the order of our liking. Not transient: nobody could be recognised the next time."""

# RFC 3986 without quotes and without a fragment: this ends in pages, in headers and in front of a query.
_URL = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&()*+,;=%-]+")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WEB_PAGE = "this is a web page (HTML), not SAML metadata: perhaps a sign-in page, or one that links to the metadata"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")


# Ours


def build_sp_metadata(
    service_provider: ServiceProvider,
    *,
    signing: Sequence[str],  # PEM certificates; two while a key is being rolled over
    encryption: Sequence[str],  # empty where encryption is off: a published key invites encrypted assertions
) -> bytes:
    """The document that an admin gives to their identity provider, as UTF-8 XML."""
    from saml2 import md  # noqa: PLC0415 - late: importing pysaml2 takes most of a second

    keys = [("signing", certificate) for certificate in signing]
    keys += [("encryption", certificate) for certificate in encryption]
    descriptor = md.SPSSODescriptor(
        protocol_support_enumeration=SAML2_PROTOCOL,
        authn_requests_signed="true",
        want_assertions_signed="true",
        key_descriptor=[key_descriptor(use, certificate) for use, certificate in keys],
        name_id_format=[md.NameIDFormat(text=name_id_format) for name_id_format in _NAME_ID_FORMATS],
        assertion_consumer_service=[
            md.AssertionConsumerService(
                index="0", is_default="true", binding=BINDING_POST, location=service_provider.acs_url
            )
        ],
    )
    entity = md.EntityDescriptor(entity_id=service_provider.entity_id, spsso_descriptor=descriptor)
    return cast("bytes", entity.to_string(NAMESPACES))


def key_descriptor(use: str, certificate: str) -> object:
    """pysaml2's KeyDescriptor for one PEM certificate."""
    from saml2 import md, xmldsig  # noqa: PLC0415

    der = x509.load_pem_x509_certificate(certificate.encode()).public_bytes(Encoding.DER)
    data = xmldsig.X509Data(x509_certificate=xmldsig.X509Certificate(text=b64encode(der).decode("ascii")))
    return md.KeyDescriptor(use=use, key_info=xmldsig.KeyInfo(x509_data=data))


# Theirs


def read_idp_metadata(xml: bytes, *, now: datetime, entity_id: str | None = None) -> IdentityProvider:
    """The one identity provider that this document describes, or the one called `entity_id` among several.

    Raises MetadataUnusable, in words for the admin who supplied it. A signature on the document is not
    looked at.
    """
    entity = _choose(list(_entities(_parse(xml))), entity_id)
    descriptor = _idp_descriptor(entity)
    for element in (descriptor, entity, *entity.iterancestors()):
        _check_validity(element, now)
    return IdentityProvider(
        entity_id=_check_entity_id(entity.get("entityID", "")),
        sso_endpoints=_sso_endpoints(descriptor),
        slo_endpoints=_endpoints(descriptor, "SingleLogoutService"),
        keys=_pin(_certificates(descriptor)),
    )


def describe_identity_provider(
    entity_id: str, sso_url: str, certificates: Sequence[str], binding: str = BINDING_REDIRECT
) -> IdentityProvider:
    """An identity provider from what its admin page shows: entity id, sign-in URL and PEM certificates.

    The same checks as for metadata. Raises MetadataUnusable.
    """
    if binding not in (BINDING_REDIRECT, BINDING_POST):
        raise MetadataUnusable(f"the binding is neither HTTP-Redirect nor HTTP-POST but {binding!r}")
    return IdentityProvider(
        entity_id=_check_entity_id(entity_id),
        sso_endpoints=(Endpoint(binding, _check_location(sso_url, "the sign-in URL")),),
        slo_endpoints=(),
        keys=_pin(certificates),
    )


def _parse(xml: bytes) -> etree._Element:
    text = xml.removeprefix(_BYTE_ORDER_MARK).lstrip()  # Entra ID's download begins with the mark
    if not text:
        raise MetadataUnusable("the metadata is empty")
    if text.startswith(_UTF_16):
        raise MetadataUnusable("the metadata is in UTF-16: save it as UTF-8")
    if not text.startswith(b"<"):
        raise MetadataUnusable("this is not XML: SAML metadata starts with <EntityDescriptor")
    try:
        return parse_untrusted(
            text, max_bytes=MAX_BYTES, max_elements=MAX_ELEMENTS, max_depth=MAX_DEPTH, allow_comments=True
        )
    except MessageRefused as error:
        if re.search(rb"<(!doctype\s+)?html\b", text[:2000], re.IGNORECASE):
            raise MetadataUnusable(_WEB_PAGE) from error
        raise MetadataUnusable(f"the metadata is not acceptable XML: {error.detail}") from error


def _entities(element: etree._Element) -> Iterator[etree._Element]:
    """Every EntityDescriptor, groups within groups included (SAML metadata 2.3.1)."""
    if element.tag == f"{_MD}EntityDescriptor":
        yield element
    elif element.tag == f"{_MD}EntitiesDescriptor":
        for child in element:
            if child.tag in (f"{_MD}EntityDescriptor", f"{_MD}EntitiesDescriptor"):
                yield from _entities(child)
    else:
        name = etree.QName(element).localname
        raise MetadataUnusable(
            _WEB_PAGE
            if name == "html"
            else f"this is XML, but its first element is {_shown(name)}, not EntityDescriptor"
        )


def _choose(entities: Sequence[etree._Element], entity_id: str | None) -> etree._Element:
    providers = [entity for entity in entities if _idp_descriptors(entity)]
    wanted = [entity for entity in providers if entity_id in (None, entity.get("entityID"))]
    if not providers:
        raise MetadataUnusable(_no_provider(entities))
    if not wanted:
        raise MetadataUnusable(f"no identity provider {entity_id} in this metadata, only {_names(providers)}")
    if len({entity.get("entityID") for entity in wanted}) > 1:
        raise MetadataUnusable(f"{len(wanted)} identity providers in this metadata; say which one: {_names(wanted)}")
    # Two descriptions of one entity could say different things: which of them would be true?
    if sum(entity.get("entityID") == wanted[0].get("entityID") for entity in entities) > 1:
        raise MetadataUnusable(f"the entity {_names(wanted)} is described more than once")
    return wanted[0]


def _no_provider(entities: Sequence[etree._Element]) -> str:
    if any(entity.find(f"{_MD}SPSSODescriptor") is not None for entity in entities):
        return "this is the metadata of a service provider (ours?); the identity provider's is needed here"
    if any(entity.find(f"{_MD}IDPSSODescriptor") is not None for entity in entities):
        return "the identity provider in this metadata does not speak SAML 2.0"
    return "no identity provider in this metadata: there is no IDPSSODescriptor"


def _names(entities: Sequence[etree._Element]) -> str:
    names = sorted({_shown(entity.get("entityID", "")) for entity in entities})
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _shown(text: str) -> str:
    """For the log: short, and no line of it can be forged."""
    return repr(text[:200])[1:-1]


def _idp_descriptors(entity: etree._Element) -> list[etree._Element]:
    return [
        descriptor
        for descriptor in entity.findall(f"{_MD}IDPSSODescriptor")
        if SAML2_PROTOCOL in descriptor.get("protocolSupportEnumeration", "").split()
    ]


def _idp_descriptor(entity: etree._Element) -> etree._Element:
    descriptors = _idp_descriptors(entity)
    if len(descriptors) != 1:
        raise MetadataUnusable(
            f"{len(descriptors)} IDPSSODescriptors for SAML 2.0 in one entity, where one is expected"
        )
    return descriptors[0]


def _check_validity(element: etree._Element, now: datetime) -> None:
    # SAML metadata 2.3.1: after validUntil what the element says is void.
    value = element.get("validUntil")
    if value is None:
        return
    try:
        until = datetime.fromisoformat(value.strip())
    except ValueError as error:
        raise MetadataUnusable("the metadata's validUntil is not a time") from error
    if until.replace(tzinfo=until.tzinfo or UTC) <= now:
        raise MetadataUnusable(f"the metadata was valid until {value.strip()}: download it again from the IdP")


def _check_entity_id(entity_id: str) -> str:
    if not entity_id or len(entity_id) > MAX_ENTITY_ID:
        raise MetadataUnusable(f"the entity id is missing or longer than {MAX_ENTITY_ID} characters")
    if not entity_id.isprintable() or any(character.isspace() for character in entity_id):
        raise MetadataUnusable("the entity id has spaces or invisible characters in it")
    return entity_id


def _sso_endpoints(descriptor: etree._Element) -> tuple[Endpoint, ...]:
    endpoints = _endpoints(descriptor, "SingleSignOnService")
    if not endpoints:
        raise MetadataUnusable("the identity provider offers no SingleSignOnService by HTTP-Redirect or HTTP-POST")
    return endpoints


def _endpoints(descriptor: etree._Element, tag: str) -> tuple[Endpoint, ...]:
    """By HTTP-Redirect and HTTP-POST, the first of each; other bindings are not for us."""
    found: dict[str, Endpoint] = {}
    for element in descriptor.findall(f"{_MD}{tag}"):
        binding = element.get("Binding", "")
        if binding in (BINDING_REDIRECT, BINDING_POST):
            location = _check_location(element.get("Location", ""), f"the Location of {tag}")
            found.setdefault(binding, Endpoint(binding, location))
    return tuple(found.values())


def _check_location(location: str, what: str) -> str:
    """We send browsers there, with a request of ours: https, or http on this very machine; nothing else."""
    if not location or len(location) > MAX_LOCATION:
        raise MetadataUnusable(f"{what} is missing or longer than {MAX_LOCATION} characters")
    try:
        parts = urlsplit(location)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise MetadataUnusable(f"{what} is not a URL") from error
    if parts.scheme not in ("https", "http") or not host:
        raise MetadataUnusable(f"{what} is not an https URL")
    if not _URL.fullmatch(location) or "@" in parts.netloc:
        raise MetadataUnusable(f"{what} has characters in it that a URL to sign in at may not have (quotes, #, user@)")
    if parts.scheme == "http" and not _is_loopback(host):
        raise MetadataUnusable(f"{what} is http, not https: {location}")
    return location


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _certificates(descriptor: etree._Element) -> Iterator[str]:
    """The certificates that may sign for this role of this entity, and for no other (SAML metadata 2.4.1.1)."""
    for key in descriptor.findall(f"{_MD}KeyDescriptor"):
        if key.get("use", "signing") != "signing":
            continue
        certificates = key.findall(f"{_DS}KeyInfo/{_DS}X509Data/{_DS}X509Certificate")
        # Metadata interoperability profile 2.6.1. Of a chain we would trust the issuers to sign, too.
        if len(certificates) > 1:
            raise MetadataUnusable(
                f"a KeyDescriptor holds {len(certificates)} certificates: leave only the one that signs"
            )
        for certificate in certificates:
            yield certificate.text or ""


def _pin(certificates: Sequence[str] | Iterator[str]) -> tuple[PinnedKey, ...]:
    pinned: dict[str, PinnedKey] = {}
    for number, certificate in enumerate(certificates, start=1):
        try:
            key = read_certificate(certificate)
        except CertificateUnusable as error:
            raise MetadataUnusable(f"signing certificate {number}: {error.detail}") from error
        pinned.setdefault(key.certificate, key)
        if len(pinned) > MAX_KEYS:
            raise MetadataUnusable(f"the identity provider has more than {MAX_KEYS} signing certificates")
    if not pinned:
        raise MetadataUnusable("the identity provider has no signing certificate: nothing it sends could be verified")
    return tuple(pinned.values())
