"""The records that are kept, as frozen values, and what a store must be able to do with them.

Every time is aware and in UTC and was handed in: a store asks no clock. Tokens never come here, only
their hashes. A method that must be atomic says so; each runs in one transaction of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from ..events import Event

KeyPurpose = Literal["signing", "encryption"]
LoginPurpose = Literal["login", "fresh", "restart"]
"""`fresh`: with ForceAuthn. `restart`: after an unsolicited Response."""


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
    last_seen: datetime
    expires_at: datetime
    """The absolute end: our own limit or the IdP's SessionNotOnOrAfter, whichever is earlier."""


@dataclass(frozen=True, slots=True)
class SealedKey:
    """One of our own SAML keys. `private_key` is sealed (see `sealing`)."""

    id: str
    purpose: KeyPurpose
    private_key: bytes = field(repr=False)
    certificate: str
    """PEM."""
    created_at: datetime


class Store(Protocol):
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

    # Sessions

    def add_session(self, session: Session, *, replaces: str | None = None) -> None:
        """Atomic: open the session, and end the one that this browser had before."""
        ...

    def get_session(self, id: str) -> Session | None: ...

    def touch_session(self, id: str, last_seen: datetime) -> None:
        """Move `last_seen` forward (never back). Nothing happens to a session that has ended."""
        ...

    def end_session(self, id: str) -> bool:
        """Whether there was one to end."""
        ...

    # People

    def get_link(self, connection_id: str, principal_key: str) -> str | None:
        """The host's user id for this person."""
        ...

    def put_link(self, connection_id: str, principal_key: str, user_id: str, now: datetime) -> None: ...

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

    # What happened

    def add_event(self, event: Event) -> None: ...

    def get_events(self, *, limit: int = 100, reference: str | None = None) -> Sequence[Event]:
        """Newest first."""
        ...

    # Housekeeping

    def claim_lease(self, name: str, holder: str, now: datetime, until: datetime) -> bool:
        """Atomic: whether `holder` now has this lease (free, run out, or already its own)."""
        ...

    def delete_expired(self, now: datetime, *, batch: int = 500) -> int:
        """Delete at most `batch` rows of each table that has ended; how many went in all.

        A session has ended at `expires_at`, or when it has not been seen for 90 days.
        """
        ...

    def close(self) -> None: ...
