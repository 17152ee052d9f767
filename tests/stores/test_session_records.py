"""What every store must do with sessions and what is told of them, on a SQLite file and on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.postgres import Cluster
from tests.stores.test_contract import outcomes_of

from sso_middleware.errors import StoreUnavailable
from sso_middleware.stores import sql_sessions
from sso_middleware.stores.session_records import Change, KeptForm, SentLogoutRequest, Session, SessionQuery
from sso_middleware.stores.sql import CHANGE_TOLD_FOR, SqlStore

NOW = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
WITHIN = timedelta(seconds=3)


def session(id: str = "s1", *, person: str = "ada", connection: str = "acme", **changes: Any) -> Session:
    made = Session(
        id=id,
        connection_id=connection,
        principal_key=f"key of {person}",
        principal={"email": f"{person}@{connection}.example", "roles": ["admin"], "attributes": {}, "user_id": None},
        name_id='{"value": "ada"}',
        session_index="i1",
        authenticated_at=NOW,
        last_seen=NOW,
        expires_at=NOW + DAY,
        email=f"{person}@{connection}.example",
        logout_key=f"logout {person}",
        device="mobile",
        policy="p1",
        created_at=NOW,
    )
    return replace(made, **changes)


def renewed(id: str, **changes: Any) -> Session:
    return session(id, is_confirmed=False, **changes)


def add(store: SqlStore, *sessions: Session) -> None:
    for each in sessions:
        store.add_session(each)


def ids_in(store: SqlStore, *ids: str) -> set[str]:
    """Which of these there still is a record of."""
    return {id for id in ids if store.get_session(id) is not None}


def told(store: SqlStore, after: int) -> list[tuple[str | None, str | None, str | None]]:
    changes = store.get_changes(after)
    assert changes.is_complete
    return [(change.connection_id, change.principal_key, change.session_id) for change in changes.changes]


def number(store: SqlStore) -> int:
    return store.get_changes(None).number


# Renewing


def test_every_field_of_a_session_survives(store: SqlStore) -> None:
    """Also those that only a renewal sets."""
    whole = session(
        is_stale=True,
        is_confirmed=False,
        renewals=2,
        renewal_began_at=NOW,
        replaced_by="s2",
        alias_ends_at=NOW + SECOND,
        timed_out_at=NOW + MINUTE,
    )
    store.add_session(whole)
    assert store.get_session("s1") == whole


def test_a_renewed_session_leaves_its_old_id_as_an_alias(store: SqlStore) -> None:
    """The new record is as it was handed in; the old one names it, and is told of."""
    add(store, session())
    before = number(store)
    assert store.renew_session("s1", renewed("s2"), NOW) == "s2"
    assert store.get_session("s2") == renewed("s2")
    old = store.get_session("s1")
    assert old is not None
    assert (old.replaced_by, old.alias_ends_at) == ("s2", None)
    assert told(store, before) == [(None, None, "s1")]


def test_every_old_id_names_the_newest(store: SqlStore) -> None:
    """Whoever is two renewals behind is one step away."""
    add(store, session())
    store.renew_session("s1", renewed("s2"), NOW)
    store.renew_session("s2", renewed("s3"), NOW)
    old = [store.get_session(id) for id in ("s1", "s2")]
    assert [each and each.replaced_by for each in old] == ["s3", "s3"]


def test_a_session_that_was_renewed_is_not_renewed_again_under_its_old_id(store: SqlStore) -> None:
    """The second one is told what the first one made, and opens nothing."""
    add(store, session())
    assert store.renew_session("s1", renewed("s2"), NOW) == "s2"
    assert store.renew_session("s1", renewed("s3"), NOW) == "s2"
    assert store.get_session("s3") is None


@pytest.mark.parametrize("how", ["ended", "timed out", "renewed, then timed out", "never was"])
def test_what_has_ended_is_not_renewed(store: SqlStore, how: str) -> None:
    """None, and nothing is opened."""
    if how != "never was":
        add(store, session())
    match how:
        case "ended":
            assert store.end_session("s1", NOW)
        case "timed out":
            assert store.time_out_session("s1", NOW, NOW + DAY)
        case "renewed, then timed out":
            store.renew_session("s1", renewed("s2"), NOW)
            assert store.time_out_session("s2", NOW, NOW + DAY)
    assert store.renew_session("s1", renewed("s9"), NOW) is None
    assert store.get_session("s9") is None


def test_an_old_id_ends_once_the_new_one_was_seen(store: SqlStore) -> None:
    """Every old id at once, and a second confirmation does not put it off."""
    add(store, session())
    store.renew_session("s1", renewed("s2"), NOW)
    store.renew_session("s2", renewed("s3"), NOW)
    store.confirm_renewal("s3", NOW + 10 * SECOND)
    store.confirm_renewal("s3", NOW + MINUTE)
    newest = store.get_session("s3")
    assert newest is not None
    assert newest.is_confirmed
    old = [store.get_session(id) for id in ("s1", "s2")]
    assert [each and each.alias_ends_at for each in old] == [NOW + 10 * SECOND] * 2


def test_confirming_what_has_ended_brings_nothing_back(store: SqlStore) -> None:
    """No record comes of it."""
    store.confirm_renewal("s1", NOW)
    assert store.get_session("s1") is None


def test_renewals_are_counted_from_the_first_unanswered_one(store: SqlStore) -> None:
    """So many, all within so long of the first; then none, until the session was seen or renewed."""
    add(store, session())

    def begin(at: timedelta) -> bool:
        return store.begin_renewal("s1", NOW + at, within=WITHIN, most=3)

    assert [begin(0 * SECOND), begin(SECOND), begin(2 * SECOND), begin(2 * SECOND)] == [True, True, True, False]
    store.touch_session("s1", NOW + 4 * SECOND)
    assert [begin(5 * SECOND), begin(8 * SECOND)] == [True, False]


@pytest.mark.parametrize("how", ["ended", "timed out", "renewed"])
def test_no_renewal_is_begun_of_what_is_not_current(store: SqlStore, how: str) -> None:
    """Of an old id neither: the newest one is what can be renewed."""
    add(store, session())
    match how:
        case "ended":
            store.end_session("s1", NOW)
        case "timed out":
            store.time_out_session("s1", NOW, NOW)
        case "renewed":
            store.renew_session("s1", renewed("s2"), NOW)
    assert not store.begin_renewal("s1", NOW, within=WITHIN, most=4)


def test_many_renewals_begun_at_once_are_counted_each(store: SqlStore) -> None:
    """Of eight four may."""
    add(store, session())
    found = outcomes_of([lambda: store.begin_renewal("s1", NOW, within=WITHIN, most=4)] * 8)
    assert sorted(map(str, found)) == ["False"] * 4 + ["True"] * 4


def test_of_two_renewals_at_once_one_opens_a_session_and_both_learn_which(store: SqlStore) -> None:
    """Two tabs come back together: neither is lost, and there is one session."""
    for round in range(10):
        first = f"r{round}"
        add(store, session(first))

        def renew(id: str, old: str = first) -> Callable[[], object]:
            return lambda: store.renew_session(old, renewed(id), NOW)

        found = outcomes_of([renew(f"{first}-{tab}") for tab in range(4)])
        assert len(set(found)) == 1
        (kept,) = set(found)
        assert ids_in(store, *(f"{first}-{tab}" for tab in range(4))) == {kept}


def test_two_tabs_that_derive_the_same_id_meet_in_it(store: SqlStore) -> None:
    """The new token follows from the old one, so both hand in the same id: that is no error."""
    add(store, session())
    assert outcomes_of([lambda: store.renew_session("s1", renewed("s2"), NOW)] * 4) == ["s2"] * 4


# Seeing and timing out


@pytest.mark.parametrize("how", ["timed out", "renewed"])
def test_what_is_not_current_is_not_seen(store: SqlStore, how: str) -> None:
    """A late touch neither revives a session that timed out nor keeps an old id going."""
    add(store, session())
    if how == "renewed":
        store.renew_session("s1", renewed("s2"), NOW)
    else:
        store.time_out_session("s1", NOW, NOW)
    store.touch_session("s1", NOW + MINUTE)
    found = store.get_session("s1")
    assert found is not None
    assert found.last_seen == NOW


def test_a_session_times_out_for_good(store: SqlStore) -> None:
    """The record stays and says when, it is told of, and a second one changes nothing."""
    add(store, session())
    before = number(store)
    assert store.time_out_session("s1", NOW, NOW + MINUTE)
    assert not store.time_out_session("s1", NOW, NOW + DAY)
    found = store.get_session("s1")
    assert found is not None
    assert found.timed_out_at == NOW + MINUTE
    assert told(store, before) == [(None, None, "s1")]


def test_a_session_that_was_seen_later_does_not_time_out(store: SqlStore) -> None:
    """Whoever judges by an older `last_seen` is told no."""
    add(store, session())
    store.touch_session("s1", NOW + SECOND)
    assert not store.time_out_session("s1", NOW, NOW + MINUTE)


def test_seeing_and_timing_out_at_once_agree(store: SqlStore) -> None:
    """Either it was seen and lives, or it timed out and was not seen."""
    for round in range(10):
        id = f"t{round}"
        add(store, session(id))

        def touch(seen: str = id) -> object:
            store.touch_session(seen, NOW + MINUTE)
            return None

        def time_out(unseen: str = id) -> object:
            return store.time_out_session(unseen, NOW, NOW + MINUTE)

        timed_out = outcomes_of([touch, touch, touch, time_out])[3]
        found = store.get_session(id)
        assert found is not None
        assert (found.timed_out_at is not None) == timed_out
        assert (found.last_seen == NOW) == timed_out


# Ending


@pytest.mark.parametrize("by", ["s1", "s2", "s3"])
def test_a_session_ends_with_all_its_ids(store: SqlStore, by: str) -> None:
    """By whichever of them it is called; others stay, and each id is told of."""
    add(store, session(), session("other"))
    store.renew_session("s1", renewed("s2"), NOW)
    store.renew_session("s2", renewed("s3"), NOW)
    before = number(store)
    assert store.end_session(by, NOW)
    assert ids_in(store, "s1", "s2", "s3", "other") == {"other"}
    assert sorted(told(store, before), key=str) == [(None, None, id) for id in ("s1", "s2", "s3")]
    assert not store.end_session(by, NOW)


@pytest.mark.parametrize("by", ["s1", "s2"])
def test_a_new_sign_in_ends_every_id_of_the_session_before(store: SqlStore, by: str) -> None:
    """Whichever id the browser still had (WEB-001)."""
    add(store, session())
    store.renew_session("s1", renewed("s2"), NOW)
    before = number(store)
    store.add_session(session("s9"), replaces=by)
    assert ids_in(store, "s1", "s2", "s9") == {"s9"}
    assert sorted(told(store, before), key=str) == [(None, None, "s1"), (None, None, "s2")]


def test_a_new_sign_in_ends_nothing_by_an_old_id_whose_time_is_over(store: SqlStore) -> None:
    """It may have been stolen, and no longer opens the session either."""
    add(store, session())
    store.renew_session("s1", renewed("s2"), NOW)
    store.confirm_renewal("s2", NOW)
    store.add_session(session("s9"), replaces="s1")
    assert ids_in(store, "s2", "s9") == {"s2", "s9"}


PEOPLE = (
    session("a1"),
    session("a2", session_index="i2"),
    session("b1", person="bob"),
    session("c1", connection="beta"),
    session("c2", person="bob", connection="beta", session_index=None),
)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (SessionQuery(session_id="a1"), {"a1"}),
        (SessionQuery(session_id="a"), {"a1", "a2"}),
        (SessionQuery(session_id="%"), set()),
        (SessionQuery(session_id="_1"), set()),
        (SessionQuery(email="ada@acme.example"), {"a1", "a2"}),
        (SessionQuery(connection_ids=("acme",)), {"a1", "a2", "b1"}),
        (SessionQuery(connection_ids=("acme", "beta")), {"a1", "a2", "b1", "c1", "c2"}),
        (SessionQuery(connection_ids=()), set()),
        (SessionQuery(principal_key="key of ada"), {"a1", "a2", "c1"}),
        (SessionQuery(connection_ids=("acme",), principal_key="key of ada"), {"a1", "a2"}),
        (SessionQuery(connection_ids=("acme",), logout_key="logout ada"), {"a1", "a2"}),
        (SessionQuery(connection_ids=("acme",), logout_key="logout ada", session_indexes=("i2",)), {"a2"}),
        (SessionQuery(connection_ids=("acme",), session_indexes=("i1", "i2")), {"a1", "a2", "b1"}),
        (SessionQuery(), {"a1", "a2", "b1", "c1", "c2"}),
    ],
)
def test_a_query_ends_what_it_finds_and_nothing_else(store: SqlStore, query: SessionQuery, wanted: set[str]) -> None:
    """`find_sessions`, `make_sessions_stale` and `end_sessions` mean the same by one query."""
    add(store, *PEOPLE)
    assert {each.id for each in store.find_sessions(query)} == wanted
    assert store.make_sessions_stale(query, NOW) == len(wanted)
    every = {each.id for each in PEOPLE}
    assert {each.id for each in store.find_sessions(SessionQuery()) if each.is_stale} == wanted
    assert {each.id for each in store.end_sessions(query, NOW)} == wanted
    assert ids_in(store, *every) == every - wanted


def test_what_is_ended_is_told_so_that_every_one_of_them_is_forgotten(store: SqlStore) -> None:
    """A connection's sessions in one change, a few people's each by its id, old ids too."""
    add(store, *PEOPLE)
    store.renew_session("a1", renewed("a9"), NOW)
    before = number(store)
    store.end_sessions(SessionQuery(email="ada@acme.example"), NOW)
    assert {id for _, _, id in told(store, before)} == {"a1", "a9", "a2"}
    before = number(store)
    store.end_sessions(SessionQuery(connection_ids=("beta",), principal_key="key of bob"), NOW)
    assert told(store, before) == [("beta", "key of bob", None)]
    store.end_sessions(SessionQuery(connection_ids=("beta",)), NOW)
    assert told(store, before)[1:] == [("beta", None, None)]
    before = number(store)
    store.end_sessions(SessionQuery(), NOW)
    assert told(store, before) == [(None, None, None)]


@pytest.mark.parametrize("by", ["old-", "new-"])
def test_a_session_found_by_the_beginning_of_any_id_ends_whole(store: SqlStore, by: str) -> None:
    """With its aliases both ways; the one that is returned is the newest."""
    add(store, session("old-1"))
    store.renew_session("old-1", renewed("new-1"), NOW)
    assert [each.id for each in store.end_sessions(SessionQuery(session_id=by), NOW)] == ["new-1"]
    assert ids_in(store, "old-1", "new-1") == set()


def test_more_sessions_than_one_statement_takes_are_ended(store: SqlStore) -> None:
    """In several batches, in one transaction."""
    add(store, *(session(f"m{index}") for index in range(1201)))
    assert len(store.end_sessions(SessionQuery(email="ada@acme.example"), NOW)) == 1201
    assert store.find_sessions(SessionQuery()) == []


def test_sessions_are_found_newest_first_without_old_ids(store: SqlStore) -> None:
    """As many as are asked for; one that timed out is among them, and says so."""
    add(store, session("s1"), session("s2", last_seen=NOW + MINUTE), session("s3", last_seen=NOW - MINUTE))
    store.renew_session("s1", renewed("s4", last_seen=NOW + DAY), NOW)
    store.time_out_session("s3", NOW, NOW)
    assert [each.id for each in store.find_sessions(SessionQuery())] == ["s4", "s2", "s3"]
    assert [each.id for each in store.find_sessions(SessionQuery(), limit=2)] == ["s4", "s2"]
    assert store.find_sessions(SessionQuery())[2].timed_out_at == NOW


def test_only_what_is_current_is_made_stale(store: SqlStore) -> None:
    """And told of; the old id is not counted."""
    add(store, session("s1"), session("s2"))
    store.renew_session("s1", renewed("s3"), NOW)
    store.time_out_session("s2", NOW, NOW)
    before = number(store)
    assert store.make_sessions_stale(SessionQuery(email="ada@acme.example"), NOW) == 1
    assert told(store, before) == [(None, None, "s3")]


# Changes


def test_changes_are_told_in_order_and_once(store: SqlStore) -> None:
    """Whoever reads on from where they were gets what came since."""
    add(store, session("s1"), session("s2"))
    start = number(store)
    store.end_session("s1", NOW)
    store.end_session("s2", NOW)
    changes = store.get_changes(start)
    assert [change.number for change in changes.changes] == [start + 1, start + 2]
    assert [change.session_id for change in changes.changes] == ["s1", "s2"]
    assert (changes.number, changes.is_complete) == (start + 2, True)
    assert store.get_changes(start + 1).changes == changes.changes[1:]
    assert store.get_changes(start + 2).changes == ()


def test_nothing_is_told_where_nothing_changed(store: SqlStore) -> None:
    """A sign-in, a request and an attempt at what is not there cost nobody a look."""
    add(store, session())
    store.touch_session("s1", NOW + MINUTE)
    store.end_session("nobody", NOW)
    store.add_session(session("s2"), replaces="nobody")
    store.end_sessions(SessionQuery(email="nobody@acme.example"), NOW)
    assert store.get_changes(None).number == 0
    assert store.get_changes(0).changes == ()


def test_changes_that_were_deleted_are_not_complete(store: SqlStore) -> None:
    """Housekeeping keeps them for a while; whoever has not read since must forget everything."""
    add(store, session("s1"), session("s2"))
    store.end_session("s1", NOW)
    store.end_session("s2", NOW + MINUTE)
    store.delete_expired(NOW + CHANGE_TOLD_FOR)
    assert not store.get_changes(0).is_complete
    late = store.get_changes(1)
    assert late.is_complete
    assert [change.session_id for change in late.changes] == ["s2"]


def test_a_number_that_goes_back_is_not_complete(store: SqlStore) -> None:
    """The database was restored, or is another one."""
    add(store, session())
    store.end_session("s1", NOW)
    changes = store.get_changes(1000)
    assert (changes.number, changes.is_complete) == (1, False)
    empty = store.get_changes(None)
    assert (empty.number, empty.changes, empty.is_complete) == (1, (), True)


def test_no_gap_is_ever_seen(store: SqlStore) -> None:
    """Whoever reads while eight others end sessions never sees a number whose predecessors come later."""
    add(store, *(session(f"g{worker}-{index}") for worker in range(8) for index in range(10)))
    seen: list[Change] = []
    is_over = threading.Event()

    def end(worker: int) -> None:
        for index in range(10):
            store.end_session(f"g{worker}-{index}", NOW)

    def read() -> None:
        cursor = 0
        while True:
            last = is_over.is_set()
            changes = store.get_changes(cursor)
            assert changes.is_complete
            assert [change.number for change in changes.changes] == list(range(cursor + 1, changes.number + 1))
            seen.extend(changes.changes)
            cursor = changes.number
            if last:
                return

    with ThreadPoolExecutor(9) as pool:
        reader = pool.submit(read)
        list(pool.map(end, range(8)))
        is_over.set()
        reader.result()
    assert len({change.session_id for change in seen}) == 80


END_IN_A_PROCESS = """
import sys
from datetime import UTC, datetime
from sso_middleware.stores.session_records import SessionQuery
from sso_middleware.stores.sql import SqlStore

url, worker = sys.argv[1:]
store = SqlStore(url)
now = datetime(2026, 5, 4, tzinfo=UTC)
print("ready", flush=True)
sys.stdin.readline()
print(sum(len(store.end_sessions(SessionQuery(email=f"p{n}@acme.example"), now)) for n in range(20)))
store.close()
"""


def test_of_two_processes_that_revoke_each_session_is_ended_by_one(database_url: str) -> None:
    """And the numbers of what they told have no gap."""
    store = SqlStore(database_url)
    add(store, *(session(f"p{n}-{device}", email=f"p{n}@acme.example") for n in range(20) for device in range(3)))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", END_IN_A_PROCESS, database_url, str(worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for worker in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    counts = [int(output) for output, _ in _all_go(processes)]
    assert sum(counts) == 60
    assert len(told(store, 0)) == 60
    store.close()


def _all_go(processes: Sequence[subprocess.Popen[str]]) -> list[tuple[str, str]]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [process.communicate(timeout=60) for process in processes]


# Revocations and what goes on meanwhile


class HeldStore(SqlStore):
    """Waits before the commit of whatever tells of a change, while `holds`."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url)
        self.reached = threading.Event()
        self.goes_on = threading.Event()

    def _tell(self, connection: Connection, now: datetime, changes: Sequence[dict[str, str | None]]) -> None:
        super()._tell(connection, now, changes)
        self.reached.set()
        assert self.goes_on.wait(20)


QUERIES = [
    SessionQuery(email="ada@acme.example"),
    SessionQuery(connection_ids=("acme",)),
    SessionQuery(session_id="s1"),
    SessionQuery(),
]


@pytest.mark.parametrize("query", QUERIES, ids=["person", "connection", "session", "everybody"])
def test_a_revocation_finds_what_a_renewal_in_flight_opens(database_url: str, query: SessionQuery) -> None:
    """The renewal has not committed when the revocation begins: no session survives."""
    store, held = SqlStore(database_url), HeldStore(database_url)
    add(store, session())
    with ThreadPoolExecutor(2) as pool:
        renewing = pool.submit(held.renew_session, "s1", renewed("s2"), NOW)
        assert held.reached.wait(10)
        revoking = pool.submit(store.end_sessions, query, NOW)
        held.goes_on.set()
        assert renewing.result(20) == "s2"
        revoking.result(20)
    assert store.find_sessions(SessionQuery()) == []
    assert ids_in(store, "s1", "s2") == set()
    store.close()
    held.close()


@pytest.mark.parametrize("query", QUERIES, ids=["person", "connection", "session", "everybody"])
def test_a_renewal_waits_for_a_revocation_in_flight_and_finds_nothing(database_url: str, query: SessionQuery) -> None:
    """The revocation has not committed when the renewal begins: nothing is opened."""
    store, held = SqlStore(database_url), HeldStore(database_url)
    add(store, session())
    with ThreadPoolExecutor(2) as pool:
        revoking = pool.submit(held.end_sessions, query, NOW)
        assert held.reached.wait(10)
        renewing = pool.submit(store.renew_session, "s1", renewed("s2"), NOW)
        held.goes_on.set()
        assert len(revoking.result(20)) == 1
        assert renewing.result(20) is None
    assert ids_in(store, "s1", "s2") == set()
    store.close()
    held.close()


def test_a_sign_out_by_an_old_id_and_a_renewal_at_once_leave_nothing(store: SqlStore) -> None:
    """Nor do they wait for each other for ever, in whichever order they come."""
    for round in range(20):
        ids = [f"{round}-{step}" for step in range(4)]
        add(store, session(ids[0]))
        store.renew_session(ids[0], renewed(ids[1]), NOW)

        def renew(old: str = ids[1], new: str = ids[2]) -> object:
            return store.renew_session(old, renewed(new), NOW)

        def confirm(id: str = ids[1]) -> object:
            store.confirm_renewal(id, NOW)
            return None

        def end(id: str = ids[0]) -> object:
            return store.end_session(id, NOW)

        found = outcomes_of([renew, confirm, end])
        assert found[1:] == [None, True]
        assert found[0] in (None, ids[2])
        assert ids_in(store, *ids) == set()


def test_eight_revokers_at_once_end_each_session_once(store: SqlStore) -> None:
    """By person, by connection and all of them, among renewals and touches: nobody fails, nothing is left."""
    for round in range(5):
        people = [f"p{round}-{index}" for index in range(6)]
        for person in people:
            add(store, session(f"{person}-1", person=person), session(f"{person}-2", person=person))
            store.renew_session(f"{person}-1", renewed(f"{person}-3", person=person), NOW)

        def revoke(query: SessionQuery) -> Callable[[], object]:
            return lambda: len(store.end_sessions(query, NOW))

        def live(people: list[str] = people) -> object:
            for person in reversed(people):
                store.touch_session(f"{person}-2", NOW + MINUTE)
                store.renew_session(f"{person}-3", renewed(f"{person}-4", person=person), NOW)
                store.confirm_renewal(f"{person}-4", NOW)
            return 0

        def demand() -> object:
            store.make_sessions_stale(SessionQuery(connection_ids=("acme",)), NOW)
            return 0

        by_person = [revoke(SessionQuery(email=f"{person}@acme.example")) for person in people[:4]]
        by_key = revoke(SessionQuery(connection_ids=("acme",), principal_key=f"key of {people[5]}"))
        everywhere = [revoke(SessionQuery(connection_ids=("acme",))), revoke(SessionQuery()), by_key]
        ended = outcomes_of([*by_person, *everywhere, revoke(SessionQuery(session_id=f"p{round}")), live, demand])
        assert all(isinstance(count, int) for count in ended), ended
        assert sum(count for count in ended if isinstance(count, int)) == 12
        assert store.find_sessions(SessionQuery()) == []


@pytest.mark.server
def test_a_process_that_is_halted_in_the_middle_stops_nobody_for_long(
    postgres: Cluster, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine has lost the network, say: PostgreSQL ends its transaction, and the revocation goes on."""
    monkeypatch.setattr(sql_sessions, "_HELD_SECONDS", 1)
    postgres.empty_tables(postgres_database)
    store, held = SqlStore(postgres.url(postgres_database)), HeldStore(postgres.url(postgres_database))
    add(store, session())
    with ThreadPoolExecutor(2) as pool:
        renewing = pool.submit(held.renew_session, "s1", renewed("s2"), NOW)
        assert held.reached.wait(10)
        monkeypatch.setattr(sql_sessions, "_HELD_SECONDS", 20)
        assert store.end_session("s1", NOW)
        held.goes_on.set()
        with pytest.raises(StoreUnavailable):
            renewing.result(20)
    assert ids_in(store, "s1", "s2") == set()
    store.close()
    held.close()


def test_housekeeping_and_a_revocation_do_not_wait_for_each_other(store: SqlStore) -> None:
    """Both delete the same rows at the same moment, and neither fails."""
    for round in range(5):
        add(store, *(session(f"h{round}-{index}", expires_at=NOW - 10 * DAY) for index in range(60)))
        found = outcomes_of(
            [
                lambda: store.delete_expired(NOW + 300 * DAY, batch=50),
                lambda: len(store.end_sessions(SessionQuery(), NOW)),
                lambda: store.delete_expired(NOW + 300 * DAY, batch=50),
            ]
        )
        assert all(isinstance(count, int) for count in found), found
        store.end_sessions(SessionQuery(), NOW)


# Logout requests


def logout_request(**changes: Any) -> SentLogoutRequest:
    return replace(SentLogoutRequest("_l1", "acme", "browser", NOW, NOW + MINUTE), **changes)


def test_a_logout_request_is_taken_once(store: SqlStore) -> None:
    """As it was; of many who take it at once one gets it."""
    store.add_logout_request(logout_request())
    found = outcomes_of([lambda: store.take_logout_request("_l1", "acme", NOW)] * 8)
    assert [each for each in found if each is not None] == [logout_request()]


def test_a_logout_request_belongs_to_its_connection_and_its_time(store: SqlStore) -> None:
    """Another connection's answer leaves it; at its end it is gone."""
    store.add_logout_request(logout_request())
    assert store.take_logout_request("_l1", "beta", NOW) is None
    assert store.take_logout_request("_l1", "acme", NOW + MINUTE) is None
    assert store.take_logout_request("_other", "acme", NOW) is None
    assert store.take_logout_request("_l1", "acme", NOW + MINUTE - timedelta(microseconds=1)) == logout_request()


# Kept forms


def kept_form(id: str = "f1", *, person: str = "ada", **changes: Any) -> KeptForm:
    return replace(KeptForm(id, "acme", f"key of {person}", b"\x00sealed\xff", NOW, NOW + MINUTE), **changes)


def test_a_kept_form_is_the_persons_own_and_taken_once(store: SqlStore) -> None:
    """Looking leaves it there; nobody else sees it, of any connection, nor anybody after its time."""
    store.add_kept_form(kept_form(), most=3)
    mine = ("f1", "acme", "key of ada")
    assert store.get_kept_form(*mine, NOW) == kept_form()
    for get in (store.get_kept_form, store.take_kept_form):
        assert get("f1", "acme", "key of bob", NOW) is None
        assert get("f1", "beta", "key of ada", NOW) is None
        assert get("f2", "acme", "key of ada", NOW) is None
        assert get(*mine, NOW + MINUTE) is None
    found = outcomes_of([lambda: store.take_kept_form(*mine, NOW)] * 8)
    assert [each for each in found if each is not None] == [kept_form()]
    assert store.get_kept_form(*mine, NOW) is None


def test_the_newest_forms_of_a_person_are_kept(store: SqlStore) -> None:
    """The oldest one goes; another person's stay."""
    store.add_kept_form(kept_form("b1", person="bob"), most=3)
    for index in range(5):
        store.add_kept_form(kept_form(f"f{index}", created_at=NOW + index * SECOND), most=3)
    left = [index for index in range(5) if store.get_kept_form(f"f{index}", "acme", "key of ada", NOW)]
    assert left == [2, 3, 4]
    assert store.get_kept_form("b1", "acme", "key of bob", NOW) is not None


def test_many_forms_kept_at_once_are_bounded(store: SqlStore) -> None:
    """Once they have all been kept, the next one leaves three."""

    def keep(index: int) -> Callable[[], object]:
        return lambda: store.add_kept_form(kept_form(f"f{index}", created_at=NOW + index * SECOND), most=3)

    assert outcomes_of([keep(index) for index in range(8)]) == [None] * 8
    store.add_kept_form(kept_form("f9", created_at=NOW + DAY), most=3)
    left = [index for index in range(10) if store.get_kept_form(f"f{index}", "acme", "key of ada", NOW)]
    assert len(left) == 3
