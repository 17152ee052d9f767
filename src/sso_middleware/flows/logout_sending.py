"""Ask the identity provider to sign somebody out, once they are signed out here (SAML profiles 4.4).

What it answers is `single_logout`'s. Nothing here can undo, or get in the way of, the sign-out that was.
"""

from __future__ import annotations

import json
import logging

from ..calling import Call
from ..connections import Connection
from ..errors import SSOError
from ..faults import stack_of
from ..languages import OurText
from ..saml.assertion import NameID
from ..saml.bindings import FormPost, Outgoing
from ..saml.logout_sending import build_logout_request
from ..saml.parties import Endpoint
from ..stores.records import Session
from ..stores.session_records import SentLogoutRequest
from ..tokens import new_saml_id, new_token
from ..web import Reply, Request
from .browsers import recognise
from .reporting import report
from .site import Site

log = logging.getLogger("sso_middleware")

LEAVING = OurText("Signing you out at your organization, too")


def slo_endpoint(connection: Connection) -> Endpoint | None:
    """Where this connection's logout messages go; None if it has no single logout. Raises ConnectionNotReady."""
    return connection.trust.identity_provider.slo if connection.has_single_logout else None


async def ask_identity_provider(site: Site, request: Request, call: Call, session: Session) -> Reply | None:
    """A page that takes the browser there with a LogoutRequest; None if there is nobody to ask, or it went wrong.

    `session` has ended by now. Whatever goes wrong is told to the operator; the person's page then says
    that the organization may still know them.
    """
    connection = site.connections.get(session.connection_id)
    if connection is None:
        return None
    try:
        connection = await site.directory.latest(connection, call)
        to = slo_endpoint(connection)
        return None if to is None else await _leave(site, request, call, connection, to, session)
    except Exception as error:  # whatever it is: the person has signed out, and is told so
        if not isinstance(error, SSOError):
            log.error("asking for single logout: %s\n%s", type(error).__name__, stack_of(error))
        why = error.detail if isinstance(error, SSOError) else f"unexpected {type(error).__name__}"
        await report(
            site,
            request,
            call,
            "single_logout_not_sent",
            connection_id=session.connection_id,
            email=session.email,
            detail={"why": why},
            is_trouble=True,
        )
        return None


async def _leave(
    site: Site, request: Request, call: Call, connection: Connection, to: Endpoint, session: Session
) -> Reply:
    """In answer to a POST, so a page and never a redirect: see `login.leave`."""
    now = site.now()
    browser = recognise(site, request)
    sent = SentLogoutRequest(
        id=new_saml_id(),
        connection_id=connection.id,
        browser=browser.binding,
        issued_at=now,
        expires_at=now + site.settings.login_timeout,
    )
    key = await call(site.own_keys.signing_key, connection.signature_algorithm, now)
    # Through `call` although it touches nothing: pysaml2 takes a second to import, the first time.
    message: Outgoing = await call(
        build_logout_request,
        request_id=sent.id,
        service_provider=connection.service_provider,
        to=to,
        key=key,
        # SAML core 3.7.1, 3.3.4: the identity provider finds the session by these, each part to the letter.
        name_id=NameID(**json.loads(session.name_id)),
        session_indexes=() if session.session_index is None else (session.session_index,),
        relay_state=new_token(),
        issued_at=now,
    )
    await call(site.store.add_logout_request, sent)
    if isinstance(message, FormPost):
        page = site.pages.reply(
            request, "post", form_target=message.url, title=LEAVING, url=message.url, fields=message.fields
        )
    else:
        page = site.pages.reply(request, "leaving", title=LEAVING, url=message.url)
    return page.with_cookies(*browser.cookies)
