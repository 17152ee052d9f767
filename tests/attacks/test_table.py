"""Every row of the attack table that is about a message is a test: here, or where this page says."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import pytest
from tests.attacks import test_enc, test_pro, test_rpl, test_sig, test_ten, test_xml, test_xsw
from tests.attacks.scene import Attack

ROOT = Path(__file__).parents[2]
CLASSES = ("SIG", "XSW", "XML", "PRO", "RPL", "TEN", "ENC")
MODULES = (test_sig, test_xsw, test_xml, test_pro, test_rpl, test_ten, test_enc)

LOGIN = "tests/flows/test_login.py"
UNSOLICITED = "tests/flows/test_unsolicited.py"

ELSEWHERE = {
    "RPL-001": f"{LOGIN}::test_an_assertion_is_accepted_once",
    "RPL-010": f"{LOGIN}::test_a_login_ends_only_in_the_browser_in_which_it_began",
    "RPL-011": f"{LOGIN}::test_an_answer_at_another_connections_acs_is_refused",
    "RPL-012": f"{LOGIN}::test_an_answer_that_took_too_long_is_refused",
    "RPL-013": f"{UNSOLICITED}::test_off_refuses",
    "RPL-014": f"{UNSOLICITED}::test_restart_asks_the_identity_provider_itself",
    "RPL-015": f"{LOGIN}::test_a_return_address_elsewhere_is_lost",
    "RPL-016": f"{LOGIN}::test_relay_state_decides_nothing_of_an_answer_to_us",
    "TEN-009": "tests/flows/test_provisioning.py::test_ten_009_an_address_alone_links_nobody",
    "TEN-006": f"{LOGIN}::test_an_address_of_another_organization_is_refused",
}
"""Rows whose test belongs to another part, and which test that is."""

LATER = {
    "TEN-008": "domains are declared by the operator; claiming and verifying them comes with the domains issue",
}
"""Rows that nothing can be sent for yet, and why."""


def rows_with_an_attack() -> set[str]:
    attacks: list[Attack] = [attack for module in MODULES for attack in module.ATTACKS]
    return {attack.row for attack in attacks}


def rows_with_a_function() -> set[str]:
    """`test_sig_014_015_…` is the test of SIG-014 and SIG-015."""
    found = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        for row_class, numbers in re.findall(r"^def test_([a-z]{3})_((?:\d{3}_)+)", path.read_text(), re.MULTILINE):
            found |= {f"{row_class.upper()}-{number}" for number in numbers.split("_") if number}
    return found


def attack_table() -> list[str]:
    """The ids of the rows of our classes, from the shared table."""
    path = Path(os.environ.get("SSO_SHARED", ROOT.parent / "shared")) / "attacks.tsv"
    if not path.exists():
        assert not os.environ.get("CI"), f"{path} must be there"
        pytest.skip(f"{path} is not there")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    ids = [row["id"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    return [row for row in ids if row.startswith(CLASSES)]


def test_every_row_has_its_test() -> None:
    """No row of these classes is forgotten, and none that we claim is unknown."""
    table = attack_table()
    tested = rows_with_an_attack() | rows_with_a_function()
    assert sorted(set(table) - tested - ELSEWHERE.keys() - LATER.keys()) == []
    assert sorted((tested | ELSEWHERE.keys() | LATER.keys()) - set(table)) == []


def test_a_row_is_not_put_off_once_it_is_tested() -> None:
    """What `LATER` puts off has no test yet."""
    assert sorted((rows_with_an_attack() | rows_with_a_function() | ELSEWHERE.keys()) & LATER.keys()) == []


@pytest.mark.parametrize("row", ELSEWHERE)
def test_the_test_elsewhere_exists(row: str) -> None:
    """The test that a row is left to is there, and names its row."""
    path, _, name = ELSEWHERE[row].partition("::")
    found = re.search(rf"^def {name}\(.*?(?=^def |\Z)", (ROOT / path).read_text(), re.MULTILINE | re.DOTALL)
    assert found, ELSEWHERE[row]
    assert row in found.group() or row in (ROOT / path).read_text().partition('"""\n')[0]


def test_each_attack_has_a_name_of_its_own() -> None:
    """Row and words together name one attack: a failing test says which."""
    names = [str(attack) for module in MODULES for attack in module.ATTACKS]
    assert sorted(names) == sorted(set(names))
