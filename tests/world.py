"""A protected app, its identity provider, a clock and browsers, under WSGI or ASGI alike.

One `World` is one combination of {WSGI, ASGI} and {plain, async} hooks and store. A flow test takes the
fixture `world` (or `make_world`, for other settings) and so runs in all four.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, unquote, urlencode, urljoin, urlsplit
from wsgiref.validate import validator

from tests.identity_provider import IdentityProvider, make_signer
from tests.other_verifiers import check_that_others_agree
from werkzeug.datastructures import Headers

from sso_middleware import (
    SSO,
    ASGIMiddleware,
    Continue,
    Event,
    Hooks,
    HostUser,
    Identity,
    Mail,
    Principal,
    RecoveryAccess,
    RoleAssignment,
    Settings,
    SignedInByHost,
    WSGIMiddleware,
    current_principal,
)
from sso_middleware.calling import call_blocking, pause, run
from sso_middleware.flows.sending import send_due_mail
from sso_middleware.hooks import ProvisionDecision
from sso_middleware.stores.sql import SqlStore
from sso_middleware.web import Request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

Kind = Literal["wsgi", "asgi"]
Style = Literal["plain", "async"]
BASE_URL = "https://app.example"
SECRET = "k3Jx0vQm8TzR5nLw2YbHs7UdGc4PfEa1-world"
NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Answer:
    """What a browser got."""

    url: str
    status: int
    headers: Headers
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return self.headers["Location"]

    @property
    def set_cookies(self) -> list[str]:
        return self.headers.getlist("Set-Cookie")

    def field(self, name: str) -> str:
        """The value of a form's field on this page."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.text)
        assert found, f"no field {name} on {self.url}"
        return found.group(1)

    @property
    def refresh_url(self) -> str:
        found = re.search(r'http-equiv="refresh" content="0;url=([^"]*)"', self.text)
        assert found, f"no refresh on {self.url}"
        return found.group(1).replace("&amp;", "&")


@dataclass(frozen=True)
class Seen:
    """What the host app was given for one request."""

    method: str
    path: str
    mount: str
    headers: Mapping[str, str]
    principal: Principal | None
    current: Principal | None
    native: Mapping[str, Any] = field(repr=False)


class WorldHooks(Hooks):
    """The host's side. Tests set what it answers, and read what it was asked."""

    def __init__(self) -> None:
        self.decision: Callable[[Identity], ProvisionDecision] = lambda _: Continue()
        self.refresh: Callable[[Request, Mapping[str, str]], Mapping[str, str] | None] = lambda _, __: None
        self.user: Callable[[Request], HostUser | None] = lambda _: None
        self.assign: Callable[[RoleAssignment], None] = lambda _: None
        self.describe: Callable[[str], str | None] = lambda _: None
        self.identities: list[Identity] = []
        self.assignments: list[RoleAssignment] = []
        self.events: list[Event] = []
        self.ended: list[str] = []
        self.sends: Callable[[Mail], bool | None] = self._keep_mail
        self.mails: list[Mail] = []
        self.recovery: Callable[[RecoveryAccess], SignedInByHost | None] = lambda _: None

    def _keep_mail(self, mail: Mail) -> None:
        self.mails.append(mail)

    def provision(self, identity: Identity) -> ProvisionDecision:
        self.identities.append(identity)
        return self.decision(identity)

    def assign_roles(self, assignment: RoleAssignment) -> None:
        self.assignments.append(assignment)
        self.assign(assignment)

    def describe_scope(self, scope: str) -> str | None:
        return self.describe(scope)

    def host_user(self, request: Request) -> HostUser | None:
        return self.user(request)

    def end_host_session(self, request: Request) -> Iterable[tuple[str, str]]:
        self.ended.append(request.path)
        return [("Set-Cookie", "host=; Max-Age=0; Path=/; SameSite=Lax")]

    def refresh_form(self, request: Request, fields: Mapping[str, str]) -> Mapping[str, str] | None:
        return self.refresh(request, fields)

    def send_mail(self, mail: Mail) -> bool | None:
        return self.sends(mail)

    def recovery_access(self, request: Request, access: RecoveryAccess) -> SignedInByHost | None:
        return self.recovery(access)

    def on_event(self, event: Event) -> None:
        self.events.append(event)


class AsyncHooks(Hooks):
    """The same hooks, each as a coroutine."""

    def __init__(self, plain: WorldHooks) -> None:
        self.plain = plain

    async def provision(self, identity: Identity) -> ProvisionDecision:
        await asyncio.sleep(0)
        return self.plain.provision(identity)

    async def assign_roles(self, assignment: RoleAssignment) -> None:
        await asyncio.sleep(0)
        self.plain.assign_roles(assignment)

    async def describe_scope(self, scope: str) -> str | None:
        await asyncio.sleep(0)
        return self.plain.describe_scope(scope)

    async def host_user(self, request: Request) -> HostUser | None:
        await asyncio.sleep(0)
        return self.plain.host_user(request)

    async def end_host_session(self, request: Request) -> Iterable[tuple[str, str]]:
        await asyncio.sleep(0)
        return self.plain.end_host_session(request)

    async def refresh_form(self, request: Request, fields: Mapping[str, str]) -> Mapping[str, str] | None:
        await asyncio.sleep(0)
        return self.plain.refresh_form(request, fields)

    async def send_mail(self, mail: Mail) -> bool | None:
        await asyncio.sleep(0)
        return self.plain.send_mail(mail)

    async def recovery_access(self, request: Request, access: RecoveryAccess) -> SignedInByHost | None:
        await asyncio.sleep(0)
        return self.plain.recovery_access(request, access)

    async def on_event(self, event: Event) -> None:
        await asyncio.sleep(0)
        self.plain.on_event(event)


class AsyncStore:
    """The same store, each method as a coroutine, apart from what `OwnKeys` calls itself."""

    _PLAIN = ("get_keys", "get_key_states", "claim_first_key", "replace_key", "close")

    def __init__(self, plain: SqlStore) -> None:
        self._plain = plain

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._plain, name)
        if name in self._PLAIN:
            return method

        async def asynchronous(*args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(0)
            return method(*args, **kwargs)

        return asynchronous


class HostApp:
    """The app behind us: a page of HTML that says which page it is. `answers` replaces it for a path."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answers: dict[str, tuple[int, list[tuple[str, str]], bytes]] = {}
        self.was_closed = False

    def answer(self, path: str) -> tuple[int, list[tuple[str, str]], bytes]:
        html = ("Content-Type", "text/html; charset=utf-8")
        return self.answers.get(path, (200, [html], f"<p>page {path}</p>".encode()))

    def wsgi(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        headers = {key: value for key, value in environ.items() if key.startswith("HTTP_")}
        self.seen.append(
            Seen(
                environ["REQUEST_METHOD"],
                path,
                environ.get("SCRIPT_NAME", ""),
                headers,
                environ["sso.principal"],
                current_principal(),
                environ,
            )
        )
        status, reply_headers, body = self.answer(path)
        start_response(f"{status} Status", reply_headers)
        return _ClosingBody(self, [body])

    async def asgi(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope["path"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append(
            Seen(
                scope["method"],
                path,
                scope.get("root_path", ""),
                headers,
                scope["sso.principal"],
                current_principal(),
                scope,
            )
        )
        status, reply_headers, body = self.answer(path)
        raw = [(name.lower().encode(), value.encode()) for name, value in reply_headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})
        self.was_closed = True


class _ClosingBody:
    def __init__(self, app: HostApp, chunks: list[bytes]) -> None:
        self.app = app
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks

    def close(self) -> None:
        self.app.was_closed = True


class Browser:
    """Cookies, and the requests that a browser would send. Cross-site posts carry no Lax cookie."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cookies: dict[str, str] = {}

    def get(self, url: str, **headers: str) -> Answer:
        """A navigation, unless headers say otherwise (`Accept_Language` is Accept-Language)."""
        return self.send("GET", url, headers={**NAVIGATION, **_hyphenated(headers)})

    def fetch(self, url: str, *, method: str = "GET", **headers: str) -> Answer:
        """A script's request."""
        fetched = {"Accept": "*/*", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", **_hyphenated(headers)}
        return self.send(method, url, headers=fetched)

    def post(self, url: str, fields: Mapping[str, str], *, cross_site: bool = False, **headers: str) -> Answer:
        """A form, from one of our own pages or from another site."""
        origin = "https://idp.acme.example" if cross_site else self.world.origin
        return self.send(
            "POST",
            url,
            headers={
                **NAVIGATION,
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": origin,
                **_hyphenated(headers),
            },
            body=urlencode(fields).encode(),
            with_cookies=not cross_site,
        )

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"", with_cookies: bool = True
    ) -> Answer:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items()) if with_cookies else ""
        sent = Headers({**headers, **({"Cookie": cookies} if cookies else {})})
        answer = self.world.request(method, urljoin(self.world.base_url, url), sent, body)
        self._keep(answer)
        return answer

    def _keep(self, answer: Answer) -> None:
        for line in answer.set_cookies:
            jar: SimpleCookie = SimpleCookie(line)
            for name, morsel in jar.items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value

    @property
    def has_session(self) -> bool:
        return any(name.endswith("-session") for name in self.cookies)


class World:
    """See the module. `settings` are those of `Settings`, on top of one connection `acme`."""

    def __init__(self, kind: Kind, style: Style, store: SqlStore, database_url: str, **settings: Any) -> None:
        self.kind: Kind = kind
        self.style: Style = style
        self.now = START
        self.idp = IdentityProvider()
        self.hooks = WorldHooks()
        self.app = HostApp()
        self.mount = ""
        self.on_pause: Callable[[], None] | None = None
        """What happens while somebody waits: given, the time passes by this world's clock only."""
        self.store = store
        own_key = make_signer("our own key")
        values: dict[str, Any] = {
            "base_url": BASE_URL,
            "secret_keys": [SECRET],
            "database_url": database_url,
            "background": False,
            "signing_key": own_key.private_pem,  # making one for each world would take most of the time
            "signing_certificate": own_key.certificate,
            "connections": [self.connection()],
            **settings,
        }
        self.settings = Settings(**values)
        self.base_url = self.settings.base_url
        self.origin = self.settings.origin
        self.sso = SSO(
            self.settings,
            AsyncHooks(self.hooks) if style == "async" else self.hooks,
            store=AsyncStore(store) if style == "async" else store,
            now=lambda: self.now,
            pause=self._pause,
        )
        self.wrap(self.app.wsgi if kind == "wsgi" else self.app.asgi)
        self._loop = asyncio.Runner()

    def connection(self, **changes: Any) -> dict[str, Any]:
        """What `settings.connections` holds for the organization of `idp`."""
        return {
            "id": "acme",
            "organization": "Acme",
            "domains": ["acme.example"],
            "metadata": self.idp.metadata,
            **changes,
        }

    def wrap(self, app: Any) -> None:
        """Put another host app behind us (of this world's kind)."""
        if self.kind == "wsgi":
            self.wsgi: Any = WSGIMiddleware(validator(app), self.sso)
        else:
            self.asgi: Any = ASGIMiddleware(app, self.sso)

    async def _pause(self, seconds: float) -> None:
        if self.on_pause is None:
            await pause(seconds)
        else:
            self.wait(seconds=seconds)
            self.on_pause()

    def close(self) -> None:
        self._loop.close()

    @property
    def events(self) -> list[Event]:
        return self.hooks.events

    @property
    def codes(self) -> list[str]:
        return [event.code for event in self.events]

    def send_mail(self) -> None:
        """What housekeeping does with the outbox."""
        run(send_due_mail(self.sso.site, call_blocking))

    def wait(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    def browser(self) -> Browser:
        return Browser(self)

    # The steps of a login

    def begin_login(self, page: str = "/report?month=11", browser: Browser | None = None) -> str:
        """Ask for a protected page, and follow our own redirects to the identity provider's URL."""
        browser = browser or self.first_browser
        answer = browser.get(page)
        while answer.status == 303 and answer.location.startswith(self.base_url):
            answer = browser.get(answer.location)
        assert answer.status == 303, (answer.status, answer.text)
        return answer.location

    def post_response(self, form: Mapping[str, str], browser: Browser | None = None, acs: str | None = None) -> Answer:
        """The identity provider's page posts this form; then the browser goes where it is sent, to `finish`."""
        browser = browser or self.first_browser
        answer = browser.post(acs or self.acs_url, form, cross_site=True)
        if answer.status == 303 and "/finish?" in answer.location:
            self.check_that_others_agree(form["SAMLResponse"])
            return browser.get(answer.location)
        return answer

    def check_that_others_agree(self, saml_response: str) -> None:
        """Whatever our own verifier accepted in any test, two others do too."""
        providers = (connection.identity_provider for connection in self.sso.site.connections)
        keys = (key for provider in providers if provider for key in provider.keys)
        check_that_others_agree(base64.b64decode(saml_response), [key.certificate for key in keys])

    def log_in(self, page: str = "/report?month=11", email: str = "ada@acme.example", **changes: Any) -> dict[str, str]:
        """Begin a login and get the identity provider's form; `changes` misbehave."""
        return self.idp.log_in(self.begin_login(page), email, now=self.now, **changes)

    def sign_in(
        self, email: str = "ada@acme.example", browser: Browser | None = None, page: str = "/report?month=11"
    ) -> Answer:
        browser = browser or self.first_browser
        form = self.idp.log_in(self.begin_login(page, browser), email, now=self.now)
        answer = self.post_response(form, browser)
        assert answer.status == 303, (answer.status, answer.text, self.codes)
        return answer

    @property
    def first_browser(self) -> Browser:
        if not hasattr(self, "_first_browser"):
            self._first_browser = self.browser()
        return self._first_browser

    @property
    def acs_url(self) -> str:
        connection = next(iter(self.sso.site.connections))
        return connection.service_provider.acs_url

    @property
    def entity_id(self) -> str:
        connection = next(iter(self.sso.site.connections))
        return connection.service_provider.entity_id

    # HTTP

    def request(self, method: str, url: str, headers: Headers, body: bytes = b"") -> Answer:
        send = self._over_wsgi if self.kind == "wsgi" else self._over_asgi
        if "Host" not in headers:
            headers["Host"] = urlsplit(url).netloc
        if body:
            headers["Content-Length"] = str(len(body))
        return send(method, url, headers, body)

    def _over_wsgi(self, method: str, url: str, headers: Headers, body: bytes) -> Answer:
        parts = urlsplit(url)
        path = unquote(parts.path, encoding="latin-1").removeprefix(self.mount)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": self.mount,
            "PATH_INFO": path,
            "RAW_URI": parts.path + (f"?{parts.query}" if parts.query else ""),
            "QUERY_STRING": parts.query,
            "SERVER_NAME": parts.hostname or "",
            "SERVER_PORT": str(parts.port or 443),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "203.0.113.9",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": parts.scheme,
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        for name, value in headers:
            key = name.upper().replace("-", "_")
            environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, reply_headers: list[tuple[str, str]], exc_info: object = None) -> Any:
            started.append((status, reply_headers))
            return lambda data: None

        result = validator(self.wsgi)(environ, start_response)
        try:
            content = b"".join(result)
        finally:
            result.close()  # type: ignore[attr-defined]  # the validator's iterator has one
        status, reply_headers = started[-1]
        return Answer(url, int(status[:3]), Headers(reply_headers), content)

    def _over_asgi(self, method: str, url: str, headers: Headers, body: bytes) -> Answer:
        return self._loop.run(self._asgi_request(method, url, headers, body))

    async def _asgi_request(self, method: str, url: str, headers: Headers, body: bytes) -> Answer:
        sent: list[dict[str, Any]] = []
        incoming = [{"type": "http.request", "body": body[:100], "more_body": True}]
        incoming.append({"type": "http.request", "body": body[100:], "more_body": False})

        async def receive() -> dict[str, Any]:
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.asgi(self.scope("http", url, headers, method=method), receive, send)
        start = sent[0]
        reply_headers = Headers([(n.decode("latin-1"), v.decode("latin-1")) for n, v in start["headers"]])
        return Answer(url, start["status"], reply_headers, b"".join(m.get("body", b"") for m in sent[1:]))

    def scope(self, type: str, url: str, headers: Headers, **more: Any) -> dict[str, Any]:
        """An ASGI scope as a server makes it."""
        parts = urlsplit(url)
        return {
            "type": type,
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": parts.scheme,
            "path": unquote(parts.path),
            "raw_path": quote(parts.path, safe="/%:@!$&'()*+,;=-._~").encode(),
            "query_string": parts.query.encode(),
            "root_path": self.mount,
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
            "client": ("203.0.113.9", 51000),
            "server": (parts.hostname, parts.port or 443),
            **more,
        }

    def run(self, coroutine: Any) -> Any:
        """Finish a coroutine on this world's loop (ASGI tests)."""
        assert inspect.iscoroutine(coroutine)
        return self._loop.run(coroutine)


def _hyphenated(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
