"""What the host gets in place of what came: another query, a form that was kept, or the body that we read.

For both shells."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from .web import PassThrough, Replay

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


def change_environ(told: WSGIEnvironment, decision: PassThrough) -> None:
    if decision.query is not None:
        told["QUERY_STRING"] = decision.query
        for key in ("RAW_URI", "REQUEST_URI"):  # gunicorn's; uWSGI's and mod_wsgi's
            if key in told:
                told[key] = told[key].partition("?")[0] + (f"?{decision.query}" if decision.query else "")
    if decision.replay is not None:
        told["wsgi.input"] = io.BytesIO(decision.replay.body)
        for name, value in _headers_of(decision.replay):
            key = name.upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            told.pop(key, None)
            if value is not None:
                told[key] = value


def change_scope(told: MutableMapping[str, Any], decision: PassThrough) -> None:
    if decision.query is not None:
        told["query_string"] = decision.query.encode("latin-1")
    if decision.replay is not None:
        changed = {name.lower().encode("latin-1"): value for name, value in _headers_of(decision.replay)}
        kept = [(name, value) for name, value in told["headers"] if name.lower() not in changed]
        told["headers"] = kept + [(n, value.encode("latin-1")) for n, value in changed.items() if value is not None]


def change_receive(receive: Receive, decision: PassThrough) -> Receive:
    """The body, once; then whatever comes, but for the empty body of the request itself."""
    if decision.replay is None:
        return receive
    waiting = [decision.replay.body]

    async def received() -> MutableMapping[str, Any]:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        while (message := await receive())["type"] == "http.request":
            pass
        return message

    return received


def _headers_of(replay: Replay) -> tuple[tuple[str, str | None], ...]:
    return (*replay.headers, ("Content-Length", str(len(replay.body))))
