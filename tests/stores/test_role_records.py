"""What is kept of people's roles, on each kind of database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.people_rows import add_person

from sso_middleware.stores.role_records import GivenRoles, ManagedPerson
from sso_middleware.stores.sql import SqlStore

GRANTS = {"account": ("member",), "project:42": ("editor", "viewer")}


def test_what_somebody_was_given_is_theirs_alone(store: SqlStore) -> None:
    """By connection and key; nobody is made up for a key that is unknown."""
    add_person(store, "acme", "ada", "ada@acme.example")
    add_person(store, "acme", "bob", "bob@acme.example")
    add_person(store, "beta", "ada", "ada@beta.example")

    assert store.get_given_roles("acme", "ada") == GivenRoles()
    assert store.put_grants("acme", "ada", GRANTS, {})
    assert not store.put_grants("acme", "carol", GRANTS, {})
    assert not store.claim_announcement("acme", "carol", GRANTS)

    assert store.get_given_roles("acme", "ada") == GivenRoles(GRANTS)
    others = [store.get_given_roles(*key) for key in (("acme", "bob"), ("beta", "ada"), ("acme", "carol"))]
    assert others == [GivenRoles()] * 3

    assert store.put_grants("acme", "ada", {}, {})
    assert store.get_given_roles("acme", "ada").grants == {}


def test_what_somebody_may_have_besides_is_kept_apart(store: SqlStore) -> None:
    """Until it is known again; nobody counts it as given."""
    add_person(store, "acme", "ada", "ada@acme.example", "user-1")
    perhaps = {"account": ("owner",), "project:7": ("editor",)}

    store.put_grants("acme", "ada", {"account": ("member",)}, perhaps)

    assert store.get_given_roles("acme", "ada") == GivenRoles({"account": ("member",)}, perhaps)
    (managed,) = store.find_managed_people(["acme"], user_id="user-1")
    assert managed.grants == {"account": ("member",)}
    store.put_grants("acme", "ada", {}, perhaps)
    assert store.get_given_roles("acme", "ada") == GivenRoles({}, perhaps)
    store.put_grants("acme", "ada", GRANTS, {})
    assert store.get_given_roles("acme", "ada") == GivenRoles(GRANTS)


def test_somebody_is_told_once(store: SqlStore) -> None:
    """Of the same roles; of others again."""
    add_person(store, "acme", "ada", "ada@acme.example")

    told = [store.claim_announcement("acme", "ada", grants) for grants in (GRANTS, GRANTS, {}, {}, GRANTS)]

    assert told == [True, False, True, False, True]
    assert store.get_given_roles("acme", "ada") == GivenRoles(announced=GRANTS)


def test_of_many_at_once_one_tells(store: SqlStore) -> None:
    """Two tabs that come back at the same moment don't both say it."""
    add_person(store, "acme", "ada", "ada@acme.example")

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda _: store.claim_announcement("acme", "ada", GRANTS), range(8)))

    assert sum(told) == 1


def test_who_is_managed_is_found_by_address_or_user(store: SqlStore) -> None:
    """Whoever was given roles, be it none by now; of the connections that are asked about."""
    for connection, key, email, user_id in (
        ("acme", "ada", "ada@acme.example", "user-1"),
        ("acme", "bob", "bob@acme.example", "user-2"),
        ("beta", "ada", "ada@acme.example", "user-1"),
    ):
        add_person(store, connection, key, email, user_id)
    store.put_grants("acme", "ada", GRANTS, {})
    store.put_grants("beta", "ada", {}, {})
    acme, beta = (
        ManagedPerson("acme", "ada@acme.example", "user-1", GRANTS),
        ManagedPerson("beta", "ada@acme.example", "user-1", {}),
    )

    assert store.find_managed_people(["acme"], email="ada@acme.example") == [acme]
    assert store.find_managed_people(["acme", "beta"], user_id="user-1") == [acme, beta]
    assert store.find_managed_people(["acme"], email="nobody@acme.example", user_id="user-1") == [acme]
    assert store.find_managed_people(["acme"], email="bob@acme.example") == []
    assert store.find_managed_people(["gamma"], user_id="user-1") == []
    assert store.find_managed_people([], user_id="user-1") == []
    assert store.find_managed_people(["acme"]) == []
    assert "ada" not in repr(acme)
