"""What is kept of the roles that people were given, and what a store must do with it.

It is kept with the person (`people_tables`); who has which roles is decided elsewhere (`roles`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class GivenRoles:
    """Of one person, by scope."""

    grants: Mapping[str, tuple[str, ...]] | None = None
    """What they were given last; None: nobody has decided that yet."""
    perhaps: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What they may have besides: to give or to take it was begun, and how that ended is not known."""
    announced: Mapping[str, tuple[str, ...]] | None = None
    """What they were told of last."""


@dataclass(frozen=True, slots=True)
class ManagedPerson:
    """Somebody whose roles were given by an identity provider."""

    connection_id: str
    email: str = field(repr=False)
    user_id: str | None
    grants: Mapping[str, tuple[str, ...]]


class RoleStore(Protocol):
    """The part of `records.Store` that is about roles. A person is named by a key of theirs."""

    def get_given_roles(self, connection_id: str, principal_key: str) -> GivenRoles:
        """Empty for whom it does not know."""
        ...

    def put_grants(
        self,
        connection_id: str,
        principal_key: str,
        grants: Mapping[str, Sequence[str]],
        perhaps: Mapping[str, Sequence[str]],
    ) -> bool:
        """What they were given, and what they may have besides. Whether there is such a person."""
        ...

    def claim_announcement(self, connection_id: str, principal_key: str, grants: Mapping[str, Sequence[str]]) -> bool:
        """Atomic: whether they were not told of just these yet. They are then."""
        ...

    def find_managed_people(
        self, connection_ids: Sequence[str], *, email: str | None = None, user_id: str | None = None
    ) -> Sequence[ManagedPerson]:
        """Those of these connections who were given roles, be it none by now, and have this address, or are this user.

        With both given, those of whom either is so.
        """
        ...
