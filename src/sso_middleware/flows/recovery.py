"""`recovery-access`: the way back in for a named admin when single sign-on fails (WEB-020, WEB-030).

Whoever asks for a link gets the same answer, in the same way; who is mailed one is decided later, by
housekeeping (`recovery_links`). A link's GET changes nothing, since mail scanners open links; its POST
uses it up. What it opens is the host's to say (the hook), else a recovery session (`recovery_session`).
"""

from __future__ import annotations

from ..calling import Call
from ..errors import HookFailed, PageNotFound, RecoveryLinkUnknown
from ..hooks import RecoveryAccess, SignedInByHost
from ..stores.mail_records import RecoveryToken
from ..tokens import hash_token, new_token
from ..web import Reply, Request, see_other
from .admins import connection_ids_of, is_admin
from .browsers import recognise
from .forms import check_csrf, csrf_token, read_own_form, refuse_frames
from .limits import check, count, is_first, recovery_requests
from .login import bring_home
from .outbox import can_send_mail, leave_in_outbox
from .paths import read_return_to
from .recovery_links import PAGE, REQUEST_LASTS
from .recovery_session import (
    KIND,
    SESSION_LASTS,
    find_recovery_session,
    make_change,
    recovery_cookie_of,
    show_connections,
)
from .reporting import ask_host, report
from .site import Site

LONGEST_ADDRESS = 254
LARGEST_FORM = 16 * 1024
LARGEST_FORM_IN_SESSION = 512 * 1024
"""A metadata document, percent-encoded."""


async def show_recovery_access(site: Site, request: Request, call: Call) -> Reply:
    """GET: what a link leads to, or the recovery session's page, or where to ask for a link. Changes nothing."""
    refuse_frames(request)
    token = request.query_value("token")
    if token is not None or "token=" in request.query:
        return await _show_link(site, request, call, token or "")
    home = bring_home(site, request, PAGE, "/")
    if home is not None:
        return home
    session = await find_recovery_session(site, request, call)
    if session is not None:
        return show_connections(site, request, session, done=request.query_value("done"))
    _check_can_be_asked(site)
    browser = recognise(site, request)
    token = csrf_token(site, browser.id)
    page = site.pages.reply(request, "recovery_ask", action=site.page_url(PAGE), csrf_token=token, holds_secret=True)
    return page.with_cookies(*browser.cookies)


async def receive_recovery_form(site: Site, request: Request, call: Call) -> Reply:
    """POST: ask for a link, use one, or change something. Each form has a token for its browser or its session."""
    refuse_frames(request)
    browser, cookie = recognise(site, request), recovery_cookie_of(site, request)
    session = await find_recovery_session(site, request, call)
    of_browser = (browser.id, *browser.others)
    of_session = (cookie,) if cookie else ()
    limit = LARGEST_FORM if session is None else LARGEST_FORM_IN_SESSION
    form = await read_own_form(site, request, call, (*of_browser, *of_session), limit=limit)
    step = form.get("step")
    # What one kind of form has a token for, another may not do with it.
    check_csrf(site, form, of_browser if step in ("ask", "use") else of_session)
    if step == "ask":
        return await _ask(site, request, call, form.get("email", ""))
    if step == "use":
        return await _use(site, request, call, form.get("token", ""))
    if step == "end":
        return await _end(site, call, cookie)
    return await make_change(site, request, call, session, form)


# Asking for a link


def _check_can_be_asked(site: Site) -> None:
    if not can_send_mail(site):
        raise PageNotFound("recovery links can't be mailed: there is neither a hook send_mail nor smtp_url")


async def _ask(site: Site, request: Request, call: Call, address: str) -> Reply:
    """The same for everyone: one row in the outbox, and one page. Nothing here looks at whose address it is."""
    _check_can_be_asked(site)
    bucket = recovery_requests(site, request)
    check(site, bucket)
    await count(site, request, call, bucket)
    typed = address.strip()
    value = {"address": typed if len(typed) <= LONGEST_ADDRESS else ""}
    is_kept = await leave_in_outbox(site, call, "recovery", value, REQUEST_LASTS)
    if await is_first(site, request, call, "recovery requests told"):
        detail = {} if is_kept else {"why": "the outbox is full: it was not kept"}
        await report(site, request, call, "recovery_requested", is_trouble=True, detail=detail)
    site.wake_housekeeping()
    return site.pages.reply(request, "recovery_asked", back_url=site.app_url("/"), holds_secret=True)


# Using a link


async def _show_link(site: Site, request: Request, call: Call, token: str) -> Reply:
    """Mail scanners and previews come here too: the button is for the person."""
    found = await call(site.store.get_recovery_token, hash_token(token), site.now())
    if found is None or not await _is_still_admin(site, call, found):
        raise RecoveryLinkUnknown("the link is unknown, used or expired, or a newer one took its place")
    browser = recognise(site, request)
    page = site.pages.reply(
        request,
        "recovery_link",
        action=site.page_url(PAGE),
        csrf_token=csrf_token(site, browser.id),
        token=token,
        organization=found.organization,
        holds_secret=True,
    )
    return page.with_cookies(*browser.cookies)


async def _use(site: Site, request: Request, call: Call, token: str) -> Reply:
    session_token, now = new_token(), site.now()
    taken = await call(
        site.store.take_recovery_token,
        hash_token(token),
        now,
        session_id=hash_token(session_token),
        session_ends_at=now + SESSION_LASTS,
    )
    if taken is None or not await _is_still_admin(site, call, taken):
        if taken is not None:
            await call(site.store.end_recovery_session, hash_token(session_token), now)
        raise RecoveryLinkUnknown("the link is unknown, used or expired, or a newer one took its place")
    detail = {"organization": taken.organization}
    await report(site, request, call, "recovery_link_used", email=taken.email, is_trouble=True, detail=detail)
    answer: object = await ask_host(call, site.hooks.recovery_access, request, await _access_of(site, call, taken))
    if answer is None:
        cookie = site.cookie(KIND, session_token, seconds=int(SESSION_LASTS.total_seconds()))
        return see_other(site.page_url(PAGE), cookie)
    await call(site.store.end_recovery_session, hash_token(session_token), now)  # nobody has its token
    if not isinstance(answer, SignedInByHost):
        raise HookFailed("recovery_access must answer SignedInByHost or None")
    return see_other(site.app_url(read_return_to(answer.return_to))).with_headers(answer.headers)


async def _access_of(site: Site, call: Call, taken: RecoveryToken) -> RecoveryAccess:
    configuration = await call(site.store.get_configuration)
    ids = connection_ids_of(site.settings, configuration, taken.organization)
    return RecoveryAccess(taken.organization, taken.email, ids)


async def _is_still_admin(site: Site, call: Call, found: RecoveryToken) -> bool:
    configuration = await call(site.store.get_configuration)
    return is_admin(site.settings, configuration, found.organization, found.email)


async def _end(site: Site, call: Call, cookie: str | None) -> Reply:
    await call(site.store.end_recovery_session, hash_token(cookie or ""), site.now())
    return see_other(site.app_url("/"), site.no_cookie(KIND))
