"""SLO: logout messages that are forged, stale, replayed, for another, or packed for two readers.

Message level, by both bindings. Which sessions a genuine request ends is the flow's.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.identity_provider import IdentityProvider, form_value, sign
from tests.logout_messages import (
    RSA_SHA1,
    LogoutShape,
    deflated,
    honest_request,
    honest_response,
    quote_lower,
    quote_upper,
    render_logout,
    sign_query,
    signed_form,
    signed_query,
    unsigned_query,
)
from tests.other_verifiers import check_that_others_agree
from tests.response_shape import SIGNATURE_PLACEHOLDER

from sso_middleware.errors import AssertionReplayed, MessageRefused
from sso_middleware.saml.logout import (
    LogoutRequest,
    LogoutResponse,
    read_logout_form,
    read_logout_query,
    verify_logout_request,
    verify_logout_response,
)
from sso_middleware.saml.parties import Expected, ServiceProvider, Trust
from sso_middleware.stores.sql import SqlStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
IDP = IdentityProvider()
IMPOSTOR = IdentityProvider(IDP.entity_id, IDP.sso_url, key="attacker's")
OTHER = IdentityProvider("https://idp.other.example/metadata", "https://idp.other.example/sso")
SLO_URL = "https://app.example.com/sso/acme/slo"
SERVICE_PROVIDER = ServiceProvider("https://app.example.com/sso/acme/metadata", "https://app.example.com/sso/acme/acs")
EXPECTED = Expected("_logout-request-of-ours", NOW - timedelta(seconds=30))

REQUEST = honest_request(issuer=IDP.entity_id, slo_url=SLO_URL, now=NOW)
RESPONSE = honest_response(issuer=IDP.entity_id, slo_url=SLO_URL, now=NOW, in_response_to=EXPECTED.request_id)

Sent = str | dict[str, str]
"""A query string, or the fields of a form."""


def verify(sent: Sent, *, now: datetime = NOW, **trust: Any) -> LogoutRequest | LogoutResponse:
    """What our SAML layer makes of this message."""
    message = read_logout_query(sent) if isinstance(sent, str) else read_logout_form(sent)
    believed = Trust(IDP.describe(), **trust)
    accepted: LogoutRequest | LogoutResponse
    if message.is_request:
        accepted = verify_logout_request(
            message, trust=believed, service_provider=SERVICE_PROVIDER, slo_url=SLO_URL, now=now
        )
    else:
        accepted = verify_logout_response(message, trust=believed, slo_url=SLO_URL, expected=EXPECTED, now=now)
    if isinstance(sent, dict):
        xml = base64.b64decode(sent["SAMLRequest" if message.is_request else "SAMLResponse"])
        assert check_that_others_agree(xml, [IDP.certificate]) == 1
    return accepted


def by_redirect(shape: LogoutShape, provider: IdentityProvider = IDP, **packing: Any) -> str:
    return signed_query(shape, provider.signer, **packing)


def by_post(shape: LogoutShape, provider: IdentityProvider = IDP) -> dict[str, str]:
    return signed_form(shape, provider.signer)


BINDINGS: dict[str, Callable[..., Sent]] = {"redirect": by_redirect, "post": by_post}


@dataclass(frozen=True)
class LogoutAttack:
    """A row of the table, as sent, and the honest message that it would pass for."""

    row: str
    sent: str
    code: str
    attack: Sent = field(repr=False)
    twin: Sent = field(repr=False)

    def __str__(self) -> str:
        return f"{self.row} {self.sent}"


def said(row: str, what: str, code: str, shape: LogoutShape, /, **changes: Any) -> tuple[LogoutAttack, ...]:
    """The identity provider says it itself, over its own good signature, by either binding."""
    return tuple(
        LogoutAttack(row, f"{what}, {name}", code, send(replace(shape, **changes)), send(shape))
        for name, send in BINDINGS.items()
    )


def signed_by(
    row: str, what: str, code: str, provider: IdentityProvider, shape: LogoutShape
) -> tuple[LogoutAttack, ...]:
    return tuple(
        LogoutAttack(row, f"{what}, {name}", code, send(shape, provider), send(REQUEST))
        for name, send in BINDINGS.items()
    )


def unsigned_form(shape: LogoutShape) -> dict[str, str]:
    return {shape.parameter: form_value(render_logout(shape).encode())}


def in_query(row: str, what: str, code: str, query: str) -> LogoutAttack:
    """Changed on the way, or by whoever packed it."""
    return LogoutAttack(row, what, code, query, by_redirect(REQUEST, relay_state="state"))


QUERY = by_redirect(REQUEST, relay_state="state")
MESSAGE, STATE, SIG_ALG, SIGNATURE = QUERY.split("&")
ANOTHER = by_redirect(replace(REQUEST, name_id="boss@acme.example")).split("&")[0]
SIGNED_INSIDE = sign(render_logout(REQUEST, SIGNATURE_PLACEHOLDER), IDP.signer)
WEAK = by_redirect(REQUEST, sig_alg=RSA_SHA1)
LONG_AGO = {"issued_at": NOW - timedelta(hours=25), "not_on_or_after": NOW + timedelta(days=1)}


def digest_changed() -> dict[str, str]:
    """A genuine message for one person, edited to be for another."""
    xml = base64.b64decode(by_post(REQUEST)["SAMLRequest"])
    return {"SAMLRequest": form_value(xml.replace(b"ada@acme", b"boss@acme"))}


ATTACKS: tuple[LogoutAttack, ...] = (
    LogoutAttack("SLO-001", "unsigned", "signature_missing", unsigned_form(REQUEST), by_post(REQUEST)),
    LogoutAttack("SLO-001", "changed", "digest_mismatch", digest_changed(), by_post(REQUEST)),
    in_query("SLO-002", "unsigned", "signature_missing", MESSAGE),
    in_query("SLO-002", "signature dropped", "signature_missing", f"{MESSAGE}&{STATE}&{SIG_ALG}"),
    in_query("SLO-002", "signed inside", "signature_missing", f"SAMLRequest={quote_upper(deflated(SIGNED_INSIDE))}"),
    in_query("SLO-002", "signed inside, unsigned parameters", "query_malformed",
             f"SAMLRequest={quote_upper(deflated(SIGNED_INSIDE))}&Signature="),
    in_query("SLO-003", "garbage", "signature_invalid", f"{MESSAGE}&{STATE}&{SIG_ALG}&Signature=Z2FyYmFnZQ%3D%3D"),
    in_query("SLO-003", "empty", "signature_invalid", f"{MESSAGE}&{STATE}&{SIG_ALG}&Signature="),
    in_query("SLO-003", "not base64", "base64_invalid", f"{MESSAGE}&{STATE}&{SIG_ALG}&Signature=*garbage*"),
    in_query("SLO-003", "unknown SigAlg", "algorithm_not_allowed", f"{MESSAGE}&SigAlg=none&Signature=Z2FyYmFnZQ%3D%3D"),
    in_query("SLO-003", "no SigAlg", "query_malformed", f"{MESSAGE}&{STATE}&{SIGNATURE}"),
    in_query("SLO-003", "another's message", "signature_invalid", f"{ANOTHER}&{STATE}&{SIG_ALG}&{SIGNATURE}"),
    *signed_by("SLO-004", "attacker's key", "signature_invalid", IMPOSTOR, REQUEST),
    *signed_by("SLO-004", "another's", "issuer_mismatch", OTHER, replace(REQUEST, issuer=OTHER.entity_id)),
    *said("SLO-004", "unknown issuer", "issuer_mismatch", REQUEST, issuer=OTHER.entity_id),
    *said("SLO-005", "expired", "expired", REQUEST, not_on_or_after=NOW - timedelta(seconds=120)),
    *said("SLO-006", "25 hours old", "stale", REQUEST, **LONG_AGO),
    *said("SLO-006", "from the future", "not_yet_valid", REQUEST, issued_at=NOW + timedelta(minutes=3)),
    *said("SLO-007", "absent", "destination_mismatch", REQUEST, destination=None),
    *said("SLO-007", "another's", "destination_mismatch", REQUEST, destination="https://app.example.com/sso/other/slo"),
    *said("SLO-007", "with a query", "destination_mismatch", REQUEST, destination=f"{SLO_URL}?x=1"),
    in_query("SLO-011", "rsa-sha1", "algorithm_not_allowed", WEAK),
    in_query("SLO-012", "order", "query_malformed", f"{STATE}&{MESSAGE}&{SIG_ALG}&{SIGNATURE}"),
    in_query("SLO-012", "order, signed so", "query_malformed", sign_query(f"{STATE}&{MESSAGE}&{SIG_ALG}", IDP.signer)),
    in_query("SLO-012", "Signature first", "query_malformed", f"{SIGNATURE}&{MESSAGE}&{STATE}&{SIG_ALG}"),
    in_query("SLO-012", "SAMLRequest twice", "query_malformed", f"{ANOTHER}&{QUERY}"),
    in_query("SLO-012", "SAMLRequest twice, behind", "query_malformed", f"{QUERY}&{ANOTHER}"),
    in_query("SLO-012", "Signature twice", "query_malformed", f"{QUERY}&{SIGNATURE}"),
    in_query("SLO-012", "RelayState stripped", "signature_invalid", f"{MESSAGE}&{SIG_ALG}&{SIGNATURE}"),
    in_query("SLO-012", "RelayState added", "signature_invalid",
             by_redirect(REQUEST).replace("&SigAlg", "&RelayState=x&SigAlg")),
    in_query("SLO-012", "RelayState added behind", "query_malformed", f"{by_redirect(REQUEST)}&RelayState=x"),
    in_query("SLO-012", "RelayState changed", "signature_invalid",
             QUERY.replace("RelayState=state", "RelayState=other")),
    in_query("SLO-012", "RelayState written anew", "signature_invalid",
             QUERY.replace("RelayState=state", "RelayState=%73tate")),
    in_query("SLO-012", "name escaped", "query_malformed",
             QUERY.replace("SAMLRequest", "SAML%52equest") + "&SAMLRequest="),
    in_query("SLO-012", "more", "query_malformed", f"{QUERY}&SAMLEncoding=other"),
    LogoutAttack("SLO-013", "unsigned, post", "signature_missing", unsigned_form(RESPONSE), by_post(RESPONSE)),
    LogoutAttack("SLO-013", "unsigned, redirect", "signature_missing",
                 unsigned_query(RESPONSE).partition("&")[0], by_redirect(RESPONSE)),
    *said("SLO-013", "unknown request", "in_response_to_mismatch", RESPONSE, in_response_to="_unknown"),
    *said("SLO-013", "no request", "in_response_to_mismatch", RESPONSE, in_response_to=None),
    *said("SLO-013", "unknown issuer", "issuer_mismatch", RESPONSE, issuer=OTHER.entity_id),
    *said("SLO-013", "elsewhere", "destination_mismatch", RESPONSE, destination=None),
    *said("SLO-013", "25 hours old", "stale", RESPONSE, issued_at=NOW - timedelta(hours=25)),
    in_query("SLO-015", "redirect", "message_ambiguous", f"SAMLResponse={MESSAGE.partition('=')[2]}&{QUERY}"),
    in_query("SLO-015", "redirect, signed so", "message_ambiguous",
             sign_query(f"{MESSAGE}&{by_redirect(RESPONSE).split('&')[0]}&{SIG_ALG}", IDP.signer)),
    LogoutAttack("SLO-015", "post", "message_ambiguous", {**by_post(REQUEST), **by_post(RESPONSE)}, by_post(REQUEST)),
)  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_attack_is_refused(attack: LogoutAttack) -> None:
    """For its own reason, and the refusal tells nobody who was meant."""
    assert attack.attack != attack.twin
    with pytest.raises(MessageRefused) as refusal:
        verify(attack.attack)
    assert refusal.value.code == attack.code, str(refusal.value)
    assert 400 <= refusal.value.status < 500
    assert "acme.example" not in str(refusal.value).replace("idp.acme.example", "")


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_honest_twin_is_accepted(attack: LogoutAttack) -> None:
    """The same kind of message by the same binding, without the attack."""
    accepted = verify(attack.twin)
    assert accepted.issuer == IDP.entity_id
    if isinstance(accepted, LogoutRequest):
        assert (accepted.name_id.value, accepted.session_indexes) == ("ada@acme.example", ("_session-1",))


@pytest.mark.parametrize("send", BINDINGS.values(), ids=BINDINGS)
def test_slo_009_a_replayed_id_is_known_until_it_is_too_old(database_url: str, send: Callable[..., Sent]) -> None:
    """Whoever claims the id until `valid_until` acts on a message once, however long it says it is valid."""
    message = send(replace(REQUEST, not_on_or_after=NOW + timedelta(days=30)))
    request = verify(message)
    store = SqlStore(database_url)
    store.claim_assertion("acme", request.id, request.valid_until)
    with pytest.raises(AssertionReplayed):
        store.claim_assertion("acme", verify(message).id, request.valid_until)
    store.close()

    assert verify(message, now=request.valid_until - timedelta(seconds=1)).id == request.id
    with pytest.raises(MessageRefused) as refusal:
        verify(message, now=request.valid_until)
    assert refusal.value.code == "stale"


@pytest.mark.parametrize("shape", [REQUEST, RESPONSE], ids=["request", "response"])
@pytest.mark.parametrize("relay_state", [None, "", "ü/+ &=%2f"])
def test_slo_010_lower_case_escapes_verify(shape: LogoutShape, relay_state: str | None) -> None:
    """ADFS and Entra ID escape as %2b, others as %2B: what is verified is the text as it came."""
    for quoting in (quote_lower, quote_upper):
        query = by_redirect(shape, relay_state=relay_state, quoting=quoting)
        assert verify(query).id == shape.id
        assert read_logout_query(query).relay_state == relay_state


def test_slo_010_the_escapes_are_part_of_what_was_signed() -> None:
    """The same values, written in the other case on the way: signed was another text."""
    query = by_redirect(REQUEST, quoting=quote_lower)
    upper = re.sub("%[0-9a-f]{2}", lambda escape: escape.group().upper(), query)
    assert upper != query
    with pytest.raises(MessageRefused) as refusal:
        verify(upper)
    assert refusal.value.code == "signature_invalid"


def test_slo_011_sha_1_only_under_a_dated_exception() -> None:
    """Until the date, and not from then on."""
    assert verify(WEAK, sha1_until=NOW + timedelta(seconds=1)).id == REQUEST.id
    with pytest.raises(MessageRefused) as refusal:
        verify(WEAK, sha1_until=NOW)
    assert refusal.value.code == "algorithm_not_allowed"
