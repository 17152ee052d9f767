"""`sso.people`: who is meant, what an admin's step does to live sessions, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.flows.test_people import ADA, comes, people
from tests.response_shape import SentAttribute, attributes_of
from tests.world import World

from sso_middleware import Link
from sso_middleware.errors import PeopleChoiceRefused
from sso_middleware.people_admin import People

MOVED = "ada.king@acme.example"


@pytest.fixture
def twice(world: World) -> World:
    """Ada is here twice: she moved to another key and another address at once. And Bob."""
    world.hooks.decision = lambda identity: Link(identity.user_id or f"user of {identity.email}")
    for name_id, email in (("ada", ADA), ("bob", "bob@acme.example"), ("ada again", MOVED)):
        assert comes(world, name_id, email).status == 303
        world.wait(minutes=1)
    world.events.clear()
    return world


def admin(world: World) -> People:
    return world.sso.people


def test_the_list_says_what_an_admin_may_know(twice: World) -> None:
    """Last seen first; of keys only the kind; in a repr no address."""
    new, bob, old = admin(twice).list()

    assert [each.email for each in (new, bob, old)] == [MOVED, "bob@acme.example", ADA]
    assert (old.connection, old.organization, old.user_id) == ("acme", "Acme", f"user of {ADA}")
    assert (old.first_name, old.last_name, old.keys) == ("Ada", "Lovelace", ("NameID",))
    assert old.created_at == old.seen_at == old.linked_at
    kept = people(twice)
    values = [str(getattr(each, name)) for each in (new, bob, old) for name in each.__slots__]
    for secret in (key for person in kept for key in person.keys):
        assert not any(secret in value for value in values)
    assert "king" not in repr(new).replace(f"user of {MOVED}", "")
    assert len(admin(twice).list(organization="Acme", limit=2)) == 2


def test_the_kind_of_a_key_is_told(make_world: MakeWorld) -> None:
    """An address is called one, since it does not last."""
    world = make_world()
    world = make_world(connections=[world.connection(attributes={"principal_id": "UserPrincipalId"})])
    comes(world, id="1")
    assert admin(world).list()[0].keys == ("principal id",)
    other = make_world(connections=[world.connection(id="other")])
    other.sign_in("bob@acme.example")
    assert admin(other).show("bob@acme.example").keys == ("NameID (an address)",)


def test_a_person_is_shown_by_whatever_names_them(twice: World) -> None:
    """The beginning of the id, an address in any case, the user, the key with its connection."""
    old = admin(twice).show(ADA)
    (person,) = [each for each in people(twice) if each.email == ADA]

    assert admin(twice).show(person.id) == admin(twice).show(old.id[:8].upper()) == old
    assert admin(twice).show(ADA.upper(), connection="acme") == old
    assert admin(twice).show(user_id=f"user of {ADA}") == old
    assert admin(twice).show(key=person.key, connection="acme") == old


@pytest.mark.parametrize(
    ("person", "more", "words"),
    [
        (None, {}, "exactly one way"),
        (ADA, {"user_id": "1"}, "exactly one way"),
        (None, {"key": "k"}, "name the connection as well"),
        ("ada", {}, "at least the first 8 characters"),
        ("a1b2c3%d", {}, "at least the first 8 characters"),
        ("ada@@acme.example", {}, "not one plain e-mail address"),
        ("nobody@acme.example", {}, "nobody is known by that"),
        (ADA, {"connection": "acmee"}, "no connection 'acmee'"),
    ],
)
def test_who_is_not_clear_is_refused(twice: World, person: str | None, more: dict[str, Any], words: str) -> None:
    """Never guessed."""
    with pytest.raises(PeopleChoiceRefused, match=words):
        admin(twice).show(person, **more)


def test_an_address_of_two_connections_needs_the_connection(make_world: MakeWorld) -> None:
    """The same address by another identity provider is somebody else."""
    world = make_world()
    comes(world)
    other = make_world(connections=[world.connection(id="other")])
    comes(other)

    with pytest.raises(PeopleChoiceRefused, match="more than one person"):
        admin(other).show(ADA)
    assert admin(other).show(ADA, connection="other").connection == "other"
    of_acme, of_other = admin(other).show(ADA, connection="acme"), admin(other).show(ADA, connection="other")
    with pytest.raises(PeopleChoiceRefused, match="two connections are never one"):
        admin(other).merge(of_acme.id, of_other.id)
    with pytest.raises(PeopleChoiceRefused, match="not both"):
        admin(other).list(connection="acme", organization="Acme")
    with pytest.raises(PeopleChoiceRefused, match="of the organization"):
        admin(other).list(organization="Nobody's")


def test_an_unlinked_person_is_signed_out_and_asked_about_anew(world: World) -> None:
    """At once in this process; the same person without a user, and the event says who did it."""
    world.hooks.decision = lambda identity: Link(identity.user_id or f"user-{len(world.hooks.identities)}")
    browser = world.first_browser
    comes(world, browser=browser)
    assert browser.fetch("/report").status == 200

    before = admin(world).unlink(ADA, actor="carol")

    assert browser.fetch("/report").status == 401
    assert (before.user_id, admin(world).show(ADA).user_id) == ("user-1", None)
    assert comes(world).status == 303
    first, again = world.hooks.identities
    assert (again.key, again.user_id) == (first.key, None)
    (event,) = [event for event in world.events if event.code == "person_unlinked"]
    assert (event.connection_id, event.email) == ("acme", ADA)
    assert event.detail == {
        "person": before.id,
        "before": "linked, 1 key",
        "after": "not linked, 1 key",
        "actor": "carol",
    }


def test_a_forgotten_person_is_somebody_new(world: World) -> None:
    """The way out of a principal value or an address that has a new owner."""
    comes(world)
    assert comes(world, "the new owner").status == 403
    admin(world).unlink(ADA, forget=True)
    assert comes(world, "the new owner").status == 303

    assert world.hooks.identities[-1].is_new
    assert len(people(world)) == 1
    (event,) = [event for event in world.events if event.code == "person_unlinked"]
    assert event.detail["after"] == "forgotten"


def test_two_who_are_one_are_merged(twice: World) -> None:
    """The other's sessions end, each key is the same person's, and the user is the one that was kept."""
    browser = twice.browser()
    comes(twice, "ada again", MOVED, browser=browser)
    twice.events.clear()

    merged = admin(twice).merge(ADA, MOVED, connection="acme", actor="carol")

    assert browser.fetch("/report").status == 401
    assert (merged.email, merged.former_email, len(merged.keys)) == (MOVED, ADA, 2)
    for name_id in ("ada", "ada again"):
        assert comes(twice, name_id, MOVED).status == 303
        assert twice.hooks.identities[-1].user_id == f"user of {ADA}"
    event = next(event for event in twice.events if event.code == "person_merged")
    assert (event.email, event.detail["person"], event.detail["actor"]) == (MOVED, merged.id, "carol")
    assert event.detail["before"].startswith("linked, 1 key; ")
    assert event.detail["after"] == "linked, 2 keys"
    assert "@" not in str(event.detail)
    with pytest.raises(PeopleChoiceRefused, match="one person already"):
        admin(twice).merge(merged.id, MOVED)


def test_after_an_identity_provider_was_changed(world: World) -> None:
    """A re-hire under a new key with the old address: stopped, forgotten by an admin, then linked by the host."""
    world.hooks.decision = lambda identity: Link("user-1")
    comes(world)
    attributes = (SentAttribute("Email", (ADA,)), *attributes_of(ADA)[1:])
    assert comes(world, "hired again", attributes=attributes).status == 403
    admin(world).unlink(ADA, forget=True, actor="carol")
    assert comes(world, "hired again", attributes=attributes).status == 303
    assert admin(world).show(user_id="user-1").email == ADA
