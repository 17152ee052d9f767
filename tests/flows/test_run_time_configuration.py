"""What admins decide at run time counts at the next request, in every process."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.metadata_refreshing import URL
from tests.world import World

from sso_middleware import Continue, HostUser, Link
from sso_middleware.calling import call_blocking, run
from sso_middleware.directory import read_connection
from sso_middleware.errors import StoreUnavailable
from sso_middleware.flows.chores import metadata_refresh
from sso_middleware.stores.configuration_records import StoredConnection, StoredDomain

THEN = datetime(2026, 11, 1, tzinfo=UTC)


def stored(world: World, id: str = "globex", **changes: Any) -> StoredConnection:
    values: dict[str, Any] = {
        "id": id,
        "organization": "Globex",
        "settings": {"metadata": world.idp.metadata},
        "state": "active",
        "version": 1,
        "created_at": THEN,
        "updated_at": THEN,
        **changes,
    }
    return StoredConnection(**values)


def add_globex(world: World, **changes: Any) -> None:
    world.store.add_connection(stored(world, **changes))
    world.store.add_domain(
        StoredDomain("globex.example", "globex", "exclusive", THEN, verified_at=THEN, verified_by="operator")
    )


def sign_in_globex(world: World, email: str = "hank@globex.example") -> Any:
    browser = world.browser()
    url = browser.get("/sso/login?connection=globex").location
    connection = world.sso.site.connections.get("globex")
    assert connection is not None
    form = world.idp.log_in(url, email, now=world.now)
    return browser, world.post_response(form, browser, acs=connection.service_provider.acs_url)


def test_a_connection_made_at_run_time_signs_people_in(world: World) -> None:
    """Without a restart: unknown before, at hand a second later."""
    assert world.browser().get("/sso/login?connection=globex").status == 404

    add_globex(world)
    world.wait(seconds=1)
    browser, answer = sign_in_globex(world)

    assert answer.status == 303
    assert browser.get("/report").text == "<p>page /report</p>"


def test_a_connection_that_is_disabled_ends_its_sessions_at_the_next_request(world: World) -> None:
    """A declared one as well as one of run time; and back again it lets people in anew."""
    world.sign_in()
    row = stored(world, "acme", organization="Acme", settings=None, state="disabled")
    world.store.add_connection(row)
    world.wait(seconds=1)

    assert world.first_browser.get("/report").status == 303
    assert world.browser().get("/sso/login").status == 403
    assert world.codes[-2:] == ["session_ended", "connection_disabled"]

    world.store.put_connection(stored(world, "acme", settings=None, state=None, version=2), replaces=1)
    world.wait(seconds=1)
    assert world.sign_in(browser=world.browser()).status == 303


@pytest.mark.parametrize("how", ["unverified", "off", "deleted"])
def test_a_domain_that_is_not_in_use_is_nobodys(world: World, how: str) -> None:
    """An identity provider asserts people of verified domains only; taken away, their sessions end, too."""
    add_globex(world)
    world.wait(seconds=1)
    browser, _ = sign_in_globex(world)
    assert browser.get("/report").status == 200

    if how == "deleted":
        world.store.delete_domain("globex.example", "globex")
    else:
        verified_at = None if how == "unverified" else THEN
        mode: Any = "exclusive" if how == "unverified" else "off"
        world.store.put_domain(StoredDomain("globex.example", "globex", mode, THEN, verified_at=verified_at))
    world.wait(seconds=1)

    assert browser.get("/report").status == 303
    assert sign_in_globex(world)[1].status == 403
    assert world.codes[-1] == "email_outside_domains"


def test_a_connection_that_can_not_be_read_is_in_nobodys_way(world: World) -> None:
    """Kept by another version, or changed by hand: nobody signs in by it, and the others go on."""
    world.store.add_connection(stored(world, settings={"no_such_setting": 1}))
    world.wait(seconds=1)

    assert world.browser().get("/sso/login?connection=globex").status == 503
    assert world.sign_in(page="/sso/login?connection=acme").status == 303


def test_nothing_is_answered_before_the_configuration_is_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh process whose store fails can't know whom to let in; one that knew it goes on with what it knew."""

    def fails() -> Any:
        raise StoreUnavailable("down")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "get_configuration", fails)
        assert world.browser().get("/report").status == 503

    assert world.browser().get("/report").status == 303
    world.store.delete_domain("counts the version up", "all the same")
    world.wait(seconds=1)
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "get_configuration", fails)
        assert world.browser().get("/report").status == 303


def test_a_session_of_an_unchanged_connection_stays_in_memory(world: World) -> None:
    """A change elsewhere costs one look at the store, and keeps the very same connection."""
    add_globex(world)
    world.wait(seconds=1)
    world.browser().get("/report")
    before = world.sso.site.connections.get("globex"), world.sso.site.connections.get("acme")

    world.store.add_connection(stored(world, "initech", organization="Initech"))
    world.wait(seconds=1)
    world.browser().get("/report")

    after = world.sso.site.connections.get("globex"), world.sso.site.connections.get("acme")
    assert all(one is other for one, other in zip(before, after, strict=True))
    assert world.sso.site.connections.get("initech") is not None


# What must not open a door


def host_world(make_world: MakeWorld, **stored_as: Any) -> World:
    """A host with a login of its own, where Hank of Globex, whose domain is exclusive, is signed in."""
    world = make_world(mode="domains")
    world.hooks.user = lambda request: HostUser("hank@globex.example", "h1")
    add_globex(world, **stored_as)
    world.wait(seconds=1)
    return world


def test_metadata_that_has_become_void_sets_nobody_free(make_world: MakeWorld) -> None:
    """Its people can't sign in by it any more, and still may not by the host's own login."""
    plain = make_world()
    metadata = plain.idp.metadata.replace("<EntityDescriptor ", '<EntityDescriptor validUntil="2026-11-23T00:00:00Z" ')
    world = host_world(make_world, settings={"metadata": metadata})
    assert world.browser().get("/report").status == 303

    world.wait(days=3)
    world.store.put_connection(stored(world, settings={"metadata": metadata}, version=2), replaces=1)
    world.wait(seconds=1)

    assert world.browser().get("/report").status == 303
    assert world.hooks.ended == ["/report", "/report"]
    assert world.browser().get("/sso/login?connection=globex").status == 503
    assert world.sso.connections.show("globex").identity_provider is None


def test_what_can_not_be_read_sets_nobody_free(make_world: MakeWorld) -> None:
    """Its exclusive domains stay so, and so do those who are excluded: they are the way back in."""
    excluded = ["it1@globex.example", "it2@globex.example"]
    world = host_world(make_world, settings={"no_such_setting": 1, "excluded_users": excluded})
    assert world.browser().get("/report").status == 303

    world.hooks.user = lambda request: HostUser(excluded[0], "it")
    assert world.browser().get("/report").status == 200


def test_limits_of_the_app_that_became_narrower_set_nobody_free(make_world: MakeWorld) -> None:
    """A connection whose own limits don't fit any more is no reason to let its people in otherwise."""
    world = host_world(make_world, settings={"metadata": make_world().idp.metadata, "soft_timeout": "20h"})

    assert world.browser().get("/report").status == 303
    assert world.hooks.ended == ["/report"]


def test_a_connection_for_any_domain_says_nothing_of_a_domain_that_somebody_has(make_world: MakeWorld) -> None:
    """TEN-006: a verified domain is asserted by the connection that has it, and by no other."""
    world = make_world(connections=[make_world().connection(domains="any")])
    world.sign_in("hank@globex.example")
    add_globex(world)
    world.wait(seconds=1)
    assert world.first_browser.get("/report").status == 303

    browser = world.browser()
    url = browser.get("/sso/login?connection=acme").location
    form = world.idp.log_in(url, "hank@globex.example", now=world.now)

    assert world.post_response(form, browser).status == 403
    assert world.codes[-1] == "email_outside_domains"
    assert sign_in_globex(world)[1].status == 303


def test_an_id_that_is_used_again_brings_nobody_back(world: World) -> None:
    """TEN-010: whoever comes by the new connection is new, whatever the old one's people were called."""
    world.hooks.decision = lambda identity: Link("hank") if identity.user_id is None else Continue()
    add_globex(world)
    world.wait(seconds=1)
    browser, _ = sign_in_globex(world)
    assert browser.get("/report").status == 200

    world.sso.connections.delete("globex")
    world.sso.connections.create("globex", organization="Initech", metadata=world.idp.metadata)
    world.sso.domains.add("initech.example", connection="globex", verified=True)
    world.sso.domains.add("globex.example", connection="globex", verified=True)
    world.sso.connections.set_state("globex", "active")
    world.wait(seconds=1)
    assert browser.get("/report").status == 303

    world.hooks.decision = lambda _: Continue()
    sign_in_globex(world)
    assert (world.hooks.identities[-1].user_id, world.hooks.identities[-1].is_new) == (None, True)


def test_a_domain_kept_for_a_connection_that_the_settings_declare_is_nobodys(make_world: MakeWorld) -> None:
    """An id that was used at run time, and is declared by now: what was its domain decides about nobody."""
    world = make_world(mode="domains")
    world.store.add_domain(StoredDomain("globex.example", "acme", "exclusive", THEN, verified_at=THEN))
    world.hooks.user = lambda request: HostUser("hank@globex.example", "h1")

    assert world.browser().get("/report").status == 200


def test_a_row_of_run_time_switches_on_nothing_that_the_settings_declare(make_world: MakeWorld) -> None:
    """What is kept of another connection that once had this id says nothing of this one; what is decided since does."""
    world = make_world(connections=[make_world().connection(enabled=False)])
    world.store.add_connection(stored(world, "acme", organization="Globex"))
    assert world.browser().get("/sso/login?connection=acme").status == 403
    assert world.sso.connections.show("acme").state == "disabled"

    world.sso.connections.set_state("acme", "active", force=True)
    assert world.browser().get("/sso/login?connection=acme").status == 303
    world.sso.connections.set_state("acme", "disabled")
    assert world.browser().get("/sso/login?connection=acme").status == 403


def test_who_is_no_tester_is_signed_out_when_a_connection_is_put_into_testing(world: World) -> None:
    """Named test users only: those who are signed in already as well."""
    add_globex(world)
    world.wait(seconds=1)
    hank, _ = sign_in_globex(world)
    tess, _ = sign_in_globex(world, "tess@globex.example")

    world.sso.connections.update("globex", {"test_users": ["tess@globex.example"]})
    world.sso.connections.set_state("globex", "testing")
    world.wait(seconds=1)

    assert tess.get("/report").status == 200
    assert hank.get("/report").status == 303
    assert world.codes[-1] == "session_ended"


def test_metadata_that_was_being_read_brings_no_old_settings_back(world: World) -> None:
    """Between the start and the end of reading it, a domain was taken away: it stays so."""
    add_globex(world, settings={"metadata_url": URL})
    world.wait(seconds=1)
    world.browser().get("/report")
    fetch = lambda url, max_bytes: world.idp.metadata.encode()  # noqa: E731
    metadata_refresh(world.sso.site, fetch, world.store).refresh_due(lambda: world.now)
    world.wait(seconds=2)
    directory = world.sso.site.directory

    async def call(fn: Any, *args: Any, **kwargs: Any) -> Any:
        result = await call_blocking(fn, *args, **kwargs)
        if fn is read_connection:
            world.store.delete_domain("globex.example", "globex")
            world.wait(seconds=1)
            await directory.follow(call_blocking)
        return result

    run(directory.look(call))  # type: ignore[arg-type]  # a Call that lets something happen meanwhile
    world.wait(seconds=2)
    run(directory.look(call_blocking))

    connection = world.sso.site.connections.get("globex")
    assert connection is not None
    assert connection.domains == frozenset()
