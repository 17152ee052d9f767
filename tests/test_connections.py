"""Connections as the settings declare them: every problem at start, and all at once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
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


# Dated exceptions


@pytest.mark.parametrize(
    ("setting", "longest"), [("sha1_until", date(2027, 2, 19)), ("skip_destination_until", date(2026, 11, 28))]
)
def test_an_exception_is_bounded(setting: str, longest: date) -> None:
    """90 days for SHA-1, 7 for Destination; a day more is refused at start, and one that has passed is not."""
    for until in (longest, NOW.date(), date(2020, 1, 1)):
        (found,) = read(connection() | {setting: until})
        assert getattr(found.trust, setting) == datetime(until.year, until.month, until.day, tzinfo=UTC)
    with pytest.raises(ConfigurationError, match=rf"connection 'acme': {setting}: is more than \d+ days ahead"):
        read(connection() | {setting: longest + timedelta(days=1)})


def test_destination_is_never_skipped_on_a_live_exclusive_domain() -> None:
    """In domains mode the connection must be disabled, or the exception must have ended."""
    skipping = connection(skip_destination_until="2026-11-22")
    with pytest.raises(ConfigurationError, match="exclusive"):
        read(skipping, mode="domains")
    assert read(skipping | {"enabled": False}, mode="domains")
    assert read(skipping | {"skip_destination_until": "2026-11-21"}, mode="domains")
    assert read(skipping, mode="everyone")


def test_every_problem_of_the_exceptions_is_told() -> None:
    """Both dates too far, and a live exclusive domain: three problems of one connection."""
    with pytest.raises(ConfigurationError) as refused:
        read(connection(sha1_until="2036-01-01", skip_destination_until="2036-01-01"), mode="domains")
    assert len(refused.value.problems) == 3


def test_an_algorithm_that_fits_no_key_is_told() -> None:
    """RSA keys can't make an ECDSA signature: nobody could ever sign in."""
    with pytest.raises(ConfigurationError, match="lists none that the identity provider's keys could sign with"):
        read(connection(allowed_signature_algorithms=["ecdsa-sha256"]))
    assert read(connection(allowed_signature_algorithms=["ecdsa-sha256", "rsa-sha512"]))
    curve = IdentityProvider(kind="p256")
    assert read(connection(idp=curve, allowed_signature_algorithms=["ecdsa-sha256"]))
    with pytest.raises(ConfigurationError, match="ecdsa-"):
        read(connection(idp=curve, allowed_signature_algorithms=["rsa-sha512"]))


# Who we are to each


def test_a_connection_has_its_own_entity_id_and_further_addresses() -> None:
    """The first listed address is the one that we name; below a mount, paths are below it."""
    (found,) = read(
        connection(sp_entity_id="urn:us", acs_paths=["/saml/acs", "/old"]), base_url="https://app.example/app"
    )
    us = found.service_provider
    assert us.entity_id == "urn:us"
    assert us.acs_url == "https://app.example/app/saml/acs"
    assert us.acs_urls == (us.acs_url, "https://app.example/app/old", "https://app.example/app/sso/acme/acs")


def test_algorithms_are_the_strong_ones_unless_told() -> None:
    """RSA-SHA256 for ours; of theirs everything that we know, and SHA-1 is none of that."""
    (found,) = read(connection())
    assert found.signature_algorithm == "rsa-sha256"
    assert found.trust.signature_algorithms == (
        *("rsa-sha256", "rsa-sha384", "rsa-sha512"),
        *("ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512"),
    )
    assert (found.trust.sha1_until, found.trust.skip_destination_until) == (None, None)
