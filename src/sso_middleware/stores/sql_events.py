"""What happened, in a SQL database: part of `sql.SqlStore`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, or_, select

from ..events import Event
from . import tables
from .database import Database
from .event_records import EventQuery


class SqlEvents:
    """The methods of `records.Store` that are about what happened."""

    _database: Database

    def add_event(self, event: Event) -> None:
        row = {
            "code": event.code,
            "at": event.at,
            "connection_id": storable(event.connection_id),
            "reference": storable(event.reference),
            "client": storable(event.client),
            "email": storable(event.email),
            "detail": {storable(name): storable(value) for name, value in event.detail.items()},
        }
        with self._database.writing() as connection:
            connection.execute(tables.events.insert().values(row))

    def get_events(self, *, limit: int = 100, reference: str | None = None) -> Sequence[Event]:
        return [event for _, event in self.find_events(EventQuery(reference=reference), limit=limit)]

    def find_events(
        self, query: EventQuery, *, limit: int = 100, after: int | None = None
    ) -> Sequence[tuple[int, Event]]:
        table = tables.events
        wanted = select(table).where(*_conditions(query)).limit(limit)
        if after is None:
            wanted = wanted.order_by(table.c.id.desc())
        else:
            wanted = wanted.where(table.c.id > after).order_by(table.c.id)
        with self._database.reading() as connection:
            rows = [dict(row) for row in connection.execute(wanted).mappings()]
        return [(row.pop("id"), Event(**row)) for row in rows]

    def delete_events(self, before: datetime, *, batch: int = 500) -> int:
        table = tables.events
        some = select(table.c.id).where(table.c.at < before).order_by(table.c.at).limit(batch)
        with self._database.writing() as connection:
            return connection.execute(delete(table).where(table.c.id.in_(some))).rowcount


def _conditions(query: EventQuery) -> Iterator[ColumnElement[bool]]:
    table = tables.events
    if query.codes:
        yield or_(*(_has_code(code) for code in query.codes))
    if query.connection_ids is not None:
        yield table.c.connection_id.in_(query.connection_ids)
    for column, value in (
        (table.c.email, query.email),
        (table.c.client, query.client),
        (table.c.reference, query.reference),
    ):
        if value is not None:
            yield column == value
    if query.since is not None:
        yield table.c.at >= query.since
    if query.until is not None:
        yield table.c.at < query.until


def _has_code(code: str) -> ColumnElement[bool]:
    column = tables.events.c.code
    return column.startswith(code[:-1], autoescape=True) if code.endswith("*") else column == code


def storable(text: str | None) -> str | None:
    """A text as every database can hold it."""
    # An event can quote what anybody sent. PostgreSQL holds no NUL, and neither holds half a surrogate
    # pair: such a text must not be able to keep its own refusal out of the audit trail.
    if text is None:
        return None
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
