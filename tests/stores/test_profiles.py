"""Sign-ins that wait for answers: one browser's, once, and not for long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.stores.people import NOW, came
from tests.stores.test_contract import outcomes_of

from sso_middleware.stores.profile_records import PendingProfile
from sso_middleware.stores.sql import SqlStore

MINUTE = timedelta(minutes=1)
BROWSER = ["browser", "another id of it"]


def pending(handle: str = "h1", **changes: object) -> PendingProfile:
    values = {
        "handle": handle,
        "connection_id": "acme",
        "person_id": "person-ada",
        "browser": "browser",
        "arrival": b"\x00sealed\xff",
        "expires_at": NOW + MINUTE,
        **changes,
    }
    return PendingProfile(**values)  # type: ignore[arg-type]  # a test's changes


def answers_of(store: SqlStore, person_id: str = "person-ada") -> dict[str, str]:
    person = store.get_person(person_id)
    assert person is not None
    return dict(person.answers)


def test_it_comes_back_as_it_was(store: SqlStore) -> None:
    """To the browser that it is bound to, by whichever of its ids."""
    store.add_pending_profile(pending())

    assert store.get_pending_profile("h1", BROWSER, NOW) == pending()
    assert store.get_pending_profile("h1", list(reversed(BROWSER)), NOW) == pending()


@pytest.mark.parametrize(
    ("handle", "browsers", "later"),
    [("h2", BROWSER, 0), ("h1", ["another browser"], 0), ("h1", [], 0), ("h1", BROWSER, 60)],
)
def test_there_is_nothing_for_others(store: SqlStore, handle: str, browsers: list[str], later: int) -> None:
    """Another handle, another browser, or later: neither to see nor to take; what is there stays as it was."""
    came(store)
    store.add_pending_profile(pending())
    now = NOW + timedelta(seconds=later)

    assert store.get_pending_profile(handle, browsers, now) is None
    assert store.take_pending_profile(handle, browsers, now, {"country": "DE"}) is None
    assert answers_of(store) == {}
    assert store.get_pending_profile("h1", BROWSER, NOW) == pending()


def test_taking_it_keeps_the_answers_with_the_person(store: SqlStore) -> None:
    """In one step, besides other answers and in place of older ones; it is gone then."""
    came(store)
    for handle, answers in (("h1", {"country": "DE", "team": "t1"}), ("h2", {"country": "CI"})):
        store.add_pending_profile(pending(handle))
        assert store.take_pending_profile(handle, BROWSER, NOW, answers) == pending(handle)
        assert store.get_pending_profile(handle, BROWSER, NOW) is None

    assert answers_of(store) == {"country": "CI", "team": "t1"}


def test_taking_it_without_answers_changes_nobody(store: SqlStore) -> None:
    """Somebody went away from the page."""
    came(store)
    store.add_pending_profile(pending())

    assert store.take_pending_profile("h1", BROWSER, NOW, {}) == pending()
    assert answers_of(store) == {}


def test_answers_stay_when_the_person_comes_again(store: SqlStore) -> None:
    """Whatever is new about them."""
    came(store)
    store.add_pending_profile(pending())
    store.take_pending_profile("h1", BROWSER, NOW, {"country": "DE"})

    person = came(store, first_name="Augusta")

    assert (person.first_name, dict(person.answers)) == ("Augusta", {"country": "DE"})


def test_of_many_at_once_one_takes_it(store: SqlStore) -> None:
    """A double click, on two machines: one goes on, with its own answers and no other's."""
    came(store)
    store.add_pending_profile(pending())
    codes = ["DE", "FR", "IT", "ES", "PL", "CZ"]
    attempts: list[Callable[[], object]] = [
        lambda code=code: store.take_pending_profile("h1", BROWSER, NOW, {"country": code})  # type: ignore[misc]
        for code in codes
    ]

    outcomes = outcomes_of(attempts)

    (winner,) = [index for index, outcome in enumerate(outcomes) if outcome is not None]
    assert answers_of(store) == {"country": codes[winner]}


def test_two_tabs_at_once_lose_no_answer(store: SqlStore) -> None:
    """Each asked something else: both are kept."""
    came(store)
    for handle in ("h1", "h2"):
        store.add_pending_profile(pending(handle))

    outcomes_of(
        [
            lambda: store.take_pending_profile("h1", BROWSER, NOW, {"country": "DE"}),
            lambda: store.take_pending_profile("h2", BROWSER, NOW, {"team": "t1"}),
        ]
    )

    assert answers_of(store) == {"country": "DE", "team": "t1"}


def test_whoever_is_merged_into_another_waits_no_longer(store: SqlStore) -> None:
    """Their sign-in begins again, as the person that they are by now."""
    kept, other = came(store), came(store, "bob", first_name="Bob")
    store.add_pending_profile(pending(person_id=other.id))

    assert store.merge_people(kept.id, other.id, NOW) is not None
    assert store.get_pending_profile("h1", BROWSER, NOW) is None


def test_what_has_waited_too_long_goes(store: SqlStore) -> None:
    """And what has not stays."""
    store.add_pending_profile(pending("h1"))
    store.add_pending_profile(pending("h2", expires_at=NOW + 3 * MINUTE))

    store.delete_expired(NOW + 2 * MINUTE)

    assert store.get_pending_profile("h1", BROWSER, NOW) is None
    assert store.get_pending_profile("h2", BROWSER, NOW) is not None
