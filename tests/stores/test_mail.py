"""Mail that waits, and recovery links: what a store holds of them, on both databases, whoever comes at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.stores.test_contract import DAY, MINUTE, NOW, outcomes_of

from sso_middleware.stores import tables
from sso_middleware.stores.mail_records import RecoveryToken, WaitingMail
from sso_middleware.stores.sql import SqlStore

SOON = NOW + MINUTE


def add(store: SqlStore, *messages: bytes, most: int = 100) -> list[bool]:
    return [store.add_to_outbox("recovery", message, NOW, NOW + DAY, most=most) for message in messages]


def claimed(store: SqlStore, now: datetime = NOW, *, until: datetime = SOON, limit: int = 10) -> list[bytes]:
    return [mail.message for mail in store.claim_due_mail(now, until, limit=limit)]


def token(id: str = "t1", **changes: Any) -> RecoveryToken:
    return replace(RecoveryToken(id, "Acme", "ada@acme.example", NOW, NOW + 15 * MINUTE), **changes)


def take(store: SqlStore, id: str, session_id: str, now: datetime = NOW) -> RecoveryToken | None:
    return store.take_recovery_token(id, now, session_id=session_id, session_ends_at=now + 30 * MINUTE)


# The outbox


def test_mail_that_waits_comes_back_as_it_was_oldest_first(store: SqlStore) -> None:
    """Every field survives, bytes that are no text included."""
    add(store, b"\x00sealed\xff", b"second")

    first, second = store.claim_due_mail(NOW, SOON, limit=10)

    assert first == WaitingMail(first.id, "recovery", b"\x00sealed\xff", NOW, 1, SOON, NOW + DAY)
    assert second.message == b"second"
    assert b"sealed" not in repr(first).encode()


def test_who_claims_mail_has_it_until_then(store: SqlStore) -> None:
    """A process that died with it leaves it to the next one, and the attempt is counted."""
    add(store, b"a", b"b", b"c")
    assert claimed(store, limit=2) == [b"a", b"b"]
    assert claimed(store) == [b"c"]
    assert claimed(store, SOON - timedelta(seconds=1)) == []
    assert [mail.attempts for mail in store.claim_due_mail(SOON, SOON + MINUTE, limit=10)] == [2, 2, 2]


def test_mail_is_put_off_and_deleted(store: SqlStore) -> None:
    """What could not be sent says why, and comes when it is due; what was sent comes no more."""
    add(store, b"a", b"b")
    first, second = store.claim_due_mail(NOW, SOON, limit=10)
    store.delete_mail(first.id)
    store.put_off_mail(second.id, NOW + 5 * MINUTE, "no answer")
    assert claimed(store, NOW + 4 * MINUTE) == []
    (again,) = store.claim_due_mail(NOW + 5 * MINUTE, NOW + DAY, limit=10)
    assert (again.id, again.problem) == (second.id, "no answer")


def test_mail_whose_time_is_over_is_not_claimed_and_goes(store: SqlStore) -> None:
    """An old request is no longer anybody's wish."""
    add(store, b"a")
    assert claimed(store, NOW + DAY, until=NOW + 2 * DAY) == []
    assert store.delete_expired(NOW + DAY) == 1


def test_the_outbox_is_bounded(store: SqlStore) -> None:
    """A flood fills no disk; once there is room again, mail is taken."""
    assert add(store, b"a", b"b", b"c", most=2) == [True, True, False]
    assert claimed(store) == [b"a", b"b"]
    (first, _) = store.claim_due_mail(SOON, SOON + MINUTE, limit=10)
    store.delete_mail(first.id)
    assert add(store, b"d", most=2) == [True]


def test_of_many_who_claim_mail_at_once_each_row_has_one(store: SqlStore) -> None:
    """Threads that claim at the same moment: nothing is sent twice, nothing is left."""
    add(store, *[f"{number}".encode() for number in range(24)])
    found = outcomes_of([lambda: claimed(store, limit=5)] * 8)
    rest = claimed(store, limit=24)
    rows = sorted([message for batch in found if isinstance(batch, list) for message in batch] + rest)
    assert rows == sorted(f"{number}".encode() for number in range(24))


# Recovery links


def test_a_link_is_used_once_and_opens_its_session(store: SqlStore) -> None:
    """The link is gone, and the session is there until its end."""
    store.add_recovery_token(token())
    assert store.get_recovery_token("t1", NOW) == token()

    opened = take(store, "t1", "s1")

    assert opened == token(used_at=NOW, session_id="s1", session_ends_at=NOW + 30 * MINUTE)
    assert store.get_recovery_token("t1", NOW) is None
    assert take(store, "t1", "s2") is None
    assert store.get_recovery_session("s1", NOW + 29 * MINUTE) == opened
    assert store.get_recovery_session("s1", NOW + 30 * MINUTE) is None
    assert store.get_recovery_session("s2", NOW) is None
    assert "ada" not in repr(opened)


def test_a_link_expires_on_the_dot(store: SqlStore) -> None:
    """From expires_at on it is as unknown as any other."""
    store.add_recovery_token(token())
    assert store.get_recovery_token("t1", NOW + 15 * MINUTE) is None
    assert take(store, "t1", "s1", NOW + 15 * MINUTE) is None
    assert take(store, "unknown", "s1") is None


@pytest.mark.parametrize("later", [MINUTE, -MINUTE, timedelta(0)])
def test_a_newer_link_kills_the_older_one(store: SqlStore, later: timedelta) -> None:
    """Also where the clock was set back between the two, and only of the same person in the same organization."""
    store.add_recovery_token(token("globex", organization="Globex"))
    store.add_recovery_token(token("bob", email="bob@acme.example"))
    store.add_recovery_token(token("old"))
    store.add_recovery_token(token("new", created_at=NOW + later))
    assert [store.get_recovery_token(id, NOW) is not None for id in ("old", "new", "globex", "bob")] == [
        False,
        True,
        True,
        True,
    ]
    assert take(store, "old", "s1") is None
    assert take(store, "new", "s1") is not None


def test_a_newer_link_leaves_an_open_session(store: SqlStore) -> None:
    """Whoever asks for a link in an admin's name does not throw the admin out."""
    store.add_recovery_token(token())
    take(store, "t1", "s1")
    store.add_recovery_token(token("t2", created_at=NOW + MINUTE))
    assert store.get_recovery_session("s1", NOW + MINUTE) is not None


def test_a_recovery_session_is_ended(store: SqlStore) -> None:
    """Its token finds nothing any more."""
    store.add_recovery_token(token())
    take(store, "t1", "s1")
    store.end_recovery_session("s1", NOW + MINUTE)
    assert store.get_recovery_session("s1", NOW + MINUTE) is None


def test_of_many_who_use_one_link_at_once_one_wins(store: SqlStore) -> None:
    """Threads that use the same link at the same moment: exactly one gets the session."""
    store.add_recovery_token(token())

    def using(number: int) -> Callable[[], object]:
        return lambda: take(store, "t1", f"s{number}")

    found = outcomes_of([using(number) for number in range(8)])

    (winner,) = [result for result in found if result is not None]
    assert isinstance(winner, RecoveryToken)
    sessions = [store.get_recovery_session(f"s{number}", NOW) for number in range(8)]
    assert [session for session in sessions if session] == [winner]


def test_of_many_links_that_are_made_at_once_one_is_good(store: SqlStore) -> None:
    """Also of transactions that don't see each other; and once that one is used, none of them."""

    def adding(number: int) -> Callable[[], object]:
        return lambda: store.add_recovery_token(token(f"t{number}", created_at=NOW + number * MINUTE / 60))

    outcomes_of([adding(number) for number in range(8)])

    good = [f"t{number}" for number in range(8) if store.get_recovery_token(f"t{number}", NOW) is not None]
    assert len(good) == 1
    assert [take(store, f"t{number}", f"s{number}") is not None for number in range(8)].count(True) == 1
    assert [id for id in good if store.get_recovery_token(id, NOW)] == []


# Changed addresses


def test_an_address_that_was_changed_lately_is_told(store: SqlStore) -> None:
    """Of a person of these connections, and no longer than asked for."""
    store.add_recovery_token(token())
    person = {
        "id": "p1",
        "connection_id": "acme",
        "email": "ada@acme.example",
        "former_email": "old@acme.example",
        "email_changed_at": NOW,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "answers": {},
        "created_at": NOW,
    }
    with store._database.writing() as connection:
        connection.execute(tables.people.insert().values(person))
    ask = store.get_former_addresses
    assert ask("ada@acme.example", NOW, ["acme", "other"]) == ["old@acme.example"]
    assert ask("ada@acme.example", NOW + MINUTE, ["acme"]) == []
    assert ask("ada@acme.example", NOW, ["globex"]) == []
    assert ask("ada@acme.example", NOW, []) == []
    assert ask("old@acme.example", NOW, ["acme"]) == []
