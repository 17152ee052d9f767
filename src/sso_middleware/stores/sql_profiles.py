"""Sign-ins that wait for answers, in a SQL database: part of `sql.SqlStore`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, or_, select, update

from . import tables
from .profile_records import PendingProfile
from .sql_people import SqlPeople


class SqlProfiles(SqlPeople):
    """The methods of `records.Store` that are about the first-login page."""

    def add_pending_profile(self, pending: PendingProfile) -> None:
        with self._database.writing() as connection:
            connection.execute(tables.pending_profiles.insert().values(asdict(pending)))

    def get_pending_profile(self, handle: str, browsers: Collection[str], now: datetime) -> PendingProfile | None:
        wanted = select(tables.pending_profiles).where(_is_theirs(handle, browsers, now))
        with self._database.reading() as connection:
            row = connection.execute(wanted).mappings().first()
        return None if row is None else PendingProfile(**row)

    def take_pending_profile(
        self, handle: str, browsers: Collection[str], now: datetime, answers: Mapping[str, str]
    ) -> PendingProfile | None:
        seen = self.get_pending_profile(handle, browsers, now)
        if seen is None:
            return None
        taken = delete(tables.pending_profiles).where(_is_theirs(handle, browsers, now))
        people = tables.people
        before = select(people.c.answers).where(people.c.id == seen.person_id)
        # Alone with the people of the connection, as whoever merges them is: their answers go together, too.
        with self._people_of(seen.connection_id) as connection:
            if connection.execute(taken.returning(tables.pending_profiles.c.handle)).first() is None:
                return None
            if answers:
                kept = {**(connection.execute(before).scalar() or {}), **answers}
                connection.execute(update(people).where(people.c.id == seen.person_id).values(answers=kept))
        return seen

    def delete_pending_profiles(self, connection_id: str, principal_key: str | None, name_id: str) -> None:
        table, people, keys = tables.pending_profiles, tables.people, tables.person_keys
        of_key = select(keys.c.person_id).where(
            keys.c.connection_id == connection_id, keys.c.principal_key == principal_key
        )
        of_name_id = select(people.c.id).where(people.c.connection_id == connection_id, people.c.name_id == name_id)
        theirs = or_(table.c.person_id.in_(of_key), table.c.person_id.in_(of_name_id))
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.connection_id == connection_id, theirs))


def _is_theirs(handle: str, browsers: Collection[str], now: datetime) -> ColumnElement[bool]:
    table = tables.pending_profiles
    return and_(table.c.handle == handle, table.c.browser.in_(list(browsers)), table.c.expires_at > now)
