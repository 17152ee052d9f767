"""Our own logout messages: ask an identity provider to sign somebody out, and answer when it asks us (SAML core 3.7).

Keeping our record of a request, and choosing ids, RelayState and time, is the flows'. What comes in is
verified by logout.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from .assertion import NameID
from .bindings import Outgoing, send, send_request
from .logout import STATUS_PARTIAL_LOGOUT
from .parties import BINDING_POST, Endpoint, KeyPair, ServiceProvider
from .schema import STATUS_SUCCESS
from .signing import algorithms_of

if TYPE_CHECKING:
    from saml2.samlp import LogoutRequest, LogoutResponse

_NAMESPACES = {
    "samlp": "urn:oasis:names:tc:SAML:2.0:protocol",
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
}
_VALID_FOR = timedelta(minutes=5)
_REASON_USER = "urn:oasis:names:tc:SAML:2.0:logout:user"


def build_logout_request(
    *,
    request_id: str,
    service_provider: ServiceProvider,
    to: Endpoint,
    key: KeyPair,
    name_id: NameID,
    session_indexes: Sequence[str],
    relay_state: str,
    issued_at: datetime,
) -> Outgoing:
    """A signed LogoutRequest, packed for the identity provider's endpoint `to`. `issued_at` is aware.

    `name_id` and `session_indexes` must be to the letter those of the assertion: identity providers
    compare each part. Raises ValueError for a RelayState over 80 bytes.
    """
    from saml2 import saml, samlp  # noqa: PLC0415 - late: importing pysaml2 takes most of a second

    request = samlp.LogoutRequest(
        **_common(request_id, service_provider, to, key, issued_at),
        reason=_REASON_USER,
        not_on_or_after=_time(issued_at + _VALID_FOR),
        name_id=saml.NameID(
            text=name_id.value,
            format=name_id.format,
            name_qualifier=name_id.name_qualifier,
            sp_name_qualifier=name_id.sp_name_qualifier,
        ),
        session_index=[samlp.SessionIndex(text=index) for index in session_indexes],
    )
    return send_request(_written(request), request_id, to=to, key=key, relay_state=relay_state)


def build_logout_response(
    *,
    response_id: str,
    in_response_to: str,
    service_provider: ServiceProvider,
    to: Endpoint,
    key: KeyPair,
    relay_state: str,
    issued_at: datetime,
    is_partial: bool = False,  # something of ours could not be ended
) -> Outgoing:
    """A signed LogoutResponse to a LogoutRequest that was verified, with its RelayState to the letter.

    `to` is the endpoint's ResponseLocation where metadata has one.
    """
    from saml2 import samlp  # noqa: PLC0415

    partial = samlp.StatusCode(value=STATUS_PARTIAL_LOGOUT) if is_partial else None
    response = samlp.LogoutResponse(
        **_common(response_id, service_provider, to, key, issued_at),
        in_response_to=in_response_to,
        # SAML core 3.7.3.2: partial is a second-level code.
        status=samlp.Status(status_code=samlp.StatusCode(value=STATUS_SUCCESS, status_code=partial)),
    )
    return send("SAMLResponse", _written(response), response_id, to=to, key=key, relay_state=relay_state)


def _common(
    message_id: str, service_provider: ServiceProvider, to: Endpoint, key: KeyPair, issued_at: datetime
) -> dict[str, Any]:
    """What both messages have. HTTP-POST's Signature is a template, filled in later."""
    from saml2 import saml  # noqa: PLC0415
    from saml2.sigver import pre_signature_part  # noqa: PLC0415

    algorithms = algorithms_of(key)
    return {
        "id": message_id,
        "version": "2.0",
        "issue_instant": _time(issued_at),
        "destination": to.location,
        "issuer": saml.Issuer(text=service_provider.entity_id),
        # Both algorithms are named, because pysaml2's defaults are SHA-1.
        "signature": pre_signature_part(message_id, sign_alg=algorithms.signature, digest_alg=algorithms.digest)
        if to.binding == BINDING_POST
        else None,
    }


def _written(message: LogoutRequest | LogoutResponse) -> str:
    return cast("bytes", message.to_string(_NAMESPACES)).decode()


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
