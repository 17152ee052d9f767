"""Certificates that end: told at 60, 30, 7 and 1 days, once each, and nothing stops working."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.identity_provider import IdentityProvider, make_signer
from tests.metadata_refreshing import url_connection

from sso_middleware import Event, Settings
from sso_middleware.certificate_expiry import warn_of_certificates
from sso_middleware.connections import Connections, read_connections
from sso_middleware.stores.sql import SqlStore

END = datetime(2049, 1, 1, tzinfo=UTC)
"""Of every certificate of the tests' identity providers."""
IDP = IdentityProvider()


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    store = SqlStore(database_url)
    yield store
    store.close()


@pytest.fixture
def connections() -> Connections:
    connection = {"id": "acme", "organization": "Acme", "domains": ["acme.example"], "metadata": IDP.metadata}
    values = {"base_url": "https://app.example", "secret_keys": ["k3Jx0vQm8TzR5nLw2YbHs7UdGc4PfEa1"]}
    return read_connections(Settings(**values, connections=[connection, url_connection("globex")]), END)


def test_each_step_is_told_once(store: SqlStore, connections: Connections) -> None:
    """However often it is looked at, and by however many processes."""
    told: list[Event] = []
    for day in range(-70, 40):
        for _ in range(2):
            warn_of_certificates(connections, [], store, told.append, END + timedelta(days=day))
    assert [(event.at - END).days for event in told] == [-60, -30, -7, -1]
    assert {(event.code, event.connection_id) for event in told} == {("idp_certificate_expiring", "acme")}
    assert [event.detail["days_left"] for event in told] == ["60", "30", "7", "1"]
    assert {event.detail["ends"] for event in told} == {"2049-01-01"}


def test_whoever_starts_late_is_told_the_nearest_step_only(store: SqlStore, connections: Connections) -> None:
    """One event, not four."""
    told: list[Event] = []
    warn_of_certificates(connections, [], store, told.append, END - timedelta(hours=5))
    assert [event.detail["days_left"] for event in told] == ["0"]


def test_our_own_certificates_are_told_too(store: SqlStore) -> None:
    """An identity provider may be stricter about dates than we are."""
    told: list[Event] = []
    warn_of_certificates([], [make_signer("own").certificate], store, told.append, END - timedelta(days=20))
    assert [(event.code, event.connection_id) for event in told] == [("own_certificate_expiring", None)]
