"""`sso.connections`: make, change, test, switch on and off connections while the app runs.

A connection that the settings declare can be put into another state here, and nothing else: what it says
is changed where it stands. Every change counts in this process at once, and in every other within a second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from .configuring import NOT_FOUND, Desk, do
from .connection import Connection, Connections, Domain
from .connections import read_one
from .errors import CertificateUnusable, ChangeRefused, ConfigurationError, MetadataUnusable
from .flows.connection_test import TEST_LINK
from .lock_out import check_no_lock_out
from .next_step import next_step
from .run_time_settings import KEPT_APART, RunTimeSettings, read_document
from .setting_values import is_connection_id
from .stores.configuration_records import Configuration, ConnectionState, StoredConnection, StoredDomain
from .way_back import ways_back_of
from .ways_back import WayBack

TEST_LINK_LASTS = timedelta(hours=24)
OPERATOR_ONLY = ("sp_entity_id", "sha1_until", "skip_destination_until", "may_grant")
"""What an organization's admin can't loosen for themselves."""
ADDRESSES = ("excluded_users", "test_users")
"""Told in events by their number in the log, in full in the table."""
_LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class ConnectionSummary:
    """One connection as an admin sees it."""

    id: str
    organization: str
    state: ConnectionState
    is_declared: bool
    domains: tuple[Domain, ...]
    identity_provider: str | None
    """Its entity id; None while it is not known."""
    test_passed_at: datetime | None
    """When a test of what it says now passed."""
    enforce_from: datetime | None
    excluded_users: tuple[str, ...] = field(repr=False)
    test_users: tuple[str, ...] = field(repr=False)
    admins: tuple[str, ...] = field(repr=False)
    ways_back: tuple[WayBack, ...]
    next_step: str
    """What to do next, as a command, or in words."""


class ConnectionAdmin:
    """Of one actor. Each method waits for the database: under ASGI call it from a thread.

    Raises ChangeRefused (NotAllowed among them), ConfigurationError with every problem of what was given, and
    StoreUnavailable; then nothing was changed.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    # Looking

    def list(self) -> Sequence[ConnectionSummary]:
        self._desk.configuration()
        connections = self._desk.current()
        mine = (c for c in connections if self._desk.actor.organization in (None, c.organization))
        return [self._summary(connection, connections) for connection in mine]

    def show(self, id: str) -> ConnectionSummary:
        connections = self._desk.current()
        return self._summary(self._find(id, connections), connections)

    def document(self, id: str) -> Mapping[str, object]:
        """What was given for a connection of run time, as JSON can say it."""
        return dict(self._stored(id, self._desk.configuration()).settings or {})

    # Changing

    def create(self, id: str, *, organization: str, **document: Any) -> ConnectionSummary:
        """A draft. `document` is as a `[[connections]]` table, without what has a place of its own (KEPT_APART)."""
        self._desk.check_operator("to make a connection")
        now = self._desk.site.now()
        if not is_connection_id(id):
            raise ChangeRefused("an id has lower-case letters, digits and hyphens, and begins with none of these")
        created = StoredConnection(id, organization.strip(), _jsonable(document), "draft", 1, now, now)
        if not created.organization:
            raise ChangeRefused("the organization needs a name")
        self._check(created)
        if not do(self._desk.site.store.add_connection, created):
            raise ChangeRefused(f"there is a connection {id!r} already")
        self._tell("connection_created", created, after=created.settings or {})
        return self.show(id)

    def update(self, id: str, changes: Mapping[str, Any]) -> ConnectionSummary:
        """Set what is given; None takes a setting out, so that its default holds."""
        stored = self._stored(id, self._desk.configuration())
        for name in changes if not self._desk.actor.is_operator else ():
            if name in OPERATOR_ONLY:
                self._desk.check_operator(f"to change {name}")
        before = dict(stored.settings or {})
        merged = {**before, **_jsonable(changes)}
        after = {name: value for name, value in merged.items() if value is not None}
        self._put(stored, replace(stored, settings=after))
        self._tell("connection_changed", stored, before=before, after=after)
        return self.show(id)

    def set_state(self, id: str, state: ConnectionState | None, *, force: bool = False) -> ConnectionSummary:
        """None, for a declared one: as the settings say.

        To activate one whose domains are exclusive raises LockOutRisked as to make them so does.
        """
        configuration, connections = self._desk.configuration(), self._desk.current()
        connection = self._find(id, connections)
        declared = next((c for c in self._desk.site.settings.connections if c.id == id), None)
        if declared is not None and not declared.enabled and state not in (None, "disabled"):
            self._desk.check_operator("to switch on what the settings themselves switch off")
        if state == "active" and connection.trusted is None:
            raise ChangeRefused("it has no usable metadata of an identity provider yet, so nobody could sign in by it")
        if state == "testing" and not connection.test_users:
            raise ChangeRefused("nobody is named in test_users, so nobody could sign in: name the people who test")
        if state == "active" and any(d.mode == "exclusive" for d in connections.domains_of(id)):
            check_no_lock_out(self._desk, connection, connections, f"connection {id!r}", force=force)
        stored = self._row_of(connection, configuration)
        if state is None and stored.settings is not None:
            raise ChangeRefused("its state is kept here, so it must have one")
        self._put(stored, replace(stored, state=state), check=False)
        told = {"before": connection.state, "after": state or "as the settings say"}
        is_loud = state == "disabled" or connection.state == "disabled"
        self._desk.tell("connection_state_changed", id, told, is_loud=is_loud)
        return self.show(id)

    def delete(self, id: str) -> None:
        """With its domains, its people and their sessions: another one of the same id would know nobody of them."""
        self._desk.check_operator("to delete a connection")
        stored = self._stored(id, self._desk.configuration())
        do(self._desk.site.store.delete_connection, id)
        self._after_change()
        self._tell("connection_deleted", stored, before=stored.settings or {})

    # Testing

    def test_link(self, id: str) -> str:
        """A link for whoever is to try a sign-in: it shows what would happen, and signs nobody in. Good for a day."""
        connection = self._find(id, self._desk.current())
        if connection.trusted is None:
            raise ChangeRefused("it has no usable metadata of an identity provider yet: give that first")
        site = self._desk.site
        ends_at = int((site.now() + TEST_LINK_LASTS).timestamp())
        return site.page_url("test", token=site.tokens.sign(TEST_LINK, json.dumps([connection.id, ends_at])))

    # What they share

    def _find(self, id: str, connections: Connections) -> Connection:
        self._desk.configuration()
        connection = connections.get(id)
        if connection is None:
            if not self._desk.actor.is_operator:
                self._desk.check_owns("")
            raise ChangeRefused(f"{NOT_FOUND}: {id!r}")
        self._desk.check_owns(connection.organization)
        return connection

    def _stored(self, id: str, configuration: Configuration) -> StoredConnection:
        """One of run time. Raises ChangeRefused for a declared one."""
        declared = next((c for c in self._desk.site.settings.connections if c.id == id), None)
        if declared is not None:
            self._desk.check_owns(declared.organization)
            raise ChangeRefused(f"{id!r} is declared in the settings: change it there, and restart the app")
        stored = next((c for c in configuration.connections if c.id == id and c.settings is not None), None)
        self._desk.check_owns("" if stored is None else stored.organization)
        if stored is None:
            raise ChangeRefused(f"{NOT_FOUND}: {id!r}")
        return stored

    def _row_of(self, connection: Connection, configuration: Configuration) -> StoredConnection:
        """Of a declared one the first time: a new one, of version 0."""
        found = next((c for c in configuration.connections if c.id == connection.id), None)
        now = self._desk.site.now()
        fresh = StoredConnection(connection.id, connection.organization, None, None, 0, now, now)
        if found is not None and connection.is_declared and found.settings is not None:
            return replace(fresh, version=found.version)  # of one of run time that once had this id
        return found or fresh

    def _check(self, stored: StoredConnection, domains: Mapping[str, StoredDomain] | None = None) -> None:
        """Raises ConfigurationError with all that is wrong with it."""
        site = self._desk.site
        try:
            read_one(read_document(stored, site.settings, domains), site.settings, site.now())
        except (MetadataUnusable, CertificateUnusable) as error:
            raise ConfigurationError(error.detail) from None

    def _put(self, stored: StoredConnection, changed: StoredConnection, *, check: bool = True) -> None:
        if check:
            self._check(changed)
        changed = replace(changed, version=stored.version + 1, updated_at=self._desk.site.now())
        store = self._desk.site.store
        is_new = stored.version == 0
        if not (
            do(store.add_connection, changed) if is_new else do(store.put_connection, changed, replaces=stored.version)
        ):
            raise ChangeRefused("somebody else changed it at this moment: look at it again")
        self._after_change()

    def _after_change(self) -> None:
        self._desk.site.sessions.forget_all_now()

    def _summary(self, connection: Connection, connections: Connections) -> ConnectionSummary:
        admins = connections.admins_of(connection.organization)
        back = ways_back_of(self._desk.site.settings, connection, admins, self._desk.hooks)
        domains = tuple(sorted(connections.domains_of(connection.id), key=lambda domain: domain.name))
        return ConnectionSummary(
            id=connection.id,
            organization=connection.organization,
            state=connection.state,
            is_declared=connection.is_declared,
            domains=domains,
            identity_provider=connection.identity_provider.entity_id if connection.identity_provider else None,
            test_passed_at=connection.test_passed_at,
            enforce_from=connection.enforce_from,
            excluded_users=tuple(sorted(connection.excluded_users)),
            test_users=tuple(sorted(connection.test_users)),
            admins=tuple(sorted(admins)),
            ways_back=tuple(back),
            next_step=next_step(connection, domains, back, has_mail=self._desk.site.settings.smtp_url is not None),
        )

    def _tell(
        self,
        code: str,
        stored: StoredConnection,
        *,
        before: Mapping[str, object] | None = None,
        after: Mapping[str, object] | None = None,
    ) -> None:
        names = sorted({*(before or {}), *(after or {})})
        changed = [n for n in names if (before or {}).get(n) != (after or {}).get(n)]
        told: dict[str, str | None] = {"organization": stored.organization, "changed": ", ".join(changed)}
        unlogged: dict[str, str] = {}
        for name in changed:
            for when, values in (("before", before or {}), ("after", after or {})):
                told[f"{name} {when}"] = shown(name, values.get(name))
                if name in ADDRESSES and values.get(name):
                    unlogged[f"{name} {when}"] = _text(values[name])
        self._desk.tell(code, stored.id, told, unlogged=unlogged)


def shown(name: str, value: object) -> str | None:
    """A value as an event tells it: short, and of addresses only how many."""
    if value is None:
        return None
    if name in ADDRESSES:
        parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
        return f"{len(parts)} addresses"
    text = _text(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}… ({len(text)} characters)"


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _jsonable(document: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON can keep it. Raises ConfigurationError for what has a place of its own, and what JSON can't say."""
    problems = [f"{name}: {_ELSEWHERE.get(name, 'can not be given here')}" for name in document if name in KEPT_APART]
    unknown = [name for name in document if name not in RunTimeSettings.model_fields]
    problems += [f"{name}: is not a setting of a connection" for name in unknown]
    if problems:
        raise ConfigurationError(*problems)
    try:
        read: dict[str, Any] = json.loads(json.dumps(dict(document), default=_plain))
    except TypeError:
        raise ConfigurationError("a value is neither a text, a number, a list nor a table") from None
    return read


def _plain(value: object) -> object:
    if isinstance(value, tuple | set | frozenset):
        return sorted(value) if isinstance(value, set | frozenset) else list(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(type(value).__name__)


_ELSEWHERE = {
    "domains": "are added one by one: `sso-middleware domains add`",
    "domain_modes": "is set for each domain: `sso-middleware domains mode`",
    "admins": "are added one by one: `sso-middleware admins add`",
    "state": "is set by `sso-middleware connections activate`, `testing` or `disable`",
    "enabled": "is a state: `sso-middleware connections disable`",
    "departments_file": "is read by the command line: `sso-middleware connections departments`",
    "metadata_file": "is read by the command line: give the text itself as metadata",
}
