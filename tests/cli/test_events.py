"""`events`: filtered, followed, written out line by line."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest
from tests.cli.conftest import Call

from sso_middleware.calling import system_clock
from sso_middleware.cli.events import follow_events
from sso_middleware.events import Event
from sso_middleware.stores.event_records import EventQuery
from sso_middleware.stores.migrate import prepare_database
from sso_middleware.stores.sql import SqlStore


@pytest.fixture
def store(folder: Path) -> SqlStore:
    url = f"sqlite:///{folder}/sso.db"
    prepare_database(url)
    store = SqlStore(url)
    now = system_clock()
    for hours, code, connection, email in (
        (30, "login_succeeded", "acme", "ada@acme.example"),
        (2, "attribute_missing", "acme", None),
        (1, "login_succeeded", "beta", "bob@beta.example"),
    ):
        store.add_event(Event(code, now - timedelta(hours=hours), connection, email=email))
    return store


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--since", "8h"], ["login_succeeded", "attribute_missing"]),
        (["--until", "8h"], ["login_succeeded"]),
        (["--code", "attribute_*"], ["attribute_missing"]),
        (["--connection", "acme"], ["attribute_missing", "login_succeeded"]),
        (["--organization", "Acme Inc"], ["attribute_missing", "login_succeeded"]),
        (["--organization", "Acme Inc", "--connection", "beta"], []),
        (["--person", " Ada@ACME.example"], ["login_succeeded"]),
        (["--since", "2000-01-01T00:00:00Z", "--limit", "1"], ["login_succeeded"]),
    ],
)
def test_events_are_filtered(store: SqlStore, call: Call, arguments: list[str], expected: list[str]) -> None:
    """By what an admin knows: when, which code, whose, who."""
    result = call("events", "--json", *arguments)

    assert result.exit_code == 0
    assert [event["code"] for event in json.loads(result.stdout)] == expected


def test_lines_are_for_another_program(store: SqlStore, call: Call) -> None:
    """One object a line, oldest first."""
    lines = call("events", "--jsonl").stdout.splitlines()

    assert [json.loads(line)["code"] for line in lines] == ["login_succeeded", "attribute_missing", "login_succeeded"]


@pytest.mark.parametrize(
    "arguments",
    [["--since", "yesterday"], ["--organization", "Nobody"], ["--person", "ada"], ["--follow", "--json"]],
)
def test_a_wrong_filter_is_a_wrong_call(store: SqlStore, call: Call, arguments: list[str]) -> None:
    """An empty answer would be a false comfort."""
    assert call("events", *arguments).exit_code == 2


def test_following_tells_each_event_once(store: SqlStore) -> None:
    """Also one that is written late under an earlier number; nothing of what was there before."""
    newest, _ = store.find_events(EventQuery(), limit=1)[0]
    following = follow_events(store, EventQuery(), newest, every=0)
    now = system_clock()
    store.add_event(Event("first", now))
    assert next(following).code == "first"
    for code in ("second", "third"):
        store.add_event(Event(code, now))

    assert [event.code for event in islice(following, 2)] == ["second", "third"]
