"""What a role mapping may say, in words that say what to do; in the settings and in a document of run time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.identity_provider import IdentityProvider
from tests.test_settings import ACME, connect, connection_problems, make, problems

from sso_middleware import ConfigurationError, ConnectionSettings
from sso_middleware.connections import Connection, read_connections, read_one
from sso_middleware.roles import Granted, NothingGranted
from sso_middleware.run_time_settings import RunTimeSettings, read_document, read_documents
from sso_middleware.stores.configuration_records import Configuration, StoredConnection

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ENGINEERS: dict[str, Any] = {"Engineers": {"account": ["member"], "project:42": ["editor"]}}
OWNERS: dict[str, Any] = {"Owners": {"account": ["owner"]}}


def mapped(mapping: Any, **changes: Any) -> dict[str, Any]:
    return {**ACME, "metadata": IdentityProvider().metadata, "role_mapping": mapping, **changes}


def test_a_mapping_is_a_frozen_table() -> None:
    """As every other setting it can be hashed, and can't be changed."""
    one, other = (connect(role_mapping=ENGINEERS, authorization=True) for _ in range(2))

    assert one == other
    assert hash(one) == hash(other)
    assert one.role_mapping == {"Engineers": {"account": ("member",), "project:42": ("editor",)}}
    with pytest.raises(TypeError, match="can't be changed"):
        one.role_mapping["Engineers"]["account"] = ("owner",)  # type: ignore[index]


def test_scopes_may_be_a_list_of_tables() -> None:
    """For a form or a document that can't keep a table's keys apart."""
    listed = [{"scope": "account", "roles": ["member"]}, {"scope": "project:42", "roles": ["editor"]}]

    assert connect(role_mapping={"Engineers": listed}).role_mapping == connect(role_mapping=ENGINEERS).role_mapping


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        ("Engineers", "role_mapping: must be a table of mapping roles, such as"),
        ({"Engineers": "member"}, "role_mapping['Engineers']: must be a table of scopes, such as"),
        ({"Engineers": {}}, "role_mapping['Engineers']: grants nothing; give it a scope with its roles"),
        ({"Engineers": {"account": []}}, "role_mapping['Engineers']: 'account' has no role; name one"),
        ({"Engineers": {"account": "member"}}, "role_mapping['Engineers']: 'account' must have a list of roles"),
        ({"Engineers": {"account": [1]}}, "role_mapping['Engineers']: 'account' must have a list of roles"),
        ({"Engineers": {"account": ["a", "a"]}}, "role_mapping['Engineers']: 'account' names a role twice"),
        ({"Engineers": {"account": [" a"]}}, "role_mapping['Engineers']: 'account' must be a role"),
        ({"Engineers": {"account": ["project:42:a"]}}, "role_mapping['Engineers']: 'account' must be a role"),
        ({"Engineers": {"project": ["a"]}}, "role_mapping['Engineers']: 'project' is no scope"),
        ({"Engineers": {"project:42 ": ["a"]}}, "role_mapping['Engineers']: 'project:42 ' is no scope"),
        (
            {"Engineers": [{"scope": "account", "roles": ["a"]}, {"scope": "account", "roles": ["b"]}]},
            "role_mapping['Engineers']: 'account' stands there twice; give each scope once",
        ),
        ({"Engineers": [{"scope": "account"}]}, "role_mapping['Engineers']: must be a table of scopes"),
        ({" Engineers": {"account": ["a"]}}, "role_mapping[' Engineers']: has blanks around its name"),
        ({"": {"account": ["a"]}}, "role_mapping['']: the name must be one line"),
        ({"x" * 513: {"account": ["a"]}}, f"role_mapping['{'x' * 512}']: the name must be one line"),
        ({"x": {f"project:{n}": ["a"] for n in range(2001)}}, "role_mapping: names more than 2000 scopes"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_mapping_that_can_t_be_is_refused(mapping: Any, problem: str) -> None:
    """With the name of the mapping role."""
    (told,) = connection_problems(role_mapping=mapping)
    assert told.startswith(problem)


def test_all_that_is_wrong_with_a_mapping_is_told_at_once() -> None:
    """Of each mapping role, and of each of its scopes."""
    told = connection_problems(role_mapping={"A": {"x": ["a"], "account": []}, "B": {}}, authorization=1)
    assert len(told) == 3


def test_authorization_needs_a_mapping() -> None:
    """Else it would lock everybody out."""
    assert connection_problems(authorization=True) == (
        "authorization: is on and role_mapping is empty, so nobody could sign in; map a role, or switch it off",
    )


@pytest.mark.parametrize(
    ("mapping", "settings", "problem"),
    [
        (
            OWNERS,
            {},
            "connections[acme].role_mapping['Owners']: grants 'owner', one of protected_roles; take it out, or list it"
            " in may_grant of the connection",
        ),
        (
            {"A": {"account": ["Owner"]}},
            {},
            "connections[acme].role_mapping['A']: grants 'Owner', one of protected_roles; take it out, or list it"
            " in may_grant of the connection",
        ),
        (
            {"A": {"projects:42": ["editor"]}},
            {},
            "connections[acme].role_mapping['A']: 'projects:42' is of a kind that scope_kinds does not name; did you"
            " mean project?",
        ),
        (
            {"A": {"account": ["memebr"]}},
            {"roles": ["member", "owner"]},
            "connections[acme].role_mapping['A']: 'memebr' is not one of roles; did you mean member?",
        ),
    ],
)
def test_a_mapping_fits_the_app(mapping: Any, settings: dict[str, Any], problem: str) -> None:
    """Protected roles, kinds of scopes, roles: told at start, and when a connection is changed at run time."""
    assert problems(connections=[mapped(mapping)], **settings) == (problem,)

    with pytest.raises(ConfigurationError) as caught:
        read_document(stored(mapping), make(**settings))
    assert caught.value.problems == (problem.removeprefix("connections[acme]."),)


def test_a_protected_role_that_is_listed_may_be_granted() -> None:
    """By the connection itself."""
    assert decide(connection(OWNERS, may_grant=["owner"]), "Owners").grants == {"account": ("owner",)}
    assert decide(connection(OWNERS, protected_roles=[]), "Owners").grants == {"account": ("owner",)}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"scope_kinds": ["account"]}, 'scope_kinds[0]: must not be "account": that scope is always there'),
        ({"scope_kinds": ["a:b"]}, "scope_kinds[0]: must be the kind of a scope"),
        ({"protected_roles": ["a:b"]}, "protected_roles[0]: must be a role, so without : and , in it"),
        (
            {"roles": ["member"], "protected_roles": ["membre"]},
            "protected_roles: 'membre' is not one of roles; did you mean member?",
        ),
    ],
)
def test_what_the_app_has_is_checked(changes: dict[str, Any], problem: str) -> None:
    """Kinds and roles are words that a scope or a list can hold."""
    (told,) = problems(**changes)
    assert told.startswith(problem)


def stored(mapping: Any, **changes: Any) -> StoredConnection:
    document = {"metadata": IdentityProvider().metadata, "role_mapping": mapping, "authorization": True, **changes}
    return StoredConnection("acme", "Acme Inc", document, "active", 1, NOW, NOW)


def test_what_is_kept_outlives_a_change_of_the_apps_settings() -> None:
    """The operator protects a role: the connection stays, and gives what still may be given."""
    settings = make(protected_roles=["member"])
    mapping = {"A": {"account": ["member", "guest"], "team:1": ["lead"]}, "B": {"account": ["member"]}}

    ((_, document),) = read_documents(settings, Configuration(1, (stored(mapping),), (), ()))
    assert isinstance(document, RunTimeSettings)
    found = connection(mapping, protected_roles=["member"], kept=document)
    assert decide(found, "A").grants == {"account": ("guest",)}
    assert isinstance(found.roles.decide(["B"]), NothingGranted)


def connection(mapping: Any, *, kept: ConnectionSettings | None = None, **changes: Any) -> Connection:
    if kept is not None:
        return read_one(kept, make(**changes), NOW)
    app = {name: changes.pop(name) for name in ("protected_roles", "scope_kinds", "roles") if name in changes}
    declared = mapped(mapping, **{"authorization": True, **changes})
    (found,) = read_connections(make(connections=[declared], **app), NOW)
    return found


def decide(found: Connection, *values: str) -> Granted:
    decision = found.roles.decide(values)
    assert isinstance(decision, Granted)
    return decision


@pytest.mark.parametrize(
    ("changes", "is_new"),
    [
        ({}, False),
        ({"authorization": False}, True),
        ({"role_mapping": {**ENGINEERS, "Editors": {"account": ["guest"]}}}, True),
        ({"role_mapping": {"Engineers": {"project:42": ["editor"], "account": ["member"]}}}, False),
        ({"may_grant": ["owner"]}, True),
        ({"protected_roles": ["owner", "guest"]}, True),
        ({"scope_kinds": ["project", "team"]}, True),
        ({"roles": ["member", "editor", "owner"]}, True),
    ],
)
def test_sessions_are_of_a_mapping_as_it_was(changes: dict[str, Any], is_new: bool) -> None:
    """Whatever could give other roles has another stamp, by which sessions are renewed; mere order has not."""
    before, after = connection(ENGINEERS), connection(changes.pop("role_mapping", ENGINEERS), **changes)
    assert (before.policy != after.policy) == is_new


def test_a_mapping_that_is_off_renews_nobody() -> None:
    """It can be prepared while people are at work."""
    before, after = (connection(mapping, authorization=False) for mapping in ({}, ENGINEERS))
    assert before.policy == after.policy


def test_a_changed_mapping_needs_no_new_connection_test() -> None:
    """Groups change every day; but whether they count at all is tested."""
    other = {"Editors": {"account": ["guest"]}}
    stamps = [connection(mapping).test_stamp for mapping in (ENGINEERS, other)]

    assert stamps[0] == stamps[1] != connection(ENGINEERS, authorization=False).test_stamp
