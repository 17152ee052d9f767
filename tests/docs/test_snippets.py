"""What the documentation shows works: its programs run, its settings start, its commands and links exist."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tests.docs.blocks import PAGES, ROOT, Block, blocks, complete_toml, furnish
from tests.identity_provider import IdentityProvider
from tests.servers import clean_environment
from tests.visitor import NAVIGATION, way_out

from sso_middleware import Settings
from sso_middleware.cli import main

README = ROOT / "README.md"
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(#[\w-]+)?\)")
_PATH = re.compile(r"`((?:[\w-]+/)+[\w.-]*|[\w]+\.py)`")
_MAKE = re.compile(r"\bmake ([a-z]+)")
MADE_BY_THE_READER = {"app.py", "asgi.py", "wsgi.py"}
_OWN_COMMAND = re.compile(r"\bsso-middleware ([a-z][a-z-]*)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    furnish(tmp_path, IdentityProvider())
    return tmp_path


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_a_program_runs(block: Block, folder: Path) -> None:
    """Each Python block is a whole program: it starts, in a folder with settings, without a warning."""
    (folder / "shown.py").write_text(block.code)
    result = subprocess.run(
        [sys.executable, "-W", "error", "shown.py"],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_settings_are_accepted(block: Block, folder: Path) -> None:
    """Each TOML block, with a real key and what it left out, is a whole set of settings."""
    (folder / "sso.toml").write_text(complete_toml(block.code))
    settings = Settings.load(environ={}, config=folder / "sso.toml")
    assert settings.base_url


def test_the_readmes_app_signs_people_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ten lines of the README, with its settings, ask for a sign-in and then say hello."""
    identity_provider = IdentityProvider()
    furnish(tmp_path, identity_provider)
    for block in blocks("python", "toml", page=README):
        if block.file:
            code = complete_toml(block.code) if block.language == "toml" else block.code
            (tmp_path / block.file).write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSO_CONFIG", raising=False)
    monkeypatch.setenv("SSO_BACKGROUND", "false")  # else its thread would outlive the test
    app = runpy.run_path("app.py")["app"]

    base_url = "https://app.example.com"
    with httpx.Client(transport=httpx.WSGITransport(app), base_url=base_url, headers=NAVIGATION) as visitor:
        assert visitor.get("/sso/acme/metadata").status_code == 200
        leaving = way_out(visitor, "/report")
        form = identity_provider.log_in(leaving, "ada@acme.example", now=datetime.now(UTC))
        page = visitor.post("/sso/acme/acs", data=form, follow_redirects=True)

    assert (page.status_code, page.url.path) == (200, "/report")
    assert page.text.startswith("Hello, ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    """Relative links, paths in backticks and make targets lead somewhere."""
    text = page.read_text()
    links = [link for link, _ in _LINK.findall(text) if link and not (page.parent / link).exists()]
    assert links == []
    roots = (ROOT, ROOT / "src" / "sso_middleware")
    paths = [path for path in _PATH.findall(text) if path.endswith((".py", "/")) and path not in MADE_BY_THE_READER]
    assert [path for path in paths if not any((root / path).exists() for root in roots)] == []
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
    assert set(_MAKE.findall(_code_of(text))) <= targets


def test_every_own_command_exists() -> None:
    """Each `sso-middleware …` that a page tells people to run is one."""
    named = {command for page in PAGES for command in _OWN_COMMAND.findall(_code_of(page.read_text()))}
    assert named
    assert named <= set(main.commands)


def _code_of(text: str) -> str:
    """What stands in code blocks and backticks; prose says "make" too."""
    return "\n".join(re.findall(r"^```.*?^```|`[^`\n]+`", text, re.M | re.S))
