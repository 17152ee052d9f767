"""Bring the database to the revision that this version of the package needs, or say what to do.

SQLite is migrated at start, by whichever worker comes first. Any other database is shared by more
than this program, so a person does it: `sso-middleware migrate`. Alembic is imported only when there
is something to migrate: a warm start reads one row.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from sqlite3 import SQLITE_BUSY

from sqlalchemy import URL, Connection, column, inspect, select, table, text
from sqlalchemy.exc import OperationalError

from ..errors import ConfigurationError, SchemaOutdated
from .database import BEGIN, WRITING, errors_in_words, is_in_memory, is_sqlite, make_engine, read_database_url
from .tables import VERSION_TABLE

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""Every revision there is, oldest first. A test holds that `migrations` says the same."""
HEAD = REVISIONS[-1]

WAIT_SECONDS = 60.0
"""How long a worker waits while another one migrates."""
_ADVISORY_LOCK = 0x73736F5F  # "sso_"
_MIGRATIONS = Path(__file__).parent / "migrations"


def prepare_database(url: str) -> None:
    """Make sure, at start, that the database is at HEAD. Safe in many processes at once.

    Nothing stays open, so a fork afterwards inherits nothing. Raises ConfigurationError (no such
    directory, not writable), SchemaOutdated (names the command to run), StoreUnavailable.
    """
    address = read_database_url(url)
    if is_in_memory(address):
        return  # made with the engine, and gone with it
    if is_sqlite(address):
        _prepare_file(Path(str(address.database)))
    revision = _revision(address)
    check_known(revision)
    if revision == HEAD:
        return
    if not is_sqlite(address):
        raise SchemaOutdated(
            f"the database is {_at(revision)}, this version needs {HEAD}: run `sso-middleware migrate`"
        )
    _migrate(address)


def migrate_database(url: str) -> tuple[str | None, str]:
    """Migrate to HEAD, in one transaction; the revisions before and after.

    Raises what `prepare_database` raises, SchemaOutdated only for a database that is newer than us.
    """
    address = read_database_url(url)
    if is_sqlite(address) and not is_in_memory(address):
        _prepare_file(Path(str(address.database)))
    return _migrate(address), HEAD


def check_known(revision: str | None) -> None:
    if revision is not None and revision not in REVISIONS:
        raise SchemaOutdated(
            f"the database is at revision {revision}, which this version does not know: a newer version of"
            " sso-middleware has migrated it. Install that version again; there is no way back"
        )


def _at(revision: str | None) -> str:
    return "not migrated yet" if revision is None else f"at revision {revision}"


def _revision(address: URL) -> str | None:
    engine = make_engine(address, pooled=False)
    with errors_in_words(address), engine.connect() as connection:
        return _revision_on(connection)


def _revision_on(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision = connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
    return None if revision is None else str(revision)


def _migrate(address: URL) -> str | None:
    engine = make_engine(address, busy_seconds=WAIT_SECONDS, pooled=False)
    with errors_in_words(address):
        if is_sqlite(address):
            with engine.execution_options(**{BEGIN: ""}).connect() as connection:
                _switch_to_wal(connection)
        # On SQLite this is BEGIN IMMEDIATE: one writer, the others wait here. DDL is part of the
        # transaction on both databases, so whoever is killed in the middle leaves nothing behind.
        with engine.execution_options(**WRITING).begin() as connection:
            if not is_sqlite(address):
                connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _ADVISORY_LOCK})
            revision = _revision_on(connection)
            check_known(revision)
            if revision != HEAD:
                _upgrade(connection)
    return revision


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - a warm start must not pay for it
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _switch_to_wal(connection: Connection) -> None:
    # Kept in the file. SQLite doesn't apply the busy timeout to this switch, so wait by hand.
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        except OperationalError as error:
            busy = getattr(error.orig, "sqlite_errorcode", None) == SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _prepare_file(path: Path) -> None:
    # The records are secrets: only our own user may read them. SQLite gives -wal and -shm the mode of
    # the file. An existing file is never opened here: closing it would drop SQLite's own locks on it
    # (sqlite.org/howtocorrupt.html 2.2).
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            with suppress(FileNotFoundError):
                if stat.S_IMODE(file.stat().st_mode) & 0o077:
                    file.chmod(0o600)
    except OSError as error:
        raise ConfigurationError(
            f"the file of database_url can't be made or kept private: {path}: {error.strerror}"
        ) from None
