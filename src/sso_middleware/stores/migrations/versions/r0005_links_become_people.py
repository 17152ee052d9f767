"""Who was linked to a user of the host's becomes a person with that key; addresses come with the next sign-in.

Several keys of one connection with one user are one person's: an identity provider was changed, say.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_AT_ONCE = 500
_INSTANT = timedelta(microseconds=1)


def upgrade() -> None:
    links = sa.table(
        "sso_link",
        sa.column("connection_id", sa.Text),
        sa.column("principal_key", sa.Text),
        sa.column("user_id", sa.Text),
        sa.column("linked_at", sa.DateTime(timezone=True)),
    )
    in_order = links.c.connection_id, links.c.user_id, links.c.linked_at, links.c.principal_key
    rows = op.get_bind().execute(sa.select(links).order_by(*in_order)).all()
    people: list[dict[str, Any]] = []
    keys: list[dict[str, Any]] = []
    for _, of_user in groupby(rows, key=lambda row: (row.connection_id, row.user_id)):
        held = list(of_user)
        person = _person(held)
        people.append(person)
        keys += _keys(person, held)
    for table, added in ((_people_table(), people), (_keys_table(), keys)):
        for start in range(0, len(added), _AT_ONCE):
            op.bulk_insert(table, added[start : start + _AT_ONCE])
    op.drop_table("sso_link")


def _person(held: Sequence[sa.Row[Any]]) -> dict[str, Any]:
    return {
        "id": secrets.token_hex(16),
        "connection_id": held[0].connection_id,
        "user_id": held[0].user_id,
        "email": "",
        "first_name": "",
        "last_name": "",
        "answers": {},
        "created_at": held[0].linked_at,
        "linked_at": held[-1].linked_at,
    }


def _keys(person: dict[str, Any], held: Sequence[sa.Row[Any]]) -> Iterator[dict[str, Any]]:
    """Each later than the one before it: the first one is what live sessions know the person by."""
    at = None
    for row in held:
        at = row.linked_at if at is None else max(row.linked_at, at + _INSTANT)
        yield {
            "connection_id": row.connection_id,
            "principal_key": row.principal_key,
            "person_id": person["id"],
            "added_at": at,
        }


def _people_table() -> sa.TableClause:
    texts = "id", "connection_id", "user_id", "email", "first_name", "last_name"
    times = "created_at", "linked_at"
    return sa.table(
        "sso_person",
        *(sa.column(name, sa.Text) for name in texts),
        sa.column("answers", sa.JSON),
        *(sa.column(name, sa.DateTime(timezone=True)) for name in times),
    )


def _keys_table() -> sa.TableClause:
    return sa.table(
        "sso_person_key",
        *(sa.column(name, sa.Text) for name in ("connection_id", "principal_key", "person_id")),
        sa.column("added_at", sa.DateTime(timezone=True)),
    )
