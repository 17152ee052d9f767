"""The way out: the sign-in page, finding the connection, and leaving for the identity provider."""

from __future__ import annotations

import logging

from ..addresses import Email, read_email
from ..calling import Call
from ..connections import Connection
from ..errors import ConnectionDisabled, EmailInvalid, NotSetUp, UnknownConnection
from ..languages import OurText
from ..saml.authn_request import build_authn_request
from ..saml.bindings import FormPost, Outgoing
from ..stores.records import LoginPurpose, LoginRequest
from ..tokens import new_saml_id, new_token
from ..web import Reply, Request, see_other
from .browsers import Browser, recognise
from .enforcement import is_excluded, required_connection
from .forms import csrf_token, read_own_form, refuse_frames
from .limits import check, count, misses, sign_ins
from .logout import has_signed_out, signed_out_page
from .paths import read_return_to
from .reporting import about
from .sessions import find_session
from .site import Site

log = logging.getLogger("sso_middleware")

UNKNOWN_ADDRESS = OurText("There is no single sign-on for this e-mail address.")
INVALID_ADDRESS = OurText("Please enter your whole e-mail address, such as ada@example.com.")


async def show_login(site: Site, request: Request, call: Call) -> Reply:
    """GET login: straight to the identity provider where there is only one, else ask for the e-mail."""
    return_to = read_return_to(request.query_value("return_to"))
    home = bring_home(site, request, "login", return_to)
    if home is not None:
        return home
    if await find_session(site, request, call) is not None:
        return see_other(site.app_url(return_to))
    if has_signed_out(site, request) and request.query_value("again") is None:
        return signed_out_page(site, request, return_to)
    connection = _connection_asked_for(site, request)
    if connection is not None:
        purpose: LoginPurpose = "login" if request.query_value("fresh") is None else "fresh"
        await count_sign_in(site, request, call)
        return await leave(site, request, call, connection, return_to=return_to, purpose=purpose)
    return _login_page(site, request, recognise(site, request), return_to=return_to)


async def find_connection(site: Site, request: Request, call: Call) -> Reply:
    """POST login: the e-mail's domain finds the connection."""
    missed = misses(site, request)
    check(site, missed)
    browser = recognise(site, request)
    form = await read_own_form(site, request, call, (browser.id, *browser.others))
    return_to = read_return_to(form.get("return_to"))
    typed = form.get("email", "").strip()
    try:
        email = read_email(typed)
    except EmailInvalid:
        return _login_page(site, request, browser, return_to=return_to, email=typed, problem=INVALID_ADDRESS)
    connection = _connection_of(site, email)
    if connection is None:
        await count(site, request, call, missed)
        return _login_page(site, request, browser, return_to=return_to, email=typed, problem=UNKNOWN_ADDRESS)
    await count_sign_in(site, request, call)
    own_login = local_login_url(site)
    if own_login is not None and required_connection(site, email.domain) is None:
        # By the domain alone: whose roles are managed, or who has an account, is nobody's to find out here.
        return choice_page(site, request, connection, return_to, own_login, OurText("Use your password"))
    return await leave(site, request, call, connection, return_to=return_to)


def _connection_of(site: Site, email: Email) -> Connection | None:
    """By which this person may sign in. An excluded one is told what a stranger is, unless nothing may tell them."""
    connection = site.connections.of_domain(email.domain)
    if connection is None or not connection.admits(email.address):
        return None
    return None if is_excluded(site, email) and not connection.exclusion_by_link else connection


def choice_page(
    site: Site, request: Request, connection: Connection, return_to: str, other_url: str, other: str
) -> Reply:
    """Single sign-on or the host's own login: two links, and nothing that happens by itself."""
    return site.pages.reply(
        request, "choice", sso_url=sign_in_url(site, connection, return_to), other_url=other_url, other=other
    )


def sign_in_url(site: Site, connection: Connection, return_to: str) -> str:
    """Straight to this connection's identity provider, also just after a sign-out."""
    return site.page_url("login", return_to=return_to, connection=connection.id, again="1")


async def count_sign_in(site: Site, request: Request, call: Call) -> None:
    refuse_frames(request)  # before it is counted: see the ACS
    begun = sign_ins(site, request)
    check(site, begun)
    await count(site, request, call, begun)


async def leave(
    site: Site,
    request: Request,
    call: Call,
    connection: Connection,
    *,
    return_to: str,
    purpose: LoginPurpose = "login",
    session_id: str | None = None,  # the session that is to be renewed
) -> Reply:
    """Send the browser to the identity provider with an AuthnRequest that we remember.

    In answer to a POST this is a 200 page, never a redirect: Chromium applies `form-action` to
    redirects after a form, and a host's policy would block it without a word (DESIGN §7).
    """
    now = site.now()
    browser = recognise(site, request)
    with about(connection.id, return_to=return_to):
        identity_provider = (await site.directory.latest(connection, call)).trust.identity_provider
    login_request = LoginRequest(
        id=new_saml_id(),
        connection_id=connection.id,
        return_to=return_to,
        browser=browser.binding,
        purpose=purpose,
        issued_at=now,
        expires_at=now + site.settings.login_timeout,
        session_id=session_id,
    )
    key = await call(site.own_keys.signing_key, connection.signature_algorithm, now)
    # Through `call` although it touches nothing: pysaml2 takes a second to import, the first time.
    message: Outgoing = await call(
        build_authn_request,
        request_id=login_request.id,
        service_provider=connection.service_provider,
        identity_provider=identity_provider,
        key=key,
        relay_state=new_token(),
        issued_at=now,
        force_authn=purpose == "fresh",
        is_passive=purpose == "silent",
        name_id_format=connection.name_id_format,
    )
    await call(site.store.add_login_request, login_request)
    if isinstance(message, FormPost):
        page = site.pages.reply(request, "post", form_target=message.url, url=message.url, fields=message.fields)
    elif request.method == "POST":
        page = site.pages.reply(request, "leaving", url=message.url)
    else:
        return see_other(message.url, *browser.cookies)
    return page.with_cookies(*browser.cookies)


def bring_home(site: Site, request: Request, page: str, return_to: str, **more: str) -> Reply | None:
    """To the host name of `base_url`, where our cookies are; once, since a proxy may hide the name from us."""
    if site.is_at_home(request):
        return None
    if request.query_value("home") is None:
        asked = {name: value for name in ("connection", "window") if (value := request.query_value(name))}
        return see_other(site.page_url(page, return_to=return_to, home="1", **asked, **more))
    log.warning("a request came home under the name %r: does a proxy rewrite Host? See trusted_proxies", request.host)
    return None


def _connection_asked_for(site: Site, request: Request) -> Connection | None:
    """The one that the link names, or the only one there is; None: ask."""
    if len(site.connections) == 0:
        raise NotSetUp("no connection is configured")
    named = request.query_value("connection")
    if named is None:
        if not any(connection.enabled for connection in site.connections):
            raise ConnectionDisabled("every connection is disabled")
        return site.connections.only
    connection = site.connections.get(named)
    if connection is None:
        raise UnknownConnection("the link names a connection that does not exist")
    if not connection.enabled:
        raise ConnectionDisabled(f"connection {connection.id!r} is disabled")
    return connection


def _login_page(
    site: Site, request: Request, browser: Browser, *, return_to: str, email: str = "", problem: OurText | None = None
) -> Reply:
    page = site.pages.reply(
        request,
        "login",
        action=site.page_url("login"),
        csrf_token=csrf_token(site, browser.id),
        return_to=return_to,
        email=email,
        problem=problem,
        local_login_url=local_login_url(site),
    )
    return page.with_cookies(*browser.cookies)


def local_login_url(site: Site) -> str | None:
    """A path is below the mount."""
    url = site.settings.local_login_url
    return site.settings.mount_path + url if url and url.startswith("/") else url
