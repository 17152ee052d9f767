"""From nothing to an enforced domain, as a new admin would do it; and what each command tells."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.cli.conftest import Call
from tests.world import World

from sso_middleware.calling import system_clock
from sso_middleware.cli import main
from sso_middleware.hooks import HostUser
from sso_middleware.stores.sql import SqlStore

ORGANIZATION = "Globex Corp"


def said_next(result: Result) -> str:
    found = re.search(r"Next: (.*)", result.output)
    assert found, result.output
    return found[1]


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The running app of an `init`ed folder, in mode `domains`: another process than the commands, as it were."""
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["init"]).exit_code == 0
    text = Path("sso.toml").read_text().replace('mode = "everyone"', 'mode = "domains"')
    Path("sso.toml").write_text(text)
    values = tomllib.loads(text)
    assert CliRunner().invoke(main, ["migrate"]).exit_code == 0
    url = f"sqlite:///{tmp_path}/sso.db"
    world = World("wsgi", "plain", SqlStore(url), url, connections=[], **{k: values[k] for k in KEPT})
    world.now = system_clock()
    yield world
    world.close()
    world.store.close()


KEPT = ("base_url", "secret_keys", "mode")


def test_from_nothing_to_an_enforced_domain_in_under_ten_commands(app: World) -> None:
    """Each command names the next one; after the last, who is signed in by the app's own login must come by SSO."""
    Path("their.xml").write_text(app.idp.metadata)
    commands = ["init"]  # and migrate is for PostgreSQL

    def do(command: str) -> Result:
        commands.append(command)
        result = CliRunner().invoke(main, command.split("|") if "|" in command else command.split())
        assert result.exit_code == 0, result.output
        return result

    app.hooks.user = lambda request: HostUser("hank@globex.example", "7")
    made = do(f"connections|create|globex|--organization|{ORGANIZATION}|--metadata-file|their.xml")
    assert "http://127.0.0.1:8000/sso/globex/metadata" in made.output
    assert said_next(made) == "sso-middleware domains add DOMAIN --connection globex"

    added = do("domains add globex.example --connection globex")
    assert "_sso-middleware.globex.example  TXT  sso-middleware-verification=" in added.output
    assert said_next(added) == "sso-middleware domains verify globex.example"

    verified = do("domains verify globex.example --on-my-word")
    assert said_next(verified) == "sso-middleware connections test globex"

    link = re.search(r"http://\S+", do("connections test globex").output)
    assert link
    browser = app.browser()
    app.wait(seconds=1)
    form = app.idp.log_in(browser.get(link[0]).location, "hank@globex.example", now=app.now)
    answer = browser.post("/sso/globex/acs", form, cross_site=True)
    assert "passed" in browser.get(answer.location).text

    active = do("connections activate globex")
    assert said_next(active) == "sso-middleware connections exclude globex EMAIL EMAIL"
    assert said_next(do("connections exclude globex it1@globex.example it2@globex.example")) == (
        "sso-middleware domains mode globex.example exclusive"
    )
    app.wait(seconds=1)
    assert browser.get("/report").status == 200

    done = do("domains mode globex.example exclusive")
    assert said_next(done) == "nothing: it is in use"
    app.wait(seconds=1)

    assert browser.get("/report").status == 303
    assert len(commands) < 10, commands
    codes = [event["code"] for event in json.loads(CliRunner().invoke(main, ["events", "--json"]).output)]
    assert codes[:2] == ["host_session_ended", "domain_mode_changed"]


def test_that_there_is_no_connection_is_said_while_there_is_none(app: World, caplog: pytest.LogCaptureFixture) -> None:
    """One that was made at run time is one, although the settings don't name it."""
    CliRunner().invoke(main, ["domains", "list"])
    assert "there is no connection" in caplog.text
    caplog.clear()

    CliRunner().invoke(main, ["connections", "create", "globex", "--organization", ORGANIZATION])
    caplog.clear()
    CliRunner().invoke(main, ["domains", "list"])
    assert "there is no connection" not in caplog.text


def test_what_is_not_ready_is_refused_in_words(app: World) -> None:
    """Exit 1, what is missing, and what to do; --force goes on."""
    Path("their.xml").write_text(app.idp.metadata)
    run(f"connections|create|globex|--organization|{ORGANIZATION}|--metadata-file|their.xml")
    run("domains add globex.example --connection globex --verified")

    refused = CliRunner().invoke(main, ["domains", "mode", "globex.example", "exclusive"])
    assert refused.exit_code == 1
    assert "sso-middleware connections test globex" in refused.output
    assert "sso-middleware connections exclude globex EMAIL EMAIL" in refused.output

    run("domains mode globex.example exclusive --force")
    events = run("events").output
    assert "lock_out_risked" in events


def run(command: str) -> Result:
    result = CliRunner().invoke(main, command.split("|") if "|" in command else command.split())
    assert result.exit_code == 0, result.output
    return result


def test_settings_are_changed_one_by_one(app: World) -> None:
    """Texts, lists, tables by a dot; an empty value takes one out; what is wrong changes nothing."""
    run(f"connections|create|globex|--organization|{ORGANIZATION}")
    run('connections|set|globex|soft_timeout=5m|attributes.email=mail|test_users=["hank@globex.example"]')
    shown = json.loads(run("connections show globex --json").output)
    assert shown["settings"] == {
        "soft_timeout": "5m",
        "attributes": {"email": "mail"},
        "test_users": ["hank@globex.example"],
    }

    run("connections set globex soft_timeout= attributes.email=")
    assert json.loads(run("connections show globex --json").output)["settings"] == {
        "test_users": ["hank@globex.example"]
    }

    wrong = CliRunner().invoke(main, ["connections", "set", "globex", "hard_timeout=forever"])
    assert wrong.exit_code == 1
    assert "hard_timeout" in wrong.output
    for bad in ("nonsense", "x={", "=5"):
        assert CliRunner().invoke(main, ["connections", "set", "globex", bad]).exit_code == 2


def test_the_exclusion_list_asks_for_two(app: World) -> None:
    """One is warned about; they are added and taken off by address."""
    run(f"connections|create|globex|--organization|{ORGANIZATION}")

    assert "two or more" in run("connections exclude globex it1@globex.example").output
    assert "two or more" not in run("connections exclude globex it2@globex.example,it3@globex.example").output
    assert (
        "2 excluded users: it1@globex.example, it3@globex.example"
        in run("connections include globex it2@globex.example").output
    )
    assert CliRunner().invoke(main, ["connections", "include", "globex", "stranger@globex.example"]).exit_code == 2


def test_a_declared_connection_is_switched_off_and_on(call: Call) -> None:
    """In a hurry, without touching the settings."""
    assert "disabled" in call("connections", "disable", "acme").output
    assert json.loads(call("connections", "show", "acme", "--json").output)["state"] == "disabled"
    assert "active" in call("connections", "activate", "acme").output
    assert json.loads(call("connections", "show", "acme", "--json").output)["state"] == "active"


def test_deleting_asks_first(app: World) -> None:
    """And says what goes with it."""
    run(f"connections|create|globex|--organization|{ORGANIZATION}")
    run("domains add globex.example --connection globex")

    kept = CliRunner().invoke(main, ["connections", "delete", "globex"], input="n\n")
    assert kept.exit_code == 1
    assert "globex.example" in kept.output
    run("connections delete globex --yes")
    assert "There is no connection yet" in run("connections list").output
    assert "There is no domain yet" in run("domains list").output


def test_admins_are_named_replaced_and_removed(app: World) -> None:
    """With what follows for recovery links."""
    run(f"connections|create|globex|--organization|{ORGANIZATION}")
    run("admins add it@globex.example --connection globex")
    assert "24 hours" in run("admins replace it@globex.example new@globex.example --connection globex").output
    assert "new@globex.example" in run("admins list").output
    run("admins remove new@globex.example --connection globex")
    assert "no SSO account admin yet" in run("admins list").output
    again = CliRunner().invoke(main, ["admins", "remove", "new@globex.example", "--connection", "globex"])
    assert again.exit_code == 1
