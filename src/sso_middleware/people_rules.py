"""Decide whom an assertion is about: somebody who is known, somebody new, or nobody that can be told for sure.

Pure, and of one connection: the store finds who is known by a key or an address, and keeps what is decided
here (`stores.people_records`). Two people are never made one by a rule, nor one person two: what is not clear is
stopped, for an admin to settle.
"""

from __future__ import annotations

import json
from dataclasses import replace

from .saml.assertion import NAME_ID_EMAIL
from .stores.people_records import Arriving, Decision, Found, Known, New, Person, Rule, Stopped

SHORT_ID = 12
"""Characters of a person's id that are shown."""


def rule_of(*, secondary_email_fallback: bool, expected_key: str | None = None) -> Rule:
    """The rule of one connection. With `expected_key` (of a session that is renewed) anybody else is None."""

    def rule(arriving: Arriving, found: Found) -> Decision | None:
        decision = decide(arriving, found, secondary_email_fallback=secondary_email_fallback)
        person = found.by_key if isinstance(decision, Stopped) else decision.person
        is_other = expected_key is not None and person is not None and person.key != expected_key
        return None if is_other else decision

    return rule


def decide(arriving: Arriving, found: Found, *, secondary_email_fallback: bool) -> Decision:
    """Without the fallback a key says who somebody is, and an address only who they can't be."""
    owners = _owners(found, secondary_email_fallback)
    known = found.by_key or _known_before_principal_ids(found)
    if known is not None:
        if found.by_key is not None and is_shared(arriving, known):
            return Stopped("principal_shared", f"what came under a key of {_named(known)} is about somebody else")
        return _go_on(arriving, known, owners, secondary_email_fallback)
    if not owners:
        return New(_new(arriving, secondary_email_fallback))
    if not secondary_email_fallback:
        (owner,) = owners
        return Stopped("person_conflict", f"a key that nobody has, with the e-mail address of {_named(owner)}")
    return _go_on(arriving, owners[0], owners, secondary_email_fallback)


def is_shared(arriving: Arriving, known: Person) -> bool:
    """Whether two people come under one principal value, as far as that can be told.

    With an address in common they are one. Else they are two if the persistent NameID is another one and so is the
    address; or if address, first name and last name all are. What one side does not say differs from nothing.
    """
    if arriving.emails & known.emails or not _differ(arriving.email, known.email):
        return False
    names_differ = _differ(arriving.first_name, known.first_name) and _differ(arriving.last_name, known.last_name)
    return _differ(arriving.name_id or "", known.name_id or "") or names_differ


def is_address(key: str) -> bool:
    """Whether this key is an e-mail address: then a changed address is a new key, and a new person."""
    kind, *parts = json.loads(key)
    return bool(kind == "name_id" and parts[0] == NAME_ID_EMAIL)


def key_is_address(principal_id: str | None, name_id_format: str | None) -> bool:
    """Whether a connection with these settings asks for addresses as the keys of people."""
    return principal_id is None and name_id_format == NAME_ID_EMAIL


def _owners(found: Found, secondary_email_fallback: bool) -> tuple[Person, ...]:
    """Who has the addresses that came: each person once."""
    owners = [found.by_email, found.by_secondary_email if secondary_email_fallback else None]
    return tuple({owner.id: owner for owner in owners if owner is not None}.values())


def _known_before_principal_ids(found: Found) -> Person | None:
    """The connection maps a principal id by now: whoever was known by their NameID alone still is."""
    known = found.by_name_id_key
    if known is None or any(json.loads(key)[0] == "principal_id" for key in known.keys):
        return None
    return known


def _go_on(
    arriving: Arriving, known: Person, owners: tuple[Person, ...], secondary_email_fallback: bool
) -> Known | Stopped:
    others = [owner for owner in owners if owner.id != known.id]
    if others:
        return Stopped("person_conflict", f"{_named(known)}, with an e-mail address of {_named(others[0])}")
    follows = arriving.email != known.email
    return Known(
        known,
        replace(
            known,
            keys=known.keys if arriving.key in known.keys else (*known.keys, arriving.key),
            email=arriving.email,
            former_email=(known.email or known.former_email) if follows else known.former_email,
            email_changed_at=arriving.at if follows and known.email else known.email_changed_at,
            secondary_email=_secondary(arriving, secondary_email_fallback),
            first_name=arriving.first_name,
            last_name=arriving.last_name,
            name_id=arriving.name_id or known.name_id,
            seen_at=arriving.at,
        ),
    )


def _new(arriving: Arriving, secondary_email_fallback: bool) -> Person:
    return Person(
        id=arriving.new_id,
        connection_id=arriving.connection_id,
        keys=(arriving.key,),
        email=arriving.email,
        secondary_email=_secondary(arriving, secondary_email_fallback),
        first_name=arriving.first_name,
        last_name=arriving.last_name,
        name_id=arriving.name_id,
        created_at=arriving.at,
        seen_at=arriving.at,
    )


def _secondary(arriving: Arriving, counts: bool) -> str | None:
    """Kept only where it finds somebody: else it would be in the way of whoever it belongs to."""
    return arriving.secondary_email if counts and arriving.secondary_email != arriving.email else None


def _differ(one: str, other: str) -> bool:
    return bool(one and other) and one.casefold() != other.casefold()


def _named(person: Person) -> str:
    return f"person {person.id[:SHORT_ID]}"
