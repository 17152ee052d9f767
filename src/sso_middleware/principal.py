"""Who is signed in, as the host app sees it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated identity on a request.

    `email` is within the connection's own domains. `user_id` is what the host's `provision` hook
    linked the person to, else None. `key` never changes for a person of one connection; it is
    opaque, and not to be shown. `grants` are the roles by scope that the connection's role mapping gave;
    `roles` those of the scope `account`. Without authorization `roles` are what the IdP sent in the roles
    attribute, and `grants` what was given while it was on.
    """

    connection_id: str
    organization: str
    key: str = field(repr=False)
    email: str = field(repr=False)
    first_name: str = field(default="", repr=False)
    last_name: str = field(default="", repr=False)
    user_id: str | None = None
    roles: tuple[str, ...] = ()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    authenticated_at: datetime | None = None
    expires_at: datetime | None = None
    grants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def has_role(self, role: str, scope: str = "account") -> bool:
        """Whether the role mapping gave this role. What the IdP merely sent never counts."""
        return role in self.grants.get(scope, ())

    @property
    def name(self) -> str:
        """First and last name, or the e-mail address where the IdP sent neither."""
        return " ".join(part for part in (self.first_name, self.last_name) if part) or self.email

    # What Starlette's `request.user` must answer.

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return self.name

    @property
    def identity(self) -> str:
        return self.user_id or self.email


@dataclass(frozen=True, slots=True)
class Credentials:
    """What Starlette's `request.auth` must answer: `requires("authenticated")` and roles as scopes.

    A role of the account by its name, any other as `project:42:editor`.
    """

    scopes: tuple[str, ...]


def credentials_of(principal: Principal) -> Credentials:
    granted = (
        role if scope == "account" else f"{scope}:{role}" for scope, roles in principal.grants.items() for role in roles
    )
    return Credentials(tuple(dict.fromkeys(("authenticated", *principal.roles, *granted))))


_current: ContextVar[Principal | None] = ContextVar("sso_middleware.principal", default=None)


def current_principal() -> Principal | None:
    """The person of the request that is being answered; None outside one, or if nobody signed in by SSO.

    Under WSGI it stays set until the response iterable is closed.
    """
    return _current.get()
