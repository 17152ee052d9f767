"""The directive `error-table`: every error code with its status and meaning, read from `sso_middleware.errors`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
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
        group = nodes.tgroup(cols=3)
        table += group
        for width in (30, 8, 62):
            group += nodes.colspec(colwidth=width)
        group += nodes.thead("", row("code", "status", "meaning"))
        body = nodes.tbody()
        group += body
        for error in with_subclasses(root):
            if not issubclass(error, left_out):
                body += row(error.code, str(error.status), meaning_of(error))
        return [table]


def with_subclasses(root: type[errors.SSOError]) -> Iterator[type[errors.SSOError]]:
    yield root
    for below in root.__subclasses__():
        yield from with_subclasses(below)


def meaning_of(error: type[errors.SSOError]) -> str:
    """The class's docstring, without markup; where it has none its code says it all."""
    text = inspect.cleandoc(error.__dict__.get("__doc__") or error.code.replace("_", " ").capitalize() + ".")
    return re.sub(r"`+", "", " ".join(text.split()))


def row(code: str, *texts: str) -> nodes.row:
    name = nodes.paragraph("", "", nodes.literal(code, code) if "_" in code or code.islower() else nodes.Text(code))
    cells = [name, *(nodes.paragraph(text, text) for text in texts)]
    return nodes.row("", *(nodes.entry("", cell) for cell in cells))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("error-table", ErrorTable)
    return {"parallel_read_safe": True}
