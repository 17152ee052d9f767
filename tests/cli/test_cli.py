"""What each command prints, and with which code it ends: 0 well, 1 found something wrong, 2 called wrong."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree
from tests.cli.conftest import ACME, KEY, NOW, OLD_KEY, SETTINGS, Call

from sso_middleware.calling import system_clock
from sso_middleware.errors import ConfigurationError
from sso_middleware.events import Event
from sso_middleware.saml.self_test import check_installation
from sso_middleware.settings import Settings
from sso_middleware.stores.records import LoginRequest
from sso_middleware.stores.sql import SqlStore


def store_in(folder: Path) -> SqlStore:
    return SqlStore(f"sqlite:///{folder}/sso.db")


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("check", "--help"), ("keys", "reseal", "-h")])
def test_help_ends_well(call: Call, arguments: tuple[str, ...]) -> None:
    """Whoever asks is told, with code 0."""
    result = call(*arguments)
    assert result.exit_code == 0
    assert result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("chekc",),
        ("check", "--jsno"),
        ("events", "--limit", "0"),
        ("demo", "--port", "99999"),
        ("keys", "forget"),
        ("init", "--base-url", "http://app.example.com"),
    ],
)
def test_a_wrong_call_ends_with_2(call: Call, arguments: tuple[str, ...]) -> None:
    """Called wrong is told apart from something wrong found."""
    result = call(*arguments)
    assert result.exit_code == 2
    assert "Error" in result.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("keys", "--help")])
def test_no_summary_is_cut(call: Call, arguments: tuple[str, ...]) -> None:
    """What a command does is told in the width of a terminal."""
    assert "..." not in call(*arguments).stdout.partition("Commands:")[2]


# init


def test_init_writes_settings_that_work(call: Call, folder: Path) -> None:
    """A private file with a new secret key, that loads as it is."""
    for name in ("one.toml", "two.toml"):
        assert call("init", "--config", name).exit_code == 0
    one, two = (Settings.load(environ={}, config=folder / name) for name in ("one.toml", "two.toml"))
    assert one.secret_keys != two.secret_keys
    assert one.base_url == "http://127.0.0.1:8000"
    assert one.protect == ("/",)
    assert stat.S_IMODE((folder / "one.toml").stat().st_mode) == 0o600
    assert one.secret_keys[0].get_secret_value() not in call("check", "--config", "one.toml").output


def test_what_init_has_commented_out_works_too(call: Call, folder: Path) -> None:
    """Every line of the file may be taken as it stands: none is refused."""
    call("init", "--config", "new.toml", "--base-url", "https://app.example.com")
    text = (folder / "new.toml").read_text()
    settings, tables = text.split("# One table for")
    settings = settings.replace("# hard", "hard").replace("# abs", "abs").replace("# trusted", "trusted")
    assert "A setting of the app belongs above the first [[connections]]" in settings
    settings = settings.replace("# local", "local").replace("public = []", 'public = ["/login"]')
    tables = "\n".join(line.removeprefix("# ") for line in tables.splitlines()[1:])
    (folder / "new.toml").write_text(settings + tables)
    loaded = Settings.load(environ={}, config=folder / "new.toml")
    assert loaded.connections[0].excluded_users == ("it1@acme.example", "it2@acme.example")
    assert loaded.local_login_url == "/login"
    assert len(loaded.trusted_proxies) == 1


def test_init_never_overwrites(call: Call, folder: Path) -> None:
    """An existing file is left as it was, whatever is in it."""
    result = call("init")
    assert result.exit_code == 1
    assert "already there" in result.stderr
    assert (folder / "sso.toml").read_text() == SETTINGS + ACME
    assert call("init", "--config", "missing/sso.toml").exit_code == 1


# check


def test_check_shows_the_connections(call: Call) -> None:
    """ok, and who is trusted for what."""
    result = call("check")
    assert result.exit_code == 0
    assert result.stdout.startswith("ok: http://127.0.0.1:8000, mode everyone, 1 connection\n")
    assert (
        "acme  Acme Inc      acme.co.example, acme.example  urn:sso-middleware:dev-idp:localhost:8001\n"
        in result.stdout
    )


def test_check_as_json(call: Call) -> None:
    """The same for a script, with the URLs that the customer's IT needs."""
    told = json.loads(call("check", "--json").stdout)
    assert (told["ok"], told["problems"], told["notes"]) == (True, [], [])
    (connection,) = told["connections"]
    assert connection["acs_url"] == "http://127.0.0.1:8000/sso/acme/acs"
    assert connection["domains"] == ["acme.co.example", "acme.example"]
    assert told["not_checked"][0] == "the database, which was not tried"


def test_check_says_what_it_does_not_check(call: Call, folder: Path) -> None:
    """An "ok" is not taken for more than it is: a database that nobody can reach is none of its business."""
    (folder / "sso.toml").write_text(f'database_url = "postgresql+psycopg://u@127.0.0.1:1/x"\n{SETTINGS}{ACME}')
    result = call("check")
    assert result.exit_code == 0
    last = result.stdout.splitlines()[-1]
    assert last.startswith("not checked: the database, which was not tried; the hooks in your code; ")


@pytest.mark.parametrize(
    ("mode", "excluded", "reasons"),
    [
        ("domains", "", 'mode "domains"'),
        ("everyone", 'excluded_users = ["it@acme.example"]', "excluded_users of 'acme'"),
        ("domains", 'excluded_users = ["it@acme.example"]', "mode \"domains\", excluded_users of 'acme'"),
        ("everyone", "", None),
    ],
)
def test_check_notes_the_hook_that_code_must_have(
    call: Call, folder: Path, mode: str, excluded: str, reasons: str | None
) -> None:
    """The settings alone don't show that the app would not start without `host_user`."""
    (folder / "sso.toml").write_text(f'mode = "{mode}"\n{SETTINGS}{ACME}{excluded}\n')
    result = call("check")
    assert result.exit_code == 0
    assert ("host_user" in result.stdout) == (reasons is not None)
    assert reasons is None or f"for {reasons}; without it the app does not start" in result.stdout


def test_check_misses_the_database_driver(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL without psycopg would not start: which extra to install is told."""
    (folder / "sso.toml").write_text(f'database_url = "postgresql+psycopg://u@127.0.0.1/x"\n{SETTINGS}{ACME}')
    monkeypatch.setitem(sys.modules, "psycopg", None)
    result = call("check")
    assert result.exit_code == 1
    assert 'pip install "sso-middleware[postgres]"' in result.stderr


def test_check_misses_a_library_that_verifies(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the self-test at start would find is told: which releases are here, and what to install."""
    check_installation.cache_clear()
    monkeypatch.setattr(etree, "tostring", lambda *arguments, **options: b"")
    result = call("check")
    assert result.exit_code == 1
    assert "the SAML self-test failed" in result.stderr
    assert "pip install --force-reinstall" in result.stderr


def test_check_tells_every_problem(call: Call, folder: Path) -> None:
    """What would be told at start, all at once: on stderr, or as JSON on stdout; with code 1."""
    (folder / "sso.toml").write_text('base_url = "http://app.example.com"\nsecret_keys = ["x"]\nprotcet = []\n')
    result = call("check")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("3 problems:\n- base_url: ")
    as_json = call("check", "--json")
    assert as_json.exit_code == 1
    assert [problem.partition(":")[0] for problem in json.loads(as_json.stdout)["problems"]] == [
        "base_url",
        "protcet",
        "secret_keys[0]",
    ]


def test_check_reads_metadata_keys_and_database_url(call: Call, folder: Path) -> None:
    """Metadata that is HTML, a key that is none and a missing directory are told together."""
    (folder / "acme.xml").write_text("<!doctype html><html></html>")
    pem = 'signing_key = "-----BEGIN PRIVATE KEY-----"\nsigning_certificate = "-----BEGIN CERTIFICATE-----"\n'
    (folder / "sso.toml").write_text(f'database_url = "sqlite:///missing/sso.db"\n{pem}{SETTINGS}{ACME}')
    result = call("check")
    assert result.exit_code == 1
    assert "connection 'acme': " in result.stderr
    assert "directory of database_url does not exist" in result.stderr
    assert "signing_key: " in result.stderr
    assert not (folder / "sso.db").exists()


def test_check_refuses_a_dev_idp_in_the_field(call: Call, folder: Path) -> None:
    """An identity provider that signs anybody in is for loopback only."""
    (folder / "sso.toml").write_text((SETTINGS + ACME).replace("http://127.0.0.1:8000", "https://app.example.com"))
    result = call("check")
    assert result.exit_code == 1
    assert "dev IdP" in result.stderr


def test_check_notes_that_nobody_can_sign_in(call: Call, folder: Path) -> None:
    """Without a connection the app starts, but protected paths answer 503: worth a word."""
    (folder / "sso.toml").write_text(SETTINGS)
    result = call("check")
    assert result.exit_code == 0
    assert "0 connections" in result.stdout
    assert "note: no connection is set up yet" in result.stdout


def test_without_settings_the_first_step_is_told(call: Call, folder: Path) -> None:
    """No sso.toml and no SSO_CONFIG: that comes first, with the command that writes one."""
    (folder / "sso.toml").unlink()
    result = call("check")
    assert result.exit_code == 1
    assert f"- no sso.toml in {folder}, and SSO_CONFIG is not set: run `sso-middleware init`" in result.stderr
    assert result.stderr.index("no sso.toml") < result.stderr.index("base_url: is missing")
    assert 'secret_keys: is missing; make one with: python -c "import secrets' in result.stderr


# Records


def test_migrate_says_what_it_did(call: Call, folder: Path) -> None:
    """From nothing to the revision that is needed; again, nothing to do."""
    first, second = call("migrate"), call("migrate")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "was empty" in first.stdout
    assert "nothing to do" in second.stdout
    assert (folder / "sso.db").exists()


def test_a_database_that_can_t_be_used_is_told(call: Call, folder: Path) -> None:
    """In words, with code 1, without a traceback."""
    (folder / "sso.toml").write_text(f'database_url = "sqlite:///missing/sso.db"\n{SETTINGS}')
    for arguments in (("migrate",), ("housekeeping",), ("events",), ("keys", "reseal")):
        result = call(*arguments)
        assert result.exit_code == 1
        assert "directory of database_url does not exist" in result.stderr


def test_housekeeping_deletes_what_has_ended(call: Call, folder: Path) -> None:
    """Once, from cron."""
    call("migrate")
    store, now = store_in(folder), system_clock()
    ended = LoginRequest("_1", "acme", "/", "browser", "login", now - timedelta(hours=2), now - timedelta(hours=1))
    store.add_login_request(ended)
    store.add_login_request(replace(ended, id="_2", expires_at=now + timedelta(hours=1)))
    result = call("housekeeping")
    assert (result.exit_code, result.stdout) == (0, "1 expired records deleted.\n")
    assert store.get_login_request("_2", now)
    store.close()


@pytest.fixture
def happened(call: Call, folder: Path) -> None:
    call("migrate")
    store = store_in(folder)
    store.add_event(Event("login_succeeded", NOW, "acme", client="192.0.2.1", email="ada@acme.example"))
    detail = {"nothing": "", "expected": "https://app.example.com", "came": "a\x1b[2Jb\nc"}
    store.add_event(Event("audience_mismatch", NOW + timedelta(minutes=1), "acme", "babud-kolim", detail=detail))
    store.close()


@pytest.mark.usefixtures("happened")
def test_events_are_listed_newest_first(call: Call) -> None:
    """A line for each, and its details below; what came from outside moves no cursor."""
    result = call("events")
    assert result.exit_code == 0
    first, *details, last = result.stdout.splitlines()
    assert first == "2026-03-01 12:01:00Z  audience_mismatch             connection acme  ref babud-kolim"
    assert sorted(details) == ["    came: a\ufffd[2Jb\ufffdc", "    expected: https://app.example.com"]
    assert last.endswith("login_succeeded               connection acme  person ada@acme.example  from 192.0.2.1")
    assert len(call("events", "--limit", "1").stdout.splitlines()) == 3


@pytest.mark.usefixtures("happened")
def test_a_reference_finds_its_event(call: Call) -> None:
    """As it was read out on the telephone; code 1 if there is no such reference."""
    found = call("events", "--reference", " Babud-Kolim", "--json")
    (event,) = json.loads(found.stdout)
    assert (event["code"], event["detail"]["expected"]) == ("audience_mismatch", "https://app.example.com")
    missing = call("events", "--reference", "zuzuz-zuzuz")
    assert (missing.exit_code, missing.stdout) == (1, "Nothing has this reference.\n")


def test_without_events_nothing_has_happened(call: Call) -> None:
    """An empty list is no fault."""
    result = call("events")
    assert (result.exit_code, result.stdout) == (0, "Nothing has happened yet.\n")
    assert json.loads(call("events", "--json").stdout) == []


def test_check_notes_every_dated_exception(call: Call, folder: Path) -> None:
    """One that is open and one that has ended: the operator sees both, as the log at start tells them."""
    open_until = (system_clock() + timedelta(days=60)).date()
    exceptions = f"sha1_until = {open_until}\nskip_destination_until = 2020-01-01\n"
    (folder / "sso.toml").write_text(SETTINGS + ACME + exceptions)
    result = call("check")
    assert result.exit_code == 0
    assert f"connection 'acme': sha1_until allows SHA-1 signatures until {open_until}" in result.stdout
    assert "connection 'acme': skip_destination_until has ended; take it out" in result.stdout


# Metadata and keys


def test_metadata_is_for_upload(call: Call, folder: Path) -> None:
    """To stdout or a file; the same signing key each time."""
    printed, written = call("metadata", "acme"), call("metadata", "acme", "-o", "us.xml")
    assert (printed.exit_code, written.exit_code) == (0, 0)
    assert "http://127.0.0.1:8000/sso/acme/acs" in printed.stdout
    assert printed.stdout.endswith(">\n")
    assert (folder / "us.xml").read_bytes() == printed.stdout_bytes
    assert call("metadata").stdout == printed.stdout


def test_metadata_of_an_unknown_connection(call: Call, folder: Path) -> None:
    """Which ones there are is told; without any, what to add; with several, which one must be said."""
    unknown = call("metadata", "acne")
    assert unknown.exit_code == 2
    assert "there are: acme" in unknown.stderr
    (folder / "sso.toml").write_text(SETTINGS)
    assert call("metadata").exit_code == 1
    other = ACME.replace('"acme', '"globex').replace("Acme", "Globex").replace("globex.xml", "acme.xml")
    (folder / "sso.toml").write_text(SETTINGS + ACME + other.replace('"acme.co', '"globex.co'))
    several = call("metadata")
    assert several.exit_code == 2
    assert "acme, globex" in several.stderr


def test_shared_metadata_is_for_all(call: Call, folder: Path) -> None:
    """With `shared_acs` there is one document."""
    (folder / "sso.toml").write_text(f'shared_acs = true\nsp_entity_id = "urn:us"\n{SETTINGS}{ACME}')
    result = call("metadata", "acme")
    assert 'entityID="urn:us"' in result.stdout
    assert "http://127.0.0.1:8000/sso/acs" in result.stdout
    assert call("metadata").stdout == result.stdout


def test_metadata_of_one_that_moved_in_among_those_that_share(call: Call, folder: Path) -> None:
    """Asked for by id it has its own entity id and addresses; what all share has not."""
    moved_in = 'sp_entity_id = "urn:former"\nacs_paths = ["/saml/acs"]\n'
    (folder / "sso.toml").write_text(f"shared_acs = true\n{SETTINGS}{ACME}{moved_in}")
    own, shared = call("metadata", "acme").stdout, call("metadata").stdout
    assert 'entityID="urn:former"' in own
    assert "http://127.0.0.1:8000/saml/acs" in own
    assert 'entityID="http://127.0.0.1:8000/sso/metadata"' in shared
    assert "saml/acs" not in shared


def test_metadata_needs_no_hooks(call: Call, folder: Path) -> None:
    """The host's hooks are not there on the command line, and nothing is asked of them."""
    (folder / "sso.toml").write_text(f'mode = "domains"\n{SETTINGS}{ACME}excluded_users = "it@acme.example"\n')
    assert call("metadata").exit_code == 0


def test_a_secret_key_is_replaced_in_three_steps(call: Call, folder: Path) -> None:
    """The new one first, reseal, drop the old one: our signing key stays the same."""
    with_old = (SETTINGS + ACME).replace(KEY, OLD_KEY)
    (folder / "sso.toml").write_text(with_old)
    before = call("metadata").stdout
    (folder / "sso.toml").write_text(SETTINGS + ACME)
    dropped_too_early = call("metadata")
    assert dropped_too_early.exit_code == 1
    assert "keys reseal" in dropped_too_early.stderr
    (folder / "sso.toml").write_text((SETTINGS + ACME).replace(f'"{KEY}"', f'"{KEY}", "{OLD_KEY}"'))
    assert call("keys", "reseal").stdout == "1 keys sealed anew.\n"
    assert "already" in call("keys", "reseal").stdout
    (folder / "sso.toml").write_text(SETTINGS + ACME)
    assert call("metadata").stdout == before


def test_secrets_are_not_printed(call: Call, folder: Path) -> None:
    """WEB-028: no command shows a secret key or a database password, whatever is wrong."""
    secret = "Tz8wQ1-never-print-this-value-9Xy2"
    (folder / "sso.toml").write_text(
        f'base_url = "x"\nsecret_keys = ["{secret}"]\ndatabase_url = "postgresql+psycopg://u:{secret}@127.0.0.1:1/x"\n'
    )
    for arguments in (("check",), ("migrate",), ("events",), ("keys", "reseal"), ("metadata",), ("dev-idp",)):
        result = call(*arguments)
        assert result.exit_code == 1
        assert secret not in result.output


def test_settings_are_loaded_from_the_named_file(call: Call, folder: Path) -> None:
    """--config wins; if nothing is there, the call was wrong."""
    for command in (("check",), ("events",), ("keys", "reseal"), ("dev-idp",)):
        result = call(*command, "--config", "elsewhere.toml")
        assert result.exit_code == 2
        assert "'--config'" in result.stderr
        assert "'elsewhere.toml' does not exist" in result.stderr
    with pytest.raises(ConfigurationError):
        Settings.load(environ={}, config=folder / "elsewhere.toml")
