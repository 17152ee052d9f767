"""How the two worlds carry out `await call(fn, …)`."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime

import pytest

from sso_middleware.calling import CallCooperatively, call_blocking, run, system_clock

language = ContextVar("language", default="none")


def plain(number: int, *, plus: int = 0) -> int:
    return number + plus


async def awaited(number: int, *, plus: int = 0) -> int:
    await asyncio.sleep(0)
    return number + plus


def returns_awaitable(number: int, *, plus: int = 0) -> object:
    return awaited(number, plus=plus)


@pytest.mark.parametrize("fn", [plain, awaited, returns_awaitable])
def test_both_worlds_call_plain_and_async_alike(fn: Callable[..., int]) -> None:
    """Arguments and results are the same."""
    assert run(call_blocking(fn, 1, plus=2)) == 3
    assert asyncio.run(CallCooperatively(2)(fn, 1, plus=2)) == 3


@pytest.mark.parametrize("fn", ["plain", "awaited"])
def test_an_exception_comes_through(fn: str) -> None:
    """As it was raised."""

    def fail() -> None:
        raise LookupError("plain")

    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise LookupError("awaited")

    failing: Callable[[], object] = fail if fn == "plain" else fail_later
    with pytest.raises(LookupError, match=fn):
        run(call_blocking(failing))
    with pytest.raises(LookupError, match=fn):
        asyncio.run(CallCooperatively(1)(failing))


def test_a_plain_function_that_raises_stop_iteration_is_not_waited_for() -> None:
    """No Future can carry it (bpo-26221): the request would hang. `next()` in a hook is enough."""

    def fail() -> None:
        next(iter(()))

    async def under_asgi() -> None:
        await asyncio.wait_for(CallCooperatively(1)(fail), 5)

    with pytest.raises(RuntimeError, match="StopIteration"):
        run(call_blocking(fail))
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(under_asgi())


def test_under_wsgi_what_is_plain_stays_in_its_thread() -> None:
    """Django's ORM and others are bound to it."""
    assert run(call_blocking(threading.get_ident)) == threading.get_ident()


def test_under_asgi_what_is_plain_leaves_the_loops_thread() -> None:
    """So the loop goes on."""
    assert asyncio.run(CallCooperatively(1)(threading.get_ident)) != threading.get_ident()


def test_no_more_threads_work_than_allowed() -> None:
    """The pool is bounded."""
    at_once, most, lock = 0, 0, threading.Lock()
    third = threading.Event()

    def work() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        third.wait(0.02)
        with lock:
            at_once -= 1

    async def all_of_them() -> None:
        call = CallCooperatively(2)
        await asyncio.gather(*(call(work) for _ in range(8)))

    asyncio.run(all_of_them())
    assert most == 2


def test_context_variables_are_seen_by_hooks() -> None:
    """In the worker thread, and on the background loop."""

    async def read_later() -> str:
        await asyncio.sleep(0)
        return language.get()

    async def under_asgi() -> tuple[str, str]:
        language.set("nl")
        call = CallCooperatively(1)
        return await call(language.get), await call(read_later)

    assert asyncio.run(under_asgi()) == ("nl", "nl")
    token = language.set("sv")
    try:
        assert run(call_blocking(read_later)) == "sv"
    finally:
        language.reset(token)


def test_the_background_loop_works_in_a_forked_child() -> None:
    """gunicorn --preload: the parent's thread does not come along, so the child starts its own."""
    assert run(call_blocking(awaited, 1)) == 1
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, str(run(call_blocking(awaited, 41, plus=1))).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    answer = os.read(read, 10)
    os.close(read)

    assert answer == b"42"


def test_the_clock_is_aware_and_in_utc() -> None:
    """One clock for every decision."""
    assert system_clock().tzinfo is UTC
    assert abs((system_clock() - datetime.now(UTC)).total_seconds()) < 60
