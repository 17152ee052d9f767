"""When fetched metadata is looked at again, what is taken over, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.identity_provider import IdentityProvider
from tests.metadata_refreshing import NOW, URL, Refreshing, aggregate, url_connection, with_valid_until

from sso_middleware.directory import read_copy, read_current
from sso_middleware.errors import MetadataFetchFailed, MetadataUnusable
from sso_middleware.metadata_refresh import guard_of
from sso_middleware.saml.metadata_bytes import MAX_AGGREGATE_BYTES, MAX_BYTES
from sso_middleware.saml.parties import DEV_IDP_PREFIX
from sso_middleware.stores.sql import SqlStore

IDP = IdentityProvider()
ROLLED = IdentityProvider(key="second")
GLOBEX = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso")
GONE = MetadataFetchFailed("nobody is there")


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    store = SqlStore(database_url)
    yield store
    store.close()


@pytest.fixture
def refreshing(make_refreshing: Callable[..., Refreshing]) -> Refreshing:
    return make_refreshing()


def with_cache_duration(duration: str) -> str:
    return IDP.metadata.replace("<EntityDescriptor ", f'<EntityDescriptor cacheDuration="{duration}" ', 1)


@pytest.mark.parametrize(
    ("document", "hours"),
    [
        (IDP.metadata, 6),
        (with_cache_duration("PT2H"), 2),
        (with_cache_duration("PT60S"), 1),
        (with_cache_duration("P7D"), 24),
        (with_valid_until(IDP.metadata, NOW + timedelta(days=30)), 6),
        (with_valid_until(IDP.metadata, NOW + timedelta(hours=4)), 2),
        (with_valid_until(IDP.metadata, NOW + timedelta(minutes=1)), 1 / 6),
    ],
)
def test_the_document_says_when_to_look_again(refreshing: Refreshing, document: str, hours: float) -> None:
    """By cacheDuration within an hour and a day, six hours without one, and well before validUntil."""
    assert refreshing.refresh(document).next_fetch_at == NOW + timedelta(hours=hours)


def test_what_fails_is_tried_again_later_and_later(refreshing: Refreshing) -> None:
    """From ten minutes up to an hour; the last good copy stays, and the trouble is told once."""
    good = refreshing.refresh(IDP.metadata)
    waits = []
    for _ in range(6):
        copy = refreshing.refresh(GONE)
        assert (copy.document, copy.version, copy.problem) == (good.document, good.version, "nobody is there")
        waits.append((copy.next_fetch_at - refreshing.now) // timedelta(minutes=1))
        refreshing.now = copy.next_fetch_at
    assert waits == [10, 20, 40, 60, 60, 60]
    assert refreshing.refresh(IDP.metadata).problem is None
    refreshing.refresh(GONE)
    assert refreshing.codes == ["metadata_taken_over", "metadata_fetch_failed", "metadata_fetch_failed"]


def test_while_nobody_can_sign_in_it_is_tried_sooner(refreshing: Refreshing) -> None:
    """People are waiting for a first copy."""
    assert refreshing.refresh(GONE).next_fetch_at == NOW + timedelta(minutes=1)


@pytest.mark.parametrize(
    "document", ["<html/>", "", IDP.metadata[:-5], IDP.metadata.replace("SingleSignOn", "SingleLogout")]
)
def test_what_is_no_metadata_changes_nothing(refreshing: Refreshing, document: str) -> None:
    """A sign-in page, nothing, half of it: told in words, and the last good copy stays."""
    good = refreshing.refresh(IDP.metadata)
    copy = refreshing.refresh(document or b" ")
    assert copy.problem
    assert copy.document == good.document


def test_the_same_again_is_no_news(refreshing: Refreshing) -> None:
    """No event, no new version: no process reads it again."""
    first = refreshing.refresh(IDP.metadata)
    refreshing.wait(hours=6)
    again = refreshing.refresh(IDP.metadata)
    assert (again.version, again.document) == (first.version, first.document)
    assert again.fetched_at == refreshing.now
    assert refreshing.codes == ["metadata_taken_over"]


def test_an_endpoint_that_moved_is_taken_over_with_an_event(refreshing: Refreshing) -> None:
    """With a key that we know; the event says where people are sent now."""
    refreshing.refresh(IDP.metadata)
    refreshing.refresh(IDP.metadata.replace("acme.example/sso", "acme.example/new"))
    assert refreshing.codes == ["metadata_taken_over", "metadata_taken_over"]
    assert refreshing.events[-1].detail["sso_url"] == "https://idp.acme.example/new"


def test_what_is_held_is_told_once_and_again_when_it_changes(refreshing: Refreshing) -> None:
    """Every six hours the same would be noise; another document is news."""
    refreshing.refresh(IDP.metadata)
    for idp, events in ((ROLLED, 2), (ROLLED, 2), (IdentityProvider(key="third"), 3)):
        refreshing.wait(hours=6)
        refreshing.refresh(idp.metadata)
        assert len(refreshing.codes) == events


def test_approving_takes_over_what_was_held_and_nothing_else(refreshing: Refreshing) -> None:
    """Its keys are trusted from then on, and nothing is held any more."""
    (declared,) = refreshing.settings.connections
    refreshing.refresh(IDP.metadata)
    held = refreshing.refresh(ROLLED.metadata)
    approved = refreshing.refresher.approve(declared, held.held or b"", refreshing.now)
    assert (approved.document, approved.version) == (held.held, held.version + 1)
    assert (approved.held, approved.held_reason, approved.held_at) == (None, None, None)
    assert refreshing.codes[-1] == "metadata_approved"
    with pytest.raises(MetadataUnusable, match="held"):
        refreshing.refresher.approve(declared, held.held or b"", refreshing.now)


def test_rejecting_drops_it_and_waits_for_a_day(refreshing: Refreshing) -> None:
    """The good copy goes on; the same document may come again, and is held again."""
    (declared,) = refreshing.settings.connections
    good = refreshing.refresh(IDP.metadata)
    refreshing.refresh(ROLLED.metadata)
    after = refreshing.refresher.reject(declared, refreshing.now)
    assert (after.document, after.held) == (good.document, None)
    assert after.next_fetch_at == refreshing.now + timedelta(days=1)
    assert refreshing.codes[-1] == "metadata_rejected"


def test_a_first_copy_that_was_held_needs_no_known_key(make_refreshing: Callable[..., Refreshing]) -> None:
    """There was nobody before; once approved it is the one that later ones are compared with."""
    refreshing = make_refreshing(metadata_max_validity="1d")
    (declared,) = refreshing.settings.connections
    held = refreshing.refresh(IDP.metadata)
    assert held.document is None
    assert refreshing.refresher.approve(declared, held.held or b"", refreshing.now).version == 1


def test_one_of_many_is_read_from_a_large_document_only_where_it_is_named(
    make_refreshing: Callable[..., Refreshing],
) -> None:
    """An aggregate needs entity_id; then, and only then, it may be large."""
    plain, named = make_refreshing(), make_refreshing(entity_id=IDP.entity_id)
    assert "say which one by entity_id" in (plain.refresh(aggregate(IDP, GLOBEX)).problem or "")
    copy = named.refresh(aggregate(IDP, GLOBEX))
    assert copy.document is not None
    assert GLOBEX.entity_id.encode() not in copy.document
    assert (plain.asked, named.asked) == ([(URL, MAX_BYTES)], [(URL, MAX_AGGREGATE_BYTES)])


def test_a_validity_of_the_group_is_kept_with_the_entity(make_refreshing: Callable[..., Refreshing]) -> None:
    """The copy is of the entity alone, and must end when the group around it said."""
    refreshing = make_refreshing(entity_id=IDP.entity_id)
    group = aggregate(IDP, GLOBEX).replace(" xmlns=", ' validUntil="2026-11-22T00:00:00Z" xmlns=', 1)
    copy = refreshing.refresh(group)
    assert b'validUntil="2026-11-22T00:00:00' in (copy.document or b"")


def test_what_is_due_is_fetched_and_one_bad_url_is_no_others_trouble(store: SqlStore) -> None:
    """Each by its own schedule; a disabled one not at all."""
    refreshing = Refreshing(
        store, url_connection("bad"), url_connection(), url_connection("globex"), url_connection("off", enabled=False)
    )
    refreshing.serve(IDP.metadata)
    refreshing.serve(with_cache_duration("PT1H").replace("acme", "globex"), "globex")

    def round_of(expected: set[str]) -> None:
        refreshing.asked.clear()
        refreshing.refresher.refresh_due(lambda: refreshing.now)
        assert {url.split(".")[1] for url, _ in refreshing.asked} == expected

    round_of({"bad", "acme", "globex"})
    round_of(set())
    refreshing.wait(minutes=1)
    round_of({"bad"})
    refreshing.wait(hours=1)
    round_of({"bad", "globex"})
    refreshing.wait(hours=5)
    round_of({"bad", "acme", "globex"})


def test_a_round_ends_before_the_lease_does(store: SqlStore) -> None:
    """Slow servers take turns over several rounds: what is left is still due."""
    names = [f"n{number}" for number in range(9)]
    refreshing = Refreshing(store, *map(url_connection, names))

    def slow() -> object:
        refreshing.wait(seconds=13)
        return refreshing.now

    refreshing.refresher.refresh_due(slow)  # type: ignore[arg-type]  # a clock
    done = len(refreshing.asked)
    assert 0 < done < 9
    refreshing.refresher.refresh_due(lambda: refreshing.now)
    assert {url.split(".")[1] for url, _ in refreshing.asked} == set(names)


def test_the_same_identity_provider_twice_in_one_organization_is_refused(store: SqlStore) -> None:
    """As at start for declared ones: the second one to come is the one that is told."""
    refreshing = Refreshing(store, url_connection(), url_connection("second", organization="Acme"))
    assert refreshing.refresh(IDP.metadata).problem is None
    assert "make them one connection" in (refreshing.refresh(IDP.metadata, "second").problem or "")


def test_a_dev_idp_is_for_loopback_only(refreshing: Refreshing) -> None:
    """It signs anybody in."""
    copy = refreshing.refresh(IdentityProvider(DEV_IDP_PREFIX + "localhost:8001").metadata)
    assert copy.document is None
    assert "dev IdP" in (copy.problem or "")


def test_of_two_that_fetch_at_once_the_first_counts(store: SqlStore) -> None:
    """An approval in the meantime is not written over."""
    refreshing = Refreshing(store, url_connection())
    (declared,) = refreshing.settings.connections
    refreshing.refresh(IDP.metadata)
    held = refreshing.refresh(ROLLED.metadata).held or b""
    fetch = refreshing.refresher.fetch

    def meanwhile(url: str, max_bytes: int) -> bytes:
        refreshing.refresher.approve(declared, held, refreshing.now)
        return fetch(url, max_bytes)

    refreshing.serve(IDP.metadata)
    late = replace(refreshing.refresher, fetch=meanwhile)
    copy = late.refresh(declared, refreshing.now)
    assert ROLLED.signer.certificate_body.encode() in (copy.document or b"")
    assert refreshing.codes[-1] == "metadata_approved"


def test_the_guard_knows_what_the_settings_allow(store: SqlStore) -> None:
    """Names by name, networks by network; loopback only where base_url is on it."""
    allowed = ["IdP.corp.example", "10.1.0.0/16", "192.168.0.7"]
    guard = guard_of(Refreshing(store, url_connection(), metadata_hosts_allowed=allowed).settings)
    assert guard.hosts == {"idp.corp.example"}
    assert list(map(str, guard.networks)) == ["10.1.0.0/16", "192.168.0.7/32"]
    assert not guard.allow_loopback


def test_what_nobody_expected_of_one_url_stops_no_other(store: SqlStore) -> None:
    """Whatever an answer breaks in us: the connections after it are fetched, and it is tried again later."""
    refreshing = Refreshing(store, url_connection(), url_connection("globex"))
    refreshing.serve(GLOBEX.metadata, "globex")

    class Broken(bytes):
        def __bool__(self) -> bool:
            raise ValueError("of a kind that nobody thought of, with a value in it")

    refreshing.documents[URL] = Broken()
    refreshing.refresher.refresh_due(lambda: refreshing.now)

    copy, other = (refreshing.store.get_metadata_copy(id) for id in ("acme", "globex"))
    assert other is not None
    assert other.document is not None
    assert copy is not None
    assert copy.next_fetch_at > refreshing.now
    assert copy.problem == "unexpected ValueError"


def test_an_entity_that_the_settings_no_longer_name_is_trusted_no_more(
    make_refreshing: Callable[..., Refreshing],
) -> None:
    """One address, many entities: when entity_id is put right, the wrong one's copy is none of this connection's."""
    both = aggregate(IDP, GLOBEX)
    wrong = make_refreshing(entity_id=GLOBEX.entity_id)
    assert wrong.refresh(both).document is not None
    right = make_refreshing(entity_id=IDP.entity_id)

    (current,) = read_current(right.settings, right.refresher.declared, right.store, NOW)
    assert current.trusted is None

    right.serve(both)
    right.refresher.refresh_due(lambda: right.now)
    (current,) = read_current(right.settings, right.refresher.declared, right.store, NOW)
    assert current.trust.identity_provider.entity_id == IDP.entity_id


def test_what_is_approved_is_what_was_looked_at(refreshing: Refreshing) -> None:
    """Whoever can change the document can't have another one approved in the place of the one that was shown."""
    (declared,) = refreshing.settings.connections
    good = refreshing.refresh(IDP.metadata)
    shown, described = refreshing.refresh(ROLLED.metadata).held, refreshing.refresher.describe_held(declared, NOW)
    assert described[0] == shown
    assert described[1]["new_keys"] == described[1]["keys"]
    refreshing.refresh(GLOBEX.metadata)

    with pytest.raises(MetadataUnusable, match="look again"):
        refreshing.refresher.approve(declared, shown or b"", refreshing.now)

    copy = refreshing.store.get_metadata_copy("acme")
    assert copy is not None
    assert copy.document == good.document


def test_what_grows_too_large_to_be_kept_does_not_replace_the_good_copy(refreshing: Refreshing) -> None:
    """Written anew, every `>` in a text is four characters."""
    good = refreshing.refresh(IDP.metadata)
    note = f'<Extensions><note xmlns="urn:x">{">" * 2_000_000}</note></Extensions>'
    after = refreshing.refresh(IDP.metadata.replace("<IDPSSODescriptor", f"{note}<IDPSSODescriptor", 1))

    assert (after.document, after.version) == (good.document, good.version)
    assert "more than" in (after.problem or "")


def test_a_copy_of_a_dev_idp_ends_with_the_loopback(refreshing: Refreshing) -> None:
    """It was allowed while developing; the same database under a public address trusts it no more."""
    good = refreshing.refresh(IDP.metadata)
    dev_idp = IdentityProvider(f"{DEV_IDP_PREFIX}x", "https://tunnel.example/sso").metadata.encode()
    kept = replace(good, document=dev_idp, version=good.version + 1)
    assert refreshing.store.put_metadata_copy(kept, replaces=good.version)

    (current,) = read_current(refreshing.settings, refreshing.refresher.declared, refreshing.store, NOW)

    assert current.trusted is None


def test_a_copy_that_cannot_be_read_any_more_gives_way_by_approval(refreshing: Refreshing) -> None:
    """After an upgrade, say: nobody is trusted unseen, and the way on is a person's word."""
    (declared,) = refreshing.settings.connections
    good = refreshing.refresh(IDP.metadata)
    kept = replace(good, document=b"<of-old/>", version=good.version + 1)
    assert refreshing.store.put_metadata_copy(kept, replaces=good.version)

    held = refreshing.refresh(GLOBEX.metadata)

    assert "can't be read by this version" in (held.held_reason or "")
    assert refreshing.refresher.approve(declared, held.held or b"", refreshing.now).document == held.held


def test_a_copy_that_breaks_the_reader_is_no_other_connections_trouble(refreshing: Refreshing) -> None:
    """Who reads it at a sign-in goes on: nobody is trusted for this connection, and all others are as before."""
    (declared,) = refreshing.settings.connections
    good = refreshing.refresh(IDP.metadata)

    class Broken(bytes):
        def __len__(self) -> int:
            raise ValueError("of a kind that nobody thought of")

    assert read_copy(good, declared, NOW) is not None
    assert read_copy(replace(good, document=Broken()), declared, NOW) is None
