"""What verifies wrongly does not start: five shipped messages say so before the first real one comes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError
from importlib.resources import files
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from lxml import etree
from tests.vectors.self_test_vectors import self_test_file

from sso_middleware import ConfigurationError, Hooks, Settings
from sso_middleware.saml import self_test
from sso_middleware.saml.certificates import read_certificate
from sso_middleware.saml.parties import PinnedKey
from sso_middleware.saml.self_test import check_installation, check_vectors
from sso_middleware.sso import SSO

Json = dict[str, Any]
SETTINGS = Settings(base_url="http://localhost:8000", secret_keys=[secrets.token_urlsafe(48)])
IDS = ["good", "forged", "unsigned", "re-wrapped", "external reference"]


@pytest.fixture(autouse=True)
def _each_test_is_a_new_process() -> Iterator[None]:
    """The self-test is done once a process; a test must not find it done."""
    check_installation.cache_clear()
    yield
    check_installation.cache_clear()


def shipped() -> Json:
    suite: Json = json.loads(files("sso_middleware.saml").joinpath("self_test.json").read_bytes())
    return suite


def test_this_installation_passes() -> None:
    """All five come out right here, and a second look costs nothing."""
    check_installation()
    assert check_installation.cache_info().misses == 1
    check_installation()
    assert check_installation.cache_info().hits == 1


def test_five_are_shipped_and_no_private_key() -> None:
    """One good, four to refuse, as `python -m tests.vectors.generate --self-test` makes them."""
    suite, made = shipped(), self_test_file()
    assert [vector["id"] for vector in suite["vectors"]] == IDS == [vector["id"] for vector in made["vectors"]]
    for ours, new in zip(suite["vectors"], made["vectors"], strict=True):
        assert ours["expected"]["outcome"] == new["expected"]["outcome"]
        assert ours["expected"].get("code") == new["expected"].get("code")
    assert "PRIVATE" not in json.dumps(suite)


@pytest.mark.parametrize("id", IDS)
def test_each_of_the_five_matters(id: str) -> None:
    """Whichever comes out otherwise, and only that one: it is noticed, and named."""
    suite = shipped()
    good, forged = (vector["input"] for vector in suite["vectors"][:2])
    (vector,) = (vector for vector in suite["vectors"] if vector["id"] == id)
    vector["input"] = forged if id == "good" else good
    with pytest.raises(ConfigurationError, match=f"“{id}”"):
        check_vectors(suite)


@pytest.mark.parametrize("id", IDS[1:])
def test_a_refusal_for_another_reason_is_noticed(id: str) -> None:
    """Refused by luck is not refused: the code must be the one expected."""
    suite = shipped()
    vectors = {vector["id"]: vector for vector in suite["vectors"]}
    vectors[id]["input"] = vectors["unsigned" if id != "unsigned" else "forged"]["input"]
    with pytest.raises(ConfigurationError, match=f"“{id}”"):
        check_vectors(suite)


# Installations that are broken


def canonicalizes_to_nothing(real: Callable[..., bytes]) -> Callable[..., bytes]:
    return lambda *arguments, **options: b""


def canonicalizes_to_the_same(real: Callable[..., bytes]) -> Callable[..., bytes]:
    return lambda *arguments, **options: b"<a></a>"


def canonicalizes_inclusively(real: Callable[..., bytes]) -> Callable[..., bytes]:
    return lambda *arguments, **options: real(*arguments, **options | {"exclusive": False})


def crashes(real: Callable[..., bytes]) -> Callable[..., bytes]:
    def crash(*arguments: object, **options: object) -> bytes:
        raise SystemError("an extension built for another libxml2")

    return crash


@pytest.mark.parametrize(
    "broken", [canonicalizes_to_nothing, canonicalizes_to_the_same, canonicalizes_inclusively, crashes]
)
def test_a_broken_canonicalizer_is_noticed(monkeypatch: pytest.MonkeyPatch, broken: Callable[..., Any]) -> None:
    """An lxml that canonicalizes otherwise, or not at all, refuses the good one."""
    monkeypatch.setattr(etree, "tostring", broken(etree.tostring))
    with pytest.raises(ConfigurationError, match="“good”"):
        check_installation()


class Yes:
    """A key that verifies anything."""

    key_size = 2048

    def verify(self, *arguments: object) -> None:
        pass


RSAPublicKey.register(Yes)


def test_a_verifier_that_always_says_yes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cryptography that finds every signature good accepts the forged one."""

    def careless(text: str) -> PinnedKey:
        real = read_certificate(text)
        return PinnedKey(Yes(), real.certificate, real.not_after)  # type: ignore[arg-type]  # registered above

    monkeypatch.setattr(self_test, "read_certificate", careless)
    with pytest.raises(ConfigurationError, match="“forged”"):
        check_installation()


def test_nothing_starts_on_a_broken_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error comes before a database is made, and says which releases are here and what to install."""
    monkeypatch.setattr(etree, "tostring", canonicalizes_to_nothing(etree.tostring))
    with pytest.raises(ConfigurationError) as refusal:
        SSO(SETTINGS, Hooks())
    text = str(refusal.value)
    assert f"lxml {etree.__version__}" in text
    assert "pip install --force-reinstall" in text
    assert "'lxml>=" in text
    assert "'cryptography>=" in text


def test_the_advice_needs_no_package_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a frozen app there may be none of anybody's: the failure is told all the same, with what can be said."""

    def unknown(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(self_test, "requires", unknown)
    monkeypatch.setattr(self_test, "version", unknown)
    suite = shipped()
    suite["vectors"][0]["input"] = suite["vectors"][1]["input"]
    with pytest.raises(ConfigurationError) as refusal:
        check_vectors(suite)
    text = str(refusal.value)
    assert "lxml of no known release, cryptography of no known release" in text
    assert text.endswith("'lxml' 'cryptography'")
