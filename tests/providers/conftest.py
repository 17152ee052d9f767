"""What the tests against real identity providers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.visitor import Visitor


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    """A person with a browser of their own."""
    with Visitor() as visitor:
        yield visitor
