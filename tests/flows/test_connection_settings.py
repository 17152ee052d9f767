"""What one connection may have otherwise: algorithms, dated exceptions, and addresses from before."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import (
    IdentityProvider,
    check_redirect_signature,
    make_signer,
    read_post,
    read_redirect,
)
from tests.world import Browser, World

from sso_middleware.events import Event
from sso_middleware.flows.dated_exceptions import tell_of_open_exceptions

GLOBEX = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso")
SHA1 = {"signature_algorithm": "rsa-sha1", "digest_algorithm": "sha1"}
OLD_ID = "https://app.example/saml/metadata"
OLD_ACS = "https://app.example/saml/acs"


def connection(id: str = "acme", idp: IdentityProvider | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "organization": id.title(),
        "domains": [f"{id}.example"],
        "metadata": (idp or IdentityProvider()).metadata,
        **changes,
    }


def world_with(make_world: MakeWorld, **changes: Any) -> World:
    return make_world(connections=[connection(**changes)])


def outcome(world: World, *, acs: str | None = None, **changes: Any) -> tuple[list[str], bool]:
    """The codes of a new person's sign-in that is misbehaved by `changes`, and whether it opened a session."""
    told = len(world.codes)
    browser = world.browser()
    form = world.idp.log_in(world.begin_login(browser=browser), "ada@acme.example", now=world.now, **changes)
    world.post_response(form, browser, acs)
    return world.codes[told:], browser.has_session


# Algorithms


@pytest.mark.parametrize("algorithm", ["rsa-sha384", "rsa-sha512"])
def test_our_requests_are_signed_as_the_connection_wants(make_world: MakeWorld, algorithm: str) -> None:
    """By HTTP-Redirect; the same key and certificate, another hash."""
    world = world_with(make_world, signature_algorithm=algorithm)

    check_redirect_signature(world.begin_login(), make_signer("our own key").certificate, algorithm=algorithm)


def test_our_requests_by_post_are_signed_as_the_connection_wants(make_world: MakeWorld) -> None:
    """Where the identity provider takes HTTP-POST only."""
    only_post = re.sub(r'<SingleSignOnService Binding="[^"]*Redirect"[^>]*/>', "", IdentityProvider().metadata)
    world = world_with(make_world, metadata=only_post, signature_algorithm="rsa-sha512")
    browser = world.browser()
    page = browser.get(browser.get("/report").location)

    request = read_post({"SAMLRequest": page.field("SAMLRequest")})
    assert re.findall(rb'Method Algorithm="[^"]*#(rsa-sha512|sha512)"', request.xml) == [b"rsa-sha512", b"sha512"]


def test_an_algorithm_that_the_connection_does_not_list_is_refused(make_world: MakeWorld) -> None:
    """SIG-016: a connection may allow less than we know; what it lists is accepted."""
    world = world_with(make_world, allowed_signature_algorithms=["rsa-sha512", "ecdsa-sha512"])

    assert outcome(world) == (["algorithm_not_allowed"], False)
    assert outcome(world, signature_algorithm="rsa-sha512") == (["login_succeeded"], True)


# Dated exceptions


ELSEWHERE = {"destination": "https://proxy.example/acs"}


def test_both_exceptions_at_once_are_both_told(make_world: MakeWorld) -> None:
    """A message that needs both is accepted, and needs both to be."""
    both = world_with(make_world, sha1_until="2026-11-23", skip_destination_until="2026-11-23")
    assert outcome(both, **SHA1, **ELSEWHERE) == (["sha1_accepted", "destination_skipped", "login_succeeded"], True)

    one = world_with(make_world, sha1_until="2026-11-23")
    assert outcome(one, **SHA1, **ELSEWHERE) == (["destination_mismatch"], False)


def test_an_exception_that_has_ended_does_not_keep_the_app_from_starting(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """It has ended by itself; the log says that it can be taken out."""
    world = world_with(make_world, sha1_until="2026-11-21", skip_destination_until="2026-01-01")

    assert "sha1_until has ended; take it out" in caplog.text
    assert outcome(world, **SHA1) == (["algorithm_not_allowed"], False)
    assert outcome(world, **ELSEWHERE) == (["destination_mismatch"], False)


def test_an_open_exception_is_told_once_a_day(make_world: MakeWorld) -> None:
    """Used or not, and by one process only; what has ended is told no more."""
    world = world_with(make_world, sha1_until="2026-11-23", skip_destination_until="2026-11-22")
    told: list[tuple[str, str | None, str]] = []

    def look() -> int:
        told.clear()
        tell_of_open_exceptions(world.settings, world.store, note, world.now)
        return len(told)

    def note(event: Event) -> None:
        told.append((event.code, event.connection_id, event.detail["why"]))

    assert look() == 2
    assert told[0] == ("exception_open", "acme", "sha1_until allows SHA-1 signatures until 2026-11-23")
    assert look() == 0
    world.wait(days=1)
    assert look() == 1
    world.wait(days=1)
    assert look() == 0


def test_a_failure_elsewhere_needs_the_exception_too(make_world: MakeWorld) -> None:
    """A failure Response with another Destination: skipped as loudly, and it still ends in a refusal."""
    world = world_with(make_world, skip_destination_until="2026-11-23")

    form = world.idp.refuse(world.begin_login(), now=world.now, **ELSEWHERE)
    assert world.post_response(form).status == 403
    assert world.codes == ["destination_skipped", "identity_provider_failure"]


# Moving in from another service provider


MOVED_IN: dict[str, Any] = {"sp_entity_id": OLD_ID, "acs_paths": ["/saml/acs"]}


def test_a_customer_moves_in_without_changing_anything(make_world: MakeWorld) -> None:
    """Our request names the entity id and the ACS URL of the former service provider; the answer there signs in."""
    world = world_with(make_world, **MOVED_IN)
    url = world.begin_login()
    request = read_redirect(url)
    assert (request.issuer, request.acs_url) == (OLD_ID, OLD_ACS)

    answer = world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now), acs=OLD_ACS)

    assert answer.location == f"{world.base_url}/report?month=11"
    assert world.first_browser.has_session


def test_metadata_lists_every_address(make_world: MakeWorld) -> None:
    """The one that our requests name is the default; ours is there for whoever changes over."""
    world = world_with(make_world, **MOVED_IN)

    metadata = world.browser().get("/sso/acme/metadata").text

    assert f'entityID="{OLD_ID}"' in metadata
    services = re.findall(r"<[^>]*AssertionConsumerService[^>]*>", metadata)
    told = [dict(re.findall(r'(\w+)="([^"]*)"', service)) for service in services]
    assert [(one["index"], one["isDefault"], one["Location"]) for one in told] == [
        ("0", "true", OLD_ACS),
        ("1", "false", "https://app.example/sso/acme/acs"),
    ]


def test_the_own_address_listed_first_is_named_again(make_world: MakeWorld) -> None:
    """The last step of moving in: requests name our own address, and the former one still works."""
    world = world_with(make_world, acs_paths=["/sso/acme/acs", "/saml/acs"])
    assert read_redirect(world.begin_login(browser=world.browser())).acs_url == "https://app.example/sso/acme/acs"

    at_old = {"destination": OLD_ACS, "recipient": OLD_ACS}
    assert outcome(world, acs=OLD_ACS, **at_old) == (["login_succeeded"], True)
    assert outcome(world) == (["login_succeeded"], True)


def test_only_a_post_is_ours_at_such_an_address(make_world: MakeWorld) -> None:
    """Whatever else the host shows there stays the host's, protected as before; so does what lies below."""
    world = world_with(make_world, **MOVED_IN)

    assert world.browser().get("/saml/acs").location.startswith("https://app.example/sso/login")
    below, elsewhere = (
        world.browser().post(path, {"SAMLResponse": "x"}, cross_site=True) for path in ("/saml/acs/more", "/other")
    )
    assert below.status == elsewhere.status
    assert world.codes == []


# Several connections


def leave_for(world: World, id: str, browser: Browser) -> str:
    """The redirect to this connection's identity provider."""
    location: str = browser.get(f"/sso/login?connection={id}").location
    return location


def test_a_connection_with_its_own_entity_id_among_those_that_share_an_acs(make_world: MakeWorld) -> None:
    """Who moved in keeps the former id and address; everybody else has the shared ones."""
    world = make_world(shared_acs=True, connections=[connection(**MOVED_IN), connection("globex", GLOBEX)])

    moved_in = read_redirect(leave_for(world, "acme", world.browser()))
    other = read_redirect(leave_for(world, "globex", world.browser()))

    assert (moved_in.issuer, moved_in.acs_url) == (OLD_ID, OLD_ACS)
    assert (other.issuer, other.acs_url) == ("https://app.example/sso/metadata", "https://app.example/sso/acs")
    browser = world.browser()
    url = leave_for(world, "acme", browser)
    world.post_response(world.idp.log_in(url, "ada@acme.example", now=world.now), browser, OLD_ACS)
    assert world.codes == ["login_succeeded"]


def test_a_replay_is_no_use_of_an_exception(make_world: MakeWorld) -> None:
    """Told is what was accepted: the same message, posted again and again, writes no more of it."""
    world = world_with(make_world, sha1_until="2026-12-31")
    browser = world.browser()
    form = world.idp.log_in(world.begin_login(browser=browser), "ada@acme.example", now=world.now, **SHA1)

    assert [browser.post(world.acs_url, form, cross_site=True).status for _ in range(3)] == [303, 403, 403]

    assert world.codes == ["sha1_accepted", "assertion_replayed", "assertion_replayed"]
