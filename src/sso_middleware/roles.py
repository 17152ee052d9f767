"""The rule by which somebody has roles: what their identity provider says, compared with a connection's mapping.

Pure, and small on purpose: nobody has a role that does not come out of `RolePolicy.decide`. Names are compared to
the letter: upper and lower case, blanks within and punctuation count, since to an identity provider they may be two
groups. What a mapping may say is `role_settings`', and what becomes of the answer is `flows.roles`'.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

ACCOUNT = "account"
"""The scope of the organization's whole account; every other one is `kind:id`, of a kind that the host declares."""
LONGEST_SCOPE = 128

Grants: TypeAlias = Mapping[str, tuple[str, ...]]
"""Scope to roles, each once, in alphabetical order: so two that say the same are equal."""
Reason: TypeAlias = Literal["roles_missing", "roles_unmatched", "roles_overage"]


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a role counts. The id is the host's own, and opaque here."""

    kind: str
    id: str | None = None

    def __str__(self) -> str:
        return self.kind if self.id is None else f"{self.kind}:{self.id}"


def read_scope(text: str) -> Scope:
    """`account`, or `kind:id`. Raises ValueError in words that go on from its name."""
    if text == ACCOUNT:
        return Scope(ACCOUNT)
    kind, colon, id = text.partition(":")
    if not kind or not colon or kind == ACCOUNT:
        raise ValueError(f'is no scope: it must be "{ACCOUNT}", or a kind and an id, such as "project:42"')
    if len(text) > LONGEST_SCOPE or not id or id != id.strip() or not id.isprintable():
        raise ValueError(
            f"is no scope: its id must be printable, without blanks around it, and all of it at most {LONGEST_SCOPE}"
            " characters"
        )
    return Scope(kind, id)


def is_like_one_of(role: str, roles: Collection[str]) -> bool:
    """Whether an app might take it for one of these: it may not mind the case, or how wide a letter is."""
    return _as_read(role) in map(_as_read, roles)


def _as_read(role: str) -> str:
    return unicodedata.normalize("NFKC", role).casefold().strip()


@dataclass(frozen=True, slots=True)
class MappingRole:
    """A name as the identity provider sends it, and what whoever comes with it may do; each scope at most once."""

    name: str
    grants: Grants


@dataclass(frozen=True, slots=True)
class Granted:
    """Exactly these roles, and no others."""

    grants: Grants
    matched: tuple[str, ...]
    """The names of the mapping roles that they come from."""
    withheld: Grants
    """What those say besides, and may not give."""


@dataclass(frozen=True, slots=True)
class NothingGranted:
    """Nobody is signed in without a role."""

    reason: Reason
    matched: tuple[str, ...] = ()
    withheld: Grants = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether the identity provider has said that there is none; too many groups to send are not none."""
        return self.reason != "roles_overage"


@dataclass(frozen=True, slots=True)
class RolePolicy:
    """What a connection makes of the values of its roles attribute."""

    authorization: bool = False
    mapping: tuple[MappingRole, ...] = ()
    protected: frozenset[str] = frozenset()
    """Roles that nobody gets from outside."""
    kinds: frozenset[str] = frozenset()
    """Of scopes, besides the account, that there are."""
    known: frozenset[str] = frozenset()
    """Roles that there are; empty: any."""

    def decide(self, values: Collection[str], *, has_overage: bool = False) -> Granted | NothingGranted:
        """The rule. The order of the values, and of the mapping, is of no matter."""
        if has_overage:
            return NothingGranted("roles_overage")
        if not values:
            return NothingGranted("roles_missing")
        matched = [role for role in self.mapping if role.name in values]
        names = tuple(sorted(role.name for role in matched))
        wanted = union(role.grants for role in matched)
        grants = {scope: tuple(r for r in roles if self._may_give(scope, r)) for scope, roles in wanted.items()}
        grants = {scope: roles for scope, roles in grants.items() if roles}
        withheld = difference(wanted, grants)
        if not grants:
            return NothingGranted("roles_unmatched", names, withheld)
        return Granted(grants, names, withheld)

    def plain(self, values: Iterable[str]) -> tuple[str, ...]:
        """The values themselves, for a connection without authorization; none that reads as if it had been granted."""
        return tuple(value for value in values if not self._is_protected(value) and not self._reads_as_scoped(value))

    def _is_protected(self, role: str) -> bool:
        return is_like_one_of(role, self.protected)

    def _reads_as_scoped(self, value: str) -> bool:
        kind, colon, _ = value.partition(":")
        return bool(colon) and kind in {ACCOUNT, *self.kinds}

    def _may_give(self, scope: str, role: str) -> bool:
        # A mapping that says otherwise is refused when it is made; but what is kept may be older than the settings.
        is_there = scope == ACCOUNT or scope.partition(":")[0] in self.kinds
        return is_there and not self._is_protected(role) and (not self.known or role in self.known)

    @property
    def stamp(self) -> list[object]:
        """What a session's roles depend on, as JSON has it."""
        mapping = {role.name: {scope: list(roles) for scope, roles in role.grants.items()} for role in self.mapping}
        told = [mapping, sorted(self.known)] if self.authorization else []
        return [self.authorization, sorted(self.protected), sorted(self.kinds), *told]


def read_grants(given: Mapping[str, Iterable[str]]) -> Grants:
    """In the one form that they have."""
    return {scope: tuple(sorted(set(given[scope]))) for scope in sorted(given) if given[scope]}


def union(several: Iterable[Grants]) -> Grants:
    found: dict[str, set[str]] = {}
    for grants in several:
        for scope, roles in grants.items():
            found.setdefault(scope, set()).update(roles)
    return read_grants(found)


def difference(these: Grants, others: Grants) -> Grants:
    """What is in these and not in the others."""
    return read_grants({scope: set(roles) - set(others.get(scope, ())) for scope, roles in these.items()})


def intersection(these: Grants, others: Grants) -> Grants:
    """What is in both."""
    return difference(these, difference(these, others))


def tell_grants(grants: Grants) -> str:
    """For a log line or a table: `account: member; project:42: editor, viewer`."""
    return "; ".join(f"{scope}: {', '.join(roles)}" for scope, roles in grants.items())
