"""Databases for the store tests: a SQLite file, and a throw-away PostgreSQL on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres import Cluster, running_cluster

from sso_middleware.stores.migrate import migrate_database, prepare_database
from sso_middleware.stores.sql import SqlStore


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One server for all tests of a worker."""
    with running_cluster(hurries=True) as cluster:
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
