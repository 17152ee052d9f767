"""What the command line's tests share: a folder with settings, and a way to call."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sso_middleware.cli import main
from sso_middleware.dev_idp import DevIdP

KEY = "q7Rk2vXz0pLm9sTb4wYc6nHd8jFg1aQe"
OLD_KEY = "u3Vn5xZb7qWs9eRd1tGy4hUj6kIo8pLc"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTINGS = f"""
base_url = "http://127.0.0.1:8000"
secret_keys = ["{KEY}"]
"""
ACME = """
[[connections]]
id = "acme"
organization = "Acme Inc"
domains = ["acme.example", "acme.co.example"]
metadata_file = "acme.xml"
"""

Call = Callable[..., Result]


@pytest.fixture(scope="session")
def idp_metadata() -> str:
    """A dev IdP's; making its key takes a while."""
    return DevIdP({}, base_url="http://localhost:8001").metadata()


@pytest.fixture
def folder(tmp_path: Path, idp_metadata: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: settings with one connection, and its metadata. No SSO_* variables."""
    for name in [name for name in os.environ if name.startswith("SSO_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sso.toml").write_text(SETTINGS + ACME)
    (tmp_path / "acme.xml").write_text(idp_metadata)
    return tmp_path


@pytest.fixture
def call(folder: Path) -> Call:
    """Run a command in that folder."""

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(main, arguments)

    return call
