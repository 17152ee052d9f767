"""RPL: a message that answers no request of ours, another one, or one that was answered already.

Message level: which login request is expected. That a request and an assertion are used once is the
stores' and the flows', and test_over_http.py's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.attacks.scene import (
    BOTH_SIGNED,
    RESPONSE_SIGNED,
    Attack,
    Scene,
    check_refused,
    check_twin_accepted,
    default_scene,
    said,
    unsolicited,
    verify,
)
from tests.identity_provider import make_signer
from tests.xml_encryption import Encryption

from sso_middleware.errors import MessageRefused

RECIPIENT = make_signer("service provider's encryption key")
OPEN_TO_ENCRYPTION = {"encryption": "optional", "decryption_keys": (RECIPIENT.private_key,)}


def stolen_in_encryption(scene: Scene) -> bytes:
    """An assertion that answered somebody else's request, encrypted, in an envelope that answers ours."""
    return scene.respond(confirmation_in_response_to="_somebody-elses", encryption=Encryption(RECIPIENT.certificate))


ATTACKS: tuple[Attack, ...] = (
    said("RPL-006", "unknown request", "in_response_to_mismatch",
         in_response_to="_unknown", confirmation_in_response_to="_unknown"),
    said("RPL-006", "the same, signed", "in_response_to_mismatch",
         in_response_to="_unknown", confirmation_in_response_to="_unknown", **RESPONSE_SIGNED),
    said("RPL-006", "in the Response only", "in_response_to_mismatch", in_response_to="_unknown"),
    Attack("RPL-007", "unknown request", "in_response_to_mismatch", lambda scene: scene.respond(
        in_response_to="_unknown", confirmation_in_response_to="_unknown"), solicited=False),
    Attack("RPL-007", "in the confirmation only", "in_response_to_mismatch", lambda scene: scene.respond(
        confirmation_in_response_to="_unknown"), solicited=False),
    Attack("RPL-007", "in the Response only", "in_response_to_mismatch", lambda scene: scene.respond(
        in_response_to="_unknown"), solicited=False),
    said("RPL-008", "other request", "in_response_to_mismatch", confirmation_in_response_to="_somebody-elses"),
    said("RPL-008", "none", "in_response_to_mismatch", confirmation_in_response_to=None),
    said("RPL-008", "none in the Response", "in_response_to_mismatch", in_response_to=None),
    said("RPL-008", "none, both signed", "in_response_to_mismatch", confirmation_in_response_to=None, **BOTH_SIGNED),
    Attack("RPL-009", "stolen, encrypted", "in_response_to_mismatch", stolen_in_encryption, trust=OPEN_TO_ENCRYPTION),
)  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_attack_is_refused(attack: Attack) -> None:
    """An answer to another request than ours is refused, for that reason."""
    check_refused(attack)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_honest_twin_is_accepted(attack: Attack) -> None:
    """The answer to our own request signs the person in; so does an unsolicited one that claims no request."""
    check_twin_accepted(attack)


def test_rpl_005_a_claim_outlives_the_assertion() -> None:
    """Whenever an assertion would still be accepted, its `valid_until` has not passed: no claim ends too soon."""
    scene = default_scene()
    message = scene.respond(not_on_or_after=scene.now + timedelta(hours=1))
    valid_until = verify(scene, message).valid_until
    accepted = []
    for minutes in range(90):
        now = scene.now + timedelta(minutes=minutes)
        try:
            verify(replace(scene, now=now), message)
        except MessageRefused:
            continue
        accepted.append(now)
    assert accepted
    assert max(accepted) < valid_until


def test_rpl_007_an_honest_unsolicited_response_says_so() -> None:
    """With no request of ours, the assertion names none."""
    scene = unsolicited(default_scene())
    assert verify(scene, scene.respond()).in_response_to is None
