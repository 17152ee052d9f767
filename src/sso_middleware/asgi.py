"""The ASGI shell: scope → Request, decision → messages. No rule lives here.

HTTP and websocket requests are decided on; lifespan is passed through; any other scope type is refused.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote_to_bytes

from .asgi_answers import (
    SESSION_ENDED,
    ASGIApp,
    HostAnswer,
    HostSocket,
    Message,
    Receive,
    Scope,
    Send,
    Watched,
    is_of_the_end,
    read_headers,
    send_reply,
)
from .calling import CallCooperatively
from .errors import BodyTooLarge, ConfigurationError
from .flows.identity_headers import CLAIM, COOKIE
from .principal import _current
from .replaying import change_receive, change_scope
from .sso import SSO
from .web import BodyReader, PassThrough, Reply, Request, client_address

__all__ = ["SESSION_ENDED", "ASGIApp", "ASGIMiddleware", "Receive", "Scope", "Send", "StartRefused", "make_request"]


class ASGIMiddleware:
    """Wraps an ASGI app. Made by `SSOMiddleware(app, …)`, or by name where the app's kind is unclear."""

    def __init__(self, app: ASGIApp, sso: SSO) -> None:
        self.app = app
        self.sso = sso
        self.call = CallCooperatively(sso.settings.threads, hook_timeout=sso.settings.hook_timeout)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await _Lifespan(self.app).run(scope, receive, send)
            return
        if kind not in ("http", "websocket"):
            raise RuntimeError(f"sso_middleware does not know the scope type {kind!r}, so nothing passes")
        headers, cookies, is_plain = self._headers_for_host(scope["headers"])
        request: Request | None = None
        passed = self._recall(scope, cookies) if is_plain and kind == "http" else None
        if passed is None:
            request = make_request(scope, receive, self.sso)
            answer = await self.sso.decide(request, self.call)
            if isinstance(answer, Reply):
                await _reply(answer, scope, receive, send)
                return
            passed = answer
        principal = passed.principal
        told = {**scope, "headers": headers, "sso.principal": principal, "sso.csrf_token": passed.csrf_token}
        if principal is not None:
            told["user"] = principal
            told["auth"] = passed.credentials
        if passed.query is not None or passed.replay is not None:
            change_scope(told, passed)
            receive = change_receive(receive, passed)
        token = _current.set(principal)
        try:
            if request is None and principal is None:  # nothing about the answer is ours
                await self.app(told, receive, send)
                return
            through = _host_side(self, request, scope, passed, receive, send)
            try:
                await self.app(told, through.receive, through.send)
            except Exception as error:  # frameworks wrap what our `send` raised in errors of their own
                if not is_of_the_end(error):
                    raise
            finally:
                if through.watch is not None:
                    await through.finish()
        finally:
            _current.reset(token)

    def _recall(self, scope: Scope, cookies: str | None) -> PassThrough | None:
        key = (scope["path"], scope.get("raw_path"), scope.get("root_path"))
        return self.sso.recall(scope["method"], key, _paths_of, scope, cookies, scope.get("query_string", b""))

    def _headers_for_host(self, headers: Any) -> tuple[Any, str | None, bool]:
        """Without anybody else's word on who the person is; the Cookie header; whether there is at most one."""
        kinds = self.sso.identity_headers.headers
        cookies: bytes | None = None
        is_plain, has_claims = True, False
        for name, value in headers:
            kind = kinds[name]
            if kind == COOKIE:
                is_plain = cookies is None
                cookies = value
            elif kind:
                has_claims = True
        if has_claims:
            headers = [pair for pair in headers if kinds[pair[0]] != CLAIM]
        return headers, None if cookies is None else cookies.decode("latin-1"), is_plain

    async def wait_until_ended(self, decision: PassThrough) -> None:
        """Returns when the session behind this decision has ended."""
        while await self.sso.is_still_live(decision, self.call):  # noqa: ASYNC110 (sessions end in a database)
            await asyncio.sleep(self.sso.liveness_checked_every.total_seconds())


class _Lifespan:
    """Passed through. An app that doesn't know lifespan (Django raises on it) is answered for."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.is_known = False

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noted_receive() -> Message:
            self.is_known = True
            return await receive()

        async def noted_send(message: Message) -> None:
            self.is_known = True
            await send(message)

        try:
            await self.app(scope, noted_receive, noted_send)
        except Exception:  # an app may raise anything at a scope that it does not know
            if self.is_known:
                raise
            await _answer_lifespan(receive, send)


class StartRefused(ASGIMiddleware):
    """Stands in where the settings are wrong and the server is already running its loop.

    Starlette and FastAPI build their middleware at the first message, inside lifespan; an exception
    there only looks to servers like an app without lifespan. So we say it as ASGI has it said.
    """

    def __init__(self, error: ConfigurationError) -> None:
        self.error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise self.error
        await receive()  # lifespan.startup
        await send({"type": "lifespan.startup.failed", "message": f"sso_middleware can't start:\n{self.error}"})


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def make_request(scope: Scope, receive: Receive, sso: SSO) -> Request:
    """What the core needs to know of a scope."""
    headers = read_headers(scope["headers"])
    path, raw_path = _paths_of(scope)
    client = scope.get("client")
    peer = client[0] if client else None
    is_websocket = scope["type"] == "websocket"
    return Request(
        method="GET" if is_websocket else scope["method"].upper(),
        path=path,
        raw_path=raw_path,
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        scheme=scope.get("scheme", "http"),
        host=sso.host_of(headers, peer),
        client=client_address(peer, headers.getlist("X-Forwarded-For"), sso.settings.trusted_proxies),
        native=scope,
        read_body=_body_reader(receive),
        is_websocket=is_websocket,
    )


def _paths_of(scope: Scope) -> tuple[str, str | None]:
    """Below the mount: decoded, and as sent."""
    mount = scope.get("root_path", "")
    raw = scope.get("raw_path")
    return (
        _below(_decoded_path(scope), mount),
        _below(raw.decode("latin-1").partition("?")[0], mount) if raw else None,
    )


def _decoded_path(scope: Scope) -> str:
    """The `path`, which the host reads too (an outer middleware may have changed it, and not `raw_path`).

    It was decoded by the server, some of which drop bytes that are not UTF-8; we keep a mark of them.
    """
    path: str = scope["path"]
    raw = scope.get("raw_path")
    if raw and b"%" in raw:
        decoded = unquote_to_bytes(raw.partition(b"?")[0]).decode("utf-8", "replace")
        return decoded if "\ufffd" in decoded else path
    return path


def _below(path: str, mount: str) -> str:
    """The path below `root_path`. ASGI: `path` includes it; some servers leave it out."""
    mount = mount.rstrip("/")
    if mount and (path == mount or path.startswith(mount + "/")):
        path = path[len(mount) :]
    return path if path.startswith("/") else "/" + path


def _body_reader(receive: Receive) -> BodyReader:
    async def read_body(limit: int) -> bytes:
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise BodyTooLarge("the client went away before its body was complete")
            body += message.get("body", b"")
            if len(body) > limit:
                raise BodyTooLarge(f"more than {limit} bytes")
            more = message.get("more_body", False)
        return bytes(body)

    return read_body


def _host_side(
    shell: ASGIMiddleware,
    request: Request | None,
    scope: Scope,
    decision: PassThrough,
    receive: Receive,
    send: Send,
) -> Watched:
    if scope["type"] == "websocket":
        return HostSocket(shell, scope, decision, receive, send)
    return HostAnswer(shell, request, scope, decision, receive, send)


async def _reply(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await send_reply(reply, scope["method"].upper(), send)
        return
    await receive()  # websocket.connect
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await send_reply(reply, "GET", send, prefix="websocket.http")
    else:
        await send({"type": "websocket.close", "code": SESSION_ENDED})
