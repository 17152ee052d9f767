"""An app with a login of its own (`mode = "domains"`): who must come by single sign-on does, whatever they try."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.browser.chromium import Chromium
from tests.browser.sites import App, Site, serving_examples
from tests.servers import ConnectionSettings

pytestmark = pytest.mark.server


@pytest.fixture(scope="module", params=["domains_wsgi:app", "domains_flask:app"], ids=["wsgi", "flask"])
def app(request: pytest.FixtureRequest, acme: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Its sessions are in cookies, so the tests can share it."""
    connection = ConnectionSettings("acme", acme.metadata_file, ("acme.example",), excluded_users=("it1@acme.example",))
    with serving_examples(tmp_path_factory.mktemp("domains")) as serve:
        yield serve(request.param, (acme, connection), server="gunicorn", mode="domains")


def log_in_at_host(page: Page, app: App, email: str, password: str) -> None:
    page.goto(f"{app.url}/login")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_the_hosts_password_is_not_enough(chromium: Chromium, app: App, acme: Site) -> None:
    """Someone of an exclusive domain who knows a password of the host's ends at single sign-on."""
    page = chromium.first_tab

    log_in_at_host(page, app, "alice@acme.example", "alice-host-pw")

    page.wait_for_url(re.compile(re.escape(acme.url)))
    assert not [cookie for cookie in chromium.context.cookies(app.url) if cookie["name"] in ("login", "session")]
    acme.sign_in(page)
    page.wait_for_url(f"{app.url}/report")
    expect(page.locator("body")).to_contain_text("Signed in as alice@acme.example")
    chromium.screenshot(page, "signed-in")


def test_a_session_got_past_the_form(chromium: Chromium, app: App, acme: Site) -> None:
    """A script that logs in behind the form's back, and a copied session cookie, lead to single sign-on as well."""
    page = chromium.first_tab
    page.goto(f"{app.url}/login")
    page.evaluate(
        """() => fetch("/login", {method: "POST", redirect: "manual",
            body: new URLSearchParams({email: "alice@acme.example", password: "alice-host-pw"})})"""
    )
    copied = [cookie for cookie in chromium.context.cookies(app.url) if cookie["name"] in ("login", "session")]
    assert copied

    page.goto(app.report)
    assert page.url.startswith(acme.url)
    chromium.context.add_cookies([{"name": c["name"], "value": c["value"], "url": app.url} for c in copied])
    page.goto(app.report)
    assert page.url.startswith(acme.url)


def test_what_a_script_asks_for_is_refused(chromium: Chromium, app: App, acme: Site) -> None:
    """The protected page is not handed to a script of that session either."""
    page = chromium.first_tab
    page.goto(f"{app.url}/login")

    status, text = page.evaluate(
        """async () => {
            const body = new URLSearchParams({email: "alice@acme.example", password: "alice-host-pw"});
            const answer = await fetch("/login", {method: "POST", body});
            return [answer.status, await answer.text()];
        }"""
    )

    assert status == 401
    assert "Signed in" not in text
    chromium.forgive("status of 401")


@pytest.mark.parametrize(
    ("email", "password"),
    [("it1@acme.example", "it1-host-pw"), ("zoe@freelance.example", "zoe-host-pw")],
    ids=["excluded", "elsewhere"],
)
def test_the_host_decides_about_others(chromium: Chromium, app: App, email: str, password: str) -> None:
    """An excluded person, and one of no exclusive domain, reach the protected page by the host's own login."""
    page = chromium.first_tab

    log_in_at_host(page, app, email, password)

    page.wait_for_url(f"{app.url}/report")
    expect(page.locator("body")).to_contain_text(f"Signed in as {email}")


def test_nobody_is_the_hosts_to_send_away(chromium: Chromium, app: App) -> None:
    """Someone who is not signed in at all meets the host's own login page."""
    page = chromium.first_tab

    page.goto(app.report)

    assert page.url == f"{app.url}/login"
    chromium.screenshot(page, "host-login")


def test_from_the_hosts_login_page_to_single_sign_on(chromium: Chromium, app: App, acme: Site) -> None:
    """Someone without a password at the host follows the link on its login page."""
    page = chromium.first_tab
    page.goto(f"{app.url}/login")

    page.get_by_role("link", name="Sign in with your organization").click()
    page.wait_for_url(re.compile(re.escape(acme.url)))
    acme.sign_in(page)
    page.wait_for_url(f"{app.url}/")
    page.get_by_role("link", name="The report").click()

    expect(page.locator("body")).to_contain_text("Signed in as alice@acme.example")


# The host's own form, intercepted

FORM = """
[[intercept]]
path = "/login"
field = "email"
kind = "login"
"""


@pytest.fixture(scope="module", params=["domains_wsgi:app", "domains_flask:app"], ids=["wsgi", "flask"])
def intercepting(request: pytest.FixtureRequest, acme: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    connection = ConnectionSettings("acme", acme.metadata_file, ("acme.example",), excluded_users=("it1@acme.example",))
    with serving_examples(tmp_path_factory.mktemp("intercepting")) as serve:
        yield serve(request.param, (acme, connection), server="gunicorn", mode="domains", tables=FORM)


def allow_forms_to_itself_only(page: Page) -> None:
    """The policy of many a host's page: a form may not even be redirected elsewhere."""
    page.evaluate(
        """() => {
            const policy = document.createElement("meta");
            policy.httpEquiv = "Content-Security-Policy";
            policy.content = "form-action 'self'";
            document.head.append(policy);
        }"""
    )


def test_the_hosts_form_leads_to_single_sign_on(chromium: Chromium, intercepting: App, acme: Site) -> None:
    """From a page whose policy says `form-action 'self'`, too, and whatever was typed as a password."""
    page = chromium.first_tab
    page.goto(f"{intercepting.url}/login")
    allow_forms_to_itself_only(page)
    page.get_by_label("E-mail").fill("alice@acme.example")
    page.get_by_role("button", name="Log in").click()

    page.wait_for_url(re.compile(re.escape(acme.url)))
    acme.sign_in(page)
    page.wait_for_url(f"{intercepting.url}/")
    page.goto(intercepting.report)
    expect(page.locator("body")).to_contain_text("Signed in as alice@acme.example")


@pytest.mark.parametrize("who", ["it1@acme.example", "zoe@freelance.example"])
def test_the_hosts_form_is_there_for_others(chromium: Chromium, intercepting: App, who: str) -> None:
    """The excluded person's password, and that of somebody of no exclusive domain, reach the host."""
    page = chromium.first_tab
    log_in_at_host(page, intercepting, who, f"{who.partition('@')[0]}-host-pw")

    page.wait_for_url(f"{intercepting.url}/report")
    expect(page.locator("body")).to_contain_text(f"Signed in as {who}")
