"""An identity provider in memory, that signs for real and misbehaves on request.

It signs with signxml, so that our own signer never vouches for our verifier. What it writes is a
`ResponseShape`; every field may be changed by name:

    idp.log_in(redirect_url, "ada@acme.example", now=now, audience="https://other.example")
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml.signer import XMLSigner
from tests.response_shape import (
    DS,
    EXCLUSIVE_C14N,
    SAML,
    SAMLP,
    ResponseShape,
    honest_shape,
    render_assertion,
    render_response,
)
from tests.xml_encryption import encrypted_assertion

from sso_middleware.saml import parties
from sso_middleware.saml.certificates import read_certificate
from sso_middleware.saml.parties import BINDING_POST, BINDING_REDIRECT, ServiceProvider

KeyKind = Literal["rsa2048", "rsa1024", "p256", "p384"]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

MD = "urn:oasis:names:tc:SAML:2.0:metadata"
NAMESPACES = {"saml": SAML, "samlp": SAMLP, "ds": DS}


def find_one(element: etree._Element, path: str) -> etree._Element:
    """The first element at this path; a test that expects one has found a fault if there is none."""
    found = element.find(path, NAMESPACES)
    assert found is not None, path
    return found


@dataclass(frozen=True)
class Signer:
    """A private key with its self-signed certificate (PEM)."""

    private_key: PrivateKey = field(repr=False)
    certificate: str

    @property
    def private_pem(self) -> str:
        return self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def certificate_body(self) -> str:
        return "".join(self.certificate.strip().splitlines()[1:-1])


@cache
def make_signer(name: str, kind: KeyKind = "rsa2048") -> Signer:
    """The key of this name: the same one for the whole process, since making one is slow."""
    private_key: PrivateKey
    if kind == "p256":
        private_key = ec.generate_private_key(ec.SECP256R1())
    elif kind == "p384":
        private_key = ec.generate_private_key(ec.SECP384R1())
    else:
        private_key = rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("rsa")))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2049, 1, 1, tzinfo=UTC))
        .sign(private_key, hashes.SHA256())
    )
    return Signer(private_key, certificate.public_bytes(Encoding.PEM).decode())


class LenientSigner(XMLSigner):
    """signxml refuses SHA-1, and says nothing of a PrefixList in an enveloped signature's Transform."""

    def check_deprecated_methods(self) -> None:
        pass

    def _build_transforms_for_reference(
        self, *, transforms_node: Any, reference: Any, exclude_c14n_transform_element: bool = True
    ) -> None:
        super()._build_transforms_for_reference(
            transforms_node=transforms_node,
            reference=reference,
            exclude_c14n_transform_element=exclude_c14n_transform_element,
        )
        if reference.inclusive_ns_prefixes:
            prefixes = " ".join(reference.inclusive_ns_prefixes)
            etree.SubElement(
                transforms_node[-1],
                f"{{{EXCLUSIVE_C14N}}}InclusiveNamespaces",
                nsmap={"ec": EXCLUSIVE_C14N},
                PrefixList=prefixes,
            )


def sign(xml: str, signer: Signer, shape: ResponseShape | None = None) -> str:
    """Sign the root element where its placeholder is (or at its end); the KeyInfo holds the certificate."""
    algorithm = "rsa-sha256" if isinstance(signer.private_key, rsa.RSAPrivateKey) else "ecdsa-sha256"
    signed = LenientSigner(
        signature_algorithm=shape.signature_algorithm or algorithm if shape else algorithm,
        digest_algorithm=shape.digest_algorithm if shape else "sha256",
        c14n_algorithm=shape.c14n_algorithm if shape else EXCLUSIVE_C14N,
    ).sign(
        etree.fromstring(xml.encode()),
        key=signer.private_key,
        cert=signer.certificate,
        inclusive_ns_prefixes=list(shape.inclusive_prefixes) or None if shape else None,
    )
    return etree.tostring(signed, encoding="unicode")


@dataclass(frozen=True)
class SentResponse:
    """A Response on its way: the bytes, and what a browser would post."""

    xml: bytes = field(repr=False)
    shape: ResponseShape = field(repr=False)
    relay_state: str | None = None

    @property
    def value(self) -> str:
        return form_value(self.xml)

    @property
    def form(self) -> dict[str, str]:
        relay_state = {} if self.relay_state is None else {"RelayState": self.relay_state}
        return {"SAMLResponse": self.value, **relay_state}


def form_value(xml: bytes) -> str:
    """SAML bindings 3.5.4: base64, and nothing more."""
    return base64.b64encode(xml).decode()


@dataclass(frozen=True)
class ReceivedRequest:
    """What we need to know of an AuthnRequest in order to answer it."""

    id: str
    issuer: str
    acs_url: str
    destination: str | None
    is_passive: bool
    force_authn: bool
    relay_state: str | None
    xml: bytes = field(repr=False)

    @property
    def service_provider(self) -> ServiceProvider:
        return ServiceProvider(entity_id=self.issuer, acs_url=self.acs_url)


def read_redirect(url: str) -> ReceivedRequest:
    """Read an AuthnRequest as HTTP-Redirect carries it (SAML bindings 3.4.4.1: base64 of raw DEFLATE)."""
    query = dict(parse_qsl(urlsplit(url).query, strict_parsing=True))
    return _read_request(zlib.decompress(base64.b64decode(query["SAMLRequest"]), -15), query.get("RelayState"))


def read_post(form: Mapping[str, str]) -> ReceivedRequest:
    """Read an AuthnRequest as HTTP-POST carries it (SAML bindings 3.5.4: base64)."""
    return _read_request(base64.b64decode(form["SAMLRequest"]), form.get("RelayState"))


def check_redirect_signature(url: str, certificate: str, *, algorithm: str = "rsa-sha256") -> None:
    """Raise unless the query is signed by this RSA certificate (SAML bindings 3.4.4.1, over the raw query)."""
    digests = {"rsa-sha256": hashes.SHA256(), "rsa-sha384": hashes.SHA384(), "rsa-sha512": hashes.SHA512()}
    raw = dict(part.split("=", 1) for part in urlsplit(url).query.split("&"))
    assert unquote(raw["SigAlg"]) == f"http://www.w3.org/2001/04/xmldsig-more#{algorithm}"
    signed = "&".join(
        f"{name}={raw[name]}" for name in ("SAMLRequest", "SAMLResponse", "RelayState", "SigAlg") if name in raw
    )
    public_key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    signature = base64.b64decode(unquote(raw["Signature"]))
    public_key.verify(signature, signed.encode(), padding.PKCS1v15(), digests[algorithm])


def _read_request(xml: bytes, relay_state: str | None) -> ReceivedRequest:
    root = etree.fromstring(xml)
    assert root.tag == f"{{{SAMLP}}}AuthnRequest", root.tag
    return ReceivedRequest(
        id=str(root.attrib["ID"]),
        issuer=find_one(root, "saml:Issuer").text or "",
        acs_url=str(root.attrib["AssertionConsumerServiceURL"]),
        destination=root.get("Destination"),
        is_passive=root.get("IsPassive") in ("true", "1"),
        force_authn=root.get("ForceAuthn") in ("true", "1"),
        relay_state=relay_state,
        xml=xml,
    )


class IdentityProvider:
    """Signs real Responses for anybody it is asked about. `key` names another key of the same provider."""

    def __init__(
        self,
        entity_id: str = "https://idp.acme.example/metadata",
        sso_url: str = "https://idp.acme.example/sso",
        *,
        kind: KeyKind = "rsa2048",
        key: str = "first",
        slo_url: str | None = None,
    ) -> None:
        self.entity_id = entity_id
        self.sso_url = sso_url
        self.slo_url = slo_url
        self.signer = make_signer(f"{key} key of {entity_id}", kind)

    @property
    def certificate(self) -> str:
        return self.signer.certificate

    @property
    def metadata(self) -> str:
        """SAML metadata 2.4.3, as a provider publishes it."""
        slo = f'<SingleLogoutService Binding="{BINDING_REDIRECT}" Location="{escape(self.slo_url or "")}"/>'
        return (
            f'<EntityDescriptor xmlns="{MD}" entityID="{escape(self.entity_id)}">'
            f'<IDPSSODescriptor protocolSupportEnumeration="{SAMLP}" WantAuthnRequestsSigned="true">'
            f'<KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="{DS}"><ds:X509Data>'
            f"<ds:X509Certificate>{self.signer.certificate_body}</ds:X509Certificate>"
            "</ds:X509Data></ds:KeyInfo></KeyDescriptor>"
            + (slo if self.slo_url else "")
            + f'<SingleSignOnService Binding="{BINDING_REDIRECT}" Location="{escape(self.sso_url)}"/>'
            f'<SingleSignOnService Binding="{BINDING_POST}" Location="{escape(self.sso_url)}"/>'
            "</IDPSSODescriptor></EntityDescriptor>"
        )

    def describe(self, *others: IdentityProvider) -> parties.IdentityProvider:
        """This provider as our SAML layer sees it; `others` lend their keys (a rollover)."""
        slo = (parties.Endpoint(BINDING_REDIRECT, self.slo_url),) if self.slo_url else ()
        return parties.IdentityProvider(
            entity_id=self.entity_id,
            sso_endpoints=(
                parties.Endpoint(BINDING_REDIRECT, self.sso_url),
                parties.Endpoint(BINDING_POST, self.sso_url),
            ),
            slo_endpoints=slo,
            keys=tuple(read_certificate(provider.certificate) for provider in (self, *others)),
        )

    def shape(
        self, service_provider: ServiceProvider, *, request_id: str | None, email: str, now: datetime, **changes: Any
    ) -> ResponseShape:
        honest = honest_shape(
            entity_id=self.entity_id, service_provider=service_provider, request_id=request_id, email=email, now=now
        )
        return replace(honest, **changes)

    def respond(
        self, service_provider: ServiceProvider, *, request_id: str | None, email: str, now: datetime, **changes: Any
    ) -> SentResponse:
        """A Response about this person, honest but for `changes` (fields of `ResponseShape`)."""
        return self.send(self.shape(service_provider, request_id=request_id, email=email, now=now, **changes))

    def send(self, shape: ResponseShape, relay_state: str | None = None) -> SentResponse:
        """Write, sign and encrypt: the assertion first, then the Response around it."""
        assertion = render_assertion(shape) if shape.has_assertion else ""
        if assertion and shape.sign_assertion:
            assertion = sign(assertion, self.signer, shape)
        if assertion and shape.encryption:
            assertion = encrypted_assertion(assertion, shape.encryption)
        response = render_response(shape, assertion)
        if shape.sign_response:
            response = sign(response, self.signer, shape)
        return SentResponse(response.encode(), shape, relay_state)

    def log_in(self, redirect_url: str, email: str, *, now: datetime, **changes: Any) -> dict[str, str]:
        """The form that a browser posts after this person signed in, in answer to our redirect."""
        return self.answer(read_redirect(redirect_url), email, now=now, **changes)

    def answer(self, request: ReceivedRequest, email: str, *, now: datetime, **changes: Any) -> dict[str, str]:
        shape = self.shape(request.service_provider, request_id=request.id, email=email, now=now, **changes)
        return self.send(shape, request.relay_state).form

    def refuse(self, redirect_url: str, *, now: datetime, status: str = "NoPassive", **changes: Any) -> dict[str, str]:
        """The form of a failure Response: Responder, and `status` within (SAML core 3.2.2.2)."""
        changes = {"status": ("Responder", status), "has_assertion": False, **changes}
        return self.log_in(redirect_url, "", now=now, **changes)

    def unsolicited(
        self,
        acs_url: str,
        audience: str,
        email: str,
        *,
        now: datetime,
        relay_state: str | None = None,
        **changes: Any,
    ) -> dict[str, str]:
        """The form of a Response that nobody asked for (SAML profiles 4.1.5)."""
        service_provider = ServiceProvider(entity_id=audience, acs_url=acs_url)
        shape = self.shape(service_provider, request_id=None, email=email, now=now, **changes)
        return self.send(shape, relay_state).form
