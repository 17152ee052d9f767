"""Sign-out here and the pages around it, and `session`.

Asking the identity provider is `logout_sending`'s; what it asks and answers, `single_logout`'s.
"""

from __future__ import annotations

from typing import Literal, cast, get_args

from ..calling import Call
from ..connections import Connection
from ..errors import InvalidToken
from ..stores.records import Session
from ..timeouts import hard_end, soft_end
from ..tokens import new_token
from ..web import Cookie, Reply, Request, json_reply, see_other
from .browsers import is_bound
from .forms import csrf_token, read_own_form, refuse_other_sites
from .logout_sending import ask_identity_provider
from .reporting import ask_host, report
from .sessions import KIND, Found, lineage_of, look_up, principal_of, token_of
from .site import Site

SIGNED_OUT = "signed-out"
_REMEMBERED_SECONDS = 600
Outcome = Literal["done", "partial", "failed"]
"""Of a single logout, as the identity provider tells it."""


async def show_logout(site: Site, request: Request, call: Call) -> Reply:
    """GET logout: a page with a button; a link alone signs nobody out (SLO-014)."""
    session = await _session_to_end(site, request, call)
    if session is None:
        return see_other(site.page_url("signed-out"))
    return site.pages.reply(
        request,
        "logout",
        action=site.page_url("logout"),
        csrf_token=csrf_token(site, lineage_of(session)),
        name=principal_of(session).name,
        back_url=site.app_url("/"),
    )


async def log_out(site: Site, request: Request, call: Call) -> Reply:
    """POST logout: end the session and the host's own, and arrive at a public page.

    By way of the identity provider, where that has an address for it: here the session is over by then.
    """
    session = await _session_to_end(site, request, call)
    if session is None:
        return await _sign_out_again(site, request, call)
    await read_own_form(site, request, call, (lineage_of(session),))
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
    reply = await ask_identity_provider(site, request, call, session) or see_other(site.page_url("signed-out"))
    return reply.with_headers((*signed_out_headers(site), *(headers or ())))


async def _sign_out_again(site: Site, request: Request, call: Call) -> Reply:
    """Our session is over: it timed out, or the answer to a first click was lost to a second one.

    Without our cookie none is deleted: a post from another site comes without it, and would sign somebody
    out (SLO-014). With it the host's session ends; of one that is gone no token of a form can be told.
    """
    reply = see_other(site.page_url("signed-out"))
    if token_of(site, request) is None:
        return reply
    refuse_other_sites(site, request)
    headers = await ask_host(call, site.hooks.end_host_session, request)
    return reply.with_headers((*signed_out_headers(site), *(headers or ())))


def signed_out_headers(site: Site) -> tuple[tuple[str, str], ...]:
    """For the browser whose session has just ended."""
    cleared = (("Clear-Site-Data", '"cache"'),) if site.settings.is_secure else ()
    return (site.no_cookie(KIND).header(), signed_out_marker(site).header(), *cleared)


async def _session_to_end(site: Site, request: Request, call: Call) -> Session | None:
    """Also one that would have to be renewed first: to sign out, nobody needs to."""
    found = await look_up(site, request, call, is_activity=False)
    return None if found is None or found.verdict == "ended" else found.session


async def show_signed_out(site: Site, request: Request, call: Call) -> Reply:
    """GET signed-out, open to everybody; how a single logout came out is told to whoever began it."""
    page = signed_out_page(site, request, "/", _outcome_told(site, request))
    return page.with_cookies(signed_out_marker(site)) if has_signed_out(site, request) else page


def signed_out_page(site: Site, request: Request, return_to: str, outcome: Outcome | None = None) -> Reply:
    """Never straight back in, though the identity provider still knows the person: the next sign-in is a click."""
    login_url = site.page_url("login", return_to=return_to, again="1")
    return site.pages.reply(request, "signed_out", login_url=login_url, outcome=outcome)


def signed_out_url(site: Site, outcome: Outcome, browser: str) -> str:
    """The page that tells this outcome, to this browser only: where the answer comes in, no cookie need be."""
    return site.page_url("signed-out", told=site.tokens.sign(SIGNED_OUT, f"{outcome} {browser}"))


def _outcome_told(site: Site, request: Request) -> Outcome | None:
    try:
        told, _, browser = site.tokens.verify(SIGNED_OUT, request.query_value("told") or "").partition(" ")
    except InvalidToken:
        return None
    is_theirs = is_bound(site, request, browser) is not None
    return cast("Outcome", told) if is_theirs and told in get_args(Outcome) else None


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
        described: dict[str, object] = {"signed_in": False, "login_url": site.page_url("login")}
    else:
        described = _describe(site, found, connection)
    return json_reply(200, {**described, "enforcement": site.settings.enforcement})


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
