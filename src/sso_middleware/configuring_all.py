"""All that one actor can change at run time, in one value."""

from __future__ import annotations

from .account_admins import AccountAdmins
from .configuring import Desk
from .connection_admin import ConnectionAdmin
from .domain_admin import DomainAdmin


class Configuring:
    def __init__(self, desk: Desk) -> None:
        self.connections = ConnectionAdmin(desk)
        self.domains = DomainAdmin(desk)
        self.admins = AccountAdmins(desk)
