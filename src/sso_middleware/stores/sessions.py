"""The sessions that one process remembers, and how it hears of those that were ended elsewhere.

Every revocation, sign-out and renewal leaves a numbered `Change` in its own transaction. A process
reads on from the last number that it knows at most once per `revocation_delay`, and believes what it
remembers only for as long as it has read: if it can't read, StoreUnavailable says so, and nobody is
let in. What a session allows is the flows' to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ..bounded import Bounded
from ..calling import Call
from ..errors import StoreUnavailable
from .records import Store
from .session_records import Change, Changes, Session

_NEVER = datetime.min.replace(tzinfo=UTC)


class Remembered:
    """One session as it was read, with what changes while it is remembered."""

    __slots__ = ("is_forgotten", "last_seen", "memo", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.last_seen = session.last_seen
        self.is_forgotten = False
        self.memo: Any = None
        """What the gate has worked out for it; nobody else's business."""


class SessionCache:
    """Of one process; threads share it without a lock, which a fork could leave held.

    Two orders make that safe. Whoever reads a change first moves the cursor, then forgets; whoever
    remembers a record first puts it in, then looks whether the cursor moved since before it was read.
    """

    def __init__(self, store: Store, now: Callable[[], datetime], *, delay: timedelta, most: int) -> None:
        self._store = store
        self._now = now
        self._delay = delay
        self._by_id: Bounded[str, Remembered] = Bounded(max(1, most // 2))
        self._cursor: int | None = None
        self.configuration: int | None = None
        """The version of what admins decide that was seen last; None before the first look."""
        # Since when and until when what is remembered may be believed, by the wall clock and by one that
        # nobody sets: a clock that is put back by a little must not make the delay longer.
        self._read_at = _NEVER
        self._believed_until = _NEVER
        self._read_again_at = _NEVER
        self._ticks_until = 0.0
        self._ticks_again = 0.0
        self._is_reading = False

    def __len__(self) -> int:
        return len(self._by_id)

    def is_fresh(self, now: datetime) -> bool:
        """Whether what is remembered may be believed, and nobody needs to look at the store yet, or somebody does."""
        if self._read_at <= now < self._read_again_at and time.monotonic() < self._ticks_again:
            return True
        return self._is_reading and self.may_be_believed(now)

    def may_be_believed(self, now: datetime) -> bool:
        return self._read_at <= now < self._believed_until and time.monotonic() < self._ticks_until

    async def look(self, call: Call) -> None:
        """Hear of what was ended elsewhere. Raises StoreUnavailable if that is not known well enough.

        Half of the delay is for reading ahead: one request does it while the others go on.
        """
        now = self._now()
        if self.is_fresh(now):
            return
        self._is_reading = True
        ticks = time.monotonic()
        try:
            changes = await call(self._store.get_changes, self._cursor)
        except StoreUnavailable:
            if not self.may_be_believed(now):
                raise
        else:
            self._apply(changes, now, ticks)
        finally:
            self._is_reading = False

    def _apply(self, changes: Changes, read_at: datetime, ticks: float) -> None:
        """`read_at` is from before they were read: what was committed later is not among them."""
        is_complete = changes.is_complete and self._cursor is not None
        if self._cursor is None or changes.number > self._cursor or not changes.is_complete:
            self._cursor = changes.number
        if not is_complete or self.configuration != changes.configuration:
            self.forget_all()  # what was said of a session may not be true under what was decided since
        self.configuration = changes.configuration
        for change in changes.changes:
            self._forget(change)
        if read_at >= self._read_at or self._read_at > self._now():  # else somebody has read later than we
            self._read_at = read_at
            self._believed_until = read_at + self._delay
            self._read_again_at = read_at + self._delay / 2
            seconds = self._delay.total_seconds()
            self._ticks_until = ticks + seconds
            self._ticks_again = ticks + seconds / 2

    def _forget(self, change: Change) -> None:
        if change.session_id is not None:
            self.forget(change.session_id)
        elif change.connection_id is None:
            self.forget_all()
        else:
            for entry in self._by_id.values():
                session = entry.session
                if session.connection_id == change.connection_id and change.principal_key in (
                    None,
                    session.principal_key,
                ):
                    self.forget(session.id)

    def get(self, id: str) -> Remembered | None:
        """What is remembered of it; whether that may be believed is `is_fresh`'s to say."""
        entry = self._by_id.get(id)
        return None if entry is None or entry.is_forgotten else entry

    def entries(self) -> Iterator[Remembered]:
        """All that is remembered, for measuring."""
        return self._by_id.values()

    async def find(self, id: str, call: Call) -> Remembered | None:
        """The session of this id, from memory if that may be believed. Raises StoreUnavailable."""
        await self.look(call)
        return self.get(id) or await self.read(id, call)

    async def read(self, id: str, call: Call) -> Remembered | None:
        """As the store has it, whatever is remembered. What is an alias or has ended is not remembered."""
        cursor = self._cursor
        session = await call(self._store.get_session, id)
        self.forget(id)
        if session is None:
            return None
        entry = Remembered(session)
        if session.replaced_by is None and session.timed_out_at is None:
            self._by_id.put(id, entry)
            if self._cursor != cursor:
                self.forget(id)
        return entry

    def forget(self, id: str) -> None:
        entry = self._by_id.pop(id)
        if entry is not None:
            entry.is_forgotten = True

    def forget_now(self, id: str) -> None:
        """This process has just ended it: its other ids are heard of at the next request."""
        self.forget(id)
        self._read_again_at = _NEVER

    def forget_all(self) -> None:
        for entry in self._by_id.values():
            entry.is_forgotten = True
        self._by_id.clear()

    def forget_all_now(self) -> None:
        """This process has just ended or changed many: nothing is believed until it has looked."""
        self.forget_all()
        self._read_again_at = _NEVER
