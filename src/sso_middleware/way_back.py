"""Whether a connection's domains could be enforced without locking anybody out.

Which ways back there are, and in which words each is told, is `ways_back`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .connection import Connection
from .hooks import Hooks, has_host_user, has_send_mail
from .settings import Settings
from .ways_back import WayBack, ways_back


def ways_back_of(
    settings: Settings, connection: Connection, admins: Collection[str], hooks: Hooks | None
) -> Sequence[WayBack]:
    """Each way, working or not. `hooks`: None where the app's can't be seen, as from the command line."""
    return ways_back(
        excluded_users=connection.excluded_users,
        admins=admins,
        domains=connection.domains or (),
        # Without it the app would not have started in mode `domains`.
        has_host_user=hooks is None or has_host_user(hooks),
        has_send_mail=hooks is not None and has_send_mail(hooks),
        has_smtp=settings.smtp_url is not None,
        background=settings.background,
    )


def risks_of_enforcing(connection: Connection, back: Sequence[WayBack]) -> list[str]:
    """What could lock people out if this connection's domains were exclusive now; none: nothing known."""
    risks: list[str] = []
    if connection.test_passed_at is None:
        risks.append(
            "no test sign-in has passed with what the connection says now, so perhaps nobody can sign in:"
            f" `sso-middleware connections test {connection.id}`"
        )
    if not any(way.works for way in back):
        risks.append(
            f"there is no way back in if single sign-on fails: {'; '.join(way.words for way in back)}"
            f" (`sso-middleware connections exclude {connection.id} EMAIL EMAIL`, or `sso-middleware admins add EMAIL"
            f" --connection {connection.id}`)"
        )
    return risks
