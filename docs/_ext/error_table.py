"""The directive `error-table`: every error code below a class, with its status, its meaning and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from error_codes import meaning_of, what_to_do, with_subclasses
from sphinx.application import Sphinx

from sso_middleware import errors


class ErrorTable(Directive):
    required_arguments = 1
    """The class whose subclasses are listed."""
    optional_arguments = 1
    """A subclass to leave out, with all below it: it has a table of its own."""

    def run(self) -> list[nodes.Node]:
        root = getattr(errors, self.arguments[0])
        left_out = getattr(errors, self.arguments[1]) if len(self.arguments) > 1 else ()
        table = nodes.table()
        group = nodes.tgroup(cols=4)
        table += group
        for width in (24, 6, 30, 40):
            group += nodes.colspec(colwidth=width)
        group += nodes.thead("", row("code", "status", "meaning", "what to do"))
        body = nodes.tbody()
        group += body
        for error in with_subclasses(root):
            if not issubclass(error, left_out):
                body += row(f"`{error.code}`", str(error.status), meaning_of(error), what_to_do(error))
        return [table]


def row(*texts: str) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *inline(text))) for text in texts))


def inline(text: str) -> Iterator[nodes.Node]:
    """What stands in backticks is code."""
    for part in re.split(r"(`+[^`]+`+)", text):
        if part.startswith("`"):
            yield nodes.literal("", part.strip("`"))
        elif part:
            yield nodes.Text(part)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("error-table", ErrorTable)
    return {"parallel_read_safe": True}
