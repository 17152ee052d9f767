"""`python -m tests.fuzzing.fuzzer TARGET [libFuzzer's options]`: fuzz one target in this process, which it ends.

Atheris looks for inputs that reach new branches of our own code.
"""

from __future__ import annotations

import sys
from random import Random

import atheris

with atheris.instrument_imports(include=["sso_middleware"]):
    from tests.fuzzing.targets import TARGETS, Target


def fuzz(target: Target, options: list[str]) -> None:
    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        if target.mutate is None or random.random() < 0.5:
            return bytes(atheris.Mutate(data, max_size))
        return target.mutate(data, random)[:max_size]

    atheris.Setup([sys.argv[0], *options], target.check, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    fuzz(TARGETS[sys.argv[1]], sys.argv[2:])
