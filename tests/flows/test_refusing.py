"""Every refusal: a code, a sentence, a reference that the admin finds again; never a 500."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.world import World


def test_a_refusal_is_told_to_three_readers(world: World) -> None:
    """The person gets sentence, code and reference; the admin finds the detail under it; both in the log."""
    answer = world.post_response(world.log_in("/x", "bob@globex.example"))

    (event,) = world.events
    assert event.reference is not None
    assert re.fullmatch(r"[a-z]+-[a-z]+", event.reference)
    assert event.reference in answer.text
    assert "email_outside_domains" in answer.text
    assert "Your e-mail address does not belong to this organization." in answer.text
    assert "/sso/login?return_to=/x" in answer.text
    assert "globex.example" not in answer.text
    assert event.connection_id == "acme"


def test_a_script_gets_the_same_as_a_problem_document(world: World) -> None:
    """RFC 9457."""
    answer = world.browser().fetch("/sso/unknown")

    problem = json.loads(answer.body)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status, problem["status"], problem["code"]) == (404, 404, "page_not_found")
    assert problem["reference"] == world.events[0].reference


@pytest.mark.parametrize(
    ("method", "page", "allowed"),
    [
        ("POST", "session", "GET, HEAD"),
        ("POST", "signed-out", "GET, HEAD"),
        ("DELETE", "login", "GET, POST"),
        ("PUT", "finish", "GET, POST"),
        ("POST", "acme/metadata", "GET, HEAD"),
        ("PATCH", "logout", "GET, POST"),
    ],
)
def test_a_method_that_a_page_does_not_have_is_refused(world: World, method: str, page: str, allowed: str) -> None:
    """405, with those that it has."""
    answer = world.browser().send(method, f"/sso/{page}", headers={})

    assert answer.status == 405
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize(
    "path",
    ["/sso/", "/sso/unknown", "/sso/acme/unknown", "/sso/acme/acs/x", "/sso/login/x", "/sso/acs", "/sso/metadata"],
)
def test_a_page_that_we_do_not_have_is_not_the_hosts(world: World, path: str) -> None:
    """The prefix is ours, all of it."""
    assert world.browser().get(path).status == 404
    assert world.app.seen == []


def test_a_missing_page_says_so_and_leads_on(world: World) -> None:
    """No sign-in would help there."""
    answer = world.browser().get("/sso/unknown")

    assert "There is no such page" in answer.text
    assert f'href="{world.base_url}/"' in answer.text


@pytest.mark.parametrize("path", ["//sso/login", "/sso//login", "/sso/./login", "/sso/x/../login", "/sso/login;x"])
def test_our_pages_are_not_reached_by_a_side_path(world: World, path: str) -> None:
    """They are the host's paths then, and protected (WEB-010)."""
    answer = world.browser().get(world.base_url + path)

    assert answer.status == 303
    assert answer.location.startswith(f"{world.base_url}/sso/login?return_to=")


def test_a_fault_of_ours_is_a_503_without_its_text(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """And the log has the stack, but not what the exception said."""

    person = "ada@acme.example"

    def broken(session_id: str) -> None:
        raise ZeroDivisionError(person)

    world.sign_in()
    world.store.get_session = broken  # type: ignore[assignment, method-assign]  # a fault of ours

    answer = world.first_browser.get("/report")

    assert answer.status == 503
    assert "internal_error" in answer.text
    assert "ZeroDivisionError" in caplog.text
    assert "in broken" in caplog.text
    assert "ada@" not in answer.text + caplog.text


def test_a_store_that_can_not_record_a_refusal_does_not_undo_it(world: World) -> None:
    """WEB-026: still refused, and told."""
    from sso_middleware.errors import StoreUnavailable

    def down(event: object) -> None:
        raise StoreUnavailable("disk full")

    world.store.add_event = down  # type: ignore[method-assign]  # a full disk

    assert world.post_response(world.log_in("/x", "bob@globex.example")).status == 403


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, StopIteration])
def test_a_store_that_raises_anything_shuts_the_door(world: World, error: type[Exception]) -> None:
    """Every page of ours, and every protected one: refused, and never an exception of the server's."""
    world.sign_in()
    browser = world.first_browser
    browser.cookies["__Host-sso-pending-aaaaaaaaaaaa"] = "x" * 43
    reached = len(world.app.seen)

    def broken(*args: object, **kwargs: object) -> Any:
        raise error

    for method in ("get_session", "get_pending_login", "add_login_request", "add_event"):
        setattr(world.store, method, broken)

    for page in ("/report", "/sso/login", "/sso/finish?attempt=aaaaaaaaaaaa", "/sso/logout", "/sso/session"):
        assert browser.get(page).status == 503, page
    assert browser.post("/sso/acme/acs", {"SAMLResponse": "x"}).status == 400
    assert len(world.app.seen) == reached


def test_an_event_keeps_no_more_than_it_needs(world: World) -> None:
    """Anybody may ask for a path of 60 KB, and events are kept."""
    world.browser().get(f"/sso/{'a' * 60_000}/{'b' * 60_000}")

    (event,) = world.store.get_events()
    assert len(event.connection_id or "") + sum(map(len, event.detail.values())) < 2000


def test_a_host_that_can_not_hear_of_an_event_does_not_stop_a_login(world: World) -> None:
    """on_event is told, not asked."""
    world.hooks.events = None  # type: ignore[assignment]  # appending to it raises

    assert world.sign_in().status == 303
    assert world.first_browser.get("/report").status == 200


def test_the_page_of_a_refusal_can_not_be_made_up(world: World) -> None:
    """Its code and reference are signed."""
    for about in ("", "x", "assertion_replayed hello-world"):
        answer = world.browser().get(f"/sso/refused?about={about}")
        assert answer.status == 403
        assert "hello-world" not in answer.text


def test_metadata_is_offered_for_download(make_world: MakeWorld) -> None:
    """With a name; the encryption key only where encryption is on."""
    world = make_world()

    answer = world.browser().get("/sso/acme/metadata")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/samlmetadata+xml"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="acme-sp-metadata.xml"'
    assert world.acs_url in answer.text
    assert world.entity_id in answer.text
    assert 'use="signing"' in answer.text
    assert 'use="encryption"' not in answer.text
    encrypting = make_world(connections=[world.connection(encryption="optional")])
    assert 'use="encryption"' in encrypting.browser().get("/sso/acme/metadata").text
    assert world.browser().get("/sso/unknown/metadata").status == 404


@pytest.mark.parametrize("page", ["login", "logout", "signed-out", "session", "unknown"])
def test_no_page_of_ours_is_cached(world: World, page: str) -> None:
    """WEB-017."""
    assert world.browser().get(f"/sso/{page}").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:443", "app.example.evil.example", ""])
def test_a_host_that_lies_changes_no_url_of_ours(world: World, host: str) -> None:
    """WEB-009: metadata, redirects and links come from base_url."""
    for path in ("/sso/acme/metadata", "/report", "/sso/login", "/sso/signed-out"):
        answer = world.browser().get(path, Host=host, X_Forwarded_Host="evil.example", X_Forwarded_Proto="http")
        assert "evil" not in answer.text + answer.headers.get("Location", "")
