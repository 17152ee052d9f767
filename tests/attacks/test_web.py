"""WEB: what surrounds the messages: cookies, hosts, paths, methods, bodies, forms and pages.

The rows that belong to signing in, played over HTTP. What is tested elsewhere is named in test_table.py.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.identity_provider import IdentityProvider
from tests.world import NAVIGATION, SECRET, Answer, Browser, World
from werkzeug.datastructures import Headers

from sso_middleware import ConfigurationError, WSGIMiddleware

MakeWorld = Callable[..., World]

both_worlds = pytest.mark.parametrize("make_world", [("wsgi", "plain"), ("asgi", "plain")], indirect=True, ids="-".join)
wsgi_only = pytest.mark.parametrize("make_world", [("wsgi", "plain")], indirect=True, ids="-".join)
asgi_only = pytest.mark.parametrize("make_world", [("asgi", "plain")], indirect=True, ids="-".join)

GLOBEX = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def two_connections(make_world: MakeWorld, **settings: Any) -> World:
    acme = {"id": "acme", "organization": "Acme", "domains": ["acme.example"], "metadata": IdentityProvider().metadata}
    globex = {
        "id": "globex",
        "organization": "Globex Holding",
        "domains": ["globex.example"],
        "metadata": GLOBEX.metadata,
    }
    return make_world(connections=[acme, globex], **settings)


def cookie_name(browser: Browser, kind: str) -> str:
    return next(name for name in browser.cookies if f"-{kind}" in name)


def posted(world: World, browser: Browser, **changes: Any) -> str:
    """A login as far as the ACS: where the browser is sent to finish it."""
    form = world.idp.log_in(world.begin_login("/report", browser), "ada@acme.example", now=world.now, **changes)
    answer = browser.post(world.acs_url, form, cross_site=True)
    assert answer.status == 303, (answer.status, world.codes)
    return answer.location


# Cookies


@both_worlds
def test_web_001_a_session_planted_before_the_login_never_becomes_the_persons(make_world: MakeWorld) -> None:
    """The attacker's own session, set in the victim's browser while it signs in, ends with that."""
    world = make_world()
    attacker, victim = world.browser(), world.browser()
    world.sign_in("mallory@acme.example", attacker)
    finish = posted(world, victim)
    name = cookie_name(attacker, "session")
    victim.cookies[name] = attacker.cookies[name]

    assert victim.get(finish).status == 303

    assert victim.cookies[name] != attacker.cookies[name]
    assert attacker.get("/report").status == 303
    assert victim.get("/report").status == 200
    principal = world.app.seen[-1].principal
    assert principal is not None
    assert principal.email == "ada@acme.example"


@both_worlds
def test_web_001_a_planted_browser_id_finishes_nothing_elsewhere(make_world: MakeWorld) -> None:
    """Whoever knows the victim's binding still lacks what the ACS gave the victim's browser."""
    world = make_world()
    attacker, victim = world.browser(), world.browser()
    attacker.get("/sso/login")
    victim.cookies |= attacker.cookies
    finish = posted(world, victim)

    assert attacker.get(finish).status == 403
    assert world.codes[-1] == "pending_login_unknown"
    assert victim.get(finish).status == 303
    assert victim.has_session


@both_worlds
@pytest.mark.parametrize(("kind", "code"), [("pending", "pending_login_unknown"), ("browser", "browser_mismatch")])
def test_web_002_a_second_cookie_of_the_name_is_nobodys(make_world: MakeWorld, kind: str, code: str) -> None:
    """Set by a sibling host or for a longer path: neither of the two is believed, on the way in, too."""
    world = make_world()
    browser = world.first_browser

    for is_first in (True, False):
        finish = posted(world, browser)
        honest = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        attempt = finish.partition("attempt=")[2]
        tossed = f"{cookie_name(browser, f'pending-{attempt}' if kind == 'pending' else kind)}={'A' * 43}"
        sent = f"{tossed}; {honest}" if is_first else f"{honest}; {tossed}"
        answer = world.browser().get(finish, Cookie=sent)
        assert (answer.status, world.codes[-1]) == (403, code)

    assert browser.get(posted(world, browser)).status == 303
    assert browser.has_session


@both_worlds
def test_web_003_every_cookie_of_a_visit_says_how_it_may_be_used(make_world: MakeWorld) -> None:
    """Set or deleted, by a login that an identity provider began, a refusal, or a sign-out; none is SameSite=None."""
    world = make_world()
    browser = world.first_browser
    lines: list[str] = []

    def noted(answer: Answer) -> Answer:
        lines.extend(line for line in answer.set_cookies if not line.startswith("host="))  # that is the app's own
        return answer

    unsolicited = world.idp.unsolicited(world.acs_url, world.entity_id, "ada@acme.example", now=world.now)
    restart = noted(browser.get(noted(browser.post(world.acs_url, unsolicited, cross_site=True)).location))
    form = world.idp.log_in(restart.location, "ada@acme.example", now=world.now)
    noted(browser.get(noted(browser.post(world.acs_url, form, cross_site=True)).location))
    noted(browser.post(world.acs_url, form, cross_site=True))
    token = noted(browser.get("/sso/logout")).field("csrf_token")
    noted(browser.get(noted(browser.post("/sso/logout", {"csrf_token": token})).location))

    assert any("Max-Age=0" in line for line in lines)
    kinds = {match[1] for line in lines if (match := re.match("__Host-sso-([a-z]+)", line))}
    assert kinds >= {"browser", "pending", "session", "restarted", "signed"}
    for line in lines:
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(line.split("; ")), line
        assert "Domain=" not in line


@both_worlds
def test_web_004_a_key_that_was_rotated_out_opens_nothing(make_world: MakeWorld) -> None:
    """Behind a newer key it still does."""
    world = make_world()
    world.sign_in()
    newer = "q8Wn3Zt6Lb1Xc9Rv4Ky7Md2Gh5Js0Fp-rotated"

    for keys, status in (([newer, SECRET], 200), ([newer], 303)):
        later = make_world(secret_keys=keys)
        browser = later.browser()
        browser.cookies = dict(world.first_browser.cookies)
        assert browser.get("/report").status == status


# Who asks, under what name, for which path, how


@wsgi_only
def test_web_008_what_a_server_says_of_the_person_is_not_ours(make_world: MakeWorld) -> None:
    """REMOTE_USER and AUTH_TYPE of a front server's own login: not on a public path, and not beside ours."""
    world = make_world(public=["/open"])
    inner = world.wsgi
    world.wsgi = lambda environ, start: inner({**environ, "REMOTE_USER": "root", "AUTH_TYPE": "Basic"}, start)

    world.browser().get("/open")
    assert {"REMOTE_USER", "AUTH_TYPE"}.isdisjoint(world.app.seen[-1].native)
    world.sign_in()
    world.first_browser.get("/report")
    native = world.app.seen[-1].native
    assert (native["REMOTE_USER"], native["AUTH_TYPE"]) == ("ada@acme.example", "SSO")


@wsgi_only
def test_web_009_an_absolute_request_target_changes_no_url(make_world: MakeWorld) -> None:
    """`GET https://evil.example/report HTTP/1.1`: the return address is a path of ours."""
    world = make_world()
    inner = world.wsgi
    world.wsgi = lambda environ, start: inner({**environ, "RAW_URI": "https://evil.example/report"}, start)

    answer = world.browser().get("/report")

    assert answer.location == f"{world.base_url}/sso/login?return_to=/report"


SIDE_PATHS = [
    "//report",
    "/static/../report",
    "/static/%2e%2e/report",
    "/static/%2E%2E%2freport",
    "/static/..%2Freport",
    "/static/..;/report",
    "/static/;a=b/../report",
    "/static//../report",
    "/static/.%00./report",
    "/static/..%5creport",
    "/static%2f..%2freport",
    "/static/%252e%252e/report",
    "/STATIC/x",
    "/report/",
    "/Report",
    "/sso/../report",
    "//sso/acme/acs",
    "/sso/acme/../../report",
    "/sso%2facme%2facs",
]


@both_worlds
@pytest.mark.parametrize("mount", ["", "/shop"])
def test_web_010_no_way_of_writing_a_path_reaches_the_app(make_world: MakeWorld, mount: str) -> None:
    """However a path is written, nobody reaches the app by it who has not signed in; plainly public ones are open."""
    world = make_world(base_url=f"https://app.example{mount}", public=["/static"])
    world.mount = mount

    reached = [path for path in SIDE_PATHS if world.browser().get(world.base_url + path).status < 300]

    assert reached == []
    assert world.app.seen == []
    assert world.browser().get(f"{world.base_url}/static/app.css").status == 200


@both_worlds
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_web_011_other_methods_are_no_way_in(make_world: MakeWorld, method: str) -> None:
    """The ACS takes POST only, even of an honest message; a protected path asks whoever it is to sign in."""
    world = make_world()
    form = world.log_in("/report")
    body = f"SAMLResponse={form['SAMLResponse'].replace('+', '%2B').replace('=', '%3D')}".encode()

    answer = world.first_browser.send(method, world.acs_url, headers={**NAVIGATION, **FORM}, body=body)
    guarded = world.browser().send(method, "/report", headers={"Accept": "*/*", "Sec-Fetch-Mode": "cors"})

    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert guarded.status == 401
    assert world.app.seen == []
    assert world.post_response(form).status == 303


# Bodies


@asgi_only
def test_web_013_a_body_without_end_is_read_to_the_limit(make_world: MakeWorld) -> None:
    """Chunk after chunk: reading stops at the first one too many, whatever length was announced."""
    world = make_world()
    for announced in ({}, {"Content-Length": "20"}, {"Content-Length": "20", "Transfer-Encoding": "chunked"}):
        received = 0
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            nonlocal received
            received += 65536
            return {"type": "http.request", "body": b"A" * 65536, "more_body": True}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)  # noqa: B023 (awaited within this round)

        headers = Headers({"Host": "app.example", **FORM, **announced})
        world.run(world.asgi(world.scope("http", world.acs_url, headers, method="POST"), receive, send))

        assert sent[0]["status"] == 413
        assert received < 1_000_000


class Endless(io.RawIOBase):
    """A chunked body, as a server hands it on that ends the stream itself; this one never ends."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "an unbounded read of a body"
        self.given += size
        return b"A" * size


@wsgi_only
@pytest.mark.parametrize("path", ["/sso/acme/acs", "/sso/login"])
@pytest.mark.parametrize("length", ["", "20", "99999999999999999999", "+20", "0x10", "20, 20", "２０"])
def test_web_013_a_stream_without_end_is_read_to_the_limit(make_world: MakeWorld, path: str, length: str) -> None:
    """No length, a wrong one, one that is no number, and Transfer-Encoding beside it."""
    world = make_world()
    stream = Endless()
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "app.example",
        "SERVER_PORT": "443",
        "HTTP_HOST": "app.example",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "CONTENT_TYPE": FORM["Content-Type"],
        "CONTENT_LENGTH": length,
        "wsgi.input": stream,
        "wsgi.input_terminated": True,
        "wsgi.url_scheme": "https",
    }
    started: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], None]:
        started.append(status)
        return lambda data: None

    list(WSGIMiddleware(world.app.wsgi, world.sso)(environ, start_response))

    assert started[0][:3] in ("400", "413") or (path, length) == ("/sso/login", "20")
    assert stream.given < 1_000_000


# Forms


@both_worlds
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_web_014_a_form_that_another_site_sent_is_not_ours(make_world: MakeWorld, site: str) -> None:
    """Sec-Fetch-Site tells where Origin is hidden; one's own page, and a browser that says neither, may post."""
    world = two_connections(make_world)
    browser = world.browser()
    token = browser.get("/sso/login").field("csrf_token")
    fields = {"csrf_token": token, "return_to": "/", "email": "ada@acme.example"}

    for origin in ("null", world.origin):
        assert browser.post("/sso/login", fields, Origin=origin, Sec_Fetch_Site=site).status == 403
    assert world.codes == ["csrf_mismatch"] * 2
    for honest in ("same-origin", "none", ""):
        assert browser.post("/sso/login", fields, Origin="null", Sec_Fetch_Site=honest).status == 200


# Answers


@both_worlds
def test_web_017_nothing_of_a_login_is_stored_on_the_way(make_world: MakeWorld) -> None:
    """Every answer of ours, refusals and redirects and our metadata included."""
    world = make_world()
    browser = world.first_browser
    kept: list[str] = []

    def checked(answer: Answer) -> Answer:
        if "no-store" not in answer.headers.get("Cache-Control", ""):
            kept.append(answer.url)
        return answer

    asked = checked(browser.get("/report"))
    form = world.idp.log_in(checked(browser.get(asked.location)).location, "ada@acme.example", now=world.now)
    finished = checked(browser.get(checked(browser.post(world.acs_url, form, cross_site=True)).location))
    assert finished.status == 303
    for page in ("session", "login", "logout", "signed-out", "acme/metadata", "acme/acs", "unknown", "finish"):
        checked(browser.get(f"/sso/{page}"))
    checked(browser.post(world.acs_url, form, cross_site=True))
    checked(world.browser().fetch("/report"))
    checked(world.browser().fetch("/sso/unknown"))

    assert kept == []


@both_worlds
def test_web_018_no_line_break_gets_into_a_header(make_world: MakeWorld) -> None:
    """In a return address, a path, a header that we go by, a RelayState, or the name of a connection."""
    world = make_world()
    injected = "x%0d%0aSet-Cookie:%20planted=1"
    answers = [
        world.browser().get(f"/{injected}"),
        world.browser().get(f"/sso/login?return_to=/{injected}"),
        world.browser().get(f"/sso/login?return_to=%2F%0D%0A{injected}"),
        world.browser().get(f"/sso/{injected}/metadata"),
        world.browser().get(f"/sso/login?connection={injected}"),
        world.browser().get(f"/sso/finish?attempt={injected}"),
        world.browser().get(f"/sso/refused?about={injected}"),
        world.browser().fetch("/api", Referer=f"https://app.example/{injected}"),
    ]
    unsolicited = world.idp.unsolicited(
        world.acs_url, world.entity_id, "ada@acme.example", now=world.now, relay_state="/x\r\nSet-Cookie: planted=1"
    )
    restart = world.post_response(unsolicited)
    form = world.idp.log_in(restart.location, "ada@acme.example", now=world.now)
    answers += [restart, world.post_response(form)]

    for answer in answers:
        assert not [value for _, value in answer.headers if re.search(r"[\r\n]", value)], answer.url
        assert not [line for line in answer.set_cookies if "planted" in line.partition(";")[0]], answer.url
    assert answers[-1].location == f"{world.base_url}/"
    for id in ("a\r\nb", "a b", "a/b", "a\x00"):
        with pytest.raises((ConfigurationError, ValueError)):
            make_world(connections=[world.connection(id=id)])


# What an answer tells


@both_worlds
def test_web_021_every_address_of_a_domain_is_answered_alike(make_world: MakeWorld) -> None:
    """Whether somebody has an account, or ever signed in, is nothing that the sign-in page knows."""
    world = two_connections(make_world)
    browser = world.browser()
    form = world.idp.log_in(browser.get("/sso/login?connection=acme").location, "ada@acme.example", now=world.now)
    assert world.post_response(form, browser).status == 303

    known, unknown, nobody = (
        shown(world, f"{name}@{domain}")
        for name, domain in (("ada", "acme.example"), ("nobody", "acme.example"), ("ada", "elsewhere.example"))
    )

    assert known == unknown
    assert nobody == shown(world, "bob@elsewhere.example")


def shown(world: World, email: str) -> tuple[int, str]:
    """Status and page, but for what is new in each answer, and the address that was typed."""
    browser = world.browser()
    token = browser.get("/sso/login").field("csrf_token")
    answer = browser.post("/sso/login", {"csrf_token": token, "return_to": "/", "email": email})
    page = answer.text.replace(email, "EMAIL")
    return answer.status, re.sub(r'(SAMLRequest|RelayState|Signature)=[^&"]*|value="v1[^"]*"', "NEW", page)


@both_worlds
def test_web_022_the_sign_in_page_names_no_organization(make_world: MakeWorld) -> None:
    """Nor its connection: what an address of a domain leads to is the identity provider's own address."""
    world = two_connections(make_world, local_login_url="/login", public=["/login"])
    browser = world.browser()
    page = browser.get("/sso/login")
    texts = [page.text]
    for email in ("nobody@elsewhere.example", "nobody@sub.globex.example", "not an address"):
        fields = {"csrf_token": page.field("csrf_token"), "return_to": "/", "email": email}
        texts.append(browser.post("/sso/login", fields).text)

    assert not [text for text in texts if "Holding" in text or "idp.globex" in text or "Acme" in text]
