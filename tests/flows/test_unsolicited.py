"""IdP-initiated sign-in: `restart`, `accept`, `off` (DESIGN §7, RPL-013, RPL-014)."""

from __future__ import annotations

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider
from tests.world import World


def world_of(make_world: MakeWorld, idp_initiated: str) -> World:
    connection = {
        "id": "acme",
        "organization": "Acme <Inc>",
        "domains": ["acme.example"],
        "metadata": IdentityProvider().metadata,
        "idp_initiated": idp_initiated,
    }
    return make_world(connections=[connection])


def unsolicited(world: World, relay_state: str | None = None, email: str = "ada@acme.example") -> dict[str, str]:
    return world.idp.unsolicited(world.acs_url, world.entity_id, email, now=world.now, relay_state=relay_state)


def test_restart_asks_the_identity_provider_itself(world: World) -> None:
    """No session by it; our own request follows, and its answer signs in without a click."""
    answer = world.post_response(unsolicited(world, "/report?x=1"))

    assert answer.location.startswith(world.idp.sso_url)
    assert not world.first_browser.has_session
    finished = world.post_response(world.idp.log_in(answer.location, "ada@acme.example", now=world.now))
    assert finished.location == f"{world.base_url}/report?x=1"
    assert world.first_browser.has_session


def test_restart_stops_after_one(world: World) -> None:
    """An identity provider that answers our request with an unsolicited Response again is not asked for ever."""
    world.post_response(unsolicited(world))

    again = world.post_response(unsolicited(world))

    assert again.status == 403
    assert world.codes == ["unsolicited_loop"]


def test_a_person_may_start_at_the_identity_provider_every_time(world: World) -> None:
    """The stop is forgotten once a login succeeded."""
    for _ in range(3):
        answer = world.post_response(unsolicited(world))
        assert world.post_response(world.idp.log_in(answer.location, "ada@acme.example", now=world.now)).status == 303


@pytest.mark.parametrize(
    ("relay_state", "page"),
    [
        ("/report", "/report"),
        ("https://app.example/report?x=1", "/report?x=1"),
        ("https://evil.example/report", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://app.example.evil.example/", "/"),
        ("https://app.example@evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("x" * 500, "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        (None, "/"),
    ],
)
def test_relay_state_leads_to_our_own_pages_only(world: World, relay_state: str | None, page: str) -> None:
    """RPL-015, RPL-016: what isn't ours loses the deep link, nothing else."""
    answer = world.post_response(unsolicited(world, relay_state))

    finished = world.post_response(world.idp.log_in(answer.location, "ada@acme.example", now=world.now))

    assert finished.location == f"{world.base_url}{page}"


def test_accept_asks_first(make_world: MakeWorld) -> None:
    """Nobody is signed in by a post from another site alone."""
    world = world_of(make_world, "accept")

    page = world.post_response(unsolicited(world, "/report"))

    assert page.status == 200
    assert "Sign in as ada@acme.example?" in page.text
    assert "Acme &lt;Inc&gt;" in page.text
    assert not world.first_browser.has_session
    assert world.hooks.identities == []
    finished = world.first_browser.post(page.url, {"csrf_token": page.field("csrf_token")})
    assert finished.location == f"{world.base_url}/report"
    assert world.first_browser.has_session


def test_accept_needs_the_token_of_that_page_and_works_once(make_world: MakeWorld) -> None:
    """WEB-014: a forged post gets nowhere; so does the second one."""
    world = world_of(make_world, "accept")
    page = world.post_response(unsolicited(world))
    other = world.browser()
    other_page = world.post_response(unsolicited(world), other)

    assert world.first_browser.post(page.url, {"csrf_token": other_page.field("csrf_token")}).status == 403
    assert world.first_browser.post(page.url, {}).status == 403
    assert not world.first_browser.has_session
    token = {"csrf_token": page.field("csrf_token")}
    assert world.first_browser.post(page.url, token).status == 303
    assert world.first_browser.post(page.url, token).status == 403


def test_a_solicited_outcome_can_not_be_accepted_by_post(make_world: MakeWorld) -> None:
    """A post to `finish` is for the page that asks, only."""
    world = world_of(make_world, "accept")
    form = world.log_in("/report")
    finish = world.first_browser.post(world.acs_url, form, cross_site=True).location

    assert world.first_browser.post(finish, {"csrf_token": "x"}).status == 403
    assert not world.first_browser.has_session


def test_restart_moves_nobody_out_of_another_organization_without_asking(make_world: MakeWorld) -> None:
    """Another organization's identity provider and a page that posts itself: a click is needed then."""
    globex = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso")
    acme = {"id": "acme", "organization": "Acme", "domains": ["acme.example"], "metadata": IdentityProvider().metadata}
    other = {"id": "globex", "organization": "Globex", "domains": ["globex.example"], "metadata": globex.metadata}
    world = make_world(connections=[acme, other])
    url = world.first_browser.get("/sso/login?connection=acme").location
    world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now))
    acs, entity_id = (f"{world.base_url}/sso/globex/{page}" for page in ("acs", "metadata"))
    form = globex.unsolicited(acs, entity_id, "carol@globex.example", now=world.now)

    page = world.post_response(form, acs=acs)

    assert page.status == 200
    assert "Sign in as carol@globex.example?" in page.text
    world.first_browser.get("/report")
    assert world.app.seen[-1].principal.organization == "Acme"  # type: ignore[union-attr]  # signed in above
    answer = world.first_browser.post(page.url, {"csrf_token": page.field("csrf_token")})
    assert answer.refresh_url.startswith(globex.sso_url)


def test_off_refuses(make_world: MakeWorld) -> None:
    """RPL-013; the honest twin, asked for by us, is accepted."""
    world = world_of(make_world, "off")

    answer = world.post_response(unsolicited(world))

    assert answer.status == 403
    assert world.codes == ["unsolicited_response"]
    assert world.sign_in().status == 303


@pytest.mark.parametrize("idp_initiated", ["restart", "accept"])
def test_an_unsolicited_response_is_accepted_once(make_world: MakeWorld, idp_initiated: str) -> None:
    """Its assertion is claimed, too."""
    world = world_of(make_world, idp_initiated)
    form = unsolicited(world)
    assert world.post_response(form).status in (200, 303)

    assert world.post_response(form).status == 403
    assert world.codes[-1] == "assertion_replayed"
