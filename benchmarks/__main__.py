"""Measure ourselves side by side with our peers, in one run: `make bench`.

    python -m benchmarks [SECTION ...] [--rounds 15] [--seconds 0.1] [--json FILE]

Rounds are interleaved, so that a busy machine slows everybody alike; a ratio is of two medians. Before
anything is timed, each contender must accept the message and refuse a changed one. Targets are those
that we set ourselves; a missed one is said, not hidden.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import acs, growth, hot_path, metadata, served, verification
from benchmarks.report import Section, as_json, as_text, versions

SECTIONS: dict[str, Callable[[int, float], Iterator[Section]]] = {
    "verification": verification.measure,
    "acs": acs.measure,
    "metadata": metadata.measure,
    "hot_path": hot_path.measure,
    "growth": growth.measure,
    "served": served.measure,
}


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    options.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; all by default")
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--seconds", type=float, default=0.1, help="about how long a contender works in each round")
    options.add_argument("--json", type=Path, help="write the same there as JSON")
    chosen = options.parse_args()
    unknown = set(chosen.sections) - SECTIONS.keys()
    if unknown:
        options.error(f"no such section: {', '.join(sorted(unknown))}")

    # A bundle of certificates to trust, named there, is loaded by some of our peers at each call.
    logging.disable(logging.CRITICAL)
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        os.environ.pop(variable, None)
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    print(f"{chosen.rounds} interleaved rounds; medians (least to most)", flush=True)
    measured = []
    for name in chosen.sections or SECTIONS:
        for section in SECTIONS[name](chosen.rounds, chosen.seconds):
            measured.append(section)
            print(as_text(section), flush=True)
    if chosen.json is not None:
        chosen.json.write_text(as_json(measured) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
