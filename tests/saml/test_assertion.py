"""The values that an assertion is made of, and how one waits for `finish`."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.response_shape import SentAttribute
from tests.saml.conversation import EMAIL, EXPECTED, NOW, respond, verify

import sso_middleware
from sso_middleware.saml.assertion import Assertion, Verified, dump_assertion, load_assertion

SOURCE = Path(sso_middleware.__file__).parent


def an_assertion(**changes: object) -> Assertion:
    expected = None if changes.get("request_id", "") is None else EXPECTED
    return verify(respond(**changes), expected=expected)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"request_id": None, "session_index": None},
        {
            "session_not_on_or_after": NOW + timedelta(hours=8, microseconds=7),
            "attributes": (SentAttribute("groups", ("", "α", 'a"b\n'), None), SentAttribute("none", ())),
            "name_qualifier": "https://idp.acme.example/metadata",
        },
    ],
    ids=["plain", "unsolicited", "everything"],
)
def test_an_assertion_survives_the_wait(changes: dict[str, object]) -> None:
    """What is loaded equals what was dumped, to the last field and type."""
    assertion = an_assertion(**changes)
    loaded = load_assertion(dump_assertion(assertion))
    assert loaded == assertion
    assert {type(value) for value in loaded.attributes} <= {type(assertion.attributes[0])}
    assert loaded.issued_at.tzinfo is not None


def test_a_dump_is_plain_json() -> None:
    """So that the seal around it is all that protects it, and nothing in it is run."""
    assert json.loads(dump_assertion(an_assertion()))["name_id"]["value"] == EMAIL


def test_no_assertion_is_made_by_accident() -> None:
    """Neither by calling the class with values of one's own, nor by changing one that was verified."""
    assertion = an_assertion()
    values = {name: getattr(assertion, name) for name in assertion.__slots__}
    with pytest.raises(TypeError):
        Assertion(**values)
    with pytest.raises(TypeError, match="only verify_response"):
        Assertion(**values, verified=Verified())
    with pytest.raises((TypeError, ValueError), match="verified"):  # Python 3.13 says TypeError
        replace(assertion, id="_another")  # type: ignore[call-arg]  # that is the point


def test_only_verification_makes_assertions() -> None:
    """In the whole source nothing but response.py, and loading what it made, names what it takes."""
    makers = {
        path.name
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Name) and node.id == "VERIFIED")
        or (isinstance(node, ast.Attribute) and node.attr == "VERIFIED")
        or (isinstance(node, ast.alias) and node.name == "VERIFIED")
    }
    assert makers == {"assertion.py", "response.py"}


def test_a_repr_names_nobody() -> None:
    """Neither the NameID nor an attribute's value is in the text of an assertion."""
    text = repr(an_assertion())
    assert EMAIL not in text
    assert "Research" not in text
    assert "_session-" not in text
