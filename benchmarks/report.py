"""What was measured, as one table for people and the same as JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

LIBRARIES = ("sso-middleware", "lxml", "cryptography", "xmlsec", "signxml", "python3-saml", "pysaml2")


@dataclass(frozen=True, slots=True)
class Target:
    """How a contender should stand to the base: `most` times as much of it, or `least` times as much."""

    kind: Literal["most", "least"]
    ratio: float

    def is_met_by(self, ratio: float) -> bool:
        return ratio <= self.ratio if self.kind == "most" else ratio >= self.ratio

    def __str__(self) -> str:
        return f"{'<=' if self.kind == 'most' else '>='} {self.ratio:g} x"


@dataclass(frozen=True, slots=True)
class Row:
    """One contender. `ratio` is to the base of its section; `target` belongs to that ratio."""

    contender: str
    amount: float
    least: float
    most: float
    ratio: float
    target: Target | None = None

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return f"{self.target} {'met' if self.target.is_met_by(self.ratio) else 'MISSED'}"


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    base: str
    unit: str
    rows: tuple[Row, ...]
    note: str = ""


def versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


def as_text(section: Section) -> str:
    lines = [f"\n{section.title} (ratios to: {section.base})"]
    if section.note:
        lines.append(f"  {section.note}")
    for row in section.rows:
        spread = f"({row.least:.3f} to {row.most:.3f})"
        amount = f"{row.amount:10.3f} {section.unit}"
        lines.append(f"  {row.contender:<34}{amount}  {spread:<24}{row.ratio:9.2f} x  {row.verdict}".rstrip())
    return "\n".join(lines)


def as_json(sections: Sequence[Section]) -> str:
    def described(row: Row) -> dict[str, object]:
        target = None if row.target is None else {"kind": row.target.kind, "ratio": row.target.ratio}
        met = None if row.target is None else row.target.is_met_by(row.ratio)
        return {
            "contender": row.contender,
            "median": row.amount,
            "least": row.least,
            "most": row.most,
            "ratio": row.ratio,
            "target": target,
            "met": met,
        }

    return json.dumps(
        {
            "versions": versions(),
            "sections": [
                {
                    "title": section.title,
                    "base": section.base,
                    "unit": section.unit,
                    "note": section.note,
                    "rows": [described(row) for row in section.rows],
                }
                for section in sections
            ],
        },
        indent=2,
    )
