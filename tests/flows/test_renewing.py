"""After the soft timeout the identity provider is asked unseen: back to the very same page, or signed out."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider, read_redirect
from tests.renewing import (
    PAGE,
    PAST_SOFT,
    arrives,
    ask_unseen,
    limited,
    lost_replies,
    open_socket,
    renew,
    sent_away,
    session_cookie,
    with_session,
)
from tests.world import BASE_URL, NAVIGATION, Answer, Browser, World

from sso_middleware import Continue, Identity, Reject
from sso_middleware.hooks import ProvisionDecision
from sso_middleware.stores.session_records import SessionQuery
from sso_middleware.tokens import hash_token

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
DESKTOP = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """Renewed after 10 idle minutes, out after an hour, over after eight; each in all four worlds."""
    return make_world(connections=[limited()])


@pytest.fixture
def idle(world: World) -> Browser:
    """Ada signed in, and has been away for longer than the soft timeout."""
    world.sign_in()
    world.wait(**PAST_SOFT)
    return world.first_browser


def is_in(browser: Browser, page: str = PAGE) -> bool:
    return browser.get(page).status == 200


def asks_to_sign_in(answer: Answer, browser: Browser) -> bool:
    """Whether it leads to the sign-in, and that to the identity provider, where a person may be asked."""
    if answer.status != 303 or not answer.location.startswith(f"{BASE_URL}/sso/login"):
        return False
    request = sent_away(browser.get(answer.location), browser.world)
    return request is not None and not request.is_passive


# Unseen


def test_a_navigation_is_renewed_unseen(world: World, idle: Browser) -> None:
    """IsPassive, never ForceAuthn; back to the same page with its query; a new cookie; no page in between."""
    before = session_cookie(idle)

    request = read_redirect(ask_unseen(idle))
    answer = world.post_response(world.idp.answer(request, "ada@acme.example", now=world.now), idle)

    assert not request.force_authn
    assert arrives(answer)
    assert session_cookie(idle) != before
    assert is_in(idle)
    assert world.codes == ["login_succeeded", "session_renewed"]


@pytest.mark.parametrize("page", ["/", "/a%20b/%C3%A9?x=%2F&y=a+b&x=2", "/search?path=C:\\temp&q='\"", "/deep/er?"])
def test_the_very_same_page_comes_back(world: World, idle: Browser, page: str) -> None:
    """Whatever a browser may send: it leaves a backslash in a query as it is, and so must arrive at it."""
    answer = renew(idle, page)

    assert arrives(answer, page.rstrip("?").replace("\\", "%5C"))
    assert is_in(idle, page)


def test_before_the_soft_timeout_nobody_is_sent_anywhere(world: World) -> None:
    """10 minutes and the step of 30 seconds, in the person's favour; then to the second."""
    world.sign_in()

    world.wait(minutes=10, seconds=29)
    assert is_in(world.first_browser)
    world.wait(minutes=10, seconds=30)
    assert sent_away(world.first_browser.get(PAGE), world)


def test_a_renewal_is_activity(world: World, idle: Browser) -> None:
    """The next one is due a soft timeout later."""
    renew(idle)
    world.wait(minutes=10, seconds=29)
    assert is_in(idle)


def test_roles_are_those_of_the_new_assertion(world: World, idle: Browser) -> None:
    """As at each sign-in, and the host is asked again, about a person whom it knows."""
    attributes = tuple(
        attribute if attribute.name != "role_mapping" else type(attribute)("role_mapping", ("auditor",))
        for attribute in world.idp.shape(
            world.sso.site.connections.get("acme").service_provider,  # type: ignore[union-attr]  # it is there
            request_id=None,
            email="ada@acme.example",
            now=world.now,
        ).attributes
    )
    renew(idle, attributes=attributes)
    assert is_in(idle)

    principal = world.app.seen[-1].principal
    assert principal is not None
    assert principal.roles == ("auditor",)
    assert principal.authenticated_at == world.now
    assert len(world.hooks.identities) == 2


def test_a_form_of_ours_outlives_a_renewal(world: World, idle: Browser) -> None:
    """Its CSRF token is bound to what a renewal does not change."""
    token = idle.get("/sso/logout").field("csrf_token")
    renew(idle)

    answer = idle.post("/sso/logout", {"csrf_token": token})

    assert answer.location == f"{BASE_URL}/sso/signed-out"


# The old id


def test_the_old_id_is_an_alias_for_ten_seconds(world: World, idle: Browser) -> None:
    """Other tabs' requests are under way; they count from when the new cookie first came back."""
    before = session_cookie(idle)
    renew(idle)
    world.wait(minutes=1)
    old = with_session(idle, before)
    assert is_in(idle)

    world.wait(seconds=9.9)
    assert is_in(old)
    assert session_cookie(old) == before  # the browser has the new one
    world.wait(seconds=0.1)
    assert not is_in(old)
    assert is_in(idle)


def test_a_lost_reply_is_told_again(world: World, idle: Browser) -> None:
    """The browser never saw its new cookie: the old one opens the session, and is replaced, however late."""
    with lost_replies(idle):
        renew(idle)
    before = session_cookie(idle)
    world.wait(minutes=5)

    answer = idle.get(PAGE)

    assert answer.status == 200
    assert len(answer.set_cookies) == 1
    assert session_cookie(idle) != before
    assert idle.get(PAGE).set_cookies == []
    world.wait(seconds=10)
    assert not is_in(with_session(idle, before))


def test_two_lost_replies_in_a_row_are_told_again(world: World, idle: Browser) -> None:
    """Renewed twice, and the browser still holds the first cookie."""
    for _ in range(2):
        with lost_replies(idle):
            renew(idle)
        world.wait(**PAST_SOFT)
    renew(idle)

    assert is_in(idle)
    world.wait(seconds=30)
    assert is_in(idle)


def test_an_alias_never_outlives_a_revocation(world: World, idle: Browser) -> None:
    """Not by a second: whichever of its ids the session is ended by."""
    before = session_cookie(idle)
    renew(idle)
    old = with_session(idle, before)
    assert is_in(old)
    assert is_in(idle)

    world.store.end_sessions(SessionQuery(connection_ids=("acme",)), world.now)
    world.wait(seconds=1)

    assert not is_in(old)
    assert not is_in(idle)


def test_an_alias_never_outlives_a_logout(world: World, idle: Browser) -> None:
    """Signed out in one tab, by the old id or the new: both are gone at once."""
    before = session_cookie(idle)
    renew(idle)
    after = session_cookie(idle)
    old = with_session(idle, before)

    old.post("/sso/logout", {"csrf_token": old.get("/sso/logout").field("csrf_token")})

    for cookie in (before, after):
        assert not is_in(with_session(idle, cookie))


def test_an_alias_is_no_sign_in_of_its_own(world: World, idle: Browser) -> None:
    """Somebody else signs in in this browser: the first person's ids all end."""
    before = session_cookie(idle)
    renew(idle)
    after = session_cookie(idle)
    idle.post("/sso/logout", {"csrf_token": idle.get("/sso/logout").field("csrf_token")})
    idle.cookies.pop(next(name for name in idle.cookies if name.endswith("-signed-out")))
    world.sign_in("bob@acme.example")

    assert is_in(idle)
    assert seen_email(world) == "bob@acme.example"
    for cookie in (before, after):
        assert not is_in(with_session(idle, cookie))


def test_a_dead_alias_ends_nothing(world: World, idle: Browser) -> None:
    """Whoever stole an old cookie gains nothing by it: nor can they sign its owner out by signing in beside it."""
    before = session_cookie(idle)
    renew(idle)
    assert is_in(idle)
    world.wait(seconds=11)
    thief = world.browser()
    thief.cookies = dict([before])

    world.sign_in("bob@acme.example", thief)

    assert is_in(thief)
    assert seen_email(world) == "bob@acme.example"
    assert is_in(idle)
    assert seen_email(world) == "ada@acme.example"


def seen_email(world: World) -> str:
    principal = world.app.seen[-1].principal
    assert principal is not None
    return principal.email


# Two tabs


@pytest.mark.parametrize("pages", [(PAGE, PAGE), (PAGE, "/other?tab=2")], ids=["same page", "two pages"])
@pytest.mark.parametrize("first_back", [0, 1])
@pytest.mark.parametrize("lost", [None, 0, 1], ids=["none lost", "first lost", "second lost"])
def test_two_tabs_that_renew_at_once_both_arrive(
    world: World, idle: Browser, pages: tuple[str, str], first_back: int, lost: int | None
) -> None:
    """In any order, also if what one of them was told never reached the browser."""
    urls = [ask_unseen(idle, page) for page in pages]
    forms = [world.idp.log_in(url, "ada@acme.example", now=world.now) for url in urls]

    for turn, tab in enumerate((first_back, 1 - first_back)):
        if turn == lost:
            with lost_replies(idle):
                answer = world.post_response(forms[tab], idle)
        else:
            answer = world.post_response(forms[tab], idle)
        assert arrives(answer, pages[tab])
        assert is_in(idle, pages[tab])

    assert len(world.store.find_sessions(SessionQuery())) == 1
    assert world.codes == ["login_succeeded", "session_renewed"]


def test_two_tabs_whose_answers_come_in_at_once_both_arrive(world: World, idle: Browser) -> None:
    """Both `finish` requests carry the old cookie, and either reply may come last."""
    forms = [world.idp.log_in(ask_unseen(idle, page), "ada@acme.example", now=world.now) for page in (PAGE, "/b")]
    finishes = [idle.post(world.acs_url, form, cross_site=True).location for form in forms]
    before = dict(idle.cookies)
    answers, cookies = [], []
    for url in finishes:
        idle.cookies = dict(before)
        answers.append(idle.get(url))
        cookies.append(session_cookie(idle))

    assert arrives(answers[0], PAGE)
    assert arrives(answers[1], "/b")
    for cookie in cookies:
        assert is_in(with_session(idle, cookie))


def test_a_tab_whose_answer_is_no_ends_nothing_that_another_renewed(world: World, idle: Browser) -> None:
    """Its question was about a session id that is an old one by now."""
    first, second = ask_unseen(idle), ask_unseen(idle, "/b")
    world.post_response(world.idp.log_in(first, "ada@acme.example", now=world.now), idle)

    answer = world.post_response(world.idp.refuse(second, now=world.now), idle)

    assert arrives(answer, "/b")
    assert is_in(idle)


# Requests that can't be sent away


def test_a_script_is_told_where_to_renew(world: World, idle: Browser) -> None:
    """401, for the page that the person looks at, and nothing begins by it."""
    answer = idle.fetch("/api/rows?page=2", Referer=f"{BASE_URL}{PAGE}")
    problem = json.loads(answer.text)

    assert answer.status == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert problem["code"] == "reauthentication_required"
    assert problem["reauthenticate_url"] == answer.headers["WWW-Authenticate"].split('"')[1]
    renewal = sent_away(idle.get(problem["reauthenticate_url"]), world)
    assert renewal is not None
    assert renewal.is_passive
    assert arrives(world.post_response(world.idp.answer(renewal, "ada@acme.example", now=world.now), idle))
    assert idle.fetch("/api/rows?page=2").status == 200


def test_htmx_is_told_where_to_go(world: World, idle: Browser) -> None:
    """It follows HX-Redirect, and comes back to the page that it is on."""
    answer = idle.fetch("/rows", HX_Request="true", HX_Current_URL=f"{BASE_URL}{PAGE}")

    assert answer.status == 401
    assert sent_away(idle.get(answer.headers["HX-Redirect"]), world)


def test_a_websocket_is_refused(make_world: MakeWorld) -> None:
    """At the handshake; nothing begins by it."""
    world = make_world(connections=[limited()])
    if world.kind == "wsgi":
        return  # has none
    world.sign_in()
    assert open_socket(world.first_browser) == 101
    world.wait(**PAST_SOFT)

    assert open_socket(world.first_browser) == 401
    assert open_socket(world.first_browser, origin="https://evil.example") == 401
    assert sent_away(world.first_browser.get(PAGE), world)


def test_public_paths_pass_without_a_principal(make_world: MakeWorld) -> None:
    """Nobody is sent anywhere for a style sheet, and nobody is said to be signed in."""
    world = make_world(connections=[limited()], public=["/static/"])
    world.sign_in()
    world.wait(**PAST_SOFT)

    assert world.first_browser.get("/static/a.css").status == 200
    assert world.app.seen[-1].principal is None
    assert sent_away(world.first_browser.get(PAGE), world)


def test_a_form_gets_a_page(world: World, idle: Browser) -> None:
    """One that can't be kept is not sent away and back: it is told, with a link that renews."""
    answer = idle.post("/orders", {"item": "lamp", "pin": "1234"}, Referer=f"{BASE_URL}{PAGE}")

    assert answer.status == 401
    assert answer.headers["Content-Type"].startswith("text/html")
    assert not any(seen.path == "/orders" for seen in world.app.seen)
    assert idle.has_session


@pytest.mark.parametrize("url", [PAGE, "/sso/renew?return_to=/report"])
@pytest.mark.parametrize(("method", "purpose"), [("HEAD", {}), ("GET", {"Sec-Purpose": "prefetch;prerender"})])
def test_what_nobody_waits_for_begins_no_renewal(
    world: World, idle: Browser, url: str, method: str, purpose: dict[str, str]
) -> None:
    """HEAD and prefetches are told, and use up none of the times that one may be sent away."""
    for _ in range(5):
        assert idle.send(method, url, headers={**NAVIGATION, **purpose}).status == 401

    assert sent_away(idle.get(PAGE), world)


def test_the_session_page_tells_a_script_what_is_due(world: World, idle: Browser) -> None:
    """Not signed in until it is renewed; asking changes nothing."""
    told = json.loads(idle.fetch("/sso/session").text)

    assert (told["signed_in"], told["state"]) == (False, "renew")
    assert sent_away(idle.get(told["reauthenticate_url"]), world)


# No


@pytest.mark.parametrize(
    "status",
    [("Responder", "NoPassive"), ("NoPassive",), ("Requester", "NoPassive"), ("Responder", "AuthnFailed"),
     ("Responder",), ("Requester", "RequestDenied")],
    ids="/".join,
)  # fmt: skip
def test_a_no_signs_out_and_asks_to_sign_in(world: World, idle: Browser, status: tuple[str, ...]) -> None:
    """NoPassive nested as SAML core 3.2.2.2 has it, or at the top as some send it, or any other failure."""
    before = session_cookie(idle)
    form = world.idp.log_in(ask_unseen(idle), "", now=world.now, status=status, has_assertion=False)

    answer = world.post_response(form, idle)

    assert not idle.has_session
    assert world.hooks.ended == ["/sso/finish"]
    assert any("host=" in cookie for cookie in answer.set_cookies)
    assert not is_in(with_session(idle, before) if idle.cookies else idle)
    assert asks_to_sign_in(answer, idle)
    assert world.codes == ["login_succeeded", "renewal_refused"]
    assert world.events[-1].detail["status"]


def test_another_person_signs_nobody_in(world: World, idle: Browser) -> None:
    """Ada is signed out, Bob is not signed in, and his assertion is used up."""
    before = session_cookie(idle)
    form = world.idp.log_in(ask_unseen(idle), "bob@acme.example", now=world.now)

    answer = world.post_response(form, idle)

    assert answer.status == 200
    assert "You are signed out" in answer.text
    assert not idle.has_session
    assert world.hooks.ended == ["/sso/finish"]
    assert any("host=" in cookie for cookie in answer.set_cookies)
    assert [identity.email for identity in world.hooks.identities] == ["ada@acme.example"]
    assert not is_in(with_session(idle, before))
    assert world.codes == ["login_succeeded", "renewal_by_another"]
    assert world.post_response(form, idle).status == 403
    assert world.post_response(form, world.browser()).status == 403
    assert not idle.has_session
    assert world.store.find_sessions(SessionQuery()) == []


def test_the_same_address_under_another_key_ends_the_session(world: World, idle: Browser) -> None:
    """The address was given to somebody new, or the key of Ada is another now: for an admin to say."""
    answer = renew(idle, name_id="a-new-person@acme.example")

    assert answer.status == 403
    assert not idle.has_session
    assert world.codes == ["login_succeeded", "renewal_refused", "person_conflict"]


def test_a_changed_address_of_the_same_person_is_followed(world: World, idle: Browser) -> None:
    """The key is what stays."""
    answer = renew(idle, email="ada.byron@acme.example", name_id="ada@acme.example")

    assert arrives(answer)
    assert is_in(idle)
    assert seen_email(world) == "ada.byron@acme.example"


def test_a_person_whom_the_host_rejects_is_signed_out(world: World, idle: Browser) -> None:
    """The hook `provision` is asked at each renewal; its no ends the session and the host's own."""
    before = session_cookie(idle)
    world.hooks.decision = lambda _: Reject("left the company")

    answer = renew(idle)

    assert answer.status == 403
    assert world.hooks.ended == ["/sso/finish"]
    assert any("host=" in cookie for cookie in answer.set_cookies)
    assert world.codes == ["login_succeeded", "renewal_refused", "provisioning_rejected"]
    assert not is_in(with_session(idle, before))


@pytest.mark.parametrize(
    "changes", [{"email": "ada@elsewhere.example", "name_id": "ada@acme.example"}, {"attributes": ()}]
)
def test_an_assertion_that_signs_nobody_in_signs_out(world: World, idle: Browser, changes: dict[str, Any]) -> None:
    """An address outside the domains, or none of what is required: no sign-in would be opened by it either."""
    answer = renew(idle, **changes)

    assert answer.status == 403
    assert world.codes[1] == "renewal_refused"
    assert world.store.find_sessions(SessionQuery()) == []


def test_a_hook_that_fails_signs_nobody_out(world: World, idle: Browser) -> None:
    """The host's database is away for a moment: that says nothing of the person, who tries again."""

    def fail(_: Identity) -> ProvisionDecision:
        raise RuntimeError("the host's database is away")

    world.hooks.decision = fail
    answer = renew(idle)
    assert answer.status >= 500
    assert "session_renewed" not in world.codes
    world.hooks.decision = lambda _: Continue()

    assert arrives(renew(idle))
    assert is_in(idle)
    assert world.hooks.ended == []


# In circles


def test_an_identity_provider_that_bounces_back_ends_on_a_page(world: World, idle: Browser) -> None:
    """At most four times, then a page: try again, or sign out. The same for ever after."""
    away = [sent_away(idle.get(PAGE), world) is not None for _ in range(20)]

    assert away == [True] * 4 + [False] * 16
    page = idle.get(PAGE)
    assert page.status == 401
    assert "has not answered" in page.text
    assert "/sso/logout" in page.text


def test_an_identity_provider_that_never_answers_ends_on_a_page(world: World, idle: Browser) -> None:
    """The next navigation, more than three seconds later, is no second redirect."""
    ask_unseen(idle)
    world.wait(seconds=2.9)
    ask_unseen(idle)
    world.wait(seconds=0.2)

    for _ in range(3):
        page = idle.get(PAGE)
        assert page.status == 401
        world.wait(minutes=1)
    again = sent_away(idle.get(link_in(page, "/sso/renew"), Sec_Fetch_Site="same-origin"), world)
    assert again is not None
    assert not again.is_passive  # a person asked: the identity provider may show itself
    assert arrives(world.post_response(world.idp.answer(again, "ada@acme.example", now=world.now), idle))
    assert is_in(idle)


def link_in(page: Answer, path: str) -> str:
    start = page.text.index(f'href="{BASE_URL}{path}') + len('href="')
    return page.text[start : page.text.index('"', start)].replace("&amp;", "&")


def test_the_page_lets_one_sign_out(world: World, idle: Browser) -> None:
    """Nobody need be vouched for in order to leave."""
    ask_unseen(idle)
    world.wait(seconds=4)
    logout = idle.get(link_in(idle.get(PAGE), "/sso/logout"))

    answer = idle.post("/sso/logout", {"csrf_token": logout.field("csrf_token")})

    assert answer.location == f"{BASE_URL}/sso/signed-out"
    assert world.codes[-1] == "logged_out"


def test_an_answer_to_another_request_changes_nothing(world: World) -> None:
    """One that was answered before: refused, the session is as it was, and the page is reached all the same."""
    url = world.begin_login()
    world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now))
    browser = world.first_browser
    world.wait(minutes=14)
    asked = ask_unseen(browser)

    answer = world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now), browser)

    assert answer.status == 403
    assert browser.has_session
    assert arrives(world.post_response(world.idp.log_in(asked, "ada@acme.example", now=world.now), browser))


def test_a_no_after_try_again_is_only_told(world: World, idle: Browser) -> None:
    """The person cancelled at the identity provider: a page, and what there was of a session stays."""
    url = idle.get("/sso/renew?window=1&return_to=/report").location
    assert not read_redirect(url).is_passive

    answer = world.post_response(world.idp.refuse(url, now=world.now, status="AuthnFailed"), idle)

    assert answer.status == 403
    assert arrives(renew(idle))


def test_after_the_absolute_limit_nobody_is_sent_round(world: World) -> None:
    """An identity provider whose SessionNotOnOrAfter has come is asked by a sign-in, once."""
    world.sign_in()
    browser = world.first_browser
    world.wait(**PAST_SOFT)
    answer = renew(browser, session_not_on_or_after=world.now + timedelta(seconds=1))
    assert arrives(answer)
    world.wait(seconds=2)

    assert asks_to_sign_in(browser.get(PAGE), browser)


def test_two_versions_of_the_settings_send_nobody_to_and_fro(make_world: MakeWorld) -> None:
    """While servers are restarted one by one, half of them read another attribute map."""
    old = make_world(connections=[limited()])
    new = make_world(connections=[limited(attributes={"roles": "groups"})])
    old.sign_in()
    browser, other = old.first_browser, new.browser()
    old.wait(seconds=10)
    new.now = old.now
    other.cookies = browser.cookies = dict(browser.cookies)

    assert arrives(renew(other))
    browser.cookies = other.cookies
    assert is_in(browser)
    assert is_in(other)


# Limits that a renewal does not move


def test_the_absolute_end_counts_from_the_sign_in(world: World) -> None:
    """To the second, however often it was renewed."""
    world.sign_in()
    browser, signed_in_at = world.first_browser, world.now
    while world.now + timedelta(minutes=11) < signed_in_at + timedelta(hours=8):
        world.wait(minutes=11)
        assert arrives(renew(browser))
    world.now = signed_in_at + timedelta(hours=8) - timedelta(seconds=1)
    assert is_in(browser)

    world.wait(seconds=1)

    assert asks_to_sign_in(browser.get(PAGE), browser)
    assert world.codes[-1] == "session_timed_out"


def test_session_not_on_or_after_is_the_newest_assertions(world: World, idle: Browser) -> None:
    """Its word on its own session (SAML core 2.7.2): exact, and never beyond our absolute limit."""
    ends_at = world.now + timedelta(minutes=3)
    renew(idle, session_not_on_or_after=ends_at)
    world.now = ends_at - timedelta(seconds=1)
    assert is_in(idle)
    world.wait(seconds=1)
    assert not is_in(idle)


def test_session_not_on_or_after_never_lengthens_a_session(world: World, idle: Browser) -> None:
    """A provider that says next year is not asked."""
    renew(idle, session_not_on_or_after=world.now + timedelta(days=365))
    (session,) = world.store.find_sessions(SessionQuery())

    assert session.created_at is not None
    assert session.expires_at == session.created_at + timedelta(hours=8)


@pytest.mark.parametrize("end", ["hard", "absolute"])
def test_a_limit_that_passes_at_the_identity_provider_asks_to_sign_in(make_world: MakeWorld, end: str) -> None:
    """What comes back is no renewal any more: its assertion opens nothing."""
    world = make_world(connections=[limited()], login_timeout="1h")
    world.sign_in()
    browser = world.first_browser
    over_at = world.now + timedelta(hours=8)
    while end == "absolute" and world.now < over_at - timedelta(minutes=30):
        world.wait(minutes=11)
        renew(browser)
    world.now = over_at - timedelta(minutes=5) if end == "absolute" else world.now + timedelta(minutes=59)
    url = ask_unseen(browser)
    world.wait(minutes=10)

    answer = world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now), browser)

    assert asks_to_sign_in(answer, browser)
    assert "session_timed_out" in world.codes


@pytest.mark.parametrize("by", ["logout", "revocation"])
def test_a_session_that_ends_meanwhile_is_not_renewed(world: World, idle: Browser, by: str) -> None:
    """Signed out in another tab, or revoked, while this one was at the identity provider."""
    form = world.idp.log_in(ask_unseen(idle), "ada@acme.example", now=world.now)
    if by == "logout":
        idle.post("/sso/logout", {"csrf_token": idle.get("/sso/logout").field("csrf_token")})
    else:
        world.store.end_sessions(SessionQuery(connection_ids=("acme",)), world.now)

    answer = world.post_response(form, idle)

    assert answer.location.startswith(f"{BASE_URL}/sso/login?return_to=/report%3Fmonth")
    assert world.store.find_sessions(SessionQuery()) == []
    assert world.post_response(form, idle).status == 403


# Devices


@pytest.mark.parametrize(
    ("headers", "is_mobile"),
    [
        ({"Sec_CH_UA_Mobile": "?1", "User_Agent": DESKTOP}, True),
        ({"Sec_CH_UA_Mobile": "?0", "User_Agent": IPHONE}, False),
        ({"User_Agent": IPHONE}, True),
        ({"User_Agent": DESKTOP}, False),
        ({"Sec_CH_UA_Mobile": "yes", "User_Agent": IPHONE}, True),
        ({}, False),
    ],
)
def test_a_mobile_device_has_limits_of_its_own(make_world: MakeWorld, headers: dict[str, str], is_mobile: bool) -> None:
    """By its client hint, else by User-Agent; unclear means desktop. Renewals do not change it."""
    world = make_world(connections=[limited(soft_timeout_mobile="2h", hard_timeout_mobile="7h")])
    browser = world.browser()
    form = world.idp.log_in(world.begin_login(PAGE, browser), "ada@acme.example", now=world.now)
    finish = browser.post(world.acs_url, form, cross_site=True).location
    assert browser.get(finish, **headers).status == 303

    world.wait(hours=1, minutes=59)
    if not is_mobile:
        assert asks_to_sign_in(browser.get(PAGE), browser)
        return
    assert is_in(browser)
    world.wait(hours=2, minutes=2)
    assert arrives(renew(browser))
    world.wait(hours=1, minutes=59)
    assert is_in(browser)


# What is no activity


@pytest.mark.parametrize("request_headers", [{"X_SSO_Polling": "1"}, {}])
def test_polling_keeps_nobody_signed_in(make_world: MakeWorld, request_headers: dict[str, str]) -> None:
    """A page that asks by itself: by a header, or on a path that the settings name."""
    world = make_world(connections=[limited()], polling=["/poll"])
    world.sign_in()
    path = "/api/unread" if request_headers else "/poll/unread"

    for _ in range(10):
        world.wait(minutes=1)
        assert world.first_browser.fetch(path, **request_headers).status == 200
    world.wait(seconds=30)

    assert world.first_browser.fetch(path, **request_headers).status == 401
    assert sent_away(world.first_browser.get(PAGE), world)


def test_a_page_that_reloads_itself_is_not_renewed(make_world: MakeWorld) -> None:
    """On a path for polling: else it would keep the session alive for days. A page with a button says so."""
    world = make_world(connections=[limited()], polling=["/wall"])
    world.sign_in()
    world.wait(**PAST_SOFT)

    answer = world.first_browser.get("/wall?floor=2")

    assert answer.status == 401
    assert answer.headers["Content-Type"].startswith("text/html")
    renewal = sent_away(world.first_browser.get(link_in(answer, "/sso/renew")), world)
    assert renewal is not None
    answer = world.post_response(world.idp.answer(renewal, "ada@acme.example", now=world.now))
    assert arrives(answer, "/wall?floor=2")


# What an admin changes


def test_another_policy_renews_a_session_before_it_is_used(make_world: MakeWorld) -> None:
    """The attribute map was changed: what the session says of the person is not what it would say now."""
    make_world(connections=[limited()]).sign_in()
    world = make_world(connections=[limited()])
    world.sign_in()
    cookies = dict(world.first_browser.cookies)
    changed = make_world(connections=[limited(attributes={"roles": "groups"})])
    changed.wait(minutes=1)
    changed.first_browser.cookies = cookies

    assert changed.first_browser.fetch("/api").status == 401
    assert arrives(renew(changed.first_browser))
    assert is_in(changed.first_browser)
    principal = changed.app.seen[-1].principal
    assert principal is not None
    assert principal.roles == ()


def test_a_stale_session_is_renewed_before_it_is_used(world: World) -> None:
    """Seen by every process within the revocation delay."""
    world.sign_in()
    assert is_in(world.first_browser)
    world.store.make_sessions_stale(SessionQuery(connection_ids=("acme",)), world.now)
    world.wait(seconds=1)

    assert world.first_browser.fetch("/api").status == 401
    assert arrives(renew(world.first_browser))
    assert is_in(world.first_browser)


# Whoever means harm


def test_another_site_can_not_have_a_session_renewed_by_hand(world: World) -> None:
    """It could have signed this browser in as somebody else at the identity provider, to sign Ada out here."""
    world.sign_in()
    browser = world.first_browser

    answer = browser.get("/sso/renew?window=1&return_to=/report", Sec_Fetch_Site="cross-site")

    assert arrives(answer, "/report")
    assert sent_away(browser.get("/sso/renew?window=1", Sec_Fetch_Site="same-origin"), world)


@pytest.mark.parametrize("url", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:x"])
def test_renewing_leads_to_no_other_site(world: World, idle: Browser, url: str) -> None:
    """RPL-015: return_to is a path of ours, or the front page."""
    asked = idle.get(f"/sso/renew?return_to={url}")
    answer = world.post_response(world.idp.log_in(asked.location, "ada@acme.example", now=world.now), idle)

    assert arrives(answer, "/")


def test_a_frame_renews_nothing(world: World, idle: Browser) -> None:
    """Nor does a script's fetch: only a page that the person goes to."""
    assert idle.get("/sso/renew", Sec_Fetch_Dest="iframe").status == 403
    assert idle.fetch("/sso/renew").status == 403


def test_a_no_that_another_browser_posts_ends_nothing(world: World, idle: Browser) -> None:
    """A failure needs no signature: it acts only in the browser that asked, and there on that session only."""
    url = ask_unseen(idle)
    thief = world.browser()
    world.begin_login(browser=thief)

    answer = world.post_response(world.idp.refuse(url, now=world.now), thief)

    assert answer.status == 403
    assert arrives(world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now), idle))


def test_a_yes_that_another_browser_posts_opens_nothing(world: World, idle: Browser) -> None:
    """Nor does Ada's answer, in Bob's browser, touch Bob's session."""
    bobs = world.browser()
    world.sign_in("bob@acme.example", bobs)
    form = world.idp.log_in(ask_unseen(idle), "ada@acme.example", now=world.now)

    assert world.post_response(form, bobs).status == 403
    assert is_in(bobs)
    assert seen_email(world) == "bob@acme.example"


@pytest.mark.parametrize("is_no", [True, False])
def test_an_answer_for_one_persons_session_leaves_anothers_alone(world: World, idle: Browser, is_no: bool) -> None:
    """Bob signed in in Ada's browser before her answer came: it is his page now."""
    url = ask_unseen(idle)
    login = read_redirect(idle.get("/sso/login?return_to=/&again=1").location)
    world.post_response(world.idp.answer(login, "bob@acme.example", now=world.now), idle)
    form = world.idp.refuse(url, now=world.now) if is_no else world.idp.log_in(url, "ada@acme.example", now=world.now)

    assert arrives(world.post_response(form, idle))
    assert is_in(idle)
    assert seen_email(world) == "bob@acme.example"
    assert len(world.store.find_sessions(SessionQuery())) == 1


def test_another_organization_moves_nobody_whose_session_is_only_due(make_world: MakeWorld) -> None:
    """Past the soft timeout somebody is still theirs: an unsolicited Response of another connection asks first."""
    other = IdentityProvider("https://idp.other.example/metadata", "https://idp.other.example/sso", key="other")
    others = {"id": "other", "organization": "Other", "domains": ["other.example"], "metadata": other.metadata}
    world = make_world(connections=[limited(), others])
    browser = world.browser()
    url = browser.get("/sso/login?connection=acme&return_to=/").location
    world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now), browser)
    world.wait(**PAST_SOFT)
    them = world.sso.site.connections.get("other")
    assert them is not None
    form = other.unsolicited(
        them.service_provider.acs_url, them.service_provider.entity_id, "eve@other.example", now=world.now
    )

    page = world.post_response(form, browser, acs=them.service_provider.acs_url)

    assert page.status == 200
    assert "eve@other.example" in page.text
    assert arrives(renew(browser))


def test_a_foreign_page_can_not_keep_a_session_alive(make_world: MakeWorld) -> None:
    """A websocket that a sibling host opens is refused, and is nobody's activity."""
    world = make_world(connections=[limited()])
    if world.kind == "wsgi":
        return  # has none
    world.sign_in()
    world.wait(minutes=9)
    assert open_socket(world.first_browser, origin="https://evil.example") == 403
    world.wait(minutes=2)

    assert sent_away(world.first_browser.get(PAGE), world)


def test_what_is_stored_of_a_renewed_session_is_its_new_hash(world: World, idle: Browser) -> None:
    """The new token can't be told from the old id, nor from anything in the database."""
    renew(idle)
    token = world.sso.site.tokens.verify("session", session_cookie(idle)[1])
    (session,) = world.store.find_sessions(SessionQuery())

    assert session.id == hash_token(token)
