"""What a session and a LogoutRequest for it have in common: the whole NameID of one connection, as a hash."""

from __future__ import annotations

import hashlib
import json

from ..connections import Connection
from ..saml.assertion import NAME_ID_UNSPECIFIED, NameID


def logout_key(connection: Connection, name_id: NameID) -> str:
    """Equal for the same person of the same connection only (SLO-008).

    SAML core 2.2.2, 8.3: a qualifier that is left out means the identity provider, or us; a format that is
    left out is unspecified.
    """
    identity_provider = connection.identity_provider
    parts = [
        connection.id,
        name_id.format or NAME_ID_UNSPECIFIED,
        name_id.name_qualifier or (identity_provider.entity_id if identity_provider else None),
        name_id.sp_name_qualifier or connection.service_provider.entity_id,
        name_id.value,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
