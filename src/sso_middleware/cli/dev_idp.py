"""`dev-idp`: an identity provider on this machine, for the app that you are developing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import get_args

import click

from ..connections import our_side
from ..dev_idp import DevIdP, Manner, read_encryption_certificate, serve
from ..dev_idp.encryption import DataCipher
from ..errors import ConfigurationError
from ..saml.assertion import NAME_ID_EMAIL, NAME_ID_PERSISTENT, NAME_ID_TRANSIENT
from ..settings import Settings
from ..sso import SSO
from .loading import config_option
from .metadata import NoHost

_NAME_ID_FORMATS = {"persistent": NAME_ID_PERSISTENT, "email": NAME_ID_EMAIL, "transient": NAME_ID_TRANSIENT}


@click.command(name="dev-idp")
@click.option("--port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="0: any that is free.")
@click.option(
    "--sign",
    type=click.Choice(["both", "assertion", "response"]),
    default="both",
    show_default=True,
    help="What it signs: real ones differ.",
)
@click.option(
    "--encrypt",
    type=click.Choice([*get_args(DataCipher), "no"]),
    default="aes256-gcm",
    show_default=True,
    help="How it encrypts for connections whose `encryption` is on; for the others it doesn't.",
)
@click.option(
    "--name-id",
    type=click.Choice(list(_NAME_ID_FORMATS)),
    default="persistent",
    show_default=True,
    help="The format of its NameIDs where a connection asks for none.",
)
@click.option("--clock-skew", type=int, default=0, help="Seconds by which its clock is ahead; below 0: behind.")
@click.option("--remember", is_flag=True, help="Don't ask again who is signed in, as real ones do.")
@click.option(
    "--metadata-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where its metadata is written at each start, for a connection's metadata_file.",
)
@config_option
def dev_idp(
    port: int,
    sign: str,
    *,
    encrypt: str,
    name_id: str,
    clock_skew: int,
    remember: bool,
    metadata_file: Path | None,
    config: Path | None,
) -> None:
    """Run an identity provider for developing.

    No passwords, a new key at each start, this machine only. It answers to the connections of your settings.
    """
    settings = Settings.load(config=config)
    if not settings.connections:
        click.echo("No connection is configured: add one to [[connections]] in the TOML file.", err=True)
        raise click.exceptions.Exit(1)
    us = [our_side(settings, connection) for connection in settings.connections]
    certificates: dict[str, str | None] = {}
    manner = Manner(
        sign_response=sign != "assertion",
        sign_assertion=sign != "response",
        cipher=next((cipher for cipher in get_args(DataCipher) if cipher == encrypt), None),
        clock_skew=timedelta(seconds=clock_skew),
    )

    def make(base_url: str) -> DevIdP:
        return DevIdP(
            {side.entity_id: side.acs_url for side in us},
            base_url=base_url,
            manner=manner,
            encryption_certificate=certificates.get,
            name_id_format=_NAME_ID_FORMATS[name_id],
            remember=remember,
        )

    def ready(idp: DevIdP) -> None:
        if metadata_file is not None:
            metadata_file.write_text(idp.metadata(), encoding="utf-8")
            click.echo(f"Its metadata is in {metadata_file}: (re)start your app now.")
        certificates.update(_read_certificates(settings))  # a connection may need the file just written
        click.echo(f"The dev IdP is at {idp.base_url}, its metadata at {idp.base_url}/metadata. Ctrl-C ends it.")

    try:
        serve(port=port, make=make, ready=ready)
    except ConfigurationError as error:
        raise click.BadParameter(error.detail, param_hint="--port") from None


def encryption_certificates(sso: SSO) -> dict[str, str | None]:
    """For whom an identity provider encrypts, by entity id: the certificates (PEM) in our own metadata."""
    shared = sso.settings.shared_acs
    return {
        connection.service_provider.entity_id: read_encryption_certificate(
            sso.build_metadata(None if shared else connection.id)
        )
        for connection in sso.site.connections
        if connection.encryption != "off"
    }


def _read_certificates(settings: Settings) -> dict[str, str | None]:
    """As the app itself would: our encryption key is supplied, or in the database, or made now."""
    if all(connection.encryption == "off" for connection in settings.connections):
        return {}
    try:
        sso = SSO(settings, NoHost())
    except ConfigurationError as error:
        # Also where its metadata was never written: the app would not start either.
        raise click.ClickException(error.detail) from None
    try:
        return encryption_certificates(sso)
    finally:
        sso.site.store.close()
