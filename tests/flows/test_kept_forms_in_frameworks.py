"""A kept form passes the CSRF protection of Django and of Flask-WTF, by the hooks that the documentation shows."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from io import BytesIO
from typing import Any

import flask
import pytest
import time_machine
from django.conf import settings as django_settings
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.urls import clear_url_caches, path
from django.utils.functional import empty
from flask_wtf.csrf import CSRFProtect, generate_csrf
from tests.conftest import MakeWorld
from tests.docs.blocks import ROOT, blocks
from tests.flows.kept import multipart, post_form, press_send, sign_in_again
from tests.world import World

from sso_middleware import Hooks
from sso_middleware.web import Request

HOW_TO = ROOT / "docs" / "how-to" / "keep-forms.md"
FILE = bytes(range(256))
flask_only = pytest.mark.parametrize("make_world", [("wsgi", "plain"), ("wsgi", "async")], indirect=True, ids="-".join)


def documented_hooks(framework: str, **names: object) -> Hooks:
    """The class of the documentation, in a module of its own without the app that stands around it."""
    (block,) = (block for block in blocks("python", page=HOW_TO) if f"from {framework}" in block.code)
    tree = ast.parse(block.code)
    tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef)]
    module: dict[str, Any] = {**names}
    exec(compile(tree, str(block), "exec"), module)
    hooks = module["MyHooks"]()
    assert isinstance(hooks, Hooks)
    return hooks


def use_refresh_form(world: World, hooks: Hooks) -> None:
    def refresh(request: Request, fields: Mapping[str, str]) -> Mapping[str, str] | None:
        renewed = hooks.refresh_form(request, fields)
        assert renewed is None or isinstance(renewed, Mapping)
        return renewed

    world.hooks.refresh = refresh


def token_on(text: str) -> bytes:
    found = re.search(r"token=([\w.-]+)", text)
    assert found, text
    return found.group(1).encode()


# Django

received_by_django: list[tuple[str, str, bytes]] = []


def note(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        scan = request.FILES.get("scan")
        received_by_django.append((request.get_full_path(), request.POST["title"], scan.read() if scan else b""))
        return HttpResponse("saved")
    return HttpResponse(f"token={get_token(request)}")


urlpatterns = [path("note", note)]


@pytest.fixture(autouse=True, scope="module")
def _django() -> Iterator[None]:
    """Settings of our own for a while: Django has one set for the process, and the examples are loaded in it, too."""
    before = django_settings._wrapped
    django_settings._wrapped = empty
    django_settings.configure(
        SECRET_KEY="for a test",
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["app.example"],
        MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
        CSRF_COOKIE_SECURE=True,
        USE_I18N=False,
    )
    yield
    django_settings._wrapped = before
    clear_url_caches()


@pytest.fixture(autouse=True)
def _nothing_received() -> None:
    received_by_django.clear()


async def patient_django(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Django, for a browser that stays until it is answered: at a disconnect it would drop the request."""

    async def received() -> Any:
        message = await receive()
        if message["type"] == "http.disconnect":
            await asyncio.Event().wait()
        return message

    await ASGIHandler()(scope, received, send)


class AsgiHooks(Hooks):
    """As the documentation's comment says for asgi.py."""

    def __init__(self, documented: Hooks) -> None:
        self.documented = documented

    def refresh_form(self, request: Request, fields: Mapping[str, str]) -> Any:
        names = type(self.documented).refresh_form.__globals__
        before = names["WSGIRequest"]
        names["WSGIRequest"] = lambda native: ASGIRequest(native, BytesIO())
        try:
            return self.documented.refresh_form(request, fields)
        finally:
            names["WSGIRequest"] = before


def wrap_django(world: World) -> None:
    world.wrap(WSGIHandler() if world.kind == "wsgi" else patient_django)
    documented = documented_hooks("django")
    use_refresh_form(world, documented if world.kind == "wsgi" else AsgiHooks(documented))


@pytest.mark.parametrize("encoding", ["urlencoded", "multipart"])
@pytest.mark.parametrize("limit", ["soft", "hard"])
def test_django_takes_a_kept_form(make_world: MakeWorld, encoding: str, limit: str) -> None:
    """With CsrfViewMiddleware on, over either timeout, even with a token that Django has never seen."""
    world = make_world(hard_timeout="30m", soft_timeout="10m" if limit == "soft" else None)
    wrap_django(world)
    world.sign_in(page="/note?list=7")
    browser = world.first_browser
    stale = token_on(browser.get("/note?list=7").text)[::-1]
    content_type, body = form_with(b"csrfmiddlewaretoken", stale, encoding)
    assert post_form(browser, body, "/note?list=7", content_type=content_type).status == 403

    world.wait(minutes=12 if limit == "soft" else 32)
    answer = post_form(browser, body, "/note?list=7", content_type=content_type)
    if limit == "soft":
        url = answer.refresh_url
        arrived = world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now))
        offer = browser.get(arrived.location)
    else:
        offer = sign_in_again(world, answer)
    assert "csrfmiddlewaretoken" not in offer.text
    sent = press_send(browser, offer)

    assert (sent.status, sent.text) == (200, "saved"), sent.text
    assert received_by_django == [("/note?list=7", "größer", FILE if encoding == "multipart" else b"")]


def test_django_refuses_it_without_the_hook(make_world: MakeWorld) -> None:
    """Its protection is as good as before: a kept form with a bad token is refused like any other."""
    world = make_world(hard_timeout="30m")
    wrap_django(world)
    world.hooks.refresh = lambda _, __: None
    world.sign_in(page="/note")
    browser = world.first_browser
    stale = token_on(browser.get("/note").text)[::-1]
    world.wait(minutes=32)
    _, body = form_with(b"csrfmiddlewaretoken", stale, "urlencoded")

    assert press_send(browser, sign_in_again(world, post_form(browser, body, "/note"))).status == 403
    assert received_by_django == []


def form_with(name: bytes, token: bytes, encoding: str) -> tuple[str, bytes]:
    if encoding == "multipart":
        return multipart((name.decode(), None, token), ("title", None, "größer".encode()), ("scan", "s.bin", FILE))
    return "application/x-www-form-urlencoded", name + b"=" + token + b"&title=gr%C3%B6%C3%9Fer"


# Flask


def make_flask(received: list[tuple[str, bytes]]) -> flask.Flask:
    app = flask.Flask(__name__)
    app.config.update(SECRET_KEY="for a test", SESSION_COOKIE_SECURE=True)
    CSRFProtect(app)

    @app.route("/note", methods=["GET", "POST"])
    def note() -> str:
        if flask.request.method == "GET":
            return f"token={generate_csrf()}"
        scan = flask.request.files.get("scan")
        received.append((flask.request.form["title"], scan.read() if scan else b""))
        return "saved"

    return app


@flask_only
@pytest.mark.parametrize("encoding", ["urlencoded", "multipart"])
@pytest.mark.parametrize("with_hook", [True, False])
def test_flask_takes_a_kept_form(make_world: MakeWorld, encoding: str, with_hook: bool) -> None:
    """With CSRFProtect on, and a token older than the hour that Flask-WTF gives it. Without the hook it is refused."""
    received: list[tuple[str, bytes]] = []
    app = make_flask(received)
    world = make_world(hard_timeout="30m")
    world.wrap(app.wsgi_app)
    if with_hook:
        use_refresh_form(world, documented_hooks("flask", app=app))
    browser = world.first_browser
    with time_machine.travel(world.now, tick=False) as clock:
        world.sign_in(page="/note")
        content_type, body = form_with(b"csrf_token", token_on(browser.get("/note").text), encoding)
        assert post_form(browser, body, "/note", content_type=content_type).text == "saved"
        world.wait(minutes=70)
        clock.shift(timedelta(minutes=70))
        offer = sign_in_again(world, post_form(browser, body, "/note", content_type=content_type))
        sent = press_send(browser, offer)

    title_and_scan = ("größer", FILE if encoding == "multipart" else b"")
    if with_hook:
        assert sent.text == "saved", sent.text
        assert received == [title_and_scan] * 2
    else:
        assert (sent.status, len(received)) == (400, 1)
        assert "expired" in sent.text
