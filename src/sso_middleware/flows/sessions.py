"""Open, find and end sessions: the record in the store, the token in the cookie.

How long one lives is decided here, by `is_live`, and nowhere else.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import cast

from ..calling import Call
from ..connections import Connection
from ..errors import InvalidToken
from ..principal import Principal
from ..saml.assertion import Assertion
from ..stores.records import Session
from ..tokens import hash_token, new_token
from ..web import Cookie, Request
from .site import Site

log = logging.getLogger("sso_middleware")

KIND = "session"
_LONGEST_STEP = timedelta(seconds=60)


def step_of(timeout: timedelta) -> timedelta:
    """How old `last_seen` may get before it is written again: a write a minute, not one a request."""
    return min(_LONGEST_STEP, timeout / 20)


def is_live(session: Session, connection: Connection | None, now: datetime) -> bool:
    """An idle limit means limit + step, in the person's favour; the absolute end is exact."""
    if connection is None or not connection.enabled or now >= session.expires_at:
        return False
    return now < idle_end(session, connection)


def idle_end(session: Session, connection: Connection) -> datetime:
    return session.last_seen + connection.hard_timeout + step_of(connection.hard_timeout)


def session_id_of(site: Site, request: Request) -> str | None:
    """The id that the cookie names, if the cookie is one of ours. The record may be gone."""
    cookie = request.cookie(site.cookie_name(KIND))
    if cookie is None:
        return None
    try:
        return hash_token(site.tokens.verify(KIND, cookie))
    except InvalidToken:
        return None


async def find_session(site: Site, request: Request, call: Call, *, is_activity: bool = True) -> Session | None:
    """The live session of this browser. Seeing it counts as activity, unless told otherwise."""
    id = session_id_of(site, request)
    session = await call(site.store.get_session, id) if id else None
    now = site.now()
    if session is None:
        return None
    connection = site.connections.get(session.connection_id)
    if connection is None or not is_live(session, connection, now):
        return None
    if is_activity and now - session.last_seen > step_of(connection.hard_timeout):
        await call(site.store.touch_session, session.id, now)
    return session


async def is_still_live(site: Site, session_id: str, call: Call) -> bool:
    """Whether a session that was live at the start of a long answer still is. Never raises.

    While the store can't tell, it is not: the gate lets nobody in then either.
    """
    try:
        session = await call(site.store.get_session, session_id)
    except Exception as error:  # whatever a store raises must not leave the answer open, unwatched
        log.error("a long answer ends, since its session can't be looked up: %s", type(error).__name__)
        return False
    return session is not None and is_live(session, site.connections.get(session.connection_id), site.now())


async def open_session(
    site: Site, request: Request, call: Call, connection: Connection, assertion: Assertion, principal: Principal
) -> Cookie:
    """A new session under a new token; the one that this browser had before ends (WEB-001)."""
    token = new_token()
    now = site.now()
    expires_at = now + connection.absolute_timeout
    if assertion.session_ends_at is not None:
        expires_at = min(expires_at, assertion.session_ends_at)
    session = Session(
        id=hash_token(token),
        connection_id=connection.id,
        principal_key=principal.key,
        principal=_principal_to_json(principal),
        name_id=json.dumps(asdict(assertion.name_id)),
        session_index=assertion.session_index,
        authenticated_at=now,
        last_seen=now,
        expires_at=expires_at,
    )
    await call(site.store.add_session, session, replaces=session_id_of(site, request))
    seconds = int((expires_at - now).total_seconds())
    return site.cookie(KIND, site.tokens.sign(KIND, token), seconds=seconds)


def principal_of(session: Session) -> Principal:
    values = cast("Mapping[str, str]", session.principal)
    lists = cast("Mapping[str, list[str]]", session.principal)
    attributes = cast("Mapping[str, Mapping[str, list[str]]]", session.principal)["attributes"]
    return Principal(
        connection_id=session.connection_id,
        organization=values["organization"],
        key=session.principal_key,
        email=values["email"],
        first_name=values["first_name"],
        last_name=values["last_name"],
        user_id=values["user_id"],
        roles=tuple(lists["roles"]),
        attributes={name: tuple(held) for name, held in attributes.items()},
        authenticated_at=session.authenticated_at,
        expires_at=session.expires_at,
    )


def _principal_to_json(principal: Principal) -> dict[str, object]:
    return {
        "organization": principal.organization,
        "email": principal.email,
        "first_name": principal.first_name,
        "last_name": principal.last_name,
        "user_id": principal.user_id,
        "roles": list(principal.roles),
        "attributes": {name: list(values) for name, values in principal.attributes.items()},
    }
