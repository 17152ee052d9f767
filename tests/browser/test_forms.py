"""A form half filled in while its session ends, in a real browser and across sites: it is sent after all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect
from tests.browser.chromium import Chromium
from tests.browser.clocked.clock import MovableClock
from tests.browser.sites import App, Site
from tests.servers import BINARIES, ConnectionSettings, free_port, running, write_settings
from tests.visitor import Visitor

pytestmark = pytest.mark.server

KEPT = re.compile(r"/sso/form\?id=[\w-]+$")
FILE = bytes(range(256)) * 100
TEXT = 'Grüße, 日本\n"quoted" & more <b>'


@pytest.fixture
def app(site: Site, tmp_path: Path) -> Iterator[App]:
    """The app with the form. Idle for 10 minutes: renewed. Idle for an hour: signed out."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    connection = ConnectionSettings("acme", site.metadata_file, ("acme.example",))
    settings = write_settings(tmp_path / "app", base_url=url, connections=[connection])
    site.meet(settings)
    command = [str(BINARIES / "uvicorn"), "--host=127.0.0.1", f"--port={port}", f"--app-dir={Path(__file__).parent}"]
    limits = {"SSO_SOFT_TIMEOUT": "10m", "SSO_HARD_TIMEOUT": "1h"}
    with ExitStack() as stack:
        server = running("app", [*command, "forms_app:app"], url=url, directory=settings.parent, environment=limits)
        stack.enter_context(server).wait_until_answers("/idle?minutes=0")
        with Visitor() as admin:
            site.trust(f"forms-{port}", admin.get(f"{url}/sso/acme/metadata").text)
        yield App(url, MovableClock(tmp_path / "clock"))  # which this app does not go by


def fill_in(page: Page, app: App, site: Site, *, address: str, file: Path | None = None) -> None:
    page.goto(f"{app.url}{address}")
    site.sign_in(page)
    page.wait_for_url(f"{app.url}{address}")
    page.get_by_label("Title").fill("Milk & more")
    page.get_by_label("Text").fill(TEXT)
    if file is not None:
        page.get_by_label("Scan").set_input_files(file)


def let_pass(app: App, *, minutes: int) -> None:
    with Visitor() as clock:
        assert "1 idle" in clock.get(f"{app.url}/idle?minutes={minutes}").text


def expect_offer(page: Page, *names: str) -> None:
    page.wait_for_url(KEPT)
    expect(page.get_by_role("heading")).to_have_text("Send your form now?")
    for name in ("/report", "title, text", *names):
        expect(page.locator("main")).to_contain_text(name)
    for value in ("Milk", "Grüße", "csrf"):
        expect(page.locator("main")).not_to_contain_text(value)


def expect_saved(page: Page, app: App, *lines: str) -> None:
    expect(page.get_by_role("heading")).to_have_text("Saved")
    for line in (*lines, "number 1", f"origin {app.url}"):
        expect(page.locator("pre")).to_contain_text(line)


@pytest.mark.parametrize("limit", ["soft", "hard"])
def test_a_form_over_a_timeout(chromium: Chromium, app: App, site: Site, limit: str) -> None:
    """What was typed arrives as it was typed; after a soft timeout the one page that is seen is the offer."""
    page = chromium.first_tab
    fill_in(page, app, site, address="/report?list=7")
    let_pass(app, minutes=20 if limit == "soft" else 90)
    page.get_by_role("button", name="Save").click()
    if limit == "hard":
        expect(page.locator("main")).to_contain_text("not lost")
        chromium.screenshot(page, "1-kept")
        chromium.forgive("401")
        page.get_by_role("link", name="Sign in").click()
    expect_offer(page)
    chromium.screenshot(page, "2-offer")
    page.get_by_role("button", name="Send it now").click()

    encoded = quote(TEXT.replace("\n", "\r\n"), safe="").replace("%20", "+")
    expect_saved(page, app, f"title=Milk+%26+more&text={encoded}&csrf_token=x", "query list=7")
    assert page.url.startswith(f"{app.url}/report?list=7&sso-kept-form=")


@pytest.mark.parametrize("limit", ["soft", "hard"])
def test_a_form_with_a_file_over_a_timeout(
    chromium: Chromium, app: App, site: Site, limit: str, tmp_path: Path
) -> None:
    """The file too, under its name, to the byte."""
    file = tmp_path / 'résumé "2".pdf'
    file.write_bytes(FILE)
    page = chromium.first_tab
    fill_in(page, app, site, address="/report?file=1", file=file)
    let_pass(app, minutes=20 if limit == "soft" else 90)
    page.get_by_role("button", name="Save").click()
    if limit == "hard":
        expect(page.locator("main")).to_contain_text("not lost")
        chromium.forgive("401")
        page.get_by_role("link", name="Sign in").click()
    expect_offer(page, "scan", 'résumé "2".pdf')
    chromium.screenshot(page, "offer")
    page.get_by_role("button", name="Send it now").click()

    digest = hashlib.sha256(FILE).hexdigest()
    expect_saved(page, app, "title= Milk & more", 'scan: résumé "2".pdf ' + digest, "query file=1")


def test_two_clicks_and_a_reload(chromium: Chromium, app: App, site: Site) -> None:
    """However often it is clicked, the app gets one; what the offer's page shows then is that it is gone."""
    page = chromium.first_tab
    fill_in(page, app, site, address="/report")
    let_pass(app, minutes=20)
    page.get_by_role("button", name="Save").click()
    expect_offer(page)
    offer = page.url
    page.get_by_role("button", name="Send it now").dblclick(no_wait_after=True)
    page.wait_for_url(re.compile("sso-kept-form"))
    page.wait_for_load_state()

    other = chromium.new_tab()
    other.goto(offer)
    expect(other.get_by_role("heading")).to_have_text("This form is no longer kept")
    chromium.screenshot(other, "gone")
    chromium.forgive("404")
    chromium.complaints = [complaint for complaint in chromium.complaints if "409" not in complaint]
    other.goto(f"{app.url}/report")
    other.get_by_label("Title").fill("Bread")
    other.get_by_role("button", name="Save").click()
    expect(other.locator("pre")).to_contain_text("number 2")


def test_the_apps_answer_may_lead_to_another_site(chromium: Chromium, app: App, site: Site) -> None:
    """Our page's policy does not stop what the app's own would have let pass."""
    page = chromium.first_tab
    elsewhere = app.url.replace("127.0.0.1", "localhost") + "/idle?minutes=0"
    fill_in(page, app, site, address=f"/report?then={quote(elsewhere, safe='')}")
    let_pass(app, minutes=20)
    page.get_by_role("button", name="Save").click()
    expect_offer(page)
    page.get_by_role("button", name="Send it now").click()

    page.wait_for_url(elsewhere)


def test_a_form_is_discarded(chromium: Chromium, app: App, site: Site) -> None:
    """By the other button; the app never hears of it."""
    page = chromium.first_tab
    fill_in(page, app, site, address="/report")
    let_pass(app, minutes=20)
    page.get_by_role("button", name="Save").click()
    expect_offer(page)
    page.get_by_role("button", name="Discard").click()

    expect(page.get_by_role("heading")).to_have_text("Your form was discarded")
