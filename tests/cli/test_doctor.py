"""`doctor`: what is wrong with a running set-up, what could be better, and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import ACME, SETTINGS, Call

from sso_middleware.calling import system_clock
from sso_middleware.events import Event
from sso_middleware.stores.sql import SqlStore


def findings(call: Call) -> dict[tuple[str, str], str]:
    told = json.loads(call("doctor", "--json").stdout)
    return {(each["severity"], each["about"]): each["words"] for each in told["findings"]}


def test_a_sound_set_up_has_nothing_wrong(call: Call) -> None:
    """Exit 0, and it says so."""
    result = call("doctor")

    assert result.exit_code == 0, result.output
    assert "Nothing is wrong." in result.output


def test_whoever_could_be_locked_out_is_told_of(call: Call, folder: Path) -> None:
    """An exclusive domain of run time without a test or a way back; declared, it is only noted."""
    (folder / "sso.toml").write_text(f'mode = "domains"\n{SETTINGS}{ACME}')
    (folder / "globex.xml").write_text((folder / "acme.xml").read_text())
    call("connections", "create", "globex", "--organization", "Globex", "--metadata-file", "globex.xml")
    call("domains", "add", "globex.example", "--connection", "globex", "--verified")
    call("domains", "mode", "globex.example", "exclusive", "--force")
    assert call("connections", "activate", "globex", "--force").exit_code == 0

    found = findings(call)

    assert "way back" in found["wrong", "connection globex"]
    assert ("note", "connection acme") in found
    assert call("doctor").exit_code == 1


@pytest.mark.parametrize("how", ["switch", "disabled"])
def test_what_is_not_enforced_is_loud(call: Call, folder: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment switch, and a connection that was disabled."""
    (folder / "sso.toml").write_text(f'mode = "domains"\n{SETTINGS}{ACME}')
    if how == "switch":
        monkeypatch.setenv("SSO_ENFORCEMENT", "off")
    else:
        call("connections", "disable", "acme")

    result = call("doctor")

    assert result.exit_code == 1
    assert "wrong: enforcement" in result.output


def test_what_went_wrong_lately_is_counted(call: Call, folder: Path) -> None:
    """With the command that shows it; what is long ago is not."""
    call("doctor")
    store = SqlStore(f"sqlite:///{folder}/sso.db")
    for _ in range(3):
        store.add_event(Event("person_conflict", system_clock(), "acme"))
    store.close()

    assert "3 times" in findings(call)["note", "person_conflict"]


def test_what_is_missing_is_named(call: Call, folder: Path) -> None:
    """No connection at all; then one without metadata, with a domain that nobody has verified."""
    (folder / "sso.toml").write_text(SETTINGS)
    assert "connections create" in findings(call)["wrong", "connections"]

    call("connections", "create", "globex", "--organization", "Globex")
    call("domains", "add", "globex.example", "--connection", "globex")
    result = call("doctor")

    assert "no usable metadata" in result.output
    assert "domains verify globex.example" in result.output
