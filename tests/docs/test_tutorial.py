"""The tutorial works as written: its files, its commands in their order, and what it says one will see."""

from __future__ import annotations

import shlex
import subprocess
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urljoin

import httpx
import lxml.html
from tests.docs.blocks import ROOT, blocks
from tests.servers import BINARIES, clean_environment, free_port, running
from tests.visitor import Visitor, form_on, response_on

TUTORIAL = ROOT / "docs" / "tutorial.md"
STAYS_RUNNING = ("sso-middleware dev-idp", "gunicorn")


def test_the_tutorial(tmp_path: Path) -> None:
    """A reader who does what it says signs in as Ada, is refused as Carol, and finds both on record."""
    port, idp_port = free_port(), free_port()
    base_url = f"http://127.0.0.1:{port}"
    # The reader's ports are free; ours are chosen.
    options = {
        "sso-middleware init": f"--base-url {base_url}",
        "sso-middleware dev-idp": f"--port {idp_port}",
        "gunicorn app:app": f"--bind 127.0.0.1:{port}",
    }
    printed: dict[str, str] = {}
    with ExitStack() as servers:
        for block in blocks("python", "toml", "sh", page=TUTORIAL):
            if block.language == "python":
                (tmp_path / "app.py").write_text(block.code)
            elif block.language == "toml":
                write_setting(tmp_path / "sso.toml", block.code)
            else:
                command = block.code.strip()
                more = next((more for start, more in options.items() if command.startswith(start)), "")
                arguments = shlex.split(f"{BINARIES}/{command} {more}")
                if command.startswith(STAYS_RUNNING):
                    url = f"http://127.0.0.1:{idp_port}" if "dev-idp" in command else base_url
                    name = Path(arguments[0]).name
                    process = servers.enter_context(running(name, arguments, url=url, directory=tmp_path))
                    process.wait_until_answers("/")
                    if command.startswith("gunicorn"):
                        check_sign_in(base_url)
                else:
                    printed[command] = run(arguments, tmp_path)

    assert "acme" in printed["sso-middleware check"]
    assert "login_succeeded" in printed["sso-middleware events"]
    assert "email_outside_domains" in printed["sso-middleware events"]


def check_sign_in(base_url: str) -> None:
    with Visitor() as reader:
        assert reader.get(base_url).text.startswith("Everybody may read this")
        people = reader.get(f"{base_url}/report?year=2026")
        page = reader.send(response_on(reader.send(form_on(people), **choice(people.text, "ada"))))
        assert str(page.url) == f"{base_url}/report?year=2026"
        assert page.text == "Hello, Ada Lovelace! This is /report"
        signed_out = reader.send(form_on(reader.get(f"{base_url}/sso/logout")))
        assert signed_out.url.path == "/sso/signed-out"
        # In the same browser, as the reader's: the identity provider remembers Ada.
        people = ask_again(reader, f"{base_url}/report")
        page = reader.send(response_on(reader.send(form_on(people), **choice(people.text, "carol"))))
        assert page.status_code == 403
        assert "email_outside_domains" in page.text
        people = ask_again(reader, f"{base_url}/report")
        page = reader.send(response_on(reader.send(form_on(people), **choice(people.text, "grace"))))
        assert page.text == "Hello, Grace Hopper! This is /report"


def ask_again(reader: Visitor, url: str) -> httpx.Response:
    """The page that says that one has signed out has one link, back to where one wants to go."""
    page = reader.get(url)
    assert "You are signed out" in page.text
    (link,) = (a for a in lxml.html.fromstring(page.text).iter("a") if a.text == "Sign in again")
    return reader.get(urljoin(str(page.url), link.get("href", "")))


def choice(page: str, person: str) -> dict[str, str]:
    assert person in page.lower()
    return {"person": person}


def write_setting(file: Path, code: str) -> None:
    """A line replaces the one of the same name; a table goes to the end."""
    text = file.read_text()
    if code.startswith("[["):
        file.write_text(f"{text}\n{code}")
        return
    name = code.partition(" = ")[0]
    lines = [code.rstrip() if line.startswith(f"{name} = ") else line for line in text.splitlines()]
    assert code.rstrip() in lines
    file.write_text("\n".join(lines) + "\n")


def run(arguments: list[str], folder: Path) -> str:
    result = subprocess.run(
        arguments, cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
