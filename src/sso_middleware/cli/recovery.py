"""`recovery-link`: a way back in for an SSO account admin, by the operator's hand, also when no mail gets through."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import click

from ..addresses import read_email
from ..calling import call_blocking, run
from ..errors import EmailInvalid
from ..events import Event
from ..flows.admins import NamedAdmin, named_admins
from ..flows.recovery_links import LINK_LASTS, make_link
from ..flows.reporting import record
from ..flows.site import Site
from ..settings import Settings
from ..sso import SSO
from .loading import actor, config_option, json_option
from .metadata import NoHost

_MINUTES = int(LINK_LASTS.total_seconds() // 60)


@click.command("recovery-link")
@click.argument("email")
@click.option("--organization", metavar="NAME", help="Where EMAIL is an admin of several.")
@config_option
@json_option
def recovery_link(email: str, organization: str | None, config: Path | None, as_json: bool) -> None:
    """Print a recovery link for the SSO account admin EMAIL.

    It works once, within 15 minutes, and lets whoever has it change how their organization signs in. Hand
    it to the admin by a way that you trust. A link that they had before is void. It is told in the events.
    """
    sso = SSO(Settings.load(config=config), NoHost())
    try:
        admin = _find_admin(sso.site, email, organization)
        link = run(make_link(sso.site, call_blocking, admin))
        detail = {"organization": admin.organization, "actor": actor()}
        event = Event("recovery_link_made", sso.site.now(), email=admin.email, detail=detail)
        run(record(sso.site, call_blocking, event, logging.WARNING))
    finally:
        sso.site.store.close()
    if as_json:
        told = {"organization": admin.organization, "link": link, "minutes": _MINUTES}
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(link)
    click.echo(
        f"For {admin.email} of {admin.organization}: to be opened within {_MINUTES} minutes, once. Whoever has it can"
        " change how that organization signs in. What is done with it: sso-middleware events",
        err=True,
    )


def _find_admin(site: Site, email: str, organization: str | None) -> NamedAdmin:
    try:
        address = read_email(email.strip()).address
    except EmailInvalid as error:
        raise click.BadParameter(error.detail, param_hint="EMAIL") from None
    configuration = run(call_blocking(site.store.get_configuration))
    found = [admin for admin in named_admins(site.settings, configuration, site.now()) if admin.email == address]
    if organization is not None:
        found = [admin for admin in found if admin.organization == organization]
    if len(found) > 1:
        names = ", ".join(sorted(repr(admin.organization) for admin in found))
        raise click.UsageError(f"{address} is an admin of {names}: say which with --organization.")
    if not found:
        of = f" of {organization}" if organization else ""
        click.echo(
            f"{address} is no SSO account admin{of}. Admins are listed as `admins` of a connection in the settings.",
            err=True,
        )
        raise click.exceptions.Exit(1)
    return found[0]
