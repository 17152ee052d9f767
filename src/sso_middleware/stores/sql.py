"""The records in a SQL database: what each method of `Store` asks of it, and what makes it atomic.

Every method is plain and synchronous and runs in one transaction. How the database is reached is
`database`'s; the tables are `tables`'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, case, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from ..errors import AssertionReplayed, BrowserMismatch, KeyChangeRefused, LoginRequestUnknown, PendingLoginUnknown
from . import tables
from .database import Database, is_sqlite
from .records import (
    Count,
    KeyPurpose,
    KeyState,
    LoginRequest,
    MetadataCopy,
    MetadataStamp,
    PendingLogin,
    SealedKey,
    TakenLogin,
)
from .sql_configuration import SqlConfiguration
from .sql_events import SqlEvents, storable
from .sql_mail import SqlMail
from .sql_profiles import SqlProfiles
from .sql_roles import SqlRoles

UNSEEN_SESSION_ENDS_AFTER = timedelta(days=90)
"""No timeout is longer than this (`hard_timeout_mobile`), so such a session can only be a dead one."""
ENDED_SESSION_KEPT_FOR = timedelta(days=1)
"""So that a form that meets it can be kept for its person, and a clock that is set back brings nobody in again."""
CHANGE_TOLD_FOR = timedelta(hours=1)
"""A process that hears of nothing for longer forgets every session that it remembers."""


class SqlStore(SqlConfiguration, SqlEvents, SqlMail, SqlRoles, SqlProfiles):
    """Implements `records.Store` on SQLite (one machine) and PostgreSQL (many)."""

    def __init__(self, database_url: str) -> None:
        self._database = Database(database_url)
        # Both know INSERT .. ON CONFLICT, each by its own class.
        self._insert: Any = sqlite.insert if is_sqlite(self._database.url) else postgresql.insert

    def close(self) -> None:
        self._database.close()

    # Logins

    def add_login_request(self, login_request: LoginRequest) -> None:
        self._add(tables.login_requests, asdict(login_request))

    def get_login_request(self, id: str, now: datetime) -> LoginRequest | None:
        table = tables.login_requests
        row = self._first(table, table.c.id == id, table.c.expires_at > now)
        return None if row is None else LoginRequest(**row)

    def claim_assertion(self, connection_id: str, assertion_id: str, valid_until: datetime) -> None:
        table = tables.claimed_assertions
        claim = self._insert(table).values(
            connection_id=connection_id, assertion_id=assertion_id, valid_until=valid_until
        )
        with self._database.writing() as connection:
            # A claim that another worker has not committed yet makes this one wait, then lose.
            row = connection.execute(claim.on_conflict_do_nothing().returning(table.c.assertion_id)).first()
        if row is None:
            raise AssertionReplayed("this assertion has been claimed before")

    def add_pending_login(self, pending: PendingLogin) -> None:
        self._add(tables.pending_logins, asdict(pending))

    def get_pending_login(self, handle: str, now: datetime) -> PendingLogin | None:
        table = tables.pending_logins
        row = self._first(table, table.c.handle == handle, table.c.expires_at > now)
        return None if row is None else PendingLogin(**row)

    def take_pending_login(self, handle: str, browser: str | None, now: datetime) -> TakenLogin:
        with self._database.writing() as connection:
            taken = _take_pending_login(connection, handle, browser, now)
        # Raised after the commit: the pending login is gone in any case.
        if isinstance(taken, Exception):
            raise taken
        return taken

    # Our own keys

    def get_keys(self, purpose: KeyPurpose) -> Sequence[SealedKey]:
        with self._database.reading() as connection:
            return _keys(connection, purpose)

    def claim_first_key(self, key: SealedKey) -> SealedKey:
        first = self._insert(tables.keys).values(asdict(key) | {"generation": 0})
        with self._database.writing() as connection:
            if not _keys(connection, key.purpose):
                # Two workers may both come here: only one row can be generation 0 of its purpose.
                connection.execute(first.on_conflict_do_nothing())
            return next(kept for kept in _keys(connection, key.purpose) if kept.state == "current")

    def replace_key(self, key: SealedKey) -> None:
        table = tables.keys
        with self._database.writing() as connection:
            connection.execute(update(table).where(table.c.id == key.id).values(private_key=key.private_key))

    def get_key_states(self) -> Mapping[str, KeyState]:
        with self._database.reading() as connection:
            rows = connection.execute(select(tables.keys.c.id, tables.keys.c.state))
            return {row.id: row.state for row in rows}

    def add_next_key(self, key: SealedKey) -> None:
        table = tables.keys
        with self._database.writing() as connection:
            kept = _keys(connection, key.purpose)
            if not kept or any(other.state == "next" for other in kept):
                raise KeyChangeRefused(f"there is a next {key.purpose} key already, or none that it could follow")
            newest = select(func.max(table.c.generation)).where(table.c.purpose == key.purpose).scalar_subquery()
            # Two may both come here, one after the other's commit or not: a purpose has one next key (an index holds
            # it), and one of each generation.
            row = asdict(key) | {"state": "next", "generation": newest + 1}
            add = self._insert(table).values(row).on_conflict_do_nothing().returning(table.c.id)
            if connection.execute(add).first() is None:
                raise KeyChangeRefused(f"somebody else added a next {key.purpose} key at this moment")

    def rotate_keys(self, purpose: KeyPurpose, now: datetime) -> SealedKey:
        table = tables.keys
        of_purpose = table.c.purpose == purpose
        changed = update(table).where(of_purpose)
        with self._database.writing() as connection:
            # Whoever comes second waits for this row (on SQLite: for the whole transaction), and then finds none.
            wanted = select(table.c.id).where(of_purpose, table.c.state == "next").with_for_update()
            next_id = connection.execute(wanted).scalar()
            if next_id is None:
                raise KeyChangeRefused(f"there is no next {purpose} key")
            retire = changed.where(table.c.state == "current").values(state="retired", changed_at=now)
            promote = changed.where(table.c.id == next_id).values(state="current", changed_at=now)
            connection.execute(retire)
            connection.execute(promote)
            return next(key for key in _keys(connection, purpose) if key.id == next_id)

    def delete_retired_key(self, id: str) -> SealedKey:
        table = tables.keys
        retired = delete(table).where(table.c.id == id, table.c.state == "retired").returning(*_KEY_COLUMNS)
        with self._database.writing() as connection:
            row = connection.execute(retired).mappings().first()
        if row is None:
            raise KeyChangeRefused("there is no retired key with this id")
        return SealedKey(**row)

    # Fetched metadata

    def get_metadata_stamps(self) -> Mapping[str, MetadataStamp]:
        table = tables.metadata_copies
        columns = (table.c.url, table.c.version, table.c.attempted_at, table.c.next_fetch_at)
        with self._database.reading() as connection:
            rows = connection.execute(select(table.c.connection_id, *columns)).all()
        return {row[0]: MetadataStamp(*row[1:]) for row in rows}

    def get_metadata_copy(self, connection_id: str) -> MetadataCopy | None:
        table = tables.metadata_copies
        row = self._first(table, table.c.connection_id == connection_id)
        return None if row is None else MetadataCopy(**row)

    def put_metadata_copy(self, copy: MetadataCopy, *, replaces: int | None) -> bool:
        table = tables.metadata_copies
        row = asdict(copy) | {"problem": storable(copy.problem), "held_reason": storable(copy.held_reason)}
        put: Any
        if replaces is None:
            put = self._insert(table).values(row).on_conflict_do_nothing()
        else:
            put = update(table).where(table.c.connection_id == copy.connection_id, table.c.version == replaces)
            put = put.values(row)
        with self._database.writing() as connection:
            return connection.execute(put.returning(table.c.version)).first() is not None

    def fetch_metadata_soon(self, connection_id: str, at: datetime) -> None:
        table = tables.metadata_copies
        later = update(table).where(table.c.connection_id == connection_id, table.c.next_fetch_at > at)
        with self._database.writing() as connection:
            connection.execute(later.values(next_fetch_at=at))

    # Limits

    def add_to_count(self, name: str, number: int, now: datetime, ends_at: datetime) -> Count:
        table = tables.limits
        first = self._insert(table).values(name=name, count=number, ends_at=ends_at)
        is_over = table.c.ends_at <= now
        counted = first.on_conflict_do_update(
            index_elements=[table.c.name],
            set_={
                "count": case((is_over, first.excluded.count), else_=table.c.count + first.excluded.count),
                "ends_at": case((is_over, first.excluded.ends_at), else_=table.c.ends_at),
            },
        )
        with self._database.writing() as connection:
            row = connection.execute(counted.returning(table.c.count, table.c.ends_at)).one()
        return Count(row[0], row[1])

    # What happened

    def claim_notice(self, name: str, until: datetime) -> bool:
        table = tables.notices
        notice = self._insert(table).values(name=name, ends_at=until).on_conflict_do_nothing()
        with self._database.writing() as connection:
            return connection.execute(notice.returning(table.c.name)).first() is not None

    # Housekeeping

    def claim_lease(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        table = tables.leases
        value = {"holder": holder, "held_until": until}
        lease = self._insert(table).values({"name": name} | value)
        claim = lease.on_conflict_do_update(
            index_elements=[table.c.name],
            set_=value,
            where=or_(table.c.held_until <= now, table.c.holder == holder),
        )
        with self._database.writing() as connection:
            return connection.execute(claim.returning(table.c.name)).first() is not None

    def delete_expired(self, now: datetime, *, batch: int = 500) -> int:
        # The order of `take_pending_login`, so that the two can't wait for each other.
        ended: list[tuple[Table, ColumnElement[bool]]] = [
            (tables.pending_logins, tables.pending_logins.c.expires_at <= now),
            (tables.login_requests, tables.login_requests.c.expires_at <= now),
            (tables.claimed_assertions, tables.claimed_assertions.c.valid_until <= now),
            (tables.limits, tables.limits.c.ends_at <= now),
            (tables.notices, tables.notices.c.ends_at <= now),
            (tables.logout_requests, tables.logout_requests.c.expires_at <= now),
            (tables.kept_forms, tables.kept_forms.c.expires_at <= now),
            (tables.pending_profiles, tables.pending_profiles.c.expires_at <= now),
            (tables.outbox, tables.outbox.c.expires_at <= now),
            (tables.recovery_tokens, tables.recovery_tokens.c.expires_at <= now - ENDED_SESSION_KEPT_FOR),
            (tables.changes, tables.changes.c.at <= now - CHANGE_TOLD_FOR),
            (
                tables.sessions,
                or_(
                    tables.sessions.c.expires_at <= now - ENDED_SESSION_KEPT_FOR,
                    tables.sessions.c.timed_out_at <= now - ENDED_SESSION_KEPT_FOR,
                    tables.sessions.c.alias_ends_at <= now - ENDED_SESSION_KEPT_FOR,
                    tables.sessions.c.last_seen <= now - UNSEEN_SESSION_ENDS_AFTER,
                ),
            ),
        ]
        with self._database.writing() as connection:
            return sum(_delete_some(connection, table, condition, batch) for table, condition in ended)

    def _add(self, table: Table, row: dict[str, object]) -> None:
        with self._database.writing() as connection:
            connection.execute(table.insert().values(row))

    def _first(self, table: Table, *conditions: ColumnElement[bool]) -> RowMapping | None:
        with self._database.reading() as connection:
            return connection.execute(select(table).where(*conditions)).mappings().first()


def _take_pending_login(
    connection: Connection, handle: str, browser: str | None, now: datetime
) -> TakenLogin | PendingLoginUnknown | LoginRequestUnknown | BrowserMismatch:
    pending_table, request_table = tables.pending_logins, tables.login_requests
    taken = connection.execute(
        delete(pending_table)
        .where(pending_table.c.handle == handle, pending_table.c.expires_at > now)
        .returning(*pending_table.c)
    )
    row = taken.mappings().first()
    if row is None:
        return PendingLoginUnknown("no pending login under this handle")
    pending = PendingLogin(**row)
    if pending.login_request_id is None:
        return TakenLogin(pending, None)
    awaited = (request_table.c.id == pending.login_request_id) & (request_table.c.expires_at > now)
    row = None
    if browser is not None:
        request = delete(request_table).where(awaited, request_table.c.browser == browser).returning(*request_table.c)
        row = connection.execute(request).mappings().first()
    if row is not None:
        return TakenLogin(pending, LoginRequest(**row))
    if connection.execute(select(request_table.c.id).where(awaited)).first() is None:
        return LoginRequestUnknown("the login request was taken or has expired")
    return BrowserMismatch("the login request was made in another browser")


_KEY_COLUMNS = tuple(column for column in tables.keys.c if column is not tables.keys.c.generation)


def _keys(connection: Connection, purpose: KeyPurpose) -> list[SealedKey]:
    table = tables.keys
    wanted = select(*_KEY_COLUMNS).where(table.c.purpose == purpose).order_by(table.c.generation.desc())
    return [SealedKey(**row) for row in connection.execute(wanted).mappings()]


def _delete_some(connection: Connection, table: Table, condition: ColumnElement[bool], batch: int) -> int:
    key = tuple_(*table.primary_key)
    # What somebody else has locked waits for the next time, so that nobody waits for us who holds what we wait for.
    some = select(*table.primary_key).where(condition).limit(batch).with_for_update(skip_locked=True)
    return connection.execute(delete(table).where(key.in_(some))).rowcount
