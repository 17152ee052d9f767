"""What settings may say of roles: the mapping of a connection, and which scopes and roles the app has at all.

What somebody has by them is `roles`' to say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, PlainValidator

from .roles import MappingRole, RolePolicy, is_like_one_of, read_grants, read_scope
from .setting_problems import SeveralProblems, did_you_mean
from .setting_tables import FrozenTable

if TYPE_CHECKING:
    from .connection_settings import ConnectionSettings
    from .settings import Settings

Problems = Iterator[str]

SCOPE_KINDS = ("project",)
PROTECTED_ROLES = ("owner",)
LONGEST_ROLE = 64
LONGEST_NAME = 512
"""Of a mapping role: it may be a distinguished name of a directory."""
MOST_SCOPES = 2000
"""In one mapping: somebody may have them all, and their session holds them."""


def _role(text: str) -> str:
    if not text or text != text.strip() or not text.isprintable() or len(text) > LONGEST_ROLE:
        raise ValueError(f"must be a role: up to {LONGEST_ROLE} printable characters, without blanks around them")
    if ":" in text or "," in text:
        raise ValueError("must be a role, so without : and , in it")
    return text


def _kind(text: str) -> str:
    if not (text.isascii() and text.replace("_", "").replace("-", "").isalnum()) or len(text) > LONGEST_ROLE:
        raise ValueError('must be the kind of a scope: letters, digits, - and _, such as "project"')
    if text == "account":
        raise ValueError('must not be "account": that scope is always there')
    return text


def _role_mapping(value: object) -> FrozenTable[str, FrozenTable[str, tuple[str, ...]]]:
    """All that is wrong with it, told at once, by the names of the mapping roles."""
    if not isinstance(value, Mapping):
        raise ValueError('must be a table of mapping roles, such as { "Engineers" = { account = ["member"] } }')
    problems: list[str] = []
    read: dict[str, FrozenTable[str, tuple[str, ...]]] = {}
    for name, given in value.items():
        try:
            read[name] = _grants(_name(name), given)
        except SeveralProblems as error:
            problems += [f"role_mapping[{str(name)[:LONGEST_NAME]!r}]: {problem}" for problem in error.problems]
    if sum(map(len, read.values())) > MOST_SCOPES:
        problems.append(f"role_mapping: names more than {MOST_SCOPES} scopes; a host with so many decides by itself")
    if problems:
        raise SeveralProblems(problems)
    return FrozenTable(read)


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise SeveralProblems([f"the name must be one line of at most {LONGEST_NAME} characters, and not empty"])
    if name != name.strip():
        raise SeveralProblems(["has blanks around its name, so it would never match; take them out"])
    return name


def _grants(name: str, given: object) -> FrozenTable[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    for scope, roles in _pairs(given):
        try:
            read_scope(scope)
            if scope in found:
                problems.append(f"{scope!r} stands there twice; give each scope once, with all of its roles")
            found[scope] = _roles(roles)
        except ValueError as error:
            problems.append(f"{scope[:LONGEST_NAME]!r} {error}")
    if not found and not problems:
        problems.append('grants nothing; give it a scope with its roles, such as account = ["member"], or take it out')
    if problems:
        raise SeveralProblems(problems)
    return FrozenTable(found)


def _pairs(given: object) -> list[tuple[str, object]]:
    """A table of scopes; or, for what can't keep a table's keys apart, a list of tables with `scope` and `roles`."""
    if isinstance(given, Mapping):
        return [(str(scope), roles) for scope, roles in given.items()]
    if isinstance(given, list | tuple) and all(isinstance(e, Mapping) and set(e) == {"scope", "roles"} for e in given):
        return [(str(each["scope"]), each["roles"]) for each in given]
    raise SeveralProblems(['must be a table of scopes, such as { account = ["member"], "project:42" = ["editor"] }'])


def _roles(given: object) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(role, str) for role in given):
        raise ValueError('must have a list of roles, such as ["member"]')
    if not given:
        raise ValueError("has no role; name one, or take the scope out")
    if len(set(given)) != len(given):
        raise ValueError("names a role twice; take one of them out")
    return tuple(map(_role, given))


RoleName = Annotated[str, AfterValidator(_role)]
ScopeKind = Annotated[str, AfterValidator(_kind)]
RoleMapping = Annotated[Mapping[str, Mapping[str, tuple[str, ...]]], PlainValidator(_role_mapping)]


# Several settings together


def authorization_has_a_mapping(authorization: bool, role_mapping: Mapping[str, object]) -> Problems:
    if authorization and not role_mapping:
        yield "authorization: is on and role_mapping is empty, so nobody could sign in; map a role, or switch it off"


def protected_roles_are_roles(roles: tuple[str, ...], protected_roles: tuple[str, ...]) -> Problems:
    for role in protected_roles if roles else ():
        if role not in roles and role not in PROTECTED_ROLES:
            yield f"protected_roles: {role!r} is not one of roles{did_you_mean(role, roles)}"


def role_mappings_fit(
    *,
    scope_kinds: tuple[str, ...],
    protected_roles: tuple[str, ...],
    roles: tuple[str, ...],
    connections: tuple[ConnectionSettings, ...],
) -> Problems:
    """Told when a mapping is made. One that is kept, and fits no longer, gives what still may be given."""
    for connection in connections:
        where = f"connections[{connection.id}].role_mapping"
        for name, grants in connection.role_mapping.items():
            for scope, granted in grants.items():
                kind = read_scope(scope).kind
                if kind not in ("account", *scope_kinds):
                    hint = did_you_mean(kind, scope_kinds)
                    yield f"{where}[{name!r}]: {scope!r} is of a kind that scope_kinds does not name{hint}"
                for role in granted:
                    if roles and role not in roles:
                        yield f"{where}[{name!r}]: {role!r} is not one of roles{did_you_mean(role, roles)}"
                    elif is_like_one_of(role, still_protected(protected_roles, connection.may_grant)):
                        yield (
                            f"{where}[{name!r}]: grants {role!r}, one of protected_roles; take it out, or list it in"
                            " may_grant of the connection"
                        )


def still_protected(protected_roles: Iterable[str], may_grant: Collection[str]) -> frozenset[str]:
    return frozenset(role for role in protected_roles if not is_like_one_of(role, may_grant))


def role_policy(declared: ConnectionSettings, settings: Settings) -> RolePolicy:
    """What these settings make of the values of the roles attribute."""
    return RolePolicy(
        authorization=declared.authorization,
        mapping=tuple(MappingRole(name, read_grants(grants)) for name, grants in sorted(declared.role_mapping.items())),
        protected=still_protected(settings.protected_roles, declared.may_grant),
        kinds=frozenset(settings.scope_kinds),
        known=frozenset(settings.roles),
    )
