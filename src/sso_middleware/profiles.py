"""How one connection reads a person's country and department, and when the person is asked for them.

Pure: the page that asks, and what was answered before, are `flows`'.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .countries import CountryFormat, CountryReading, read_country
from .departments import Departments


@dataclass(frozen=True, slots=True)
class ProfilePolicy:
    country_format: CountryFormat = "any"
    ask_country: bool = False
    """Once, where none came that can be read."""
    force_country_selection: bool = False
    """Once, even if one came; it is what the page begins with."""
    departments: Departments = field(default_factory=Departments)
    ask_department: bool = False
    force_department_selection: bool = False

    def country_of(self, text: str) -> CountryReading:
        return read_country(text, self.country_format)

    def team_of(self, department: str | None) -> str | None:
        return self.departments.team_of(department)

    def asks_for_country(self, country: str | None) -> bool:
        """Of somebody who has not answered yet."""
        return self.force_country_selection or (self.ask_country and country is None)

    def asks_for_team(self, team: str | None) -> bool:
        """The same."""
        return self.force_department_selection or (self.ask_department and team is None)
