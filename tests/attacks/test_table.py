"""Every row of the attack table that is about a login is a test: here, or where this page says.

Each row about a message is played at the layer that claims it, and over HTTP.
"""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import pytest
from tests.attacks import (
    test_enc,
    test_mdt,
    test_over_http,
    test_pro,
    test_rows_over_http,
    test_rpl,
    test_sig,
    test_slo,
    test_ten,
    test_xml,
    test_xsw,
)

ROOT = Path(__file__).parents[2]
MESSAGE_CLASSES = ("SIG", "XSW", "XML", "PRO", "RPL", "TEN", "ENC", "SLO")
CLASSES = (*MESSAGE_CLASSES, "MDT", "WEB")
MODULES = (test_sig, test_xsw, test_xml, test_pro, test_rpl, test_ten, test_enc, test_mdt, test_slo)

LOGIN = "tests/flows/test_login.py"
LOGOUT = "tests/flows/test_logout.py"
SINGLE_LOGOUT = "tests/flows/test_single_logout.py"
SESSIONS = "tests/flows/test_sessions.py"
GATE = "tests/flows/test_gate.py"
TOKENS = "tests/test_tokens.py"
PAGES = "tests/test_pages.py"
SETTINGS = "tests/test_settings.py"
REVOCATION = "tests/flows/test_revocation.py"
INTERCEPTION = "tests/flows/test_interception.py"
CONFIGURING = "tests/flows/test_configuring.py"
UNSOLICITED = "tests/flows/test_unsolicited.py"

ELSEWHERE: dict[str, str | tuple[str, ...]] = {
    "RPL-001": f"{LOGIN}::test_an_assertion_is_accepted_once",
    "RPL-010": f"{LOGIN}::test_a_login_ends_only_in_the_browser_in_which_it_began",
    "RPL-011": f"{LOGIN}::test_an_answer_at_another_connections_acs_is_refused",
    "RPL-012": f"{LOGIN}::test_an_answer_that_took_too_long_is_refused",
    "RPL-013": f"{UNSOLICITED}::test_off_refuses",
    "RPL-014": f"{UNSOLICITED}::test_restart_asks_the_identity_provider_itself",
    "RPL-015": f"{LOGIN}::test_a_return_address_elsewhere_is_lost",
    "RPL-016": f"{LOGIN}::test_relay_state_decides_nothing_of_an_answer_to_us",
    "PRO-044": (
        f"{LOGIN}::test_a_connection_may_demand_a_way_of_authentication",
        f"{LOGIN}::test_the_wrong_person_may_choose_another_account",
    ),
    "ENC-010": "tests/flows/test_key_rollover.py::test_enc_010_either_key_decrypts_during_a_rollover",
    "TEN-008": (
        f"{CONFIGURING}::test_ten_008_a_domain_that_is_not_theirs_is_claimed_by_nobody",
        f"{CONFIGURING}::test_ten_008_who_has_a_domain_is_not_told_to_others",
        f"{CONFIGURING}::test_ten_008_a_claim_is_proved_by_a_record_of_its_own",
        "tests/stores/test_configuration_records.py::test_of_many_who_claim_a_domain_one_gets_it",
    ),
    "TEN-009": "tests/flows/test_provisioning.py::test_ten_009_an_address_alone_links_nobody",
    "TEN-007": (
        f"{INTERCEPTION}::test_ten_007_an_address_is_read_exactly",
        f"{INTERCEPTION}::test_ten_007_what_only_looks_like_an_address_is_refused",
        f"{GATE}::test_a_person_of_an_exclusive_domain_never_keeps_a_host_session",
    ),
    "TEN-006": f"{LOGIN}::test_an_address_of_another_organization_is_refused",
    "SLO-008": (
        f"{SINGLE_LOGOUT}::test_slo_008_all_sessions_of_one_person_end_and_nobody_elses",
        f"{SINGLE_LOGOUT}::test_slo_008_a_session_index_names_one_session",
        f"{SINGLE_LOGOUT}::test_slo_008_the_same_text_is_not_the_same_name",
        f"{SINGLE_LOGOUT}::test_slo_008_another_connections_identity_provider_ends_nothing_of_ours",
        f"{SINGLE_LOGOUT}::test_another_persons_browser_keeps_its_session",
    ),
    "SLO-014": (
        f"{LOGOUT}::test_signing_out_needs_the_sessions_own_token",
        f"{LOGOUT}::test_a_post_from_another_site_signs_nobody_out",
    ),
    "WEB-019": (
        f"{CONFIGURING}::test_web_019_an_admin_touches_nothing_of_another_organization",
        f"{CONFIGURING}::test_web_019_an_unknown_connection_is_refused_as_a_foreign_one_is",
        f"{CONFIGURING}::test_web_019_nobody_promotes_themselves",
    ),
    "WEB-001": f"{SESSIONS}::test_signing_in_makes_a_new_session_and_ends_the_old_one",
    "WEB-002": (
        f"{SESSIONS}::test_two_cookies_of_our_name_open_nothing",
        f"{SESSIONS}::test_a_cookie_whose_name_only_looks_like_ours_opens_nothing",
    ),
    "WEB-003": f"{LOGIN}::test_every_cookie_is_host_only_secure_lax_and_http_only",
    "WEB-004": (
        f"{SESSIONS}::test_a_forged_cookie_opens_nothing",
        f"{TOKENS}::test_every_character_counts",
        f"{TOKENS}::test_what_has_no_form_is_refused",
        f"{TOKENS}::test_another_version_is_refused",
        f"{TOKENS}::test_keys_rotate",
    ),
    "WEB-005": (
        f"{TOKENS}::test_the_digest_is_sha_256",
        f"{TOKENS}::test_a_token_is_for_one_purpose_of_one_instance",
    ),
    "WEB-006": (
        f"{SESSIONS}::test_a_clock_that_goes_back_signs_nobody_out",
        f"{REVOCATION}::test_no_old_id_lives_past_a_revocation",
        f"{REVOCATION}::test_a_disabled_connection_ends_its_sessions",
        f"{REVOCATION}::test_a_clock_that_is_set_brings_no_ended_session_back",
    ),
    "WEB-007": (
        f"{REVOCATION}::test_who_is_revoked_is_out_everywhere_within_the_delay",
        f"{REVOCATION}::test_a_person_whom_the_host_no_longer_wants_is_out_at_the_demanded_renewal",
    ),
    "WEB-008": f"{GATE}::test_headers_that_claim_an_identity_never_reach_the_app",
    "WEB-009": (
        "tests/flows/test_refusing.py::test_a_host_that_lies_changes_no_url_of_ours",
        f"{GATE}::test_a_trusted_proxy_may_say_what_the_browser_asked_for",
    ),
    "WEB-010": (
        "tests/flows/test_paths.py::test_what_could_be_read_as_another_path_is_never_public",
        "tests/flows/test_refusing.py::test_our_pages_are_not_reached_by_a_side_path",
        "tests/test_wsgi.py::test_bytes_that_are_not_utf8_are_never_public",
    ),
    "WEB-011": (
        f"{LOGIN}::test_the_acs_takes_posts_only",
        "tests/test_asgi.py::test_a_websocket_without_a_session_is_refused_at_the_handshake",
    ),
    "WEB-012": f"{LOGIN}::test_another_form_is_refused",
    "WEB-013": "tests/test_wsgi.py::test_a_body_is_read_as_far_as_it_is_announced",
    "WEB-014": (
        f"{LOGIN}::test_the_sign_in_form_of_another_browser_is_refused",
        f"{LOGOUT}::test_signing_out_needs_the_sessions_own_token",
        f"{UNSOLICITED}::test_accept_needs_the_token_of_that_page_and_works_once",
    ),
    "WEB-015": (
        f"{PAGES}::test_a_page_can_not_be_framed_cached_or_scripted",
        f"{LOGIN}::test_nothing_acts_inside_a_frame",
    ),
    "WEB-016": f"{PAGES}::test_what_others_said_is_escaped",
    "WEB-017": "tests/flows/test_refusing.py::test_no_page_of_ours_is_cached",
    "WEB-030": (  # the password path; the recovery path has tests of its own
        f"{INTERCEPTION}::test_whoever_walks_around_it_meets_the_rule",
        f"{INTERCEPTION}::test_a_session_from_before_meets_the_rule",
        "tests/flows/test_enforcement.py::test_the_switch_opens_no_protected_path",
        "tests/flows/test_enforcement.py::test_an_excluded_person_passes_and_it_is_told_once_an_hour",
        "tests/flows/test_exclusion_link.py::test_web_030_anybody_else_ends_at_sso_all_the_same",
    ),
    "WEB-024": "tests/flows/test_secrets.py::test_no_log_line_tells_a_secret",
    "WEB-026": (
        f"{GATE}::test_a_store_that_fails_shuts_the_door_and_signs_nobody_out",
        f"{GATE}::test_a_host_that_can_not_say_who_is_signed_in_lets_nobody_in",
        f"{LOGIN}::test_a_hook_that_fails_lets_nobody_in",
    ),
    "WEB-028": (
        f"{SETTINGS}::test_a_weak_secret_key_is_refused",
        f"{SETTINGS}::test_no_secret_is_printed",
    ),
    "WEB-029": f"{TOKENS}::test_a_stored_token_is_its_hash",
}
"""Rows whose test belongs to another part, and which test that is."""

LATER = {
    "WEB-025": "the audit trail's chain comes with the console",
}
"""Rows that nothing can be sent for yet, and why."""

MESSAGE_LAYER_ONLY = {
    "XML-013": "a comparison of two parsers, over every message of the tables",
    "XML-022": "what the machine does while a message is verified, whoever posted it",
    "RPL-005": "how long a claim must be remembered; that it is, RPL-004 shows over HTTP",
    "PRO-054": "what kind of value verifying returns: no answer could show it",
}
"""Rows about a message that HTTP could show nothing of, and why."""


def rows_with_an_attack() -> set[str]:
    return {attack.row for module in MODULES for attack in module.ATTACKS}


def rows_with_a_function(files: str = "test_*.py") -> set[str]:
    """`test_sig_014_015_…` is the test of SIG-014 and SIG-015."""
    found = set()
    for path in Path(__file__).parent.glob(files):
        for row_class, numbers in re.findall(r"^def test_([a-z]{3})_((?:\d{3}_)+)", path.read_text(), re.MULTILINE):
            found |= {f"{row_class.upper()}-{number}" for number in numbers.split("_") if number}
    return found


def rows_over_http() -> set[str]:
    """The rows that are played over HTTP, as they are or by a test of a flow."""
    attacks = {attack.row for table in test_over_http.TABLES.values() for attack in table}
    attacks |= {attack.row for attack in test_rows_over_http.REFUSED}
    attacks |= {attack.row for attack in test_slo.ATTACKS}  # by test_slo_over_http.py
    accepted = {message.row for message in test_rows_over_http.HONEST}
    return attacks | accepted | rows_with_a_function("*over_http.py") | ELSEWHERE.keys()


def attack_table(classes: tuple[str, ...] = CLASSES) -> list[str]:
    """The ids of the rows of our classes, from the shared table."""
    path = Path(os.environ.get("SSO_SHARED", ROOT.parent / "shared")) / "attacks.tsv"
    if not path.exists():
        assert not os.environ.get("CI"), f"{path} must be there"
        pytest.skip(f"{path} is not there")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    ids = [row["id"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    return [row for row in ids if row.startswith(classes)]


def test_every_row_has_its_test() -> None:
    """No row of these classes is forgotten, and none that we claim is unknown."""
    table = attack_table()
    tested = rows_with_an_attack() | rows_with_a_function()
    assert sorted(set(table) - tested - ELSEWHERE.keys() - LATER.keys()) == []
    assert sorted((tested | ELSEWHERE.keys() | LATER.keys()) - set(table)) == []


def test_every_message_is_played_over_http() -> None:
    """A rule that the SAML layer keeps and a flow forgets to ask for would protect nobody."""
    rows = set(attack_table(MESSAGE_CLASSES))
    assert sorted(rows - rows_over_http() - LATER.keys() - MESSAGE_LAYER_ONLY.keys()) == []
    assert sorted(MESSAGE_LAYER_ONLY.keys() & rows_over_http()) == []


def test_a_row_is_not_put_off_once_it_is_tested() -> None:
    """What `LATER` puts off has no test yet."""
    assert sorted((rows_with_an_attack() | rows_with_a_function() | ELSEWHERE.keys()) & LATER.keys()) == []


TESTS_ELSEWHERE = [
    (row, test) for row, tests in ELSEWHERE.items() for test in ((tests,) if isinstance(tests, str) else tests)
]


@pytest.mark.parametrize(("row", "test"), TESTS_ELSEWHERE)
def test_the_test_elsewhere_exists(row: str, test: str) -> None:
    """The test that a row is left to is there, and names its row."""
    path, _, name = test.partition("::")
    found = re.search(rf"^def {name}\(.*?(?=^def |\Z)", (ROOT / path).read_text(), re.MULTILINE | re.DOTALL)
    assert found, test
    is_named = row.lower().replace("-", "_") in name or row in found.group()
    assert is_named or row in (ROOT / path).read_text().partition('"""\n')[0]


def test_each_attack_has_a_name_of_its_own() -> None:
    """Row and words together name one attack: a failing test says which."""
    names = [str(attack) for module in MODULES for attack in module.ATTACKS]
    assert sorted(names) == sorted(set(names))
