"""Apps on 127.0.0.1, identity providers on localhost: for a browser that is another site, as in the field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.browser.chromium import Chromium, running_chromium
from tests.browser.sites import App, DevIdpSite, Serve, SimpleSamlPhpSite, Site
from tests.servers import ConnectionSettings, ServerName, SimpleSamlPhp, free_port, serving, write_settings
from tests.visitor import Visitor


@pytest.fixture
def chromium(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Chromium]:
    """A person's browser. A test in which any page complains fails."""
    test = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name).strip("-")
    with running_chromium(tmp_path / "profile", test) as chromium:
        yield chromium
        assert chromium.complaints == []


@pytest.fixture
def acme(simplesamlphp: SimpleSamlPhp) -> Site:
    """Acme's identity provider: SimpleSAMLphp, where Alice has an account."""
    return SimpleSamlPhpSite(simplesamlphp)


@pytest.fixture(params=["simplesamlphp", "dev_idp"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Either identity provider; a test that takes this runs with both."""
    with ExitStack() as stack:
        if request.param == "dev_idp":
            yield DevIdpSite(tmp_path, free_port(), stack)
        else:
            yield SimpleSamlPhpSite(request.getfixturevalue("simplesamlphp"))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve an example with these connections until the test ends; every identity provider learns of it."""
    with ExitStack() as stack:

        def serve(
            name: str,
            *connections: tuple[Site, ConnectionSettings],
            server: ServerName = "uvicorn",
            mode: str = "everyone",
        ) -> App:
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            directory = tmp_path / f"app-{port}"
            settings = write_settings(directory, base_url=url, connections=[c for _, c in connections], mode=mode)
            for site in {site for site, _ in connections}:
                site.meet(settings)
            stack.enter_context(serving(name, directory, server=server, port=port))
            with Visitor() as admin:
                for site, connection in connections:
                    metadata = admin.get(f"{url}/sso/{connection.id}/metadata")
                    assert metadata.status_code == 200, metadata.text
                    site.trust(f"{connection.id}-{port}", metadata.text)
            return App(url)

        yield serve
