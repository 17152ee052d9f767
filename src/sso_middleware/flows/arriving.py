"""From a verified assertion to a principal: the one way on which anybody comes in, at a sign-in and at a renewal.

The order is the rule. First who the identity provider says it is, then which person that is; only then is anything
asked of them, and the host last of all, who is told everything at once:

    arrive:   read the identity -> find the person -> add what they answered before
    welcome:  ask the host -> give the roles -> the principal
    confirm:  once the session is there, that all of it is still so
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..calling import Call
from ..connections import Connection
from ..errors import EmailOutsideDomains, NotATestUser, PersonBusy
from ..hooks import Identity
from ..principal import Principal
from ..profile_answers import with_answers
from ..saml.assertion import Assertion
from ..stores.people_records import PeopleQuery, Person
from ..web import Cookie, Request
from .people import find_person
from .provisioning import provision, read_identity, told_before
from .roles import check_roles, give_roles
from .sessions import withdraw_session
from .site import Site


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody whom the identity provider has vouched for, and whom we know; the host was not asked yet."""

    connection: Connection
    asserted: Identity
    """As the identity provider says."""
    identity: Identity
    """As the host is to be told: with what the person answered on the first-login page."""
    person: Person


async def arrive(
    site: Site,
    request: Request,
    call: Call,
    connection: Connection,
    assertion: Assertion,
    *,
    expected_key: str | None = None,
) -> Arrival:
    """Who has come. Raises LoginRefused, and AnotherPerson if it is not the one of `expected_key`."""
    asserted = read_identity(assertion, connection)
    if site.connections.is_of_another(asserted.email.rpartition("@")[2], connection):
        raise EmailOutsideDomains("the domain is another connection's")
    if not connection.admits(asserted.email):
        raise NotATestUser(f"connection {connection.id!r} is in the state {connection.state}")
    person = await find_person(site, request, call, connection, assertion, asserted, expected_key=expected_key)
    identity = replace(
        asserted,
        key=person.key,
        user_id=person.user_id,
        former_email=person.former_email,
        may_create=connection.just_in_time,
    )
    await check_roles(site, request, call, connection, identity)
    return Arrival(connection, asserted, with_answers(identity, person.answers, connection.profile), person)


async def welcome(site: Site, request: Request, call: Call, arrival: Arrival) -> Principal:
    """Ask the host, and make the principal. Raises LoginRefused, HookFailed."""
    identity = told_before(arrival.identity, arrival.person.told)
    user_id = await provision(site, call, identity, arrival.person)
    principal = Principal(
        connection_id=identity.connection_id,
        organization=identity.organization,
        key=identity.key,
        email=identity.email,
        first_name=identity.first_name,
        last_name=identity.last_name,
        user_id=user_id,
        roles=identity.roles,
        attributes=identity.attributes,
    )
    return await give_roles(site, request, call, arrival.connection, identity, principal)


async def confirm(site: Site, call: Call, principal: Principal, cookie: Cookie) -> None:
    """Whoever was unlinked, merged, forgotten or linked anew in this very moment gets no session of before that.

    An admin's step ends the sessions that it finds, and the one of `cookie` was not there then. Raises PersonBusy.
    """
    query = PeopleQuery(connection_ids=(principal.connection_id,), key=principal.key)
    for person in await call(site.store.find_people, query):
        if person.key == principal.key and principal.user_id in (None, person.user_id):
            return
    await withdraw_session(site, call, cookie)
    raise PersonBusy("the person was unlinked, merged, forgotten or linked anew at this very moment")
