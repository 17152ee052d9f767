"""What a host app may supply. Every hook may be plain or async; the default does nothing.

A hook may be called again for the same event (a browser repeats a request, a worker dies): it must
be idempotent. An exception in a hook never travels further: the request is refused with 503, and the
cause goes to the log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from .events import Event
from .mail import Mail
from .web import Request

T = TypeVar("T")
MaybeAwaitable: TypeAlias = T | Awaitable[T]


@dataclass(frozen=True, slots=True)
class HostUser:
    """Who is signed in at the host app itself."""

    email: str = field(repr=False)
    user_id: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the identity provider says the person is; verified, and within the connection's domains.

    `key` is the same at each login of this person on this connection. `user_id` is what an earlier
    `Link` said. `attempt_id` is the same when the hook is called again for the same login. `roles`
    are the raw values of the roles attribute. `attributes` holds all values by attribute name.
    `country` is alpha-2, and `team` your own id of it; None: what came is not one, or none did.
    `secondary_email` is within the connection's domains, too.

    `changed` names the fields that are not what they were when this hook last said yes to the person (of `email`,
    `secondary_email`, `first_name`, `last_name`, `country`, `department`, `team`, `roles`); it is empty for whom it
    never did. `former_email` is the address before this one, if there ever was another. `is_new`: the hook never said
    yes to them. `may_create` is False where the connection's `just_in_time` is off: then only `Link` lets in somebody
    without a `user_id`.
    `roles_overage`: there are more of them than the identity provider sends, so they are not known.
    """

    connection_id: str
    organization: str
    key: str = field(repr=False)
    email: str = field(repr=False)
    first_name: str = field(repr=False)
    last_name: str = field(repr=False)
    country: str | None
    department: str | None
    roles: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]] = field(repr=False)
    user_id: str | None
    attempt_id: str
    team: str | None = None
    """Of the department, by the connection's table."""
    secondary_email: str | None = field(default=None, repr=False)
    roles_overage: bool = False
    """The person is in more groups than the identity provider sends, so it sent none: not the same as none."""
    former_email: str | None = field(default=None, repr=False)
    changed: frozenset[str] = frozenset()
    is_new: bool = True
    may_create: bool = True


@dataclass(frozen=True, slots=True)
class Continue:
    """Sign the person in as they are."""


@dataclass(frozen=True, slots=True)
class Link:
    """Sign the person in as this user of the host's, now and next time."""

    user_id: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Don't sign the person in. `reason` goes to the events; `message`, if any, is shown to the person."""

    reason: str
    message: str | None = None


ProvisionDecision = Continue | Link | Reject


@dataclass(frozen=True, slots=True)
class RecoveryAccess:
    """An SSO account admin came by a recovery link, which is used up now."""

    organization: str
    email: str = field(repr=False)
    connection_ids: tuple[str, ...]
    """Of this organization."""


@dataclass(frozen=True, slots=True)
class SignedInByHost:
    """The host has signed the admin in: with these headers (its own cookie), they go on to this page of its own."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    return_to: str = "/"
    """A path below `base_url`."""


@dataclass(frozen=True, slots=True)
class RoleAssignment:
    """Which roles a person has from now on: all of them, by scope, and no others.

    `added` and `removed` are what is left to do for it; after a failure they may say more than there is. `user_id` is
    what `provision` linked the person to, if anything. `attempt_id` is the same when the hook is called again for
    the same login.
    """

    connection_id: str
    organization: str
    key: str = field(repr=False)
    email: str = field(repr=False)
    user_id: str | None
    grants: Mapping[str, tuple[str, ...]]
    added: Mapping[str, tuple[str, ...]]
    removed: Mapping[str, tuple[str, ...]]
    attempt_id: str


class Hooks:
    """Override what your app needs."""

    def provision(self, identity: Identity) -> MaybeAwaitable[ProvisionDecision]:
        """A verified person is about to be signed in: make or update your user, and decide."""
        return Continue()

    def assign_roles(self, assignment: RoleAssignment) -> MaybeAwaitable[None]:
        """Give the person exactly these roles. Only for a connection with `authorization`, at each sign-in and renewal.

        After `provision`; and without it, with no grants, for somebody who had roles and is refused for want of them.
        """
        return None

    def describe_scope(self, scope: str) -> MaybeAwaitable[str | None]:
        """What people call this scope (`account`, `project:42`); None: nothing better than its own text."""
        return None

    def host_user(self, request: Request) -> MaybeAwaitable[HostUser | None]:
        """Who is signed in at the host app by its own login; None for nobody.

        Needed for `mode = "domains"` and for exclusion lists.
        """
        return None

    def end_host_session(self, request: Request) -> MaybeAwaitable[Iterable[tuple[str, str]] | None]:
        """End the host's own session. Headers that are returned (a deleted cookie) go with our reply."""
        return None

    def refresh_form(self, request: Request, fields: Mapping[str, str]) -> MaybeAwaitable[Mapping[str, str] | None]:
        """A form that was kept is about to be sent: which of its fields get another value, such as a CSRF token's.

        `fields` are its text fields, name to value; of a repeated one the last. Only fields that are there
        are changed. `request` is the one that sends it, with the cookies of now, and nothing in its body.
        """
        return None

    def send_mail(self, mail: Mail) -> MaybeAwaitable[bool | None]:
        """Send this mail by the host's own means. False, or an exception: it was not sent, and is tried again."""
        return False

    def recovery_access(self, request: Request, access: RecoveryAccess) -> MaybeAwaitable[SignedInByHost | None]:
        """An admin used a recovery link: sign them in by the host's own means; None: our recovery session is opened."""
        return None

    def on_event(self, event: Event) -> MaybeAwaitable[None]:
        """Something happened; for the host's own audit trail."""
        return None


def has_provision(hooks: Hooks) -> bool:
    """Whether the host decides who a person is at all."""
    return type(hooks).provision is not Hooks.provision


def has_host_user(hooks: Hooks) -> bool:
    """Whether the host supplies `host_user` at all."""
    return type(hooks).host_user is not Hooks.host_user


def has_refresh_form(hooks: Hooks) -> bool:
    """Whether the host renews its CSRF field in a kept form."""
    return type(hooks).refresh_form is not Hooks.refresh_form


def has_send_mail(hooks: Hooks) -> bool:
    """Whether the host sends our mail."""
    return type(hooks).send_mail is not Hooks.send_mail
