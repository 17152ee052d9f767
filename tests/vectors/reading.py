"""Read a vector and play it: what any project that runs this suite has to write for itself."""

from __future__ import annotations

import base64
import zlib
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sso_middleware.errors import MessageRefused
from sso_middleware.saml.assertion import Assertion
from sso_middleware.saml.certificates import read_certificate
from sso_middleware.saml.parsing import Message, read_message
from sso_middleware.saml.parties import Expected, IdentityProvider, ServiceProvider, Trust
from sso_middleware.saml.response import verify_response

Json = dict[str, Any]


def outcome(vector: Json, configuration: Json) -> Json:
    """What we make of a vector, in the form of its `expected`."""
    request = configuration["request"]
    try:
        assertion = verify_response(
            read_input(vector["input"]),
            trust=_read_trust(configuration),
            service_provider=ServiceProvider(**configuration["service_provider"]),
            expected=request and Expected(request["id"], datetime.fromisoformat(request["issued_at"])),
            now=datetime.fromisoformat(vector["clock"]),
        )
    except MessageRefused as refusal:
        return {"outcome": "refused", "code": refusal.code}
    return {"outcome": "accepted", "assertion": stated(assertion)}


def read_input(given: Json) -> Message:
    """The message, from whichever of the three spellings it has."""
    if "xml" in given:
        return read_message(base64.b64encode(given["xml"].encode()).decode())
    if "saml_response" in given:
        return read_message(given["saml_response"])
    return read_message(zlib.decompress(base64.b64decode(given["saml_response_deflated"]), -zlib.MAX_WBITS).decode())


def stated(assertion: Assertion) -> Json:
    """The part of an Assertion that tells who it is about."""
    return {
        "id": assertion.id,
        "issuer": assertion.issuer,
        "name_id": asdict(assertion.name_id),
        "session_index": assertion.session_index,
        "attributes": [{"name": each.name, "values": list(each.values)} for each in assertion.attributes],
    }


def _read_trust(configuration: Json) -> Trust:
    provider = configuration["identity_provider"]
    keys = [load_pem_private_key(pem.encode(), None) for pem in configuration["decryption_keys"]]
    return Trust(
        identity_provider=IdentityProvider(
            provider["entity_id"], (), (), tuple(read_certificate(pem) for pem in provider["certificates"])
        ),
        signed=configuration["signed"],
        encryption=configuration["encryption"],
        decryption_keys=tuple(key for key in keys if isinstance(key, RSAPrivateKey)),
        leeway=timedelta(seconds=configuration["leeway"]),
        sha1_until=_read_instant(configuration["sha1_until"]),
        skip_destination_until=_read_instant(configuration["skip_destination_until"]),
        authn_contexts=tuple(configuration["authn_contexts"]),
    )


def _read_instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
