"""How long a session lives: pure rules over its record, its connection's limits and the time.

Three limits, and the earliest wins. The absolute end (our own, or the identity provider's
SessionNotOnOrAfter) is exact. The two idle limits mean limit + step, in the person's favour, since
`last_seen` is written only when it is older than a step. What follows from a verdict is the flows'.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from .stores.records import Session

Verdict = Literal["live", "renew", "ended"]
"""May be used; the identity provider must vouch for the person anew first; is over."""

LONGEST_STEP = timedelta(seconds=60)
FOR_EVER = timedelta.max


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Of one connection and one kind of device."""

    hard: timedelta
    """Idle for longer: signed out."""
    soft: timedelta | None
    """Idle for longer: renewed unseen, or else signed out. None: never."""
    absolute: timedelta
    """Signed in for longer: signed out, idle or not."""

    @property
    def step(self) -> timedelta:
        """How old `last_seen` may get before it is written again: a write a minute, not one a request."""
        return min(LONGEST_STEP, min(self.hard, self.soft or self.hard) / 20)


def hard_end(session: Session, timeouts: Timeouts) -> datetime:
    """When it is over, if nobody is seen until then."""
    return min(session.last_seen + timeouts.hard + timeouts.step, session.expires_at)


def soft_end(session: Session, timeouts: Timeouts) -> datetime:
    """When it must be renewed, if nobody is seen until then: at the latest when it is over."""
    if timeouts.soft is None:
        return hard_end(session, timeouts)
    return min(session.last_seen + timeouts.soft + timeouts.step, hard_end(session, timeouts))


def judge(session: Session, timeouts: Timeouts, now: datetime) -> Verdict:
    """What the limits say of a session that is nobody's alias."""
    if session.timed_out_at is not None or now >= hard_end(session, timeouts):
        return "ended"
    return "renew" if session.is_stale or now >= soft_end(session, timeouts) else "live"
