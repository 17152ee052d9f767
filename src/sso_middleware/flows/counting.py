"""How often something happened lately, as far as this process knows: counters in bounded memory.

Nothing here touches the store or refuses anybody. What is counted, who shares a count, how processes
count together and what follows is `flows.limits`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from ..bounded import Bounded

MOST_TALLIES = 5000
"""Of each generation: two of them are a few megabytes."""


class Tally:
    """One count within one window.

    Threads share it without a lock, which a fork could leave held: `add` is one step of the interpreter's.
    """

    __slots__ = ("_numbers", "ends_at", "total")

    def __init__(self, ends_at: datetime) -> None:
        self.ends_at = ends_at
        self.total = 0
        """As it was told last: of all processes, up to the last step."""
        self._numbers = count(1)

    def add(self) -> int:
        """Which number of this process's own this one is."""
        return next(self._numbers)


@dataclass(slots=True)
class Untold:
    """Refusals of one connection (None: of no connection) that were counted in place of being told in full."""

    connection_id: str | None
    since: datetime
    until: datetime
    codes: dict[str, int] = field(default_factory=dict)

    @property
    def number(self) -> int:
        return sum(self.codes.values())


class Counters:
    """This process's counts. Whoever makes up names to fill the table only makes it forget the oldest.

    Where that was a full one, the store still knows it.
    """

    def __init__(self) -> None:
        self._tallies: Bounded[str, Tally] = Bounded(MOST_TALLIES)
        self._untold: dict[str | None, Untold] = {}

    def __len__(self) -> int:
        return len(self._tallies)

    def find(self, name: str, now: datetime) -> Tally | None:
        """The count of this name, unless its window is over."""
        tally = self._tallies.get(name)
        return None if tally is None or tally.ends_at <= now else tally

    def open(self, name: str, now: datetime, ends_at: datetime) -> Tally:
        """The count of this name; a new one, which ends then, if there is none."""
        tally = self.find(name, now)
        if tally is None:
            tally = Tally(ends_at)
            self._tallies.put(name, tally)
        return tally

    def leave_untold(self, connection_id: str | None, code: str, now: datetime, until: datetime) -> None:
        untold = self._untold.setdefault(connection_id, Untold(connection_id, now, until))
        # Two threads at once may count one for two: it is a number for a person to read.
        untold.codes[code] = untold.codes.get(code, 0) + 1

    def take_untold(self, now: datetime) -> Iterator[Untold]:
        """Those whose time is over; each is taken once."""
        for connection_id, untold in list(self._untold.items()):
            if untold.until <= now and self._untold.pop(connection_id, None) is untold:
                yield untold
