"""Sign-out that stays signed out, and what a script may ask about the session."""

from __future__ import annotations

import json

import pytest
from tests.conftest import MakeWorld
from tests.world import World


def test_signing_out_ends_on_a_public_page_and_not_straight_back_in(world: World) -> None:
    """The session is gone from the store, the cookie from the browser, the pages from the cache."""
    world.sign_in()
    session = dict(world.first_browser.cookies)
    page = world.first_browser.get("/sso/logout")
    assert "Sign out?" in page.text

    answer = world.first_browser.post("/sso/logout", {"csrf_token": page.field("csrf_token")})

    assert answer.location == f"{world.base_url}/sso/signed-out"
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert world.hooks.ended == ["/sso/logout"]
    assert not world.first_browser.has_session
    signed_out = world.first_browser.get(answer.location)
    (marker,) = signed_out.set_cookies  # makes Chromium drop what it kept for the Back button
    assert "-signed-out=" in marker
    assert signed_out.status == 200
    assert 'http-equiv="refresh"' not in signed_out.text
    visit = world.first_browser.get(world.first_browser.get("/report?x=1").location)
    assert "You are signed out" in visit.text
    assert "return_to=/report%3Fx%3D1&amp;again=1" in visit.text
    assert world.first_browser.get("/sso/login?return_to=/&again=1").location.startswith(world.idp.sso_url)
    world.first_browser.cookies = session
    assert world.first_browser.get("/report").status == 303
    assert world.codes == ["login_succeeded", "logged_out"]


def test_signing_out_needs_the_sessions_own_token(world: World) -> None:
    """SLO-014, WEB-014: not by a link, not without a token, not with another session's."""
    world.sign_in()
    other = world.browser()
    world.wait(seconds=1)
    world.sign_in(browser=other)
    other_token = other.get("/sso/logout").field("csrf_token")

    for fields in ({}, {"csrf_token": other_token}, {"csrf_token": "x.y.z"}):
        assert world.first_browser.post("/sso/logout", fields).status == 403
    world.first_browser.get("/sso/logout")
    token = world.first_browser.get("/sso/logout").field("csrf_token")
    foreign = world.first_browser.post("/sso/logout", {"csrf_token": token}, Origin="https://evil.example")
    assert foreign.status == 403
    assert world.first_browser.get("/report").status == 200


def test_a_host_page_may_hold_the_sign_out_form(world: World) -> None:
    """The app is given the token; a page that hides its origin works as well."""
    world.sign_in()
    world.first_browser.get("/report")
    token = world.app.seen[-1].native["sso.csrf_token"]

    answer = world.first_browser.post("/sso/logout", {"csrf_token": token}, Origin="null")

    assert answer.location == f"{world.base_url}/sso/signed-out"
    assert world.first_browser.get("/report").status == 303


def test_a_post_from_another_site_signs_nobody_out(world: World) -> None:
    """SLO-014: it comes without our cookies, but what it sets would be kept."""
    world.sign_in()

    world.first_browser.post("/sso/logout", {}, cross_site=True)

    assert world.first_browser.get("/report").status == 200


def test_signing_out_twice_is_no_fault(world: World) -> None:
    """The second time there is nothing to end."""
    browser = world.browser()

    assert browser.get("/sso/logout").location == f"{world.base_url}/sso/signed-out"
    assert browser.post("/sso/logout", {}).location == f"{world.base_url}/sso/signed-out"


@pytest.mark.parametrize("first", ["a click before", "a timeout"])
def test_signing_out_of_what_is_over_ends_the_apps_own_session(world: World, first: str) -> None:
    """Of a double click the browser takes the second answer only: the app's cookie must not outlive that, nor ours."""
    world.sign_in()
    fields = {"csrf_token": world.first_browser.get("/sso/logout").field("csrf_token")}
    cookies = dict(world.first_browser.cookies)
    if first == "a timeout":
        world.wait(hours=9)
    else:
        world.first_browser.post("/sso/logout", fields)
        world.first_browser.cookies = cookies
    world.hooks.ended.clear()

    foreign = world.first_browser.post("/sso/logout", fields, Origin="https://sibling.example")
    assert (foreign.status, world.hooks.ended) == (403, [])
    answer = world.first_browser.post("/sso/logout", fields)

    assert answer.location == f"{world.base_url}/sso/signed-out"
    assert world.hooks.ended == ["/sso/logout"]
    assert any(line.startswith("host=;") for line in answer.set_cookies)
    assert not world.first_browser.has_session


def test_a_hook_that_fails_does_not_keep_anybody_signed_in(world: World) -> None:
    """Our own session ended before the host was asked to end its own."""
    world.sign_in()
    token = world.first_browser.get("/sso/logout").field("csrf_token")
    world.hooks.ended = None  # type: ignore[assignment]  # appending to it raises

    answer = world.first_browser.post("/sso/logout", {"csrf_token": token})

    assert answer.status == 503
    assert world.first_browser.get("/report").status == 303


def test_a_script_may_ask_who_is_signed_in(world: World) -> None:
    """As JSON, never cached, and asking is no activity."""
    assert json.loads(world.first_browser.fetch("/sso/session").body) == {
        "signed_in": False,
        "login_url": f"{world.base_url}/sso/login",
        "enforcement": "on",
    }
    world.sign_in()

    answer = world.first_browser.fetch("/sso/session")

    session = json.loads(answer.body)
    assert answer.headers["Cache-Control"] == "no-store"
    assert session["signed_in"] is True
    assert session["email"] == "ada@acme.example"
    assert session["connection"] == "acme"
    world.wait(hours=5)
    world.first_browser.fetch("/sso/session")
    world.wait(hours=4)
    assert json.loads(world.first_browser.fetch("/sso/session").body)["signed_in"] is False


def test_on_loopback_http_no_site_data_is_cleared(make_world: MakeWorld) -> None:
    """The header is for https; browsers ignore it elsewhere."""
    world = make_world(base_url="http://127.0.0.1:8000")
    world.sign_in()
    token = world.first_browser.get("/sso/logout").field("csrf_token")

    assert "Clear-Site-Data" not in world.first_browser.post("/sso/logout", {"csrf_token": token}).headers
