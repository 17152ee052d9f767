"""A connection whose metadata is fetched: not ready, taken over, held, and fetched soon, as people see it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider
from tests.metadata_refreshing import URL, url_connection
from tests.world import World

from sso_middleware.errors import ConfigurationError, MetadataFetchFailed
from sso_middleware.flows.chores import metadata_refresh
from sso_middleware.metadata_refresh import MetadataRefresh

ROLLED = IdentityProvider(key="second")


class Fetched:
    """What is at the URL, and how often somebody asked."""

    def __init__(self, world: World, document: str | None) -> None:
        self.world = world
        self.document = document
        self.count = 0

    def __call__(self, url: str, max_bytes: int) -> bytes:
        self.count += 1
        if self.document is None:
            raise MetadataFetchFailed("nobody is there")
        return self.document.encode()

    @property
    def refresher(self) -> MetadataRefresh:
        return metadata_refresh(self.world.sso.site, self, self.world.store)

    def housekeep(self) -> None:
        self.refresher.refresh_due(lambda: self.world.now)


def two_connections(world: World | None = None) -> list[dict[str, Any]]:
    other = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso")
    file = {"id": "globex", "organization": "Globex", "domains": ["globex.example"], "metadata": other.metadata}
    return [url_connection(), file]


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(connections=[url_connection()])


@pytest.fixture
def fetched(world: World) -> Fetched:
    return Fetched(world, world.idp.metadata)


def test_until_something_was_fetched_its_people_are_told_to_wait(make_world: MakeWorld) -> None:
    """The app starts, other connections work, and nobody of this one gets in."""
    world = make_world(connections=two_connections())
    browser = world.browser()
    answer = browser.get("/sso/login?connection=acme")
    assert answer.status == 503
    assert "being set up" in answer.text
    assert (world.codes[-1], world.events[-1].connection_id) == ("connection_not_ready", "acme")
    assert browser.get("/sso/login?connection=globex").location.startswith("https://idp.globex.example/sso")
    assert not browser.has_session


def test_a_response_to_a_connection_that_is_not_ready_is_refused(world: World) -> None:
    """Whoever signed it: nobody was named yet whose signature would count."""
    form = world.idp.unsolicited(world.acs_url, world.entity_id, "ada@acme.example", now=world.now)
    assert world.post_response(form).status == 503
    assert world.codes == ["connection_not_ready"]
    assert not world.first_browser.has_session


def test_our_own_metadata_is_there_before_theirs_is(world: World) -> None:
    """Their IT needs it to make the app known at all."""
    assert world.browser().get("/sso/acme/metadata").status == 200


def test_what_was_fetched_is_taken_over_within_a_second(world: World, fetched: Fetched) -> None:
    """By a process that did not fetch it, without a restart."""
    assert world.browser().get("/sso/login?connection=acme").status == 503
    fetched.housekeep()
    assert world.browser().get("/sso/login?connection=acme").status == 503
    world.wait(seconds=1)
    world.sign_in()
    assert world.first_browser.has_session
    assert world.codes == ["connection_not_ready", "metadata_taken_over", "connection_not_ready", "login_succeeded"]


def test_no_request_fetches_anything(world: World, fetched: Fetched) -> None:
    """Who asks for a page never waits for another server; housekeeping asks once, and then by its schedule."""
    fetched.housekeep()
    world.wait(seconds=1)
    world.sign_in()
    fetched.housekeep()
    assert fetched.count == 1
    world.wait(hours=6)
    fetched.housekeep()
    assert fetched.count == 2


def test_a_rollover_lets_people_in_with_both_keys_and_then_the_new_one(world: World, fetched: Fetched) -> None:
    """Announced, switched, done: nobody is locked out, and the old key ends with its certificate."""
    fetched.housekeep()
    world.wait(seconds=1)
    world.sign_in()
    both = world.idp.metadata.replace("<SingleSignOn", key_of(ROLLED) + "<SingleSignOn", 1)
    for document, idp in ((both, world.idp), (both, ROLLED), (ROLLED.metadata, ROLLED)):
        fetched.document = document
        world.wait(hours=6)
        fetched.housekeep()
        world.idp = idp
        browser = world.browser()
        world.sign_in(browser=browser)
        assert browser.has_session
    old = IdentityProvider()
    browser = world.browser()
    form = old.log_in(world.begin_login("/", browser), "ada@acme.example", now=world.now)
    assert world.post_response(form, browser).status == 403
    assert not browser.has_session
    assert world.codes.count("metadata_taken_over") == 3


def test_a_new_key_that_nobody_announced_waits_for_approval(world: World, fetched: Fetched) -> None:
    """Its answers are refused until a person says so; then they are accepted."""
    fetched.housekeep()
    fetched.document = ROLLED.metadata
    world.wait(hours=6)
    fetched.housekeep()
    world.idp = ROLLED
    assert world.post_response(world.log_in()).status == 403
    assert not world.first_browser.has_session
    declared = world.settings.connections[0]
    fetched.refresher.approve(declared, fetched.refresher.describe_held(declared, world.now)[0], world.now)
    world.wait(seconds=1)
    world.sign_in()
    assert world.codes[-4:] == ["metadata_held", "signature_invalid", "metadata_approved", "login_succeeded"]


def test_an_unknown_key_has_the_metadata_fetched_soon(world: World, fetched: Fetched) -> None:
    """The refusal says so, and by the next housekeeping a rollover that was announced too late is known."""
    fetched.housekeep()
    world.wait(minutes=11)
    fetched.document = world.idp.metadata.replace("<SingleSignOn", key_of(ROLLED) + "<SingleSignOn", 1)
    world.idp = ROLLED
    assert world.post_response(world.log_in()).status == 403
    assert "we look at its metadata again soon" in world.events[-1].detail["why"]
    fetched.housekeep()
    assert fetched.count == 2
    world.wait(seconds=1)
    world.sign_in()


def test_a_flood_of_forged_responses_brings_one_fetch_in_ten_minutes(world: World, fetched: Fetched) -> None:
    """Anybody can send one; none of them is more than a mark on a record."""
    fetched.housekeep()
    stranger = IdentityProvider(key="stranger")
    for minute in range(12):
        world.wait(minutes=1)
        for _ in range(3):
            form = stranger.unsolicited(world.acs_url, world.entity_id, "ada@acme.example", now=world.now)
            assert world.post_response(form).status == 403
        fetched.housekeep()
        assert fetched.count == (1 if minute < 9 else 2), minute


def test_where_metadata_is_a_file_an_unknown_key_promises_nothing(make_world: MakeWorld) -> None:
    """There is nothing to look at again."""
    world = make_world()
    form = IdentityProvider(key="stranger").unsolicited(
        world.acs_url, world.entity_id, "ada@acme.example", now=world.now
    )
    assert world.post_response(form).status == 403
    assert "again soon" not in world.events[-1].detail["why"]


def test_the_signed_in_hot_path_asks_for_no_metadata(world: World, fetched: Fetched) -> None:
    """Somebody who is signed in goes on, whatever has become of it."""
    fetched.housekeep()
    world.wait(seconds=1)
    world.sign_in()
    directory = world.sso.site.directory
    looked_at = directory.looked_at
    world.wait(seconds=30)
    assert world.first_browser.get("/report").status == 200
    assert directory.looked_at == looked_at


def test_a_copy_from_another_url_is_not_this_connections(make_world: MakeWorld) -> None:
    """Who changes the URL names somebody else; the old copy serves nobody until then."""
    world = make_world(connections=[url_connection()])
    Fetched(world, world.idp.metadata).housekeep()
    moved = make_world(connections=[url_connection(metadata_url=URL + "/new")])
    assert moved.browser().get("/sso/login?connection=acme").status == 503
    Fetched(moved, ROLLED.metadata).housekeep()
    moved.idp = ROLLED
    moved.wait(seconds=1)
    moved.sign_in()


def test_metadata_that_has_become_void_is_used_no_more(world: World, fetched: Fetched) -> None:
    """MDT-002, later: what it says is void after validUntil, in a process that read it long before too."""
    until = "2026-11-21T13:00:00Z"
    fetched.document = world.idp.metadata.replace("<EntityDescriptor ", f'<EntityDescriptor validUntil="{until}" ')
    fetched.housekeep()
    world.wait(seconds=1)
    world.sign_in()
    world.wait(hours=1)
    assert world.browser().get("/sso/login?connection=acme").status == 503
    fetched.document = ROLLED.metadata
    fetched.housekeep()
    world.wait(seconds=1)
    assert world.browser().get("/sso/login?connection=acme").status == 503, "who waits for the end gets in no easier"
    fetched.document = world.idp.metadata
    world.wait(hours=6)
    fetched.housekeep()
    world.wait(seconds=1)
    world.sign_in(browser=world.browser())


def test_a_missing_package_is_told_at_start(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where this process would have to fetch; in words that say what to install."""
    monkeypatch.setitem(__import__("sys").modules, "sso_middleware.fetching", None)
    make_world(connections=[url_connection()])
    with pytest.raises(ConfigurationError, match=r"pip install 'sso-middleware\[metadata\]'"):
        make_world(connections=[url_connection()], background=True)


def key_of(idp: IdentityProvider) -> str:
    start, end = idp.metadata.index("<KeyDescriptor"), idp.metadata.index("</KeyDescriptor>")
    return idp.metadata[start:end] + "</KeyDescriptor>"
