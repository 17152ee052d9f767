"""The directive `decision-table`: what a domain means just now, and what becomes of a request of its people.

Both tables are read from `decision_table.toml` beside this file, which tests/flows/test_decision_table.py plays.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from error_table import inline
from sphinx.application import Sphinx

FILE = Path(__file__).with_name("decision_table.toml")
RESULTS = {"meaning": "meanings", "decision": "decisions"}


class DecisionTable(Directive):
    required_arguments = 1
    """`meaning` or `decision`."""

    def run(self) -> list[nodes.Node]:
        told = tomllib.loads(FILE.read_text("utf-8"))
        which = self.arguments[0]
        columns: dict[str, dict[str, str]] = told[f"{which}_columns"]
        table = nodes.table()
        group = nodes.tgroup(cols=len(columns) + 1)
        table += group
        for width in (*(60 // len(columns) for _ in columns), 40):
            group += nodes.colspec(colwidth=width)
        group += nodes.thead("", row(*told[f"{which}_heads"].values(), "outcome"))
        body = nodes.tbody()
        group += body
        for line in told[which]:
            cells = [", ".join(words[value] for value in line.get(column, ())) for column, words in columns.items()]
            body += row(*cells, told[RESULTS[which]][line["result"]])
        self.state.document.settings.env.note_dependency(str(FILE))
        return [table]


def row(*texts: str) -> nodes.row:
    """Words between two pairs of stars are strong, what stands in backticks is code; an empty cell may have any."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *_marked(text))) for text in texts))


def _marked(text: str) -> list[nodes.Node]:
    before, strong, after = (text.split("**", 2) + ["", ""])[:3]
    marked = [nodes.strong("", strong)] if strong else []
    return [*inline(before), *marked, *inline(after)]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("decision-table", DecisionTable)
    return {"parallel_read_safe": True}
