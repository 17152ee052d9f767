"""`sso.roles`: whose roles an identity provider decides, so that the host's own screens only show them.

Which roles those are is `roles`' to say; here is only told what was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from .addresses import read_email
from .calling import call_blocking, run
from .errors import EmailInvalid
from .flows.site import Site
from .stores.role_records import ManagedPerson


class ManagedRoles:
    """Of people of all connections with `authorization`.

    Each method reads the database and waits for it: under ASGI call it from a thread
    (`await asyncio.to_thread(sso.roles.are_managed, user_id=…)`), never on the event loop. A person is named by
    `user_id` (what `provision` linked them to) or by `email`; with both, it is enough if one fits. `connection`
    narrows it to one. Raises StoreUnavailable.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    def are_managed(
        self, *, user_id: str | None = None, email: str | None = None, connection: str | None = None
    ) -> bool:
        """Whether an identity provider decides this person's roles: it has done so at least once."""
        return bool(self.of(user_id=user_id, email=email, connection=connection))

    def of(
        self, *, user_id: str | None = None, email: str | None = None, connection: str | None = None
    ) -> Sequence[ManagedPerson]:
        """What they were given last, by connection; empty for whom nobody manages.

        A connection that is switched off, or whose `authorization` is, manages nobody.
        """
        if user_id is None and email is None:
            raise TypeError("name a person, by user_id or by email")
        run(self._site.directory.follow(call_blocking))
        ids = [
            known.id
            for known in self._site.connections
            if known.roles.authorization and known.enabled and connection in (None, known.id)
        ]
        store = self._site.store
        found = run(call_blocking(store.find_managed_people, ids, email=_read(email), user_id=user_id)) if ids else ()
        return cast("Sequence[ManagedPerson]", found)


def _read(email: str | None) -> str | None:
    """What is no address is nobody's."""
    try:
        return None if email is None else read_email(email.strip()).address
    except EmailInvalid:
        return None
