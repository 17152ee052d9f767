"""`admins …`: who may change an organization's connections, and get recovery access to them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..configuring_all import Configuring
from .configuring import opened
from .loading import config_option, json_option


@click.group()
def admins() -> None:
    """Who may change an organization's connections.

    SSO account admins also get recovery access to them.
    """


connection_option = click.option("--connection", required=True, metavar="ID", help="Of whose organization.")


@admins.command(name="list")
@config_option
@json_option
def list_admins(config: Path | None, as_json: bool) -> None:
    """Every SSO account admin."""
    with opened(config) as (_, configuring):
        found = configuring.admins.list()
    if as_json:
        told = [
            {
                "organization": a.organization,
                "email": a.email,
                "declared": a.is_declared,
                "since": a.since and a.since.isoformat(),
            }
            for a in found
        ]
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    for admin in found:
        since = f"since {admin.since:%Y-%m-%d %H:%M}Z" if admin.since else "declared in the settings"
        click.echo(f"{admin.organization}  {admin.email}  {since}")
    if not found:
        click.echo("There is no SSO account admin yet.\nNext: sso-middleware admins add EMAIL --connection ID")


@admins.command()
@click.argument("email")
@connection_option
@config_option
def add(email: str, connection: str, config: Path | None) -> None:
    """Name an SSO account admin."""
    with opened(config) as (_, configuring):
        configuring.admins.add(_organization(configuring, connection), email)
        click.echo(f"{email} is an SSO account admin now, and can get recovery access.")
        click.echo(f"Next: {configuring.connections.show(connection).next_step}")


@admins.command()
@click.argument("email")
@click.argument("new_email")
@connection_option
@config_option
def replace(email: str, new_email: str, connection: str, config: Path | None) -> None:
    """The same admin under a new address. No recovery link goes to it for a day."""
    with opened(config) as (_, configuring):
        configuring.admins.replace(_organization(configuring, connection), email, by=new_email)
    click.echo("Changed. For 24 hours recovery links are not sent to the new address, and the old one is told.")


@admins.command()
@click.argument("email")
@connection_option
@config_option
def remove(email: str, connection: str, config: Path | None) -> None:
    """No longer an SSO account admin."""
    with opened(config) as (_, configuring):
        configuring.admins.remove(_organization(configuring, connection), email)
        click.echo("Removed.")
        click.echo(f"Next: {configuring.connections.show(connection).next_step}")


def _organization(configuring: Configuring, connection: str) -> str:
    return configuring.connections.show(connection).organization
