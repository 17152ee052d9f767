"""`init`: a first settings file, with a secret key of its own."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import click

from ..errors import ConfigurationError
from ..settings import Settings

_FILE = """\
# Settings of sso-middleware. Every key may also be an SSO_… variable or a keyword of SSOMiddleware,
# but for [[connections]]. After a change: sso-middleware check

# Where people reach the app. The only source of its URLs; https, unless it is on this machine.
base_url = "{base_url}"

# Keep them secret, and keep the file out of version control. To replace one: put the new one first,
# run `sso-middleware keys reseal`, then drop the old one.
secret_keys = ["{secret_key}"]

database_url = "sqlite:///sso.db"        # beside this file; or postgresql+psycopg://user:password@host/name

# "everyone": protected paths need a sign-in by SSO. "domains": the app keeps its own login, and only
# people of a connection's domains must come by SSO (needs the hook host_user).
mode = "everyone"
protect = ["/"]
public = []                              # such as ["/static", "/healthz"]; wins over protect

# hard_timeout = "8h"                    # idle for longer: signed out
# soft_timeout = "15m"                   # idle for longer: the identity provider is asked, unseen, who is there
# absolute_timeout = "7d"                # signed in for longer: signed out
# local_login_url = "/login"             # the app's own login, for people without a connection
# trusted_proxies = ["10.0.0.0/8"]       # whose X-Forwarded-For is believed

# A setting of the app belongs above the first [[connections]]: below it, it would be the connection's.
# One table for each organization. Give its IT the metadata of this side: sso-middleware metadata acme
# [[connections]]
# id = "acme"                            # part of its URLs: never change it
# organization = "Acme Inc"
# domains = ["acme.example"]             # whose e-mail addresses it may assert
# metadata_file = "acme-idp.xml"         # what its IT gives you; or metadata_url, where it is on the web
# excluded_users = ["it1@acme.example", "it2@acme.example"]  # keep the app's own login (hook host_user)
"""


def new_secret_key() -> str:
    return secrets.token_urlsafe(48)


def write_private(path: Path, text: str) -> None:
    """A new file that only we may read. Raises FileExistsError."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


@click.command()
@click.option("--config", "-c", type=click.Path(path_type=Path, dir_okay=False), default=Path("sso.toml"))
@click.option("--base-url", default="http://127.0.0.1:8000", show_default=True, help="Where people reach the app.")
def init(config: Path, base_url: str) -> None:
    """Write a commented sso.toml with a new secret key. An existing file is never touched."""
    secret_key = new_secret_key()
    try:
        settings = Settings(base_url=base_url, secret_keys=[secret_key])
    except ConfigurationError as error:
        raise click.BadParameter("; ".join(error.problems), param_hint="--base-url") from None
    try:
        write_private(config, _FILE.format(base_url=settings.base_url, secret_key=secret_key))
    except FileExistsError:
        click.echo(f"{config} is already there, and was left as it is. Choose another name with --config.", err=True)
        raise click.exceptions.Exit(1) from None
    except OSError as error:
        click.echo(f"{config} can't be written: {error.strerror}.", err=True)
        raise click.exceptions.Exit(1) from None
    click.echo(f"Written to {config}, readable by you only.")
    click.echo("Next: sso-middleware connections create ID --organization NAME   (or a [[connections]] table in it)")
