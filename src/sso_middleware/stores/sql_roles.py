"""The roles that people were given, in a SQL database: part of `sql.SqlStore`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, or_, select, update

from . import tables
from .database import Database
from .role_records import GivenRoles, ManagedPerson

Kept = dict[str, list[str]]
_PERHAPS = "?"
"""Before a scope, in the column `grants`: how it ended is not known. No scope begins so itself."""


class SqlRoles:
    """The methods of `records.Store` that are about roles. Each finds its person by key, and makes none."""

    _database: Database

    def get_given_roles(self, connection_id: str, principal_key: str) -> GivenRoles:
        table = tables.people
        wanted = select(table.c.grants, table.c.announced).where(table.c.id.in_(_of_key(connection_id, principal_key)))
        with self._database.reading() as connection:
            row = connection.execute(wanted).first()
        if row is None:
            return GivenRoles()
        return GivenRoles(_read(row.grants), _read_perhaps(row.grants), _read(row.announced))

    def put_grants(
        self,
        connection_id: str,
        principal_key: str,
        grants: Mapping[str, Sequence[str]],
        perhaps: Mapping[str, Sequence[str]],
    ) -> bool:
        table = tables.people
        kept = _kept(grants) | {_PERHAPS + scope: roles for scope, roles in _kept(perhaps).items()}
        put = update(table).where(table.c.id.in_(_of_key(connection_id, principal_key))).values(grants=kept)
        with self._database.writing() as connection:
            return connection.execute(put).rowcount > 0

    def claim_announcement(self, connection_id: str, principal_key: str, grants: Mapping[str, Sequence[str]]) -> bool:
        table = tables.people
        with self._database.writing() as connection:
            row = self._hold(connection, connection_id, principal_key)
            if row is None or row.announced == _kept(grants):
                return False
            connection.execute(update(table).where(table.c.id == row.id).values(announced=_kept(grants)))
            return True

    def find_managed_people(
        self, connection_ids: Sequence[str], *, email: str | None = None, user_id: str | None = None
    ) -> Sequence[ManagedPerson]:
        table, emails = tables.people, tables.person_emails
        ways = []
        if email is not None:
            of_email = select(emails.c.person_id).where(emails.c.email == email)
            ways += [table.c.email == email, table.c.id.in_(of_email)]
        if user_id is not None:
            ways.append(table.c.user_id == user_id)
        wanted = select(table.c.connection_id, table.c.email, table.c.user_id, table.c.grants).where(
            table.c.connection_id.in_(connection_ids), table.c.grants.is_not(None), or_(False, *ways)
        )
        with self._database.reading() as connection:
            rows = connection.execute(wanted.order_by(table.c.connection_id, table.c.id)).all()
        return [ManagedPerson(row.connection_id, row.email, row.user_id, _read(row.grants) or {}) for row in rows]

    @staticmethod
    def _hold(connection: Connection, connection_id: str, principal_key: str) -> Any:
        """Nobody else changes this person before the transaction ends. (SQLite has one writer anyway.)"""
        table = tables.people
        wanted = select(table.c.id, table.c.announced).where(table.c.id.in_(_of_key(connection_id, principal_key)))
        return connection.execute(wanted.with_for_update()).first()


def _of_key(connection_id: str, principal_key: str) -> Any:
    table = tables.person_keys
    return select(table.c.person_id).where(
        table.c.connection_id == connection_id, table.c.principal_key == principal_key
    )


def merge_kept(kept: Kept | None, other: Kept | None) -> Kept | None:
    """What `kept` says, and all of `other` as what there may be besides: the next sign-in settles it."""
    if kept is None and other is None:
        return None
    merged = dict(kept or {})
    for scope, roles in (other or {}).items():
        perhaps = _PERHAPS + scope.removeprefix(_PERHAPS)
        known = [*merged.get(scope.removeprefix(_PERHAPS), ()), *merged.get(perhaps, ())]
        new = [role for role in roles if role not in known]
        if new:
            merged[perhaps] = sorted([*merged.get(perhaps, ()), *new])
    return merged


def _kept(grants: Mapping[str, Sequence[str]]) -> Kept:
    return {scope: list(roles) for scope, roles in grants.items()}


def _read(kept: object) -> Mapping[str, tuple[str, ...]] | None:
    """None stays None: nobody has decided it yet."""
    if kept is None:
        return None
    return {scope: tuple(roles) for scope, roles in cast("Kept", kept).items() if not scope.startswith(_PERHAPS)}


def _read_perhaps(kept: object) -> Mapping[str, tuple[str, ...]]:
    found = cast("Kept", kept or {}).items()
    return {scope[len(_PERHAPS) :]: tuple(roles) for scope, roles in found if scope.startswith(_PERHAPS)}
