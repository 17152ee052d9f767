"""Sessions that are renewed while a person works: unseen by a navigation, or at a click by the script.

The identity provider is another site. The clock that is moved is the app's; SimpleSAMLphp goes by the true
time, so nothing is moved further than the leeway allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, Route, expect
from tests.browser.chromium import Chromium
from tests.browser.sites import App, DevIdpSite, Serve, Site, serving_examples
from tests.servers import ConnectionSettings, free_port

pytestmark = pytest.mark.server

APP = "tests.browser.clocked.single_page:app"
ANOTHER = "Bob"
SOFT = {"soft_timeout": "1m", "hard_timeout": "3m", "leeway": "5m"}


# Both in `make long`; in `make test` the real one, where there is a choice.
@pytest.fixture(params=["simplesamlphp", pytest.param("dev_idp", marks=pytest.mark.slow)])
def either_idp(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Either identity provider; the dev IdP goes by the same clock as the app."""
    with ExitStack() as stack:
        if request.param == "dev_idp":
            yield DevIdpSite(tmp_path, free_port(), stack, is_clocked=True)
        else:
            yield request.getfixturevalue("acme")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, Site]]:
    """Each test has a browser of its own, and moves the clock on from where it finds it."""
    directory = tmp_path_factory.mktemp("renewing")
    with ExitStack() as stack:
        idp = DevIdpSite(directory, free_port(), stack, is_clocked=True)
        serve = stack.enter_context(serving_examples(directory))
        yield serve_app(serve, idp), idp


@pytest.fixture
def app(shared: tuple[App, Site]) -> App:
    return shared[0]


@pytest.fixture
def idp(shared: tuple[App, Site]) -> Site:
    """Where it does not matter which."""
    return shared[1]


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


def forget_at(idp: Site, chromium: Chromium) -> None:
    """The identity provider no longer knows this browser."""
    assert idp.url.startswith("http://localhost:")
    chromium.context.clear_cookies(domain="localhost")


def sign_in_as_another(page: Page) -> None:
    """The form is filled in by somebody else of the same organization."""
    if page.locator("input[name=username]").count():
        page.locator("input[name=username]").fill("bob@acme.example")
        page.locator("input[name=password]").fill("bob-pw")
        page.locator("input[name=password]").press("Enter")
    else:
        page.get_by_role("button", name=ANOTHER).click()


def pages_seen(page: Page) -> list[str]:
    """Every document that this tab shows from now on."""
    seen: list[str] = []
    page.on("domcontentloaded", lambda shown: seen.append(shown.url))
    return seen


# A navigation


def test_a_navigation_is_renewed_unseen(chromium: Chromium, serve: Serve, either_idp: Site) -> None:
    """After the soft timeout the next page is the very page asked for, query string and all, under another cookie."""
    app = serve_app(serve, either_idp)
    page = chromium.first_tab
    sign_in(page, app, either_idp)
    before = session_cookie(chromium, app)

    app.clock.wait(seconds=70)
    seen = pages_seen(page)
    page.goto(f"{app.url}/report?year=2025&q=a%2Fb+c")
    page.wait_for_url(f"{app.url}/report?year=2025&q=a%2Fb+c")  # SimpleSAMLphp posts by a page with a script

    expect(page.locator("body")).to_contain_text(f"Signed in as {either_idp.email}")
    expect(page.locator("code")).to_have_text("year=2025&q=a%2Fb+c")
    assert session_cookie(chromium, app) != before
    assert [url for url in seen if url.startswith(app.url)] == [f"{app.url}/report?year=2025&q=a%2Fb+c"]


def test_a_navigation_before_the_limit_goes_nowhere_else(chromium: Chromium, app: App, idp: Site) -> None:
    """The identity provider is not asked, and the session keeps its id."""
    page = chromium.first_tab
    sign_in(page, app, idp)
    before = session_cookie(chromium, app)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.startswith(idp.url) else None)

    app.clock.wait(seconds=55)
    page.goto(app.report)

    assert asked == []
    assert session_cookie(chromium, app) == before


def test_two_tabs_are_renewed_at_once(chromium: Chromium, serve: Serve, either_idp: Site) -> None:
    """Both come back before either has finished, and both arrive, each on its own page."""
    app = serve_app(serve, either_idp)
    first, second = chromium.first_tab, chromium.new_tab()
    sign_in(first, app, either_idp)
    before = session_cookie(chromium, app)
    app.clock.wait(seconds=70)
    arrived: list[Route] = []

    def hold(route: Route) -> None:
        arrived.append(route)

    chromium.context.route(re.compile(r"/sso/acme/acs"), hold)

    pages = {first: f"{app.url}/report?tab=1", second: f"{app.url}/report?tab=2"}
    for page, address in pages.items():
        page.goto(address, wait_until="commit")
    while len(arrived) < 2:
        first.wait_for_timeout(100)
    answers = [route.fetch(max_redirects=0) for route in arrived]
    for route, told in reversed(list(zip(arrived, answers, strict=True))):
        route.fulfill(response=told)

    for page, address in pages.items():
        page.wait_for_url(address)
        expect(page.locator("body")).to_contain_text(f"Signed in as {either_idp.email}")
    assert session_cookie(chromium, app) != before
    first.reload()
    expect(first.locator("body")).to_contain_text(f"Signed in as {either_idp.email}")


def test_who_is_no_longer_signed_in_there_is_asked(chromium: Chromium, serve: Serve, either_idp: Site) -> None:
    """NoPassive: the identity provider's own form is next, and after it the page that was asked for."""
    app = serve_app(serve, either_idp)
    page = chromium.first_tab
    sign_in(page, app, either_idp)
    forget_at(either_idp, chromium)

    app.clock.wait(seconds=70)
    page.goto(f"{app.url}/report?year=2025")
    page.wait_for_url(re.compile(re.escape(either_idp.url)))
    either_idp.sign_in(page)

    page.wait_for_url(f"{app.url}/report?year=2025")
    expect(page.locator("body")).to_contain_text(f"Signed in as {either_idp.email}")


def test_another_person_there_opens_nothing(chromium: Chromium, serve: Serve, either_idp: Site) -> None:
    """Somebody else signed in at the identity provider meanwhile: the session is over, and theirs is not begun."""
    app = serve_app(serve, either_idp)
    page, other = chromium.first_tab, chromium.new_tab()
    sign_in(page, app, either_idp)
    forget_at(either_idp, chromium)
    posted: list[str] = []

    def keep_away(route: Route) -> None:
        posted.append(route.request.url)
        route.fulfill(status=200, content_type="text/plain", body="kept away from the app")

    other.route(re.compile(r"/sso/acme/acs"), keep_away)
    other.goto(either_idp.start_url(app.entity_id("acme"), "/report"))
    sign_in_as_another(other)
    other.wait_for_url(re.compile("/acs"))
    assert len(posted) == 1

    app.clock.wait(seconds=70)
    page.goto(app.report)

    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert page.url.startswith(f"{app.url}/sso/")
    assert not [c for c in chromium.context.cookies(app.url) if c["name"].endswith("-session")]
    page.goto(app.report)
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert page.url.startswith(f"{app.url}/sso/")


def test_a_phone_has_the_limits_of_phones(chromium: Chromium, serve: Serve, clocked_idp: Site) -> None:
    """By what the browser says of itself when somebody signs in; a desktop beside it is renewed sooner."""
    app = serve_app(serve, clocked_idp, soft_timeout_mobile="2m")
    phone = chromium.first_tab
    as_phone(chromium, phone)
    sign_in(phone, app, clocked_idp)
    before = session_cookie(chromium, app)

    app.clock.wait(seconds=110)
    phone.goto(app.report)
    assert session_cookie(chromium, app) == before
    app.clock.wait(seconds=130)
    phone.goto(app.report)
    phone.wait_for_url(app.report)
    assert session_cookie(chromium, app) != before


def as_phone(chromium: Chromium, page: Page) -> None:
    """What Chromium on Android sends: a user agent, and the hint Sec-CH-UA-Mobile."""
    agent = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/156.0.0.0 Mobile Safari/537.36"
    metadata = {"platform": "Android", "platformVersion": "10", "architecture": "", "model": "K", "mobile": True}
    chromium.context.new_cdp_session(page).send(
        "Emulation.setUserAgentOverride", {"userAgent": agent, "userAgentMetadata": metadata}
    )
    page.set_viewport_size({"width": 390, "height": 740})


# The script


def later(page: Page, app: App, seconds: int) -> None:
    """So many seconds pass, for the server and for the page's own timers, once the script has asked."""
    page.wait_for_load_state("networkidle")
    app.clock.wait(seconds=seconds)
    page.clock.fast_forward(seconds * 1000)


def begin_fetch(page: Page, options: str = "{}") -> None:
    """A request of the page's own; `answer` waits for it."""
    page.evaluate(
        f"""() => {{
            window.answer = fetch("/report/data", {options})
                .then(async (reply) => [reply.status, (await reply.json()).body ?? ""], (error) => [0, error.name]);
        }}"""
    )


def answer(page: Page) -> tuple[int, str]:
    status, body = page.evaluate(
        "() => Promise.race([window.answer, new Promise((done) => setTimeout(done, 10_000, [0, 'still waits']))])"
    )
    return status, body


def press(page: Page, button: str) -> Page:
    """Press the button that opens the window."""
    with page.context.expect_page() as opened:
        page.get_by_role("button", name=button).click()
    return opened.value


def wait_until_closed(window: Page) -> None:
    if not window.is_closed():
        window.wait_for_event("close")


@pytest.fixture
def page(chromium: Chromium) -> Page:
    """A tab whose timers the test moves."""
    chromium.first_tab.clock.install()
    return chromium.first_tab


def test_the_warning_and_the_window(chromium: Chromium, serve: Serve, either_idp: Site, page: Page) -> None:
    """Before the limit the page warns; a click renews in a window that closes itself, and the warning is gone."""
    app = serve_app(serve, either_idp)
    sign_in(page, app, either_idp)
    before = session_cookie(chromium, app)
    expect(page.get_by_role("alertdialog")).to_be_hidden()

    later(page, app, 40)
    expect(page.get_by_role("alertdialog", name="Are you still there?")).to_be_visible()
    expect(page.get_by_role("alertdialog")).to_be_focused()
    chromium.screenshot(page, "warning")
    page.keyboard.press("Space")  # the person was about to scroll
    assert len(chromium.context.pages) == 1
    page.evaluate("() => window.addEventListener('sso:renewed', () => { window.heard = (window.heard ?? 0) + 1; })")
    window = press(page, "Stay signed in")
    wait_until_closed(window)

    expect(page.get_by_role("alertdialog")).to_be_hidden()
    assert session_cookie(chromium, app) != before
    assert page.url == app.report
    assert page.evaluate("() => window.heard") == 1


def test_a_refused_request_waits_and_is_sent_again(
    chromium: Chromium, serve: Serve, either_idp: Site, page: Page
) -> None:
    """What a page sends after the limit waits for the click, and then arrives with its body, once."""
    app = serve_app(serve, either_idp)
    sign_in(page, app, either_idp)
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.url.endswith("/data") else None)

    app.clock.wait(seconds=70)
    begin_fetch(page, "{method: 'POST', body: 'a draft'}")
    wait_until_closed(press(page, "Stay signed in"))

    assert answer(page) == (200, "a draft")
    assert [request.method for request in sent] == ["POST", "POST"]
    expect(page.get_by_role("alertdialog")).to_be_hidden()
    chromium.forgive("status of 401")


def test_the_window_takes_a_password(chromium: Chromium, serve: Serve, either_idp: Site, page: Page) -> None:
    """Where the identity provider has forgotten the person, its form is in the window; the page stays as it is."""
    app = serve_app(serve, either_idp)
    sign_in(page, app, either_idp)
    page.get_by_label("A long text").fill("Half a sentence")
    forget_at(either_idp, chromium)

    app.clock.wait(seconds=70)
    begin_fetch(page, "{method: 'POST', body: 'a draft'}")
    window = press(page, "Stay signed in")
    window.wait_for_url(re.compile(re.escape(either_idp.url)))
    chromium.screenshot(window, "window")
    either_idp.sign_in(window)
    wait_until_closed(window)

    assert answer(page) == (200, "a draft")
    expect(page.get_by_label("A long text")).to_have_value("Half a sentence")
    chromium.forgive("status of 401")


def test_after_the_end_the_window_signs_in(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """The page says that one was signed out; the same person, signed in again, goes on with what waits."""
    sign_in(page, app, idp)
    forget_at(idp, chromium)

    later(page, app, 600)
    expect(page.get_by_role("alertdialog", name="You were signed out.")).to_be_visible()
    chromium.screenshot(page, "signed-out")
    begin_fetch(page, "{method: 'POST', body: 'a draft'}")
    window = press(page, "Sign in")
    idp.sign_in(window)
    wait_until_closed(window)

    assert answer(page) == (200, "a draft")
    expect(page.get_by_role("alertdialog")).to_be_hidden()
    chromium.forgive("status of 401")


def test_nothing_is_sent_as_somebody_else(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """Another person signs in through the window: what waits is not sent in their name, and the page says so."""
    sign_in(page, app, idp)
    forget_at(idp, chromium)

    later(page, app, 600)
    begin_fetch(page, "{method: 'POST', body: 'a draft'}")
    window = press(page, "Sign in")
    sign_in_as_another(window)
    wait_until_closed(window)

    assert answer(page) == (401, "")
    expect(page.get_by_role("alertdialog", name="Somebody else is signed in now.")).to_be_visible()
    chromium.screenshot(page, "somebody-else")
    page.get_by_role("button", name="Reload").click()
    expect(page.locator("body")).not_to_contain_text(idp.email)
    expect(page.get_by_role("alertdialog")).to_be_hidden()
    chromium.forgive("status of 401")


def test_closing_the_warning_lets_requests_fail(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """Escape closes it; what waits gets its 401. The next request asks again."""
    sign_in(page, app, idp)

    app.clock.wait(seconds=70)
    begin_fetch(page)
    expect(page.get_by_role("alertdialog")).to_be_visible()
    page.keyboard.press("Escape")

    assert answer(page) == (401, "")
    expect(page.get_by_role("alertdialog")).to_be_hidden()
    begin_fetch(page)
    expect(page.get_by_role("alertdialog")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    assert answer(page) == (401, "")
    chromium.forgive("status of 401")


def test_a_request_that_is_given_up_waits_no_longer(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """Its signal is heard while it waits."""
    sign_in(page, app, idp)

    app.clock.wait(seconds=70)
    page.evaluate("() => { window.stop = new AbortController(); }")
    begin_fetch(page, "{signal: window.stop.signal}")
    expect(page.get_by_role("alertdialog")).to_be_visible()
    page.evaluate("() => window.stop.abort()")

    assert answer(page) == (0, "AbortError")
    chromium.forgive("status of 401")


def test_requests_that_do_not_wait(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """Polling, which nobody waits for, and a page that wants none of it, get their 401 at once."""
    sign_in(page, app, idp)
    app.clock.wait(seconds=70)
    begin_fetch(page, "{headers: {'X-SSO-Polling': '1'}}")
    assert answer(page) == (401, "")
    page.goto(f"{app.url}/report?no-fetch=")
    page.wait_for_url(f"{app.url}/report?no-fetch=")

    app.clock.wait(seconds=70)
    begin_fetch(page)

    assert answer(page) == (401, "")
    expect(page.get_by_role("alertdialog")).to_be_hidden()
    chromium.forgive("status of 401")


def test_a_request_object_is_sent_again(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """Its body was read when it was first sent; a copy goes out."""
    sign_in(page, app, idp)

    app.clock.wait(seconds=70)
    page.evaluate(
        """() => {
            const request = new Request("/report/data", {method: "PUT", body: new Blob(["a file"])});
            window.answer = fetch(request).then(async (reply) => [reply.status, (await reply.json()).body]);
        }"""
    )
    wait_until_closed(press(page, "Stay signed in"))

    assert answer(page) == (200, "a file")
    chromium.forgive("status of 401")


def test_an_old_request_object_of_the_browser_is_told_twice(
    chromium: Chromium, app: App, idp: Site, page: Page
) -> None:
    """An XMLHttpRequest has its 401; the app hears of it, and once more when it may send it again."""
    sign_in(page, app, idp)

    app.clock.wait(seconds=70)
    page.evaluate(
        """() => {
            window.told = [];
            window.answer = new Promise((resolve) => {
                const send = () => {
                    const request = new XMLHttpRequest();
                    request.open("POST", "/report/data");
                    request.onload = () => { if (request.status === 200) resolve([200, request.responseText]); };
                    request.send("a draft");
                };
                addEventListener("sso:renewal-required", (event) => {
                    told.push(event.type, event.detail.xhr.status);
                    addEventListener("sso:renewed", (event) => { told.push(event.type); send(); }, {once: true});
                });
                send();
            });
        }"""
    )
    wait_until_closed(press(page, "Stay signed in"))

    status, body = answer(page)
    assert status == 200
    assert '"a draft"' in body
    assert page.evaluate("() => window.told") == ["sso:renewal-required", 401, "sso:renewed"]
    chromium.forgive("status of 401")


def test_all_tabs_hear_of_it(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """One window is enough for all of them; what waits in another tab is sent too."""
    sign_in(page, app, idp)
    second = chromium.new_tab()
    second.goto(app.report)
    for tab in (page, second):
        expect(tab.get_by_role("alertdialog")).to_be_hidden()

    later(page, app, 70)  # the clock of all tabs
    begin_fetch(second, "{method: 'POST', body: 'of the second tab'}")
    for tab in (page, second):
        expect(tab.get_by_role("alertdialog")).to_be_visible()
    wait_until_closed(press(page, "Stay signed in"))

    assert answer(second) == (200, "of the second tab")
    for tab in (page, second):
        expect(tab.get_by_role("alertdialog")).to_be_hidden()
    chromium.forgive("status of 401")


def test_a_page_that_is_isolated(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """With Cross-Origin-Opener-Policy the window has no opener; it is heard, and closes, all the same."""
    sign_in(page, app, idp, f"{app.url}/report?coop=")

    app.clock.wait(seconds=70)
    begin_fetch(page, "{method: 'POST', body: 'a draft'}")
    window = press(page, "Stay signed in")
    assert answer(page) == (200, "a draft")
    wait_until_closed(window)
    chromium.forgive("status of 401")


def test_without_any_message_the_page_asks(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """Where nothing of the window gets through, the page finds out by itself."""
    page.add_init_script("delete window.BroadcastChannel;")
    sign_in(page, app, idp, f"{app.url}/report?coop=")

    later(page, app, 70)
    window = press(page, "Stay signed in")
    wait_until_closed(window)
    page.clock.fast_forward(6000)

    expect(page.get_by_role("alertdialog")).to_be_hidden()


def test_nobody_is_interrupted_while_typing(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """The focus stays in the text, so that a blank presses no button; the warning is spoken, and can be reached."""
    sign_in(page, app, idp)
    page.get_by_label("A long text").press_sequentially("To whom it ")

    later(page, app, 40)
    expect(page.get_by_role("alert")).to_contain_text("Are you still there?")
    expect(page.get_by_label("A long text")).to_be_focused()
    page.keyboard.type("may concern")
    expect(page.get_by_label("A long text")).to_have_value("To whom it may concern")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Stay signed in")).to_be_focused()
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    wait_until_closed(opened.value)

    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_label("A long text")).to_be_focused()


def test_the_words_are_the_hosts_own(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """Sentences and buttons, and when to warn, are attributes of the script's tag. On a small screen, too."""
    words = "warning=Sind+Sie+noch+da%3F&button=Angemeldet+bleiben&close=Schlie%C3%9Fen&warn-seconds=20"
    as_phone(chromium, page)
    sign_in(page, app, idp, f"{app.url}/report?{words}")

    later(page, app, 40)
    expect(page.get_by_role("alertdialog")).to_be_hidden()
    later(page, app, 10)

    expect(page.get_by_role("alertdialog", name="Sind Sie noch da?")).to_be_visible()
    expect(page.get_by_role("button", name="Schließen")).to_be_visible()
    chromium.screenshot(page, "phone")
    wait_until_closed(press(page, "Angemeldet bleiben"))


def test_no_warning_where_none_is_wanted(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """`data-warn-seconds="0"`: nothing is shown until a request waits."""
    sign_in(page, app, idp, f"{app.url}/report?warn-seconds=0")

    later(page, app, 70)
    page.wait_for_timeout(500)
    expect(page.get_by_role("alertdialog")).to_be_hidden()
    begin_fetch(page)

    wait_until_closed(press(page, "Stay signed in"))
    assert answer(page) == (200, "")
    chromium.forgive("status of 401")


def test_the_end_that_nothing_moves_is_told(chromium: Chromium, serve: Serve, clocked_idp: Site, page: Page) -> None:
    """Before the absolute limit, which no renewal moves, the page tells when it is, and offers no renewal."""
    app = serve_app(serve, clocked_idp, hard_timeout="2m", absolute_timeout="2m")
    sign_in(page, app, clocked_idp)

    for _ in range(2):  # seen again and again, so not idle
        later(page, app, 40)
        page.goto(app.report)
    later(page, app, 25)

    expect(page.get_by_role("alertdialog", name=re.compile("You will be signed out at .*[0-9]"))).to_be_visible()
    expect(page.get_by_role("button", name="Stay signed in")).to_be_hidden()
    chromium.screenshot(page, "ending")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("alertdialog")).to_be_hidden()
    later(page, app, 20)
    expect(page.get_by_role("alertdialog", name="You were signed out.")).to_be_visible()


def test_a_window_that_does_not_open(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """The person is told what to do, and an app that asked for it that it was not renewed."""
    sign_in(page, app, idp)
    page.evaluate("() => { window.open = () => null; }")

    later(page, app, 40)
    page.get_by_role("button", name="Stay signed in").click()

    expect(page.get_by_role("alertdialog", name="The browser did not open the window.")).to_be_visible()
    assert page.evaluate("() => ssoSession.renew()") is False


def test_an_app_renews_by_a_button_of_its_own(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """`ssoSession.renew()` is answered when it is done."""
    sign_in(page, app, idp)
    before = session_cookie(chromium, app)

    page.evaluate("() => { window.answer = ssoSession.renew().then((isRenewed) => [isRenewed, '']); }")
    assert answer(page) == (True, "")

    assert session_cookie(chromium, app) != before


def test_a_page_that_asks_first_after_the_limit(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """It never saw the session alive, and knows a renewal all the same when there is one."""

    def be_late(route: Route) -> None:
        app.clock.wait(seconds=70)
        route.continue_()

    page.route(re.compile("/sso/session$"), be_late, times=1)
    sign_in(page, app, idp)
    expect(page.get_by_role("alertdialog")).to_be_visible()
    page.evaluate(
        "() => { window.answer = new Promise((tell) => addEventListener('sso:renewed', () => tell([1, '']))); }"
    )

    wait_until_closed(press(page, "Stay signed in"))

    assert answer(page) == (1, "")
    expect(page.get_by_role("alertdialog")).to_be_hidden()


def test_the_session_is_asked_about_only_when_it_is_due(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """Once at the start, and once when the time has come: in a hidden tab, when somebody looks at it again."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/sso/session") else None)
    sign_in(page, app, idp)
    page.wait_for_load_state("networkidle")
    hide = "(hidden) => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
    hide += " document.dispatchEvent(new Event('visibilitychange')); }"

    later(page, app, 20)
    page.evaluate(hide, True)
    page.evaluate(hide, False)
    page.evaluate(hide, True)
    later(page, app, 20)
    page.wait_for_timeout(300)
    assert len(asked) == 1
    page.evaluate(hide, False)

    expect(page.get_by_role("alertdialog")).to_be_visible()
    assert len(asked) == 2


def test_a_page_for_everybody_is_left_alone(chromium: Chromium, app: App, idp: Site, page: Page) -> None:
    """Nobody is signed in there, so nobody is told that they were signed out."""
    page.goto(f"{app.url}/")
    page.wait_for_load_state("networkidle")

    later(page, app, 600)
    begin_fetch(page)

    assert answer(page) == (401, "")
    expect(page.get_by_role("alertdialog")).to_be_hidden()
    chromium.forgive("status of 401")
