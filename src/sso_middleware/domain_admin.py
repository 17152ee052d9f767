"""`sso.domains`: whose domain is whose, and must its people come by SSO, while the app runs.

A domain belongs to one connection. It is nobody's word before it is verified, by DNS or on the operator's
word, and it does not become exclusive before that could lock nobody out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from .addresses import normalise_domain
from .claimable import why_not_claimable
from .configuring import Desk, do
from .connection import Connection, Connections, Domain
from .domain_challenge import Resolve, make_resolve, record_name, record_value, verified_by_dns, with_challenge
from .errors import ChangeRefused, DomainNotClaimable, DomainNotVerified, DomainTaken
from .lock_out import check_no_lock_out
from .stores.configuration_records import Configuration, DomainMode, StoredDomain


@dataclass(frozen=True, slots=True)
class DomainSummary:
    """One domain as an admin sees it."""

    name: str
    connection_id: str
    organization: str
    mode: DomainMode
    is_declared: bool
    is_verified: bool
    verified_by: str | None
    record_name: str | None
    """Where DNS is to have a TXT record, and what it is to say; None if nothing is asked for."""
    record_value: str | None
    record_expires_at: datetime | None


class DomainAdmin:
    """Of one actor. Each method waits for the database, and `verify` for DNS: under ASGI call it from a thread.

    Raises ChangeRefused (and what derives from it) and StoreUnavailable; then nothing was changed.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def list(self, connection: str | None = None) -> Sequence[DomainSummary]:
        configuration, connections = self._desk.configuration(), self._desk.current()
        found = [
            self._summary(domain, connections, configuration)
            for c in connections
            for domain in self._of(c, connections)
        ]
        mine = (domain for domain in found if self._desk.actor.organization in (None, domain.organization))
        return sorted(
            (domain for domain in mine if connection in (None, domain.connection_id)),
            key=lambda domain: (domain.connection_id, domain.name),
        )

    def show(self, name: str) -> DomainSummary:
        configuration, connections = self._desk.configuration(), self._desk.current()
        name = read_name(name)
        domain = connections.domain(name)
        connection = None if domain is None else connections.get(domain.connection_id)
        self._desk.check_owns("" if connection is None else connection.organization)
        if domain is None:
            raise ChangeRefused(f"nobody has the domain {name}")
        return self._summary(domain, connections, configuration)

    def add(self, name: str, *, connection: str, verified: bool = False, mode: DomainMode = "offer") -> DomainSummary:
        """`verified`: on the operator's word. Raises DomainNotClaimable, DomainTaken.

        A claim of somebody else's that nobody has proved in its week is in nobody's way, nor any unproved one in the
        operator's.
        """
        name = read_name(name)
        configuration = self._desk.configuration()
        connections = self._desk.current()
        owner = self._connection(connection, connections)
        why = why_not_claimable(name)
        if why is not None:
            raise DomainNotClaimable(f"{name} {why}")
        if mode == "exclusive":
            raise ChangeRefused("add it first, and make it exclusive when a test sign-in has passed")
        if verified:
            self._desk.check_operator("to take a domain for verified")
        now = self._desk.site.now()
        added = StoredDomain(name, owner.id, mode, now)
        if verified:
            added = replace(added, verified_at=now, verified_by=self._desk.actor.name)
        else:
            added = with_challenge(added, now)
        known = connections.domain(name)
        claim = next((domain for domain in configuration.domains if domain.name == name), None)
        if claim is not None and claim.connection_id != owner.id and self._is_void(claim):
            do(self._desk.site.store.delete_domain, claim.name, claim.connection_id)
            self._after_change("domain_removed", claim, {"why": "nobody proved this claim"})
            known = None
        taken = known.connection_id if known is not None else do(self._desk.site.store.add_domain, added)
        if taken is not None:
            whose = f"connection {taken!r}" if self._desk.actor.is_operator or taken == owner.id else "somebody else"
            raise DomainTaken(f"{name} belongs to {whose} already: a domain belongs to one connection")
        self._after_change("domain_added", added, {"verified_by": added.verified_by})
        return self.show(name)

    def _is_void(self, claim: StoredDomain) -> bool:
        if claim.verified_at is not None:
            return False
        ends_at = claim.challenge_expires_at
        return self._desk.actor.is_operator or ends_at is None or ends_at <= self._desk.site.now()

    def challenge(self, name: str) -> DomainSummary:
        """What DNS is to say; a new one if the last one has ended or ends within a day."""
        stored = self._stored(name)
        changed = with_challenge(stored, self._desk.site.now())
        if changed != stored:
            self._put(stored, changed)
        return self.show(stored.name)

    def verify(self, name: str, *, on_my_word: bool = False, resolve: Resolve | None = None) -> DomainSummary:
        """By DNS, or (the operator only) on their word. Raises DomainNotVerified with what was found."""
        stored = self._stored(name)
        now = self._desk.site.now()
        if on_my_word:
            self._desk.check_operator("to take a domain for verified")
            changed = replace(
                stored, verified_at=now, verified_by=self._desk.actor.name, challenge=None, challenge_expires_at=None
            )
        else:
            changed = verified_by_dns(stored, resolve or make_resolve(), now)
        self._put(stored, changed)
        self._after_change("domain_verified", changed, {"verified_by": changed.verified_by})
        return self.show(stored.name)

    def set_mode(self, name: str, mode: DomainMode, *, force: bool = False) -> DomainSummary:
        """Raises DomainNotVerified and LockOutRisked for `exclusive`; `force` overrides the latter, loudly."""
        stored = self._stored(name)
        connections = self._desk.current()
        connection = self._connection(stored.connection_id, connections)
        if mode == "exclusive" and stored.verified_at is None:
            raise DomainNotVerified(f"{stored.name} is not verified yet: `sso-middleware domains verify {stored.name}`")
        if mode == "exclusive":
            check_no_lock_out(self._desk, connection, connections, stored.name, force=force)
        changed = replace(stored, mode=mode)
        self._put(stored, changed)
        self._after_change("domain_mode_changed", changed, {"before": stored.mode, "after": mode})
        return self.show(stored.name)

    def remove(self, name: str) -> None:
        stored = self._stored(name)
        do(self._desk.site.store.delete_domain, stored.name, stored.connection_id)
        self._after_change("domain_removed", stored, {"before": stored.mode})

    # What they share

    def _connection(self, id: str, connections: Connections) -> Connection:
        connection = connections.get(id)
        self._desk.check_owns("" if connection is None else connection.organization)
        if connection is None:
            raise ChangeRefused(f"there is no connection {id!r}")
        if connection.is_declared:
            raise ChangeRefused(
                f"connection {id!r} is declared in the settings: list its domains there (domains, domain_modes)"
            )
        return connection

    def _stored(self, name: str) -> StoredDomain:
        """One of run time. Raises ChangeRefused for a declared one."""
        name = read_name(name)
        configuration, connections = self._desk.configuration(), self._desk.current()
        known = connections.domain(name)
        owner = None if known is None else connections.get(known.connection_id)
        self._desk.check_owns("" if owner is None else owner.organization)
        if owner is not None and owner.is_declared:
            raise ChangeRefused(f"{name} is declared in the settings: change it there, and restart the app")
        stored = next((domain for domain in configuration.domains if domain.name == name), None)
        if stored is None:
            raise ChangeRefused(f"nobody has the domain {name}")
        return stored

    def _put(self, stored: StoredDomain, changed: StoredDomain) -> None:
        if not do(self._desk.site.store.put_domain, changed, replaces=stored):
            raise ChangeRefused("somebody else changed it at this moment: look at it again")

    def _after_change(self, code: str, domain: StoredDomain, told: dict[str, str | None]) -> None:
        self._desk.site.sessions.forget_all_now()
        self._desk.tell(code, domain.connection_id, {"domain": domain.name, **told})

    @staticmethod
    def _of(connection: Connection, connections: Connections) -> Sequence[Domain]:
        return connections.domains_of(connection.id)

    def _summary(self, domain: Domain, connections: Connections, configuration: Configuration) -> DomainSummary:
        connection = connections.get(domain.connection_id)
        stored = next((kept for kept in configuration.domains if kept.name == domain.name), None)
        is_declared = connection is not None and connection.is_declared
        is_asked = (
            stored is not None and stored.challenge is not None and stored.verified_at is None and not is_declared
        )
        return DomainSummary(
            name=domain.name,
            connection_id=domain.connection_id,
            organization="" if connection is None else connection.organization,
            mode=domain.mode,
            is_declared=is_declared,
            is_verified=domain.is_verified,
            verified_by="the settings" if is_declared or stored is None else stored.verified_by,
            record_name=record_name(domain.name) if is_asked else None,
            record_value=record_value(stored) if is_asked and stored is not None else None,
            record_expires_at=stored.challenge_expires_at if is_asked and stored is not None else None,
        )


def read_name(text: str) -> str:
    """The domain in its one form. Raises ChangeRefused for an address, a wildcard, or what is no domain."""
    text = text.strip()
    if "@" in text:
        raise ChangeRefused("give the domain alone, such as acme.example")
    try:
        return normalise_domain(text)
    except ValueError as error:
        raise ChangeRefused(f"the domain {error}") from None
