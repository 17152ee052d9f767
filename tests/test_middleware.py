"""`SSOMiddleware` picks the shell that fits, and says so when it can't."""

from __future__ import annotations

import asyncio
import functools
import inspect
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.identity_provider import IdentityProvider
from tests.world import SECRET

from sso_middleware import ASGIMiddleware, ConfigurationError, Hooks, Settings, SSOMiddleware, WSGIMiddleware
from sso_middleware.middleware import is_asgi


def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    return []


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    pass


class AsgiClass:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        pass


class WsgiClass:
    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        return []

    def wsgi_app(self, environ: Any, start_response: Any) -> list[bytes]:
        return []


def plain_asgi(scope: Any, receive: Any, send: Any) -> Any:
    return asgi_app(scope, receive, send)


@pytest.mark.parametrize("app", [asgi_app, AsgiClass(), functools.partial(asgi_app), plain_asgi])
def test_an_asgi_app_is_known(app: Any) -> None:
    assert is_asgi(app)


@pytest.mark.parametrize("app", [wsgi_app, WsgiClass(), WsgiClass().wsgi_app, functools.partial(wsgi_app)])
def test_a_wsgi_app_is_known(app: Any) -> None:
    assert not is_asgi(app)


@pytest.mark.parametrize("app", [lambda *args: None, lambda x: None, AsgiClass, "module:app", None, dict])
def test_what_is_unclear_is_not_guessed(app: Any) -> None:
    with pytest.raises(TypeError, match=r"ASGIMiddleware or sso_middleware\.WSGIMiddleware"):
        is_asgi(app)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(base_url="https://app.example", secret_keys=[SECRET], database_url=f"sqlite:///{tmp_path}/sso.db")


def test_the_shell_is_what_servers_look_at(settings: Settings) -> None:
    wrapped = SSOMiddleware(asgi_app, settings)

    assert isinstance(wrapped, ASGIMiddleware)
    assert inspect.iscoroutinefunction(type(wrapped).__call__)
    assert isinstance(SSOMiddleware(wsgi_app, settings), WSGIMiddleware)


def test_single_options_and_a_mapping_make_settings(tmp_path: Path) -> None:
    options = {"secret_keys": [SECRET], "database_url": f"sqlite:///{tmp_path}/sso.db"}

    wrapped = SSOMiddleware(wsgi_app, options, base_url="https://app.example")

    assert wrapped.sso.settings.base_url == "https://app.example"


def test_settings_and_single_options_are_not_mixed(settings: Settings) -> None:
    with pytest.raises(TypeError, match="not both"):
        SSOMiddleware(wsgi_app, settings, name="shop")


@pytest.mark.parametrize("changes", [{"mode": "domains"}, {"excluded_users": ["it@acme.example"]}])
def test_a_rule_about_the_hosts_people_needs_the_hook(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Else it would silently never apply."""
    connection = {
        "id": "acme",
        "organization": "Acme",
        "domains": ["acme.example"],
        "metadata": IdentityProvider().metadata,
        "excluded_users": changes.pop("excluded_users", []),
    }
    settings = Settings(
        base_url="https://app.example",
        secret_keys=[SECRET],
        database_url=f"sqlite:///{tmp_path}/sso.db",
        connections=[connection],
        **changes,
    )

    with pytest.raises(ConfigurationError, match="host_user"):
        SSOMiddleware(wsgi_app, settings)

    class WithHook(Hooks):
        def host_user(self, request: Any) -> None:
            return None

    assert isinstance(SSOMiddleware(wsgi_app, settings, hooks=WithHook()), WSGIMiddleware)


def test_two_instances_in_one_process_do_not_meet(settings: Settings, tmp_path: Path) -> None:
    """Nothing is global: each has its own settings and store."""
    other = SSOMiddleware(
        wsgi_app, settings.model_copy(update={"name": "two", "database_url": f"sqlite:///{tmp_path}/two.db"})
    )
    first = SSOMiddleware(wsgi_app, settings)

    assert first.sso.site.cookie_name("session") != other.sso.site.cookie_name("session")


def test_starlette_and_flask_take_it_as_their_own(settings: Settings) -> None:
    """`add_middleware`, and `app.wsgi_app = …`."""
    from flask import Flask
    from starlette.applications import Starlette

    starlette = Starlette()
    starlette.add_middleware(SSOMiddleware, settings=settings)
    flask = Flask(__name__)
    flask.wsgi_app = SSOMiddleware(flask.wsgi_app, settings)  # type: ignore[method-assign]  # Flask's documented way

    async def ask() -> int:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(starlette), base_url="https://app.example"
        ) as client:
            return (await client.get("/")).status_code

    assert asyncio.run(ask()) == 503
    assert flask.test_client().get("/", base_url="https://app.example").status_code == 503


def test_wrong_settings_fail_the_start_under_starlette_too(tmp_path: Path) -> None:
    """It builds its middleware inside lifespan, where an exception is taken for an app without lifespan."""
    from starlette.applications import Starlette

    app = Starlette()
    app.add_middleware(SSOMiddleware, settings={"base_url": "https://app.example", "secret_keys": ["short"]})
    sent: list[Any] = []

    async def start() -> None:
        async def receive() -> dict[str, str]:
            return {"type": "lifespan.startup"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app({"type": "lifespan", "app": app}, receive, send)

    asyncio.run(start())
    (failed,) = sent
    assert failed["type"] == "lifespan.startup.failed"
    assert "secret_keys" in failed["message"]

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://app.example") as client:
            await client.get("/")

    with pytest.raises(ConfigurationError):
        asyncio.run(ask())


def test_a_core_that_awaits_anything_else_is_caught() -> None:
    """`run()` raises: a wait would be lost under WSGI."""
    from sso_middleware.calling import run

    async def forgetful() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="other than call"):
        run(forgetful())
