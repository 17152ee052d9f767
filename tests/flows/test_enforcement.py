"""Who must come by single sign-on now, who is excluded, and how loud it is where nobody must."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider
from tests.world import World

from sso_middleware import HostUser, Settings
from sso_middleware.connections import read_connections
from sso_middleware.flows.chores import chores_of
from sso_middleware.flows.enforcement_notices import describe_enforcement, describe_exclusions
from sso_middleware.stores.configuration_records import StoredConnection, StoredDomain

EXCLUDED = ["it1@acme.example", "it2@acme.example"]
THEN = datetime(2026, 11, 1, tzinfo=UTC)


def enforcing(make_world: MakeWorld, *, connection: dict[str, Any] | None = None, **settings: Any) -> World:
    """A host with a login of its own and two excluded people; `connection` changes acme's."""
    declared = {
        "id": "acme",
        "organization": "Acme",
        "domains": ["acme.example", "offered.example"],
        "domain_modes": {"offered.example": "offer"},
        "metadata": IdentityProvider().metadata,
        "excluded_users": EXCLUDED,
        **(connection or {}),
    }
    return make_world(**{"mode": "domains", "public": ["/login"], "connections": [declared], **settings})


def signed_in_at_host(world: World, email: str) -> None:
    world.hooks.user = lambda request: HostUser(email, "1")


# Who must


def test_people_of_a_domain_that_is_only_offered_keep_the_hosts_login(make_world: MakeWorld) -> None:
    """`offer` binds nobody; `exclusive` does, and its people are told of once an hour."""
    world = enforcing(make_world)
    signed_in_at_host(world, "ada@offered.example")
    assert world.browser().get("/report").status == 200

    signed_in_at_host(world, "ada@acme.example")
    assert world.browser().get("/report").status == 303
    assert world.browser().get("/report").status == 303
    assert world.codes == ["host_session_ended"]
    assert world.events[0].email == "ada@acme.example"


@pytest.mark.parametrize("state", ["draft", "testing", "disabled"])
def test_only_an_active_connection_binds_anybody(make_world: MakeWorld, state: str) -> None:
    """While it is set up or tested, and once it is disabled, the host's login is as good as ever."""
    world = enforcing(make_world, connection={"state": state, "test_users": ["test@acme.example"]})
    for email in ("ada@acme.example", "test@acme.example"):
        signed_in_at_host(world, email)
        assert world.browser().get("/report").status == 200


def test_a_go_live_date_is_kept_to_the_moment(make_world: MakeWorld) -> None:
    """Until then the domain is offered; at 00:00 UTC of that day the session that is there is ended."""
    world = enforcing(make_world, connection={"enforce_from": "2026-11-22"})
    signed_in_at_host(world, "ada@acme.example")
    browser = world.browser()
    world.wait(hours=11, minutes=59, seconds=59)
    assert browser.get("/report").status == 200

    world.wait(seconds=1)

    assert browser.get("/report").status == 303
    assert world.hooks.ended == ["/report"]


@pytest.mark.parametrize("email", ["ada@b@elsewhere.example", "ada\uff20acme.example", "ada\ufe6bacme.example"])
def test_what_a_host_may_take_for_an_address_is_bound_where_anybody_is(make_world: MakeWorld, email: str) -> None:
    """A commercial at of another width, too; where no domain is exclusive, nobody need be feared."""
    world = enforcing(make_world)
    signed_in_at_host(world, email)
    assert world.browser().get("/report").status == 303
    assert world.codes == ["host_session_ended"]

    open_world = enforcing(make_world, connection={"domain_modes": dict.fromkeys(DOMAINS, "offer")})
    signed_in_at_host(open_world, email)
    assert open_world.browser().get("/report").status == 200


DOMAINS = ["acme.example", "offered.example"]


# The exclusion list


@pytest.mark.parametrize("mode", ["domains", "everyone"])
def test_an_excluded_person_passes_and_it_is_told_once_an_hour(make_world: MakeWorld, mode: str) -> None:
    """WEB-030: audited, of each address and client: a page with thirty pictures is one bypass."""
    world = enforcing(make_world, mode=mode)
    browser = world.browser()
    signed_in_at_host(world, "IT1@acme.example")
    for _ in range(3):
        assert browser.get("/report").status == 200
    (event,) = world.events
    assert (event.code, event.email, event.connection_id) == ("exclusion_used", EXCLUDED[0], "acme")
    signed_in_at_host(world, EXCLUDED[1])
    assert browser.get("/report").status == 200
    assert world.codes == ["exclusion_used"] * 2
    world.wait(hours=1)
    assert browser.get("/report").status == 200
    assert world.codes == ["exclusion_used"] * 3


def test_another_worker_has_told_of_it(make_world: MakeWorld) -> None:
    """Which of them a request meets makes no second event."""
    world = enforcing(make_world)
    signed_in_at_host(world, EXCLUDED[0])
    assert world.browser().get("/report").status == 200
    other = enforcing(make_world)
    signed_in_at_host(other, EXCLUDED[0])
    assert other.browser().get("/report").status == 200
    assert world.codes + other.codes == ["exclusion_used"]


def test_no_organization_excludes_anothers_people(make_world: MakeWorld) -> None:
    """A connection made at run time that lists them changes nothing, in either mode, nor does an unverified domain."""
    for mode in ("domains", "everyone"):
        world = enforcing(make_world, mode=mode)
        document = {
            "metadata": IdentityProvider().metadata,
            "excluded_users": ["ada@acme.example", "eve@stolen.example"],
        }
        globex = StoredConnection("globex", "Globex", document, "active", 1, THEN, THEN)
        if world.store.get_configuration().connections == ():
            world.store.add_connection(globex)
            world.store.add_domain(StoredDomain("stolen.example", "globex", "exclusive", THEN))
        world.wait(seconds=1)
        signed_in_at_host(world, "ada@acme.example")
        assert world.browser().get("/report").status == 303
        if mode == "everyone":
            signed_in_at_host(world, "eve@stolen.example")
            assert world.browser().get("/report").status == 303
        assert "exclusion_used" not in world.codes


# The switch


def test_the_switch_ends_exclusive_routing(make_world: MakeWorld) -> None:
    """Whoever is signed in at the host passes; SSO goes on for those who want it."""
    world = enforcing(make_world, enforcement="off")
    signed_in_at_host(world, "ada@acme.example")
    assert world.browser().get("/report").status == 200
    signed_in_at_host(world, "ada@b@acme.example")
    assert world.browser().get("/report").status == 200
    assert world.hooks.ended == []
    assert world.browser().get("/sso/login?return_to=/report").location.startswith(world.idp.sso_url)


def test_the_switch_opens_no_protected_path(make_world: MakeWorld) -> None:
    """WEB-030, mode `everyone`: a session or an excluded host user, as ever; nobody else's host session will do."""
    world = enforcing(make_world, mode="everyone", enforcement="off")
    assert world.browser().get("/report").status == 303
    assert world.browser().fetch("/report").status == 401
    for email in ("ada@acme.example", "ada@offered.example", "zoe@elsewhere.example", "admin"):
        signed_in_at_host(world, email)
        assert world.browser().get("/report").status == 303, email
    assert world.app.seen == []
    signed_in_at_host(world, EXCLUDED[0])
    assert world.browser().get("/report").status == 200
    world.hooks.user = lambda request: None
    world.sign_in()
    assert world.first_browser.get("/report").status == 200


def test_the_switch_comes_from_the_environment() -> None:
    """`SSO_ENFORCEMENT=off`, without touching the file; anything else than on and off is refused."""
    environ = {"SSO_BASE_URL": "https://app.example", "SSO_SECRET_KEYS": "k3Jx0vQm8TzR5nLw2YbHs7UdGc4PfEa1-world"}
    assert Settings.load(environ=environ).enforcement == "on"
    assert Settings.load(environ={**environ, "SSO_ENFORCEMENT": "off"}).enforcement == "off"
    with pytest.raises(Exception, match="enforcement"):
        Settings.load(environ={**environ, "SSO_ENFORCEMENT": "of"})


def test_the_switch_is_loud(make_world: MakeWorld, caplog: pytest.LogCaptureFixture) -> None:
    """At start, in `/sso/session`, and as an event an hour."""
    with caplog.at_level(logging.WARNING):
        world = enforcing(make_world, enforcement="off")
    assert 'enforcement is "off"' in caplog.text
    assert json.loads(world.browser().fetch("/sso/session").body)["enforcement"] == "off"
    if world.style == "async":
        return  # housekeeping works with a plain store
    world.events.clear()
    for minutes in (0, 20, 45, 10):
        world.wait(minutes=minutes)
        for chore in chores_of(world.sso.site):
            chore()
    assert [code for code in world.codes if code == "enforcement_off"] == ["enforcement_off"] * 2


def test_a_disabled_connection_with_exclusive_domains_is_as_loud(make_world: MakeWorld) -> None:
    """An admin who disables it at run time, too; one whose domains are only offered is quiet."""
    world = enforcing(make_world)
    world.store.add_connection(StoredConnection("acme", "Acme", None, "disabled", 1, THEN, THEN))
    world.wait(seconds=1)
    signed_in_at_host(world, "ada@acme.example")
    assert world.browser().get("/report").status == 200
    (note,) = describe_enforcement(world.settings, world.sso.site.connections)
    assert "'acme' is disabled" in note
    assert "acme.example" in note
    assert "offered.example" not in note
    if world.style == "plain":
        for chore in chores_of(world.sso.site):
            chore()
        assert [code for code in world.codes if "disabled" in code] == ["exclusive_connection_disabled"]
    quiet = world.settings.model_copy(
        update={
            "connections": tuple(
                c.model_copy(update={"enabled": False, "domain_modes": dict.fromkeys(DOMAINS, "offer")})
                for c in world.settings.connections
            )
        }
    )
    assert list(describe_enforcement(quiet, read_connections(quiet, world.now))) == []


@pytest.mark.parametrize(
    ("mode", "excluded", "is_warned"),
    [
        ("domains", [], True),
        ("domains", EXCLUDED[:1], True),
        ("domains", EXCLUDED, False),
        ("everyone", [], False),
        ("everyone", EXCLUDED[:1], True),
        ("everyone", EXCLUDED, False),
    ],
)
def test_two_excluded_people_are_asked_for(mode: str, excluded: list[str], is_warned: bool) -> None:
    """One may be ill on the day; in `everyone` a list is asked for only where there is one."""
    values: dict[str, Any] = {"id": "acme", "organization": "Acme", "domains": ["acme.example"]}
    values |= {"metadata": IdentityProvider().metadata, "excluded_users": excluded}
    settings = Settings(
        base_url="https://app.example",
        secret_keys=["k3Jx0vQm8TzR5nLw2YbHs7UdGc4PfEa1-world"],
        mode=mode,
        connections=[values],
    )
    notes = list(describe_exclusions(settings))
    assert bool(notes) == is_warned
    assert all("two or more are asked for" in note for note in notes)
