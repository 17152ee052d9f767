"""How people of an organization get back in when single sign-on fails, and whether that would work."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from .connection import Connection
from .settings import Settings

WayBack = Literal["excluded_users", "recovery_access"]
ASKED_FOR = 2
"""Excluded users: one can be ill, or have left."""


def ways_back(settings: Settings, connection: Connection, admins: Collection[str]) -> list[WayBack]:
    """Those that are set up. Whether the mail arrives is shown by `sso-middleware mail test`."""
    found: list[WayBack] = []
    if connection.excluded_users:
        found.append("excluded_users")
    if admins:
        found.append("recovery_access")
    return found


def risks_of_enforcing(connection: Connection, back: Collection[WayBack]) -> list[str]:
    """What could lock people out if this connection's domains were exclusive now; none: nothing known."""
    risks: list[str] = []
    if connection.test_passed_at is None:
        risks.append(
            "no test sign-in has passed with what the connection says now, so perhaps nobody can sign in:"
            f" `sso-middleware connections test {connection.id}`"
        )
    if not back:
        risks.append(
            "there is no way back in if single sign-on fails: name an SSO account admin for recovery access"
            f" (`sso-middleware admins add EMAIL --connection {connection.id}`), or two excluded users"
            f" (`sso-middleware connections exclude {connection.id} EMAIL EMAIL`)"
        )
    return risks
