"""Nobody makes a domain exclusive whose people could then be locked out, unless they say that they mean it."""

from __future__ import annotations

from .configuring import Desk
from .connection import Connection, Connections
from .errors import LockOutRisked
from .way_back import risks_of_enforcing, ways_back_of


def check_no_lock_out(desk: Desk, connection: Connection, connections: Connections, what: str, *, force: bool) -> None:
    """Raises LockOutRisked with all that is missing; with `force` it is told as an event instead."""
    back = ways_back_of(desk.site.settings, connection, connections.admins_of(connection.organization), desk.hooks)
    risks = risks_of_enforcing(connection, back)
    if risks and not force:
        raise LockOutRisked(f"{what} can't be enforced yet: {'; and '.join(risks)}")
    if risks:
        desk.tell("lock_out_risked", connection.id, {"what": what, "risk": "; ".join(risks)}, is_loud=True)
