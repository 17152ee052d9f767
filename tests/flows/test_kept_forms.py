"""A form that meets an ended session is not lost, and is nobody's but the person's who sent it."""

from __future__ import annotations

import html
import logging
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote, urlencode, urlsplit

import pytest
from tests.conftest import MakeWorld
from tests.flows.kept import (
    PAGE,
    Notes,
    multipart,
    offered,
    post_form,
    press_discard,
    press_send,
    send_url,
    sign_in_again,
)
from tests.world import NAVIGATION, Answer, World

from sso_middleware import Hooks
from sso_middleware.stores.session_records import SessionQuery
from sso_middleware.tokens import hash_token
from sso_middleware.web import Request

BODY = urlencode([("title", "Milk & more"), ("tag", "größer"), ("tag", "日本"), ("empty", "")]).encode()
FILE = bytes(range(256)) * 4 + b"\r\n\r\n--no delimiter\r\n"


@pytest.fixture
def timed(make_world: MakeWorld) -> World:
    """Idle for 10 minutes: renewed. Idle for 30: signed out."""
    return timed_world(make_world)


@pytest.fixture
def hard(make_world: MakeWorld) -> World:
    """Idle for 30 minutes: signed out."""
    return make_world(hard_timeout="30m")


def timed_world(make_world: MakeWorld, **settings: object) -> World:
    return make_world(soft_timeout="10m", hard_timeout="30m", **settings)


def is_gone(answer: Answer) -> bool:
    return "no longer kept" in answer.text


# Kept, offered, sent


@pytest.mark.parametrize(
    ("content_type", "body", "names"),
    [
        ("application/x-www-form-urlencoded", BODY, ["title", "tag", "empty"]),
        ("application/x-www-form-urlencoded;charset=UTF-8", BODY, ["title", "tag", "empty"]),
        ("application/x-www-form-urlencoded", b"", []),
        (
            *multipart(("title", None, b"Milk"), ("tag", None, "größer".encode()), ("scan", "résumé.pdf", FILE)),
            ["scan"],
        ),
        (*multipart(("scan", "a.bin", FILE), ("scan", "b%22.bin", b""), ("other", "", b"")), ["a.bin", "b&#34;.bin"]),
    ],
)
def test_a_form_survives_a_hard_timeout(hard: World, content_type: str, body: bytes, names: list[str]) -> None:
    """The page says what is kept, by names; the button sends the very same bytes to the very same address, once."""
    app = Notes(hard)
    hard.sign_in()
    offer = offered(hard, body, "/notes/gr%C3%B6%C3%9Fer?list=7&q=a%2Fb+c", content_type=content_type)

    assert offer.status == 200
    assert all(name in offer.text for name in ["/notes/größer<", *names])
    assert "Milk" not in offer.text
    assert "list=7&amp;q" in send_url_raw(offer)
    assert app.posts == []  # never unasked
    answer = press_send(hard.first_browser, offer)

    assert answer.text == "noted"
    (got,) = app.posts
    assert (got.body, got.headers["Content-Type"]) == (body, content_type)
    assert (got.path.encode("latin-1").decode() if hard.kind == "wsgi" else got.path, got.query) == (
        "/notes/größer",
        "list=7&q=a%2Fb+c",
    )
    assert got.headers["Referer"] == f"{hard.base_url}/notes/new"
    assert [code for code in hard.codes if code.startswith("form")] == ["form_kept", "form_sent_again"]


def send_url_raw(offer: Answer) -> str:
    return html.escape(send_url(offer))


@pytest.mark.parametrize(
    "content_type_and_body", [("application/x-www-form-urlencoded", BODY), multipart(("f", "x", FILE))]
)
def test_a_form_survives_a_soft_timeout(timed: World, content_type_and_body: tuple[str, bytes]) -> None:
    """Without a page that the person sees on the way: out to the identity provider, and back to the offer."""
    content_type, body = content_type_and_body
    app = Notes(timed)
    timed.sign_in()
    timed.wait(minutes=12)

    leaving = post_form(timed.first_browser, body, content_type=content_type)
    assert leaving.status == 200
    arrived = timed.post_response(
        timed.idp.log_in(html.unescape(leaving.refresh_url), "ada@acme.example", now=timed.now)
    )
    offer = timed.first_browser.get(arrived.location)
    press_send(timed.first_browser, offer)

    assert [got.body for got in app.posts] == [body]
    assert app.posts[0].query == "list=7"
    assert timed.codes[-3:] == ["form_kept", "session_renewed", "form_sent_again"]


def test_a_soft_timeout_that_the_identity_provider_says_no_to(timed: World) -> None:
    """Signed out, asked to sign in, and offered the form all the same."""
    app = Notes(timed)
    timed.sign_in()
    timed.wait(minutes=12)
    leaving = post_form(timed.first_browser, BODY)
    no_passive = timed.idp.refuse(html.unescape(leaving.refresh_url), now=timed.now)
    login = timed.post_response(no_passive)

    away = timed.first_browser.get(login.location)
    back = timed.post_response(timed.idp.log_in(away.location, "ada@acme.example", now=timed.now))
    offer = timed.first_browser.get(back.location)
    press_send(timed.first_browser, offer)

    assert [got.body for got in app.posts] == [BODY]


def test_two_clicks_send_it_once(hard: World) -> None:
    """The second one is told so, and nothing reaches the app."""
    app = Notes(hard)
    hard.sign_in()
    offer = offered(hard)
    assert press_send(hard.first_browser, offer).status == 200
    again = press_send(hard.first_browser, offer)

    assert (again.status, is_gone(again)) == (409, True)
    assert len(app.posts) == 1
    assert is_gone(hard.first_browser.get(offer.url))


def test_two_clicks_at_once_send_it_once(hard: World) -> None:
    """Both have found it, and only one takes it: here the other is quicker, while the app is asked for its field."""
    app = Notes(hard)
    hard.sign_in()
    offer = offered(hard)
    (session,) = (s for s in hard.store.find_sessions(SessionQuery()) if s.timed_out_at is None)

    def other_click(request: Request, fields: Mapping[str, str]) -> None:
        id = hash_token(offer.field("id"))
        assert hard.store.take_kept_form(id, session.connection_id, session.principal_key, hard.now)

    hard.hooks.refresh = other_click
    assert press_send(hard.first_browser, offer).status == 409
    assert app.posts == []


def test_the_apps_own_pages_go_on_from_there(hard: World) -> None:
    """What the app shows in answer has our parameter in its address: its form, its reload lose nothing to that."""
    app = Notes(hard)
    hard.sign_in()
    offer = offered(hard)
    press_send(hard.first_browser, offer)
    post_form(hard.first_browser, b"title=Bread", send_url(offer))
    for address in (send_url(offer), "/notes?list=8", send_url(offer), "/notes"):  # some of them pass from memory
        hard.first_browser.get(address)

    assert [(got.method, got.body, got.query) for got in app.got] == [
        ("POST", b"title=Milk", "list=7"),
        ("POST", b"title=Bread", "list=7"),
        ("GET", b"", "list=7"),
        ("GET", b"", "list=8"),
        ("GET", b"", "list=7"),
        ("GET", b"", ""),
    ]


def test_a_form_from_such_a_page_is_kept_without_our_parameter(hard: World) -> None:
    """The next timeout finds the address as it was."""
    app = Notes(hard)
    hard.sign_in()
    first = send_url(offered(hard))
    offer = offered(hard, b"title=Bread", first)
    press_send(hard.first_browser, offer)

    assert [(got.body, got.query) for got in app.posts] == [(b"title=Bread", "list=7")]
    assert send_url(offer).count("sso-kept-form") == 1


def test_it_is_discarded_at_a_click(hard: World) -> None:
    """And can't be sent any more."""
    app = Notes(hard)
    hard.sign_in()
    offer = offered(hard)
    assert "discarded" in press_discard(hard.first_browser, offer).text

    assert press_send(hard.first_browser, offer).status == 409
    assert app.posts == []


def test_the_button_pressed_too_late(hard: World) -> None:
    """The session has ended again meanwhile: after the next sign-in the same form is offered, not one more."""
    app = Notes(hard)
    hard.sign_in()
    offer = offered(hard)
    hard.store.end_sessions(SessionQuery(), hard.now)
    sign_in_quietly(hard)
    hard.wait(minutes=29)
    end_by_idleness(hard)
    late = press_send(hard.first_browser, offer)
    assert late.status == 401
    again = sign_in_again(hard, late)

    press_send(hard.first_browser, again)
    assert [got.body for got in app.posts] == [b"title=Milk"]
    assert hard.codes.count("form_kept") == 1


def sign_in_quietly(world: World) -> None:
    world.first_browser.cookies.clear()
    world.sign_in()


def end_by_idleness(world: World) -> None:
    """As if nobody had been there for as long as it takes."""
    for session in world.store.find_sessions(SessionQuery()):
        assert world.store.time_out_session(session.id, world.now, world.now)
        world.sso.site.sessions.forget_now(session.id)


def test_somebody_signed_in_anew_between_the_page_and_the_click(hard: World) -> None:
    """Nothing is sent; the page is shown again, to the person who is there now."""
    app = Notes(hard)
    hard.sign_in()
    offer = offered(hard)
    hard.wait(minutes=1)
    sign_in_quietly(hard)
    answer = press_send(hard.first_browser, offer)

    assert answer.status == 303
    assert urlsplit(answer.location).path == "/sso/form"
    assert app.posts == []
    press_send(hard.first_browser, hard.first_browser.get(answer.location))
    assert len(app.posts) == 1


def test_the_offer_asks_for_a_sign_in_where_there_is_none(timed: World) -> None:
    """Its address alone shows nothing; after the sign-in, or a renewal, it does."""
    timed.sign_in()
    offer = offered(timed)
    stranger = timed.browser()
    assert "/sso/login" in stranger.get(offer.url).location
    timed.wait(minutes=12)
    assert "/sso/renew" in timed.first_browser.get(offer.url).location


def test_the_page_is_in_no_frame_and_no_cache(hard: World) -> None:
    """And its policy lets the app's answer lead elsewhere, since browsers hold redirects against it, too."""
    hard.sign_in()
    offer = offered(hard)
    policy = offer.headers["Content-Security-Policy"]

    assert (offer.headers["Cache-Control"], offer.headers["X-Frame-Options"]) == ("no-store", "DENY")
    assert "frame-ancestors 'none'" in policy
    assert "form-action" not in policy
    assert hard.first_browser.get(offer.url, Sec_Fetch_Dest="iframe").status == 403


# The app's own field is renewed


def with_refresh(world: World, renewed: Mapping[str, str] | None) -> list[tuple[str, Mapping[str, str]]]:
    asked: list[tuple[str, Mapping[str, str]]] = []

    def refresh(request: Request, fields: Mapping[str, str]) -> Mapping[str, str] | None:
        asked.append((request.query, dict(fields)))
        return renewed

    world.hooks.refresh = refresh
    return asked


@pytest.mark.parametrize("encoding", ["urlencoded", "multipart"])
def test_the_hook_renews_fields_and_nothing_else(hard: World, encoding: str) -> None:
    """Each other byte is what the browser sent, also where two spellings would mean the same."""
    app = Notes(hard)
    asked = with_refresh(hard, {"csrf": "new&=ü", "absent": "never added"})

    def form(csrf: bytes) -> tuple[str, bytes]:
        if encoding == "urlencoded":
            return "application/x-www-form-urlencoded", b"a=%7e+~&csrf=" + csrf + b"&&b&csrf=" + csrf + b"&c=%c3%bc"
        parts = (
            ("a%22b", None, b"x\r\ny"),
            ("csrf", None, csrf),
            ("f", "%22; filename=%22z", FILE),
            ("csrf", "csrf", b"old"),
        )
        return multipart(*parts)

    hard.sign_in()
    content_type, body = form(b"old")
    press_send(hard.first_browser, offered(hard, body, content_type=content_type))

    ((query, fields),) = asked
    assert (query, fields["csrf"]) == ("list=7", "old")
    new = quote("new&=ü", safe="").encode() if encoding == "urlencoded" else "new&=ü".encode()
    assert [got.body for got in app.posts] == [form(new)[1]]


def test_without_the_hook_the_page_says_what_may_happen(hard: World) -> None:
    """That the app may ask for the form once more; with it there is no such talk."""
    hard.sign_in()
    offer = offered(hard)
    assert "once more" not in offer.text
    hard.sso.site = replace(hard.sso.site, hooks=Hooks())
    assert "once more" in hard.first_browser.get(offer.url).text


def test_a_hook_that_fails_costs_nobody_their_form(hard: World) -> None:
    """503; and when the app is well again, the same button sends it."""
    app = Notes(hard)
    hard.sign_in()
    offer = offered(hard)

    def fail(request: Request, fields: Mapping[str, str]) -> None:
        raise RuntimeError("secret title=Milk")

    hard.hooks.refresh = fail
    assert press_send(hard.first_browser, offer).status == 503
    with_refresh(hard, None)
    assert press_send(hard.first_browser, offer).status == 200
    assert len(app.posts) == 1


# Nobody else's


def test_another_person_is_offered_nothing(hard: World) -> None:
    """Nor told whether there was anything; and the one whose form it is still is offered it."""
    app = Notes(hard)
    hard.sign_in()
    hard.wait(minutes=32)
    kept = post_form(hard.first_browser, BODY)
    other = sign_in_again(hard, kept, email="grace@acme.example")
    unknown = hard.first_browser.get(other.url[:-3] + "xyz")
    assert (other.status, other.body) == (404, unknown.body)

    hard.first_browser.cookies.clear()
    offer = sign_in_again(hard, kept)
    press_send(hard.first_browser, offer)
    assert [got.body for got in app.posts] == [BODY]


def test_another_persons_button_sends_nothing(hard: World) -> None:
    """A leave to send is one person's and one sign-in's, whoever comes by its address."""
    app = Notes(hard)
    hard.sign_in()
    offer = offered(hard)
    grace = hard.browser()
    hard.sign_in("grace@acme.example", grace)
    answer = press_send(grace, offer)

    assert answer.status == 303
    assert grace.get(answer.location).status == 404
    assert app.posts == []
    assert press_send(hard.first_browser, offer).status == 200


@pytest.mark.parametrize("forge", [lambda t: t[:-1], lambda t: t + "x", lambda t: "", lambda t: "v1.YQ.YQ"])
def test_a_forged_leave_sends_nothing(hard: World, forge: object) -> None:
    """Neither the kept form nor the empty one that came: a page says so. The honest one does."""
    app = Notes(hard)
    hard.sign_in()
    offer = offered(hard)
    url, _, leave = send_url(offer).partition("sso-kept-form=")
    forged = f"{url}sso-kept-form={forge(leave)}"  # type: ignore[operator]  # a lambda

    assert post_form(hard.first_browser, b"", forged).status == 409
    assert app.posts == []
    assert press_send(hard.first_browser, offer).status == 200


def test_a_leave_is_for_one_address(hard: World) -> None:
    """A form does not arrive elsewhere in the app."""
    app = Notes(hard)
    hard.sign_in()
    offer = offered(hard)
    elsewhere = send_url(offer).replace("/notes?list=7", "/delete-account?list=7")

    assert post_form(hard.first_browser, b"", elsewhere).status == 409
    assert app.posts == []


@pytest.mark.parametrize(
    ("origin", "site", "status"),
    [
        ("https://evil.example", "cross-site", 403),
        ("https://evil.example", "", 403),
        ("null", "cross-site", 403),
        ("null", "same-site", 403),
        ("", "", 403),
        ("null", "same-origin", 200),
        ("https://app.example", "", 200),
    ],
)
def test_only_our_own_page_sends(hard: World, origin: str, site: str, status: int) -> None:
    """A page elsewhere that somehow knows the whole address, and gets the cookie sent, still sends nothing."""
    app = Notes(hard)
    hard.sign_in()
    url = send_url(offered(hard))

    assert post_form(hard.first_browser, b"", url, Origin=origin, Sec_Fetch_Site=site).status == status
    assert len(app.posts) == (1 if status == 200 else 0)


def test_a_forged_discard(hard: World) -> None:
    """Another site, or a token of nobody's, discards nothing."""
    hard.sign_in()
    offer = offered(hard)
    fields = {"csrf_token": offer.field("csrf_token"), "id": offer.field("id")}
    browser = hard.first_browser

    assert browser.post("/sso/form", fields, Origin="https://evil.example").status == 403
    assert browser.post("/sso/form", {**fields, "csrf_token": "v1.YQ.YQ"}).status == 403
    assert browser.get(offer.url).status == 200
    assert hard.browser().post("/sso/form", fields).status == 303


# What is not kept


def not_kept(world: World, answer: Answer) -> bool:
    """The person is told that what they sent is lost, and nothing is in the store."""
    return answer.status == 401 and "was not saved" in answer.text and "form_kept" not in world.codes


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "https://app.example.evil.example"},
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/json"},
        {"Content_Type": "application/x-www-form-urlencoded; charset=latin-1"},
        {"Content_Type": "multipart/form-data"},
        {"Content_Encoding": "gzip"},
        {"Transfer_Encoding": "chunked"},
        {"Content_Length": "5"},
        {"Content_Length": "1" * 30},
    ],
)
def test_a_form_that_comes_otherwise_is_not_kept(timed: World, headers: dict[str, str]) -> None:
    """Another origin, or none told; another content type; encoded. Its honest twin is."""
    timed.sign_in()
    changed = {key: value for key, value in headers.items() if key != "Content_Type"}
    content_type = headers.get("Content_Type", "application/x-www-form-urlencoded")
    for minutes in (12, 32):
        timed.wait(minutes=minutes)
        body = b"" if "Content_Length" in headers else BODY  # the length is a lie then
        assert not_kept(timed, post_form(timed.first_browser, body, content_type=content_type, **changed))

    assert post_form(timed.first_browser, BODY).status == 401
    assert "form_kept" in timed.codes


@pytest.mark.parametrize(
    "name",
    [
        "password", "new_password1", "newPassword", "user[password]", "j_passwd", "pwd", "passphrase", "client_secret",
        "pin", "user-pin", "otp", "totp2", "cvv", "cvc2", "Kennwort", "card[number]", "contraseña", "userPIN",
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["urlencoded", "multipart"])
def test_a_form_with_a_password_is_not_kept(hard: World, name: str, encoding: str) -> None:
    """Nor one with a code or a card's number, wherever its field stands."""
    hard.sign_in()
    hard.wait(minutes=32)
    body, content_type = urlencode({"title": "Milk", name: "1234"}).encode(), "application/x-www-form-urlencoded"
    if encoding == "multipart":
        content_type, body = multipart(("title", None, b"Milk"), (name, None, b"1234"))

    assert not_kept(hard, post_form(hard.first_browser, body, content_type=content_type))


@pytest.mark.parametrize(
    "name", ["csrf_token", "csrfmiddlewaretoken", "opinion", "spinach", "compass", "shipping", "resenha"]
)
def test_a_form_without_one_is_kept(hard: World, name: str) -> None:
    """A name that only sounds like one is none; and the field that no person filled in is not shown."""
    hard.sign_in()
    offer = offered(hard, urlencode({name: "x"}).encode())
    assert (f"<dd>{name}</dd>" in offer.text) is not name.startswith("csrf")


def test_how_much_is_kept(hard: World) -> None:
    """A mebibyte is; a byte more is not."""
    app = Notes(hard)
    hard.sign_in()
    hard.wait(minutes=32)
    whole = b"text=" + b"x" * (1024 * 1024 - 5)
    assert not_kept(hard, post_form(hard.first_browser, whole + b"x"))
    offer = sign_in_again(hard, post_form(hard.first_browser, whole))
    press_send(hard.first_browser, offer)

    assert [len(got.body) for got in app.posts] == [1024 * 1024]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"title=%ff"),
        ("application/x-www-form-urlencoded", "title=ü".encode()),
        ("application/x-www-form-urlencoded", b"&".join([b"a=1"] * 2001)),
        ("multipart/form-data; boundary=x", b"title=1"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x'),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--x--'),
        ("multipart/form-data; boundary=x", b'--x\nContent-Disposition: form-data; name="a"\n\n1\n--x--'),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\n\n1\r\n\r\n2\r\n--x--'),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--"),
        ("multipart/form-data; boundary=x", b"--x\r\nA: b\r\n\r\n1\r\n--x--"),
        ("multipart/form-data; boundary=" + "x" * 71, multipart(("a", None, b"1"), boundary="x" * 71)[1]),
        (*multipart(*[("a", None, b"1")] * 2001),),
    ],
)
def test_a_form_that_can_not_be_read_is_not_kept(hard: World, content_type: str, body: bytes) -> None:
    """What two readers could read in two ways, or none at all."""
    hard.sign_in()
    hard.wait(minutes=32)

    assert not_kept(hard, post_form(hard.first_browser, body, content_type=content_type))


def test_scripts_and_other_methods_are_not_forms(hard: World) -> None:
    """They are told in JSON, as ever."""
    hard.sign_in()
    hard.wait(minutes=32)
    browser = hard.first_browser
    for method, headers in (("POST", {"Sec-Fetch-Mode": "cors"}), ("PUT", {})):
        sent = {**NAVIGATION, "Content-Type": "application/x-www-form-urlencoded", "Origin": hard.origin, **headers}
        assert browser.send(method, PAGE, headers=sent, body=BODY).status == 401
    assert "form_kept" not in hard.codes


@pytest.mark.parametrize("login", ["/login", "/login/", "https://app.example/login?local=1"])
@pytest.mark.parametrize("path", ["/LOGIN", "/Login/step-2", "/bank", "/Bank/transfer"])
def test_where_no_form_is_kept(make_world: MakeWorld, login: str, path: str) -> None:
    """The app's own login, in whatever case, and what `never_kept` lists; beside them it is."""
    world = timed_world(make_world, local_login_url=login, public=["/login"], never_kept=["/bank"])
    world.sign_in()
    world.wait(minutes=32)

    assert not_kept(world, post_form(world.first_browser, BODY, path))
    assert "is kept" in post_form(world.first_browser, BODY, "/banking").text


@pytest.mark.parametrize("page", ["/a//b", "/a/%2e%2e/b", f"/notes?q={'x' * 2048}"])
def test_an_address_that_is_not_plain(hard: World, page: str) -> None:
    """It could not be asked for again with certainty."""
    hard.sign_in()
    hard.wait(minutes=32)
    assert not_kept(hard, post_form(hard.first_browser, BODY, page))


@pytest.mark.parametrize(
    "how", ["signed out", "revoked", "revoked after it timed out", "disabled", "domain", "forged", "never"]
)
def test_whose_session_did_not_just_time_out(make_world: MakeWorld, how: str) -> None:
    """Nothing is kept for somebody who was put out, or never was in."""
    world = timed_world(make_world)
    world.sign_in()
    browser = world.first_browser
    cookies = dict(browser.cookies)
    if how == "signed out":
        page = browser.get("/sso/logout")
        browser.post("/sso/logout", {"csrf_token": page.field("csrf_token")})
        browser.cookies = cookies
    elif how.startswith("revoked"):
        if how.endswith("timed out"):
            world.wait(minutes=32)
            assert "is kept" in post_form(browser, BODY).text
            world.events.clear()
        world.store.end_sessions(SessionQuery(email="ada@acme.example"), world.now)
    elif how == "disabled":
        connection = {**world.connection(), "enabled": False}
        world = timed_world(make_world, connections=[connection])
    elif how == "domain":
        world = timed_world(make_world, connections=[world.connection(domains=["acme.test"])])
    elif how == "forged":
        browser.cookies = {name: value[:-2] + "xx" for name, value in cookies.items()}
    else:
        browser.cookies = {}
    browser.world = world
    world.wait(minutes=32)

    assert not_kept(world, post_form(browser, BODY))


def test_a_connection_disabled_after_the_timeout(make_world: MakeWorld) -> None:
    """The session's record says that it timed out; its connection says no."""
    world = timed_world(make_world)
    world.sign_in()
    world.wait(minutes=32)
    assert world.first_browser.get("/report").status == 303
    disabled = timed_world(make_world, connections=[world.connection(enabled=False)])
    disabled.now = world.now
    world.first_browser.world = disabled

    assert not_kept(disabled, post_form(world.first_browser, BODY))


def test_three_of_a_person_are_kept(hard: World) -> None:
    """The newest ones; another person's don't count."""
    app = Notes(hard)
    grace = hard.browser()
    hard.sign_in()
    hard.sign_in("grace@acme.example", grace)
    hard.wait(minutes=32)
    post_form(grace, b"n=grace")
    answers = []
    for number in range(4):
        answers.append(post_form(hard.first_browser, b"n=%d" % number))
        hard.wait(seconds=1)
    sign_in_again(hard, answers[-1])
    links = [html.unescape(a.text.split('class="button" href="')[1].split('"')[0]) for a in answers]
    pages = [hard.first_browser.get(hard.first_browser.get(link).location) for link in links]

    assert [page.status for page in pages] == [404, 200, 200, 200]
    for page in pages[1:]:
        press_send(hard.first_browser, page)
    assert [got.body for got in app.posts] == [b"n=1", b"n=2", b"n=3"]


def test_it_is_kept_for_half_an_hour(hard: World) -> None:
    """To the second; whoever comes later is told that it is gone."""
    app = Notes(hard)
    hard.sign_in()
    offer = offered(hard)
    hard.wait(minutes=29, seconds=59)
    assert hard.first_browser.get(offer.url).status == 200
    hard.wait(seconds=1)

    assert hard.first_browser.get(offer.url).status == 404
    assert press_send(hard.first_browser, offer).status == 409
    assert app.posts == []


def test_what_is_kept_can_not_be_read_in_the_store(hard: World, caplog: pytest.LogCaptureFixture) -> None:
    """Sealed; and neither names nor values are in events or in the log."""
    caplog.set_level(logging.DEBUG)
    hard.sign_in()
    offer = offered(hard, b"diary-name=diary-value")
    press_send(hard.first_browser, offer)
    offered(hard, b"diary-name=diary-value")

    with hard.store._database.reading() as connection:
        rows = repr(connection.exec_driver_sql("select * from sso_kept_form").all())
    for text in (rows, caplog.text, repr(hard.events)):
        assert "diary" not in text


def test_a_kept_form_opens_in_no_others_place(hard: World) -> None:
    """Whoever can write to the database, and no more, can't have one form sent where another was offered."""
    hard.sign_in()
    first = offered(hard)
    with hard.store._database.writing() as connection:
        connection.exec_driver_sql("create table copied as select form from sso_kept_form")
    second = offered(hard, b"title=Bread")
    assert [hard.first_browser.get(offer.url).status for offer in (first, second)] == [404, 200]  # the first is too old
    with hard.store._database.writing() as connection:
        connection.exec_driver_sql("update sso_kept_form set form = (select form from copied)")

    assert hard.first_browser.get(second.url).status == 404


def test_a_kept_form_under_a_secret_key_that_is_gone(make_world: MakeWorld) -> None:
    """It is no longer kept, and no error."""
    world = make_world(hard_timeout="30m")
    world.sign_in()
    world.wait(minutes=32)
    kept = post_form(world.first_browser, BODY)
    other = make_world(hard_timeout="30m", secret_keys=["another-2sK9vQx7TzR5nLw2YbHs7UdGc4PfEa1"])
    other.now = world.now
    browser = other.first_browser
    assert "is kept" in kept.text
    other.sign_in()
    page = html.unescape(kept.text.split('class="button" href="')[1].split('"')[0]).partition("return_to=")[2]

    assert browser.get(page.replace("%3F", "?").replace("%3D", "=")).status == 404


def test_where_the_app_lets_people_in_itself(make_world: MakeWorld) -> None:
    """In mode `domains` a form of nobody is the app's to answer; one that is due for renewal is kept."""
    world = timed_world(make_world, mode="domains")
    app = Notes(world)
    world.sign_in(page="/sso/login?return_to=/notes")
    world.wait(minutes=12)
    assert post_form(world.first_browser, BODY).status == 200
    assert (app.posts, world.codes[-1]) == ([], "form_kept")
    world.wait(minutes=32)

    assert post_form(world.first_browser, BODY).text == "noted"
    assert world.codes.count("form_kept") == 1


def test_whoever_holds_an_ended_session_can_not_fill_the_database(make_world: MakeWorld) -> None:
    """WEB-023: each kept form is an event, and a write of up to a mebibyte; one address is kept so many a minute."""
    world = make_world(hard_timeout="30m", sign_ins_per_minute=100)
    world.sign_in()
    world.wait(minutes=32)
    attacker = world.browser()
    attacker.cookies = {name: value for name, value in world.first_browser.cookies.items() if "session" in name}

    for _ in range(40):
        post_form(attacker, b"title=again")

    assert world.codes.count("form_kept") == 10
    assert world.codes.count("too_many_attempts") == 1
    answer = post_form(attacker, b"title=Milk")
    assert (answer.status, "Sign in" in answer.text) == (401, True)
    assert "kept" not in answer.text

    # Who shares the address, in a browser that has signed in here before, still finds their form kept.
    assert "kept" in post_form(world.first_browser, b"title=Milk").text
    world.wait(minutes=1)
    assert "kept" in post_form(attacker, b"title=Milk").text
