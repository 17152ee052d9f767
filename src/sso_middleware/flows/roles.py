"""Give somebody the roles that their connection's mapping says, at each sign-in and renewal; refuse who has none.

Which those are is the rule's to say (`..roles`). Here is decided when it is asked, and in which order what comes of
it is told, so that stopping anywhere is safe:

    check_roles:  the rule; who has none is refused before the host is asked, and what they had is taken away
    give_roles:   after `provision`: what is about to change is noted -> the hook -> other sessions -> our record
                  -> the principal, whose session is opened last

Where a hook fails, or a process ends, whether the host has done as it was told is not known. So the next time it is
told to give what it may not have given, and to take away all that it may have given, whatever the roles are by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..addresses import read_email
from ..calling import Call
from ..connections import Connection
from ..errors import EmailInvalid, LoginRefused, RolesMissing, RolesOverage, RolesUnmatched
from ..hooks import HostUser, Identity, RoleAssignment
from ..principal import Principal
from ..roles import ACCOUNT, Granted, Grants, NothingGranted, difference, intersection, tell_grants, union
from ..stores.role_records import GivenRoles, ManagedPerson
from ..stores.session_records import SessionQuery
from ..web import Request
from .reporting import ask_host, report
from .site import Site

SHOW = "`sso-middleware roles explain {0}` says what follows from which values"


def decide_roles(connection: Connection, identity: Identity) -> Granted | NothingGranted:
    return connection.roles.decide(identity.roles, has_overage=identity.roles_overage)


async def check_roles(site: Site, request: Request, call: Call, connection: Connection, identity: Identity) -> None:
    """Raises RolesMissing, RolesUnmatched, RolesOverage. `identity` has the user that the person is, if any."""
    if not connection.roles.authorization:
        return
    decision = decide_roles(connection, identity)
    if not isinstance(decision, NothingGranted):
        return
    if decision.is_known:
        given = await call(site.store.get_given_roles, connection.id, identity.key)
        if given.grants or given.perhaps:
            await _hand_over(site, request, call, identity, {}, given)
    raise refusal_of(decision, connection, identity)


def refusal_of(decision: NothingGranted, connection: Connection, identity: Identity) -> LoginRefused:
    show = SHOW.format(connection.id)
    if decision.reason == "roles_overage":
        return RolesOverage("a link came in place of the groups: have fewer sent, such as those of the app only")
    if decision.reason == "roles_missing":
        return RolesMissing(f"no value of the roles attribute came (attributes.roles of connection {connection.id!r})")
    if decision.withheld:
        return RolesUnmatched(f"what the matched mapping roles grant may not be granted; {show}")
    number = len(identity.roles)
    return RolesUnmatched(f"none of the {number} values is the name of a mapping role, to the letter; {show}")


async def give_roles(
    site: Site, request: Request, call: Call, connection: Connection, identity: Identity, principal: Principal
) -> Principal:
    """The principal with its roles. Raises HookFailed; then nothing is changed, and nobody signed in."""
    given = await call(site.store.get_given_roles, connection.id, principal.key)
    if not connection.roles.authorization:
        # As they were: whatever was given stays, until the host decides otherwise.
        return replace(principal, roles=connection.roles.plain(identity.roles), grants=given.grants or {})
    decision = decide_roles(connection, identity)
    if isinstance(decision, NothingGranted):  # check_roles has said so before
        raise refusal_of(decision, connection, identity)
    if decision.withheld:
        await report(
            site,
            request,
            call,
            "roles_withheld",
            connection_id=connection.id,
            email=principal.email,
            is_trouble=True,
            detail={"roles": tell_grants(decision.withheld)},
        )
    identity = replace(identity, key=principal.key, email=principal.email, user_id=principal.user_id)
    await _hand_over(site, request, call, identity, decision.grants, given)
    return replace(principal, roles=decision.grants.get(ACCOUNT, ()), grants=decision.grants)


async def _hand_over(
    site: Site, request: Request, call: Call, identity: Identity, grants: Grants, given: GivenRoles
) -> None:
    before = given.grants or {}
    possible = union([before, given.perhaps])
    certain = intersection(before, grants)
    is_changed = given.grants != grants or bool(given.perhaps)
    assignment = RoleAssignment(
        connection_id=identity.connection_id,
        organization=identity.organization,
        key=identity.key,
        email=identity.email,
        user_id=identity.user_id,
        grants=grants,
        added=difference(grants, before),
        removed=difference(possible, grants),
        attempt_id=identity.attempt_id,
    )
    person = identity.connection_id, identity.key
    if is_changed:
        await call(site.store.put_grants, *person, certain, difference(union([possible, grants]), certain))
    await ask_host(call, site.hooks.assign_roles, assignment)
    if not is_changed:
        return
    if assignment.removed:  # whatever else they have open goes on only after the identity provider has been asked
        theirs = SessionQuery(connection_ids=(identity.connection_id,), principal_key=identity.key)
        await call(site.store.make_sessions_stale, theirs, site.now())
    await call(site.store.put_grants, *person, grants, {})
    told = {"added": tell_grants(assignment.added), "removed": tell_grants(assignment.removed)}
    if any(told.values()):
        await report(
            site,
            request,
            call,
            "roles_changed",
            connection_id=identity.connection_id,
            email=identity.email,
            detail={name: text for name, text in told.items() if text},
        )


async def is_managed(site: Site, call: Call, connection: Connection, host_user: HostUser) -> bool:
    """Whether this user of the host's has their roles by this connection."""
    return bool(await find_managed(site, call, [connection], host_user))


async def find_managed(
    site: Site, call: Call, connections: Iterable[Connection], host_user: HostUser
) -> Sequence[ManagedPerson]:
    """Who of the people that have their roles by these connections this user of the host's is.

    By user id or by e-mail address, whichever is known.
    """
    try:
        email = read_email(host_user.email).address
    except EmailInvalid:
        email = None
    ids = [known.id for known in connections if known.roles.authorization and known.admits(email or "")]
    user_id = host_user.user_id or None
    if not ids or (email is None and user_id is None):
        return ()
    return await call(site.store.find_managed_people, ids, email=email, user_id=user_id)
