"""The one thing to do next with a connection, from nothing to an enforced domain: a command, or words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from .connection import Connection, Domain
from .ways_back import WayBack


def next_step(connection: Connection, domains: Sequence[Domain], back: Collection[WayBack], *, has_mail: bool) -> str:
    return next(_steps(connection, domains, back, has_mail), "nothing: it is in use")


def _steps(
    connection: Connection, domains: Sequence[Domain], back: Collection[WayBack], has_mail: bool
) -> Iterator[str]:
    """All that is left to do, in order."""
    id, is_declared = connection.id, connection.is_declared
    if connection.state == "disabled":
        yield f"sso-middleware connections activate {id}"
    if connection.trusted is None and is_declared:
        yield f"sso-middleware metadata refresh {id}"
    elif connection.trusted is None:
        yield f"sso-middleware connections set {id} metadata_url=https://…   (or --metadata-file FILE)"
    if not domains and connection.domains is not None:
        yield f"sso-middleware domains add DOMAIN --connection {id}"
    yield from (f"sso-middleware domains verify {domain.name}" for domain in domains if not domain.is_verified)
    if connection.test_passed_at is None:
        yield f"sso-middleware connections test {id}"
    if connection.state != "active":
        yield f"sso-middleware connections activate {id}"
    if not any(way.works for way in back):
        by_mail = f"sso-middleware admins add EMAIL --connection {id}"
        yield by_mail if has_mail else f"sso-middleware connections exclude {id} EMAIL EMAIL"
    for domain in domains if not is_declared else ():
        if domain.mode == "offer":
            yield f"sso-middleware domains mode {domain.name} exclusive"
