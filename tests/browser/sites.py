"""The two kinds of site that a person meets while signing in: the app, and the identity provider."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode

from playwright.sync_api import Page
from tests.browser.clocked.clock import MovableClock
from tests.servers import (
    BINARIES,
    ROOT,
    ConnectionSettings,
    ServerName,
    SimpleSamlPhp,
    free_port,
    running,
    serving,
    write_settings,
)
from tests.visitor import Visitor


@dataclass(frozen=True)
class App:
    """One of the examples, or of the apps in `clocked/`, with everything below /report protected."""

    url: str
    clock: MovableClock
    """Moves the time of the apps in `clocked/`; the examples go by the true one."""

    @property
    def report(self) -> str:
        return f"{self.url}/report?year=2026&q=a%2Fb+c"

    def entity_id(self, connection: str) -> str:
        return f"{self.url}/sso/{connection}/metadata"


class Site(Protocol):
    """An identity provider where somebody of acme.example has an account."""

    @property
    def url(self) -> str: ...

    @property
    def email(self) -> str: ...

    @property
    def metadata_file(self) -> Path: ...

    def meet(self, settings: Path) -> None:
        """Before the app of these settings starts: its metadata must be there."""
        ...

    def trust(self, name: str, metadata: str) -> None:
        """The app has started: sign people in to this service provider from now on."""
        ...

    def start_url(self, service_provider: str, relay_state: str) -> str:
        """Where IdP-initiated sign-in starts."""
        ...

    def sign_in(self, page: Page) -> None:
        """The person fills in the form that is shown, and sends it."""
        ...


class Serve(Protocol):
    def __call__(
        self,
        name: str,
        *connections: tuple[Site, ConnectionSettings],
        server: ServerName = "uvicorn",
        mode: str = "everyone",
        tables: str = "",
    ) -> App: ...


@contextmanager
def serving_examples(directory: Path) -> Iterator[Serve]:
    """Serve examples with these connections until the block ends; every identity provider learns of them.

    An app of `tests.browser.clocked` goes by the movable clock of this directory.
    """
    clock = clock_in(directory)
    with ExitStack() as stack:

        def serve(
            name: str,
            *connections: tuple[Site, ConnectionSettings],
            server: ServerName = "uvicorn",
            mode: str = "everyone",
            tables: str = "",
        ) -> App:
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            settings = write_settings(
                directory / f"app-{port}",
                base_url=url,
                connections=[c for _, c in connections],
                mode=mode,
                tables=tables,
            )
            for site in {site for site, _ in connections}:
                site.meet(settings)
            stack.enter_context(serving(name, settings.parent, server=server, port=port, environment=clock.environment))
            with Visitor() as admin:
                for site, connection in connections:
                    metadata = admin.get(f"{url}/sso/{connection.id}/metadata")
                    assert metadata.status_code == 200, metadata.text
                    site.trust(f"{connection.id}-{port}", metadata.text)
            return App(url, clock)

        yield serve


def clock_in(directory: Path) -> MovableClock:
    """The one clock of everything that is served for one test."""
    return MovableClock(directory / "clock")


@dataclass(frozen=True)
class SimpleSamlPhpSite:
    idp: SimpleSamlPhp

    @property
    def url(self) -> str:
        return self.idp.url

    @property
    def metadata_file(self) -> Path:
        return self.idp.metadata_file

    @property
    def email(self) -> str:
        return "alice@acme.example"

    def meet(self, settings: Path) -> None:
        """It runs already, and has its metadata."""

    def trust(self, name: str, metadata: str) -> None:
        self.idp.add_service_provider(name, metadata)

    def start_url(self, service_provider: str, relay_state: str) -> str:
        return self.idp.idp_initiated_url(service_provider, relay_state)

    def sign_in(self, page: Page) -> None:
        page.locator("input[name=username]").fill("alice@acme.example")
        page.locator("input[name=password]").fill("alice-pw")
        page.locator("input[name=password]").press("Enter")


@dataclass(frozen=True)
class DevIdpSite:
    """`sso-middleware dev-idp`, started with the app's own settings."""

    directory: Path
    port: int
    stack: ExitStack = field(repr=False)
    is_clocked: bool = False
    """Whether it goes by the directory's movable clock, as the apps in `clocked/` do."""

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def email(self) -> str:
        return "ada@acme.example"

    @property
    def metadata_file(self) -> Path:
        return self.directory / "dev-idp.xml"

    def meet(self, settings: Path) -> None:
        program = [str(BINARIES / "sso-middleware"), "dev-idp", f"--port={self.port}", "--remember"]
        program += [f"--metadata-file={self.metadata_file}", f"--config={settings}"]
        environment = {**clock_in(self.directory).environment, "PYTHONPATH": str(ROOT)}
        if self.is_clocked:
            program = [sys.executable, "-m", "tests.browser.clocked.dev_idp"]
            program += [str(self.port), str(self.metadata_file), str(settings)]
        idp = running("dev-idp", program, url=self.url, directory=self.directory, environment=environment)
        self.stack.enter_context(idp).wait_until_answers("/metadata")

    def trust(self, name: str, metadata: str) -> None:
        """It read the app's settings."""

    def start_url(self, service_provider: str, relay_state: str) -> str:
        return f"{self.url}/idp-initiated?{urlencode({'sp': service_provider, 'relay_state': relay_state})}"

    def sign_in(self, page: Page) -> None:
        page.get_by_role("button", name="Ada Lovelace").click()
