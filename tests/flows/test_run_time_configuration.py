"""What admins decide at run time counts at the next request, in every process."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.world import World

from sso_middleware.errors import StoreUnavailable
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
    """Kept by another version, or changed by hand: left out, and the others go on."""
    world.store.add_connection(stored(world, settings={"no_such_setting": 1}))
    world.wait(seconds=1)

    assert world.browser().get("/sso/login?connection=globex").status == 404
    assert world.sign_in().status == 303


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
