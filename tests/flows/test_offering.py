"""The sign-in page where people may choose, whom it finds a connection for, and the button for the host's pages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.utils.html import conditional_escape
from jinja2 import Environment
from tests.conftest import MakeWorld
from tests.flows.intercepting import EXCLUDED, GLOBEX, ask_at_sign_in_page, intercepting, is_sent_to_sso, links
from tests.world import BASE_URL, World

from sso_middleware.flows.login import UNKNOWN_ADDRESS


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return asking(make_world)


def asking(make_world: MakeWorld, **settings: Any) -> World:
    """Two active connections, so that the page asks, and one that is tested."""
    initech = {"id": "initech", "organization": "Initech", "domains": ["initech.example"], "metadata": GLOBEX.metadata}
    return intercepting(make_world, others=[initech], **{"local_login_url": "/login", **settings})


def test_an_offered_domain_shows_the_choice(world: World) -> None:
    """SSO, or the host's own login: two links, the same for every address of the domain."""
    browser = world.browser()
    pages = {ask_at_sign_in_page(browser, email).text for email in ("ada@offered.example", "nobody@offered.example")}
    assert len(pages) == 1
    answer = ask_at_sign_in_page(browser, "ada@offered.example")
    assert re.findall(r">([^<]+)</a>", answer.text) == ["Continue with SSO", "Use your password"]
    sso, own = links(answer)
    assert (sso, own) == (f"{BASE_URL}/sso/login?return_to=/report&connection=acme&again=1", "/login")
    assert browser.get(sso).location.startswith(world.idp.sso_url)


def test_without_a_login_of_the_hosts_there_is_no_choice(make_world: MakeWorld) -> None:
    """Straight on then; an exclusive domain's people never get a choice."""
    assert is_sent_to_sso(ask_at_sign_in_page(asking(make_world).browser(), "ada@acme.example"))
    world = asking(make_world, local_login_url=None)
    assert is_sent_to_sso(ask_at_sign_in_page(world.browser(), "ada@offered.example"))


def test_with_the_switch_off_everybody_may_choose(make_world: MakeWorld) -> None:
    """Exclusive routing is over; SSO is there for those whose identity provider answers."""
    world = asking(make_world, enforcement="off")
    assert "Use your password" in ask_at_sign_in_page(world.browser(), "ada@acme.example").text


@pytest.mark.parametrize("email", [EXCLUDED[0], "ada@nowhere.example", "ada@globex.example"])
def test_others_are_told_what_a_stranger_is(world: World, email: str) -> None:
    """The excluded (without the link), people of no connection, and of one that only its testers may use yet."""
    answer = ask_at_sign_in_page(world.browser(), email)
    assert answer.status == 200
    assert UNKNOWN_ADDRESS in answer.text


def test_a_test_user_finds_the_connection_that_is_tested(world: World) -> None:
    """By address, since the domain is nobody else's business yet."""
    answer = ask_at_sign_in_page(world.browser(), "TEST@globex.example")
    assert links(answer)[0].endswith("/sso/login?return_to=/report&connection=globex&again=1")


# The button


def test_the_button_leads_to_sso(world: World) -> None:
    """A plain link: no form that a page's policy could hold back, no style, no script."""
    html = world.sso.sign_in_button("/report?a=1&b=2", label="Sign in <b>", connection="acme")
    assert html == (
        '<a class="sso-button" href="https://app.example/sso/login?return_to=/report%3Fa%3D1%26b%3D2'
        '&amp;connection=acme&amp;again=1">Sign in &lt;b&gt;</a>'
    )
    assert (
        'href="https://app.example/sso/login?return_to=/&amp;again=1">Continue with SSO<' in world.sso.sign_in_button()
    )
    url = f"{BASE_URL}/sso/login?return_to=/report%3Fa%3D1%26b%3D2&connection=acme&again=1"
    assert world.browser().get(url).location.startswith(world.idp.sso_url)


@pytest.mark.parametrize("return_to", ["https://evil.example", "//evil.example", '/"><script>', "/a b", "javascript:x"])
def test_the_button_leads_nowhere_else(world: World, return_to: str) -> None:
    """What is no plain page is the front page or escaped: it never ends the attribute."""
    html = world.sso.sign_in_button(return_to, connection='"><script>')
    assert html.count("<") == 2
    assert "evil" not in html


def test_templates_put_the_button_in_as_it_is(world: World) -> None:
    """Jinja with escaping on, and Django."""
    button = world.sso.sign_in_button()
    assert Environment(autoescape=True).from_string("{{ button }}").render(button=button) == button
    # Without settings: Django has one set for the process, and other tests need theirs.
    assert conditional_escape(button) == button
