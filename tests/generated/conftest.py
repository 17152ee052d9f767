"""How many generated attacks: a few thousand in `make test`, `SSO_GENERATED=100000` in `make long`."""

from __future__ import annotations

import math
import os

import pytest
from hypothesis import HealthCheck, Phase, settings

PER_TEST = 1000
"""hypothesis remembers each case that a test had: more of them go into more tests."""
CASES = int(os.environ.get("SSO_GENERATED", "2000"))

settings.register_profile(
    "generated",
    max_examples=min(CASES, PER_TEST),
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`batch` numbers the runs of one test; a module's SHARE says what part of the cases each of its tests gets."""
    if "batch" in metafunc.fixturenames:
        cases = CASES * getattr(metafunc.module, "SHARE", 1.0)
        metafunc.parametrize("batch", range(math.ceil(cases / PER_TEST)))
