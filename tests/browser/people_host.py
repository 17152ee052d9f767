"""Everything around `people_app`: its folder and its commands, its customer's SimpleSAMLphp, and the mail."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, expect
from tests.browser.chromium import Chromium, running_chromium
from tests.mail_servers import Mailbox, mail_server
from tests.servers import BINARIES, SimpleSamlPhp, clean_environment, free_port, running_simplesamlphp, serving

ADMIN = "admin@rescue.example"
EXCLUDED = ("it1@acme.example", "it2@acme.example")

# SimpleSAMLphp reads this file at each request, and it reads the people.
AUTHSOURCES = """<?php
$people = json_decode(file_get_contents(__DIR__ . '/people.json'), true);
$config = ['admin' => ['core:AdminPassword'], 'example-userpass' => ['exampleauth:UserPass'] + $people];
"""

SETTINGS = """
roles = ["analyst", "editor", "member", "viewer"]
scope_kinds = ["project"]
smtp_url = "smtp://127.0.0.1:{port}"
mail_from = "sso@app.example"

[[intercept]]
path = "/login"
field = "email"
kind = "login"
"""

TEAMS = [
    {"id": "t1", "name": "Sales"},
    {"id": "t2", "name": "Sales EMEA", "parent": "t1"},
    {"id": "t3", "name": "Sales Americas", "parent": "t1"},
    {"id": "t4", "name": "Engineering"},
]
ROLE_MAPPING = {
    "Staff": {"account": ["member"]},
    "Engineers": {"account": ["member"], "project:42": ["editor"]},
    "Analysts": {"account": ["member", "analyst"], "project:7": ["viewer"]},
}


@dataclass
class Directory:
    """The people whom Acme's SimpleSAMLphp knows, by the name that they type there, which never changes."""

    idp: SimpleSamlPhp
    people: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def put(self, name: str, **changes: str | list[str]) -> None:
        """Add a person, or change attributes. Without any value an attribute is not sent."""
        person = self.people.setdefault(name, self._new(name))
        for attribute, value in changes.items():
            person[attribute] = [value] if isinstance(value, str) else value
        person["mail"] = person["Email"]
        self.write()

    def write(self) -> None:
        config = self.idp.home / "config"
        sent = {
            f"{name}:{name}-idp-pw": {attribute: values for attribute, values in person.items() if values}
            for name, person in self.people.items()
        }
        new = config / "people.new"
        new.write_text(json.dumps(sent))
        new.replace(config / "people.json")
        (config / "authsources.php").write_text(AUTHSOURCES)

    @staticmethod
    def _new(name: str) -> dict[str, list[str]]:
        return {
            "uid": [name],
            "FirstName": [name.title()],
            "LastName": ["Example"],
            "Email": [f"{name}@acme.example"],
            "Country": ["SE"],
            "department": ["Engineering"],
            "role_mapping": ["Staff"],
            "UserPrincipalId": [f"acme-{name}"],
        }

    def sign_in(self, page: Page, name: str) -> None:
        """On the form of SimpleSAMLphp, which is shown."""
        page.wait_for_url(re.compile(re.escape(self.idp.url)))
        page.locator("input[name=username]").fill(name)
        page.locator("input[name=password]").fill(f"{name}-idp-pw")
        page.locator("input[name=password]").press("Enter")


@dataclass
class Host:
    url: str
    folder: Path
    directory: Directory
    mailbox: Mailbox
    commands: list[str] = field(default_factory=list)
    """What it took from nothing to an enforced domain."""
    test_report: str = ""

    @property
    def report(self) -> str:
        return f"{self.url}/report?year=2026&q=a%2Fb+c"

    def run(self, *arguments: str) -> str:
        """`sso-middleware …`, by whoever runs the app, while it runs."""
        command = [str(BINARIES / "sso-middleware"), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def change(self, *arguments: str) -> None:
        """The same, and every worker has heard of it."""
        self.run(*arguments)
        time.sleep(1)  # that long it may take

    def test_sign_in(self, told: str) -> str:
        """Nora opens the link that the command printed. The report that she sees."""
        link = re.search(r"http://\S+", told)
        assert link, told
        with running_chromium(self.folder / "profile", "people-test-sign-in") as chromium:
            page = chromium.first_tab
            page.goto(link[0])
            self.directory.sign_in(page, "nora")
            page.get_by_role("heading", name="The test of Acme Inc").wait_for()
            whole_page(chromium, page, "report")
            assert chromium.complaints == []
            return page.locator("main").inner_text()

    def user(self, user_id: str) -> dict[str, Any]:
        return dict(json.loads((self.folder / "users" / f"{user_id}.json").read_text()))

    @property
    def user_ids(self) -> set[str]:
        return {path.stem for path in (self.folder / "users").glob("*.json")}

    def roles(self, user_id: str) -> dict[str, list[str]]:
        return dict(json.loads((self.folder / "roles" / f"{user_id}.json").read_text()))

    def identities(self, principal: str) -> list[dict[str, Any]]:
        """What `provision` was told of this person, by the value of UserPrincipalId."""
        lines = (self.folder / "identities.jsonl").read_text().splitlines()
        found = [dict(json.loads(line)) for line in lines]
        return [each for each in found if each["attributes"]["UserPrincipalId"] == [principal]]

    def events(self) -> list[dict[str, Any]]:
        """Newest first."""
        return list(json.loads(self.run("events", "--json", "--limit", "200")))

    # What people do

    def log_in(self, page: Page, email: str, password: str = "") -> None:
        """From the protected page, which the host keeps for those who are signed in, by the host's own form."""
        page.goto(self.report)
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()

    def sign_in(self, page: Page, name: str) -> None:
        """Through the host's form to SimpleSAMLphp, where nobody remembers them, and back to whatever page comes."""
        page.context.clear_cookies()
        self.log_in(page, self.directory.people[name]["Email"][0])
        self.directory.sign_in(page, name)
        page.wait_for_url(lambda url: url.startswith(self.url))


def shown(page: Page) -> dict[str, str]:
    """What the report says of who is signed in."""
    expect(page.get_by_role("heading", level=1)).to_have_text("Report")
    names = page.locator("dt").all_inner_texts()
    return dict(zip(names, page.locator("dd").all_inner_texts(), strict=True))


@contextmanager
def running_host(folder: Path) -> Iterator[Host]:
    """From an empty folder, by the commands that a new admin would type, to an app with Acme's domain enforced."""
    port = free_port()
    with ExitStack() as stack:
        idp = stack.enter_context(running_simplesamlphp(folder / "simplesamlphp"))
        mailbox = stack.enter_context(mail_server())
        host = Host(f"http://127.0.0.1:{port}", folder / "app", Directory(idp), mailbox)
        host.folder.mkdir()
        host.commands.append("init")
        assert "Next: sso-middleware connections create ID --organization NAME " in host.run(
            "init", "--base-url", host.url
        )
        settings = host.folder / "sso.toml"
        text = settings.read_text().replace('mode = "everyone"', 'mode = "domains"')
        text = text.replace('protect = ["/"]', 'protect = ["/report"]')
        settings.write_text(text + SETTINGS.format(port=mailbox.port))
        stack.enter_context(serving("tests.browser.people_app:app", host.folder, server="gunicorn", port=port))
        _from_nothing(host)
        yield host


def _from_nothing(host: Host) -> None:
    idp = host.directory.idp
    host.directory.put("nora")
    metadata = str(idp.metadata_file)
    told = _step(host, ["connections", "create", "acme", "--organization", "Acme Inc", "--metadata-file", metadata])
    address = re.search(r"http://\S+/metadata", told)
    assert address, told
    idp.add_service_provider("people", httpx.get(address[0], trust_env=False).text)
    while (following := _next(told)) is not None:
        told = _step(host, following)
        if following[:2] == ["connections", "test"]:
            host.test_report = host.test_sign_in(told)


def _step(host: Host, arguments: list[str]) -> str:
    assert len(host.commands) < 12, host.commands
    host.commands.append(shlex.join(arguments))
    return host.run(*arguments)


def _next(told: str) -> list[str] | None:
    """What the command named, with what only the admin knows filled in."""
    following = re.findall(r"^ *(?:Next|Then|next): (.+)$", told, re.MULTILINE)[-1]
    if following == "nothing: it is in use":
        return None
    program, *arguments = shlex.split(following)
    assert program == "sso-middleware", told
    known = {"DOMAIN": "acme.example", "EMAIL": ADMIN}
    on_my_word = ["--on-my-word"] if arguments[:2] == ["domains", "verify"] else []  # here is no DNS to ask
    return [known.get(argument, argument) for argument in arguments] + on_my_word


def whole_page(chromium: Chromium, page: Page, name: str) -> None:
    """As long as it is."""
    size = page.viewport_size
    assert size is not None
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": max(size["height"], int(height))})
    chromium.screenshot(page, name)
    page.set_viewport_size(size)
