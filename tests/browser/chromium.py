"""Chromium, driven by playwright, with a new profile for each test.

It is set up as people have it: playwright's own switches would turn the back/forward cache off, and that
is what the Back button shows. What a page writes to the console as an error is collected, for no page of
ours may.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, WebError, sync_playwright
from tests.servers import ROOT, missing

CHROMIUM = Path("/usr/bin/chromium")
SCREENSHOTS = ROOT / "test-results"
SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Chromium:
    """One person's browser."""

    context: BrowserContext = field(repr=False)
    test: str
    complaints: list[str] = field(default_factory=list)

    @property
    def first_tab(self) -> Page:
        return self.context.pages[0]

    def new_tab(self) -> Page:
        return self.context.new_page()

    def screenshot(self, page: Page, name: str) -> None:
        """Keep what the person sees now, for people to look at."""
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{self.test}-{name}.png")

    def forgive(self, pattern: str) -> None:
        """This test expects such a message, at least once: a refusal's status is one."""
        kept = [complaint for complaint in self.complaints if not re.search(pattern, complaint)]
        assert len(kept) < len(self.complaints), f"no {pattern!r} in {self.complaints}"
        self.complaints = kept

    def hear_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            where = message.location["url"].partition("?")[0]
            if where.startswith("http://localhost:") and where.endswith("/favicon.ico"):
                return  # SimpleSAMLphp's, which has none
            self.complaints.append(f"{message.type}: {message.text} ({where})")

    def hear_error(self, error: WebError) -> None:
        self.complaints.append(f"uncaught: {error.error.message}")


@contextmanager
def running_chromium(profile: Path, test: str, *, locale: str = "en-GB", **set_up: Any) -> Iterator[Chromium]:
    """Start Chromium with an empty profile. Its complaints are the caller's to look at."""
    if not CHROMIUM.exists():
        missing("Chromium")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            args=SWITCHES,
            ignore_default_args=["--disable-back-forward-cache"],
            viewport={"width": 1000, "height": 700},
            locale=locale,
            **set_up,
        )
        context.set_default_timeout(15_000)
        chromium = Chromium(context, test)
        context.on("console", chromium.hear_console)
        context.on("weberror", chromium.hear_error)
        try:
            yield chromium
        finally:
            context.close()
