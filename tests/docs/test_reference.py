"""The reference lists what there is: every setting with its true default, every hook, every field, every page."""

from __future__ import annotations

import dataclasses
import re
import runpy
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from tests.docs.blocks import ROOT

from sso_middleware import Hooks, Identity, Principal
from sso_middleware.attribute_settings import NamedAttribute
from sso_middleware.departments import Team
from sso_middleware.errors import LoginRefused, MessageRefused, SSOError
from sso_middleware.settings import AttributeMap, ConnectionSettings, InterceptSettings, Settings
from sso_middleware.web import Request

REFERENCE = ROOT / "docs" / "reference"
SETTINGS = (REFERENCE / "settings.md").read_text()


def rows(heading: str) -> dict[str, str]:
    """Name to default, of all tables with this first heading."""
    found: dict[str, str] = {}
    for table in re.findall(rf"^\| {re.escape(heading)} \|[^\n]*\n\|[-| ]+\|\n((?:\|[^\n]*\n)+)", SETTINGS, re.M):
        for row in table.splitlines():
            name, default = (cell.strip() for cell in row.split("|")[1:3])
            assert name not in found
            found[name.strip("`")] = default.strip("`")
    return found


def shown(default: Any) -> str:
    """A default as it would stand in TOML."""
    match default:
        case None:
            return "none"
        case bool():
            return str(default).lower()
        case str():
            return f'"{default}"'
        case timedelta():
            return f'"{shortest(int(default.total_seconds()))}"'
        case tuple():
            return "[" + ", ".join(shown(item) for item in default) + "]"
        case NamedAttribute():
            return f'"{default.name}"'
        case AttributeMap():
            return "see below"
        case _:
            return str(default)


def shortest(seconds: int) -> str:
    if seconds == 120:
        return "120s"
    unit, size = next((u, s) for u, s in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)) if seconds % s == 0)
    return f"{seconds // size}{unit}"


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("setting", Settings),
        ("setting of `[[connections]]`", ConnectionSettings),
        ("setting of `attributes`", AttributeMap),
        ("setting of one attribute", NamedAttribute),
        ("setting of `teams`", Team),
        ("setting of `[[intercept]]`", InterceptSettings),
    ],
)
def test_every_setting_is_listed_with_its_default(heading: str, model: type[BaseModel]) -> None:
    """No setting is missing from the reference, none is there that doesn't exist, and each default is true."""
    expected = {
        name: "required" if field.is_required() else shown(field.default) for name, field in model.model_fields.items()
    }
    assert rows(heading) == expected


def test_every_hook_is_listed() -> None:
    """The table of hooks has one row for each method that a host can override."""
    table = (REFERENCE / "hooks.md").read_text()
    listed = re.findall(r"(?m)^\| `(\w+)` \|", table)
    assert listed == [name for name in vars(Hooks) if not name.startswith("_")]


@pytest.mark.parametrize(("page", "kind"), [("hooks.md", Identity), ("identity.md", Principal)])
def test_every_field_is_named(page: str, kind: type[Any]) -> None:
    """What a hook or a view is given is named on its page, field by field."""
    text = (REFERENCE / page).read_text()
    assert [field.name for field in dataclasses.fields(kind) if f"`{field.name}`" not in text] == []


def test_every_code_has_a_meaning_and_what_to_do() -> None:
    """For the operator who looks it up: of its own, or of its kind; and the table names no code that there is not."""
    told = runpy.run_path(str(ROOT / "docs" / "_ext" / "error_codes.py"))
    errors = list(told["with_subclasses"](SSOError))
    of_no_use = {told["what_to_do"](SSOError)}
    assert [error.code for error in errors if not told["meaning_of"](error)] == []
    assert [error.code for error in errors[1:] if told["what_to_do"](error) in of_no_use] == []
    assert set(told["CODES"]) - {error.code for error in errors} == set()


def test_what_a_hook_can_ask_of_a_request_is_named() -> None:
    """`request` is told on the page of the hooks, so that nobody has to read the source."""
    text = (REFERENCE / "hooks.md").read_text()
    fields = {field.name for field in dataclasses.fields(Request)} - {"raw_path", "is_websocket"}
    assert [name for name in fields if not re.search(rf"`(?:request\.)?{name}\b", text)] == []
    assert "`request.cookie(name)`" in text


def test_the_page_of_causes_is_what_the_code_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/troubleshooting.md is the table of checks; every refusal of a sign-in is on it."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    made = runpy.run_path(str(ROOT / "docs" / "_ext" / "troubleshooting.py"))["build_page"]()
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    assert page == made, "run: python docs/_ext/troubleshooting.py"
    told = runpy.run_path(str(ROOT / "docs" / "_ext" / "error_codes.py"))
    refusals = [*told["with_subclasses"](MessageRefused), *told["with_subclasses"](LoginRefused)]
    assert [error.code for error in refusals if not error.__subclasses__() and f"| `{error.code}` |" not in page] == []
