"""People take their time. Chromium forgets a cookie without SameSite for cross-site POSTs after two minutes."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from tests.browser.chromium import Chromium
from tests.browser.sites import Serve, Site
from tests.servers import ConnectionSettings

pytestmark = [pytest.mark.server, pytest.mark.slow]

LONGER_THAN_TWO_MINUTES = 130_000


def test_more_than_two_minutes_at_the_form(chromium: Chromium, serve: Serve, acme: Site) -> None:
    """Someone who looks for a password for more than two minutes is signed in all the same."""
    app = serve("raw_asgi:app", (acme, ConnectionSettings("acme", acme.metadata_file, ("acme.example",))))
    page = chromium.first_tab
    page.goto(app.report)

    page.wait_for_timeout(LONGER_THAN_TWO_MINUTES)
    acme.sign_in(page)

    page.wait_for_url(app.report)
    expect(page.locator("body")).to_contain_text("alice@acme.example")
