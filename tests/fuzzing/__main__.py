"""`python -m tests.fuzzing [--seconds N] [TARGET …]`: fuzz each target for so long; a fault ends it with status 1.

What is found is left beside the corpus, in a directory of its own; nothing is kept when nothing is found.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzzing.targets import TARGETS

MOST_MIB = 1024
"""The whole process, atheris' own corpus and coverage included; what one message costs, tests/test_memory.py says."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all unless named")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    chosen = parser.parse_args()
    if unknown := set(chosen.targets) - TARGETS.keys():
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    failed = [name for name in chosen.targets or TARGETS if not run(name, chosen.seconds)]
    return 1 if failed else 0


def run(name: str, seconds: int) -> bool:
    """Whether no fault was found. In a process of its own: libFuzzer ends the one that it runs in."""
    directory = Path(tempfile.mkdtemp(prefix=f"fuzzing-{name}-"))
    for number, seed in enumerate(TARGETS[name].seeds()):
        (directory / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-rss_limit_mb={MOST_MIB}", "-timeout=20", "-max_len=300000",
               f"-artifact_prefix={directory}/found-", "-print_final_stats=1", str(directory)]  # fmt: skip
    command = [sys.executable, "-m", "tests.fuzzing.fuzzer", name, *options]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        print(f"{name}: FAILED, see {directory}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return False
    print(
        f"{name}: {_said('number_of_executed_units', done.stderr)} inputs in {seconds} s,"
        f" at most {_said('peak_rss_mb', done.stderr)} MiB, no fault",
        flush=True,
    )
    shutil.rmtree(directory)
    return True


def _said(name: str, statistics: str) -> str:
    found = re.search(rf"{name}:\s*(\d+)", statistics)
    return found[1] if found else "?"


if __name__ == "__main__":
    sys.exit(main())
