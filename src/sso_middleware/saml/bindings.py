"""How a message of ours travels: HTTP-Redirect and HTTP-POST (SAML bindings 3.4 and 3.5).

What the message says is `authn_request`'s; which binding to use, metadata's. Nothing is sent here:
a flow turns a `Redirect` or a `FormPost` into a reply. Unpacking what comes in is `parsing`'s.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Literal, cast

from .parties import BINDING_REDIRECT, Endpoint, KeyPair
from .signing import algorithms_of, sign_bytes, sign_enveloped

Parameter = Literal["SAMLRequest", "SAMLResponse"]

MAX_RELAY_STATE = 80
"""Bytes (SAML bindings 3.4.3 and 3.5.3)."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Send the browser there with GET. The URL carries the whole signed message."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FormPost:
    """Have the browser post these fields there, from a page with a button or a script."""

    url: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)


Outgoing = Redirect | FormPost


def send_request(message: str, message_id: str, *, to: Endpoint, key: KeyPair, relay_state: str) -> Outgoing:
    """Sign a request and pack it for `to`. Raises ValueError if `relay_state` is longer than 80 bytes."""
    if len(relay_state.encode()) > MAX_RELAY_STATE:
        raise ValueError(f"RelayState is longer than {MAX_RELAY_STATE} bytes")
    return send("SAMLRequest", message, message_id, to=to, key=key, relay_state=relay_state)


def send(
    parameter: Parameter, message: str, message_id: str, *, to: Endpoint, key: KeyPair, relay_state: str
) -> Outgoing:
    """Sign a message and pack it for `to`.

    For HTTP-POST the message carries an empty Signature, which is filled in; for HTTP-Redirect it
    carries none, because the query string is what is signed there. `relay_state` is opaque; if empty,
    it is left out. That of a response is the request's, however long the other side made it.
    """
    if to.binding == BINDING_REDIRECT:
        return _redirect(parameter, message, to.location, key, relay_state)
    signed = sign_enveloped(message, message_id, key).encode()
    fields: list[tuple[str, str]] = [(parameter, b64encode(signed).decode("ascii"))]
    if relay_state:
        fields.append(("RelayState", relay_state))
    return FormPost(to.location, tuple(fields))


def _redirect(parameter: Parameter, message: str, location: str, key: KeyPair, relay_state: str) -> Redirect:
    from saml2.pack import http_redirect_message  # noqa: PLC0415 - late: importing pysaml2 takes most of a second

    # SAML bindings 3.4.4.1: what is signed is the message, RelayState and SigAlg, URL-encoded, in this
    # order and to the letter as sent; a query that the IdP's own URL has stays in front, unsigned.
    packed = http_redirect_message(
        message,
        location.removesuffix("?"),
        relay_state,
        parameter,
        sigalg=algorithms_of(key).signature,
        sign=True,
        backend=_QuerySigning(key),
    )
    return Redirect(cast("str", dict(packed["headers"])["Location"]))


@dataclass(frozen=True, slots=True)
class _QuerySigning:
    """Our key in the shape that pysaml2's `http_redirect_message` asks for."""

    key: KeyPair

    def get_signer(self, algorithm: str) -> _QuerySigning:
        if algorithm != algorithms_of(self.key).signature:
            raise ValueError(f"we don't sign with {algorithm}")
        return self

    def sign(self, query: bytes) -> bytes:
        return sign_bytes(query, self.key)
