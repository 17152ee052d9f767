"""Who the SSO account admins are, and which connections are their organization's: by the settings and by the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..calling import Call
from ..settings import Settings
from ..stores.configuration_records import Configuration
from .site import Site

ADDRESS_IS_NEW_FOR = timedelta(hours=24)
"""So long no link is mailed to an address that took the place of another: somebody could have brought that about
who should not, and the one before it is told."""


@dataclass(frozen=True, slots=True)
class NamedAdmin:
    """A person who may change how this organization signs in."""

    organization: str
    email: str = field(repr=False)
    new_instead_of: str | None = field(default=None, repr=False)
    """The address before this one, if that was changed lately."""


def named_admins(settings: Settings, configuration: Configuration, now: datetime) -> Sequence[NamedAdmin]:
    """Each once for each organization."""
    admins: dict[tuple[str, str], NamedAdmin] = {}
    for declared in settings.connections:
        for email in declared.admins:
            admins[declared.organization, email] = NamedAdmin(declared.organization, email)
    for kept in configuration.admins:
        is_new = kept.former_email is not None and now - kept.since < ADDRESS_IS_NEW_FOR
        admin = NamedAdmin(kept.organization, kept.email, kept.former_email if is_new else None)
        admins[kept.organization, kept.email] = admin
    return tuple(admins.values())


def is_admin(settings: Settings, configuration: Configuration, organization: str, email: str) -> bool:
    declared = (admin for c in settings.connections if c.organization == organization for admin in c.admins)
    kept = (admin.email for admin in configuration.admins if admin.organization == organization)
    return email in {*declared, *kept}


def connection_ids_of(settings: Settings, configuration: Configuration, organization: str) -> tuple[str, ...]:
    """Of this organization: those that the settings declare first, then those that were made at run time."""
    declared = [c.id for c in settings.connections if c.organization == organization]
    # What the settings declare is theirs to say, whatever is kept under the same id.
    all_declared = {c.id for c in settings.connections}
    kept = [
        c.id
        for c in configuration.connections
        if c.organization == organization and c.settings is not None and c.id not in all_declared
    ]
    return (*declared, *kept)


async def former_addresses_of(site: Site, call: Call, configuration: Configuration, admin: NamedAdmin) -> Sequence[str]:
    """Which addresses this one took the place of lately: the admin's own, and the person's of that organization."""
    since = site.now() - ADDRESS_IS_NEW_FOR
    connection_ids = connection_ids_of(site.settings, configuration, admin.organization)
    of_people = await call(site.store.get_former_addresses, admin.email, since, connection_ids)
    found = {*of_people, *([admin.new_instead_of] if admin.new_instead_of else ())}
    return sorted(found - {admin.email})
