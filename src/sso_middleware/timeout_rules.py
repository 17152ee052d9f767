"""Timeouts of sessions: what one may be, and in which order those of a device, of the app and of a connection are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from .setting_values import Duration

if TYPE_CHECKING:
    from .connection_settings import ConnectionSettings

Problems = Iterator[str]


def _whole_minutes(value: timedelta) -> timedelta:
    if value and not value % timedelta(minutes=1):
        return value
    raise ValueError('must be in whole minutes, hours or days, such as "15m", "8h" or "14d"')


SessionTimeout = Annotated[Duration, AfterValidator(_whole_minutes)]


def timeouts_are_in_order(
    *,
    hard_timeout: timedelta,
    hard_timeout_mobile: timedelta | None,
    soft_timeout: timedelta | None,
    soft_timeout_mobile: timedelta | None,
    absolute_timeout: timedelta,
) -> Problems:
    if absolute_timeout < hard_timeout:
        yield "absolute_timeout: must not be shorter than hard_timeout"
    if soft_timeout is not None and soft_timeout >= hard_timeout:
        yield "soft_timeout: must be shorter than hard_timeout, or it would never take effect"
    hard_mobile = hard_timeout_mobile or hard_timeout
    soft_mobile = soft_timeout_mobile or soft_timeout
    if (hard_timeout_mobile or soft_timeout_mobile) and soft_mobile is not None and soft_mobile >= hard_mobile:
        yield "soft_timeout_mobile: must be shorter than hard_timeout_mobile, or it would never take effect"
    if hard_timeout_mobile is not None and absolute_timeout < hard_timeout_mobile:
        yield "absolute_timeout: must not be shorter than hard_timeout_mobile"


def connection_timeouts_are_in_order(
    *,
    hard_timeout: timedelta,
    hard_timeout_mobile: timedelta | None,
    soft_timeout: timedelta | None,
    soft_timeout_mobile: timedelta | None,
    absolute_timeout: timedelta,
    connections: tuple[ConnectionSettings, ...],
) -> Problems:
    general = {
        "hard_timeout": hard_timeout,
        "hard_timeout_mobile": hard_timeout_mobile,
        "soft_timeout": soft_timeout,
        "soft_timeout_mobile": soft_timeout_mobile,
        "absolute_timeout": absolute_timeout,
    }
    for connection in connections:
        own = {name: value for name in general if (value := getattr(connection, name)) is not None}
        for problem in timeouts_are_in_order(**{**general, **own}) if own else ():
            name, _, words = problem.partition(": ")
            yield f"connections[{connection.id}].{name}: {words.replace('shorter than ', 'shorter than its ')}"
