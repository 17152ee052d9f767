"""`recovery-link` and `mail test`: a way back in by the operator's hand, and whether mail gets out."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from tests.cli.conftest import ACME, SETTINGS, Call
from tests.mail_servers import mail_server
from tests.servers import free_port

from sso_middleware.calling import system_clock
from sso_middleware.stores.sql import SqlStore
from sso_middleware.tokens import hash_token

ADMINS = 'admins = ["it1@acme.example", "it2@acme.example"]\n'
GLOBEX = """
[[connections]]
id = "globex"
organization = "Globex"
domains = ["globex.example"]
admins = ["it2@acme.example"]
metadata_file = "globex.xml"
"""


def with_admins(folder: Path, *, more: str = "", top: str = "") -> None:
    (folder / "globex.xml").write_text((folder / "acme.xml").read_text())
    (folder / "sso.toml").write_text(SETTINGS + top + ACME + ADMINS + more)


def test_an_operator_makes_a_link(folder: Path, call: Call) -> None:
    """It is good, the one before is not, and it is told who made it for whom, without the link itself."""
    with_admins(folder)
    first, second = (call("recovery-link", "IT1@acme.example") for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0)
    tokens = [urlsplit(result.stdout.strip()).query.removeprefix("token=") for result in (first, second)]
    assert second.stdout.startswith("http://127.0.0.1:8000/sso/recovery-access?token=")
    assert "within 15 minutes, once" in second.stderr

    store = SqlStore(f"sqlite:///{folder / 'sso.db'}")
    now = system_clock()
    assert [store.get_recovery_token(hash_token(token), now) is not None for token in tokens] == [False, True]
    events = store.get_events()
    store.close()
    assert [event.code for event in events] == ["recovery_link_made"] * 2
    assert events[0].email == "it1@acme.example"
    assert events[0].detail["actor"].startswith("command line")
    assert tokens[1] not in str(events)


def test_for_scripts_it_is_json(folder: Path, call: Call) -> None:
    """Organization, link and how long it lasts."""
    with_admins(folder)
    told = json.loads(call("recovery-link", "it1@acme.example", "--json").stdout)
    assert (told["organization"], told["minutes"]) == ("Acme Inc", 15)


def test_nobody_else_gets_one(folder: Path, call: Call) -> None:
    """Neither a stranger nor what is no address; the first is told how an admin is named."""
    with_admins(folder)
    stranger = call("recovery-link", "ada@acme.example")
    assert stranger.exit_code == 1
    assert "`admins` of a connection" in stranger.output
    assert call("recovery-link", "it1@acme.example", "--organization", "Globex").exit_code == 1
    assert call("recovery-link", "it1").exit_code == 2


def test_an_admin_of_two_organizations_must_be_told_for_which(folder: Path, call: Call) -> None:
    """A link is for one of them."""
    with_admins(folder, more=GLOBEX)
    assert call("recovery-link", "it2@acme.example").exit_code == 2
    assert "--organization" in call("recovery-link", "it2@acme.example").output
    assert call("recovery-link", "it2@acme.example", "--organization", "Globex").exit_code == 0


def test_a_test_mail_is_sent(folder: Path, call: Call) -> None:
    """At once, and it says what it shows."""
    with mail_server() as box:
        with_admins(folder, top=f'smtp_url = "smtp://127.0.0.1:{box.port}"\nmail_from = "sso@app.example"\n')
        result = call("mail", "test", "it1@acme.example")
    assert (result.exit_code, box.recipients) == (0, ["it1@acme.example"])
    assert "recovery links can reach" in box.text()


def test_a_test_mail_that_can_not_be_sent_says_why(folder: Path, call: Call) -> None:
    """No server, no settings, no address; the password is never told."""
    assert "No smtp_url is set" in call("mail", "test", "it1@acme.example").output
    top = f'smtp_url = "smtp://user:hunter2@127.0.0.1:{free_port()}"\nmail_from = "sso@app.example"\n'
    with_admins(folder, top=top)
    result = call("mail", "test", "it1@acme.example")
    assert result.exit_code == 1
    assert "could not be reached" in result.output
    assert "hunter2" not in result.output
    assert call("mail", "test", "it1").exit_code == 2


def test_settings_of_mail_are_checked_at_start(folder: Path, call: Call) -> None:
    """Both or neither, and in words that hold no password."""
    for top, words in (
        ('smtp_url = "smtp://u:hunter2@mail.example"\n', "mail_from: is missing"),
        ('mail_from = "sso@app.example"\n', "smtp_url: is missing"),
        ('smtp_url = "http://u:hunter2@mail.example"\nmail_from = "sso@app.example"\n', "smtp_url: must be such as"),
        ('smtp_url = "smtp://mail.example"\nmail_from = "SSO <sso@app.example>"\n', "mail_from: must be a plain"),
    ):
        with_admins(folder, top=top)
        result = call("check")
        assert result.exit_code == 1
        assert words in result.output
        assert "hunter2" not in result.output
