"""Mail that waits to be sent, and the links by which an admin gets back in.

What stands in a message is sealed before it comes here. Who may be sent a link, and what a recovery
session may do, is for others to say.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

MailKind = Literal["recovery", "mail"]
"""`recovery`: somebody asked for recovery access with an address, whosever it is. `mail`: ready to be sent."""


@dataclass(frozen=True, slots=True)
class WaitingMail:
    """A row of the outbox, as whoever claimed it holds it. `message` is sealed."""

    id: int
    kind: MailKind
    message: bytes = field(repr=False)
    created_at: datetime
    attempts: int
    """This one included."""
    next_attempt_at: datetime
    """When somebody else may claim it, should nothing be heard of this attempt."""
    expires_at: datetime
    problem: str | None = None
    """Why it could not be sent the last time."""


@dataclass(frozen=True, slots=True)
class RecoveryToken:
    """A link that was made for one admin of one organization; once used, the recovery session that it opened."""

    id: str = field(repr=False)
    """The hash of what the link holds."""
    organization: str
    email: str = field(repr=False)
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    session_id: str | None = field(default=None, repr=False)
    """The hash of the recovery session's token."""
    session_ends_at: datetime | None = None


class MailStore(Protocol):
    """The part of `records.Store` that is about mail and the way back in."""

    # The outbox

    def add_to_outbox(self, kind: MailKind, message: bytes, now: datetime, expires_at: datetime, *, most: int) -> bool:
        """Have it sent soon. False, and nothing is kept, where `most` (or a few more, added at once) wait already."""
        ...

    def claim_due_mail(self, now: datetime, until: datetime, *, limit: int) -> Sequence[WaitingMail]:
        """Atomic: at most `limit` that are due, oldest first. Nobody else gets one of them before `until`."""
        ...

    def delete_mail(self, id: int) -> None:
        """It was sent, or never will be."""
        ...

    def put_off_mail(self, id: int, next_attempt_at: datetime, problem: str) -> None: ...

    # Recovery access

    def add_recovery_token(self, token: RecoveryToken) -> None:
        """Atomic: from now on no older link of this person in this organization is good."""
        ...

    def get_recovery_token(self, id: str, now: datetime) -> RecoveryToken | None:
        """None if it is unknown, used, expired, or there is a newer one."""
        ...

    def take_recovery_token(
        self, id: str, now: datetime, *, session_id: str, session_ends_at: datetime
    ) -> RecoveryToken | None:
        """Atomic: use it up, and open this recovery session. None where `get_recovery_token` says None."""
        ...

    def get_recovery_session(self, session_id: str, now: datetime) -> RecoveryToken | None:
        """None if there is none, or it has ended."""
        ...

    def end_recovery_session(self, session_id: str, now: datetime) -> None: ...

    def get_former_addresses(self, email: str, since: datetime, connection_ids: Collection[str]) -> Sequence[str]:
        """Of people of these connections who have this address since then or later: which they had before."""
        ...
