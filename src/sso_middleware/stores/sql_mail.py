"""Mail that waits, and recovery access, in a SQL database: part of `sql.SqlStore`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update

from . import tables
from .database import Database
from .mail_records import MailKind, RecoveryToken, WaitingMail


class SqlMail:
    """The methods of `records.Store` that are about mail and the way back in."""

    _database: Database
    _insert: Any

    # The outbox

    def add_to_outbox(self, kind: MailKind, message: bytes, now: datetime, expires_at: datetime, *, most: int) -> bool:
        table = tables.outbox
        row = {"kind": kind, "message": message, "created_at": now, "attempts": 0, "next_attempt_at": now}
        with self._database.writing() as connection:
            waiting = select(func.count()).select_from(select(table.c.id).limit(most).subquery())
            if connection.execute(waiting).scalar_one() >= most:
                return False
            connection.execute(table.insert().values(row | {"expires_at": expires_at}))
            return True

    def claim_due_mail(self, now: datetime, until: datetime, *, limit: int) -> Sequence[WaitingMail]:
        table = tables.outbox
        due = (
            select(table.c.id)
            .where(table.c.next_attempt_at <= now, table.c.expires_at > now)
            .order_by(table.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)  # another process is about to claim those
            .cte("due")  # PostgreSQL may ask a plain subquery more than once, and lock more each time
        )
        claim = (
            update(table)
            # Asked again: by the time that we have a row, somebody may have put it off.
            .where(table.c.id.in_(select(due.c.id)), table.c.next_attempt_at <= now)
            .values(attempts=table.c.attempts + 1, next_attempt_at=until)
            .returning(*table.c)
        )
        with self._database.writing() as connection:
            rows = connection.execute(claim).mappings().all()
        return sorted((WaitingMail(**row) for row in rows), key=lambda mail: mail.id)

    def delete_mail(self, id: int) -> None:
        table = tables.outbox
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.id == id))

    def put_off_mail(self, id: int, next_attempt_at: datetime, problem: str) -> None:
        table = tables.outbox
        later = update(table).where(table.c.id == id).values(next_attempt_at=next_attempt_at, problem=problem)
        with self._database.writing() as connection:
            connection.execute(later)

    # Recovery access

    def add_recovery_token(self, token: RecoveryToken) -> None:
        table = tables.recovery_tokens
        with self._database.writing() as connection:
            connection.execute(delete(table).where(_is_unused_of(token.organization, token.email)))
            # One that is added at this very moment we can't see: `_is_newest` tells the two apart for ever after.
            connection.execute(table.insert().values(asdict(token)))

    def get_recovery_token(self, id: str, now: datetime) -> RecoveryToken | None:
        table = tables.recovery_tokens
        with self._database.reading() as connection:
            row = connection.execute(select(table).where(_is_good(id, now))).mappings().first()
        return None if row is None else RecoveryToken(**row)

    def take_recovery_token(
        self, id: str, now: datetime, *, session_id: str, session_ends_at: datetime
    ) -> RecoveryToken | None:
        table = tables.recovery_tokens
        # Whoever comes second waits for the row, and finds that it was used.
        used = update(table).where(_is_good(id, now))
        used = used.values(used_at=now, session_id=session_id, session_ends_at=session_ends_at)
        with self._database.writing() as connection:
            row = connection.execute(used.returning(*table.c)).mappings().first()
            if row is None:
                return None
            connection.execute(delete(table).where(_is_unused_of(row["organization"], row["email"])))
        return RecoveryToken(**row)

    def get_recovery_session(self, session_id: str, now: datetime) -> RecoveryToken | None:
        table = tables.recovery_tokens
        wanted = select(table).where(table.c.session_id == session_id, table.c.session_ends_at > now)
        with self._database.reading() as connection:
            row = connection.execute(wanted).mappings().first()
        return None if row is None else RecoveryToken(**row)

    def end_recovery_session(self, session_id: str, now: datetime) -> None:
        table = tables.recovery_tokens
        ended = update(table).where(table.c.session_id == session_id, table.c.session_ends_at > now)
        with self._database.writing() as connection:
            connection.execute(ended.values(session_ends_at=now))

    def get_former_addresses(self, email: str, since: datetime, connection_ids: Collection[str]) -> Sequence[str]:
        table = tables.people
        wanted = select(table.c.former_email).where(
            table.c.connection_id.in_(connection_ids),
            table.c.email == email,
            table.c.email_changed_at >= since,
            table.c.former_email.is_not(None),
        )
        with self._database.reading() as connection:
            return [row[0] for row in connection.execute(wanted.distinct().order_by(table.c.former_email))]


def _is_unused_of(organization: str, email: str) -> ColumnElement[bool]:
    table = tables.recovery_tokens
    return and_(table.c.organization == organization, table.c.email == email, table.c.used_at.is_(None))


def _is_good(id: str, now: datetime) -> ColumnElement[bool]:
    table = tables.recovery_tokens
    return and_(table.c.id == id, table.c.used_at.is_(None), table.c.expires_at > now, _is_newest())


def _is_newest() -> ColumnElement[bool]:
    """Of two that are made for one person at the same moment, neither transaction sees the other: one is good."""
    table, newer = tables.recovery_tokens, tables.recovery_tokens.alias("newer")
    is_of_them = and_(newer.c.organization == table.c.organization, newer.c.email == table.c.email)
    is_newer = or_(
        newer.c.created_at > table.c.created_at, and_(newer.c.created_at == table.c.created_at, newer.c.id > table.c.id)
    )
    return ~select(newer.c.id).where(is_of_them, newer.c.used_at.is_(None), is_newer).exists()
