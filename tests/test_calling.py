"""How the two worlds carry out `await call(fn, …)`."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

import pytest

from sso_middleware.calling import (
    CallBlocking,
    CallCooperatively,
    Hook,
    TookTooLong,
    call_blocking,
    pause,
    run,
    system_clock,
)

SHORTLY = timedelta(milliseconds=30)

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


# How long a hook may take


@pytest.mark.parametrize("fn", [plain, awaited, returns_awaitable])
def test_a_hook_that_answers_in_time_is_like_any_other_call(fn: Callable[..., int]) -> None:
    """In both worlds."""
    assert run(CallBlocking(hook_timeout=timedelta(seconds=9))(Hook(fn), 1, plus=2)) == 3
    assert asyncio.run(CallCooperatively(1, hook_timeout=timedelta(seconds=9))(Hook(fn), 1, plus=2)) == 3


@pytest.mark.parametrize("kind", ["async", "returns_awaitable"])
def test_an_async_hook_is_cancelled(kind: str) -> None:
    """In both worlds: it does nothing any more once its time is over."""
    told: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    def starts_slow() -> object:
        return slow()

    fn: Callable[[], object] = slow if kind == "async" else starts_slow
    hook: Hook[[], object] = Hook(fn)
    with pytest.raises(TookTooLong):
        run(CallBlocking(hook_timeout=SHORTLY)(hook))
    with pytest.raises(TookTooLong):
        asyncio.run(CallCooperatively(1, hook_timeout=SHORTLY)(hook))
    assert told == ["cancelled"] * 2


def test_a_plain_hook_keeps_its_worker_until_it_ends() -> None:
    """Under ASGI nobody waits for it any longer, and the pool has one worker less meanwhile."""
    may_end, started = threading.Event(), threading.Event()

    def slow() -> None:
        started.set()
        may_end.wait(30)

    async def under_asgi() -> None:
        call = CallCooperatively(1, hook_timeout=SHORTLY)
        with pytest.raises(TookTooLong):
            await call(Hook(slow))
        assert started.is_set()
        with pytest.raises(TookTooLong):
            await call(Hook(plain), 1)  # waits for a worker, in vain, and is never begun
        may_end.set()
        assert await call(plain, 1) == 1
        assert await call(Hook(plain), 2) == 2

    asyncio.run(under_asgi())


def test_the_loop_goes_on_while_a_plain_hook_takes_too_long() -> None:
    """Other requests are answered, as a server's one loop must."""
    may_end = threading.Event()

    async def under_asgi() -> list[str]:
        call = CallCooperatively(2, hook_timeout=SHORTLY)
        told: list[str] = []

        async def slow_request() -> None:
            with pytest.raises(TookTooLong):
                await call(Hook(may_end.wait), 30)
            told.append("refused")

        async def other_request() -> None:
            assert await call(plain, 1) == 1
            told.append("answered")

        await asyncio.gather(slow_request(), other_request())
        may_end.set()
        return told

    assert asyncio.run(under_asgi()) == ["answered", "refused"]


def test_under_wsgi_a_plain_hook_has_the_servers_time() -> None:
    """It runs in the server's own thread, where nobody could stop it."""
    assert run(CallBlocking(hook_timeout=timedelta(microseconds=1))(Hook(threading.get_ident))) == threading.get_ident()


def test_a_time_out_of_the_hooks_own_is_the_hooks_own() -> None:
    """What it raises comes through as it was raised."""

    async def fails() -> None:
        raise TimeoutError("its own")

    hook: Hook[[], None] = Hook(fails)
    with pytest.raises(TimeoutError, match="its own"):
        run(CallBlocking()(hook))
    with pytest.raises(TimeoutError, match="its own"):
        asyncio.run(CallCooperatively(1)(hook))


def test_only_hooks_are_limited() -> None:
    """What we do ourselves is done to the end."""

    async def slow() -> int:
        await asyncio.sleep(0.05)
        return 1

    assert run(CallBlocking(hook_timeout=timedelta(milliseconds=1))(slow)) == 1
    assert asyncio.run(CallCooperatively(1, hook_timeout=timedelta(milliseconds=1))(slow)) == 1


def test_waiting_takes_no_worker() -> None:
    """Many wait at once on the loop, with one worker that somebody else has."""
    may_end = threading.Event()

    async def under_asgi() -> None:
        call = CallCooperatively(1)
        busy = asyncio.ensure_future(call(may_end.wait, 30))
        await asyncio.gather(*(call(pause, 0.01) for _ in range(20)))
        may_end.set()
        await busy

    asyncio.run(asyncio.wait_for(under_asgi(), 20))
    run(call_blocking(pause, 0.001))


def test_the_clock_is_aware_and_in_utc() -> None:
    """One clock for every decision."""
    assert system_clock().tzinfo is UTC
    assert abs((system_clock() - datetime.now(UTC)).total_seconds()) < 60
