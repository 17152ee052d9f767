"""Apps on 127.0.0.1, identity providers on localhost: for a browser that is another site, as in the field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.browser.chromium import Chromium, running_chromium
from tests.browser.sites import DevIdpSite, Serve, SimpleSamlPhpSite, Site, serving_examples
from tests.servers import SimpleSamlPhp, free_port


@pytest.fixture
def chromium(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Chromium]:
    """A person's browser. A test in which any page complains fails."""
    test = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name).strip("-")
    with running_chromium(tmp_path / "profile", test) as chromium:
        yield chromium
        assert chromium.complaints == []


@pytest.fixture(scope="session")
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
            yield request.getfixturevalue("acme")


@pytest.fixture
def clocked_idp(tmp_path: Path) -> Iterator[Site]:
    """The dev IdP on the clock that `App.clock` moves, for an app of `tests.browser.clocked`.

    SimpleSAMLphp goes by the true time: a clock that is ahead of it by less than the connection's leeway will do.
    """
    with ExitStack() as stack:
        yield DevIdpSite(tmp_path, free_port(), stack, is_clocked=True)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve examples until the test ends."""
    with serving_examples(tmp_path) as serve:
        yield serve
