"""Whoever comes, whatever changes about them, and whatever admins and the host do: who is whom, and whose user.

Three connections that have nothing in common but the texts in their assertions: one with persistent NameIDs, one
whose keys are addresses and that falls back on a second one, one with principal ids and by invitation only. The model
knows people by keys and addresses, as docs/people.md says it. After each step the store must know the same people.

- One person is never two users: live sessions of one person that may be used are of one user.
- Two people are never one: no key, address or user is two people's; where keys are persistent, no person is two humans.
- What the host is told is what is so: which user, what has changed, whether they are new.

The roles on the principal are compared with `roles_of`, which says what the rule would answer.
"""

from __future__ import annotations

import itertools
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.stores.people import name_id_key, principal_key
from tests.world import START, World
from werkzeug.datastructures import Headers

from sso_middleware import Continue, Identity, Link, Reject
from sso_middleware.calling import call_blocking, run
from sso_middleware.connections import Connection
from sso_middleware.errors import SSOError
from sso_middleware.flows.arriving import arrive, welcome
from sso_middleware.flows.sessions import make_session
from sso_middleware.hooks import ProvisionDecision
from sso_middleware.saml.assertion import (
    NAME_ID_EMAIL,
    NAME_ID_PERSISTENT,
    VERIFIED,
    Assertion,
    Attribute,
    NameID,
)
from sso_middleware.stores import tables
from sso_middleware.stores.people_records import PeopleQuery, Person
from sso_middleware.stores.session_records import SessionQuery
from sso_middleware.stores.sql import SqlStore
from sso_middleware.web import Request

EXAMPLES = 50
"""Histories of one batch: some 12 s."""
SHARE = 0.5
"""Of batches: so there are 50 histories in `make test`, and 2,500 in `make long`."""
STEPS = 40
MEMORY = Path("/dev/shm")

CONNECTIONS: dict[str, dict[str, Any]] = {
    "stable": {},
    "address": {"attributes": {"secondary_email": "Other"}, "secondary_email_fallback": True},
    "by-id": {"attributes": {"principal_id": "Id", "secondary_email": "Other"}, "just_in_time": False},
}
NAMES = ("ada", "bob", "cyd")
ROLES = (("analyst",), ("analyst", "chief"), ())
seen = Counter[str]()
"""How often each outcome came about: a machine that never gets anywhere proves nothing."""

connections = st.sampled_from(sorted(CONNECTIONS))
humans = st.integers(0, len(NAMES) - 1)
addresses = st.sampled_from(["ada", "bob", "cyd", "ada.king", "office"])
answers = st.sampled_from(["link", "link", "continue"])
otherwise = st.sampled_from(["continue", "reject", "fail", "another user", "another user", "somebody else's user"])


@dataclass
class Human:
    """Somebody real, and what the identity provider of one connection says of them now."""

    name: str
    connection: str
    name_id: str
    principal_id: str
    email: str
    second: str | None
    first: str
    last: str
    roles: tuple[str, ...]

    @property
    def key(self) -> str:
        if self.connection == "by-id":
            return principal_key(self.principal_id)
        return name_id_key(self.email, NAME_ID_EMAIL) if self.connection == "address" else name_id_key(self.name_id)

    @property
    def persistent(self) -> str | None:
        return None if self.connection == "address" else self.name_id

    @property
    def mapped_second(self) -> str | None:
        return None if self.connection == "stable" or self.second == self.email else self.second

    @property
    def told(self) -> dict[str, object]:
        """What the host hears."""
        return {
            "email": self.email,
            "secondary_email": self.mapped_second,
            "first_name": self.first,
            "last_name": self.last,
            "roles": roles_of(self),
        }


@dataclass
class Known:
    """Somebody whom the model knows."""

    connection: str
    keys: list[str]
    email: str
    second: str | None
    first: str
    last: str
    name_id: str | None
    seen_at: datetime
    user: str | None = None
    told: dict[str, object] | None = None
    humans: set[str] = field(default_factory=set)
    """Who really came as this person."""
    is_merged: bool = False
    """By an admin, who may do what no rule may."""

    @property
    def addresses(self) -> set[str]:
        return {address for address in (self.email, self.second) if address}


def roles_of(human: Human) -> tuple[str, ...]:
    return human.roles


class Stop(Exception):
    """The model's refusal, by its code."""


class Shared:
    """One world, made once."""

    def __init__(self, folder: Path, template: Path) -> None:
        shutil.copy(template, folder / "sso.db")
        url = f"sqlite:///{folder / 'sso.db'}"
        self.store = SqlStore(url)
        plain = World("wsgi", "plain", self.store, url)
        declared = [
            plain.connection(id=id, organization=f"The {id}", domains=[f"{id}.example"], **more)
            for id, more in CONNECTIONS.items()
        ]
        plain.close()
        self.world = World("wsgi", "plain", self.store, url, connections=declared)
        self.connections: dict[str, Connection] = {each.id: each for each in self.world.sso.site.connections}

    def begin(self) -> None:
        with self.store._database.writing() as connection:
            for table in tables.metadata.sorted_tables:
                connection.execute(table.delete())
        self.world.now = START
        self.world.hooks.identities.clear()
        self.world.events.clear()

    def close(self) -> None:
        self.world.close()
        self.store.close()


class People(RuleBasedStateMachine):
    """See the module."""

    shared: Shared

    def __init__(self) -> None:
        super().__init__()
        self.shared.begin()
        self.world = self.shared.world
        self.numbers = itertools.count(1)
        self.people: list[Known] = []
        self.users: dict[tuple[str, str], str] = {}
        """The host's own record: which user it made for a key."""
        self.humans = {
            (connection, number): Human(
                name,
                connection,
                f"{name}-0",
                f"id-{name}",
                f"{name}@{connection}.example",
                f"{name}.2@{connection}.example",
                name.title(),
                f"{name.title()}son",
                ROLES[0],
            )
            for connection in CONNECTIONS
            for number, name in enumerate(NAMES)
        }

    # What happens at the identity provider

    @rule(connection=connections, number=humans, local=addresses)
    def address_changes(self, connection: str, number: int, local: str) -> None:
        """Also to one that somebody else has, or had."""
        self.humans[connection, number].email = f"{local}@{connection}.example"

    @rule(connection=connections, number=humans, local=st.one_of(st.none(), addresses))
    def second_address_changes(self, connection: str, number: int, local: str | None) -> None:
        self.humans[connection, number].second = None if local is None else f"{local}@{connection}.example"

    @rule(connection=connections, number=humans, is_first=st.booleans())
    def name_changes(self, connection: str, number: int, is_first: bool) -> None:
        human, name = self.humans[connection, number], f"Name{next(self.numbers)}"
        if is_first:
            human.first = name
        else:
            human.last = name

    @rule(connection=connections, number=humans)
    def is_hired_again(self, connection: str, number: int) -> None:
        """Or the identity provider is another one now: everything that it calls them by is new."""
        human, again = self.humans[connection, number], next(self.numbers)
        human.name_id, human.principal_id = f"{human.name}-{again}", f"id-{human.name}-{again}"

    @rule(number=humans, other=humans)
    def shares_a_principal_id(self, number: int, other: int) -> None:
        self.humans["by-id", number].principal_id = self.humans["by-id", other].principal_id

    @rule(connection=connections, number=humans, roles=st.sampled_from(ROLES))
    def roles_change(self, connection: str, number: int, roles: tuple[str, ...]) -> None:
        self.humans[connection, number].roles = roles

    # Who comes

    @initialize(connection=connections)
    def everybody_comes(self, connection: str) -> None:
        for number in range(len(NAMES)):
            self.comes(connection, number, "link")

    @rule(connection=connections, number=humans, answer=answers)
    def comes(self, connection: str, number: int, answer: str) -> None:
        self.world.wait(minutes=1)
        human = self.humans[connection, number]
        try:
            expected = self._comes(human, answer)
        except Stop as stop:
            expected = str(stop)
        seen[expected] += 1
        assert self._really_comes(human) == expected
        self._compare()

    @rule(number=humans)
    def comes_uninvited(self, number: int) -> None:
        self.comes("by-id", number, "continue")

    @rule(number=humans, connection=connections, answers=st.lists(otherwise, min_size=1, max_size=3))
    def the_host_decides_otherwise(self, number: int, connection: str, answers: list[str]) -> None:
        self.comes(connection, number, "link")
        for answer in answers:
            self.comes(connection, number, answer)

    @rule(connection=connections, numbers=st.lists(humans, min_size=2, max_size=4), local=addresses)
    def an_address_goes_round(self, connection: str, numbers: list[int], local: str) -> None:
        """One after the other has it, and comes."""
        for number in numbers:
            self.address_changes(connection, number, local)
            self.comes(connection, number, "link")

    @rule(connection=connections, number=humans, local=addresses)
    def moves_house(self, connection: str, number: int, local: str) -> None:
        """Another address, with the one before it as the second; then another key."""
        human = self.humans[connection, number]
        human.second, human.email = human.email, f"{local}@{connection}.example"
        self.comes(connection, number, "link")
        self.is_hired_again(connection, number)
        self.comes(connection, number, "continue")

    def _comes(self, human: Human, answer: str) -> str:
        """What the model says: who it is, and what the host makes of them. Raises Stop."""
        person = self._find(human)
        is_known = person in self.people
        if not is_known:
            self.people.append(person)
        self._follow(person, human)
        self._let_host_answer(person, human, answer)
        return "known" if is_known else "new"

    def _find(self, human: Human) -> Known:
        of_connection = [each for each in self.people if each.connection == human.connection]
        by_key = next((each for each in of_connection if human.key in each.keys), None)
        falls_back = human.connection == "address"
        claimed = {human.email, human.second if falls_back else None} - {None}
        owners = [each for each in of_connection if each.addresses & claimed]
        if by_key is not None:
            has_nothing_in_common = not by_key.addresses & ({human.email, human.mapped_second} - {None})
            is_renamed = by_key.first != human.first and by_key.last != human.last
            is_other_name_id = None not in (by_key.name_id, human.persistent) and by_key.name_id != human.persistent
            if has_nothing_in_common and (is_other_name_id or is_renamed):
                raise Stop("principal_shared")
            if any(owner is not by_key for owner in owners):
                raise Stop("person_conflict")
            return by_key
        if owners and (not falls_back or len(owners) > 1):
            raise Stop("person_conflict")
        if owners:
            seen["found by an address"] += 1
            return owners[0]
        return Known(human.connection, [], "", None, "", "", None, self.world.now)

    def _follow(self, person: Known, human: Human) -> None:
        if human.key not in person.keys:
            person.keys.append(human.key)
        if person.email and person.email != human.email:
            seen["address followed"] += 1
        person.email, person.first, person.last = human.email, human.first, human.last
        person.second = human.second if human.connection == "address" and human.second != human.email else None
        person.name_id = human.persistent or person.name_id
        person.seen_at = self.world.now
        person.humans.add(human.name)

    def _let_host_answer(self, person: Known, human: Human, answer: str) -> None:
        others = {each.user for each in self.people if each.connection == person.connection and each is not person}
        before = person.user
        expected_changes = {
            name for name, value in human.told.items() if person.told is not None and person.told[name] != value
        }
        decision = self._decide(person, answer, others)

        def provision(identity: Identity) -> ProvisionDecision:
            assert (identity.key, identity.user_id) == (person.keys[0], before)
            assert identity.is_new is (person_told is None and before is None)
            assert identity.changed == expected_changes
            if decision is None:
                self._fail()
            return decision

        person_told = person.told
        self.world.hooks.decision = provision
        if decision is None:
            raise Stop("hook_failed")
        match decision:
            case Reject():
                raise Stop("provisioning_rejected")
            case Link(user_id) if user_id != before:
                if user_id in others:
                    raise Stop("user_linked_twice")
                if before is not None:
                    seen["linked anew"] += 1
                person.user = user_id
            case Continue() if before is None and person.connection == "by-id":
                raise Stop("invitation_needed")
        person.told = human.told

    def _decide(self, person: Known, answer: str, others: set[str | None]) -> ProvisionDecision | None:
        key = (person.connection, person.keys[0])
        match answer:
            case "fail":
                return None
            case "reject":
                return Reject("no")
            case "continue":
                return Continue()
            case "another user":
                self.users[key] = f"user-{next(self.numbers)}"
            case "somebody else's user":
                return Link(min((user for user in others if user), default="user-0"))
        return Link(self.users.setdefault(key, person.user or f"user-{next(self.numbers)}"))

    @staticmethod
    def _fail() -> NoReturn:
        raise RuntimeError("down")

    def _really_comes(self, human: Human) -> str:
        connection, before = self.shared.connections[human.connection], len(self.people_kept())
        assertion, site = self._assertion(human), self.world.sso.site
        try:
            arrival = run(arrive(site, REQUEST, call_blocking, connection, assertion))
            is_new = len(self.people_kept()) > before
            principal = run(welcome(site, REQUEST, call_blocking, arrival))
        except SSOError as error:
            return error.code
        person = next(
            each for each in self.people if each.keys[0] == principal.key and each.connection == connection.id
        )
        assert (principal.user_id, principal.email) == (person.user, human.email)
        assert principal.roles == roles_of(human)
        token = f"token {next(self.numbers)}"
        session = make_session(connection, assertion, principal, token=token, device="desktop", now=self.world.now)
        self.shared.store.add_session(session)
        return "new" if is_new else "known"

    def _assertion(self, human: Human) -> Assertion:
        values: dict[str, tuple[str, ...]] = {
            "Email": (human.email,),
            "FirstName": (human.first,),
            "LastName": (human.last,),
            "Id": (human.principal_id,),
            "Other": (human.second,) if human.second else (),
            "role_mapping": human.roles,
        }
        is_address = human.connection == "address"
        name_id = NameID(human.email, NAME_ID_EMAIL) if is_address else NameID(human.name_id, NAME_ID_PERSISTENT)
        now = self.world.now
        return Assertion(
            id=f"_{next(self.numbers)}",
            issuer="https://idp.acme.example/metadata",
            issued_at=now,
            in_response_to=None,
            name_id=name_id,
            attributes=tuple(Attribute(name, None, held) for name, held in values.items()),
            authenticated_at=now,
            session_index=None,
            session_ends_at=None,
            authn_context=None,
            valid_until=now + timedelta(minutes=5),
            verified=VERIFIED,
        )

    # What an admin does

    @precondition(lambda self: self.people)
    @rule(data=st.data(), forget=st.booleans())
    def is_unlinked(self, data: st.DataObject, forget: bool) -> None:
        person = data.draw(st.sampled_from(self.people))
        self.world.sso.people.unlink(self._kept(person).id, forget=forget)
        seen["forgotten" if forget else "unlinked"] += 1
        self.users.pop((person.connection, person.keys[0]), None)
        if forget:
            self.people.remove(person)
        else:
            person.user = None
        self._compare(ended=person)

    @precondition(lambda self: self._mergeable())
    @rule(data=st.data())
    def two_are_merged(self, data: st.DataObject) -> None:
        keep, other = data.draw(st.sampled_from(self._mergeable()))
        self.world.sso.people.merge(self._kept(keep).id, self._kept(other).id)
        seen["merged"] += 1
        newest = max(keep, other, key=lambda each: each.seen_at)
        self.people.remove(other)
        if keep.user is None and other.user is not None:
            keep.user, keep.told = other.user, other.told
        for name in ("email", "second", "first", "last", "seen_at"):
            setattr(keep, name, getattr(newest, name))
        keep.keys, keep.name_id, keep.is_merged = keep.keys + other.keys, None, True
        keep.humans |= other.humans
        if keep.user is not None:
            self.users[keep.connection, keep.keys[0]] = keep.user
        self._compare(ended=other)

    def _mergeable(self) -> list[tuple[Known, Known]]:
        pairs = itertools.permutations(self.people, 2)
        return [(one, other) for one, other in pairs if one.connection == other.connection]

    # What must be so

    def people_kept(self) -> list[Person]:
        return list(self.shared.store.find_people(PeopleQuery()))

    def _kept(self, person: Known) -> Person:
        (kept,) = self.shared.store.find_people(PeopleQuery(key=person.keys[0], connection_ids=(person.connection,)))
        return kept

    def _compare(self, ended: Known | None = None) -> None:
        kept = self.people_kept()
        assert sorted((p.connection_id, p.keys, p.email, sorted(p.emails), p.user_id or "") for p in kept) == sorted(
            (p.connection, tuple(p.keys), p.email, sorted(p.addresses), p.user or "") for p in self.people
        )
        assert all(person.attempt_id is None for person in kept)
        for owned in (
            [(person.connection_id, key) for person in kept for key in person.keys],
            [(person.connection_id, email) for person in kept for email in person.emails],
            [(person.connection_id, person.user_id) for person in kept if person.user_id is not None],
        ):
            assert len(owned) == len(set(owned))
        for person in self.people:
            if person.connection == "stable" and not person.is_merged:
                assert len(person.humans) == 1
        self._compare_sessions(ended)

    def _compare_sessions(self, ended: Known | None) -> None:
        users = {(person.connection, person.keys[0]): person.user for person in self.people}
        for session in self.shared.store.find_sessions(SessionQuery()):
            key = (session.connection_id, session.principal_key)
            if ended is not None:
                assert key != (ended.connection, ended.keys[0])
            assert key in users
            if not session.is_stale:
                assert session.principal["user_id"] in (None, users[key])


REQUEST = Request(
    method="GET",
    path="/sso/finish",
    raw_path="/sso/finish",
    query="",
    headers=Headers(),
    scheme="https",
    host="app.example",
    client=None,
    native={},
    read_body=lambda limit: b"",
)


@pytest.fixture(scope="module")
def shared(migrated_database: Path) -> Iterator[Shared]:
    with tempfile.TemporaryDirectory(prefix="sso-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        made = Shared(Path(folder), migrated_database)
        yield made
        made.close()


def test_who_is_whom(batch: int, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step of each history ends as the model says; and the histories get far."""
    monkeypatch.setattr(logging.getLogger("sso_middleware"), "disabled", True)
    machine = type("ThePeople", (People,), {"shared": shared})
    seen.clear()

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )

    assert {"new", "known", "found by an address", "address followed", "linked anew", "merged"} <= seen.keys(), seen
    assert {"person_conflict", "principal_shared", "user_linked_twice", "invitation_needed"} <= seen.keys(), seen
    assert {"unlinked", "forgotten", "hook_failed", "provisioning_rejected"} <= seen.keys(), seen
