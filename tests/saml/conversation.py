"""One connection's Responses, honest but for what a test changes, and what we make of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree
from tests.identity_provider import IdentityProvider, make_signer
from tests.xml_encryption import Encryption

from sso_middleware.errors import MessageRefused
from sso_middleware.saml.assertion import Assertion
from sso_middleware.saml.parsing import read_message_xml
from sso_middleware.saml.parties import Expected, ServiceProvider, Trust
from sso_middleware.saml.response import verify_response

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LEEWAY = timedelta(seconds=120)
EMAIL = "ada@acme.example"

IDP = IdentityProvider()
SERVICE_PROVIDER = ServiceProvider("https://app.example.com/sso/acme/metadata", "https://app.example.com/sso/acme/acs")
EXPECTED = Expected("_request-of-ours", NOW - timedelta(seconds=30))


def respond(idp: IdentityProvider = IDP, /, **changes: Any) -> bytes:
    """An honest answer to EXPECTED, but for `changes` (fields of `ResponseShape`)."""
    setting: dict[str, Any] = {"request_id": EXPECTED.request_id, "email": EMAIL, "now": NOW}
    return idp.respond(SERVICE_PROVIDER, **(setting | changes)).xml


def edited(xml: bytes, edit: Callable[[etree._Element], object]) -> bytes:
    root = etree.fromstring(xml)
    edit(root)
    return etree.tostring(root)


def verify(xml: bytes, *, now: datetime = NOW, expected: Expected | None = EXPECTED, **trust: Any) -> Assertion:
    provider = trust.pop("identity_provider", None) or IDP.describe()
    return verify_response(
        read_message_xml(xml),
        trust=Trust(identity_provider=provider, **trust),
        service_provider=SERVICE_PROVIDER,
        expected=expected,
        now=now,
    )


def refusal(xml: bytes, **setting: Any) -> str:
    """The code that this message is refused with; "accepted" if it isn't."""
    try:
        verify(xml, **setting)
    except MessageRefused as error:
        return error.code if EMAIL not in str(error) else f"{error.code}, and it names the person"
    return "accepted"


def our_encryption(name: str = "ours", **changes: Any) -> tuple[Encryption, RSAPrivateKey]:
    """How to encrypt for us, and our key to it."""
    signer = make_signer(f"{name}, for encryption")
    assert isinstance(signer.private_key, RSAPrivateKey)
    return Encryption(signer.certificate, **changes), signer.private_key
