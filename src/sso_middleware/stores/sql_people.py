"""People in a SQL database: part of `sql.SqlStore`.

Whoever finds and changes people of a connection does so alone (`_people_of`): one after the other, so that what a
rule was asked about still is so when its answer is kept. That a key and an address belong to one person is
besides the tables' own to hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, func, or_, select, update

from . import tables
from .database import Database
from .people_records import (
    Arriving,
    Decision,
    Found,
    Known,
    LinkedTwice,
    New,
    PeopleQuery,
    Person,
    ProvisioningClaim,
    Rule,
)
from .session_records import SessionQuery
from .sql_roles import Kept, merge_kept
from .sql_sessions import SqlSessions, be_patient

_LOCK = 0x70656F70  # "peop"
_INSTANT = timedelta(microseconds=1)


class SqlPeople(SqlSessions):
    """The methods of `records.Store` that are about people; it ends their sessions in the same transaction."""

    _database: Database
    _insert: Any

    def arrive(self, arriving: Arriving, rule: Rule) -> Decision | None:
        with self._people_of(arriving.connection_id) as connection:
            decision = rule(arriving, _find(connection, arriving))
            if isinstance(decision, New):
                _add(connection, decision.person)
            elif isinstance(decision, Known):
                _put(connection, decision.before, decision.person)
        return decision

    def get_person(self, id: str) -> Person | None:
        with self._database.reading() as connection:
            return _get(connection, tables.people.c.id == id)

    def find_people(self, query: PeopleQuery, *, limit: int = 1000) -> Sequence[Person]:
        table = tables.people
        wanted = select(table).where(*_conditions(query)).order_by(table.c.seen_at.desc().nulls_last(), table.c.id)
        with self._database.reading() as connection:
            rows = connection.execute(wanted.limit(limit)).mappings().all()
            return _people(connection, rows)

    # The host's hook

    def claim_provisioning(
        self, person_id: str, attempt_id: str, now: datetime, until: datetime
    ) -> ProvisioningClaim | None:
        table = tables.people
        is_free = or_(
            table.c.attempt_id.is_(None),
            table.c.attempt_id == attempt_id,
            table.c.attempt_ends_at <= now,
            table.c.attempt_ends_at > until,  # by a clock that was set back since
        )
        claim = update(table).where(table.c.id == person_id, table.c.user_id.is_(None), is_free)
        with self._database.writing() as connection:
            # One statement: of many at once each sees what the others did (READ COMMITTED looks again).
            claimed = claim.values(attempt_id=attempt_id, attempt_ends_at=until).returning(table.c.id)
            if connection.execute(claimed).first() is not None:
                return ProvisioningClaim(True, None)
            row = connection.execute(select(table.c.user_id).where(table.c.id == person_id)).first()
        return None if row is None else ProvisioningClaim(row.user_id is not None, row.user_id)

    def end_provisioning(self, person_id: str, attempt_id: str) -> None:
        table = tables.people
        ended = update(table).where(table.c.id == person_id, table.c.attempt_id == attempt_id)
        with self._database.writing() as connection:
            connection.execute(ended.values(attempt_id=None, attempt_ends_at=None))

    def keep_provisioned(
        self, person_id: str, attempt_id: str, *, user_id: str | None, told: Mapping[str, object], now: datetime
    ) -> Person | LinkedTwice | None:
        table = tables.people
        with self._of_person(person_id) as (connection, person):
            if person is None:
                return None
            is_new_link = user_id is not None and user_id != person.user_id
            if is_new_link:
                same_user = and_(table.c.connection_id == person.connection_id, table.c.user_id == user_id)
                other = connection.execute(select(table.c.id).where(same_user)).scalar()
                if other is not None:
                    return LinkedTwice(str(other))
                if person.user_id is not None:
                    self._make_stale(connection, _sessions_of(person), now)
            changes: dict[str, Any] = {"told": dict(told)}
            if is_new_link:
                changes |= {"user_id": user_id, "linked_at": now}
            if person.attempt_id == attempt_id:
                changes |= {"attempt_id": None, "attempt_ends_at": None}
            granted = _grants_of_another(connection, person) if is_new_link and person.user_id is not None else {}
            connection.execute(update(table).where(table.c.id == person_id).values(changes | granted))
            return replace(person, **changes)

    # What an admin settles

    def unlink_person(self, person_id: str, now: datetime, *, forget: bool = False) -> Person | None:
        table = tables.people
        with self._of_person(person_id) as (connection, person):
            if person is None:
                return None
            if forget:
                _delete(connection, person)
            else:
                nobody: dict[str, Any] = dict.fromkeys(("user_id", "linked_at", "attempt_id", "attempt_ends_at"))
                nobody |= _grants_of_another(connection, person)
                connection.execute(update(table).where(table.c.id == person_id).values(nobody))
            self._end_those(connection, _sessions_of(person), now)
        return person

    def merge_people(self, keep_id: str, other_id: str, now: datetime) -> Person | None:
        with self._of_person(keep_id) as (connection, keep):
            other = None if keep_id == other_id else _get(connection, tables.people.c.id == other_id)
            if keep is None or other is None or keep.connection_id != other.connection_id:
                return None
            grants = _merged_grants(connection, keep, other)
            _delete(connection, other)
            merged = _merged(keep, other, now)
            _put(connection, keep, merged)
            connection.execute(update(tables.people).where(tables.people.c.id == keep.id).values(grants=grants))
            self._end_those(connection, _sessions_of(other), now)
        return merged

    def _end_those(self, connection: Connection, query: SessionQuery, now: datetime) -> None:
        self._hold_changes(connection)
        self._end_found(connection, query, now)

    def _make_stale(self, connection: Connection, query: SessionQuery, now: datetime) -> None:
        self._hold_changes(connection)
        self._make_found_stale(connection, query, now)

    @contextmanager
    def _people_of(self, connection_id: str) -> Iterator[Connection]:
        """A transaction that is alone with the people of a connection. (SQLite has one writer anyway.)

        Whoever also ends sessions takes the lock of `_changing` after this one, never before.
        """
        with self._database.writing() as connection:
            if connection.dialect.name == "postgresql":
                be_patient(connection)
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK, func.hashtext(connection_id))))
            yield connection

    @contextmanager
    def _of_person(self, person_id: str) -> Iterator[tuple[Connection, Person | None]]:
        """The same for whoever knows a person by id: a person never comes to another connection."""
        seen = self.get_person(person_id)
        with self._people_of("" if seen is None else seen.connection_id) as connection:
            # Looked at again: somebody else was alone with them meanwhile.
            yield connection, None if seen is None else _get(connection, tables.people.c.id == person_id)


def _find(connection: Connection, arriving: Arriving) -> Found:
    return Found(
        by_key=_by_key(connection, arriving.connection_id, arriving.key),
        by_email=_by_email(connection, arriving.connection_id, arriving.email),
        by_secondary_email=_by_email(connection, arriving.connection_id, arriving.secondary_email),
        by_name_id_key=_by_key(connection, arriving.connection_id, arriving.name_id_key),
    )


def _by_key(connection: Connection, connection_id: str, key: str | None) -> Person | None:
    table = tables.person_keys
    if key is None:
        return None
    wanted = select(table.c.person_id).where(table.c.connection_id == connection_id, table.c.principal_key == key)
    return _get(connection, tables.people.c.id.in_(wanted))


def _by_email(connection: Connection, connection_id: str, email: str | None) -> Person | None:
    table = tables.person_emails
    if not email:
        return None
    wanted = select(table.c.person_id).where(table.c.connection_id == connection_id, table.c.email == email)
    return _get(connection, tables.people.c.id.in_(wanted))


def _get(connection: Connection, which: ColumnElement[bool]) -> Person | None:
    rows = connection.execute(select(tables.people).where(which)).mappings().all()
    return next(iter(_people(connection, rows)), None)


def _people(connection: Connection, rows: Sequence[RowMapping]) -> list[Person]:
    """With their keys, oldest first."""
    table = tables.person_keys
    keys: dict[str, list[str]] = {row["id"]: [] for row in rows}
    wanted = select(table.c.person_id, table.c.principal_key).where(table.c.person_id.in_(keys))
    for row in connection.execute(wanted.order_by(table.c.added_at, table.c.principal_key)):
        keys[row.person_id].append(row.principal_key)
    return [Person(**row, keys=tuple(keys[row["id"]])) for row in rows]


def _add(connection: Connection, person: Person) -> None:
    connection.execute(tables.people.insert().values(_row(person)))
    _add_keys(connection, person, person.keys, person.created_at)
    _put_emails(connection, person)


def _put(connection: Connection, before: Person, person: Person) -> None:
    changed = {name: value for name, value in _row(person).items() if value != getattr(before, name)}
    if changed:
        connection.execute(update(tables.people).where(tables.people.c.id == person.id).values(changed))
    added = [key for key in person.keys if key not in before.keys]
    if added:
        _add_keys(connection, person, added, person.seen_at or person.created_at)
    if person.emails != before.emails:
        _put_emails(connection, person)


def _add_keys(connection: Connection, person: Person, keys: Sequence[str], at: datetime) -> None:
    """Each later than all before it, whatever the clock says: the first one stays the first."""
    table = tables.person_keys
    newest = connection.execute(select(func.max(table.c.added_at)).where(table.c.person_id == person.id)).scalar()
    if newest is not None:
        at = max(at, newest + _INSTANT)
    ids = {"connection_id": person.connection_id, "person_id": person.id}
    rows = [{**ids, "principal_key": key, "added_at": at + index * _INSTANT} for index, key in enumerate(keys)]
    connection.execute(table.insert(), rows)


def _put_emails(connection: Connection, person: Person) -> None:
    table = tables.person_emails
    connection.execute(delete(table).where(table.c.person_id == person.id))
    ids = {"connection_id": person.connection_id, "person_id": person.id}
    if person.emails:
        connection.execute(table.insert(), [{**ids, "email": email} for email in sorted(person.emails)])


def _delete(connection: Connection, person: Person) -> None:
    for table in (tables.person_keys, tables.person_emails, tables.pending_profiles):
        connection.execute(delete(table).where(table.c.person_id == person.id))
    connection.execute(delete(tables.people).where(tables.people.c.id == person.id))


def _row(person: Person) -> dict[str, Any]:
    return {name: value for name, value in asdict(person).items() if name != "keys"}


def _merged(keep: Person, other: Person, now: datetime) -> Person:
    newest = max(keep, other, key=lambda person: person.seen_at or person.created_at)
    older = other if newest is keep else keep
    has_moved = bool(newest.email and older.email and newest.email != older.email)
    return replace(
        keep,
        keys=keep.keys + other.keys,
        email=newest.email or older.email,
        secondary_email=newest.secondary_email,
        former_email=older.email if has_moved else newest.former_email,
        email_changed_at=now if has_moved else newest.email_changed_at,
        first_name=newest.first_name or older.first_name,
        last_name=newest.last_name or older.last_name,
        name_id=None,  # there are two by now, and either may come next
        user_id=keep.user_id or other.user_id,
        linked_at=keep.linked_at if keep.user_id else other.linked_at,
        told=keep.told if keep.user_id or not other.user_id else other.told,
        answers={**other.answers, **keep.answers},
        seen_at=newest.seen_at,
    )


def _merged_grants(connection: Connection, keep: Person, other: Person) -> Kept | None:
    """What the user was given whom they are from now on, and besides whatever the other one was."""
    table = tables.people
    wanted = select(table.c.id, table.c.grants).where(table.c.id.in_([keep.id, other.id]))
    given = {row.id: row.grants for row in connection.execute(wanted)}
    takes_over = keep.user_id is None and other.user_id is not None
    first, second = (other, keep) if takes_over else (keep, other)
    return merge_kept(given.get(first.id), given.get(second.id))


def _grants_of_another(connection: Connection, person: Person) -> dict[str, Any]:
    """The column `grants` of whoever is another user from now on: what they were given, the one before has."""
    given = connection.execute(select(tables.people.c.grants).where(tables.people.c.id == person.id)).scalar()
    return {} if given is None else {"grants": merge_kept({}, given)}


def _sessions_of(person: Person) -> SessionQuery:
    return SessionQuery(connection_ids=(person.connection_id,), principal_key=person.key)


def _conditions(query: PeopleQuery) -> list[ColumnElement[bool]]:
    table, keys, emails = tables.people, tables.person_keys, tables.person_emails
    found: list[ColumnElement[bool]] = []
    if query.person_id is not None:
        found.append(table.c.id.startswith(query.person_id, autoescape=True))
    if query.connection_ids is not None:
        found.append(table.c.connection_id.in_(query.connection_ids))
    if query.user_id is not None:
        found.append(table.c.user_id == query.user_id)
    if query.email is not None:
        found.append(table.c.id.in_(select(emails.c.person_id).where(emails.c.email == query.email)))
    if query.key is not None:
        found.append(table.c.id.in_(select(keys.c.person_id).where(keys.c.principal_key == query.key)))
    return found
