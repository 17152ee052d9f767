"""The records of people, and what a store must do with them.

A person is of one connection, and everything that is asked of a store names that connection or a person of it.
Who an assertion is about is decided by a rule that is handed in (`people_rules`): the store finds, asks the
rule and keeps what it said, all in one transaction. As in `records`: frozen values, every time handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of one connection: 1 to n keys, one or two e-mail addresses, at most one user of the host's."""

    id: str
    """Our own, and random."""
    connection_id: str
    keys: tuple[str, ...] = field(repr=False)
    """What the identity provider calls them by: the one that came first is first, and stays so."""
    email: str = field(repr=False)
    """Empty for somebody who has not signed in since addresses were kept."""
    first_name: str = field(repr=False)
    last_name: str = field(repr=False)
    created_at: datetime
    user_id: str | None = None
    former_email: str | None = field(default=None, repr=False)
    email_changed_at: datetime | None = None
    secondary_email: str | None = field(default=None, repr=False)
    name_id: str | None = field(default=None, repr=False)
    """The hash of the persistent NameID that came last."""
    answers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """To what the first-login page asked."""
    grants: Mapping[str, Sequence[str]] | None = field(default=None, repr=False)
    announced: Mapping[str, Sequence[str]] | None = field(default=None, repr=False)
    told: Mapping[str, object] | None = field(default=None, repr=False)
    """What the host's hook was told when it last said yes; None: it never has."""
    seen_at: datetime | None = None
    linked_at: datetime | None = None
    attempt_id: str | None = None
    """Which sign-in asks the host's hook about them now."""
    attempt_ends_at: datetime | None = None

    @property
    def key(self) -> str:
        """What sessions and the host know them by: it never changes, whatever other keys come."""
        return self.keys[0]

    @property
    def emails(self) -> frozenset[str]:
        return frozenset(address for address in (self.email, self.secondary_email) if address)


@dataclass(frozen=True, slots=True)
class Arriving:
    """Who an assertion says has come, as far as it tells people apart."""

    connection_id: str
    key: str = field(repr=False)
    email: str = field(repr=False)
    first_name: str = field(repr=False)
    last_name: str = field(repr=False)
    new_id: str
    """Theirs, if they are new."""
    at: datetime
    secondary_email: str | None = field(default=None, repr=False)
    """Only where it counts: see `people_rules`."""
    name_id: str | None = field(default=None, repr=False)
    """The hash of a persistent NameID; None for any other."""
    name_id_key: str | None = field(default=None, repr=False)
    """What would be the key if the connection mapped no principal id; None if it maps none."""

    @property
    def emails(self) -> frozenset[str]:
        return frozenset(address for address in (self.email, self.secondary_email) if address)


@dataclass(frozen=True, slots=True)
class Found:
    """Whom a store knows by what an assertion says: nobody, one person, or several."""

    by_key: Person | None = None
    by_email: Person | None = None
    by_secondary_email: Person | None = None
    by_name_id_key: Person | None = None


@dataclass(frozen=True, slots=True)
class New:
    """Somebody who was not known."""

    person: Person


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody who was: as they were, and as they are now."""

    before: Person
    person: Person


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nobody is signed in, and nothing is changed."""

    reason: Literal["person_conflict", "principal_shared"]
    why: str
    """For the admin: ids of people, no addresses."""


Decision: TypeAlias = New | Known | Stopped
Rule: TypeAlias = Callable[[Arriving, Found], Decision | None]
"""None: somebody else than was expected; nothing is changed."""


@dataclass(frozen=True, slots=True)
class ProvisioningClaim:
    """Whether this sign-in may ask the host now; and whom the person is linked to at this moment."""

    is_granted: bool
    user_id: str | None


@dataclass(frozen=True, slots=True)
class LinkedTwice:
    """Another person of the connection is this user already; nothing is changed."""

    person_id: str


@dataclass(frozen=True, slots=True)
class PeopleQuery:
    """Which people: those that are all of this. Nothing given: everybody."""

    person_id: str | None = None
    """The id, or as much of its beginning as is unique to a person who reads a list."""
    connection_ids: tuple[str, ...] | None = None
    email: str | None = field(default=None, repr=False)
    """One of theirs, primary or secondary."""
    user_id: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)


class PeopleStore(Protocol):
    """The part of `records.Store` that is about people.

    A key and an address belong to at most one person of a connection, whatever comes at the same moment.
    """

    def arrive(self, arriving: Arriving, rule: Rule) -> Decision | None:
        """Atomic: find whom this may be, ask the rule, and keep what it says; what it said."""
        ...

    def get_person(self, id: str) -> Person | None: ...

    def find_people(self, query: PeopleQuery, *, limit: int = 1000) -> Sequence[Person]:
        """Those who were seen last come first."""
        ...

    def claim_provisioning(
        self, person_id: str, attempt_id: str, now: datetime, until: datetime
    ) -> ProvisioningClaim | None:
        """Atomic: this sign-in asks the host about a person without a user, and no other one before `until`.

        Of a person who has a user, everybody may ask. None: there is no such person (any more).
        """
        ...

    def end_provisioning(self, person_id: str, attempt_id: str) -> None:
        """Atomic: the host said no, or nothing; somebody else may ask."""
        ...

    def keep_provisioned(
        self, person_id: str, attempt_id: str, *, user_id: str | None, told: Mapping[str, object], now: datetime
    ) -> Person | LinkedTwice | None:
        """Atomic: the host said yes to what it was told, and linked the person to this user (None: to nobody).

        A link that was there is kept, or replaced by another user: then their other sessions are renewed before
        they are used again, so that nobody is two users at once. None: there is no such person (any more).
        """
        ...

    def unlink_person(self, person_id: str, now: datetime, *, forget: bool = False) -> Person | None:
        """Atomic: who they were. They stay, without a user (`forget`: they go, with keys and addresses).

        Their sessions end. None: there is no such person.
        """
        ...

    def merge_people(self, keep_id: str, other_id: str, now: datetime) -> Person | None:
        """Atomic: `other` goes, and `keep` has their keys; who that is now. The sessions of `other` end.

        Of addresses and names, those that came last count. A user is kept, and taken over where `keep` had none.
        None, and nothing changed, unless both are there, two, and of one connection.
        """
        ...
