"""Each refused sign-in keeps its explanation under its reference: for the admin, never for the page or the log."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider, form_value
from tests.response_shape import SAMLP, SentAttribute, attributes_of
from tests.world import Answer, World
from werkzeug.datastructures import Headers

from sso_middleware import Event, Reject
from sso_middleware.calling import call_blocking, run
from sso_middleware.errors import MessageRefused, PageNotFound, SSOError
from sso_middleware.events import EXPLANATION
from sso_middleware.flows.explaining import explanation_of
from sso_middleware.flows.refusing import refuse
from sso_middleware.web import Request

EMAIL = "ada.lovelace@acme.example"


def kept(world: World) -> dict[str, Any]:
    """The explanation in the event table, under the last reference."""
    (event,) = world.store.get_events(reference=world.events[-1].reference)
    assert event.detail == world.events[-1].detail
    record: dict[str, Any] = json.loads(event.detail[EXPLANATION])
    return record


def posted() -> Request:
    """A request to the ACS, as far as a refusal looks at it."""

    def read_body(limit: int) -> bytes:
        return b""

    return Request(
        method="POST",
        path="/sso/acme/acs",
        raw_path=None,
        query="",
        headers=Headers(),
        scheme="https",
        host="app.example",
        client="203.0.113.9",
        native={},
        read_body=read_body,
    )


def check_page_says_nothing(answer: Answer, record: dict[str, Any]) -> None:
    for words in (record["title"] + ":", record["expected"], record["who"], record["advice"], *record["hints"]):
        assert words not in answer.text


@pytest.mark.parametrize(
    ("changes", "check", "also"),
    [
        ({"audience": "https://other.example/", "recipient": "https://app.example/"}, "recipient", ["audience"]),
        ({"audience": "https://app.example/sso/acme/metadata/"}, "audience", []),
        ({"name_id": ""}, "name_id", []),
        ({"sign_assertion": False, "issuer": "urn:other"}, "coverage", ["issuer"]),
        ({"session_not_on_or_after": "2026-11-21T11:00:00Z"}, "authn", []),
        ({"has_assertion": False}, "contents", []),
        ({"attributes": (SentAttribute("mail", (EMAIL,)),), "name_id": "x"}, "identity", []),
    ],
)
def test_a_refusal_is_kept_with_its_explanation(
    world: World, changes: dict[str, Any], check: str, also: list[str]
) -> None:
    """What came, what was expected, who must act, and what would fail besides; and none of it on the page."""
    form = world.log_in(email=EMAIL, **changes)
    answer = world.post_response(form)

    assert 400 <= answer.status < 500
    record = kept(world)
    assert record["check"] == check
    assert [one["check"] for one in record["also"]] == also
    check_page_says_nothing(answer, record)


def test_an_answer_to_nobodys_request_is_told_as_that(world: World) -> None:
    """Once, although the assertion says the same."""
    form = world.idp.unsolicited(world.acs_url, world.entity_id, EMAIL, now=world.now, in_response_to="_of-nobody")
    world.post_response(form)

    record = kept(world)
    assert (world.codes, record["check"], record["also"]) == (["login_request_unknown"], "login_request", [])
    assert "`login_timeout`" in record["hints"][0]


def test_another_keys_message_is_told_by_both_certificates(world: World) -> None:
    """A rollover that the operator has not heard of looks like this."""
    other = IdentityProvider(world.idp.entity_id, world.idp.sso_url, key="new")
    world.post_response(other.log_in(world.begin_login(), EMAIL, now=world.now))

    record = kept(world)
    assert (world.events[-1].code, record["check"]) == ("signature_invalid", "signature")
    assert record["came"].startswith('certificate whose SHA-256 begins "')
    assert record["came"] != record["expected"]
    assert "rolled over" in record["hints"][0]


def test_a_message_of_another_kind_is_told_as_what_it_is(world: World) -> None:
    """The gate refuses it before anything of it is known; the admin still learns what it was."""
    xml = f'<samlp:LogoutResponse xmlns:samlp="{SAMLP}" ID="_1" Version="2.0"/>'.encode()
    world.post_response({"SAMLResponse": form_value(xml)})

    record = kept(world)
    assert (record["check"], record["came"]) == ("kind", "LogoutResponse")
    assert "sign-out" in record["hints"][0]


def test_the_identity_providers_own_words_are_kept(world: World) -> None:
    """For the admin, without an address, and not for the page."""
    form = world.idp.refuse(
        world.begin_login(), now=world.now, status="RequestDenied", status_message=f"User {EMAIL} is not assigned"
    )
    answer = world.post_response(form)

    record = kept(world)
    assert world.codes[-1] == "identity_provider_failure"
    assert record["came"] == 'Responder / RequestDenied, in its own words "User …@acme.example is not assigned"'
    assert "nobody assigned them" in record["hints"][0]
    assert "not assigned" not in answer.text


def test_the_hosts_decision_is_explained_too(world: World) -> None:
    """By the check alone: the message was fine."""
    world.hooks.decision = lambda identity: Reject("no seat left")
    world.post_response(world.log_in(email=EMAIL))

    record = kept(world)
    assert (record["check"], record["why"], record["also"]) == ("host", "no seat left", [])


def test_a_replay_is_explained(world: World) -> None:
    """All that was verified stays so."""
    form = world.idp.unsolicited(world.acs_url, world.entity_id, EMAIL, now=world.now)
    world.post_response(form)
    world.post_response(form)

    assert (world.events[-1].code, kept(world)["check"], kept(world)["also"]) == ("assertion_replayed", "replay", [])


def test_nothing_about_the_person_is_kept_or_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Attribute names and the domain; the log has the rest of the event, without the explanation."""
    caplog.set_level(logging.INFO, "sso_middleware")
    secret = attributes_of(EMAIL, roles=("secret role",), department="Secret Department", country="Freedonia")
    wrong: list[dict[str, Any]] = [
        {"audience": "urn:x", "attributes": secret},
        {"name_id": "", "attributes": secret},
        {"name_id": "stable id", "attributes": secret[1:]},
    ]
    for changes in wrong:
        world.post_response(world.log_in(email=EMAIL, **changes))

    told = "".join(event.detail[EXPLANATION] for event in world.events)
    assert "role_mapping (1)" in told
    for word in ("ada", "lovelace", "secret", "freedonia", "stable id"):
        assert word not in told.lower().replace("metadata", "")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("sso_middleware")]
    assert len(lines) == 3
    assert not any(EXPLANATION in line or "role_mapping" in line for line in lines)


def test_a_page_that_is_missing_needs_no_explanation(world: World) -> None:
    """Nor does anything else that is no sign-in."""
    world.browser().get("/sso/nothing")

    assert (world.codes, EXPLANATION in world.events[-1].detail) == (["page_not_found"], False)
    assert explanation_of(world.sso.site, PageNotFound()) == ""


def test_a_fault_in_explaining_leaves_the_refusal(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The log has its kind and where it was; not its words, that could quote the message."""
    error, fault = MessageRefused("the reason"), LookupError(EMAIL)

    def fail(_: SSOError) -> str:
        raise fault

    error.explain = fail
    with caplog.at_level(logging.ERROR, "sso_middleware"):
        reply = run(refuse(world.sso.site, posted(), call_blocking, error))

    assert reply.status == 403
    (event,) = world.events
    assert (event.code, dict(event.detail)) == ("message_refused", {"why": "the reason", "path": "/sso/acme/acs"})
    assert "LookupError" in caplog.text
    assert EMAIL not in caplog.text


def test_a_flood_is_not_explained(make_world: MakeWorld) -> None:
    """What is only counted costs no second look at the message."""
    world = make_world()
    looks = 0

    def explain(_: SSOError) -> str:
        nonlocal looks
        looks += 1
        return "{}"

    for _ in range(100):
        error = MessageRefused("the reason")
        error.connection_id = "acme"
        error.explain = explain
        run(refuse(world.sso.site, posted(), call_blocking, error))

    told: list[Event] = [event for event in world.events if event.reference]
    assert looks == len(told) == 60
