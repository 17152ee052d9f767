"""People in the store: one key and one address are one person's, whatever comes at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.stores.people import NOW, arriving, came, name_id_key
from tests.stores.test_contract import outcomes_of, session

from sso_middleware.errors import StoreUnavailable
from sso_middleware.people_rules import rule_of
from sso_middleware.stores import tables
from sso_middleware.stores.people_records import (
    Known,
    LinkedTwice,
    New,
    PeopleQuery,
    Person,
    ProvisioningClaim,
    Stopped,
)
from sso_middleware.stores.role_records import GivenRoles
from sso_middleware.stores.session_records import SessionQuery
from sso_middleware.stores.sql import SqlStore

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
STRICT, FALLBACK = rule_of(secondary_email_fallback=False), rule_of(secondary_email_fallback=True)
TOLD = {"email": "ada@acme.example", "roles": ["analyst"]}
EVERYBODY = PeopleQuery()


def linked(store: SqlStore, person: Person, user_id: str) -> Person:
    kept = store.keep_provisioned(person.id, "a", user_id=user_id, told=TOLD, now=NOW)
    assert isinstance(kept, Person)
    return kept


def test_a_new_person_is_kept_and_known_again(store: SqlStore) -> None:
    """Every field survives, and the second time they are who they were."""
    first = store.arrive(arriving(secondary_email="ada.l@acme.example"), FALLBACK)
    again = store.arrive(arriving(at=NOW + HOUR, new_id="another"), STRICT)

    assert isinstance(first, New)
    assert isinstance(again, Known)
    assert again.before == first.person
    assert store.get_person("person-ada") == again.person
    assert again.person == replace(first.person, secondary_email=None, seen_at=NOW + HOUR)
    assert store.get_person("nobody") is None


def test_people_of_other_connections_are_other_people(store: SqlStore) -> None:
    """TEN-010: the same key and the same address, somebody else."""
    acme, globex = came(store), came(store, connection_id="globex", new_id="other")
    assert acme.id != globex.id
    assert isinstance(store.keep_provisioned(acme.id, "a", user_id="42", told={}, now=NOW), Person)
    assert isinstance(store.keep_provisioned(globex.id, "a", user_id="42", told={}, now=NOW), Person)


def test_an_address_that_was_given_up_is_free(store: SqlStore) -> None:
    """It follows the person, and its next owner is somebody else."""
    came(store)
    ada = came(store, email="ada.king@acme.example", at=NOW + HOUR)
    bob = came(store, "bob", email="ada@acme.example")

    assert (ada.former_email, ada.email_changed_at) == ("ada@acme.example", NOW + HOUR)
    assert bob.id != ada.id
    assert isinstance(store.arrive(arriving("cyd", email="ada.king@acme.example"), STRICT), Stopped)
    assert len(store.find_people(EVERYBODY)) == 2


def test_what_is_stopped_changes_nothing(store: SqlStore) -> None:
    """Neither person."""
    came(store)
    came(store, "bob")
    before = store.find_people(EVERYBODY)
    for stopped in (
        store.arrive(arriving(email="bob@acme.example", at=NOW + HOUR), STRICT),
        store.arrive(arriving(key='["principal_id", "9"]', at=NOW + HOUR), STRICT),
        store.arrive(arriving("cyd", secondary_email="bob@acme.example", email="ada@acme.example"), FALLBACK),
    ):
        assert isinstance(stopped, Stopped)
        assert stopped.reason == "person_conflict"
    assert store.find_people(EVERYBODY) == before
    assert store.arrive(arriving("dan"), lambda arriving, found: None) is None
    assert store.find_people(EVERYBODY) == before


def test_the_first_key_stays_the_first(store: SqlStore) -> None:
    """Whatever the clock says when others come."""
    came(store)
    came(store, key='["z"]', fallback=True, at=NOW - HOUR)
    person = came(store, key='["a"]', fallback=True, at=NOW - HOUR)
    assert person.keys == (name_id_key("ada"), '["z"]', '["a"]')
    assert store.get_person(person.id) == person


def test_of_many_first_sign_ins_at_once_one_makes_the_person(store: SqlStore) -> None:
    """Threads that bring the same person at the same moment: one is new, for the others they are known."""
    people = [arriving(new_id=f"person-{number}") for number in range(8)]
    found = outcomes_of([lambda each=each: store.arrive(each, STRICT) for each in people])  # type: ignore[misc]
    assert sorted(type(each).__name__ for each in found) == ["Known"] * 7 + ["New"]
    assert len(store.find_people(EVERYBODY)) == 1


def test_of_many_who_bring_one_address_at_once_one_has_it(store: SqlStore) -> None:
    """Under a key of their own each: one is new, the others are stopped, and nothing of theirs is kept."""
    people = [arriving(str(number), email="ada@acme.example") for number in range(8)]
    found = outcomes_of([lambda each=each: store.arrive(each, STRICT) for each in people])  # type: ignore[misc]
    assert sorted(type(each).__name__ for each in found) == ["New"] + ["Stopped"] * 7
    (person,) = store.find_people(EVERYBODY)
    assert len(person.keys) == 1


def test_of_many_who_move_to_one_address_at_once_one_gets_it(store: SqlStore) -> None:
    """People who are known: the others stay as they were."""
    for number in range(6):
        came(store, str(number))
    moves = [arriving(str(number), email="chief@acme.example", at=NOW + HOUR) for number in range(6)]
    found = outcomes_of([lambda each=each: store.arrive(each, STRICT) for each in moves])  # type: ignore[misc]
    assert sorted(type(each).__name__ for each in found) == ["Known"] + ["Stopped"] * 5
    assert sum(person.email == "chief@acme.example" for person in store.find_people(EVERYBODY)) == 1


def test_a_key_and_an_address_are_one_persons_for_the_database_too(store: SqlStore) -> None:
    """Whatever a program does that takes no lock."""
    came(store)
    ids = {"connection_id": "acme", "person_id": "another"}
    for row in (
        tables.person_keys.insert().values(**ids, principal_key=name_id_key("ada"), added_at=NOW),
        tables.person_emails.insert().values(**ids, email="ada@acme.example"),
    ):
        with pytest.raises(StoreUnavailable), store._database.writing() as connection:
            connection.execute(row)


# The host's hook


def test_one_sign_in_at_a_time_asks_the_host(store: SqlStore) -> None:
    """The same one may ask again; another one when that has ended, by itself or by the clock."""
    id = came(store).id
    until = NOW + 10 * SECOND
    granted, refused = ProvisioningClaim(True, None), ProvisioningClaim(False, None)

    assert store.claim_provisioning(id, "one", NOW, until) == granted
    assert store.claim_provisioning(id, "one", NOW, until) == granted
    assert store.claim_provisioning(id, "two", NOW, until) == refused
    assert store.claim_provisioning(id, "two", until - SECOND, until + HOUR) == refused
    store.end_provisioning(id, "another")
    assert store.claim_provisioning(id, "two", NOW, until) == refused
    store.end_provisioning(id, "one")
    assert store.claim_provisioning(id, "two", NOW, until) == granted
    assert store.claim_provisioning(id, "three", until, until + HOUR) == granted
    assert store.claim_provisioning(id, "four", NOW - HOUR, until - HOUR) == granted
    assert store.claim_provisioning("nobody", "one", NOW, until) is None


def test_who_has_a_user_is_asked_about_by_everybody(store: SqlStore) -> None:
    """There is nothing left to be made twice."""
    person = linked(store, came(store), "42")
    for attempt in ("one", "two"):
        claim = store.claim_provisioning(person.id, attempt, NOW, NOW + SECOND)
        assert claim == ProvisioningClaim(True, "42")


def test_of_many_claims_at_once_one_asks_the_host(store: SqlStore) -> None:
    """Threads that claim the same person at the same moment."""
    id = came(store).id
    claims = [
        lambda attempt=str(number): store.claim_provisioning(id, attempt, NOW, NOW + SECOND) for number in range(8)
    ]
    granted = [claim for claim in outcomes_of(claims) if claim == ProvisioningClaim(True, None)]
    assert len(granted) == 1


def test_what_the_host_said_is_kept_and_ends_the_claim(store: SqlStore) -> None:
    """The user and when, what the host was told; a yes without a user keeps the one there was."""
    id = came(store).id
    store.claim_provisioning(id, "a", NOW, NOW + SECOND)
    first = store.keep_provisioned(id, "a", user_id=None, told={"email": "x"}, now=NOW)
    assert isinstance(first, Person)
    assert (first.user_id, first.told, first.attempt_id) == (None, {"email": "x"}, None)

    store.claim_provisioning(id, "b", NOW, NOW + HOUR)
    second = store.keep_provisioned(id, "a", user_id="42", told=TOLD, now=NOW)
    third = store.keep_provisioned(id, "a", user_id=None, told=TOLD, now=NOW + HOUR)

    assert isinstance(second, Person)
    assert second.attempt_id == "b"  # another sign-in's, which goes on asking
    assert third == second == store.get_person(id)
    assert (second.user_id, second.linked_at, second.told) == ("42", NOW, TOLD)
    assert store.keep_provisioned("nobody", "a", user_id="42", told=TOLD, now=NOW) is None


def test_two_people_are_never_one_user(store: SqlStore) -> None:
    """The second link is refused and changes nothing, also of many at the same moment."""
    people = [came(store, str(number)) for number in range(6)]
    links = [
        lambda each=each: store.keep_provisioned(each.id, "a", user_id="42", told=TOLD, now=NOW) for each in people
    ]
    found = outcomes_of(links)
    (kept,) = [each for each in found if isinstance(each, Person)]
    assert {each.person_id for each in found if isinstance(each, LinkedTwice)} == {kept.id}
    assert [person.id for person in store.find_people(PeopleQuery(user_id="42"))] == [kept.id]
    assert sum(person.told is not None for person in store.find_people(EVERYBODY)) == 1


def test_who_becomes_another_user_is_not_two_of_them(store: SqlStore) -> None:
    """Their other sessions are renewed before they are used again; nobody else's are."""
    ada, bob = linked(store, came(store), "42"), came(store, "bob")
    store.add_session(replace(session("ada"), principal_key=ada.key))
    store.add_session(replace(session("bob"), principal_key=bob.key))
    store.add_session(replace(session("globex"), principal_key=ada.key, connection_id="globex"))
    before = store.get_changes(None).number

    linked(store, ada, "42")
    assert store.get_changes(None).number == before
    linked(store, ada, "43")

    assert {each.id for each in store.find_sessions(SessionQuery()) if each.is_stale} == {"ada"}
    assert store.get_changes(None).number == before + 1


# What an admin settles


def test_an_unlinked_person_stays(store: SqlStore) -> None:
    """Known by the same keys, without a user; their sessions end."""
    ada, bob = linked(store, came(store), "42"), came(store, "bob")
    for person in (ada, bob):
        store.add_session(replace(session(person.id), principal_key=person.key))

    assert store.unlink_person(ada.id, NOW) == ada
    assert came(store) == replace(ada, user_id=None, linked_at=None)
    assert [each.id for each in store.find_sessions(SessionQuery())] == [bob.id]
    assert store.unlink_person("nobody", NOW) is None


def test_a_forgotten_person_is_new_the_next_time(store: SqlStore) -> None:
    """Keys and addresses are free again."""
    ada = linked(store, came(store), "42")
    assert store.unlink_person(ada.id, NOW, forget=True) == ada
    assert store.find_people(EVERYBODY) == []
    assert isinstance(store.arrive(arriving("bob", email="ada@acme.example"), STRICT), New)
    assert isinstance(store.arrive(arriving(email="new@acme.example"), STRICT), New)


def test_two_people_are_merged(store: SqlStore) -> None:
    """The keys of both are one person's; what came last counts; the other's sessions end."""
    old = linked(store, came(store), "42")
    new = linked(store, came(store, "new", email="a.king@acme.example", last_name="King", at=NOW + HOUR), "43")
    for person in (old, new):
        store.add_session(replace(session(person.id), principal_key=person.key))

    merged = store.merge_people(old.id, new.id, NOW + 2 * HOUR)

    assert merged is not None
    assert merged == store.get_person(old.id)
    assert (merged.key, set(merged.keys)) == (old.key, {old.key, new.key})
    assert (merged.user_id, merged.email, merged.former_email) == ("42", "a.king@acme.example", "ada@acme.example")
    assert merged.name_id is None  # there are two by now, and either may come next
    assert (merged.last_name, merged.email_changed_at, merged.seen_at) == ("King", NOW + 2 * HOUR, NOW + HOUR)
    assert store.get_person(new.id) is None
    assert [each.id for each in store.find_sessions(SessionQuery())] == [old.id]
    for name in ("ada", "new"):
        assert came(store, name, email="a.king@acme.example").id == old.id
    came(store, "bob", email="ada@acme.example")


def test_a_merged_person_takes_a_user_over_where_they_had_none(store: SqlStore) -> None:
    """And what that user was told."""
    keep, other = came(store), linked(store, came(store, "other"), "42")
    merged = store.merge_people(keep.id, other.id, NOW)
    assert merged is not None
    assert (merged.user_id, merged.linked_at, merged.told) == ("42", NOW, TOLD)


def test_what_a_merged_person_was_given_is_not_lost(store: SqlStore) -> None:
    """Neither theirs nor the other's: what is not known to be theirs is taken away, or given, at the next sign-in."""
    keep, other = linked(store, came(store), "42"), linked(store, came(store, "other"), "43")
    store.put_grants("acme", keep.key, {"account": ("member",)}, {})
    store.put_grants("acme", other.key, {"account": ("admin",)}, {"project:7": ("editor",)})

    store.merge_people(keep.id, other.id, NOW)

    expected = GivenRoles({"account": ("member",)}, {"account": ("admin",), "project:7": ("editor",)})
    assert store.get_given_roles("acme", keep.key) == expected


def test_whoever_takes_a_user_over_takes_what_that_user_was_given(store: SqlStore) -> None:
    """Else the host would never be told to take it away again."""
    keep, other = came(store), linked(store, came(store, "other"), "42")
    store.put_grants("acme", other.key, {"account": ("admin",)}, {})

    store.merge_people(keep.id, other.id, NOW)

    assert store.get_given_roles("acme", keep.key) == GivenRoles({"account": ("admin",)})
    (managed,) = store.find_managed_people(["acme"], user_id="42")
    assert managed.grants == {"account": ("admin",)}


@pytest.mark.parametrize("how", ["unlinked", "linked anew"])
def test_what_one_user_was_given_is_not_anothers(store: SqlStore, how: str) -> None:
    """Whoever is another user from now on is given everything anew: what is known was given to the one before."""
    ada = linked(store, came(store), "42")
    store.put_grants("acme", ada.key, {"account": ("admin",)}, {})

    if how == "unlinked":
        store.unlink_person(ada.id, NOW)
    else:
        linked(store, ada, "43")

    assert store.get_given_roles("acme", ada.key) == GivenRoles({}, {"account": ("admin",)})


def test_what_nobody_was_given_stays_so(store: SqlStore) -> None:
    """Whose roles no identity provider has decided is not managed by being unlinked; nor does the same link matter."""
    ada = linked(store, came(store), "42")
    store.unlink_person(ada.id, NOW)
    assert store.get_given_roles("acme", ada.key) == GivenRoles()

    linked(store, ada, "42")
    store.put_grants("acme", ada.key, {"account": ("admin",)}, {})
    linked(store, ada, "42")
    assert store.get_given_roles("acme", ada.key) == GivenRoles({"account": ("admin",)})


def test_only_two_people_of_one_connection_are_merged(store: SqlStore) -> None:
    """TEN-010: never across, and nobody with themselves."""
    ada, other = came(store), came(store, connection_id="globex", new_id="other")
    for pair in ((ada.id, other.id), (other.id, ada.id), (ada.id, ada.id), (ada.id, "nobody"), ("nobody", ada.id)):
        assert store.merge_people(*pair, NOW) is None
    assert len(store.find_people(EVERYBODY)) == 2


def test_merging_and_signing_in_at_once_leave_one_person(store: SqlStore) -> None:
    """Whoever comes first, each key is somebody's, and the same person's."""
    old, new = came(store), came(store, "new")
    steps: list[Callable[[], object]] = [lambda: store.merge_people(old.id, new.id, NOW)]
    steps += [lambda: store.arrive(arriving("new", new_id="third"), STRICT)] * 3
    steps += [lambda: store.keep_provisioned(new.id, "a", user_id="42", told=TOLD, now=NOW)]
    outcomes_of(steps)
    (person,) = store.find_people(EVERYBODY)
    assert set(person.keys) == {old.key, new.key}


def test_people_are_found(store: SqlStore) -> None:
    """By the beginning of an id, an address of theirs, a key, a user, a connection; last seen first."""
    ada = linked(store, came(store, secondary_email="ada.l@acme.example", fallback=True), "42")
    bob = came(store, "bob", at=NOW + HOUR)
    other = came(store, connection_id="globex", new_id="other", at=NOW - HOUR)

    def found(query: PeopleQuery) -> list[str]:
        return [person.id for person in store.find_people(query)]

    assert found(EVERYBODY) == [bob.id, ada.id, other.id]
    assert store.find_people(EVERYBODY, limit=1) == [bob]
    assert found(PeopleQuery(person_id="person-a")) == [ada.id]
    assert found(PeopleQuery(person_id="person_a")) == []
    assert found(PeopleQuery(email="ada.l@acme.example")) == [ada.id]
    assert found(PeopleQuery(email="ada@acme.example")) == [ada.id, other.id]
    assert found(PeopleQuery(email="ada@acme.example", connection_ids=("globex",))) == [other.id]
    assert found(PeopleQuery(key=ada.key, connection_ids=("acme",))) == [ada.id]
    assert found(PeopleQuery(user_id="42")) == [ada.id]
