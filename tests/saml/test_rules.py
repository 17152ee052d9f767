"""The clauses, each by an identity provider that signs what breaks it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.identity_provider import IdentityProvider
from tests.response_shape import BEARER, ENTITY_FORMAT, HOLDER_OF_KEY, SAML, SENDER_VOUCHES, XSI, Confirmation
from tests.saml.conversation import (
    EMAIL,
    EXPECTED,
    IDP,
    LEEWAY,
    MINUTE,
    NOW,
    SERVICE_PROVIDER,
    refusal,
    respond,
    verify,
)

from sso_middleware.errors import AudienceMismatch, DestinationMismatch
from sso_middleware.saml.assertion import NAME_ID_PERSISTENT
from sso_middleware.saml.parsing import parse_signed
from sso_middleware.saml.parties import Expected
from sso_middleware.saml.rules import check_audience

SECOND = timedelta(seconds=1)
ACS = SERVICE_PROVIDER.acs_url
BOTH = {"sign_response": True}
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        # Issuer (PRO-051, TEN-001, TEN-003)
        ({"issuer": "https://other.example"}, "issuer_mismatch"),
        ({"issuer": IDP.entity_id + "/"}, "issuer_mismatch"),
        ({"issuer": f" {IDP.entity_id} "}, "issuer_mismatch"),
        ({"issuer_format": NAME_ID_PERSISTENT}, "issuer_mismatch"),
        ({"issuer_format": ENTITY_FORMAT}, "accepted"),
        ({"response_issuer": "https://other.example"}, "issuer_mismatch"),
        ({"response_issuer_format": NAME_ID_PERSISTENT}, "issuer_mismatch"),
        ({"response_issuer": None}, "accepted"),
        # Destination (PRO-001 to PRO-004)
        ({"destination": "https://app.example.com/sso/other/acs"}, "destination_mismatch"),
        ({"destination": ACS + "/"}, "destination_mismatch"),
        ({"destination": ACS.upper()}, "destination_mismatch"),
        ({"destination": ""}, "destination_mismatch"),
        ({"destination": None}, "accepted"),
        ({"destination": None, **BOTH}, "destination_mismatch"),
        # InResponseTo (RPL-006 to RPL-008)
        ({"in_response_to": "_another"}, "in_response_to_mismatch"),
        ({"in_response_to": None}, "in_response_to_mismatch"),
        ({"confirmation_in_response_to": "_another"}, "in_response_to_mismatch"),
        ({"confirmation_in_response_to": None}, "in_response_to_mismatch"),
        # Subject and its confirmation (PRO-005 to PRO-008, PRO-018 to PRO-024, PRO-030)
        ({"has_subject": False}, "subject_missing"),
        ({"has_confirmation": False}, "subject_confirmation_missing"),
        ({"confirmation_method": SENDER_VOUCHES}, "subject_confirmation_missing"),
        ({"confirmation_method": HOLDER_OF_KEY}, "subject_confirmation_missing"),
        ({"has_confirmation_data": False}, "subject_confirmation_missing"),
        ({"recipient": None}, "recipient_mismatch"),
        ({"recipient": ""}, "recipient_mismatch"),
        ({"recipient": SERVICE_PROVIDER.entity_id}, "recipient_mismatch"),
        ({"recipient": "https://app.example.com/sso/other/acs"}, "recipient_mismatch"),
        ({"confirmation_not_on_or_after": None}, "subject_confirmation_unbounded"),
        ({"confirmation_not_before": NOW - MINUTE}, "subject_confirmation_unbounded"),
        ({"confirmation_not_on_or_after": NOW - LEEWAY}, "expired"),
        ({"confirmation_not_on_or_after": NOW - LEEWAY + SECOND}, "accepted"),
        ({"confirmation_address": "192.0.2.1"}, "accepted"),
        # Conditions (PRO-013 to PRO-017, PRO-043)
        ({"has_conditions": False}, "conditions_missing"),
        ({"not_before": None, "not_on_or_after": None}, "accepted"),
        ({"not_before": NOW + LEEWAY}, "accepted"),
        ({"not_before": NOW + LEEWAY + SECOND}, "not_yet_valid"),
        ({"not_on_or_after": NOW - LEEWAY}, "expired"),
        ({"not_on_or_after": NOW - LEEWAY + SECOND}, "accepted"),
        ({"not_on_or_after": "soon"}, "time_invalid"),
        ({"not_on_or_after": "2026-03-01T12:10:00"}, "time_invalid"),
        ({"not_before": NOW, "not_on_or_after": NOW + 70 * MINUTE}, "accepted"),
        # .NET's DateTime.MinValue and MaxValue: no leeway can be added to them
        ({"not_before": "0001-01-01T00:00:00Z", "not_on_or_after": "9999-12-31T23:59:59.9999999Z"}, "accepted"),
        ({"confirmation_not_on_or_after": "9999-12-31T23:59:59.9999999Z"}, "accepted"),
        ({"not_before": "9999-12-31T23:59:59Z"}, "not_yet_valid"),
        ({"not_on_or_after": "0001-01-01T00:00:00Z"}, "expired"),
        ({"assertion_issued_at": "9999-12-31T23:59:59Z"}, "not_yet_valid"),
        ({"assertion_issued_at": "0001-01-01T00:00:00Z"}, "stale"),
        ({"conditions_inner_xml": "<saml:OneTimeUse/><saml:ProxyRestriction Count='0'/>"}, "accepted"),
        (
            {"conditions_inner_xml": f"<saml:Condition xmlns:xsi='{XSI}' xmlns:f='urn:f' xsi:type='f:Moon'/>"},
            "condition_unknown",
        ),
        # Audience (PRO-009 to PRO-012)
        ({"audience": None}, "audience_mismatch"),
        ({"audience": "https://other.example"}, "audience_mismatch"),
        ({"audience": SERVICE_PROVIDER.entity_id + "/"}, "audience_mismatch"),
        ({"audience": f"{SERVICE_PROVIDER.entity_id}\n"}, "audience_mismatch"),
        ({"audience": SERVICE_PROVIDER.entity_id.upper()}, "audience_mismatch"),
        ({"audience": ("https://other.example", SERVICE_PROVIDER.entity_id)}, "accepted"),
        ({"further_restrictions": (("https://other.example",),)}, "audience_mismatch"),
        ({"further_restrictions": (("https://other.example", SERVICE_PROVIDER.entity_id),)}, "accepted"),
        # AuthnStatement (PRO-026 to PRO-029)
        ({"has_authn_statement": False}, "authn_statement_missing"),
        ({"authn_instant": NOW + LEEWAY}, "accepted"),
        ({"authn_instant": NOW + LEEWAY + SECOND}, "not_yet_valid"),
        ({"authn_instant": NOW - DAY}, "accepted"),
        ({"session_not_on_or_after": NOW}, "session_over"),
        ({"session_not_on_or_after": NOW + SECOND}, "accepted"),
        # NameID (PRO-031, PRO-033, TEN-011)
        ({"name_id": None}, "name_id_missing"),
        ({"name_id": ""}, "name_id_missing"),
        ({"name_id": " \n "}, "name_id_missing"),
        ({"name_id": "a\nb"}, "name_id_invalid"),
        ({"name_id": "a\u0085b"}, "name_id_invalid"),
        ({"name_id": "a" * 1025}, "name_id_invalid"),
        ({"name_id": "a" * 1024}, "accepted"),
        ({"name_qualifier": "https://other.example"}, "name_qualifier_mismatch"),
        ({"sp_name_qualifier": "https://other.example"}, "name_qualifier_mismatch"),
        ({"name_qualifier": IDP.entity_id, "sp_name_qualifier": SERVICE_PROVIDER.entity_id}, "accepted"),
        ({"name_qualifier": "", "sp_name_qualifier": ""}, "accepted"),
    ],
)
def test_each_clause(changes: dict[str, Any], code: str) -> None:
    """What breaks it is refused under its own code; what comes close is not."""
    assert refusal(respond(**changes)) == code


@pytest.mark.parametrize("field", ["issued_at", "assertion_issued_at"])
@pytest.mark.parametrize(
    ("away", "code"),
    [
        (LEEWAY, "accepted"),
        (LEEWAY + SECOND, "not_yet_valid"),
        (-30 * SECOND - LEEWAY, "accepted"),
        (-30 * SECOND - LEEWAY - SECOND, "stale"),
    ],
)
def test_it_was_issued_now_and_after_our_request(field: str, away: timedelta, code: str) -> None:
    """IssueInstant of the Response and of the assertion: not ahead, not before we asked (PRO-036, PRO-037)."""
    assert refusal(respond(**{field: NOW + away})) == code


@pytest.mark.parametrize("field", ["issued_at", "assertion_issued_at"])
def test_it_comes_within_minutes(field: str) -> None:
    """Seven minutes after it was issued, leeway included, it is stale, although it says it is valid for years."""
    asked_long_ago = Expected(EXPECTED.request_id, NOW - DAY)
    years = {"not_on_or_after": NOW + 3650 * DAY, "confirmation_not_on_or_after": NOW + 3650 * DAY}
    for age, code in ((7 * MINUTE - SECOND, "accepted"), (7 * MINUTE, "stale")):
        assert refusal(respond(**{field: NOW - age}, **years), expected=asked_long_ago) == code


@pytest.mark.parametrize(
    ("before_we_asked", "code"), [(LEEWAY, "accepted"), (LEEWAY + SECOND, "authn_not_fresh"), (DAY, "authn_not_fresh")]
)
def test_where_we_asked_for_a_fresh_authentication_an_earlier_one_is_none(
    before_we_asked: timedelta, code: str
) -> None:
    """ForceAuthn: by the provider's clock, within the leeway, it was after we asked; else it may be any time ago."""
    message = respond(authn_instant=EXPECTED.issued_at - before_we_asked)
    assert refusal(message, expected=replace(EXPECTED, force_authn=True)) == code
    assert refusal(message) == "accepted"
    unsolicited = respond(request_id=None, authn_instant=EXPECTED.issued_at - before_we_asked)
    assert refusal(unsolicited, expected=None) == "accepted"


def test_the_audience_is_demanded_whatever_else_was_checked() -> None:
    """Without Conditions there is no AudienceRestriction either: this clause alone would refuse it."""
    for has_conditions in (True, False):
        assertion = parse_signed(respond(has_conditions=has_conditions), "samlp:Response")[-1]
        if has_conditions:
            check_audience(assertion, SERVICE_PROVIDER)
        else:
            with pytest.raises(AudienceMismatch, match="no AudienceRestriction"):
                check_audience(assertion, SERVICE_PROVIDER)


def test_the_leeway_is_the_connection_s() -> None:
    """A connection may trust its provider's clock more, or less."""
    late = respond(not_on_or_after=NOW - MINUTE)
    assert refusal(late) == "accepted"
    assert refusal(late, leeway=30 * SECOND) == "expired"


def test_one_good_bearer_confirmation_is_enough() -> None:
    """Whatever the others are (PRO-025); and where none is good, it says why."""
    good = Confirmation(recipient=ACS, not_on_or_after=NOW + MINUTE, in_response_to=EXPECTED.request_id, method=BEARER)
    elsewhere = {"recipient": "https://other.example"}
    assert refusal(respond(**elsewhere, further_confirmations=(good,))) == "accepted"
    assert refusal(respond(confirmation_method=SENDER_VOUCHES, further_confirmations=(good,))) == "accepted"
    assert refusal(respond(further_confirmations=(Confirmation(),))) == "accepted"
    assert refusal(respond(**elsewhere, further_confirmations=(Confirmation(SENDER_VOUCHES),))) == "recipient_mismatch"


def test_a_second_authn_statement_is_held_to_the_same() -> None:
    """One of two sessions is over: so is this one."""
    second = (
        "<saml:AuthnStatement AuthnInstant='2026-03-01T11:00:00Z' SessionNotOnOrAfter='2026-03-01T11:30:00Z'>"
        "<saml:AuthnContext/></saml:AuthnStatement>"
    )
    assert refusal(respond(further_statements_xml=second)) == "session_over"


def test_every_authn_statement_is_of_a_way_that_the_connection_lists() -> None:
    """One statement of less is enough to refuse; of those listed, any will do."""
    listed = ("urn:by-card", "urn:by-fingerprint")

    def came_by(first: str, second: str) -> str:
        further = (
            f"<saml:AuthnStatement AuthnInstant='{NOW.isoformat()}'><saml:AuthnContext>"
            f"<saml:AuthnContextClassRef>{second}</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>"
        )
        message = respond(authn_context=first, further_statements_xml=further.replace("+00:00", "Z"))
        return refusal(message, authn_contexts=listed)

    assert came_by("urn:by-card", "urn:by-fingerprint") == "accepted"
    assert came_by("urn:by-card", "urn:by-password") == "authn_context_not_allowed"
    assert came_by("urn:by-password", "urn:by-card") == "authn_context_not_allowed"


def test_unsolicited_means_that_it_answers_nothing() -> None:
    """Without a request of ours InResponseTo must not be there, neither outside nor inside (RPL-007)."""
    assert refusal(respond(request_id=None), expected=None) == "accepted"
    assert refusal(respond(), expected=None) == "in_response_to_mismatch"
    assert refusal(respond(in_response_to=None), expected=None) == "in_response_to_mismatch"
    assert refusal(respond(confirmation_in_response_to=None), expected=None) == "in_response_to_mismatch"
    assert refusal(respond(request_id=None)) == "in_response_to_mismatch"


def test_the_destination_may_be_passed_over_until_a_date() -> None:
    """An exception skips Response/@Destination, and nothing else, and ends by itself."""
    elsewhere = respond(destination="https://proxy.example/acs", **BOTH)
    assert refusal(elsewhere, skip_destination_until=NOW) == "destination_mismatch"
    assert refusal(elsewhere, skip_destination_until=NOW + SECOND) == "accepted"
    assert (
        refusal(respond(recipient="https://proxy.example/acs"), skip_destination_until=NOW + DAY)
        == "recipient_mismatch"
    )


def test_another_provider_s_message_is_told_as_that() -> None:
    """A message of another identity provider's names the issuer, not a signature that can't be ours."""
    other = IdentityProvider("https://idp.other.example/metadata")
    assert refusal(respond(other)) == "issuer_mismatch"
    assert refusal(respond(IdentityProvider(key="attacker's"))) == "signature_invalid"


def test_a_refusal_says_what_came_and_what_was_expected() -> None:
    """In the log an admin reads both, and no line of it can be forged."""
    with pytest.raises(DestinationMismatch, match=f"expected '{ACS}'") as refused:
        verify(respond(destination="https://x.example/\n2026 INFO all is well" + "x" * 500))
    assert "\n" not in str(refused.value)
    assert "https://x.example/" in str(refused.value)
    assert len(str(refused.value)) < 400
    assert EMAIL not in str(refused.value)


def test_the_saml_namespace_is_not_a_prefix() -> None:
    """Entra ID writes the assertion under a default namespace: the same clauses hold."""
    assert refusal(respond(assertion_prefix="", attributes_first=True)) == "accepted"
    assert refusal(respond(assertion_prefix="", audience=SAML)) == "audience_mismatch"
