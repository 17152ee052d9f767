"""Which events: what somebody who looks through the audit trail asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ..events import Event


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Those that are all of this. Nothing given: every one."""

    codes: tuple[str, ...] = ()
    """Any of these; one that ends in * stands for all that begin so."""
    connection_ids: tuple[str, ...] | None = None
    email: str | None = field(default=None, repr=False)
    client: str | None = None
    reference: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Before this."""


class EventStore(Protocol):
    """The part of `records.Store` that is about what happened."""

    def add_event(self, event: Event) -> None: ...

    def get_events(self, *, limit: int = 100, reference: str | None = None) -> Sequence[Event]:
        """Newest first."""
        ...

    def find_events(
        self, query: EventQuery, *, limit: int = 100, after: int | None = None
    ) -> Sequence[tuple[int, Event]]:
        """With their numbers: newest first; with `after`, those of a higher number, oldest first.

        A lower number may still become visible after a higher one: whoever follows looks back a little.
        """
        ...

    def delete_events(self, before: datetime, *, batch: int = 500) -> int:
        """At most `batch` of those that happened before; how many went."""
        ...
