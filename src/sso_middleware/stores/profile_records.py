"""A sign-in that waits for answers on the first-login page, and what a store must do with it.

As in `records`: a frozen value, every time handed in, and of a token only its hash.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PendingProfile:
    """Somebody whom the identity provider has vouched for and who is to be asked something first (minutes)."""

    handle: str = field(repr=False)
    """The hash of the handle in the browser's cookie."""
    connection_id: str
    person_id: str
    """Whose the answers will be."""
    browser: str = field(repr=False)
    """The hash of the browser id that it is bound to."""
    arrival: bytes = field(repr=False)
    """The assertion, where the person was going, and what is asked: sealed."""
    expires_at: datetime


class ProfileStore(Protocol):
    """The part of `records.Store` that is about the first-login page.

    `browsers` are the hashes of all ids of the browser that asks; to any other one it is as if there were nothing.
    """

    def add_pending_profile(self, pending: PendingProfile) -> None: ...

    def get_pending_profile(self, handle: str, browsers: Collection[str], now: datetime) -> PendingProfile | None:
        """None if unknown, taken, expired, or another browser's."""
        ...

    def take_pending_profile(
        self, handle: str, browsers: Collection[str], now: datetime, answers: Mapping[str, str]
    ) -> PendingProfile | None:
        """Atomic: it goes, and the answers are kept with its person, besides and instead of those from before.

        None, and nothing changed, where `get_pending_profile` finds none: of two at once one gets it.
        """
        ...

    def delete_pending_profiles(self, connection_id: str, principal_key: str | None, name_id: str) -> None:
        """Atomic: those of whoever is known by this key, or came last under the persistent NameID of this hash."""
        ...
