"""The dated exceptions of a connection: a SHA-1 signature, and a Destination that is not our address.

Until when each may last is `connections`' to say, and what it lets through `saml`'s. Here a message is
tried without them first, so that every use of one is known, and told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from ..calling import Call
from ..connections import Connection, start_of
from ..errors import AlgorithmNotAllowed, DestinationMismatch
from ..events import Event
from ..saml.parties import Trust
from ..settings import Settings
from ..stores.records import Store
from ..web import Request
from .reporting import report
from .site import Site

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DatedException:
    """One that a connection has."""

    code: str
    """Of the event of each use."""
    setting: str
    until: datetime
    allows: str

    def __str__(self) -> str:
        return f"{self.setting} allows {self.allows} until {self.until:%Y-%m-%d}"


def describe_exceptions(settings: Settings, now: datetime) -> Iterator[str]:
    """For the log at start, and for an operator: each that is still open, and each that can be taken out."""
    for connection_id, exception in _declared(settings):
        if now < exception.until:
            yield f"connection {connection_id!r}: {exception}; every use is reported"
        else:
            yield f"connection {connection_id!r}: {exception.setting} has ended; take it out"


def tell_of_open_exceptions(settings: Settings, store: Store, tell: Callable[[Event], None], now: datetime) -> None:
    """An event for each that is open, once a day, whether it is used or not."""
    for connection_id, exception in _declared(settings):
        told = f"exception_open/{connection_id}/{exception.setting}/{now:%Y-%m-%d}"
        if now < exception.until and store.claim_notice(told, now + timedelta(days=2)):
            tell(Event("exception_open", now, connection_id=connection_id, detail={"why": str(exception)}))


def _declared(settings: Settings) -> Iterator[tuple[str, DatedException]]:
    for declared in settings.connections:
        for exception in _exceptions(start_of(declared.sha1_until), start_of(declared.skip_destination_until)):
            yield declared.id, exception


def _exceptions(sha1_until: datetime | None, skip_destination_until: datetime | None) -> Iterator[DatedException]:
    if sha1_until is not None:
        yield DatedException("sha1_accepted", "sha1_until", sha1_until, "SHA-1 signatures")
    if skip_destination_until is not None:
        yield DatedException("destination_skipped", "skip_destination_until", skip_destination_until, "any Destination")


def verify_strictly_first(trust: Trust, verify: Callable[[Trust], T]) -> tuple[T, Sequence[DatedException]]:
    """What `verify` returns, under `trust` with as few of its exceptions as will do, and those. Raises as `verify`."""
    verified, needed = _verify(trust, verify)
    return verified, list(_exceptions(needed.sha1_until, needed.skip_destination_until))


async def tell_of_use(
    site: Site, request: Request, call: Call, connection: Connection, used: Sequence[DatedException]
) -> None:
    """An event for each. To be called once the message is accepted: a replay uses none."""
    for exception in used:
        detail = {"why": f"a message was accepted because {exception}"}
        await report(site, request, call, exception.code, connection_id=connection.id, detail=detail, is_trouble=True)


def _verify(trust: Trust, verify: Callable[[Trust], T]) -> tuple[T, Trust]:
    """What came out, and under which trust: each exception is granted only for the refusal that it is about."""
    needed = replace(trust, sha1_until=None, skip_destination_until=None)
    while True:
        try:
            return verify(needed), needed
        except (AlgorithmNotAllowed, DestinationMismatch) as refusal:
            if isinstance(refusal, AlgorithmNotAllowed):
                wider = replace(needed, sha1_until=trust.sha1_until)
            else:
                wider = replace(needed, skip_destination_until=trust.skip_destination_until)
            if wider == needed:
                raise
            needed = wider
