"""The first-login page in a real browser: by keyboard alone, without scripts, in German, and very large."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.browser.chromium import Chromium, running_chromium
from tests.browser.sites import App, DevIdpSite, clock_in
from tests.servers import ConnectionSettings, free_port, serving, write_settings

pytestmark = pytest.mark.server

ASKS = """
ask_country = true
ask_department = true
attributes = { country = "NotSent", department = "NotSentEither" }
teams = [
    { id = "t1", name = "Sales" },
    { id = "t2", name = "Sales EMEA", parent = "t1" },
    { id = "t3", name = "Sales Americas", parent = "t1" },
    { id = "t4", name = "Legal" },
]
"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Its identity provider, the dev IdP on another site, says neither a country nor a department of Ada."""
    port = free_port()
    with ExitStack() as stack:
        idp = DevIdpSite(tmp_path, free_port(), stack)
        connection = ConnectionSettings("acme", idp.metadata_file, ("acme.example",))
        settings = write_settings(tmp_path / "app", base_url=f"http://127.0.0.1:{port}", connections=[connection])
        settings.write_text(settings.read_text() + ASKS)
        idp.meet(settings)
        clock = clock_in(tmp_path)
        stack.enter_context(serving("raw_asgi:app", settings.parent, server="uvicorn", port=port))
        yield App(f"http://127.0.0.1:{port}", clock)


@pytest.fixture
def open_chromium(tmp_path: Path) -> Iterator[Callable[..., Chromium]]:
    """A person's browser, set up in their own way."""
    with ExitStack() as stack:
        yield lambda test, **set_up: stack.enter_context(running_chromium(tmp_path / "profile", test, **set_up))


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.textContent"))


def press_on(page: Page, name: str) -> None:
    """Tab to a button or link of this name, and press it."""
    for _ in range(10):
        page.keyboard.press("Tab")
        if focused(page).strip() == name:
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"the keyboard does not lead to {name!r}")


def test_by_keyboard_alone_and_without_scripts(open_chromium: Callable[..., Chromium], app: App) -> None:
    """From the question to the very page that was asked for; the next sign-in asks nothing."""
    chromium = open_chromium("profile-keyboard", java_script_enabled=False)
    page = chromium.first_tab
    page.goto(app.report)
    page.get_by_role("button", name="Ada Lovelace").press("Enter")
    press_on(page, "Continue")  # what a script would have done
    page.wait_for_url(f"{app.url}/sso/complete-profile?attempt=*")
    chromium.screenshot(page, "asked")

    page.keyboard.press("Tab")
    assert focused(page) == "country"
    page.keyboard.type("Germ")
    page.keyboard.press("Tab")
    assert focused(page) == "team"
    page.keyboard.type("Sales E")
    expect(page.get_by_label("Country")).to_have_value("DE")
    expect(page.get_by_label("Department or team")).to_have_value("t2")
    press_on(page, "Continue")

    page.wait_for_url(app.report)
    page.context.clear_cookies()
    page.goto(app.report)
    page.get_by_role("button", name="Ada Lovelace").press("Enter")
    press_on(page, "Continue")
    page.wait_for_url(app.report)
    assert chromium.complaints == []


def test_in_german_what_is_missing_is_told_and_led_to(open_chromium: Callable[..., Chromium], app: App) -> None:
    """The summary has the focus and leads to the field; at 400 % nothing is cut off."""
    chromium = open_chromium("profile-german", locale="de-DE")
    page = chromium.first_tab
    page.goto(app.report)
    page.get_by_role("button", name="Ada Lovelace").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Noch ein Schritt")
    page.get_by_label("Land").select_option("Österreich")
    page.evaluate("document.forms[0].noValidate = true")  # as a browser does that checks nothing itself
    page.get_by_role("button", name="Weiter").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Bitte prüfen Sie Ihre Angaben")
    assert focused(page) == "problems"
    expect(page.get_by_label("Land")).to_have_value("AT")
    expect(page.get_by_label("Abteilung oder Team")).to_have_accessible_description(
        "Bitte wählen Sie Ihre Abteilung oder Ihr Team aus der Liste aus."
    )
    chromium.screenshot(page, "refused")
    chromium.forgive("400")
    page.set_viewport_size({"width": 320, "height": 256})  # WCAG 2.2, 1.4.10: 1280 by 1024 at 400 %
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    chromium.screenshot(page, "large")
    page.set_viewport_size({"width": 1000, "height": 700})
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#team")
    page.get_by_label("Abteilung oder Team").select_option("Legal")
    page.get_by_role("button", name="Weiter").click()

    page.wait_for_url(app.report)
    assert chromium.complaints == []
