"""The connections as they are now: what the settings declare, with the metadata that was fetched since.

Fetching is metadata_refresh.py's, in some process; here each process takes over what it left in the
store, within a second, and only where somebody signs in by it: no other request waits for that.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from .calling import Call, Clock
from .connections import Connection, Connections, build_connection, check_identity_provider
from .errors import MetadataUnusable
from .idp_source import FromUrl
from .saml.metadata import IdpMetadata, read_metadata
from .settings import ConnectionSettings, Settings
from .stores.records import MetadataCopy, MetadataStamp, Store

log = logging.getLogger("sso_middleware")

LOOKED_AT_EVERY = timedelta(seconds=1)
SOON_AT_MOST_EVERY = timedelta(minutes=10)
"""Between two fetches that a signature by an unknown key brings about: anybody can send one of those."""


class Directory:
    """Of one process. `current` never waits; `look` does, at most once a second, and only for the store."""

    def __init__(self, settings: Settings, declared: Connections, store: Store, now: Clock) -> None:
        self._settings = settings
        self._store = store
        self._now = now
        self._by_url = fetched_connections(settings)
        self._stamps: dict[str, MetadataStamp] = {}
        self.looked_at: datetime | None = None
        """When this process last asked the store."""
        self.current = declared

    async def look(self, call: Call) -> None:
        """Take over what has changed. Raises StoreUnavailable: whom to trust is not known then."""
        now = self._now()
        if not self._by_url or (self.looked_at is not None and now - LOOKED_AT_EVERY < self.looked_at <= now):
            return
        self._stamps = dict(await call(self._store.get_metadata_stamps))
        for id, declared in self._by_url.items():
            if self._is_outdated(id, now):
                copy = await call(self._store.get_metadata_copy, id)
                # Through `call`: to read a large document takes a while.
                self.current.put(await call(read_connection, declared, self._settings, copy, now))
        self.looked_at = now

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


def fetched_connections(settings: Settings) -> dict[str, ConnectionSettings]:
    """Those whose metadata is fetched, by id."""
    return {declared.id: declared for declared in settings.connections if isinstance(declared.source, FromUrl)}


def read_current(settings: Settings, declared: Connections, store: Store, now: datetime) -> Connections:
    """The same for whoever has no `call`: housekeeping and the command line. Raises StoreUnavailable."""
    current = Connections(declared)
    for id, connection in fetched_connections(settings).items():
        current.put(read_connection(connection, settings, store.get_metadata_copy(id), now))
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
