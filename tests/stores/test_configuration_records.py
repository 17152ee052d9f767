"""What admins decide, as it is kept: one owner of a domain, one winner of two changes, and every change told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from tests.stores.people import came
from tests.stores.test_contract import outcomes_of

from sso_middleware.stores.configuration_records import Admin, StoredConnection, StoredDomain
from sso_middleware.stores.people_records import PeopleQuery
from sso_middleware.stores.sql import SqlStore

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
GLOBEX = StoredConnection("globex", "Globex", {"soft_timeout": "5m", "x": {"y": ["ü"]}}, "draft", 1, NOW, NOW)
DOMAIN = StoredDomain("globex.example", "globex", "offer", NOW, challenge="abc", challenge_expires_at=NOW)


def test_all_of_it_comes_back_as_it_was(store: SqlStore) -> None:
    """Connections, domains and admins; and of a declared connection only what is kept of it."""
    declared = StoredConnection("acme", "Acme", None, "disabled", 1, NOW, NOW)
    admin = Admin("Globex", "it@globex.example", NOW)
    assert store.add_connection(GLOBEX)
    assert store.add_connection(declared)
    assert store.add_domain(DOMAIN) is None
    store.put_admin(admin)

    kept = store.get_configuration()

    assert kept.connections == (declared, GLOBEX)
    assert kept.domains == (DOMAIN,)
    assert kept.admins == (admin,)


def test_every_change_counts_the_version_up(store: SqlStore) -> None:
    """And the change cursor tells it, so that each process hears of it."""
    versions = [store.get_configuration().version]
    changes = (
        partial(store.add_connection, GLOBEX),
        partial(store.put_connection, replace(GLOBEX, state="active", version=2), replaces=1),
        partial(store.record_test, "globex", "Globex", "stamp", NOW),
        partial(store.add_domain, DOMAIN),
        partial(store.put_domain, replace(DOMAIN, mode="exclusive")),
        partial(store.put_admin, Admin("Globex", "it@globex.example", NOW)),
        partial(store.delete_admin, "Globex", "it@globex.example"),
        partial(store.delete_domain, "globex.example", "globex"),
        partial(store.delete_connection, "globex"),
    )
    for change in changes:
        change()
        versions.append(store.get_configuration().version)
        assert store.get_changes(None).configuration == versions[-1]

    assert versions == sorted(set(versions))


def test_of_many_who_claim_a_domain_one_gets_it(store: SqlStore) -> None:
    """TEN-008: whoever is second is told who has it, and nothing changes."""
    names = [f"c{number}" for number in range(8)]
    claims = [partial(store.add_domain, replace(DOMAIN, connection_id=name)) for name in names]

    outcomes = outcomes_of(claims)

    (owner,) = [domain.connection_id for domain in store.get_configuration().domains]
    assert sorted(map(str, outcomes)) == sorted(["None", *[owner] * 7])


def test_of_many_who_change_a_connection_one_does(store: SqlStore) -> None:
    """The others are told that it was changed meanwhile."""
    store.add_connection(GLOBEX)
    changes = [
        partial(store.put_connection, replace(GLOBEX, organization=f"O{number}", version=2), replaces=1)
        for number in range(8)
    ]

    assert sorted(map(bool, outcomes_of(changes))) == [False] * 7 + [True]


def test_a_domain_of_another_connection_is_left_alone(store: SqlStore) -> None:
    """A slip, or an attempt: neither changed nor deleted."""
    store.add_domain(DOMAIN)

    assert not store.put_domain(replace(DOMAIN, connection_id="other", mode="off"))
    assert not store.delete_domain("globex.example", "other")
    assert store.get_configuration().domains == (DOMAIN,)


def test_deleting_a_connection_deletes_its_domains(store: SqlStore) -> None:
    """Somebody else may have them then."""
    store.add_connection(GLOBEX)
    store.add_domain(DOMAIN)
    store.add_domain(replace(DOMAIN, name="acme.example", connection_id="acme"))

    assert store.delete_connection("globex")
    assert not store.delete_connection("globex")
    assert [domain.name for domain in store.get_configuration().domains] == ["acme.example"]


def test_a_passed_test_is_kept_beside_a_declared_connection(store: SqlStore) -> None:
    """And beside what else is kept of it; whoever changes it at this moment is told."""
    store.record_test("acme", "Acme", "one", NOW)
    (row,) = store.get_configuration().connections
    assert (row.settings, row.state, row.test_stamp, row.test_passed_at) == (None, None, "one", NOW)

    store.record_test("acme", "Acme", "two", NOW)
    (row,) = store.get_configuration().connections
    assert (row.version, row.test_stamp) == (2, "two")
    assert not store.put_connection(replace(row, state="disabled"), replaces=1)


def test_an_admin_takes_the_place_of_their_former_address(store: SqlStore) -> None:
    """In one step: at no moment are there both, or none."""
    store.put_admin(Admin("Globex", "old@globex.example", NOW))
    store.put_admin(Admin("Acme", "old@globex.example", NOW))
    store.put_admin(Admin("Globex", "new@globex.example", NOW, former_email="old@globex.example"))

    assert [(admin.organization, admin.email) for admin in store.get_configuration().admins] == [
        ("Acme", "old@globex.example"),
        ("Globex", "new@globex.example"),
    ]


def test_a_deleted_connection_leaves_nobody_to_the_next_of_its_id(store: SqlStore) -> None:
    """People, their keys and addresses go with it, and those of others stay."""
    gone = came(store, connection_id="globex", new_id="person-gone")
    other = came(store, connection_id="acme")
    store.add_connection(GLOBEX)

    assert store.delete_connection("globex")

    assert store.find_people(PeopleQuery()) == [other]
    assert came(store, connection_id="globex", new_id="person-new").id != gone.id


def test_of_two_who_change_a_domain_the_second_is_told(store: SqlStore) -> None:
    """Whoever looked at it before would undo what the first one has decided."""
    store.add_domain(DOMAIN)
    exclusive = replace(DOMAIN, mode="exclusive", verified_at=NOW, verified_by="dns", challenge=None)

    assert store.put_domain(exclusive, replaces=DOMAIN)
    assert not store.put_domain(replace(DOMAIN, verified_at=NOW), replaces=DOMAIN)
    assert store.get_configuration().domains == (exclusive,)
    assert store.put_domain(replace(exclusive, mode="off"), replaces=exclusive)
