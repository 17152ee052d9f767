"""From a protected page to the identity provider and back to that very page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider, read_post, read_redirect
from tests.world import World
from werkzeug.datastructures import Headers

from sso_middleware import Link, Reject
from sso_middleware.flows.browsers import recognise
from sso_middleware.web import Request

GLOBEX = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso")


def two_connections(make_world: MakeWorld, **settings: object) -> World:
    acme = IdentityProvider()
    return make_world(
        connections=[
            {"id": "acme", "organization": "Acme", "domains": ["acme.example"], "metadata": acme.metadata},
            {"id": "globex", "organization": "Globex", "domains": ["globex.example"], "metadata": GLOBEX.metadata},
        ],
        **settings,
    )


def test_a_person_comes_back_to_the_page_first_asked_for(world: World) -> None:
    """Query string included; the app sees who it is; the event says so."""
    answer = world.sign_in("ada@acme.example", page="/report?month=11&q=a%20b")

    assert answer.location == f"{world.base_url}/report?month=11&q=a%20b"
    page = world.first_browser.get(answer.location)
    assert page.status == 200
    assert "page /report" in page.text
    principal = world.app.seen[-1].principal
    assert principal is not None
    assert principal.email == "ada@acme.example"
    assert world.app.seen[-1].current == principal
    assert world.codes == ["login_succeeded"]


def test_without_a_session_the_app_is_not_reached(world: World) -> None:
    """A navigation is sent to sign in."""
    answer = world.browser().get("/report")

    assert answer.status == 303
    assert answer.location == f"{world.base_url}/sso/login?return_to=/report"
    assert world.app.seen == []


def test_the_only_connection_is_gone_to_straight(world: World) -> None:
    """A signed AuthnRequest over HTTP-Redirect; RelayState is opaque and short."""
    request = read_redirect(world.begin_login())

    assert request.acs_url == world.acs_url == f"{world.base_url}/sso/acme/acs"
    assert request.issuer == world.entity_id
    assert not request.is_passive
    assert request.relay_state is not None
    assert len(request.relay_state) <= 80
    assert "/" not in request.relay_state


def test_an_assertion_is_accepted_once(world: World) -> None:
    """The same Response, posted again, opens no second session (RPL-001)."""
    form = world.log_in("/report")
    assert world.post_response(form).status == 303

    again = world.post_response(form)

    assert again.status == 403
    assert not any("session" in cookie for cookie in again.set_cookies)
    assert world.codes == ["login_succeeded", "login_request_unknown"]


def test_an_assertion_is_claimed_before_anybody_finishes(world: World) -> None:
    """Two posts before the first `finish`: the second is a replay (RPL-002, RPL-003)."""
    form = world.log_in("/report")
    first = world.first_browser.post(world.acs_url, form, cross_site=True)

    second = world.first_browser.post(world.acs_url, form, cross_site=True)

    assert (first.status, second.status) == (303, 403)
    assert world.codes == ["assertion_replayed"]
    assert world.first_browser.get(first.location).status == 303


def test_a_replay_in_the_browser_that_it_signed_in_says_so(world: World) -> None:
    """Still refused; the page looks again from our own site, where the session is seen."""
    form = world.log_in("/report")
    world.post_response(form)

    refused = world.post_response(form)
    page = world.first_browser.get(refused.refresh_url)

    assert refused.status == page.status == 403
    assert "You are signed in" in page.text
    assert f'href="{world.base_url}/"' in page.text


def test_a_replay_in_another_browser_is_just_refused(world: World) -> None:
    """Nobody is told that somebody is signed in elsewhere."""
    form = world.log_in("/report")
    world.post_response(form)
    other = world.browser()

    refused = world.post_response(form, other)
    page = other.get(refused.refresh_url)

    assert refused.status == page.status == 403
    assert "You are signed in" not in page.text
    assert not other.has_session


def test_a_reloaded_finish_says_that_one_is_signed_in(world: World) -> None:
    """And is still refused."""
    form = world.log_in("/report")
    finish_url = world.first_browser.post(world.acs_url, form, cross_site=True).location
    assert world.first_browser.get(finish_url).status == 303

    again = world.first_browser.get(finish_url)

    assert again.status == 403
    assert "You are signed in" in again.text
    assert world.codes[-1] == "pending_login_unknown"


def test_a_login_ends_only_in_the_browser_in_which_it_began(world: World) -> None:
    """Login CSRF: the attacker's own answer, posted in the victim's browser (RPL-010)."""
    form = world.log_in("/report")
    victim = world.browser()
    world.begin_login("/", victim)

    answer = world.post_response(form, victim)

    assert answer.status == 403
    assert not victim.has_session
    assert world.codes == ["browser_mismatch"]
    assert world.hooks.identities == []


def test_a_failed_attempt_elsewhere_leaves_the_login_to_its_own_browser(world: World) -> None:
    """The login request stays; a fresh answer to it signs its own browser in."""
    url = world.begin_login("/report")
    stranger = world.browser()
    world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now), stranger)

    answer = world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now))

    assert answer.status == 303
    assert world.first_browser.has_session


def test_several_tabs_sign_in_at_once(world: World) -> None:
    """Begun one after the other, finished in the other order."""
    browser = world.first_browser
    first, second = world.begin_login("/one"), world.begin_login("/two")

    for url, page in ((second, "/two"), (first, "/one")):
        answer = world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now))
        assert answer.location == f"{world.base_url}{page}"
    assert browser.has_session


def test_two_tabs_that_start_at_once_in_a_fresh_browser_both_arrive(world: World) -> None:
    """Neither request carries a browser id yet; the two answers don't overwrite each other's."""
    browser = world.browser()
    one, two = world.browser(), world.browser()
    urls = world.begin_login("/one", one), world.begin_login("/two", two)
    browser.cookies = {**one.cookies, **two.cookies}

    for url in urls:
        form = world.idp.log_in(url, "ada@acme.example", now=world.now)
        assert world.post_response(form, browser).status == 303


def test_two_tabs_may_finish_at_once(world: World) -> None:
    """Both were posted to the ACS before either asked for `finish`: each has a cookie of its own."""
    forms = [world.log_in(page) for page in ("/one", "/two")]
    finishes = [world.first_browser.post(world.acs_url, form, cross_site=True).location for form in forms]

    pages = [world.first_browser.get(url).location for url in finishes]

    assert pages == [f"{world.base_url}/one", f"{world.base_url}/two"]


def test_the_acs_sets_no_session_and_finish_needs_its_cookie(world: World) -> None:
    """The handle is in no URL; what the ACS found out waits a minute."""
    form = world.log_in("/report")
    answer = world.first_browser.post(world.acs_url, form, cross_site=True)
    (cookie,) = answer.set_cookies

    assert "-pending-" in cookie
    assert "Max-Age=60" in cookie
    assert cookie.split("=", 1)[1].split(";")[0] not in answer.location
    assert world.browser().get(answer.location).status == 403
    world.wait(seconds=61)
    assert world.first_browser.get(answer.location).status == 403
    assert not world.first_browser.has_session


def test_an_answer_that_took_too_long_is_refused(world: World) -> None:
    """A login request lives 15 minutes (RPL-012)."""
    url = world.begin_login("/report")
    world.wait(minutes=15, seconds=1)

    answer = world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now))

    assert answer.status == 403
    assert world.codes == ["login_request_unknown"]


def test_every_cookie_is_host_only_secure_lax_and_http_only(world: World) -> None:
    """WEB-003: no cookie of SameSite=None exists."""
    form = world.log_in("/report")
    posted = world.first_browser.post(world.acs_url, form, cross_site=True)
    finished = world.first_browser.get(posted.location)
    started = world.browser().get("/sso/login")

    cookies = [*started.set_cookies, *posted.set_cookies, *finished.set_cookies]
    assert len(cookies) >= 4
    for cookie in cookies:
        assert cookie.startswith("__Host-sso-")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))


def test_on_loopback_http_the_cookies_have_plain_names(make_world: MakeWorld) -> None:
    """Two instances of other names don't meet."""
    world = make_world(base_url="http://127.0.0.1:8000", name="shop")
    world.sign_in()

    assert {name.split("-")[0] for name in world.first_browser.cookies} == {"shop"}
    assert "shop-session" in world.first_browser.cookies


def test_only_cookies_as_we_name_them_bind_a_browser(world: World) -> None:
    """Whatever else comes is never sent back: servers refuse a control character in a header."""
    browser = world.browser()
    token = "A" * 43
    sent = "; ".join(f"__Host-sso-browser-{suffix}={token}" for suffix in ("z\x01", "z\x7f", "0", "00000g", "0000000"))

    answer = browser.get("/sso/login", Cookie=sent)

    assert answer.status == 303
    assert [line for line in answer.set_cookies if token in line or "Max-Age=0" in line] == []


def test_a_browser_with_many_cookies_is_not_read_over_and_over(world: World) -> None:
    """64 KiB of them, as servers allow, took seconds when each was looked for among all."""
    sent = "; ".join(f"__Host-sso-browser-{number:06x}=x" for number in range(2500))
    lookups = 0

    class Counted(Headers):
        def getlist(self, *args: Any, **kwargs: Any) -> Any:
            nonlocal lookups
            lookups += 1
            return super().getlist(*args, **kwargs)

    request = Request(
        method="GET",
        path="/sso/login",
        raw_path=None,
        query="",
        headers=Counted({"Cookie": sent}),
        scheme="https",
        host="app.example",
        client=None,
        native={},
        read_body=lambda limit: b"",
    )

    recognise(world.sso.site, request)

    assert lookups < 5


# Finding the connection


def test_the_sign_in_page_asks_for_an_email_and_finds_the_connection(make_world: MakeWorld) -> None:
    """In answer to the form comes a page, never a redirect (Chromium's form-action)."""
    world = two_connections(make_world)
    browser = world.browser()
    page = browser.get("/sso/login?return_to=/report")
    fields = {"csrf_token": page.field("csrf_token"), "return_to": "/report", "email": " Carol@GLOBEX.example "}

    answer = browser.post("/sso/login", fields)

    assert answer.status == 200
    assert answer.refresh_url.startswith(GLOBEX.sso_url)
    form = GLOBEX.log_in(answer.refresh_url, "carol@globex.example", now=world.now)
    finished = world.post_response(form, browser, acs=f"{world.base_url}/sso/globex/acs")
    assert finished.location == f"{world.base_url}/report"


@pytest.mark.parametrize("email", ["nobody@elsewhere.example", "not an address", "a@b@acme.example", ""])
def test_an_address_without_a_connection_is_told_so(make_world: MakeWorld, email: str) -> None:
    """Escaped, kept in the field, and with the way to the host's own login."""
    world = two_connections(make_world, local_login_url="/login", public=["/login"])
    browser = world.browser()
    token = browser.get("/sso/login").field("csrf_token")

    answer = browser.post("/sso/login", {"csrf_token": token, "return_to": "/", "email": email})

    assert answer.status == 200
    assert 'role="alert"' in answer.text
    assert 'href="/login"' in answer.text
    assert "Globex" not in answer.text


def test_the_way_to_the_hosts_own_login_is_below_the_mount(make_world: MakeWorld) -> None:
    """As `local_login_url` says of a path."""
    world = two_connections(
        make_world, base_url="https://app.example/shop", local_login_url="/login", public=["/login"]
    )
    world.mount = "/shop"

    assert 'href="/shop/login"' in world.browser().get("https://app.example/shop/sso/login").text


def test_the_sign_in_form_of_another_browser_is_refused(make_world: MakeWorld) -> None:
    """WEB-014: without a token, with another browser's, or from another site."""
    world = two_connections(make_world)
    other_token = world.browser().get("/sso/login").field("csrf_token")
    browser = world.browser()
    token = browser.get("/sso/login").field("csrf_token")
    fields = {"return_to": "/", "email": "ada@acme.example"}

    assert browser.post("/sso/login", fields).status == 403
    assert browser.post("/sso/login", {**fields, "csrf_token": other_token}).status == 403
    assert browser.post("/sso/login", {**fields, "csrf_token": token}, Origin="https://evil.example").status == 403
    assert world.codes == ["csrf_mismatch"] * 3
    assert browser.post("/sso/login", {**fields, "csrf_token": token}).status == 200


def test_a_link_may_name_the_connection(make_world: MakeWorld) -> None:
    """An unknown one is refused."""
    world = two_connections(make_world)

    assert world.browser().get("/sso/login?connection=globex").location.startswith(GLOBEX.sso_url)
    assert world.browser().get("/sso/login?connection=unknown").status == 404
    assert world.codes == ["unknown_connection"]


def test_an_identity_provider_that_only_takes_posts_gets_a_form(make_world: MakeWorld) -> None:
    """A page with a button, that needs no script; its policy lets it post to that provider only."""
    idp = IdentityProvider()
    only_post = idp.metadata.replace(
        f'<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="{idp.sso_url}"/>',
        "",
    )
    world = make_world(
        connections=[{"id": "acme", "organization": "Acme", "domains": ["acme.example"], "metadata": only_post}]
    )

    page = world.first_browser.get("/sso/login?return_to=/report")

    assert page.status == 200
    assert f'action="{idp.sso_url}"' in page.text
    assert "form-action 'self' https://idp.acme.example;" in page.headers["Content-Security-Policy"]
    request = read_post({"SAMLRequest": page.field("SAMLRequest"), "RelayState": page.field("RelayState")})
    answer = world.post_response(idp.answer(request, "ada@acme.example", now=world.now))
    assert answer.location == f"{world.base_url}/report"


def test_a_login_on_another_host_name_is_brought_home_first(world: World) -> None:
    """Our cookies are on base_url's host; the person comes back to the same path there."""
    browser = world.browser()

    answer = browser.get("https://www.app.example/report?x=1")

    assert answer.status == 303
    home = urlsplit(answer.location)
    assert f"{home.scheme}://{home.netloc}" == world.base_url
    assert parse_qs(home.query)["return_to"] == ["/report?x=1"]
    assert browser.get(answer.location).location.startswith(world.idp.sso_url)


def test_our_own_login_page_on_another_host_name_comes_home_too(world: World) -> None:
    """Once: where a proxy hides the name from us it goes on."""
    answer = world.browser().get("https://www.app.example/sso/login?return_to=/report")

    assert answer.location.startswith(f"{world.base_url}/sso/login?")
    hidden = answer.location.replace(world.base_url, "https://internal.example")
    assert world.browser().get(hidden).location.startswith(world.idp.sso_url)


def test_a_signed_in_person_who_asks_to_sign_in_goes_on(world: World) -> None:
    """No second login."""
    world.sign_in()

    assert world.first_browser.get("/sso/login?return_to=/report").location == f"{world.base_url}/report"


@pytest.mark.parametrize(
    "return_to", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_a_return_address_elsewhere_is_lost(world: World, return_to: str) -> None:
    """RPL-015: the login goes on, to our front page."""
    browser = world.browser()
    url = browser.get("/sso/login?return_to=" + return_to).location

    answer = world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now), browser)

    assert answer.location == f"{world.base_url}/"


def test_relay_state_decides_nothing_of_an_answer_to_us(world: World) -> None:
    """RPL-016: tampered or missing, the page is that of our own login request."""
    form = world.log_in("/report") | {"RelayState": "https://evil.example/"}

    assert world.post_response(form).location == f"{world.base_url}/report"


# The host's decision


def test_a_link_is_remembered(world: World) -> None:
    """The next login of the same person knows the host's user."""
    world.hooks.decision = lambda identity: Link("user-7")
    world.sign_in()
    world.sign_in(browser=world.browser())

    first, second = world.hooks.identities
    assert (first.user_id, second.user_id) == (None, "user-7")
    assert first.key == second.key
    assert first.attempt_id != second.attempt_id
    world.first_browser.get("/report")
    assert world.app.seen[-1].principal.user_id == "user-7"  # type: ignore[union-attr]  # signed in above


def test_a_rejected_person_is_not_signed_in(world: World) -> None:
    """The host's sentence is shown, its reason only recorded."""
    world.hooks.decision = lambda identity: Reject("blocked in CRM", "Please ask <HR> for access.")
    form = world.log_in("/report")

    answer = world.post_response(form)

    assert answer.status == 403
    assert "Please ask &lt;HR&gt; for access." in answer.text
    assert "CRM" not in answer.text
    assert not world.first_browser.has_session
    assert world.codes == ["provisioning_rejected"]
    assert world.events[0].detail["why"] == "blocked in CRM"


def test_a_hook_that_fails_lets_nobody_in(world: World) -> None:
    """WEB-026: 503, and its exception is not told."""

    def fail(identity: object) -> Link:
        raise ValueError("ada@acme.example is broken")

    world.hooks.decision = fail
    answer = world.post_response(world.log_in("/report"))

    assert answer.status == 503
    assert not world.first_browser.has_session
    assert world.codes == ["hook_failed"]
    assert "broken" not in answer.text + repr(world.events)


def test_a_hook_that_answers_nonsense_lets_nobody_in(world: World) -> None:
    """A forgotten return is not a yes."""
    world.hooks.decision = lambda identity: None  # type: ignore[assignment, return-value]  # what a host might do

    assert world.post_response(world.log_in("/report")).status == 503
    assert world.codes == ["hook_failed"]


# Who the person is


def test_an_address_of_another_organization_is_refused(world: World) -> None:
    """TEN-006: the identity provider of acme.example vouches for nobody else; no hook hears of it."""
    answer = world.post_response(world.log_in("/report", "bob@globex.example"))

    assert answer.status == 403
    assert world.codes == ["email_outside_domains"]
    assert world.hooks.identities == []


def test_the_wrong_person_may_choose_another_account(world: World) -> None:
    """The next request asks for a fresh authentication, and an old one is refused (PRO-044)."""
    refused = world.post_response(world.log_in("/report", "bob@globex.example"))
    again = f"{world.base_url}/sso/login?return_to=/report&amp;again=1&amp;connection=acme&amp;fresh=1"
    assert again in refused.text
    url = world.first_browser.get(again.replace("&amp;", "&")).location
    assert read_redirect(url).force_authn

    world.wait(minutes=5)
    stale = world.idp.log_in(url, "ada@acme.example", now=world.now, authn_instant=world.now - timedelta(minutes=8))
    assert world.post_response(stale).status == 403
    assert world.codes[-1] == "authn_not_fresh"
    assert world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now)).status == 303


def test_a_connection_may_demand_a_way_of_authentication(make_world: MakeWorld) -> None:
    """PRO-044: any other is refused."""
    mfa = "https://refeds.org/profile/mfa"
    idp = IdentityProvider()
    world = make_world(
        connections=[
            {
                "id": "acme",
                "organization": "Acme",
                "domains": ["acme.example"],
                "metadata": idp.metadata,
                "authn_contexts": [mfa],
            }
        ]
    )

    assert world.post_response(world.log_in("/report")).status == 403
    assert world.codes == ["authn_context_not_allowed"]
    assert world.post_response(world.log_in("/report", authn_context=mfa)).status == 303


def test_a_missing_attribute_is_named_for_the_admin(world: World) -> None:
    """The person gets a sentence, the event the name."""
    shape = world.idp.shape(
        world.sso.site.connections.only.service_provider,  # type: ignore[union-attr]  # there is one
        request_id=read_redirect(url := world.begin_login("/report")).id,
        email="ada@acme.example",
        now=world.now,
    )
    without = tuple(a for a in shape.attributes if a.name != "LastName")

    answer = world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now, attributes=without))

    assert answer.status == 403
    assert world.codes == ["attribute_missing"]
    assert "LastName" in world.events[0].detail["why"]
    assert "LastName" not in answer.text


# Failures


def test_a_failure_is_told_without_a_session(world: World) -> None:
    """NoPassive and the like: a page with the code; the login request is used up."""
    url = world.begin_login("/report")
    form = world.idp.refuse(url, now=world.now, status="AuthnFailed")

    answer = world.post_response(form)

    assert answer.status == 403
    assert "identity_provider_failure" in answer.text
    assert "AuthnFailed" in world.events[0].detail["why"]
    assert world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now)).status == 403


def test_an_unsigned_failure_acts_only_in_the_browser_that_asked(world: World) -> None:
    """Anybody could write one; elsewhere it ends nothing."""
    url = world.begin_login("/report")
    forged = world.idp.refuse(url, now=world.now, sign_response=False, sign_assertion=False)
    stranger = world.browser()

    assert world.post_response(forged, stranger).status == 403
    assert world.codes == ["browser_mismatch"]
    assert world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now)).status == 303


def test_a_failure_that_answers_nothing_is_refused(world: World) -> None:
    """There is no request of ours that it could be about."""
    forged = world.idp.unsolicited(
        world.acs_url, world.entity_id, "", now=world.now, status=("Responder", "AuthnFailed"), has_assertion=False
    )

    assert world.post_response(forged).status == 403
    assert world.codes == ["unsolicited_response"]


# The ACS as a door


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_the_acs_takes_posts_only(world: World, method: str) -> None:
    """WEB-011."""
    answer = world.browser().send(method, world.acs_url, headers={"Accept": "text/html"})

    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"SAMLResponse": "x"}'),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("application/x-www-form-urlencoded; charset=utf-7", b"SAMLResponse=eA%3D%3D"),
        ("application/x-www-form-urlencoded", b"SAMLResponse=eA%3D%3D&SAMLResponse=eQ%3D%3D"),
        ("application/x-www-form-urlencoded", b"SAMLResponse=eA%3D%3D&SAMLRequest=eA%3D%3D"),
        ("application/x-www-form-urlencoded", b"SAMLResponse=%ff%fe"),
        ("application/x-www-form-urlencoded", b"&".join(b"p%d=1" % n for n in range(1000))),
        ("application/x-www-form-urlencoded", b"RelayState=x"),
        ("application/x-www-form-urlencoded", b""),
    ],
)
def test_another_form_is_refused(world: World, content_type: str, body: bytes) -> None:
    """WEB-012: never a 500."""
    answer = world.browser().send("POST", world.acs_url, headers={"Content-Type": content_type}, body=body)

    assert answer.status == 400
    assert answer.set_cookies == []


def test_a_body_over_the_limit_is_not_read(world: World) -> None:
    """XML-016."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    answer = world.browser().send("POST", world.acs_url, headers=headers, body=b"SAMLResponse=" + b"A" * 1_000_000)

    assert answer.status == 413


def test_nothing_acts_inside_a_frame(world: World) -> None:
    """WEB-015."""
    form = world.log_in("/report")

    assert world.first_browser.post(world.acs_url, form, cross_site=True, Sec_Fetch_Dest="iframe").status == 403
    finish = world.first_browser.post(world.acs_url, form, cross_site=True).location
    assert world.first_browser.get(finish, Sec_Fetch_Dest="iframe").status == 403
    assert world.codes == ["framed_request"] * 2
    assert world.first_browser.get(finish).status == 303


def test_an_answer_at_another_connections_acs_is_refused(make_world: MakeWorld) -> None:
    """TEN-005, RPL-011: the request went to acme, the answer comes to globex."""
    world = two_connections(make_world)
    browser = world.browser()
    url = browser.get("/sso/login?connection=acme").location
    form = world.idp.log_in(url, "ada@acme.example", now=world.now)

    answer = world.post_response(form, browser, acs=f"{world.base_url}/sso/globex/acs")

    assert answer.status == 403
    assert world.codes == ["connection_mismatch"]


def test_a_disabled_connection_signs_nobody_in(make_world: MakeWorld) -> None:
    """Protected pages stay protected."""
    idp = IdentityProvider()
    world = make_world(
        connections=[
            {
                "id": "acme",
                "organization": "Acme",
                "domains": ["acme.example"],
                "metadata": idp.metadata,
                "enabled": False,
            }
        ]
    )

    assert world.browser().get("/report").status == 303
    assert world.browser().get("/sso/login").status == 403
    assert world.codes == ["connection_disabled"]
    assert world.app.seen == []


def test_without_any_connection_the_door_is_shut(make_world: MakeWorld) -> None:
    """503 "not set up", not an open door."""
    world = make_world(connections=[], public=["/static"])

    assert world.browser().get("/report").status == 503
    assert world.browser().get("/sso/login").status == 503
    assert world.codes == ["not_set_up"] * 2
    assert world.browser().get("/static/app.css").status == 200


# One ACS for all


def test_a_shared_acs_finds_the_connection_by_our_own_request(make_world: MakeWorld) -> None:
    """One entity id and one ACS for all; the Issuer alone is never believed."""
    world = two_connections(make_world, shared_acs=True)
    browser = world.browser()
    url = browser.get("/sso/login?connection=globex").location
    assert read_redirect(url).acs_url == f"{world.base_url}/sso/acs"
    wrong = world.idp.log_in(url, "ada@acme.example", now=world.now)

    refused = world.post_response(wrong, browser, acs=f"{world.base_url}/sso/acs")
    assert refused.status == 403
    assert not browser.has_session

    right = GLOBEX.log_in(url, "carol@globex.example", now=world.now)
    assert world.post_response(right, browser, acs=f"{world.base_url}/sso/acs").status == 303
    assert browser.get("/sso/metadata").status == 200
    assert browser.post(f"{world.base_url}/sso/acme/acs", right, cross_site=True).status == 404


def test_at_a_shared_acs_an_unsolicited_response_needs_an_issuer_of_one_connection(make_world: MakeWorld) -> None:
    """Then it restarts at that connection; an unknown issuer goes nowhere."""
    world = two_connections(make_world, shared_acs=True)
    acs, entity_id = f"{world.base_url}/sso/acs", world.entity_id
    browser = world.browser()

    known = GLOBEX.unsolicited(acs, entity_id, "carol@globex.example", now=world.now)
    assert world.post_response(known, browser, acs=acs).location.startswith(GLOBEX.sso_url)

    stranger = IdentityProvider("https://idp.unknown.example/metadata")
    unknown = stranger.unsolicited(acs, entity_id, "carol@globex.example", now=world.now)
    assert world.post_response(unknown, world.browser(), acs=acs).status == 404
