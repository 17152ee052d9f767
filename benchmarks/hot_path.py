"""What a request costs that needs no sign-in: side by side with the session layers that people use.

In one process, without a server: what is measured is what each adds to the same bare app. Each
contender must know who is signed in before anything is timed.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from itsdangerous import TimestampSigner
from starlette.middleware.sessions import SessionMiddleware
from tests.identity_provider import IdentityProvider
from tests.postgres import running_cluster

from benchmarks.django_app import DjangoPeers
from benchmarks.measuring import Task, Timing, compare
from benchmarks.report import Row, Section, Target
from sso_middleware import SSO, ASGIMiddleware, Hooks, Settings, WSGIMiddleware
from sso_middleware.stores import tables
from sso_middleware.stores.database import Database
from sso_middleware.stores.migrate import migrate_database
from sso_middleware.stores.session_records import Session
from sso_middleware.tokens import hash_token

SECRET = "an-only-key-for-the-benchmark-0123456789abcdef"
PEOPLE = 1000
STARLETTE = "Starlette SessionMiddleware"
BARE = "bare app"
HEADERS = {
    "host": "app.example.com",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0",
    "accept": "application/json",
    "accept-encoding": "gzip, deflate, br, zstd",
    "accept-language": "en-GB,en;q=0.9",
    "sec-fetch-site": "same-origin",
    "sec-fetch-mode": "cors",
    "sec-fetch-dest": "empty",
    "sec-ch-ua-mobile": "?0",
    "referer": "https://app.example.com/report",
}
OTHER_COOKIES = "theme=dark; _ga=GA1.1.1234567890.1234567890"


def make_sso(folder: Path, *, connections: int = 1, remembered: int = 10_000, url: str | None = None) -> SSO:
    """With every limit on: timeouts, the revocation check, a public path, stripped headers."""
    provider = IdentityProvider()
    names = ["acme", *(f"other-{number}" for number in range(1, connections))]
    folder.mkdir(exist_ok=True)
    url = url or f"sqlite:///{folder / 'sso.db'}"
    migrate_database(url)
    settings = Settings(
        base_url="https://app.example.com",
        secret_keys=[SECRET],
        database_url=url,
        public=["/open", "/static"],
        soft_timeout="15m",
        remembered_sessions=remembered,
        background=False,
        connections=[
            {"id": n, "organization": f"{n} Inc", "domains": [f"{n}.example"], "metadata": provider.metadata}
            for n in names
        ],
    )
    return SSO(settings, Hooks())


def sign_people_in(sso: SSO, number: int) -> list[str]:
    """So many sessions in the store; the Cookie header of each."""
    database = Database(sso.settings.database_url)
    tokens = [f"token-{index}".ljust(43, "x") for index in range(number)]
    now = datetime.now(UTC)
    with database.writing() as connection:
        for start in range(0, number, 5000):
            rows = [_row(index, tokens[index], now) for index in range(start, min(start + 5000, number))]
            connection.execute(tables.sessions.insert(), rows)
    database.close()
    name = sso.site.cookie_name("session")
    return [f"{OTHER_COOKIES}; {name}={sso.site.tokens.sign('session', token)}" for token in tokens]


def _row(index: int, token: str, now: datetime) -> dict[str, object]:
    email = f"person-{index}@acme.example"
    session = Session(
        id=hash_token(token),
        connection_id="acme",
        principal_key=f"key-{index}",
        principal={
            "organization": "Acme Inc",
            "email": email,
            "first_name": "Ada",
            "last_name": "Lovelace",
            "user_id": None,
            "roles": ["viewer"],
            "attributes": {"Email": [email], "department": ["Analytical Engines"]},
        },
        name_id='{"value": "x"}',
        session_index="_1",
        authenticated_at=now,
        last_seen=now,
        expires_at=now + timedelta(days=7),
        email=email,
    )
    return asdict(session)


# ASGI


async def bare_asgi(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"{}"})


def scope_of(path: str, cookies: str | None) -> dict[str, Any]:
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    if cookies is not None:
        headers.append((b"cookie", cookies.encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"month=11",
        "root_path": "",
        "headers": headers,
        "client": ("192.0.2.1", 50000),
        "server": ("app.example.com", 443),
    }


def asgi_task(loop: asyncio.AbstractEventLoop, app: Any, scopes: list[dict[str, Any]]) -> Task:
    """One request after the other, of each scope in turn."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise AssertionError(message["status"])

    async def run(calls: int) -> float:
        number = len(scopes)
        started = time.perf_counter()
        for index in range(calls):
            await app(dict(scopes[index % number]), receive, send)
        return time.perf_counter() - started

    return lambda calls: loop.run_until_complete(run(calls))


def starlette_app() -> tuple[Any, str]:
    """Reads and believes a session of the usual size; nothing is written, as for us."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["session"]["email"] == "person-1@acme.example"
        await bare_asgi(scope, receive, send)

    session = {"email": "person-1@acme.example", "name": "Ada Lovelace", "roles": ["viewer"]}
    data = base64.b64encode(json.dumps(session).encode())
    cookie = TimestampSigner(SECRET).sign(data).decode()
    return SessionMiddleware(app, secret_key=SECRET), f"{OTHER_COOKIES}; session={cookie}"


# WSGI


def bare_wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b"{}"]


def environ_of(path: str, cookies: str | None) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "RAW_URI": f"{path}?month=11",
        "QUERY_STRING": "month=11",
        "SERVER_NAME": "app.example.com",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "50000",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()}
    if cookies is not None:
        environ["HTTP_COOKIE"] = cookies
    return environ


def wsgi_task(app: Any, environs: list[dict[str, Any]]) -> Task:
    def start_response(status: str, headers: Any, exc_info: object = None) -> Callable[[bytes], object]:
        if not status.startswith("200"):
            raise AssertionError(status)
        return lambda data: None

    def task(calls: int) -> float:
        number = len(environs)
        started = time.perf_counter()
        for index in range(calls):
            body = app(dict(environs[index % number]), start_response)
            b"".join(body)
            close = getattr(body, "close", None)
            if close is not None:
                close()
        return time.perf_counter() - started

    return task


def flask_app() -> tuple[Any, str]:
    from flask import Flask, session

    app = Flask("benchmark")
    app.secret_key = SECRET

    @app.get("/report")
    def report() -> tuple[str, int, dict[str, str]]:
        assert session["email"] == "person-1@acme.example"
        return "{}", 200, {"Content-Type": "application/json"}

    @app.get("/open")
    def opened() -> tuple[str, int, dict[str, str]]:
        return "{}", 200, {"Content-Type": "application/json"}

    serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    cookie = serializer.dumps({"email": "person-1@acme.example", "name": "Ada Lovelace"})
    return app, f"{OTHER_COOKIES}; session={cookie}"


# The sections


def measure(rounds: int, seconds: float) -> Iterator[Section]:
    loop = asyncio.new_event_loop()
    with ExitStack() as stack:
        stack.callback(loop.close)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        postgresql = None
        if Path("/usr/lib/postgresql").is_dir():
            cluster = stack.enter_context(running_cluster(hurries=True))
            postgresql = cluster.url(cluster.create_database())
        yield from _measure(loop, Path(folder), postgresql, rounds, seconds)


def _seen_again(sso: SSO, task: Task) -> Task:
    """Each request finds that a step has passed since the person was last seen, and writes it before the reply."""

    def written(calls: int) -> float:
        total = 0.0
        for _ in range(calls):
            for entry in sso.site.sessions.entries():
                entry.last_seen -= timedelta(minutes=2)
                entry.memo = None
            total += task(1)
        return total

    return written


def _measure(
    loop: asyncio.AbstractEventLoop, folder: Path, postgresql: str | None, rounds: int, seconds: float
) -> Iterator[Section]:
    sso = make_sso(folder)
    cookies = sign_people_in(sso, PEOPLE)
    ours = ASGIMiddleware(bare_asgi, sso)
    ours_wsgi = WSGIMiddleware(bare_wsgi, sso)
    starlette, starlette_cookie = starlette_app()
    flask, flask_cookie = flask_app()
    django = DjangoPeers(folder)
    mine = [scope_of("/report", line) for line in cookies]
    everybody = asgi_task(loop, ours, mine)
    everybody(PEOPLE)  # so that each is remembered
    asgi: dict[str, Task] = {
        BARE: asgi_task(loop, bare_asgi, mine[:1]),
        "ours, signed in": everybody,
        "ours, public path": asgi_task(loop, ours, [scope_of("/open", OTHER_COOKIES)]),
        STARLETTE: asgi_task(loop, starlette, [scope_of("/report", starlette_cookie)]),
    }
    if postgresql is not None:
        on_postgresql = make_sso(folder, url=postgresql)
        app = ASGIMiddleware(bare_asgi, on_postgresql)
        asgi["ours, signed in, PostgreSQL"] = asgi_task(
            loop, app, [scope_of("/report", line) for line in sign_people_in(on_postgresql, PEOPLE)]
        )
        asgi["ours, signed in, PostgreSQL"](PEOPLE)
    alone = make_sso(Path(folder, "alone"))
    once = [scope_of("/report", line) for line in sign_people_in(alone, 1)]
    asgi["ours, and written as seen (SQLite)"] = _seen_again(
        alone, asgi_task(loop, ASGIMiddleware(bare_asgi, alone), once)
    )
    measured = compare(asgi, rounds=rounds, calls=_calls(asgi, seconds))
    yield _added(
        f"ASGI: what a request costs, {PEOPLE:,} people signed in",
        measured,
        STARLETTE,
        {"ours, signed in": 0.3, "ours, signed in, PostgreSQL": 0.3, "ours, public path": 0.1},
    )
    theirs = [environ_of("/report", line) for line in cookies]
    everybody_wsgi = wsgi_task(ours_wsgi, theirs)
    everybody_wsgi(PEOPLE)
    wsgi: dict[str, Task] = {
        BARE: wsgi_task(bare_wsgi, theirs[:1]),
        "ours, signed in": everybody_wsgi,
        "ours, public path": wsgi_task(ours_wsgi, [environ_of("/open", OTHER_COOKIES)]),
    }
    measured = compare(wsgi, rounds=rounds, calls=_calls(wsgi, seconds))
    base = measured[BARE].median
    peers: dict[str, Task] = {
        "Flask, no session": wsgi_task(flask, [environ_of("/open", OTHER_COOKIES)]),
        "Flask session": wsgi_task(flask, [environ_of("/report", flask_cookie)]),
        **{name: wsgi_task(app, [environ_of("/report", cookie)]) for name, (app, cookie) in django.apps().items()},
    }
    of_peers = compare(peers, rounds=max(5, rounds // 3), calls=_calls(peers, seconds))
    floor = {"Flask session": "Flask, no session"}
    added = {name: t.median - base for name, t in measured.items() if name != BARE}
    for name in peers:
        if "no session" not in name:
            added[name] = of_peers[name].median - of_peers[floor.get(name, DjangoPeers.BARE)].median
    django_db = DjangoPeers.DATABASE
    rows = tuple(
        Row(
            name,
            value * 1000,
            value * 1000,
            value * 1000,
            value / added[django_db],
            Target("most", 0.03) if name == "ours, signed in" else None,
        )
        for name, value in added.items()
    )
    yield Section(
        "WSGI: what each adds to its own bare app", django_db, "us", rows, "differences of medians, so no spread"
    )


def _calls(tasks: Mapping[str, Task], seconds: float) -> dict[str, int]:
    """As many as take about so long."""
    return {name: max(20, int(seconds / (task(50) / 50))) for name, task in tasks.items()}


def _added(title: str, measured: Mapping[str, Timing], peer: str, targets: Mapping[str, float]) -> Section:
    base = measured[BARE].median
    added_by_peer = measured[peer].median - base

    def row(name: str, t: Timing) -> Row:
        target = Target("most", targets[name]) if name in targets else None
        us = [(value - base) * 1000 for value in (t.median, t.least, t.most)]
        return Row(name, us[0], us[1], us[2], (t.median - base) / added_by_peer, target)

    rows = tuple(row(name, t) for name, t in measured.items() if name != BARE)
    return Section(title, f"what {peer} adds", "us", rows, f"added to the bare app ({base * 1000:.1f} us)")
