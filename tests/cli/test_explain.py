"""`explain FILE` and what `events --reference` shows: the verdict, the reasons, and nothing about the person."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.attacks.scene import default_scene
from tests.attacks.test_pro import ATTACKS
from tests.cli.conftest import NOW, SETTINGS
from tests.identity_provider import IdentityProvider, form_value, make_signer
from tests.response_shape import attributes_of
from tests.xml_encryption import Encryption

from sso_middleware.cli import main
from sso_middleware.cli.explain import read_sent
from sso_middleware.events import EXPLANATION, Event
from sso_middleware.flows.own_keys import OwnKeys
from sso_middleware.saml.parties import ServiceProvider
from sso_middleware.stores.migrate import prepare_database
from sso_middleware.stores.sealing import Sealer
from sso_middleware.stores.sql import SqlStore

Explain = Callable[..., Result]
IDP = IdentityProvider()
GLOBEX = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso")
US = ServiceProvider("http://127.0.0.1:8000/sso/acme/metadata", "http://127.0.0.1:8000/sso/acme/acs")
CONNECTION = """
[[connections]]
id = "{id}"
organization = "{id} Inc"
domains = ["{id}.example"]
metadata_file = "{id}.xml"
"""
ENCRYPTED = SETTINGS + CONNECTION.format(id="acme") + 'encryption = "required"\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the settings of two connections."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSO_CONFIG", raising=False)
    for id, idp in (("acme", IDP), ("globex", GLOBEX)):
        (tmp_path / f"{id}.xml").write_text(idp.metadata)
    (tmp_path / "sso.toml").write_text(SETTINGS + CONNECTION.format(id="acme") + CONNECTION.format(id="globex"))
    return tmp_path


@pytest.fixture
def explain(here: Path) -> Explain:
    """Run the command on this message, by way of a file."""

    def explain(sent: bytes | str, *arguments: str) -> Result:
        (here / "message").write_bytes(sent if isinstance(sent, bytes) else sent.encode())
        return CliRunner().invoke(main, ["explain", "message", *arguments])

    return explain


def respond(idp: IdentityProvider = IDP, /, **changes: Any) -> bytes:
    setting: dict[str, Any] = {"request_id": "_asked", "email": "ada.lovelace@acme.example", "now": NOW}
    return idp.respond(US, **(setting | changes)).xml


def states(result: Result) -> dict[str, str]:
    return {check["check"]: check["state"] for check in json.loads(result.stdout)["checks"]}


def test_a_good_message_is_accepted(explain: Explain) -> None:
    """Each check is listed, in order; code 0; what a file can't show is said to be left open."""
    result = explain(respond())
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "Read as XML. Judged by connection 'acme': its ACS address is the Destination."
    assert lines[1].startswith("The clock: 2026-03-01 12:00:00Z (the message's own IssueInstant, ")
    assert "passed      Signatures: certificate" in result.stdout
    assert "not judged  Used once" in lines
    assert lines[-1].startswith("Verdict: accepted, as far as a message alone can show it")


VALUE = form_value(respond())


@pytest.mark.parametrize(
    "sent",
    [
        VALUE,
        VALUE + "\n",
        "\n".join(VALUE[i : i + 64] for i in range(0, len(VALUE), 64)),
        quote(VALUE, safe=""),
        f"RelayState=abc&SAMLResponse={quote(VALUE, safe='')}",
        f"SAMLResponse={VALUE}&RelayState=abc",
        f"SAMLResponse: {VALUE}\nRelayState: abc",
        respond() + b"\n",
    ],
    ids=["value", "with newline", "wrapped", "escaped", "form", "form without escapes", "as a browser shows it", "XML"],
)
def test_it_is_read_however_it_was_copied(explain: Explain, sent: bytes | str) -> None:
    """Out of a form, a developer's tool or a log."""
    assert explain(sent).exit_code == 0


def test_the_standard_input_is_read_too(here: Path) -> None:
    """`-` as everywhere."""
    result = CliRunner().invoke(main, ["explain", "-"], input=form_value(respond()))
    assert result.exit_code == 0
    assert result.stdout.startswith("Read as the value of a form field.")


def test_what_is_not_ascii_is_xml_to_be_refused() -> None:
    """UTF-16 comes to the gate as it is."""
    assert read_sent(b"\xff\xfe<\x00").as_what == "XML"


def test_all_faults_are_told_with_who_must_act(explain: Explain) -> None:
    """What came, what was expected, who; then the verdict with its code; code 1."""
    result = explain(respond(audience=US.entity_id + "/", recipient="https://127.0.0.1:8000/sso/acme/acs"))
    assert result.exit_code == 1
    assert "REFUSED     Recipient:" in result.stdout
    assert f'expected: "{US.acs_url}"' in result.stdout
    assert "note: differs only in http against https" in result.stdout
    assert "WOULD FAIL  Audience:" in result.stdout
    assert "note: differs only in the trailing slash" in result.stdout
    assert result.stdout.splitlines()[-2:] == [
        "WOULD FAIL is what the message says of itself; that was not verified.",
        "Verdict: refused, recipient_mismatch. Who must act: the customer's IdP admin.",
    ]


def test_as_json_it_is_for_scripts(explain: Explain) -> None:
    """The same, check by check."""
    told = json.loads(explain(respond(audience="https://other.example/"), "--json").stdout)
    assert (told["verdict"], told["code"], told["connection"]) == ("refused", "audience_mismatch", "acme")
    (refused,) = [check for check in told["checks"] if check["state"] == "refused"]
    assert (refused["check"], refused["came"]) == ("audience", '"https://other.example/"')
    assert json.loads(explain(respond(), "--json").stdout)["verdict"] == "accepted"


def test_nothing_about_the_person_is_shown(explain: Explain) -> None:
    """Attribute names and the domain of an address; no value, no NameID, no key."""
    attributes = attributes_of("ada.lovelace@acme.example", roles=("secret role",), department="Secret Department")
    for arguments in ((), ("--json",), ("--at", "now")):
        result = explain(respond(attributes=attributes, status_message="by ada.lovelace@acme.example"), *arguments)
        assert "role_mapping" in result.stdout
        for secret in ("ada", "Ada", "Lovelace", "secret role", "Secret Department"):
            assert secret not in result.stdout.replace("metadata", "")


@pytest.mark.parametrize("attack", ATTACKS[:5], ids=str)
def test_an_attack_is_told_by_its_code_without_settings_too(explain: Explain, here: Path, attack: Any) -> None:
    """As much as can be said; never that it is accepted."""
    (here / "sso.toml").unlink()
    result = explain(attack.build(default_scene()))
    assert result.exit_code == 1
    assert "Judged by no connection: there are no settings here." in result.stdout
    assert "Verdict: undecided" in result.stdout


# Whose, when, and in answer to what


def test_whose_it_is_is_found_by_issuer(explain: Explain) -> None:
    """A wrong Destination does not hide it, and the other connection's is named."""
    result = explain(respond(GLOBEX, destination="https://elsewhere.example/"))
    assert "Judged by connection 'globex': its identity provider is the Issuer." in result.stdout
    wrong = explain(respond(GLOBEX))
    assert "Judged by connection 'acme': its ACS address is the Destination." in wrong.stdout
    assert "this is the identity provider of connection 'globex'" in wrong.stdout


def test_nobody_s_message_is_judged_by_the_one_that_is_named(explain: Explain, here: Path) -> None:
    """Without a name it is only described, unless there is but one connection."""
    stranger = respond(IdentityProvider("urn:stranger", "https://idp.stranger.example/"), destination=None)
    undecided = explain(stranger)
    assert undecided.exit_code == 1
    assert "no connection has this Destination or Issuer" in undecided.stdout
    assert 'It says that it is from "urn:stranger", for none.' in undecided.stdout
    assert "issuer_mismatch" in explain(stranger, "--connection", "acme").stdout
    assert explain(b"<no xml").stdout.endswith(
        "Verdict: refused, xml_malformed. Who must act: the customer's IdP admin.\n"
    )
    (here / "sso.toml").write_text(SETTINGS + CONNECTION.format(id="acme"))
    assert "Judged by connection 'acme': it is the only one." in explain(stranger).stdout


def test_at_a_shared_acs_the_issuer_decides(explain: Explain, here: Path) -> None:
    """The Destination is everybody's there."""
    (here / "sso.toml").write_text(
        f"shared_acs = true\n{SETTINGS}{CONNECTION.format(id='acme')}{CONNECTION.format(id='globex')}"
    )
    shared = ServiceProvider("http://127.0.0.1:8000/sso/metadata", "http://127.0.0.1:8000/sso/acs")
    sent = GLOBEX.respond(shared, request_id=None, email="bob@globex.example", now=NOW).xml
    result = explain(sent)
    assert "Judged by connection 'globex': its identity provider is the Issuer." in result.stdout
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("at", "code", "words"),
    [
        ("2026-03-01T12:20:00Z", "stale", "the message is 20 minutes old"),
        ("2026-03-01T11:53:00", "not_yet_valid", "clock is 7 minutes ahead of ours"),
        ("2026-03-01T13:00:30+01:00", None, ""),
        ("now", "stale", "old: a saved copy"),
    ],
)
def test_the_clock_can_be_set(explain: Explain, at: str, code: str | None, words: str) -> None:
    """Skew shows against the clock of the day; by default the message is judged in its own time."""
    result = explain(respond(), "--at", at, "--json")
    told = json.loads(result.stdout)
    assert told["code"] == code
    assert words in result.stdout
    assert told["at_is"] == ("now" if at == "now" else "as --at says")


def test_a_message_from_the_future_is_said_to_be(explain: Explain) -> None:
    """Its IssueInstant is the clock, and how far that is from now is told."""
    sent = respond(now=datetime.now(UTC) + timedelta(days=400))
    assert "ahead of now" in explain(sent).stdout


def test_the_request_can_be_named(explain: Explain) -> None:
    """Then whether it answers that is judged; an empty one says that nothing was asked."""
    assert states(explain(respond(), "--json"))["in_response_to"] == "not judged"
    assert states(explain(respond(), "--request-id", "_asked", "--json"))["in_response_to"] == "passed"
    assert "in_response_to_mismatch" in explain(respond(), "--request-id", "_another").stdout
    assert "in_response_to_mismatch" in explain(respond(), "--request-id", "").stdout
    assert explain(respond(request_id=None), "--request-id", "").exit_code == 0


def test_the_flow_s_own_refusals_are_told_where_they_can_be(explain: Explain, here: Path) -> None:
    """Switched off, not asked for, or a person of another domain."""
    assert "Verdict: refused, email_outside_domains" in explain(respond(email="bob@other.example")).stdout
    assert "Verdict: refused, attribute_missing" in explain(respond(attributes=())).stdout
    (here / "sso.toml").write_text(SETTINGS + CONNECTION.format(id="acme") + 'idp_initiated = "off"\n')
    assert "Verdict: refused, unsolicited_response" in explain(respond(request_id=None)).stdout
    (here / "sso.toml").write_text(SETTINGS + CONNECTION.format(id="acme") + "enabled = false\n")
    assert "Verdict: refused, connection_disabled" in explain(respond()).stdout


def test_a_connection_without_metadata_yet_is_said_to_have_none(explain: Explain, here: Path) -> None:
    """What was not fetched is not fetched here."""
    text = CONNECTION.format(id="acme").replace('metadata_file = "acme.xml"', f'metadata_url = "{IDP.entity_id}"')
    (here / "sso.toml").write_text(SETTINGS + text)
    result = explain(respond())
    assert "it has no metadata yet" in result.stdout
    assert not (here / "sso.db").exists()


# Our keys


def test_encrypted_without_our_keys_is_undecided(explain: Explain, here: Path) -> None:
    """Neither a key nor a database is made for it."""
    (here / "sso.toml").write_text(ENCRYPTED)
    result = explain(respond(encryption=Encryption(make_signer("ours").certificate)))
    assert result.exit_code == 1
    assert "not judged  Encryption" in result.stdout
    assert "the key to it is not here" in result.stdout
    assert not (here / "sso.db").exists()


def test_our_key_comes_from_the_settings(explain: Explain, here: Path) -> None:
    """Where the host supplies it."""
    signer = make_signer("ours")
    pem = signer.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    supplied = f"encryption_key = '''{pem}'''\nencryption_certificate = '''{signer.certificate}'''\n"
    (here / "sso.toml").write_text(supplied + ENCRYPTED)
    assert explain(respond(encryption=Encryption(signer.certificate))).exit_code == 0
    assert "PRIVATE KEY" not in explain(respond(encryption=Encryption(signer.certificate))).output


def test_our_key_comes_from_the_database(explain: Explain, here: Path) -> None:
    """As the app that runs has it; one that can't be read leaves the verdict open."""
    (here / "sso.toml").write_text(ENCRYPTED)
    prepare_database(f"sqlite:///{here}/sso.db")
    store = SqlStore(f"sqlite:///{here}/sso.db")
    assert "the key to it is not here" in explain(respond(encryption=Encryption(make_signer("x").certificate))).stdout
    secret_key = SETTINGS.split('"')[3]
    certificate = OwnKeys(store, Sealer([secret_key]), common_name="x").get("encryption", NOW).certificate
    store.close()
    sent = respond(encryption=Encryption(certificate))
    assert explain(sent).exit_code == 0
    (here / "sso.toml").write_text(ENCRYPTED.replace(secret_key, secret_key[::-1]))
    assert "the key to it is not here" in explain(sent).stdout


# Called wrong


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--connection", "nobody"), "there are: acme, globex"),
        (("--at", "yesterday"), '--at must be "now" or a time'),
        (("--at", ""), '--at must be "now" or a time'),
        (("--at", "9999-12-31T23:59:59Z"), '--at must be "now" or a time'),
        (("--at", "0001-01-01T00:00:00Z"), '--at must be "now" or a time'),
    ],
)
def test_called_wrong_is_code_2(explain: Explain, arguments: tuple[str, ...], words: str) -> None:
    """And says what there is."""
    result = explain(respond(), *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_an_empty_file_or_a_name_without_settings_is_code_2(explain: Explain, here: Path) -> None:
    """There is nothing to judge, or nothing to judge by."""
    assert explain(b" \n").exit_code == 2
    (here / "sso.toml").unlink()
    assert explain(respond(), "--connection", "acme").exit_code == 2


# What was kept


def test_the_stored_explanation_is_shown_by_its_reference(here: Path) -> None:
    """In lines for a person, as a value of its own for a script."""
    record = {
        "check": "audience",
        "title": "Audience",
        "why": "",
        "came": '"https://other.example/\x1b"',
        "expected": '"https://app.example/"',
        "hints": ["differs only in host name or port"],
        "who": "the customer's IdP admin",
        "advice": "Mend it.",
        "also": [],
    }
    prepare_database(f"sqlite:///{here}/sso.db")
    store = SqlStore(f"sqlite:///{here}/sso.db")
    store.add_event(
        Event("audience_mismatch", NOW, reference="babud-kolim", detail={"why": "x", EXPLANATION: json.dumps(record)})
    )
    store.close()
    runner = CliRunner()
    text = runner.invoke(main, ["events", "--reference", "babud-kolim"]).stdout
    assert text.splitlines()[1:] == [
        "    why: x",
        "    Audience:",
        '      came: "https://other.example/\N{REPLACEMENT CHARACTER}"',
        '      expected: "https://app.example/"',
        "      note: differs only in host name or port",
        "      who must act: the customer's IdP admin",
        "      what to do: Mend it.",
    ]
    (told,) = json.loads(runner.invoke(main, ["events", "--reference", "babud-kolim", "--json"]).stdout)
    assert told["explanation"]["check"] == "audience"
    assert told["detail"] == {"why": "x"}
