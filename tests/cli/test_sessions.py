"""`sessions …`: who is signed in, and what an admin does about it."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.cli.conftest import ACME, SETTINGS, Call
from tests.stores.test_session_records import session

from sso_middleware.calling import system_clock
from sso_middleware.cli import main
from sso_middleware.stores.migrate import prepare_database
from sso_middleware.stores.session_records import Session, SessionQuery
from sso_middleware.stores.sql import SqlStore

ADA, ADAS_PHONE, BOB, CAROL = "a1" * 32, "a2" * 32, "b1" * 32, "c1" * 32


def live(id: str, person: str = "ada", connection: str = "acme", *, minutes: int = 0) -> Session:
    now = system_clock() - timedelta(minutes=minutes)
    made = session(id, person=person, connection=connection)
    return replace(
        made,
        authenticated_at=now,
        created_at=now,
        last_seen=now,
        expires_at=now + timedelta(days=7),
        policy="",
        device="desktop",
    )


@pytest.fixture
def store(folder: Path) -> Iterator[SqlStore]:
    """Ada twice and bob by acme, carol by beta."""
    beta = ACME.replace('"acme"', '"beta"').replace("Acme Inc", "Beta Inc").replace("acme.example", "beta.example")
    beta = beta.replace("acme.co.example", "beta.co.example")
    (folder / "sso.toml").write_text(SETTINGS + ACME + beta)
    url = f"sqlite:///{folder}/sso.db"
    prepare_database(url)
    store = SqlStore(url)
    for each in (
        live(ADA, minutes=1),
        live(ADAS_PHONE, minutes=2),
        live(BOB, "bob", minutes=3),
        live(CAROL, "carol", "beta", minutes=4),
    ):
        store.add_session(each)
    yield store
    store.close()


def left(store: SqlStore) -> set[str]:
    return {each.id for each in store.find_sessions(SessionQuery())}


def stale(store: SqlStore) -> set[str]:
    return {each.id for each in store.find_sessions(SessionQuery()) if each.is_stale}


def test_the_list_shows_who_is_signed_in(store: SqlStore, call: Call) -> None:
    """Last seen first, with the short id that the other commands take, and nothing that opens a session."""
    listed = call("sessions", "list")
    assert listed.exit_code == 0
    assert re.findall(r"^[0-9a-f]{12}  (\S+)", listed.stdout, re.MULTILINE) == [
        "ada@acme.example",
        "ada@acme.example",
        "bob@acme.example",
        "carol@beta.example",
    ]
    assert "acme (Acme Inc)  desktop" in listed.stdout
    assert "live: may be used" in listed.stdout
    for secret in (ADA, "key of ada", "logout ada"):
        assert secret not in listed.stdout


def test_the_list_as_json(store: SqlStore, call: Call) -> None:
    """The same values, for scripts."""
    told = json.loads(call("sessions", "list", "--person", "bob@acme.example", "--json").stdout)
    (bob,) = told["sessions"]
    whose = {"id", "connection", "organization", "email", "device", "state"}
    assert bob.keys() == whose | {"created_at", "authenticated_at", "last_seen", "expires_at"}
    assert (bob["id"], bob["email"], bob["state"]) == (BOB[:12], "bob@acme.example", "live")


def test_what_has_ended_by_itself_is_listed_when_asked_for(store: SqlStore, call: Call) -> None:
    """And it is said that it has."""
    store.time_out_session(BOB, system_clock(), system_clock())
    assert call("sessions", "list", "--person", "bob@acme.example").exit_code == 1
    shown = call("sessions", "list", "--person", "bob@acme.example", "--ended")
    assert shown.exit_code == 0
    assert "ended: has ended" in shown.stdout


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (("--session", ADA[:12]), {ADA}),
        (("--person", "ada@acme.example", "--yes"), {ADA, ADAS_PHONE}),
        (("--person", "ada@acme.example", "--connection", "acme", "--yes"), {ADA, ADAS_PHONE}),
        (("--connection", "acme", "--yes"), {ADA, ADAS_PHONE, BOB}),
        (("--organization", "Beta Inc"), {CAROL}),
        (("--all", "-y"), {ADA, ADAS_PHONE, BOB, CAROL}),
    ],
)
def test_sessions_are_revoked(store: SqlStore, call: Call, options: tuple[str, ...], gone: set[str]) -> None:
    """Those that were named, and it is said how many, and when every worker knows."""
    revoked = call("sessions", "revoke", *options)
    assert (revoked.exit_code, revoked.stderr) == (0, "")
    number = f"{len(gone)} session{'s' if len(gone) > 1 else ''} ended."
    assert revoked.stdout == f"{number} Every worker refuses them within 1 second (revocation_delay).\n"
    assert left(store) == {ADA, ADAS_PHONE, BOB, CAROL} - gone


def test_sessions_are_renewed(store: SqlStore, call: Call) -> None:
    """Nobody is signed out by it."""
    renewed = call("sessions", "renew", "--organization", "Beta Inc")
    assert renewed.exit_code == 0
    assert renewed.stdout.startswith(
        "1 session to be renewed. Every worker has them confirmed at their next use, within"
    )
    assert stale(store) == {CAROL}
    assert len(left(store)) == 4
    assert "renew: is confirmed by the identity provider first" in call("sessions", "list").stdout


@pytest.mark.parametrize("command", ["revoke", "renew"])
def test_more_than_one_session_is_asked_about(store: SqlStore, command: str, folder: Path) -> None:
    """How many, of how many people; without a yes nothing is changed."""
    runner = CliRunner()
    for answer in ("n\n", ""):
        asked = runner.invoke(main, ["sessions", command, "--connection", "acme"], input=answer)
        assert asked.exit_code == 1
        assert "3 sessions of 2 people" in asked.stderr
        assert (len(left(store)), stale(store)) == (4, set())
    asked = runner.invoke(main, ["sessions", command, "--person", "ada@acme.example", "--json"], input="y\n")
    assert asked.exit_code == 0
    assert "2 sessions of one person" in asked.stderr
    told = json.loads(asked.stdout)
    assert told == {"ended" if command == "revoke" else "to_be_renewed": 2, "seen_everywhere_within_seconds": 1.0}


@pytest.mark.parametrize("command", ["revoke", "renew"])
def test_nobody_found_ends_with_1(store: SqlStore, call: Call, command: str) -> None:
    """A script can tell that it named somebody who is not signed in."""
    result = call("sessions", command, "--person", "dora@acme.example")
    assert result.exit_code == 1
    assert result.stdout == "Nobody of these is signed in.\n"
    assert call("sessions", "list", "--person", "dora@acme.example").exit_code == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "exactly one way"),
        (("--all", "--connection", "acme"), "exactly one way"),
        (("--session", "a1"), "at least the first 8 characters"),
        (("--connection", "acmee"), "no connection 'acmee'"),
        (("--organization", "Acme"), "no connection is of the organization 'Acme'"),
        (("--person", "ada"), "e-mail address"),
    ],
)
@pytest.mark.parametrize("command", ["revoke", "renew"])
def test_a_choice_that_is_not_clear_ends_with_2(
    store: SqlStore, call: Call, command: str, options: tuple[str, ...], words: str
) -> None:
    """And changes nothing, whatever was said of `--yes`."""
    for result in (call("sessions", command, *options), call("sessions", command, *options, "--yes")):
        assert result.exit_code == 2
        assert words in result.stderr
    assert (len(left(store)), stale(store)) == (4, set())


def test_the_audit_trail_says_who_did_it(store: SqlStore, call: Call) -> None:
    """The user of the machine, since nobody else is known."""
    call("sessions", "revoke", "--person", "ada@acme.example", "--yes")
    (event,) = store.get_events()
    assert (event.code, event.email) == ("sessions_revoked", "ada@acme.example")
    assert event.detail == {"number": "2", "actor": f"command line, {getpass.getuser()}"}


def test_without_a_delay_it_counts_from_now_on(store: SqlStore, call: Call, folder: Path) -> None:
    """Where each request asks the store."""
    settings = folder / "sso.toml"
    settings.write_text('revocation_delay = "0s"\n' + settings.read_text())
    assert call("sessions", "revoke", "--session", BOB).stdout == (
        "1 session ended. Every worker refuses them from now on.\n"
    )
