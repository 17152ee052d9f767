"""The WSGI shell: environ → Request, decision → response. No rule lives here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any

from werkzeug.datastructures import Headers

from .calling import CallBlocking, call_blocking, run
from .errors import BodyTooLarge
from .principal import _current
from .replaying import change_environ
from .sso import SSO
from .web import PassThrough, Reply, Request, client_address, read_within

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
_CHUNK = 64 * 1024
_LONGEST_NUMBER = 18
_FOLD = re.compile(r"[\r\n]+[ \t]*")


class WSGIMiddleware:
    """Wraps a WSGI app. Made by `SSOMiddleware(app, …)`, or by name where the app's kind is unclear."""

    def __init__(self, app: WSGIApplication, sso: SSO) -> None:
        self.app = app
        self.sso = sso
        self.call = CallBlocking(hook_timeout=sso.settings.hook_timeout)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        _current.set(None)  # a server that did not close the answer before this one left it set in its thread
        target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
        if isinstance(target, str) and "?" in target:
            target = target[: target.index("?")]
        decision = self.sso.recall(
            environ["REQUEST_METHOD"],
            (environ.get("PATH_INFO"), target, environ.get("SCRIPT_NAME")),
            _paths_of,
            environ,
            environ.get("HTTP_COOKIE"),
            environ.get("QUERY_STRING", ""),
        )
        if decision is not None:
            if decision.session_key is None:
                return self.app(_environ_for_host(environ, decision, self.sso), start_response)
            return self._pass_on(None, decision, environ, start_response)
        request = make_request(environ, self.sso)
        answer = run(self.sso.decide(request, self.call))
        if isinstance(answer, Reply):
            return send(answer, request.method, start_response)
        return self._pass_on(request, answer, environ, start_response)

    def _pass_on(
        self, request: Request | None, decision: PassThrough, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        starting = _Starting(self.sso, request, decision, start_response)
        _current.set(decision.principal)
        try:
            body = self.app(_environ_for_host(environ, decision, self.sso), starting)
        except BaseException:
            _current.set(None)
            raise
        return _Body(body, starting, lambda: _current.set(None))


class _Starting:
    """The `start_response` that the host is given: dresses its headers, or replaces its answer."""

    def __init__(
        self,
        sso: SSO,
        request: Request | None,  # None: passed from memory, so the host's own challenge is not read
        decision: PassThrough,
        start_response: StartResponse,
    ) -> None:
        self.sso = sso
        self.request = request
        self.decision = decision
        self.start_response = start_response
        self.replaced_by: Iterable[bytes] | None = None
        self.is_event_stream = False

    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        sso, decision, request = self.sso, self.decision, self.request
        if request is not None and sso.settings.challenge:
            reply = sso.answer_challenge(request, decision, int(status[:3]), Headers(headers))
            if reply is not None:
                self.replaced_by = send(reply, request.method, self.start_response, exc_info)
                return _write_nothing
        self.replaced_by = None  # an app that failed after its challenge starts again (PEP 3333, exc_info)
        content_type = next((value.lower() for name, value in headers if name.lower() == "content-type"), "")
        if decision.dresses(content_type):
            dressed = Headers(headers)
            sso.dress(decision, dressed)
            headers = dressed.to_wsgi_list()
        self.is_event_stream = content_type.startswith("text/event-stream")
        return _start(self.start_response, status, headers, exc_info)


class _Body:
    """The host's response, until it is closed: then nobody is the current principal any more."""

    def __init__(self, body: Iterable[bytes], starting: _Starting, forget: Callable[[], object]) -> None:
        self._body = body
        self._starting = starting
        self._forget = forget

    def __iter__(self) -> Iterator[bytes]:
        checked_at: datetime | None = None
        for chunk in self._body:
            # PEP 3333: start_response has been called by the time the first chunk comes.
            if self._starting.replaced_by is not None:
                break
            if self._starting.is_event_stream:
                now = self._starting.sso.site.now()
                if checked_at is None:
                    checked_at = now
                elif now - checked_at >= self._starting.sso.liveness_checked_every:
                    checked_at = now
                    if not run(self._starting.sso.is_still_live(self._starting.decision, call_blocking)):
                        return
            yield chunk
        yield from self._starting.replaced_by or ()

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._forget()


def make_request(environ: WSGIEnvironment, sso: SSO) -> Request:
    """What the core needs to know of an environ."""
    headers = Headers(_headers_of(environ))
    peer = environ.get("REMOTE_ADDR")
    trusted = sso.settings.trusted_proxies
    return Request(
        method=environ["REQUEST_METHOD"].upper(),
        path=_path_of(environ),
        raw_path=_raw_path(environ),
        query=environ.get("QUERY_STRING", ""),
        headers=headers,
        scheme=environ.get("wsgi.url_scheme", "http"),
        host=sso.host_of(headers, peer) or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}",
        client=client_address(peer, headers.getlist("X-Forwarded-For"), trusted),
        native=environ,
        read_body=lambda limit: _read_body(environ, limit),
    )


def _paths_of(environ: WSGIEnvironment) -> tuple[str, str | None]:
    """Below the mount: decoded, and as sent."""
    return _path_of(environ), _raw_path(environ)


def _path_of(environ: WSGIEnvironment) -> str:
    path: str = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
    return "/" + path.removeprefix("/")


def _headers_of(environ: WSGIEnvironment) -> Iterator[tuple[str, str]]:
    # Some servers keep a header that was folded over lines as it came (RFC 9112 5.2).
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            yield key[5:].replace("_", "-").title(), _FOLD.sub(" ", value)
    for key, name in (("CONTENT_TYPE", "Content-Type"), ("CONTENT_LENGTH", "Content-Length")):
        if environ.get(key):
            yield name, _FOLD.sub(" ", environ[key])


def _raw_path(environ: WSGIEnvironment) -> str | None:
    """The path as sent, where the server tells it (gunicorn RAW_URI, uWSGI and mod_wsgi REQUEST_URI)."""
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if not isinstance(target, str) or not target.startswith("/"):
        return None
    path = target.partition("?")[0]
    mount = environ.get("SCRIPT_NAME", "")
    return path[len(mount) :] or "/" if path.startswith(mount) else None


def _read_body(environ: WSGIEnvironment, limit: int) -> bytes:
    """At most `limit` bytes. Without a length the body is empty, unless the server ends the stream itself."""
    stream = environ["wsgi.input"]
    text = environ.get("CONTENT_LENGTH") or ""
    if text:
        if not text.isascii() or not text.isdigit() or len(text) > _LONGEST_NUMBER or int(text) > limit:
            raise BodyTooLarge(f"more than {limit} bytes")
        left = int(text)
    elif environ.get("wsgi.input_terminated"):
        left = limit + 1
    else:
        left = 0

    def chunks() -> Iterator[bytes]:
        remaining = left
        while remaining > 0:
            chunk = stream.read(min(_CHUNK, remaining))
            if not chunk:
                return
            remaining -= len(chunk)
            yield chunk

    return read_within(chunks(), limit)


def _environ_for_host(environ: WSGIEnvironment, decision: PassThrough, sso: SSO) -> WSGIEnvironment:
    """A copy without anybody else's word on who the person is, and with ours."""
    kinds = sso.identity_headers.variables
    told: dict[str, Any] = {name: value for name, value in environ.items() if not kinds[name]}
    told["sso.principal"] = decision.principal
    told["sso.csrf_token"] = decision.csrf_token
    if decision.principal is not None:
        told["REMOTE_USER"] = decision.principal.email
        told["AUTH_TYPE"] = "SSO"
    if decision.query is not None or decision.replay is not None:
        change_environ(told, decision)
    return told


def _start(
    start_response: StartResponse, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None
) -> Callable[[bytes], object]:
    # PEP 3333: only somebody who failed gives a third argument.
    return start_response(status, headers) if exc_info is None else start_response(status, headers, exc_info)


def send(reply: Reply, method: str, start_response: StartResponse, exc_info: ExcInfo | None = None) -> Iterable[bytes]:
    """Our own answer."""
    headers = [*reply.headers, ("Content-Length", str(len(reply.body)))]
    _start(start_response, f"{reply.status} {HTTPStatus(reply.status).phrase}", headers, exc_info)
    return [] if method == "HEAD" else [reply.body]


def _write_nothing(data: bytes, /) -> None:
    """The host's body, where our answer stands in its place."""
