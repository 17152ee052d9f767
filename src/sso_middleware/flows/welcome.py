"""After a sign-in: say once, on a page of our own, which roles somebody has from now on; then on to where they went.

It is told when it is shown, and never in the way: whatever fails here leads on. A renewal says nothing; what it
changed is told after the next sign-in.
"""

from __future__ import annotations

from contextlib import suppress

from ..calling import Call
from ..connections import Connection
from ..errors import HookFailed, StoreUnavailable
from ..languages import OurText
from ..principal import Principal
from ..roles import ACCOUNT
from ..web import Reply, Request, see_other
from .forms import refuse_frames
from .kinds import is_unasked_for
from .paths import read_return_to
from .reporting import ask_host
from .sessions import find_session, principal_of
from .site import Site

PAGE = "welcome"
MOST_SHOWN = 30


async def page_after_sign_in(
    site: Site, call: Call, connection: Connection, principal: Principal, return_to: str
) -> str:
    """Where somebody goes who has just signed in: to the page that they wanted, by way of ours if there is news."""
    if _is_announced(site, connection, principal):
        with suppress(StoreUnavailable):
            given = await call(site.store.get_given_roles, connection.id, principal.key)
            if given.grants is not None and given.announced != principal.grants:
                return site.page_url(PAGE, return_to=return_to)
    return site.app_url(return_to)


def _is_announced(site: Site, connection: Connection, principal: Principal) -> bool:
    return site.settings.announce_roles and connection.roles.authorization and bool(principal.grants)


async def show_welcome(site: Site, request: Request, call: Call) -> Reply:
    """GET welcome: the person's roles, if they were not told yet."""
    refuse_frames(request)
    return_to = read_return_to(request.query_value("return_to"))
    go_on = see_other(site.app_url(return_to))
    if is_unasked_for(request):
        return go_on
    session = await find_session(site, request, call)
    connection = None if session is None else site.connections.get(session.connection_id)
    if session is None or connection is None:
        return go_on
    principal = principal_of(session)
    if not _is_announced(site, connection, principal) or not await _claim(site, call, principal):
        return go_on
    shown = list(principal.grants.items())[:MOST_SHOWN]
    return site.pages.reply(
        request,
        PAGE,
        organization=connection.organization,
        granted=[(await _label(site, call, scope), ", ".join(roles)) for scope, roles in shown],
        left_out=len(principal.grants) - len(shown),
        continue_url=site.app_url(return_to),
    )


async def _claim(site: Site, call: Call, principal: Principal) -> bool:
    with suppress(StoreUnavailable):
        return await call(site.store.claim_announcement, principal.connection_id, principal.key, principal.grants)
    return False


async def _label(site: Site, call: Call, scope: str) -> str:
    """In the host's words, if it has any."""
    with suppress(HookFailed):
        label = await ask_host(call, site.hooks.describe_scope, scope)
        if isinstance(label, str) and label.strip():
            return label
    return OurText("Whole account") if scope == ACCOUNT else scope
