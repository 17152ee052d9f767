"""Who passes on a path of the host's, and what everybody else is told."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider
from tests.world import NAVIGATION, World

from sso_middleware import HostUser, Link

HTML = [("Content-Type", "text/html; charset=utf-8")]
EXCLUDED = "it1@acme.example"


def host_world(make_world: MakeWorld, mode: str) -> World:
    """A host with a login of its own, and one excluded person."""
    return make_world(
        mode=mode,
        public=["/static", "/login"],
        connections=[
            {
                "id": "acme",
                "organization": "Acme",
                "domains": ["acme.example"],
                "metadata": IdentityProvider().metadata,
                "excluded_users": [EXCLUDED],
            }
        ],
    )


# Paths


def test_public_paths_are_open_and_the_rest_is_not(make_world: MakeWorld) -> None:
    """The app answers there, with nobody as principal."""
    world = make_world(public=["/static", "/healthz"])

    for path in ("/static/app.css", "/healthz"):
        assert world.browser().get(path).status == 200
        assert world.app.seen[-1].principal is None
    for path in ("/", "/statics", "/static/../report", "/static//x", "/static/%2e%2e/report", "/static;x/"):
        assert world.browser().get(path).status == 303, path
    assert len(world.app.seen) == 2


def test_a_signed_in_person_is_known_on_public_paths_too(make_world: MakeWorld) -> None:
    """So that a front page can greet them."""
    world = make_world(public=["/static"])
    world.sign_in()

    world.first_browser.get("/static/x")

    assert world.app.seen[-1].principal is not None


def test_only_protect_is_protected(make_world: MakeWorld) -> None:
    """In any case, since a host's router may not mind it."""
    world = make_world(protect=["/admin"])

    assert world.browser().get("/").status == 200
    for path in ("/admin", "/admin/users", "/ADMIN", "//admin", "/x/..//admin"):
        assert world.browser().get(world.base_url + path).status == 303, path


# Requests of other kinds


def test_a_script_is_told_where_to_sign_in(world: World) -> None:
    """401 as a problem document; back to the page that the person looks at, never to the fetched URL."""
    answer = world.browser().fetch("/api/items", Referer=f"{world.base_url}/items?page=2")

    assert answer.status == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    problem = json.loads(answer.body)
    assert problem["login_url"] == f"{world.base_url}/sso/login?return_to=/items%3Fpage%3D2"
    assert answer.headers["WWW-Authenticate"] == f'SSO login_url="{problem["login_url"]}"'
    assert "HX-Redirect" not in answer.headers


@pytest.mark.parametrize("referer", ["https://evil.example/items", "", "not a url", "https://app.example.evil/x"])
def test_a_foreign_referer_is_not_gone_back_to(world: World, referer: str) -> None:
    """The front page then."""
    answer = world.browser().fetch("/api/items", Referer=referer)

    assert json.loads(answer.body)["login_url"] == f"{world.base_url}/sso/login?return_to=/"


def test_htmx_is_redirected_as_a_whole(world: World) -> None:
    """HX-Redirect, to come back to HX-Current-URL; a boosted link counts as a script, too."""
    current = f"{world.base_url}/board?x=1"
    answer = world.browser().get("/rows", HX_Request="true", HX_Current_URL=current)

    assert answer.status == 401
    target = urlsplit(answer.headers["HX-Redirect"])
    assert parse_qs(target.query)["return_to"] == ["/board?x=1"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Purpose": "prefetch"},
        {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "text/html"},
        {"Accept": "text/event-stream"},
        {"Accept": "application/json"},
        {"Accept": "text/html", "X-Requested-With": "XMLHttpRequest"},
        {},
    ],
)
def test_what_is_no_navigation_is_never_sent_away(world: World, headers: dict[str, str]) -> None:
    """A frame, a prefetch, an image, a fetch, an event stream."""
    assert world.browser().send("GET", "/report", headers=headers).status == 401


def test_an_old_browser_is_known_by_what_it_accepts(world: World) -> None:
    """No Sec-Fetch headers, and HTML wanted."""
    assert world.browser().send("GET", "/report", headers={"Accept": "text/html,*/*"}).status == 303
    assert world.browser().send("HEAD", "/report", headers={"Accept": "text/html"}).status == 303


def test_a_posted_form_gets_a_page(world: World) -> None:
    """It says that nothing was saved, and leads to the page that the form was on."""
    answer = world.browser().post("/orders", {"a": "b"}, Referer=f"{world.base_url}/orders/new")

    assert answer.status == 401
    assert "Please sign in first" in answer.text
    assert "return_to=/orders/new" in answer.text
    assert world.app.seen == []


def test_another_host_name_gets_no_unsafe_request(world: World) -> None:
    """421: the cookies of base_url would never come here."""
    answer = world.browser().fetch("https://www.app.example/api", method="POST")

    assert answer.status == 421
    assert world.codes == ["misdirected"]


def test_a_trusted_proxy_may_say_what_the_browser_asked_for(make_world: MakeWorld) -> None:
    """For the comparison only; our URLs are always base_url's (WEB-009)."""
    world = make_world(trusted_proxies=["203.0.113.0/24"])

    answer = world.browser().fetch(
        "https://internal.example/api", method="POST", X_Forwarded_Host="app.example", X_Forwarded_For="198.51.100.7"
    )
    lying = world.browser().get("/report", Host="evil.example", X_Forwarded_Host="evil.example")

    assert answer.status == 401
    assert lying.location.startswith(f"{world.base_url}/sso/login?")
    assert "evil" not in lying.text + lying.location


def test_a_preflight_reaches_the_app_on_cors_paths_only(make_world: MakeWorld) -> None:
    """It carries no cookie; the request that follows it is decided on like any other."""
    world = make_world(cors=["/api"])
    preflight = {"Access_Control_Request_Method": "PUT", "Origin": "https://partner.example"}

    assert world.browser().fetch("/api/items", method="OPTIONS", **preflight).status == 200
    assert world.browser().fetch("/other", method="OPTIONS", **preflight).status == 401
    assert world.browser().fetch("/api/../other", method="OPTIONS", **preflight).status == 401
    assert world.browser().fetch("/api/items", method="OPTIONS").status == 401
    assert world.browser().fetch("/api/items", method="PUT", Origin="https://partner.example").status == 401


# What the app is told, and what its answers carry


def test_headers_that_claim_an_identity_never_reach_the_app(make_world: MakeWorld) -> None:
    """WEB-008: on public paths too, and with underscores."""
    world = make_world(public=["/static"], strip_headers=["X-Company-User"])
    world.sign_in()
    names = (
        *("Remote-User", "X-Remote-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups"),
        *("X-Forwarded-Preferred-Username", "X-Auth-Request-Email", "X-SSO-Principal", "X-Company-User"),
    )
    claims = dict.fromkeys(names, "root@acme.example")
    if world.kind == "asgi":
        claims |= {name.replace("-", "_"): value for name, value in claims.items()}

    for path in ("/report", "/static/x"):
        world.first_browser.send("GET", path, headers={**NAVIGATION, **claims, "X-Harmless": "1"})
        told = world.app.seen[-1]
        assert "root@acme.example" not in repr(told.headers)
        assert any(name.lower().replace("http_", "").replace("_", "-") == "x-harmless" for name in told.headers)


def test_the_app_is_told_who_it_is(world: World) -> None:
    """REMOTE_USER in an environ; Starlette's user and auth in a scope."""
    world.sign_in()
    world.first_browser.get("/report")
    native = world.app.seen[-1].native

    if world.kind == "wsgi":
        assert native["REMOTE_USER"] == "ada@acme.example"
        assert native["AUTH_TYPE"] == "SSO"
    else:
        assert native["user"].is_authenticated
        assert "authenticated" in native["auth"].scopes
    assert native["sso.principal"].name == "Ada Example" or native["sso.principal"].first_name


def test_protected_html_is_kept_out_of_every_cache(make_world: MakeWorld) -> None:
    """Unless the path is `cacheable`; other types and public pages are the host's."""
    world = make_world(public=["/static"], cacheable=["/catalogue"])
    world.sign_in()
    cached = [*HTML, ("Cache-Control", "max-age=60")]
    for path in ("/report", "/catalogue", "/static/x"):
        world.app.answers[path] = (200, cached, b"<p>")
    world.app.answers["/data"] = (200, [("Content-Type", "image/png"), ("Cache-Control", "max-age=60")], b"png")

    controls = {
        path: world.first_browser.get(path).headers.getlist("Cache-Control")
        for path in ("/report", "/catalogue", "/static/x", "/data")
    }

    assert controls == {
        "/report": ["private, no-store"],
        "/catalogue": ["max-age=60"],
        "/static/x": ["max-age=60"],
        "/data": ["max-age=60"],
    }


def test_a_view_may_ask_for_a_sign_in_itself(make_world: MakeWorld) -> None:
    """`challenge = true`: its own 401 with `WWW-Authenticate: SSO` starts the login."""
    world = make_world(challenge=True, protect=["/admin"])
    world.app.answers["/maybe"] = (401, [*HTML, ("WWW-Authenticate", "SSO")], b"secret body")
    world.app.answers["/basic"] = (401, [*HTML, ("WWW-Authenticate", 'Basic realm="SSO"')], b"basic")

    answer = world.browser().get("/maybe?x=1")

    assert answer.status == 303
    assert answer.location == f"{world.base_url}/sso/login?return_to=/maybe%3Fx%3D1"
    assert b"secret" not in answer.body
    assert world.app.was_closed
    assert world.browser().fetch("/maybe").status == 401
    assert world.browser().get("/basic").body == b"basic"


def test_a_view_that_asks_a_signed_in_person_to_sign_in_is_answered_by_itself(make_world: MakeWorld) -> None:
    """A sign-in would lead straight back to it, for ever."""
    world = make_world(challenge=True)
    world.app.answers["/admins-only"] = (401, [*HTML, ("WWW-Authenticate", "SSO")], b"own")
    world.sign_in()

    answer = world.first_browser.get("/admins-only")

    assert (answer.status, answer.body) == (401, b"own")


def test_a_challenge_on_another_host_name_stays_the_views_own(make_world: MakeWorld) -> None:
    """What is no GET can't be brought home; it never becomes a fault of the host's."""
    world = make_world(challenge=True, protect=["/admin"])
    world.app.answers["/maybe"] = (401, [*HTML, ("WWW-Authenticate", "SSO")], b"own")

    answer = world.browser().fetch("/maybe", method="POST", Host="other.example")

    assert (answer.status, answer.body) == (401, b"own")


def test_without_challenge_a_views_401_is_its_own(make_world: MakeWorld) -> None:
    """Nothing of the host's answer is read unless asked for."""
    world = make_world(protect=["/admin"])
    world.app.answers["/maybe"] = (401, [*HTML, ("WWW-Authenticate", "SSO")], b"own")

    assert world.browser().get("/maybe").body == b"own"


# The host's own people


def test_everyone_must_sign_in_by_sso_but_the_excluded(make_world: MakeWorld) -> None:
    """`everyone`: a host user passes only on the exclusion list; any other host session is ended."""
    world = host_world(make_world, "everyone")
    browser = world.browser()

    world.hooks.user = lambda request: None
    assert browser.get("/report").status == 303
    assert world.hooks.ended == []
    world.hooks.user = lambda request: HostUser(EXCLUDED.upper(), "1")
    assert browser.get("/report").status == 200
    for email in ("ada@acme.example", "someone@elsewhere.example", "admin", "it1@acme.example.evil", ""):
        world.hooks.user = lambda request, email=email: HostUser(email, "2")  # type: ignore[misc]  # a default binds it
        answer = browser.get("/report")
        assert answer.status == 303, email
        assert "host=; Max-Age=0; Path=/; SameSite=Lax" in answer.set_cookies
    assert len(world.hooks.ended) == 5


def test_in_domains_mode_only_people_of_exclusive_domains_must_come_by_sso(make_world: MakeWorld) -> None:
    """`domains`: nobody signed in is the host's business; so are people of other domains."""
    world = host_world(make_world, "domains")
    browser = world.browser()

    for email in (None, EXCLUDED, "someone@elsewhere.example", "admin"):
        world.hooks.user = lambda request, email=email: HostUser(email, "1") if email else None  # type: ignore[misc]
        assert browser.get("/report").status == 200, email
    assert world.hooks.ended == []


@pytest.mark.parametrize(
    "email",
    [
        "ada@acme.example",
        "Ada@ACME.Example",
        " ada@acme.example ",
        "ada@acme.example.",
        '"ada"@acme.example',
        "ada@b@acme.example",
        "ada@acme.example\x00",
        "ada\uff20acme.example@x",
    ],
)
def test_a_person_of_an_exclusive_domain_never_keeps_a_host_session(make_world: MakeWorld, email: str) -> None:
    """However the address is written; an address that can't be read is treated as one of those (TEN-007)."""
    world = host_world(make_world, "domains")
    world.hooks.user = lambda request: HostUser(email, "1")

    answer = world.browser().get("/report")

    assert answer.status == 303
    assert world.hooks.ended == ["/report"]
    assert world.app.seen == []
    assert world.browser().fetch("/report").status == 401


def test_a_person_of_an_exclusive_domain_passes_by_sso(make_world: MakeWorld) -> None:
    """With a host session beside it, too."""
    world = host_world(make_world, "domains")
    world.hooks.user = lambda request: None
    url = world.first_browser.get("/sso/login?return_to=/report").location
    world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now))
    world.hooks.user = lambda request: HostUser("ada@acme.example", "1")

    assert world.first_browser.get("/report").status == 200
    assert world.app.seen[-1].principal is not None


def sign_in_beside_the_host(world: World) -> None:
    url = world.first_browser.get("/sso/login?return_to=/report").location
    world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now))


def test_an_sso_session_is_no_way_to_keep_a_host_session_as_somebody_else(make_world: MakeWorld) -> None:
    """Signed in by SSO as oneself, at the host as another of an exclusive domain: that one is ended."""
    world = host_world(make_world, "domains")
    sign_in_beside_the_host(world)
    world.hooks.user = lambda request: HostUser("grace@acme.example", "2")

    answer = world.first_browser.get("/report")

    assert answer.status == 403
    assert "host_session_of_another" in answer.text
    assert "host=; Max-Age=0; Path=/; SameSite=Lax" in answer.set_cookies
    assert world.app.seen == []
    assert world.first_browser.fetch("/report").status == 403
    world.hooks.user = lambda request: None
    assert world.first_browser.get("/report").status == 200


@pytest.mark.parametrize("email", ["ada@acme.example", "ADA@acme.example", EXCLUDED, "someone@elsewhere.example"])
def test_a_host_session_of_the_same_or_of_an_unbound_person_stays(make_world: MakeWorld, email: str) -> None:
    """The person's own, an excluded one's, one of no exclusive domain."""
    world = host_world(make_world, "domains")
    sign_in_beside_the_host(world)
    world.hooks.user = lambda request: HostUser(email, "1")

    assert world.first_browser.get("/report").status == 200
    assert world.hooks.ended == []


def test_a_linked_person_is_known_by_the_hosts_own_id(make_world: MakeWorld) -> None:
    """Another address of the same user is fine; the same address of another user is not."""
    world = host_world(make_world, "domains")
    world.hooks.decision = lambda identity: Link("7")
    sign_in_beside_the_host(world)

    world.hooks.user = lambda request: HostUser("ada.lovelace@acme.example", "7")
    assert world.first_browser.get("/report").status == 200
    world.hooks.user = lambda request: HostUser("ada@acme.example", "8")
    assert world.first_browser.get("/report").status == 403


def test_a_host_that_can_not_say_who_is_signed_in_lets_nobody_in(make_world: MakeWorld) -> None:
    """WEB-026: an exception in host_user is a 503."""
    world = host_world(make_world, "domains")
    world.hooks.user = lambda request: 1 / 0  # type: ignore[assignment, return-value]  # raises

    assert world.browser().get("/report").status == 503
    assert world.codes == ["hook_failed"]
    assert world.app.seen == []


def test_a_store_that_fails_shuts_the_door_and_signs_nobody_out(make_world: MakeWorld) -> None:
    """503 with Retry-After on protected paths; public ones go on (WEB-026)."""
    world = make_world(public=["/static"])
    world.sign_in()
    cookies = dict(world.first_browser.cookies)
    world.store.get_session = unavailable  # type: ignore[assignment, method-assign]  # down

    answer = world.first_browser.get("/report")

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "5"
    assert world.first_browser.cookies == cookies
    assert world.first_browser.get("/static/x").status == 200
    assert world.codes[-1] == "store_unavailable"


def unavailable(session_id: str) -> None:
    from sso_middleware.errors import StoreUnavailable

    raise StoreUnavailable("the database is down")


# Mounts


def test_a_mounted_app_keeps_its_mount(make_world: MakeWorld) -> None:
    """SCRIPT_NAME and root_path; protect and public are below it, our own pages too."""
    world = make_world(base_url="https://app.example/shop", public=["/static"])
    world.mount = "/shop"
    browser = world.first_browser

    answer = browser.get("https://app.example/shop/cart?x=1")
    assert answer.location == "https://app.example/shop/sso/login?return_to=/cart%3Fx%3D1"
    url = browser.get(answer.location).location
    finished = world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now))

    assert finished.location == "https://app.example/shop/cart?x=1"
    assert browser.get(finished.location).status == 200
    assert world.app.seen[-1].mount == "/shop"
    assert world.browser().get("https://app.example/shop/static/x").status == 200
