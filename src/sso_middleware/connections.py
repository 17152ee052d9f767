"""Make connections ready to use: metadata read, certificates pinned, URLs made.

Whatever is wrong with any that the settings declare is told at start, all at once. Nothing here fetches anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .connection import Connection, Connections, Domain
from .errors import CertificateUnusable, ConfigurationError, MetadataUnusable
from .idp_source import ByHand, FromUrl, FromXml
from .role_settings import role_policy
from .saml.certificates import read_certificate
from .saml.metadata import describe_identity_provider, read_idp_metadata
from .saml.parties import DEV_IDP_PREFIX, IdentityProvider, PinnedKey, ServiceProvider, Trust
from .setting_rules import own_acs_path
from .settings import ConnectionSettings, Settings
from .stores.records import Device
from .timeouts import Timeouts

__all__ = ["Connection", "Connections", "Domain"]

LONGEST_SHA1 = timedelta(days=90)
"""How far ahead `sha1_until` may be: a quarter, to have an identity provider changed."""
LONGEST_SKIPPED_DESTINATION = timedelta(days=7)


def read_connections(settings: Settings, now: datetime) -> Connections:
    """Raises ConfigurationError with every problem of every connection.

    One with a metadata_url has nobody to trust yet: what was fetched is `directory`'s to put in place.
    """
    problems: list[str] = []
    connections: list[Connection] = []
    for declared in settings.connections:
        try:
            connections.append(read_one(declared, settings, now))
        except ConfigurationError as error:
            problems += [f"connection {declared.id!r}: {problem}" for problem in error.problems]
        except (MetadataUnusable, CertificateUnusable) as error:
            problems.append(f"connection {declared.id!r}: {error.detail}")
    problems += _shared_issuers(connections)
    if problems:
        raise ConfigurationError(*problems)
    return Connections(connections, declared_domains(settings))


def declared_domains(settings: Settings) -> Iterator[Domain]:
    """Those that the settings name: on the operator's word, so verified."""
    for declared in settings.connections:
        for name in declared.named_domains:
            yield Domain(name, declared.id, declared.domain_modes.get(name, "exclusive"), is_verified=True)


def our_side(settings: Settings, declared: ConnectionSettings | None = None) -> ServiceProvider:
    """Who we are to this connection; None: to all that share one ACS."""
    base_url, prefix = settings.base_url, settings.prefix
    if declared is None:
        return ServiceProvider(settings.sp_entity_id or f"{base_url}{prefix}/metadata", f"{base_url}{prefix}/acs")
    metadata_path = f"{prefix}/metadata" if settings.shared_acs else f"{prefix}/{declared.id}/metadata"
    own_path = own_acs_path(prefix, declared.id, shared_acs=settings.shared_acs)
    # First the one that our requests name: an identity provider that knows us from before knows no other.
    acs_urls = [base_url + path for path in dict.fromkeys((*declared.acs_paths, own_path))]
    entity_id = declared.sp_entity_id or settings.sp_entity_id or f"{base_url}{metadata_path}"
    return ServiceProvider(entity_id, acs_urls[0], tuple(acs_urls[1:]))


def slo_url(settings: Settings, connection_id: str | None) -> str:
    """Where this connection's logout messages come in; None: those of all that share one address."""
    own = "" if settings.shared_acs or connection_id is None else f"/{connection_id}"
    return f"{settings.base_url}{settings.prefix}{own}/slo"


def read_one(declared: ConnectionSettings, settings: Settings, now: datetime) -> Connection:
    """Raises ConfigurationError, MetadataUnusable, CertificateUnusable."""
    identity_provider = _read_identity_provider(declared, now)
    if identity_provider is not None:
        check_identity_provider(identity_provider, settings)
    problems = [
        *_exceptions_that_go_too_far(declared, settings, now),
        *_signatures_that_nobody_can_make(declared, identity_provider),
    ]
    if problems:
        raise ConfigurationError(*problems)
    return build_connection(declared, settings, identity_provider)


def check_identity_provider(identity_provider: IdentityProvider, settings: Settings) -> None:
    """Raises MetadataUnusable for one that may not be used with these settings."""
    if identity_provider.entity_id.startswith(DEV_IDP_PREFIX) and not settings.is_loopback:
        raise MetadataUnusable(
            "this is a dev IdP, that signs anybody in; it may only be used while base_url is on loopback"
        )


def build_connection(
    declared: ConnectionSettings,
    settings: Settings,
    identity_provider: IdentityProvider | None,
    *,
    version: int | None = None,
    trusted_until: datetime | None = None,
) -> Connection:
    """What these settings say, with this identity provider."""
    roles = role_policy(declared, settings)
    return Connection(
        id=declared.id,
        organization=declared.organization,
        domains=None if declared.domains == "any" else frozenset(_used_domains(declared)),
        excluded_users=frozenset(declared.excluded_users),
        state=declared.declared_state,
        service_provider=our_side(settings, declared),
        encryption=declared.encryption,
        trusted=None if identity_provider is None else _trust_in(identity_provider, declared),
        idp_initiated=declared.idp_initiated,
        timeouts=read_timeouts(declared, settings),
        single_logout=declared.single_logout,
        policy=_policy_of(declared, roles.stamp),
        attributes=declared.attributes,
        required_attributes=frozenset(declared.required_attributes),
        profile=declared.profile,
        just_in_time=declared.just_in_time,
        secondary_email_fallback=declared.secondary_email_fallback,
        name_id_format=declared.name_id_format,
        signature_algorithm=declared.signature_algorithm,
        roles=roles,
        test_users=frozenset(declared.test_users),
        enforce_from=start_of(declared.enforce_from),
        admins=frozenset(declared.admins),
        exclusion_by_link=declared.exclusion_by_link,
        is_declared=declared.is_declared,
        test_stamp=_test_stamp(declared, identity_provider),
        metadata_version=version,
        trusted_until=trusted_until,
    )


def _used_domains(declared: ConnectionSettings) -> Iterator[str]:
    return (name for name in declared.named_domains if declared.domain_modes.get(name) != "off")


def read_timeouts(declared: ConnectionSettings, settings: Settings) -> Mapping[Device, Timeouts]:
    """The connection's own, else the general one; on a mobile device the mobile one, if there is one."""

    def found(*names: str) -> timedelta | None:
        values = (getattr(holder, name, None) for name in names for holder in (declared, settings))
        return next((value for value in values if value is not None), None)

    absolute = declared.absolute_timeout or settings.absolute_timeout
    hard = declared.hard_timeout or settings.hard_timeout
    return {
        "desktop": Timeouts(hard, found("soft_timeout"), absolute),
        "mobile": Timeouts(
            found("hard_timeout_mobile") or hard, found("soft_timeout_mobile", "soft_timeout"), absolute
        ),
    }


def _policy_of(declared: ConnectionSettings, roles: object) -> str:
    told = json.dumps(
        [
            declared.attributes.model_dump(exclude={"preset"}),  # by what it means, not by how it is written
            sorted(declared.required_attributes),
            declared.country_format,
            dict(declared.profile.departments.by_department),
            roles,
        ],
        sort_keys=True,
    )
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _test_stamp(declared: ConnectionSettings, identity_provider: IdentityProvider | None) -> str:
    """Whose word is believed, and how it is read: whoever passed a test with these can sign in with these."""
    known = (
        None if identity_provider is None else [identity_provider.entity_id, *_named_as(declared, identity_provider)]
    )
    # Whether roles are asked for; which group has which is changed every day.
    read = _policy_of(declared, declared.authorization)
    told = json.dumps([known, read, declared.signed, declared.encryption, declared.name_id_format])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _named_as(declared: ConnectionSettings, identity_provider: IdentityProvider) -> list[str]:
    """Anybody can have an entity id. What is fetched from the same URL goes on by itself, whatever keys it has next."""
    source = declared.source
    if isinstance(source, FromUrl):
        return [source.url]
    keys = (
        key.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in identity_provider.keys
    )
    return [identity_provider.sso.location, *sorted(hashlib.sha256(key).hexdigest() for key in keys)]


def _trust_in(identity_provider: IdentityProvider, declared: ConnectionSettings) -> Trust:
    return Trust(
        identity_provider=identity_provider,
        signed=declared.signed,
        encryption=declared.encryption,
        leeway=declared.leeway,
        authn_contexts=declared.authn_contexts,
        signature_algorithms=declared.allowed_signature_algorithms,
        sha1_until=start_of(declared.sha1_until),
        skip_destination_until=start_of(declared.skip_destination_until),
    )


def _exceptions_that_go_too_far(declared: ConnectionSettings, settings: Settings, now: datetime) -> Iterator[str]:
    """An exception is dated and short; one whose day has come has ended by itself, and is no problem."""
    for name, until, longest in (
        ("sha1_until", declared.sha1_until, LONGEST_SHA1),
        ("skip_destination_until", declared.skip_destination_until, LONGEST_SKIPPED_DESTINATION),
    ):
        if until is not None and until > (now + longest).date():
            yield f"{name}: is more than {longest.days} days ahead; name an earlier day, by which it is put right"
    is_live = declared.enabled and settings.mode == "domains"
    if is_live and declared.skip_destination_until is not None and declared.skip_destination_until > now.date():
        yield (
            'skip_destination_until: is not for domains that are exclusive (mode is "domains") while the connection is'
            " enabled; let the identity provider name our ACS address as Destination"
        )


def _signatures_that_nobody_can_make(
    declared: ConnectionSettings, identity_provider: IdentityProvider | None
) -> Iterator[str]:
    keys = identity_provider.keys if identity_provider is not None else ()
    kinds = {"rsa" if isinstance(key.public_key, RSAPublicKey) else "ecdsa" for key in keys}
    if kinds and kinds.isdisjoint(name.partition("-")[0] for name in declared.allowed_signature_algorithms):
        yield (
            "allowed_signature_algorithms: lists none that the identity provider's keys could sign with"
            f" ({' and '.join(sorted(kinds))}-…); add one, or leave the setting out"
        )


def start_of(day: date | None) -> datetime | None:
    """When an exception that lasts until this day ends: at its first moment, in UTC."""
    return None if day is None else datetime.combine(day, time.min, UTC)


def _read_identity_provider(declared: ConnectionSettings, now: datetime) -> IdentityProvider | None:
    if not declared.names_identity_provider:
        return None
    source = declared.source
    if isinstance(source, FromUrl):
        read_signers(declared)
        return None
    if isinstance(source, ByHand):
        return describe_identity_provider(source.entity_id, source.sso_url, source.certificates)
    document = source.xml.encode() if isinstance(source, FromXml) else source.path
    try:
        return read_idp_metadata(document, now=now, entity_id=declared.entity_id, signed_by=read_signers(declared))
    except OSError as error:
        raise ConfigurationError(f"can't read metadata_file {document!s}: {error.strerror}") from error


def read_signers(declared: ConnectionSettings) -> tuple[PinnedKey, ...]:
    """Whose signature its metadata must have; none: nobody's. Raises ConfigurationError."""
    try:
        return tuple(map(read_certificate, declared.metadata_signing_certificates))
    except CertificateUnusable as error:
        raise ConfigurationError(f"metadata_signing_certificates: {error.detail}") from error


def _shared_issuers(connections: list[Connection]) -> Iterator[str]:
    for number, connection in enumerate(connections):
        if connection.identity_provider is not None:
            problem = shared_issuer(connection, connection.identity_provider, connections[:number])
            if problem is not None:
                yield problem


def shared_issuer(
    connection: Connection, identity_provider: IdentityProvider, others: Iterable[Connection]
) -> str | None:
    """The same IdP twice within one organization is a mistake; of two organizations it is allowed (TEN-013)."""
    for other in others:
        if (
            other.id != connection.id
            and other.organization == connection.organization
            and other.identity_provider is not None
            and other.identity_provider.entity_id == identity_provider.entity_id
        ):
            return (
                f"connections {other.id!r} and {connection.id!r} of one organization have the same identity provider"
                f" ({identity_provider.entity_id}): make them one connection with all the domains"
            )
    return None
