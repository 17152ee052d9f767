"""The gate: who passes on a path of the host's, and what everybody else is told.

What passes on a protected path (DESIGN §2): in `everyone`, an SSO session, or a host user on the
exclusion list; in `domains`, an SSO session, nobody signed in (the host decides), or a host user who
is excluded or of no exclusive domain. Any other host session is ended and the person sent to SSO;
beside an SSO session it is ended, too, unless it is the same person's. Who must come by SSO is
`enforcement`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from werkzeug.datastructures import Headers

from ..addresses import read_email
from ..calling import Call
from ..errors import EmailInvalid, HostSessionOfAnother, Misdirected, NotSetUp, StoreUnavailable
from ..hooks import HostUser
from ..principal import Principal, credentials_of
from ..setting_rules import is_below
from ..stores.records import Session
from ..web import HTML, Decision, PassThrough, Reply, Request, json_reply, see_other
from .enforcement import judge_host_user, tell_of_ended_session, tell_of_exclusion
from .forms import csrf_token
from .interception import intercept, intercepted_form
from .kept_forms import offer_to_keep, replay_kept_form
from .kinds import PROBLEM, is_foreign_websocket, is_polling, is_preflight, kind_of, page_of_script
from .paths import access_of, is_ambiguous, this_page
from .renewing import demand_renewal
from .reporting import ask_host
from .sessions import Found, lineage_of, look_up, principal_of
from .site import Site


async def guard(site: Site, request: Request, call: Call) -> Decision:
    """Let a request for the host's own path pass, with or without a principal, or ask for a sign-in."""
    if is_preflight(request) and may_preflight(site, request.path, request.raw_path):
        return PassThrough()
    is_protected = access_of(site.settings, request.path, request.raw_path) == "protected"
    try:
        await site.directory.follow(call)
    except StoreUnavailable:
        # Nobody is known to have to come by SSO before the configuration is.
        if is_protected or intercepted_form(site, request) is not None:
            raise
        return PassThrough()
    intercepted = await intercept(site, request, call)
    if isinstance(intercepted, Reply):
        return intercepted
    decision = await _guard(site, request, call, is_protected=is_protected)
    if intercepted is None or isinstance(decision, Reply):
        return decision
    return replace(decision, replay=intercepted)


async def _guard(site: Site, request: Request, call: Call, *, is_protected: bool) -> Decision:
    try:
        is_activity = not (is_polling(site, request) or is_foreign_websocket(site, request))
        found = await look_up(site, request, call, is_activity=is_activity)
    except StoreUnavailable:
        if is_protected:
            raise
        return PassThrough()
    if is_protected and len(site.connections) == 0:
        raise NotSetUp("no connection is configured")
    if found is None or found.verdict != "live":
        return await _without_live_session(site, request, call, found) if is_protected else PassThrough()
    if is_foreign_websocket(site, request):
        return Reply(403, (("Content-Type", "text/plain; charset=utf-8"),), b"This page may not open that socket.\n")
    if is_protected and site.settings.mode == "domains":
        await _refuse_host_session_of_another(site, request, call, principal_of(found.session))
    decision = pass_with(site, found.session, request.path, is_protected=is_protected)
    if found.cookie is not None:
        decision = replace(decision, cookies=(found.cookie,))
    return await replay_kept_form(site, request, call, found.session, decision)


async def _without_live_session(site: Site, request: Request, call: Call, found: Found | None) -> Decision:
    if found is not None and found.verdict == "renew" and not is_foreign_websocket(site, request):
        return await demand_renewal(site, request, call, found)
    decision = await _host_rule(site, request, call)
    if isinstance(decision, Reply) and found is not None and kind_of(request) == "form":
        return await offer_to_keep(site, request, call, found.session, decision)
    return decision


async def _host_rule(site: Site, request: Request, call: Call) -> Decision:
    """Nobody is signed in by SSO: may the host's own user pass?"""
    passes = PassThrough(is_protected=True, keeps_out_of_caches=keeps_out_of_caches(site, request.path))
    asks_host = site.settings.mode == "domains" or site.connections.excluded_users
    host_user = await ask_host(call, site.hooks.host_user, request) if asks_host else None
    if host_user is None:
        return passes if site.settings.mode == "domains" else demand_sign_in(site, request)
    standing = await judge_host_user(site, call, host_user)
    if standing == "bound":
        headers = await _end_host_session(site, request, call, host_user)
        return demand_sign_in(site, request).with_headers(headers)
    if standing == "excluded":
        await tell_of_exclusion(site, request, call, host_user)
    return passes


async def _end_host_session(site: Site, request: Request, call: Call, host_user: HostUser) -> list[tuple[str, str]]:
    """The headers that end it in the browser, too."""
    headers = await ask_host(call, site.hooks.end_host_session, request)
    await tell_of_ended_session(site, request, call, host_user)
    return list(headers or ())


async def _refuse_host_session_of_another(site: Site, request: Request, call: Call, principal: Principal) -> None:
    """Signing in by SSO as oneself is no way to keep a host session as somebody who must come by SSO."""
    host_user = await ask_host(call, site.hooks.host_user, request)
    if host_user is None or _is_same_person(principal, host_user):
        return
    if await judge_host_user(site, call, host_user) != "bound":
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


def pass_with(site: Site, session: Session, path: str, *, is_protected: bool) -> PassThrough:
    principal = principal_of(session)
    return PassThrough(
        principal=principal,
        credentials=credentials_of(principal),
        session_key=session.id,
        csrf_token=csrf_token(site, lineage_of(session)),
        is_protected=is_protected,
        keeps_out_of_caches=is_protected and keeps_out_of_caches(site, path),
    )


def keeps_out_of_caches(site: Site, path: str) -> bool:
    return not is_below(path, *site.settings.cacheable)


def may_preflight(site: Site, path: str, raw_path: str | None) -> bool:
    return is_below(path, *site.settings.cors) and not is_ambiguous(path, raw_path)


# What somebody who may not pass is told


def demand_sign_in(site: Site, request: Request) -> Reply:
    """Send a navigation to sign in; tell everything else where it could (401)."""
    kind = kind_of(request)
    if not site.is_at_home(request) and request.method not in ("GET", "HEAD"):
        raise Misdirected(f"the Host is {request.host!r}, and base_url says {site.settings.host!r}")
    if kind == "navigation":
        return see_other(_login_url(site, request, this_page(request)))
    login_url = _login_url(site, request, page_of_script(site, request))
    challenge = ("WWW-Authenticate", f'SSO login_url="{login_url}"')
    if kind == "form":
        page = site.pages.reply(request, "sign_in_first", status=401, login_url=login_url)
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


# What the host's answer must carry


def dress(decision: PassThrough, headers: Headers) -> None:
    """Set our cookies on the host's response, and keep protected pages out of every cache."""
    for cookie in decision.cookies:
        headers.add(*cookie.header())
    if decision.keeps_out_of_caches and headers.get("Content-Type", "").lower().startswith(HTML):
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
