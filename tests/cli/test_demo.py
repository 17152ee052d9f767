"""The demo and the dev IdP as processes, and the demo's app by itself."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import httpx
import pytest
from tests.cli.conftest import Call
from tests.servers import BINARIES, ROOT, clean_environment

from sso_middleware.cli.demo_app import FIRST_REPORT, STYLE, demo_app
from sso_middleware.principal import Principal

ADA = Principal("acme", "Acme <Inc>", "key", "ada@acme.example", "Ada", "<b>Lovelace</b>", roles=("admin", '"><i>'))


class Form(HTMLParser):
    """The first form of a page: its action and its fields."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and not self.action:
            self.action = values["action"]
        if tag == "input" and "name" in values:
            self.fields[values["name"]] = values.get("value", "")


# Ctrl-C must reach it: whatever a shell starts in the background is started without.
PROGRAM = """
import signal
from sso_middleware.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


@contextmanager
def running(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A command as a process of its own, killed at the end if it did not end by itself."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SSO_")}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    with subprocess.Popen(
        command, cwd=cwd, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def address_in(process: subprocess.Popen[str]) -> str:
    """The address that it prints once it listens."""
    assert process.stdout is not None
    for line in process.stdout:
        if match := re.search(r"http://[a-z0-9.]+:[0-9]+", line):
            return match[0]
    raise AssertionError(process.stderr.read() if process.stderr else "no address")


def post_form(browser: httpx.Client, page: httpx.Response, **fields: str) -> httpx.Response:
    form = Form(page.text)
    return browser.post(page.url.join(unescape(form.action)), data=form.fields | fields, follow_redirects=True)


def follow(browser: httpx.Client, page: httpx.Response, text: str) -> httpx.Response:
    found = re.search(f'href="([^"]+)">{text}</a>', page.text)
    assert found is not None, page.text
    return browser.get(page.url.join(unescape(found[1])))


def test_the_demo_prints_the_mail_of_the_way_back_in(tmp_path: Path) -> None:
    """Grace asks, the mail is printed within seconds, and its link opens recovery access to her organization."""
    with (
        running("demo", "--port", "0", "--idp-port", "0", "--data", "data", cwd=tmp_path) as process,
        httpx.Client(headers={"Accept": "text/html"}) as browser,
    ):
        page = browser.get(f"{address_in(process)}/sso/recovery-access")
        assert "Look into your mail" in post_form(browser, page, email="grace@acme.example").text
        assert process.stdout is not None
        link = next(line.strip() for line in process.stdout if "token=" in line)
        opened = post_form(browser, browser.get(link))
        assert "Single sign-on of Acme Inc" in opened.text


def test_the_demo_works_from_start_to_stop(tmp_path: Path) -> None:
    """Open the one address, sign in, see the report that was asked for, sign out; SIGTERM ends it cleanly."""
    with running("demo", "--port", "0", "--idp-port", "0", "--data", "data", cwd=tmp_path) as process:
        url = address_in(process)
        with httpx.Client(headers={"Accept": "text/html"}) as browser:
            front = browser.get(url)
            assert "Sign in" in front.text
            sign_in = browser.get(url + FIRST_REPORT, follow_redirects=True)
            assert sign_in.url.host == "localhost"
            posting = post_form(browser, sign_in, person="ada")
            report = post_form(browser, posting)
            assert str(report.url) == url + FIRST_REPORT
            assert "Ada Lovelace" in report.text
            assert "admin" in report.text
            signed_out = post_form(browser, report)
            assert signed_out.status_code == 200
            assert signed_out.url.path == "/sso/signed-out"
            assert browser.get(url + FIRST_REPORT).status_code == 303
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert output.endswith("Stopped.\n")
    assert (tmp_path / "data" / ".gitignore").read_text() == "*\n"


def test_the_demo_s_settings_are_yours(folder: Path) -> None:
    """What you changed in its sso.toml stays, and is used; Ctrl-C ends it with code 0."""
    text = (folder / "sso.toml").read_text().replace("acme.xml", "idp.xml")
    (folder / "sso.toml").write_text(f'protect = ["/"]\n{text}')
    with running("demo", "--port", "0", "--idp-port", "0", "--data", ".", cwd=folder) as process:
        assert httpx.get(address_in(process), headers={"Accept": "text/html"}).status_code == 303
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert (folder / "sso.toml").read_text() == f'protect = ["/"]\n{text}'


def test_another_person_signs_in_after_the_first(tmp_path: Path) -> None:
    """In one browser: Ada signs out, Carol is refused, Grace signs in; nobody signs out at the dev IdP."""
    with running("demo", "--port", "0", "--idp-port", "0", "--data", "data", cwd=tmp_path) as process:
        url = address_in(process)
        with httpx.Client(headers={"Accept": "text/html"}, follow_redirects=True) as browser:
            ada = post_form(browser, post_form(browser, browser.get(url + FIRST_REPORT), person="ada"))
            assert "Ada Lovelace" in ada.text
            post_form(browser, ada)
            people = follow(browser, browser.get(url + FIRST_REPORT), "Sign in again")
            assert "(signed in)" in people.text
            carol = post_form(browser, post_form(browser, people, person="carol"))
            assert (carol.status_code, "email_outside_domains" in carol.text) == (403, True)
            people = follow(browser, carol, "Try again")
            grace = post_form(browser, post_form(browser, people, person="grace"))
            assert (str(grace.url), "Grace Hopper" in grace.text) == (url + FIRST_REPORT, True)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def test_its_hint_works_as_it_is_printed(tmp_path: Path) -> None:
    """Started by a path, as `make demo` does, that path is in the command that it tells people to type."""
    (tmp_path / "bin").symlink_to(BINARIES)
    environ = clean_environment(PATH="/usr/bin:/bin")
    command = ["bin/sso-middleware", "demo", "--port", "0", "--idp-port", "0", "--data", "my data"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, text=True, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            hint = next(line.partition("What happened: ")[2] for line in process.stdout if "What happened" in line)
            assert hint.startswith("bin/sso-middleware events -c ")
            result = subprocess.run(
                hint, shell=True, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60
            )
            assert (result.returncode, result.stdout, result.stderr) == (0, "Nothing has happened yet.\n", "")
        finally:
            process.kill()


def test_two_demos_don_t_disturb_each_other(tmp_path: Path) -> None:
    """One directory is for one demo at a time; of two, one browser is signed in at both: cookies know no ports."""
    first = running("demo", "--port", "0", "--idp-port", "0", "--data", "one", cwd=tmp_path)
    second = running("demo", "--port", "0", "--idp-port", "0", "--data", "two", cwd=tmp_path)
    with first as one, second as two:
        urls = [address_in(one), address_in(two)]
        metadata = (tmp_path / "one" / "idp.xml").read_text()
        with running("demo", "--port", "0", "--idp-port", "0", "--data", "one", cwd=tmp_path) as third:
            output, errors = third.communicate(timeout=30)
        assert (third.returncode, output) == (2, "")
        assert "one is in use by another demo. Stop that one, or choose another directory with --data." in errors
        assert (tmp_path / "one" / "idp.xml").read_text() == metadata
        with httpx.Client(headers={"Accept": "text/html"}, follow_redirects=True) as browser:
            for url in urls:
                report = post_form(browser, post_form(browser, browser.get(url + FIRST_REPORT), person="ada"))
                assert report.status_code == 200
            for url in urls:
                assert str(browser.get(url + FIRST_REPORT).url) == url + FIRST_REPORT


@pytest.mark.parametrize("option", ["--port", "--idp-port"])
def test_a_taken_port_is_told(call: Call, option: str) -> None:
    """Which one, and what to do; with code 2 and nothing left behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = call("demo", "--port", "0", "--idp-port", "0", option, port, "--data", "data")
    assert result.exit_code == 2
    assert f"Port {port} can't be used" in result.stderr
    assert option in result.stderr
    assert not Path("data").exists()


def test_both_ports_that_are_taken_are_told_at_once(call: Call) -> None:
    """And what to type instead, by the command and by make."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [str(taken.getsockname()[1]) for taken in (one, two)]
        result = call("demo", "--port", ports[0], "--idp-port", ports[1], "--data", "data")
    assert result.exit_code == 2
    assert all(f"Port {port} can't be used" in result.stderr for port in ports)
    assert "demo --port 8010 --idp-port 8011" in result.stderr
    assert 'make demo DEMO="--port 8010 --idp-port 8011"' in result.stderr
    assert not Path("data").exists()


def test_make_demo_hands_its_options_on() -> None:
    """What the message says to type is what the Makefile understands."""
    printed = subprocess.run(
        ["make", "--dry-run", "demo", "DEMO=--port 8010 --idp-port 8011"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},  # not a child's
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.endswith("sso-middleware demo --port 8010 --idp-port 8011\n")


def test_a_data_directory_that_can_t_be_written_is_told(call: Call, folder: Path) -> None:
    """A file in its place: code 2, in words."""
    (folder / "data").mkdir()
    (folder / "data" / "idp.xml").mkdir()
    result = call("demo", "--port", "0", "--idp-port", "0", "--data", "data")
    assert result.exit_code == 2
    assert "can't be written to" in result.stderr


def test_the_dev_idp_writes_its_metadata(folder: Path) -> None:
    """For the connection of the app that is being developed; its page names that connection."""
    (folder / "acme.xml").unlink()
    with running("dev-idp", "--port", "0", "--metadata-file", "acme.xml", cwd=folder) as process:
        url = address_in(process)
        assert (folder / "acme.xml").read_text() == httpx.get(f"{url}/metadata").text
        assert "http://127.0.0.1:8000/sso/acme/metadata" in httpx.get(url).text
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")


def test_the_dev_idp_says_what_is_wrong(call: Call, folder: Path) -> None:
    """A taken port is a wrong call; no connection is something wrong found."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = call("dev-idp", "--port", str(taken.getsockname()[1]))
    assert (result.exit_code, "taken" in result.stderr) == (2, True)
    (folder / "sso.toml").write_text((folder / "sso.toml").read_text().partition("[[")[0])
    assert call("dev-idp", "--port", "0").exit_code == 1


def posted_response(page: httpx.Response) -> bytes:
    return b64decode(Form(page.text).fields["SAMLResponse"])


def test_the_demo_encrypts_if_you_say_so_in_its_settings(folder: Path) -> None:
    """`encryption` in its sso.toml is enough: its identity provider finds the key to encrypt for."""
    text = (folder / "sso.toml").read_text().replace("acme.xml", "idp.xml")
    (folder / "sso.toml").write_text(f'{text}encryption = "required"\n')
    with running("demo", "--port", "0", "--idp-port", "0", "--data", ".", cwd=folder) as process:
        url = address_in(process)
        with httpx.Client(headers={"Accept": "text/html"}, follow_redirects=True) as browser:
            posting = post_form(browser, browser.get(url + FIRST_REPORT), person="ada")
            assert b"EncryptedAssertion" in posted_response(posting)
            assert b"ada@acme.example" not in posted_response(posting)
            assert "Ada Lovelace" in post_form(browser, posting).text


def test_the_dev_idp_encrypts_as_it_is_told_to(folder: Path) -> None:
    """For a connection whose encryption is on, with the key that the app has in its database."""
    (folder / "acme.xml").unlink()
    (folder / "sso.toml").write_text((folder / "sso.toml").read_text() + 'encryption = "optional"\n')
    command = ("dev-idp", "--port", "0", "--metadata-file", "acme.xml", "--encrypt", "aes128-cbc", "--name-id", "email")
    with running(*command, cwd=folder) as process, httpx.Client(follow_redirects=True) as browser:
        people = browser.get(f"{address_in(process)}/idp-initiated?sp=http://127.0.0.1:8000/sso/acme/metadata")
        assert b"http://www.w3.org/2001/04/xmlenc#aes128-cbc" in posted_response(
            post_form(browser, people, person="ada")
        )


def test_the_dev_idp_needs_the_app_s_key_to_encrypt(folder: Path) -> None:
    """It gets the key as the app would: where the app could not start, it says why."""
    (folder / "acme.xml").unlink()
    (folder / "sso.toml").write_text((folder / "sso.toml").read_text() + 'encryption = "required"\n')
    with running("dev-idp", "--port", "0", cwd=folder) as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "acme.xml" in errors


# The app by itself


def get(path: str, query: str = "", principal: Principal | None = None) -> tuple[str, dict[str, str], str]:
    environ: dict[str, object] = {
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SCRIPT_NAME": "/app",
        "sso.principal": principal,
        "sso.csrf_token": 'token">',
    }
    setup_testing_defaults(environ)
    answer: list[tuple[str, dict[str, str]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: object = None, /) -> Callable[[bytes], object]:
        answer.append((status, dict(headers)))
        return lambda data: None

    result = validator(demo_app)(environ, start_response)
    body = b"".join(result)
    result.close()  # type: ignore[attr-defined]  # wsgiref.validate's iterator has one
    return (*answer[0], body.decode())


def test_the_app_greets_everybody() -> None:
    """The front page is for anybody, and leads to a report."""
    status, headers, html = get("/")
    assert status == "200 OK"
    assert 'href="/app/reports?region=north&amp;quarter=Q3"' in html
    assert "<form" not in html
    assert "style-src 'sha256-" in headers["Content-Security-Policy"]
    assert f"<style>{STYLE}</style>" in html


def test_the_app_shows_who_it_was_told() -> None:
    """WEB-016: name, organization and roles, escaped, and a form that signs out."""
    _, _, html = get("/reports", "region=south&quarter=Q1", ADA)
    assert "South region, Q1" in html
    assert "Ada &lt;b&gt;Lovelace&lt;/b&gt;" in html
    assert "Acme &lt;Inc&gt;" in html
    assert "&quot;&gt;&lt;i&gt;" in html
    assert 'action="/app/sso/logout"' in html
    assert Form(html).fields == {"csrf_token": 'token">'}
    assert "Open the reports" in get("/", principal=ADA)[2]


@pytest.mark.parametrize("query", ["", "region=<i>&quarter=<i>", "region=north&region=south", "%ff=%ff"])
def test_the_app_takes_any_query(query: str) -> None:
    """What it does not know it answers with the first report."""
    status, _, html = get("/reports", query, ADA)
    assert status == "200 OK"
    assert "North region, Q3" in html
    assert "<i>" not in html


def test_the_app_has_other_answers() -> None:
    """No such page; and nobody signed in, where somebody opened the reports to all."""
    assert get("/nowhere")[0] == "404 Not Found"
    assert "Nobody is signed in" in get("/reports")[2]
