"""The WSGI shell: streaming, `close()`, `write()`, bodies of unknown length."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.world import World

from sso_middleware import WSGIMiddleware, current_principal
from sso_middleware.errors import StoreUnavailable
from sso_middleware.stores.session_records import Changes
from sso_middleware.stores.sql import SqlStore
from sso_middleware.web import Request
from sso_middleware.wsgi import make_request


@pytest.fixture
def wsgi(database_url: str) -> Iterator[World]:
    store = SqlStore(database_url)
    world = World("wsgi", "plain", store, database_url, challenge=True, public=["/open"])
    world.sign_in()
    yield world
    world.close()
    store.close()


def environ_of(world: World, path: str = "/report", **changes: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "app.example",
        "SERVER_PORT": "443",
        "HTTP_HOST": "app.example",
        "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in world.first_browser.cookies.items()),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
        **changes,
    }


class Started(list[Any]):
    """The server's start_response."""

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
        self.append((status, headers, exc_info))
        return self.append


def test_the_principal_is_current_until_the_response_is_closed(wsgi: World) -> None:
    """A generator that streams still knows who asks; afterwards nobody does."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield (current_principal() or environ["missing"]).email.encode()
        yield (current_principal() or environ["missing"]).email.encode()

    body: Any = WSGIMiddleware(app, wsgi.sso)(environ_of(wsgi), Started())

    assert list(body) == [b"ada@acme.example"] * 2
    assert current_principal() is not None
    body.close()
    assert current_principal() is None


def test_the_body_is_streamed_and_closed(wsgi: World) -> None:
    """Chunk by chunk; the host's own close() is called, also when it was never read."""
    log: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            for number in range(3):
                log.append(f"made {number}")
                yield b"x"

        def close(self) -> None:
            log.append("closed")

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Body()

    body: Any = WSGIMiddleware(app, wsgi.sso)(environ_of(wsgi), Started())
    iterator = iter(body)
    next(iterator)
    assert log == ["made 0"]
    body.close()
    assert log == ["made 0", "closed"]


def test_an_app_that_raises_leaves_nobody_current(wsgi: World) -> None:
    """The server sees its exception."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise LookupError(str(current_principal() is not None))

    with pytest.raises(LookupError, match="True"):
        WSGIMiddleware(app, wsgi.sso)(environ_of(wsgi), Started())
    assert current_principal() is None


def test_an_answer_that_was_never_closed_tells_the_next_request_nothing(wsgi: World) -> None:
    """Its thread still knows the last person; a hook of somebody else's request may ask."""
    seen: list[object] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"x"]

    def user(request: Request) -> None:
        seen.append(current_principal())

    world = World("wsgi", "plain", wsgi.store, wsgi.settings.database_url, mode="domains")
    world.hooks.user = user
    list(WSGIMiddleware(app, wsgi.sso)(environ_of(wsgi), Started()))

    list(WSGIMiddleware(app, world.sso)(environ_of(world), Started()))

    assert seen == [None]
    world.close()


def test_write_and_exc_info_reach_the_server(wsgi: World) -> None:
    """PEP 3333's old ways."""
    started = Started()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("500 Oops", [("Content-Type", "text/html")], (ValueError, ValueError("x"), None))
        write(b"written")
        return []

    list(WSGIMiddleware(app, wsgi.sso)(environ_of(wsgi), started))

    status, headers, exc_info = started[0]
    assert (status, exc_info[0]) == ("500 Oops", ValueError)
    assert ("Cache-Control", "private, no-store") in headers
    assert started[1] == b"written"


def test_a_challenged_answer_is_replaced_whatever_way_it_was_written(wsgi: World) -> None:
    """By write(), or by the iterable: none of it is seen."""
    started = Started()
    wsgi.first_browser.cookies.clear()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("401 Unauthorized", [("WWW-Authenticate", "SSO")])(b"secret")
        return [b"secret"]

    body = b"".join(WSGIMiddleware(app, wsgi.sso)(environ_of(wsgi, "/open"), started))

    assert b"secret" not in body
    assert len(started) == 1


def test_an_app_that_fails_after_its_challenge_answers_for_itself(wsgi: World) -> None:
    """PEP 3333: a second start_response takes the place of the first, body and all."""
    started = Started()
    wsgi.first_browser.cookies.clear()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("401 Unauthorized", [("WWW-Authenticate", "SSO")])
        start_response("500 Oops", [("Content-Type", "text/plain")], (ValueError, ValueError("x"), None))
        return [b"oops"]

    body = b"".join(WSGIMiddleware(app, wsgi.sso)(environ_of(wsgi, "/open"), started))

    assert started[-1][0] == "500 Oops"
    assert body == b"oops"


def test_a_challenge_after_a_failure_says_so_to_the_server(wsgi: World) -> None:
    """PEP 3333: to start a second time without exc_info is fatal."""
    started = Started()
    wsgi.first_browser.cookies.clear()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        start_response("401 Unauthorized", [("WWW-Authenticate", "SSO")], (ValueError, ValueError("x"), None))
        return [b"secret"]

    body = b"".join(WSGIMiddleware(app, wsgi.sso)(environ_of(wsgi, "/open"), started))

    assert [(status, exc_info and exc_info[0]) for status, _, exc_info in started] == [
        ("200 OK", None),
        ("401 Unauthorized", ValueError),
    ]
    assert b"secret" not in body


def test_an_event_stream_is_ended_with_its_session(wsgi: World) -> None:
    """Between two chunks."""
    wsgi.sso.liveness_checked_every = timedelta(seconds=1)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        for _ in range(100):
            yield b"data: 1\n\n"
            wsgi.wait(hours=2)

    assert len(list(WSGIMiddleware(app, wsgi.sso)(environ_of(wsgi), Started()))) == 5


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"CONTENT_LENGTH": "13"}, "400"),
        ({"CONTENT_LENGTH": ""}, "400"),
        ({"CONTENT_LENGTH": "-1"}, "413"),
        ({"CONTENT_LENGTH": "1e3"}, "413"),
        ({"CONTENT_LENGTH": "99999999999"}, "413"),
        ({"wsgi.input_terminated": True}, "400"),
        ({"wsgi.input_terminated": True, "wsgi.input": io.BytesIO(b"x" * 2_000_000)}, "413"),
    ],
)
def test_a_body_is_read_as_far_as_it_is_announced(wsgi: World, changes: dict[str, Any], status: str) -> None:
    """WEB-013: never more than the limit, and not beyond Content-Length."""
    started = Started()
    environ = environ_of(
        wsgi,
        "/sso/acme/acs",
        **{
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "wsgi.input": io.BytesIO(b"SAMLResponse=" + b"x" * 100),
            **changes,
        },
    )

    list(WSGIMiddleware(wsgi.app.wsgi, wsgi.sso)(environ, started))

    assert started[0][0].startswith(status)


def test_bytes_that_are_not_utf8_are_never_public(wsgi: World) -> None:
    """WEB-010."""
    started = Started()

    list(WSGIMiddleware(wsgi.app.wsgi, wsgi.sso)(environ_of(wsgi, "/open/\xff", HTTP_COOKIE=""), started))

    assert started[0][0].startswith("401")


def test_an_event_stream_is_ended_when_the_store_can_not_tell(wsgi: World) -> None:
    """As the gate lets nobody in then; the server sees no exception."""
    wsgi.sso.liveness_checked_every = timedelta(0)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        yield b"1"
        wsgi.store.get_changes = fails  # type: ignore[method-assign]  # the database is gone
        wsgi.wait(seconds=1)
        yield b"2"

    assert list(WSGIMiddleware(app, wsgi.sso)(environ_of(wsgi), Started())) == [b"1"]


def fails(after: int | None) -> Changes:
    raise StoreUnavailable("gone")


def test_a_header_folded_over_lines_is_read_as_one(wsgi: World) -> None:
    """RFC 9112 5.2; wsgiref keeps the line break."""
    request = make_request(environ_of(wsgi, HTTP_X_NOTE="one\r\n two", CONTENT_TYPE="text/\r\n x"), wsgi.sso)

    assert request.headers["X-Note"] == "one two"
    assert request.headers["Content-Type"] == "text/ x"
