"""What an ASGI app answers through: a long answer ends with its session, headers are dressed. No rule lives here."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from werkzeug.datastructures import Headers

from .sso import SSO
from .web import PassThrough, Reply, Request

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Any, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
"""As permissive as Starlette's, so that apps typed by asgiref's TypedDicts pass mypy too."""

SESSION_ENDED = 4401
"""The close code of a websocket whose session has ended."""


_EVENT_STREAM = "text/event-stream"


class Shell(Protocol):
    """The part of the ASGI shell that an answer needs."""

    sso: SSO

    async def wait_until_ended(self, decision: PassThrough) -> None: ...


class SessionEnded(OSError):
    """What an app's `send` raises when its session has ended, as when the client has gone (ASGI 2.4)."""


def _version_of(scope: Scope) -> tuple[int, ...]:
    return tuple(map(int, scope.get("asgi", {}).get("spec_version", "2.0").split(".")))


def is_of_the_end(error: BaseException | None) -> bool:
    """Whether an app failed of our `SessionEnded`; frameworks turn it into their own."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:  # one can be its own cause
        if isinstance(error, SessionEnded):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


class Watched(ABC):
    """A long answer that ends with its session: `receive` and `send` hear of it as if the client had gone."""

    def __init__(self, shell: Shell, scope: Scope, decision: PassThrough, receive: Receive, send: Send) -> None:
        self.shell = shell
        self.scope = scope
        self.decision = decision
        self._receive = receive
        self._send = send
        # Only what is long is watched; nearly everything is not.
        self.watch: asyncio.Task[None] | None = None
        self._incoming: asyncio.Future[Message] | None = None
        self._ended: asyncio.Future[None] | None = None

    @abstractmethod
    def receive(self) -> Awaitable[Message]: ...

    @abstractmethod
    def send(self, message: Message) -> Awaitable[None]: ...

    def start_watching(self) -> None:
        if self.decision.session_key is not None and self.watch is None:
            self._ended = asyncio.get_running_loop().create_future()
            self.watch = asyncio.ensure_future(self._end_with_session(self._ended))

    def stop_watching(self) -> None:
        if self.watch is not None:
            self.watch.cancel()

    async def finish(self) -> None:
        """The app has returned: nothing of ours goes on, but a goodbye is said to its end."""
        if self.watch is not None and self._has_ended():
            await asyncio.wait({self.watch})
        self.stop_watching()
        if self._incoming is not None:
            self._incoming.cancel()

    async def _end_with_session(self, ended: asyncio.Future[None]) -> None:
        await self.shell.wait_until_ended(self.decision)
        ended.set_result(None)
        with contextlib.suppress(OSError):  # the client has gone by itself
            await self._say_goodbye()

    def _falls_silent(self) -> bool:
        """Whether nothing more is sent, since the session has ended. Raises SessionEnded where an app expects it."""
        if self._has_ended() and _version_of(self.scope) >= (2, 4):
            raise SessionEnded("the session has ended")
        return self._has_ended()

    def _has_ended(self) -> bool:
        return self._ended is not None and self._ended.done()

    @abstractmethod
    async def _say_goodbye(self) -> None:
        """Tell the server."""

    async def _receive_or(self, disconnect: Message) -> Message:
        """The next message, or `disconnect` as soon as the session has ended.

        An app may cancel its `receive` (a timeout, Starlette's `is_disconnected`). What we asked the server
        for is then kept for its next one: a message that came in that moment would be lost.
        """
        ended = self._ended
        if ended is None:
            return await self._receive()
        while not ended.done():
            incoming = self._incoming = self._incoming or asyncio.ensure_future(self._receive())
            if not incoming.done():
                waited: set[asyncio.Future[Any]] = {incoming, ended}
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if incoming.done() and incoming is self._incoming and not ended.done():
                self._incoming = None
                message = incoming.result()
                if message["type"] == disconnect["type"]:
                    self.stop_watching()
                return message
        return disconnect


class HostAnswer(Watched):
    """The host's HTTP answer: dressed, replaced where it asked for a sign-in, ended if it is an event stream."""

    def __init__(
        self,
        shell: Shell,
        request: Request | None,  # None: passed from memory, so the host's own challenge is not read
        scope: Scope,
        decision: PassThrough,
        receive: Receive,
        send: Send,
    ) -> None:
        # In place of super().__init__: it is made for each request.
        self.shell = shell
        self.scope = scope
        self.decision = decision
        self._receive = receive
        self._send = send
        self.watch = self._incoming = self._ended = None
        self.request = request
        self._is_replaced = False
        self._is_plain = False

    # Plain functions where they can be: a coroutine of ours around each message is most of what we would cost.

    def receive(self) -> Awaitable[Message]:
        return self._receive() if self._ended is None else self._receive_or({"type": "http.disconnect"})

    def send(self, message: Message) -> Awaitable[None]:
        if self._is_plain or (message["type"] == "http.response.start" and self._starts_plainly(message)):
            return self._send(message)
        return self._send_watched(message)

    def _starts_plainly(self, message: Message) -> bool:
        """Whether nothing about this answer is ours: no header, no watch, no challenge."""
        if self.request is not None and self.shell.sso.settings.challenge:
            return False
        content_type = _content_type_of(message)
        if self.decision.dresses(content_type) or content_type.startswith(_EVENT_STREAM):
            return False
        self._is_plain = True
        return True

    async def _send_watched(self, message: Message) -> None:
        if self._is_replaced or self._falls_silent():
            return
        if message["type"] == "http.response.start":
            sso, decision = self.shell.sso, self.decision
            headers = _headers_of(message)
            if self.request is not None:
                reply = sso.answer_challenge(self.request, decision, message["status"], headers)
                if reply is not None:
                    self._is_replaced = True
                    await send_reply(reply, self.request.method, self._send)
                    return
            sso.dress(decision, headers)
            message = {**message, "headers": write_headers(headers)}
            if headers.get("Content-Type", "").lower().startswith(_EVENT_STREAM):
                self.start_watching()
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self.stop_watching()  # the app may go on for long after its answer
        await self._send(message)

    async def _say_goodbye(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


class HostSocket(Watched):
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


def _headers_of(message: Message) -> Headers:
    return read_headers(message.get("headers", ()))


def _content_type_of(message: Message) -> str:
    """In lower case."""
    for name, value in message.get("headers", ()):
        if name == b"content-type" or name.lower() == b"content-type":
            return bytes(value).decode("latin-1").lower()
    return ""


def read_headers(raw: Any) -> Headers:
    return Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw])


def write_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


async def send_reply(reply: Reply, method: str, send: Send, prefix: str = "http") -> None:
    """Our own answer, to a request or to a websocket's handshake."""
    headers = write_headers(Headers([*reply.headers, ("Content-Length", str(len(reply.body)))]))
    await send({"type": f"{prefix}.response.start", "status": reply.status, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": b"" if method == "HEAD" else reply.body})
