"""Migrating: to the tables that the code expects, by many at once, and over a crash in the middle."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text

import sso_middleware.stores.migrations
from sso_middleware.errors import ConfigurationError, SchemaOutdated, StoreUnavailable
from sso_middleware.events import Event
from sso_middleware.stores.database import make_engine, read_database_url
from sso_middleware.stores.migrate import HEAD, REVISIONS, migrate_database, prepare_database
from sso_middleware.stores.people_records import PeopleQuery
from sso_middleware.stores.records import SealedKey
from sso_middleware.stores.sql import SqlStore
from sso_middleware.stores.tables import VERSION_TABLE, metadata

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MIGRATIONS = Path(sso_middleware.stores.migrations.__file__).parent

PREPARE = """
import sys
from sso_middleware.stores.migrate import prepare_database
print("ready", flush=True)
sys.stdin.readline()
prepare_database(sys.argv[1])
print("alembic" in sys.modules, flush=True)
"""

STOP_IN_THE_MIDDLE = """
import sys
from sqlalchemy import Engine, event
from sso_middleware.stores.migrate import migrate_database
made = 0

@event.listens_for(Engine, "after_cursor_execute")
def stop_in_the_middle(connection, cursor, statement, parameters, context, executemany):
    global made
    made += "CREATE TABLE" in statement
    if made == 4:
        print("middle", flush=True)
        sys.stdin.readline()

migrate_database(sys.argv[1])
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = make_engine(read_database_url(url), pooled=False)
    with engine.begin() as connection:
        yield connection


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_migrating_makes_the_tables_that_the_code_expects(database_url: str) -> None:
    """Alembic finds no difference between a migrated database and tables.py."""
    with connected(database_url) as connection:
        context = MigrationContext.configure(
            connection,
            opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True},
        )
        assert compare_metadata(context, metadata) == []


def test_the_revisions_are_those_of_the_scripts() -> None:
    """The constant that spares a warm start Alembic names every migration, in order."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    walked = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(walked)) == REVISIONS


def test_migrating_by_command(empty_database_url: str) -> None:
    """On either database: from nothing to HEAD, then there is nothing to do, and a start is content."""
    assert migrate_database(empty_database_url) == (None, HEAD)
    assert migrate_database(empty_database_url) == (HEAD, HEAD)
    prepare_database(empty_database_url)


def test_all_our_tables_carry_our_prefix(database_url: str) -> None:
    """In a database that is shared with the host, ours can be told apart."""
    with connected(database_url) as connection:
        names = inspect(connection).get_table_names()
    assert len(names) == len(metadata.tables) + 1
    assert [name for name in names if not name.startswith("sso_")] == []


def test_what_an_older_version_kept_is_kept(empty_database_url: str) -> None:
    """From the first revision, with records in it: our own key is the current one, and can be rolled over."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with connected(empty_database_url) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, REVISIONS[0])
        at = f"{NOW:%Y-%m-%d %H:%M:%S}"
        connection.execute(
            text("INSERT INTO sso_signing_key VALUES ('k1', 'signing', 0, :key, 'PEM', :at)"),
            {"key": b"sealed", "at": NOW if "postgresql" in empty_database_url else at},
        )
        connection.execute(
            text("INSERT INTO sso_event (code, at, detail) VALUES ('login_succeeded', :at, '{\"a\": \"b\"}')"),
            {"at": NOW if "postgresql" in empty_database_url else at},
        )

    assert migrate_database(empty_database_url) == (REVISIONS[0], HEAD)

    with closing(SqlStore(empty_database_url)) as store:
        first = SealedKey("k1", "signing", b"sealed", "PEM", NOW)
        assert store.get_keys("signing") == [first]
        assert store.get_events() == [Event("login_succeeded", NOW, detail={"a": "b"})]
        store.add_next_key(SealedKey("k2", "signing", b"sealed", "PEM", NOW))
        assert store.rotate_keys("signing", NOW).id == "k2"
        assert store.get_key_states() == {"k1": "retired", "k2": "current"}


def test_links_become_people(empty_database_url: str) -> None:
    """Each user of a connection is one person with the keys that were linked to them, oldest first."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    hour = timedelta(hours=1)
    links = [
        ("acme", "old key", "42", NOW),
        ("acme", "new key", "42", NOW + hour),
        ("acme", "bob", "7", NOW + hour),
        ("acme", "also bob", "7", NOW + hour),
        ("globex", "old key", "42", NOW),
    ]
    with connected(empty_database_url) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        for connection_id, key, user_id, at in links:
            linked_at = at if "postgresql" in empty_database_url else f"{at:%Y-%m-%d %H:%M:%S.%f}"
            connection.execute(
                text("INSERT INTO sso_link VALUES (:connection_id, :key, :user_id, :at)"),
                {"connection_id": connection_id, "key": key, "user_id": user_id, "at": linked_at},
            )

    migrate_database(empty_database_url)

    with closing(SqlStore(empty_database_url)) as store:
        people = sorted(store.find_people(PeopleQuery()), key=lambda person: (person.connection_id, person.key))
    assert [(person.connection_id, person.user_id, person.keys) for person in people] == [
        ("acme", "7", ("also bob", "bob")),
        ("acme", "42", ("old key", "new key")),
        ("globex", "42", ("old key",)),
    ]
    assert len({person.id for person in people}) == 3
    assert (people[1].created_at, people[1].linked_at) == (NOW, NOW + hour)
    assert {(person.email, person.emails, person.told) for person in people} == {("", frozenset(), None)}
    with connected(empty_database_url) as connection:
        assert "sso_link" not in inspect(connection).get_table_names()


def test_a_hosts_own_alembic_is_left_alone(empty_database_url: str) -> None:
    """A host's version table and tables stay as they are."""
    with connected(empty_database_url) as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('hosts')")
    migrate_database(empty_database_url)
    with connected(empty_database_url) as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "hosts"


def test_sqlite_is_migrated_at_start(tmp_path: Path) -> None:
    """The first start makes the file and its tables, in WAL mode."""
    url = f"sqlite:///{tmp_path / 'sso.db'}"
    prepare_database(url)
    with connected(url) as connection:
        assert connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar() == HEAD
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_an_in_memory_database_needs_no_migration() -> None:
    """`sqlite://` has its tables from its first use."""
    prepare_database("sqlite://")
    store = SqlStore("sqlite://")
    store.claim_assertion("acme", "_a1", NOW)
    store.close()


@pytest.mark.server
def test_a_start_on_an_unmigrated_postgresql_names_the_command(empty_postgres_url: str) -> None:
    """Only a person migrates a database that others may share."""
    with pytest.raises(SchemaOutdated, match=r"not migrated yet.*`sso-middleware migrate`"):
        prepare_database(empty_postgres_url)
    with connected(empty_postgres_url) as connection:
        assert inspect(connection).get_table_names() == []


def test_a_newer_database_is_refused(empty_database_url: str) -> None:
    """A revision that we don't know is neither used nor touched, at start or by command."""
    migrate_database(empty_database_url)
    with connected(empty_database_url) as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    for act in (prepare_database, migrate_database):
        with pytest.raises(SchemaOutdated, match=r"9999.*newer version"):
            act(empty_database_url)


def all_at_once(script: str, url: str, count: int) -> list[int]:
    """Run the script in so many processes, let go at the same moment; their exit codes."""
    workers = [start(script, url) for _ in range(count)]
    assert [line_of(worker) for worker in workers] == ["ready"] * count
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate(timeout=120)
    return [worker.returncode for worker in workers]


def test_eight_workers_start_at_once(tmp_path: Path) -> None:
    """All of them come up, one of them migrated, and the database is whole."""
    url = f"sqlite:///{tmp_path / 'sso.db'}"
    assert all_at_once(PREPARE, url, 8) == [0] * 8
    assert migrate_database(url) == (HEAD, HEAD)


@pytest.mark.server
def test_the_command_runs_twice_at_once(empty_postgres_url: str) -> None:
    """Two machines that are rolled out together both succeed."""
    command = PREPARE.replace("prepare_database", "migrate_database")
    assert all_at_once(command, empty_postgres_url, 3) == [0] * 3
    prepare_database(empty_postgres_url)


def test_a_warm_start_imports_no_alembic(tmp_path: Path) -> None:
    """The first start needs Alembic, every later one reads one row."""
    url = f"sqlite:///{tmp_path / 'sso.db'}"
    used = []
    for _ in range(2):
        worker = start(PREPARE, url)
        output, _ = worker.communicate("\n", timeout=60)
        used.append(output.split()[-1])
    assert used == ["True", "False"]


def test_killed_in_the_middle(empty_database_url: str) -> None:
    """After a kill −9 half-way nothing of the migration is there, and the next one goes through."""
    worker = start(STOP_IN_THE_MIDDLE, empty_database_url)
    assert line_of(worker) == "middle"
    worker.send_signal(signal.SIGKILL)
    worker.communicate(timeout=30)
    with connected(empty_database_url) as connection:
        assert inspect(connection).get_table_names() == []
    assert migrate_database(empty_database_url) == (None, HEAD)


def test_the_files_are_private(tmp_path: Path) -> None:
    """Whatever the umask, nobody else can read the database or the files beside it."""
    path = tmp_path / "sso.db"
    before = os.umask(0)
    try:
        prepare_database(f"sqlite:///{path}")
        store = SqlStore(f"sqlite:///{path}")
        store.claim_assertion("acme", "_a1", NOW)
        files = {file.name: mode_of(file) for file in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert files == {"sso.db": 0o600, "sso.db-wal": 0o600, "sso.db-shm": 0o600}


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    """A database that was copied into place with a wide mode is made private at start."""
    path = tmp_path / "sso.db"
    prepare_database(f"sqlite:///{path}")
    path.chmod(0o644)
    prepare_database(f"sqlite:///{path}")
    assert mode_of(path) == 0o600


def test_a_missing_directory_is_told_in_words(tmp_path: Path) -> None:
    """The message names the directory to create, and none is created."""
    url = f"sqlite:///{tmp_path / 'missing' / 'sso.db'}"
    with pytest.raises(ConfigurationError, match=f"create {tmp_path / 'missing'}"):
        prepare_database(url)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    """A start on something else than a database is refused, and leaves it as it was."""
    path = tmp_path / "sso.db"
    path.write_text("these are notes, not a database, " * 50)
    content = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="file is not a database"):
        prepare_database(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_a_database_of_another_program_keeps_its_tables(tmp_path: Path) -> None:
    """Ours are added beside them."""
    path = tmp_path / "app.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE host_table (x INTEGER)")
    engine.dispose()
    prepare_database(f"sqlite:///{path}")
    with connected(f"sqlite:///{path}") as connection:
        assert "host_table" in inspect(connection).get_table_names()


def test_the_wheel_carries_the_migrations(tmp_path: Path) -> None:
    """An installed package can migrate: the scripts are in the wheel."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        shipped = {Path(name).name for name in archive.namelist() if "stores/migrations/" in name}
    wanted = {path.name for path in MIGRATIONS.rglob("*") if path.suffix in (".py", ".mako")}
    assert wanted <= shipped
    assert len([name for name in shipped if name.startswith("r0")]) == len(REVISIONS)
