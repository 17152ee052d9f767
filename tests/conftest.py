"""Fixtures for every test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.metadata_refreshing import Refreshing, url_connection
from tests.servers import simplesamlphp
from tests.world import Kind, Style, World

from sso_middleware.stores.migrate import prepare_database
from sso_middleware.stores.sql import SqlStore

__all__ = ["simplesamlphp"]

MakeWorld = Callable[..., World]
WORLDS: list[tuple[Kind, Style]] = [("wsgi", "plain"), ("wsgi", "async"), ("asgi", "plain"), ("asgi", "async")]


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database of the newest revision, to copy."""
    path = tmp_path_factory.mktemp("database") / "template.db"
    prepare_database(f"sqlite:///{path}")
    return path


@pytest.fixture
def database_url(migrated_database: Path, tmp_path: Path) -> str:
    """A fresh database of this test's own."""
    path = tmp_path / "sso.db"
    shutil.copy(migrated_database, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=WORLDS, ids="-".join)
def make_world(request: pytest.FixtureRequest, database_url: str) -> Iterator[MakeWorld]:
    """Makes a `World` of other settings, in each of the four combinations."""
    kind, style = request.param
    made: list[World] = []
    store = SqlStore(database_url)

    def make(**settings: Any) -> World:
        world = World(kind, style, store, database_url, **settings)
        made.append(world)
        return world

    yield make
    for world in made:
        world.close()
    store.close()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """One connection, `acme`, for acme.example; everybody must sign in, everywhere."""
    return make_world()


@pytest.fixture
def make_refreshing(database_url: str) -> Iterator[Callable[..., Refreshing]]:
    """Makes a `Refreshing` of the connection `acme`, with other settings of that connection."""
    store = SqlStore(database_url)
    yield lambda **changes: Refreshing(store, url_connection(**changes))
    store.close()
