"""What must never reach a log, an exception or a repr (WEB-024)."""

from __future__ import annotations

import logging

import pytest
from tests.world import World

from sso_middleware import Continue, Link


def test_no_log_line_tells_a_secret(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A login, a replay, a forgery, a wrong domain, a failing hook, a sign-out: none names the person."""
    caplog.set_level(logging.DEBUG)
    for email, forge in (("bob@globex.example", False), ("ada@acme.example", True)):
        form = world.log_in("/x", email)
        if forge:
            form["SAMLResponse"] = form["SAMLResponse"][:-8] + "AAAAAAAA"
        assert world.post_response(form).status >= 400
    world.hooks.decision = lambda identity: 1 / 0  # type: ignore[assignment, return-value]  # raises
    assert world.post_response(world.log_in("/x")).status == 503
    world.hooks.decision = lambda identity: Continue()
    form = world.log_in("/report?token=in-the-query")
    world.post_response(form)
    world.post_response(form)
    cookies = list(world.first_browser.cookies.values())
    token = world.first_browser.get("/sso/logout").field("csrf_token")
    world.first_browser.post("/sso/logout", {"csrf_token": token})

    # signxml plays the identity provider here, and logs what it signs.
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith("signxml")]
    said = "\n".join(lines) + repr(world.events) + repr(world.sso.site)
    for secret in (*cookies, token, "ada@", "bob@", "in-the-query", form["SAMLResponse"][:40]):
        assert secret not in said, secret
    for key in world.settings.secret_keys:
        assert key.get_secret_value() not in said
    assert len([line for line in lines if "Event(" in line]) == 6


def test_a_user_id_that_is_an_address_is_not_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Many hosts know their people by e-mail address."""
    caplog.set_level(logging.INFO)
    world.hooks.decision = lambda identity: Link(identity.email)

    world.sign_in()

    lines = [record.getMessage() for record in caplog.records if record.name.startswith("sso_middleware")]
    assert any("login_succeeded" in line for line in lines)
    assert "ada@" not in "".join(lines)


def test_the_event_table_keeps_what_the_person_was_shown(world: World) -> None:
    """Reference, code and reason; the e-mail only where a login succeeded."""
    world.post_response(world.log_in("/x", "bob@globex.example"))
    refused = world.events[-1]

    (kept,) = world.store.get_events(reference=refused.reference)

    assert kept.code == "email_outside_domains"
    assert kept.client == "203.0.113.9"
    assert "globex.example" in kept.detail["why"]
    assert "bob" not in repr(kept.detail)
