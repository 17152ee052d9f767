"""How each vendor's identity provider speaks: one row of a table for each, from what they really send.

A row is what they have in common with nobody else; a test changes it further, field by field. The attribute
names that a connection to it is set up with are here as well: they are the vendor's, too.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tests.identity_provider import IdentityProvider, KeyKind, make_signer
from tests.response_shape import BASIC_NAME_FORMAT, ENTITY_FORMAT, XS, SentAttribute
from tests.xml_encryption import Encryption

from sso_middleware.saml.assertion import NAME_ID_EMAIL, NAME_ID_PERSISTENT, NAME_ID_TRANSIENT, NAME_ID_UNSPECIFIED

UNSPECIFIED_NAME_FORMAT = "urn:oasis:names:tc:SAML:2.0:attrname-format:unspecified"
URI_NAME_FORMAT = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"
UNSPECIFIED_CONTEXT = "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified"
PASSWORD_CONTEXT = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
ENTRA_GROUPS = "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups"
ENTRA_GROUPS_LINK = "http://schemas.microsoft.com/claims/groups.link"
TENANT = "6d1f0b5e-3c1b-4c59-9d0a-2f7b8f1f9a11"

EMAIL = "ada@acme.example"
ROLES = ("engineering", "all staff")

Signs = tuple[bool, bool]
"""Whether the Response is signed, and whether the Assertion is."""
RESPONSE, ASSERTION, BOTH = (True, False), (False, True), (True, True)


@dataclass(frozen=True)
class Vendor:
    """One row."""

    name: str
    entity_id: str
    signs: tuple[Signs, ...]
    """By default the first of these; by its options the others."""
    attributes: tuple[SentAttribute, ...]
    names: Mapping[str, str]
    """The connection's attribute map."""
    manner: Callable[[datetime], Mapping[str, Any]]
    """What else of a `ResponseShape` is its own, at this time."""
    key: KeyKind = "rsa2048"
    encryption: Encryption | None = None
    roles: tuple[str, ...] = ROLES
    """What the host is told."""
    preset: str | None = None
    """The row of `attribute_presets` for it."""
    preset_roles: tuple[str, ...] = ROLES
    """What the host is told with that."""

    @property
    def identity_provider(self) -> IdentityProvider:
        return IdentityProvider(self.entity_id, f"https://{self.name}.example/sso", kind=self.key)

    def shape(self, now: datetime, signs: Signs | None = None, **changes: Any) -> dict[str, Any]:
        """The fields of its Response, for any of the `IdentityProvider`'s methods."""
        sign_response, sign_assertion = signs or self.signs[0]
        return {
            "attributes": self.attributes,
            "sign_response": sign_response,
            "sign_assertion": sign_assertion,
            "encryption": self.encryption,
            **self.manner(now),
            **changes,
        }


def our_encryption(**how: Any) -> Encryption:
    return Encryption(make_signer("shapes, for encryption").certificate, **how)


def sent(
    names: Mapping[str, str],
    *,
    name_format: str | None,
    value_type: str | None = "xs:string",
    roles: tuple[tuple[str, ...], ...] = (ROLES,),
    more: tuple[tuple[str, str], ...] = (),
) -> tuple[SentAttribute, ...]:
    """Ada's attributes under this vendor's names; one Attribute for each tuple of `roles`."""
    values = {"email": EMAIL, "first_name": "Ada", "last_name": "Lovelace", "principal_id": "acme-1001"}
    single = [(names[field], values[field]) for field in values if field in names]
    pairs = [(name, (value,)) for name, value in (*single, *more)] + [(names["roles"], each) for each in roles]
    return tuple(SentAttribute(name, values, name_format, value_type=value_type) for name, values in pairs)


def attributes_of(vendor: Vendor, **values: tuple[str, ...]) -> tuple[SentAttribute, ...]:
    """The vendor's attributes with other values, by the field that they are mapped to; an empty tuple sends none."""
    other = {vendor.names[field]: value for field, value in values.items()}
    return tuple(replace(one, values=other.get(one.name, one.values)) for one in vendor.attributes)


# The names that a connection to each is set up with.
_CLAIM_NAMES = {
    "email": CLAIMS + "emailaddress",
    "first_name": CLAIMS + "givenname",
    "last_name": CLAIMS + "surname",
    "roles": ENTRA_GROUPS,
}
_PLAIN_NAMES = {"email": "email", "first_name": "firstName", "last_name": "lastName", "roles": "groups"}
_ONELOGIN_NAMES = {
    "email": "User.email",
    "first_name": "User.FirstName",
    "last_name": "User.LastName",
    "roles": "memberOf",
}
_KEYCLOAK_NAMES = {
    "email": "urn:oid:1.2.840.113549.1.9.1",
    "first_name": "urn:oid:2.5.4.42",
    "last_name": "urn:oid:2.5.4.4",
    "roles": "Role",
}
_ADFS_NAMES = {**_CLAIM_NAMES, "roles": "http://schemas.xmlsoap.org/claims/Group"}
_SSP_NAMES = {
    "email": "Email",
    "first_name": "FirstName",
    "last_name": "LastName",
    "roles": "role_mapping",
    "principal_id": "UserPrincipalId",
}


def _ids(prefix: str, *, digits: bool = False) -> dict[str, Any]:
    def new() -> str:
        return prefix + (str(uuid.uuid4().int)[:20] if digits else str(uuid.uuid4()))

    return {"response_id": new(), "assertion_id": new()}


def _entra(now: datetime) -> dict[str, Any]:
    """Seventy minutes from now on, to the millisecond; no prefix, and what it says of the person comes first."""
    end = now + timedelta(minutes=70)
    return {
        **_ids("_"),
        "assertion_prefix": "",
        "attributes_first": True,
        "not_before": now,
        "not_on_or_after": end,
        "confirmation_not_on_or_after": end,
        "name_id": "jx3mLrT4sUGzPZ0vJ8wQq5nYbK2hC7dE9fA1gI6oXyM",
        "name_id_format": None,
        "authn_context": PASSWORD_CONTEXT,
    }


def _okta(now: datetime) -> dict[str, Any]:
    return {
        **_ids("id", digits=True),
        "response_issuer_format": ENTITY_FORMAT,
        "issuer_format": ENTITY_FORMAT,
        "response_head_xml": f' xmlns:xs="{XS}"',
        "assertion_prefix": "saml2",
        "inclusive_prefixes": ("xs",),
        "name_id_format": NAME_ID_UNSPECIFIED,
    }


def _google(now: datetime) -> dict[str, Any]:
    return {
        **_ids("_"),
        "assertion_prefix": "saml2",
        "name_id_format": NAME_ID_UNSPECIFIED,
        "authn_context": UNSPECIFIED_CONTEXT,
    }


def _onelogin(now: datetime) -> dict[str, Any]:
    return {
        **_ids("pfx"),
        "signature_algorithm": "rsa-sha512",
        "digest_algorithm": "sha512",
        "name_id_format": NAME_ID_EMAIL,
        "session_not_on_or_after": now + timedelta(hours=24),
    }


def _pingone(now: datetime) -> dict[str, Any]:
    return {
        **_ids("a", digits=True),
        "signature_algorithm": "rsa-sha512",
        "name_id_format": None,
        "session_not_on_or_after": now + timedelta(hours=8),
    }


def _keycloak(now: datetime) -> dict[str, Any]:
    return {
        **_ids("ID_"),
        "name_id": "G-0d1c2b3a",
        "name_id_format": NAME_ID_UNSPECIFIED,
        "authn_context": UNSPECIFIED_CONTEXT,
        "session_not_on_or_after": now + timedelta(hours=10),
    }


def _adfs(now: datetime) -> dict[str, Any]:
    return {
        **_ids("_"),
        "response_head_xml": ' Consent="urn:oasis:names:tc:SAML:2.0:consent:unspecified"',
        "assertion_prefix": "",
        "attributes_first": True,
        "not_before": now,
        "not_on_or_after": now + timedelta(hours=1),
        "name_id_format": NAME_ID_PERSISTENT,
    }


def _generic(now: datetime) -> dict[str, Any]:
    return {"name_id_format": NAME_ID_UNSPECIFIED}


def _simplesamlphp(now: datetime) -> dict[str, Any]:
    """A transient NameID, so that the person is known by an attribute."""
    return {
        **_ids("_"),
        "name_id": "_" + uuid.uuid4().hex,
        "name_id_format": NAME_ID_TRANSIENT,
        "session_not_on_or_after": now + timedelta(hours=8),
    }


ENTRA = Vendor(
    name="entra",
    entity_id=f"https://sts.windows.net/{TENANT}/",
    signs=(ASSERTION, RESPONSE, BOTH),
    attributes=sent(
        _CLAIM_NAMES,
        name_format=None,
        value_type=None,
        more=(
            ("http://schemas.microsoft.com/identity/claims/tenantid", TENANT),
            ("http://schemas.microsoft.com/identity/claims/objectidentifier", "0b4f3f1c-2b7a-4f0c-8c55-7e4a6f1d9b20"),
            ("http://schemas.microsoft.com/identity/claims/displayname", "Ada Lovelace"),
            (CLAIMS + "name", EMAIL),
        ),
    ),
    names=_CLAIM_NAMES,
    manner=_entra,
    preset="entra",
)
OKTA = Vendor(
    name="okta",
    entity_id="http://www.okta.com/exk1a2b3c4d5e6f7g8h9",
    signs=(BOTH, RESPONSE, ASSERTION),
    attributes=sent(_PLAIN_NAMES, name_format=UNSPECIFIED_NAME_FORMAT),
    names=_PLAIN_NAMES,
    manner=_okta,
    preset="okta",
)
GOOGLE = Vendor(
    name="google",
    entity_id="https://accounts.google.com/o/saml2?idpid=C01ab2cd3",
    signs=(ASSERTION, RESPONSE),
    attributes=sent(_PLAIN_NAMES, name_format=None, value_type="xs:anyType"),
    names=_PLAIN_NAMES,
    manner=_google,
    preset="google",
)
ONELOGIN = Vendor(
    name="onelogin",
    entity_id="https://app.onelogin.com/saml/metadata/1f2e3d4c-5b6a-4798-8796-a5b4c3d2e1f0",
    signs=(BOTH, ASSERTION, RESPONSE),
    attributes=sent(_ONELOGIN_NAMES, name_format=BASIC_NAME_FORMAT, roles=(("engineering;all staff;ops",),)),
    names=_ONELOGIN_NAMES,
    manner=_onelogin,
    roles=("engineering;all staff;ops",),
    preset="onelogin",
    preset_roles=("engineering", "all staff", "ops"),
)
PINGONE = Vendor(
    name="pingone",
    entity_id="https://auth.pingone.eu/3b9f4c0d-7f1e-4a40-b8a9-6a1b2c3d4e5f",
    signs=(ASSERTION, RESPONSE, BOTH),
    attributes=sent(_PLAIN_NAMES, name_format=BASIC_NAME_FORMAT, more=(("saml_subject", EMAIL),)),
    names=_PLAIN_NAMES,
    manner=_pingone,
    preset="ping",
)
PINGFEDERATE = Vendor(
    name="pingfederate",
    entity_id="sso.acme.example:saml2",
    signs=(RESPONSE, ASSERTION),
    attributes=sent(_PLAIN_NAMES, name_format=BASIC_NAME_FORMAT),
    names=_PLAIN_NAMES,
    manner=_generic,
    key="p256",
    preset="ping",
)
KEYCLOAK = Vendor(
    name="keycloak",
    entity_id="https://keycloak.acme.example/realms/acme",
    signs=(RESPONSE, BOTH),
    attributes=tuple(
        one if one.name == "Role" else replace(one, name_format=URI_NAME_FORMAT)
        for one in sent(_KEYCLOAK_NAMES, name_format=BASIC_NAME_FORMAT, roles=(("engineering",), ("all staff",)))
    ),
    names=_KEYCLOAK_NAMES,
    manner=_keycloak,
    preset="keycloak",
)
ADFS = Vendor(
    name="adfs",
    entity_id="http://adfs.acme.example/adfs/services/trust",
    signs=(ASSERTION, RESPONSE, BOTH),
    attributes=sent(_ADFS_NAMES, name_format=None, value_type=None),
    names=_ADFS_NAMES,
    manner=_adfs,
    preset="adfs",
)
WORKSPACE_ONE = Vendor(
    name="workspace-one",
    entity_id="https://acme.vmwareidentity.example/SAAS/API/1.0/GET/metadata/idp.xml",
    signs=(ASSERTION, RESPONSE, BOTH),
    attributes=sent(_PLAIN_NAMES, name_format=BASIC_NAME_FORMAT),
    names=_PLAIN_NAMES,
    manner=_generic,
    preset="workspace-one",
)
SIMPLESAMLPHP = Vendor(
    name="simplesamlphp",
    entity_id="https://idp.acme.example/simplesaml/saml2/idp/metadata.php",
    signs=(BOTH, RESPONSE, ASSERTION),
    attributes=sent(_SSP_NAMES, name_format=BASIC_NAME_FORMAT),
    names=_SSP_NAMES,
    manner=_simplesamlphp,
)
ENCRYPTING = (
    replace(
        OKTA,
        name="okta-encrypting",
        signs=(BOTH,),
        encryption=our_encryption(block="aes256-cbc", key_beside=True, names_recipient=True),
    ),
    replace(
        SIMPLESAMLPHP, name="simplesamlphp-encrypting", signs=(BOTH,), encryption=our_encryption(block="aes128-cbc")
    ),
)
VENDORS = (
    ENTRA,
    OKTA,
    GOOGLE,
    ONELOGIN,
    PINGONE,
    PINGFEDERATE,
    KEYCLOAK,
    ADFS,
    WORKSPACE_ONE,
    SIMPLESAMLPHP,
    *ENCRYPTING,
)
