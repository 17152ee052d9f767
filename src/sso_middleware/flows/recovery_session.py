"""The recovery session: half an hour in which one admin may change their organization's connections, and nothing else.

It is no SSO session: its cookie has a name of its own, and nothing but `recovery-access` ever reads it.
How it is opened is `recovery`'s; what a change does, `connection_changes`'.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from ..calling import Call
from ..errors import ConfigurationError, ConnectionOfAnother, RecoverySessionOver, UnsupportedForm
from ..stores.configuration_records import Configuration
from ..stores.mail_records import RecoveryToken
from ..tokens import hash_token
from ..web import Reply, Request, see_other
from .admins import connection_ids_of, is_admin
from .connection_changes import (
    Change,
    OwnConnection,
    change_excluded_users,
    change_metadata,
    change_state,
    find_connection,
)
from .forms import csrf_token
from .recovery_links import PAGE
from .reporting import report
from .site import Site

KIND = "recovery"
SESSION_LASTS = timedelta(minutes=30)
MOST_TOLD_BY_ADDRESS = 20
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_VERSION = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class RecoverySession:
    """Whose it is. `token` is what the browser's cookie holds."""

    organization: str
    email: str = field(repr=False)
    token: str = field(repr=False)
    ends_at: str
    configuration: Configuration = field(repr=False)


def recovery_cookie_of(site: Site, request: Request) -> str | None:
    token = request.cookie(site.cookie_name(KIND))
    return token if token and _TOKEN.fullmatch(token) else None


async def find_recovery_session(site: Site, request: Request, call: Call) -> RecoverySession | None:
    """None if there is none, it is over, or whose it was is no admin any more."""
    token = recovery_cookie_of(site, request)
    found = await call(site.store.get_recovery_session, hash_token(token), site.now()) if token else None
    if token is None or found is None:
        return None
    configuration = await call(site.store.get_configuration)
    if not is_admin(site.settings, configuration, found.organization, found.email):
        return None
    return RecoverySession(found.organization, found.email, token, _end_of(found), configuration)


def _end_of(found: RecoveryToken) -> str:
    return f"{found.session_ends_at:%H:%M} UTC" if found.session_ends_at else ""


def show_connections(
    site: Site, request: Request, session: RecoverySession, *, problems: tuple[str, ...] = (), done: str | None = None
) -> Reply:
    """The page: each connection of the organization, as it is now."""
    shown = [
        _as_shown(site, find_connection(site, session.configuration, id, session.organization))
        for id in connection_ids_of(site.settings, session.configuration, session.organization)
    ]
    return site.pages.reply(
        request,
        "recovery_connections",
        in_english=True,
        status=400 if problems else 200,
        action=site.page_url(PAGE),
        csrf_token=csrf_token(site, session.token),
        organization=session.organization,
        ends_at=session.ends_at,
        connections=shown,
        problems=problems,
        done=done,
        holds_secret=True,
    )


def _as_shown(site: Site, own: OwnConnection) -> Mapping[str, object]:
    known = site.connections.get(own.id)
    identity_provider = None if known is None else known.identity_provider
    return {
        "id": own.id,
        "version": own.version,
        "state": own.state,
        "is_declared": own.declared is not None,
        "entity_id": None if identity_provider is None else identity_provider.entity_id,
        "excluded_users": own.excluded_users,
    }


async def make_change(
    site: Site, request: Request, call: Call, session: RecoverySession | None, form: Mapping[str, str]
) -> Reply:
    """One of the page's forms. Raises ConnectionOfAnother for any id that is not this organization's."""
    if session is None:
        raise RecoverySessionOver("a form of recovery access came without a recovery session")
    id = form.get("connection", "")
    if id not in connection_ids_of(site.settings, session.configuration, session.organization):
        raise ConnectionOfAnother("the form names a connection that is not of this admin's organization")
    own = find_connection(site, session.configuration, id, session.organization)
    try:
        change = await _change(site, call, own, form)
    except ConfigurationError as error:
        return show_connections(site, request, session, problems=error.problems)
    await _tell(site, request, call, session, own, change)
    return see_other(site.page_url(PAGE, done=change.what))


def _change(site: Site, call: Call, own: OwnConnection, form: Mapping[str, str]) -> Awaitable[Change]:
    if not _VERSION.fullmatch(form.get("version", "")):
        raise UnsupportedForm("the form names no version")
    version, text = int(form["version"]), form.get("text", "")
    makers: dict[str, Callable[[], Awaitable[Change]]] = {
        "disable": lambda: change_state(site, call, own, to_disabled=True, version=version),
        "activate": lambda: change_state(site, call, own, to_disabled=False, version=version),
        "metadata": lambda: change_metadata(site, call, own, text=text, version=version),
        "excluded_users": lambda: change_excluded_users(site, call, own, text=text, version=version),
    }
    maker = makers.get(form.get("step", ""))
    if maker is None:
        raise UnsupportedForm("the form is none of recovery access's")
    return maker()


async def _tell(
    site: Site, request: Request, call: Call, session: RecoverySession, own: OwnConnection, change: Change
) -> None:
    """Who did what, before and after. Addresses of people stand in events of their own, where no log shows them."""
    told = {"what": change.what, "before": change.before, "after": change.after}
    events = [(session.email, told)]
    for what, people in (("excluded user added", change.added), ("excluded user removed", change.removed)):
        events += [(email, {"what": what}) for email in people[:MOST_TOLD_BY_ADDRESS]]
    for email, detail in events:
        await report(
            site,
            request,
            call,
            "recovery_change",
            connection_id=own.id,
            email=email,
            is_trouble=True,
            detail={"organization": session.organization, "actor": "recovery access", **detail},
        )
