"""Tell in good time when a certificate ends: an identity provider's, or one of our own keys'.

Nothing stops working on that day: a certificate only carries a key (Kantara IIP-MD11). But somebody may
be about to change it, or an identity provider may be stricter than we are. Each is told once a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from .connections import Connection
from .events import Event
from .saml.certificates import fingerprint, read_certificate
from .saml.parties import PinnedKey
from .stores.records import Store

STEPS = (timedelta(days=1), timedelta(days=7), timedelta(days=30), timedelta(days=60))
REMEMBERED = timedelta(days=30)
"""After the end of the certificate. By then it is gone, or nobody minds."""


def warn_of_certificates(
    connections: Iterable[Connection],
    own: Iterable[str],
    store: Store,
    tell: Callable[[Event], None],
    now: datetime,
) -> None:
    """An event for each certificate that has come to a step. `own` are ours, in PEM."""
    for connection in connections:
        for key in connection.identity_provider.keys if connection.identity_provider else ():
            _warn("idp_certificate_expiring", key, connection.id, store, tell, now)
    for certificate in own:
        _warn("own_certificate_expiring", read_certificate(certificate), None, store, tell, now)


def _warn(
    code: str,
    key: PinnedKey,
    connection_id: str | None,
    store: Store,
    tell: Callable[[Event], None],
    now: datetime,
) -> None:
    step = next((step for step in STEPS if key.not_after - now <= step), None)
    if step is None or key.not_after + REMEMBERED <= now:
        return
    shown = fingerprint(key.certificate)
    if store.claim_notice(f"{code}/{connection_id or ''}/{shown}/{step.days}", key.not_after + REMEMBERED):
        left = (key.not_after - now).days
        detail = {"ends": f"{key.not_after:%Y-%m-%d}", "days_left": str(max(left, 0)), "sha256": shown}
        tell(Event(code=code, at=now, connection_id=connection_id, detail=detail))
