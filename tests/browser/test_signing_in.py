"""What people see while they sign in, out and in again, in a real browser and across sites."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Request, Response, Route, expect
from tests.browser.chromium import Chromium
from tests.browser.sites import App, Serve, Site
from tests.servers import ConnectionSettings

pytestmark = pytest.mark.server


def acme_connection(site: Site) -> tuple[Site, ConnectionSettings]:
    return site, ConnectionSettings("acme", site.metadata_file, ("acme.example",))


def globex_connection(site: Site) -> tuple[Site, ConnectionSettings]:
    return site, ConnectionSettings("globex", site.metadata_file, ("globex.example",))


def sign_in(page: Page, app: App, site: Site, address: str = "") -> None:
    """From the protected page to the protected page."""
    page.goto(address or app.report)
    assert page.url.startswith(site.url)
    site.sign_in(page)
    page.wait_for_url(address or app.report)


def test_a_protected_page_leads_there_and_back(chromium: Chromium, serve: Serve, site: Site) -> None:
    """The person asks for a page, signs in at another site, and is on that very page, query string and all."""
    app = serve("raw_asgi:app", acme_connection(site))
    page = chromium.first_tab

    page.goto(app.report)
    assert page.url.startswith(site.url)
    chromium.screenshot(page, "1-identity-provider")
    site.sign_in(page)
    page.wait_for_url(app.report)

    expect(page.locator("body")).to_contain_text(site.email)
    expect(page.locator("code")).to_have_text("year=2026&q=a%2Fb+c")
    chromium.screenshot(page, "2-back")


def test_two_tabs_at_once(chromium: Chromium, serve: Serve, site: Site) -> None:
    """Two sign-ins that were begun side by side both end, each on its own page."""
    app = serve("raw_asgi:app", acme_connection(site))
    first, second = chromium.first_tab, chromium.new_tab()
    pages = {first: f"{app.url}/report?tab=1", second: f"{app.url}/report?tab=2"}
    for page, address in pages.items():
        page.goto(address)
        assert page.url.startswith(site.url)

    for page in pages:
        site.sign_in(page)

    for page, address in pages.items():
        page.wait_for_url(address)
        expect(page.locator("body")).to_contain_text(site.email)


def test_two_answers_in_the_same_moment(chromium: Chromium, serve: Serve, acme: Site) -> None:
    """Two tabs that come back before either has finished do not take each other's outcome."""
    app = serve("raw_asgi:app", acme_connection(acme))
    first, second = chromium.first_tab, chromium.new_tab()
    first.goto(f"{app.url}/report?tab=1")
    second.goto(f"{app.url}/report?tab=2")
    arrived: list[Route] = []

    def hold(route: Route) -> None:
        arrived.append(route)

    chromium.context.route(re.compile(r"/sso/acme/acs"), hold)

    for page in (first, second):
        acme.sign_in(page)
        page.wait_for_timeout(1000)
    assert len(arrived) == 2
    # Both are answered before either of the tabs goes on to `finish`.
    answers = [route.fetch(max_redirects=0) for route in arrived]
    for route, answer in reversed(list(zip(arrived, answers, strict=True))):
        route.fulfill(response=answer)

    first.wait_for_url(f"{app.url}/report?tab=1")
    second.wait_for_url(f"{app.url}/report?tab=2")


def test_the_sign_in_form(chromium: Chromium, serve: Serve, acme: Site) -> None:
    """With several connections the person is asked for an e-mail address; our own policy lets the form leave."""
    app = serve("raw_asgi:app", acme_connection(acme), globex_connection(acme))
    page = chromium.first_tab

    page.goto(app.report)
    assert page.url.startswith(f"{app.url}/sso/login")
    chromium.screenshot(page, "1-form")
    page.get_by_role("textbox").fill("alice@nowhere.example")
    page.get_by_role("textbox").press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    chromium.screenshot(page, "2-unknown")
    page.get_by_role("textbox").fill("alice@acme.example")
    page.get_by_role("button").click()
    page.wait_for_url(re.compile(re.escape(acme.url)))
    acme.sign_in(page)

    page.wait_for_url(app.report)
    expect(page.locator("body")).to_contain_text(acme.email)


def test_the_sign_in_form_by_keyboard_alone(chromium: Chromium, serve: Serve, acme: Site) -> None:
    """The form has the focus, a label, and is sent by Enter."""
    app = serve("raw_asgi:app", acme_connection(acme), globex_connection(acme))
    page = chromium.first_tab
    page.goto(app.report)

    expect(page.get_by_label(re.compile("e-?mail", re.IGNORECASE))).to_be_focused()
    page.keyboard.type("alice@acme.example")
    page.keyboard.press("Enter")

    page.wait_for_url(re.compile(re.escape(acme.url)))


def signed_out_url(app: App) -> re.Pattern[str]:
    """By way of the identity provider, where it has single logout."""
    return re.compile(re.escape(f"{app.url}/sso/signed-out"))


def test_after_signing_out_the_back_button_shows_nothing(chromium: Chromium, serve: Serve, site: Site) -> None:
    """Sign-out ends on a page for everybody; Back does not show the protected page again."""
    app = serve("raw_asgi:app", acme_connection(site))
    page = chromium.first_tab
    sign_in(page, app, site)

    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(signed_out_url(app))
    chromium.screenshot(page, "1-signed-out")
    page.go_back(wait_until="commit")
    page.wait_for_timeout(1000)

    chromium.screenshot(page, "2-back")
    # The identity provider may still know the person; going on is a click all the same.
    assert page.url.startswith(f"{app.url}/sso/login?return_to=/report")
    assert page.get_by_role("heading", name="You are signed out").is_visible()
    page.get_by_role("link", name="Sign in again").click()
    # Whether it asks again depends on whether it has single logout.
    page.wait_for_url(re.compile(f"{re.escape(app.url)}/report|{re.escape(site.url)}"))


def test_signing_out_of_a_page_without_referrer(chromium: Chromium, serve: Serve, acme: Site) -> None:
    """A host's `Referrer-Policy: no-referrer` makes browsers say `Origin: null`; the form is ours all the same."""
    app = serve("raw_asgi:app", acme_connection(acme))
    page = chromium.first_tab
    sign_in(page, app, acme)
    origins: list[str | None] = []

    def keep_origin(request: Request) -> None:
        if request.url.endswith("/sso/logout"):
            origins.append(request.headers.get("origin"))

    page.on("request", keep_origin)

    def without_referrer(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, headers={**answer.headers, "referrer-policy": "no-referrer"})

    chromium.context.route(re.compile(r"/report"), without_referrer)
    page.reload()
    page.get_by_role("button", name="Sign out").click()

    page.wait_for_url(signed_out_url(app))
    assert origins == ["null"]


def test_starting_at_the_identity_provider(chromium: Chromium, serve: Serve, site: Site) -> None:
    """IdP-initiated: one password, no question of ours, and the page that the portal named."""
    app = serve("raw_asgi:app", acme_connection(site))
    page = chromium.first_tab

    page.goto(site.start_url(app.entity_id("acme"), "/report?from=portal"))
    site.sign_in(page)

    page.wait_for_url(f"{app.url}/report?from=portal")
    expect(page.locator("body")).to_contain_text(site.email)


def test_the_same_response_again(chromium: Chromium, serve: Serve, acme: Site) -> None:
    """A Response that is posted again is refused, on a page that says that the person is signed in."""
    app = serve("raw_asgi:app", acme_connection(acme))
    page = chromium.first_tab
    bodies: list[str] = []
    page.on("request", lambda request: bodies.append(request.post_data or "") if "/acs" in request.url else None)
    sign_in(page, app, acme)

    repeat_post(page, f"{app.url}/sso/acme/acs", bodies[0])

    expect(page.locator("body")).to_contain_text("You are signed in")
    chromium.screenshot(page, "replayed")
    page.get_by_role("link", name="Continue").click()
    assert page.url.startswith(app.url)
    chromium.forgive("status of 403")


def test_finish_again(chromium: Chromium, serve: Serve, acme: Site) -> None:
    """`finish` is asked for again (a reload, a restored tab): refused, and the person is told that they're in."""
    app = serve("raw_asgi:app", acme_connection(acme))
    page = chromium.first_tab
    finishes: list[str] = []
    page.on("request", lambda request: finishes.append(request.url) if "/sso/finish" in request.url else None)
    sign_in(page, app, acme)

    page.goto(finishes[0])

    expect(page.locator("body")).to_contain_text("You are signed in")
    chromium.forgive("status of 403")


def test_a_refusal_has_a_reference(chromium: Chromium, serve: Serve, acme: Site) -> None:
    """Someone who is refused reads a sentence, a code and a reference to tell."""
    app = serve("raw_asgi:app", acme_connection(acme))
    page = chromium.first_tab
    page.goto(f"{app.url}/sso/nobody/metadata")
    chromium.screenshot(page, "unknown-connection")
    page.goto(f"{app.url}/sso/finish?attempt=none")

    expect(page.locator("body")).to_contain_text("pending_login_unknown")
    chromium.screenshot(page, "refused")
    chromium.forgive("status of 40")


def test_every_cookie_names_same_site(chromium: Chromium, serve: Serve, acme: Site) -> None:
    """No cookie of ours leans on a browser's default (Chromium: a cookie without SameSite counts for two minutes)."""
    app = serve("raw_asgi:app", acme_connection(acme))
    page = chromium.first_tab
    cookies: list[str] = []

    def keep_cookies(response: Response) -> None:
        if response.url.startswith(app.url):
            cookies.extend(h["value"] for h in response.headers_array() if h["name"].lower() == "set-cookie")

    page.on("response", keep_cookies)
    sign_in(page, app, acme)

    assert cookies
    assert all("SameSite=Lax" in cookie and "HttpOnly" in cookie for cookie in cookies)


def repeat_post(page: Page, url: str, body: str) -> None:
    """Post these form fields from a page of another site, as an identity provider does."""
    page.goto("about:blank")
    page.evaluate(
        """([url, body]) => {
            const form = Object.assign(document.createElement("form"), {method: "post", action: url});
            for (const [name, value] of new URLSearchParams(body))
                form.append(Object.assign(document.createElement("input"), {type: "hidden", name, value}));
            document.body.append(form);
            form.submit();
        }""",
        [url, body],
    )
    page.wait_for_url(re.compile(r"/sso/"))
