"""The rule: which roles follow from which values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sso_middleware.roles import (
    LONGEST_SCOPE,
    Granted,
    Grants,
    MappingRole,
    NothingGranted,
    RolePolicy,
    Scope,
    difference,
    read_grants,
    read_scope,
    tell_grants,
    union,
)

MAPPING: dict[str, dict[str, tuple[str, ...]]] = {
    "Engineers": {"account": ("member",), "project:42": ("editor",)},
    "Editors": {"project:42": ("editor", "reviewer"), "project:7": ("editor",)},
    "Owners": {"account": ("owner",)},
    "Mixed": {"account": ("member", "owner")},
    "Elsewhere": {"team:1": ("lead",)},
}


def policy(**changes: Any) -> RolePolicy:
    values: dict[str, Any] = {
        "authorization": True,
        "mapping": tuple(MappingRole(name, read_grants(grants)) for name, grants in MAPPING.items()),
        "protected": frozenset({"owner"}),
        "kinds": frozenset({"project"}),
        **changes,
    }
    return RolePolicy(**values)


@pytest.mark.parametrize(
    ("values", "grants"),
    [
        (("Engineers",), {"account": ("member",), "project:42": ("editor",)}),
        (("Editors",), {"project:42": ("editor", "reviewer"), "project:7": ("editor",)}),
        (
            ("Editors", "Engineers"),
            {"account": ("member",), "project:42": ("editor", "reviewer"), "project:7": ("editor",)},
        ),
        (("Nobody", "Engineers", "Engineers"), {"account": ("member",), "project:42": ("editor",)}),
        (("Mixed",), {"account": ("member",)}),
        (("Owners", "Engineers"), {"account": ("member",), "project:42": ("editor",)}),
    ],
)
def test_matched_values_give_the_union_of_what_they_grant(values: tuple[str, ...], grants: Grants) -> None:
    """Per scope; exactly those roles, and of protected ones none."""
    decision = policy().decide(values)

    assert isinstance(decision, Granted)
    assert decision.grants == grants


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((), "roles_missing"),
        (("Nobody",), "roles_unmatched"),
        (("engineers",), "roles_unmatched"),
        (("ENGINEERS", "Engineers ", "Engi neers", "Engineers."), "roles_unmatched"),
        (("Еngineers",), "roles_unmatched"),  # a Cyrillic letter
        (("Engineers,Editors", "Engineers;Editors"), "roles_unmatched"),
        (("member", "editor", "account"), "roles_unmatched"),
        (("Owners",), "roles_unmatched"),
        (("Elsewhere",), "roles_unmatched"),
    ],
)
def test_whatever_else_comes_grants_nothing(values: tuple[str, ...], reason: str) -> None:
    """Names are compared to the letter; a name of a role is none of a mapping role; what is withheld is no match."""
    decision = policy().decide(values)

    assert isinstance(decision, NothingGranted)
    assert decision.reason == reason


@pytest.mark.parametrize("values", [(), ("Engineers",)])
def test_too_many_groups_to_send_are_never_no_groups(values: tuple[str, ...]) -> None:
    """A link in their place says nothing of who is in which, whatever else came."""
    decision = policy().decide(values, has_overage=True)

    assert isinstance(decision, NothingGranted)
    assert (decision.reason, decision.is_known) == ("roles_overage", False)


def test_what_may_not_be_granted_is_told() -> None:
    """Protected roles, kinds of scopes and roles that the app has no longer."""
    mixed, elsewhere = policy().decide(("Mixed",)), policy().decide(("Elsewhere",))
    known = policy(known=frozenset({"reviewer"})).decide(("Editors",))
    listed = policy(protected=frozenset()).decide(("Mixed",))

    assert (mixed.withheld, elsewhere.withheld) == ({"account": ("owner",)}, {"team:1": ("lead",)})
    assert isinstance(known, Granted)
    assert (known.grants, known.withheld) == (
        {"project:42": ("reviewer",)},
        {"project:42": ("editor",), "project:7": ("editor",)},
    )
    assert isinstance(listed, Granted)
    assert listed.grants == {"account": ("member", "owner")}


def test_without_authorization_nothing_reads_as_if_it_were_granted() -> None:
    """The values stay what they are; those that could be taken for a role of a scope, or a protected one, go."""
    values = ("Engineers", "cn=staff", "urn:x:y", "project", "project:42:editor", "account:owner", "owner", "Owner")

    assert policy().plain(values) == ("Engineers", "cn=staff", "urn:x:y", "project")


NAMES = st.sampled_from(["Engineers", "engineers", "Editors", "Owners", "Nobody", "", "Engineers "])
SCOPES = st.sampled_from(["account", "project:1", "project:2", "team:1"])
ROLES = st.sampled_from(["member", "editor", "owner", "viewer"])
GRANTS = st.dictionaries(SCOPES, st.sets(ROLES, min_size=1).map(tuple), min_size=1)
MAPPINGS = st.dictionaries(NAMES, GRANTS, max_size=5)


@given(MAPPINGS, st.lists(NAMES), st.randoms())
def test_roles_are_always_what_the_rule_says(
    mapping: dict[str, dict[str, tuple[str, ...]]], values: list[str], random: Any
) -> None:
    """Told by itself, a pair at a time; and no order of values or mapping makes a difference."""
    expected = {
        (scope, role)
        for name, grants in mapping.items()
        for scope, roles in grants.items()
        for role in roles
        if name in values and role != "owner" and scope.partition(":")[0] in ("account", "project")
    }
    roles = [MappingRole(name, read_grants(grants)) for name, grants in mapping.items()]
    decision = policy(mapping=tuple(roles)).decide(values)

    given_roles = decision.grants if isinstance(decision, Granted) else {}
    assert {(scope, role) for scope, roles in given_roles.items() for role in roles} == expected
    assert isinstance(decision, Granted) == bool(expected)
    if isinstance(decision, NothingGranted):
        assert decision.reason == ("roles_unmatched" if values else "roles_missing")

    random.shuffle(roles)
    random.shuffle(values)
    assert policy(mapping=tuple(roles)).decide(values) == decision


@given(GRANTS, GRANTS)
def test_what_is_new_and_what_is_gone_add_up(before: Any, after: Any) -> None:
    """From what there was, without what is gone and with what is new, comes what there is; and none is both."""
    before, after = read_grants(before), read_grants(after)
    added, removed = difference(after, before), difference(before, after)

    assert union([difference(before, removed), added]) == after
    assert difference(added, removed) == added
    assert list(after) == sorted(after)


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("account", Scope("account")),
        ("project:42", Scope("project", "42")),
        ("project:a:b c/Ü", Scope("project", "a:b c/Ü")),
    ],
)
def test_a_scope_has_one_spelling(text: str, scope: Scope) -> None:
    """Its id is the host's, and opaque."""
    assert read_scope(text) == scope
    assert str(scope) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "project", "project:", ":42", "account:", "account:1", "Account", " account"),
        *("project: 42", "project:42 ", "project:4\n2", "project:\u200b", f"project:{'x' * LONGEST_SCOPE}"),
    ],
)
def test_what_could_be_two_scopes_is_none(text: str) -> None:
    """No blanks at its ends, nothing unprintable, nothing without end."""
    with pytest.raises(ValueError, match="is no scope"):
        read_scope(text)


def test_grants_are_told_in_one_line() -> None:
    """For events and tables."""
    assert tell_grants({"account": ("member",), "project:42": ("editor", "viewer")}) == (
        "account: member; project:42: editor, viewer"
    )


@pytest.mark.parametrize("role", ["Owner", "OWNER", "\uff4fwner"])
def test_a_protected_role_is_protected_however_it_is_written(role: str) -> None:
    """An app may not mind the case: what only looks like another role is none that comes from outside."""
    policy = RolePolicy(True, (MappingRole("Bosses", {"account": (role,)}),), protected=frozenset({"owner"}))

    assert policy.plain((role, "owners")) == ("owners",)
    assert policy.decide(("Bosses",)) == NothingGranted("roles_unmatched", ("Bosses",), {"account": (role,)})
