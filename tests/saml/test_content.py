"""Content models: the same language as the regular expressions that they look like."""

from __future__ import annotations

import re
from itertools import product

import pytest
from lxml import etree
from tests.saml.conversation import respond

from sso_middleware.saml.content import Place, read_model
from sso_middleware.saml.schema import SHAPES, child, required_child


def fits(model: str, names: tuple[str, ...]) -> bool:
    place: Place | None = read_model(model)
    for name in names:
        place = place.next.get(name) if place else None
    return place is not None and place.may_end


@pytest.mark.parametrize(
    "model",
    [
        "",
        "a",
        "a? b",
        "a* b+",
        "(a b?)? c",
        "(a|b)* c?",
        "a (b|c)+ (d|e)?",
        "a? (b? c)*",
        "(a b)+ c",
        "((a|b) c?)* d",
    ],
)
def test_a_model_means_what_it_says(model: str) -> None:
    """Every sequence of up to five children, against the regular expression of the same text."""
    expression = re.compile(re.sub(r"[a-z]", r"(?:\g<0>)", model).replace(" ", ""))
    for length in range(6):
        for names in product("abcdz", repeat=length):
            assert fits(model, names) == (expression.fullmatch("".join(names)) is not None), names


@pytest.mark.parametrize("model", ["a? a", "a* a", "(a|a b)", "(a b?)* b"])
def test_a_name_never_leads_to_two_places(model: str) -> None:
    """XML 1.0 appendix E: then nobody need look ahead, and nobody needs long."""
    with pytest.raises(ValueError, match="two places"):
        read_model(model)


def test_the_tables_are_in_both_forms() -> None:
    """By names, for words, and by tags, for speed."""
    for shape in SHAPES.values():
        assert shape.start.may_end == shape.content.may_end
        assert len(shape.start.steps) == len(shape.content.next.keys() - {"other"})


def test_a_child_that_the_table_requires_is_there() -> None:
    """Should a table and its reader ever disagree, nothing goes on as if nothing were."""
    root = etree.fromstring(respond())
    assert required_child(root, "samlp:Status") is child(root, "samlp:Status")
    with pytest.raises(LookupError):
        required_child(root, "samlp:Extensions")
