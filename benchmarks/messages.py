"""The messages that are verified, and whom they are from and for. Everybody gets the same bytes and keys.

Peers read the real clock, so the messages are of the moment at which the benchmark starts, and good
for a day: longer than any identity provider would make them.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.identity_provider import IdentityProvider, Signer, make_signer
from tests.response_shape import SentAttribute, attributes_of
from tests.xml_encryption import Encryption

from sso_middleware.saml.parties import Expected, ServiceProvider

EMAIL = "ada.lovelace@acme.example"
REQUEST_ID = "_request-of-ours"


@dataclass(frozen=True)
class Scene:
    """One identity provider, one service provider with an encryption key, one moment."""

    provider: IdentityProvider
    service_provider: ServiceProvider
    decryption: Signer
    now: datetime

    @property
    def expected(self) -> Expected:
        return Expected(REQUEST_ID, self.now - timedelta(seconds=20))

    def respond(self, **changes: object) -> bytes:
        tomorrow = self.now + timedelta(days=1)
        lasting = {"confirmation_not_on_or_after": tomorrow, "not_on_or_after": tomorrow}
        sent = self.provider.respond(
            self.service_provider, request_id=REQUEST_ID, email=EMAIL, now=self.now, **(lasting | changes)
        )
        return sent.xml


def set_scene() -> Scene:
    return Scene(
        provider=IdentityProvider(),
        service_provider=ServiceProvider(
            "https://app.example.com/sso/acme/metadata", "https://app.example.com/sso/acme/acs"
        ),
        decryption=make_signer("the service provider's decryption key"),
        now=datetime.now(UTC).replace(microsecond=0),
    )


def messages(scene: Scene) -> dict[str, bytes]:
    """By name, the Responses that each contender verifies."""
    encryption = Encryption(scene.decryption.certificate)
    groups = SentAttribute("groups", tuple(f"CN=Group {number},OU=Groups,DC=acme,DC=example" for number in range(200)))
    return {
        "assertion signed": scene.respond(),
        "response signed": scene.respond(sign_assertion=False, sign_response=True),
        "both signed": scene.respond(sign_response=True),
        "assertion signed, encrypted (AES-256-GCM)": scene.respond(encryption=encryption),
        "assertion signed, 200 groups": scene.respond(attributes=(*attributes_of(EMAIL), groups)),
    }


def junk() -> dict[str, bytes]:
    """By name, what nobody signed and any parser has work with: as much as fits into the gate's cap on base64."""
    size = 256 * 1024 // 4 * 3
    depth, width = size // len("<a></a>"), (size - 512) // len("<a/>")
    honest = (
        b'<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="_a" Version="2.0"'
        b' IssueInstant="2026-01-01T00:00:00Z">'
    )
    return {
        "nested": b"<a>" * depth + b"</a>" * depth,
        "side by side, in a Response": honest + b"<a/>" * width + b"</samlp:Response>",
    }


def as_form_value(xml: bytes) -> str:
    return base64.b64encode(xml).decode()


def changed(xml: bytes) -> bytes:
    """The same message with one character of what was signed, or of its ciphertext, changed."""
    if EMAIL.encode() in xml:
        return xml.replace(EMAIL.encode(), b"b" + EMAIL.encode()[1:])
    where = xml.rindex(b"CipherValue>", 0, xml.rindex(b"CipherValue>")) + len(b"CipherValue>") + 400
    return xml[:where] + (b"A" if xml[where : where + 1] != b"A" else b"B") + xml[where + 1 :]
