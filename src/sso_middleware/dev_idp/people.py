"""Who can sign in at the dev IdP: people of two organizations, with what a real IdP would say about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """`id` is what the sign-in form posts; `attributes` is what assertions state."""

    id: str
    first_name: str
    last_name: str
    email: str
    country: str
    department: str
    roles: tuple[str, ...]
    groups: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        return {
            "Email": (self.email,),
            "FirstName": (self.first_name,),
            "LastName": (self.last_name,),
            "Country": (self.country,),
            "department": (self.department,),
            "role_mapping": self.roles,
            "groups": self.groups,
            "UserPrincipalId": (f"dev-{self.id}",),
        }


PEOPLE = (
    Person("ada", "Ada", "Lovelace", "ada@acme.example", "GB", "Engineering", ("admin",), ("staff", "engineers")),
    Person("grace", "Grace", "Hopper", "grace@acme.example", "US", "Engineering", ("editor", "viewer"), ("staff",)),
    Person("bob", "Bob", "Ångström", "bob@acme.example", "SE", "Finance", ("viewer",), ("staff", "finance")),
    Person("carol", "Carol", "Shaw", "carol@globex.example", "DE", "Sales", ("editor",), ("all",)),
)
