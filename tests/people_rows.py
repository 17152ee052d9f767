"""Rows of people, for tests of what is kept with them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from sqlalchemy import select

from sso_middleware.stores import tables
from sso_middleware.stores.sql import SqlStore

SINCE = datetime(2026, 11, 1, tzinfo=UTC)


def add_person(store: SqlStore, connection_id: str, key: str, email: str, user_id: str | None = None) -> None:
    """Somebody whom the connection knows by this key; nothing happens if it knows them already."""
    keys = tables.person_keys
    id = hashlib.sha256(f"{connection_id} {key}".encode()).hexdigest()[:32]
    of_connection = {"connection_id": connection_id, "person_id": id}
    with store._database.writing() as connection:
        is_known = select(keys.c.person_id).where(keys.c.connection_id == connection_id, keys.c.principal_key == key)
        if connection.execute(is_known).first() is not None:
            return
        connection.execute(
            tables.people.insert().values(
                id=id,
                connection_id=connection_id,
                email=email,
                user_id=user_id,
                first_name="",
                last_name="",
                answers={},
                created_at=SINCE,
            )
        )
        connection.execute(keys.insert().values(**of_connection, principal_key=key, added_at=SINCE))
        connection.execute(tables.person_emails.insert().values(**of_connection, email=email))
