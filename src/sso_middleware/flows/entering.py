"""The end of every sign-in: ask the host, open the session, go to where the person was going.

Everything that has to be known of the person is known by then.
"""

from __future__ import annotations

from ..calling import Call
from ..saml.assertion import Assertion
from ..web import Reply, Request, see_other
from .arriving import Arrival, confirm, welcome
from .browsers import known_cookie
from .explaining import explained_by
from .logout import SIGNED_OUT
from .reporting import about, report
from .sessions import open_session
from .site import Site
from .welcome import page_after_sign_in

RESTARTED = "restarted"
"""The cookie of a sign-in that was begun in answer to an unsolicited Response."""


async def enter(
    site: Site, request: Request, call: Call, arrival: Arrival, assertion: Assertion, return_to: str
) -> Reply:
    connection = arrival.connection
    with about(connection.id, known_person=True), explained_by(site, assertion):
        principal = await welcome(site, request, call, arrival)
    cookie = await open_session(site, request, call, connection, assertion, principal)
    await confirm(site, call, principal, cookie)
    await report(
        site,
        request,
        call,
        "login_succeeded",
        connection_id=connection.id,
        email=principal.email,
        detail={"assertion": assertion.id},  # not the host's user id, which may be the e-mail: details are logged
    )
    return see_other(
        await page_after_sign_in(site, call, connection, principal, return_to),
        cookie,
        known_cookie(site, request),
        site.no_cookie(RESTARTED),
        site.no_cookie(SIGNED_OUT),
    )
