"""However a genuine message is cut up, what we accept was signed, as a whole, by whom we trust, for us.

The invariant: an accepted identity was signed by the connection's pinned key, for this audience, in
answer to this browser's request. It is held against the ground truth, what the test identity provider
really signed, and against two verifiers that share no code with ours.
"""

from __future__ import annotations

import base64
from collections import Counter
from functools import cache
from random import Random

from hypothesis import given, settings
from tests.attacks.naive import believes
from tests.generated.attacks import Generated, generate, generated_attacks
from tests.generated.messages import RECIPIENT, SCENE, acceptable_truths, genuine_messages, told
from tests.generated.opened import opened
from tests.generated.surgeon import OPERATIONS
from tests.other_verifiers import check_that_others_agree

from sso_middleware.errors import MessageRefused
from sso_middleware.saml.assertion import Assertion
from sso_middleware.saml.parsing import read_message
from sso_middleware.saml.response import verify_response

PINNED = [SCENE.idp.certificate]
SAMPLE = 2000
"""Cases from known seeds, the same ones each time: of them we know what to expect."""


def verify(attack: Generated) -> Assertion | MessageRefused:
    """The receiving path. Whatever it raises that is no MessageRefused is a crash, and fails the test."""
    try:
        return verify_response(
            read_message(attack.value),
            trust=attack.trust,
            service_provider=SCENE.service_provider,
            expected=attack.expected,
            now=SCENE.now,
        )
    except MessageRefused as refusal:
        return refusal


@given(attack=generated_attacks())
@settings(settings.get_profile("generated"))
def test_only_what_was_signed_is_believed(batch: int, attack: Generated) -> None:
    """Every value of an accepted assertion is one that the pinned key signed for us; anything else is refused."""
    outcome = verify(attack)
    if isinstance(outcome, MessageRefused):
        assert 400 <= outcome.status < 500
        return
    assert told(outcome) == acceptable_truths(attack.request_id)[outcome.id]
    signatures = sum(
        check_that_others_agree(document, PINNED) for document in opened(base64.b64decode(attack.value), RECIPIENT)
    )
    assert signatures >= (2 if attack.signed == "both" else 1)


def test_every_acceptable_message_is_accepted() -> None:
    """What is cut up is worth cutting up: as it was signed, each of these signs somebody in, and no other does."""
    for message in genuine_messages():
        expected = SCENE.expected if message.shape.in_response_to else None
        outcome = verify(Generated(base64.b64encode(message.xml).decode(), (), "either", "optional", expected))
        if message.acceptable:
            assert isinstance(outcome, Assertion), message.name
            request_id = message.shape.in_response_to
            assert told(outcome) == acceptable_truths(request_id)[message.shape.assertion_id]
        else:
            assert isinstance(outcome, MessageRefused), message.name


# Is there anything in it?


@cache
def sample() -> tuple[Generated, ...]:
    return tuple(generate(Random(seed)) for seed in range(SAMPLE))


@cache
def outcomes() -> tuple[Assertion | MessageRefused, ...]:
    return tuple(verify(attack) for attack in sample())


def test_surgery_that_touches_nothing_signed_is_accepted() -> None:
    """Not everything is refused: many a message that was changed where no signature covers it still signs in."""
    untouched = {base64.b64encode(message.xml).decode() for message in genuine_messages()}
    changed = [outcome for attack, outcome in zip(sample(), outcomes(), strict=True) if attack.value not in untouched]
    assert sum(isinstance(outcome, Assertion) for outcome in changed) >= SAMPLE // 100


def test_many_refusals_are_reached() -> None:
    """The messages get as far as every part of the path: not all fall at the first hurdle."""
    codes = Counter(outcome.code for outcome in outcomes() if isinstance(outcome, MessageRefused))
    deep = {"digest_mismatch", "signature_invalid", "signature_missing", "audience_mismatch", "in_response_to_mismatch",
            "encryption_not_authenticated", "too_many_assertions", "assertion_misplaced", "signature_misplaced",
            "reference_not_allowed", "transform_not_allowed"}  # fmt: skip
    assert deep <= codes.keys()
    assert len(codes) >= 35, codes
    assert max(codes.values()) < SAMPLE / 3, codes


def test_every_operation_is_used() -> None:
    """No operation is on the list only."""
    used = {name for attack in sample() for name in attack.done}
    assert {operation.__name__ for operation in OPERATIONS} <= used


def test_a_careless_verifier_is_fooled() -> None:
    """One that verifies some element and then reads another signs the victim in, again and again."""
    fooled = [attack for attack in sample() if SCENE.victim in naively_believed(attack)]
    assert len(fooled) >= SAMPLE // 50
    assert len({attack.done[1:] for attack in fooled}) >= 10


def naively_believed(attack: Generated) -> set[str]:
    try:
        return believes(base64.b64decode(attack.value), SCENE.idp.signer)
    except Exception:  # it is careless about everything: what it makes nothing of fools nobody
        return set()
