"""`session.js` and `renewed`: the same for everybody, and nothing of anybody in them."""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.conftest import MakeWorld
from tests.servers import ROOT
from tests.world import World

from sso_middleware.pages import read_file


def soft_world(make_world: MakeWorld, **settings: object) -> World:
    world = make_world()
    limits = {"soft_timeout": "15m", "hard_timeout": "1h"}
    return make_world(connections=[world.connection(**limits)], **settings)


def test_the_script_is_a_script_and_nothing_else(world: World) -> None:
    """For no page of another origin, and never taken for anything but a script (WEB-016)."""
    answer = world.first_browser.fetch("/sso/session.js")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_script_is_the_same_for_everybody(world: World) -> None:
    """So any cache may keep it: nobody's cookie is set or renewed by it, and it names nobody."""
    before = world.first_browser.fetch("/sso/session.js")
    world.sign_in()
    after = world.first_browser.fetch("/sso/session.js")

    assert before.body == after.body == read_file("session.js").encode()
    assert before.set_cookies == after.set_cookies == []
    assert after.headers["Cache-Control"] == "public, max-age=3600"


def test_the_script_is_sent_again_only_when_it_changed(world: World) -> None:
    """By its ETag; HEAD has the headers alone."""
    first = world.first_browser.fetch("/sso/session.js")
    etag = first.headers["ETag"]

    again = world.first_browser.fetch("/sso/session.js", If_None_Match=f'"other", W/{etag}')
    other = world.first_browser.fetch("/sso/session.js", If_None_Match='"other"')
    head = world.first_browser.fetch("/sso/session.js", method="HEAD")

    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    assert (other.status, other.body) == (200, first.body)
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", etag)
    assert world.first_browser.fetch("/sso/session.js", method="POST").status == 405


def test_the_script_names_no_address_of_its_own() -> None:
    """Where our pages are it knows from its own address: `prefix` and the mount are settings."""
    script = read_file("session.js")

    assert "/sso" not in script
    assert not re.search(r"https?:", script)


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"\beval\b", r"new Function\b", r"set(?:Timeout|Interval)\(\s*[\"'`]"),
        *("innerHTML", "outerHTML", "insertAdjacentHTML", r"document\.write", r"setAttribute\(\"(?:style|on|src)"),
        *(r"createElement\(\"(?:i?frame|script)", "localStorage", r"document\.cookie"),
    ],
)
def test_the_script_does_nothing_that_a_strict_policy_forbids(pattern: str) -> None:
    """`default-src 'self'` is enough for it (the browser tests run it so); it opens no frame and keeps nothing."""
    assert not re.search(pattern, read_file("session.js"))


def test_the_windows_last_page_needs_no_session_and_tells_nothing(world: World) -> None:
    """It runs its own script, by hash, and works without one; it can not be framed."""
    before = world.first_browser.get("/sso/renewed")
    world.sign_in()
    after = world.first_browser.get("/sso/renewed")

    assert before.status == after.status == 200
    assert before.body == after.body
    assert "You can close this window" in before.text
    assert after.set_cookies == []
    policy = before.headers["Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(read_file("renewed.js").encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "frame-ancestors 'none'" in policy
    assert before.headers["Cache-Control"] == "no-store"


def test_the_windows_last_page_speaks_to_its_own_origin_only() -> None:
    """Whoever else opened it hears nothing."""
    script = read_file("renewed.js")

    assert re.findall(r"opener\.postMessage\((.*)\)", script) == ['"sso:renewed", location.origin']


@pytest.mark.parametrize("base_url", ["https://app.example", "https://app.example/shop"])
def test_a_window_ends_on_the_page_that_closes_it(make_world: MakeWorld, base_url: str) -> None:
    """Whatever the prefix and the mount: the script needs to know neither."""
    world = soft_world(make_world, prefix="/login/sso", base_url=base_url)
    world.mount = urlsplit(base_url).path
    world.sign_in()
    answer = world.first_browser.get(f"{base_url}/login/sso/renew?window=1")

    finish = world.post_response(world.idp.log_in(answer.location, "ada@acme.example", now=world.now))

    assert finish.location == f"{base_url}/login/sso/renewed"
    assert world.first_browser.get(finish.location).status == 200


def test_a_window_after_the_end_signs_in_and_ends_there_too(make_world: MakeWorld) -> None:
    """Nobody's session is left: the same address leads to the sign-in, and back to the page that closes it."""
    world = soft_world(make_world)
    world.sign_in()
    world.wait(hours=2)

    answer = world.first_browser.get("/sso/renew?window=1")
    assert parse_qs(urlsplit(answer.location).query)["return_to"] == ["/sso/renewed"]
    leaving = world.first_browser.get(answer.location)
    finish = world.post_response(world.idp.log_in(leaving.location, "ada@acme.example", now=world.now))

    assert finish.location == f"{world.base_url}/sso/renewed"


def test_without_a_window_a_renewal_still_returns_to_the_first_page(make_world: MakeWorld) -> None:
    """`renewed` is for the script's windows alone, and for whoever names it."""
    world = soft_world(make_world)
    world.sign_in()

    assert world.first_browser.get("/sso/renew").location == f"{world.base_url}/"
    named = world.first_browser.get("/sso/renew?window=1&return_to=/report")
    finish = world.post_response(world.idp.log_in(named.location, "ada@acme.example", now=world.now))
    assert finish.location == f"{world.base_url}/report"


def test_the_how_to_names_every_attribute_and_every_sentence() -> None:
    """What it shows to people is what the script has."""
    script = read_file("session.js")
    how_to = (ROOT / "docs/how-to/session-script.md").read_text()
    texts = dict(re.findall(r'^    (\w+): "(.*)",$', script, re.M))

    def attribute(word: str) -> str:
        return "data-" + re.sub("([A-Z])", r"-\1", word).lower()

    table = how_to[how_to.index("## Attributes") : how_to.index("In German")]
    assert set(re.findall(r"`(data-[a-z-]+)`", table)) == {
        *map(attribute, texts),
        *map(attribute, re.findall(r"data\.([a-zA-Z]+)", script)),
        "data-no-fetch",
    }
    shown = [sentence.replace("17:30", "{time}") for sentence in re.findall(r"\| \*(.*?)\* \|", how_to)]
    assert shown == [texts[name] for name in ("warning", "ending", "signedOut", "someoneElse")]
