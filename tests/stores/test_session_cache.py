"""What one process remembers of sessions, and for how long it may believe it.

The delays are minutes here: the cache also goes by a clock that no test moves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from tests.stores.test_session_records import renewed, session

from sso_middleware.calling import call_blocking, run
from sso_middleware.errors import StoreUnavailable
from sso_middleware.stores import tables
from sso_middleware.stores.session_records import Changes, Session, SessionQuery
from sso_middleware.stores.sessions import SessionCache
from sso_middleware.stores.sql import SqlStore

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DELAY = 10 * MINUTE


class WatchedStore(SqlStore):
    """Counts what is read, can be down, and lets something happen just after a read."""

    def __init__(self) -> None:
        super().__init__("sqlite://")
        self.looks = 0
        self.reads: list[str] = []
        self.is_down = False
        # Each once:
        self.after_look: Callable[[], object] | None = None
        self.after_read: Callable[[], object] | None = None

    def get_changes(self, after: int | None) -> Changes:
        self.looks += 1
        self._check()
        changes = super().get_changes(after)
        happens, self.after_look = self.after_look, None
        if happens is not None:
            happens()
        return changes

    def get_session(self, id: str) -> Session | None:
        self.reads.append(id)
        self._check()
        found = super().get_session(id)
        happens, self.after_read = self.after_read, None
        if happens is not None:
            happens()
        return found

    def _check(self) -> None:
        if self.is_down:
            raise StoreUnavailable("down")


class Process:
    """One process's memory, and a clock that goes as the test says."""

    def __init__(self, store: SqlStore, *, delay: timedelta = DELAY, most: int = 1000) -> None:
        self.now = NOW
        self.cache = SessionCache(store, lambda: self.now, delay=delay, most=most)

    def finds(self, id: str = "s1") -> bool:
        return run(self.cache.find(id, call_blocking)) is not None

    def look(self) -> None:
        run(self.cache.look(call_blocking))

    def wait(self, time: timedelta) -> None:
        self.now += time


@pytest.fixture
def store() -> Iterator[WatchedStore]:
    """With the session s1."""
    store = WatchedStore()
    store.add_session(session())
    yield store
    store.close()


@pytest.fixture
def process(store: WatchedStore) -> Process:
    process = Process(store)
    process.look()
    return process


def test_a_session_is_read_once(store: WatchedStore, process: Process) -> None:
    """Then it is remembered, and nothing at all is asked for half of the delay."""
    assert [process.finds() for _ in range(5)] == [True] * 5
    assert (store.reads, store.looks) == (["s1"], 1)


def test_memory_is_bounded(store: WatchedStore) -> None:
    """However many sessions come by."""
    process = Process(store, most=10)
    for index in range(100):
        store.add_session(session(f"m{index}"))
        assert process.finds(f"m{index}")
    assert len(process.cache) <= 10


def test_what_is_unknown_an_old_id_or_timed_out_is_not_remembered(store: WatchedStore, process: Process) -> None:
    """Anybody can make up ids, and an old id is good for seconds only."""
    store.add_session(session("s3"))
    store.time_out_session("s3", NOW + MINUTE, NOW)
    store.renew_session("s1", renewed("s2"), NOW)
    assert not process.finds("nobody")
    old = run(process.cache.find("s1", call_blocking))
    assert old is not None
    assert old.session.replaced_by == "s2"
    assert process.finds("s3")
    assert len(process.cache) == 0


def test_what_was_ended_elsewhere_is_seen_within_the_delay(store: WatchedStore, process: Process) -> None:
    """It is read at half of the delay, so that nobody has to wait for the whole of it."""
    assert process.finds()
    store.end_session("s1", NOW)
    process.wait(DELAY / 2 - timedelta(microseconds=1))
    assert process.finds()
    process.wait(timedelta(microseconds=1))
    assert not process.finds()


@pytest.mark.parametrize(
    "query",
    [
        SessionQuery(session_id="s1"),
        SessionQuery(email="ada@acme.example"),
        SessionQuery(connection_ids=("acme",)),
        SessionQuery(connection_ids=("acme",), principal_key="key of ada"),
        SessionQuery(),
    ],
)
@pytest.mark.parametrize("how", ["ended", "stale"])
def test_every_kind_of_change_is_heard_of(store: WatchedStore, query: SessionQuery, how: str) -> None:
    """Whatever the query, the session is forgotten and read anew; others stay where the change is narrower."""
    store.add_session(session("b1", person="bob", connection="beta"))
    process = Process(store)
    assert process.finds("s1")
    assert process.finds("b1")
    if how == "ended":
        store.end_sessions(query, NOW)
    else:
        store.make_sessions_stale(query, NOW)
    process.wait(DELAY / 2)
    found = run(process.cache.find("s1", call_blocking))
    assert found is None if how == "ended" else (found is not None and found.session.is_stale)
    store.reads.clear()
    process.finds("b1")
    assert store.reads == (["b1"] if query == SessionQuery() else [])


def test_another_persons_revocation_costs_nobody_else_a_read(store: WatchedStore, process: Process) -> None:
    """Of the same connection, too."""
    store.add_session(session("b1", person="bob"))
    assert process.finds("s1")
    store.end_sessions(SessionQuery(connection_ids=("acme",), principal_key="key of bob"), NOW)
    process.wait(DELAY / 2)
    assert process.finds("s1")
    assert store.reads == ["s1"]


def test_one_request_reads_ahead_while_the_others_go_on(store: WatchedStore, process: Process) -> None:
    """In the second half of the delay; what they remember may still be believed."""
    assert process.finds()
    process.wait(DELAY / 2)
    others: list[bool] = []
    store.after_look = lambda: others.extend(process.finds() for _ in range(5))
    looks = store.looks
    assert process.finds()
    assert others == [True] * 5
    assert store.looks == looks + 1


def test_after_the_delay_everybody_waits_for_the_store(store: WatchedStore, process: Process) -> None:
    """A reader that has not come back is no reason to believe for longer."""
    assert process.finds()
    process.wait(DELAY)
    looked: list[int] = []

    def meanwhile() -> None:
        process.finds()
        looked.append(store.looks)

    store.after_look = meanwhile
    looks = store.looks
    assert process.finds()
    assert looked == [looks + 2]


def test_while_the_store_is_down_memory_is_believed_for_the_delay_and_no_longer(
    store: WatchedStore, process: Process
) -> None:
    """Then StoreUnavailable says so; nobody is told that there is no session."""
    assert process.finds()
    store.is_down = True
    for at in (DELAY / 2, DELAY / 2 - timedelta(microseconds=1)):
        process.wait(at)
        assert process.finds()
    process.wait(timedelta(microseconds=1))
    with pytest.raises(StoreUnavailable):
        process.finds()
    store.is_down = False
    assert process.finds()


def test_a_session_that_is_not_remembered_needs_the_store(store: WatchedStore, process: Process) -> None:
    """Whatever may be believed of others."""
    store.is_down = True
    with pytest.raises(StoreUnavailable):
        process.finds()


def test_a_process_that_never_read_believes_nothing(store: WatchedStore) -> None:
    """Not even what it has just read."""
    store.is_down = True
    with pytest.raises(StoreUnavailable):
        Process(store).look()


def test_a_failed_look_loses_no_change(store: WatchedStore, process: Process) -> None:
    """The next one reads on from where the last good one was."""
    assert process.finds()
    store.end_session("s1", NOW)
    store.is_down = True
    process.wait(DELAY / 2)
    assert process.finds()
    store.is_down = False
    assert not process.finds()


def test_a_change_between_reading_a_session_and_remembering_it_is_not_lost(
    store: WatchedStore, process: Process
) -> None:
    """It is ended, and another thread hears of that, while this one still holds the old record."""

    def meanwhile() -> None:
        store.end_session("s1", NOW)
        process.wait(DELAY / 2)
        process.look()

    store.after_read = meanwhile
    assert process.finds()  # it was live when it was read
    assert not process.finds()


def test_a_change_that_nobody_heard_of_yet_is_heard_of_after_a_record_was_remembered(
    store: WatchedStore, process: Process
) -> None:
    """Ended after it was read and before it was remembered: the next look tells."""
    store.after_read = lambda: store.end_session("s1", NOW)
    assert process.finds()
    process.wait(DELAY / 2)
    assert not process.finds()


def test_a_record_read_before_the_first_look_is_not_kept(store: WatchedStore) -> None:
    """Nobody knows what it missed."""
    process = Process(store)
    store.after_read = process.look
    run(process.cache.read("s1", call_blocking))
    assert process.cache.get("s1") is None


def test_a_reader_who_comes_late_takes_nothing_back(store: WatchedStore, process: Process) -> None:
    """A slow look that began earlier ends after a quick one: the cursor stays, and nothing is believed for longer."""
    store.add_session(session("s2"))
    assert process.finds("s1")
    assert process.finds("s2")
    process.wait(DELAY)

    def quick() -> None:
        store.end_session("s2", NOW)
        process.wait(MINUTE)
        process.look()

    store.after_look = quick
    process.look()
    assert not process.finds("s2")
    process.wait(DELAY / 2 - timedelta(microseconds=1))
    assert process.cache.is_fresh(process.now)  # by the quick one, which read later
    looks = store.looks
    process.wait(timedelta(microseconds=1))
    process.look()
    assert store.looks == looks + 1


def test_what_this_process_ended_is_forgotten_at_once(store: WatchedStore, process: Process) -> None:
    """And its other ids are looked for at the next request, not half of a delay later."""
    store.add_session(session("s2"))
    assert process.finds("s1")
    assert process.finds("s2")
    store.end_sessions(SessionQuery(), NOW)
    process.cache.forget_now("s1")
    assert not process.finds("s2")
    assert not process.finds("s1")


@pytest.mark.parametrize("how", ["pruned", "restored"])
def test_a_process_that_missed_changes_forgets_everything(store: WatchedStore, process: Process, how: str) -> None:
    """They were deleted meanwhile, or the database is another one than it was."""
    store.add_session(session("s2"))
    store.end_session("s2", NOW)
    process.wait(DELAY / 2)
    assert process.finds()
    if how == "pruned":
        store.end_session("s1", NOW)
        store.delete_expired(NOW + timedelta(hours=2))
    else:
        _restore_before_any_session(store)
    process.wait(DELAY / 2)
    assert not process.finds()


def _restore_before_any_session(store: WatchedStore) -> None:
    with store._database.writing() as connection:
        for table in (tables.sessions, tables.changes, tables.change_counters):
            connection.execute(table.delete())


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_is_a_reason_to_look(store: WatchedStore, process: Process, hours: int) -> None:
    """An hour forward or back: nothing is believed without a look, and nothing for longer than the delay."""
    assert process.finds()
    process.wait(timedelta(hours=hours))
    store.is_down = True
    with pytest.raises(StoreUnavailable):
        process.finds()
    store.is_down = False
    store.end_session("s1", NOW)
    assert not process.finds()
    store.add_session(session("s1"))
    assert process.finds()
    looks = store.looks
    process.wait(DELAY / 2 - timedelta(microseconds=1))
    assert process.finds()
    assert store.looks == looks


def test_a_clock_that_stands_still_makes_the_delay_no_longer(store: WatchedStore) -> None:
    """Set back by as much as passes, again and again: a clock that nobody sets counts, too."""
    process = Process(store, delay=timedelta(milliseconds=10))
    process.look()
    assert process.finds()
    _spin(0.011)
    store.is_down = True
    with pytest.raises(StoreUnavailable):
        process.finds()


def _spin(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_without_a_delay_every_request_looks(store: WatchedStore) -> None:
    """And what was ended elsewhere counts at the very next one; a failure at once, too."""
    process = Process(store, delay=timedelta())
    assert process.finds()
    assert process.finds()
    assert store.looks == 2
    store.is_down = True
    with pytest.raises(StoreUnavailable):
        process.finds()
    store.is_down = False
    store.end_session("s1", NOW)
    assert not process.finds()


def test_two_processes_hear_of_the_same_changes(store: WatchedStore) -> None:
    """Each reads on from its own cursor."""
    processes: Sequence[Process] = [Process(store), Process(store)]
    for process in processes:
        assert process.finds()
    store.end_session("s1", NOW)
    for process in processes:
        process.wait(DELAY / 2)
        assert not process.finds()
