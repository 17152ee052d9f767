"""The records of sessions, their changes, logout requests and kept forms, and what a store must do with them.

As in `records`: frozen values, every time handed in, tokens as hashes; a method that must be atomic says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

Device = Literal["desktop", "mobile"]


@dataclass(frozen=True, slots=True)
class SentLogoutRequest:
    """A LogoutRequest that we sent and still wait on. `id` is the SAML ID."""

    id: str
    connection_id: str
    browser: str = field(repr=False)
    """The hash of the browser id that the answer must come back to."""
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser. `id` is the hash of the token in its cookie."""

    id: str = field(repr=False)
    connection_id: str
    principal_key: str = field(repr=False)
    principal: Mapping[str, object] = field(repr=False)
    """What the request's Principal is made of (JSON values)."""
    name_id: str = field(repr=False)
    """The NameID with its format and qualifiers, as JSON, for logout."""
    session_index: str | None = field(repr=False)
    authenticated_at: datetime
    """When the identity provider last vouched for the person, seen or unseen."""
    last_seen: datetime
    expires_at: datetime
    """The absolute end: our own limit or the IdP's SessionNotOnOrAfter, whichever is earlier."""
    email: str = field(default="", repr=False)
    """The principal's, for finding the person's sessions."""
    logout_key: str = field(default="", repr=False)
    """What a LogoutRequest for this person has in common with the session: see `flows.single_logout`."""
    device: Device = "desktop"
    """Fixed at sign-in."""
    policy: str = ""
    """A stamp of how the connection turned the assertion into a principal; another one is a reason to renew."""
    lineage: str = field(default="", repr=False)
    """The id that it had before it was ever renewed; empty if it never was."""
    created_at: datetime | None = None
    """When the person signed in: renewals don't move it. None: before this was recorded, `authenticated_at`."""
    is_stale: bool = False
    """Somebody demands that it be renewed, idle or not."""
    is_confirmed: bool = True
    """False for a renewed session whose cookie has not come back yet."""
    renewals: int = 0
    """How many renewals were begun since `renewal_began_at`."""
    renewal_began_at: datetime | None = None
    """When the first renewal began that nobody has answered."""
    replaced_by: str | None = field(default=None, repr=False)
    """This is an old id: an alias of that session's."""
    alias_ends_at: datetime | None = None
    """Until when the old id is good; None until the new one was seen."""
    timed_out_at: datetime | None = None
    """When it was found that a limit had passed: it never lives again, whatever the clock says."""


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """Which sessions: those that are all of this. Nothing given: every one."""

    session_id: str | None = field(default=None, repr=False)
    """The id, or as much of its beginning as is unique to a person who reads a list."""
    connection_ids: tuple[str, ...] | None = None
    principal_key: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    logout_key: str | None = field(default=None, repr=False)
    session_indexes: tuple[str, ...] = field(default=(), repr=False)
    """Empty: any."""


@dataclass(frozen=True, slots=True)
class Change:
    """What must be forgotten: this session; else this person's of this connection; else all of this connection."""

    number: int
    connection_id: str | None
    principal_key: str | None = field(repr=False)
    session_id: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Changes:
    """What was committed after a number. `is_complete` is False if it is too long ago to tell: forget everything."""

    number: int
    """Of the newest one."""
    changes: tuple[Change, ...]
    is_complete: bool
    configuration: int = 0
    """The version of what admins decide: see `configuration_records`."""


@dataclass(frozen=True, slots=True)
class KeptForm:
    """A form that met an ended session, until the same person signs in again (minutes). `form` is sealed."""

    id: str = field(repr=False)
    """The hash of its token."""
    connection_id: str
    principal_key: str = field(repr=False)
    form: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime


class SessionStore(Protocol):
    """The part of `records.Store` that is about sessions."""

    # Sessions

    def add_session(self, session: Session, *, replaces: str | None = None) -> None:
        """Atomic: open the session, and end the one that this browser had before (by an old id while that is good)."""
        ...

    def get_session(self, id: str) -> Session | None:
        """Also an old id, or one that timed out: the record says so."""
        ...

    def find_sessions(self, query: SessionQuery, *, limit: int = 1000) -> Sequence[Session]:
        """Those that have not been replaced, newest first, also ones that have ended by themselves."""
        ...

    def touch_session(self, id: str, last_seen: datetime) -> None:
        """Move `last_seen` forward (never back); renewals that nobody answered are forgotten.

        Nothing happens to a session that has ended.
        """
        ...

    def begin_renewal(self, id: str, now: datetime, *, within: timedelta, most: int) -> bool:
        """Atomic: whether one more renewal may be begun: `most` of them, all `within` the first unanswered one."""
        ...

    def renew_session(self, id: str, renewed: Session, now: datetime) -> str | None:
        """Atomic: `renewed` takes the place of the session `id`, whose id becomes an alias of it.

        Returns the id of the session that `id` stands for now: another one if it was renewed before, and
        None if it has ended: nothing is opened then.
        """
        ...

    def confirm_renewal(self, id: str, alias_ends_at: datetime) -> None:
        """Atomic: the cookie of a renewed session has come back, so its old ids are good until then only."""
        ...

    def time_out_session(self, id: str, last_seen: datetime, now: datetime) -> bool:
        """Atomic: whether it has timed out for good, since nobody has seen it later than `last_seen`."""
        ...

    def end_session(self, id: str, now: datetime) -> bool:
        """Atomic, with its old ids and, of an old id, the newest one. Whether there was one to end."""
        ...

    def end_sessions(self, query: SessionQuery, now: datetime) -> Sequence[Session]:
        """Atomic: end them all, with their old ids; those that were ended.

        Before it, sign-ins of the same people that wait for answers, unless single sessions are meant.
        """
        ...

    def make_sessions_stale(self, query: SessionQuery, now: datetime) -> int:
        """Atomic: have them renewed before they are used again; how many."""
        ...

    def get_changes(self, after: int | None) -> Changes:
        """What was committed after this number; None: only how far it has come. Cheap where nothing was."""
        ...

    # Logout

    def add_logout_request(self, request: SentLogoutRequest) -> None: ...

    def get_logout_request(self, id: str, now: datetime) -> SentLogoutRequest | None:
        """None if unknown, taken or expired."""
        ...

    def take_logout_request(self, id: str, connection_id: str, now: datetime) -> SentLogoutRequest | None:
        """Atomic. None if unknown, another connection's, taken or expired."""
        ...

    # Kept forms

    def add_kept_form(self, form: KeptForm, *, most: int) -> None:
        """Atomic: of one person `most` are kept, the newest ones."""
        ...

    def get_kept_form(self, id: str, connection_id: str, principal_key: str, now: datetime) -> KeptForm | None:
        """None if unknown, taken, expired or another person's."""
        ...

    def take_kept_form(self, id: str, connection_id: str, principal_key: str, now: datetime) -> KeptForm | None:
        """Atomic: as `get_kept_form`, and gone."""
        ...
