"""Sign in without SSO, for connections with `exclusion_by_link`: so that no answer tells who is excluded.

Everybody of such a connection's exclusive domains is offered the link, and whoever takes it reaches the
host's own login in this browser for ten minutes. It decides nothing: the host checks the password, and
then the `host_user` rule lets the excluded stay, and ends the host session of everybody else.
"""

from __future__ import annotations

from datetime import timedelta

from ..calling import Call
from ..connections import Connection
from ..errors import InvalidToken, PageNotFound
from ..languages import OurText
from ..web import Reply, Request, see_other
from .browsers import is_bound, recognise
from .enforcement import required_connection
from .forms import csrf_token, read_own_form, refuse_frames
from .limits import check, count, sign_ins
from .login import choice_page, local_login_url, sign_in_url
from .reporting import report
from .site import Site

KIND = "without-sso"
_FORM = "without sso: form"
_LEAVE = "without sso: leave"
_LASTS = timedelta(minutes=10)


def offer_link(site: Site, request: Request, connection: Connection, domain: str, page: str, return_to: str) -> Reply:
    """What everybody of this domain is answered. `page` is that of the host's form, below the mount, quoted."""
    without = OurText("Sign in without SSO")
    return choice_page(site, request, connection, return_to, link_url(site, domain, page), without)


def link_url(site: Site, domain: str, page: str) -> str:
    return site.page_url(KIND, form=site.tokens.sign(_FORM, f"{domain} {page}"))


def has_leave(site: Site, request: Request, domain: str) -> bool:
    """Whether this browser took the link for this domain, within the last ten minutes."""
    try:
        leave = site.tokens.verify(_LEAVE, request.cookie(site.cookie_name(KIND)) or "")
    except InvalidToken:
        return False
    named, ends_at, binding = leave.split(" ")
    is_in_time = site.now().timestamp() < float(ends_at)
    return named == domain and is_in_time and is_bound(site, request, binding) is not None


async def show_link(site: Site, request: Request, call: Call) -> Reply:
    """GET without-sso: a page with a button; a link alone changes nothing."""
    refuse_frames(request)
    form = request.query_value("form") or ""
    connection, _, _ = _read_form(site, form)
    browser = recognise(site, request)
    page = site.pages.reply(
        request,
        "without_sso",
        leads_anywhere=True,  # since the host's own login may be on another origin
        action=site.page_url(KIND),
        csrf_token=csrf_token(site, browser.id),
        form=form,
        sso_url=sign_in_url(site, connection, "/"),
    )
    return page.with_cookies(*browser.cookies)


async def take_link(site: Site, request: Request, call: Call) -> Reply:
    """POST without-sso: the next logins of this browser for this domain reach the host."""
    browser = recognise(site, request)
    form = await read_own_form(site, request, call, (browser.id, *browser.others))
    connection, domain, page = _read_form(site, form.get("form", ""))
    taken = sign_ins(site, request)
    check(site, taken)
    await count(site, request, call, taken)
    ends_at = site.now() + _LASTS
    leave = site.tokens.sign(_LEAVE, f"{domain} {ends_at.timestamp()} {browser.binding}")
    await report(site, request, call, "exclusion_link_taken", connection_id=connection.id, detail={"domain": domain})
    cookie = site.cookie(KIND, leave, seconds=int(_LASTS.total_seconds()))
    own_login = local_login_url(site) or site.settings.mount_path + page
    url = site.settings.origin + own_login if own_login.startswith("/") else own_login
    return see_other(url, cookie, *browser.cookies)


def _read_form(site: Site, token: str) -> tuple[Connection, str, str]:
    """Which connection and domain, and the page of the host's form. Raises PageNotFound, also if it is over."""
    try:
        domain, _, page = site.tokens.verify(_FORM, token).partition(" ")
    except InvalidToken:
        raise PageNotFound("the page of the link was asked for without one") from None
    connection = required_connection(site, domain)
    if connection is None or not connection.exclusion_by_link:
        raise PageNotFound("this domain has no link any more")
    return connection, domain, page
