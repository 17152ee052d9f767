"""Every pair of docs/_ext/session_table.toml: a limit that passed, a request, and the identity provider's answer."""

from __future__ import annotations

import json
import tomllib
from datetime import timedelta

import pytest
from tests.conftest import MakeWorld
from tests.docs.blocks import ROOT
from tests.identity_provider import read_redirect
from tests.renewing import arrives, limited, open_socket, sent_away
from tests.world import BASE_URL, Answer, Browser, World

from sso_middleware.stores.session_records import SessionQuery

TABLE = tomllib.loads((ROOT / "docs" / "_ext" / "session_table.toml").read_text("utf-8"))
PAGES = {
    "navigation": "/report?month=11",
    "form": "/orders",
    "script": "/api/rows",
    "websocket": "/live",
    "polling": "/poll",
    "public": "/static/a.css",
}
VISITED = "/report"
"""The page that the person looks at while other requests are sent."""


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """Renewed after 10 idle minutes, out after 20 (the step is 30 s), over after an hour."""
    connection = limited(soft_timeout="10m", hard_timeout="20m", absolute_timeout="1h")
    return make_world(connections=[connection], polling=["/poll"], public=["/static/"])


def test_the_table_is_whole() -> None:
    """It says of each pair what becomes of it, and nothing is named that is not explained."""
    for which, columns in (("requests", "kinds"), ("replies", "answers")):
        assert list(TABLE[which]) == list(TABLE["limits"])
        for told in TABLE[which].values():
            assert list(told) == list(TABLE[columns])
    used = {outcome for which in ("requests", "replies") for told in TABLE[which].values() for outcome in told.values()}
    assert used == set(TABLE["outcomes"])


@pytest.mark.parametrize("make_world", [("wsgi", "plain"), ("asgi", "async")], ids="-".join, indirect=True)
@pytest.mark.parametrize("kind", TABLE["kinds"])
@pytest.mark.parametrize("limit", TABLE["limits"])
def test_a_request_and_each_answer(world: World, limit: str, kind: str) -> None:
    """What the table says, to the letter: what the request is told, and then where each answer leads."""
    if kind == "websocket" and world.kind == "wsgi":
        return  # has none
    for answer in TABLE["answers"]:
        browser = world.browser()
        world.sign_in(browser=browser)
        let_pass(world, browser, limit)
        told, question = ask(world, browser, kind)
        assert told == TABLE["requests"][limit][kind]
        expected = "not_asked" if question is None else TABLE["replies"][limit][answer]
        page = PAGES["navigation"] if kind == "navigation" else PAGES["polling"] if kind == "polling" else VISITED
        assert reply_to(world, browser, question, answer, page) == expected, answer
        world.store.end_sessions(SessionQuery(), world.now)


def let_pass(world: World, browser: Browser, limit: str) -> None:
    match limit:
        case "none":
            world.wait(minutes=10, seconds=29)
        case "soft":
            world.wait(minutes=10, seconds=30)
        case "hard":
            world.wait(minutes=20, seconds=30)
        case "absolute":
            ends_at = world.now + timedelta(hours=1)
            for _ in range(6):
                world.wait(minutes=9)
                assert browser.get(VISITED).status == 200
            world.now = ends_at
        case "revoked":
            world.store.end_sessions(SessionQuery(connection_ids=("acme",)), world.now)
            world.wait(seconds=1)


def ask(world: World, browser: Browser, kind: str) -> tuple[str, str | None]:
    """What the request is told, and the URL by which the identity provider is asked, if it is."""
    visited = {"Referer": BASE_URL + VISITED}
    match kind:
        case "websocket":
            status = open_socket(browser, PAGES[kind])
            # What a handshake was told no script can read: the person's next page, or request, is.
            url = browser.fetch("/api/rows", **visited) if status == 401 else None
            return ("passes", None) if url is None else read_refusal(browser, url)
        case "form":
            answer = browser.post(PAGES[kind], {"password": "which is never kept"}, Referer=BASE_URL + VISITED)
        case "script":
            answer = browser.fetch(PAGES[kind], **visited)
        case "polling":
            answer = browser.fetch(PAGES[kind], Referer=BASE_URL + PAGES[kind])
        case _:
            answer = browser.get(PAGES[kind])
    if answer.status == 200:
        return "passes" if world.app.seen[-1].principal else "passes_unknown", None
    return read_refusal(browser, answer)


def read_refusal(browser: Browser, answer: Answer) -> tuple[str, str | None]:
    world = browser.world
    if answer.status == 303:
        question = sent_away(answer, world)
        if question is not None and question.is_passive:
            return "asked_unseen", answer.location
        assert answer.location.startswith(f"{BASE_URL}/sso/login?")
        return "asked", browser.get(answer.location).location
    assert answer.status == 401
    url = answer.headers["WWW-Authenticate"].split('"')[1]
    renews = url.startswith(f"{BASE_URL}/sso/renew?")
    assert renews or url.startswith(f"{BASE_URL}/sso/login?")
    if answer.headers["Content-Type"].startswith("text/html"):
        assert url.replace("&", "&amp;") in answer.text
        return "link_to_renew" if renews else "link_to_sign_in", browser.get(url).location
    problem = json.loads(answer.text)
    assert problem["code"] == ("reauthentication_required" if renews else "sign_in_required")
    assert problem["reauthenticate_url" if renews else "login_url"] == url
    return "told_to_renew" if renews else "told_to_sign_in", browser.get(url).location


def reply_to(world: World, browser: Browser, question: str | None, answer: str, page: str) -> str:
    """Have the identity provider answer, and see who is signed in then."""
    if question is None:
        return "not_asked"
    request = read_redirect(question)
    if answer == "nothing":
        world.wait(seconds=4)
        reply = browser.get(page) if page != PAGES["polling"] else browser.get(VISITED)
        if reply.status == 303:
            return "asked_again" if reply.location.startswith(f"{BASE_URL}/sso/login?") else reply.location
        return "try_again" if "has not answered" in reply.text else reply.text
    if answer in ("renewed", "another"):
        email = "ada@acme.example" if answer == "renewed" else "bob@acme.example"
        form = world.idp.answer(request, email, now=world.now)
    else:
        status = ("Responder", "NoPassive" if answer == "no_passive" else "AuthnFailed")
        form = world.idp.answer(request, "", now=world.now, status=status, has_assertion=False)
    reply = world.post_response(form, browser)
    if answer == "another":
        assert world.post_response(form, browser).status == 403  # used up
    return outcome_of(world, browser, reply, page, is_renewal=request.is_passive)


def outcome_of(world: World, browser: Browser, reply: Answer, page: str, *, is_renewal: bool) -> str:
    signed_in = browser.get(VISITED)
    principal = world.app.seen[-1].principal if signed_in.status == 200 else None
    if principal is not None:
        assert arrives(reply, page), reply.location
        if principal.email != "ada@acme.example":
            return "signed_in_as_another"
        return "same_page" if is_renewal else "signed_in"
    if reply.status == 303:
        assert sent_away(browser.get(reply.location), world) is not None
        return "signed_out_and_asked"
    if "You are signed out" in reply.text:
        return "signed_out_by_another"
    assert reply.status == 403
    return "refused"
