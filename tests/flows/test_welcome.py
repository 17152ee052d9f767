"""Which roles somebody was given is said once, after a sign-in, and leads on to where they were going."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from tests.flows.test_roles import EMAIL, MAPPING, MakeAuthorized, come, make_authorized, with_roles
from tests.renewing import PAST_SOFT, arrives, renew
from tests.world import BASE_URL, NAVIGATION, Answer, Browser, World

from sso_middleware.errors import StoreUnavailable

__all__ = ["make_authorized"]

WELCOME = f"{BASE_URL}/sso/welcome?return_to="
PAGE = "/report?month=11"


@pytest.fixture
def world(make_authorized: MakeAuthorized) -> World:
    return make_authorized()


def said(browser: Browser, answer: Answer) -> str:
    """The page that a sign-in leads to."""
    assert answer.location.startswith(WELCOME), answer.location
    page = browser.get(answer.location)
    assert page.status == 200
    return html.unescape(page.text)


def link_of(page: str) -> str:
    found = re.search(r'class="button" href="([^"]*)"', page)
    assert found
    return found[1]


def test_what_was_given_is_said_once(world: World) -> None:
    """By scope, in the host's words where it has any; a second time the page leads straight on."""
    world.hooks.describe = {"project:42": "Project <Atlas>"}.get
    answer = come(world, "Engineers")

    page = said(world.first_browser, answer)

    assert re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page) == [
        ("Whole account", "member"),
        ("Project <Atlas>", "editor"),
    ]
    assert "Acme" in page
    assert link_of(page) == BASE_URL + PAGE
    assert world.first_browser.get(PAGE).status == 200
    again = world.first_browser.get(answer.location)
    assert (again.status, again.location) == (303, BASE_URL + PAGE)
    assert come(world, "Engineers", browser=world.browser()).location == BASE_URL + PAGE


def test_it_is_said_when_it_is_shown(world: World) -> None:
    """Whoever closed the browser before is told at the next sign-in; and a page fetched ahead tells nobody."""
    answer = come(world, "Engineers")
    ahead = world.first_browser.get(answer.location, Sec_Purpose="prefetch")
    assert (ahead.status, ahead.location) == (303, BASE_URL + PAGE)
    assert world.first_browser.fetch(answer.location).status == 403
    assert world.first_browser.send("HEAD", answer.location, headers=NAVIGATION).status == 303

    browser = world.browser()
    assert "member" in said(browser, come(world, "Engineers", browser=browser))


def test_a_change_is_said_anew(world: World) -> None:
    """What there is from now on; the same in another order is no change."""
    said(world.first_browser, come(world, "Engineers", "Auditors"))
    assert come(world, "Auditors", "Engineers", browser=world.browser()).location == BASE_URL + PAGE

    browser = world.browser()
    page = said(browser, come(world, "Auditors", browser=browser))

    assert "auditor" in page
    assert "editor" not in page


def test_a_renewal_says_nothing(world: World) -> None:
    """Nobody waits for it; the next sign-in does."""
    said(world.first_browser, come(world, "Engineers"))
    world.wait(**PAST_SOFT)
    assert arrives(renew(world.first_browser, **with_roles("Auditors")))

    browser = world.browser()
    assert "auditor" in said(browser, come(world, "Auditors", browser=browser))


@pytest.mark.parametrize(
    ("app", "changes"),
    [({"announce_roles": False}, {}), ({}, {"authorization": False})],
    ids=["not wanted", "no authorization"],
)
def test_nothing_is_said_where_it_is_not_wanted(
    make_authorized: MakeAuthorized, app: dict[str, Any], changes: dict[str, Any]
) -> None:
    """By the setting; and what an identity provider merely sends was not given."""
    world = make_authorized(app=app, **changes)

    assert come(world, "Engineers").location == BASE_URL + PAGE
    answer = world.first_browser.get(WELCOME + "/x")
    assert (answer.status, answer.location) == (303, f"{BASE_URL}/x")


def test_the_page_is_for_whoever_is_signed_in(world: World) -> None:
    """It says nothing of anybody to others, leads nowhere else, and may not be framed."""
    said(world.first_browser, come(world, "Engineers"))
    stranger = world.browser()

    for target in ("https://evil.example/", "//evil.example/", "/\\evil.example"):
        answer = stranger.get(WELCOME + target)
        assert (answer.status, answer.location) == (303, f"{BASE_URL}/")
    answer = stranger.get(WELCOME + "/a%3Fb%3D1")
    assert answer.location == f"{BASE_URL}/a?b=1"
    assert stranger.get(WELCOME + "/", Sec_Fetch_Dest="iframe").status == 403


def test_a_deep_link_survives(world: World) -> None:
    """With its query string, to the letter."""
    page = "/a%20b/c?x=1&y=%C3%A9&z=a%26b"
    url = world.begin_login(page)
    answer = world.post_response(world.idp.log_in(url, EMAIL, now=world.now, **with_roles("Engineers")))

    assert link_of(said(world.first_browser, answer)) == BASE_URL + page


def test_a_kept_form_survives(world: World) -> None:
    """A form that met an ended session is offered behind the page."""
    come(world, "Engineers")
    world.wait(hours=2)
    offer = world.first_browser.post("/save", {"text": "what I wrote"}, Referer=BASE_URL + PAGE)
    url = next(link for link in re.findall(r'href="([^"]*)"', offer.text) if "login" in link)
    leaving = world.first_browser.get(html.unescape(url))
    while leaving.location.startswith(BASE_URL):
        leaving = world.first_browser.get(leaving.location)
    form = world.idp.log_in(leaving.location, EMAIL, now=world.now, **with_roles("Auditors"))

    page = said(world.first_browser, world.post_response(form))

    kept = world.first_browser.get(link_of(page))
    assert kept.status == 200
    assert "text" in kept.text
    assert "/sso/form" in link_of(page)


def test_whatever_fails_leads_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is never in the way: neither a hook nor a store that fails."""

    def fails(*_: object) -> Any:
        raise StoreUnavailable("down")

    world.hooks.describe = fails
    answer = come(world, "Engineers")
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "claim_announcement", fails)
        ahead = world.first_browser.get(answer.location)
        assert (ahead.status, ahead.location) == (303, BASE_URL + PAGE)

    assert "project:42" in said(world.first_browser, answer)


def test_a_long_list_is_cut(make_authorized: MakeAuthorized) -> None:
    """And says how much is left out."""
    many = {f"project:{number}": ["editor"] for number in range(35)}
    world = make_authorized(role_mapping={**MAPPING, "Everywhere": many})

    page = said(world.first_browser, come(world, "Everywhere"))

    assert page.count("<dt>") == 30
    assert "5 more places" in page
