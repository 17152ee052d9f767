"""`keys reseal`: seal our own keys under the newest secret key, so that an old one can be dropped."""

from __future__ import annotations

from pathlib import Path

import click

from ..flows.own_keys import reseal
from ..settings import Settings
from ..stores.sealing import Sealer
from .loading import config_option, open_store, secret_keys_of


@click.group()
def keys() -> None:
    """Our own signing and encryption keys."""


@keys.command(name="reseal")
@config_option
def reseal_keys(config: Path | None) -> None:
    """Seal every stored key under the first of `secret_keys`.

    To replace a secret key: put the new one first, run this, then drop the old one.
    """
    settings = Settings.load(config=config)
    with open_store(settings) as store:
        count = reseal(store, Sealer(secret_keys_of(settings)))
    click.echo(f"{count} keys sealed anew." if count else "Every key is sealed under the newest secret key already.")
