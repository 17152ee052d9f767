"""What every store must do, on a SQLite file and on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from threading import Barrier
from typing import Any

import pytest
from tests.stores.people import arriving

from sso_middleware.errors import (
    AssertionReplayed,
    BrowserMismatch,
    KeyChangeRefused,
    LoginRequestUnknown,
    PendingLoginUnknown,
    SSOError,
    StoreUnavailable,
)
from sso_middleware.events import Event
from sso_middleware.people_rules import rule_of
from sso_middleware.stores import tables
from sso_middleware.stores.people_records import PeopleQuery
from sso_middleware.stores.records import (
    Count,
    LoginRequest,
    MetadataCopy,
    MetadataStamp,
    PendingLogin,
    SealedKey,
    Session,
    Store,
)
from sso_middleware.stores.sql import SqlStore

NOW = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def login_request(id: str = "_r1", *, browser: str = "browser", expires_at: datetime = NOW + MINUTE) -> LoginRequest:
    return LoginRequest(
        id=id,
        connection_id="acme",
        return_to="/report?page=2&q=ü",
        browser=browser,
        purpose="login",
        issued_at=NOW,
        expires_at=expires_at,
    )


def pending_login(
    handle: str = "h1", *, answers: str | None = "_r1", expires_at: datetime = NOW + MINUTE
) -> PendingLogin:
    return PendingLogin(
        handle=handle, connection_id="acme", login_request_id=answers, outcome=b"\x00sealed\xff", expires_at=expires_at
    )


def session(id: str = "s1", *, last_seen: datetime = NOW, expires_at: datetime = NOW + DAY) -> Session:
    return Session(
        id=id,
        connection_id="acme",
        principal_key="key-of-ada",
        principal={"email": "ada@acme.example", "roles": ["admin"], "attributes": {"ü": []}, "user_id": None},
        name_id='{"value": "ada"}',
        session_index=None,
        authenticated_at=NOW,
        last_seen=last_seen,
        expires_at=expires_at,
    )


def sealed_key(id: str = "k1") -> SealedKey:
    return SealedKey(id, "signing", b"\x01sealed", "-----BEGIN CERTIFICATE-----\n", NOW)


def outcomes_of(attempts: Sequence[Callable[[], object]]) -> list[object]:
    """Run all attempts at the same time; what each returned or raised."""
    barrier = Barrier(len(attempts))

    def attempt(action: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return action()
        except SSOError as error:
            return type(error)

    with ThreadPoolExecutor(len(attempts)) as pool:
        return list(pool.map(attempt, attempts))


def test_a_sql_store_is_a_store(store: SqlStore) -> None:
    """The protocol of the records is met to the letter (mypy holds the types)."""
    as_protocol: Store = store
    assert as_protocol.get_session("nobody") is None


# Logins


def test_a_login_request_comes_back_as_it_was(store: SqlStore) -> None:
    """Every field of a login request survives, microseconds and umlauts included."""
    store.add_login_request(login_request())
    assert store.get_login_request("_r1", NOW) == login_request()


def test_a_time_of_another_zone_is_the_same_time(store: SqlStore) -> None:
    """Times are kept in UTC whatever zone they were handed in with."""
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    store.add_login_request(replace(login_request(), issued_at=NOW.astimezone(elsewhere)))
    found = store.get_login_request("_r1", NOW)
    assert found is not None
    assert (found.issued_at, found.issued_at.tzinfo) == (NOW, UTC)


def test_an_unknown_login_request_is_none(store: SqlStore) -> None:
    """An id that we never issued finds nothing."""
    store.add_login_request(login_request())
    assert store.get_login_request("_other", NOW) is None


def test_a_login_request_expires_on_the_dot(store: SqlStore) -> None:
    """A login request is there until `expires_at`, and not at it."""
    store.add_login_request(login_request())
    assert store.get_login_request("_r1", NOW + MINUTE - timedelta(microseconds=1)) is not None
    assert store.get_login_request("_r1", NOW + MINUTE) is None


def test_an_assertion_is_claimed_once(store: SqlStore) -> None:
    """The second claim of an assertion raises, also when its validity is told otherwise."""
    store.claim_assertion("acme", "_a1", NOW + MINUTE)
    with pytest.raises(AssertionReplayed):
        store.claim_assertion("acme", "_a1", NOW + DAY)


def test_an_assertion_id_belongs_to_its_connection(store: SqlStore) -> None:
    """Two identity providers may use the same assertion id."""
    store.claim_assertion("acme", "_a1", NOW + MINUTE)
    store.claim_assertion("globex", "_a1", NOW + MINUTE)


def test_of_many_claims_at_once_one_wins(store: SqlStore) -> None:
    """Threads that claim the same assertion at the same moment: exactly one is let through."""
    found = outcomes_of([lambda: store.claim_assertion("acme", "_a1", NOW + MINUTE)] * 8)
    assert sorted(map(str, found)) == sorted(map(str, [None] + [AssertionReplayed] * 7))


CLAIM = """
import sys
from datetime import UTC, datetime
from sso_middleware.errors import AssertionReplayed
from sso_middleware.stores.sql import SqlStore
store = SqlStore(sys.argv[1])
store.get_session("warm")
print("ready", flush=True)
sys.stdin.readline()
won = 0
for number in range(50):
    try:
        store.claim_assertion("acme", f"_a{number}", datetime(2030, 1, 1, tzinfo=UTC))
        won += 1
    except AssertionReplayed:
        pass
print(won, flush=True)
store.close()
"""


def test_of_two_processes_one_wins_each_assertion(database_url: str) -> None:
    """Two processes claim the same fifty assertions: each is claimed exactly once, and nothing fails."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    won = [int(worker.communicate(timeout=60)[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sum(won) == 50


def test_a_pending_login_comes_back_as_it_was(store: SqlStore) -> None:
    """Looking at a pending login leaves it there; its bytes are untouched."""
    store.add_pending_login(pending_login())
    assert store.get_pending_login("h1", NOW) == pending_login()
    assert store.get_pending_login("h1", NOW) == pending_login()


def test_a_pending_login_expires(store: SqlStore) -> None:
    """At `expires_at` a pending login can neither be seen nor taken."""
    store.add_pending_login(pending_login())
    assert store.get_pending_login("h1", NOW + MINUTE) is None
    with pytest.raises(PendingLoginUnknown):
        store.take_pending_login("h1", "browser", NOW + MINUTE)


def test_taking_a_pending_login_takes_its_login_request(store: SqlStore) -> None:
    """Both come back once, and both are gone."""
    store.add_login_request(login_request())
    store.add_pending_login(pending_login())
    taken = store.take_pending_login("h1", "browser", NOW)
    assert (taken.pending, taken.login_request) == (pending_login(), login_request())
    assert store.get_pending_login("h1", NOW) is None
    assert store.get_login_request("_r1", NOW) is None
    with pytest.raises(PendingLoginUnknown):
        store.take_pending_login("h1", "browser", NOW)


@pytest.mark.parametrize("browser", ["another", "", None])
def test_another_browser_can_not_take_a_login(store: SqlStore, browser: str | None) -> None:
    """The pending login is spent, and the login request stays for the browser that began it."""
    store.add_login_request(login_request())
    store.add_pending_login(pending_login())
    with pytest.raises(BrowserMismatch):
        store.take_pending_login("h1", browser, NOW)
    assert store.get_pending_login("h1", NOW) is None
    assert store.get_login_request("_r1", NOW) == login_request()


def test_a_login_request_that_was_taken_answers_nobody_else(store: SqlStore) -> None:
    """Two answers to one login request: the second is refused, and spent too."""
    store.add_login_request(login_request())
    store.add_pending_login(pending_login("h1"))
    store.add_pending_login(pending_login("h2"))
    store.take_pending_login("h1", "browser", NOW)
    with pytest.raises(LoginRequestUnknown):
        store.take_pending_login("h2", "browser", NOW)
    assert store.get_pending_login("h2", NOW) is None


def test_a_login_request_that_has_expired_answers_nobody(store: SqlStore) -> None:
    """A pending login can outlive its login request, but does not replace it."""
    store.add_login_request(login_request(expires_at=NOW + SECOND))
    store.add_pending_login(pending_login())
    with pytest.raises(LoginRequestUnknown):
        store.take_pending_login("h1", "browser", NOW + SECOND)


@pytest.mark.parametrize("browser", ["browser", None])
def test_an_unsolicited_login_has_no_request_to_compare(store: SqlStore, browser: str | None) -> None:
    """The handle alone is its binding, and other logins of the browser stay as they are."""
    store.add_login_request(login_request())
    store.add_pending_login(pending_login(answers=None))
    assert store.take_pending_login("h1", browser, NOW).login_request is None
    assert store.get_login_request("_r1", NOW) == login_request()


def test_of_many_takers_at_once_one_wins(store: SqlStore) -> None:
    """Threads that take the same pending login at the same moment: exactly one gets it."""
    store.add_login_request(login_request())
    store.add_pending_login(pending_login())
    found = outcomes_of([lambda: store.take_pending_login("h1", "browser", NOW)] * 8)
    assert found.count(PendingLoginUnknown) == 7


def test_of_many_answers_at_once_one_wins(store: SqlStore) -> None:
    """Threads that each finish with an answer of their own to one login request: exactly one gets it."""
    store.add_login_request(login_request())
    handles = [f"h{number}" for number in range(8)]
    for handle in handles:
        store.add_pending_login(pending_login(handle))

    def take(handle: str) -> Callable[[], object]:
        return lambda: store.take_pending_login(handle, "browser", NOW)

    found = outcomes_of([take(handle) for handle in handles])
    assert found.count(LoginRequestUnknown) == 7


# Sessions


def test_a_session_comes_back_as_it_was(store: SqlStore) -> None:
    """Every field survives, the nested values of the principal included."""
    store.add_session(session())
    assert store.get_session("s1") == session()


def test_a_new_session_ends_the_one_before(store: SqlStore) -> None:
    """The session that this browser had is gone with the one that replaces it, and no other is."""
    store.add_session(session("s1"))
    store.add_session(session("other"))
    store.add_session(session("s2"), replaces="s1")
    assert [store.get_session(name) is not None for name in ("s1", "s2", "other")] == [False, True, True]


def test_replacing_a_session_that_is_gone_is_no_error(store: SqlStore) -> None:
    """A cookie may name a session that has long ended."""
    store.add_session(session("s2"), replaces="s1")
    assert store.get_session("s2") is not None


def test_last_seen_moves_forward_only(store: SqlStore) -> None:
    """Of two requests that finish out of order the later time stays."""
    store.add_session(session())
    store.touch_session("s1", NOW + MINUTE)
    store.touch_session("s1", NOW + SECOND)
    assert store.get_session("s1") == session(last_seen=NOW + MINUTE)


def test_touching_an_ended_session_brings_nothing_back(store: SqlStore) -> None:
    """A request that was under way while the session ended does not revive it."""
    store.add_session(session())
    store.end_session("s1", NOW)
    store.touch_session("s1", NOW + MINUTE)
    assert store.get_session("s1") is None


def test_ending_a_session_says_whether_there_was_one(store: SqlStore) -> None:
    """True for the first who ends it, False for the next."""
    store.add_session(session())
    assert store.end_session("s1", NOW) is True
    assert store.end_session("s1", NOW) is False


# Our own keys


def test_the_first_key_stays(store: SqlStore) -> None:
    """A second first key is not kept; both callers get the first."""
    assert store.get_keys("signing") == []
    assert store.claim_first_key(sealed_key("k1")) == sealed_key("k1")
    assert store.claim_first_key(sealed_key("k2")) == sealed_key("k1")
    assert store.get_keys("signing") == [sealed_key("k1")]


def test_purposes_have_keys_of_their_own(store: SqlStore) -> None:
    """A signing key does not stand in the way of an encryption key."""
    store.claim_first_key(sealed_key("k1"))
    encryption_key = replace(sealed_key("k2"), purpose="encryption")
    assert store.claim_first_key(encryption_key) == encryption_key
    assert store.get_keys("encryption") == [encryption_key]


def test_of_many_first_keys_at_once_all_get_the_same(store: SqlStore) -> None:
    """Threads that each bring a first key at the same moment agree on one."""

    def claim(id: str) -> Callable[[], object]:
        return lambda: store.claim_first_key(sealed_key(id))

    found = outcomes_of([claim(f"k{number}") for number in range(8)])
    assert len(set(found)) == 1
    assert store.get_keys("signing") == [found[0]]


def test_a_key_is_sealed_anew(store: SqlStore) -> None:
    """Only the sealed bytes change."""
    store.claim_first_key(sealed_key())
    resealed = replace(sealed_key(), private_key=b"\x01newer")
    store.replace_key(resealed)
    assert store.get_keys("signing") == [resealed]


# Limits


def test_a_count_grows_until_its_window_is_over(store: SqlStore) -> None:
    """The window is the first one's, whoever counts next; on the dot of its end a new one begins."""
    assert store.add_to_count("a", 3, NOW, NOW + MINUTE) == Count(3, NOW + MINUTE)
    assert store.add_to_count("a", 2, NOW + SECOND, NOW + SECOND + MINUTE) == Count(5, NOW + MINUTE)
    assert store.add_to_count("b", 1, NOW + SECOND, NOW + SECOND + MINUTE) == Count(1, NOW + SECOND + MINUTE)
    assert store.add_to_count("a", 7, NOW + MINUTE, NOW + 2 * MINUTE) == Count(7, NOW + 2 * MINUTE)


def test_of_many_who_count_at_once_none_is_forgotten(store: SqlStore) -> None:
    """Threads that count at the same moment each see another total, in the first window and in the next."""
    store.add_to_count("a", 100, NOW - DAY, NOW)
    for already in (0, 24):
        counts = outcomes_of([lambda: store.add_to_count("a", 3, NOW, NOW + MINUTE)] * 8)
        assert {count.count for count in counts if isinstance(count, Count)} == {
            already + 3 * number for number in range(1, 9)
        }


def test_a_next_key_follows_the_current_one(store: SqlStore) -> None:
    """It is kept as next, whatever it came as, and is the newest; without a current one it is refused."""
    with pytest.raises(KeyChangeRefused):
        store.add_next_key(sealed_key("k2"))
    store.claim_first_key(sealed_key("k1"))
    store.add_next_key(sealed_key("k2"))
    assert store.get_keys("signing") == [replace(sealed_key("k2"), state="next"), sealed_key("k1")]
    assert store.get_key_states() == {"k1": "current", "k2": "next"}
    assert store.claim_first_key(sealed_key("k3")) == sealed_key("k1")


def test_there_is_one_next_key_of_a_purpose(store: SqlStore) -> None:
    """A second is refused; the other purpose has its own."""
    encryption_key = replace(sealed_key("e1"), purpose="encryption")
    store.claim_first_key(sealed_key("k1"))
    store.claim_first_key(encryption_key)
    store.add_next_key(sealed_key("k2"))
    with pytest.raises(KeyChangeRefused):
        store.add_next_key(sealed_key("k3"))
    store.add_next_key(replace(encryption_key, id="e2"))
    assert store.get_key_states() == {"k1": "current", "k2": "next", "e1": "current", "e2": "next"}


def test_the_database_itself_holds_one_next_key(store: SqlStore) -> None:
    """Also of another generation: whatever two admins saw before they wrote, one of them is told."""
    store.claim_first_key(sealed_key("k1"))
    store.add_next_key(sealed_key("k2"))
    row = asdict(sealed_key("k3")) | {"state": "next", "generation": 7}
    with pytest.raises(StoreUnavailable), store._database.writing() as connection:
        connection.execute(tables.keys.insert().values(row))
    assert store.get_key_states() == {"k1": "current", "k2": "next"}


def test_rotating_moves_both_keys_at_once(store: SqlStore) -> None:
    """Next to current, current to retired, with the time; of the other purpose nothing moves."""
    store.claim_first_key(sealed_key("k1"))
    store.claim_first_key(replace(sealed_key("e1"), purpose="encryption"))
    store.add_next_key(sealed_key("k2"))
    current = store.rotate_keys("signing", NOW + MINUTE)
    assert current == replace(sealed_key("k2"), state="current", changed_at=NOW + MINUTE)
    assert store.get_keys("signing") == [
        current,
        replace(sealed_key("k1"), state="retired", changed_at=NOW + MINUTE),
    ]
    assert store.get_key_states()["e1"] == "current"
    with pytest.raises(KeyChangeRefused):
        store.rotate_keys("signing", NOW + MINUTE)
    assert store.get_keys("signing")[0] == current


def test_only_a_retired_key_is_deleted(store: SqlStore) -> None:
    """The next and the current one stay; what was deleted is returned, once."""
    store.claim_first_key(sealed_key("k1"))
    store.add_next_key(sealed_key("k2"))
    store.rotate_keys("signing", NOW)
    store.add_next_key(sealed_key("k3"))
    for id in ("k2", "k3", "unknown"):
        with pytest.raises(KeyChangeRefused):
            store.delete_retired_key(id)
    assert store.delete_retired_key("k1") == replace(sealed_key("k1"), state="retired", changed_at=NOW)
    with pytest.raises(KeyChangeRefused):
        store.delete_retired_key("k1")
    assert store.get_key_states() == {"k2": "current", "k3": "next"}


def test_of_many_next_keys_at_once_one_is_kept(store: SqlStore) -> None:
    """Admins who each add one at the same moment: one has added it, the others are told."""
    store.claim_first_key(sealed_key("k0"))

    def add(id: str) -> Callable[[], object]:
        return lambda: store.add_next_key(sealed_key(id))

    found = outcomes_of([add(f"k{number}") for number in range(1, 9)])
    assert sorted(map(str, found)) == sorted([str(KeyChangeRefused)] * 7 + ["None"])
    assert sorted(store.get_key_states().values()) == ["current", "next"]


def test_of_many_rotations_at_once_one_is_done(store: SqlStore) -> None:
    """One rotates, the others are told; and nobody ever reads two current keys, or none."""
    store.claim_first_key(sealed_key("k0"))
    store.add_next_key(sealed_key("k1"))

    def current_keys() -> list[str]:
        return [key.state for key in store.get_keys("signing") if key.state == "current"]

    rotations: list[Callable[[], object]] = [lambda: store.rotate_keys("signing", NOW).id] * 6
    found = outcomes_of([*rotations, current_keys, current_keys])
    assert found.count("k1") == 1
    assert found.count(KeyChangeRefused) == 5
    assert found.count(["current"]) == 2
    assert store.get_key_states() == {"k0": "retired", "k1": "current"}


def test_adding_and_rotating_at_once_keep_their_order(store: SqlStore) -> None:
    """Whichever comes first, afterwards one key is current and at most one is next."""
    store.claim_first_key(sealed_key("k0"))
    store.add_next_key(sealed_key("k1"))
    steps: list[Callable[[], object]] = [
        lambda: store.rotate_keys("signing", NOW).id,
        lambda: store.add_next_key(sealed_key("k2")),
        lambda: store.rotate_keys("signing", NOW).id,
        lambda: store.add_next_key(sealed_key("k3")),
    ]
    outcomes_of(steps)
    states = list(store.get_key_states().values())
    assert states.count("current") == 1
    assert states.count("next") <= 1


# What happened


def test_events_come_newest_first(store: SqlStore) -> None:
    """The order is that of adding, also within one instant; `limit` cuts the oldest off."""
    for code in ("first", "second", "third"):
        store.add_event(Event(code, NOW))
    assert [event.code for event in store.get_events(limit=2)] == ["third", "second"]


def test_an_event_comes_back_as_it_was(store: SqlStore) -> None:
    """Every field survives; a reference finds its event."""
    event = Event(
        "audience_mismatch",
        NOW,
        connection_id="acme",
        reference="bado-kime",
        client="192.0.2.1",
        email="ada@acme.example",
        detail={"came": "https://elsewhere.example/ü", "expected": "…"},
    )
    store.add_event(event)
    store.add_event(Event("other", NOW))
    assert store.get_events(reference="bado-kime") == [event]
    assert store.get_events(reference="none") == []


def test_no_text_keeps_an_event_out(store: SqlStore) -> None:
    """What a database can't hold (NUL, half a surrogate pair) is replaced, and the event is kept."""
    store.add_event(Event("refused", NOW, client="a\0b", email="c\ud800d", detail={"came\0": "\udfff"}))
    (event,) = store.get_events()
    assert (event.client, event.email, event.detail) == ("a\ufffdb", "c?d", {"came\ufffd": "?"})


# Housekeeping


def test_a_lease_has_one_holder(store: SqlStore) -> None:
    """It is refused to another until it has run out, and renewed for its own."""
    assert store.claim_lease("work", "one", NOW, NOW + MINUTE) is True
    assert store.claim_lease("work", "two", NOW + SECOND, NOW + DAY) is False
    assert store.claim_lease("work", "one", NOW + SECOND, NOW + 2 * MINUTE) is True
    assert store.claim_lease("work", "two", NOW + MINUTE, NOW + DAY) is False
    assert store.claim_lease("work", "two", NOW + 2 * MINUTE, NOW + DAY) is True
    assert store.claim_lease("other", "one", NOW, NOW + MINUTE) is True


def test_of_many_holders_at_once_one_wins(store: SqlStore) -> None:
    """Threads that claim a free lease at the same moment: exactly one has it."""

    def claim(holder: str) -> Callable[[], object]:
        return lambda: store.claim_lease("work", holder, NOW, NOW + MINUTE)

    found = outcomes_of([claim(f"holder {number}") for number in range(8)])
    assert sorted(map(str, found)) == ["False"] * 7 + ["True"]


def test_what_has_ended_is_deleted_and_the_rest_stays(store: SqlStore) -> None:
    """Of each kind the one that has ended goes; people, keys and events have no end."""
    store.add_login_request(login_request("_old", expires_at=NOW))
    store.add_login_request(login_request("_new", expires_at=NOW + SECOND))
    store.add_pending_login(pending_login("old", expires_at=NOW))
    store.add_pending_login(pending_login("new", expires_at=NOW + SECOND))
    store.claim_assertion("acme", "_old", NOW)
    store.claim_assertion("acme", "_new", NOW + SECOND)
    store.add_session(session("old", expires_at=NOW - DAY))
    store.add_session(session("unseen", last_seen=NOW - 90 * DAY))
    store.add_session(session("new", last_seen=NOW - 89 * DAY, expires_at=NOW - DAY + SECOND))
    store.arrive(arriving(at=NOW - 1000 * DAY), rule_of(secondary_email_fallback=False))
    store.claim_first_key(sealed_key())
    store.add_event(Event("old", NOW - 1000 * DAY))
    store.add_to_count("old", 1, NOW - MINUTE, NOW)
    store.add_to_count("new", 1, NOW - MINUTE, NOW + SECOND)

    assert store.delete_expired(NOW) == 6
    assert store.delete_expired(NOW) == 0

    earlier = NOW - DAY
    assert store.get_login_request("_old", earlier) is None
    assert store.get_login_request("_new", earlier) is not None
    assert store.get_pending_login("old", earlier) is None
    assert store.get_pending_login("new", earlier) is not None
    assert [store.get_session(name) is not None for name in ("old", "unseen", "new")] == [False, False, True]
    store.claim_assertion("acme", "_old", NOW)
    with pytest.raises(AssertionReplayed):
        store.claim_assertion("acme", "_new", NOW)
    assert len(store.find_people(PeopleQuery())) == 1
    assert store.get_keys("signing") == [sealed_key()]
    assert len(store.get_events()) == 1
    assert [store.add_to_count(name, 1, earlier, NOW).count for name in ("old", "new")] == [1, 2]


def test_deleting_is_bounded(store: SqlStore) -> None:
    """At most `batch` rows of each table go at once."""
    for number in range(5):
        store.claim_assertion("acme", f"_a{number}", NOW)
        store.add_session(session(f"s{number}", expires_at=NOW - DAY))
    assert [store.delete_expired(NOW, batch=2) for _ in range(4)] == [4, 4, 2, 0]


# Fetched metadata


def metadata_copy(id: str = "acme", **changes: Any) -> MetadataCopy:
    copy = MetadataCopy(
        connection_id=id,
        url="https://idp.example/metadata",
        document=b"<\x00\xff",
        version=1,
        fetched_at=NOW,
        attempted_at=NOW,
        next_fetch_at=NOW + DAY,
        problem=None,
        held=None,
        held_reason=None,
        held_at=None,
    )
    return replace(copy, **changes)


def test_a_copy_of_metadata_is_kept_as_it_is(store: Store) -> None:
    """With what is held beside it; stamps say as much as is needed to look for changes."""
    copy = metadata_copy(held=b"<held/>", held_reason="its keys \x00", held_at=NOW, problem="no\x00body")
    assert store.get_metadata_copy("acme") is None
    assert store.put_metadata_copy(copy, replaces=None)
    kept = store.get_metadata_copy("acme")
    assert kept == replace(copy, held_reason="its keys \ufffd", problem="no\ufffdbody")
    assert store.get_metadata_stamps() == {"acme": MetadataStamp(copy.url, 1, NOW, NOW + DAY)}


def test_a_copy_replaces_the_one_that_was_read_and_no_other(store: Store) -> None:
    """Of two that write at once the first counts."""
    assert not store.put_metadata_copy(metadata_copy(), replaces=1)
    assert store.put_metadata_copy(metadata_copy(), replaces=None)
    assert not store.put_metadata_copy(metadata_copy(version=7), replaces=None)
    assert store.put_metadata_copy(metadata_copy(version=2), replaces=1)
    assert not store.put_metadata_copy(metadata_copy(version=9), replaces=1)
    assert store.get_metadata_stamps()["acme"].version == 2


def test_of_many_that_replace_a_copy_one_does(store: Store) -> None:
    """Atomic: an approval is never lost under a fetch."""
    assert store.put_metadata_copy(metadata_copy(), replaces=None)
    found = outcomes_of([lambda: store.put_metadata_copy(metadata_copy(version=2), replaces=1) for _ in range(8)])
    assert sorted(map(bool, found)) == [False] * 7 + [True]


def test_a_fetch_is_brought_forward_and_never_put_off(store: Store) -> None:
    """And where there is no copy nothing happens."""
    store.fetch_metadata_soon("acme", NOW)
    store.put_metadata_copy(metadata_copy(), replaces=None)
    store.fetch_metadata_soon("other", NOW)
    store.fetch_metadata_soon("acme", NOW + MINUTE)
    store.fetch_metadata_soon("acme", NOW + DAY)
    assert store.get_metadata_stamps()["acme"].next_fetch_at == NOW + MINUTE


def test_a_notice_is_claimed_once_until_it_ends(store: Store) -> None:
    """Of many that would tell it one does; after its end it could be told again."""
    found = outcomes_of([lambda: store.claim_notice("certificate", NOW + DAY) for _ in range(8)])
    assert sorted(map(bool, found)) == [False] * 7 + [True]
    assert store.claim_notice("another", NOW + DAY)
    store.delete_expired(NOW + DAY - SECOND)
    assert not store.claim_notice("certificate", NOW + DAY)
    store.delete_expired(NOW + DAY)
    assert store.claim_notice("certificate", NOW + DAY)
