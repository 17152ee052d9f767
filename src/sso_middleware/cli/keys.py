"""`keys …`: our own signing and encryption keys, how they are rolled over, and under what they are sealed.

What each step changes is `flows.own_keys`'; here is what to wait for between two of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from ..calling import system_clock
from ..errors import KeyChangeRefused
from ..flows.own_keys import PURPOSES, add_next_key, drop_key, reseal, rotate_keys
from ..saml.certificates import fingerprint
from ..settings import Settings
from ..stores.records import KeyPurpose, SealedKey
from ..stores.sealing import Sealer
from .loading import config_option, json_option, open_store, secret_keys_of

_DOES = {
    ("signing", "next"): "published, does not sign yet",
    ("signing", "current"): "published, signs",
    ("signing", "retired"): "does nothing any more",
    ("encryption", "next"): "published, decrypts",
    ("encryption", "current"): "decrypts; published while there is no next one",
    ("encryption", "retired"): "decrypts, not published",
}
_SETTINGS: dict[KeyPurpose, str] = {
    "signing": "signing_key, signing_certificate and next_signing_certificate",
    "encryption": "encryption_key, encryption_certificate and older_encryption_keys",
}
_AFTER_ADD: dict[KeyPurpose, str] = {
    "signing": (
        "Our metadata has both signing certificates now; the new key does not sign yet.\n"
        "Wait until every customer's identity provider has read the new metadata (`sso-middleware metadata ID`, or"
        " its address), or their IT has put the new certificate beside the old one. Then: sso-middleware keys rotate"
        " signing"
    ),
    "encryption": (
        "Our metadata has the new encryption certificate now, in place of the old one; we decrypt with both keys.\n"
        "Wait until every customer's identity provider has read the new metadata. Then: sso-middleware keys rotate"
        " encryption"
    ),
}
_AFTER_ROTATE: dict[KeyPurpose, str] = {
    "signing": (
        "All workers sign with the new key within a second. Sign-in goes on wherever the identity provider knows it;"
        " one that does not will refuse our requests until it has read the new metadata.\n"
        "The retired key does nothing any more. In a while: sso-middleware keys drop KEY, with its id from `keys list`"
    ),
    "encryption": (
        "The retired key still decrypts. Wait until every customer's identity provider has read the new metadata"
        " and encrypts for the new key. Then: sso-middleware keys drop KEY, with its id from `keys list`"
    ),
}
_BEFORE_DROP: dict[KeyPurpose, str] = {
    "signing": "A retired signing key does nothing any more, and can't be brought back.",
    "encryption": (
        "Sign-ins by an identity provider that still encrypts for this key will be refused (decryption_failed)"
        " until it has read our new metadata. The key can't be brought back."
    ),
}

purpose_argument = click.argument("purpose", type=click.Choice(PURPOSES))
yes_option = click.option("--yes", "-y", is_flag=True, help="Don't ask.")


@click.group()
def keys() -> None:
    """Our own signing and encryption keys."""


@keys.command(name="list")
@config_option
@json_option
def list_keys(config: Path | None, as_json: bool) -> None:
    """Show every key, its state, and what it does."""
    settings = Settings.load(config=config)
    with open_store(settings) as store:
        kept = [key for purpose in PURPOSES for key in store.get_keys(purpose)]
    supplied = [purpose for purpose in PURPOSES if _is_supplied(settings, purpose)]
    if as_json:
        told = {"keys": [_as_json(key) for key in kept], "supplied_by_settings": supplied}
        click.echo(json.dumps(told, indent=2))
        return
    for purpose in supplied:
        click.echo(f"The {purpose} key is supplied by the settings ({_SETTINGS[purpose]}), and is not kept here.")
    if kept:
        click.echo("\n".join(_as_text(key) for key in kept))
    elif not supplied:
        click.echo("There is no key yet: each is made at first use.")


@keys.command(name="add")
@purpose_argument
@config_option
def add_key(purpose: KeyPurpose, config: Path | None) -> None:
    """Make the next key, and publish it in our metadata.

    The first step of a rollover. The current key goes on as before.
    """
    settings = _settings_of(config, purpose)
    with open_store(settings) as store:
        sealer = Sealer(secret_keys_of(settings))
        key = add_next_key(store, sealer, purpose, common_name=settings.host, now=system_clock())
    click.echo(f"{_as_text(key)}\n\n{_AFTER_ADD[purpose]}")


@keys.command(name="rotate")
@purpose_argument
@yes_option
@config_option
def rotate(purpose: KeyPurpose, yes: bool, config: Path | None) -> None:
    """Make the next key the current one, and retire the current one."""
    settings = _settings_of(config, purpose)
    now = system_clock()
    with open_store(settings) as store:
        _confirm_rotation(purpose, store.get_keys(purpose), now, yes=yes)
        key = rotate_keys(store, Sealer(secret_keys_of(settings)), purpose, now=now)
    click.echo(f"{_as_text(key)}\n\n{_AFTER_ROTATE[purpose]}")


@keys.command(name="drop")
@click.argument("key_id", metavar="KEY")
@yes_option
@config_option
def drop(key_id: str, yes: bool, config: Path | None) -> None:
    """Delete a retired key: the last step of a rollover."""
    settings = Settings.load(config=config)
    with open_store(settings) as store:
        retired = [key for purpose in PURPOSES for key in store.get_keys(purpose) if key.state == "retired"]
        for key in retired:
            if key.id == key_id:
                click.echo(f"{_as_text(key)}\n\n{_BEFORE_DROP[key.purpose]}")
                _confirm("Drop it?", yes=yes)
        drop_key(store, key_id, now=system_clock())
    click.echo("Dropped.")


@keys.command(name="reseal")
@config_option
def reseal_keys(config: Path | None) -> None:
    """Seal every stored key under the first of `secret_keys`.

    To replace a secret key: put the new one first, run this, then drop the old one.
    """
    settings = Settings.load(config=config)
    with open_store(settings) as store:
        count = reseal(store, Sealer(secret_keys_of(settings)), now=system_clock())
    click.echo(f"{count} keys sealed anew." if count else "Every key is sealed under the newest secret key already.")


def _settings_of(config: Path | None, purpose: KeyPurpose) -> Settings:
    settings = Settings.load(config=config)
    if _is_supplied(settings, purpose):
        raise KeyChangeRefused(
            f"the {purpose} key is supplied by the settings: roll it over there ({_SETTINGS[purpose]})"
        )
    return settings


def _is_supplied(settings: Settings, purpose: KeyPurpose) -> bool:
    return {"signing": settings.signing_key, "encryption": settings.encryption_key}[purpose] is not None


def _confirm_rotation(purpose: KeyPurpose, kept: Sequence[SealedKey], now: datetime, *, yes: bool) -> None:
    """How long the next one has been published is what the operator must weigh; we can't know who has read it."""
    for key in kept:
        if key.state == "next" and purpose == "signing":
            hours = int((now - key.created_at).total_seconds() // 3600)
            click.echo(
                f"The next signing key has been in our metadata for {hours} hours. An identity provider that has not"
                " read it by now will refuse our requests."
            )
            _confirm("Do all of them know it?", yes=yes)


def _confirm(question: str, *, yes: bool) -> None:
    if not yes:
        click.confirm(question, abort=True)


def _as_text(key: SealedKey) -> str:
    since = key.changed_at or key.created_at
    return (
        f"{key.id}  {key.purpose:<10}  {key.state:<7}  since {since:%Y-%m-%d %H:%M}Z  {_DOES[key.purpose, key.state]}\n"
        f"    certificate SHA-256 {fingerprint(key.certificate)}"
    )


def _as_json(key: SealedKey) -> dict[str, object]:
    return {
        "id": key.id,
        "purpose": key.purpose,
        "state": key.state,
        "created_at": key.created_at.isoformat(),
        "changed_at": key.changed_at and key.changed_at.isoformat(),
        "certificate": key.certificate,
        "certificate_sha256": fingerprint(key.certificate),
    }
