"""`finish`: same-site, so our cookies are here. Take up what the ACS found out, once, and sign in.

Nothing of the host's is called, linked or changed before the browser binding matched.
"""

from __future__ import annotations

import secrets

from ..calling import Call
from ..connections import Connection
from ..errors import (
    ConnectionDisabled,
    IdentityProviderFailure,
    InvalidToken,
    PendingLoginUnknown,
    UnsolicitedLoop,
)
from ..saml.assertion import Assertion
from ..stores.records import PendingLogin
from ..web import Cookie, Reply, Request
from .arriving import arrive
from .browsers import is_bound
from .connection_test import show_report
from .entering import RESTARTED, enter
from .explaining import explained_by
from .forms import csrf_token, read_own_form, refuse_frames
from .login import leave
from .outcome import Failed, Handle, SignedIn, Tested, handle_of, open_outcome
from .profile import ask_for_missing
from .provisioning import read_identity
from .renewing import finish_renewal
from .reporting import about
from .sessions import look_up
from .site import Site

_RESTART_SECONDS = 120


async def finish_login(site: Site, request: Request, call: Call) -> Reply:
    """GET finish: sign in, or ask first, or start our own request, or say why not."""
    refuse_frames(request)
    handle, pending, connection = await _find_pending(site, request, call)
    with about(connection.id):
        if pending.login_request_id is None:
            return await _finish_unsolicited(site, request, call, handle, pending, connection)
        binding = await _binding_of(site, request, call, pending)
        taken = await call(site.store.take_pending_login, handle.hash, binding, site.now())
        login_request = taken.login_request
        return_to = login_request.return_to if login_request else "/"
        with about(connection.id, return_to=return_to):
            answer = open_outcome(site, taken.pending.outcome)
            if isinstance(answer, Tested):
                reply = await show_report(site, request, call, connection, answer)
                return reply.with_cookies(handle.no_cookie(site))
            if login_request is not None and login_request.session_id is not None:
                reply = await finish_renewal(site, request, call, connection, login_request, answer)
                return reply.with_cookies(handle.no_cookie(site))
            outcome = _signed_in(site, taken.pending)
            reply = await _sign_in(site, request, call, connection, outcome.assertion, return_to)
            return reply.with_cookies(handle.no_cookie(site))


async def accept_unsolicited(site: Site, request: Request, call: Call) -> Reply:
    """POST finish: the person said yes to an unsolicited sign-in."""
    refuse_frames(request)
    handle, pending, connection = await _find_pending(site, request, call)
    with about(connection.id):
        await read_own_form(site, request, call, (handle.token,))
        if pending.login_request_id is not None:
            raise PendingLoginUnknown("this outcome does not wait for anybody's consent")
        if connection.idp_initiated != "accept":
            return await _restart(site, request, call, handle, connection)
        outcome = await _take_unsolicited(site, call, handle)
        reply = await _sign_in(site, request, call, connection, outcome.assertion, outcome.return_to)
        return reply.with_cookies(handle.no_cookie(site))


async def _find_pending(site: Site, request: Request, call: Call) -> tuple[Handle, PendingLogin, Connection]:
    handle = handle_of(site, request)
    if handle is None:
        raise PendingLoginUnknown("finish was asked for without the cookie of a pending login")
    pending = await call(site.store.get_pending_login, handle.hash, site.now())
    if pending is None:
        raise PendingLoginUnknown("the pending login was taken or has expired")
    connection = site.connections.get(pending.connection_id)
    may_be_used = connection is not None and (connection.enabled or _is_test(site, pending))
    if connection is None or not may_be_used:
        raise ConnectionDisabled(f"connection {pending.connection_id!r} is disabled or gone")
    return handle, pending, connection


def _is_test(site: Site, pending: PendingLogin) -> bool:
    return isinstance(open_outcome(site, pending.outcome), Tested)


async def _binding_of(site: Site, request: Request, call: Call, pending: PendingLogin) -> str | None:
    """The one id of this browser's that the login request is bound to, for the store to compare."""
    login_request = await call(site.store.get_login_request, pending.login_request_id or "", site.now())
    return is_bound(site, request, login_request.browser) if login_request else None


async def _finish_unsolicited(
    site: Site, request: Request, call: Call, handle: Handle, pending: PendingLogin, connection: Connection
) -> Reply:
    """`restart`: our own AuthnRequest, once. `accept`: a page that asks. (`off` never came this far.)

    Somebody who is signed in by another connection is asked in both: an identity provider may not
    move people out of another organization's account by a page that posts itself.
    """
    found = await look_up(site, request, call)
    session = found.session if found is not None and found.verdict != "ended" else None
    if connection.idp_initiated != "accept" and (session is None or session.connection_id == connection.id):
        return await _restart(site, request, call, handle, connection)
    return site.pages.reply(
        request,
        "accept",
        action=site.page_url("finish", attempt=handle.attempt),
        csrf_token=csrf_token(site, handle.token),
        email=read_identity(_signed_in(site, pending).assertion, connection).email,
        organization=connection.organization,
        cancel_url=site.app_url("/") if session else site.page_url("signed-out"),
    )


async def _restart(site: Site, request: Request, call: Call, handle: Handle, connection: Connection) -> Reply:
    outcome = await _take_unsolicited(site, call, handle)
    if _was_restarted(site, request, connection):
        raise UnsolicitedLoop(
            "the identity provider answered our own request with an unsolicited Response: it must echo the ID of"
            " the AuthnRequest as InResponseTo, or idp_initiated be set to accept"
        )
    reply = await leave(site, request, call, connection, return_to=outcome.return_to, purpose="restart")
    return reply.with_cookies(handle.no_cookie(site), _restarted(site, connection))


async def _take_unsolicited(site: Site, call: Call, handle: Handle) -> SignedIn:
    taken = await call(site.store.take_pending_login, handle.hash, None, site.now())
    return _signed_in(site, taken.pending)


def _signed_in(site: Site, pending: PendingLogin) -> SignedIn:
    outcome = open_outcome(site, pending.outcome)
    if isinstance(outcome, Failed):
        with explained_by(site, outcome):
            raise IdentityProviderFailure(f"the identity provider's status is {outcome.status}")
    if isinstance(outcome, Tested):
        raise PendingLoginUnknown("what a connection test found signs nobody in")
    return outcome


def _restarted(site: Site, connection: Connection) -> Cookie:
    value = site.tokens.sign(RESTARTED, f"{connection.id}.{secrets.token_hex(4)}")
    return site.cookie(RESTARTED, value, seconds=_RESTART_SECONDS)


def _was_restarted(site: Site, request: Request, connection: Connection) -> bool:
    try:
        value = site.tokens.verify(RESTARTED, request.cookie(site.cookie_name(RESTARTED)) or "")
    except InvalidToken:
        return False
    return value.rpartition(".")[0] == connection.id


async def _sign_in(
    site: Site, request: Request, call: Call, connection: Connection, assertion: Assertion, return_to: str
) -> Reply:
    with about(connection.id, known_person=True), explained_by(site, assertion):
        arrival = await arrive(site, request, call, connection, assertion)
    asked = await ask_for_missing(site, request, call, arrival, assertion, return_to)
    return asked or await enter(site, request, call, arrival, assertion, return_to)
