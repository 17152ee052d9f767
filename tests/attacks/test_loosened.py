"""What an option of a connection loosens, and what it does not: the rows that it is about, with everything beside them.

Over HTTP, since an exception must also be told. That each is refused without the option, by the same
code, is said here too.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.flows.test_connection_settings import (
    ELSEWHERE,
    GLOBEX,
    MOVED_IN,
    OLD_ACS,
    OLD_ID,
    SHA1,
    connection,
    leave_for,
    outcome,
    world_with,
)
from tests.identity_provider import IdentityProvider
from tests.world import World


def test_sig_016_sha1_is_accepted_until_a_day_and_every_use_is_loud(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning at start, an event and a warning at each use; it ends by itself, and nothing else is let through."""
    world = world_with(make_world, sha1_until="2026-11-23")  # the day after tomorrow
    assert "sha1_until allows SHA-1 signatures until 2026-11-23" in caplog.text

    caplog.clear()
    assert outcome(world, **SHA1) == (["sha1_accepted", "login_succeeded"], True)
    assert [r.levelno for r in caplog.records if "sha1_accepted" in r.getMessage()] == [logging.WARNING]
    assert outcome(world) == (["login_succeeded"], True)
    assert outcome(world, **SHA1, audience="https://other.example") == (["audience_mismatch"], False)
    assert outcome(world, sign_assertion=False) == (["signature_missing"], False)

    world.wait(days=2)
    assert outcome(world, **SHA1) == (["algorithm_not_allowed"], False)


def test_sig_016_without_the_exception_sha1_is_refused(world: World) -> None:
    """By default, and for good."""
    assert outcome(world, **SHA1) == (["algorithm_not_allowed"], False)


def test_pro_004_skipping_destination_skips_nothing_else(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """Response/@Destination only, loud at each use, and until a day: Recipient and Audience are compared as ever."""
    world = world_with(make_world, skip_destination_until="2026-11-23")
    assert "skip_destination_until allows any Destination until 2026-11-23" in caplog.text

    assert outcome(world, **ELSEWHERE) == (["destination_skipped", "login_succeeded"], True)
    assert outcome(world) == (["login_succeeded"], True)
    assert outcome(world, **ELSEWHERE, recipient="https://proxy.example/acs") == (["recipient_mismatch"], False)
    assert outcome(world, **ELSEWHERE, audience="https://other.example") == (["audience_mismatch"], False)

    world.wait(days=2)
    assert outcome(world, **ELSEWHERE) == (["destination_mismatch"], False)


def test_pro_004_a_response_must_name_the_address_that_it_was_posted_to(make_world: MakeWorld) -> None:
    """Both addresses are this connection's, and yet a message for one is refused at the other."""
    world = world_with(make_world, **MOVED_IN)
    own = "https://app.example/sso/acme/acs"

    assert outcome(world, acs=own) == (["destination_mismatch"], False)
    assert outcome(world, acs=own, destination=own) == (["recipient_mismatch"], False)
    assert outcome(world, acs=OLD_ACS, recipient=own) == (["recipient_mismatch"], False)
    assert outcome(world, acs=own, destination=own, recipient=own) == (["login_succeeded"], True)
    assert outcome(world, acs=OLD_ACS) == (["login_succeeded"], True)


def two(make_world: MakeWorld, **changes: Any) -> World:
    """Two organizations of two identity providers, whose former service provider had one entity id for all."""
    return make_world(
        connections=[
            connection(sp_entity_id=OLD_ID, acs_paths=["/saml/acme"], **changes),
            connection("globex", GLOBEX, sp_entity_id=OLD_ID, acs_paths=["/saml/globex"], **changes),
        ]
    )


def test_ten_005_a_shared_audience_opens_no_other_connection(make_world: MakeWorld) -> None:
    """With one entity id for two connections, each still believes its own keys, issuer and addresses only."""
    world = two(make_world)
    acme, globex = "https://app.example/saml/acme", "https://app.example/saml/globex"
    for_acme = {"destination": acme, "recipient": acme}

    def post(idp: IdentityProvider, asked: str, at: str, **changes: Any) -> list[str]:
        told = len(world.codes)
        browser = world.browser()
        form = idp.log_in(leave_for(world, asked, browser), "ada@acme.example", now=world.now, **changes)
        world.post_response(form, browser, at)
        return world.codes[told:]

    # Globex's login, with an answer of Globex's own, taken to Acme's address: as it is, and dressed up for Acme.
    assert post(GLOBEX, "globex", acme) == ["connection_mismatch"]
    # Acme's login, answered by Globex: in its own name, and in Acme's.
    assert post(GLOBEX, "acme", acme) == ["issuer_mismatch"]
    as_acme = {"issuer": world.idp.entity_id, "response_issuer": world.idp.entity_id}
    assert post(GLOBEX, "acme", acme, **as_acme) == ["signature_invalid"]
    # Acme's answer for Acme's address, taken to Globex's: another connection's, though the audience is the same.
    assert post(world.idp, "acme", globex) == ["connection_mismatch"]
    # The honest twins.
    assert post(world.idp, "acme", acme, **for_acme) == ["login_succeeded"]
    assert post(GLOBEX, "globex", globex) == ["email_outside_domains"]


def test_ten_005_an_unsolicited_response_goes_by_the_address(make_world: MakeWorld) -> None:
    """What Globex's identity provider sends to Acme's address is refused, whatever audience they share."""
    world = two(make_world, idp_initiated="accept")
    acme = "https://app.example/saml/acme"

    def post(idp: IdentityProvider, recipient: str) -> list[str]:
        told = len(world.codes)
        form = idp.unsolicited(recipient, OLD_ID, "ada@acme.example", now=world.now)
        world.post_response(form, world.browser(), acme)
        return world.codes[told:]

    assert post(GLOBEX, acme) == ["issuer_mismatch"]
    assert post(world.idp, "https://app.example/saml/globex") == ["destination_mismatch"]
    assert post(world.idp, acme) == []  # accepted: the page asks first


def test_ten_013_one_identity_provider_of_two_connections_with_one_entity_id(make_world: MakeWorld) -> None:
    """Same keys, issuer and audience: the address and the login request still hold the two apart."""
    world = make_world(
        connections=[
            connection(sp_entity_id=OLD_ID),
            connection("globex", IdentityProvider(), sp_entity_id=OLD_ID),
        ]
    )
    browser = world.browser()
    form = world.idp.log_in(leave_for(world, "acme", browser), "ada@acme.example", now=world.now)

    at_globex = world.post_response(form, browser, "https://app.example/sso/globex/acs")
    assert (at_globex.status, world.codes) == (403, ["connection_mismatch"])
    world.post_response(form, browser, "https://app.example/sso/acme/acs")
    assert world.codes[1:] == ["login_succeeded"]
