"""The gate: who passes on a path of the host's, and what everybody else is told.

What passes on a protected path (DESIGN §2): in `everyone`, an SSO session, or a host user on the
exclusion list; in `domains`, an SSO session, nobody signed in (the host decides), or a host user who
is excluded or of no exclusive domain. Any other host session is ended and the person sent to SSO;
beside an SSO session it is ended, too, unless it is the same person's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from werkzeug.datastructures import Headers

from ..addresses import read_email
from ..calling import Call
from ..errors import EmailInvalid, HostSessionOfAnother, Misdirected, NotSetUp, StoreUnavailable
from ..hooks import HostUser
from ..principal import Principal
from ..setting_rules import is_below
from ..stores.records import Session
from ..web import Decision, PassThrough, Reply, Request, json_reply, see_other
from .forms import csrf_token
from .paths import access_of, is_ambiguous, read_own_url, this_page
from .reporting import ask_host
from .sessions import find_session, principal_of
from .site import Site

Kind = Literal["navigation", "form", "script", "websocket"]
PROBLEM = "application/problem+json"


async def guard(site: Site, request: Request, call: Call) -> Decision:
    """Let a request for the host's own path pass, with or without a principal, or ask for a sign-in."""
    if is_preflight(request) and is_below(request.path, *site.settings.cors) and not is_ambiguous(request):
        return PassThrough()
    is_protected = access_of(site.settings, request) == "protected"
    if is_protected and len(site.connections) == 0:
        raise NotSetUp("no connection is configured")
    try:
        session = await find_session(site, request, call)
    except StoreUnavailable:
        if is_protected:
            raise
        return PassThrough()
    if session is not None and is_foreign_websocket(site, request):
        return Reply(403, (("Content-Type", "text/plain; charset=utf-8"),), b"This page may not open that socket.\n")
    if session is not None:
        if is_protected and site.settings.mode == "domains":
            await _refuse_host_session_of_another(site, request, call, principal_of(session))
        return _pass_with(site, session, is_protected=is_protected)
    if not is_protected:
        return PassThrough()
    return await _host_rule(site, request, call)


async def _host_rule(site: Site, request: Request, call: Call) -> Decision:
    """Nobody is signed in by SSO: may the host's own user pass?"""
    asks_host = site.settings.mode == "domains" or site.connections.excluded_users
    host_user = await ask_host(call, site.hooks.host_user, request) if asks_host else None
    if host_user is None:
        return PassThrough(is_protected=True) if site.settings.mode == "domains" else demand_sign_in(site, request)
    if host_may_keep(site, host_user):
        return PassThrough(is_protected=True)
    headers = await ask_host(call, site.hooks.end_host_session, request)
    return demand_sign_in(site, request).with_headers(headers or ())


async def _refuse_host_session_of_another(site: Site, request: Request, call: Call, principal: Principal) -> None:
    """Signing in by SSO as oneself is no way to keep a host session as somebody who must come by SSO."""
    host_user = await ask_host(call, site.hooks.host_user, request)
    if host_user is None or _is_same_person(principal, host_user) or host_may_keep(site, host_user):
        return
    headers = await ask_host(call, site.hooks.end_host_session, request)
    raise HostSessionOfAnother("the host's session was that of another person than the SSO session's", headers or ())


def _is_same_person(principal: Principal, host_user: HostUser) -> bool:
    if principal.user_id is not None:
        return principal.user_id == host_user.user_id
    try:
        return read_email(host_user.email).address == principal.email
    except EmailInvalid:
        return False


def host_may_keep(site: Site, host_user: HostUser) -> bool:
    """Whether this user of the host's own may use protected paths without SSO.

    What looks like an address but can't be read as one could still reach the host's account of
    somebody of an exclusive domain, so it is treated as one of those.
    """
    try:
        email = read_email(host_user.email)
    except EmailInvalid:
        return site.settings.mode == "domains" and "@" not in host_user.email
    if email.address in site.connections.excluded_users:
        return True
    return site.settings.mode == "domains" and site.connections.of_domain(email.domain) is None


def _pass_with(site: Site, session: Session, *, is_protected: bool) -> PassThrough:
    return PassThrough(
        principal=principal_of(session),
        session_key=session.id,
        csrf_token=csrf_token(site, session.id),
        is_protected=is_protected,
    )


# What kind of request this is


def is_preflight(request: Request) -> bool:
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def kind_of(request: Request) -> Kind:
    """A navigation is a page that a person waits for; only it may be sent away to sign in."""
    if request.is_websocket:
        return "websocket"
    if not _is_page_load(request):
        return "script"
    return "navigation" if request.method in ("GET", "HEAD") else "form"


def _is_page_load(request: Request) -> bool:
    headers = request.headers
    if "HX-Request" in headers or headers.get("X-Requested-With", "").lower() == "xmlhttprequest":
        return False
    if any(name.lower().startswith("sec-fetch-") for name, _ in headers):
        return (
            headers.get("Sec-Fetch-Mode") == "navigate"
            and headers.get("Sec-Fetch-Dest") == "document"
            and "Sec-Purpose" not in headers
        )
    return "text/html" in headers.get("Accept", "").lower()


def is_foreign_websocket(site: Site, request: Request) -> bool:
    """Browsers send cookies with a websocket from any site; only our own pages may open one."""
    if not request.is_websocket:
        return False
    origin = request.headers.get("Origin")
    return origin != site.settings.origin and origin not in site.settings.allowed_origins


# What somebody who may not pass is told


def demand_sign_in(site: Site, request: Request) -> Reply:
    """Send a navigation to sign in; tell everything else where it could (401)."""
    kind = kind_of(request)
    if not site.is_at_home(request) and request.method not in ("GET", "HEAD"):
        raise Misdirected(f"the Host is {request.host!r}, and base_url says {site.settings.host!r}")
    if kind == "navigation":
        return see_other(_login_url(site, request, this_page(request)))
    login_url = _login_url(site, request, _page_of_script(site, request))
    challenge = ("WWW-Authenticate", f'SSO login_url="{login_url}"')
    if kind == "form":
        page = site.pages.reply("sign_in_first", status=401, login_url=login_url)
        return page.with_headers([challenge])
    headers = [challenge, ("Vary", "Cookie")]
    if "HX-Request" in request.headers:
        headers.append(("HX-Redirect", login_url))
    problem = {
        "type": "about:blank",
        "title": "Sign-in required",
        "status": 401,
        "code": "sign_in_required",
        "login_url": login_url,
    }
    return json_reply(401, problem, headers, media_type=PROBLEM)


def _login_url(site: Site, request: Request, return_to: str) -> str:
    """`home` is set where this leads to another host name, so that it is done once only."""
    home = {} if site.is_at_home(request) else {"home": "1"}
    return site.page_url("login", return_to=return_to, **home)


def _page_of_script(site: Site, request: Request) -> str:
    """The page that the person looks at, never the URL that a script fetched."""
    headers = request.headers
    for url in (headers.get("HX-Current-URL"), headers.get("Referer")):
        page = read_own_url(site.settings, url)
        if page is not None:
            return page
    return "/"


# What the host's answer must carry


def dress(site: Site, request: Request, decision: PassThrough, headers: Headers) -> None:
    """Set our cookies on the host's response, and keep protected pages out of every cache."""
    for cookie in decision.cookies:
        headers.add(*cookie.header())
    is_html = headers.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml"))
    if decision.is_protected and is_html and not is_below(request.path, *site.settings.cacheable):
        headers["Cache-Control"] = "private, no-store"


def answer_challenge(
    site: Site, request: Request, decision: PassThrough, status: int, headers: Headers
) -> Reply | None:
    """Our answer in place of a challenge of the host's; None: its own stands.

    So it does for somebody who is signed in: a sign-in would lead straight back here, for ever.
    """
    if decision.principal is not None or not is_challenge(site, status, headers):
        return None
    try:
        return demand_sign_in(site, request)
    except Misdirected:  # what the host answered to an unsafe request on another host name is a refusal too
        return None


def is_challenge(site: Site, status: int, headers: Headers) -> bool:
    """Whether a view of the host's asks for a sign-in by its own 401 (`challenge = true`)."""
    if not site.settings.challenge or status != 401:
        return False
    return any(_scheme(value) == "sso" for value in _challenges(headers.getlist("WWW-Authenticate")))


def _challenges(values: Iterable[str]) -> Iterable[str]:
    return (part for value in values for part in value.split(","))


def _scheme(challenge: str) -> str:
    return challenge.strip().partition(" ")[0].lower()
