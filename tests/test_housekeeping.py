"""Housekeeping: one thread a process, one process at a time, and it survives what goes wrong."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sso_middleware import housekeeping
from sso_middleware.errors import StoreUnavailable
from sso_middleware.housekeeping import LEASE, LEASE_LASTS, Housekeeping, run_once
from sso_middleware.stores.migrate import prepare_database
from sso_middleware.stores.sql import SqlStore

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
SOON = 0.001
SECONDS = 20


class TickingClock:
    """A clock that stands still, counts how often it was read, and can fail the first times."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self._reads = threading.Semaphore(0)

    def __call__(self) -> datetime:
        self._reads.release()
        if self._failures:
            raise self._failures.pop(0)
        return NOW

    def wait_for_reads(self, count: int) -> None:
        for _ in range(count):
            assert self._reads.acquire(timeout=SECONDS)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    url = f"sqlite:///{tmp_path / 'sso.db'}"
    prepare_database(url)
    store = SqlStore(url)
    yield store
    store.close()


def add_ended(store: SqlStore, count: int) -> None:
    for number in range(count):
        store.claim_assertion("acme", f"_a{number}", NOW)


def our_threads() -> set[threading.Thread]:
    """Those that other tests' apps left running count as well; so compare with what there was before."""
    return {thread for thread in threading.enumerate() if thread.name == "sso-housekeeping"}


def test_one_run_deletes_in_batches_until_nothing_is_left(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one batch goes in a run, each in a short transaction of its own."""
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    add_ended(store, 5)
    assert run_once(store, "cron", NOW) == 5
    assert run_once(store, "cron", NOW) == 0


def test_one_run_is_bounded(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A huge backlog is worked off over several runs."""
    monkeypatch.setattr(housekeeping, "BATCH", 1)
    monkeypatch.setattr(housekeeping, "BATCHES", 3)
    add_ended(store, 5)
    assert [run_once(store, "cron", NOW) for _ in range(2)] == [3, 2]


def test_one_holder_works_at_a_time(store: SqlStore) -> None:
    """While one has the lease another does nothing; when it has run out, the other takes over."""
    add_ended(store, 1)
    assert store.claim_lease(LEASE, "one", NOW, NOW + LEASE_LASTS)
    assert run_once(store, "two", NOW + LEASE_LASTS - timedelta(seconds=1)) == 0
    assert run_once(store, "two", NOW + LEASE_LASTS) == 1


def test_a_run_from_cron_frees_the_lease(store: SqlStore) -> None:
    """The next minute's run is another process, and must not wait for the lease of this one to run out."""
    run_once(store, "cron at 12:00", NOW)
    add_ended(store, 1)
    assert run_once(store, "cron at 12:01", NOW) == 1


def test_a_run_from_cron_leaves_the_lease_of_another(store: SqlStore) -> None:
    """Who is at work keeps the lease, whoever else asks."""
    assert store.claim_lease(LEASE, "one", NOW, NOW + LEASE_LASTS)
    run_once(store, "cron", NOW)
    assert not store.claim_lease(LEASE, "two", NOW, NOW + LEASE_LASTS)


def test_the_thread_keeps_its_lease(store: SqlStore) -> None:
    """Of many processes the same one goes on; the others do nothing in the meantime."""
    clock = TickingClock()
    keeping = Housekeeping(store, clock, interval_seconds=SOON)
    keeping.ensure_running()
    clock.wait_for_reads(2)
    keeping.stop()
    assert not store.claim_lease(LEASE, "another", NOW, NOW + LEASE_LASTS)


def test_the_thread_works_again_and_again(store: SqlStore) -> None:
    """From `ensure_running` until `stop`, at each interval."""
    add_ended(store, 3)
    clock = TickingClock()
    keeping = Housekeeping(store, clock, interval_seconds=SOON)
    keeping.ensure_running()
    clock.wait_for_reads(3)
    keeping.stop()
    assert run_once(store, "test", NOW + LEASE_LASTS) == 0
    store.claim_assertion("acme", "_a0", NOW)


def test_many_first_requests_start_one_thread(store: SqlStore) -> None:
    """However many requests come first, there is one thread, and a later request adds none."""
    keeping = Housekeeping(store, TickingClock(), interval_seconds=SECONDS)
    others = our_threads()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: keeping.ensure_running(), range(40)))
    assert len(our_threads() - others) == 1
    keeping.stop()
    assert our_threads() <= others


def test_stopped_is_stopped(store: SqlStore) -> None:
    """A straggling request does not start it again; stopping twice, or what never ran, is no error."""
    keeping = Housekeeping(store, TickingClock(), interval_seconds=SECONDS)
    others = our_threads()
    keeping.stop()
    keeping.ensure_running()
    keeping.stop()
    keeping.ensure_running()
    keeping.stop()
    assert our_threads() <= others


def test_a_failure_is_logged_and_survived(store: SqlStore, caplog: pytest.LogCaptureFixture) -> None:
    """An outage is a line, anything else tells where it happened but not its own text, and the next run takes place."""
    add_ended(store, 1)
    clock = TickingClock(StoreUnavailable("locked"), RuntimeError("odd"))
    keeping = Housekeeping(store, clock, interval_seconds=SOON)
    with caplog.at_level(logging.INFO, logger=housekeeping.__name__):
        keeping.ensure_running()
        clock.wait_for_reads(4)
        keeping.stop()
    told = [(record.levelname, *record.getMessage().split("\n")[:1]) for record in caplog.records]
    assert told == [
        ("WARNING", "housekeeping could not reach the store, and will try again: locked"),
        ("ERROR", "housekeeping failed, and will try again: RuntimeError"),
        ("INFO", "housekeeping deleted 1 records that had ended"),
    ]


FORK = """
import logging, os, threading
from sso_middleware.errors import StoreUnavailable
from sso_middleware.housekeeping import Housekeeping
from sso_middleware.stores.sql import SqlStore

logging.disable()
ran = threading.Event()

def clock():
    ran.set()
    raise StoreUnavailable("so that the thread is at rest when we fork")

def threads():
    return [thread.is_alive() for thread in threading.enumerate() if thread.name == "sso-housekeeping"]

keeping = Housekeeping(SqlStore("sqlite://"), clock)
keeping.ensure_running()
ran.wait()
child = os.fork()
if child == 0:
    before = threads()
    keeping.ensure_running()
    after = threads()
    keeping.stop()
    os._exit(0 if (before, after, threads()) == ([], [True], []) else 3)
assert os.waitpid(child, 0)[1] == 0
assert threads() == [True]
"""


def test_a_forked_worker_starts_its_own() -> None:
    """The parent's thread does not survive a fork; the child's first request starts another."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_chores_are_done_within_the_lease(store: SqlStore) -> None:
    """By whoever has it, and by nobody else."""
    done: list[str] = []
    run_once(store, "one", NOW, [lambda: done.append("one")])
    assert store.claim_lease(LEASE, "one", NOW, NOW + LEASE_LASTS)
    run_once(store, "two", NOW, [lambda: done.append("two")])
    assert done == ["one"]


def test_a_chore_that_fails_keeps_no_other_from_being_done(store: SqlStore, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged by where it happened, without its text; but without the store nothing goes on."""
    done: list[str] = []

    def fail() -> None:
        raise RuntimeError("https://idp.example/?token=" + "secret")

    def no_store() -> None:
        raise StoreUnavailable("locked")

    run_once(store, "one", NOW, [fail, lambda: done.append("next")])
    assert done == ["next"]
    (told,) = (record.getMessage() for record in caplog.records)
    assert told.startswith("a chore of housekeeping failed, and will be tried again: RuntimeError\n")
    assert "in fail" in told
    assert "token=secret" not in told
    with pytest.raises(StoreUnavailable):
        run_once(store, "one", NOW, [no_store])
