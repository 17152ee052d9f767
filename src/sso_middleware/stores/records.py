"""The records that are kept, as frozen values, and what a store must be able to do with them.

Every time is aware and in UTC and was handed in: a store asks no clock. Tokens never come here, only
their hashes. A method that must be atomic says so; each runs in one transaction of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from .configuration_records import ConfigurationStore
from .event_records import EventStore
from .mail_records import MailStore
from .people_records import PeopleStore
from .profile_records import ProfileStore
from .role_records import RoleStore
from .session_records import Device, Session, SessionStore

__all__ = ["Device", "Session"]

KeyPurpose = Literal["signing", "encryption"]
KeyState = Literal["next", "current", "retired"]
"""Published only; signs, and is published; only decrypts."""
LoginPurpose = Literal["login", "fresh", "restart", "silent", "renew", "test"]
"""`fresh`: with ForceAuthn. `restart`: after an unsolicited Response. `silent`: with IsPassive, to renew a session.
`renew`: likewise, but a person asked for it, so the identity provider may show itself. `test`: signs nobody in."""


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """An AuthnRequest that we sent and still wait on. `id` is the SAML ID."""

    id: str
    connection_id: str
    return_to: str
    """A path with its query string, below `base_url`."""
    browser: str = field(repr=False)
    """The hash of the browser id that the answer must come back to."""
    purpose: LoginPurpose
    issued_at: datetime
    expires_at: datetime
    session_id: str | None = field(default=None, repr=False)
    """The session that it is to renew."""


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """What the ACS found out, until `finish` takes it up (seconds). `outcome` is sealed.

    `login_request_id` is None for an unsolicited Response.
    """

    handle: str = field(repr=False)
    """The hash of the handle in the browser's cookie."""
    connection_id: str
    login_request_id: str | None
    outcome: bytes = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TakenLogin:
    """A pending login with the login request that it answers (None: unsolicited), both now gone."""

    pending: PendingLogin
    login_request: LoginRequest | None


@dataclass(frozen=True, slots=True)
class SealedKey:
    """One of our own SAML keys. `private_key` is sealed (see `sealing`)."""

    id: str
    purpose: KeyPurpose
    private_key: bytes = field(repr=False)
    certificate: str
    """PEM."""
    created_at: datetime
    state: KeyState = "current"
    changed_at: datetime | None = None
    """When it came into this state; None: it was made so."""


@dataclass(frozen=True, slots=True)
class MetadataCopy:
    """What a connection's metadata_url gave: the last good copy, and what waits for a person's approval."""

    connection_id: str
    url: str
    """Where it was fetched. A copy from another URL than the connection's is no copy of this connection's."""
    document: bytes | None
    """The last good copy; None until a fetch succeeded."""
    version: int
    """Counts up with every change of `document`."""
    fetched_at: datetime | None
    attempted_at: datetime | None
    next_fetch_at: datetime
    problem: str | None
    """Why the last fetch failed, in words; None if it did not."""
    held: bytes | None
    """A copy that is not taken over before a person says so."""
    held_reason: str | None
    held_at: datetime | None


@dataclass(frozen=True, slots=True)
class MetadataStamp:
    """As much of a `MetadataCopy` as says whether to read it, and when to fetch again."""

    url: str
    version: int
    attempted_at: datetime | None
    next_fetch_at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """How many were counted under one name, of all processes, in the window that ends then."""

    count: int
    ends_at: datetime


class Store(SessionStore, ConfigurationStore, EventStore, MailStore, PeopleStore, ProfileStore, RoleStore, Protocol):
    """What the flows need. Raises StoreUnavailable whenever the database can't be read or written."""

    # Logins

    def add_login_request(self, login_request: LoginRequest) -> None: ...

    def get_login_request(self, id: str, now: datetime) -> LoginRequest | None:
        """None if unknown, taken or expired."""
        ...

    def claim_assertion(self, connection_id: str, assertion_id: str, valid_until: datetime) -> None:
        """Atomic. Raises AssertionReplayed if this assertion of this connection was claimed before.

        The claim is kept at least until `valid_until`, after which the assertion is refused anyway.
        """
        ...

    def add_pending_login(self, pending: PendingLogin) -> None: ...

    def get_pending_login(self, handle: str, now: datetime) -> PendingLogin | None: ...

    def take_pending_login(self, handle: str, browser: str | None, now: datetime) -> TakenLogin:
        """Atomic: the pending login goes, and with it the login request that it answers.

        Raises PendingLoginUnknown if there is none (or it has expired), LoginRequestUnknown if its
        login request was taken or has expired, BrowserMismatch if that was begun by another browser
        than `browser`: then the pending login goes, and the login request stays for its own browser.
        For an unsolicited Response there is no request to compare; the handle alone is the binding.
        """
        ...

    # Our own keys

    def get_keys(self, purpose: KeyPurpose) -> Sequence[SealedKey]:
        """Newest first."""
        ...

    def claim_first_key(self, key: SealedKey) -> SealedKey:
        """Atomic: keep this key if there is none of its purpose; return the one that is kept."""
        ...

    def replace_key(self, key: SealedKey) -> None:
        """The same key, sealed anew."""
        ...

    def get_key_states(self) -> Mapping[str, KeyState]:
        """Of every key, by its id: cheap, so that a process can notice that something changed."""
        ...

    def add_next_key(self, key: SealedKey) -> None:
        """Atomic: keep it as the next key of its purpose.

        Raises KeyChangeRefused if there is one already, or no current one that it could follow.
        """
        ...

    def rotate_keys(self, purpose: KeyPurpose, now: datetime) -> SealedKey:
        """Atomic: the next key becomes current, and the current one retired; return the new current one.

        Raises KeyChangeRefused if there is no next one. At no moment are two current, or none.
        """
        ...

    def delete_retired_key(self, id: str) -> SealedKey:
        """Atomic: delete it; return what was deleted. Raises KeyChangeRefused unless it is retired."""
        ...

    # Fetched metadata

    def get_metadata_stamps(self) -> Mapping[str, MetadataStamp]:
        """Of every copy, by connection id: cheap, so that a process can notice that something changed."""
        ...

    def get_metadata_copy(self, connection_id: str) -> MetadataCopy | None: ...

    def put_metadata_copy(self, copy: MetadataCopy, *, replaces: int | None) -> bool:
        """Atomic: keep `copy` in place of the one of version `replaces` (None: where there is none).

        Returns whether it was kept: False if somebody else came first, and nothing is changed then.
        """
        ...

    def fetch_metadata_soon(self, connection_id: str, at: datetime) -> None:
        """Bring `next_fetch_at` forward to `at` (never back). Nothing happens where there is no copy."""
        ...

    # Limits

    def add_to_count(self, name: str, number: int, now: datetime, ends_at: datetime) -> Count:
        """Atomic: count so many more in the window of this name; in a new one, until `ends_at`, if that is over."""
        ...

    # What happened

    def claim_notice(self, name: str, until: datetime) -> bool:
        """Atomic: whether this was not told yet. It is told then, and remembered at least until `until`."""
        ...

    # Housekeeping

    def claim_lease(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        """Atomic: whether `holder` now has this lease (free, run out, or already its own)."""
        ...

    def delete_expired(self, now: datetime, *, batch: int = 500) -> int:
        """Delete at most `batch` rows of each table that has ended; how many went in all.

        A session goes a day after its absolute end or its time-out, or when it has not been seen for 90 days.
        """
        ...

    def close(self) -> None: ...
