"""Sign-out here (single logout at the identity provider comes with the sessions issue), and `session`."""

from __future__ import annotations

from ..calling import Call
from ..connections import Connection
from ..stores.records import Session
from ..timeouts import hard_end, soft_end
from ..tokens import new_token
from ..web import Cookie, Reply, Request, json_reply, see_other
from .forms import csrf_token, read_own_form
from .reporting import ask_host, report
from .sessions import KIND, Found, lineage_of, look_up, principal_of
from .site import Site

SIGNED_OUT = "signed-out"
_REMEMBERED_SECONDS = 600


async def show_logout(site: Site, request: Request, call: Call) -> Reply:
    """GET logout: a page with a button; a link alone signs nobody out (SLO-014)."""
    session = await _session_to_end(site, request, call)
    if session is None:
        return see_other(site.page_url("signed-out"))
    return site.pages.reply(
        "logout",
        action=site.page_url("logout"),
        csrf_token=csrf_token(site, lineage_of(session)),
        name=principal_of(session).name,
        back_url=site.app_url("/"),
    )


async def log_out(site: Site, request: Request, call: Call) -> Reply:
    """POST logout: end the session and the host's own, and arrive at a public page."""
    session = await _session_to_end(site, request, call)
    reply = see_other(site.page_url("signed-out"))
    if session is None:
        # No cookie is deleted: a post from another site comes without it, and would sign somebody out (SLO-014).
        return reply
    await read_own_form(site, request, call, (lineage_of(session),))
    reply = reply.with_cookies(site.no_cookie(KIND), signed_out_marker(site))
    await call(site.store.end_session, session.id, site.now())
    site.sessions.forget_now(session.id)
    headers = await ask_host(call, site.hooks.end_host_session, request)
    await report(
        site,
        request,
        call,
        "logged_out",
        connection_id=session.connection_id,
        email=principal_of(session).email,
    )
    if site.settings.is_secure:
        reply = reply.with_headers([("Clear-Site-Data", '"cache"')])
    return reply.with_headers(headers or ())


async def _session_to_end(site: Site, request: Request, call: Call) -> Session | None:
    """Also one that would have to be renewed first: to sign out, nobody needs to."""
    found = await look_up(site, request, call, is_activity=False)
    return None if found is None or found.verdict == "ended" else found.session


async def show_signed_out(site: Site, request: Request, call: Call) -> Reply:
    """GET signed-out, open to everybody."""
    page = signed_out_page(site, "/")
    return page.with_cookies(signed_out_marker(site)) if has_signed_out(site, request) else page


def signed_out_page(site: Site, return_to: str) -> Reply:
    """Never straight back in, though the identity provider still knows the person: the next sign-in is a click."""
    return site.pages.reply("signed_out", login_url=site.page_url("login", return_to=return_to, again="1"))


def signed_out_marker(site: Site) -> Cookie:
    """Remembers a sign-out for a while.

    Chromium keeps `no-store` pages for its Back button, and drops them when an HttpOnly cookie is set;
    one that is deleted does not count, and one on the redirect not always (seen in Chromium 156). So
    it is set again, to another value, by the page that the redirect leads to.
    """
    return site.cookie(SIGNED_OUT, new_token(), seconds=_REMEMBERED_SECONDS)


def has_signed_out(site: Site, request: Request) -> bool:
    """Whether somebody signed out in this browser a moment ago."""
    return request.cookie(site.cookie_name(SIGNED_OUT)) is not None


async def show_session(site: Site, request: Request, call: Call) -> Reply:
    """GET session, for scripts. Asking is no activity."""
    found = await look_up(site, request, call, is_activity=False)
    connection = site.connections.get(found.session.connection_id) if found else None
    if found is None or found.verdict == "ended" or connection is None:
        return json_reply(200, {"signed_in": False, "login_url": site.page_url("login")})
    return json_reply(200, _describe(site, found, connection))


def _describe(site: Site, found: Found, connection: Connection) -> dict[str, object]:
    """`state` is `live`, or `renew` where the identity provider must be asked before anything else is answered."""
    session = found.session
    timeouts = connection.timeouts[session.device]
    principal = principal_of(session)
    return {
        "signed_in": found.verdict == "live",
        "state": found.verdict,
        "email": principal.email,
        "name": principal.name,
        "user_id": principal.user_id,
        "connection": connection.id,
        "organization": connection.organization,
        "roles": list(principal.roles),
        "authenticated_at": session.authenticated_at.isoformat(),
        "renew_at": soft_end(session, timeouts).isoformat(),
        "idle_ends_at": hard_end(session, timeouts).isoformat(),
        "expires_at": session.expires_at.isoformat(),
        "now": site.now().isoformat(),
        "reauthenticate_url": site.page_url("renew"),
        "login_url": site.page_url("login"),
        "logout_url": site.page_url("logout"),
        "csrf_token": csrf_token(site, lineage_of(session)),
    }
