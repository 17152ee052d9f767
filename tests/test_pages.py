"""Our own pages: what protects them, and that nothing is loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import pytest
from jinja2 import UndefinedError
from werkzeug.datastructures import Headers

from sso_middleware.languages import OurText
from sso_middleware.pages import Pages
from sso_middleware.web import Reply, Request

ASKED = Request("GET", "/", None, "", Headers(), "https", "", None, {}, lambda _: b"")
HOSTILE = '"><script>alert(1)</script>'
PAGES: dict[str, dict[str, Any]] = {
    "accept": {"action": "/a", "csrf_token": "t", "email": HOSTILE, "organization": HOSTILE, "cancel_url": "/c"},
    "complete_profile": {
        "action": "/a",
        "csrf_token": "t",
        "return_to": HOSTILE,
        "email": HOSTILE,
        "countries": [("CI", HOSTILE)],
        "country": "CI",
        "teams": [(HOSTILE, [(HOSTILE, HOSTILE)])],
        "team": None,
        "problems": {"team": OurText(HOSTILE)},
    },
    "leaving": {"url": f"https://idp.example/?{HOSTILE}"},
    "login": {
        "action": "/a",
        "csrf_token": "t",
        "return_to": HOSTILE,
        "email": HOSTILE,
        "problem": HOSTILE,
        "local_login_url": HOSTILE,
    },
    "logout": {"action": "/a", "csrf_token": "t", "name": HOSTILE, "back_url": "/b"},
    "post": {"url": "https://idp.example/sso", "fields": (("RelayState", HOSTILE),)},
    "recovery_ask": {"action": "/a", "csrf_token": "t"},
    "recovery_asked": {"back_url": HOSTILE},
    "recovery_link": {"action": "/a", "csrf_token": "t", "token": HOSTILE, "organization": HOSTILE},
    "recovery_connections": {
        "action": "/a",
        "csrf_token": "t",
        "organization": HOSTILE,
        "ends_at": "12:00 UTC",
        "problems": [HOSTILE],
        "done": HOSTILE,
        "connections": [
            {
                "id": HOSTILE,
                "version": 1,
                "state": "active",
                "is_declared": False,
                "entity_id": HOSTILE,
                "excluded_users": [HOSTILE],
            }
        ],
    },
    "refused": {
        "heading": HOSTILE,
        "code": "x",
        "sentence": HOSTILE,
        "reference": HOSTILE,
        "look_again": HOSTILE,
        "button": HOSTILE,
        "button_url": HOSTILE,
    },
    "renewal_unanswered": {"try_again_url": HOSTILE, "logout_url": HOSTILE},
    "renewed": {"script": "renewed.js", "continue_url": HOSTILE},
    "sign_in_first": {"login_url": HOSTILE},
    "signed_in": {"code": "x", "reference": "y", "continue_url": HOSTILE},
    "signed_out": {"login_url": HOSTILE, "outcome": None},
    "welcome": {
        "organization": HOSTILE,
        "granted": [(HOSTILE, HOSTILE)],
        "left_out": 1,
        "continue_url": HOSTILE,
    },
}


@pytest.fixture(params=sorted(PAGES))
def page(request: pytest.FixtureRequest) -> Reply:
    return Pages().reply(ASKED, request.param, **PAGES[request.param])


def test_a_page_can_not_be_framed_cached_or_scripted(page: Reply) -> None:
    """WEB-015, WEB-016, WEB-017."""
    headers = dict(page.headers)
    policy = headers["Content-Security-Policy"]

    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "unsafe" not in policy


def test_what_others_said_is_escaped(page: Reply) -> None:
    """WEB-016, PRO-041."""
    assert b"<script>alert" not in page.body


def test_the_policy_names_the_very_style_and_script_of_the_page(page: Reply) -> None:
    """By their hashes; nothing else would run."""
    policy = dict(page.headers)["Content-Security-Policy"]

    for element in ("style", "script"):
        for text in re.findall(rf"<{element}>(.*?)</{element}>", page.body.decode(), re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{element}-src 'sha256-{digest}'" in policy


def test_a_page_says_its_language_title_and_heading(page: Reply) -> None:
    """For those who hear it."""
    text = page.body.decode()

    assert '<html lang="en">' in text
    title = re.search(r"<title>(.*)</title>", text)
    heading = re.search(r"<h1>(.*)</h1>", text)
    assert title is not None
    assert heading is not None
    assert title.group(1) == heading.group(1) != ""


def test_a_forgotten_value_is_an_error() -> None:
    """Not an empty place."""
    with pytest.raises(UndefinedError):
        Pages().reply(ASKED, "login")


def test_a_page_that_only_passes_a_form_on_may_be_framed_by_whom_it_is_for() -> None:
    """Single logout goes round in frames; every other part of the policy stays."""
    page = Pages().reply(
        ASKED,
        "post",
        form_target="https://idp.example/slo",
        framed_by=["https://idp.example", "https://login.example"],
        url="https://idp.example/slo",
        fields=(),
    )

    headers = dict(page.headers)
    assert "X-Frame-Options" not in headers
    assert "frame-ancestors https://idp.example https://login.example;" in headers["Content-Security-Policy"]
    assert "form-action 'self' https://idp.example;" in headers["Content-Security-Policy"]
