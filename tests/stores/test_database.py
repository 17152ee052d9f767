"""How the database is reached: addresses, engines, forks, and errors that give nothing away."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import Cluster
from tests.servers import free_port

from sso_middleware.errors import ConfigurationError, StoreUnavailable
from sso_middleware.stores.database import (
    WRITING,
    Database,
    errors_in_words,
    make_engine,
    read_database_url,
)
from sso_middleware.stores.migrate import prepare_database
from sso_middleware.stores.records import Session
from sso_middleware.stores.sql import SqlStore

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
PASSWORD = "p@ss/wörd"


def told(error: BaseException) -> str:
    """All that a log would hold of it."""
    return "".join(traceback.format_exception(error))


# Addresses


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not a database address"),
        ("sso.db", "not a database address"),
        ("postgresql://u:hunter2@localhost/x", "must name its driver"),
        ("postgres://u:hunter2@localhost/x", r"must name its driver: write .postgresql\+psycopg://"),
        ("postgresql+psycopg2://u:hunter2@localhost/x", "must name its driver"),
        ("mysql://u:hunter2@localhost/x", "only SQLite and PostgreSQL"),
        ("sqlite:///file:sso.db?mode=ro&uri=true", "plain path"),
        ("sqlite:////", "names a directory"),
        ("sqlite+aiosqlite:///sso.db", "only SQLite and PostgreSQL"),
    ],
)
def test_a_wrong_address_is_told_in_words(url: str, words: str) -> None:
    """Each says what to write instead, at start, and never repeats a password."""
    with pytest.raises(ConfigurationError, match=words) as refused:
        SqlStore(url)
    assert "hunter2" not in told(refused.value)


def test_a_missing_driver_is_told_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL without its extra: the message says what to install, and not with which password."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    url = "postgresql+psycopg://sso:hunter2@127.0.0.1/x"
    with pytest.raises(ConfigurationError, match=r"pip install .*sso-middleware\[postgres\]") as refused:
        prepare_database(url)
    assert "hunter2" not in told(refused.value)


def test_a_missing_directory_is_told_at_start(tmp_path: Path) -> None:
    """Making the store is enough to hear of it."""
    with pytest.raises(ConfigurationError, match="does not exist: create"):
        SqlStore(f"sqlite:///{tmp_path}/missing/sso.db")


def test_a_relative_path_stays_where_it_was(sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that changes its directory after the start still finds its database."""
    monkeypatch.chdir(sqlite_template.parent)
    store = SqlStore(f"sqlite:///{sqlite_template.name}")
    monkeypatch.chdir("/")
    assert store.get_session("nobody") is None
    store.close()


def test_odd_characters_in_a_path_are_only_characters(tmp_path: Path) -> None:
    """A path is a path, whatever a URL would make of it."""
    directory = tmp_path / "100% über?mode=memory#1"
    directory.mkdir()
    url = read_database_url("sqlite://").set(database=str(directory / "sso.db"))
    (directory / "sso.db").touch()
    with make_engine(url, pooled=False).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE x (y)")
    assert (directory / "sso.db").stat().st_size > 0


# Engines


def test_nothing_is_opened_before_it_is_needed(tmp_path: Path) -> None:
    """A store can be made before a fork: it has no engine and no file until its first use."""
    store = SqlStore(f"sqlite:///{tmp_path / 'sso.db'}")
    assert list(tmp_path.iterdir()) == []
    store.close()


def test_a_closed_store_can_be_used_again(sqlite_template: Path) -> None:
    """Closing lets go of connections, and of nothing else."""
    store = SqlStore(f"sqlite:///{sqlite_template}")
    store.close()
    assert store.get_session("nobody") is None
    store.close()
    store.close()


def test_one_process_has_one_engine(sqlite_template: Path) -> None:
    """Within one process connections are used again."""
    database = Database(f"sqlite:///{sqlite_template}")
    with database.reading() as first:
        connection = first.connection.dbapi_connection
    with database.reading() as second:
        assert second.connection.dbapi_connection is connection
    database.close()


def test_threads_take_turns_with_a_database_in_memory() -> None:
    """`sqlite://` is one database for all threads of the process."""
    store = SqlStore("sqlite://")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.claim_assertion("acme", f"_a{number}", NOW), range(40)))
    assert store.delete_expired(NOW) == 40
    store.close()


def test_foreign_keys_are_enforced(sqlite_template: Path) -> None:
    """SQLite ignores them unless each connection asks."""
    database = Database(f"sqlite:///{sqlite_template}")
    with database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    database.close()


def test_a_transaction_that_raises_leaves_nothing(database_url: str) -> None:
    """An exception of any kind rolls back what was written before it."""
    database = Database(database_url)

    def write_and_fail() -> None:
        with database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO sso_person_email VALUES ('c', 'e', 'p')")
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sso_person_email").scalar() == 0
    database.close()


FORK = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from sso_middleware.errors import AssertionReplayed
from sso_middleware.stores.database import Database
from sso_middleware.stores.sql import SqlStore

NOW = datetime(2030, 1, 1, tzinfo=UTC)
WHO = "SELECT pg_backend_pid()" if "postgresql" in sys.argv[1] else "SELECT 0"
store, database = SqlStore(sys.argv[1]), Database(sys.argv[1])

def who():
    with database.reading() as connection:
        return connection.exec_driver_sql(WHO).scalar()

def open_files():
    return [link for link in Path("/proc/self/fd").iterdir() if "sso.db" in os.path.realpath(link)]

store.claim_assertion("acme", "_before", NOW)
server = who()
child = os.fork()
if child == 0:
    if open_files():
        os._exit(3)
    store.claim_assertion("acme", "_child", NOW)
    if server and who() == server:
        os._exit(4)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert who() == server
store.claim_assertion("acme", "_parent", NOW)
for name in ("_before", "_child", "_parent"):
    try:
        store.claim_assertion("acme", name, NOW)
    except AssertionReplayed:
        continue
    sys.exit(5)
store.close()
database.close()
"""


def test_a_fork_shares_no_connection(database_url: str) -> None:
    """Parent and child go on with connections of their own, also after the child has ended."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, database_url], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# Errors


def test_a_database_file_that_vanished_is_not_made_anew(tmp_path: Path, sqlite_template: Path) -> None:
    """Records that are gone are an outage, never an empty database in which nothing was ever claimed."""
    path = tmp_path / "sso.db"
    path.write_bytes(sqlite_template.read_bytes())
    store = SqlStore(f"sqlite:///{path}")
    path.unlink()
    with pytest.raises(StoreUnavailable, match="unable to open database file"):
        store.get_session("nobody")
    assert not path.exists()
    store.close()


def test_a_locked_database_is_unavailable(sqlite_template: Path) -> None:
    """A writer that waits in vain for another one says so."""
    url = read_database_url(f"sqlite:///{sqlite_template}")
    patient = make_engine(url, pooled=False).execution_options(**WRITING)
    hasty = make_engine(url, busy_seconds=0.01, pooled=False).execution_options(**WRITING)
    with patient.begin():
        with pytest.raises(StoreUnavailable, match=r"SQLITE_BUSY.*database is locked"), errors_in_words(url):
            hasty.connect().begin()
        with make_engine(url, pooled=False).connect() as reader:
            assert reader.exec_driver_sql("SELECT 1").scalar() == 1


def test_a_full_disk_is_unavailable(tmp_path: Path, sqlite_template: Path) -> None:
    """What can't be written is an outage, told in the database's own word, without the values."""
    path = tmp_path / "sso.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{path}")

    def fill() -> None:
        with database.writing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
            connection.exec_driver_sql(
                "INSERT INTO sso_person_email VALUES (?, 'e', 'p')", ("ada@acme.example" * 5000,)
            )

    with pytest.raises(StoreUnavailable, match="SQLITE_FULL") as refused:
        fill()
    assert "ada@" not in told(refused.value)
    database.close()


def test_an_error_holds_no_values(store: SqlStore) -> None:
    """Neither the driver's text nor SQLAlchemy's, which would quote the row, is told."""
    session = Session(
        id="hash-of-a-token",
        connection_id="acme",
        principal_key="key-of-ada",
        principal={"email": "ada@acme.example"},
        name_id="ada@acme.example",
        session_index=None,
        authenticated_at=NOW,
        last_seen=NOW,
        expires_at=NOW + timedelta(hours=1),
    )
    store.add_session(session)
    with pytest.raises(StoreUnavailable) as refused:
        store.add_session(session)
    for secret in ("hash-of-a-token", "ada@acme.example", "key-of-ada", "INSERT"):
        assert secret not in told(refused.value)


def test_a_text_that_no_database_holds_is_our_error(store: SqlStore) -> None:
    """Half a surrogate pair does not come through as the driver's own exception."""
    with pytest.raises(StoreUnavailable, match="can't hold"):
        store.get_login_request("\ud800", NOW)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    """The text says where we looked, not with which password."""
    store = SqlStore(f"postgresql+psycopg://sso:hunter2@127.0.0.1:{free_port()}/x")
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1") as refused:
        store.get_session("nobody")
    assert "hunter2" not in told(refused.value)
    store.close()


@pytest.mark.server
def test_a_wrong_password_is_unavailable(empty_postgres_url: str) -> None:
    """The server's refusal is told, the password is not."""
    url = read_database_url(empty_postgres_url).set(password=PASSWORD)
    store = SqlStore(url.render_as_string(hide_password=False))
    with pytest.raises(StoreUnavailable, match="password authentication failed") as refused:
        store.get_session("nobody")
    assert PASSWORD not in told(refused.value)
    store.close()


@pytest.mark.server
def test_a_connection_that_the_server_cut_is_replaced(empty_postgres_url: str) -> None:
    """After a restart of the server the next request works: a dead connection is noticed before its use."""
    database = Database(empty_postgres_url)
    with database.reading() as connection:
        backend = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    other = Database(empty_postgres_url)
    with other.writing() as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend({backend}, 5000)")
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT pg_backend_pid()").scalar() != backend
    database.close()
    other.close()


def test_a_time_without_a_zone_is_a_mistake_of_ours(store: SqlStore) -> None:
    """It is never taken for UTC in silence."""
    with pytest.raises(Exception, match="a time without a time zone"):
        store.claim_assertion("acme", "_a1", NOW.replace(tzinfo=None))


@pytest.mark.server
@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has it")
def test_a_server_whose_machine_is_gone_is_not_waited_for_for_ever(postgres: Cluster) -> None:
    """What is sent and never acknowledged ends the connection after ten seconds, not after a quarter of an hour."""
    engine = make_engine(read_database_url(postgres.url("postgres")))
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        with socket.socket(fileno=os.dup(driver.fileno())) as wire:
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
    engine.dispose()
