"""`sso.sessions`: which sessions are meant, what is told of them, and what is not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.stores.test_session_records import session
from tests.world import World

from sso_middleware.errors import SessionChoiceRefused
from sso_middleware.live_sessions import LiveSessions
from sso_middleware.stores.session_records import SessionQuery


def sessions_of(world: World) -> LiveSessions:
    return world.sso.sessions


def test_the_list_says_what_an_admin_may_know(world: World) -> None:
    """Who, by what, since when and until when; newest first."""
    world.sign_in()
    signed_in_at = world.now
    world.wait(minutes=5)
    assert world.first_browser.get("/report").status == 200
    seen_at = world.now
    world.wait(seconds=30)
    phone = world.browser()
    world.sign_in("bob@acme.example", phone)

    bob, ada = sessions_of(world).list()

    assert (ada.email, bob.email) == ("ada@acme.example", "bob@acme.example")
    assert (ada.connection, ada.organization, ada.device, ada.state) == ("acme", "Acme", "desktop", "live")
    assert ada.created_at == ada.authenticated_at == signed_in_at
    assert (ada.last_seen, bob.last_seen) == (seen_at, world.now)
    assert ada.expires_at > world.now
    assert len(ada.id) == 12
    assert [each.email for each in sessions_of(world).list(limit=1)] == ["bob@acme.example"]


def test_the_list_tells_nothing_that_opens_a_session_or_names_the_person(world: World) -> None:
    """No token, no whole id, no NameID, no principal's key; and in a repr no address."""
    world.sign_in()
    (kept,) = world.store.find_sessions(SessionQuery())
    (summary,) = sessions_of(world).list()

    values = [str(getattr(summary, name)) for name in summary.__slots__]
    for secret in (kept.id, kept.name_id, kept.principal_key, kept.logout_key):
        assert not any(secret in value for value in values)
    assert "ada@" not in repr(summary)  # an id may happen to have those three letters


def test_the_state_is_what_the_limits_and_the_connection_say(make_world: MakeWorld) -> None:
    """Live, to be renewed, ended; dormant where the settings don't name the connection."""
    world = make_world()
    world = make_world(connections=[world.connection(soft_timeout="15m", hard_timeout="30m")])
    world.sign_in()

    def states() -> list[str]:
        return [summary.state for summary in sessions_of(world).list(include_ended=True)]

    assert states() == ["live"]
    sessions_of(world).require_renewal(everyone=True)
    assert states() == ["renew"]
    other = make_world(connections=[world.connection(id="other")])
    (dormant,) = sessions_of(other).list(connection="acme")
    assert (dormant.state, dormant.organization) == ("dormant", None)
    world.wait(minutes=32)
    assert states() == ["ended"]
    assert sessions_of(world).list() == []
    assert sessions_of(world).revoke(everyone=True) == 0
    assert states() == []


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({}, "exactly one way"),
        ({"person": "ada@acme.example", "everyone": True}, "exactly one way"),
        ({"session": "0123456789ab", "connection": "acme"}, "exactly one way"),
        ({"organization": "Acme", "connection": "acme"}, "exactly one way"),
        ({"organization": "Acme", "person": "ada@acme.example"}, "exactly one way"),
        ({"session": ""}, "at least the first 8 characters"),
        ({"session": "0123456"}, "at least the first 8 characters"),
        ({"session": "%%%%%%%%%%%%"}, "at least the first 8 characters"),
        ({"person": ""}, "e-mail address"),
        ({"person": "ada"}, "e-mail address"),
        ({"person": '["name_id"]'}, "name the connection"),
        ({"connection": "acmee"}, "no connection 'acmee'"),
        ({"organization": "acme"}, "no connection is of the organization 'acme'"),
    ],
)
@pytest.mark.parametrize("method", ["revoke", "require_renewal"])
def test_a_choice_that_is_not_clear_changes_nothing(
    world: World, method: str, choice: dict[str, Any], words: str
) -> None:
    """It is said how to make it clear; above all nothing named is never everybody."""
    world.sign_in()

    with pytest.raises(SessionChoiceRefused, match=words):
        getattr(sessions_of(world), method)(**choice)

    assert [summary.state for summary in sessions_of(world).list()] == ["live"]
    assert world.codes == ["login_succeeded"]


def test_a_beginning_of_two_ids_is_refused(world: World) -> None:
    """One of them was meant, and we don't guess which."""
    world.store.add_session(session("abcdefgh1"))
    world.store.add_session(session("abcdefgh2"))

    with pytest.raises(SessionChoiceRefused, match="give more of it"):
        sessions_of(world).revoke(session="abcdefgh")
    assert sessions_of(world).revoke(session=" ABCDEFGH2 ") == 0  # its day is over
    assert world.store.get_session("abcdefgh2") is None
    assert world.store.get_session("abcdefgh1") is not None


def test_what_was_done_is_an_event(world: World) -> None:
    """Who, what and how many, and who asked for it; of a session its short id, of a key nothing."""
    world.sign_in()
    (summary,) = sessions_of(world).list()
    key = world.hooks.identities[0].key

    sessions_of(world).require_renewal(person="ada@acme.example", actor="carol")
    sessions_of(world).require_renewal(person=key, connection="acme")
    sessions_of(world).require_renewal(organization="Acme")
    sessions_of(world).revoke(session=summary.id)
    sessions_of(world).revoke(everyone=True, actor="carol")

    events = world.events[1:]
    assert [event.code for event in events] == ["renewal_required"] * 3 + ["sessions_revoked"] * 2
    assert [event.connection_id for event in events] == [None, "acme", "acme", None, None]
    assert [event.email for event in events] == ["ada@acme.example", None, None, None, None]
    assert [dict(event.detail) for event in events] == [
        {"number": "1", "actor": "carol"},
        {"number": "1", "whose": "one person's, by key"},
        {"number": "1", "organization": "Acme"},
        {"number": "1", "session": summary.id},
        {"number": "0", "actor": "carol", "whose": "everyone's"},
    ]
    stored = world.store.get_events(limit=2)
    assert [event.code for event in stored] == ["sessions_revoked"] * 2


def test_a_hook_that_fails_does_not_undo_a_revocation(world: World) -> None:
    """It is revoked before it is told."""

    def fail(event: object) -> None:
        raise RuntimeError("down")

    world.sign_in()
    world.hooks.on_event = fail  # type: ignore[method-assign]  # a host's hook may do anything

    assert sessions_of(world).revoke(everyone=True) == 1
    assert world.first_browser.fetch("/report").status == 401
