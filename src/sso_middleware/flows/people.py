"""Find the person that an identity is about, or make them: what `people_rules` decides, kept by the store.

What the host makes of them is `provisioning`'s.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict

from ..calling import Call
from ..connections import Connection
from ..errors import PersonConflict, PrincipalShared
from ..hooks import Identity
from ..people_rules import SHORT_ID, rule_of
from ..saml.assertion import NAME_ID_PERSISTENT, Assertion
from ..stores.people_records import Arriving, Known, Person, Stopped
from ..tokens import hash_token
from ..web import Request
from .provisioning import name_id_key
from .reporting import report
from .site import Site

_STOPS = {"person_conflict": PersonConflict, "principal_shared": PrincipalShared}


class AnotherPerson(Exception):
    """At the renewal of a session: who has come is not its person. Nothing was changed."""


async def find_person(
    site: Site,
    request: Request,
    call: Call,
    connection: Connection,
    assertion: Assertion,
    identity: Identity,
    *,
    expected_key: str | None = None,
) -> Person:
    """Who has come; with what is new about them. Raises PersonConflict, PrincipalShared: then nothing is changed.

    AnotherPerson, and nothing is changed, if it is not the one that `expected_key` (of a session) stands for.
    """
    rule = rule_of(secondary_email_fallback=connection.secondary_email_fallback, expected_key=expected_key)
    decision = await call(site.store.arrive, _arriving(site, connection, assertion, identity), rule)
    if decision is None:
        raise AnotherPerson
    if isinstance(decision, Stopped):
        raise _STOPS[decision.reason](f"{decision.why}: see `sso-middleware people`")
    if isinstance(decision, Known) and decision.person.former_email != decision.before.former_email:
        await report(
            site,
            request,
            call,
            "person_email_changed",
            connection_id=connection.id,
            email=decision.person.email,
            detail={"person": decision.person.id[:SHORT_ID]},
        )
    return decision.person


def _arriving(site: Site, connection: Connection, assertion: Assertion, identity: Identity) -> Arriving:
    """`identity` has the key and the addresses that the assertion brings."""
    name_id = assertion.name_id
    is_persistent = name_id.format == NAME_ID_PERSISTENT
    return Arriving(
        connection_id=connection.id,
        key=identity.key,
        email=identity.email,
        secondary_email=identity.secondary_email,
        first_name=identity.first_name,
        last_name=identity.last_name,
        name_id=hash_token(json.dumps(asdict(name_id))) if is_persistent else None,
        name_id_key=name_id_key(name_id) if connection.attributes.principal_id else None,
        new_id=secrets.token_hex(16),
        at=site.now(),
    )
