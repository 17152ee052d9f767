"""Time several ways of doing one thing in interleaved rounds, and say by how much they differ.

These machines are noisy, so only ratios of medians mean anything: a round times everybody once, one
after the other, and whatever slows the machine slows all of them alike.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Task = Callable[[int], float]
"""Do it so many times; the seconds that all of them took."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds a call, of each round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.rounds)

    @property
    def least(self) -> float:
        return min(self.rounds)

    @property
    def most(self) -> float:
        return max(self.rounds)


def calling(function: Callable[[], object]) -> Task:
    """A task that calls this function in this process."""

    def task(calls: int) -> float:
        started = time.perf_counter()
        for _ in range(calls):
            function()
        return time.perf_counter() - started

    return task


def compare(tasks: Mapping[str, Task], *, rounds: int, calls: Mapping[str, int]) -> dict[str, Timing]:
    """Time each task once a round, `calls[name]` calls at a time. One call of each comes before, untimed."""
    for task in tasks.values():
        task(1)
    milliseconds: dict[str, list[float]] = {name: [] for name in tasks}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, task in tasks.items():
                milliseconds[name].append(task(calls[name]) * 1000 / calls[name])
            gc.collect()
    finally:
        gc.enable()
    return {name: Timing(tuple(measured)) for name, measured in milliseconds.items()}
