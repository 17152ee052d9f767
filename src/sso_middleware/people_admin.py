"""`sso.people`: who there is, and how an admin settles what no rule may: who is one person, and whose the user is.

Here is decided which people are meant, and what is told of it. What a key and an address mean is
`people_rules`'s, and what must happen at once is the store's.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ParamSpec, TypeVar, cast

from .addresses import read_email
from .calling import call_blocking, run
from .errors import EmailInvalid, PeopleChoiceRefused
from .events import Event
from .flows.reporting import record
from .flows.site import Site
from .people_rules import SHORT_ID, is_address
from .stores.people_records import PeopleQuery, Person

P = ParamSpec("P")
T = TypeVar("T")

SHORTEST_ID = 8


@dataclass(frozen=True, slots=True)
class PersonSummary:
    """What an admin may know of one person: nothing that the identity provider calls them by."""

    id: str
    """The beginning of the id, as the other methods take it."""
    connection: str
    organization: str | None
    """None if the settings don't name the connection."""
    email: str = field(repr=False)
    secondary_email: str | None = field(repr=False)
    former_email: str | None = field(repr=False)
    email_changed_at: datetime | None
    first_name: str = field(repr=False)
    last_name: str = field(repr=False)
    user_id: str | None
    linked_at: datetime | None
    keys: tuple[str, ...]
    """Of which kind each is, oldest first: `principal id`, `NameID` or `NameID (an address)`."""
    created_at: datetime
    seen_at: datetime | None


class People:
    """Everybody who has come, of all connections.

    Each method reads or writes the database and waits for it: under ASGI call it from a thread
    (`await asyncio.to_thread(sso.people.show, "ada@acme.example")`), never on the event loop.

    A person is named by the id or at least 8 characters of its beginning, or by an e-mail address of theirs; and where
    people of several connections have that, by the connection as well. PeopleChoiceRefused is raised if it is not
    exactly one. Raises StoreUnavailable; then nothing was changed.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    def list(
        self, *, connection: str | None = None, organization: str | None = None, limit: int = 1000
    ) -> Sequence[PersonSummary]:
        """Who there is (none named: of all connections), last seen first."""
        query = PeopleQuery(connection_ids=self._connections_of(connection, organization))
        return [self._summary(person) for person in _do(self._site.store.find_people, query, limit=limit)]

    def show(
        self,
        person: str | None = None,
        *,
        user_id: str | None = None,
        key: str | None = None,
        connection: str | None = None,
    ) -> PersonSummary:
        """One person: by id or e-mail address, by the user of the app's, or by `Principal.key` and the connection."""
        return self._summary(self._find(person, user_id=user_id, key=key, connection=connection))

    def unlink(
        self, person: str, *, connection: str | None = None, forget: bool = False, actor: str | None = None
    ) -> PersonSummary:
        """Take the link to the app's user away; who that was. Their sessions end, in every worker.

        The person stays, and the hook `provision` decides anew at the next sign-in. With `forget` the person goes as
        well, with keys and addresses: whoever comes under one of those is new. `actor` is for the audit trail.
        """
        found = self._find(person, connection=connection)
        before = _do(self._site.store.unlink_person, found.id, self._site.now(), forget=forget)
        if before is None:
            raise PeopleChoiceRefused("the person was merged or forgotten at this very moment")
        self._site.sessions.forget_all_now()
        after = "forgotten" if forget else _described(before, is_linked=False)
        self._tell("person_unlinked", before, actor, {"before": _described(before), "after": after})
        return self._summary(before)

    def merge(self, keep: str, other: str, *, connection: str | None = None, actor: str | None = None) -> PersonSummary:
        """Make two people of one connection one, `keep`, who is known by the keys of both; who that is now.

        Addresses and names are those that came last. The user is that of `keep`, or of `other` where `keep` has none.
        `other` goes, and their sessions end, in every worker.
        """
        kept, gone = (self._find(person, connection=connection) for person in (keep, other))
        if kept.id == gone.id:
            raise PeopleChoiceRefused("these are one person already")
        if kept.connection_id != gone.connection_id:
            raise PeopleChoiceRefused("people of two connections are never one")
        merged = _do(self._site.store.merge_people, kept.id, gone.id, self._site.now())
        if merged is None:
            raise PeopleChoiceRefused("one of them was merged or forgotten at this very moment")
        self._site.sessions.forget_all_now()
        before = f"{_described(kept)}; {gone.id[:SHORT_ID]}: {_described(gone)}"
        self._tell("person_merged", merged, actor, {"before": before, "after": _described(merged)})
        return self._summary(merged)

    # Who is meant

    def _find(
        self,
        person: str | None,
        *,
        user_id: str | None = None,
        key: str | None = None,
        connection: str | None = None,
    ) -> Person:
        if sum(named is not None for named in (person, user_id, key)) != 1:
            raise PeopleChoiceRefused("say who is meant in exactly one way: by id or address, user_id or key")
        if key is not None and connection is None:
            raise PeopleChoiceRefused("a principal's key is of one connection: name the connection as well")
        id, email = (None, None) if person is None else _read_person(person)
        connection_ids = self._connections_of(connection, None)
        query = PeopleQuery(id, connection_ids, email, user_id, key)
        found = _do(self._site.store.find_people, query, limit=3)
        if not found:
            raise PeopleChoiceRefused("nobody is known by that", is_unknown=True)
        if len(found) > 1:
            ids = ", ".join(f"{each.id[:SHORT_ID]} ({each.connection_id})" for each in found)
            raise PeopleChoiceRefused(f"that is more than one person: {ids}; name one by id, or the connection as well")
        return found[0]

    def _connections_of(self, connection: str | None, organization: str | None) -> tuple[str, ...] | None:
        """A name that nothing has is a slip of the hand."""
        if connection is not None and organization is not None:
            raise PeopleChoiceRefused("name the connection or the organization, not both")
        if connection is not None:
            of_connection = PeopleQuery(connection_ids=(connection,))
            is_known = self._site.connections.get(connection) is not None
            if not is_known and not _do(self._site.store.find_people, of_connection, limit=1):
                raise PeopleChoiceRefused(f"there is no connection {connection!r}, and nobody of one")
            return (connection,)
        if organization is not None:
            found = tuple(known.id for known in self._site.connections if known.organization == organization)
            if not found:
                raise PeopleChoiceRefused(f"no connection is of the organization {organization!r}")
            return found
        return None

    # What is told

    def _summary(self, person: Person) -> PersonSummary:
        connection = self._site.connections.get(person.connection_id)
        return PersonSummary(
            id=person.id[:SHORT_ID],
            connection=person.connection_id,
            organization=None if connection is None else connection.organization,
            email=person.email,
            secondary_email=person.secondary_email,
            former_email=person.former_email,
            email_changed_at=person.email_changed_at,
            first_name=person.first_name,
            last_name=person.last_name,
            user_id=person.user_id,
            linked_at=person.linked_at,
            keys=tuple(map(_kind_of, person.keys)),
            created_at=person.created_at,
            seen_at=person.seen_at,
        )

    def _tell(self, code: str, person: Person, actor: str | None, detail: dict[str, str]) -> None:
        event = Event(
            code=code,
            at=self._site.now(),
            connection_id=person.connection_id,
            email=person.email or None,
            detail={"person": person.id[:SHORT_ID], **detail, **({"actor": actor} if actor else {})},
        )
        run(record(self._site, call_blocking, event, logging.INFO))


def _described(person: Person, *, is_linked: bool = True) -> str:
    """Without the user's id, which may be an address: details are logged."""
    number = len(person.keys)
    linked = "linked" if is_linked and person.user_id is not None else "not linked"
    return f"{linked}, {number} key{'' if number == 1 else 's'}"


def _kind_of(key: str) -> str:
    if is_address(key):
        return "NameID (an address)"
    return "principal id" if json.loads(key)[0] == "principal_id" else "NameID"


def _read_person(text: str) -> tuple[str | None, str | None]:
    """An id or its beginning, or an address."""
    text = text.strip().lower()
    if "@" not in text:
        if len(text) < SHORTEST_ID or not text.isalnum():
            raise PeopleChoiceRefused(
                f"a person is named by an e-mail address, or by at least the first {SHORTEST_ID} characters of the id"
            )
        return text, None
    try:
        return None, read_email(text).address
    except EmailInvalid:
        raise PeopleChoiceRefused("this is not one plain e-mail address") from None


def _do(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """A method of a store, plain or async, in this thread."""
    return cast("T", run(call_blocking(fn, *args, **kwargs)))
