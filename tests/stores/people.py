"""What tests of people have in common: who comes, and whom the store knows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sso_middleware.people_rules import rule_of
from sso_middleware.saml.assertion import NAME_ID_EMAIL, NAME_ID_PERSISTENT
from sso_middleware.stores.people_records import Arriving, Known, New, Person
from sso_middleware.stores.sql import SqlStore

NOW = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)


def name_id_key(value: str, format: str = NAME_ID_PERSISTENT) -> str:
    return json.dumps(["name_id", format, None, None, value])


def address_key(address: str) -> str:
    return name_id_key(address, NAME_ID_EMAIL)


def principal_key(value: str) -> str:
    return json.dumps(["principal_id", value])


def arriving(name: str = "ada", **changes: Any) -> Arriving:
    """`name` comes with a persistent NameID of hers, by connection `acme`."""
    values: dict[str, Any] = {
        "connection_id": "acme",
        "key": name_id_key(name),
        "email": f"{name}@acme.example",
        "first_name": name.title(),
        "last_name": f"{name.title()}son",
        "new_id": f"person-{name}",
        "at": NOW,
        "name_id": f"hash of {name}",
        **changes,
    }
    return Arriving(**values)


def came(store: SqlStore, name: str = "ada", *, fallback: bool = False, **changes: Any) -> Person:
    """Who that is by now; it must be clear."""
    decision = store.arrive(arriving(name, **changes), rule_of(secondary_email_fallback=fallback))
    assert isinstance(decision, New | Known), decision
    return decision.person
