"""Generated attacks: a genuine message, operated on and spoilt, and the trust of whoever receives it."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from hypothesis import strategies as st
from lxml import etree

from sso_middleware.saml.parties import Encryption, Expected, Signed, Trust

from .messages import SCENE, Genuine, decryption_key, genuine_messages
from .spoiler import encode, spoil
from .surgeon import open_up, operate

POLICIES: tuple[Signed, ...] = ("either", "either", "either", "assertion", "response", "both")
ENCRYPTIONS: tuple[Encryption, ...] = ("optional", "optional", "optional", "off", "required")


@dataclass(frozen=True)
class Generated:
    """What is posted, to whom, and how it came about."""

    value: str = field(repr=False)
    done: tuple[str, ...]
    signed: Signed
    encryption: Encryption
    expected: Expected | None
    """None where an unsolicited response is waited for."""

    @property
    def request_id(self) -> str | None:
        return self.expected.request_id if self.expected else None

    @property
    def trust(self) -> Trust:
        return Trust(
            SCENE.idp.describe(), signed=self.signed, encryption=self.encryption, decryption_keys=(decryption_key(),)
        )


def generate(random: Random) -> Generated:
    """One to three operations on the tree as a rule, then perhaps one or two on the bytes, then base64."""
    patient = open_up(random.choice(_starting_points()))
    for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3))):
        operate(random, patient)
    xml = etree.tostring(patient.root)
    for _ in range(random.choice((0, 0, 0, 0, 1, 2))):
        xml = spoil(random, xml, patient.done)
    return Generated(
        value=encode(random, xml, patient.done),
        done=tuple(patient.done),
        signed=random.choice(POLICIES),
        encryption=random.choice(ENCRYPTIONS),
        expected=SCENE.expected if random.randint(0, 7) else None,
    )


def _starting_points() -> tuple[Genuine, ...]:
    """What would be accepted comes more often: there is more to gain from it."""
    messages = genuine_messages()
    return (*messages, *(message for message in messages if message.acceptable))


def generated_attacks() -> st.SearchStrategy[Generated]:
    """For hypothesis: by choices of its own, which it can make fewer, and by plain chance."""
    return st.one_of(
        st.randoms(use_true_random=False).map(generate),
        st.integers(0, 2**64 - 1).map(lambda seed: generate(Random(seed))),
    )
