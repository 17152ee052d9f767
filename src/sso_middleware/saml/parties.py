"""The two sides of a connection, as the SAML layer sees them: who we are, and whom we trust for what."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, get_args

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

Signed = Literal["either", "assertion", "response", "both"]
Encryption = Literal["off", "optional", "required"]
OurSignatureAlgorithm = Literal["rsa-sha256", "rsa-sha384", "rsa-sha512"]
"""Our own keys are RSA keys."""
SignatureAlgorithmName = Literal[
    "rsa-sha256", "rsa-sha384", "rsa-sha512", "ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512"
]
"""What we verify: the fragments of their URIs (RFC 6931). SHA-1 is an exception, not one of them."""
SIGNATURE_ALGORITHM_NAMES: tuple[SignatureAlgorithmName, ...] = get_args(SignatureAlgorithmName)
BINDING_REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
BINDING_POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"

DEV_IDP_PREFIX = "urn:sso-middleware:dev-idp:"
"""How the entity id of a dev IdP begins: a connection to one is refused unless we are on loopback."""


@dataclass(frozen=True, slots=True)
class ServiceProvider:
    """Us, as one connection knows us."""

    entity_id: str
    acs_url: str
    """Where Responses are to go; of a Response that came, where it was posted to."""
    other_acs_urls: tuple[str, ...] = ()
    """Where they may go besides: addresses that the identity provider knows from before."""

    @property
    def acs_urls(self) -> tuple[str, ...]:
        return (self.acs_url, *self.other_acs_urls)


@dataclass(frozen=True, slots=True)
class Endpoint:
    binding: str
    """BINDING_REDIRECT or BINDING_POST."""
    location: str
    response_location: str | None = None
    """Where answers go instead (SAML metadata 2.2.2); sign-out only."""

    @property
    def for_responses(self) -> Endpoint:
        return Endpoint(self.binding, self.response_location or self.location)


@dataclass(frozen=True, slots=True)
class PinnedKey:
    """A public key of the identity provider's, and nobody else's, that may sign."""

    public_key: RSAPublicKey | EllipticCurvePublicKey
    certificate: str
    """PEM, for showing; its dates are told, not enforced (Kantara IIP-MD11)."""
    not_after: datetime


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """What metadata (or an admin's entity id, URL and certificates) says about an IdP."""

    entity_id: str
    sso_endpoints: tuple[Endpoint, ...]
    slo_endpoints: tuple[Endpoint, ...]
    keys: tuple[PinnedKey, ...]

    @property
    def sso(self) -> Endpoint:
        """Where AuthnRequests go: HTTP-Redirect if the IdP has it, else HTTP-POST."""
        by_binding = {endpoint.binding: endpoint for endpoint in self.sso_endpoints}
        return by_binding.get(BINDING_REDIRECT) or by_binding[BINDING_POST]

    @property
    def slo(self) -> Endpoint | None:
        """Where logout messages go, by the same preference: a redirect works in a frame, and needs no script."""
        by_binding = {endpoint.binding: endpoint for endpoint in self.slo_endpoints}
        return by_binding.get(BINDING_REDIRECT) or by_binding.get(BINDING_POST)


@dataclass(frozen=True, slots=True)
class Trust:
    """What we demand of this identity provider's messages. The strictest is the default."""

    identity_provider: IdentityProvider
    signed: Signed = "either"
    encryption: Encryption = "off"
    decryption_keys: tuple[RSAPrivateKey, ...] = field(default=(), repr=False)
    leeway: timedelta = timedelta(seconds=120)
    """How far the two clocks may differ."""
    signature_algorithms: tuple[SignatureAlgorithmName, ...] = SIGNATURE_ALGORITHM_NAMES
    """What it may sign with."""
    sha1_until: datetime | None = None
    """Until when SHA-1 signatures are still believed: an exception, dated, loud."""
    skip_destination_until: datetime | None = None
    """Until when Response/@Destination is not compared (nothing else is skipped)."""
    authn_contexts: tuple[str, ...] = ()
    """AuthnContextClassRef must be one of these; empty: any will do."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The login request of ours that the message claims to answer."""

    request_id: str
    issued_at: datetime
    force_authn: bool = False
    """Whether it asked for a fresh authentication (SAML core 3.4.1)."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """One of our own keys with its self-signed certificate, both PEM."""

    private_key: bytes = field(repr=False)
    certificate: str
    algorithm: OurSignatureAlgorithm = "rsa-sha256"
    """What it signs with: a connection may need another than the others."""
