"""`mail test`: does our mail get out, before somebody waits for it?"""

from __future__ import annotations

from pathlib import Path

import click

from ..addresses import read_email
from ..calling import system_clock
from ..errors import EmailInvalid
from ..mail import Mail
from ..settings import Settings
from ..smtp import read_smtp_url, send_by_smtp
from .loading import config_option

_TEXT = """\
This is a test, asked for by `sso-middleware mail test`, of the app at
{base_url}

It shows that recovery links can reach this address.
"""


@click.group()
def mail() -> None:
    """The mail that we send, and a test of it."""


@mail.command("test")
@click.argument("address")
@config_option
def send_test(address: str, config: Path | None) -> None:
    """Send a test mail to ADDRESS by smtp_url, now.

    The hook send_mail, where the app has one, sends in its place, and can't be tried from here.
    """
    settings = Settings.load(config=config)
    try:
        to = read_email(address.strip()).address
    except EmailInvalid as error:
        raise click.BadParameter(error.detail, param_hint="ADDRESS") from None
    if settings.smtp_url is None or settings.mail_from is None:
        click.echo(
            "No smtp_url is set, so only the hook send_mail of the app can send mail, and it can't be tried from here."
            ' To have us send it: smtp_url = "smtp://user:password@host:587" and mail_from = "sso@…".',
            err=True,
        )
        raise click.exceptions.Exit(1)
    server = read_smtp_url(settings.smtp_url.get_secret_value())
    test = Mail(to, f"Test mail of {settings.host}", _TEXT.format(base_url=settings.base_url))
    our_name = settings.host.partition(":")[0]
    send_by_smtp(server, test, sender=settings.mail_from, our_name=our_name, now=system_clock())
    click.echo(f"{server.host}:{server.port} took it. Look into the mailbox of {to}, and into its spam folder.")
