"""The list of explained mutants: each entry is about code that is there."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest
from tests.mutation.explanations import KINDS, Change, Explanation, read_change, read_explanations

TREE = Path(__file__).parents[2]
MUTATED = [
    TREE / path for path in tomllib.loads((TREE / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]["only_mutate"]
]


def lines_of(change: Change) -> list[str]:
    """Of the function that the change is in, without their indentation."""
    (path,) = (path for path in MUTATED if path.name == change.file)
    source = path.read_text("utf-8")
    (function,) = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name == change.function
    )
    return [line.strip() for line in (ast.get_source_segment(source, function) or "").splitlines()]


@pytest.mark.parametrize("explanation", read_explanations(), ids=lambda each: f"{each.change.function}")
def test_each_entry_is_about_a_line_that_is_there(explanation: Explanation) -> None:
    """The lines that it changes stand in the function that it names, and it says why no test notices."""
    assert set(explanation.change.before.splitlines()) <= set(lines_of(explanation.change))
    assert explanation.change.before != explanation.change.after
    assert explanation.kind in KINDS
    assert explanation.why


def test_a_change_is_read_from_a_diff() -> None:
    """Whatever number the mutant has, and however deep the line stands."""
    diff = """# sso_middleware.saml.rules.x__shown__mutmut_3: survived
--- src/sso_middleware/saml/rules.py
+++ src/sso_middleware/saml/rules.py
@@ -1,3 +1,3 @@
 def _shown(value: str | None) -> str:
-    return "absent"
+    return "ABSENT"
"""
    change = Change("rules.py", "_shown", 'return "absent"', 'return "ABSENT"')
    assert read_change("sso_middleware.saml.rules.x__shown__mutmut_3", diff) == change
