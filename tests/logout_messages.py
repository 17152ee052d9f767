"""Logout messages as identity providers send them: written as text, signed for real, and packed.

Like `identity_provider.py`, this shares no code with what it tests: XML is signed by signxml, a query
string by pyca/cryptography over the text as it is sent.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tests.identity_provider import Signer, form_value, sign
from tests.response_shape import DS, SAML, SAMLP, SIGNATURE_PLACEHOLDER, STATUS_PREFIX
from tests.xml_encryption import Encryption, encrypted_assertion

from sso_middleware.saml.assertion import NAME_ID_EMAIL

MORE = "http://www.w3.org/2001/04/xmldsig-more#"
SIG_ALGS: dict[str, hashes.HashAlgorithm] = {
    f"{MORE}rsa-sha256": hashes.SHA256(),
    f"{MORE}rsa-sha512": hashes.SHA512(),
    f"{DS}rsa-sha1": hashes.SHA1(),
    f"{MORE}ecdsa-sha256": hashes.SHA256(),
}
RSA_SHA256 = f"{MORE}rsa-sha256"
RSA_SHA1 = f"{DS}rsa-sha1"

Quote = Callable[[str], str]


def quote_upper(text: str) -> str:
    """Every reserved character escaped, as most do."""
    return quote(text, safe="")


def quote_lower(text: str) -> str:
    """With lower-case escapes, as ADFS and Entra ID do (.NET's UrlEncode)."""
    return re.sub("%[0-9A-F]{2}", lambda escape: escape.group().lower(), quote(text, safe=""))


@dataclass(frozen=True)
class LogoutShape:
    """A LogoutRequest to be; with `status` a LogoutResponse. None leaves an attribute out."""

    id: str
    issuer: str
    destination: str | None
    issued_at: datetime
    name_id: str = "ada@acme.example"
    name_id_attributes: str = f'Format="{NAME_ID_EMAIL}"'
    session_indexes: tuple[str, ...] = ("_session-1",)
    not_on_or_after: datetime | None = None
    encryption: Encryption | None = None
    in_response_to: str | None = None
    status: tuple[str, ...] = ()
    version: str = "2.0"
    inner_xml: str = field(default="", repr=False)
    """Raw XML directly before the NameID or Status."""

    @property
    def parameter(self) -> str:
        return "SAMLResponse" if self.status else "SAMLRequest"


def render_logout(shape: LogoutShape, signature: str = "") -> str:
    """The XML text (SAML core 3.7); `signature` goes behind Issuer."""
    name = "LogoutResponse" if shape.status else "LogoutRequest"
    attributes = {
        "ID": shape.id,
        "Version": shape.version,
        "IssueInstant": _time(shape.issued_at),
        "Destination": shape.destination,
        "NotOnOrAfter": shape.not_on_or_after and _time(shape.not_on_or_after),
        "InResponseTo": shape.in_response_to,
    }
    written = "".join(f' {key}="{value}"' for key, value in attributes.items() if value is not None)
    return (
        f'<samlp:{name} xmlns:samlp="{SAMLP}" xmlns:saml="{SAML}"{written}>'
        f"<saml:Issuer>{shape.issuer}</saml:Issuer>{signature}{shape.inner_xml}"
        f"{_status(shape.status) if shape.status else _whom(shape)}</samlp:{name}>"
    )


def signed_form(shape: LogoutShape, signer: Signer, relay_state: str | None = None) -> dict[str, str]:
    """HTTP-POST: an enveloped signature (SAML bindings 3.5)."""
    xml = sign(render_logout(shape, SIGNATURE_PLACEHOLDER), signer)
    return {shape.parameter: form_value(xml.encode()), **({"RelayState": relay_state} if relay_state else {})}


def unsigned_query(
    shape: LogoutShape, *, relay_state: str | None = None, sig_alg: str = RSA_SHA256, quoting: Quote = quote_upper
) -> str:
    """HTTP-Redirect, what is to be signed (SAML bindings 3.4.4.1)."""
    message = f"{shape.parameter}={quoting(deflated(render_logout(shape)))}"
    state = "" if relay_state is None else f"&RelayState={quoting(relay_state)}"
    return f"{message}{state}&SigAlg={quoting(sig_alg)}"


def signed_query(
    shape: LogoutShape,
    signer: Signer,
    *,
    relay_state: str | None = None,
    sig_alg: str = RSA_SHA256,
    quoting: Quote = quote_upper,
) -> str:
    query = unsigned_query(shape, relay_state=relay_state, sig_alg=sig_alg, quoting=quoting)
    return sign_query(query, signer, sig_alg=sig_alg, quoting=quoting)


def sign_query(query: str, signer: Signer, *, sig_alg: str = RSA_SHA256, quoting: Quote = quote_upper) -> str:
    """Sign the text as it is, whatever it says."""
    key, digest = signer.private_key, SIG_ALGS[sig_alg]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        length = (key.curve.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(query.encode(), ec.ECDSA(digest)))
        value = r.to_bytes(length) + s.to_bytes(length)
    else:
        value = key.sign(query.encode(), padding.PKCS1v15(), digest)
    return f"{query}&Signature={quoting(base64.b64encode(value).decode())}"


def deflated(xml: str) -> str:
    """SAML bindings 3.4.4.1: raw DEFLATE, then base64."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return base64.b64encode(packer.compress(xml.encode()) + packer.flush()).decode()


def honest_request(*, issuer: str, slo_url: str, now: datetime) -> LogoutShape:
    return LogoutShape(
        id="_logout-request-1",
        issuer=issuer,
        destination=slo_url,
        issued_at=now,
        not_on_or_after=now + timedelta(minutes=5),
    )


def honest_response(*, issuer: str, slo_url: str, now: datetime, in_response_to: str) -> LogoutShape:
    return LogoutShape(
        id="_logout-response-1",
        issuer=issuer,
        destination=slo_url,
        issued_at=now,
        in_response_to=in_response_to,
        status=("Success",),
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _whom(shape: LogoutShape) -> str:
    name_id = f'<saml:NameID xmlns:saml="{SAML}" {shape.name_id_attributes}>{shape.name_id}</saml:NameID>'
    if shape.encryption is not None:
        name_id = encrypted_assertion(name_id, shape.encryption).replace("EncryptedAssertion", "EncryptedID")
    indexes = "".join(f"<samlp:SessionIndex>{index}</samlp:SessionIndex>" for index in shape.session_indexes)
    return name_id + indexes


def _status(codes: tuple[str, ...]) -> str:
    inner = ""
    for code in reversed(codes):
        inner = f'<samlp:StatusCode Value="{STATUS_PREFIX}{code}">{inner}</samlp:StatusCode>'
    return f"<samlp:Status>{inner}</samlp:Status>"
