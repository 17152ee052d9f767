"""The connections as they are now: what the settings declare, what admins decided since, and fetched metadata.

Fetching is metadata_refresh.py's, in some process; here each process takes over what it left in the
store, within a second, and only where somebody signs in by it: no other request waits for that. What
admins decide it takes over at the next request of any kind, as soon as the change cursor tells of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from .calling import Call, Clock
from .connection import Connection, Connections, Domain
from .connections import build_connection, check_identity_provider, declared_domains, read_one
from .errors import CertificateUnusable, ConfigurationError, MetadataUnusable, StoreUnavailable
from .idp_source import FromUrl
from .run_time_settings import RunTimeSettings, read_documents
from .saml.metadata import IdpMetadata, read_metadata
from .settings import ConnectionSettings, Settings
from .stores.configuration_records import Configuration, StoredConnection
from .stores.records import MetadataCopy, MetadataStamp, Store
from .stores.sessions import SessionCache

log = logging.getLogger("sso_middleware")

LOOKED_AT_EVERY = timedelta(seconds=1)
SOON_AT_MOST_EVERY = timedelta(minutes=10)
"""Between two fetches that a signature by an unknown key brings about: anybody can send one of those."""


class Directory:
    """Of one process. `current` never waits; `follow` and `look` do, and only for the store."""

    def __init__(
        self, settings: Settings, declared: Connections, store: Store, sessions: SessionCache, now: Clock
    ) -> None:
        self._settings = settings
        self.declared = Connections(declared)
        """What the settings say, without what admins have decided since."""
        self._store = store
        self._sessions = sessions
        self._now = now
        self._by_url = fetched_connections(settings)
        self._stamps: dict[str, MetadataStamp] = {}
        self._version: int | None = None
        self._built: dict[str, tuple[object, Connection]] = {}
        self.looked_at: datetime | None = None
        """When this process last asked the store for metadata."""
        self.current = declared

    async def follow(self, call: Call) -> None:
        """Take over what admins have decided. Raises StoreUnavailable if it never was known.

        While the store can't be read, what is known stays: nobody can change it there either.
        """
        try:
            await self._sessions.look(call)
            if self._sessions.configuration != self._version:
                configuration = await call(self._store.get_configuration)
                # Through `call`: to read a thousand connections takes a while.
                await call(self._take_over, configuration)
        except StoreUnavailable:
            if self._version is None:
                raise

    def _take_over(self, configuration: Configuration) -> None:
        now = self._now()
        states = {stored.id: stored for stored in configuration.connections}
        declared_ids = {declared.id for declared in self.declared}
        connections = [
            _with_state(self.current.get(declared.id) or declared, declared, states.get(declared.id))
            for declared in self.declared
        ]
        by_url = fetched_connections(self._settings)
        for stored, document in read_documents(self._settings, configuration):
            connection = self._build(stored, document, now)
            if stored.id not in declared_ids:
                connections.append(connection)
            if isinstance(document.source, FromUrl):
                by_url[stored.id] = document
        self._by_url = by_url
        self._built = {id: built for id, built in self._built.items() if id in states}
        self.current.put_all(connections, _domains(self._settings, configuration), _admins(configuration))
        self._version = configuration.version

    def _build(self, stored: StoredConnection, document: RunTimeSettings, now: datetime) -> Connection:
        """The same object for as long as nothing of it changes: sessions that are remembered stay so."""
        made_of = (stored, document)
        before = self._built.get(stored.id)
        if before is not None and before[0] == made_of:
            return self.current.get(stored.id) or before[1]
        connection = build_stored(stored, document, self._settings, now)
        known = self.current.get(stored.id)
        if isinstance(document.source, FromUrl) and known is not None:
            # Its metadata is looked at in a moment; until then whom it trusted is whom it trusts.
            connection = _with_metadata_of(known, connection, document, self._settings)
        self._built[stored.id] = (made_of, connection)
        return connection

    async def look(self, call: Call) -> None:
        """Take over what has changed. Raises StoreUnavailable: whom to trust is not known then."""
        await self.follow(call)
        now = self._now()
        if not self._by_url or (self.looked_at is not None and now - LOOKED_AT_EVERY < self.looked_at <= now):
            return
        self._stamps = dict(await call(self._store.get_metadata_stamps))
        for id, declared in self._by_url.items():
            if self._is_outdated(id, now):
                copy = await call(self._store.get_metadata_copy, id)
                # Through `call`: to read a large document takes a while.
                fetched = await call(read_connection, declared, self._settings, copy, now)
                self._put(id, declared, fetched)
        self.looked_at = now

    def _put(self, id: str, declared: ConnectionSettings, fetched: Connection) -> None:
        """Unless admins have decided something since it was read: that must not be undone by what was before it."""
        if self._by_url.get(id) is not declared:
            return
        self.current.put(_as_before(fetched, self.current.get(id)))
        if self._by_url.get(id) is not declared:  # another thread has taken something over at this very moment
            self._built.pop(id, None)
            self._version = None

    async def latest(self, connection: Connection, call: Call) -> Connection:
        await self.look(call)
        return self.current.get(connection.id) or connection

    async def fetch_soon(self, connection_id: str, call: Call) -> bool:
        """Have its metadata fetched again, since an unknown key has signed; whether it comes by URL at all."""
        if connection_id not in self._by_url:
            return False
        now = self._now()
        stamp = self._stamps.get(connection_id)
        if stamp is not None:
            soonest = now if stamp.attempted_at is None else max(now, stamp.attempted_at + SOON_AT_MOST_EVERY)
            # Asked of what was read a second ago, so that a flood of forged messages writes once.
            if soonest < stamp.next_fetch_at:
                await call(self._store.fetch_metadata_soon, connection_id, soonest)
                self._stamps[connection_id] = replace(stamp, next_fetch_at=soonest)
        return True

    def _is_outdated(self, id: str, now: datetime) -> bool:
        connection, stamp = self.current.get(id), self._stamps.get(id)
        if connection is None or connection.metadata_version != (stamp and stamp.version):
            return True
        return connection.trusted_until is not None and connection.trusted_until <= now


# What admins decide


def build_stored(stored: StoredConnection, document: RunTimeSettings, settings: Settings, now: datetime) -> Connection:
    """A connection of run time. Where whom it trusts can't be told (its metadata is void by now, say), it trusts
    nobody, and a line in the log says so: to leave it out would set the people of its exclusive domains free."""
    try:
        return _with_test(read_one(document, settings, now), stored)
    except (ConfigurationError, MetadataUnusable, CertificateUnusable) as error:
        log.error("connection %r, as it is kept, lets nobody sign in: %s", stored.id, error.detail)
        return build_connection(document, settings, None)


def _with_state(connection: Connection, declared: Connection, stored: StoredConnection | None) -> Connection:
    """A declared connection, in the state that an admin has put it into.

    A row with settings is of one of run time that once had the same id, and says nothing of this one.
    """
    if stored is not None and stored.settings is not None:
        stored = None
    state = declared.state if stored is None or stored.state is None else stored.state
    changed = connection if connection.state == state else replace(connection, state=state)
    return changed if stored is None else _with_test(changed, stored)


def _with_test(connection: Connection, stored: StoredConnection) -> Connection:
    passed = stored.test_passed_at if stored.test_stamp == connection.test_stamp else None
    return connection if connection.test_passed_at == passed else replace(connection, test_passed_at=passed)


def _with_metadata_of(
    known: Connection, connection: Connection, document: RunTimeSettings, settings: Settings
) -> Connection:
    if known.identity_provider is None:
        return connection
    return replace(
        build_connection(
            document,
            settings,
            known.identity_provider,
            version=known.metadata_version,
            trusted_until=known.trusted_until,
        ),
        test_passed_at=known.test_passed_at,
    )


def _as_before(fetched: Connection, known: Connection | None) -> Connection:
    """What new metadata does not change: the state that an admin has put it into."""
    if known is None:
        return fetched
    passed = known.test_passed_at if known.test_stamp == fetched.test_stamp else None
    return replace(fetched, state=known.state, test_passed_at=passed)


def _domains(settings: Settings, configuration: Configuration) -> list[Domain]:
    """Of a domain that the settings name, too, they say whose it is."""
    declared_ids = {connection.id for connection in settings.connections}
    kept = [
        Domain(stored.name, stored.connection_id, stored.mode, stored.verified_at is not None)
        for stored in configuration.domains
        if stored.connection_id not in declared_ids  # of one of run time that once had the same id
    ]
    return [*kept, *declared_domains(settings)]


def _admins(configuration: Configuration) -> Mapping[str, frozenset[str]]:
    admins: dict[str, frozenset[str]] = {}
    for admin in configuration.admins:
        admins[admin.organization] = admins.get(admin.organization, frozenset()) | {admin.email}
    return admins


# Fetched metadata


def fetched_connections(settings: Settings, store: Store | None = None) -> dict[str, ConnectionSettings]:
    """Those whose metadata is fetched, by id; with a store, those of run time too. Raises StoreUnavailable."""
    found: list[ConnectionSettings] = list(settings.connections)
    if store is not None:
        found += [document for _, document in read_documents(settings, store.get_configuration())]
    return {declared.id: declared for declared in found if isinstance(declared.source, FromUrl)}


def read_current(settings: Settings, declared: Connections, store: Store, now: datetime) -> Connections:
    """The same for whoever has no `call`: housekeeping and the command line. Raises StoreUnavailable."""
    configuration = store.get_configuration()
    states = {stored.id: stored for stored in configuration.connections}
    found = {connection.id: _with_state(connection, connection, states.get(connection.id)) for connection in declared}
    for stored, document in read_documents(settings, configuration):
        found.setdefault(stored.id, build_stored(stored, document, settings, now))
    current = Connections(())
    current.put_all(found.values(), _domains(settings, configuration), _admins(configuration))
    for id, fetched in fetched_connections(settings, store).items():
        connection = read_connection(fetched, settings, store.get_metadata_copy(id), now)
        current.put(_as_before(connection, current.get(id)))
    return current


def read_connection(
    declared: ConnectionSettings, settings: Settings, copy: MetadataCopy | None, now: datetime
) -> Connection:
    """With what the last good copy says, if that is of any use."""
    version = None if copy is None else copy.version
    metadata = read_copy(copy, declared, now)
    if metadata is None or not _may_be_used(metadata, declared, settings):
        return build_connection(declared, settings, None, version=version)
    return build_connection(
        declared, settings, metadata.identity_provider, version=version, trusted_until=metadata.valid_until
    )


def _may_be_used(metadata: IdpMetadata, declared: ConnectionSettings, settings: Settings) -> bool:
    """Whether these settings allow it, whatever allowed it when it was fetched."""
    try:
        check_identity_provider(metadata.identity_provider, settings)
    except MetadataUnusable as error:
        log.warning("connection %r: the copy of its metadata may not be used: %s", declared.id, error.detail)
        return False
    return True


def read_copy(copy: MetadataCopy | None, declared: ConnectionSettings, now: datetime) -> IdpMetadata | None:
    """What the last good copy says; None if there is none, or it is of another URL, or no longer valid."""
    source = declared.source
    if copy is None or copy.document is None or not isinstance(source, FromUrl) or copy.url != source.url:
        return None
    try:
        # Who signed it was asked when it was fetched; what is kept is the entity alone. Which one is meant
        # may have been put right in the settings since then.
        return read_metadata(copy.document, now=now, entity_id=declared.entity_id)
    except MetadataUnusable as error:
        log.warning("connection %r: the copy of its metadata is of no use any more: %s", declared.id, error.detail)
        return None
    except Exception as error:  # kept by another version, perhaps
        # Whom one connection trusts must not be in the way of all the others.
        log.error("connection %r: the copy of its metadata can't be read: %s", declared.id, type(error).__name__)
        return None
