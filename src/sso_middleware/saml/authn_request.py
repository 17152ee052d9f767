"""Ask an identity provider to say who somebody is: the AuthnRequest (SAML core 3.4.1).

Keeping our record of the request, and choosing its id, its RelayState and its time, is the flows'.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from .bindings import Outgoing, send_request
from .parties import BINDING_POST, IdentityProvider, KeyPair, ServiceProvider
from .signing import algorithms_of

_REQUEST_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{15,127}")
_NAMESPACES = {
    "samlp": "urn:oasis:names:tc:SAML:2.0:protocol",
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
}


def build_authn_request(
    *,
    request_id: str,
    service_provider: ServiceProvider,
    identity_provider: IdentityProvider,
    key: KeyPair,
    relay_state: str,
    issued_at: datetime,
    is_passive: bool = False,  # silent re-authentication: the IdP must not show itself
    force_authn: bool = False,  # the person must prove anew who they are
    name_id_format: str | None = None,  # only for an IdP that must be told; asking for one makes some fail
) -> Outgoing:
    """A signed AuthnRequest, packed for the IdP's endpoint. `issued_at` is aware.

    `request_id` is an xs:ID of at least 16 characters (SAML core 1.3.4): it starts with a letter or an
    underscore, which Entra ID insists on. Raises ValueError otherwise, and for a RelayState over 80 bytes.
    """
    from saml2 import saml, samlp  # noqa: PLC0415 - late: importing pysaml2 takes most of a second
    from saml2.sigver import pre_signature_part  # noqa: PLC0415

    if not _REQUEST_ID.fullmatch(request_id):
        raise ValueError("not a usable request id")
    endpoint = identity_provider.sso
    request = samlp.AuthnRequest(
        id=request_id,
        version="2.0",
        issue_instant=issued_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        destination=endpoint.location,
        issuer=saml.Issuer(text=service_provider.entity_id),
        protocol_binding=BINDING_POST,
        assertion_consumer_service_url=service_provider.acs_url,
        # AllowCreate: the IdP may make the identifier at a person's first visit. No Subject: Entra ID refuses one.
        name_id_policy=samlp.NameIDPolicy(format=name_id_format, allow_create="true"),
        is_passive="true" if is_passive else None,
        force_authn="true" if force_authn else None,
    )
    if endpoint.binding == BINDING_POST:
        # Both algorithms are named, because pysaml2's defaults are SHA-1.
        algorithms = algorithms_of(key)
        request.signature = pre_signature_part(request_id, sign_alg=algorithms.signature, digest_alg=algorithms.digest)
    message = request.to_string(_NAMESPACES).decode()
    return send_request(message, request_id, to=endpoint, key=key, relay_state=relay_state)
