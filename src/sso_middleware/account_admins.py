"""`sso.admins`: who are the SSO account admins of an organization, while the app runs.

They may change their organization's connections, and get recovery access to them. Those that the settings
name stay so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from .configuring import Desk, do, read_address
from .errors import ChangeRefused
from .flows.admins import named_admins
from .stores.configuration_records import Admin, Configuration


@dataclass(frozen=True, slots=True)
class AdminSummary:
    organization: str
    email: str = field(repr=False)
    is_declared: bool
    since: datetime | None
    """None: the settings name them."""


class AccountAdmins:
    """Of one actor. Each method waits for the database: under ASGI call it from a thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def list(self, organization: str | None = None) -> Sequence[AdminSummary]:
        configuration = self._desk.configuration()
        found = [AdminSummary(a.organization, a.email, is_declared=False, since=a.since) for a in configuration.admins]
        for connection in self._desk.site.settings.connections:
            found += [
                AdminSummary(connection.organization, email, is_declared=True, since=None)
                for email in connection.admins
            ]
        mine = (admin for admin in found if self._desk.actor.organization in (None, admin.organization))
        wanted = (admin for admin in mine if organization in (None, admin.organization))
        return sorted(dict.fromkeys(wanted), key=lambda admin: (admin.organization, admin.email))

    def add(self, organization: str, email: str) -> None:
        address = read_address(email)
        self._check_organization(organization)
        if any(admin.email == address for admin in self.list(organization)):
            raise ChangeRefused("this address is an SSO account admin's already")
        do(self._desk.site.store.put_admin, Admin(organization, address, self._desk.site.now()))
        self._after_change("admin_added", organization, {"admin": address})

    def replace(self, organization: str, email: str, *, by: str) -> None:
        """The same admin under a new address. For a day no recovery link goes there, and the old one is told of any."""
        old, new = read_address(email), read_address(by)
        self._find(organization, old)
        now = self._desk.site.now()
        known = named_admins(self._desk.site.settings, self._desk.configuration(), now)
        if any(a.email == old and a.organization == organization and a.new_instead_of for a in known):
            # Whoever had the one before would not be told of a link any more.
            raise ChangeRefused(
                "this address took the place of another within the last 24 hours: wait until they are over"
            )
        do(self._desk.site.store.put_admin, Admin(organization, new, self._desk.site.now(), former_email=old))
        self._after_change("admin_replaced", organization, {"admin": new, "former": old})

    def remove(self, organization: str, email: str) -> None:
        address = read_address(email)
        self._find(organization, address)
        do(self._desk.site.store.delete_admin, organization, address)
        self._after_change("admin_removed", organization, {"admin": address})

    def _check_organization(self, organization: str) -> Configuration:
        configuration = self._desk.configuration()
        self._desk.check_owns(organization)
        if all(connection.organization != organization for connection in self._desk.current()):
            raise ChangeRefused(f"no connection is of the organization {organization!r}")
        return configuration

    def _find(self, organization: str, address: str) -> None:
        configuration = self._check_organization(organization)
        if not any(a.organization == organization and a.email == address for a in configuration.admins):
            raise ChangeRefused("no such admin is kept here: those that the settings name are changed there")

    def _after_change(self, code: str, organization: str, addresses: dict[str, str]) -> None:
        self._desk.site.sessions.forget_all_now()
        self._desk.tell(code, None, {"organization": organization}, unlogged=addresses, is_loud=True)
