"""The directive `session-table`: what a request is told when a limit has passed, and what an answer leads to.

Both tables are read from `session_table.toml` beside this file, which tests/flows/test_session_table.py plays.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from error_table import row
from sphinx.application import Sphinx

FILE = Path(__file__).with_name("session_table.toml")
COLUMNS = {"requests": "kinds", "replies": "answers"}


class SessionTable(Directive):
    required_arguments = 1
    """`requests` or `replies`."""

    def run(self) -> list[nodes.Node]:
        told = tomllib.loads(FILE.read_text("utf-8"))
        which = self.arguments[0]
        table = nodes.table()
        group = nodes.tgroup(cols=3)
        table += group
        for width in (20, 28, 52):
            group += nodes.colspec(colwidth=width)
        group += nodes.thead("", row("passed", {"requests": "what came", "replies": "the answer"}[which], "outcome"))
        body = nodes.tbody()
        group += body
        for limits, columns, outcome in groups(told[which]):
            if outcome != "not_asked":
                body += row(
                    ", ".join(told["limits"][limit] for limit in limits),
                    ", ".join(told[COLUMNS[which]][column] for column in columns),
                    told["outcomes"][outcome],
                )
        self.state.document.settings.env.note_dependency(str(FILE))
        return [table]


def groups(outcomes: dict[str, dict[str, str]]) -> list[tuple[list[str], list[str], str]]:
    """Pairs that end alike share a row: limits that never differ, and then the columns of one outcome."""
    found: list[tuple[list[str], list[str], str]] = []
    alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for limit, told in outcomes.items():
        alike.setdefault(tuple(told.items()), []).append(limit)
    for pairs, limits in alike.items():
        for outcome in dict.fromkeys(outcome for _, outcome in pairs):
            found.append((limits, [column for column, other in pairs if other == outcome], outcome))
    return found


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("session-table", SessionTable)
    return {"parallel_read_safe": True}
