"""The apps that the real servers serve: each answer says which worker gave it, and one app can die at a store call.

`sso.toml` is in the current directory. Imported by the servers, never by a test.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sso_middleware import SSO, ASGIMiddleware, Hooks, Settings, WSGIMiddleware, current_principal
from sso_middleware.stores.sql import SqlStore

WORKER = "X-Worker"
DEATH, POINTS = Path("death"), Path("points")


def _email() -> str:
    principal = current_principal()
    return principal.email if principal else "nobody"


# Both worlds


def host(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [_email().encode()]


class NamedWSGI:
    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def named(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            return start_response(status, [*headers, (WORKER, str(os.getpid()))], *exc_info)

        body: Iterable[bytes] = self.app(environ, named)
        return body


async def async_host(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """A page; an event stream below /stream; a websocket below /socket."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    is_stream = scope["path"] == "/stream"
    kind = b"text/event-stream" if is_stream else b"text/plain"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    while is_stream:
        await send({"type": "http.response.body", "body": b"data: here\n\n", "more_body": True})
        await asyncio.sleep(0.05)
    await send({"type": "http.response.body", "body": _email().encode()})


class NamedASGI:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def named(message: dict[str, Any]) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                worker = (WORKER.lower().encode(), str(os.getpid()).encode())
                message = {**message, "headers": [*message.get("headers", ()), worker]}
            await send(message)

        await self.app(scope, receive, named)


# Death


class Mortal:
    """A store whose process may be killed before or after any call of it.

    While the file `death` is there, each of these points is noted in `points`; at the one whose number
    `death` has, the process kills itself. A worker that takes its place lives.
    """

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._pass(f"before {name}")
            result = method(*args, **kwargs)
            self._pass(f"after {name}")
            return result

        return method if name == "close" else call

    def _pass(self, point: str) -> None:
        if not DEATH.exists():
            return
        with POINTS.open("a") as points:
            points.write(f"{point}\n")
        if len(POINTS.read_text().splitlines()) == int(DEATH.read_text()):
            DEATH.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


def make_sso(*, is_mortal: bool = False) -> SSO:
    settings = Settings.load()
    store = Mortal(SqlStore(settings.database_url)) if is_mortal else None
    return SSO(settings, Hooks(), store=store)


def wsgi() -> NamedWSGI:
    return NamedWSGI(WSGIMiddleware(host, make_sso()))


def mortal_wsgi() -> NamedWSGI:
    return NamedWSGI(WSGIMiddleware(host, make_sso(is_mortal=True)))


def asgi() -> NamedASGI:
    return NamedASGI(ASGIMiddleware(async_host, make_sso()))
