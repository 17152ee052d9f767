"""The launchers of real servers leave nothing behind, and say what is missing."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

import pytest
from _pytest.outcomes import Failed, Skipped
from tests.servers import clean_environment, free_port, missing, running

# A parent that deafens itself to SIGTERM, with a child that serves.
STUBBORN = """
import os, signal, sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    signal.pause()
HTTPServer(("127.0.0.1", int(sys.argv[1])), SimpleHTTPRequestHandler).serve_forever()
"""


def test_what_is_missing_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a developer's machine a test without its server is skipped, with the reason."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(Skipped, match="Chromium is missing"):
        missing("Chromium")


def test_what_is_missing_fails_where_everything_must_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CI=true nothing is skipped quietly."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(Failed, match="Chromium is missing"):
        missing("Chromium")


def test_settings_of_the_machine_do_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server under test sees none of the developer's own SSO_ variables."""
    monkeypatch.setenv("SSO_BASE_URL", "https://elsewhere.example")
    assert "SSO_BASE_URL" not in clean_environment()


def test_a_whole_process_group_is_ended(tmp_path: Path) -> None:
    """Workers go with their parent, even with one that does not want to."""
    port = free_port()
    command = [sys.executable, "-c", STUBBORN, str(port)]
    with running("stubborn", command, url=f"http://127.0.0.1:{port}", directory=tmp_path, patience=0.2) as process:
        process.wait_until_answers()

    with socket.socket() as listener:  # nobody has the address any more (the kernel may need a moment)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for _ in range(100):
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                time.sleep(0.01)
            else:
                return
    pytest.fail("the worker still listens")
