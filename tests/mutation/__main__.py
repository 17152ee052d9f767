"""`python -m tests.mutation [--keep]`: would a test notice, whatever single thing of the verification is changed?

mutmut changes the five modules that decide whether a message is genuine, one thing at a time
(`[tool.mutmut]` in pyproject.toml), in a copy of the tree, and runs their own tests on each. What no test
notices must be explained in explained.toml, by the change itself; and what is explained there must still
be so. Else the status is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.mutation.explanations import Change, read_change, read_explanations

TREE = Path(__file__).parents[2]
COPIED = ("pyproject.toml", "src", "tests")
CHILDREN = min(4, os.cpu_count() or 1)

NOTICED = {"killed", "timeout", "segfault"}
"""A test failed, or never came to an end, or the interpreter did: each would stop a release."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("--keep", action="store_true", help="keep the copy, for `mutmut browse` in it")
    keep = parser.parse_args().keep
    copy = Path(tempfile.mkdtemp(prefix="mutation-"))
    try:
        return run_in(copy)
    finally:
        if keep:
            print(f"kept in {copy}")
        else:
            shutil.rmtree(copy)


def run_in(copy: Path) -> int:
    copy_tree(copy)
    log = copy / "mutmut.log"
    with log.open("w") as output:
        done = mutmut(copy, "run", "--max-children", str(CHILDREN), stdout=output)
    if done.returncode:
        print(f"mutmut stopped:\n{log.read_text(errors='replace')[-4000:]}")
        return 1
    statuses = statuses_in(copy)
    survivors = {name: status for name, status in statuses.items() if status not in NOTICED}
    shown = {name: mutmut(copy, "show", name, stdout=subprocess.PIPE).stdout for name in survivors}
    complaints = compare({name: read_change(name, diff) for name, diff in shown.items()}, shown)
    print("\n".join(complaints), end="\n" if complaints else "")
    print(
        f"{len(statuses)} mutants, {len(statuses) - len(survivors)} noticed by a test, {len(survivors)} not", end="; "
    )
    print("see above" if complaints else f"all of these explained: {kinds()}", flush=True)
    return 1 if complaints else 0


def copy_tree(copy: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        if (TREE / name).is_dir():
            shutil.copytree(TREE / name, copy / name, ignore=ignored)
        else:
            shutil.copy(TREE / name, copy / name)


def mutmut(copy: Path, *arguments: str, stdout: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(  # type: ignore[call-overload,no-any-return]  # a file or PIPE
        command, cwd=copy, stdout=stdout, stderr=subprocess.STDOUT, text=True, check=False
    )


def statuses_in(copy: Path) -> dict[str, str]:
    """What became of each mutant, by mutmut's own names for both."""
    listed = mutmut(copy, "results", "--all", "true", stdout=subprocess.PIPE).stdout
    lines = (line.strip().partition(": ") for line in listed.splitlines() if "__mutmut_" in line)
    return {name: status for name, _, status in lines}


def compare(survivors: dict[str, Change], shown: dict[str, str]) -> list[str]:
    """What is wrong with the list: survivors that it does not explain, and entries that nothing needs any more."""
    unexplained = Counter(each.change for each in read_explanations())
    complaints = []
    for name, change in survivors.items():
        if unexplained[change]:
            unexplained[change] -= 1
        else:
            complaints.append(f"No test notices this, and nothing explains why not:\n{shown[name]}")
    outdated = unexplained.elements()
    return complaints + [f"Explained, but a test notices it, or it is no more: {json.dumps(each)}" for each in outdated]


def kinds() -> str:
    counted = Counter(each.kind for each in read_explanations())
    return ", ".join(f"{count} {kind}" for kind, count in counted.most_common())


if __name__ == "__main__":
    sys.exit(main())
