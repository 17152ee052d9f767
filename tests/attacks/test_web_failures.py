"""WEB: what fails in the middle of a login, and what happens twice at once.

WEB-026 and WEB-027, over HTTP. The other rows are test_web.py's.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.attacks.test_web import MakeWorld, both_worlds, posted
from tests.world import NAVIGATION, Answer, Browser, World
from werkzeug.datastructures import Headers

from sso_middleware import Link
from sso_middleware.errors import StoreUnavailable
from sso_middleware.hooks import Identity
from sso_middleware.stores.people_records import Arriving, Decision, Rule
from sso_middleware.stores.records import TakenLogin
from sso_middleware.stores.sql import SqlStore

# Failures


STEPS = (
    "get_changes",
    "get_session",
    "add_login_request",
    "get_login_request",
    "claim_assertion",
    "add_pending_login",
    "get_pending_login",
    "take_pending_login",
    "arrive",
    "claim_provisioning",
    "keep_provisioned",
    "get_given_roles",
    "add_session",
    "find_people",
)


def walk(world: World, browser: Browser) -> Iterator[Answer]:
    """A login, answer by answer, as far as it goes."""
    answer = browser.get("/report")
    yield answer
    if answer.status != 303:
        return
    answer = browser.get(answer.location)
    yield answer
    if answer.status != 303:
        return
    form = world.idp.log_in(answer.location, "ada@acme.example", now=world.now)
    answer = browser.post(world.acs_url, form, cross_site=True)
    yield answer
    if answer.status == 303:
        yield browser.get(answer.location)


@pytest.mark.parametrize("raised", [StoreUnavailable, OSError])
@pytest.mark.parametrize("step", STEPS)
def test_web_026_a_store_that_fails_at_any_step_lets_nobody_in(
    world: World, step: str, raised: type[Exception]
) -> None:
    """503 with Retry-After there, no session, the app not reached; and once it is back, the next login works."""
    world.hooks.decision = lambda identity: Link("42")
    browser = world.browser()
    browser.get("/sso/login")
    browser.cookies["__Host-sso-session"] = world.sso.site.tokens.sign("session", "A" * 43)
    world.wait(seconds=2)  # what was read a moment ago may be believed
    working = getattr(world.store, step)

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise raised("disk full")

    setattr(world.store, step, fails)
    *before, last = walk(world, browser)

    assert (last.status, last.headers["Retry-After"]) == (503, "5")
    assert [answer.status for answer in before] == [303] * len(before)
    assert not any("session=" in line and "Max-Age=0" not in line for line in last.set_cookies)
    assert world.app.seen == []
    assert world.codes == ["store_unavailable" if raised is StoreUnavailable else "internal_error"]
    assert "disk full" not in last.text

    setattr(world.store, step, working)
    assert world.sign_in(browser=world.browser()).status == 303


def test_web_026_every_step_of_a_login_is_among_those(world: World) -> None:
    """A store method that a login calls and that `STEPS` forgets would never have been seen to fail."""
    called: set[str] = set()
    for name in [
        name
        for name in dir(SqlStore)
        if name.startswith(("get_", "add_", "claim_", "take_", "put_", "arrive", "keep_", "find_"))
    ]:
        setattr(world.store, name, noting(name, getattr(world.store, name), called))
    world.hooks.decision = lambda identity: Link("42")
    world.first_browser.cookies["__Host-sso-session"] = world.sso.site.tokens.sign("session", "A" * 43)

    world.sign_in()

    ours = {
        name for name in called if not re.search("key|metadata|event|limit|count|person|sessions|configuration", name)
    }
    assert ours == set(STEPS)


def noting(name: str, method: Callable[..., Any], called: set[str]) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        called.add(name)
        return method(*args, **kwargs)

    return noted


@both_worlds
@pytest.mark.parametrize("year", [1970, 2100])
def test_web_026_a_clock_that_was_never_set_lets_nobody_in(make_world: MakeWorld, year: int) -> None:
    """Ours or the identity provider's: the message is not of now."""
    world = make_world()
    right = world.now
    world.now = datetime(year, 1, 1, tzinfo=UTC)
    url = world.begin_login("/report")

    answer = world.post_response(world.idp.log_in(url, "ada@acme.example", now=right))

    assert answer.status == 403
    assert world.codes == ["not_yet_valid" if year == 1970 else "stale"]
    assert not world.first_browser.has_session


# Races


@both_worlds
def test_web_027_the_same_new_person_twice_at_once_is_one(make_world: MakeWorld) -> None:
    """Two browsers finish at the same moment: the second is asked about when the first one's user is made."""
    world = make_world()
    browsers = [world.browser(), world.browser()]
    finishes = [posted(world, browser) for browser in browsers]
    has_come = threading.Event()
    arrive = world.store.arrive
    arrivals: list[Arriving] = []
    users: dict[str, str] = {}

    def noticed(arriving: Arriving, rule: Rule) -> Decision | None:
        decision = arrive(arriving, rule)
        arrivals.append(arriving)
        if len(arrivals) == 2:
            has_come.set()
        return decision

    def provision(identity: Identity) -> Link:
        if identity.user_id is None:
            has_come.wait(0.2)  # the other one is here by now, and may not ask as well
            users[identity.attempt_id] = str(len(users) + 1)
        return Link(identity.user_id or users[identity.attempt_id])

    world.store.arrive = noticed  # type: ignore[method-assign]  # to know when both are there
    world.hooks.decision = provision
    answers = at_once(world, browsers, finishes)

    assert [answer.status for answer in answers] == [303, 303]
    assert len(users) == 1
    assert len({identity.attempt_id for identity in world.hooks.identities}) == 2
    world.hooks.decision = lambda identity: Link(identity.user_id or "another")
    world.sign_in(browser=world.browser())
    assert world.hooks.identities[-1].user_id == "1"
    for browser in browsers:
        assert browser.get("/report").status == 200


@both_worlds
def test_web_027_the_same_login_finished_twice_at_once_is_one(make_world: MakeWorld) -> None:
    """A double click on the way back: one takes the login, the other is told that it was used."""
    world = make_world()
    browser = world.first_browser
    finish = posted(world, browser)
    copy = world.browser()
    copy.cookies = dict(browser.cookies)
    meeting = threading.Barrier(2, timeout=30)
    take = world.store.take_pending_login

    def together(handle: str, browser: str | None, now: datetime) -> TakenLogin:
        meeting.wait()
        return take(handle, browser, now)

    world.store.take_pending_login = together  # type: ignore[method-assign]  # both are there at the same moment
    answers = at_once(world, [browser, copy], [finish, finish])

    assert sorted(answer.status for answer in answers) == [303, 403]
    assert len(world.hooks.identities) == 1
    assert [browser.has_session, copy.has_session].count(True) == 1


def at_once(world: World, browsers: list[Browser], urls: list[str]) -> list[Answer]:
    """What each browser gets for its URL, when they ask at the same moment."""
    if world.kind == "wsgi":
        with ThreadPoolExecutor(len(browsers)) as threads:
            return list(threads.map(lambda browser, url: browser.get(url), browsers, urls))

    async def all_of_them() -> list[Answer]:
        asked = (
            world._asgi_request("GET", url, Headers({**NAVIGATION, "Host": "app.example", **cookies_of(browser)}), b"")
            for browser, url in zip(browsers, urls, strict=True)
        )
        return await asyncio.gather(*asked)

    answers: list[Answer] = world.run(all_of_them())
    for browser, answer in zip(browsers, answers, strict=True):
        browser._keep(answer)
    return answers


def cookies_of(browser: Browser) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
