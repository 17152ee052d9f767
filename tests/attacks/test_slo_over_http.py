"""SLO: the logout messages of test_slo.py, sent over HTTP at a whole middleware; replays, strangers and floods.

A refusal is a refusal: 4xx, its own code, the session lives, no cookie goes, our own request still waits for its
answer; and the honest message by the same binding is acted on right afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.attacks.test_limits import HOME, OFFICE, junk, small
from tests.attacks.test_over_http import MakeWorld, both_worlds
from tests.attacks.test_slo import ATTACKS, EXPECTED, NOW, SLO_URL, LogoutAttack
from tests.identity_provider import IdentityProvider
from tests.logout_messages import RSA_SHA1, quote_lower
from tests.signing_out import (
    acme,
    answer_to,
    by_post,
    by_redirect,
    connection,
    log_out,
    request_for,
    sent_by_redirect,
    sessions_of,
    slo_url,
)
from tests.world import Answer, Browser, World

from sso_middleware.stores.session_records import SentLogoutRequest

ROWS = sorted({attack.row for attack in ATTACKS})
# The flow looks for our request before the message is verified.
FLOW_CODES = {"in_response_to_mismatch": "logout_request_unknown"}


def scene(make_world: MakeWorld) -> World:
    """The world that those messages were made for: its addresses, its time, and a request of ours that waits."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(SLO_URL))
    world = make_world(base_url=origin, connections=[connection()])
    assert slo_url(world) == SLO_URL
    world.now = NOW
    return world


def wait_for_answer(world: World) -> None:
    if world.store.get_logout_request(EXPECTED.request_id, world.now) is None:
        sent = SentLogoutRequest(EXPECTED.request_id, "acme", "b", EXPECTED.issued_at, NOW + timedelta(minutes=10))
        world.store.add_logout_request(sent)


def sign_in(world: World) -> Browser:
    """The person whom the attacks mean, under the very SessionIndex that they name."""
    browser = world.browser()
    form = world.idp.log_in(
        world.begin_login("/report", browser), "ada@acme.example", now=world.now, session_index="_session-1"
    )
    assert world.post_response(form, browser).status == 303
    return browser


def send(attack: LogoutAttack, browser: Browser) -> Answer:
    if isinstance(attack.attack, str):
        return browser.get(f"{SLO_URL}?{attack.attack}", Sec_Fetch_Site="cross-site")
    # A form of another site's brings no Lax cookie; that of one on our own site would.
    return browser.post(SLO_URL, attack.attack)


def faults_of(world: World, attack: LogoutAttack) -> Iterator[str]:
    wait_for_answer(world)
    browser = sign_in(world)
    world.events.clear()
    answer = send(attack, browser)
    expected = FLOW_CODES.get(attack.code, attack.code)
    if not 400 <= answer.status < 500:
        yield f"{attack}: status {answer.status}"
    if world.codes != [expected]:
        yield f"{attack}: events {world.codes}, expected {expected}"
    if answer.set_cookies or "Clear-Site-Data" in answer.headers or world.hooks.ended:
        yield f"{attack}: the browser or the host was told of a sign-out"
    if any(name in answer.text for name in ("ada@", "boss@")):
        yield f"{attack}: the page tells who was meant"
    if browser.get("/report").status != 200:
        yield f"{attack}: the session has ended"
    if world.store.get_logout_request(EXPECTED.request_id, world.now) is None:
        yield f"{attack}: our own request was used up"
    yield from faults_of_twin(world, attack, browser)


def faults_of_twin(world: World, attack: LogoutAttack, browser: Browser) -> Iterator[str]:
    deliver = by_redirect if isinstance(attack.twin, str) else by_post
    honest = request_for(world, session_indexes=("_session-1",))
    if deliver(world, honest).status != 303 or browser.get("/report").status != 303:
        yield f"{attack}: the honest request is refused: {world.codes}"


@both_worlds
@pytest.mark.parametrize("row", ROWS)
def test_every_attack_is_refused_over_http(make_world: MakeWorld, row: str) -> None:
    """Nothing changes, and the honest twin of the same binding signs the person out."""
    world = scene(make_world)
    faults = [fault for attack in ATTACKS if attack.row == row for fault in faults_of(world, attack)]
    assert faults == []


@both_worlds
@pytest.mark.parametrize("deliver", [by_redirect, by_post])
def test_the_honest_answer_is_accepted(make_world: MakeWorld, deliver: Any) -> None:
    """SLO-013: the twin of the answers that are refused above."""
    world = scene(make_world)
    wait_for_answer(world)
    sent = sent_by_redirect_of(world)

    assert deliver(world, answer_to(world, sent)).status == 303
    assert world.codes[-1] == "single_logout_done"


def sent_by_redirect_of(world: World) -> Any:
    world.sign_in()
    return sent_by_redirect(world, log_out(world.first_browser).refresh_url)


@both_worlds
def test_slo_008_only_the_sessions_of_whom_it_names_end(make_world: MakeWorld) -> None:
    """Ada's by her own name and index; Bob's index with her name ends nobody's (tests/flows/test_single_logout.py)."""
    world = make_world(connections=[connection()])
    ada, bob = world.browser(), world.browser()
    world.sign_in("ada@acme.example", browser=ada)
    world.sign_in("bob@acme.example", browser=bob)
    bobs = next(str(session.session_index) for session in sessions_of(world) if session.email.startswith("bob"))

    assert by_post(world, request_for(world, session_indexes=(bobs,))).status == 303
    assert (ada.get("/report").status, bob.get("/report").status) == (200, 200)
    assert by_post(world, request_for(world)).status == 303
    assert (ada.get("/report").status, bob.get("/report").status) == (303, 200)


@both_worlds
def test_slo_009_the_same_request_by_the_other_binding_is_a_replay(make_world: MakeWorld) -> None:
    """The id counts, whatever is around it."""
    world = make_world(connections=[connection()])
    world.sign_in()
    shape = request_for(world)
    assert by_redirect(world, shape).status == 303
    world.sign_in(browser=world.browser())

    assert by_post(world, shape).status == 403
    assert world.codes[-1] == "logout_replayed"
    assert len(sessions_of(world)) == 1


@both_worlds
def test_slo_010_lower_case_escapes_arrive_as_they_were_sent(make_world: MakeWorld) -> None:
    """Both shells hand on the raw query string."""
    world = make_world(connections=[connection()])
    world.sign_in()
    answer = by_redirect(world, request_for(world), quoting=quote_lower, relay_state="ü/+ &=%2f~*")

    assert sent_by_redirect(world, answer.location).relay_state == "ü/+ &=%2f~*"
    assert sessions_of(world) == []


@both_worlds
def test_slo_011_sha_1_under_its_exception_is_told_each_time(make_world: MakeWorld) -> None:
    """As at the ACS: the use is an event of its own."""
    until = make_world().now.date() + timedelta(days=30)
    world = make_world(connections=[connection(sha1_until=until)])
    world.sign_in()

    assert by_redirect(world, request_for(world), sig_alg=RSA_SHA1).status == 303
    assert world.codes[1:] == ["sha1_accepted", "single_logout_requested"]


# Floods


def junk_logout(world: World, client: str = OFFICE, **headers: str) -> Answer:
    query = "SAMLRequest=bm90IFhNTA%3D%3D&SigAlg=x&Signature=AAAA"
    return world.browser().get(f"/sso/acme/slo?{query}", X_Forwarded_For=client, **headers)


def flood(world: World, **headers: str) -> None:
    for _ in range(100):
        if junk_logout(world, **headers).status == 429:
            return
    raise AssertionError("nobody was told to wait")


def test_a_flood_of_logout_messages_is_told_to_wait(make_world: MakeWorld) -> None:
    """WEB-023: at its own address only, with Retry-After, for a minute; and signing in there goes on."""
    world = small(make_world, connections=[connection()])
    flood(world)

    refused = junk_logout(world)
    assert (refused.status, world.codes.count("too_many_attempts")) == (429, 1)
    assert int(refused.headers["Retry-After"]) <= 60
    assert by_post(world, request_for(world), headers={"X_Forwarded_For": OFFICE}).status == 429
    assert by_post(world, request_for(world), headers={"X_Forwarded_For": HOME}).status == 303
    assert junk(world).status == 400
    world.wait(minutes=1)
    assert by_post(world, request_for(world), headers={"X_Forwarded_For": OFFICE}).status == 303


def test_frames_of_other_sites_fill_no_limit_but_their_own(make_world: MakeWorld) -> None:
    """WEB-023: a page that people of an office visit can have their browsers send us anything."""
    world = small(make_world, connections=[connection()])
    flood(world, Sec_Fetch_Dest="iframe")

    assert junk_logout(world, Sec_Fetch_Dest="image").status == 429
    assert by_redirect(world, request_for(world), headers={"X_Forwarded_For": OFFICE}).status == 303


def test_whoever_shares_the_address_of_a_flood_signs_out_all_the_same(make_world: MakeWorld) -> None:
    """WEB-023: by the answer to our own request, or in a browser that has signed in here before."""
    world = small(make_world, connections=[connection()], sign_ins_per_minute=40)
    world.sign_in()
    sent = sent_by_redirect(world, log_out(world.first_browser).refresh_url)
    flood(world)
    office = {"X_Forwarded_For": OFFICE}

    assert by_post(world, answer_to(world, sent), headers=office).status == 303
    assert by_redirect(world, request_for(world), world.first_browser, headers=office).status == 303
    assert by_redirect(world, request_for(world), headers=office).status == 429


def test_honest_messages_are_not_counted(make_world: MakeWorld) -> None:
    """WEB-023: an identity provider may sign out as many as it likes from one address."""
    world = small(make_world, connections=[connection()])

    assert {by_post(world, request_for(world)).status for _ in range(30)} == {303}


def test_a_forger_can_not_use_up_the_answers_to_our_request(make_world: MakeWorld) -> None:
    """WEB-023: five forged ones in a full address, then they wait, too; the honest one of another address passes."""
    world = small(make_world, connections=[connection()])
    world.sign_in()
    sent = sent_by_redirect(world, log_out(world.first_browser).refresh_url)
    flood(world)
    forger = IdentityProvider(acme().entity_id, key="attacker's")
    office = {"X_Forwarded_For": OFFICE}

    statuses = [by_post(world, answer_to(world, sent), idp=forger, headers=office).status for _ in range(6)]

    assert statuses == [403] * 5 + [429]
    assert by_post(world, answer_to(world, sent), headers={"X_Forwarded_For": HOME}).status == 303
