"""Events in the database: found by what one looks for, followed, and forgotten in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sso_middleware.events import Event
from sso_middleware.stores.event_records import EventQuery
from sso_middleware.stores.sql import SqlStore

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

EVENTS = (
    Event("login_succeeded", NOW - 5 * HOUR, "acme", client="203.0.113.1", email="ada@acme.example"),
    Event("attribute_missing", NOW - 4 * HOUR, "acme", reference="babud-kolim", client="203.0.113.2"),
    Event("login_succeeded", NOW - 3 * HOUR, "globex", client="203.0.113.1", email="hank@globex.example"),
    Event("login%odd", NOW - 2 * HOUR, "globex"),
    Event("admin_added", NOW - HOUR, None, email="it@acme.example", detail={"organization": "Acme"}),
)


@pytest.fixture
def full(store: SqlStore) -> SqlStore:
    for event in EVENTS:
        store.add_event(event)
    return store


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (EventQuery(), [4, 3, 2, 1, 0]),
        (EventQuery(codes=("login_succeeded",)), [2, 0]),
        (EventQuery(codes=("login_*",)), [2, 0]),
        (EventQuery(codes=("login_*", "admin_added")), [4, 2, 0]),
        (EventQuery(codes=("login%*",)), [3]),
        (EventQuery(connection_ids=("acme",)), [1, 0]),
        (EventQuery(connection_ids=()), []),
        (EventQuery(email="ada@acme.example"), [0]),
        (EventQuery(client="203.0.113.1"), [2, 0]),
        (EventQuery(reference="babud-kolim"), [1]),
        (EventQuery(since=NOW - 3 * HOUR), [4, 3, 2]),
        (EventQuery(until=NOW - 3 * HOUR), [1, 0]),
        (EventQuery(codes=("login_*",), connection_ids=("globex",), since=NOW - 4 * HOUR), [2]),
    ],
)
def test_events_are_found_by_all_that_is_asked(full: SqlStore, query: EventQuery, expected: list[int]) -> None:
    """Newest first; a pattern's own signs are only letters."""
    found = [event for _, event in full.find_events(query)]

    assert found == [EVENTS[index] for index in expected]


def test_what_comes_after_a_number_comes_oldest_first(full: SqlStore) -> None:
    """So that it can be followed page by page."""
    first, *_ = [number for number, _ in full.find_events(EventQuery(), after=0, limit=1)]
    rest = full.find_events(EventQuery(), after=first)

    assert [event for _, event in rest] == list(EVENTS[1:])
    assert [event for _, event in full.find_events(EventQuery(), after=first, limit=2)] == list(EVENTS[1:3])


def test_old_events_go_some_at_a_time(full: SqlStore) -> None:
    """The oldest first, and none that is not old."""
    assert full.delete_events(NOW - 2 * HOUR, batch=2) == 2
    assert full.delete_events(NOW - 2 * HOUR, batch=2) == 1
    assert full.delete_events(NOW - 2 * HOUR, batch=2) == 0
    assert [event for _, event in full.find_events(EventQuery())] == [EVENTS[4], EVENTS[3]]
