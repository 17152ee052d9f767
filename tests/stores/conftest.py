"""Databases for the store tests: a SQLite file, and a throw-away PostgreSQL on loopback."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from tests.servers import free_port, missing

from sso_middleware.stores.migrate import migrate_database, prepare_database
from sso_middleware.stores.sql import SqlStore
from sso_middleware.stores.tables import metadata

USER = "sso"
START_SECONDS = 30


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL server."""

    port: int
    password: str

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=self.password, dbname=database, autocommit=True
        )

    def create_database(self) -> str:
        """A new database; its name."""
        name = f"t{secrets.token_hex(6)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name

    def empty_tables(self, database: str) -> None:
        with self.connect(database) as connection:
            connection.execute(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY".encode())

    def drop_database(self, name: str) -> None:
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextmanager
def running_postgres() -> Iterator[Cluster]:
    """A throw-away server on loopback, with nothing in it."""
    binaries = _postgres_binaries()
    if binaries is None:
        missing("PostgreSQL")
    # Not under pytest's own directory: that is for its user alone, and PostgreSQL refuses to run as root.
    with tempfile.TemporaryDirectory(prefix="sso-postgres-", ignore_cleanup_errors=True) as directory:
        user = _server_user()
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        with _running_cluster(binaries, Path(directory), user) as cluster:
            yield cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One server for all tests of a worker."""
    with running_postgres() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_database(postgres: Cluster) -> str:
    """A migrated database that each test gets emptied: making one anew takes ten times as long."""
    name = postgres.create_database()
    migrate_database(postgres.url(name))
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    prepare_database(f"sqlite:///{path}")
    return path


DATABASES = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgresql", id="postgresql", marks=pytest.mark.server),
]


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database of each kind."""
    if request.param == "sqlite":
        path = tmp_path / "sso.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        path.chmod(0o600)
        yield f"sqlite:///{path}"
    else:
        cluster: Cluster = request.getfixturevalue("postgres")
        name: str = request.getfixturevalue("postgres_database")
        cluster.empty_tables(name)
        yield cluster.url(name)


@pytest.fixture(params=DATABASES)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind that was never migrated."""
    if request.param == "sqlite":
        (tmp_path / "sso.db").touch(0o600)
        yield f"sqlite:///{tmp_path / 'sso.db'}"
    else:
        yield request.getfixturevalue("empty_postgres_url")


@pytest.fixture
def empty_postgres_url(postgres: Cluster) -> Iterator[str]:
    """A PostgreSQL database that was never migrated."""
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    """A store on each kind of database."""
    store = SqlStore(database_url)
    yield store
    store.close()


def _postgres_binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def _server_user() -> pwd.struct_passwd | None:
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else None


@contextmanager
def _running_cluster(binaries: Path, directory: Path, user: pwd.struct_passwd | None) -> Iterator[Cluster]:
    cluster = Cluster(free_port(), secrets.token_urlsafe(24))
    data, log_file, password_file = directory / "data", directory / "log", directory / "password"
    password_file.write_text(cluster.password)
    password_file.chmod(0o644)
    uid, gid = (user.pw_uid, user.pw_gid) if user else (None, None)
    groups: list[int] | None = [] if user else None
    with log_file.open("wb") as log:
        subprocess.run(
            [
                binaries / "initdb",
                f"--pgdata={data}",
                f"--username={USER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
            check=True,
            cwd=directory,
            stdout=log,
            stderr=log,
            user=uid,
            group=gid,
            extra_groups=groups,
        )
        server = subprocess.Popen(
            [
                binaries / "postgres",
                *("-D", data, "-h", "127.0.0.1", "-p", str(cluster.port), "-k", directory),
                *("-c", "fsync=off", "-c", "synchronous_commit=off"),
            ],
            cwd=directory,
            stdout=log,
            stderr=log,
            user=uid,
            group=gid,
            extra_groups=groups,
        )
    try:
        _wait_until_up(cluster, server, log_file)
        yield cluster
    finally:
        server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown: clients are cut off
        server.wait(START_SECONDS)


def _wait_until_up(cluster: Cluster, server: subprocess.Popen[bytes], log_file: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            cluster.connect().close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start:\n{log_file.read_text(errors='replace')[-4000:]}")
            time.sleep(0.05)
        else:
            return
