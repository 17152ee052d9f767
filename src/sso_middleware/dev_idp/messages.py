"""What the dev IdP says: its metadata and its Responses, built by pysaml2's identity provider side.

pysaml2 stamps them with the machine's own time; a skew is added afterwards, before anything is signed.
Our in-process signing is plugged in, so that there is no xmlsec1 binary, no key file and no temporary file.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from lxml import etree

from ..saml.assertion import NAME_ID_EMAIL, NAME_ID_PERSISTENT, NAME_ID_TRANSIENT, NameID
from ..saml.entities import SAML2_PROTOCOL
from ..saml.metadata import NAMESPACES, key_descriptor
from ..saml.parties import BINDING_POST, BINDING_REDIRECT, KeyPair
from ..saml.signing import RSA_SHA256, SHA256, crypto_backend
from .encryption import DataCipher, encrypt_assertion

if TYPE_CHECKING:
    from saml2.server import Server

NO_PASSIVE = "urn:oasis:names:tc:SAML:2.0:status:NoPassive"
INVALID_NAME_ID_POLICY = "urn:oasis:names:tc:SAML:2.0:status:InvalidNameIDPolicy"
_BASIC = "urn:oasis:names:tc:SAML:2.0:attrname-format:basic"
_AUTHN_CONTEXT = "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified"
"""Nobody typed a password here."""
_LIFETIME_MINUTES = 5
_SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
_TIMES = ("IssueInstant", "NotBefore", "NotOnOrAfter", "AuthnInstant")


def build_idp_metadata(entity_id: str, sso_url: str, certificate: str) -> str:
    """One signing key, and one address for both bindings."""
    from saml2 import md  # noqa: PLC0415 - late: importing pysaml2 takes most of a second

    descriptor = md.IDPSSODescriptor(
        protocol_support_enumeration=SAML2_PROTOCOL,
        want_authn_requests_signed="false",
        key_descriptor=[key_descriptor("signing", certificate)],
        name_id_format=[md.NameIDFormat(text=name) for name in (NAME_ID_PERSISTENT, NAME_ID_EMAIL, NAME_ID_TRANSIENT)],
        single_sign_on_service=[
            md.SingleSignOnService(binding=binding, location=sso_url) for binding in (BINDING_REDIRECT, BINDING_POST)
        ],
    )
    entity = md.EntityDescriptor(entity_id=entity_id, idpsso_descriptor=descriptor)
    return cast("bytes", entity.to_string(NAMESPACES)).decode()


@dataclass(frozen=True, slots=True)
class Manner:
    """How it says it: real identity providers differ. Entra ID signs the assertion only, Okta both."""

    sign_response: bool = True
    sign_assertion: bool = True
    cipher: DataCipher | None = "aes256-gcm"
    """For service providers that publish an encryption key; None: plaintext all the same."""
    clock_skew: timedelta = timedelta()
    """How far its clock is ahead of the machine's; negative: behind."""


class Responses:
    """Builds Responses under one entity id and one key."""

    def __init__(self, entity_id: str, key: KeyPair, manner: Manner) -> None:
        self._server = _server(entity_id, key)
        self._manner = manner

    def success(
        self,
        *,
        service_provider: str,
        acs_url: str,
        in_response_to: str | None,
        name_id: NameID,
        attributes: Mapping[str, tuple[str, ...]],
        authenticated_at: datetime,
        encryption_certificate: str | None,  # PEM, the service provider's
    ) -> str:
        from saml2.saml import NameID as SamlNameID  # noqa: PLC0415

        response = self._server.create_authn_response(
            attributes,
            in_response_to,
            acs_url,
            service_provider,
            name_id=SamlNameID(text=name_id.value, format=name_id.format, sp_name_qualifier=name_id.sp_name_qualifier),
            authn={"class_ref": _AUTHN_CONTEXT, "authn_instant": int(authenticated_at.timestamp())},
            sign_response=False,  # what is encrypted is signed before, and around it afterwards
            sign_assertion=False,
        )
        root = self._skewed(str(response))
        if self._manner.sign_assertion:
            root = self._signed(root, f"{_SAML}Assertion")
        if self._manner.cipher and encryption_certificate:
            _encrypt(root, encryption_certificate, self._manner.cipher)
        if self._manner.sign_response:
            root = self._signed(root, ".")
        return etree.tostring(root, encoding="unicode")

    def failure(self, *, acs_url: str, in_response_to: str | None, status: str, message: str) -> str:
        """`status` is the second-level code, under Responder. Signed wherever anything is."""
        response = self._server.create_error_response(in_response_to, acs_url, (status, message), sign=False)
        root = self._skewed(str(response))
        if self._manner.sign_response or self._manner.sign_assertion:
            root = self._signed(root, ".")
        return etree.tostring(root, encoding="unicode")

    def _skewed(self, xml: str) -> etree._Element:
        root = etree.fromstring(xml.encode())
        for element in root.iter():
            for name in _TIMES:
                if (value := element.get(name)) is not None:
                    time = datetime.fromisoformat(value) + self._manner.clock_skew
                    element.set(name, time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        return root

    def _signed(self, root: etree._Element, path: str) -> etree._Element:
        """With the element at this path signed, directly after its Issuer (SAML core 5.4.1, 2.3.3)."""
        from saml2.sigver import pre_signature_part  # noqa: PLC0415

        (element,) = root.iterfind(path)
        node_id = str(element.get("ID"))
        template = pre_signature_part(node_id, sign_alg=RSA_SHA256, digest_alg=SHA256)
        element.insert(1, etree.fromstring(template.to_string()))
        signed = self._server.sec.sign_statement(etree.tostring(root), str(element.tag), node_id=node_id)
        return etree.fromstring(signed.encode())


def _encrypt(root: etree._Element, certificate: str, cipher: DataCipher) -> None:
    (assertion,) = root.iterfind(f"{_SAML}Assertion")
    plain = etree.tostring(assertion, with_tail=False)
    root.replace(assertion, encrypt_assertion(plain, certificate=certificate, cipher=cipher))


def _server(entity_id: str, key: KeyPair) -> Server:
    with warnings.catch_warnings():
        # saml2.server imports a cipher mode that it doesn't use here and that cryptography warns of.
        warnings.simplefilter("ignore")
        from saml2.server import Server  # noqa: PLC0415
    from saml2.config import IdPConfig  # noqa: PLC0415
    from saml2.sigver import SecurityContext  # noqa: PLC0415

    class Quiet(Server):  # type: ignore[misc]  # pysaml2's stubs leave it untyped
        """Keeps no assertions, and asks no metadata whether to encrypt."""

        def support_AssertionIDRequest(self) -> bool:  # noqa: N802 - pysaml2's name
            return False

        def support_AuthnQuery(self) -> bool:  # noqa: N802 - pysaml2's name
            return False

        def has_encrypt_cert_in_metadata(self, sp_entity_id: str) -> bool:
            return False

    policy = {"lifetime": {"minutes": _LIFETIME_MINUTES}, "name_form": _BASIC, "attribute_restrictions": None}
    config = IdPConfig().load(
        {
            "entityid": entity_id,
            "crypto_backend": "XMLSecurity",  # a stand-in that looks for no binary, replaced just below
            "service": {"idp": {"policy": {"default": policy}}},
        }
    )
    config.setattr("", "attribute_converters", [_plain_names()])
    server = Quiet(config=config)
    server.sec = SecurityContext(crypto_backend(key))
    return server


def _plain_names() -> object:
    """pysaml2's own converters translate attribute names into OIDs, or lower-case them."""
    from saml2 import saml  # noqa: PLC0415
    from saml2.attribute_converter import AttributeConverter  # noqa: PLC0415

    class PlainNames(AttributeConverter):  # type: ignore[misc]  # pysaml2's stubs leave it untyped
        def to_(self, attrvals: Mapping[str, tuple[str, ...]]) -> list[Any]:
            return [
                saml.Attribute(
                    name=name, name_format=_BASIC, attribute_value=[saml.AttributeValue(text=value) for value in values]
                )
                for name, values in attrvals.items()
            ]

    return PlainNames(_BASIC)
