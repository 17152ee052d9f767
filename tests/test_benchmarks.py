"""The benchmark runs, and compares verifiers that all accept the message and refuse a changed one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("section", ["verification", "acs"])
def test_the_benchmark_runs(tmp_path: Path, section: str) -> None:
    """One short round gives a table, and the same as JSON: everything beside one of its own rows."""
    report = tmp_path / "report.json"
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks", section, "--rounds", "1", "--seconds", "0", "--json", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for measured in json.loads(report.read_text())["sections"]:
        assert measured["title"] in result.stdout
        contenders = {row["contender"]: row for row in measured["rows"]}
        assert len(contenders) >= 2
        assert 1.0 in [row["ratio"] for row in contenders.values()]
        assert all(name in result.stdout for name in contenders)
