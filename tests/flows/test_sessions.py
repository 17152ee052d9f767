"""How long a session lives, and whose cookie opens it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider
from tests.renewing import session_cookie
from tests.world import World

from sso_middleware.timeouts import Timeouts


def timed(make_world: MakeWorld, **limits: str) -> World:
    return make_world(
        connections=[
            {
                "id": "acme",
                "organization": "Acme",
                "domains": ["acme.example"],
                "metadata": IdentityProvider().metadata,
                **limits,
            }
        ]
    )


def is_in(world: World) -> bool:
    return world.first_browser.get("/report").status == 200


def test_an_idle_session_ends(make_world: MakeWorld) -> None:
    """Idle for longer than hard_timeout and its step, in the person's favour."""
    world = timed(make_world, hard_timeout="30m")
    world.sign_in()

    world.wait(minutes=30)
    assert is_in(world)
    world.wait(minutes=31, seconds=1)
    assert not is_in(world)


def test_activity_keeps_a_session(make_world: MakeWorld) -> None:
    """Every request counts, at the price of a write a minute."""
    world = timed(make_world, hard_timeout="30m")
    world.sign_in()

    for _ in range(6):
        world.wait(minutes=25)
        assert is_in(world)


def test_the_absolute_limit_wins_over_activity(make_world: MakeWorld) -> None:
    """To the second."""
    world = timed(make_world, hard_timeout="30m", absolute_timeout="1h")
    world.sign_in()

    world.wait(minutes=29)
    assert is_in(world)
    world.wait(minutes=30, seconds=59)
    assert is_in(world)
    world.wait(seconds=1)
    assert not is_in(world)


def test_session_not_on_or_after_wins_over_our_limits(world: World) -> None:
    """PRO-029."""
    ends_at = world.now + timedelta(minutes=10)
    world.post_response(world.log_in("/report", session_not_on_or_after=ends_at))

    world.wait(minutes=9, seconds=59)
    assert is_in(world)
    world.wait(seconds=1)
    assert not is_in(world)


def test_a_clock_that_goes_back_signs_nobody_out(world: World) -> None:
    """Nor does it move the absolute end (WEB-006)."""
    world.sign_in()
    world.wait(hours=-1)

    assert is_in(world)


def test_signing_in_makes_a_new_session_and_ends_the_old_one(world: World) -> None:
    """Session fixation (WEB-001): the cookie from before the login opens nothing afterwards."""
    world.sign_in()
    old = dict(world.first_browser.cookies)
    url = world.first_browser.get("/sso/login?return_to=/").location  # signed in: goes on
    assert url == f"{world.base_url}/"
    answer = world.post_response(
        world.idp.unsolicited(world.acs_url, world.entity_id, "ada@acme.example", now=world.now)
    )
    assert world.post_response(world.idp.log_in(answer.location, "ada@acme.example", now=world.now)).status == 303

    new = dict(world.first_browser.cookies)
    name = next(name for name in old if name.endswith("-session"))
    assert old[name] != new[name]
    world.first_browser.cookies = old
    assert not is_in(world)
    world.first_browser.cookies = new
    assert is_in(world)


@pytest.mark.parametrize(
    "forge", [lambda v: v[:-1], lambda v: v + "x", lambda v: v.swapcase(), lambda v: "", lambda v: "a.b.c"]
)
def test_a_forged_cookie_opens_nothing(world: World, forge: object) -> None:
    """WEB-004: and is no error either."""
    world.sign_in()
    name = next(name for name in world.first_browser.cookies if name.endswith("-session"))
    world.first_browser.cookies[name] = forge(world.first_browser.cookies[name])  # type: ignore[operator]  # a lambda

    assert world.first_browser.get("/report").status == 303


def test_two_cookies_of_our_name_open_nothing(world: World) -> None:
    """WEB-002: one of them was set by somebody else."""
    world.sign_in()
    name = next(name for name in world.first_browser.cookies if name.endswith("-session"))
    value = world.first_browser.cookies.pop(name)

    answer = world.first_browser.get("/report", Cookie=f"{name}={value}; {name}=other")

    assert answer.status == 303


@pytest.mark.parametrize("blank", ["\xa0", "\x85", "\x1c"])
def test_a_cookie_whose_name_only_looks_like_ours_opens_nothing(world: World, blank: str) -> None:
    """WEB-002: browsers let a sibling host set it, since to them its name does not begin with __Host-."""
    world.sign_in()
    name = next(name for name in world.first_browser.cookies if name.endswith("-session"))
    value = world.first_browser.cookies.pop(name)

    assert world.first_browser.get("/report", Cookie=f"{blank}{name}={value}").status == 303


@pytest.mark.parametrize("before", ["theme=dark ", "theme=dark,", "theme=dark, ", " "])
def test_a_cookie_within_another_ones_value_opens_nothing(world: World, before: str) -> None:
    """WEB-002: a sibling host may set it, with a session of its own in it; not even one that passes from memory."""
    world.sign_in()
    name, value = session_cookie(world.first_browser)
    assert [is_in(world) for _ in range(3)] == [True] * 3
    visitor = world.browser()

    assert visitor.get("/report", Cookie=f"theme=dark; {name}={value}").status == 200
    assert visitor.get("/report", Cookie=f"{before}{name}={value}").status == (200 if before == " " else 303)


def test_a_session_of_another_instance_opens_nothing(make_world: MakeWorld) -> None:
    """Same secret keys, another name: the tokens don't meet."""
    world = make_world()
    world.sign_in()
    other = make_world(name="shop")
    token = next(value for name, value in world.first_browser.cookies.items() if name.endswith("-session"))

    assert other.browser().get("/report", Cookie=f"__Host-shop-session={token}").status == 303


def test_a_session_of_a_connection_that_is_gone_or_disabled_has_ended(make_world: MakeWorld) -> None:
    """The same store, other settings. One that is gone may be a mistake in a file; a disabled one is meant."""
    world = make_world()
    world.sign_in()
    disabled = make_world(connections=[world.connection(enabled=False)])
    renamed = make_world(connections=[world.connection(id="acme-2")])

    for changed, goes_on in ((renamed, True), (disabled, False)):
        browser = changed.browser()
        browser.cookies = dict(world.first_browser.cookies)
        assert browser.get("/report").status == 303
        world.wait(seconds=1)
        assert is_in(world) is goes_on


def test_last_seen_is_written_at_most_every_step() -> None:
    """A minute, or a twentieth of a short limit."""
    assert Timeouts(timedelta(hours=8), None, timedelta(days=7)).step == timedelta(seconds=60)
    assert Timeouts(timedelta(minutes=10), None, timedelta(days=7)).step == timedelta(seconds=30)
