"""The host's own forms: who is sent to SSO from there, what is refused, and that all else arrives byte for byte."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.conftest import MakeWorld
from tests.flows.intercepting import EXCLUDED, FORMS, LOGIN, intercepting, is_sent_to_sso, send
from tests.flows.kept import URLENCODED, Notes, multipart
from tests.identity_provider import IdentityProvider, read_redirect
from tests.world import BASE_URL, SECRET, Browser, World
from werkzeug.datastructures import Headers

from sso_middleware import ConfigurationError, HostUser, Settings, WSGIMiddleware
from sso_middleware.errors import StoreUnavailable

JSON = "application/json"


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return intercepting(make_world)


# Who is sent to SSO


@pytest.mark.parametrize("path", ["/login", "/login/", "/LOGIN", "/join", "/forgot", "/login?next=/x"])
def test_a_person_of_an_exclusive_domain_is_sent_to_sso(world: World, path: str) -> None:
    """From each of the three forms, by a 200 page with a link, since a redirect could be blocked without a word."""
    app = Notes(world)
    answer = send(world.browser(), {"email": "ada@acme.example", "password": "hers"}, path)

    assert is_sent_to_sso(answer)
    assert answer.refresh_url.startswith(world.idp.sso_url)
    assert app.got == []


def test_the_way_leads_through_sso_to_where_the_person_was_going(world: World) -> None:
    """The host's own `next`, in the form or in the query, is kept through the sign-in."""
    browser = world.first_browser
    for path, fields in (("/login", {"next": "/report?month=11"}), ("/login?next=/report%3Fmonth%3D11", {})):
        answer = send(browser, {"email": "ada@acme.example", **fields}, path)
        request = read_redirect(answer.refresh_url)
        finished = world.post_response(world.idp.answer(request, "ada@acme.example", now=world.now))
        assert finished.location == f"{BASE_URL}/report?month=11"
        assert browser.get("/report?month=11").status == 200


@pytest.mark.parametrize(
    "next", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x", "", "/a b"]
)
def test_the_way_leads_nowhere_else(world: World, next: str) -> None:
    """Anything but a plain page of the app's own is the front page (RPL-015)."""
    answer = send(world.browser(), json.dumps({"email": "ada@acme.example", "next": next}), content_type=JSON)
    assert parse_qs(urlsplit(json.loads(answer.text)["login_url"]).query)["return_to"] == ["/"]


def test_every_address_of_the_domain_is_answered_alike(world: World) -> None:
    """WEB-021: whether there is an account, and whatever was typed as a password; but for what is new in each."""

    def shape(email: str, **fields: str) -> tuple[int, str, list[str]]:
        answer = send(world.browser(), {"email": email, **fields})
        text = answer.text.replace(answer.refresh_url.replace("&", "&amp;"), "URL")
        return answer.status, text, sorted(name for name, _ in answer.headers)

    first = shape("ada@acme.example", password="right")
    for email in ("nobody@acme.example", "admin@acme.example", "a@b\u00fccher.example"):
        assert shape(email, password="") == first


def test_a_login_by_json_is_told_where_to_go(world: World) -> None:
    """401 as a problem document, for a fetch and for a JSON body; to htmx as a header, too."""
    app = Notes(world)
    body = json.dumps({"email": "ada@acme.example", "password": "x", "next": "/report"})
    for script in (True, False):
        answer = send(world.browser(), body, content_type="application/json; charset=UTF-8", script=script)
        problem = json.loads(answer.text)
        assert (answer.status, answer.headers["Content-Type"]) == (401, "application/problem+json")
        assert (problem["code"], problem["status"]) == ("sso_required", 401)
        assert problem["login_url"] == f"{BASE_URL}/sso/login?return_to=/report&connection=acme&again=1"
        assert answer.headers["WWW-Authenticate"] == f'SSO login_url="{problem["login_url"]}"'
        assert world.browser().get(problem["login_url"]).location.startswith(world.idp.sso_url)
    boosted = send(world.browser(), {"email": "ada@acme.example"}, HX_Request="true")
    assert boosted.status == 401
    assert boosted.headers["HX-Redirect"].startswith(f"{BASE_URL}/sso/login?")
    assert app.got == []


def test_who_is_signed_in_makes_no_difference(make_world: MakeWorld) -> None:
    """An SSO session of the same person: the form is answered as ever, and the identity provider knows them."""
    world = intercepting(make_world, mode="everyone")
    world.sign_in()
    assert is_sent_to_sso(send(world.first_browser, {"email": "ada@acme.example"}))


def test_a_form_on_another_host_name_comes_home_first(world: World) -> None:
    """Where our cookies are not, no login can begin."""
    answer = send(world.browser(), {"email": "ada@acme.example"}, "https://www.app.example/login")
    assert answer.refresh_url == f"{BASE_URL}/sso/login?return_to=/&connection=acme&again=1"


READABLE = [
    "ADA@ACME.EXAMPLE",
    " ada@acme.example\t",
    "\u00a0ada@acme.example",
    "ada+tag@acme.example",
    "ada@b\u00fccher.example",
    "ada@B\u00dcCHER.example",
    "ada@xn--bcher-kva.example",
]


def test_ten_007_an_address_is_read_exactly(world: World) -> None:
    """However it is written, as long as it can be read in one way."""
    app = Notes(world)
    for email in READABLE:
        assert is_sent_to_sso(send(world.browser(), {"email": email})), email
        assert send(world.browser(), json.dumps({"email": email}), content_type=JSON).status == 401, email
    assert app.got == []


ADDRESS_LIKE = [
    "ada@acme.example.",
    '"ada"@acme.example',
    "ada@b@acme.example",
    "ada@acme.example\x00",
    "ada@acme.example,eve@evil.example",
    "Ada <ada@acme.example>",
    "ada@ acme.example",
    "ada (x)@acme.example",
    "ada\uff20acme.example",
    "ada\ufe6bacme.example",
    "ada@\u24d0cme.example",
    "ada@acme\u3002example",
    "ada@acme.example@",
    "\u0131t1@acme.example",
    "ada@[127.0.0.1]",
    "a" * 65 + "@acme.example",
    "ada@acme.example\r\nBcc: x@y.example",
    "ada\u200b@acme.example",
]


def test_ten_007_what_only_looks_like_an_address_is_refused(world: World) -> None:
    """A host might read it as one of an exclusive domain, so it never gets it."""
    app = Notes(world)
    for email in ADDRESS_LIKE:
        answer = send(world.browser(), {"email": email})
        assert (answer.status, "intercepted_address_unreadable" in answer.text) == (400, True), email
        assert send(world.browser(), json.dumps({"email": email}), content_type=JSON).status == 400, email
    assert app.got == []


# Who is not


PASSES = [
    {"email": "zoe@freelance.example", "password": "hers"},
    {"email": "zoe@sub.acme.example"},
    {"email": "zoe@acme.example.evil"},
    {"email": "ada@offered.example"},
    {"email": EXCLUDED[0]},
    {"email": EXCLUDED[1].upper()},
    {"email": "admin"},
    {"email": ""},
    {"password": "only"},
    {"other": "ada@acme.example"},
]


def test_everybody_else_reaches_the_hosts_form(world: World) -> None:
    """People of other domains and of offered ones, the excluded, a user name, a form without the field."""
    app = Notes(world)
    sent: list[tuple[str, bytes]] = []
    for fields in PASSES:
        sent.append((URLENCODED, urlencode(fields).encode()))
        sent.append(("Application/JSON;charset=utf-8", json.dumps(fields).encode()))
        sent.append(multipart(*((name, None, value.encode()) for name, value in fields.items())))
    for content_type, body in sent:
        assert send(world.browser(), body, content_type=content_type).text == "noted", body
    assert [(got.headers["Content-Type"], got.body) for got in app.got] == sent


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_the_hosts(world: World, method: str) -> None:
    """The page of the login itself, above all; PUT where it is not listed."""
    app = Notes(world)
    fields = urlencode({"email": "ada@acme.example"}).encode() if method in ("PUT", "DELETE") else b""
    assert send(world.browser(), fields, method=method).status == 200
    assert app.got[0].body == fields


def test_methods_that_are_listed_are_intercepted(make_world: MakeWorld) -> None:
    """PUT or PATCH, where the app takes the form by them; POST always is."""
    world = intercepting(make_world, intercept=[{**LOGIN, "methods": ["PUT"]}])
    for method in ("PUT", "POST"):
        body = json.dumps({"email": "ada@acme.example"})
        assert send(world.browser(), body, content_type=JSON, method=method).status == 401


@pytest.mark.parametrize("how", ["switch", "state", "offer", "date"])
def test_where_nobody_must_nothing_is_read(make_world: MakeWorld, how: str) -> None:
    """With enforcement off, in a test, where domains are offered, before the day: all is the host's, unread."""
    changes: dict[str, dict[str, Any]] = {
        "switch": {"enforcement": "off"},
        "state": {"connection": {"state": "testing", "test_users": ["ada@acme.example"]}},
        "offer": {
            "connection": {
                "domain_modes": dict.fromkeys(["acme.example", "bücher.example", "offered.example"], "offer")
            }
        },
        "date": {"connection": {"enforce_from": "2026-12-01"}},
    }
    world = intercepting(make_world, **changes[how])
    app = Notes(world)
    bodies = [
        b"email=ada@acme.example&email=x",
        b"\xff\x00" * 50_000,
        urlencode({"email": "ada@acme.example"}).encode(),
    ]
    for body in bodies:
        assert send(world.browser(), body).text == "noted"
    assert [got.body for got in app.got] == bodies


def test_a_form_elsewhere_is_never_read(world: World) -> None:
    """A large upload to another path streams by, whatever it holds."""
    app = Notes(world)
    body = b"email=ada@acme.example&" * 20_000
    assert send(world.browser(), body, "/upload").text == "noted"
    assert send(world.browser(), body, "/login/sub").text == "noted"
    assert app.got[0].body == body


# What is refused


def refused(world: World, code: str, body: bytes | str, content_type: str | None = URLENCODED, **how: Any) -> None:
    app = Notes(world)
    answer = send(world.browser(), body, content_type=content_type, **how)
    assert (answer.status, code in answer.text, app.got) == (400, True, []), (answer.status, answer.text)


REPEATED = [
    (URLENCODED, b"email=zoe@freelance.example&email=ada@acme.example"),
    (URLENCODED, b"email=x&EMAIL=ada@acme.example"),
    (URLENCODED, b"email=x&%65mail=ada@acme.example"),
    (URLENCODED, b"email=x&email+=ada@acme.example"),
    (URLENCODED, b"email=zoe@freelance.example;email=ada@acme.example"),
    (URLENCODED, b"a=b;email=ada@acme.example"),
    (JSON, b'{"email": "zoe@freelance.example", "email": "ada@acme.example"}'),
    (JSON, b'{"email": "x", "em\\u0061il": "ada@acme.example"}'),
    (JSON, b'{"email": "x", "Email": "ada@acme.example"}'),
    (JSON, b'{"email": ["ada@acme.example"]}'),
    (JSON, b'{"email": {"$ne": null}}'),
    (JSON, b'{"email": 7}'),
    (JSON, b'{"email": true}'),
    (JSON, b'{"a": {"b": 1, "b": 2}}'),
    multipart(("email", None, b"x"), ("email", None, b"ada@acme.example")),
    multipart(("email", "a.txt", b"ada@acme.example")),
    multipart(("email", None, b"x"), ("email", "a.txt", b"ada@acme.example")),
]  # fmt: skip


def test_a_field_that_is_there_twice_is_refused(world: World) -> None:
    """The host might take the other one."""
    for content_type, body in REPEATED:
        refused(world, "intercepted_field_ambiguous", body, content_type)


BOUNDARY = "multipart/form-data; boundary=x"


def part(head: str, value: str = "ada@acme.example") -> bytes:
    return f"--x\r\n{head}\r\n\r\n{value}\r\n--x--\r\n".encode()


TWO_WAYS = [
    ("text/plain", b'{"email": "ada@acme.example"}'),
    (None, b"email=ada@acme.example"),
    ("", b"email=ada@acme.example"),
    ("application/xml", b"<email>ada@acme.example</email>"),
    (f"{URLENCODED}, {JSON}", b"email=ada@acme.example"),
    (f"{URLENCODED}; charset=utf-7", b"email=ada+AEA-acme.example"),
    (f"{URLENCODED}; charset=utf-8; charset=utf-7", b"email=ada+AEA-acme.example"),
    (f"{JSON}; charset=utf-16", '{"email": "ada@acme.example"}'.encode("utf-16")),
    (JSON, '{"email": "ada@acme.example"}'.encode("utf-16-le")),
    (JSON, '{"email": "ada@acme.example"}'.encode("utf-32")),
    (JSON, b'\xef\xbb\xbf{"email": "ada@acme.example"}'),
    (JSON, b'{"email": "ada@acme.example"} {}'),
    (JSON, b'{"email": "ada@acme.example",}'),
    (JSON, b'["ada@acme.example"]'),
    (JSON, b'"ada@acme.example"'),
    (JSON, b"[" * 20_000),
    (JSON, b'{"email": "\xff"}'),
    (f"{JSON}; boundary=x", b'{"email": "ada@acme.example"}'),
    (URLENCODED, b"email=%ff%fe"),
    (URLENCODED, "email=ädä@acme.example".encode("latin-1")),
    (URLENCODED, b"_charset_=utf-16&email=x"),
    ("multipart/form-data", part('Content-Disposition: form-data; name="email"')),
    (f"{BOUNDARY}; boundary=y", part('Content-Disposition: form-data; name="email"')),
    ("multipart/mixed; boundary=x", part('Content-Disposition: form-data; name="email"')),
    (BOUNDARY, part('Content-Disposition: form-data; name="email"; name="other"')),
    (BOUNDARY, part('Content-Disposition: form-data; name="other"; name="email"')),
    (BOUNDARY, part("Content-Disposition: form-data; name*=UTF-8''email")),
    (BOUNDARY, part("Content-Disposition: form-data; name=other; name*=UTF-8''email")),
    (BOUNDARY, part('Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="email"')),
    (BOUNDARY, part('Content-Disposition: form-data; name="email"\r\nContent-Transfer-Encoding: base64', "YWRh")),
    (BOUNDARY, part('Content-Disposition: form-data; name="email"\r\nContent-Type: text/plain; charset=utf-16')),
    (BOUNDARY, part('Content-Disposition: attachment; name="email"')),
    (BOUNDARY, part('Content-Disposition: form-data;\r\n name="email"')),
    (BOUNDARY, b"preamble\r\n" + part('Content-Disposition: form-data; name="email"')),
    (BOUNDARY, part('Content-Disposition: form-data; name="email"') + b"epilogue"),
    (BOUNDARY, part('Content-Disposition: form-data; name="email"').replace(b"\r\n", b"\n")),
    (BOUNDARY, part('Content-Disposition: form-data; name="email"')[:-8]),
]  # fmt: skip


def test_a_body_that_can_be_read_in_two_ways_is_refused(world: World) -> None:
    """Another content type or charset, encodings within, heads of parts that parsers read differently."""
    for content_type, body in TWO_WAYS:
        refused(world, "intercepted_body_unreadable", body, content_type)


def test_a_compressed_body_is_refused(world: World) -> None:
    """A host's own middleware might unpack it."""
    body = gzip.compress(b"email=ada@acme.example")
    refused(world, "intercepted_body_unreadable", body, Content_Encoding="gzip")


def test_a_body_that_is_too_large_is_refused(make_world: MakeWorld) -> None:
    """Nothing is passed of what was not read to its end; up to the limit it is."""
    world = intercepting(make_world, largest_intercepted_body=1024)
    refused(world, "intercepted_body_too_large", b"a=" + b"x" * 1023)
    app = Notes(world)
    assert send(world.browser(), b"a=" + b"x" * 1022).text == "noted"
    assert len(app.got[0].body) == 1024


def test_the_query_counts_too(world: World) -> None:
    """Some hosts read both alike, so an address there is one, and two that differ are refused."""
    assert is_sent_to_sso(send(world.browser(), {"password": "x"}, "/login?email=ada@acme.example"))
    assert is_sent_to_sso(send(world.browser(), b"", "/login?email=ada@acme.example", content_type=None))
    assert is_sent_to_sso(send(world.browser(), {"email": "ada@acme.example"}, "/login?email=ada@acme.example"))
    refused(world, "intercepted_field_ambiguous", b"email=zoe@x.example", path="/login?email=ada@acme.example")
    refused(world, "intercepted_field_ambiguous", b"a=b", path="/login?email=zoe@x.example&email=ada@acme.example")


def test_any_of_several_fields_counts(world: World) -> None:
    """A form with `email` and `username`: whichever holds the address."""
    for fields in ({"username": "ada@acme.example"}, {"email": "zoe@x.example", "username": "ada@acme.example"}):
        assert is_sent_to_sso(send(world.browser(), fields, "/join"))


# Tricks with the method and the path


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_another_method_within_the_request_is_no_way_around(world: World, header: str) -> None:
    """A host that follows such a header, or `_method`, gets nothing that a plain POST would not get."""
    app = Notes(world)
    fields = {"email": "ada@acme.example"}
    overriding: dict[str, Any] = {header: "post"}
    harmless: dict[str, Any] = {header: "GET"}
    for method in ("GET", "PUT", "DELETE"):
        answer = send(world.browser(), fields if method != "GET" else b"", "/login?email=ada@acme.example",
                      method=method, **overriding)  # fmt: skip
        assert answer.status in (200, 303)
        assert "noted" not in answer.text
        answer = send(world.browser(), b"", "/login?_method=POST&email=ada@acme.example", method=method)
        assert "noted" not in answer.text
    assert is_sent_to_sso(send(world.browser(), fields, **harmless))
    assert is_sent_to_sso(send(world.browser(), {**fields, "_method": "put"}))
    assert app.got == []


SIDE_PATHS = [
    *("//login", "/./login", "/x/../login", "/login/.", "/login;a=b", "/x/..;/login", "/login%2f", "/%2flogin"),
    *("/login%00", "/login%00.css", "/lo%00gin", "/%256cogin", "/login%5c", "/\\login", "/login//", "/login%3ba"),
    *("/login%c3", "/x/%2e%2e/login", "/login/x/.."),
]  # fmt: skip


def test_a_path_that_somebody_may_read_as_the_forms_is_refused(world: World) -> None:
    """Ambiguous, and after reading it as lenient routers do, the login's (WEB-010)."""
    app = Notes(world)
    for path in SIDE_PATHS:
        answer = send(world.browser(), {"email": "ada@acme.example"}, BASE_URL + path)
        assert (answer.status, "intercepted_path_ambiguous" in answer.text) == (400, True), path
    assert app.got == []


def test_an_ambiguous_path_of_something_else_is_the_gates(world: World) -> None:
    """It is protected, as ever."""
    app = Notes(world)
    assert send(world.browser(), {"email": "ada@acme.example"}, BASE_URL + "/x//y").text == "noted"
    assert len(app.got) == 1


# Limits and failures


def test_interception_is_limited_for_each_client(make_world: MakeWorld) -> None:
    """429 once a client has begun too many; people of other domains still log in at the host."""
    world = intercepting(make_world, sign_ins_per_minute=10)
    Notes(world)
    for number in range(10):
        fields = {"email": f"p{number}@acme.example"}
        if number % 2:
            assert is_sent_to_sso(send(world.browser(), fields))
        else:
            assert send(world.browser(), json.dumps(fields), content_type=JSON).status == 401
    for script in (True, False):
        assert send(world.browser(), {"email": "ada@acme.example"}, script=script).status == 429
    assert send(world.browser(), {"email": "zoe@freelance.example"}).text == "noted"
    world.wait(minutes=1)
    assert is_sent_to_sso(send(world.browser(), {"email": "ada@acme.example"}))


def test_excluded_addresses_are_limited_more(make_world: MakeWorld) -> None:
    """Each bypass of the interception is counted: nobody tries passwords of the excluded without end."""
    world = intercepting(make_world, sign_ins_per_minute=30)
    app = Notes(world)
    for _ in range(3):
        assert send(world.browser(), {"email": EXCLUDED[0]}).text == "noted"
    assert send(world.browser(), {"email": EXCLUDED[1]}).status == 429
    assert len(app.got) == 3
    assert world.codes == ["too_many_attempts"]


def test_while_the_configuration_is_unknown_nothing_passes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh process whose store fails can't know who must come by SSO: 503; the login's page is shown."""

    def fails() -> Any:
        raise StoreUnavailable("down")

    app = Notes(world)
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "get_configuration", fails)
        assert send(world.browser(), {"email": "zoe@freelance.example"}).status == 503
        assert world.browser().get("/login").text == "noted"
    assert [got.method for got in app.got] == ["GET"]


def test_a_session_in_memory_opens_no_way_around(make_world: MakeWorld) -> None:
    """What passes from memory is never a form that is intercepted."""
    world = intercepting(make_world, mode="everyone")
    world.sign_in()
    for _ in range(3):
        assert world.first_browser.get("/login").status == 200
    assert is_sent_to_sso(send(world.first_browser, {"email": "grace@acme.example"}))


def test_a_kept_form_is_never_one_that_is_intercepted(make_world: MakeWorld) -> None:
    """Neither when it would be kept, nor when one that was kept before would be sent."""
    world = intercepting(make_world, mode="everyone", public=["/public"], hard_timeout="30m")
    world.sign_in()
    world.wait(minutes=40)
    answer = send(world.first_browser, {"email": EXCLUDED[0], "note": "x"}, "/forgot")
    assert answer.status == 401
    assert "it is kept" not in answer.text
    assert send(world.first_browser, {"note": "x"}, "/notes").text.count("it is kept") == 1


# What arrives


WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
NAMES = WORDS.filter(lambda name: name.strip().casefold() not in ("email", "_charset_"))
OTHERS = st.lists(st.tuples(NAMES, WORDS), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=OTHERS, email=st.sampled_from(["zoe@freelance.example", "admin", EXCLUDED[0], None]))
@example(fields=[("a", "b;c"), ("+", "%")], email="admin")
def test_what_passes_arrives_byte_for_byte(world: World, fields: list[tuple[str, str]], email: str | None) -> None:
    """In each of the three forms of a body, with its content type and its length."""
    world.wait(minutes=1)  # so that no limit is reached
    app = Notes(world)
    given_fields = [*fields, *([("email", email)] if email else [])]
    bodies = [(URLENCODED, urlencode(given_fields).encode()), (JSON, json.dumps(dict(given_fields)).encode())]
    plain = [(n, v) for n, v in given_fields if not set(n) & set('"\\\r\n') and n.isprintable() and n]
    bodies.append(multipart(*((name, None, value.encode()) for name, value in plain), boundary="0123456789abcdef"))
    for content_type, body in bodies:
        answer = send(world.browser(), body, content_type=content_type)
        assert answer.text == "noted", (content_type, body, answer.text)
    assert [(got.headers["Content-Type"], got.body) for got in app.got] == bodies


PIECES = [
    b"email",
    b"=",
    b"&",
    b";",
    b"ada@acme.example",
    b"zoe@x.example",
    b"%40",
    b"%00",
    b"{",
    b"}",
    b'"',
    b":",
    b",",
]
PIECES += [b"[", b"\\u0040", b"--x", b"\r\n", b" ", b"+"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(str.encode),
        st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join),
    ),
    content_type=st.sampled_from([URLENCODED, JSON, BOUNDARY, "text/plain"]),
)  # fmt: skip
def test_whatever_comes_is_passed_whole_or_not_at_all(world: World, body: bytes, content_type: str) -> None:
    """Nothing is repaired, nothing raises, and what passes holds no address of an exclusive domain in the field."""
    world.wait(minutes=1)
    app = Notes(world)
    answer = send(world.browser(), body, content_type=content_type)
    assert answer.status in (200, 400, 401)
    assert [got.body for got in app.got] in ([], [body])
    if app.got and content_type == URLENCODED:
        assert "acme.example" not in "".join(parse_qs(body.decode()).get("email", []))


def test_a_body_without_a_length_arrives_with_one(world: World) -> None:
    """Sent in chunks: the host gets the same bytes, and how many they are, and no word of chunks."""
    app = Notes(world)
    body = urlencode({"email": "zoe@freelance.example", "note": "x" * 300}).encode()
    headers = Headers({"Host": "app.example", "Content-Type": URLENCODED, "Transfer-Encoding": "chunked"})
    if world.kind == "wsgi":
        over_wsgi(WSGIMiddleware(app.wsgi, world.sso), headers, body)
    else:
        over_asgi(world, headers, [body[i : i + 50] for i in range(0, len(body), 50)])
    (got,) = app.got
    assert (got.body, got.headers.get("Content-Length", str(len(body)))) == (body, str(len(body)))
    assert "Transfer-Encoding" not in got.headers


def over_asgi(world: World, headers: Headers, chunks: list[bytes]) -> None:
    incoming: list[dict[str, Any]] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    incoming.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict[str, Any]:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def ignore(message: dict[str, Any]) -> None:
        pass

    world.run(world.asgi(world.scope("http", f"{BASE_URL}/login", headers, method="POST"), receive, ignore))


def over_wsgi(app: WSGIMiddleware, headers: Headers, body: bytes) -> None:
    environ: dict[str, Any] = {
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers if name != "Content-Type"},
        "CONTENT_TYPE": URLENCODED,
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/login",
        "RAW_URI": "/login",
        "QUERY_STRING": "",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,  # the server ends the stream by itself
    }
    b"".join(app(environ, lambda *_: lambda _: None))


# Walking around it


def test_whoever_walks_around_it_meets_the_rule(world: World) -> None:
    """WEB-030: every way to a host session of an exclusive domain's person ends at the next protected request."""
    app = Notes(world)
    ways: list[tuple[str, bytes, dict[str, Any]]] = [
        ("a user name", urlencode({"email": "ada", "password": "hers"}).encode(), {}),
        ("another field", urlencode({"login": "ada@acme.example"}).encode(), {}),
        ("a nested key", json.dumps({"user": {"email": "ada@acme.example"}}).encode(), {"content_type": JSON}),
        ("another path", urlencode({"email": "ada@acme.example"}).encode(), {"path": "/api/token"}),
        ("a path below", urlencode({"email": "ada@acme.example"}).encode(), {"path": "/login/mobile"}),
        ("another method", urlencode({"email": "ada@acme.example"}).encode(), {"method": "PUT"}),
    ]
    for name, body, how in ways:
        browser = world.browser()
        assert send(browser, body, **how).text == "noted", name
        meets_the_rule(world, browser, app)


def test_a_session_from_before_meets_the_rule(make_world: MakeWorld) -> None:
    """WEB-030: one from before its domain became exclusive, or that was copied from another browser."""
    world = intercepting(make_world, connection={"enforce_from": "2026-11-22"})
    app = Notes(world)
    browser = world.browser()
    assert send(browser, {"email": "ada@acme.example"}).text == "noted"
    world.hooks.user = lambda request: HostUser("ada@acme.example", "1")
    assert browser.get("/report").text == "noted"
    world.wait(hours=12)
    meets_the_rule(world, browser, app)
    meets_the_rule(world, world.browser(), app)


def meets_the_rule(world: World, browser: Browser, app: Notes) -> None:
    """The host has signed her in: the next protected request, of a person or of a script, ends that."""
    world.hooks.user = lambda request: HostUser("ada@acme.example", "1")
    before, ended = len(app.got), len(world.hooks.ended)
    answer = browser.get("/report")
    assert answer.status == 303
    assert answer.location.startswith(f"{BASE_URL}/sso/login")
    assert "host=; Max-Age=0; Path=/; SameSite=Lax" in answer.set_cookies
    assert browser.fetch("/api/items").status == 401
    assert (len(app.got), len(world.hooks.ended)) == (before, ended + 2)
    world.hooks.user = lambda request: None


# Settings


@pytest.mark.parametrize(
    ("tables", "problem"),
    [
        ([{**LOGIN, "path": "/sso/login"}], "lies within our own pages"),
        ([LOGIN, {**LOGIN, "path": "/Login/"}], "is intercepted twice"),
        ([{**LOGIN, "path": "/saml/acs"}], "is one of acs_paths"),
        ([{**LOGIN, "path": "login"}], "intercept[0].path: must begin"),
        ([{**LOGIN, "field": []}], "intercept[0].field: must name at least one"),
        ([{**LOGIN, "kind": "logout"}], "intercept[0].kind"),
        ([{**LOGIN, "methods": ["GET"]}], "intercept[0].methods"),
        ([{**LOGIN, "feild": "x"}], "did you mean field?"),
        ([{"path": "/login"}], "intercept[0].field: is missing"),
        (["/login"], "intercept[0]: must be a table"),
        ("/login", "must be a list of tables"),
    ],
)
def test_a_wrong_table_is_told_at_start(tables: Any, problem: str) -> None:
    """In words, by its place."""
    connection = {"id": "acme", "organization": "Acme", "domains": ["acme.example"]}
    connection |= {"metadata": IdentityProvider().metadata, "acs_paths": ["/saml/acs"]}
    with pytest.raises(ConfigurationError) as refusal:
        Settings(base_url=BASE_URL, secret_keys=[SECRET], intercept=tables, connections=[connection])
    assert any(problem in told for told in refusal.value.problems), refusal.value.problems
    assert Settings(base_url=BASE_URL, secret_keys=[SECRET], intercept=FORMS).intercept[1].field == (
        "email",
        "username",
    )
