"""`sso.roles`: whose roles are managed, and which they are."""

from __future__ import annotations

import pytest
from tests.flows.test_roles import EMAIL, ENGINEER, MakeAuthorized, come, make_authorized
from tests.world import World

from sso_middleware.role_admin import ManagedRoles

__all__ = ["make_authorized"]


@pytest.fixture
def world(make_authorized: MakeAuthorized) -> World:
    return make_authorized(app={"announce_roles": False})


def roles_of(world: World) -> ManagedRoles:
    return world.sso.roles


def test_whose_roles_are_managed_can_be_asked(world: World) -> None:
    """By user or by address; from the first sign-in on, also without any role by now."""
    assert not roles_of(world).are_managed(user_id="u1", email=EMAIL)
    come(world, "Engineers")

    assert roles_of(world).are_managed(user_id="u1")
    assert roles_of(world).are_managed(email=" Ada@ACME.example ")
    assert roles_of(world).are_managed(email=EMAIL, connection="acme")
    assert not roles_of(world).are_managed(email=EMAIL, connection="beta")
    assert not roles_of(world).are_managed(user_id="u2")
    assert not roles_of(world).are_managed(email="no address")
    (found,) = roles_of(world).of(user_id="u1")
    assert (found.connection_id, found.email, found.user_id, found.grants) == ("acme", EMAIL, "u1", ENGINEER)

    come(world, "Nobody", browser=world.browser())
    (found,) = roles_of(world).of(user_id="u1")
    assert found.grants == {}


def test_a_person_must_be_named(world: World) -> None:
    """Nobody is not everybody."""
    with pytest.raises(TypeError, match="name a person"):
        roles_of(world).are_managed()


def test_what_is_off_manages_nobody(make_authorized: MakeAuthorized) -> None:
    """Authorization, or the connection; and on again, it does."""
    on = make_authorized(app={"announce_roles": False})
    come(on, "Engineers")

    off = make_authorized(app={"announce_roles": False}, authorization=False)
    disabled = make_authorized(app={"announce_roles": False}, enabled=False)

    assert [roles_of(world).are_managed(user_id="u1") for world in (off, disabled, on)] == [False, False, True]
