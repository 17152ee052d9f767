"""Whom an assertion is about: every case of the rules, one row each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.stores.people import NOW, address_key, arriving, name_id_key, principal_key

from sso_middleware.people_rules import decide, is_address, key_is_address, rule_of
from sso_middleware.saml.assertion import NAME_ID_EMAIL, NAME_ID_PERSISTENT
from sso_middleware.stores.people_records import Arriving, Found, Known, New, Person, Stopped

LATER = NOW + timedelta(days=1)


def person(name: str = "ada", **changes: Any) -> Person:
    return Person(
        **{
            "id": f"person-{name}",
            "connection_id": "acme",
            "keys": (name_id_key(name),),
            "email": f"{name}@acme.example",
            "first_name": name.title(),
            "last_name": f"{name.title()}son",
            "name_id": f"hash of {name}",
            "created_at": NOW,
            **changes,
        }
    )


ADA, BOB = person("ada"), person("bob")
ADA_TWICE = person("ada", secondary_email="ada.l@acme.example")
ADA_BY_ID = person("ada", keys=(principal_key("1"),))
COMES = arriving("ada", at=LATER)
MARRIED = replace(COMES, email="ada.king@acme.example", last_name="King")
NEW_KEY = replace(COMES, key=name_id_key("ada at the new provider"), name_id="hash of the new one")
BOTH = replace(NEW_KEY, email="new@acme.example", secondary_email="ada@acme.example")
OF_ID = replace(COMES, key=principal_key("1"), name_id_key=name_id_key("ada"))
ANOTHER = replace(
    OF_ID, email="eve@acme.example", first_name="Eve", last_name="Moneypenny", name_id=None, name_id_key=None
)

TABLE: list[tuple[str, Arriving, Found, str, str]] = [
    # what it is; who comes; who is known; without the fallback; with it
    ("nobody is known", COMES, Found(), "new", "new"),
    ("a key and its address", COMES, Found(ADA, ADA), "known", "known"),
    ("a key with a new address", MARRIED, Found(ADA), "known", "known"),
    (
        "a key with somebody else's address",
        replace(COMES, email=BOB.email),
        Found(ADA, BOB),
        "person_conflict",
        "person_conflict",
    ),
    (
        "a key with somebody else's second address",
        replace(COMES, secondary_email=BOB.email),
        Found(ADA, ADA, BOB),
        "known",
        "person_conflict",
    ),
    ("somebody who came before addresses were kept", COMES, Found(person(email="")), "known", "known"),
    ("one person under a second key", NEW_KEY, Found(by_email=ADA), "person_conflict", "known"),
    ("a new key and a new address, the old one beside it", BOTH, Found(by_secondary_email=ADA), "new", "known"),
    ("a new address that was the second one", NEW_KEY, Found(by_email=ADA_TWICE), "person_conflict", "known"),
    ("both addresses of one person", BOTH, Found(None, ADA_TWICE, ADA_TWICE), "person_conflict", "known"),
    ("the addresses of two people", BOTH, Found(None, BOB, ADA), "person_conflict", "person_conflict"),
    ("a key that is an address, and changed", replace(COMES, key=address_key("a@b.example")), Found(), "new", "new"),
    ("a principal id is mapped now, the NameID is the old one", OF_ID, Found(None, ADA, None, ADA), "known", "known"),
    (
        "a second principal id for one NameID",
        replace(OF_ID, key=principal_key("2"), email="other@acme.example"),
        Found(by_name_id_key=ADA_BY_ID),
        "new",
        "new",
    ),
    ("another name and another address", ANOTHER, Found(ADA_BY_ID), "principal_shared", "principal_shared"),
    ("all is new but the last name", replace(ANOTHER, last_name="Adason"), Found(ADA_BY_ID), "known", "known"),
    ("all is new but the first name", replace(ANOTHER, first_name="ADA"), Found(ADA_BY_ID), "known", "known"),
    ("all is new but for names that never come", ANOTHER, Found(replace(ADA_BY_ID, last_name="")), "known", "known"),
    (
        "another NameID and another address",
        replace(OF_ID, email="eve@acme.example", name_id="hash of eve"),
        Found(ADA_BY_ID),
        "principal_shared",
        "principal_shared",
    ),
    ("another NameID alone", replace(OF_ID, name_id="hash of eve"), Found(ADA_BY_ID, ADA_BY_ID), "known", "known"),
    (
        "another name, and an address in common",
        replace(ANOTHER, secondary_email="ada@acme.example"),
        Found(ADA_BY_ID, None, ADA_BY_ID),
        "known",
        "known",
    ),
]


@pytest.mark.parametrize("fallback", [False, True], ids=["alone", "fallback"])
@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_the_table(row: tuple[str, Arriving, Found, str, str], fallback: bool) -> None:
    """One decision for each case; who is known keeps their first key, and has what came."""
    _, comes, found, without, with_fallback = row
    decision = decide(comes, found, secondary_email_fallback=fallback)

    told = decision.reason if isinstance(decision, Stopped) else type(decision).__name__.lower()
    assert told == (with_fallback if fallback else without)
    if isinstance(decision, Known):
        assert decision.person.id == decision.before.id
        assert decision.person.keys[: len(decision.before.keys)] == decision.before.keys
        assert comes.key in decision.person.keys
        assert (decision.person.email, decision.person.seen_at) == (comes.email, LATER)
    if isinstance(decision, New):
        assert (decision.person.id, decision.person.keys) == (comes.new_id, (comes.key,))


def test_a_changed_address_is_remembered() -> None:
    """The one before it, and since when; an address that comes for the first time changes nothing."""
    moved = decide(MARRIED, Found(ADA), secondary_email_fallback=False)
    first = decide(COMES, Found(person(email="")), secondary_email_fallback=False)

    assert isinstance(moved, Known)
    assert (moved.person.former_email, moved.person.email_changed_at) == ("ada@acme.example", LATER)
    assert isinstance(first, Known)
    assert (first.person.former_email, first.person.email_changed_at) == (None, None)


def test_a_second_address_is_kept_only_where_it_counts() -> None:
    """Else it could be in the way of somebody who really has it."""
    twice = replace(COMES, secondary_email="ada.l@acme.example")
    for found in (Found(), Found(ADA_TWICE, ADA_TWICE)):
        for fallback, kept in ((False, None), (True, "ada.l@acme.example")):
            decision = decide(twice, found, secondary_email_fallback=fallback)
            assert not isinstance(decision, Stopped)
            assert decision.person.secondary_email == kept


def test_a_stop_names_no_address() -> None:
    """What is told goes to logs: it names people by our own ids."""
    for _, comes, found, *_ in TABLE:
        decision = decide(comes, found, secondary_email_fallback=False)
        if isinstance(decision, Stopped):
            assert "@" not in decision.why
            assert "person person-" in decision.why


def test_who_is_expected_and_does_not_come_changes_nothing() -> None:
    """At the renewal of a session anybody else is nobody."""
    for fallback in (False, True):
        expected = rule_of(secondary_email_fallback=fallback, expected_key=ADA.key)
        assert expected(arriving("bob"), Found(BOB, BOB)) is None
        assert expected(arriving("bob"), Found()) is None
        assert expected(arriving("bob", email=ADA.email), Found(BOB, ADA)) is None
        assert isinstance(expected(COMES, Found()), New)
        assert isinstance(expected(COMES, Found(ADA, ADA)), Known)
        stopped = expected(replace(COMES, email=BOB.email), Found(ADA, BOB))
        assert isinstance(stopped, Stopped)
    assert isinstance(expected(NEW_KEY, Found(by_email=ADA)), Known)


@pytest.mark.parametrize(
    ("principal_id", "format", "is_one"),
    [
        (None, NAME_ID_EMAIL, True),
        ("UserId", NAME_ID_EMAIL, False),
        (None, NAME_ID_PERSISTENT, False),
        (None, None, False),
    ],
)
def test_which_connections_ask_for_addresses_as_keys(
    principal_id: str | None, format: str | None, is_one: bool
) -> None:
    """So that an admin can be told what a changed address does there."""
    assert key_is_address(principal_id, format) is is_one


def test_which_keys_are_addresses() -> None:
    """By the declared format, not by what it looks like."""
    keys = (address_key("a@b.example"), name_id_key("a@b.example"), principal_key("a@b.example"))
    assert [is_address(key) for key in keys] == [True, False, False]
