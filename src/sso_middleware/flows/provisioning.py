"""Read an identity from a verified assertion, and ask the host about it: `provision`, one sign-in at a time.

Which person the identity is about is `people`'s to find; in which order it all happens is `arriving`'s to say.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import replace

from ..addresses import read_email
from ..attribute_reading import StatedAttributes, read_attributes, tell_missing, values_by_name
from ..calling import Call
from ..connections import Connection
from ..errors import (
    AttributeMissing,
    EmailInvalid,
    EmailOutsideDomains,
    HookFailed,
    InvitationNeeded,
    PersonBusy,
    ProvisioningRejected,
    TransientNameId,
    UserLinkedTwice,
)
from ..hooks import Continue, Identity, Link, Reject, has_provision
from ..people_rules import SHORT_ID
from ..saml.assertion import NAME_ID_EMAIL, NAME_ID_TRANSIENT, Assertion, NameID
from ..stores.people_records import LinkedTwice, Person
from .reporting import ask_host
from .site import Site

log = logging.getLogger("sso_middleware")

REQUIRED = ("email", "first_name", "last_name")
"""What a connection may require, in the order in which it is told."""


def read_identity(assertion: Assertion, connection: Connection) -> Identity:
    """Who this is. Raises AttributeMissing, AttributeAmbiguous, EmailInvalid, EmailOutsideDomains, TransientNameId.

    Attributes are found by their exact Name (TEN-012). The e-mail falls back on a NameID that is
    declared to be one. The user id of an earlier link is the caller's to fill in.
    """
    stated = read_attributes(assertion.attributes, connection.attributes)
    email = stated.email
    if not email and assertion.name_id.format == NAME_ID_EMAIL:
        email = assertion.name_id.value
    _check_required(assertion, connection, {**_fields_of(stated), "email": email})
    key = principal_key(assertion, stated.principal_id)
    address = _email_within(email, connection)
    return Identity(
        connection_id=connection.id,
        organization=connection.organization,
        key=key,
        email=address,
        first_name=stated.first_name,
        last_name=stated.last_name,
        country=connection.profile.country_of(stated.country).code,
        department=stated.department or None,
        team=connection.profile.team_of(stated.department),
        secondary_email=_secondary_email(stated.secondary_email, address, connection),
        roles=stated.roles,
        roles_overage=stated.roles_overage,
        attributes=values_by_name(assertion.attributes),
        user_id=None,
        attempt_id=attempt_id(connection, assertion),
    )


def _fields_of(stated: StatedAttributes) -> dict[str, str | None]:
    return {
        "first_name": stated.first_name,
        "last_name": stated.last_name,
        "principal_id": stated.principal_id,
    }


def _check_required(assertion: Assertion, connection: Connection, came: Mapping[str, str | None]) -> None:
    """All that is missing at once, so that it can be put right at once. A principal id is needed once it is named."""
    required = [field for field in REQUIRED if field in connection.required_attributes]
    if connection.attributes.principal_id is not None:
        required.append("principal_id")
    missing = [field for field in required if not came[field]]
    if missing:
        raise AttributeMissing(tell_missing(missing, connection.attributes, assertion.attributes))


def principal_key(assertion: Assertion, principal_id: str | None) -> str:
    """What stays the same for a person: the principal id attribute, else the whole NameID (TEN-010).

    Format and qualifiers are part of a NameID: the same text under another of them is somebody else.
    `principal_id` is None where the connection names no such attribute, and empty if it did not come.
    """
    if principal_id:
        return json.dumps(["principal_id", principal_id], ensure_ascii=False)
    if principal_id is not None:
        raise AttributeMissing("the principal id attribute of this connection did not come")
    key = name_id_key(assertion.name_id)
    if key is None:
        raise TransientNameId("the NameID is transient, and this connection maps no principal id attribute")
    return key


def name_id_key(name_id: NameID) -> str | None:
    """None for a transient one, which is another the next time."""
    if name_id.format == NAME_ID_TRANSIENT:
        return None
    parts = ["name_id", name_id.format, name_id.name_qualifier, name_id.sp_name_qualifier, name_id.value]
    return json.dumps(parts, ensure_ascii=False)


def attempt_id(connection: Connection, assertion: Assertion) -> str:
    """The same for the same login, however often the hook is asked."""
    return hashlib.sha256(f"{connection.id}\n{assertion.id}".encode()).hexdigest()[:32]


# What the host is asked

TOLD = ("email", "secondary_email", "first_name", "last_name", "country", "department", "team", "roles")
"""What is remembered of what the host was told, so that the next time it hears what has changed."""
WAITS_FOR = 5.0
"""Seconds, for another first sign-in of the same person, which asks the host just now."""
LOOKS_EVERY = 0.1


def told_before(identity: Identity, told: Mapping[str, object] | None) -> Identity:
    """The same, with what has changed since the host last said yes. What it was never told of is no change."""
    is_new = told is None and identity.user_id is None
    if told is None:
        return replace(identity, changed=frozenset(), is_new=is_new)
    now = telling(identity)
    changed = frozenset(name for name in TOLD if name in told and told[name] != now[name])
    return replace(identity, changed=changed, is_new=is_new)


def telling(identity: Identity) -> dict[str, object]:
    """As JSON keeps it."""
    return {**{name: getattr(identity, name) for name in TOLD}, "roles": list(identity.roles)}


async def provision(site: Site, call: Call, identity: Identity, person: Person) -> str | None:
    """Ask the host; the user that the person is, if any.

    Raises ProvisioningRejected, InvitationNeeded, UserLinkedTwice, HookFailed, PersonBusy.
    """
    if not has_provision(site.hooks):
        return person.user_id  # there is nothing to make twice, and nobody to tell
    try:
        identity = await _wait_for_our_turn(site, call, identity, person)
        decision: object = await ask_host(call, site.hooks.provision, identity)
        user_id = _user_of(decision, identity)
        if user_id != identity.user_id or identity.user_id is None or person.told != telling(identity):
            await _keep(site, call, identity, person, user_id)
    except Exception:  # whatever a store raises: the next one need not wait for us
        await _let_others_ask(site, call, identity, person)
        raise
    return user_id


async def _let_others_ask(site: Site, call: Call, identity: Identity, person: Person) -> None:
    """A worker that dies before this leaves it to the claim to end by itself, and so does a store that is down."""
    try:
        if person.user_id is None:
            await call(site.store.end_provisioning, person.id, identity.attempt_id)
    except Exception as error:  # what is to be told is why it came to this
        log.error("a claim is left to end by itself: %s", type(error).__name__)


async def _wait_for_our_turn(site: Site, call: Call, identity: Identity, person: Person) -> Identity:
    """Two first sign-ins at once: the second one is asked about with the user that the first one's answer made."""
    if identity.user_id is not None:
        return identity
    for _ in range(round(WAITS_FOR / LOOKS_EVERY) + 1):
        now = site.now()
        until = now + site.settings.hook_timeout
        claim = await call(site.store.claim_provisioning, person.id, identity.attempt_id, now, until)
        if claim is None:
            raise PersonBusy("the person was merged or forgotten at this very moment")
        if claim.is_granted:
            return identity if claim.user_id is None else replace(identity, user_id=claim.user_id, is_new=False)
        await call(site.pause, LOOKS_EVERY)
    raise PersonBusy(f"another sign-in has been asking the host about this person for {WAITS_FOR:.0f} seconds")


def _user_of(decision: object, identity: Identity) -> str | None:
    match decision:
        case Link(str(user_id)) if user_id:
            return user_id
        case Reject(reason, message):
            raise ProvisioningRejected(reason, message)
        case Continue() if identity.user_id is None and not identity.may_create:
            raise InvitationNeeded("just_in_time is off, and provision named no user of the app's")
        case Continue():
            return identity.user_id
        case _:
            log.error("the hook provision answered with %s", type(decision).__name__)
            raise HookFailed("provision must answer Continue, Link or Reject")


async def _keep(site: Site, call: Call, identity: Identity, person: Person, user_id: str | None) -> None:
    kept = await call(
        site.store.keep_provisioned,
        person.id,
        identity.attempt_id,
        user_id=user_id,
        told=telling(identity),
        now=site.now(),
    )
    if kept is None:
        raise PersonBusy("the person was merged or forgotten at this very moment")
    if isinstance(kept, LinkedTwice):
        raise UserLinkedTwice(
            f"provision linked person {person.id[:SHORT_ID]} to the user that person {kept.person_id[:SHORT_ID]} is"
            " linked to: see `sso-middleware people`"
        )
    if person.user_id is not None and user_id != person.user_id:
        site.sessions.forget_all_now()  # the person's other sessions are renewed before they are used again


# Addresses


def _secondary_email(text: str, email: str, connection: Connection) -> str | None:
    """One of another domain, or that is none, never says who a person is; it refuses nobody, either."""
    try:
        secondary = _email_within(text, connection) if text else email
    except (EmailInvalid, EmailOutsideDomains):
        return None
    return None if secondary == email else secondary


def _email_within(text: str, connection: Connection) -> str:
    try:
        email = read_email(text)
    except EmailInvalid:
        raise EmailInvalid("the asserted e-mail address is not one address of an ordinary form") from None
    if not connection.has_domain(email.domain):
        raise EmailOutsideDomains(f"the domain {email.domain} is not one of connection {connection.id!r}")
    return email.address
