"""`migrate`, `housekeeping` and `events`: what an operator does with the records."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

import click

from ..calling import system_clock
from ..flows.chores import check_chores
from ..housekeeping import run_once
from ..settings import Settings
from ..sso import SSO
from ..stores.migrate import migrate_database
from .loading import config_option
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
