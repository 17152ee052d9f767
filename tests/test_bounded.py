"""What is remembered in bounded memory, and forgotten for good."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sso_middleware.bounded import Bounded


class Key:
    """Lets something happen while a dictionary looks for it: what another thread may do just then."""

    def __init__(self) -> None:
        self.asked = 0
        self.happens: dict[int, Callable[[], object]] = {}

    def __hash__(self) -> int:
        self.asked += 1
        self.happens.pop(self.asked, lambda: None)()
        return 7


@pytest.mark.parametrize("moment", [1, 2])
@pytest.mark.parametrize("was_found_lately", [True, False])
def test_what_is_forgotten_while_the_generations_change_is_forgotten(was_found_lately: bool, moment: int) -> None:
    """WEB-007: another thread makes the young the old at any moment; a revoked session must not be left behind."""
    bounded: Bounded[object, str] = Bounded(2)
    key = Key()
    for some in ("a", "b", key) if was_found_lately else (key, "a", "b"):
        bounded.put(some, "before")

    def others_come() -> None:
        bounded.put("c", "since")
        bounded.put("d", "since")

    key.happens[key.asked + moment] = others_come

    bounded.pop(key)

    assert not key.happens
    assert bounded.get(key) is None


def test_at_most_twice_as_many_are_kept_those_that_were_asked_for_last() -> None:
    """Whatever comes by."""
    bounded: Bounded[int, int] = Bounded(10)
    for number in range(100):
        bounded.put(number, number)
        assert bounded.get(0) == 0
        assert len(bounded) <= 20
    assert [bounded.get(number) for number in (99, 50)] == [99, None]
