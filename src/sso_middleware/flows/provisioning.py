"""From a verified assertion to a person: read the identity, ask the host, remember the link."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping

from ..addresses import read_email
from ..attribute_reading import StatedAttributes, read_attributes, tell_missing, values_by_name
from ..calling import Call
from ..connections import Connection
from ..errors import (
    AttributeMissing,
    EmailInvalid,
    EmailOutsideDomains,
    HookFailed,
    ProvisioningRejected,
    TransientNameId,
)
from ..hooks import Continue, Identity, Link, Reject
from ..principal import Principal
from ..saml.assertion import NAME_ID_EMAIL, NAME_ID_TRANSIENT, Assertion
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
    name_id = assertion.name_id
    if name_id.format == NAME_ID_TRANSIENT:
        raise TransientNameId("the NameID is transient, and this connection maps no principal id attribute")
    parts = ["name_id", name_id.format, name_id.name_qualifier, name_id.sp_name_qualifier, name_id.value]
    return json.dumps(parts, ensure_ascii=False)


def attempt_id(connection: Connection, assertion: Assertion) -> str:
    """The same for the same login, however often the hook is asked."""
    return hashlib.sha256(f"{connection.id}\n{assertion.id}".encode()).hexdigest()[:32]


async def provision(site: Site, call: Call, identity: Identity) -> Principal:
    """Ask the host. Raises ProvisioningRejected, HookFailed."""
    user_id = identity.user_id
    decision: object = await ask_host(call, site.hooks.provision, identity)
    match decision:
        case Continue():
            pass
        case Link(linked):
            if linked != user_id:
                await call(site.store.put_link, identity.connection_id, identity.key, linked, site.now())
            user_id = linked
        case Reject(reason, message):
            raise ProvisioningRejected(reason, message)
        case _:
            log.error("the hook provision answered with %s", type(decision).__name__)
            raise HookFailed("provision must answer Continue, Link or Reject")
    return Principal(
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
