"""A connection to one vendor's identity provider, by itself and in a whole app."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider, make_signer
from tests.shapes.vendors import EMAIL, Signs, Vendor
from tests.world import World

from sso_middleware.errors import MessageRefused
from sso_middleware.hooks import Identity
from sso_middleware.saml.assertion import Assertion
from sso_middleware.saml.parsing import read_message_xml
from sso_middleware.saml.parties import Expected, ServiceProvider, Trust
from sso_middleware.saml.response import verify_response

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERVICE_PROVIDER = ServiceProvider("https://app.example.com/sso/acme/metadata", "https://app.example.com/sso/acme/acs")
REQUEST_ID = "_request-of-ours"

in_both_worlds = pytest.mark.parametrize(
    "make_world", [("wsgi", "plain"), ("asgi", "async")], ids="-".join, indirect=True
)
"""Two of the four will do: what differs here is the message."""


def respond(
    vendor: Vendor, *, signs: Signs | None = None, idp: IdentityProvider | None = None, **changes: Any
) -> bytes:
    """Its Response to our request, but for `changes`; sent by `idp` in its place, if that is given."""
    shape = vendor.shape(NOW, signs, **changes)
    setting: dict[str, Any] = {"request_id": REQUEST_ID, "email": EMAIL, "now": NOW}
    return (idp or vendor.identity_provider).respond(SERVICE_PROVIDER, **(setting | shape)).xml


def verify(vendor: Vendor, xml: bytes, *, now: datetime = NOW, **trust: Any) -> Assertion:
    """What we make of it at the message layer. Encryption is demanded of who encrypts."""
    defaults: dict[str, Any] = {
        "identity_provider": vendor.identity_provider.describe(),
        "encryption": "required" if vendor.encryption else "off",
        "decryption_keys": (our_key(),),
    }
    return verify_response(
        read_message_xml(xml),
        trust=Trust(**(defaults | trust)),
        service_provider=SERVICE_PROVIDER,
        expected=Expected(REQUEST_ID, NOW - timedelta(seconds=30)),
        now=now,
    )


def refusal(vendor: Vendor, xml: bytes, **setting: Any) -> str:
    """The code that it is refused with; "accepted" if it isn't."""
    try:
        verify(vendor, xml, **setting)
    except MessageRefused as error:
        return error.code
    return "accepted"


def our_key() -> RSAPrivateKey:
    key = make_signer("shapes, for encryption").private_key
    assert isinstance(key, RSAPrivateKey)
    return key


def open_world(
    make_world: MakeWorld, vendor: Vendor, *, metadata: Callable[[str], str] = str, **connection: Any
) -> World:
    """An app with one connection, to this vendor; `metadata` changes what its identity provider publishes."""
    idp = vendor.identity_provider
    signer = make_signer("shapes, for encryption")
    declared = {
        "id": "acme",
        "organization": "Acme",
        "domains": ["acme.example"],
        "metadata": metadata(idp.metadata),
        "attributes": dict(vendor.names),
        "encryption": "required" if vendor.encryption else "off",
        **connection,
    }
    world = make_world(
        connections=[declared], encryption_key=signer.private_pem, encryption_certificate=signer.certificate
    )
    world.idp = idp
    return world


def log_in(world: World, vendor: Vendor, **changes: Any) -> Identity:
    """Ada signs in; what the host was told about her."""
    form = world.log_in(email=EMAIL, **vendor.shape(world.now, **changes))
    answer = world.post_response(form)
    assert (answer.status, answer.location) == (303, f"{world.base_url}/report?month=11"), world.codes
    assert world.first_browser.has_session
    return world.hooks.identities[-1]
