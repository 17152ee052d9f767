"""Send people of exclusive domains from the host's own login, registration and password reset to SSO.

A courtesy, and not the enforcement: whatever gets past it meets the `host_user` rule of the gate. So it
decides by the address alone, whether there is an account or not, and whoever is signed in; what can't be read
with certainty is refused. A user name that is no address passes, since the rule will see whose it is.
Which fields say what is `intercepted_bodies`' to read, and whose address must come by SSO `enforcement`'s.
"""

from __future__ import annotations

from urllib.parse import quote

from ..addresses import Email, read_email
from ..calling import Call
from ..connections import Connection
from ..errors import (
    BodyTooLarge,
    EmailInvalid,
    InterceptedAddressUnreadable,
    InterceptedBodyTooLarge,
    InterceptedBodyUnreadable,
    InterceptedPathAmbiguous,
    InterceptedRequestRefused,
)
from ..setting_rules import is_below, plain_form
from ..settings import InterceptSettings
from ..web import Replay, Reply, Request, json_reply
from .enforcement import binds_anybody, is_excluded, looks_like_an_address, required_connection
from .exclusion_link import has_leave, link_url, offer_link
from .intercepted_bodies import fold, is_json, read_fields
from .kinds import PROBLEM, kind_of
from .limits import check, count, exclusions, sign_ins
from .login import count_sign_in, leave, sign_in_url
from .paths import intercepted_at, is_ambiguous, read_own_url, read_return_to
from .site import Site

_OVERRIDES = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")


def intercepted_form(site: Site, request: Request) -> InterceptSettings | None:
    """The form of the host's that this request sends, or that a host might take it to send."""
    form = intercepted_at(site.settings, request.path, request.raw_path)
    if form is None or request.is_websocket:
        return None
    said = [request.method, request.query_value("_method") or ""]
    said += [value for name in _OVERRIDES for value in request.headers.getlist(name)]
    methods = {"POST", *form.methods}
    return form if any(method.strip().upper() in methods for method in said) else None


async def intercept(site: Site, request: Request, call: Call) -> Reply | Replay | None:
    """Our answer; or what was read, for the host to read it again; or None: this is nothing to be intercepted."""
    form = intercepted_form(site, request)
    if form is None or not binds_anybody(site):
        return None
    if is_ambiguous(request.path, request.raw_path) or plain_form(request.path) != plain_form(form.path):
        raise InterceptedPathAmbiguous("the path can be read as that of an intercepted form")
    body = await _read_body(site, request, call)
    types, names = request.headers.getlist("Content-Type"), {fold(name) for name in form.field}
    given = read_fields(types, body, request.query, names)
    for email in [read for text in given.values() if (read := _read_address(text))]:
        connection = required_connection(site, email.domain)
        if connection is not None and not await _passes(site, request, call, form, connection, email):
            return_to = _return_to(site, request, form, body)
            return await _answer(site, request, call, form, connection, email.domain, return_to)
    without_encoding = (("Transfer-Encoding", None),) if "Transfer-Encoding" in request.headers else ()
    return Replay(body, without_encoding)


async def _read_body(site: Site, request: Request, call: Call) -> bytes:
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise InterceptedBodyUnreadable("the body is encoded")
    try:
        body: bytes = await call(request.read_body, site.settings.largest_intercepted_body)
    except BodyTooLarge as error:
        raise InterceptedBodyTooLarge(error.detail) from None
    length = request.headers.get("Content-Length")
    if length is not None and length != str(len(body)):
        raise InterceptedBodyTooLarge("the body is not as long as it says")
    return body


def _read_address(text: str | None) -> Email | None:
    """None for what no reader takes for an address: nothing, or a user name."""
    if text is None or not looks_like_an_address(text):
        return None
    try:
        return read_email(text.strip())
    except EmailInvalid:
        raise InterceptedAddressUnreadable("the field's text is like an address, and is not exactly one") from None


async def _passes(
    site: Site, request: Request, call: Call, form: InterceptSettings, connection: Connection, email: Email
) -> bool:
    """Whether the host's own form is for this person; each one that passes is counted."""
    if connection.exclusion_by_link:
        passes = form.kind != "registration" and has_leave(site, request, email.domain)
    else:
        passes = is_excluded(site, email)
    if passes:
        counted = exclusions(site, request)
        check(site, counted)
        await count(site, request, call, counted)
    return passes


# What they are answered: the same for every address of a domain


async def _answer(
    site: Site,
    request: Request,
    call: Call,
    form: InterceptSettings,
    connection: Connection,
    domain: str,
    return_to: str,
) -> Reply:
    has_link = connection.exclusion_by_link and form.kind != "registration"
    page = _page_of_form(site, request, form, return_to)
    is_script = kind_of(request) == "script" or is_json(request.headers.get("Content-Type", ""))
    if is_script:
        begun = sign_ins(site, request)
        check(site, begun)
        await count(site, request, call, begun)
        return _problem(site, request, connection, return_to, link_url(site, domain, page) if has_link else None)
    await count_sign_in(site, request, call)
    if has_link:
        return offer_link(site, request, connection, domain, page, return_to)
    if not site.is_at_home(request):  # where our cookies would not be
        return site.pages.reply(request, "leaving", url=sign_in_url(site, connection, return_to))
    return await leave(site, request, call, connection, return_to=return_to)


def _page_of_form(site: Site, request: Request, form: InterceptSettings, return_to: str) -> str:
    """Where the host shows the form, most likely, with where the person was going; for those who may use it."""
    page = quote(request.path)
    going = f"?{quote(form.next)}={quote(site.settings.mount_path + return_to)}"
    return page if return_to == "/" else page + going


def _problem(site: Site, request: Request, connection: Connection, return_to: str, link: str | None) -> Reply:
    login_url = sign_in_url(site, connection, return_to)
    problem = {
        "type": "about:blank",
        "title": "Please sign in with your organization",
        "status": 401,
        "code": "sso_required",
        "login_url": login_url,
    }
    if link is not None:
        problem["without_sso_url"] = link
    headers = [("WWW-Authenticate", f'SSO login_url="{login_url}"')]
    if "HX-Request" in request.headers:
        headers.append(("HX-Redirect", login_url))
    return json_reply(401, problem, headers, media_type=PROBLEM)


def _return_to(site: Site, request: Request, form: InterceptSettings, body: bytes) -> str:
    """Where the host's form says that the person was going, if that is plainly a page of the host's."""
    name = fold(form.next)
    try:
        text = read_fields(request.headers.getlist("Content-Type"), body, request.query, {name}).get(name)
    except InterceptedRequestRefused:
        return "/"
    own = read_own_url(site.settings, text)
    if own is not None or not text:
        return own or "/"
    mount = site.settings.mount_path
    return read_return_to(text[len(mount) :] or "/" if mount and is_below(text, mount) else text)
