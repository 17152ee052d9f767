"""Connections and their e-mail domains as they are used: found by id, by domain, by issuer.

How they are read from settings is `connections`'; who must use one is decided by `flows.enforcement`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .errors import ConnectionNotReady
from .profiles import ProfilePolicy
from .roles import RolePolicy
from .saml.parties import (
    Encryption,
    IdentityProvider,
    OurSignatureAlgorithm,
    ServiceProvider,
    Trust,
)
from .settings import AttributeMap, IdpInitiated, SingleLogout
from .stores.configuration_records import ConnectionState, DomainMode
from .stores.records import Device
from .timeouts import Timeouts


@dataclass(frozen=True, slots=True)
class Domain:
    """An e-mail domain of one connection. One that is not verified never decides who a person is."""

    name: str
    connection_id: str
    mode: DomainMode
    is_verified: bool

    @property
    def is_used(self) -> bool:
        return self.is_verified and self.mode != "off"


@dataclass(frozen=True, slots=True)
class Connection:
    """The trust between one organization's identity provider and us."""

    id: str
    organization: str
    domains: frozenset[str] | None
    """Whose addresses it may assert: its verified ones. None: any (a single, operator-declared connection only)."""
    excluded_users: frozenset[str] = field(repr=False)
    state: ConnectionState
    service_provider: ServiceProvider
    encryption: Encryption
    trusted: Trust | None
    """None while no good copy of its metadata_url's document is at hand."""
    idp_initiated: IdpInitiated
    timeouts: Mapping[Device, Timeouts]
    single_logout: SingleLogout
    policy: str
    """A stamp of how an assertion becomes a principal: sessions of another one are renewed before they are used."""
    attributes: AttributeMap
    required_attributes: frozenset[str]
    profile: ProfilePolicy
    just_in_time: bool
    secondary_email_fallback: bool
    name_id_format: str | None
    signature_algorithm: OurSignatureAlgorithm
    """What we sign our own messages with."""

    roles: RolePolicy
    """What is made of the values of its roles attribute."""

    test_users: frozenset[str] = field(default=frozenset(), repr=False)
    """Who may sign in while it is in the state `testing`."""
    enforce_from: datetime | None = None
    """When its exclusive domains become so; None: at once."""
    admins: frozenset[str] = field(default=frozenset(), repr=False)
    """Of its organization, as far as the settings name them."""
    exclusion_by_link: bool = False
    """Whether everybody of its exclusive domains is offered the host's own login, so that nothing tells who is
    excluded."""
    is_declared: bool = True
    """By the settings; False: it was created at run time."""
    test_stamp: str = ""
    """Of what a connection test depends on: with another one it must be tested again."""
    test_passed_at: datetime | None = None
    """When a test of just this passed."""

    metadata_version: int | None = None
    """Of the fetched copy that `trusted` is made of; None if none was fetched."""
    trusted_until: datetime | None = None
    """When that copy becomes void."""

    @property
    def enabled(self) -> bool:
        """Whether anybody may sign in by it."""
        return self.state in ("testing", "active")

    def admits(self, email: str) -> bool:
        """Whether this person may sign in by it: while it is being tested, only those who are named."""
        return self.state == "active" or (self.state == "testing" and email in self.test_users)

    def is_in_force(self, now: datetime) -> bool:
        """Whether its exclusive domains are exclusive by now."""
        return self.state == "active" and (self.enforce_from is None or self.enforce_from <= now)

    @property
    def trust(self) -> Trust:
        """Raises ConnectionNotReady while there is nobody to trust yet."""
        if self.trusted is None:
            raise ConnectionNotReady(f"connection {self.id!r} has no usable metadata yet: see the metadata commands")
        return self.trusted

    @property
    def identity_provider(self) -> IdentityProvider | None:
        return None if self.trusted is None else self.trusted.identity_provider

    @property
    def has_single_logout(self) -> bool:
        """Whether we offer it: `auto`, unless its identity provider is known to have no endpoint for it."""
        known = self.identity_provider
        return self.single_logout == "auto" and (known is None or known.slo is not None)

    def has_domain(self, domain: str) -> bool:
        return self.domains is None or domain in self.domains


class Connections:
    """All connections, found by id, by domain or by issuer.

    One object for the life of a process: what changes is put into it in one step, so that another thread sees
    the old or the new.
    """

    def __init__(self, connections: Iterable[Connection], domains: Iterable[Domain] | None = None) -> None:
        self._by_id: dict[str, Connection] = {}
        self._domains: dict[str, Domain] = {}
        self._excluded_users: frozenset[str] = frozenset()
        self._admins: Mapping[str, frozenset[str]] = {}
        self.put_all(connections, domains)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def put(self, connection: Connection) -> None:
        """In the place of the one that had its id. One step, so another thread sees the old one or this one."""
        self._by_id[connection.id] = connection

    def put_all(
        self,
        connections: Iterable[Connection],
        domains: Iterable[Domain] | None = None,  # None: those that the connections name, exclusive
        admins: Mapping[str, frozenset[str]] | None = None,  # by organization, besides those that connections name
    ) -> None:
        """In the place of all."""
        by_id = {connection.id: connection for connection in connections}
        if domains is None:
            domains = [Domain(name, c.id, "exclusive", True) for c in by_id.values() for name in c.domains or ()]
        found = {domain.name: domain for domain in domains}
        of_organizations: dict[str, frozenset[str]] = dict(admins or {})
        for connection in by_id.values():
            named = of_organizations.get(connection.organization, frozenset())
            of_organizations[connection.organization] = named | connection.admins
        self._excluded_users = frozenset().union(*(c.excluded_users for c in by_id.values()))
        self._admins = of_organizations
        self._domains = found
        self._by_id = by_id

    def get(self, id: str) -> Connection | None:
        return self._by_id.get(id)

    def domain(self, name: str) -> Domain | None:
        """Whatever its mode, and verified or not."""
        return self._domains.get(name)

    def domains_of(self, connection_id: str) -> list[Domain]:
        return [domain for domain in self._domains.values() if domain.connection_id == connection_id]

    def of_domain(self, name: str) -> Connection | None:
        """The enabled connection by which people of this domain may sign in."""
        domain = self._domains.get(name)
        if domain is None:
            return next((c for c in self if c.enabled and c.domains is None), None)
        connection = self._by_id.get(domain.connection_id)
        return connection if domain.is_used and connection is not None and connection.enabled else None

    def exclusive_to(self, name: str, now: datetime) -> Connection | None:
        """The connection by which people of this domain must sign in, by now."""
        domain, connection = self._domains.get(name), self.of_domain(name)
        if connection is None or not connection.is_in_force(now):
            return None
        # `any` is for mode "everyone", where nobody signs in otherwise.
        return connection if domain is None or domain.mode == "exclusive" else None

    def owner_of(self, name: str) -> Connection | None:
        """The connection whose domain this is, verified, whatever its mode and the connection's state."""
        domain = self._domains.get(name)
        if domain is None:
            return next((c for c in self if c.domains is None), None)
        return self._by_id.get(domain.connection_id) if domain.is_verified else None

    def is_of_another(self, name: str, connection: Connection) -> bool:
        """Whether this domain is verified as another connection's: then this one says nothing of its people."""
        domain = self._domains.get(name)
        return domain is not None and domain.is_verified and domain.connection_id != connection.id

    def has_exclusive(self, now: datetime) -> bool:
        """Whether people of any domain must sign in by SSO, by now."""
        names = list(self._domains) if self._domains else [""]  # "": of a connection for any domain
        return any(self.exclusive_to(name, now) for name in names)

    def of_issuer(self, entity_id: str | None) -> Connection | None:
        """The enabled connection of this identity provider, if there is exactly one."""
        found = [c for c in self if c.enabled and c.identity_provider and c.identity_provider.entity_id == entity_id]
        return found[0] if len(found) == 1 else None

    @property
    def only(self) -> Connection | None:
        """The one active connection; None if there are several or none."""
        active = [c for c in self if c.state == "active"]
        return active[0] if len(active) == 1 else None

    @property
    def excluded_users(self) -> frozenset[str]:
        """Everybody on an exclusion list."""
        return self._excluded_users

    def admins_of(self, organization: str) -> frozenset[str]:
        """The e-mail addresses of its SSO account admins."""
        return self._admins.get(organization, frozenset())
