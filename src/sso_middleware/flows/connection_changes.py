"""What recovery access may change of a connection: its state, its metadata, its excluded users.

Whose connection it is, and who asks, was decided before. A change is made to the version that was looked
at, or not at all; what it says is read as settings are, before it is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ..calling import Call
from ..connections import read_one
from ..errors import CertificateUnusable, ConfigurationError, ConnectionChanged, ConnectionDeclared, MetadataUnusable
from ..hooks import has_host_user
from ..idp_source import FromFile, FromUrl, FromXml, recognise
from ..run_time_settings import read_document
from ..settings import ConnectionSettings
from ..stores.configuration_records import Configuration, ConnectionState, StoredConnection
from .site import Site

_NAMES_ITS_IDP = ("metadata", "metadata_file", "metadata_url", "entity_id", "sso_url", "certificates")


@dataclass(frozen=True, slots=True)
class OwnConnection:
    """One connection of the admin's organization, as it is now."""

    id: str
    organization: str
    declared: ConnectionSettings | None = field(repr=False)
    """Given: the settings declare it, and only its state can be changed."""
    kept: StoredConnection | None = field(repr=False)
    settings: ConnectionSettings | None = field(repr=False)
    """None if what is kept can't be read any more."""

    @property
    def version(self) -> int:
        """What a change is made to; 0: nothing is kept of it yet."""
        return 0 if self.kept is None else self.kept.version

    @property
    def state(self) -> ConnectionState:
        if self.kept is not None and self.kept.state is not None:
            return self.kept.state
        return "draft" if self.declared is None else self.declared.declared_state

    @property
    def excluded_users(self) -> tuple[str, ...]:
        return () if self.settings is None else self.settings.excluded_users


@dataclass(frozen=True, slots=True)
class Change:
    """What was done, for the events: no address of a person is in it."""

    what: str
    before: str
    after: str
    added: tuple[str, ...] = field(default=(), repr=False)
    """Excluded users. Each is told in an event of its own."""
    removed: tuple[str, ...] = field(default=(), repr=False)


def find_connection(site: Site, configuration: Configuration, id: str, organization: str) -> OwnConnection:
    declared = next((c for c in site.settings.connections if c.id == id), None)
    kept = next((c for c in configuration.connections if c.id == id), None)
    if declared is not None and kept is not None and kept.settings is not None:
        # Of one of run time that once had this id: the declared one takes its place with the first change.
        kept = replace(kept, organization=organization, settings=None, state=None, test_passed_at=None, test_stamp=None)
    settings: ConnectionSettings | None = declared
    if declared is None and kept is not None:
        with suppress(ConfigurationError):
            settings = read_document(kept, site.settings)
    return OwnConnection(id, organization, declared, kept, settings)


async def change_state(site: Site, call: Call, own: OwnConnection, *, to_disabled: bool, version: int) -> Change:
    """Switch it off, or on again. Raises ConnectionChanged, ConnectionDeclared.

    Only what is active: by way of off and on again, a draft would skip its test.
    """
    before = own.state
    if before != ("active" if to_disabled else "disabled"):
        raise ConnectionChanged(f"connection {own.id!r} is {before}: there is nothing to switch {_word(to_disabled)}")
    if own.declared is not None and not own.declared.enabled:
        raise ConnectionDeclared("the settings themselves switch this connection off")
    state: ConnectionState | None = "disabled"
    if not to_disabled:
        # As declared, where the settings declare it: so that it follows them again. What never passed a test has
        # to do so first.
        was_tested = own.kept is not None and own.kept.test_passed_at is not None
        state = None if own.declared is not None else "active" if was_tested else "draft"
    await _put(site, call, own, version, state=state)
    return Change("state", before, state or "active")


async def change_metadata(site: Site, call: Call, own: OwnConnection, *, text: str, version: int) -> Change:
    """Another identity provider, or its new keys: XML or a URL. Raises ConfigurationError, ConnectionDeclared …"""
    given = _changeable(own)
    before = await call(_describe, site, own, given)
    try:
        source = recognise(text)
    except ValueError as error:
        raise ConfigurationError(f"metadata: {error}") from None
    if isinstance(source, FromFile):  # of the app's machine: nobody from outside names one of those
        raise ConfigurationError("metadata: must be the XML itself, or a URL that begins with https://")
    for name in _NAMES_ITS_IDP:
        given.pop(name, None)
    if isinstance(source, FromUrl):
        given["metadata_url"] = source.url
    elif isinstance(source, FromXml):
        given["metadata"] = source.xml
    else:
        given |= {"entity_id": source.entity_id, "sso_url": source.sso_url, "certificates": list(source.certificates)}
    await _put(site, call, own, version, settings=given)
    return Change("metadata", before, await call(_describe, site, own, given))


async def change_excluded_users(site: Site, call: Call, own: OwnConnection, *, text: str, version: int) -> Change:
    """The whole list, separated by commas or lines. Raises ConfigurationError, ConnectionDeclared …"""
    given = _changeable(own)
    before = own.excluded_users
    users = [user.strip() for line in text.splitlines() for user in line.split(",") if user.strip()]
    if users and not has_host_user(site.hooks):
        raise ConfigurationError("excluded_users: this app can't recognise them: it has no hook host_user")
    given["excluded_users"] = users
    settings = await _put(site, call, own, version, settings=given)
    after = settings.excluded_users
    return Change(
        "excluded_users",
        f"{len(before)} people",
        f"{len(after)} people",
        tuple(sorted(set(after) - set(before))),
        tuple(sorted(set(before) - set(after))),
    )


def _changeable(own: OwnConnection) -> dict[str, Any]:
    if own.declared is not None or own.kept is None or own.kept.settings is None:
        raise ConnectionDeclared(f"connection {own.id!r} is declared in the settings")
    return dict(own.kept.settings)


async def _put(site: Site, call: Call, own: OwnConnection, version: int, **changes: Any) -> ConnectionSettings:
    """Raises ConnectionChanged unless it still is as it was looked at."""
    if own.version != version:
        raise ConnectionChanged(f"connection {own.id!r} is at version {own.version}, and {version} was looked at")
    settings = own.settings
    if "settings" in changes:
        settings = await call(_read, site, own, changes["settings"])
    now = site.now()
    if own.kept is None:
        state: ConnectionState | None = changes["state"]
        new = StoredConnection(own.id, own.organization, None, state, 1, now, now)
        is_done = await call(site.store.add_connection, new)
    else:
        new = replace(own.kept, **changes, version=own.kept.version + 1, updated_at=now)
        is_done = await call(site.store.put_connection, new, replaces=own.kept.version)
    if not is_done:
        raise ConnectionChanged(f"somebody else changed connection {own.id!r} at this moment")
    if settings is None:
        raise ConfigurationError("what is kept of this connection can't be read")
    return settings


def _read(site: Site, own: OwnConnection, given: Mapping[str, Any]) -> ConnectionSettings:
    """As `sso.connections` reads it: what would be refused there is refused here. Raises ConfigurationError."""
    if own.kept is None:
        raise ConnectionDeclared(f"nothing is kept of connection {own.id!r}")
    document = read_document(replace(own.kept, settings=given), site.settings)
    try:
        read_one(document, site.settings, site.now())
    except (MetadataUnusable, CertificateUnusable) as error:
        raise ConfigurationError(f"metadata: {error.detail}") from None
    return document


def _describe(site: Site, own: OwnConnection, given: Mapping[str, Any]) -> str:
    """Which metadata, without its length: whoever has it can tell whether it is this."""
    if given.get("metadata_url"):
        return f"fetched from {given['metadata_url']}"
    try:
        connection = read_one(_read(site, own, given), site.settings, site.now())
        entity_id = connection.identity_provider.entity_id if connection.identity_provider else "none"
    except ConfigurationError:
        entity_id = "unusable"
    text = json.dumps({name: given.get(name) for name in _NAMES_ITS_IDP}, default=str, sort_keys=True)
    return f"{entity_id}, sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _word(to_disabled: bool) -> str:
    return "off" if to_disabled else "on"
