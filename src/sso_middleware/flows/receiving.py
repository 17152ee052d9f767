"""The ACS: take a Response that a browser posts from another site, and decide whether it proves anything.

None of our cookies comes with that POST. So nothing happens here but verifying and claiming; what
came out waits, sealed, until the same browser asks for `finish`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from ..calling import Call
from ..connections import Connection
from ..errors import (
    BadRequest,
    ConnectionDisabled,
    ConnectionMismatch,
    LoginRequestUnknown,
    UnknownConnection,
    UnsolicitedRefused,
)
from ..saml.parsing import Envelope, Message, read_message
from ..saml.parties import Expected, Trust
from ..saml.response import check_failure, verify_response
from ..stores.records import LoginRequest, PendingLogin
from ..web import Reply, Request, read_form, see_other
from .forms import refuse_frames
from .outcome import Failed, Outcome, SignedIn, new_handle, seal_outcome
from .paths import read_own_url, read_return_to
from .reporting import about
from .site import Site

# 256 KiB of SAMLResponse may grow threefold by percent-encoding; then comes RelayState.
BODY_LIMIT = 3 * 256 * 1024 + 4096
FINISH_WITHIN = timedelta(seconds=60)


async def receive_response(site: Site, request: Request, call: Call, connection_id: str | None) -> Reply:
    """POST acs. `connection_id` is None at the shared ACS. The reply only leads to `finish`."""
    refuse_frames(request)
    form = read_form(request, await call(request.read_body, BODY_LIMIT))
    if "SAMLResponse" not in form or "SAMLRequest" in form:
        raise BadRequest("the form must hold SAMLResponse, and no SAMLRequest")
    message = read_message(form["SAMLResponse"])
    login_request = await _login_request_of(site, call, message.envelope)
    connection = _connection_of(site, connection_id, login_request, message.envelope)
    with about(connection.id):
        outcome = await _verify(site, call, message, connection, login_request, form.get("RelayState"))
        return await _wait_for_finish(site, call, connection, login_request, outcome)


async def _verify(
    site: Site,
    call: Call,
    message: Message,
    connection: Connection,
    login_request: LoginRequest | None,
    relay_state: str | None,
) -> Outcome:
    """Verify the message, and claim its assertion: nobody else can use it from then on."""
    trust = await _trust_of(site, call, connection)
    if not message.envelope.succeeded:
        return _read_failure(site, message, connection, trust, login_request)
    assertion = verify_response(
        message,
        trust=trust,
        service_provider=connection.service_provider,
        expected=_expected(login_request),
        now=site.now(),
    )
    if login_request is None and connection.idp_initiated == "off":
        raise UnsolicitedRefused(f"idp_initiated of connection {connection.id!r} is off")
    await call(site.store.claim_assertion, connection.id, assertion.id, assertion.valid_until)
    return SignedIn(assertion, _return_to_of(site, relay_state))


async def _login_request_of(site: Site, call: Call, envelope: Envelope) -> LoginRequest | None:
    if envelope.in_response_to is None:
        return None
    login_request = await call(site.store.get_login_request, envelope.in_response_to, site.now())
    if login_request is None:
        raise LoginRequestUnknown("InResponseTo names no login request that we wait on")
    return login_request


def _connection_of(
    site: Site, connection_id: str | None, login_request: LoginRequest | None, envelope: Envelope
) -> Connection:
    """The connection that the ACS path names; at the shared ACS that of our login request.

    An unsolicited Response there is told apart by an Issuer that exactly one connection has; its
    signature is then verified with that connection's keys. The Issuer alone is never believed.
    """
    if connection_id is not None:
        connection = site.connections.get(connection_id)
    elif login_request is not None:
        connection = site.connections.get(login_request.connection_id)
    else:
        connection = site.connections.of_issuer(envelope.issuer)
    if connection is None:
        raise UnknownConnection("no connection has this address or issuer")
    if not connection.enabled:
        raise ConnectionDisabled(f"connection {connection.id!r} is disabled")
    if login_request is not None and login_request.connection_id != connection.id:
        raise ConnectionMismatch(
            f"the login request was sent by connection {login_request.connection_id!r}, the answer came to"
            f" {connection.id!r}"
        )
    return connection


async def _trust_of(site: Site, call: Call, connection: Connection) -> Trust:
    if connection.trust.encryption == "off":
        return connection.trust
    keys = await call(site.own_keys.decryption_keys, site.now())
    return replace(connection.trust, decryption_keys=tuple(keys))


def _expected(login_request: LoginRequest | None) -> Expected | None:
    if login_request is None:
        return None
    return Expected(login_request.id, login_request.issued_at, force_authn=login_request.purpose == "fresh")


def _read_failure(
    site: Site, message: Message, connection: Connection, trust: Trust, login_request: LoginRequest | None
) -> Failed:
    """A failure needs no signature to be one, but it must answer an outstanding request of ours."""
    expected = _expected(login_request)
    if expected is None:
        raise UnsolicitedRefused("a failure that answers no request of ours")
    status = check_failure(
        message, trust=trust, service_provider=connection.service_provider, expected=expected, now=site.now()
    )
    return Failed(" / ".join(code for code in (status.code, status.sub_code) if code))


def _return_to_of(site: Site, relay_state: str | None) -> str:
    """RelayState of an unsolicited Response: a path or URL of our own, else the front page (RPL-015)."""
    if relay_state and relay_state.startswith("/"):
        return read_return_to(relay_state)
    return read_own_url(site.settings, relay_state) or "/"


async def _wait_for_finish(
    site: Site, call: Call, connection: Connection, login_request: LoginRequest | None, outcome: Outcome
) -> Reply:
    may_ask_first = login_request is None
    lifetime = site.settings.login_timeout if may_ask_first else FINISH_WITHIN
    handle = new_handle()
    pending = PendingLogin(
        handle=handle.hash,
        connection_id=connection.id,
        login_request_id=login_request.id if login_request else None,
        outcome=seal_outcome(site, outcome),
        expires_at=site.now() + lifetime,
    )
    await call(site.store.add_pending_login, pending)
    cookie = handle.cookie(site, seconds=int(lifetime.total_seconds()))
    return see_other(site.page_url("finish", attempt=handle.attempt), cookie)
