"""One input for an identity provider: each way to name it is recognised, and what is none is told in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.identity_provider import IdentityProvider

from sso_middleware.idp_source import ByHand, FromFile, FromUrl, FromXml, recognise

IDP = IdentityProvider()


def test_each_way_is_recognised() -> None:
    """With whatever surrounds it when it is pasted."""
    assert recognise(" https://idp.example/metadata?app=1\n") == FromUrl("https://idp.example/metadata?app=1")
    assert recognise("http://localhost:8001/metadata") == FromUrl("http://localhost:8001/metadata")
    assert recognise("folder/idp metadata.xml") == FromFile(Path("folder/idp metadata.xml"))
    assert recognise(f"\ufeff\n{IDP.metadata}\n") == FromXml(IDP.metadata)


@pytest.mark.parametrize("labels", [("", ""), ("Entity ID: ", "SSO URL (Redirect):   ")])
def test_entity_id_url_and_certificates_are_recognised(labels: tuple[str, str]) -> None:
    """As an admin page shows them, with its labels or without; a second certificate may follow."""
    second = IdentityProvider(key="second").certificate
    text = f"{labels[0]}urn:acme:idp\r\n\r\n  {labels[1]}{IDP.sso_url}\n{IDP.certificate}{second}"
    source = recognise(text)
    assert isinstance(source, ByHand)
    assert (source.entity_id, source.sso_url) == ("urn:acme:idp", IDP.sso_url)
    assert source.certificates == (IDP.certificate.strip(), second.strip())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must not be empty"),
        (" \n", "must not be empty"),
        ("one\ntwo", "is neither a URL"),
        ("x" * 5000, "is neither a URL"),
        ("ftp://idp.example/metadata", "must begin with https://"),
        ("https://user:pw@idp.example/", "must not hold a user name"),
        ("https://2130706433/", "unusual spelling"),
        (IDP.certificate, "there must be two lines"),
        (f"urn:idp\n{IDP.certificate}", "there must be two lines"),
        (f"a\nb\nc\n{IDP.certificate}", "there must be two lines"),
        (f"urn:idp\n{IDP.sso_url}\n{IDP.certificate[:-20]}", "not a whole certificate"),
        (IDP.signer.private_pem, "not a whole certificate"),
    ],
)
def test_what_is_none_of_them_is_told_in_words(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        recognise(text)
