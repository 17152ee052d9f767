"""Metadata: what we tell an identity provider about us, and what we read about it (SAML metadata 2).

Ours is built by pysaml2. Theirs is read here, by the same strict parser as every message, because what
it names is what we will trust. Fetching metadata and deciding about a changed document are not here.
"""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar, cast
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from ..errors import CertificateUnusable, MessageRefused, MetadataUnusable
from .assertion import NAME_ID_EMAIL, NAME_ID_PERSISTENT, NAME_ID_UNSPECIFIED
from .certificates import read_certificate
from .entities import SAML2_PROTOCOL, Entity, find_entity, idp_descriptors
from .metadata_bytes import MAX_BYTES, Document
from .metadata_signature import find_signed_entity
from .parsing import parse_untrusted
from .parties import BINDING_POST, BINDING_REDIRECT, Endpoint, IdentityProvider, PinnedKey, ServiceProvider

T = TypeVar("T")

MAX_ELEMENTS = 50_000
MAX_DEPTH = 40
MAX_KEYS = 20
"""Each is tried on each message; a rollover needs two."""
MAX_LOCATION = 2048
MAX_ENTITY_ID = 1024
"""SAML core 8.3.6."""
NAMESPACES = {"md": "urn:oasis:names:tc:SAML:2.0:metadata", "ds": "http://www.w3.org/2000/09/xmldsig#"}

_MD = "{urn:oasis:names:tc:SAML:2.0:metadata}"
_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_NAME_ID_FORMATS = (NAME_ID_PERSISTENT, NAME_ID_EMAIL, NAME_ID_UNSPECIFIED)
"""In the order of our liking. Not transient: nobody could be recognised the next time."""

_ENCRYPTION_METHODS = (
    "http://www.w3.org/2009/xmlenc11#aes256-gcm",
    "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    "http://www.w3.org/2009/xmlenc11#rsa-oaep",
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
)
"""What identity providers choose from (SAML metadata 2.4.1.1). Not AES-CBC, which encryption.py opens in a signed
Response only: an identity provider that has nothing else sends it unasked."""

# RFC 3986 without quotes and without a fragment: this ends in pages, in headers and in front of a query.
_URL = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&()*+,;=%-]+")
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
"""A host and a port: it is named in our Content-Security-Policy, where `;` and `,` begin something new."""
_DURATION = re.compile(  # one digit too many would be no timedelta
    r"P(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,6})D)?(?:T(?:(\d{1,7})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?"
)


# Ours


def build_sp_metadata(
    service_provider: ServiceProvider,
    *,
    signing: Sequence[str],  # PEM certificates; two while a key is being rolled over
    encryption: Sequence[str],  # empty where encryption is off: a published key invites encrypted assertions
    slo_url: str | None = None,  # None where there is no single logout
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
        single_logout_service=[
            md.SingleLogoutService(binding=binding, location=slo_url)
            for binding in (BINDING_REDIRECT, BINDING_POST)
            if slo_url is not None
        ],
        name_id_format=[md.NameIDFormat(text=name_id_format) for name_id_format in _NAME_ID_FORMATS],
        assertion_consumer_service=[
            md.AssertionConsumerService(
                index=str(index), is_default="false" if index else "true", binding=BINDING_POST, location=acs_url
            )
            for index, acs_url in enumerate(service_provider.acs_urls)
        ],
    )
    entity = md.EntityDescriptor(entity_id=service_provider.entity_id, spsso_descriptor=descriptor)
    return cast("bytes", entity.to_string(NAMESPACES))


def key_descriptor(use: str, certificate: str) -> object:
    """pysaml2's KeyDescriptor for one PEM certificate."""
    from saml2 import md, xmldsig  # noqa: PLC0415

    der = x509.load_pem_x509_certificate(certificate.encode()).public_bytes(Encoding.DER)
    data = xmldsig.X509Data(x509_certificate=xmldsig.X509Certificate(text=b64encode(der).decode("ascii")))
    methods = _ENCRYPTION_METHODS if use == "encryption" else ()
    return md.KeyDescriptor(
        use=use,
        key_info=xmldsig.KeyInfo(x509_data=data),
        encryption_method=[md.EncryptionMethod(algorithm=algorithm) for algorithm in methods],
    )


# Theirs


@dataclass(frozen=True, slots=True)
class IdpMetadata:
    """What a document says of one identity provider, and for how long."""

    identity_provider: IdentityProvider
    valid_until: datetime | None
    """The earliest validUntil of the role, the entity and the groups around it."""
    cache_duration: timedelta | None
    """The shortest cacheDuration of the same: when to look again."""
    document: bytes = field(repr=False)
    """The entity alone, without signatures, with `valid_until` on it: as much as needs to be kept."""


@dataclass(frozen=True, slots=True)
class Examined:
    """The same, of a document that may not be usable: then `problems` says why, each in words for its admin."""

    metadata: IdpMetadata
    problems: tuple[str, ...]


def read_idp_metadata(
    document: Document, *, now: datetime, entity_id: str | None = None, signed_by: Sequence[PinnedKey] = ()
) -> IdentityProvider:
    """The one identity provider that this document describes, or the one called `entity_id` among several.

    Raises MetadataUnusable, in words for the admin who supplied it; MetadataSignatureRefused if `signed_by`
    are the keys that must have signed it, and none has. Without them no signature is looked at.
    """
    return read_metadata(document, now=now, entity_id=entity_id, signed_by=signed_by).identity_provider


def read_metadata(
    document: Document, *, now: datetime, entity_id: str | None = None, signed_by: Sequence[PinnedKey] = ()
) -> IdpMetadata:
    """As `read_idp_metadata`, with what the document says of its own validity."""
    examined = examine_metadata(document, now=now, entity_id=entity_id, signed_by=signed_by)
    if examined.problems:
        raise MetadataUnusable("; ".join(examined.problems))
    return examined.metadata


def examine_metadata(
    document: Document, *, now: datetime, entity_id: str | None = None, signed_by: Sequence[PinnedKey] = ()
) -> Examined:
    """All that can be found, and all that is wrong. Raises as `read_metadata` does where nothing can be read."""
    found = find_signed_entity(document, entity_id, signed_by) if signed_by else find_entity(document, entity_id)
    entity = _parse(found.xml)
    descriptor = _idp_descriptor(entity)
    problems = _Problems()
    name = entity.get("entityID", "")
    identity_provider = IdentityProvider(
        entity_id=problems.instead(name, partial(_check_entity_id, name)),
        sso_endpoints=_sso_endpoints(descriptor, problems),
        slo_endpoints=_endpoints(descriptor, "SingleLogoutService", problems),
        keys=_pin(problems.instead(None, partial(_certificates, descriptor)), problems),
    )
    valid_until = problems.instead(None, partial(_read_validity, (descriptor, entity), found, now))
    metadata = IdpMetadata(
        identity_provider=identity_provider,
        valid_until=valid_until,
        cache_duration=problems.instead(None, partial(_read_cache_duration, (descriptor, entity), found)),
        document=_document_to_keep(entity, valid_until),
    )
    return Examined(metadata, tuple(problems))


def describe_identity_provider(
    entity_id: str, sso_url: str, certificates: Sequence[str], binding: str = BINDING_REDIRECT
) -> IdentityProvider:
    """An identity provider from what its admin page shows: entity id, sign-in URL and PEM certificates.

    The same checks as for metadata. Raises MetadataUnusable.
    """
    if binding not in (BINDING_REDIRECT, BINDING_POST):
        raise MetadataUnusable(f"the binding is neither HTTP-Redirect nor HTTP-POST but {binding!r}")
    problems = _Problems()
    identity_provider = IdentityProvider(
        entity_id=problems.instead(entity_id, partial(_check_entity_id, entity_id)),
        sso_endpoints=(Endpoint(binding, problems.instead("", partial(_check_location, sso_url, "the sign-in URL"))),),
        slo_endpoints=(),
        keys=_pin(certificates, problems),
    )
    if problems:
        raise MetadataUnusable("; ".join(problems))
    return identity_provider


class _Problems(list[str]):
    """Everything that is wrong, so that an admin need not find it out one by one."""

    def instead(self, otherwise: T, read: Callable[[], T]) -> T:
        try:
            return read()
        except MetadataUnusable as error:
            self.append(error.detail)
            return otherwise


def _document_to_keep(entity: etree._Element, valid_until: datetime | None) -> bytes:
    for signature in entity.findall(f"{_DS}Signature"):
        entity.remove(signature)
    if valid_until is not None:
        entity.set("validUntil", valid_until.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    return etree.tostring(entity, encoding="utf-8", xml_declaration=False, with_tail=False)


def _parse(xml: bytes) -> etree._Element:
    try:
        return parse_untrusted(
            xml, max_bytes=MAX_BYTES, max_elements=MAX_ELEMENTS, max_depth=MAX_DEPTH, allow_comments=True
        )
    except MessageRefused as error:
        raise MetadataUnusable(f"the metadata is not acceptable XML: {error.detail}") from error


def _idp_descriptor(entity: etree._Element) -> etree._Element:
    descriptors = idp_descriptors(entity)
    if len(descriptors) != 1:
        raise MetadataUnusable(
            f"{len(descriptors)} IDPSSODescriptors for SAML 2.0 in one entity, where one is expected"
        )
    return descriptors[0]


def _given(elements: Sequence[etree._Element], name: str) -> list[str]:
    return [value for element in elements if (value := element.get(name)) is not None]


def _read_valid_until(value: str) -> datetime:
    try:
        until = datetime.fromisoformat(value.strip())
        return until.replace(tzinfo=until.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise MetadataUnusable("the metadata's validUntil is not a time") from error


def _read_validity(elements: Sequence[etree._Element], found: Entity, now: datetime) -> datetime | None:
    # SAML metadata 2.3.1: after validUntil what the element says is void.
    given = [_read_valid_until(value) for value in (*_given(elements, "validUntil"), *found.group_valid_until)]
    until = min(given, default=None)
    if until is not None and until <= now:
        raise MetadataUnusable(
            f"the metadata was valid until {until:%Y-%m-%d %H:%M:%S} UTC: download it again from the IdP"
        )
    return until


def _read_cache_duration(elements: Sequence[etree._Element], found: Entity) -> timedelta | None:
    given = (*_given(elements, "cacheDuration"), *found.group_cache_duration)
    return min(map(_read_duration, given), default=None)


def _read_duration(value: str) -> timedelta:
    """xs:duration, a year taken as 365 days and a month as 30."""
    match = _DURATION.fullmatch(value.strip())
    if match is None or not any(match.groups()):
        raise MetadataUnusable("the metadata's cacheDuration is not a duration")
    years, months, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(days=365 * years + 30 * months + days, hours=hours, minutes=minutes, seconds=seconds)


def _check_entity_id(entity_id: str) -> str:
    if not entity_id or len(entity_id) > MAX_ENTITY_ID:
        raise MetadataUnusable(f"the entity id is missing or longer than {MAX_ENTITY_ID} characters")
    if not entity_id.isprintable() or any(character.isspace() for character in entity_id):
        raise MetadataUnusable("the entity id has spaces or invisible characters in it")
    return entity_id


def _sso_endpoints(descriptor: etree._Element, problems: _Problems) -> tuple[Endpoint, ...]:
    before = len(problems)
    endpoints = _endpoints(descriptor, "SingleSignOnService", problems)
    if not endpoints and len(problems) == before:
        problems.append("the identity provider offers no SingleSignOnService by HTTP-Redirect or HTTP-POST")
    return endpoints


def _endpoints(descriptor: etree._Element, tag: str, problems: _Problems) -> tuple[Endpoint, ...]:
    """By HTTP-Redirect and HTTP-POST, the first of each; other bindings are not for us."""
    found: dict[str, Endpoint] = {}
    for element in descriptor.findall(f"{_MD}{tag}"):
        binding = element.get("Binding", "")
        if binding in (BINDING_REDIRECT, BINDING_POST):
            given = element.get("Location", "")
            location = problems.instead("", partial(_check_location, given, f"the Location of {tag}"))
            found.setdefault(binding, Endpoint(binding, location, _response_location(element, tag, problems)))
    return tuple(endpoint for endpoint in found.values() if endpoint.location)


def _response_location(element: etree._Element, tag: str, problems: _Problems) -> str | None:
    given = element.get("ResponseLocation")
    if not given:
        return None
    return problems.instead(None, partial(_check_location, given, f"the ResponseLocation of {tag}"))


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
    if not _URL.fullmatch(location) or not _AUTHORITY.fullmatch(parts.netloc):
        raise MetadataUnusable(f"{what} has characters in it that a URL to sign in at may not have (quotes, #, user@)")
    if parts.scheme == "http" and not is_loopback(host):
        raise MetadataUnusable(f"{what} is http, not https: {location}")
    return location


def is_loopback(host: str) -> bool:
    """Whether this host, as `urlsplit` gives it, is this very machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _certificates(descriptor: etree._Element) -> list[str] | None:
    """The certificates that may sign for this role of this entity, and for no other (SAML metadata 2.4.1.1)."""
    found: list[str] = []
    for key in descriptor.findall(f"{_MD}KeyDescriptor"):
        if key.get("use", "signing") != "signing":
            continue
        certificates = key.findall(f"{_DS}KeyInfo/{_DS}X509Data/{_DS}X509Certificate")
        # Metadata interoperability profile 2.6.1. Of a chain we would trust the issuers to sign, too.
        if len(certificates) > 1:
            raise MetadataUnusable(
                f"a KeyDescriptor holds {len(certificates)} certificates: leave only the one that signs"
            )
        found += [certificate.text or "" for certificate in certificates]
    return found


def _pin(certificates: Sequence[str] | None, problems: _Problems) -> tuple[PinnedKey, ...]:
    pinned: dict[str, PinnedKey] = {}
    if certificates is None:  # for a reason that was told
        return ()
    if len(set(certificates)) > MAX_KEYS:
        problems.append(f"the identity provider has more than {MAX_KEYS} signing certificates")
        return ()
    if not certificates:
        problems.append("the identity provider has no signing certificate: nothing it sends could be verified")
    for number, certificate in enumerate(certificates, start=1):
        try:
            key = read_certificate(certificate)
        except CertificateUnusable as error:
            problems.append(f"signing certificate {number}: {error.detail}")
        else:
            pinned.setdefault(key.certificate, key)
    return tuple(pinned.values())
