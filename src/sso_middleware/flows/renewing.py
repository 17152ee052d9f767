"""Renew a session: ask the identity provider, unseen, whether the person still is signed in there (IsPassive).

It ends in one of three ways: back on the same page under a new session id; signed out and asked to
sign in; or, where the identity provider never answers, on a page that asks what to do. One session is
sent away at most `MOST_AT_ONCE` times, all within `AT_ONCE` of the first, until it is renewed or ends: so
nobody is ever sent round in circles, and the tabs of a browser that wake up together all arrive.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..calling import Call
from ..connections import Connection
from ..errors import HookFailed, IdentityProviderFailure, Misdirected, SSOError, StoreError
from ..principal import Principal
from ..saml.assertion import Assertion
from ..stores.records import LoginRequest, Session
from ..web import Reply, Request, json_reply, see_other
from .arriving import arrive, confirm, welcome
from .browsers import known_cookie
from .explaining import explained_by
from .forms import refuse_frames
from .kept_forms import keep_form
from .kinds import PROBLEM, is_of_another_site, is_polling, is_unasked_for, kind_of, page_of_script
from .login import bring_home, count_sign_in, leave
from .logout import signed_out_marker, signed_out_page
from .outcome import Failed, SignedIn
from .paths import read_return_to, this_page
from .people import AnotherPerson
from .reporting import about, ask_host, report
from .session_script import RENEWED
from .sessions import AT_ONCE, KIND, Found, look_up, renew_session
from .site import Site

MOST_AT_ONCE = 4
Headers = tuple[tuple[str, str], ...]


# The way out


async def demand_renewal(site: Site, request: Request, call: Call, found: Found) -> Reply:
    """What a request is told whose session must be renewed first."""
    kind = kind_of(request)
    if not site.is_at_home(request) and request.method not in ("GET", "HEAD"):
        raise Misdirected(f"the Host is {request.host!r}, and base_url says {site.settings.host!r}")
    if kind == "navigation" and request.method == "GET":
        if is_polling(site, request):  # else a page that reloads itself would keep somebody signed in for days
            return _due_page(site, request, this_page(request))
        if not site.is_at_home(request):
            return see_other(site.page_url("renew", return_to=this_page(request), home="1"))
        return await _begin(site, request, call, found, return_to=this_page(request))
    if kind == "form":
        kept = await keep_form(site, request, call, found.session)
        if kept is not None:
            return await _begin(site, request, call, found, return_to=kept)
        url = site.page_url("renew", return_to=page_of_script(site, request))
        return site.pages.reply(request, "sign_in_first", status=401, login_url=url).with_headers([_challenge(url)])
    return _tell_script(site, request, page_of_script(site, request))


def _due_page(site: Site, request: Request, return_to: str) -> Reply:
    url = site.page_url("renew", return_to=return_to)
    return site.pages.reply(request, "renewal_due", status=401, renew_url=url).with_headers([_challenge(url)])


def _tell_script(site: Site, request: Request, return_to: str) -> Reply:
    url = site.page_url("renew", return_to=return_to)
    problem = {
        "type": "about:blank",
        "title": "Please confirm that you are still here",
        "status": 401,
        "code": "reauthentication_required",
        "login_url": site.page_url("login", return_to=return_to),
        "reauthenticate_url": url,
    }
    htmx = [("HX-Redirect", url)] if "HX-Request" in request.headers else []
    return json_reply(401, problem, [_challenge(url), ("Vary", "Cookie"), *htmx], media_type=PROBLEM)


def _challenge(url: str) -> tuple[str, str]:
    return ("WWW-Authenticate", f'SSO login_url="{url}"')


async def show_renew(site: Site, request: Request, call: Call) -> Reply:
    """GET renew: renew this browser's session, and come back to `return_to`. `window`: a person asked for it.

    Then the identity provider may show itself: the script's small window can take a password, too. It ends on
    `renewed`, unless told otherwise.
    """
    is_window = request.query_value("window") is not None
    return_to = request.query_value("return_to")
    if return_to is None and is_window:
        return_to = f"{site.settings.prefix}/{RENEWED}"
    return_to = read_return_to(return_to)
    home = bring_home(site, request, "renew", return_to)
    if home is not None:
        return home
    refuse_frames(request)
    if is_unasked_for(request):
        return _tell_script(site, request, return_to)
    found = await look_up(site, request, call, is_activity=False)
    if found is None or found.verdict == "ended":
        return see_other(site.page_url("login", return_to=return_to))
    # By us: another site could have had this browser signed in there as somebody else, to sign this person out.
    is_asked_for = is_window and not is_of_another_site(request)
    if is_asked_for:
        await count_sign_in(site, request, call)
    elif found.verdict == "live":
        return see_other(site.app_url(return_to))  # another tab was quicker
    return await _begin(site, request, call, found, return_to=return_to, is_passive=not is_asked_for)


async def _begin(
    site: Site, request: Request, call: Call, found: Found, *, return_to: str, is_passive: bool = True
) -> Reply:
    session = found.session
    connection = site.connections.get(session.connection_id)
    if connection is None:
        return see_other(site.page_url("login", return_to=return_to))
    with about(connection.id, return_to=return_to):
        # What a person asks for by a click is no circle; but nobody is sent away unseen more often than this.
        if is_passive and not await call(
            site.store.begin_renewal, session.id, site.now(), within=AT_ONCE, most=MOST_AT_ONCE
        ):
            return _unanswered_page(site, request, return_to)
        return await leave(
            site,
            request,
            call,
            connection,
            return_to=return_to,
            purpose="silent" if is_passive else "renew",
            session_id=session.id,
        )


def _unanswered_page(site: Site, request: Request, return_to: str) -> Reply:
    """The identity provider was asked, and nobody has come back from there."""
    try_again = site.page_url("renew", return_to=return_to, window="1")
    page = site.pages.reply(
        request, "renewal_unanswered", status=401, try_again_url=try_again, logout_url=site.page_url("logout")
    )
    return page.with_headers([_challenge(try_again)])


# The way back


async def finish_renewal(
    site: Site,
    request: Request,
    call: Call,
    connection: Connection,
    login_request: LoginRequest,
    outcome: SignedIn | Failed,
) -> Reply:
    """Take up the answer to a request that was to renew a session: it ends no other one, and opens no new one."""
    return_to = login_request.return_to
    found = await look_up(site, request, call, is_activity=False)
    if found is None or found.verdict == "ended":
        return see_other(site.page_url("login", return_to=return_to))
    if found.session.id != login_request.session_id:
        # Another tab was quicker, or somebody signed in anew: the page itself shows who is here.
        return see_other(site.app_url(return_to), *([found.cookie] if found.cookie else []))
    if isinstance(outcome, Failed):
        return await _take_no(site, request, call, found.session, login_request, outcome)
    try:
        with about(connection.id, known_person=True), explained_by(site, outcome.assertion):
            principal = await _principal_of_same_person(
                site, request, call, found.session, connection, outcome.assertion
            )
    except (HookFailed, StoreError):
        raise  # which says nothing of the person
    except SSOError as error:
        headers = await _sign_out(site, request, call, found.session, "renewal_refused", {"code": error.code})
        error.headers = (site.no_cookie(KIND).header(), *headers)
        raise
    if principal is None:
        headers = await _sign_out(site, request, call, found.session, "renewal_by_another")
        # A click in between: the identity provider would sign the other person in at once, on this very page.
        page = signed_out_page(site, request, return_to).with_cookies(site.no_cookie(KIND), signed_out_marker(site))
        return page.with_headers(headers)
    cookie = await renew_session(site, call, found, connection, outcome.assertion, principal)
    if cookie is None:  # revoked at this very moment
        return see_other(site.page_url("login", return_to=return_to))
    await confirm(site, call, principal, cookie)
    await report(site, request, call, "session_renewed", connection_id=connection.id, email=principal.email)
    return see_other(site.app_url(return_to), cookie, known_cookie(site, request))


async def _principal_of_same_person(
    site: Site, request: Request, call: Call, session: Session, connection: Connection, assertion: Assertion
) -> Principal | None:
    """Who the host says it is now; None, before the host is asked, if it is another person.

    The same person may come under a key that is new: a session has the first one of its person.
    """
    if connection.id != session.connection_id:
        return None
    try:
        arrival = await arrive(site, request, call, connection, assertion, expected_key=session.principal_key)
    except AnotherPerson:
        return None
    return await welcome(site, request, call, arrival)


async def _take_no(
    site: Site, request: Request, call: Call, session: Session, login_request: LoginRequest, failed: Failed
) -> Reply:
    """NoPassive, or any other failure: signed out, and asked to sign in. A person who asked is only told."""
    if login_request.purpose != "silent":
        with explained_by(site, failed):
            raise IdentityProviderFailure(f"the identity provider's status is {failed.status}")
    headers = await _sign_out(site, request, call, session, "renewal_refused", {"status": failed.status})
    url = site.page_url("login", return_to=login_request.return_to)
    return see_other(url, site.no_cookie(KIND)).with_headers(headers)


async def _sign_out(
    site: Site, request: Request, call: Call, session: Session, code: str, detail: Mapping[str, str] | None = None
) -> Headers:
    """End this session and the host's own; what the host wants to be set besides."""
    await call(site.store.end_session, session.id, site.now())
    site.sessions.forget_now(session.id)
    headers = await ask_host(call, site.hooks.end_host_session, request)
    await report(
        site, request, call, code, connection_id=session.connection_id, email=session.email, detail=detail or {}
    )
    return tuple(headers or ())
