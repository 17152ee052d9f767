"""An explanation as it is kept with an event: short, as JSON, and read back for the admin.

What fails first comes with all its words; then what would fail too, as much as there is room for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .explanation import Explanation, Finding

LARGEST = 4096
"""Bytes."""


def dump_explanation(explanation: Explanation) -> str:
    """JSON of at most LARGEST bytes; empty if no check is to blame."""
    refused = explanation.refused
    if refused is None:
        return ""
    record = _record(refused) | {"also": []}
    for finding in explanation.also:
        longer = record | {"also": [*record["also"], _record(finding)]}
        if len(_json(longer).encode()) > LARGEST:
            break
        record = longer
    return _json(record)


def as_record(finding: Finding) -> dict[str, Any]:
    """What a script reads of one check."""
    return _record(finding) | {"state": finding.state}


def read_lines(stored: str) -> Iterator[str]:
    """The same for a person's eyes, line by line. `stored` came out of our own table."""
    record = json.loads(stored)
    yield from _lines(record)
    if record["also"]:
        yield "would fail too, as the message says of itself (not verified):"
    for also in record["also"]:
        yield from (f"  {line}" for line in _lines(also))


def finding_lines(finding: Finding) -> Iterator[str]:
    """One check that did not pass, the same way."""
    return _lines(_record(finding))


def _lines(record: dict[str, Any]) -> Iterator[str]:
    yield f"{record['title']}:{record['why'] and ' ' + record['why']}"
    if record["came"]:
        yield f"  came: {record['came']}"
    yield f"  expected: {record['expected']}"
    yield from (f"  note: {hint}" for hint in record["hints"])
    yield f"  who must act: {record['who']}"
    yield f"  what to do: {record['advice']}"


def _record(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check.id,
        "title": finding.check.title,
        "why": finding.why,
        "came": finding.came,
        "expected": finding.expected,
        "hints": list(finding.hints[:4]),
        "who": finding.who,
        "advice": finding.advice,
    }


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))
