"""The connections that the settings declare, ready to use: metadata read, certificates pinned, URLs made.

Whatever is wrong with any of them is told at start, all at once. Nothing here fetches anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from .errors import CertificateUnusable, ConfigurationError, MetadataUnusable
from .saml.metadata import describe_identity_provider, read_idp_metadata
from .saml.parties import DEV_IDP_PREFIX, IdentityProvider, ServiceProvider, Trust
from .settings import AttributeMap, ConnectionSettings, IdpInitiated, Settings


@dataclass(frozen=True, slots=True)
class Connection:
    """The trust between one organization's identity provider and us."""

    id: str
    organization: str
    domains: frozenset[str] | None
    """None: any domain (a single, operator-declared connection only)."""
    excluded_users: frozenset[str] = field(repr=False)
    enabled: bool
    service_provider: ServiceProvider
    trust: Trust
    idp_initiated: IdpInitiated
    hard_timeout: timedelta
    absolute_timeout: timedelta
    attributes: AttributeMap
    required_attributes: frozenset[str]
    name_id_format: str | None

    def has_domain(self, domain: str) -> bool:
        return self.domains is None or domain in self.domains


class Connections:
    """All connections, found by id, by domain or by issuer."""

    def __init__(self, connections: Iterable[Connection]) -> None:
        self._by_id = {connection.id: connection for connection in connections}

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, id: str) -> Connection | None:
        return self._by_id.get(id)

    def of_domain(self, domain: str) -> Connection | None:
        """The enabled connection that this domain must sign in by."""
        return next((c for c in self if c.enabled and c.has_domain(domain)), None)

    def of_issuer(self, entity_id: str | None) -> Connection | None:
        """The enabled connection of this identity provider, if there is exactly one."""
        found = [c for c in self if c.enabled and c.trust.identity_provider.entity_id == entity_id]
        return found[0] if len(found) == 1 else None

    @property
    def only(self) -> Connection | None:
        """The one enabled connection; None if there are several or none."""
        enabled = [c for c in self if c.enabled]
        return enabled[0] if len(enabled) == 1 else None

    @property
    def excluded_users(self) -> frozenset[str]:
        """Everybody on an exclusion list."""
        return frozenset().union(*(c.excluded_users for c in self))


def read_connections(settings: Settings, now: datetime) -> Connections:
    """Raises ConfigurationError with every problem of every connection."""
    problems: list[str] = []
    connections: list[Connection] = []
    for declared in settings.connections:
        try:
            connections.append(_read_connection(declared, settings, now))
        except ConfigurationError as error:
            problems += [f"connection {declared.id!r}: {problem}" for problem in error.problems]
        except (MetadataUnusable, CertificateUnusable) as error:
            problems.append(f"connection {declared.id!r}: {error.detail}")
    problems += _shared_issuers(connections)
    if problems:
        raise ConfigurationError(*problems)
    return Connections(connections)


def our_side(settings: Settings, connection_id: str) -> ServiceProvider:
    """Who we are to this connection: its own entity id and ACS, or the shared ones."""
    pages = settings.base_url + settings.prefix
    if settings.shared_acs:
        return ServiceProvider(entity_id=settings.sp_entity_id or f"{pages}/metadata", acs_url=f"{pages}/acs")
    return ServiceProvider(
        entity_id=f"{pages}/{connection_id}/metadata",
        acs_url=f"{pages}/{connection_id}/acs",
    )


def _read_connection(declared: ConnectionSettings, settings: Settings, now: datetime) -> Connection:
    identity_provider = _read_identity_provider(declared, now)
    if identity_provider.entity_id.startswith(DEV_IDP_PREFIX) and not settings.is_loopback:
        raise ConfigurationError(
            "this is a dev IdP, that signs anybody in; it may only be used while base_url is on loopback"
        )
    return Connection(
        id=declared.id,
        organization=declared.organization,
        domains=None if declared.domains == "any" else frozenset(declared.domains),
        excluded_users=frozenset(declared.excluded_users),
        enabled=declared.enabled,
        service_provider=our_side(settings, declared.id),
        trust=Trust(
            identity_provider=identity_provider,
            signed=declared.signed,
            encryption=declared.encryption,
            leeway=declared.leeway,
            authn_contexts=declared.authn_contexts,
        ),
        idp_initiated=declared.idp_initiated,
        hard_timeout=declared.hard_timeout or settings.hard_timeout,
        absolute_timeout=declared.absolute_timeout or settings.absolute_timeout,
        attributes=declared.attributes,
        required_attributes=frozenset(declared.required_attributes),
        name_id_format=declared.name_id_format,
    )


def _read_identity_provider(declared: ConnectionSettings, now: datetime) -> IdentityProvider:
    if declared.metadata_file is not None:
        try:
            xml = Path(declared.metadata_file).read_bytes()
        except OSError as error:
            raise ConfigurationError(f"can't read metadata_file {declared.metadata_file}: {error.strerror}") from error
        return read_idp_metadata(xml, now=now)
    if declared.metadata is not None:
        return read_idp_metadata(declared.metadata.encode(), now=now)
    return describe_identity_provider(declared.entity_id or "", declared.sso_url or "", declared.certificates)


def _shared_issuers(connections: list[Connection]) -> Iterator[str]:
    """The same IdP twice within one organization is a mistake; of two organizations it is allowed (TEN-013)."""
    seen: dict[tuple[str, str], str] = {}
    for connection in connections:
        key = (connection.organization, connection.trust.identity_provider.entity_id)
        if key in seen:
            yield (
                f"connections {seen[key]!r} and {connection.id!r} of one organization have the same identity provider"
                f" ({key[1]}): make them one connection with all the domains"
            )
        seen[key] = connection.id
