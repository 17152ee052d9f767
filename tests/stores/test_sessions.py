"""Logout requests that we sent, in each store. Sessions are test_session_records.py's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sso_middleware.stores.records import Store
from sso_middleware.stores.session_records import SentLogoutRequest

NOW = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)
SENT = SentLogoutRequest("_l1", "acme", "browser", NOW, NOW + timedelta(minutes=1))


def test_a_logout_request_may_be_looked_at_until_it_is_taken(store: Store) -> None:
    """Looking changes nothing; another connection takes nothing; and it is taken once."""
    store.add_logout_request(SENT)

    assert store.get_logout_request("_l1", NOW) == store.get_logout_request("_l1", NOW) == SENT
    assert store.get_logout_request("_l2", NOW) is None
    assert store.take_logout_request("_l1", "globex", NOW) is None
    assert store.take_logout_request("_l1", "acme", NOW) == SENT
    assert store.take_logout_request("_l1", "acme", NOW) is None
    assert store.get_logout_request("_l1", NOW) is None


def test_a_logout_request_is_not_waited_for_after_its_end(store: Store) -> None:
    """To the instant."""
    store.add_logout_request(SENT)

    assert store.get_logout_request("_l1", SENT.expires_at - timedelta(microseconds=1)) == SENT
    assert store.get_logout_request("_l1", SENT.expires_at) is None
    assert store.take_logout_request("_l1", "acme", SENT.expires_at) is None
