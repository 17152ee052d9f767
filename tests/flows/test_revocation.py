"""What an admin ends, or a changed setting, acts on sessions that are live: in every worker, within `revocation_delay`.

Two worlds on one database are two workers. WEB-006, WEB-007.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider
from tests.renewing import session_cookie
from tests.response_shape import SentAttribute
from tests.world import Answer, Browser, World
from werkzeug.datastructures import Headers

from sso_middleware import Reject
from sso_middleware.hooks import Continue
from sso_middleware.principal import Principal
from sso_middleware.stores.session_records import SessionQuery
from sso_middleware.tokens import hash_token

BETA = IdentityProvider(entity_id="https://idp.beta.example/metadata", sso_url="https://idp.beta.example/sso")


class Workers:
    """Two workers of one app, with the connections acme and beta; ada and bob are of acme, carol of beta."""

    def __init__(self, make_world: MakeWorld, **acme: Any) -> None:
        some = make_world()
        self.beta = some.connection(
            id="beta", organization="Beta Inc", domains=["beta.example"], metadata=BETA.metadata
        )
        self.acme = some.connection(**acme)
        self.make = make_world
        self.first: World = make_world(connections=[self.acme, self.beta])
        self.second: World = make_world(connections=[self.acme, self.beta])
        self.first.idp = self.second.idp = some.idp

    def wait(self, **duration: float) -> None:
        for world in (self.first, self.second):
            world.wait(**duration)

    def sign_in(self, email: str) -> Browser:
        """By the first worker; the second has seen it, too."""
        world, browser = self.first, self.first.browser()
        idp = BETA if email.endswith("@beta.example") else self.first.idp
        form = idp.log_in(go_to_idp(world, browser, email), email, now=world.now)
        acs_url = next(
            connection.service_provider.acs_url
            for connection in world.sso.site.connections
            if connection.has_domain(email.partition("@")[2])
        )
        assert world.post_response(form, browser, acs=acs_url).status == 303
        assert self.lets_in(browser) == (True, True)
        return browser

    def lets_in(self, browser: Browser) -> tuple[bool, bool]:
        """Whether each worker answers this browser's script with the app's own page."""
        return (self.first_lets_in(browser), at(self.second, browser).fetch("/report").status == 200)

    def first_lets_in(self, browser: Browser) -> bool:
        return at(self.first, browser).fetch("/report").status == 200


def at(world: World, browser: Browser) -> Browser:
    """The same browser, at another worker."""
    there = world.browser()
    there.cookies = dict(browser.cookies)
    return there


def go_to_idp(world: World, browser: Browser, email: str) -> str:
    """Say on our page who one is; the identity provider's URL."""
    page = browser.get("/sso/login?return_to=/report")
    fields = {"csrf_token": page.field("csrf_token"), "return_to": "/report", "email": email}
    return browser.post("/sso/login", fields).refresh_url


@pytest.fixture
def workers(make_world: MakeWorld) -> Workers:
    return Workers(make_world)


EVERYBODY = ("ada", "ada's phone", "bob", "carol")
WAYS: list[tuple[dict[str, Any], set[str]]] = [
    ({"person": "ada@acme.example"}, {"ada", "ada's phone"}),
    ({"person": " Ada@ACME.example "}, {"ada", "ada's phone"}),
    ({"person": "ada@acme.example", "connection": "acme"}, {"ada", "ada's phone"}),
    ({"person": "ada@acme.example", "connection": "beta"}, set()),
    ({"connection": "acme"}, {"ada", "ada's phone", "bob"}),
    ({"organization": "Beta Inc"}, {"carol"}),
    ({"everyone": True}, set(EVERYBODY)),
]


def sign_everybody_in(workers: Workers) -> dict[str, Browser]:
    return {
        name: workers.sign_in(f"{name.partition(chr(39))[0]}@{'beta' if name == 'carol' else 'acme'}.example")
        for name in EVERYBODY
    }


@pytest.mark.parametrize(("way", "whose"), WAYS, ids=lambda value: "-".join(sorted(value)) or "nobody")
def test_who_is_revoked_is_out_everywhere_within_the_delay(
    workers: Workers, way: dict[str, Any], whose: set[str]
) -> None:
    """WEB-007: in the worker that was asked at once, in the other one a second later; nobody else is."""
    browsers = sign_everybody_in(workers)

    assert workers.first.sso.sessions.revoke(**way) == len(whose)

    assert {name for name, browser in browsers.items() if not workers.first_lets_in(browser)} == whose
    workers.wait(seconds=1)
    out = {name for name, browser in browsers.items() if workers.lets_in(browser) != (True, True)}
    assert out == whose
    assert {name for name in out if workers.lets_in(browsers[name]) != (False, False)} == set()


@pytest.mark.parametrize("ends", ["revoked", "signed out"])
def test_a_session_that_a_crowd_has_pushed_out_of_memory_is_out_at_once(make_world: MakeWorld, ends: str) -> None:
    """WEB-007: it has passed from memory all along, while the cache behind that has forgotten it for want of room."""
    world = make_world(remembered_sessions=100, revocation_delay="60s")
    world.sign_in()
    browser, (name, _) = world.first_browser, session_cookie(world.first_browser)
    (ada,) = world.store.find_sessions(SessionQuery())
    for number in range(150):
        token = f"token-{number}"
        world.store.add_session(replace(ada, id=hash_token(token), principal_key=token, email=f"{number}@acme.example"))
        other = world.browser()
        other.cookies = {name: world.sso.site.tokens.sign("session", token)}
        assert other.fetch("/report").status == browser.fetch("/report").status == 200

    if ends == "revoked":
        assert world.sso.sessions.revoke(person="ada@acme.example") == 1
    else:
        page = browser.get("/sso/logout")
        cookies = dict(browser.cookies)
        browser.post("/sso/logout", {"csrf_token": page.field("csrf_token")})
        browser.cookies = cookies

    assert [browser.fetch("/report").status for _ in range(3)] == [401] * 3


def test_one_session_is_revoked_by_its_short_id(workers: Workers) -> None:
    """As the list shows it; the person's other browser stays signed in, and a second time there is nothing."""
    desk, phone = workers.sign_in("ada@acme.example"), workers.sign_in("ada@acme.example")
    before = {summary.id for summary in workers.second.sso.sessions.list(person="ada@acme.example")}
    workers.first.wait(seconds=2)  # so that of the two the phone's was seen last
    workers.second.wait(seconds=2)
    newest = workers.sign_in("ada@acme.example")
    (id,) = {summary.id for summary in workers.second.sso.sessions.list()} - before

    assert workers.second.sso.sessions.revoke(session=id) == 1
    workers.wait(seconds=1)

    assert workers.lets_in(newest) == (False, False)
    assert [workers.lets_in(browser) for browser in (desk, phone)] == [(True, True)] * 2
    assert workers.first.sso.sessions.revoke(session=id) == 0


def test_a_person_is_revoked_by_key(workers: Workers) -> None:
    """Whatever address they have now: `Principal.key`, with the connection that it is of."""
    ada, bob = workers.sign_in("ada@acme.example"), workers.sign_in("bob@acme.example")
    workers.lets_in(ada)
    principal = workers.second.app.seen[-1].principal
    assert isinstance(principal, Principal)

    revoke = workers.first.sso.sessions.revoke
    assert revoke(person=principal.key, connection="beta") == 0
    assert revoke(person=principal.key, connection="acme") == 1
    workers.wait(seconds=1)

    assert (workers.lets_in(ada), workers.lets_in(bob)) == ((False, False), (True, True))


def test_who_was_revoked_may_sign_in_again(workers: Workers) -> None:
    """The identity provider decides about that, not the revocation."""
    workers.sign_in("ada@acme.example")
    workers.first.sso.sessions.revoke(everyone=True)

    workers.sign_in("ada@acme.example")


# Old ids


def renew(workers: Workers, browser: Browser) -> tuple[Browser, Answer]:
    """Idle past the soft timeout, asked unseen, and back; the browser as it was before."""
    old = at(workers.first, browser)
    workers.wait(minutes=17)
    url = browser.get("/report").location
    assert url.startswith(workers.first.idp.sso_url), url
    form = workers.first.idp.log_in(url, "ada@acme.example", now=workers.first.now)
    acs_url = workers.first.acs_url
    answer = workers.first.post_response(form, browser, acs=acs_url)
    assert answer.status == 303
    assert browser.cookies != old.cookies
    return old, answer


@pytest.mark.parametrize("is_confirmed", [True, False])
@pytest.mark.parametrize("way", [{"person": "ada@acme.example"}, {"connection": "acme"}, {"everyone": True}])
def test_no_old_id_lives_past_a_revocation(make_world: MakeWorld, way: dict[str, Any], is_confirmed: bool) -> None:
    """WEB-006: an id that was renewed a second ago is an alias, which ends with the session, seen or not."""
    workers = Workers(make_world, soft_timeout="15m")
    browser = workers.sign_in("ada@acme.example")
    old, _ = renew(workers, browser)
    if is_confirmed:
        assert workers.lets_in(browser) == (True, True)
    assert workers.lets_in(old) == (True, True)

    assert workers.first.sso.sessions.revoke(**way) == 1

    assert not workers.first_lets_in(old)
    assert not workers.first_lets_in(browser)
    workers.wait(seconds=1)
    assert workers.lets_in(old) == workers.lets_in(browser) == (False, False)


def test_a_session_is_revoked_by_an_id_that_it_had(make_world: MakeWorld) -> None:
    """Whoever read the list before the renewal still means the same session."""
    workers = Workers(make_world, soft_timeout="15m")
    browser = workers.sign_in("ada@acme.example")
    (summary,) = workers.first.sso.sessions.list()
    renew(workers, browser)

    assert workers.second.sso.sessions.revoke(session=summary.id) == 1

    workers.wait(seconds=1)
    assert workers.lets_in(browser) == (False, False)


def test_who_is_revoked_while_away_for_a_renewal_comes_back_to_nothing(make_world: MakeWorld) -> None:
    """The answer opens no session; the person is asked to sign in."""
    workers = Workers(make_world, soft_timeout="15m")
    browser = workers.sign_in("ada@acme.example")
    workers.wait(minutes=17)
    form = workers.first.idp.log_in(browser.get("/report").location, "ada@acme.example", now=workers.first.now)

    workers.second.sso.sessions.revoke(person="ada@acme.example")
    answer = workers.first.post_response(form, browser, acs=workers.first.acs_url)

    assert answer.location.startswith(f"{workers.first.base_url}/sso/login")
    workers.wait(seconds=1)
    assert workers.lets_in(browser) == (False, False)


# Settings that change


def changed(workers: Workers, **acme: Any) -> World:
    """A worker that was started anew, with the connection acme changed so."""
    world: World = workers.make(connections=[{**workers.acme, **acme}, workers.beta])
    world.now = workers.first.now
    return world


def test_a_disabled_connection_ends_its_sessions(workers: Workers) -> None:
    """WEB-006: at once where the settings are new, and elsewhere within the delay of the first refusal."""
    browser, other = workers.sign_in("ada@acme.example"), workers.sign_in("carol@beta.example")
    disabled = changed(workers, enabled=False)

    assert at(disabled, browser).fetch("/report").status == 401
    assert at(disabled, other).fetch("/report").status == 200

    workers.wait(seconds=1)
    assert workers.lets_in(browser) == (False, False)


def test_a_domain_that_is_removed_ends_the_sessions_of_its_people(workers: Workers) -> None:
    """And of nobody else of the connection."""
    ada = workers.sign_in("ada@acme.example")
    removed = changed(workers, domains=["acme-other.example"])

    assert at(removed, ada).fetch("/report").status == 401

    workers.wait(seconds=1)
    assert workers.lets_in(ada) == (False, False)


def test_a_changed_attribute_map_asks_the_identity_provider_before_the_next_use(workers: Workers) -> None:
    """Nobody goes on with what the old map made of them; nobody is signed out by it, either."""
    browser = workers.sign_in("ada@acme.example")
    new = changed(workers, attributes={"email": "email", "first_name": "first", "last_name": "last", "roles": "groups"})
    new.idp = workers.first.idp
    new.wait(seconds=3)  # so long after a sign-in nothing is renewed, while workers of old and new settings run
    there = at(new, browser)

    assert there.fetch("/report").status == 401
    url = there.get("/report").location
    values = {"email": "ada@acme.example", "first": "Ada", "last": "L", "groups": "staff"}
    attributes = tuple(SentAttribute(name, (value,)) for name, value in values.items())
    form = new.idp.log_in(url, "ada@acme.example", now=new.now, attributes=attributes)
    assert new.post_response(form, there).status == 303

    assert there.fetch("/report").status == 200
    principal = new.app.seen[-1].principal
    assert principal is not None
    assert principal.roles == ("staff",)


# A renewal that is demanded


@pytest.mark.parametrize(
    "way",
    [{"person": "ada@acme.example"}, {"connection": "acme"}, {"organization": "Acme"}, {"everyone": True}],
    ids=lambda way: next(iter(way)),
)
def test_a_demanded_renewal_comes_before_the_next_use(workers: Workers, way: dict[str, Any]) -> None:
    """Of a role mapping that changed, say: unseen, on every worker, within the delay."""
    browser = workers.sign_in("ada@acme.example")

    assert workers.second.sso.sessions.require_renewal(**way) == 1

    assert at(workers.second, browser).fetch("/report").status == 401
    workers.wait(seconds=1)
    told = at(workers.first, browser).fetch("/report")
    assert (told.status, b"reauthenticate_url" in told.body) == (401, True)
    url = browser.get("/report").location
    form = workers.first.idp.log_in(url, "ada@acme.example", now=workers.first.now)
    assert workers.first.post_response(form, browser, acs=workers.first.acs_url).status == 303
    workers.wait(seconds=1)
    assert workers.lets_in(browser) == (True, True)


def test_a_person_whom_the_host_no_longer_wants_is_out_at_the_demanded_renewal(workers: Workers) -> None:
    """WEB-007: deprovisioned at the host. The identity provider still vouches for them; `provision` does not."""
    browser = workers.sign_in("ada@acme.example")
    workers.first.hooks.decision = lambda identity: Reject("deactivated")

    workers.first.sso.sessions.require_renewal(person="ada@acme.example")
    url = browser.get("/report").location
    form = workers.first.idp.log_in(url, "ada@acme.example", now=workers.first.now)

    assert workers.first.post_response(form, browser, acs=workers.first.acs_url).status == 403
    workers.wait(seconds=1)
    assert workers.lets_in(browser) == (False, False)
    workers.first.hooks.decision = lambda identity: Continue()


# Answers that take long


@pytest.mark.parametrize("kind", ["websocket", "event stream"])
@pytest.mark.parametrize("how", ["revoke", "require_renewal"])
def test_an_open_answer_ends_with_its_session(workers: Workers, kind: str, how: str) -> None:
    """4401, or the end of the stream: the other worker was asked, and the app is told that the client has gone."""
    world = workers.first
    browser = workers.sign_in("ada@acme.example")
    world.sso.liveness_checked_every = timedelta(milliseconds=10)
    end = getattr(workers.second.sso.sessions, how)

    if world.kind == "asgi":
        sent = world.run(_keep_open(workers, browser, kind, lambda: end(connection="acme")))
        assert sent[-1] == (
            {"type": "websocket.close", "code": 4401, "reason": "the session has ended"}
            if kind == "websocket"
            else {"type": "http.response.body", "body": b"", "more_body": False}
        )
    elif kind == "event stream":

        def stream(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            yield b"data: 1\n\n"
            end(connection="acme")
            world.wait(seconds=1)
            yield b"data: 2\n\n"

        world.wrap(stream)
        assert browser.fetch("/stream").body == b"data: 1\n\n"


async def _keep_open(workers: Workers, browser: Browser, kind: str, end: Any) -> list[dict[str, Any]]:
    """Open it, have the session ended elsewhere, and let a second pass; what the server was told to send."""
    world = workers.first
    sent: list[dict[str, Any]] = []
    is_open = asyncio.Event()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if kind == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
        else:
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        is_open.set()
        assert (await receive())["type"].endswith("disconnect")

    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    incoming.put_nowait({"type": "websocket.connect"})
    if kind != "websocket":
        incoming.get_nowait()

    async def send(message: Any) -> None:
        sent.append(dict(message))

    world.wrap(app)
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    headers = Headers({"Host": "app.example", "Origin": world.origin, "Cookie": cookies})
    more: dict[str, Any] = {"subprotocols": []} if kind == "websocket" else {"method": "GET"}
    scope = world.scope("websocket" if kind == "websocket" else "http", f"{world.base_url}/live", headers, **more)
    answering = asyncio.ensure_future(world.asgi(scope, incoming.get, send))
    await asyncio.wait_for(is_open.wait(), 10)
    await asyncio.to_thread(end)
    workers.wait(seconds=1)
    await asyncio.wait_for(answering, 10)
    return sent


def test_open_answers_are_asked_about_twice_in_a_delay(make_world: MakeWorld) -> None:
    """What is remembered may be half of the delay old, so that both together are within it."""
    for delay, every in (("1s", 0.5), ("10s", 1.0), ("0s", 1.0)):
        world = make_world(revocation_delay=delay)
        assert world.sso.liveness_checked_every == timedelta(seconds=every), delay


# Clocks


STEPS = [timedelta(hours=1), timedelta(hours=-1)]


@pytest.mark.parametrize("step", STEPS, ids=["forward", "back"])
@pytest.mark.parametrize("how", ["revoked", "ended", "timed out"])
def test_a_clock_that_is_set_brings_no_ended_session_back(make_world: MakeWorld, how: str, step: timedelta) -> None:
    """WEB-006: on either worker, then or when it is set right again."""
    workers = Workers(make_world, hard_timeout="30m")
    browser = workers.sign_in("ada@acme.example")
    match how:
        case "revoked":
            workers.first.sso.sessions.revoke(person="ada@acme.example")
        case "ended":
            workers.first.store.end_sessions(SessionQuery(), workers.first.now)
        case "timed out":
            workers.wait(minutes=32)
            assert workers.lets_in(browser) == (False, False)

    for moved in (step, -step):
        workers.wait(seconds=moved.total_seconds())
        assert workers.lets_in(browser) == (False, False)


def test_an_old_id_that_has_ended_is_not_brought_back_by_the_clock(make_world: MakeWorld) -> None:
    """Ten seconds are over; then the clock is set back by an hour: they do not begin anew."""
    workers = Workers(make_world, soft_timeout="15m")
    browser = workers.sign_in("ada@acme.example")
    old, _ = renew(workers, browser)
    assert workers.lets_in(browser) == (True, True)
    assert workers.lets_in(old) == (True, True)
    workers.wait(seconds=10)
    assert workers.lets_in(old) == (False, False)

    workers.wait(hours=-1)

    assert workers.lets_in(old) == (False, False)
    assert workers.lets_in(browser) == (True, True)


def test_a_clock_that_is_a_little_behind_ends_no_alias(make_world: MakeWorld) -> None:
    """Two machines differ by seconds; other tabs' requests still arrive."""
    workers = Workers(make_world, soft_timeout="15m")
    browser = workers.sign_in("ada@acme.example")
    old, _ = renew(workers, browser)
    assert workers.first_lets_in(browser)
    workers.second.wait(seconds=-5)

    assert workers.lets_in(old) == (True, True)


@pytest.mark.parametrize("step", STEPS, ids=["forward", "back"])
def test_a_clock_that_is_set_signs_nobody_out_who_is_active(workers: Workers, step: timedelta) -> None:
    """Within the limits, which are eight hours here; and each worker may be set by itself."""
    browser = workers.sign_in("ada@acme.example")

    workers.second.wait(seconds=step.total_seconds())
    assert workers.lets_in(browser) == (True, True)
    workers.first.wait(seconds=step.total_seconds())
    assert workers.lets_in(browser) == (True, True)
    workers.wait(seconds=-step.total_seconds())
    assert workers.lets_in(browser) == (True, True)


@pytest.mark.parametrize("step", STEPS, ids=["forward", "back"])
@pytest.mark.parametrize("when", ["before the answer", "before finish"])
def test_a_clock_that_is_set_during_a_login_signs_nobody_in_and_crashes_nothing(
    workers: Workers, step: timedelta, when: str
) -> None:
    """The answer is of another time, and is refused or lost in words; the next attempt goes well."""
    world, browser = workers.first, workers.first.browser()
    form = world.idp.log_in(go_to_idp(world, browser, "ada@acme.example"), "ada@acme.example", now=world.now)
    if when == "before the answer":
        workers.wait(seconds=step.total_seconds())
        answer = world.post_response(form, browser, acs=world.acs_url)
        assert answer.status == 403
    else:
        taken = browser.post(world.acs_url, form, cross_site=True)
        workers.wait(seconds=step.total_seconds())
        finished = browser.get(taken.location)
        # Set back, it is as fresh as it was: what was verified and kept for a minute is this browser's own.
        assert finished.status in ((303,) if step < timedelta() else (400, 403))
    assert browser.has_session == (when == "before finish" and step < timedelta())
    workers.sign_in("ada@acme.example")
