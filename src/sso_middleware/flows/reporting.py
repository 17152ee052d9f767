"""Say what happened: to the log, to the event table and to the host, none of which may stop a request.

Also the one way in which a hook of the host's is called: its exception never travels as ours.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import ParamSpec, TypeVar

from ..calling import Call, Hook, TookTooLong
from ..errors import HookFailed, HookTimedOut, SSOError, StoreError
from ..events import EXPLANATION, Event
from ..faults import stack_of
from ..web import Request
from .counting import Untold
from .site import Site

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("sso_middleware")

_LONGEST = 500
"""Characters of one value: an event can quote what anybody sent, and is kept."""


async def ask_host(call: Call, hook: Callable[P, Awaitable[T] | T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a hook. Raises HookFailed for whatever it raises; the log gets the stack, not the values.

    HookTimedOut if it does not answer within `hook_timeout`.
    """
    try:
        return await call(Hook(hook), *args, **kwargs)
    except TookTooLong:
        log.error("hook %s did not answer within hook_timeout", _name_of(hook))
        raise HookTimedOut(f"the hook {_name_of(hook)} did not answer within hook_timeout") from None
    except Exception as error:  # a host's hook may raise anything, and none of it is ours
        log.error("hook %s raised %s\n%s", _name_of(hook), type(error).__name__, stack_of(error))
        raise HookFailed(f"the hook {_name_of(hook)} raised {type(error).__name__}") from None


@contextmanager
def about(connection_id: str | None, *, return_to: str = "/", known_person: bool = False) -> Iterator[None]:
    """Note on an error that passes which connection it is about, and where the person was going.

    `known_person`: the identity provider has vouched for them by then.
    """
    try:
        yield
    except SSOError as error:
        error.connection_id = error.connection_id or connection_id
        if error.return_to == "/":
            error.return_to = return_to
        error.met_known_person = error.met_known_person or known_person
        raise


async def report(
    site: Site,
    request: Request,
    call: Call,
    code: str,
    *,
    connection_id: str | None = None,
    reference: str | None = None,
    email: str | None = None,
    is_trouble: bool = False,
    detail: Mapping[str, str] | None = None,
    explanation: str = "",
) -> None:
    """Record an event, and before it the refusals that were only counted until now.

    `explanation` (see flows/explaining.py) is for the table and the host's hook; the log has the rest.

    A store or a hook that fails here is logged, and the request goes on.
    """
    now = site.now()
    for untold in site.counters.take_untold(now):
        await record(site, call, _summary_of(untold, now), logging.WARNING)
    event = Event(
        code=code,
        at=now,
        connection_id=connection_id and connection_id[:_LONGEST],
        reference=reference,
        client=request.client,
        email=email,
        detail={name: value[:_LONGEST] for name, value in (detail or {}).items()},
    )
    # What is refused is seen without any set-up of the log: Python prints warnings by itself.
    await record(site, call, event, logging.WARNING if reference or is_trouble else logging.INFO, explanation)


def _summary_of(untold: Untold, now: datetime) -> Event:
    codes = sorted(untold.codes.items(), key=lambda item: -item[1])
    return Event(
        code="refusals_counted",
        at=now,
        connection_id=untold.connection_id,
        detail={
            "number": str(untold.number),
            "since": untold.since.isoformat(timespec="seconds"),
            "codes": ", ".join(f"{code} {number}" for code, number in codes)[:_LONGEST],
        },
    )


async def record(
    site: Site,
    call: Call,
    event: Event,
    level: int,
    explanation: str = "",
    unlogged: Mapping[str, str] | None = None,  # more of its detail, such as addresses
) -> None:
    """Log it, keep it, tell the host. Nothing that fails here stops whoever calls."""
    log.log(level, "%r", event)
    more = {**(unlogged or {}), **({EXPLANATION: explanation} if explanation else {})}
    if more:
        event = replace(event, detail={**event.detail, **more})
    try:
        await call(site.store.add_event, event)
    except Exception as error:  # a refusal stays one, whatever a store raises
        log.error(
            "event %s not stored: %s", event.code, error.code if isinstance(error, StoreError) else type(error).__name__
        )
    try:
        await ask_host(call, site.hooks.on_event, event)
    except HookFailed:
        log.error("event %s did not reach the host's hook", event.code)


def _name_of(hook: object) -> str:
    return getattr(hook, "__qualname__", type(hook).__name__)
