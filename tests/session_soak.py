"""`python -m tests.session_soak [--minutes N]`: sessions under mixed load, on real servers whose workers are killed.

People sign in, click, leave, come back in several tabs at once, are renewed, revoked, signed out and told
no, while every few seconds a worker gets SIGKILL. Each person knows who they are and whether they must be
in: an identity that is another's, a session that was lost, one that lives on after its revocation, and any
answer of 500 or above is a fault. Prints the figures; status 1 if there was one fault, or if something of
the above never happened.

A person's browser is one thread, its tabs are more. The clock of the app runs SPEED times as fast as ours.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from random import Random
from urllib.parse import urlencode

import httpx
from sqlalchemy import create_engine, select
from tests.identity_provider import IdentityProvider, ReceivedRequest, make_signer, read_redirect
from tests.postgres import running_cluster
from tests.servers import BINARIES, ROOT, Process, free_port, running
from tests.soaked_app import make_clock

from sso_middleware.stores import tables
from sso_middleware.stores.migrate import migrate_database
from sso_middleware.stores.session_records import SessionQuery
from sso_middleware.stores.sql import SqlStore

SPEED = 10.0
SOFT, HARD, ABSOLUTE = timedelta(minutes=1), timedelta(minutes=6), timedelta(minutes=30)
DELAY_SECONDS = 1.0
"""Of ours: how long a revocation may take to be seen."""
KILLED_EVERY = 2.0
PAGE = "/report?month=11"
NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
SCRIPT = {"Accept": "*/*", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
MOST_STEPS = 12
"""Of one visit: redirects, answers and pages."""


class Faults:
    """What went wrong, told as it happens; and how often everything else happened."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.figures: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, what: str) -> None:
        with self._lock:
            self.figures[what] += 1

    def tell(self, what: str) -> None:
        with self._lock:
            self.found.append(what)
            if len(self.found) <= 20:
                print(f"FAULT: {what}", flush=True)


class ReplyLost(Exception):
    """The worker was killed before it answered."""


class Person:
    """One browser, and what its owner knows."""

    def __init__(self, number: int, url: str, store: SqlStore, clock: Callable[[], datetime], faults: Faults) -> None:
        self.email = f"person{number}@acme.example"
        self.other_email = f"stranger{number}@acme.example"
        self.url = url
        self.store = store
        self.clock = clock
        self.faults = faults
        self.idp = IdentityProvider()
        self.random = Random(number)
        self.http = httpx.Client(trust_env=False, timeout=30)
        self.cookies: dict[str, str] = {}
        self.signed_in_at: datetime | None = None
        """None: need not be in."""
        self.seen_at: datetime | None = None
        self.may_be_out = True
        """Something was begun whose end is not known: a sign-out whose reply got lost, say."""
        self._lock = threading.Lock()

    # HTTP

    def send(
        self, method: str, url: str, headers: dict[str, str], fields: dict[str, str] | None = None
    ) -> httpx.Response:
        """One request. Raises ReplyLost."""
        is_cross_site = headers.get("Origin") == "https://idp.acme.example"
        cookies = "" if is_cross_site else "; ".join(f"{name}={value}" for name, value in list(self.cookies.items()))
        self.faults.count("requests")
        try:
            answer = self.http.request(
                method,
                url if url.startswith("http") else self.url + url,
                headers={**headers, "Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"},
                content=urlencode(fields).encode() if fields is not None else None,
            )
        except httpx.TransportError:
            self.faults.count("replies lost")
            raise ReplyLost from None
        if answer.status_code >= 500:
            self.faults.tell(f"{answer.status_code} at {method} {httpx.URL(url).path}: {answer.text[:300]}")
        with self._lock:
            for line in answer.headers.get_list("Set-Cookie"):
                for name, morsel in SimpleCookie(line).items():
                    if morsel["max-age"] == "0":
                        self.cookies.pop(name, None)
                    else:
                        self.cookies[name] = morsel.value
        return answer

    def get(self, url: str) -> httpx.Response:
        return self.send("GET", url, NAVIGATION)

    # What a person does

    def live(self, until: float) -> None:
        """Do one thing after the other until this moment of `time.monotonic`."""
        doings = [self.click, self.click, self.click, self.fetch, self.come_back, self.come_back, self.go_home]
        doings += [self.log_out, self.be_revoked, self.be_told_no, self.be_mistaken]
        while time.monotonic() < until:
            try:
                if self.signed_in_at is None:
                    self.visit(PAGE)
                self.random.choice(doings)()
            except ReplyLost:
                pass  # and the next click begins again
            time.sleep(self.random.uniform(0.02, 0.1))

    def click(self) -> None:
        for _ in range(self.random.randint(1, 8)):
            self.visit(PAGE)

    def fetch(self) -> None:
        """A script: it is told, and nothing else."""
        sent_at = self.clock()
        answer = self.send("GET", "/api", SCRIPT)
        if answer.status_code == 200:
            self._is_in(answer, sent_at)
        elif answer.json()["code"] == "sign_in_required":
            self._is_out("a script")

    def come_back(self) -> None:
        """After the soft timeout, in one to three tabs at once."""
        time.sleep(self.random.uniform(1.0, 1.3) * SOFT.total_seconds() / SPEED)
        self._in_tabs(self.random.randint(1, 3), lambda: self.visit(PAGE))

    def go_home(self) -> None:
        """For longer than the soft timeout, and now and then than the hard one."""
        longest = HARD.total_seconds() / SPEED
        time.sleep(longest * (1.1 if self.random.random() < 0.1 else self.random.uniform(0.2, 0.6)))
        self.visit(PAGE)

    def log_out(self) -> None:
        page = self.get("/sso/logout")
        if page.status_code != 200:
            return
        token = page.text.split('name="csrf_token" value="')[1].split('"')[0]
        self.may_be_out = True
        self._ended()
        self.send("POST", "/sso/logout", {**NAVIGATION, "Origin": self.url}, {"csrf_token": token})
        self.faults.count("sign-outs")
        self._check_out()

    def be_revoked(self) -> None:
        """By an admin, while tabs are at work; soon every worker must know."""
        self.may_be_out = True
        self._ended()
        revoked = threading.Thread(target=self._revoke)
        revoked.start()
        self._in_tabs(2, lambda: self.get(PAGE))
        revoked.join()
        time.sleep(DELAY_SECONDS)
        self._check_out()

    def _revoke(self) -> None:
        self.store.end_sessions(SessionQuery(email=self.email), self.clock())
        self.faults.count("revocations")

    def be_told_no(self) -> None:
        """The identity provider's session is over: signed out."""
        self._renew_with(None)

    def be_mistaken(self) -> None:
        """Somebody else signed in at the identity provider: signed out, and not in as them."""
        self._renew_with(self.other_email)

    def _renew_with(self, email: str | None) -> None:
        time.sleep(1.1 * SOFT.total_seconds() / SPEED)
        answer = self.get(PAGE)
        request = self._question(answer)
        if request is None or not request.is_passive:
            return
        self.may_be_out = True
        self._ended()
        self._answer(request, email)
        self.faults.count("renewals refused")
        self._check_out()

    def visit(self, page: str) -> None:
        """Go to a page, wherever that leads: to the identity provider and back."""
        sent_at = self.clock()
        signs_in = False
        answer = self.get(page)
        for _ in range(MOST_STEPS):
            request = self._question(answer)
            if answer.status_code == 200 and answer.headers["Content-Type"] == "application/json":
                self._is_in(answer, sent_at)
                return
            if request is not None:
                answer = self._sent_to_idp(request, signs_in=signs_in)
            elif answer.status_code == 303:
                if "/sso/login" in answer.headers["Location"]:
                    self._is_out("a page")
                    signs_in = True
                sent_at = self.clock()
                answer = self.get(answer.headers["Location"])
            elif answer.status_code == 401 and "has not answered" in answer.text:
                self.faults.count("“try again”")
                answer = self.get("/sso/renew?window=1&return_to=" + page.replace("?", "%3F"))
            elif answer.status_code == 200 and "You are signed out" in answer.text:
                signs_in = True
                answer = self.get("/sso/login?again=1&return_to=" + page.replace("?", "%3F"))
            elif answer.status_code in (200, 400, 403) and "/sso/" in answer.text:
                # A step of the sign-in was killed, or another tab has finished it: begin again.
                self.faults.count("steps refused")
                signs_in = False
                sent_at = self.clock()
                answer = self.get(page)
            else:
                break
        self.faults.tell(f"{self.email} did not arrive: {answer.status_code} {answer.text[:200]}")

    def _question(self, answer: httpx.Response) -> ReceivedRequest | None:
        location = answer.headers.get("Location", "")
        return read_redirect(location) if location.startswith(self.idp.sso_url) else None

    def _sent_to_idp(self, request: ReceivedRequest, *, signs_in: bool) -> httpx.Response:
        before, began_at = self._session(), self.clock()
        try:
            answer = self._answer(request, self.email)
        except ReplyLost:
            if signs_in:  # it may have ended what another tab has just begun
                self.may_be_out = True
            raise
        if answer.status_code == 303 and self._session() not in (None, before):
            self.faults.count("sign-ins" if signs_in else "renewals")
            with self._lock:
                self.seen_at = began_at
                if signs_in:
                    self.signed_in_at = began_at
                    self.may_be_out = False
        return answer

    def _answer(self, request: ReceivedRequest, email: str | None) -> httpx.Response:
        if email is None:
            status = ("Responder", "NoPassive")
            form = self.idp.answer(request, "", now=self.clock(), status=status, has_assertion=False)
        else:
            form = self.idp.answer(request, email, now=self.clock())
        posted = self.send("POST", request.acs_url, {**NAVIGATION, "Origin": "https://idp.acme.example"}, form)
        return self.get(posted.headers["Location"]) if posted.status_code == 303 else posted

    def _in_tabs(self, number: int, do: Callable[[], object]) -> None:
        def tab() -> None:
            with suppress(ReplyLost):
                do()

        tabs = [threading.Thread(target=tab) for _ in range(number)]
        for each in tabs:
            each.start()
        for each in tabs:
            each.join()

    def _session(self) -> str | None:
        return next((value for name, value in list(self.cookies.items()) if name.endswith("-session")), None)

    # What must hold

    def _is_in(self, answer: httpx.Response, sent_at: datetime) -> None:
        email = answer.json()["email"]
        if email != self.email:
            self.faults.tell(f"{self.email} was taken for {email}")
        with self._lock:
            self.seen_at = max(self.seen_at or sent_at, sent_at)

    def _is_out(self, what: str) -> None:
        """Told to sign in. It is a fault if no limit has passed and nobody has ended the session."""
        now = self.clock()
        with self._lock:
            if self.signed_in_at is None or self.seen_at is None or self.may_be_out:
                return
            if now < self.seen_at + HARD and now < self.signed_in_at + ABSOLUTE:
                self.faults.tell(f"{self.email} was lost at {what}, {now - self.seen_at} after being seen")
            self.signed_in_at = self.seen_at = None
            self.may_be_out = True
        self.faults.count("timed out")

    def _ended(self) -> None:
        with self._lock:
            self.signed_in_at = self.seen_at = None

    def _check_out(self) -> None:
        """Whichever worker answers: nobody is in by what this browser still holds."""
        for _ in range(4):
            answer = self.send("GET", "/api", SCRIPT)
            if answer.status_code == 200:
                self.faults.tell(f"{self.email} was in after the session had been ended")


def children_of(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]


def kill_workers(process: Process, until: float, faults: Faults) -> None:
    """SIGKILL one worker after the other, each a child of the server that we started."""
    random = Random(0)
    while time.monotonic() + KILLED_EVERY < until:
        time.sleep(KILLED_EVERY)
        workers = [
            pid for pid in children_of(process.popen.pid) if b"spawn_main" in command_of(pid) or is_fork(pid, process)
        ]
        if len(workers) > 1:
            os.kill(random.choice(workers), signal.SIGKILL)
            faults.count("workers killed")


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_fork(pid: int, process: Process) -> bool:
    """gunicorn's workers have its own command line; uvicorn's are spawned, beside a tracker of resources."""
    return command_of(pid) == command_of(process.popen.pid)


def commands(server: str, port: int) -> tuple[str, list[str]]:
    if server == "gunicorn":
        options = ["--workers=4", "--worker-class=gthread", "--threads=4", f"--bind=127.0.0.1:{port}"]
        return "wsgi", [str(BINARIES / "gunicorn"), *options, "tests.soaked_app:app"]
    return "asgi", [
        str(BINARIES / "uvicorn"),
        "--workers=2",
        "--host=127.0.0.1",
        f"--port={port}",
        "tests.soaked_app:app",
    ]


@contextmanager
def serving(server: str, database_url: str, directory: Path, epoch: float) -> Iterator[Process]:
    port = free_port()
    kind, command = commands(server, port)
    url = f"http://127.0.0.1:{port}"
    own_key = make_signer("our own key")
    values = {
        "base_url": url,
        "secret_keys": [secrets.token_urlsafe(48)],
        "database_url": database_url,
        "public": ["/healthz"],
        "signing_key": own_key.private_pem,
        "signing_certificate": own_key.certificate,
        "sign_ins_per_minute": 100_000,
        "soft_timeout": f"{SOFT // timedelta(minutes=1)}m",
        "hard_timeout": f"{HARD // timedelta(minutes=1)}m",
        "absolute_timeout": f"{ABSOLUTE // timedelta(minutes=1)}m",
        "revocation_delay": f"{int(DELAY_SECONDS * SPEED)}s",
        "connections": [
            {
                "id": "acme",
                "organization": "Acme",
                "domains": ["acme.example"],
                "metadata": IdentityProvider().metadata,
            }
        ],
    }
    path = directory / "settings.json"
    path.write_text(json.dumps(values))
    path.chmod(0o600)
    environment = {
        "SOAK_SETTINGS": str(path),
        "SOAK_EPOCH": str(epoch),
        "SOAK_SPEED": str(SPEED),
        "SOAK_KIND": kind,
        "PYTHONPATH": str(ROOT),
    }
    with running("soaked", command, url=url, directory=directory, environment=environment) as process:
        process.wait_until_answers("/healthz")
        yield process


def check_records(database_url: str, faults: Faults) -> None:
    """Nothing is left half-made: each old id leads to a session that is there, and that is no old id itself."""
    engine = create_engine(database_url)
    with engine.connect() as connection:
        rows = connection.execute(select(tables.sessions.c.id, tables.sessions.c.replaced_by)).all()
    engine.dispose()
    current = {row.id for row in rows if row.replaced_by is None}
    astray = [row.id for row in rows if row.replaced_by is not None and row.replaced_by not in current]
    if astray:
        faults.tell(f"{len(astray)} old ids lead nowhere")
    faults.figures["records at the end"] = len(rows)


def soak(server: str, database_url: str, directory: Path, *, minutes: float, people: int) -> Faults:
    faults = Faults()
    epoch = time.time()
    clock = make_clock(epoch, SPEED)
    store = SqlStore(database_url)
    with serving(server, database_url, directory, epoch) as process:
        until = time.monotonic() + minutes * 60
        everybody = [Person(number, process.url, store, clock, faults) for number in range(people)]
        with ThreadPoolExecutor(people + 1) as threads:
            done = [threads.submit(person.live, until) for person in everybody]
            done.append(threads.submit(kill_workers, process, until, faults))
            for each in done:
                each.result()
        for person in everybody:
            person.http.close()
        for line in process.log.splitlines():
            if "Traceback" in line or "unexpected " in line:
                faults.tell(f"the server's log says: {line[:200]}")
    store.close()
    check_records(database_url, faults)
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.session_soak")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--server", choices=["gunicorn", "uvicorn"], default="gunicorn")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sso-soak-")))
        database_url = f"sqlite:///{directory / 'sso.db'}"
        if options.database == "postgresql":
            cluster = stack.enter_context(running_cluster(hurries=True))
            database_url = cluster.url(cluster.create_database())
        migrate_database(database_url)
        faults = soak(options.server, database_url, directory, minutes=options.minutes, people=options.people)
        if faults.found:
            print((directory / "soaked.log").read_text(errors="replace")[-4000:])
    for what, number in sorted(faults.figures.items(), key=lambda item: -item[1]):
        print(f"{number:>8} {what}")
    wanted = {"sign-ins", "renewals", "renewals refused", "revocations", "sign-outs", "workers killed", "replies lost"}
    never = wanted - faults.figures.keys()
    if never:
        print(f"never happened: {', '.join(sorted(never))}")
    print(f"{len(faults.found)} faults on {options.server} and {options.database}")
    return 1 if faults.found or never else 0


if __name__ == "__main__":
    sys.exit(main())
