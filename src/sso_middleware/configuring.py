"""Who changes the configuration at run time, what they may touch, and what is told of it.

Everything belongs to an organization. The operator may change all that is not declared in the settings;
an SSO account admin what is their own organization's, and not what would loosen the operator's own rules.
What a change is, is `connection_admin`'s, `domain_admin`'s and `account_admins`'.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar, cast

from .addresses import read_email
from .calling import call_blocking, run
from .connection import Connections
from .directory import read_current
from .errors import ChangeRefused, EmailInvalid, NotAllowed
from .events import Event
from .flows.admins import is_admin
from .flows.reporting import record
from .flows.site import Site
from .hooks import Hooks
from .stores.configuration_records import Configuration
from .stores.records import Store

P = ParamSpec("P")
T = TypeVar("T")

NOT_FOUND = "there is no connection with this id"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for a change. An admin's address is told in events, but never logged."""

    name: str = "operator"
    email: str | None = field(default=None, repr=False)
    organization: str | None = None
    """None: the operator, or the host's own code, for every organization."""

    @property
    def is_operator(self) -> bool:
        return self.organization is None


OPERATOR = Actor()


def admin_of(organization: str, email: str) -> Actor:
    return Actor("SSO account admin", read_address(email), organization)


@dataclass(frozen=True, slots=True)
class Desk:
    """What each change begins and ends with: is this the actor's to change, and what is told."""

    site: Site = field(repr=False)
    actor: Actor = OPERATOR
    sees_hooks: bool = True
    """Whether the site's hooks are the app's: the command line has none."""

    @property
    def hooks(self) -> Hooks | None:
        return self.site.hooks if self.sees_hooks else None

    def configuration(self) -> Configuration:
        """As it is now. Raises NotAllowed for an admin who is none (any more)."""
        configuration = do(self.site.store.get_configuration)
        organization, email = self.actor.organization, self.actor.email or ""
        if organization is not None and not is_admin(self.site.settings, configuration, organization, email):
            raise NotAllowed("who asks is no SSO account admin of this organization")
        return configuration

    def check_owns(self, organization: str) -> None:
        """Raises NotAllowed, in the same words whether there is such a thing or not (WEB-019)."""
        if not self.actor.is_operator and self.actor.organization != organization:
            raise NotAllowed(NOT_FOUND)

    def check_operator(self, what: str) -> None:
        if not self.actor.is_operator:
            raise NotAllowed(f"{what} is for the operator of the app")

    def current(self) -> Connections:
        """Every connection, with its metadata and its state, as the store has it now."""
        return read_current(self.site.settings, self.site.directory.declared, plain(self.site.store), self.site.now())

    def tell(
        self,
        code: str,
        connection_id: str | None,
        detail: Mapping[str, str | None],
        *,
        unlogged: Mapping[str, str] | None = None,  # addresses: for the table and the host's hook only
        is_loud: bool = False,
    ) -> None:
        told = {name: value for name, value in detail.items() if value}
        event = Event(
            code=code,
            at=self.site.now(),
            connection_id=connection_id,
            email=self.actor.email,
            detail={**told, "actor": self.actor.name},
        )
        level = logging.WARNING if is_loud else logging.INFO
        run(record(self.site, call_blocking, event, level, unlogged=unlogged))


def plain(store: Store) -> Store:
    """The same store with plain methods, whatever it has."""
    return cast("Store", _Plain(store))


class _Plain:
    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        method = getattr(self._store, name)
        return lambda *args, **kwargs: run(call_blocking(method, *args, **kwargs))


def do(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """A method of a store, plain or async, in this thread."""
    return cast("T", run(call_blocking(fn, *args, **kwargs)))


def read_address(text: str) -> str:
    try:
        return read_email(text.strip()).address
    except EmailInvalid:
        raise ChangeRefused("give one plain e-mail address, such as ada@example.com") from None
