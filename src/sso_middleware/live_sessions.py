"""`sso.sessions`: which sessions there are, and how an admin ends them or has them renewed.

Here is decided which sessions are meant, and what is told of it. That every worker hears of it is the
store's and the cache's (`stores.sessions`); what a request is told whose session is gone is the gate's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, ParamSpec, TypeVar, cast

from .addresses import read_email
from .calling import call_blocking, run
from .errors import EmailInvalid, SessionChoiceRefused
from .events import Event
from .flows.reporting import record
from .flows.sessions import judge_session
from .flows.site import Site
from .stores.session_records import Device, Session, SessionQuery
from .stores.sessions import Remembered

P = ParamSpec("P")
T = TypeVar("T")

SHORT_ID = 12
"""Characters of a session's id that are shown: 48 bits, enough to tell any two apart."""
SHORTEST_ID = 8

State = Literal["live", "renew", "ended", "dormant"]
"""`renew`: the identity provider is asked before it is used again. `dormant`: of a connection that the settings
don't name, so good for nothing until they do."""


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """What an admin may know of one session: nothing that opens it, and nothing that the identity provider calls the
    person by."""

    id: str
    """The beginning of its id, as `session` takes it. It changes when the session is renewed."""
    connection: str
    organization: str | None
    """None if the settings don't name the connection."""
    email: str = field(repr=False)
    device: Device
    created_at: datetime
    """When the person signed in."""
    authenticated_at: datetime
    """When the identity provider last vouched for them, seen or unseen."""
    last_seen: datetime
    """To within a minute."""
    expires_at: datetime
    """The absolute end; an idle limit may come before it."""
    state: State


class LiveSessions:
    """Everybody's sessions, of all workers.

    Each method reads or writes the database and waits for it: under ASGI call it from a thread
    (`await asyncio.to_thread(sso.sessions.revoke, person=…)`), never on the event loop. What it changes
    counts in this process at once, and in every other worker, on whichever machine, within `revocation_delay`
    of its return; open websockets are closed (4401) and event streams ended in the same time.

    Which sessions are meant is said in exactly one way, else SessionChoiceRefused is raised:

    - `session`: one, by its id or the beginning of it;
    - `person`: all of one person, by their e-mail address, or by `Principal.key` together with `connection`;
    - `connection`: all of one connection, by its id (with `person`: only theirs);
    - `organization`: all of its connections, by its name;
    - `everyone=True`.

    Raises StoreUnavailable; then nothing was changed.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    def list(
        self,
        *,
        session: str | None = None,
        person: str | None = None,
        connection: str | None = None,
        organization: str | None = None,
        everyone: bool = False,
        include_ended: bool = False,
        limit: int = 1000,
    ) -> Sequence[SessionSummary]:
        """The sessions meant (none named: everybody's), last seen first; at most `limit` are looked at.

        One that has ended by itself is kept for a while, and listed with `include_ended`.
        """
        is_narrow = any(named is not None for named in (session, person, connection, organization))
        query = self._query(session, person, connection, organization, everyone=everyone or not is_narrow)
        found = [self._summary(kept) for kept in _do(self._site.store.find_sessions, query, limit=limit)]
        return [summary for summary in found if include_ended or summary.state != "ended"]

    def revoke(
        self,
        *,
        session: str | None = None,
        person: str | None = None,
        connection: str | None = None,
        organization: str | None = None,
        everyone: bool = False,
        actor: str | None = None,
    ) -> int:
        """End them all, in one transaction: how many there were that had not ended by themselves.

        Whoever is revoked may sign in again, unless the identity provider, a disabled connection or the hook
        `provision` refuses them. `actor` is for the audit trail: who asked for it.
        """
        query = self._query(session, person, connection, organization, everyone=everyone)
        self._check_unambiguous(query)
        ended = _do(self._site.store.end_sessions, query, self._site.now())
        self._site.sessions.forget_all_now()
        number = sum(self._state_of(kept) != "ended" for kept in ended)
        self._tell("sessions_revoked", query, organization, number, actor)
        return number

    def require_renewal(
        self,
        *,
        session: str | None = None,
        person: str | None = None,
        connection: str | None = None,
        organization: str | None = None,
        everyone: bool = False,
        actor: str | None = None,
    ) -> int:
        """Have the identity provider asked, unseen, before they are used again: how many.

        For what changed there or here since they signed in, such as a person's roles. Nobody is signed out by it
        whom the identity provider still knows. A changed attribute map needs no call: it is noticed.
        """
        query = self._query(session, person, connection, organization, everyone=everyone)
        self._check_unambiguous(query)
        number = _do(self._site.store.make_sessions_stale, query, self._site.now())
        self._site.sessions.forget_all_now()
        self._tell("renewal_required", query, organization, number, actor)
        return number

    # Which sessions

    def _query(
        self,
        session: str | None,
        person: str | None,
        connection: str | None,
        organization: str | None,
        *,
        everyone: bool,
    ) -> SessionQuery:
        of_person = person is not None
        ways = {
            "session": session is not None,
            "person": of_person,
            "connection": connection is not None and not of_person,
            "organization": organization is not None,
            "everyone": everyone,
        }
        if sum(ways.values()) != 1 or (connection is not None and not (of_person or ways["connection"])):
            raise SessionChoiceRefused(
                "say which sessions are meant in exactly one way: session, person, connection, organization or everyone"
                " (and a person of one connection by both)"
            )
        if session is not None:
            return SessionQuery(session_id=_read_id(session))
        connection_ids = self._connections_of(connection, organization)
        if person is None:
            return SessionQuery(connection_ids=connection_ids)
        if person.startswith("["):  # no address begins so
            if connection is None:
                raise SessionChoiceRefused("a principal's key is of one connection: name the connection as well")
            return SessionQuery(connection_ids=connection_ids, principal_key=person)
        return SessionQuery(connection_ids=connection_ids, email=_read_address(person))

    def _connections_of(self, connection: str | None, organization: str | None) -> tuple[str, ...] | None:
        """A name that nothing has is a slip of the hand: to say `0 sessions` of it would be a false comfort."""
        if connection is not None:
            of_connection = SessionQuery(connection_ids=(connection,))
            if self._site.connections.get(connection) is None and not _do(
                self._site.store.find_sessions, of_connection, limit=1
            ):
                raise SessionChoiceRefused(f"there is no connection {connection!r}, and no session of one")
            return (connection,)
        if organization is not None:
            found = tuple(known.id for known in self._site.connections if known.organization == organization)
            if not found:
                raise SessionChoiceRefused(f"no connection is of the organization {organization!r}")
            return found
        return None

    def _check_unambiguous(self, query: SessionQuery) -> None:
        if query.session_id is not None and len(_do(self._site.store.find_sessions, query, limit=2)) > 1:
            raise SessionChoiceRefused("more than one session's id begins so: give more of it")

    # What is told

    def _state_of(self, session: Session) -> State:
        if self._site.connections.get(session.connection_id) is None:
            return "dormant"
        return judge_session(self._site, Remembered(session), self._site.now())

    def _summary(self, session: Session) -> SessionSummary:
        connection = self._site.connections.get(session.connection_id)
        return SessionSummary(
            id=session.id[:SHORT_ID],
            connection=session.connection_id,
            organization=None if connection is None else connection.organization,
            email=session.email,
            device=session.device,
            created_at=session.created_at or session.authenticated_at,
            authenticated_at=session.authenticated_at,
            last_seen=session.last_seen,
            expires_at=session.expires_at,
            state=self._state_of(session),
        )

    def _tell(self, code: str, query: SessionQuery, organization: str | None, number: int, actor: str | None) -> None:
        ids = query.connection_ids or ()
        told: Mapping[str, str | None] = {
            "number": str(number),
            "session": query.session_id and query.session_id[:SHORT_ID],
            "organization": organization,
            "actor": actor,
        }
        event = Event(
            code=code,
            at=self._site.now(),
            connection_id=ids[0] if len(ids) == 1 else None,
            email=query.email,
            detail={name: value for name, value in told.items() if value},
        )
        if query == SessionQuery():
            event = replace(event, detail={**event.detail, "whose": "everyone's"})
        elif query.principal_key is not None:
            event = replace(event, detail={**event.detail, "whose": "one person's, by key"})
        run(record(self._site, call_blocking, event, logging.INFO))


def _read_id(text: str) -> str:
    """An id or its beginning, as `list` shows it."""
    id = text.strip().lower()
    if len(id) < SHORTEST_ID or not id.isalnum():
        raise SessionChoiceRefused(f"a session is named by at least the first {SHORTEST_ID} characters of its id")
    return id


def _read_address(text: str) -> str:
    try:
        return read_email(text.strip()).address
    except EmailInvalid:
        raise SessionChoiceRefused(
            "a person is named by their e-mail address, or by their principal's key and the connection"
        ) from None


def _do(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """A method of a store, plain or async, in this thread."""
    return cast("T", run(call_blocking(fn, *args, **kwargs)))
