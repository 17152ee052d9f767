"""`roles …`: what a mapping says, and what would follow from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import ACME, SETTINGS, Call

MAPPING = """
authorization = true

[connections.role_mapping]
"Engineers" = { account = ["member"], "project:42" = ["editor", "viewer"] }
"All staff" = { account = ["member"] }
"""


@pytest.fixture(autouse=True)
def _mapped(folder: Path) -> None:
    (folder / "sso.toml").write_text(SETTINGS + ACME + MAPPING)


def test_a_mapping_is_shown_as_a_table(call: Call) -> None:
    """With the attribute that is compared, and whether it counts."""
    result = call("roles", "show", "acme")

    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "acme (Acme Inc): authorization is on. Attribute: role_mapping",
        "MAPPING ROLE  SCOPE       ROLES",
        "All staff     account     member",
        "Engineers     account     member",
        "Engineers     project:42  editor, viewer",
    ]


def test_a_script_gets_a_mapping_as_json(call: Call) -> None:
    """The same, whole."""
    result = call("roles", "show", "acme", "--json")

    assert json.loads(result.output) == {
        "connection": "acme",
        "authorization": True,
        "attribute": "role_mapping",
        "role_mapping": {
            "All staff": {"account": ["member"]},
            "Engineers": {"account": ["member"], "project:42": ["editor", "viewer"]},
        },
    }


def test_a_connection_without_a_mapping_says_so(call: Call, folder: Path) -> None:
    """And that it would not count."""
    (folder / "sso.toml").write_text(SETTINGS + ACME)
    result = call("roles", "show", "acme")

    assert result.output.splitlines() == [
        "acme (Acme Inc): authorization is off: the mapping is not used. Attribute: role_mapping",
        "No role is mapped.",
    ]


def test_what_would_follow_is_explained(call: Call) -> None:
    """Value by value, and the whole; a difference that an eye passes over is told."""
    result = call("roles", "explain", "acme", "--value", "Engineers", "--value", "all  Staff", "--value", "X")

    assert result.exit_code == 0
    assert result.output.splitlines()[1:] == [
        "'Engineers': account: member; project:42: editor, viewer",
        "'all  Staff': no mapping role; there is 'All staff', and every letter counts",
        "'X': no mapping role",
        "Roles: account: member; project:42: editor, viewer",
    ]


@pytest.mark.parametrize(
    ("values", "told"),
    [((), "Refused (roles_missing): no value came"), (("--value", "X"), "Refused (roles_unmatched): no value is")],
)
def test_who_would_be_refused_is_told(call: Call, values: tuple[str, ...], told: str) -> None:
    """With exit code 1."""
    result = call("roles", "explain", "acme", *values)

    assert result.exit_code == 1
    assert told in result.output


def test_a_script_gets_an_explanation_as_json(call: Call) -> None:
    """What matched, what did not, what follows."""
    values = ("--value", "Engineers", "--value", "X")
    granted, refused = call("roles", "explain", "acme", *values, "--json"), call("roles", "explain", "acme", "--json")

    assert (granted.exit_code, refused.exit_code) == (0, 1)
    assert json.loads(granted.output) == {
        "connection": "acme",
        "authorization": True,
        "values": ["Engineers", "X"],
        "matched": ["Engineers"],
        "unmatched": ["X"],
        "grants": {"account": ["member"], "project:42": ["editor", "viewer"]},
        "withheld": {},
        "refused": None,
    }
    assert json.loads(refused.output)["refused"] == "roles_missing"


def test_an_unknown_connection_is_a_wrong_call(call: Call) -> None:
    """Exit code 2, as for every command."""
    result = call("roles", "show", "acne")

    assert result.exit_code == 2
    assert "there is no connection 'acne'" in result.output
