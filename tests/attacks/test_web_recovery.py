"""WEB-020 and WEB-030: the way back in, as an attacker would like to use it. The other rows are test_web.py's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.attacks.test_web import both_worlds
from tests.recovering import ADMIN, PAGE, ask, change, kept, mailed_link, recoverable, recovered, token_of, use
from tests.world import NAVIGATION, Answer, Browser, World
from werkzeug.datastructures import Headers

from sso_middleware.stores.mail_records import RecoveryToken

MakeWorld = Callable[..., World]


def pressed(browser: Browser, link: str) -> Answer:
    """The button's POST, made by hand, with a token of this browser's own."""
    page = browser.get(PAGE)
    return browser.post(PAGE, {"csrf_token": page.field("csrf_token"), "step": "use", "token": token_of(link)})


@both_worlds
def test_web_020_a_link_that_was_used_opens_nothing_again(make_world: MakeWorld) -> None:
    """Neither in another browser, nor in the one that used it, nor after the session ended."""
    world = recoverable(make_world)
    link, admin = mailed_link(world), world.browser()
    assert use(link, admin).status == 303

    for browser in (world.browser(), admin):
        cookies = dict(browser.cookies)
        assert browser.get(link).status == 403
        browser.cookies.pop("__Host-sso-recovery", None)
        assert pressed(browser, link).status == 403
        browser.cookies = cookies
    world.wait(minutes=31)
    assert pressed(world.browser(), link).status == 403
    assert world.codes.count("recovery_link_used") == 1


@both_worlds
def test_web_020_a_link_that_expired_opens_nothing(make_world: MakeWorld) -> None:
    """Also where its page was opened in time."""
    world = recoverable(make_world)
    link, admin = mailed_link(world), world.browser()
    page = admin.get(link)
    fields = {"csrf_token": page.field("csrf_token"), "step": "use", "token": page.field("token")}
    world.wait(minutes=15)
    assert admin.post(PAGE, fields).status == 403
    assert world.codes[-1] == "recovery_link_unknown"


@both_worlds
def test_web_020_a_link_is_dead_once_a_newer_one_is_made(make_world: MakeWorld) -> None:
    """Whoever took the first mail has nothing by it; the newer one works, and only once."""
    world = recoverable(make_world)
    first, second = mailed_link(world), mailed_link(world)
    assert pressed(world.browser(), first).status == 403
    assert use(second, world.browser()).status == 303
    assert pressed(world.browser(), first).status == 403


@both_worlds
def test_web_020_a_link_is_for_its_own_organization(make_world: MakeWorld) -> None:
    """Globex's admin reaches nothing of Acme's, by any id, with any token of a form."""
    world = recoverable(make_world)
    globex, acme = recovered(world, "it@globex.example"), recovered(world)
    before = world.store.get_configuration()
    for id in ("acme", "acme-two", "ACME", "globex\0", "../acme"):
        assert change(globex, "disable", id).status == 403
    stolen = acme.get(PAGE).field("csrf_token")
    fields = {"csrf_token": stolen, "step": "disable", "connection": "acme-two", "version": "1"}
    assert globex.post(PAGE, fields).status == 403
    assert world.store.get_configuration() == before
    assert "acme" not in globex.get(PAGE).text.lower()


@both_worlds
def test_web_020_the_token_is_in_no_referer_and_no_log(make_world: MakeWorld, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is loaded from anywhere, nothing is sent as Referer, and no line of ours holds it, refused or not."""
    caplog.set_level(logging.DEBUG)
    world = recoverable(make_world)
    link = mailed_link(world)
    browser = world.browser()
    pages = [browser.get(link), use(link, browser), browser.get(link), browser.get(PAGE)]
    for page in pages:
        if page.status != 303:
            assert page.headers["Referrer-Policy"] == "no-referrer"
            assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert token_of(link) not in "".join(page.location for page in pages if page.status == 303)
    assert token_of(link) not in caplog.text
    assert token_of(link) not in "".join(f"{event} {dict(event.detail)}" for event in world.events)


@both_worlds
def test_web_020_used_twice_at_the_same_moment_one_gets_in(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are past every look at it when the first takes it."""
    world = recoverable(make_world)
    link = mailed_link(world)
    browsers = [world.browser(), world.browser()]
    meeting = Barrier(2, timeout=30)
    take = world.store.take_recovery_token

    def together(id: str, now: datetime, **session: Any) -> RecoveryToken | None:
        meeting.wait()
        return take(id, now, **session)

    monkeypatch.setattr(world.store, "take_recovery_token", together)
    bodies = []
    for browser in browsers:
        page = browser.get(link)
        bodies.append({"csrf_token": page.field("csrf_token"), "step": "use", "token": page.field("token")})
    answers = at_once(world, browsers, bodies)

    assert sorted(answer.status for answer in answers) == [303, 403]
    assert sum("__Host-sso-recovery" in line for answer in answers for line in answer.set_cookies) == 1


def at_once(world: World, browsers: list[Browser], bodies: list[dict[str, str]]) -> list[Answer]:
    if world.kind == "wsgi":
        with ThreadPoolExecutor(len(browsers)) as threads:
            return list(threads.map(lambda browser, body: browser.post(PAGE, body), browsers, bodies))

    def asked(browser: Browser, body: dict[str, str]) -> Any:
        content = urlencode(body).encode()
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        form = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(content))}
        headers = Headers({**NAVIGATION, **form, "Host": "app.example", "Origin": world.origin, "Cookie": cookies})
        return world._asgi_request("POST", f"{world.base_url}{PAGE}", headers, content)

    async def all_of_them() -> list[Answer]:
        return list(await asyncio.gather(*map(asked, browsers, bodies)))

    answers: list[Answer] = world.run(all_of_them())
    return answers


@both_worlds
def test_web_030_recovery_is_for_named_admins_only_and_told(make_world: MakeWorld) -> None:
    """A person of the enforced domain, an excluded one, a former admin: no mail, no link, the same answer."""
    world = recoverable(make_world)
    world.sign_in("ada@acme.example", page="/sso/login?connection=acme")
    answers = [ask(world, who) for who in ("ada@acme.example", "first@acme-two.example", "postmaster@acme.example")]
    honest = ask(world, ADMIN)
    world.send_mail()

    assert [mail.to for mail in world.hooks.mails] == [ADMIN]
    assert {(answer.status, answer.body) for answer in answers} == {(honest.status, honest.body)}
    assert world.codes.count("recovery_link_sent") == 1
    assert pressed(world.browser(), f"{PAGE}?token={'A' * 43}").status == 403
    assert world.codes[-1] == "recovery_link_unknown"


@both_worlds
def test_web_030_recovery_access_is_no_way_into_the_app(make_world: MakeWorld) -> None:
    """What is protected stays so: for whoever holds it, and for everybody after they switched the connection off."""
    world = recoverable(make_world)
    admin = recovered(world)
    assert change(admin, "disable", "acme-two").status == 303
    off = kept(world)
    assert off is not None
    assert off.state == "disabled"
    for browser in (admin, world.browser()):
        assert browser.get("/report").status == 303
        assert browser.fetch("/api").status == 401
    assert world.app.seen == []
    told = [event for event in world.events if event.code.startswith("recovery_")]
    assert [event.code for event in told] == [
        "recovery_requested",
        "recovery_link_sent",
        "recovery_link_used",
        "recovery_change",
    ]
    assert {event.email for event in told[1:]} == {ADMIN}
