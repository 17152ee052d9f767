"""The command line: `sso-middleware COMMAND`.

Exit codes: 0 all is well, 1 something was found wrong, 2 it was called wrong. What a command does is
its own module's; here is what they share: which commands there are, and how an error is told.
"""

from __future__ import annotations

from typing import Any

import click

from ..errors import SSOError
from .admins import admins
from .checking import check
from .connections import connections
from .demo import demo
from .dev_idp import dev_idp
from .doctor import doctor
from .domains import domains
from .events import events
from .explain import explain_file
from .keys import keys
from .mail import mail
from .metadata import metadata
from .people import people
from .records import housekeeping, migrate
from .recovery import recovery_link
from .roles import roles
from .sessions import sessions
from .starting import init


class _Commands(click.Group):
    """Tells our own errors in words, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SSOError as error:
            click.echo(error.detail, err=True)
            raise click.exceptions.Exit(1) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sso-middleware")
def main() -> None:
    """Single sign-on for any WSGI or ASGI app."""


_COMMANDS = (
    *(init, check, doctor, connections, domains, admins, people, roles, sessions, events, explain_file, metadata, keys),
    *(mail, recovery_link, migrate, housekeeping, dev_idp, demo),
)
for _command in _COMMANDS:
    main.add_command(_command)
