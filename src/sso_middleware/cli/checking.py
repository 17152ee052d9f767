"""`check`: would the app start with these settings, and with whom is there trust?

The database is only asked for metadata that was fetched, and nothing is fetched. What is not looked at is
told: who reads "ok" would take the rest for right.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click

from ..calling import system_clock
from ..connections import Connection, Connections, read_connections
from ..directory import fetched_connections, read_current
from ..errors import ConfigurationError, StoreError
from ..flows.chores import check_chores
from ..flows.dated_exceptions import describe_exceptions
from ..flows.enforcement_notices import describe_enforcement, describe_exclusions
from ..flows.supplied_keys import read_supplied_keys
from ..saml.self_test import check_installation
from ..settings import Settings
from ..stores.database import make_engine, read_database_url
from ..stores.sql import SqlStore
from .loading import config_option, json_option

_NOT_CHECKED = (
    "the database, which was not tried",
    "the hooks in your code",
    "whether the identity provider knows this app",
)


@click.command()
@config_option
@json_option
def check(config: Path | None, as_json: bool) -> None:
    """Check the settings and every connection's metadata.

    Exits 1 if the app would not start. Not checked are the database, which is not tried, the hooks in
    your code, and whether the identity provider knows this app.
    """
    now = system_clock()
    try:
        settings = Settings.load(config=config)
        connections, notes = _with_what_was_fetched(settings, _read(settings, now), now)
    except ConfigurationError as error:
        _tell_problems(error.problems, as_json)
        raise click.exceptions.Exit(1) from None
    notes += [*_notes(connections, now), *describe_exceptions(settings, now), *_notes_on_hooks(settings)]
    notes += [*describe_enforcement(settings, connections), *describe_exclusions(settings)]
    if as_json:
        told = {"ok": True, "problems": [], "notes": notes, "base_url": settings.base_url}
        told |= {"not_checked": list(_NOT_CHECKED), "connections": [_as_json(c) for c in connections]}
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(f"ok: {settings.base_url}, mode {settings.mode}, {_count(len(connections), 'connection')}")
    if len(connections) > 0:
        rows = [("ID", "ORGANIZATION", "DOMAINS", "IDENTITY PROVIDER", ""), *map(_as_row, connections)]
        click.echo("\n" + _table(rows))
    for note in notes:
        click.echo(f"\nnote: {note}")
    click.echo(f"\nnot checked: {'; '.join(_NOT_CHECKED)}")


def _read(settings: Settings, now: datetime) -> Connections:
    """Raises ConfigurationError with everything that would be told at start, but for the database's state."""
    problems: list[str] = []
    connections = Connections(())
    with _noted(problems):
        check_installation()
    with _noted(problems):
        connections = read_connections(settings, now)
    with _noted(problems):
        make_engine(read_database_url(settings.database_url)).dispose()  # it connects at first use only
    with _noted(problems):
        read_supplied_keys(settings)
    with _noted(problems):
        check_chores(settings)
    if problems:
        raise ConfigurationError(*problems)
    return connections


@contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        problems += error.problems


def _with_what_was_fetched(settings: Settings, declared: Connections, now: datetime) -> tuple[Connections, list[str]]:
    """The connections with their fetched metadata, and notes on those for which there is none."""
    fetched = fetched_connections(settings)
    if not fetched:
        return declared, []
    store = SqlStore(settings.database_url)
    try:
        connections = read_current(settings, declared, store, now)
    except StoreError:
        names = ", ".join(fetched)
        return declared, [f"whether the metadata of {names} was fetched is not known: the database can't be read"]
    finally:
        store.close()
    return connections, [
        f"connection {id!r} is not ready, and nobody can sign in by it: nothing usable was fetched from its"
        f" metadata_url yet; `sso-middleware metadata refresh {id}` fetches it now, and says what is wrong"
        for id in fetched
        if (connection := connections.get(id)) and connection.trusted is None
    ]


def _tell_problems(problems: Sequence[str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"ok": False, "problems": list(problems)}, ensure_ascii=False, indent=2))
    else:
        click.echo(f"{_count(len(problems), 'problem')}:", err=True)
        click.echo("\n".join(f"- {problem}" for problem in problems), err=True)


def _notes(connections: Connections, now: datetime) -> Iterator[str]:
    if not any(connection.enabled for connection in connections):
        yield "no connection is set up yet, so protected paths answer 503"
    for connection in connections:
        for key in connection.identity_provider.keys if connection.identity_provider else ():
            if key.not_after < now:
                # Kantara IIP-MD11: it goes on working.
                yield (
                    f"connection {connection.id!r}: a certificate of the identity provider ended on"
                    f" {key.not_after:%Y-%m-%d}; it still works, but ask their IT for a new one"
                )


def _notes_on_hooks(settings: Settings) -> Iterator[str]:
    reasons = ['mode "domains"'] if settings.mode == "domains" else []
    reasons += [f"excluded_users of {c.id!r}" for c in settings.connections if c.excluded_users]
    if reasons:
        yield (
            f"the hook host_user is needed in your code, SSOMiddleware(app, hooks=…), for {', '.join(reasons)};"
            " without it the app does not start"
        )


def _domains(connection: Connection) -> list[str]:
    return ["any"] if connection.domains is None else sorted(connection.domains)


def _as_json(connection: Connection) -> dict[str, object]:
    provider = connection.identity_provider
    return {
        "id": connection.id,
        "organization": connection.organization,
        "domains": _domains(connection),
        "enabled": connection.enabled,
        "identity_provider": None if provider is None else provider.entity_id,
        "certificates_end": [key.not_after.isoformat() for key in provider.keys] if provider else [],
        "entity_id": connection.service_provider.entity_id,
        "acs_url": connection.service_provider.acs_url,
    }


def _as_row(connection: Connection) -> tuple[str, ...]:
    return (
        connection.id,
        connection.organization,
        ", ".join(_domains(connection)),
        connection.identity_provider.entity_id if connection.identity_provider else "(not ready)",
        "" if connection.enabled else "(disabled)",
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
