"""The store fails while somebody is signed in, or in the middle of a renewal: nobody is signed out by it.

What a sign-in meets is tests/attacks/test_web_failures.py's; real databases and real ends are tests/workers'.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import WORLDS
from tests.world import Answer, World

from sso_middleware.errors import StoreUnavailable
from sso_middleware.stores.sql import SqlStore

CALLS = (
    "get_changes",
    "get_session",
    "begin_renewal",
    "add_login_request",
    "get_login_request",
    "claim_assertion",
    "add_pending_login",
    "get_pending_login",
    "take_pending_login",
    "arrive",
    "claim_provisioning",
    "keep_provisioned",
    "find_people",
    "renew_session",
)


class FailingStore(SqlStore):
    """Fails at the calls named in `fails`, once or always, before or after it did what was asked."""

    fails: frozenset[str] = frozenset()
    is_lasting = False
    loses_answers = False
    failed = 0

    def __getattribute__(self, name: str) -> Any:
        method = super().__getattribute__(name)
        if name not in super().__getattribute__("fails"):
            return method

        def fail(*args: Any, **kwargs: Any) -> Any:
            if not self.is_lasting:
                self.fails = frozenset()
            self.failed += 1
            if self.loses_answers:
                method(*args, **kwargs)
            raise StoreUnavailable("down")

        return fail


@pytest.fixture(params=WORLDS, ids="-".join)
def world(request: pytest.FixtureRequest, database_url: str) -> Iterator[World]:
    kind, style = request.param
    store = FailingStore(database_url)
    world = World(kind, style, store, database_url)
    yield world
    world.close()
    store.close()


def store_of(world: World) -> FailingStore:
    assert isinstance(world.store, FailingStore)
    return world.store


def every_call(world: World) -> None:
    store = store_of(world)
    store.is_lasting = True
    store.fails = frozenset(name for name in dir(SqlStore) if not name.startswith("_") and name != "close")


def test_memory_is_believed_for_the_delay_and_then_the_answer_is_503(world: World) -> None:
    """With Retry-After; to pages, scripts and our own `session` alike. Afterwards everything is as it was."""
    world.sign_in()
    browser = world.first_browser
    assert browser.fetch("/report").status == 200
    world.wait(seconds=0.6)
    assert browser.fetch("/report").status == 200
    cookies = dict(browser.cookies)
    every_call(world)

    world.wait(seconds=0.9)
    assert browser.fetch("/report").status == 200
    world.wait(seconds=0.1)
    for answer in (browser.fetch("/report"), browser.get("/report"), browser.fetch("/sso/session")):
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.set_cookies == []

    store_of(world).fails = frozenset()
    assert browser.cookies == cookies
    assert browser.fetch("/report").status == 200


def test_nobody_is_signed_in_while_the_store_is_down(world: World) -> None:
    """Neither a stranger, nor who was signed out a moment ago, nor who was never remembered here."""
    world.sign_in()
    every_call(world)
    other = world.browser()

    assert world.browser().fetch("/report").status in (401, 503)
    other.cookies = {"__Host-sso-session": "made up"}
    assert other.fetch("/report").status in (401, 503)
    world.wait(seconds=1)
    assert world.first_browser.fetch("/report").status == 503


def test_an_admin_is_told_that_nothing_was_revoked(world: World) -> None:
    """StoreUnavailable, and the session lives on."""
    world.sign_in()
    every_call(world)
    for step in (world.sso.sessions.revoke, world.sso.sessions.require_renewal):
        with pytest.raises(StoreUnavailable):
            step(everyone=True)
    store_of(world).fails = frozenset()
    assert world.first_browser.fetch("/report").status == 200


def step(world: World, send: Any) -> Answer:
    """The same request again, as a person would, where it was answered 503."""
    answer: Answer = send()
    if answer.status == 503:
        assert int(answer.headers["Retry-After"]) > 0
        answer = send()
    return answer


@pytest.mark.parametrize("loses_answers", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", CALLS)
def test_a_renewal_that_meets_a_failure_is_done_by_coming_again(world: World, call: str, loses_answers: bool) -> None:
    """Whichever call failed, and whether or not it had done its work: still the same person's one session."""
    world.sign_in()
    world.sso.sessions.require_renewal(everyone=True)
    browser, store = world.first_browser, store_of(world)
    store.loses_answers = loses_answers
    store.fails = frozenset({call})

    answer = step(world, lambda: browser.get("/report"))
    for _ in range(3):
        if answer.status == 200:
            break
        assert answer.status == 303
        if answer.location.startswith(world.base_url):
            url = answer.location
            assert "/sso/login" not in url, "signed out"
            answer = step(world, lambda url=url: browser.get(url))
            continue
        form = world.idp.log_in(answer.location, "ada@acme.example", now=world.now)
        answer = step(world, lambda form=form: browser.post(world.acs_url, form, cross_site=True))
        if answer.status == 303 and "/finish" in answer.location:
            finish = answer.location
            answer = step(world, lambda finish=finish: browser.get(finish))
        if answer.status in (400, 403):  # what it did before it failed can't be done again: from the page, then
            answer = step(world, lambda: browser.get("/report"))

    assert store.failed == 1
    assert browser.fetch("/report").status == 200
    (summary,) = world.sso.sessions.list()
    assert (summary.email, summary.state) == ("ada@acme.example", "live")
    assert "session_ended" not in world.codes
