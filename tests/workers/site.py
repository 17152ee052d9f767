"""A site of several workers, or several machines, on one database; its identity provider; and people who use it."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx
from tests.identity_provider import IdentityProvider, read_redirect
from tests.servers import BINARIES, ROOT, Process, free_port, missing, running
from tests.visitor import NAVIGATION
from tests.workers.served import WORKER

from sso_middleware.stores.migrate import migrate_database
from sso_middleware.stores.sql import SqlStore

Server = Literal["gunicorn", "uvicorn"]
IDP = IdentityProvider()
SCRIPT = {"Accept": "*/*", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
PATIENCE = 30.0
"""Seconds, for what must happen and depends on how busy the machine is."""


@dataclass(frozen=True)
class Site:
    """`machines` are server groups; each has so many workers."""

    directory: Path
    base_url: str
    database_url: str = field(repr=False)
    machines: Sequence[Process]
    workers: int
    """Of each machine."""

    @contextmanager
    def store(self) -> Iterator[SqlStore]:
        store = SqlStore(self.database_url)
        try:
            yield store
        finally:
            store.close()

    def cli(self, *arguments: str) -> str:
        """What an admin does on one of the machines."""
        command = [str(BINARIES / "sso-middleware"), *arguments]
        done = subprocess.run(
            command, cwd=self.directory, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done.stdout

    def logs(self) -> str:
        return "\n".join(machine.log[-4000:] for machine in self.machines)


class Person:
    """A person with a browser. It may come to any machine, as behind a load balancer; it keeps no connection open."""

    def __init__(self, site: Site, name: str, machine: int = 0) -> None:
        self.site = site
        self.email = f"{name}@acme.example"
        self.machine = machine
        self.http = httpx.Client(
            trust_env=False, timeout=PATIENCE, limits=httpx.Limits(max_keepalive_connections=0), follow_redirects=False
        )

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def _url(self, url: str) -> str:
        parts = urlsplit(url)
        return self.site.machines[self.machine].url + parts.path + (f"?{parts.query}" if parts.query else "")

    @property
    def _host(self) -> dict[str, str]:
        return {"Host": urlsplit(self.site.base_url).netloc}

    def get(self, url: str) -> httpx.Response:
        """A navigation."""
        return self.http.get(self._url(url), headers={**NAVIGATION, **self._host})

    def fetch(self, url: str = "/report") -> httpx.Response:
        """A script's request: 200, or why not."""
        return self.http.get(self._url(url), headers={**SCRIPT, **self._host})

    def go_to_idp(self, page: str = "/report") -> str | httpx.Response:
        """The identity provider's URL, or the answer with which it ended before."""
        answer = self.get(page)
        while answer.status_code == 303 and answer.headers["Location"].startswith(self.site.base_url):
            answer = self.get(answer.headers["Location"])
        return str(answer.headers["Location"]) if answer.status_code == 303 else answer

    def post(self, form: dict[str, str]) -> httpx.Response:
        """The identity provider's form, from its own page: without a cookie."""
        acs = f"{self.site.base_url}/sso/acme/acs"
        with httpx.Client(trust_env=False, timeout=PATIENCE) as elsewhere:
            headers = {**NAVIGATION, **self._host, "Origin": "https://idp.acme.example"}
            answer = elsewhere.post(self._url(acs), data=form, headers=headers)
            self.http.cookies.update(elsewhere.cookies)
        return answer

    def log_in(self, idp_url: str) -> dict[str, str]:
        """At the identity provider, which is in this process."""
        return IDP.log_in(idp_url, self.email, now=datetime.now(UTC))

    def sign_in(self) -> None:
        idp_url = self.go_to_idp()
        assert isinstance(idp_url, str), (idp_url.status_code, idp_url.text[:500], self.site.logs())
        answer = self.post(self.log_in(idp_url))
        assert answer.status_code == 303, (answer.status_code, answer.text[:500], self.site.logs())
        answer = self.get(answer.headers["Location"])
        assert answer.status_code == 303, (answer.status_code, answer.text[:500], self.site.logs())
        assert self.fetch().text == self.email


def is_passive(idp_url: str) -> bool:
    return read_redirect(idp_url).is_passive


@contextmanager
def running_site(
    directory: Path,
    *,
    server: Server,
    app: str,
    workers: int,
    machines: int = 1,
    database_url: str | None = None,
    **settings: str,
) -> Iterator[Site]:
    """Migrate the database, and serve `tests.workers.served:app` on so many ports."""
    directory.mkdir(parents=True, exist_ok=True)
    ports = [free_port() for _ in range(machines)]
    base_url = f"http://127.0.0.1:{ports[0]}"
    database_url = database_url or f"sqlite:///{directory}/sso.db"
    (directory / "acme.xml").write_text(IDP.metadata)
    values: dict[str, object] = {
        "base_url": base_url,
        "secret_keys": [secrets.token_urlsafe(48)],
        "database_url": database_url,
        "background": False,
        "sign_ins_per_minute": 100_000,
        **settings,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    lines += ["[[connections]]", 'id = "acme"', 'organization = "Acme Inc"', 'domains = ["acme.example"]']
    (directory / "sso.toml").write_text("\n".join([*lines, 'metadata_file = "acme.xml"']) + "\n")
    migrate_database(database_url)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                running(
                    f"{server}-{port}",
                    _command(server, app, port, workers),
                    url=f"http://127.0.0.1:{port}",
                    directory=directory,
                    environment={"PYTHONPATH": str(ROOT)},
                )
            )
            for port in ports
        ]
        for process in processes:
            process.wait_until_answers()
        yield Site(directory, base_url, database_url, processes, workers)


def _command(server: Server, app: str, port: int, workers: int) -> list[str]:
    binary = BINARIES / server
    if not binary.exists():
        missing(server)
    common = [str(binary), f"--workers={workers}"]
    if server == "uvicorn":
        address = ["--host=127.0.0.1", f"--port={port}", "--ws=wsproto", "--log-level=warning"]
        return [*common, *address, "--factory", f"tests.workers.served:{app}"]
    address = ["--bind", f"127.0.0.1:{port}", "--worker-class=gthread", "--threads=4", "--keep-alive=60"]
    return [*common, *address, "--preload", f"tests.workers.served:{app}()"]


# Every worker


@dataclass(frozen=True)
class Line:
    """A connection to one worker that stays open."""

    worker: str
    http: httpx.Client = field(repr=False)
    url: str
    host: str

    def status(self, cookies: httpx.Cookies) -> int:
        headers = {**SCRIPT, "Host": self.host, "Cookie": "; ".join(f"{name}={cookies[name]}" for name in cookies)}
        answer = self.http.get(self.url + "/report", headers=headers)
        assert answer.headers[WORKER] == self.worker, "the server closed the connection"
        return answer.status_code


@contextmanager
def lines_to_every_worker(site: Site) -> Iterator[list[Line]]:
    """One to each worker of each machine: connections are opened, many at once, until every worker has one."""
    with ExitStack() as stack, ThreadPoolExecutor(16) as pool:
        found: list[Line] = []
        for machine in site.machines:
            by_worker: dict[str, Line] = {}
            deadline = time.monotonic() + PATIENCE
            while len(by_worker) < site.workers:
                assert time.monotonic() < deadline, f"only {len(by_worker)} workers of {machine.name} answer"
                clients = [stack.enter_context(_client()) for _ in range(16)]
                opened = pool.map(_open_line, clients, repeat(machine.url), repeat(urlsplit(site.base_url).netloc))
                by_worker = {line.worker: line for line in opened} | by_worker
            found += by_worker.values()
        yield found


def _open_line(client: httpx.Client, url: str, host: str) -> Line:
    return Line(str(client.get(url + "/report", headers=SCRIPT).headers[WORKER]), client, url, host)


def _client() -> httpx.Client:
    return httpx.Client(
        trust_env=False, timeout=PATIENCE, limits=httpx.Limits(max_connections=1, keepalive_expiry=PATIENCE * 10)
    )
