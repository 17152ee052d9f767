"""One whole sign-in as the host's server sees it: three requests, on SQLite, under WSGI.

The messages are signed before the clock starts; each is used once, as replays are refused.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.identity_provider import IdentityProvider

from benchmarks.measuring import Task, calling, compare
from benchmarks.messages import EMAIL, Scene, set_scene
from benchmarks.peers import FLOOR, floor
from benchmarks.report import Row, Section
from sso_middleware import SSO, Hooks, Settings, WSGIMiddleware

BASE_URL = "https://app.example.com"
CONNECTIONS = 1000


def measure(rounds: int, seconds: float) -> Iterator[Section]:
    scene = set_scene()
    with tempfile.TemporaryDirectory() as folder:
        yield _steps(scene, Visitor(make_app(Path(folder), scene.provider, connections=1)), rounds, seconds)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as many:
        few = Visitor(make_app(Path(one), scene.provider, connections=1))
        crowd = Visitor(make_app(Path(many), scene.provider, connections=CONNECTIONS))
        yield _by_number(scene, {1: few, CONNECTIONS: crowd}, rounds, seconds)


def _by_number(scene: Scene, visitors: dict[int, Visitor], rounds: int, seconds: float) -> Section:
    """The same request where there is one connection, and where there are many."""
    calls = max(1, int(seconds * 50))
    steps: dict[str, Task] = {}
    for number, visitor in visitors.items():
        people = [visitor.begin(scene.provider) for _ in range((rounds + 1) * calls + 8)]
        steps[f"acs, of {number:,} connections"] = calling(_posts(visitor, people).__next__)
    measured = compare(steps, rounds=rounds, calls=dict.fromkeys(steps, calls))
    base = next(iter(measured.values())).median
    rows = tuple(Row(name, t.median, t.least, t.most, t.median / base) for name, t in measured.items())
    return Section("a Response for one connection of many", rows[0].contender, "ms", rows)


def _steps(scene: Scene, visitor: Visitor, rounds: int, seconds: float) -> Section:
    calls = max(1, int(seconds * 100))
    # One round to warm up, and one call of each before that.
    people = [visitor.begin(scene.provider) for _ in range((rounds + 1) * calls + 8)]
    steps: dict[str, Task] = {
        FLOOR: calling(floor(scene)(scene.respond())),
        "login: redirect to the IdP": calling(lambda: visitor.get("/sso/login?connection=acme&return_to=/report", {})),
        "acs: Response verified, claimed": calling(_posts(visitor, people).__next__),
        "finish: session opened": calling(_finishes(visitor, people).__next__),
    }
    measured = compare(steps, rounds=rounds, calls=dict.fromkeys(steps, calls))
    base = measured[FLOOR].median
    rows = tuple(Row(name, t.median, t.least, t.most, t.median / base) for name, t in measured.items())
    return Section("one sign-in, request by request", FLOOR, "ms", rows, "WSGI, SQLite file, one process")


def make_app(folder: Path, provider: IdentityProvider, *, connections: int) -> WSGIMiddleware:
    def host(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]

    # Organizations may share an identity provider; each has a domain of its own.
    names = ["acme", *(f"other-{number}" for number in range(1, connections))]
    declared = [
        {
            "id": name,
            "organization": f"{name} Inc",
            "domains": [f"{name}.example"],
            "metadata": provider.metadata,
        }
        for name in names
    ]
    settings = Settings.model_validate(
        {
            "base_url": BASE_URL,
            "secret_keys": ["an-only-key-for-the-benchmark-0123456789abcdef"],
            "database_url": f"sqlite:///{folder / 'sso.db'}",
            "connections": declared,
            "background": False,
        }
    )
    return WSGIMiddleware(host, SSO(settings, Hooks()))


class Person:
    """One browser in the middle of signing in."""

    def __init__(self, cookies: dict[str, str], form: dict[str, str]) -> None:
        self.cookies = cookies
        self.form = form
        self.finish = ""


class Visitor:
    def __init__(self, app: WSGIMiddleware) -> None:
        self._app = app

    def begin(self, provider: IdentityProvider) -> Person:
        """To the identity provider and through its sign-in; the form is what the browser posts next."""
        cookies: dict[str, str] = {}
        location = self.get("/sso/login?connection=acme&return_to=/report", cookies)
        return Person(cookies, provider.log_in(location, EMAIL, now=datetime.now(UTC)))

    def get(self, path: str, cookies: dict[str, str]) -> str:
        return self._ask("GET", path, cookies, b"")

    def post(self, person: Person) -> None:
        location = self._ask("POST", "/sso/acme/acs", person.cookies, urlencode(person.form).encode())
        person.finish = location.removeprefix(BASE_URL)

    def _ask(self, method: str, target: str, cookies: dict[str, str], body: bytes) -> str:
        path, query = urlsplit(target).path, urlsplit(target).query
        answered: dict[str, Any] = {}
        written: list[bytes] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
            answered.update(status=status, headers=headers)
            return written.append

        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SCRIPT_NAME": "",
            "SERVER_NAME": "app.example.com",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "192.0.2.1",
            "HTTP_HOST": "app.example.com",
            "HTTP_ACCEPT": "text/html",
            "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
            "wsgi.url_scheme": "https",
        }
        b"".join(self._app(environ, start_response))
        if not answered["status"].startswith("303"):
            raise AssertionError(f"{target.partition('?')[0]}: {answered['status']}")
        for name, value in answered["headers"]:
            if name == "Set-Cookie":
                cookies |= {key: morsel.value for key, morsel in SimpleCookie(value).items()}
        return str(dict(answered["headers"])["Location"])


def _posts(visitor: Visitor, people: list[Person]) -> Iterator[None]:
    for person in people:
        visitor.post(person)
        yield


def _finishes(visitor: Visitor, people: list[Person]) -> Iterator[None]:
    for person in people:
        visitor.get(person.finish, person.cookies)
        yield
