"""Fixtures of the attack tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.attacks.trap import Trap


@pytest.fixture
def trap() -> Iterator[Trap]:
    trap = Trap()
    yield trap
    trap.listener.close()
