"""The whole difference between the two worlds: how the core's `await call(fn, …)` is carried out.

Under ASGI what is async is awaited and what is plain gets a bounded worker thread. Under WSGI
nothing ever suspends: what is plain is called, what is async (a host's hook) runs on one background
loop, and the same coroutine finishes in a single `send(None)`.

A `Hook` of the host's may take so long and no longer, where that is ours to say. What is async is cancelled. A
plain one can't be: under ASGI whoever waits for it goes on, and it keeps its worker until it ends; under WSGI it
has the server's own thread, and the server's time-out.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from asgiref.sync import sync_to_async

P = ParamSpec("P")
T = TypeVar("T")

Clock = Callable[[], datetime]
Pause = Callable[[float], Awaitable[None]]

HOOK_TIMEOUT = timedelta(seconds=10)
"""Where no setting says otherwise."""


def system_clock() -> datetime:
    """The one place where the time comes from, unless a clock is given. Always aware, always UTC."""
    return datetime.now(UTC)


async def pause(seconds: float) -> None:
    """Wait. It needs no worker thread under ASGI; under WSGI it holds the server's."""
    await asyncio.sleep(seconds)


class TookTooLong(Exception):
    """A hook did not answer in time. What is async was cancelled; a plain one may still be at work."""


class Hook(Generic[P, T]):
    """A function of the host's: whoever carries it out waits for it for a limited time."""

    def __init__(self, fn: Callable[P, Awaitable[T] | T]) -> None:
        self.fn = fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T] | T:
        return self.fn(*args, **kwargs)


class Call(Protocol):
    """Carry out one touch of the world: a store method, a hook, the reading of a body."""

    @overload
    def __call__(
        self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]: ...

    @overload
    def __call__(
        self, fn: Callable[P, Awaitable[T] | T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]: ...


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Finish a core coroutine that was given `call_blocking`, in this thread, without an event loop.

    Raises RuntimeError if it awaited anything but `call`: then some wait would be lost.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    coroutine.close()
    raise RuntimeError("the core awaited something other than call()")


class CallBlocking:
    """The WSGI world's `call`: never suspends. Raises TookTooLong for a Hook that is async and does not end."""

    def __init__(self, *, hook_timeout: timedelta = HOOK_TIMEOUT) -> None:
        self._hook_seconds = hook_timeout.total_seconds()

    async def __call__(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        result = fn(*args, **kwargs)
        if not inspect.isawaitable(result):
            return result
        return _background_loop.wait_for(result, self._hook_seconds if isinstance(fn, Hook) else None)


call_blocking = CallBlocking()
"""For whoever has no settings at hand."""


class CallCooperatively:
    """The ASGI world's `call`: awaits what is async, gives what is plain one of `threads` workers.

    The pool is made at first use, so after a fork. A context variable set by the host is seen in the
    worker thread. Raises TookTooLong for a Hook that does not end in time.
    """

    def __init__(self, threads: int, *, hook_timeout: timedelta = HOOK_TIMEOUT) -> None:
        self._threads = threads
        self._hook_seconds = hook_timeout.total_seconds()
        self._pool: ThreadPoolExecutor | None = None
        self._pid = 0

    def _executor(self) -> ThreadPoolExecutor:
        if self._pool is None or self._pid != os.getpid():
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="sso-call")
            self._pid = os.getpid()
        return self._pool

    async def __call__(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if isinstance(fn, Hook):
            return await _within(self._hook_seconds, self._carry_out(fn.fn, *args, **kwargs))
        return await self._carry_out(fn, *args, **kwargs)

    async def _carry_out(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if inspect.iscoroutinefunction(fn):
            return await fn(*args, **kwargs)
        in_thread = sync_to_async(_call_plain, thread_sensitive=False, executor=self._executor())
        result = await in_thread(fn, *args, **kwargs)
        return await result if inspect.isawaitable(result) else result


async def _within(seconds: float | None, awaitable: Awaitable[T]) -> T:
    """Raises TookTooLong, not the TimeoutError that a hook may raise itself."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await awaitable
    except TimeoutError:
        if limit.expired():
            raise TookTooLong from None
        raise


def _call_plain(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    try:
        return fn(*args, **kwargs)
    except StopIteration as error:
        # No Future can carry it: whoever waits would wait for ever. (A coroutine turns it into this as well.)
        raise RuntimeError("a plain function raised StopIteration") from error


class _BackgroundLoop:
    """One event loop in a daemon thread, for async hooks under WSGI. Started at first use in each process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    def wait_for(self, awaitable: Awaitable[T], seconds: float | None) -> T:
        return asyncio.run_coroutine_threadsafe(_within(seconds, awaitable), self._started()).result()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop = asyncio.new_event_loop()
                self._pid = os.getpid()
                threading.Thread(target=self._loop.run_forever, name="sso-hooks", daemon=True).start()
            return self._loop

    def forget(self) -> None:
        """After a fork the lock may be held by a thread that no longer exists."""
        self._lock = threading.Lock()
        self._loop = None


_background_loop = _BackgroundLoop()
os.register_at_fork(after_in_child=_background_loop.forget)
