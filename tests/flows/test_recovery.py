"""Recovery access: who gets a link, what it opens, and what nobody learns by asking."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.recovering import (
    ADMIN,
    GLOBEX,
    PAGE,
    ask,
    change,
    kept,
    link_in,
    mailed_link,
    name_admin,
    recoverable,
    recovered,
    token_of,
    use,
)
from tests.world import NAVIGATION, Answer, World
from werkzeug.datastructures import Headers

from sso_middleware import Mail, SignedInByHost
from sso_middleware.stores import tables
from sso_middleware.stores.configuration_records import ConnectionState

MakeWorld = Callable[..., World]
ASKERS = [
    ADMIN,
    "nobody@acme.example",
    "it@globex.example",
    "x",
    "",
    "a@b, c@d\r\nBcc: e@f",
    "é" * 2000,
    "IT@ACME.example ",
]


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return recoverable(make_world)


def details(world: World, code: str) -> list[dict[str, str]]:
    return [dict(event.detail) for event in world.events if event.code == code]


def rows(world: World, table: Any) -> list[Any]:
    with world.store._database.reading() as connection:
        return list(connection.execute(table.select()))


def counting_writes(world: World) -> list[str]:
    """Names of the store's methods that write, as they are called."""
    called: list[str] = []
    for name in dir(world.store):
        if name.startswith(("add_", "put_", "claim_", "take_", "delete_", "end_")):
            setattr(world.store, name, _noting(name, getattr(world.store, name), called))
    return called


def _noting(name: str, method: Callable[..., Any], called: list[str]) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        called.append(name)
        return method(*args, **kwargs)

    return noted


# Asking


def test_everybody_who_asks_gets_the_same_answer_in_the_same_way(world: World) -> None:
    """Admin, stranger, another organization's, garbage: status, headers, body and what is written are the same."""
    called = counting_writes(world)
    answers: list[tuple[Answer, list[str]]] = []
    for address in ASKERS:
        world.wait(minutes=5)
        browser = world.browser()
        page = browser.get(PAGE)
        called.clear()
        fields = {"csrf_token": page.field("csrf_token"), "step": "ask", "email": address}
        answer = browser.post(PAGE, fields)
        answers.append((answer, list(called)))

    told = {(a.status, tuple(sorted(a.headers)), a.body, tuple(writes)) for a, writes in answers}

    assert len(told) == 1
    assert answers[0][0].status == 200
    assert answers[0][1].count("add_to_outbox") == 1
    waiting = rows(world, tables.outbox)
    assert len(waiting) == len(ASKERS)
    assert not any(b"acme" in row.message or len(row.message) > 2000 for row in waiting)
    assert world.hooks.mails == []


def test_only_a_named_admin_is_mailed_a_link(world: World) -> None:
    """Each their own, in whichever letters they typed their address; of the others only the number is told."""
    for address in ASKERS:
        ask(world, address)
    world.send_mail()

    assert sorted(mail.to for mail in world.hooks.mails) == [ADMIN, ADMIN, "it@globex.example"]
    assert rows(world, tables.outbox) == []
    assert [event.email for event in world.events if event.code == "recovery_link_sent"] == [
        ADMIN,
        "it@globex.example",
        ADMIN,
    ]
    world.wait(minutes=2)
    ask(world, "x")
    assert details(world, "refusals_counted")[0]["codes"] == "recovery_access_refused 5"
    kept_tokens = rows(world, tables.recovery_tokens)
    for mail in world.hooks.mails:
        assert token_of(link_in(mail)) not in repr(kept_tokens)


def test_a_request_is_told_once_a_minute_and_names_nobody(world: World) -> None:
    """Loud, but no flood of events, and nothing of what was typed."""
    for _ in range(3):
        ask(world, ADMIN)
    world.wait(minutes=1)
    ask(world, "somebody@acme.example")
    told = [event for event in world.events if event.code == "recovery_requested"]
    assert len(told) == 2
    assert all(event.email is None and event.client == "203.0.113.9" for event in told)


def test_an_admin_of_two_organizations_gets_one_mail_with_two_links(world: World) -> None:
    """Each link is for one of them."""
    name_admin(world, ADMIN, "Globex")
    ask(world, ADMIN)
    world.send_mail()
    (mail,) = world.hooks.mails
    assert mail.text.count("token=") == 2
    assert "For Acme:" in mail.text
    assert "For Globex:" in mail.text


def test_who_asks_too_often_waits_whatever_they_type(world: World) -> None:
    """By client, not by address: the count tells nobody anything."""
    statuses = [ask(world, address).status for address in [ADMIN, "x"] * 7]
    assert statuses == [200] * 12 + [429] * 2
    assert len(rows(world, tables.outbox)) == 12


def test_an_admin_is_not_mailed_without_end(world: World) -> None:
    """Three mails an hour, of which a flood can't use up all at once; it is told once a window."""
    sent: list[int] = []
    for minute in range(0, 90, 3):
        world.wait(minutes=3)
        ask(world, ADMIN)
        world.send_mail()
        sent += [minute] * (len(world.hooks.mails) - len(sent))
    assert sent == [0, 3, 30, 60, 63]
    assert rows(world, tables.outbox) == []
    refused = details(world, "recovery_access_refused")
    assert len([detail for detail in refused if "organization" in detail]) == 4


def test_a_full_outbox_answers_alike(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is not filled, and nobody can tell."""
    first = ask(world, "x@acme.example")
    monkeypatch.setattr("sso_middleware.flows.outbox.MOST_WAITING", 1)
    world.wait(minutes=2)
    second = ask(world, ADMIN)
    assert (first.status, first.body) == (second.status, second.body)
    assert len(rows(world, tables.outbox)) == 1
    assert details(world, "recovery_requested")[-1]["why"].startswith("the outbox is full")


def test_without_a_way_to_mail_the_page_is_not_there(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told to wait for a mail that can't come."""
    world = recoverable(make_world)
    monkeypatch.setattr("sso_middleware.flows.outbox.has_send_mail", lambda hooks: False)
    assert world.browser().get(PAGE).status == 404
    browser = world.browser()
    browser.get("/sso/login")
    token = browser.get("/sso/login").field("csrf_token")
    assert browser.post(PAGE, {"csrf_token": token, "step": "ask", "email": ADMIN}).status == 404
    assert rows(world, tables.outbox) == []


def test_the_form_is_our_own(world: World) -> None:
    """Another site can't have links mailed in a visitor's name, nor may the page be in a frame."""
    browser = world.browser()
    token = browser.get(PAGE).field("csrf_token")
    fields = {"csrf_token": token, "step": "ask", "email": ADMIN}
    assert world.browser().post(PAGE, fields).status == 403
    assert browser.post(PAGE, fields, Origin="https://evil.example").status == 403
    assert browser.post(PAGE, fields, Sec_Fetch_Site="cross-site").status == 403
    assert browser.get(PAGE, Sec_Fetch_Dest="iframe").status == 403
    assert rows(world, tables.outbox) == []


# A changed address


def test_no_link_goes_to_a_new_address_and_the_old_one_is_told(world: World) -> None:
    """Whoever had an admin's address changed waits a day, in which somebody can notice."""
    name_admin(world, "mallory@acme.example", former_email="boss@acme.example")
    ask(world, "mallory@acme.example")
    world.send_mail()
    world.send_mail()

    (mail,) = world.hooks.mails
    assert mail.to == "boss@acme.example"
    assert "token=" not in mail.text
    assert "mallory" not in mail.text
    (refused,) = details(world, "recovery_access_refused")
    assert "24 hours" in refused["why"]
    assert rows(world, tables.recovery_tokens) == []

    world.wait(hours=24)
    assert mailed_link(world, "mallory@acme.example")


def test_the_former_address_itself_is_nobodys(world: World) -> None:
    """It gets no link, and nobody is told."""
    name_admin(world, "new@acme.example", former_email="old@acme.example")
    ask(world, "old@acme.example")
    world.send_mail()
    assert world.hooks.mails == []


@pytest.mark.parametrize(("connection_id", "is_mailed"), [("acme", False), ("acme-two", False), ("globex", True)])
def test_a_persons_address_that_the_identity_provider_changed_is_new_too(
    world: World, connection_id: str, is_mailed: bool
) -> None:
    """Of the admin's own organization: another one can keep nobody's link from being mailed."""
    person = {
        "id": "p1",
        "connection_id": connection_id,
        "email": ADMIN,
        "former_email": "ada@acme.example",
        "email_changed_at": world.now - timedelta(hours=23),
        "first_name": "Ada",
        "last_name": "Lovelace",
        "answers": {},
        "created_at": world.now,
    }
    with world.store._database.writing() as connection:
        connection.execute(tables.people.insert().values(person))
    ask(world, ADMIN)
    world.send_mail()
    world.send_mail()
    assert [mail.to for mail in world.hooks.mails] == ([ADMIN] if is_mailed else ["ada@acme.example"])


# The link


def test_opening_a_link_changes_nothing(world: World) -> None:
    """Scanners and previews open links, with GET and with HEAD, as often as they like; the person's click counts."""
    link = mailed_link(world)
    before = rows(world, tables.recovery_tokens)
    scanner = world.browser()
    for method in ("GET", "HEAD", "GET"):
        assert scanner.send(method, link, headers={"User-Agent": "scanner"}).status == 200
    assert rows(world, tables.recovery_tokens) == before
    assert not any("recovery" in name for name in scanner.cookies)
    assert use(link, world.browser()).status == 303


def test_the_pages_of_a_link_tell_its_address_to_nobody(world: World) -> None:
    """No Referer, no cache, no frame, nothing loaded; refused ones, too."""
    link = mailed_link(world)
    for url in (link, link + "x", PAGE):
        headers = world.browser().get(url).headers
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_wrong_used_expired_and_killed_links_are_refused_alike(world: World) -> None:
    """One refusal for all of them: its page tells them apart no more than its code."""
    world.wait(hours=1)
    used, killed = mailed_link(world), None
    use(used, world.browser())
    world.wait(hours=1)
    expired = mailed_link(world)
    world.wait(hours=1)
    killed = mailed_link(world)
    world.wait(minutes=1)
    newest = mailed_link(world)
    wrong = newest[:-1] + ("A" if newest[-1] != "A" else "B")

    pages = []
    for link in (used, expired, killed, wrong, f"{PAGE}?token=", f"{PAGE}?token=a&token=b"):
        browser = world.browser()
        opened = browser.get(link)
        page = browser.get(PAGE)
        token = token_of(link)
        pressed = browser.post(PAGE, {"csrf_token": page.field("csrf_token"), "step": "use", "token": token})
        pages += [opened, pressed]

    assert {page.status for page in pages} == {403}
    assert set(world.codes[-12:]) == {"recovery_link_unknown"}
    references = {event.reference for event in world.events}
    plain = {page.text.replace(ref, "") for page in pages for ref in references if ref and ref in page.text}
    assert len(plain) == 1
    assert use(newest, world.browser()).status == 303


def test_a_used_link_opens_a_recovery_session_of_half_an_hour(world: World) -> None:
    """With a cookie that is host-only, Secure, HttpOnly and Lax; the address bar holds no token any more."""
    browser = world.browser()
    answer = use(mailed_link(world), browser)

    assert answer.location == f"https://app.example{PAGE}"
    (line,) = [line for line in answer.set_cookies if "recovery" in line]
    assert line.startswith("__Host-sso-recovery=")
    for word in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=1800"):
        assert word in line
    page = browser.get(answer.location)
    assert page.status == 200
    assert "Single sign-on of Acme" in page.text
    assert "globex" not in page.text
    (token,) = rows(world, tables.recovery_tokens)
    assert browser.cookies["__Host-sso-recovery"] not in repr(token)

    world.wait(minutes=29, seconds=59)
    assert "Single sign-on of Acme" in browser.get(PAGE).text
    world.wait(seconds=1)
    assert "Mail me a link" in browser.get(PAGE).text


def test_of_many_who_press_the_button_at_once_one_gets_in(world: World) -> None:
    """A double click, or two browsers: the other one is refused."""
    link = mailed_link(world)
    browsers = [world.browser() for _ in range(4)]
    pages = [browser.get(link) for browser in browsers]
    posts = [{"csrf_token": page.field("csrf_token"), "step": "use", "token": page.field("token")} for page in pages]
    if world.kind == "wsgi":
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda browser, post: browser.post(PAGE, post), browsers, posts))
    else:
        answers = [browser.post(PAGE, post) for browser, post in zip(browsers, posts, strict=True)]
    assert sorted(answer.status for answer in answers) == [303, 403, 403, 403]
    assert sum("__Host-sso-recovery" in browser.cookies for browser in browsers) == 1
    assert world.codes.count("recovery_link_used") == 1


def test_a_link_belongs_to_the_browser_that_opened_it(world: World) -> None:
    """Nobody is put into somebody else's recovery session by a form of another site's."""
    mallory, victim = world.browser(), world.browser()
    page = mallory.get(mailed_link(world, "it@globex.example"))
    fields = {"csrf_token": page.field("csrf_token"), "step": "use", "token": page.field("token")}
    assert victim.post(PAGE, fields).status == 403
    assert victim.post(PAGE, fields, cross_site=True).status == 403
    assert "__Host-sso-recovery" not in victim.cookies
    assert mallory.post(PAGE, fields).status == 303


def test_who_is_no_admin_any_more_gets_nowhere(world: World) -> None:
    """Neither by a link from before, nor in a session that is open."""
    name_admin(world, "temp@acme.example")
    browser = recovered(world, "temp@acme.example")
    world.wait(minutes=1)
    link = mailed_link(world, "temp@acme.example")
    late = world.browser()
    button = late.get(link)
    page = browser.get(PAGE)
    world.store.delete_admin("Acme", "temp@acme.example")

    fields = {"csrf_token": button.field("csrf_token"), "step": "use", "token": button.field("token")}
    assert late.post(PAGE, fields).status == 403
    assert "Mail me a link" in late.get(PAGE).text

    assert world.browser().get(link).status == 403
    fields = {"csrf_token": page.field("csrf_token"), "step": "disable", "connection": "acme", "version": "0"}
    assert browser.post(PAGE, fields).status == 403
    assert "Mail me a link" in browser.get(PAGE).text
    assert kept(world, "acme") is None


def test_the_token_is_in_no_log_line_and_no_event(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Nor the admin's address, nor the session's token; the events know the address."""
    caplog.set_level(logging.DEBUG)
    link = mailed_link(world)
    browser = world.browser()
    use(link, browser)
    world.browser().get(link)
    change(browser, "excluded_users", "acme-two", text="second@acme-two.example")
    secrets = [token_of(link), browser.cookies["__Host-sso-recovery"], "it@acme", "second@"]
    lines = "".join(record.getMessage() for record in caplog.records)
    for secret in secrets:
        assert secret not in lines
        assert secret not in repr(world.events)
    assert token_of(link) not in "".join(str(dict(event.detail)) for event in world.events)
    assert world.codes.count("recovery_link_unknown") == 1


# The host's own way


def test_the_host_may_sign_the_admin_in_its_own_way(world: World) -> None:
    """It is told who came and for which connections; its headers go along, and no session of ours is opened."""
    seen: list[Any] = []

    def sign_in(access: Any) -> SignedInByHost:
        seen.append(access)
        return SignedInByHost(headers=(("Set-Cookie", "host=admin; Path=/; SameSite=Lax"),), return_to="/admin")

    world.hooks.recovery = sign_in
    browser = world.browser()
    answer = use(mailed_link(world), browser)

    assert (answer.status, answer.location) == (303, "https://app.example/admin")
    assert browser.cookies["host"] == "admin"
    assert "__Host-sso-recovery" not in browser.cookies
    (access,) = seen
    assert (access.organization, access.email, access.connection_ids) == ("Acme", ADMIN, ("acme", "acme-two"))
    (token,) = rows(world, tables.recovery_tokens)
    assert token.session_ends_at <= world.now


def test_the_hosts_return_address_stays_here(world: World) -> None:
    """Whatever it says."""
    world.hooks.recovery = lambda access: SignedInByHost(return_to="//evil.example")
    assert use(mailed_link(world), world.browser()).location == "https://app.example/"


@pytest.mark.parametrize("answer", [lambda access: 1 / 0, lambda access: "yes"])
def test_a_hook_that_fails_lets_nobody_in_and_the_link_is_used_up(world: World, answer: Any) -> None:
    """Whether it signed somebody in before it failed can't be known."""
    world.hooks.recovery = answer
    link, browser = mailed_link(world), world.browser()
    assert use(link, browser).status == 503
    assert "__Host-sso-recovery" not in browser.cookies
    assert browser.get(link).status == 403


# What the session may change


def test_a_connection_of_the_database_is_switched_off_and_on(world: World) -> None:
    """Each change counts the version up, and is told with who, before and after."""
    browser = recovered(world)
    assert change(browser, "disable", "acme-two").location.endswith("?done=state")
    assert "Done." in browser.get(f"{PAGE}?done=state").text
    off = kept(world)
    assert off is not None
    assert (off.state, off.version, off.settings) == ("disabled", 2, off.settings)
    assert change(browser, "activate", "acme-two", 2).status == 303
    on = kept(world)
    assert on is not None
    assert (on.state, on.version) == ("active", 3)
    told = [event for event in world.events if event.code == "recovery_change"]
    assert [(event.email, event.connection_id) for event in told] == [(ADMIN, "acme-two")] * 2
    assert told[0].detail == {
        "organization": "Acme",
        "actor": "recovery access",
        "what": "state",
        "before": "active",
        "after": "disabled",
    }


def test_of_a_declared_connection_only_the_state_changes(world: World) -> None:
    """It is kept apart from the settings, and goes back to what they say."""
    browser = recovered(world)
    assert "only its operator can change" in browser.get(PAGE).text
    assert change(browser, "disable", "acme", 0).status == 303
    off = kept(world, "acme")
    assert off is not None
    assert (off.state, off.settings, off.organization) == ("disabled", None, "Acme")
    assert change(browser, "metadata", "acme", 1, text=GLOBEX.metadata).status == 409
    assert change(browser, "excluded_users", "acme", 1, text="a@acme.example").status == 409
    assert world.codes[-1] == "connection_declared"
    assert change(browser, "activate", "acme", 1).status == 303
    on = kept(world, "acme")
    assert on is not None
    assert (on.state, on.version) == (None, 2)


@pytest.mark.parametrize("state", ["draft", "testing"])
def test_what_is_not_active_yet_does_not_become_so(world: World, state: ConnectionState) -> None:
    """Off and on again would skip its test."""
    before = kept(world)
    assert before is not None
    world.store.put_connection(replace(before, state=state, version=2), replaces=1)
    browser = recovered(world)
    for step in ("disable", "activate"):
        assert change(browser, step, "acme-two", 2).status == 409
    unchanged = kept(world)
    assert unchanged is not None
    assert unchanged.state == state


def test_a_connection_that_the_settings_switch_off_stays_off(make_world: MakeWorld) -> None:
    """That was the operator's doing."""
    world = recoverable(make_world)
    connection = {**world.connection(admins=[ADMIN]), "enabled": False}
    world = make_world(connections=[connection])
    browser = recovered(world)
    assert change(browser, "activate", "acme", 0).status == 409
    assert kept(world, "acme") is None


def test_metadata_is_replaced(world: World) -> None:
    """By XML or a URL; what named the identity provider before is gone, the rest stays."""
    browser = recovered(world)
    assert change(browser, "metadata", "acme-two", text=GLOBEX.metadata).status == 303
    replaced = kept(world)
    assert replaced is not None
    assert replaced.settings is not None
    assert replaced.settings["metadata"] == GLOBEX.metadata.strip()
    assert replaced.settings["excluded_users"] == ["first@acme-two.example"]
    (told,) = details(world, "recovery_change")
    assert told["before"].startswith("https://idp.initech.example/metadata, sha256 ")
    assert told["after"].startswith("https://idp.globex.example/metadata, sha256 ")

    url = "https://idp.acme.example/other"
    assert change(browser, "metadata", "acme-two", 2, text=f" {url}\n").status == 303
    replaced = kept(world)
    assert replaced is not None
    assert replaced.settings is not None
    assert replaced.settings["metadata_url"] == url
    assert "metadata" not in replaced.settings


@pytest.mark.parametrize(
    "text",
    ["/etc/passwd", "idp.xml", "<html/>", "", "http://idp.acme.example/m", "file:///etc/passwd"],
)
def test_metadata_that_is_none_is_told_and_changes_nothing(world: World, text: str) -> None:
    """Nor does it name a file of the app's machine, or lead into its network."""
    browser = recovered(world)
    before = kept(world)
    page = change(browser, "metadata", "acme-two", text=text)
    assert page.status == 400
    assert 'role="alert"' in page.text
    assert "root:" not in page.text
    assert kept(world) == before
    assert "recovery_change" not in world.codes


def test_excluded_users_are_edited(world: World) -> None:
    """Each who was added or removed is told in an event of their own, by the field that no log shows."""
    browser = recovered(world)
    assert "first@acme-two.example" in browser.get(PAGE).text
    text = "Second@acme-two.example, third@acme-two.example\r\n"
    assert change(browser, "excluded_users", "acme-two", text=text).status == 303
    changed = kept(world)
    assert changed is not None
    assert changed.settings is not None
    assert changed.settings["excluded_users"] == ["Second@acme-two.example", "third@acme-two.example"]
    told = [(event.email, event.detail["what"]) for event in world.events if event.code == "recovery_change"]
    assert told == [
        (ADMIN, "excluded_users"),
        ("second@acme-two.example", "excluded user added"),
        ("third@acme-two.example", "excluded user added"),
        ("first@acme-two.example", "excluded user removed"),
    ]
    assert change(browser, "excluded_users", "acme-two", 2, text="nobody").status == 400
    assert change(browser, "excluded_users", "acme-two", 2, text="").status == 303


def test_a_change_to_what_somebody_else_has_changed_is_refused(world: World) -> None:
    """Also one that comes between the look and the change."""
    browser = recovered(world)
    assert change(browser, "disable", "acme-two").status == 303
    assert change(browser, "metadata", "acme-two", 1, text=GLOBEX.metadata).status == 409
    assert change(browser, "disable", "acme-two", 2).status == 409  # it is off already
    world.store.put_connection = lambda connection, *, replaces: False  # type: ignore[method-assign]
    assert change(browser, "activate", "acme-two", 2).status == 409
    assert world.codes[-1] == "connection_changed"
    assert world.codes.count("recovery_change") == 1


@pytest.mark.parametrize("step", ["disable", "activate", "metadata", "excluded_users"])
@pytest.mark.parametrize("id", ["globex", "globex-two", "unknown", ""])
def test_another_organizations_connection_is_out_of_reach(world: World, step: str, id: str) -> None:
    """WEB-019: whether there is one with this id or not, the refusal is the same, and nothing changes."""
    browser = recovered(world)
    before = world.store.get_configuration()
    answer = change(browser, step, id, 1, text=GLOBEX.metadata)
    assert answer.status == 403
    assert world.codes[-1] == "connection_of_another"
    assert world.store.get_configuration() == before


def test_the_forms_of_the_session_are_its_own(world: World) -> None:
    """A browser's token, another session's, another site's: none of them changes anything."""
    browser, other = recovered(world), recovered(world, "it@globex.example")
    fields = {"step": "disable", "connection": "acme-two", "version": "1"}
    own = browser.get(PAGE).field("csrf_token")
    of_browser = browser.get("/sso/login").field("csrf_token")
    for token in (of_browser, other.get(PAGE).field("csrf_token"), ""):
        assert browser.post(PAGE, {**fields, "csrf_token": token}).status == 403
    assert browser.post(PAGE, {**fields, "csrf_token": own}, cross_site=True).status == 403
    assert browser.post(PAGE, {**fields, "csrf_token": own}, Sec_Fetch_Site="same-site").status == 403
    assert browser.post(PAGE, {"csrf_token": own, "step": "ask", "email": ADMIN}).status == 403
    unchanged = kept(world)
    assert unchanged is not None
    assert unchanged.version == 1
    assert browser.post(PAGE, {**fields, "csrf_token": own}).status == 303


def test_after_its_end_the_session_changes_nothing(world: World) -> None:
    """By the clock, or by its button."""
    browser = recovered(world)
    token = browser.get(PAGE).field("csrf_token")
    cookie = browser.cookies["__Host-sso-recovery"]
    fields = {"csrf_token": token, "step": "disable", "connection": "acme-two", "version": "1"}
    assert browser.post(PAGE, {"csrf_token": token, "step": "end"}).status == 303
    assert "__Host-sso-recovery" not in browser.cookies
    browser.cookies["__Host-sso-recovery"] = cookie
    assert browser.post(PAGE, fields).status == 403
    assert world.codes[-1] == "recovery_session_over"

    world.wait(hours=1)
    late = recovered(world)
    token = late.get(PAGE).field("csrf_token")
    world.wait(minutes=30)
    assert late.post(PAGE, {**fields, "csrf_token": token}).status == 403
    unchanged = kept(world)
    assert unchanged is not None
    assert unchanged.version == 1


@pytest.mark.parametrize("step", ["", "promote", "ask2"])
def test_a_step_that_there_is_not_is_refused(world: World, step: str) -> None:
    """400, and nothing else."""
    browser = recovered(world)
    assert change(browser, step, "acme-two").status == 400
    assert change(browser, "disable", "acme-two", -1).status == 400


def test_the_recovery_session_opens_nothing_else(world: World) -> None:
    """No page of the host's and no other of ours takes its cookie, under whichever name."""
    browser = recovered(world)
    value = browser.cookies["__Host-sso-recovery"]
    for name in ("__Host-sso-session", "__Host-sso-recovery"):
        other = world.browser()
        other.cookies = {"__Host-sso-recovery": value, name: value}
        assert other.get("/report").status == 303
        assert other.fetch("/api").status == 401
        assert '"signed_in":false' in other.fetch("/sso/session").text
        assert other.get("/sso/logout").location.endswith("/signed-out")
    assert world.app.seen == []


def test_an_sso_session_is_no_recovery_session(world: World) -> None:
    """Nor does signing in by SSO as an admin give recovery access."""
    world.sign_in(ADMIN, page="/sso/login?connection=acme")
    browser = world.first_browser
    session = browser.cookies["__Host-sso-session"]
    browser.cookies["__Host-sso-recovery"] = session
    assert "Mail me a link" in browser.get(PAGE).text


# Sending


def test_mail_that_fails_is_tried_again_later_and_each_time_with_a_new_link(world: World) -> None:
    """1, 2, 4 … minutes later; the admin gets the one that is good."""
    tried: list[Mail] = []

    def fails(mail: Mail) -> bool:
        tried.append(mail)
        return len(tried) == 3

    world.hooks.sends = fails
    ask(world, ADMIN)
    world.send_mail()
    world.wait(seconds=59)
    world.send_mail()
    assert len(tried) == 1
    for seconds in (1, 120):
        world.wait(seconds=seconds)
        world.send_mail()
    assert len(tried) == 3
    assert world.codes.count("mail_failed") == 2
    assert world.codes.count("recovery_link_sent") == 1
    assert rows(world, tables.outbox) == []
    for mail in tried[:2]:
        assert world.browser().get(link_in(mail)).status == 403
    assert use(link_in(tried[2]), world.browser()).status == 303


def test_a_request_that_can_not_be_answered_within_the_hour_is_given_up(world: World) -> None:
    """A link that comes out of the blue helps nobody."""
    world.hooks.sends = lambda mail: 1 / 0  # type: ignore[return-value, assignment]
    ask(world, ADMIN)
    for _ in range(70):
        world.send_mail()
        world.wait(minutes=1)
    assert rows(world, tables.outbox) == []
    assert details(world, "mail_failed")[-1]["tried again"] == "never"


def test_a_row_that_can_not_be_opened_is_in_nobodys_way(world: World) -> None:
    """Sealed under a key that is gone, say: it goes, and what is behind it is sent."""
    world.store.add_to_outbox("recovery", b"garbage" * 20, world.now, world.now + timedelta(hours=1), most=10)
    sealed = world.sso.site.sealer.seal(b'{"no": "address"}', "outbox")
    world.store.add_to_outbox("recovery", sealed, world.now, world.now + timedelta(hours=1), most=10)
    assert mailed_link(world)
    assert world.codes.count("mail_failed") == 2


def test_a_process_without_a_way_to_mail_leaves_it_to_one_that_has(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as housekeeping by cron, where the app's own hook sends."""
    ask(world, ADMIN)
    with monkeypatch.context() as patched:
        patched.setattr("sso_middleware.flows.outbox.has_send_mail", lambda hooks: False)
        world.send_mail()
    assert len(rows(world, tables.outbox)) == 1
    world.send_mail()
    assert len(world.hooks.mails) == 1


def test_a_browser_that_came_under_another_name_is_brought_home(world: World) -> None:
    """Where our cookies are; a link names the right address by itself."""
    headers = Headers({**NAVIGATION, "Host": "other.example"})
    answer = world.request("GET", f"https://other.example{PAGE}", headers)
    assert answer.status == 303
    assert answer.location.startswith(f"https://app.example{PAGE}?")
