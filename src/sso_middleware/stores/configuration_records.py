"""What admins decide while the app runs: connections, their domains, and who the admins are.

What the settings declare is not kept here, but for the state that an admin has put a declared
connection into. What a record means, and who may change it, is for others to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

ConnectionState = Literal["draft", "testing", "active", "disabled"]
"""`draft`: only a connection test may use it. `testing`: named people may. `disabled`: nobody may, and its domains
are not enforced."""
DomainMode = Literal["exclusive", "offer", "off"]
"""`exclusive`: must sign in by SSO. `offer`: may. `off`: as if it were not there."""


@dataclass(frozen=True, slots=True)
class StoredConnection:
    """A connection that was created at run time, or what is kept of one that the settings declare."""

    id: str
    organization: str
    settings: Mapping[str, object] | None = field(repr=False)
    """As of `ConnectionSettings`, in the form that they were given in; None: the settings declare it."""
    state: ConnectionState | None
    """None: as declared."""
    version: int
    """Counts up with every change."""
    created_at: datetime
    updated_at: datetime
    test_passed_at: datetime | None = None
    test_stamp: str | None = None
    """What was tested: see `Connection.test_stamp`."""


@dataclass(frozen=True, slots=True)
class StoredDomain:
    """An e-mail domain, and the one connection that it belongs to."""

    name: str
    connection_id: str
    mode: DomainMode
    created_at: datetime
    verified_at: datetime | None = None
    verified_by: str | None = None
    """`dns`, or on whose word."""
    challenge: str | None = field(default=None, repr=False)
    """What its DNS is to say."""
    challenge_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Admin:
    """An SSO account admin: who may change one organization's connections, and gets recovery access to them."""

    organization: str
    email: str = field(repr=False)
    since: datetime
    former_email: str | None = field(default=None, repr=False)
    """The address before this one."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of it, as it was at one moment. `version` counts up with every change of any of it."""

    version: int
    connections: Sequence[StoredConnection]
    domains: Sequence[StoredDomain]
    admins: Sequence[Admin]


class ConfigurationStore(Protocol):
    """The part of `records.Store` that is about what admins decide.

    Each change counts the version up in its own transaction; `get_changes` tells it to every process.
    """

    def get_configuration(self) -> Configuration: ...

    def add_connection(self, connection: StoredConnection) -> bool:
        """Atomic. False, and nothing changed, if there is one with this id."""
        ...

    def put_connection(self, connection: StoredConnection, *, replaces: int) -> bool:
        """Atomic: in place of the one of version `replaces`. False, and nothing changed, if that is not there."""
        ...

    def record_test(self, id: str, organization: str, stamp: str, now: datetime) -> None:
        """Atomic: a test of what this stamp stands for passed. One that the settings declare gets a row for it."""
        ...

    def delete_connection(self, id: str) -> bool:
        """Atomic, with its domains and their challenges, its people and their sessions, and every sign-in that is under
        way: whoever has its id next finds nobody. Whether there was one."""
        ...

    def add_domain(self, domain: StoredDomain) -> str | None:
        """Atomic: None, or the connection that has this domain already; then nothing is changed."""
        ...

    def put_domain(self, domain: StoredDomain, *, replaces: StoredDomain | None = None) -> bool:
        """Atomic: in place of the one of this name, of the same connection. False if that is not there, or does not
        say what `replaces` says any more."""
        ...

    def delete_domain(self, name: str, connection_id: str) -> bool:
        """Atomic. Whether this connection had it."""
        ...

    def put_admin(self, admin: Admin) -> None:
        """Atomic: also in place of the one with `former_email`."""
        ...

    def delete_admin(self, organization: str, email: str) -> bool:
        """Atomic. Whether there was one."""
        ...
