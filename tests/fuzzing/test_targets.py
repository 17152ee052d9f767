"""Each fuzzing target takes its own seeds, and changes of them, without a fault; hours of it are `make long`'s."""

from __future__ import annotations

from random import Random

import pytest
from tests.fuzzing.targets import TARGETS
from tests.generated.spoiler import spoil

ROUNDS = 150


@pytest.mark.parametrize("name", TARGETS)
def test_the_target_finds_no_fault_near_its_seeds(name: str) -> None:
    """Seeds as they are, and each with some bytes changed."""
    target = TARGETS[name]
    seeds = target.seeds()
    for seed in seeds:
        target.check(seed)
    for number in range(ROUNDS):
        random = Random(number)
        changed = spoil(random, random.choice(seeds), [])
        target.check(target.mutate(changed, random) if target.mutate else changed)
