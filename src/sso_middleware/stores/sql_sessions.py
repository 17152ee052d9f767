"""Sessions, their changes, logout requests and kept forms in a SQL database: part of `sql.SqlStore`.

Whoever ends, renews or changes a session says so in `sso_change`, in the same transaction: that is
how the other processes hear of it (`sessions.SessionCache`). Such transactions go one by one
(`_changing`); all others that write to sessions lock one row, and wait for nobody meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, update

from . import tables
from .database import Database
from .session_records import Change, Changes, KeptForm, SentLogoutRequest, Session, SessionQuery
from .sql_configuration import CONFIGURATION_COUNTER

_COUNTER = "sessions"
_HELD_SECONDS = 10
"""How long a process that is halted in the middle may keep the others from ending sessions, on PostgreSQL."""


class SqlSessions:
    """The methods of `records.Store` that are about sessions."""

    _database: Database
    _insert: Any

    def add_session(self, session: Session, *, replaces: str | None = None) -> None:
        added = tables.sessions.insert().values(_row(session))
        if replaces is None:
            with self._database.writing() as connection:
                connection.execute(added)
        else:
            with self._changing() as connection:
                if _is_good(connection, replaces, session.authenticated_at):
                    self._end(connection, _newest_and_aliases(connection, replaces), session.authenticated_at)
                connection.execute(added)

    def get_session(self, id: str) -> Session | None:
        table = tables.sessions
        with self._database.reading() as connection:
            row = connection.execute(select(table).where(table.c.id == id)).mappings().first()
        return None if row is None else Session(**row)

    def find_sessions(self, query: SessionQuery, *, limit: int = 1000) -> Sequence[Session]:
        table = tables.sessions
        wanted = select(table).where(*_conditions(query), table.c.replaced_by.is_(None))
        with self._database.reading() as connection:
            rows = connection.execute(wanted.order_by(table.c.last_seen.desc()).limit(limit)).mappings()
            return [Session(**row) for row in rows]

    def touch_session(self, id: str, last_seen: datetime) -> None:
        table = tables.sessions
        seen = update(table).where(table.c.id == id, table.c.last_seen < last_seen, _is_current())
        with self._database.writing() as connection:
            connection.execute(seen.values(last_seen=last_seen, renewals=0, renewal_began_at=None))

    def begin_renewal(self, id: str, now: datetime, *, within: timedelta, most: int) -> bool:
        table = tables.sessions
        is_first = table.c.renewal_began_at.is_(None)
        may = or_(is_first, and_(table.c.renewal_began_at > now - within, table.c.renewals < most))
        with self._database.writing() as connection:
            # One statement: of many at once each counts what the others did (READ COMMITTED looks again).
            begun = connection.execute(
                update(table)
                .where(table.c.id == id, _is_current(), may)
                .values(renewals=table.c.renewals + 1, renewal_began_at=func.coalesce(table.c.renewal_began_at, now))
                .returning(table.c.id)
            ).first()
        return begun is not None

    def renew_session(self, id: str, renewed: Session, now: datetime) -> str | None:
        table = tables.sessions
        with self._changing() as connection:
            newest = _newest(connection, id)
            wanted = select(table.c.timed_out_at).where(table.c.id == newest)
            row = connection.execute(wanted).first()
            if row is None or row.timed_out_at is not None:
                return None
            if newest != id:
                return newest
            connection.execute(table.insert().values(_row(renewed)))
            aliases = update(table).where(or_(table.c.id == id, table.c.replaced_by == id))
            connection.execute(aliases.values(replaced_by=renewed.id))
            self._tell(connection, now, [{"session_id": id}])
        return renewed.id

    def confirm_renewal(self, id: str, alias_ends_at: datetime) -> None:
        table = tables.sessions
        aliases = update(table).where(table.c.replaced_by == id, table.c.alias_ends_at.is_(None))
        with self._changing() as connection:
            connection.execute(update(table).where(table.c.id == id).values(is_confirmed=True))
            connection.execute(aliases.values(alias_ends_at=alias_ends_at))

    def time_out_session(self, id: str, last_seen: datetime, now: datetime) -> bool:
        table = tables.sessions
        out = update(table).where(table.c.id == id, table.c.last_seen <= last_seen, _is_current())
        with self._changing() as connection:
            found = connection.execute(out.values(timed_out_at=now).returning(table.c.id)).first()
            if found is not None:
                self._tell(connection, now, [{"session_id": id}])
        return found is not None

    def end_session(self, id: str, now: datetime) -> bool:
        with self._changing() as connection:
            return bool(self._end(connection, _newest_and_aliases(connection, id), now))

    def end_sessions(self, query: SessionQuery, now: datetime) -> Sequence[Session]:
        waiting = _waiting(query)
        if waiting is not None:
            # By itself: whoever merges people has such rows first, and the counter after.
            with self._database.writing() as connection:
                connection.execute(delete(tables.pending_profiles).where(*waiting))
        with self._changing() as connection:
            return self._end_found(connection, query, now)

    def make_sessions_stale(self, query: SessionQuery, now: datetime) -> int:
        with self._changing() as connection:
            return self._make_found_stale(connection, query, now)

    def get_changes(self, after: int | None) -> Changes:
        table, counter = tables.changes, tables.change_counters
        with self._database.reading() as connection:
            rows = connection.execute(select(counter.c.name, counter.c.number)).all()
            numbers = {row.name: row.number for row in rows}
            newest, configuration = numbers.get(_COUNTER, 0), numbers.get(CONFIGURATION_COUNTER, 0)
            if after is None or newest == after:
                return Changes(newest, (), is_complete=True, configuration=configuration)
            wanted = select(table).where(table.c.number > after, table.c.number <= newest).order_by(table.c.number)
            rows = connection.execute(wanted).all()
        changes = tuple(Change(row.number, row.connection_id, row.principal_key, row.session_id) for row in rows)
        # A number that goes back is another database's: one that was restored, say.
        is_complete = newest > after and len(changes) == newest - after
        return Changes(newest, changes, is_complete, configuration)

    # Logout

    def add_logout_request(self, request: SentLogoutRequest) -> None:
        with self._database.writing() as connection:
            connection.execute(tables.logout_requests.insert().values(asdict(request)))

    def get_logout_request(self, id: str, now: datetime) -> SentLogoutRequest | None:
        table = tables.logout_requests
        with self._database.reading() as connection:
            wanted = select(table).where(table.c.id == id, table.c.expires_at > now)
            row = connection.execute(wanted).mappings().first()
        return None if row is None else SentLogoutRequest(**row)

    def take_logout_request(self, id: str, connection_id: str, now: datetime) -> SentLogoutRequest | None:
        table = tables.logout_requests
        taken = delete(table).where(table.c.id == id, table.c.connection_id == connection_id, table.c.expires_at > now)
        with self._database.writing() as connection:
            row = connection.execute(taken.returning(*table.c)).mappings().first()
        return None if row is None else SentLogoutRequest(**row)

    # Kept forms

    def add_kept_form(self, form: KeptForm, *, most: int) -> None:
        table = tables.kept_forms
        theirs = and_(table.c.connection_id == form.connection_id, table.c.principal_key == form.principal_key)
        newest = select(table.c.id).where(theirs).order_by(table.c.created_at.desc(), table.c.id).limit(most)
        with self._database.writing() as connection:
            connection.execute(table.insert().values(asdict(form)))
            connection.execute(delete(table).where(theirs, table.c.id.not_in(newest)))

    def get_kept_form(self, id: str, connection_id: str, principal_key: str, now: datetime) -> KeptForm | None:
        with self._database.reading() as connection:
            wanted = select(tables.kept_forms).where(_kept_form(id, connection_id, principal_key, now))
            row = connection.execute(wanted).mappings().first()
        return None if row is None else KeptForm(**row)

    def take_kept_form(self, id: str, connection_id: str, principal_key: str, now: datetime) -> KeptForm | None:
        table = tables.kept_forms
        taken = delete(table).where(_kept_form(id, connection_id, principal_key, now)).returning(*table.c)
        with self._database.writing() as connection:
            row = connection.execute(taken).mappings().first()
        return None if row is None else KeptForm(**row)

    def _end_found(self, connection: Connection, query: SessionQuery, now: datetime) -> Sequence[Session]:
        """For whoever holds the changes already."""
        table = tables.sessions
        wanted = select(table.c.id, table.c.replaced_by).where(*_conditions(query))
        ended: list[Session] = []
        ids = {row.replaced_by or row.id for row in connection.execute(wanted)}
        for some in _in_batches(sorted(ids)):
            gone = delete(table).where(or_(table.c.id.in_(some), table.c.replaced_by.in_(some)))
            ended += [Session(**row) for row in connection.execute(gone.returning(table)).mappings()]
        self._tell(connection, now, _what_changed(query, [session.id for session in ended]))
        return [session for session in ended if session.replaced_by is None]

    def _make_found_stale(self, connection: Connection, query: SessionQuery, now: datetime) -> int:
        """Likewise."""
        table = tables.sessions
        stale = update(table).where(*_conditions(query), _is_current()).values(is_stale=True).returning(table.c.id)
        ids = [row.id for row in connection.execute(stale)]
        self._tell(connection, now, _what_changed(query, ids))
        return len(ids)

    def _end(self, connection: Connection, which: ColumnElement[bool], now: datetime) -> int:
        """Delete these rows, and tell of each."""
        ended = connection.execute(delete(tables.sessions).where(which).returning(tables.sessions.c.id))
        ids = [row.id for row in ended]
        self._tell(connection, now, [{"session_id": id} for id in ids])
        return len(ids)

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        """A transaction that ends, renews or confirms sessions: one after the other, in the order of their commits.

        The counter's row is locked first, and held until the commit. So a revocation finds what a renewal that
        was under way has opened, no number is ever seen before a smaller one, and of two that lock the same
        sessions in different orders neither waits for the other (PostgreSQL would end one of them).
        """
        with self._database.writing() as connection:
            self._hold_changes(connection)
            yield connection

    def _hold_changes(self, connection: Connection) -> None:
        counter = tables.change_counters
        counted = self._insert(counter).values(name=_COUNTER, number=0)
        counted = counted.on_conflict_do_update(index_elements=[counter.c.name], set_={"number": counter.c.number})
        if connection.dialect.name == "postgresql":
            be_patient(connection)
        connection.execute(counted)

    def _tell(self, connection: Connection, now: datetime, changes: Sequence[dict[str, str | None]]) -> None:
        """Number the changes."""
        if not changes:
            return
        counter = tables.change_counters
        counted = update(counter).where(counter.c.name == _COUNTER).values(number=counter.c.number + len(changes))
        newest = connection.execute(counted.returning(counter.c.number)).scalar_one()
        nothing: dict[str, str | None] = {"connection_id": None, "principal_key": None, "session_id": None}
        first = newest - len(changes) + 1
        rows = [{**nothing, **change, "number": first + index, "at": now} for index, change in enumerate(changes)]
        connection.execute(tables.changes.insert(), rows)


def be_patient(connection: Connection) -> None:
    """On PostgreSQL: neither wait for a lock for ever, nor hold one while this process is halted."""
    # Of this transaction only: what a session of the server keeps gets lost, or around, behind PgBouncer.
    patience = f"{_HELD_SECONDS * 1000}"
    connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {patience}")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {patience}")


def _row(session: Session) -> dict[str, object]:
    return asdict(session) | {"principal": dict(session.principal)}


def _is_current() -> ColumnElement[bool]:
    """Neither an old id nor timed out."""
    return and_(tables.sessions.c.replaced_by.is_(None), tables.sessions.c.timed_out_at.is_(None))


def _is_good(connection: Connection, id: str, now: datetime) -> bool:
    """Whether this is a session's id, and no old one whose time is over."""
    table = tables.sessions
    may = or_(table.c.alias_ends_at.is_(None), table.c.alias_ends_at > now)
    return connection.execute(select(table.c.id).where(table.c.id == id, may)).first() is not None


def _newest(connection: Connection, id: str) -> str:
    """The session that an old id stands for; any other id is its own."""
    table = tables.sessions
    return connection.execute(select(table.c.replaced_by).where(table.c.id == id)).scalar() or id


def _newest_and_aliases(connection: Connection, id: str) -> ColumnElement[bool]:
    """This session under each of its ids, old and new."""
    table = tables.sessions
    newest = _newest(connection, id)
    return or_(table.c.id == newest, table.c.replaced_by == newest)


def _conditions(query: SessionQuery) -> list[ColumnElement[bool]]:
    table = tables.sessions
    found: list[ColumnElement[bool]] = []
    if query.session_id is not None:
        found.append(table.c.id.startswith(query.session_id, autoescape=True))
    if query.connection_ids is not None:
        found.append(table.c.connection_id.in_(query.connection_ids))
    if query.principal_key is not None:
        found.append(table.c.principal_key == query.principal_key)
    if query.email is not None:
        found.append(table.c.email == query.email)
    if query.logout_key is not None:
        found.append(table.c.logout_key == query.logout_key)
    if query.session_indexes:
        found.append(table.c.session_index.in_(query.session_indexes))
    return found


def _waiting(query: SessionQuery) -> list[ColumnElement[bool]] | None:
    """Which sign-ins that wait for answers are of those whom this means; None if it means single sessions."""
    if query.session_id is not None or query.logout_key is not None or query.session_indexes:
        return None
    table, keys, emails = tables.pending_profiles, tables.person_keys, tables.person_emails
    found: list[ColumnElement[bool]] = []
    if query.connection_ids is not None:
        found.append(table.c.connection_id.in_(query.connection_ids))
    if query.principal_key is not None:
        of_key = select(keys.c.person_id).where(keys.c.principal_key == query.principal_key)
        found.append(table.c.person_id.in_(of_key))
    if query.email is not None:
        found.append(table.c.person_id.in_(select(emails.c.person_id).where(emails.c.email == query.email)))
    return found


def _what_changed(query: SessionQuery, ids: Sequence[str]) -> list[dict[str, str | None]]:
    """As few changes as say it: a connection's at once, else each session's."""
    is_narrow = query.session_id or query.email or query.logout_key or query.session_indexes
    if not is_narrow and query.connection_ids is None and query.principal_key is None:
        return [{}]
    if not is_narrow and query.connection_ids is not None:
        return [{"connection_id": id, "principal_key": query.principal_key} for id in query.connection_ids]
    return [{"session_id": id} for id in ids]


def _in_batches(ids: Sequence[str], size: int = 500) -> Iterable[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _kept_form(id: str, connection_id: str, principal_key: str, now: datetime) -> ColumnElement[bool]:
    table = tables.kept_forms
    return and_(
        table.c.id == id,
        table.c.connection_id == connection_id,
        table.c.principal_key == principal_key,
        table.c.expires_at > now,
    )
