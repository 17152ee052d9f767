"""Under which names the vendors' identity providers send what: one row for each, and its source.

A row holds what the vendor sends by default, or what its own console offers by a click or names in its
guide; whatever is not in a row keeps the general default. No row maps `principal_id`: choosing a preset
must never change who people are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

Declared: TypeAlias = str | Mapping[str, str]
"""An attribute as settings declare it: its name, or a table."""

_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
ENTRA_GROUPS = "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups"
ENTRA_GROUPS_LINK = "http://schemas.microsoft.com/claims/groups.link"


@dataclass(frozen=True, slots=True)
class Preset:
    attributes: Mapping[str, Declared]
    source: str


def _claims(roles: str) -> Mapping[str, Declared]:
    """WS-Federation's claim types, which Microsoft's products send as names."""
    return {
        "email": _CLAIMS + "emailaddress",
        "first_name": _CLAIMS + "givenname",
        "last_name": _CLAIMS + "surname",
        "roles": roles,
    }


_PLAIN: Mapping[str, Declared] = {
    "email": "email",
    "first_name": "firstName",
    "last_name": "lastName",
    "roles": "groups",
}
"""Where the customer's admin types the names: these are the ones in the vendors' own examples."""

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "entra": Preset(
            _claims(ENTRA_GROUPS),
            "https://learn.microsoft.com/en-us/entra/identity/hybrid/connect/how-to-connect-fed-group-claims",
        ),
        "okta": Preset(
            _PLAIN,
            "https://help.okta.com/oie/en-us/Content/Topics/apps/define-group-attribute-statements.htm",
        ),
        "onelogin": Preset(  # all groups in one value
            {
                "email": "User.email",
                "first_name": "User.FirstName",
                "last_name": "User.LastName",
                "roles": {"name": "memberOf", "separator": ";"},
            },
            "captured Responses of its SAML test connector (tests/shapes/vendors.py)",
        ),
        "google": Preset(
            _PLAIN,
            "https://knowledge.workspace.google.com/admin/apps/about-group-membership-mapping",
        ),
        "ping": Preset(
            _PLAIN,
            "https://developer.pingidentity.com/pingone-api/platform/applications/application-attribute-mapping.html",
        ),
        "keycloak": Preset(  # the predefined mappers "X500 …", and the client scope `role_list`
            {
                "email": "urn:oid:1.2.840.113549.1.9.1",
                "first_name": "urn:oid:2.5.4.42",
                "last_name": "urn:oid:2.5.4.4",
                "roles": "Role",
            },
            "https://www.keycloak.org/docs-api/latest/javadocs/org/keycloak/protocol/saml/mappers/package-summary.html",
        ),
        "adfs": Preset(
            _claims("http://schemas.xmlsoap.org/claims/Group"),
            "https://learn.microsoft.com/en-us/previous-versions/windows/it-pro/windows-server-2008-r2-and-2008/ee918712(v=ws.10)",
        ),
        "workspace-one": Preset(
            _PLAIN,
            "none: the names are the customer's admin's to choose, and these are what most choose",
        ),
    }
)

OVERAGE_LINKS: Mapping[str, str] = MappingProxyType({ENTRA_GROUPS_LINK: ENTRA_GROUPS})
"""An attribute that is sent in place of another that would be too long: its name to the other's.

https://learn.microsoft.com/en-us/entra/identity/hybrid/connect/how-to-connect-fed-group-claims: above 150 groups.
"""
