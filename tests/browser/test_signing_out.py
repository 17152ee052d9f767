"""Single logout in Chromium, across sites: from the app, from the identity provider, and in its frames."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Request, expect
from tests.browser.chromium import Chromium
from tests.browser.sites import App, Serve, SimpleSamlPhpSite
from tests.servers import ConnectionSettings, SimpleSamlPhp, running_simplesamlphp

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def framing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleSamlPhp]:
    """It signs people out of its applications in frames, all at once."""
    with running_simplesamlphp(tmp_path_factory.mktemp("framing"), LOGOUT_TYPE="iframe") as identity_provider:
        yield identity_provider


def signed_in(page: Page, serve: Serve, idp: SimpleSamlPhp, name: str = "raw_asgi:app") -> App:
    site = SimpleSamlPhpSite(idp)
    app = serve(name, (site, ConnectionSettings("acme", site.metadata_file, ("acme.example",))))
    page.goto(app.report)
    site.sign_in(page)
    page.wait_for_url(app.report)
    return app


def asks_to_sign_in(page: Page, app: App) -> bool:
    page.goto(app.report)
    return page.url != app.report


def test_signing_out_goes_round_and_ends_here(chromium: Chromium, serve: Serve, simplesamlphp: SimpleSamlPhp) -> None:
    """One click: there and back, to a page that says what the identity provider has done."""
    page = chromium.first_tab
    app = signed_in(page, serve, simplesamlphp)

    page.get_by_role("button", name="Sign out").click()

    page.wait_for_url(re.compile(re.escape(f"{app.url}/sso/signed-out?told=")))
    expect(page.locator("main")).to_contain_text("Your organization has signed you out, too")
    chromium.screenshot(page, "1-signed-out")
    page.goto(f"{app.url}/sso/login?again=1&return_to=/report")
    expect(page.locator("input[name=password]")).to_be_visible()


def test_signing_out_at_the_identity_provider(chromium: Chromium, serve: Serve, simplesamlphp: SimpleSamlPhp) -> None:
    """It sends the browser by us, top-level: our cookie comes, and goes."""
    page = chromium.first_tab
    app = signed_in(page, serve, simplesamlphp)

    page.goto(simplesamlphp.sign_out_url(f"{app.url}/"))

    page.wait_for_url(f"{app.url}/")
    assert not [cookie for cookie in chromium.context.cookies() if cookie.get("name", "").endswith("-session")]
    assert asks_to_sign_in(page, app)
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()


def test_signing_out_in_a_frame_of_the_identity_providers(
    chromium: Chromium, serve: Serve, framing: SimpleSamlPhp
) -> None:
    """Of another site's page, so without our cookies: the session ends, and it is told so."""
    page = chromium.first_tab
    app = signed_in(page, serve, framing)
    in_frames: list[str] = []

    def keep(request: Request) -> None:
        if request.is_navigation_request() and request.frame.parent_frame is not None:
            in_frames.append(request.url.partition("?")[0])

    page.on("request", keep)
    page.goto(framing.sign_out_url(f"{app.url}/"))
    page.get_by_role("button", name="Yes, all services").click()

    page.wait_for_url(f"{app.url}/")  # it has our signed answer of every frame
    assert f"{app.url}/sso/acme/slo" in in_frames
    assert asks_to_sign_in(page, app)
