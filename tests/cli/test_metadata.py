"""`sso-middleware metadata`: what an admin is told about a document, and about what was fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.identity_provider import IdentityProvider
from tests.metadata_refreshing import NOW, URL, Refreshing, aggregate, url_connection
from tests.metadata_servers import reply, serving
from tests.servers import free_port
from tests.world import SECRET

from sso_middleware.cli import main
from sso_middleware.stores.migrate import prepare_database
from sso_middleware.stores.sql import SqlStore

IDP = IdentityProvider()
GLOBEX = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso")
ROLLED = IdentityProvider(key="second")


def call(*arguments: object, given: str | None = None) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), input=given)


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No ./sso.toml of anybody's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSO_CONFIG", raising=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An app with one connection by URL."""
    path = tmp_path / "app.toml"
    path.write_text(
        f"""base_url = "https://app.example"
secret_keys = ["{SECRET}"]
database_url = "sqlite:///app.db"
[[connections]]
id = "acme"
organization = "Acme"
domains = ["acme.example"]
metadata_url = "{URL}"
"""
    )
    return path


@pytest.fixture
def refreshing(config: Path, tmp_path: Path) -> Refreshing:
    """Puts into that app's database what a test says was fetched."""
    url = f"sqlite:///{tmp_path / 'app.db'}"
    prepare_database(url)
    return Refreshing(SqlStore(url), url_connection())


# check


def test_check_says_everything_that_it_found(tmp_path: Path) -> None:
    """From a file, from the standard input, and as JSON."""
    file = tmp_path / "idp.xml"
    file.write_text(IDP.metadata)
    told = call("metadata", "check", file)
    assert told.exit_code == 0, told.output
    for words in ("can be used", IDP.entity_id, IDP.sso_url, "HTTP-POST", "ends on 2049-01-01", "SHA-256", "not said"):
        assert words in told.output
    assert call("metadata", "check", "-", given=IDP.metadata).output == told.output
    found = json.loads(call("metadata", "check", file, "--json").output)
    assert (found["ok"], found["entity_id"], found["problems"]) == (True, IDP.entity_id, [])
    assert found["sign_in"] == {"HTTP-Redirect": IDP.sso_url, "HTTP-POST": IDP.sso_url}
    assert found["certificates"][0]["days_left"] > 8000


def test_check_says_each_failure(tmp_path: Path) -> None:
    """And exits 1; what could be read is shown beside it."""
    bad = IDP.metadata.replace(IDP.sso_url, "http://idp.acme.example/sso").replace(
        "<EntityDescriptor ", '<EntityDescriptor validUntil="2020-01-01T00:00:00Z" '
    )
    told = call("metadata", "check", "-", given=bad)
    assert told.exit_code == 1
    assert "- the metadata was valid until 2020-01-01" in told.output
    assert "- the Location of SingleSignOnService is http, not https" in told.output
    assert IDP.entity_id in told.output


def test_check_takes_entity_id_url_and_certificate() -> None:
    """As an admin page shows them."""
    given = f"Entity ID: {IDP.entity_id}\nLogin URL: {IDP.sso_url}\n{IDP.certificate}"
    assert call("metadata", "check", "-", given=given).exit_code == 0
    told = call("metadata", "check", "-", given=given.replace("https://idp.acme.example/sso", "ftp://x"))
    assert (told.exit_code, "sign-in URL is not an https URL" in told.output) == (1, True)


def test_check_asks_which_of_several_is_meant() -> None:
    """And takes the answer."""
    told = call("metadata", "check", "-", given=aggregate(IDP, GLOBEX))
    assert told.exit_code == 1
    assert f"{IDP.entity_id}, {GLOBEX.entity_id}" in told.output
    told = call("metadata", "check", "-", "--entity-id", GLOBEX.entity_id, given=aggregate(IDP, GLOBEX))
    assert (told.exit_code, GLOBEX.sso_url in told.output) == (0, True)


def test_check_asks_for_a_signature_where_one_is_named(tmp_path: Path) -> None:
    """As the connection will."""
    file = tmp_path / "federation.pem"
    file.write_text(IDP.certificate)
    told = call("metadata", "check", "-", "--signed-by", file, given=IDP.metadata)
    assert (told.exit_code, "not signed" in told.output) == (1, True)


def test_check_fetches_a_url_as_the_settings_allow(tmp_path: Path) -> None:
    """Without settings from the public internet only."""
    with serving(reply(IDP.metadata.encode())) as server:
        url = f"http://127.0.0.1:{server.port}/metadata"
        told = call("metadata", "check", url)
        assert (told.exit_code, "https only" in told.output) == (1, True)
        (tmp_path / "sso.toml").write_text(f'base_url = "http://127.0.0.1:8000"\nsecret_keys = ["{SECRET}"]\n')
        told = call("metadata", "check", url)
        assert (told.exit_code, IDP.entity_id in told.output) == (0, True)


@pytest.mark.parametrize(
    ("given", "code", "why"),
    [("nobody.xml", 1, "can't be read"), ("", 2, "must not be empty"), ("ftp://x/", 2, "must begin with https://")],
)
def test_check_says_what_is_no_input(given: str, code: int, why: str) -> None:
    told = call("metadata", "check", given)
    assert (told.exit_code, why in told.output) == (code, True)


# What was fetched


def test_list_says_what_is_not_ready(config: Path) -> None:
    """Before anything was fetched, and in `check` too."""
    told = call("metadata", "list", "-c", config)
    assert told.exit_code == 1
    assert "not fetched yet; nobody can sign in by it" in told.output

    found = json.loads(call("metadata", "list", "--json", "-c", config).output)
    assert (found[0]["id"], found[0]["ready"], found[0]["url"]) == ("acme", False, URL)
    assert "connection 'acme' is not ready" in call("check", "-c", config).output


def test_list_says_what_is_ready(config: Path, refreshing: Refreshing) -> None:
    """And `check` names its identity provider."""
    refreshing.refresh(IDP.metadata)
    told = call("metadata", "list", "-c", config)
    assert (told.exit_code, f"ready, last taken over {NOW:%Y-%m-%d}" in told.output) == (0, True)
    checked = call("check", "-c", config)
    assert (checked.exit_code, IDP.entity_id in checked.output) == (0, True)


def test_what_is_held_is_shown_approved_or_rejected(config: Path, refreshing: Refreshing) -> None:
    """Each by its command; where nothing is held they say so."""
    refreshing.refresh(IDP.metadata)
    refreshing.refresh(ROLLED.metadata)
    told = call("metadata", "list", "-c", config)
    assert (told.exit_code, "none of its signing keys" in told.output) == (1, True)
    assert ROLLED.signer.certificate_body in call("metadata", "held", "acme", "-c", config).output
    assert call("metadata", "reject", "acme", "-c", config).exit_code == 0
    assert call("metadata", "held", "acme", "-c", config).exit_code == 1
    refreshing.refresh(ROLLED.metadata)
    asked = call("metadata", "approve", "acme", "-c", config)
    assert (asked.exit_code, f"entity_id: {IDP.entity_id}" in asked.output) == (1, True)
    assert call("metadata", "approve", "acme", "--yes", "-c", config).exit_code == 0
    again = call("metadata", "approve", "acme", "--yes", "-c", config)
    assert (again.exit_code, "held for approval" in again.output) == (1, True)
    codes = [event["code"] for event in json.loads(call("events", "--json", "-c", config).output)]
    assert codes == ["metadata_approved", "metadata_rejected"]


def test_refresh_fetches_now_and_says_what_came_of_it(tmp_path: Path) -> None:
    """By real HTTP on this machine; a second connection that fails is no trouble of the first."""
    with serving(reply(IDP.metadata.encode())) as server:
        tables = "".join(
            f'[[connections]]\nid = "{id}"\norganization = "{id}"\ndomains = ["{id}.example"]\n'
            f'metadata_url = "http://127.0.0.1:{port}/metadata"\n'
            for id, port in (("acme", server.port), ("away", free_port()))
        )
        config = tmp_path / "app.toml"
        config.write_text(
            f'base_url = "http://127.0.0.1:8000"\nsecret_keys = ["{SECRET}"]\n'
            f'database_url = "sqlite:///app.db"\n{tables}'
        )
        told = call("metadata", "refresh", "acme", "-c", config)
        assert (told.exit_code, "acme: ready" in told.output) == (0, True), told.output
        told = call("metadata", "refresh", "-c", config)
        assert told.exit_code == 1
        assert "acme: ready" in told.output
        assert "problem: 127.0.0.1 can't be reached" in told.output


def test_housekeeping_from_cron_fetches_what_is_due(tmp_path: Path) -> None:
    """With `background = false` nothing else does."""
    with serving(reply(IDP.metadata.encode())) as server:
        config = tmp_path / "app.toml"
        config.write_text(
            f'base_url = "http://127.0.0.1:8000"\nsecret_keys = ["{SECRET}"]\nbackground = false\n'
            f'database_url = "sqlite:///app.db"\n[[connections]]\nid = "acme"\norganization = "Acme"\n'
            f'domains = ["acme.example"]\nmetadata = "http://127.0.0.1:{server.port}/metadata"\n'
        )
        assert call("housekeeping", "-c", config).exit_code == 0
    assert call("metadata", "list", "-c", config).exit_code == 0


@pytest.mark.parametrize("command", ["held", "approve", "reject", "refresh"])
def test_a_connection_without_a_url_is_told_as_such(config: Path, command: str) -> None:
    told = call("metadata", command, "other", "-c", config)
    assert (told.exit_code, "there are: acme" in told.output) == (2, True)


def test_ours_names_single_logout_by_what_was_fetched(config: Path, refreshing: Refreshing) -> None:
    """As the app does: until something is known, and where their side has an address for it."""
    assert "SingleLogoutService" in call("metadata", "acme", "--config", config).output
    refreshing.refresh(IDP.metadata)
    assert "SingleLogoutService" not in call("metadata", "acme", "--config", config).output
    rolled = IdentityProvider(slo_url="https://idp.acme.example/slo")
    refreshing.refresh(rolled.metadata)

    shown = call("metadata", "acme", "--config", config)

    assert shown.exit_code == 0
    assert "https://app.example/sso/acme/slo" in shown.output
