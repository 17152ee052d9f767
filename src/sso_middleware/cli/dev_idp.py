"""`dev-idp`: an identity provider on this machine, for the app that you are developing."""

from __future__ import annotations

from pathlib import Path

import click

from ..connections import our_side
from ..dev_idp import DevIdP, serve
from ..errors import ConfigurationError
from ..settings import Settings
from .loading import config_option


@click.command(name="dev-idp")
@click.option("--port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="0: any that is free.")
@click.option(
    "--sign",
    type=click.Choice(["both", "assertion", "response"]),
    default="both",
    show_default=True,
    help="What it signs: real ones differ.",
)
@click.option("--remember", is_flag=True, help="Don't ask again who is signed in, as real ones do.")
@click.option(
    "--metadata-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where its metadata is written at each start, for a connection's metadata_file.",
)
@config_option
def dev_idp(port: int, sign: str, *, remember: bool, metadata_file: Path | None, config: Path | None) -> None:
    """Run an identity provider for developing.

    No passwords, a new key at each start, this machine only. It answers to the connections of your settings.
    """
    settings = Settings.load(config=config)
    if not settings.connections:
        click.echo("No connection is configured: add one to [[connections]] in the TOML file.", err=True)
        raise click.exceptions.Exit(1)
    us = [our_side(settings, connection.id) for connection in settings.connections]

    def ready(idp: DevIdP) -> None:
        if metadata_file is not None:
            metadata_file.write_text(idp.metadata(), encoding="utf-8")
            click.echo(f"Its metadata is in {metadata_file}: (re)start your app now.")
        click.echo(f"The dev IdP is at {idp.base_url}, its metadata at {idp.base_url}/metadata. Ctrl-C ends it.")

    try:
        serve(
            port=port,
            service_providers=[(side.entity_id, side.acs_url) for side in us],
            ready=ready,
            sign_response=sign != "assertion",
            sign_assertion=sign != "response",
            remember=remember,
        )
    except ConfigurationError as error:
        raise click.BadParameter(error.detail, param_hint="--port") from None
