"""What a signed-in request costs as an app grows: of few and of many live sessions, of one connection and of many.

Of the sessions in the store as many are remembered, and asked in turn, as one process keeps by default. What
remembering one costs in memory is said beside it, and what a request costs whose session is not remembered.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.hot_path import asgi_task, bare_asgi, make_sso, scope_of, sign_people_in
from benchmarks.measuring import Task, compare
from benchmarks.report import Row, Section
from sso_middleware import ASGIMiddleware

CASES = {
    "1 session": (1, 1),
    "1,000 sessions": (1_000, 1),
    "100,000 sessions": (100_000, 1),
    "1,000 sessions, 1,000 connections": (1_000, 1_000),
}
BASE = "1 session"
NOT_REMEMBERED = "not remembered, of 100,000 in SQLite"
REMEMBERED = 10_000


def measure(rounds: int, seconds: float) -> Iterator[Section]:
    loop = asyncio.new_event_loop()
    bytes_each = 0.0
    tasks: dict[str, Task] = {}
    with ExitStack() as stack:
        stack.callback(loop.close)
        for name, (sessions, connections) in CASES.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            sso = make_sso(folder, connections=connections, remembered=2 * REMEMBERED)
            cookies = sign_people_in(sso, sessions)[:REMEMBERED]
            scopes = [scope_of("/report", line) for line in cookies]
            app = ASGIMiddleware(bare_asgi, sso)
            task = asgi_task(loop, app, scopes)
            if name == "1,000 sessions":
                bytes_each = _memory_of(task, sessions) / sessions
            task(len(scopes))
            tasks[name] = task
            if sessions == 100_000:
                other = make_sso(folder)
                forgetful = asgi_task(loop, ASGIMiddleware(bare_asgi, other), scopes)
                tasks[NOT_REMEMBERED] = _forgetting(other.site.sessions.forget_all, forgetful)
        calls = {name: max(50, int(seconds * (1_000 if name == NOT_REMEMBERED else 20_000))) for name in tasks}
        measured = compare(tasks, rounds=rounds, calls=calls)
    base = measured[BASE].median
    rows = tuple(
        Row(name, t.median * 1000, t.least * 1000, t.most * 1000, t.median / base) for name, t in measured.items()
    )
    note = f"ASGI; a remembered session takes {bytes_each / 1024:.1f} KiB of memory, its principal included"
    yield Section("a signed-in request as an app grows", BASE, "us", rows, note)


def _memory_of(task: Task, calls: int) -> int:
    gc.collect()
    tracemalloc.start()
    task(calls)
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return taken


def _forgetting(forget: object, task: Task) -> Task:
    assert callable(forget)

    def one_by_one(calls: int) -> float:
        total = 0.0
        for _ in range(calls):
            forget()
            total += task(1)
        return total

    return one_by_one
