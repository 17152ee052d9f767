"""The ASGI shell: scope → Request, decision → messages. No rule lives here.

HTTP and websocket requests are decided on; lifespan is passed through; any other scope type is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from werkzeug.datastructures import Headers

from .calling import CallCooperatively
from .errors import BodyTooLarge, ConfigurationError
from .principal import _current, credentials_of
from .sso import SSO
from .web import BodyReader, PassThrough, Reply, Request, client_address

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
"""As permissive as Starlette's, so that apps typed by asgiref's TypedDicts pass mypy too."""

SESSION_ENDED = 4401
"""The close code of a websocket whose session has ended."""


class ASGIMiddleware:
    """Wraps an ASGI app. Made by `SSOMiddleware(app, …)`, or by name where the app's kind is unclear."""

    def __init__(self, app: ASGIApp, sso: SSO) -> None:
        self.app = app
        self.sso = sso
        self.call = CallCooperatively(sso.settings.threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _Lifespan(self.app).run(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            raise RuntimeError(f"sso_middleware does not know the scope type {scope['type']!r}, so nothing passes")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = make_request(scope, receive, self.sso)
        decision = await self.sso.decide(request, self.call)
        if isinstance(decision, Reply):
            await send_reply(decision, request.method, send)
            return
        await self._pass_on(_HostAnswer(self, request, decision, receive, send), scope, decision)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = make_request(scope, receive, self.sso)
        decision = await self.sso.decide(request, self.call)
        if isinstance(decision, Reply):
            await receive()  # websocket.connect
            await _refuse_handshake(scope, decision, send)
            return
        await self._pass_on(_HostSocket(self, decision, receive, send), scope, decision)

    async def _pass_on(self, answer: _Watched, scope: Scope, decision: PassThrough) -> None:
        answer.raises_when_ended = _version_of(scope) >= (2, 4)
        token = _current.set(decision.principal)
        try:
            await self.app(_scope_for_host(scope, decision, self.sso), answer.receive, answer.send)
        except Exception as error:  # frameworks wrap what our `send` raised in errors of their own
            if not _is_of_the_end(error):
                raise
        finally:
            _current.reset(token)
            await answer.finish()

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


class SessionEnded(OSError):
    """What an app's `send` raises when its session has ended, as when the client has gone (ASGI 2.4)."""


def _version_of(scope: Scope) -> tuple[int, ...]:
    return tuple(map(int, scope.get("asgi", {}).get("spec_version", "2.0").split(".")))


def _is_of_the_end(error: BaseException | None) -> bool:
    """Whether an app failed of our `SessionEnded`; frameworks turn it into their own."""
    while error is not None and not isinstance(error, SessionEnded):
        error = error.__cause__ or error.__context__
    return error is not None


class _Watched(ABC):
    """A long answer that ends with its session: `receive` and `send` hear of it as if the client had gone."""

    def __init__(self, shell: ASGIMiddleware, decision: PassThrough, receive: Receive, send: Send) -> None:
        self.shell = shell
        self.decision = decision
        self._receive = receive
        self._send = send
        self._watch: asyncio.Task[None] | None = None
        self._incoming: asyncio.Future[Message] | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.raises_when_ended = False

    @abstractmethod
    async def receive(self) -> Message: ...

    @abstractmethod
    async def send(self, message: Message) -> None: ...

    def start_watching(self) -> None:
        if self.decision.session_key is not None and self._watch is None:
            self._watch = asyncio.ensure_future(self._end_with_session())

    def stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()

    async def finish(self) -> None:
        """The app has returned: nothing of ours goes on, but a goodbye is said to its end."""
        if self._watch is not None and self._ended.done():
            await asyncio.wait({self._watch})
        self.stop_watching()
        if self._incoming is not None:
            self._incoming.cancel()

    async def _end_with_session(self) -> None:
        await self.shell.wait_until_ended(self.decision)
        self._ended.set_result(None)
        with contextlib.suppress(OSError):  # the client has gone by itself
            await self._say_goodbye()

    def _falls_silent(self) -> bool:
        """Whether nothing more is sent, since the session has ended. Raises SessionEnded where an app expects it."""
        if self._ended.done() and self.raises_when_ended:
            raise SessionEnded("the session has ended")
        return self._ended.done()

    @abstractmethod
    async def _say_goodbye(self) -> None:
        """Tell the server."""

    async def _receive_or(self, disconnect: Message) -> Message:
        """The next message, or `disconnect` as soon as the session has ended.

        An app may cancel its `receive` (a timeout, Starlette's `is_disconnected`). What we asked the server
        for is then kept for its next one: a message that came in that moment would be lost.
        """
        if self._watch is None:
            return await self._receive()
        while not self._ended.done():
            incoming = self._incoming = self._incoming or asyncio.ensure_future(self._receive())
            if not incoming.done():
                waited: set[asyncio.Future[Any]] = {incoming, self._ended}
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if incoming.done() and incoming is self._incoming and not self._ended.done():
                self._incoming = None
                message = incoming.result()
                if message["type"] == disconnect["type"]:
                    self.stop_watching()
                return message
        return disconnect


class _HostAnswer(_Watched):
    """The host's HTTP answer: dressed, replaced where it asked for a sign-in, ended if it is an event stream."""

    def __init__(
        self, shell: ASGIMiddleware, request: Request, decision: PassThrough, receive: Receive, send: Send
    ) -> None:
        super().__init__(shell, decision, receive, send)
        self.request = request
        self._is_replaced = False

    async def receive(self) -> Message:
        return await self._receive_or({"type": "http.disconnect"})

    async def send(self, message: Message) -> None:
        if self._is_replaced or self._falls_silent():
            return
        if message["type"] == "http.response.start":
            sso = self.shell.sso
            headers = read_headers(message.get("headers", ()))
            reply = sso.answer_challenge(self.request, self.decision, message["status"], headers)
            if reply is not None:
                self._is_replaced = True
                await send_reply(reply, self.request.method, self._send)
                return
            sso.dress(self.request, self.decision, headers)
            if headers.get("Content-Type", "").lower().startswith("text/event-stream"):
                self.start_watching()
            message = {**message, "headers": write_headers(headers)}
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self.stop_watching()  # the app may go on for long after its answer
        await self._send(message)

    async def _say_goodbye(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


class _HostSocket(_Watched):
    """The host's websocket, closed with 4401 when the session ends."""

    async def receive(self) -> Message:
        return await self._receive_or({"type": "websocket.disconnect", "code": SESSION_ENDED})

    async def send(self, message: Message) -> None:
        if self._falls_silent():
            return
        if message["type"] == "websocket.accept":
            self.start_watching()
        elif message["type"] == "websocket.close":
            self.stop_watching()
        await self._send(message)

    async def _say_goodbye(self) -> None:
        await self._send({"type": "websocket.close", "code": SESSION_ENDED, "reason": "the session has ended"})


def make_request(scope: Scope, receive: Receive, sso: SSO) -> Request:
    """What the core needs to know of a scope."""
    headers = read_headers(scope["headers"])
    mount = scope.get("root_path", "")
    raw = scope.get("raw_path")
    client = scope.get("client")
    peer = client[0] if client else None
    is_websocket = scope["type"] == "websocket"
    return Request(
        method="GET" if is_websocket else scope["method"].upper(),
        path=_below(_decoded_path(scope), mount),
        raw_path=_below(raw.decode("latin-1").partition("?")[0], mount) if raw else None,
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        scheme=scope.get("scheme", "http"),
        host=sso.host_of(headers, peer),
        client=client_address(peer, headers.getlist("X-Forwarded-For"), sso.settings.trusted_proxies),
        native=scope,
        read_body=_body_reader(receive),
        is_websocket=is_websocket,
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


def _scope_for_host(scope: Scope, decision: PassThrough, sso: SSO) -> Scope:
    """A copy without anybody else's word on who the person is, and with ours."""
    headers = [(name, value) for name, value in scope["headers"] if name.decode("latin-1") not in sso.identity_headers]
    told: dict[str, Any] = {
        **scope,
        "headers": headers,
        "sso.principal": decision.principal,
        "sso.csrf_token": decision.csrf_token,
    }
    if decision.principal is not None:
        told["user"] = decision.principal
        told["auth"] = credentials_of(decision.principal)
    return told


def read_headers(raw: Any) -> Headers:
    return Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw])


def write_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


async def send_reply(reply: Reply, method: str, send: Send, prefix: str = "http") -> None:
    """Our own answer, to a request or to a websocket's handshake."""
    headers = write_headers(Headers([*reply.headers, ("Content-Length", str(len(reply.body)))]))
    await send({"type": f"{prefix}.response.start", "status": reply.status, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": b"" if method == "HEAD" else reply.body})


async def _refuse_handshake(scope: Scope, reply: Reply, send: Send) -> None:
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await send_reply(reply, "GET", send, prefix="websocket.http")
    else:
        await send({"type": "websocket.close", "code": SESSION_ENDED})
