"""The benchmark runs, and compares verifiers that all accept the message and refuse a changed one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_benchmark_runs() -> None:
    """One short round names every contender for every way of signing."""
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--rounds", "1", "--calls", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for contender in ("sso-middleware ", "signatures only", "python-xmlsec", "signxml "):
        assert result.stdout.count(f"  {contender}") + result.stdout.count(f", {contender} ") >= 3
