"""The list of the changes that no test notices, each with the reason (explained.toml).

A mutant is known by its file, its function and the lines that it changes, not by mutmut's number,
which moves with the code around it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

LIST = Path(__file__).with_name("explained.toml")

KINDS = {"equivalent", "unreachable", "cost"}
"""It does the same; it differs where nothing can ever come; it differs in time or memory only."""


class Change(NamedTuple):
    """Lines without their indentation; several are joined by line breaks."""

    file: str
    function: str
    before: str
    after: str


@dataclass(frozen=True)
class Explanation:
    change: Change
    kind: str
    why: str


def read_explanations() -> list[Explanation]:
    """In the order of the list. One entry stands for one mutant."""
    entries = tomllib.loads(LIST.read_text("utf-8"))["mutant"]
    return [
        Explanation(Change(entry.pop("file"), entry.pop("function"), entry.pop("before"), entry.pop("after")), **entry)
        for entry in entries
    ]


def read_change(mutant: str, diff: str) -> Change:
    """What mutmut's diff shows of the mutant that it calls `mutant` (`package.module.x_function__mutmut_7`)."""
    module, _, mangled = mutant.rpartition(".")
    lines = [line for line in diff.splitlines() if not line.startswith(("--- ", "+++ "))]
    return Change(
        file=module.rpartition(".")[2] + ".py",
        function=mangled.partition("__mutmut_")[0].removeprefix("x_"),
        before=_lines(lines, "-"),
        after=_lines(lines, "+"),
    )


def _lines(diff: list[str], sign: str) -> str:
    return "\n".join(line[1:].strip() for line in diff if line.startswith(sign))
