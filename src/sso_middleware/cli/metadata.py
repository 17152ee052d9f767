"""`metadata ID`: our own metadata, for the customer's IT."""

from __future__ import annotations

from pathlib import Path

import click

from ..hooks import Hooks, HostUser
from ..settings import Settings
from ..sso import SSO
from ..web import Request
from .loading import config_option


class _NoHost(Hooks):
    """In place of the host's hooks: no request is answered here."""

    def host_user(self, request: Request) -> HostUser | None:
        return None


@click.command()
@click.argument("connection_id", metavar="[ID]", required=False)
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file.")
@config_option
def metadata(connection_id: str | None, output: Path | None, config: Path | None) -> None:
    """Print our metadata as connection ID sees us.

    It is for upload at the identity provider. ID may be left out where there is only one, or with
    `shared_acs`. The signing key is made if there is none yet.
    """
    settings = Settings.load(config=config)
    ids = [connection.id for connection in settings.connections]
    if connection_id is not None and connection_id not in ids:
        click.echo(f"There is no connection {connection_id!r}; there are: {', '.join(ids) or 'none'}.", err=True)
        raise click.exceptions.Exit(1)
    if not ids:
        click.echo("No connection is configured: add one to [[connections]] in the TOML file.", err=True)
        raise click.exceptions.Exit(1)
    if settings.shared_acs:
        connection_id = None
    elif connection_id is None:
        if len(ids) > 1:
            raise click.UsageError(f"Which connection? There are: {', '.join(ids)}.")
        connection_id = ids[0]
    xml = SSO(settings, _NoHost()).build_metadata(connection_id).rstrip() + b"\n"
    if output is None:
        click.echo(xml, nl=False)
    else:
        output.write_bytes(xml)
        click.echo(f"Written to {output}.")
