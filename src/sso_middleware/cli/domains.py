"""`domains …`: which e-mail domains are whose, and must their people come by single sign-on."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..configuring_all import Configuring
from ..domain_admin import DomainSummary
from ..stores.configuration_records import DomainMode
from .configuring import domain_as_json, force_option, opened
from .loading import config_option, json_option


@click.group()
def domains() -> None:
    """E-mail domains: whose, and who must use SSO."""


@domains.command(name="list")
@click.option("--connection", metavar="ID", help="Only of this one.")
@config_option
@json_option
def list_domains(connection: str | None, config: Path | None, as_json: bool) -> None:
    """Every domain, its mode, and on whose word it is verified."""
    with opened(config) as (_, configuring):
        found = configuring.domains.list(connection)
    if as_json:
        click.echo(json.dumps([domain_as_json(each) for each in found], ensure_ascii=False, indent=2))
        return
    for each in found:
        click.echo(_as_text(each))
    if not found:
        click.echo("There is no domain yet.\nNext: sso-middleware domains add DOMAIN --connection ID")


@domains.command()
@click.argument("name", metavar="DOMAIN")
@click.option("--connection", required=True, metavar="ID")
@click.option("--verified", is_flag=True, help="Take it for theirs on your word, without DNS.")
@config_option
@json_option
def add(name: str, connection: str, verified: bool, config: Path | None, as_json: bool) -> None:
    """Give a connection another domain. It needs no set-up of its own at the identity provider."""
    with opened(config) as (_, configuring):
        added = configuring.domains.add(name, connection=connection, verified=verified)
        _tell(configuring, added, f"{added.name} belongs to {connection}.", as_json)


@domains.command()
@click.argument("name", metavar="DOMAIN")
@click.option("--on-my-word", is_flag=True, help="Without DNS: you know that it is theirs.")
@config_option
@json_option
def verify(name: str, on_my_word: bool, config: Path | None, as_json: bool) -> None:
    """Look for the TXT record that proves whose domain it is.

    Exits 1 if it is not there. Before it is verified a domain decides nothing. Once it is, the record can go.
    """
    with opened(config) as (_, configuring):
        if not on_my_word:
            asked = configuring.domains.challenge(name)
            if asked.is_verified:
                _tell(configuring, asked, f"{asked.name} is verified already (by {asked.verified_by}).", as_json)
                return
        verified = configuring.domains.verify(name, on_my_word=on_my_word)
        _tell(configuring, verified, f"{verified.name} is verified (by {verified.verified_by}).", as_json)


@domains.command()
@click.argument("name", metavar="DOMAIN")
@click.argument("wanted", metavar="MODE", type=click.Choice(["exclusive", "offer", "off"]))
@force_option
@config_option
@json_option
def mode(name: str, wanted: DomainMode, force: bool, config: Path | None, as_json: bool) -> None:
    """exclusive: its people must sign in by SSO. offer: they may. off: as if it were not there.

    Exclusive takes a verified domain, a test sign-in that passed, and a way back in.
    """
    with opened(config) as (_, configuring):
        changed = configuring.domains.set_mode(name, wanted, force=force)
        told = {
            "exclusive": f"{changed.name} is exclusive: its people must sign in by single sign-on.",
            "offer": f"{changed.name} is offered: its people may sign in by single sign-on.",
            "off": f"{changed.name} is off.",
        }
        _tell(configuring, changed, told[wanted], as_json)


@domains.command()
@click.argument("name", metavar="DOMAIN")
@click.option("--yes", "-y", is_flag=True, help="Don't ask.")
@config_option
def remove(name: str, yes: bool, config: Path | None) -> None:
    """Take a domain away from its connection. Sessions of its people end."""
    with opened(config) as (_, configuring):
        found = configuring.domains.show(name)
        if not yes:
            click.confirm(f"Take {found.name} away from {found.connection_id}?", abort=True, err=True)
        configuring.domains.remove(name)
    click.echo(f"{found.name} is nobody's now.")


def _tell(configuring: Configuring, domain: DomainSummary, done: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(domain_as_json(domain), ensure_ascii=False, indent=2))
        return
    click.echo(done)
    if domain.record_name is not None:
        until = f"{domain.record_expires_at:%Y-%m-%d}"
        click.echo(f"To prove that it is theirs, its DNS must have this TXT record by {until}:\n")
        click.echo(f"  {domain.record_name}  TXT  {domain.record_value}\n")
    click.echo(f"Next: {configuring.connections.show(domain.connection_id).next_step}")


def _as_text(domain: DomainSummary) -> str:
    verified = f"verified by {domain.verified_by}" if domain.is_verified else "not verified"
    line = f"{domain.name}  {domain.connection_id} ({domain.organization})  {domain.mode}, {verified}"
    if domain.record_name is None:
        return line
    return f"{line}\n    waits for {domain.record_name} TXT {domain.record_value}"
