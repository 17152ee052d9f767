"""`slo`: the identity provider asks us to sign somebody out, or answers that it has (SAML profiles 4.4).

Whether a message is genuine is `saml.logout`'s to decide. Here its id is claimed once, the right
sessions are ended, and the browser is sent back with our answer. It works without our cookies and
inside a frame, for that is how identity providers send people round their applications. A message that
is refused ends nothing and deletes no cookie; and the answer to a genuine one says nothing of whether
we knew the person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from urllib.parse import urlsplit

from ..calling import Call
from ..connections import Connection, slo_url
from ..errors import (
    AssertionReplayed,
    ConnectionDisabled,
    HookFailed,
    LogoutReplayed,
    LogoutRequestUnknown,
    PageNotFound,
    SignatureInvalid,
    SSOError,
    StatusNotSuccess,
    UnknownConnection,
)
from ..saml.bindings import FormPost, Outgoing
from ..saml.logout import (
    LogoutMessage,
    LogoutRequest,
    read_logout_form,
    read_logout_query,
    verify_logout_request,
    verify_logout_response,
)
from ..saml.logout_sending import build_logout_response
from ..saml.parties import Endpoint, Expected, ServiceProvider, Trust
from ..stores.records import Session
from ..stores.session_records import SentLogoutRequest, SessionQuery
from ..tokens import hash_token, new_saml_id
from ..web import Reply, Request, read_form, see_other
from .dated_exceptions import tell_of_use, verify_strictly_first
from .explaining import sign_out_explained
from .limits import Bucket, check, count, is_full, refused_answers, refused_logouts
from .logout import Outcome, signed_out_headers, signed_out_url
from .logout_keys import logout_key
from .logout_sending import LEAVING, slo_endpoint
from .provisioning import name_id_key
from .receiving import BODY_LIMIT, look_again_soon, seems_to_answer, trust_of
from .reporting import about, ask_host, report
from .sessions import token_of
from .site import Site

_EVENTS: dict[Outcome, str] = {
    "done": "single_logout_done",
    "partial": "single_logout_partial",
    "failed": "single_logout_failed",
}
Headers = tuple[tuple[str, str], ...]


async def receive_logout(site: Site, request: Request, call: Call, connection_id: str | None) -> Reply:
    """GET and POST slo. `connection_id` is None at the shared one.

    Refusals are counted against whoever sent them; what is genuine never is.
    """
    refused = refused_logouts(site, request)
    with sign_out_explained(site):
        try:
            form = await _read_form(request, call) if request.method == "POST" else None
            if is_full(site, refused):
                refused = await _answered_in(site, call, form) or refused
                check(site, refused)
            return await _receive(site, request, call, form, connection_id)
        except SSOError as error:
            if error.status < 500:  # what is our own fault is nobody's attempt
                await count(site, request, call, refused)
            raise


async def _read_form(request: Request, call: Call) -> dict[str, str]:
    return read_form(request, await call(request.read_body, BODY_LIMIT))


async def _answered_in(site: Site, call: Call, form: Mapping[str, str] | None) -> Bucket | None:
    """As at the ACS: the bucket of the logout request that a posted answer seems to be to, if we wait on that.

    By GET our cookies come along, so that a browser that has signed in here is told apart by those.
    """
    id = seems_to_answer((form or {}).get("SAMLResponse", ""))
    if id is None or await call(site.store.get_logout_request, id, site.now()) is None:
        return None
    return refused_answers(id)


async def _receive(
    site: Site, request: Request, call: Call, form: Mapping[str, str] | None, connection_id: str | None
) -> Reply:
    await site.directory.look(call)
    # Before the message is looked at: there may be no such page.
    if connection_id is not None:
        _find_connection(site, connection_id)
    elif not any(connection.has_single_logout for connection in site.connections):
        raise PageNotFound("no connection has single logout")
    # The raw query string: it is what was signed.
    message = read_logout_query(request.query) if form is None else read_logout_form(form)
    sent = None if message.is_request else await _request_answered_by(site, call, message)
    connection, to = _find_connection(site, connection_id or _connection_named_by(site, message, sent))
    with about(connection.id):
        try:
            if sent is None:
                return await _act_on_request(site, request, call, message, connection, to)
            return await _take_answer(site, request, call, message, connection, sent)
        except SignatureInvalid as error:
            await look_again_soon(site, call, connection, error)
            raise


async def _request_answered_by(site: Site, call: Call, message: LogoutMessage) -> SentLogoutRequest:
    id = message.in_response_to
    sent = None if id is None else await call(site.store.get_logout_request, id, site.now())
    if sent is None:
        raise LogoutRequestUnknown("InResponseTo names no logout request that we wait on")
    return sent


def _connection_named_by(site: Site, message: LogoutMessage, sent: SentLogoutRequest | None) -> str | None:
    """At the shared address: by our own request, else by an Issuer that one connection has. It is verified after."""
    if sent is not None:
        return sent.connection_id
    connection = site.connections.of_issuer(message.issuer)
    return None if connection is None else connection.id


def _find_connection(site: Site, connection_id: str | None) -> tuple[Connection, Endpoint]:
    connection = site.connections.get(connection_id or "")
    if connection is None:
        raise UnknownConnection("no connection has this address or issuer")
    with about(connection.id):
        if not connection.enabled:
            raise ConnectionDisabled(f"connection {connection.id!r} is disabled")
        to = slo_endpoint(connection)
        if to is None:
            raise PageNotFound(
                f"connection {connection.id!r} has no single logout: it is off, or the identity provider's metadata"
                " names no address for it"
            )
    return connection, to


# The identity provider asks


async def _act_on_request(
    site: Site, request: Request, call: Call, message: LogoutMessage, connection: Connection, to: Endpoint
) -> Reply:
    trust = await trust_of(site, call, connection)
    verify = partial(
        _verify_request,
        message,
        service_provider=connection.service_provider,
        slo_url=slo_url(site.settings, connection.id),
        now=site.now(),
    )
    wanted, used = verify_strictly_first(trust, verify)
    await _claim(site, call, connection, wanted)
    await tell_of_use(site, request, call, connection, used)
    ended, headers, is_partial = await _end_sessions(site, request, call, connection, wanted)
    await report(
        site,
        request,
        call,
        "single_logout_requested",
        connection_id=connection.id,
        email=ended[0].email if ended else None,
        detail={"sessions": str(len(ended))},
    )
    answer = await _build_answer(site, call, connection, to, wanted, message.relay_state or "", is_partial)
    return _reply_with(site, request, connection, answer).with_headers(headers)


def _verify_request(
    message: LogoutMessage, trust: Trust, *, service_provider: ServiceProvider, slo_url: str, now: datetime
) -> LogoutRequest:
    return verify_logout_request(message, trust=trust, service_provider=service_provider, slo_url=slo_url, now=now)


async def _claim(site: Site, call: Call, connection: Connection, wanted: LogoutRequest) -> None:
    """Once, and before anything ends: whoever has a copy can't end the session that the person opens next."""
    try:
        # Among the assertions' ids, none of which has a blank in it.
        await call(site.store.claim_assertion, connection.id, f"logout {wanted.id}", wanted.valid_until)
    except AssertionReplayed:
        raise LogoutReplayed("this LogoutRequest came before") from None


async def _end_sessions(
    site: Site, request: Request, call: Call, connection: Connection, wanted: LogoutRequest
) -> tuple[Sequence[Session], Headers, bool]:
    """Those that were ended; what to tell this browser, if its own was among them; whether the host's may live on."""
    query = SessionQuery(
        connection_ids=(connection.id,),
        logout_key=logout_key(connection, wanted.name_id),
        session_indexes=wanted.session_indexes,
    )
    # Who is still asked something has no session of which the index would be; it is all of theirs.
    name_id = hash_token(json.dumps(asdict(wanted.name_id)))
    await call(site.store.delete_pending_profiles, connection.id, name_id_key(wanted.name_id), name_id)
    own = token_of(site, request)
    was_live = own is not None and await call(site.store.get_session, hash_token(own)) is not None
    ended = await call(site.store.end_sessions, query, site.now())
    for session in ended:
        site.sessions.forget_now(session.id)
    # Asked of the store again, since this browser may have an older id of a renewed session.
    if own is None or not was_live or await call(site.store.get_session, hash_token(own)) is not None:
        return ended, (), False
    site.sessions.forget_now(hash_token(own))
    try:
        headers = await ask_host(call, site.hooks.end_host_session, request)
    except HookFailed:  # the log has it
        return ended, signed_out_headers(site), True
    return ended, (*signed_out_headers(site), *(headers or ())), False


async def _build_answer(
    site: Site,
    call: Call,
    connection: Connection,
    to: Endpoint,
    wanted: LogoutRequest,
    relay_state: str,
    is_partial: bool,
) -> Outgoing:
    now = site.now()
    key = await call(site.own_keys.signing_key, connection.signature_algorithm, now)
    return await call(
        build_logout_response,
        response_id=new_saml_id(),
        in_response_to=wanted.id,
        service_provider=connection.service_provider,
        to=to.for_responses,
        key=key,
        relay_state=relay_state,
        issued_at=now,
        is_partial=is_partial,
    )


def _reply_with(site: Site, request: Request, connection: Connection, answer: Outgoing) -> Reply:
    """A redirect wherever there is an address for it, whatever way the request came.

    No page of ours has to be shown then, which a frame might not do. (That we leave in answer to a POST by
    a page, DESIGN §7, is for forms of ours and the host's: this form was the identity provider's own.)
    """
    if not isinstance(answer, FormPost):
        return see_other(answer.url)
    identity_provider = connection.trust.identity_provider
    locations = [end.location for end in (*identity_provider.slo_endpoints, *identity_provider.sso_endpoints)]
    return site.pages.reply(
        request,
        "post",
        form_target=answer.url,
        framed_by=sorted({"{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in (*locations, answer.url)}),
        title=LEAVING,
        url=answer.url,
        fields=answer.fields,
    )


# The identity provider answers


async def _take_answer(
    site: Site,
    request: Request,
    call: Call,
    message: LogoutMessage,
    connection: Connection,
    sent: SentLogoutRequest,
) -> Reply:
    """It changes nothing but what the person is told: here they are signed out already."""
    if sent.connection_id != connection.id:
        raise LogoutRequestUnknown(
            f"the logout request was sent by connection {sent.connection_id!r}, the answer came to {connection.id!r}"
        )
    expected = Expected(sent.id, sent.issued_at)
    url = slo_url(site.settings, connection.id)
    verify = partial(_verify_answer, message, slo_url=url, expected=expected, now=site.now())
    outcome, used = verify_strictly_first(connection.trust, verify)
    if await call(site.store.take_logout_request, sent.id, connection.id, site.now()) is None:
        raise LogoutRequestUnknown("this logout request was answered at this very moment")
    await tell_of_use(site, request, call, connection, used)
    await report(site, request, call, _EVENTS[outcome], connection_id=connection.id, is_trouble=outcome != "done")
    return see_other(signed_out_url(site, outcome, sent.browser))


def _verify_answer(message: LogoutMessage, trust: Trust, *, slo_url: str, expected: Expected, now: datetime) -> Outcome:
    try:
        answer = verify_logout_response(message, trust=trust, slo_url=slo_url, expected=expected, now=now)
    except StatusNotSuccess:
        return "failed"  # genuine, for everything else was verified before
    return "partial" if answer.is_partial else "done"
