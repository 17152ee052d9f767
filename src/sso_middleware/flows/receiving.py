"""The ACS: take a Response that a browser posts from another site, and decide whether it proves anything.

None of our cookies comes with that POST. So nothing happens here but verifying and claiming; what
came out waits, sealed, until the same browser asks for `finish`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from ..calling import Call
from ..connections import Connection
from ..errors import (
    BadRequest,
    ConnectionDisabled,
    ConnectionMismatch,
    LoginRefused,
    LoginRequestUnknown,
    MessageRefused,
    SignatureInvalid,
    SSOError,
    UnknownConnection,
    UnsolicitedRefused,
)
from ..saml.assertion import Assertion
from ..saml.explaining.wording import clean
from ..saml.parsing import Envelope, Message, read_message
from ..saml.parties import Expected, ServiceProvider, Trust
from ..saml.response import check_failure, verify_response
from ..stores.records import LoginRequest, PendingLogin
from ..web import Reply, Request, read_form, see_other
from .connection_test import is_test, tested, tested_in_vain
from .dated_exceptions import tell_of_use, verify_strictly_first
from .explaining import Received, expected_of
from .forms import refuse_frames
from .limits import Bucket, check, count, is_full, refused_answers, refused_responses
from .outcome import Failed, Outcome, SignedIn, new_handle, seal_outcome
from .paths import read_own_url, read_return_to
from .reporting import about
from .site import Site

# 256 KiB of SAMLResponse may grow threefold by percent-encoding; then comes RelayState.
BODY_LIMIT = 3 * 256 * 1024 + 4096
FINISH_WITHIN = timedelta(seconds=60)
_PERHAPS_NEW = "; the identity provider may have changed its certificate: we look at its metadata again soon"

_GLANCE = 16 * 1024  # characters: where the start tag of an honest Response is
_IN_RESPONSE_TO = re.compile(rb"""\sInResponseTo\s*=\s*["'](_[0-9a-f]{40})["']""")  # as `new_saml_id` makes them


async def receive_response(site: Site, request: Request, call: Call, connection_id: str | None) -> Reply:
    """POST acs. `connection_id` is None at the shared ACS. The reply only leads to `finish`.

    Refusals are counted against whoever posted; what is accepted never is.
    """
    refuse_frames(request)  # not counted: another site's page can have its visitors' browsers ask for anything
    refused = refused_responses(site, request)
    try:
        form = await _read_form(request, call)
        if is_full(site, refused):
            refused = await _answered_in(site, call, form["SAMLResponse"]) or refused
            check(site, refused)
        return await _receive(site, request, call, form, connection_id)
    except SSOError as error:
        if error.status < 500:  # what is our own fault is nobody's attempt
            await count(site, request, call, refused)
        raise


async def _answered_in(site: Site, call: Call, saml_response: str) -> Bucket | None:
    """The bucket of the login request that this message seems to answer, if we wait on that.

    So a flood does not lock out those who share its address. Only a glance at bytes that nobody has
    verified: it can lead to a refusal, or to the gate and all that comes after it, never past them.
    """
    id = seems_to_answer(saml_response)
    if id is None or await call(site.store.get_login_request, id, site.now()) is None:
        return None
    return refused_answers(id)


def seems_to_answer(saml_response: str) -> str | None:
    """The request of ours that a posted form value names in its start tag, at a glance."""
    start = re.sub(r"\s+", "", saml_response[:_GLANCE])
    try:
        xml = base64.b64decode(start[: len(start) // 4 * 4])
    except ValueError:
        return None
    found = _IN_RESPONSE_TO.search(xml)
    return found[1].decode() if found else None


async def _read_form(request: Request, call: Call) -> dict[str, str]:
    form = read_form(request, await call(request.read_body, BODY_LIMIT))
    if "SAMLResponse" not in form or "SAMLRequest" in form:
        raise BadRequest("the form must hold SAMLResponse, and no SAMLRequest")
    return form


async def _receive(
    site: Site, request: Request, call: Call, form: Mapping[str, str], connection_id: str | None
) -> Reply:
    await site.directory.look(call)
    received = Received(form["SAMLResponse"], site.app_url(request.path), site.connections.get(connection_id or ""))
    try:
        return await _receive_as(site, request, call, received, connection_id, form.get("RelayState"))
    except (MessageRefused, LoginRefused) as error:
        await _find_request(site, call, received)
        outcome = await tested_in_vain(site, request, call, received, error)
        if outcome is None or received.connection is None:
            raise
        return await _wait_for_finish(site, call, received.connection, received.login_request, outcome)


async def _find_request(site: Site, call: Call, received: Received) -> None:
    """Of a message that was refused before anybody looked: which request of ours it seems to answer."""
    id = seems_to_answer(received.value)
    if received.login_request is not None or id is None:
        return
    login_request = await call(site.store.get_login_request, id, site.now())
    if login_request is not None and received.connection in (None, site.connections.get(login_request.connection_id)):
        received.login_request = login_request
        received.connection = site.connections.get(login_request.connection_id)


async def _receive_as(
    site: Site, request: Request, call: Call, received: Received, connection_id: str | None, relay_state: str | None
) -> Reply:
    with received.explained(site):
        message = read_message(received.value)
        received.is_request_known = True
        received.login_request = login_request = await _login_request_of(site, call, message.envelope)
        received.connection = connection = _connection_of(site, connection_id, login_request, message.envelope)
        with about(connection.id):
            try:
                outcome = await _verify(site, request, call, message, connection, login_request, relay_state)
            except SignatureInvalid as error:
                await look_again_soon(site, call, connection, error)
                raise
            if is_test(login_request):
                outcome = tested(site, received, outcome)
            return await _wait_for_finish(site, call, connection, login_request, outcome)


async def look_again_soon(site: Site, call: Call, connection: Connection, error: SignatureInvalid) -> None:
    """Nobody's key that we know: the identity provider may have a new one."""
    if await site.directory.fetch_soon(connection.id, call):
        error.detail += _PERHAPS_NEW


async def _verify(
    site: Site,
    request: Request,
    call: Call,
    message: Message,
    connection: Connection,
    login_request: LoginRequest | None,
    relay_state: str | None,
) -> Outcome:
    """Verify the message, and claim its assertion: nobody else can use it from then on."""
    # Of all our addresses the one that it was posted to: Destination and Recipient must name that and no other.
    us = replace(connection.service_provider, acs_url=site.app_url(request.path))
    trust = await trust_of(site, call, connection)
    if not message.envelope.succeeded:
        return await _take_failure(site, request, call, message, connection, trust, us, login_request)
    verify = partial(
        _verify_response, message, service_provider=us, expected=expected_of(login_request), now=site.now()
    )
    assertion, used = verify_strictly_first(trust, verify)
    if login_request is None and connection.idp_initiated == "off":
        raise UnsolicitedRefused(f"idp_initiated of connection {connection.id!r} is off")
    await call(site.store.claim_assertion, connection.id, assertion.id, assertion.valid_until)
    await tell_of_use(site, request, call, connection, used)
    return SignedIn(assertion, _return_to_of(site, relay_state))


async def _take_failure(
    site: Site,
    request: Request,
    call: Call,
    message: Message,
    connection: Connection,
    trust: Trust,
    us: ServiceProvider,
    login_request: LoginRequest | None,
) -> Failed:
    """A failure needs no signature to be one, but it must answer an outstanding request of ours.

    So whoever has begun to sign in can make any number of them: of each request a few are kept.
    """
    if login_request is None:
        raise UnsolicitedRefused("a failure that answers no request of ours")
    answers = refused_answers(login_request.id)
    check(site, answers)
    read = partial(_read_failure, message, service_provider=us, expected=expected_of(login_request), now=site.now())
    failed, used = verify_strictly_first(trust, read)
    await count(site, request, call, answers)
    await tell_of_use(site, request, call, connection, used)
    return failed


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
    if not connection.enabled and not is_test(login_request):
        raise ConnectionDisabled(f"connection {connection.id!r} is disabled")
    if login_request is not None and login_request.connection_id != connection.id:
        raise ConnectionMismatch(
            f"the login request was sent by connection {login_request.connection_id!r}, the answer came to"
            f" {connection.id!r}"
        )
    return connection


async def trust_of(site: Site, call: Call, connection: Connection) -> Trust:
    """With our decryption keys, where the connection may encrypt."""
    if connection.trust.encryption == "off":
        return connection.trust
    keys = await call(site.own_keys.decryption_keys, site.now())
    return replace(connection.trust, decryption_keys=tuple(keys))


def _verify_response(
    message: Message, trust: Trust, *, service_provider: ServiceProvider, expected: Expected | None, now: datetime
) -> Assertion:
    return verify_response(message, trust=trust, service_provider=service_provider, expected=expected, now=now)


def _read_failure(
    message: Message, trust: Trust, *, service_provider: ServiceProvider, expected: Expected | None, now: datetime
) -> Failed:
    status = check_failure(message, trust=trust, service_provider=service_provider, expected=expected, now=now)
    codes = (clean(code) for code in (status.code, status.sub_code) if code)
    return Failed(" / ".join(codes), clean(status.message or ""))


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
