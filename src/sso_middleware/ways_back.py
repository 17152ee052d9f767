"""Which ways back in an organization has, should single sign-on fail: in words, and pure.

Whether a domain may become exclusive without one is for others to decide.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

FEWEST_EXCLUDED_USERS = 2
"""One person is on holiday, or has left."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """One way, whether it works as things are, and what to say of it: to whoever is about to rely on it."""

    name: Literal["excluded_users", "recovery_access"]
    works: bool
    words: str
    warning: str | None = None
    """It works, and could be better."""


def ways_back(
    *,
    excluded_users: Collection[str],
    admins: Collection[str],
    domains: Collection[str],  # of the organization: mail to these may need the same identity provider
    has_host_user: bool,  # the hook that recognises excluded users
    has_send_mail: bool,  # the hook that sends mail
    has_smtp: bool,
    background: bool,  # whether housekeeping runs in the app; else by the command, which knows no hooks
) -> Sequence[WayBack]:
    """Each of them, working or not. At least one that works is a way back."""
    return (
        _by_exclusion(len(set(excluded_users)), has_host_user=has_host_user),
        _by_mail(
            set(admins),
            set(domains),
            can_send=has_smtp or (has_send_mail and background),
            only_by_hook=has_send_mail and not has_smtp,
        ),
    )


def _by_exclusion(number: int, *, has_host_user: bool) -> WayBack:
    if not number:
        return WayBack("excluded_users", False, "nobody is on excluded_users: list two people of the customer's IT")
    if not has_host_user:
        words = "excluded_users can't be recognised: the app has no hook host_user"
        return WayBack("excluded_users", False, words)
    people = "1 person signs in" if number == 1 else f"{number} people sign in"
    warning = None
    if number < FEWEST_EXCLUDED_USERS:
        warning = "only one person is on excluded_users: list a second, for when the first is away"
    return WayBack("excluded_users", True, f"{people} by the app's own login (excluded_users)", warning)


def _by_mail(admins: set[str], domains: set[str], *, can_send: bool, only_by_hook: bool) -> WayBack:
    if not admins:
        return WayBack("recovery_access", False, "no SSO account admin is named: list `admins` of the organization")
    if not can_send:
        reason = "there is neither smtp_url nor a hook send_mail"
        if only_by_hook:
            reason = "background is off, and housekeeping by command knows no hooks: set smtp_url"
        return WayBack("recovery_access", False, f"recovery links can't be mailed: {reason}")
    people = "1 admin gets" if len(admins) == 1 else f"{len(admins)} admins get"
    warning = None
    if all(admin.rpartition("@")[2] in domains for admin in admins):
        warning = (
            "every admin's address is of these domains: make sure that their mail can be read without this identity"
            " provider, or name an admin with another address"
        )
    return WayBack("recovery_access", True, f"{people} a link by mail (recovery access)", warning)
