"""What the tests of interception share: an app with a login of its own, and ways to send its forms."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import urlencode

from tests.conftest import MakeWorld
from tests.flows.kept import URLENCODED
from tests.identity_provider import IdentityProvider
from tests.world import NAVIGATION, Answer, Browser, World

EXCLUDED = ["it1@acme.example", "it2@acme.example"]
LOGIN = {"path": "/login", "field": "email", "kind": "login"}
FORMS = [LOGIN, {"path": "/join", "field": ["email", "username"], "kind": "registration"}]
FORMS += [{"path": "/forgot", "field": "email", "kind": "reset"}]
OUR_JSON = {"Accept": "application/json", "Content-Type": "application/json"}


GLOBEX = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso")


def intercepting(
    make_world: MakeWorld, *, connection: dict[str, Any] | None = None, others: Any = (), **settings: Any
) -> World:
    """acme.example is exclusive, offered.example is offered; two people are excluded. Beside it globex is tested."""
    declared = {
        "id": "acme",
        "organization": "Acme",
        "domains": ["acme.example", "bücher.example", "offered.example"],
        "domain_modes": {"offered.example": "offer"},
        "metadata": IdentityProvider().metadata,
        "excluded_users": EXCLUDED,
        **(connection or {}),
    }
    globex = {
        "id": "globex",
        "organization": "Globex",
        "domains": ["globex.example"],
        "metadata": GLOBEX.metadata,
        "state": "testing",
        "test_users": ["test@globex.example"],
    }
    values: dict[str, Any] = {"mode": "domains", "public": ["/login", "/join", "/forgot"], "intercept": FORMS}
    values["connections"] = [declared, globex, *others]
    return make_world(**{**values, **settings})


def send(
    browser: Browser,
    body: bytes | str | list[tuple[str, str]] | dict[str, str],
    path: str = "/login",
    *,
    content_type: str | None = URLENCODED,
    method: str = "POST",
    script: bool = False,
    **headers: str,
) -> Answer:
    """A form of the app's, as a browser sends it, or a script."""
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else urlencode(body).encode()
    sent = {"Accept": "*/*", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"} if script else dict(NAVIGATION)
    sent |= {"Origin": browser.world.origin, **{k.replace("_", "-"): v for k, v in headers.items()}}
    if content_type is not None:
        sent["Content-Type"] = content_type
    return browser.send(method, path, headers=sent, body=raw)


def is_sent_to_sso(answer: Answer) -> bool:
    """By a 200 page with a refresh, never by a redirect."""
    return answer.status == 200 and "Taking you to your organization" in answer.text


def links(answer: Answer) -> list[str]:
    """Where the links of a page lead."""
    return [html.unescape(url) for url in re.findall(r'<a [^>]*href="([^"]*)"', answer.text)]


def ask_at_sign_in_page(browser: Browser, email: str, return_to: str = "/report") -> Answer:
    """The address, typed on our own sign-in page."""
    page = browser.get(f"/sso/login?return_to={return_to}")
    fields = {"csrf_token": page.field("csrf_token"), "return_to": page.field("return_to"), "email": email}
    return browser.post("/sso/login", fields)
