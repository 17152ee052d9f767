"""Connections as the settings declare them: every problem at start, and all at once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.identity_provider import IdentityProvider
from tests.world import SECRET

from sso_middleware import ConfigurationError, Settings
from sso_middleware.connections import Connections, read_connections
from sso_middleware.saml.parties import DEV_IDP_PREFIX

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ACME = IdentityProvider()
GLOBEX = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso")


def connection(id: str = "acme", idp: IdentityProvider = ACME, **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "organization": id.title(),
        "domains": [f"{id}.example"],
        "metadata": idp.metadata,
        **changes,
    }


def read(*connections: dict[str, Any], **settings: Any) -> Connections:
    values: dict[str, Any] = {"base_url": "https://app.example", "secret_keys": [SECRET], **settings}
    return read_connections(Settings(**values, connections=connections), NOW)


def test_three_ways_to_name_an_identity_provider_say_the_same(tmp_path: Path) -> None:
    """Inline metadata, a metadata file, or entity id, URL and certificate."""
    file = tmp_path / "idp.xml"
    file.write_text(ACME.metadata)
    ways: list[dict[str, Any]] = [
        {},
        {"metadata": None, "metadata_file": str(file)},
        {
            "metadata": None,
            "entity_id": ACME.entity_id,
            "sso_url": ACME.sso_url,
            "certificates": [ACME.certificate],
        },
    ]

    for way in ways:
        (found,) = read(connection(**way))
        provider = found.trust.identity_provider
        assert (provider.entity_id, provider.sso.location) == (ACME.entity_id, ACME.sso_url)
        assert [key.certificate for key in provider.keys]


def test_no_excluded_person_is_in_a_repr() -> None:
    """WEB-024: their addresses are not for a log."""
    assert "it1@" not in repr(next(iter(read(connection(excluded_users=["it1@acme.example"])))))


def test_each_connection_has_its_own_entity_id_and_acs() -> None:
    """Unless all share one."""
    own = read(connection(), connection("globex", GLOBEX))
    shared = read(connection(), connection("globex", GLOBEX), shared_acs=True)
    named = read(connection(), shared_acs=True, sp_entity_id="https://app.example")

    assert [c.service_provider.acs_url for c in own] == [
        "https://app.example/sso/acme/acs",
        "https://app.example/sso/globex/acs",
    ]
    assert {c.service_provider.entity_id for c in shared} == {"https://app.example/sso/metadata"}
    assert {c.service_provider.entity_id for c in named} == {"https://app.example"}


def test_a_connection_is_found_by_id_domain_and_issuer() -> None:
    """Disabled ones only by id."""
    found = read(connection(), connection("globex", GLOBEX, enabled=False))
    acme, globex = found

    assert found.get("globex") is globex
    assert found.get("unknown") is None
    assert found.of_domain("acme.example") is acme
    assert found.of_domain("globex.example") is None
    assert found.of_domain("sub.acme.example") is None
    assert found.of_issuer(ACME.entity_id) is acme
    assert found.of_issuer(GLOBEX.entity_id) is None
    assert found.only is acme


def test_an_issuer_of_two_connections_names_neither() -> None:
    """TEN-013: allowed for two organizations, but then the issuer alone tells nothing."""
    found = read(connection(), connection("globex"))

    assert found.of_issuer(ACME.entity_id) is None
    assert found.only is None


def test_one_connection_may_take_any_domain() -> None:
    (found,) = read(connection(domains="any"))

    assert found.has_domain("anything.example")


def test_every_problem_of_every_connection_is_told_at_once(tmp_path: Path) -> None:
    """HTML for metadata, a file that isn't there, a garbage certificate."""
    with pytest.raises(ConfigurationError) as refused:
        read(
            connection("one", metadata="<!doctype html><html><title>404</title></html>"),
            connection("two", metadata=None, metadata_file=str(tmp_path / "missing.xml")),
            connection(
                "three",
                metadata=None,
                entity_id="https://three.example",
                sso_url="https://three.example/sso",
                certificates=["garbage"],
            ),
        )

    problems = refused.value.problems
    assert [problem.split(":")[0] for problem in problems] == [
        "connection 'one'",
        "connection 'two'",
        "connection 'three'",
    ]
    assert problems[1].startswith("connection 'two': can't read metadata_file")
    assert "missing.xml" in problems[1]


def test_the_same_identity_provider_twice_in_one_organization_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="make them one connection"):
        read(connection(), connection("acme-2", organization="Acme", domains=["acme.test"]))


@pytest.mark.parametrize(("base_url", "is_allowed"), [("http://127.0.0.1:8000", True), ("https://app.example", False)])
def test_a_dev_idp_is_refused_unless_we_are_on_loopback(base_url: str, is_allowed: bool) -> None:
    """It signs anybody in."""
    dev = connection(idp=IdentityProvider(DEV_IDP_PREFIX + "localhost:8001"))
    if is_allowed:
        assert len(read(dev, base_url=base_url)) == 1
    else:
        with pytest.raises(ConfigurationError, match="dev IdP"):
            read(dev, base_url=base_url)
