"""Read the AuthnRequest that a service provider sends to the dev IdP.

As strictly as everything from outside; its signature is not looked at, because the dev IdP knows no
keys of service providers. Whether the service provider is one of ours is `identity_provider`'s to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from lxml import etree

from ..errors import BadRequest
from ..saml.parsing import decode_base64, inflate, parse_untrusted
from ..saml.parties import BINDING_POST

MAX_ENCODED = 64 * 1024
MAX_XML = 64 * 1024
MAX_RELAY_STATE = 2048
"""More than the standard's 80 bytes: real identity providers carry more as well."""

_SAMLP = "{urn:oasis:names:tc:SAML:2.0:protocol}"
_SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,255}")


@dataclass(frozen=True, slots=True)
class SignInRequest:
    """What a service provider wants. Without `request_id` it wants nothing yet: we start (IdP-initiated)."""

    service_provider: str
    """Its entity id."""
    request_id: str | None = None
    acs_url: str | None = None
    destination: str | None = None
    relay_state: str = field(default="", repr=False)
    name_id_format: str | None = None
    is_passive: bool = False
    force_authn: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SignInRequest:
        return cls(**json.loads(text))


def read_sign_in_request(fields: Mapping[str, str], *, deflated: bool) -> SignInRequest:
    """From the fields of a query (`deflated`: HTTP-Redirect) or of a form (HTTP-POST).

    Raises BadRequest or MessageRefused, in words for a developer.
    """
    encoded = fields.get("SAMLRequest", "")
    relay_state = fields.get("RelayState", "")
    if not encoded:
        raise BadRequest("there is no SAMLRequest: begin at the application, or at this identity provider's first page")
    if len(encoded) > MAX_ENCODED or len(relay_state.encode()) > MAX_RELAY_STATE:
        raise BadRequest("the SAMLRequest or the RelayState is too long")
    xml = decode_base64(encoded)
    if deflated:
        xml = inflate(xml, limit=MAX_XML)
    return _read(parse_untrusted(xml, max_bytes=MAX_XML, max_elements=500, max_depth=20), relay_state)


def _read(request: etree._Element, relay_state: str) -> SignInRequest:
    if request.tag != f"{_SAMLP}AuthnRequest":
        raise BadRequest(f"the message is not an AuthnRequest but {etree.QName(request).localname}")
    request_id = request.get("ID", "")
    if request.get("Version") != "2.0" or not _ID.fullmatch(request_id):
        raise BadRequest("the AuthnRequest's Version is not 2.0, or its ID is not an xs:ID")
    if request.get("ProtocolBinding") not in (None, BINDING_POST):
        raise BadRequest("the AuthnRequest asks for another ProtocolBinding than HTTP-POST")
    if request.get("AssertionConsumerServiceIndex") not in (None, "0"):
        raise BadRequest("the AuthnRequest asks for an AssertionConsumerServiceIndex that isn't registered here")
    policy = request.find(f"{_SAMLP}NameIDPolicy")
    return SignInRequest(
        service_provider=(request.findtext(f"{_SAML}Issuer") or "").strip(),
        request_id=request_id,
        acs_url=request.get("AssertionConsumerServiceURL"),
        destination=request.get("Destination"),
        relay_state=relay_state,
        name_id_format=None if policy is None else policy.get("Format"),
        is_passive=request.get("IsPassive") in ("true", "1"),
        force_authn=request.get("ForceAuthn") in ("true", "1"),
    )
