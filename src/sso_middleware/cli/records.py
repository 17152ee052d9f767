"""`migrate`, `housekeeping` and `events`: what an operator does with the records."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import click

from ..calling import system_clock
from ..events import EXPLANATION, Event
from ..flows.chores import check_chores
from ..housekeeping import run_once
from ..saml.explaining.stored import read_lines
from ..settings import Settings
from ..sso import SSO
from ..stores.migrate import migrate_database
from .loading import config_option, json_option, open_store
from .metadata import NoHost


@click.command()
@config_option
def migrate(config: Path | None) -> None:
    """Bring the database to the revision that this version needs.

    SQLite is migrated at start anyway; any other database only by this command.
    """
    before, after = migrate_database(Settings.load(config=config).database_url)
    if before == after:
        click.echo(f"The database is at revision {after}: nothing to do.")
    else:
        click.echo(f"The database was {f'at revision {before}' if before else 'empty'}, and is at {after} now.")


@click.command()
@config_option
def housekeeping(config: Path | None) -> None:
    """Do what is due, once: delete, mail, fetch metadata.

    What has ended goes, what waits is sent, and certificates that end are told. For cron, every minute,
    with `background = false`. The hooks of the app are not called.
    """
    settings = Settings.load(config=config)
    check_chores(settings)
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    sso = SSO(settings, NoHost())
    try:
        deleted = run_once(sso.site.store, holder, system_clock(), sso.chores)
    finally:
        sso.site.store.close()
    click.echo(f"{deleted} expired records deleted.")


@click.command()
@config_option
@json_option
@click.option("--reference", metavar="WORDS", help="Only what a person was shown this reference for (babud-kolim).")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
def events(config: Path | None, as_json: bool, reference: str | None, limit: int) -> None:
    """What happened, newest first. Exits 1 if nothing is found for a reference."""
    with open_store(Settings.load(config=config)) as store:
        found = store.get_events(limit=limit, reference=reference.strip().lower() if reference else None)
    if as_json:
        click.echo(json.dumps([_as_json(event) for event in found], ensure_ascii=False, indent=2))
    elif found:
        click.echo("\n".join(_as_text(event) for event in found))
    else:
        click.echo("Nothing has this reference." if reference else "Nothing has happened yet.")
    if reference and not found:
        raise click.exceptions.Exit(1)


def _as_json(event: Event) -> dict[str, object]:
    return {
        "code": event.code,
        "at": event.at.isoformat(),
        "connection": event.connection_id,
        "reference": event.reference,
        "client": event.client,
        "email": event.email,
        "detail": {name: value for name, value in event.detail.items() if name != EXPLANATION},
        "explanation": json.loads(event.detail.get(EXPLANATION) or "null"),
    }


def _as_text(event: Event) -> str:
    """One line, and one for each detail. What came from outside can move no cursor."""
    named = {"connection": event.connection_id, "person": event.email, "from": event.client, "ref": event.reference}
    told = [f"{event.at:%Y-%m-%d %H:%M:%S}Z  {event.code:<28}"]
    told += [f"{name} {_printable(value)}" for name, value in named.items() if value]
    return "\n".join(["  ".join(told).rstrip(), *(f"    {line}" for line in _detail_lines(event))])


def _detail_lines(event: Event) -> Iterator[str]:
    for name, value in event.detail.items():
        if name == EXPLANATION:
            yield from map(_printable, read_lines(value))
        elif value:
            yield f"{name}: {_printable(value)}"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
