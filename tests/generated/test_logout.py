"""However a logout message is cut up, what we accept is to the letter what the pinned key signed."""

from __future__ import annotations

import base64
from collections import Counter
from random import Random

from hypothesis import given, settings
from tests.generated.logout import (
    PINNED,
    SLO_URL,
    Form,
    Query,
    generate_form,
    generate_query,
    generated_forms,
    generated_queries,
    genuine_queries,
    signed_part,
    signed_shapes,
)
from tests.generated.messages import SCENE, decryption_key
from tests.logout_messages import LogoutShape
from tests.other_verifiers import check_that_others_agree

from sso_middleware.errors import MessageRefused
from sso_middleware.saml.logout import (
    LogoutMessage,
    LogoutRequest,
    LogoutResponse,
    read_logout_form,
    read_logout_query,
    verify_logout_request,
    verify_logout_response,
)
from sso_middleware.saml.parties import Expected, Trust

SAMPLE = 1500
SHARE = 0.25
Outcome = LogoutRequest | LogoutResponse | MessageRefused


def verify(message: LogoutMessage) -> LogoutRequest | LogoutResponse:
    trust = Trust(SCENE.idp.describe(), encryption="optional", decryption_keys=(decryption_key(),))
    if message.is_request:
        return verify_logout_request(
            message, trust=trust, service_provider=SCENE.service_provider, slo_url=SLO_URL, now=SCENE.now
        )
    expected = Expected(SCENE.request_id or "", SCENE.requested_at)
    return verify_logout_response(message, trust=trust, slo_url=SLO_URL, expected=expected, now=SCENE.now)


def verify_query(query: Query) -> Outcome:
    try:
        return verify(read_logout_query(query.text))
    except MessageRefused as refusal:
        return refusal


def verify_form(form: Form) -> Outcome:
    try:
        return verify(read_logout_form(form.fields))
    except MessageRefused as refusal:
        return refusal


def check_true(message: LogoutRequest | LogoutResponse) -> None:
    """It says what the message of that ID said when it was signed."""
    shapes: dict[str, LogoutShape] = {shape.id: shape for shape in signed_shapes()}
    shape = shapes[message.id]
    assert (message.issuer, message.issued_at) == (shape.issuer, shape.issued_at)
    if isinstance(message, LogoutRequest):
        assert not shape.status
        assert (message.name_id.value, message.session_indexes) == (shape.name_id, shape.session_indexes)
    else:
        assert shape.status
        assert message.in_response_to == shape.in_response_to


@given(query=generated_queries())
@settings(settings.get_profile("generated"))
def test_a_query_is_believed_only_as_it_was_signed(batch: int, query: Query) -> None:
    """An accepted query string is, but for the spelling of its Signature, one that the pinned key signed."""
    outcome = verify_query(query)
    if not isinstance(outcome, MessageRefused):
        assert signed_part(query.text) in {signed_part(each) for each in genuine_queries()}
        check_true(outcome)


@given(form=generated_forms())
@settings(settings.get_profile("generated"))
def test_a_form_is_believed_only_as_it_was_signed(batch: int, form: Form) -> None:
    """An accepted form holds an element that the pinned key signed, and the other verifiers say so too."""
    outcome = verify_form(form)
    if not isinstance(outcome, MessageRefused):
        check_true(outcome)
        (value,) = form.fields.values()
        assert check_that_others_agree(base64.b64decode(value), [PINNED.certificate]) == 1


def test_logout_messages_get_far() -> None:
    """Some generated ones are accepted, and those refused are refused for many reasons."""
    queries = Counter(told(verify_query(generate_query(Random(seed)))) for seed in range(SAMPLE))
    forms = Counter(told(verify_form(generate_form(Random(seed)))) for seed in range(SAMPLE))
    assert queries["accepted"] >= SAMPLE // 20, queries
    assert forms["accepted"] >= SAMPLE // 20, forms
    assert {"signature_invalid", "signature_missing", "query_malformed", "deflate_invalid"} <= queries.keys()
    assert {"signature_invalid", "digest_mismatch", "signature_missing"} <= forms.keys()
    assert len(queries) >= 10, queries
    assert len(forms) >= 20, forms


def told(outcome: Outcome) -> str:
    return outcome.code if isinstance(outcome, MessageRefused) else "accepted"
