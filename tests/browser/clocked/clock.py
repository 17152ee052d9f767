"""A clock that a test can move while servers run: the true time, and so many seconds more as a file says.

The test has a `MovableClock`. An app or an identity provider on that clock is another process, which is told the
file by the environment and asks `now`; `on_this_clock` wraps an app as `SSOMiddleware` does, but on it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sso_middleware import SSO, ASGIMiddleware, Hooks, Settings, WSGIMiddleware
from sso_middleware.middleware import is_asgi

VARIABLE = "TEST_CLOCK"


@dataclass(frozen=True)
class MovableClock:
    """The test's end of it."""

    file: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """For the processes that go by it."""
        return {VARIABLE: str(self.file)}

    def wait(self, **duration: float) -> None:
        """From now on it is so much later, for all of them."""
        ahead = _read(self.file) + timedelta(**duration).total_seconds()
        new = self.file.with_suffix(".new")
        new.write_text(str(ahead))
        new.replace(self.file)


def _read(file: Path) -> float:
    return float(file.read_text()) if file.exists() else 0.0


def now() -> datetime:
    """What time it is, for a process that was given the clock's `environment`."""
    return datetime.now(UTC) + timedelta(seconds=_read(Path(os.environ[VARIABLE])))


def on_this_clock(app: Any, hooks: Hooks | None = None) -> Any:
    """What `SSOMiddleware(app, hooks=hooks)` makes with the sso.toml of the current directory, on this clock."""
    shell = ASGIMiddleware if is_asgi(app) else WSGIMiddleware
    return shell(app, SSO(Settings.load(), hooks or Hooks(), now=now))
