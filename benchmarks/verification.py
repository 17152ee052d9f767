"""Verifying a Response: ours whole, beside the floor and every peer, on the same bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from benchmarks.measuring import Task, Timing, compare
from benchmarks.messages import junk, messages, set_scene
from benchmarks.peers import FLOOR, LASSO, OURS, PYSAML2, PYTHON3_SAML, SIGNXML, check_honest, contenders
from benchmarks.report import Row, Section, Target

# How many times ours every peer should take: targets of our own.
AHEAD = {PYSAML2: 70.0, PYTHON3_SAML: 12.0, LASSO: 5.0, SIGNXML: 2.5}
MANY_GROUPS = 1.5
JUNK = 20.0


def measure(rounds: int, seconds: float) -> Iterator[Section]:
    scene = set_scene()
    with contenders(scene) as (found, missing):
        if OURS not in found:
            raise LookupError(missing[OURS])
        for name, xml in messages(scene).items():
            tasks = {who: task_of(xml) for who, task_of in found.items() if check_honest(who, task_of, xml)}
            if not {OURS, FLOOR} <= tasks.keys():
                raise AssertionError(f"{name}: {sorted({OURS, FLOOR} - tasks.keys())} did not accept an honest message")
            left_out = [who for who in found if who not in tasks]
            measured = _compare(tasks, rounds, seconds)
            note = f"{len(xml):,} bytes" + (f"; not able: {', '.join(left_out)}" if left_out else "")
            note += "".join(f"; {who} is not installed ({reason})" for who, reason in missing.items())
            yield Section(name, f"{FLOOR}; of peers, to {OURS}", "ms", tuple(_rows(measured, name)), note)
        honest = found[FLOOR](messages(scene)["assertion signed"])
        for name, xml in junk().items():
            yield _junk(name, xml, found, honest, rounds, seconds)


def _compare(tasks: dict[str, Task], rounds: int, seconds: float) -> dict[str, Timing]:
    calls = {who: max(1, int(seconds / max(task(1), 1e-6))) for who, task in tasks.items()}
    return compare(tasks, rounds=rounds, calls=calls)


def _rows(measured: dict[str, Timing], name: str) -> Iterator[Row]:
    base, ours = measured[FLOOR].median, measured[OURS].median
    for who, timing in measured.items():
        row = partial(Row, who, timing.median, timing.least, timing.most)
        if who in AHEAD:
            yield row(timing.median / ours, Target("least", AHEAD[who]))
        elif who == OURS:
            yield row(timing.median / base, Target("most", MANY_GROUPS if "groups" in name else 1.0))
        else:
            yield row(1.0)


def _junk(
    name: str, xml: bytes, found: Mapping[str, Callable[[bytes], Task]], honest: Task, rounds: int, seconds: float
) -> Section:
    """What somebody without any key can cost us. The base is what one honest message costs."""
    tasks = {FLOOR: honest} | {who: _refusing(found[who](xml)) for who in (OURS, PYSAML2) if who in found}
    measured = _compare(tasks, rounds, seconds)
    base = measured[FLOOR].median
    rows = tuple(
        Row(
            "floor, one honest message" if who == FLOOR else f"{who}, refusing",
            timing.median,
            timing.least,
            timing.most,
            timing.median / base,
            Target("most", JUNK) if who == OURS else None,
        )
        for who, timing in measured.items()
    )
    return Section(f"junk, {name}: refused", FLOOR, "ms", rows, f"{len(xml):,} bytes")


def _refusing(task: Task) -> Task:
    """One call at a time, since each raises."""

    def refuse(calls: int) -> float:
        started = time.perf_counter()
        for _ in range(calls):
            try:
                task(1)
            except Exception:  # each library has errors of its own
                continue
            raise AssertionError("junk was accepted")
        return time.perf_counter() - started

    return refuse
