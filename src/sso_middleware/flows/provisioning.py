"""From a verified assertion to a person: read the identity, ask the host, remember the link."""

from __future__ import annotations

import hashlib
import json
import logging

from ..addresses import read_email
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


def read_identity(assertion: Assertion, connection: Connection) -> Identity:
    """Who this is. Raises AttributeMissing, EmailInvalid, EmailOutsideDomains, TransientNameId.

    Attributes are found by their exact Name (TEN-012). The e-mail falls back on a NameID that is
    declared to be one. The user id of an earlier link is the caller's to fill in.
    """
    held = values_by_name(assertion)
    names = connection.attributes

    def first_exact(name: str | None) -> str:
        return next((value for value in held.get(name or "", ()) if value.strip()), "")

    def first(name: str | None) -> str:
        return first_exact(name).strip()

    email = first(names.email)
    if not email and assertion.name_id.format == NAME_ID_EMAIL:
        email = assertion.name_id.value
    identity = Identity(
        connection_id=connection.id,
        organization=connection.organization,
        key=principal_key(assertion, first_exact(names.principal_id) if names.principal_id else None),
        email=_email_within(email, connection) if email else "",
        first_name=first(names.first_name),
        last_name=first(names.last_name),
        country=first(names.country) or None,
        department=first(names.department) or None,
        roles=tuple(value.strip() for value in held.get(names.roles or "", ()) if value.strip()),
        attributes=held,
        user_id=None,
        attempt_id=attempt_id(connection, assertion),
    )
    missing = [
        f"{field}: expected an attribute named {name!r}"
        for field, name in (("email", names.email), ("first_name", names.first_name), ("last_name", names.last_name))
        if field in connection.required_attributes and not getattr(identity, field)
    ]
    if missing:  # all at once, so that they can be put right at once
        raise AttributeMissing(f"the assertion has no value for {'; for '.join(missing)}")
    return identity


def values_by_name(assertion: Assertion) -> dict[str, tuple[str, ...]]:
    """All values of an attribute in document order; a repeated attribute adds to them (Keycloak, PRO-047)."""
    held: dict[str, tuple[str, ...]] = {}
    for attribute in assertion.attributes:
        held[attribute.name] = (*held.get(attribute.name, ()), *attribute.values)
    return held


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


def _email_within(text: str, connection: Connection) -> str:
    try:
        email = read_email(text)
    except EmailInvalid:
        raise EmailInvalid("the asserted e-mail address is not one address of an ordinary form") from None
    if not connection.has_domain(email.domain):
        raise EmailOutsideDomains(f"the domain {email.domain} is not one of connection {connection.id!r}")
    return email.address
