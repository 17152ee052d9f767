"""What admins decide, in a SQL database: part of `sql.SqlStore`.

Whoever changes anything counts the configuration's version up in the same transaction, and holds that
row until the commit: so versions are seen in the order of the commits, as changes of sessions are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from . import tables
from .configuration_records import Admin, Configuration, StoredConnection, StoredDomain
from .database import Database

CONFIGURATION_COUNTER = "configuration"
_OF_CONNECTIONS = (
    *(tables.domains, tables.sessions, tables.kept_forms, tables.login_requests, tables.pending_logins),
    *(tables.pending_profiles, tables.person_keys, tables.person_emails, tables.people),
)
"""What would be a later connection's of the same id, and another organization's perhaps. (Assertions that were claimed
stay so.)"""


class SqlConfiguration:
    """The methods of `records.Store` that are about what admins decide."""

    _database: Database
    _insert: Any

    def get_configuration(self) -> Configuration:
        counter = tables.change_counters
        with self._database.reading() as connection:
            # The version first: whatever is committed meanwhile is read again at the next look.
            wanted = select(counter.c.number).where(counter.c.name == CONFIGURATION_COUNTER)
            version = connection.execute(wanted).scalar() or 0
            rows = {
                table: list(connection.execute(select(table).order_by(*table.primary_key)).mappings())
                for table in (tables.connections, tables.domains, tables.admins)
            }
        return Configuration(
            version,
            tuple(StoredConnection(**row) for row in rows[tables.connections]),
            tuple(StoredDomain(**row) for row in rows[tables.domains]),
            tuple(Admin(**row) for row in rows[tables.admins]),
        )

    def add_connection(self, connection: StoredConnection) -> bool:
        table = tables.connections
        added = self._insert(table).values(asdict(connection)).on_conflict_do_nothing().returning(table.c.id)
        with self._configuring() as transaction:
            return transaction.execute(added).first() is not None

    def put_connection(self, connection: StoredConnection, *, replaces: int) -> bool:
        table = tables.connections
        put = update(table).where(table.c.id == connection.id, table.c.version == replaces)
        with self._configuring() as transaction:
            return transaction.execute(put.values(asdict(connection)).returning(table.c.id)).first() is not None

    def record_test(self, id: str, organization: str, stamp: str, now: datetime) -> None:
        table = tables.connections
        passed = {"test_passed_at": now, "test_stamp": stamp}
        made = StoredConnection(id, organization, None, None, 1, now, now)
        row = self._insert(table).values(asdict(made) | passed)
        passed_again = {**passed, "version": table.c.version + 1}
        with self._configuring() as transaction:
            transaction.execute(row.on_conflict_do_update(index_elements=[table.c.id], set_=passed_again))

    def delete_connection(self, id: str) -> bool:
        table = tables.connections
        with self._configuring() as transaction:
            # Each process forgets what it remembers of sessions, since the version is another one.
            for of_connection in _OF_CONNECTIONS:
                transaction.execute(delete(of_connection).where(of_connection.c.connection_id == id))
            return transaction.execute(delete(table).where(table.c.id == id)).rowcount > 0

    def add_domain(self, domain: StoredDomain) -> str | None:
        table = tables.domains
        added = self._insert(table).values(asdict(domain)).on_conflict_do_nothing().returning(table.c.name)
        with self._configuring() as transaction:
            if transaction.execute(added).first() is not None:
                return None
            owner = select(table.c.connection_id).where(table.c.name == domain.name)
            return str(transaction.execute(owner).scalar_one())

    def put_domain(self, domain: StoredDomain, *, replaces: StoredDomain | None = None) -> bool:
        table = tables.domains
        put = update(table).where(table.c.name == domain.name, table.c.connection_id == domain.connection_id)
        for name, value in ({} if replaces is None else asdict(replaces)).items():
            put = put.where(table.c[name].is_not_distinct_from(value))
        with self._configuring() as transaction:
            return transaction.execute(put.values(asdict(domain)).returning(table.c.name)).first() is not None

    def delete_domain(self, name: str, connection_id: str) -> bool:
        table = tables.domains
        gone = delete(table).where(table.c.name == name, table.c.connection_id == connection_id)
        with self._configuring() as transaction:
            return transaction.execute(gone).rowcount > 0

    def put_admin(self, admin: Admin) -> None:
        table = tables.admins
        row = asdict(admin)
        put = self._insert(table).values(row).on_conflict_do_update(index_elements=list(table.primary_key), set_=row)
        former = delete(table).where(table.c.organization == admin.organization, table.c.email == admin.former_email)
        with self._configuring() as transaction:
            if admin.former_email is not None:
                transaction.execute(former)
            transaction.execute(put)

    def delete_admin(self, organization: str, email: str) -> bool:
        table = tables.admins
        gone = delete(table).where(table.c.organization == organization, table.c.email == email)
        with self._configuring() as transaction:
            return transaction.execute(gone).rowcount > 0

    @contextmanager
    def _configuring(self) -> Iterator[Connection]:
        counter = tables.change_counters
        first = self._insert(counter).values(name=CONFIGURATION_COUNTER, number=1)
        count = first.on_conflict_do_update(
            index_elements=list(counter.primary_key), set_={"number": counter.c.number + 1}
        )
        with self._database.writing() as connection:
            connection.execute(count)
            yield connection
