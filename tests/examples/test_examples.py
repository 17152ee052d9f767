"""The examples do what they are examples of: each is short, starts from its settings alone, and signs people in."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.identity_provider import IdentityProvider
from tests.servers import EXAMPLES, ConnectionSettings, write_settings
from tests.visitor import NAVIGATION, Form, form_on, way_out

BASE_URL = "http://127.0.0.1:8000"
EVERYONE = (
    ("raw_wsgi", "app"),
    ("raw_asgi", "app"),
    ("flask_app", "app"),
    ("fastapi_app", "app"),
    ("django_project.wsgi", "application"),
    ("django_project.asgi", "application"),
)
DOMAINS = (("domains_wsgi", "app"), ("domains_flask", "app"))
ASGI_MODULES = {"raw_asgi", "fastapi_app", "django_project.asgi"}

Configure = Callable[[str], None]


class ASGIInThisThread(httpx.BaseTransport):
    """An ASGI app for a plain httpx client: one event loop for each request."""

    def __init__(self, app: Any) -> None:
        self.transport = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        # What httpx.Client sends is plain bytes; what comes back is read here, inside the loop.
        request = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        response = await self.transport.handle_async_request(request)
        return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())


@pytest.fixture
def identity_provider() -> IdentityProvider:
    return IdentityProvider()


@pytest.fixture
def configure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, identity_provider: IdentityProvider
) -> Iterator[Configure]:
    """Write sso.toml into an empty current directory; the examples are importable, and forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delenv("SSO_CONFIG", raising=False)
    metadata_file = tmp_path / "idp.xml"
    metadata_file.write_text(identity_provider.metadata)

    def configure(mode: str) -> None:
        excluded = ("it1@acme.example",) if mode == "domains" else ()
        connection = ConnectionSettings("acme", metadata_file, ("acme.example",), excluded_users=excluded)
        write_settings(tmp_path, base_url=BASE_URL, connections=[connection], mode=mode)

    yield configure
    names = {path.stem for path in EXAMPLES.iterdir()}
    for module in set(sys.modules) - before:
        if module.partition(".")[0] in names:
            del sys.modules[module]


def visitor_of(module: str, name: str) -> httpx.Client:
    app = getattr(importlib.import_module(module), name)
    transport = ASGIInThisThread(app) if module in ASGI_MODULES else httpx.WSGITransport(app)
    return httpx.Client(transport=transport, base_url=BASE_URL, headers=NAVIGATION)


def sign_in(visitor: httpx.Client, identity_provider: IdentityProvider, url: str) -> httpx.Response:
    """Sign in as Ada at the identity provider where this leads, and follow our redirects to where they end."""
    form = identity_provider.log_in(url, "ada@acme.example", now=datetime.now(UTC))
    return visitor.post("/sso/acme/acs", data=form, follow_redirects=True)


@pytest.mark.parametrize("example", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short(example: Path) -> None:
    """An example of wrapping fits a screen; one with a login of its own, nearly."""
    limit = 100 if example.stem.startswith("domains_") else 60
    assert len(example.read_text().splitlines()) < limit


@pytest.mark.parametrize(("module", "name"), EVERYONE)
def test_an_example_signs_people_in_and_out(
    module: str, name: str, configure: Configure, identity_provider: IdentityProvider
) -> None:
    """A page for everybody, a protected page with its query string, the person's name, and a sign-out that works."""
    configure("everyone")
    with visitor_of(module, name) as visitor:
        assert "Everybody may read this" in visitor.get("/").text

        page = sign_in(visitor, identity_provider, way_out(visitor, "/report?year=2026&q=%3Cb%3E"))
        assert page.status_code == 200, page.text
        assert page.url.raw_path == b"/report?year=2026&q=%3Cb%3E"
        assert "ada@acme.example" in page.text
        assert "year=2026&amp;q=%3Cb%3E" in page.text

        form = form_on(page)
        signed_out = visitor.post(form.action, data=form.fields)
        assert signed_out.headers["Location"] == f"{BASE_URL}/sso/signed-out"
        asked = visitor.get(visitor.get("/report").headers["Location"])
        assert "You are signed out" in asked.text
        assert way_out(visitor, "/sso/login?again=1").startswith(identity_provider.sso_url)


@pytest.mark.parametrize(("module", "name"), DOMAINS)
@pytest.mark.parametrize("email", ["it1@acme.example", "zoe@freelance.example"])
def test_the_host_lets_others_in(module: str, name: str, email: str, configure: Configure) -> None:
    """Excluded people, and people of other domains, sign in with the host's password."""
    configure("domains")
    with visitor_of(module, name) as visitor:
        assert visitor.get("/report").headers["Location"] == "/login"

        page = visitor.post("/login", data=own_login(visitor, email).fields, follow_redirects=True)

        assert page.status_code == 200
        assert f"Signed in as {email}" in page.text


@pytest.mark.parametrize(("module", "name"), DOMAINS)
def test_an_exclusive_domain_signs_in_elsewhere(
    module: str, name: str, configure: Configure, identity_provider: IdentityProvider
) -> None:
    """The host's password gets somebody of an exclusive domain nothing but an ended session."""
    configure("domains")
    with visitor_of(module, name) as visitor:
        logged_in = visitor.post("/login", data=own_login(visitor, "alice@acme.example").fields)
        assert logged_in.status_code == 303

        elsewhere = way_out(visitor, "/report")
        assert elsewhere.startswith(identity_provider.sso_url)
        assert not {"login", "session"} & set(visitor.cookies)
        page = sign_in(visitor, identity_provider, elsewhere)
        assert "Signed in as ada@acme.example" in page.text


@pytest.mark.parametrize(("module", "name"), DOMAINS)
def test_a_wrong_password(module: str, name: str, configure: Configure) -> None:
    """The examples' own login refuses a wrong password and an unknown person."""
    configure("domains")
    with visitor_of(module, name) as visitor:
        for email, password in (("zoe@freelance.example", "wrong"), ("nobody@acme.example", ""), ("", "")):
            answer = visitor.post("/login", data={"email": email, "password": password})
            assert answer.status_code == 401
        assert visitor.get("/report").headers["Location"] == "/login"


def own_login(visitor: httpx.Client, email: str) -> Form:
    form = form_on(visitor.get("/login"))
    return Form(form.action, {"email": email, "password": f"{email.partition('@')[0]}-host-pw"})
