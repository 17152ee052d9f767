"""How we reach the database: one engine per process, made at first use, and its errors in our words.

What is asked of it is `sql`'s; whether it is at the right revision is `migrate`'s.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SQLiteConnection
from typing import Any
from weakref import WeakSet

from sqlalchemy import URL, Connection, Engine, NullPool, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..errors import ConfigurationError, StoreUnavailable
from .tables import metadata

BUSY_SECONDS = 10.0
"""How long a writer waits for another one on SQLite."""
CONNECT_SECONDS = "10"
"""How long we wait for a PostgreSQL server that doesn't answer, unless the URL says otherwise."""
SILENT_SECONDS = 10
"""How long a PostgreSQL server that was connected may acknowledge nothing: its machine is gone, say."""
BEGIN = "sso_begin"
"""The execution option that says how SQLite begins a transaction; empty: not at all."""
WRITING: dict[str, Any] = {BEGIN: "BEGIN IMMEDIATE"}


def read_database_url(text: str) -> URL:
    """Check a `database_url`; a SQLite path becomes absolute, so that a later chdir moves nothing.

    Raises ConfigurationError, which never repeats the password.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise ConfigurationError(
            'database_url is not a database address: write "sqlite:///sso.db" or "postgresql+psycopg://user:password@host/name"'
        ) from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        return _read_sqlite_url(url)
    if url.drivername == "postgresql+psycopg":
        return url
    if url.get_backend_name() in ("postgresql", "postgres"):  # hosting providers hand out postgres://…
        # SQLAlchemy 2.0 and 2.1 take different drivers where none is named.
        raise ConfigurationError('database_url must name its driver: write "postgresql+psycopg://…"')
    raise ConfigurationError(
        f"database_url is for {url.get_backend_name()!r}: only SQLite and PostgreSQL are supported"
    )


def _read_sqlite_url(url: URL) -> URL:
    if url.database in (None, "", ":memory:"):
        return url.set(database=None)
    if str(url.database).startswith("file:"):
        raise ConfigurationError('database_url takes a plain path for SQLite: write "sqlite:////var/lib/app/sso.db"')
    path = Path(str(url.database)).resolve()
    if not path.parent.is_dir():
        raise ConfigurationError(f"the directory of database_url does not exist: create {path.parent}")
    if path.is_dir():
        raise ConfigurationError(f"database_url names a directory: add a file name to {path}")
    return url.set(database=str(path))


def is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def is_in_memory(url: URL) -> bool:
    return is_sqlite(url) and url.database is None


@contextmanager
def errors_in_words(url: URL) -> Iterator[None]:
    """Whatever the driver raises becomes StoreUnavailable, without values and without the password."""
    try:
        yield
    except (DBAPIError, PoolTimeout, UnicodeError) as error:
        # Not chained: PostgreSQL's own text can quote the values of a row, and a log prints the chain.
        raise StoreUnavailable(_in_words(error, url)) from None


def _in_words(error: Exception, url: URL) -> str:
    if isinstance(error, PoolTimeout):
        return "every database connection is in use"
    if isinstance(error, UnicodeError):
        return "a text that the database can't hold"
    original = getattr(error, "orig", None)
    name = getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None)
    kind = f"{type(original).__name__} ({name})" if name else type(original).__name__
    if not (isinstance(error, OperationalError) or is_sqlite(url)):
        return f"the database can't be used: {kind}"
    # SQLite's texts never quote a value. PostgreSQL's operational errors (unreachable, wrong password,
    # full) say why in their first line; its others quote rows.
    reason = str(original).partition("\n")[0]
    if url.password:
        reason = reason.replace(str(url.password), "***")
    return f"the database can't be used: {kind}: {reason}"


def make_engine(url: URL, *, busy_seconds: float = BUSY_SECONDS, pooled: bool = True) -> Engine:
    """An engine that has no connection yet."""
    try:
        if not is_sqlite(url):
            return _postgresql_engine(url, pooled)
        return _memory_engine(url) if is_in_memory(url) else _sqlite_engine(url, busy_seconds, pooled)
    except (ImportError, NoSuchModuleError):
        raise ConfigurationError(
            'database_url needs the PostgreSQL driver: pip install "sso-middleware[postgres]"'
        ) from None


def _postgresql_engine(url: URL, pooled: bool) -> Engine:
    # No prepared statements: they break behind PgBouncer. Every atomic method is written for READ COMMITTED.
    arguments: dict[str, Any] = {"prepare_threshold": None}
    if "connect_timeout" not in url.query:
        arguments["connect_timeout"] = CONNECT_SECONDS
    if "tcp_user_timeout" not in url.query:  # where the system knows it (Linux); else libpq passes it over
        arguments["tcp_user_timeout"] = SILENT_SECONDS * 1000
    return create_engine(
        url,
        connect_args=arguments,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        poolclass=QueuePool if pooled else NullPool,
    )


def _sqlite_engine(url: URL, busy_seconds: float, pooled: bool) -> Engine:
    # mode=rw: a file that is gone is an error, never a new empty database with everybody's umask.
    uri = url.set(database=Path(str(url.database)).as_uri()).update_query_dict({"mode": "rw", "uri": "true"})
    engine = create_engine(
        uri,
        connect_args={"timeout": busy_seconds, "check_same_thread": False},
        hide_parameters=True,
        poolclass=QueuePool if pooled else NullPool,
    )
    return _with_sqlite_transactions(engine)


def _memory_engine(url: URL) -> Engine:
    # A pool of exactly one connection: it is the database, and threads take turns with it.
    engine = create_engine(
        url,
        connect_args={"check_same_thread": False},
        hide_parameters=True,
        max_overflow=0,
        pool_size=1,
        poolclass=QueuePool,
    )
    _with_sqlite_transactions(engine)
    metadata.create_all(engine)
    return engine


def _with_sqlite_transactions(engine: Engine) -> Engine:
    event.listen(engine, "connect", _prepare_sqlite_connection)
    event.listen(engine, "begin", _begin_sqlite_transaction)
    return engine


def _prepare_sqlite_connection(connection: SQLiteConnection, _record: object) -> None:
    # The driver would begin transactions by itself, deferred and only before some statements: we do it.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite_transaction(connection: Connection) -> None:
    # A deferred transaction that reads before it writes fails at once when another one wrote in
    # between, whatever the busy timeout (sqlite.org/lang_transaction.html): writers queue up front.
    begin: str = connection.get_execution_options().get(BEGIN, "BEGIN")
    if begin:
        connection.exec_driver_sql(begin)


class Database:
    """Transactions on one database, in whichever process asks.

    An engine that was made before a fork is never used after it, nor closed by the child: its sockets
    and SQLite's file locks are the parent's (sqlite.org/howtocorrupt.html 2.6). So it is kept, untouched.
    """

    def __init__(self, text: str) -> None:
        self.url = read_database_url(text)
        self._engines: dict[int, Engine] = {}
        if is_sqlite(self.url) and not is_in_memory(self.url):
            _close_before_fork.add(self)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with errors_in_words(self.url), self._engine().connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back by any exception."""
        with errors_in_words(self.url), self._engine().execution_options(**WRITING).begin() as connection:
            yield connection

    def close(self) -> None:
        """Close this process's connections. The next use opens new ones."""
        engine = self._engines.pop(os.getpid(), None)
        if engine is not None:
            engine.dispose()

    def _engine(self) -> Engine:
        pid = os.getpid()
        engine = self._engines.get(pid)
        # Two threads may both make one; neither has a connection yet, and setdefault keeps only one.
        return engine or self._engines.setdefault(pid, make_engine(self.url))


# Within one process SQLite keeps one account of its locks on a file (os_unix.c, unixInodeInfo). A child
# would inherit that account, but not the locks: so a parent forks without open files. PostgreSQL's
# sockets may stay: nobody but their owner touches them.
_close_before_fork: WeakSet[Database] = WeakSet()


def _close_sqlite_files() -> None:
    for database in list(_close_before_fork):
        database.close()


os.register_at_fork(before=_close_sqlite_files)
