"""`roles …`: what a connection makes of the groups that its identity provider sends.

The rule is `sso_middleware.roles`'; here it is only shown. Nothing is changed, and nobody is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from ..calling import call_blocking, run
from ..connection import Connection
from ..roles import Granted, Grants, NothingGranted, RolePolicy, tell_grants
from ..settings import Settings
from ..sso import SSO
from .loading import config_option, json_option
from .metadata import NoHost

_WHY = {
    "roles_missing": "no value came, so nobody is signed in",
    "roles_unmatched": "no value is the name of a mapping role that may grant something, so nobody is signed in",
    "roles_overage": "the groups are not known, so nobody is signed in",
}


@click.group()
def roles() -> None:
    """Which roles people get from their identity provider."""


@roles.command()
@click.argument("connection_id", metavar="CONNECTION")
@config_option
@json_option
def show(connection_id: str, config: Path | None, as_json: bool) -> None:
    """Show the role mapping of a connection."""
    connection = _connection(connection_id, config)
    policy = connection.roles
    if as_json:
        told = {
            "connection": connection.id,
            "authorization": policy.authorization,
            "attribute": _attribute(connection),
            "role_mapping": {role.name: _plain(role.grants) for role in policy.mapping},
        }
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    click.echo(_head(connection))
    click.echo("\n".join(_table(policy)) if policy.mapping else "No role is mapped.")


@roles.command()
@click.argument("connection_id", metavar="CONNECTION")
@click.option("--value", "values", multiple=True, help="A value of the roles attribute; give it once for each.")
@config_option
@json_option
def explain(connection_id: str, values: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """Show which roles follow from these values, and why.

    Exits 1 if none does. Of a connection without authorization it tells what
    would follow.
    """
    connection = _connection(connection_id, config)
    # As a sign-in reads them.
    came = tuple(value.strip() for value in values if value.strip())
    decision = connection.roles.decide(came)
    if as_json:
        click.echo(json.dumps(_as_json(connection, came, decision), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join((_head(connection), *_as_text(connection.roles, came, decision))))
    if isinstance(decision, NothingGranted):
        raise click.exceptions.Exit(1)


def _connection(connection_id: str, config: Path | None) -> Connection:
    """As it is used now, with what was decided at run time."""
    sso = SSO(Settings.load(config=config), NoHost())
    try:
        run(sso.site.directory.follow(call_blocking))
        connection = sso.site.connections.get(connection_id)
        if connection is None:
            raise click.UsageError(f"there is no connection {connection_id!r}")
        return connection
    finally:
        sso.site.store.close()


def _attribute(connection: Connection) -> str:
    named: object = connection.attributes.roles
    return str(getattr(named, "name", named))


def _head(connection: Connection) -> str:
    state = "is on" if connection.roles.authorization else "is off: the mapping is not used"
    return f"{connection.id} ({connection.organization}): authorization {state}. Attribute: {_attribute(connection)}"


def _table(policy: RolePolicy) -> Iterator[str]:
    rows = [(role.name, scope, ", ".join(names)) for role in policy.mapping for scope, names in role.grants.items()]
    heads = ("MAPPING ROLE", "SCOPE", "ROLES")
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in (0, 1)]
    for name, scope, names in (heads, *rows):
        yield f"{name:<{widths[0]}}  {scope:<{widths[1]}}  {names}"


def _as_text(policy: RolePolicy, came: tuple[str, ...], decision: Granted | NothingGranted) -> Iterator[str]:
    by_name = {role.name: role for role in policy.mapping}
    for value in dict.fromkeys(came):
        yield f"{value!r}: {tell_grants(by_name[value].grants) if value in by_name else _near(value, by_name)}"
    if decision.withheld:
        yield f"Withheld, since the settings do not let it be granted: {tell_grants(decision.withheld)}"
    if isinstance(decision, Granted):
        yield f"Roles: {tell_grants(decision.grants)}"
    else:
        yield f"Refused ({decision.reason}): {_WHY[decision.reason]}."


def _near(value: str, names: Iterable[str]) -> str:
    """Names are compared to the letter; a difference that an eye passes over is told."""
    same = next((name for name in names if _folded(name) == _folded(value)), None)
    return "no mapping role" if same is None else f"no mapping role; there is {same!r}, and every letter counts"


def _folded(text: str) -> str:
    return "".join(text.casefold().split())


def _as_json(connection: Connection, came: tuple[str, ...], decision: Granted | NothingGranted) -> dict[str, object]:
    return {
        "connection": connection.id,
        "authorization": connection.roles.authorization,
        "values": list(came),
        "matched": list(decision.matched),
        "unmatched": [value for value in dict.fromkeys(came) if value not in decision.matched],
        "grants": _plain(decision.grants) if isinstance(decision, Granted) else {},
        "withheld": _plain(decision.withheld),
        "refused": decision.reason if isinstance(decision, NothingGranted) else None,
    }


def _plain(grants: Grants) -> dict[str, list[str]]:
    return {scope: list(roles) for scope, roles in grants.items()}
