"""Sign in without SSO, by a link that everybody of the domain is offered: nothing tells who is excluded."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.conftest import MakeWorld
from tests.flows.intercepting import EXCLUDED, GLOBEX, ask_at_sign_in_page, intercepting, is_sent_to_sso, links, send
from tests.flows.kept import Notes
from tests.world import BASE_URL, Answer, Browser, World

from sso_middleware import HostUser


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    initech = {"id": "initech", "organization": "Initech", "domains": ["initech.example"], "metadata": GLOBEX.metadata}
    return intercepting(make_world, connection={"exclusion_by_link": True}, others=[initech])


def take(browser: Browser, answer: Answer) -> Answer:
    """The link on the page, and the button on the next one."""
    page = browser.get(links(answer)[1])
    assert page.status == 200
    fields = {"csrf_token": page.field("csrf_token"), "form": page.field("form")}
    return browser.post("/sso/without-sso", fields)


def test_everybody_of_the_domain_is_answered_alike(world: World) -> None:
    """A page with two links that goes nowhere by itself: the very same, but for what is new in each link."""
    app = Notes(world)
    pages = set()
    for email in (*EXCLUDED, "ada@acme.example", "nobody@acme.example"):
        answer = send(world.browser(), {"email": email, "next": "/report"})
        assert (answer.status, "http-equiv" in answer.text) == (200, False)
        assert [urlsplit(url).path for url in links(answer)] == ["/sso/login", "/sso/without-sso"]
        pages.add(answer.text)
    assert len(pages) == 1
    assert parse_qs(urlsplit(links(answer)[0]).query)["return_to"] == ["/report"]
    assert world.browser().get(links(answer)[0]).location.startswith(world.idp.sso_url)
    assert app.got == []


def test_a_script_is_told_of_the_link_alike(world: World) -> None:
    """In the problem document."""
    told = set()
    for email in (EXCLUDED[0], "ada@acme.example"):
        answer = send(world.browser(), json.dumps({"email": email}), content_type="application/json")
        assert answer.status == 401
        told.add(answer.text)
    assert len(told) == 1
    assert json.loads(told.pop())["without_sso_url"].startswith(f"{BASE_URL}/sso/without-sso?form=")


def test_the_sign_in_page_tells_nothing_either(world: World) -> None:
    """An excluded address is sent to SSO from there, as all others are."""
    for email in (EXCLUDED[0], "ada@acme.example"):
        assert is_sent_to_sso(ask_at_sign_in_page(world.browser(), email))


def test_an_excluded_person_signs_in_without_sso(world: World) -> None:
    """By the link, a button, the host's login, and the rule, which lets them stay."""
    app = Notes(world)
    browser = world.browser()
    taken = take(browser, send(browser, {"email": EXCLUDED[0]}))

    assert (taken.status, taken.location) == (303, f"{BASE_URL}/login")
    assert browser.get(taken.location).text == "noted"
    assert send(browser, {"email": EXCLUDED[0], "password": "wrong"}).text == "noted"
    assert send(browser, {"email": EXCLUDED[0], "password": "right"}).text == "noted"
    world.hooks.user = lambda request: HostUser(EXCLUDED[0], "1")
    assert browser.get("/report").text == "noted"
    assert world.codes == ["exclusion_link_taken", "exclusion_used"]
    assert len(app.posts) == 2


def test_web_030_anybody_else_ends_at_sso_all_the_same(world: World) -> None:
    """The link opens the form and nothing more: the rule ends the host session, and it is told."""
    app = Notes(world)
    browser = world.browser()
    take(browser, send(browser, {"email": "ada@acme.example"}))
    assert send(browser, {"email": "ada@acme.example", "password": "right"}).text == "noted"
    world.hooks.user = lambda request: HostUser("ada@acme.example", "2")

    answer = browser.get("/report")

    assert answer.location.startswith(f"{BASE_URL}/sso/login")
    assert world.hooks.ended == ["/report"]
    assert world.codes == ["exclusion_link_taken", "host_session_ended"]
    assert len(app.got) == 1


def test_the_leave_is_this_browsers_this_domains_and_ends(make_world: MakeWorld) -> None:
    """Ten minutes, one browser, one domain; not for the registration, nor once the connection has no link."""
    connection = {"exclusion_by_link": True, "domain_modes": {}}
    world = intercepting(make_world, connection=connection)
    Notes(world)
    browser = world.browser()
    take(browser, send(browser, {"email": EXCLUDED[0]}))
    (leave,) = (name for name in browser.cookies if name.endswith("without-sso"))

    assert send(browser, {"email": EXCLUDED[0]}, "/forgot").text == "noted"
    assert is_sent_to_sso(send(browser, {"email": EXCLUDED[0]}, "/join"))
    assert len(links(send(browser, {"email": "ada@offered.example"}))) == 2
    thief = world.browser()
    thief.get("/sso/login")
    thief.cookies[leave] = browser.cookies[leave]
    assert len(links(send(thief, {"email": EXCLUDED[0]}))) == 2
    browser.cookies[leave] += "x"
    assert len(links(send(browser, {"email": EXCLUDED[0]}))) == 2
    browser.cookies[leave] = browser.cookies[leave][:-1]
    world.wait(minutes=9, seconds=59)
    assert send(browser, {"email": EXCLUDED[0]}).text == "noted"
    world.wait(seconds=1)
    assert len(links(send(browser, {"email": EXCLUDED[0]}))) == 2


def test_the_button_needs_our_own_page(world: World) -> None:
    """A link alone, another site's form, another browser's token and a made-up address change nothing."""
    browser = world.browser()
    answer = send(browser, {"email": EXCLUDED[0]})
    page = browser.get(links(answer)[1])
    fields = {"csrf_token": page.field("csrf_token"), "form": page.field("form")}
    assert not any("without-sso" in line for line in page.set_cookies)
    assert browser.post("/sso/without-sso", {**fields, "csrf_token": "x"}).status == 403
    assert browser.post("/sso/without-sso", fields, Sec_Fetch_Site="cross-site").status == 403
    assert world.browser().post("/sso/without-sso", fields).status == 403
    assert browser.post("/sso/without-sso", {**fields, "form": "x"}).status == 404
    assert browser.get("/sso/without-sso?form=x").status == 404
    assert browser.get(links(answer)[1], Sec_Fetch_Dest="iframe").status == 403
    assert not any("without-sso" in name for name in browser.cookies)
    connection = world.sso.site.connections.get("acme")
    assert connection is not None
    world.sso.site.connections.put(replace(connection, exclusion_by_link=False))
    assert browser.get(links(answer)[1]).status == 404


def test_the_link_leads_to_the_hosts_own_login_page(make_world: MakeWorld) -> None:
    """`local_login_url`, where there is one: the form of a single page may be posted to an address without a page."""
    for url, location in (
        ("/sign-in", f"{BASE_URL}/sign-in"),
        ("https://id.example/login", "https://id.example/login"),
    ):
        world = intercepting(make_world, connection={"exclusion_by_link": True}, local_login_url=url)
        browser = world.browser()
        assert take(browser, send(browser, {"email": "ada@acme.example"})).location == location


def test_the_link_forgets_not_where_the_person_was_going(make_world: MakeWorld) -> None:
    """The host's own `next`, as its form sent it: its login page is asked for with it."""
    world = intercepting(make_world, connection={"exclusion_by_link": True}, base_url=f"{BASE_URL}/shop")
    world.mount = "/shop"
    browser = world.browser()
    answer = send(browser, {"email": EXCLUDED[0], "next": "/shop/report?a=1&b=2"}, f"{BASE_URL}/shop/login")
    page = browser.get(links(answer)[1])
    fields = {"csrf_token": page.field("csrf_token"), "form": page.field("form")}
    taken = browser.post(f"{BASE_URL}/shop/sso/without-sso", fields)
    assert taken.location == f"{BASE_URL}/shop/login?next=/shop/report%3Fa%3D1%26b%3D2"
    assert links(answer)[0].startswith(f"{BASE_URL}/shop/sso/login?return_to=/report%3Fa%3D1%26b%3D2&")
