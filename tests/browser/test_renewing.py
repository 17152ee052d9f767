"""Sessions that are renewed while a person works: unseen by a navigation, or at a click by the script.

The identity provider is another site. The clock that is moved is the app's; SimpleSAMLphp goes by the true
time, so nothing is moved further than the leeway allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.chromium import Chromium
from tests.browser.sites import App, DevIdpSite, Serve, Site
from tests.servers import ConnectionSettings, free_port

pytestmark = pytest.mark.server

APP = "tests.browser.clocked.single_page:app"
SOFT = {"soft_timeout": "1m", "hard_timeout": "3m", "leeway": "5m"}


@pytest.fixture(params=["simplesamlphp", "dev_idp"])
def idp(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Either identity provider; the dev IdP goes by the same clock as the app."""
    with ExitStack() as stack:
        if request.param == "dev_idp":
            yield DevIdpSite(tmp_path, free_port(), stack, is_clocked=True)
        else:
            yield request.getfixturevalue("acme")


def serve_app(serve: Serve, idp: Site, **durations: str) -> App:
    connection = ConnectionSettings("acme", idp.metadata_file, ("acme.example",), durations={**SOFT, **durations})
    return serve(APP, (idp, connection))


def sign_in(page: Page, app: App, idp: Site, address: str = "") -> None:
    page.goto(address or app.report)
    assert page.url.startswith(idp.url)
    idp.sign_in(page)
    page.wait_for_url(address or app.report)


def session_cookie(chromium: Chromium, app: App) -> str:
    (value,) = (c["value"] for c in chromium.context.cookies(app.url) if c["name"].endswith("-session"))
    return value


def pages_seen(page: Page) -> list[str]:
    """Every document that this tab shows from now on."""
    seen: list[str] = []
    page.on("domcontentloaded", lambda shown: seen.append(shown.url))
    return seen


# A navigation


def test_a_navigation_is_renewed_unseen(chromium: Chromium, serve: Serve, idp: Site) -> None:
    """After the soft timeout the next page is the very page asked for, query string and all, under another cookie."""
    app = serve_app(serve, idp)
    page = chromium.first_tab
    sign_in(page, app, idp)
    before = session_cookie(chromium, app)

    app.clock.wait(seconds=70)
    seen = pages_seen(page)
    page.goto(f"{app.url}/report?year=2025&q=a%2Fb+c")
    page.wait_for_url(f"{app.url}/report?year=2025&q=a%2Fb+c")  # SimpleSAMLphp posts by a page with a script

    expect(page.locator("body")).to_contain_text(f"Signed in as {idp.email}")
    expect(page.locator("code")).to_have_text("year=2025&q=a%2Fb+c")
    assert session_cookie(chromium, app) != before
    assert [url for url in seen if url.startswith(app.url)] == [f"{app.url}/report?year=2025&q=a%2Fb+c"]
