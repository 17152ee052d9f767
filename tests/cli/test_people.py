"""`people …`: who has come, and what an admin settles."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.cli.conftest import Call
from tests.stores.people import came, name_id_key

from sso_middleware.calling import system_clock
from sso_middleware.cli import main
from sso_middleware.stores.migrate import prepare_database
from sso_middleware.stores.people_records import PeopleQuery, Person
from sso_middleware.stores.sql import SqlStore

ADA, NEW_ADA, BOB = "a1" * 16, "a2" * 16, "b1" * 16


@pytest.fixture
def store(folder: Path) -> Iterator[SqlStore]:
    """Ada twice, the older one with a user; and Bob."""
    url = f"sqlite:///{folder}/sso.db"
    prepare_database(url)
    store = SqlStore(url)
    now = system_clock()
    for name, id in (("bob", BOB), ("ada", ADA), ("new", NEW_ADA)):
        came(store, name, new_id=id, at=now)
    store.keep_provisioned(ADA, "a", user_id="user-17", told={}, now=now)
    yield store
    store.close()


def left(store: SqlStore) -> dict[str, Person]:
    return {person.id: person for person in store.find_people(PeopleQuery())}


def test_the_list_shows_who_there_is(store: SqlStore, call: Call) -> None:
    """With the short id that the other commands take, and nothing that the identity provider calls anybody by."""
    listed = call("people", "list", "--connection", "acme")
    assert listed.exit_code == 0
    assert set(re.findall(r"^([0-9a-f]{12})  ", listed.stdout, re.MULTILINE)) == {id[:12] for id in left(store)}
    assert f"{ADA[:12]}  ada@acme.example  Ada Adason  acme (Acme Inc)  user user-17" in listed.stdout
    assert "no user" in listed.stdout
    assert name_id_key("ada") not in listed.stdout
    told = json.loads(call("people", "list", "--json", "--organization", "Acme Inc").stdout)
    assert {each["user_id"] for each in told["people"]} == {"user-17", None}


def test_one_person_is_shown(store: SqlStore, call: Call) -> None:
    """By id, address, user or key."""
    key = name_id_key("ada")
    for named in ((ADA[:12],), ("ada@acme.example",), ("--user", "user-17"), ("--key", key, "--connection", "acme")):
        shown = call("people", "show", *named)
        assert shown.exit_code == 0
        assert shown.stdout.startswith(f"{ADA[:12]}  ada@acme.example")
        assert "known by: NameID" in shown.stdout
        assert "came first 2" in shown.stdout
    told = json.loads(call("people", "show", ADA[:12], "--json").stdout)
    assert (told["id"], told["user_id"], told["keys"]) == (ADA[:12], "user-17", ["NameID"])


def test_what_came_from_outside_moves_no_cursor(store: SqlStore, call: Call) -> None:
    """A name is what the identity provider says."""
    came(store, "eve", first_name="\x1b[2JEve")
    assert "\x1b" not in call("people", "list").stdout


def test_unlinking_and_forgetting(store: SqlStore, call: Call) -> None:
    """The person stays without a user, or goes; and it is said what comes next."""
    unlinked = call("people", "unlink", "ada@acme.example", "--yes")
    assert (unlinked.exit_code, unlinked.stderr) == (0, "")
    assert "Your hook decides anew" in unlinked.stdout
    assert left(store)[ADA].user_id is None

    forgotten = call("people", "unlink", ADA[:12], "--forget", "--yes", "--json")
    assert json.loads(forgotten.stdout)["id"] == ADA[:12]
    assert set(left(store)) == {NEW_ADA, BOB}
    (event, _) = store.get_events()
    assert (event.code, event.detail["actor"]) == ("person_unlinked", f"command line, {getpass.getuser()}")


def test_merging(store: SqlStore, call: Call) -> None:
    """One stays, with both keys."""
    merged = call("people", "merge", ADA[:12], "new@acme.example", "-y")
    assert merged.exit_code == 0
    assert "Merged" in merged.stdout
    assert "NameID, NameID" in merged.stdout
    assert set(left(store)) == {ADA, BOB}
    assert len(left(store)[ADA].keys) == 2
    assert [event.code for event in store.get_events()] == ["person_merged"]


@pytest.mark.parametrize("arguments", [("unlink", ADA[:12]), ("unlink", ADA[:12], "--forget"), ("merge", ADA, NEW_ADA)])
def test_it_asks_first(store: SqlStore, folder: Path, arguments: tuple[str, ...]) -> None:
    """Who is meant is shown; without a yes nothing is changed."""
    before = left(store)
    for answer in ("n\n", ""):
        asked = CliRunner().invoke(main, ["people", *arguments], input=answer)
        assert asked.exit_code == 1
        assert "ada@acme.example" in asked.stderr
        assert left(store) == before
    assert CliRunner().invoke(main, ["people", *arguments], input="y\n").exit_code == 0
    assert left(store) != before


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "dora@acme.example"),
        ("unlink", "dora@acme.example", "--yes"),
        ("merge", ADA, "dora@acme.example", "--yes"),
    ],
)
def test_nobody_found_ends_with_1(store: SqlStore, call: Call, arguments: tuple[str, ...]) -> None:
    """A script can tell that it named nobody."""
    result = call("people", *arguments)
    assert (result.exit_code, result.stderr) == (1, "nobody is known by that\n")


def test_an_empty_list_ends_with_1(folder: Path, call: Call) -> None:
    """Nobody has come yet."""
    assert call("people", "list").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show",), "exactly one way"),
        (("show", "ada"), "at least the first 8 characters"),
        (("unlink", "a", "--yes"), "at least the first 8 characters"),
        (("merge", ADA, ADA, "--yes"), "one person already"),
        (("list", "--connection", "acmee"), "no connection 'acmee'"),
        (("show", "--key", "k"), "name the connection"),
    ],
)
def test_a_choice_that_is_not_clear_ends_with_2(
    store: SqlStore, call: Call, arguments: tuple[str, ...], words: str
) -> None:
    """And changes nothing."""
    before = left(store)
    result = call("people", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert left(store) == before
