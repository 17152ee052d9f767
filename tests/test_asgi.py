"""The ASGI shell: scope types, websockets, event streams, lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableMapping
from datetime import timedelta
from typing import Any

import pytest
from tests.world import World
from werkzeug.datastructures import Headers

from sso_middleware import ASGIMiddleware, Principal, current_principal
from sso_middleware.errors import StoreUnavailable
from sso_middleware.stores.session_records import Changes
from sso_middleware.stores.sql import SqlStore


@pytest.fixture
def asgi(database_url: str) -> Iterator[World]:
    store = SqlStore(database_url)
    world = World("asgi", "plain", store, database_url, allowed_origins=["https://partner.example"])
    world.sso.liveness_checked_every = timedelta(milliseconds=10)
    yield world
    world.close()
    store.close()


class Server:
    """What a server does for one connection: messages in, messages out."""

    def __init__(self, *incoming: dict[str, Any]) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for message in incoming:
            self.incoming.put_nowait(message)
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        return await self.incoming.get()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(dict(message))

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.sent]


def socket_scope(world: World, origin: str | None = "https://app.example", **more: Any) -> dict[str, Any]:
    cookies = "; ".join(f"{name}={value}" for name, value in world.first_browser.cookies.items())
    headers = Headers({"Host": "app.example", **({"Origin": origin} if origin else {})})
    if cookies:
        headers["Cookie"] = cookies
    scope = world.scope("websocket", "https://app.example/live", headers, subprotocols=[], **more)
    scope["scheme"] = "wss"
    return scope


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """A chat that says who is there, and notes how it ended."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    principal: Principal = scope["sso.principal"]
    assert current_principal() is principal
    await send({"type": "websocket.send", "text": principal.email})
    message = await receive()
    scope["ended"].append(message)
    await send({"type": "websocket.send", "text": "too late"})


CONNECT = {"type": "websocket.connect"}


def open_socket(world: World, scope: dict[str, Any], *incoming: dict[str, Any]) -> Server:
    async def run() -> Server:
        server = Server(CONNECT, *incoming)
        await asyncio.wait_for(world.asgi(scope, server.receive, server.send), 10)
        return server

    server: Server = world.run(run())
    return server


def test_a_websocket_without_a_session_is_refused_at_the_handshake(asgi: World) -> None:
    """WEB-011: 401 where the server can say so, else closed before it was accepted."""
    asgi.wrap(echo)

    told = open_socket(asgi, socket_scope(asgi, extensions={"websocket.http.response": {}}))
    closed = open_socket(asgi, socket_scope(asgi))

    assert told.types == ["websocket.http.response.start", "websocket.http.response.body"]
    assert told.sent[0]["status"] == 401
    assert closed.sent == [{"type": "websocket.close", "code": 4401}]


def test_a_websocket_of_a_signed_in_person_is_opened(asgi: World) -> None:
    """And ends as the browser ends it."""
    asgi.wrap(echo)
    asgi.sign_in()
    ended: list[Any] = []

    server = open_socket(asgi, socket_scope(asgi, ended=ended), {"type": "websocket.disconnect", "code": 1000})

    assert server.types[:2] == ["websocket.accept", "websocket.send"]
    assert server.sent[1]["text"] == "ada@acme.example"
    assert ended == [{"type": "websocket.disconnect", "code": 1000}]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None, "http://app.example"])
def test_a_page_of_another_site_may_not_open_a_websocket(asgi: World, origin: str | None) -> None:
    """Browsers send our cookies with it."""
    asgi.wrap(echo)
    asgi.sign_in()

    server = open_socket(asgi, socket_scope(asgi, origin, extensions={"websocket.http.response": {}}))

    assert server.sent[0]["status"] == 403


def test_a_listed_origin_may(asgi: World) -> None:
    """`allowed_origins`."""
    asgi.wrap(echo)
    asgi.sign_in()
    scope = socket_scope(asgi, "https://partner.example", ended=[])

    assert open_socket(asgi, scope, {"type": "websocket.disconnect", "code": 1000}).types[0] == "websocket.accept"


def test_a_websocket_is_closed_when_its_session_ends(asgi: World) -> None:
    """4401, and the app hears of it; what it says afterwards goes nowhere."""
    asgi.wrap(echo)
    asgi.sign_in()
    ended: list[Any] = []

    async def run() -> Server:
        server = Server(CONNECT)
        socket = asyncio.ensure_future(asgi.asgi(socket_scope(asgi, ended=ended), server.receive, server.send))
        while len(server.sent) < 2:
            await asyncio.sleep(0.001)
        asgi.wait(days=8)
        await asyncio.wait_for(socket, 10)
        return server

    server: Server = asgi.run(run())

    assert server.sent[-1] == {"type": "websocket.close", "code": 4401, "reason": "the session has ended"}
    assert server.types == ["websocket.accept", "websocket.send", "websocket.close"]
    assert ended == [{"type": "websocket.disconnect", "code": 4401}]


def test_an_event_stream_is_ended_with_its_session(asgi: World) -> None:
    """The last chunk is empty; the app is told that the client has gone."""
    heard: list[Any] = []

    async def stream(scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        heard.append(await receive())
        await send({"type": "http.response.body", "body": b"data: 2\n\n", "more_body": True})

    asgi.wrap(stream)
    asgi.sign_in()
    headers = Headers({"Host": "app.example", "Accept": "text/event-stream"})
    headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in asgi.first_browser.cookies.items())

    async def run() -> Server:
        server = Server()
        scope = asgi.scope("http", "https://app.example/stream", headers, method="GET")
        streaming = asyncio.ensure_future(asgi.asgi(scope, server.receive, server.send))
        while len(server.sent) < 2:
            await asyncio.sleep(0.001)
        asgi.wait(days=8)
        await asyncio.wait_for(streaming, 10)
        return server

    server: Server = asgi.run(run())

    assert [message.get("body") for message in server.sent[1:]] == [b"data: 1\n\n", b""]
    assert server.sent[-1]["more_body"] is False
    assert heard == [{"type": "http.disconnect"}]


def test_an_unknown_scope_type_reaches_nobody(asgi: World) -> None:
    """What we don't understand we don't let pass."""
    with pytest.raises(RuntimeError, match="does not know the scope type"):
        asgi.run(asgi.asgi({"type": "carrier-pigeon"}, Server().receive, Server().send))


def lifespan(world: World, app: Any) -> Server:
    async def run() -> Server:
        server = Server({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
        await ASGIMiddleware(app, world.sso)({"type": "lifespan"}, server.receive, server.send)
        return server

    server: Server = world.run(run())
    return server


def test_lifespan_is_passed_through(asgi: World) -> None:
    """The app starts and stops as without us."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        for _ in range(2):
            message = await receive()
            await send({"type": f"{message['type']}.complete"})

    assert lifespan(asgi, app).types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_an_app_that_knows_no_lifespan_is_answered_for(asgi: World) -> None:
    """Django's raises on it."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        raise ValueError("Django can only handle ASGI/HTTP connections, not lifespan.")

    assert lifespan(asgi, app).types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_an_app_that_fails_to_start_fails(asgi: World) -> None:
    """Its own failure is not answered away."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        raise ValueError("no database")

    with pytest.raises(ValueError, match="no database"):
        lifespan(asgi, app)


def test_root_path_may_or_may_not_be_part_of_the_path(asgi: World) -> None:
    """Servers differ; a protected path stays protected."""
    for path in ("/shop/report", "/report"):
        scope = asgi.scope("http", f"https://app.example{path}", Headers({"Host": "app.example"}), method="GET")
        scope["root_path"] = "/shop"
        server = Server({"type": "http.request", "body": b""})
        asgi.run(asgi.asgi(scope, server.receive, server.send))
        assert server.sent[0]["status"] == 401


def test_a_client_that_leaves_in_the_middle_of_a_post_signs_nobody_in(asgi: World) -> None:
    """Half a body is no body."""
    headers = Headers({"Host": "app.example", "Content-Type": "application/x-www-form-urlencoded"})
    scope = asgi.scope("http", asgi.acs_url, headers, method="POST")
    server = Server({"type": "http.request", "body": b"SAMLResponse=", "more_body": True}, {"type": "http.disconnect"})

    asgi.run(asgi.asgi(scope, server.receive, server.send))

    assert server.sent[0]["status"] == 413


# What an app may do meanwhile


def stream_scope(world: World, **more: Any) -> dict[str, Any]:
    cookies = "; ".join(f"{name}={value}" for name, value in world.first_browser.cookies.items())
    headers = Headers({"Host": "app.example", "Accept": "text/event-stream", "Cookie": cookies})
    return world.scope("http", "https://app.example/stream", headers, method="GET", **more)


STREAM_START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
CHUNK = {"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True}


def test_a_message_that_comes_while_receive_is_cancelled_is_not_lost(asgi: World) -> None:
    """Starlette's `is_disconnected` cancels at once, others after a time; the next call has the message."""
    heard: list[Any] = []

    async def stream(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(STREAM_START)
        while not heard:
            asking = asyncio.ensure_future(receive())
            asyncio.get_running_loop().call_soon(asking.cancel)
            heard.extend(one for one in await asyncio.gather(asking, return_exceptions=True) if isinstance(one, dict))

    asgi.wrap(stream)
    asgi.sign_in()

    async def run() -> None:
        server = Server({"type": "http.disconnect"})
        await asyncio.wait_for(asgi.asgi(stream_scope(asgi), server.receive, server.send), 10)

    asgi.run(run())
    assert heard == [{"type": "http.disconnect"}]


def test_two_tasks_that_receive_get_each_message_once(asgi: World) -> None:
    """As from the server itself."""
    heard: list[str] = []

    async def chat(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        heard.extend(sorted(message["text"] for message in await asyncio.gather(receive(), receive())))

    asgi.wrap(chat)
    asgi.sign_in()

    open_socket(asgi, socket_scope(asgi), *({"type": "websocket.receive", "text": text} for text in "ab"))

    assert heard == ["a", "b"]


def test_an_app_that_only_sends_ends_with_the_session(asgi: World) -> None:
    """ASGI 2.4: `send` raises OSError once the client has gone. The server hears nothing of that."""

    async def stream(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(STREAM_START)
        try:
            while True:
                await send(CHUNK)
                await asyncio.sleep(0.001)
        except OSError:
            raise LookupError("the framework's own word for it") from None

    asgi.wrap(stream)
    asgi.sign_in()

    async def run() -> Server:
        server = Server()
        streaming = asyncio.ensure_future(asgi.asgi(stream_scope(asgi), server.receive, server.send))
        while len(server.sent) < 2:
            await asyncio.sleep(0.001)
        asgi.wait(days=8)
        await asyncio.wait_for(streaming, 10)
        return server

    assert asgi.run(run()).sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


def test_a_websocket_is_closed_when_the_store_can_not_tell(asgi: World) -> None:
    """Else it would stay open, unwatched, however long the session has ended."""
    asgi.wrap(echo)
    asgi.sign_in()

    def fails(after: int | None) -> Changes:
        raise StoreUnavailable("gone")

    async def run() -> Server:
        server = Server(CONNECT)
        socket = asyncio.ensure_future(asgi.asgi(socket_scope(asgi, ended=[]), server.receive, server.send))
        while len(server.sent) < 2:
            await asyncio.sleep(0.001)
        asgi.store.get_changes = fails  # type: ignore[method-assign]  # the database is gone
        asgi.wait(seconds=1)
        await asyncio.wait_for(socket, 10)
        return server

    assert asgi.run(run()).sent[-1]["code"] == 4401


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_nothing_more_is_sent_when_the_app_has_ended_its_answer(asgi: World, kind: str) -> None:
    """It may work on in the background, and outlive the session: servers refuse a second end."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if kind == "http":
            await send(STREAM_START)
            await send({**CHUNK, "more_body": False})
        else:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})
        asgi.wait(days=8)
        await asyncio.sleep(0.05)

    asgi.wrap(app)
    asgi.sign_in()

    async def run() -> Server:
        server = Server(CONNECT)
        scope = stream_scope(asgi) if kind == "http" else socket_scope(asgi)
        await asyncio.wait_for(asgi.asgi(scope, server.receive, server.send), 10)
        return server

    assert len(asgi.run(run()).sent) == 2


def test_the_path_is_the_one_that_the_host_reads(database_url: str) -> None:
    """An outer middleware may have changed it, and left `raw_path` as the browser sent it."""
    store = SqlStore(database_url)
    world = World("asgi", "plain", store, database_url, protect=["/admin"])
    scope = world.scope("http", "https://app.example/v1/%61dmin", Headers({"Host": "app.example"}), method="GET")
    server = Server({"type": "http.request", "body": b""})

    world.run(world.asgi({**scope, "path": "/admin"}, server.receive, server.send))

    assert server.sent[0]["status"] == 401
    world.close()
    store.close()


def test_an_app_whose_exception_is_its_own_cause_fails(asgi: World) -> None:
    """Python lets one say `raise error from error`: to look for what was behind it must come to an end."""

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        error = ValueError("the app's own")
        other = KeyError("in a circle")
        error.__cause__, other.__cause__ = other, error
        raise error

    asgi.sign_in()
    asgi.wrap(failing)

    with pytest.raises(ValueError, match="the app's own"):
        asgi.first_browser.get("/report")
