"""Requests per second behind a real server: uvicorn's hello, bare and with a session layer, by wrk on loopback.

One worker each, all started before anything is timed, and asked one after the other in each round. Every
run is bounded: so many seconds, then it stops by itself.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from urllib.request import Request, urlopen

from benchmarks.hot_path import HEADERS, OTHER_COOKIES, make_sso, sign_people_in, starlette_app
from benchmarks.report import Row, Section, Target

BARE = "uvicorn hello, bare"
CONNECTIONS = 16
ROOT = Path(__file__).parent.parent


def measure(rounds: int, seconds: float) -> Iterator[Section]:
    if shutil.which("wrk") is None:
        print("\nrequests per second: left out, wrk is not installed")
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sso = make_sso(Path(folder))
        (cookies,) = sign_people_in(sso, 1)
        sso.site.store.close()
        _, starlette_cookie = starlette_app()
        environ = {"BENCHMARK_FOLDER": folder}
        bare = stack.enter_context(_serving("bare", environ))
        ours = stack.enter_context(_serving("ours", environ))
        starlette = stack.enter_context(_serving("starlette", environ))
        asked = {
            BARE: (f"{bare}/report", cookies),
            "ours, signed in": (f"{ours}/report", cookies),
            "ours, public path": (f"{ours}/open", OTHER_COOKIES),
            "Starlette SessionMiddleware": (f"{starlette}/report", starlette_cookie),
        }
        for url, line in asked.values():
            _ask(url, line)
        found: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(max(3, rounds // 2)):
            for name, (url, line) in asked.items():
                found[name].append(_requests_per_second(url, line, max(1, round(seconds * 20))))
    base = median(found[BARE])
    targets: Mapping[str, Target] = {"ours, signed in": Target("least", 0.75)}
    rows = tuple(Row(name, median(v), min(v), max(v), median(v) / base, targets.get(name)) for name, v in found.items())
    note = f"{CONNECTIONS} connections kept open, one worker; wrk on the other core"
    yield Section("requests per second behind uvicorn", BARE, "1/s", rows, note)


@contextmanager
def _serving(app: str, environ: Mapping[str, str]) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", f"benchmarks.served_apps:{app}", "--port", str(port)]
    options = ["--no-access-log", "--log-level", "error", "--lifespan", "off"]
    with subprocess.Popen([*command, *options], cwd=ROOT, env={**os.environ, **environ}) as process:
        try:
            _wait(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(400):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError("uvicorn did not start")


def _ask(url: str, cookies: str) -> None:
    """Each must answer, and know who is there, before it is timed."""
    with urlopen(Request(url, headers={**HEADERS, "Cookie": cookies}), timeout=10) as answer:
        assert answer.status == 200


def _requests_per_second(url: str, cookies: str, seconds: int) -> float:
    headers = [f"-H{name}: {value}" for name, value in {**HEADERS, "Cookie": cookies}.items() if name != "host"]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *headers, url]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in printed:
        raise AssertionError(f"not every answer was a 200:\n{printed}")
    found = re.search(r"Requests/sec:\s+([0-9.]+)", printed)
    assert found is not None
    return float(found[1])
