"""`keys …`: a rollover by hand, step by step, and what is said between the steps."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.cli.conftest import ACME, SETTINGS, Call
from tests.identity_provider import make_signer


def states(call: Call, purpose: str = "signing") -> dict[str, str]:
    """State to id."""
    told = json.loads(call("keys", "list", "--json").stdout)
    return {key["state"]: key["id"] for key in told["keys"] if key["purpose"] == purpose}


def published(call: Call) -> list[str]:
    return re.findall(r"<ds:X509Certificate>([^<]+)<", call("metadata").stdout)


def test_a_signing_key_is_rolled_over(call: Call) -> None:
    """Add publishes it beside the current one, rotate makes it the only one, drop removes what is left."""
    (first,) = published(call)
    added = call("keys", "add", "signing")
    assert added.exit_code == 0
    assert "Wait until every customer's identity provider has read the new metadata" in added.stdout
    assert "keys rotate signing" in added.stdout
    assert published(call)[0] == first
    (_, second) = published(call)

    rotated = call("keys", "rotate", "signing", "--yes")
    assert rotated.exit_code == 0
    assert "in our metadata for 0 hours" in rotated.stdout
    assert published(call) == [second]

    dropped = call("keys", "drop", states(call)["retired"], "--yes")
    assert dropped.exit_code == 0
    assert dropped.stdout.endswith("Dropped.\n")
    assert list(states(call)) == ["current"]


def test_what_can_not_be_undone_asks_first(call: Call) -> None:
    """Without an answer nothing is changed, and it is told what would happen."""
    call("keys", "add", "signing")
    assert call("keys", "rotate", "signing").exit_code == 1
    assert sorted(states(call)) == ["current", "next"]
    call("keys", "add", "encryption")
    call("keys", "rotate", "encryption")
    retired = states(call, "encryption")["retired"]
    asked = call("keys", "drop", retired)
    assert asked.exit_code == 1
    assert "decryption_failed" in asked.stdout
    assert states(call, "encryption")["retired"] == retired


def test_an_encryption_key_rotates_without_a_question(call: Call) -> None:
    """Nothing is lost by it: every key goes on decrypting until it is dropped."""
    added = call("keys", "add", "encryption")
    assert "we decrypt with both keys" in added.stdout
    rotated = call("keys", "rotate", "encryption")
    assert rotated.exit_code == 0
    assert "The retired key still decrypts" in rotated.stdout


def test_the_list_says_what_each_key_does(call: Call) -> None:
    """One entry a key, with the fingerprint by which an identity provider's page shows it; no private key."""
    assert call("keys", "list").stdout == "There is no key yet: each is made at first use.\n"
    call("keys", "add", "encryption")
    listed = call("keys", "list").stdout
    assert "published, decrypts" in listed
    assert len(re.findall(r"certificate SHA-256 (?:[0-9A-F]{2}:){31}[0-9A-F]{2}\n", listed)) == 2
    assert "PRIVATE" not in listed + call("keys", "list", "--json").stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (("rotate", "signing", "--yes"), 1, "no next signing key"),
        (("drop", "unknown", "--yes"), 1, "no key 'unknown'"),
        (("add", "decryption"), 2, "decryption"),
    ],
)
def test_a_step_that_can_not_be_taken(call: Call, arguments: tuple[str, ...], exit_code: int, words: str) -> None:
    """It is told why, without a traceback."""
    result = call("keys", *arguments)
    assert result.exit_code == exit_code
    assert words in result.stderr


def test_a_key_of_the_settings_is_not_rolled_over_here(call: Call, folder: Path) -> None:
    """The settings that do it are named; the list tells that it is not kept here."""
    signer = make_signer("our own key")
    (folder / "key.pem").write_text(signer.private_pem)
    (folder / "certificate.pem").write_text(signer.certificate)
    supplied = 'signing_key = "key.pem"\nsigning_certificate = "certificate.pem"\n'
    (folder / "sso.toml").write_text(supplied + SETTINGS + ACME)
    for step in (("add", "signing"), ("rotate", "signing", "--yes")):
        refused = call("keys", *step)
        assert refused.exit_code == 1
        assert "next_signing_certificate" in refused.stderr
    assert "supplied by the settings" in call("keys", "list").stdout
    assert json.loads(call("keys", "list", "--json").stdout) == {"keys": [], "supplied_by_settings": ["signing"]}
