"""What the settings of attributes, country and department may not be together. Each rule is like `setting_rules`'s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from .departments import DepartmentsUnreadable, contradictions_in, read_departments_csv, selectable_teams

if TYPE_CHECKING:
    from .attribute_settings import AttributeMap
    from .departments import Team

Problems = Iterator[str]
Pairs = tuple[tuple[str, str], ...]


def _secondary_email_is_another(attributes: AttributeMap) -> Problems:
    secondary = attributes.secondary_email
    if secondary is not None and (secondary.name, secondary.name_format) == (
        attributes.email.name,
        attributes.email.name_format,
    ):
        yield "attributes.secondary_email: is the attribute of email; name another, or leave it out"


def _teams_are_a_tree(teams: tuple[Team, ...]) -> Problems:
    parents = {team.id: team.parent for team in teams}
    for team_id, count in Counter(team.id for team in teams).items():
        if count > 1:
            yield f"teams: {count} of them have the id {team_id!r}; give each its own"
    for team in teams:
        if team.parent is not None and team.parent not in parents:
            yield (
                f"teams: the parent {team.parent!r} of {team.id!r} is not listed; list it (it is never shown), or"
                " leave it out"
            )
        elif _comes_back(team.id, parents):
            yield f"teams: {team.id!r} is above itself; a parent's parents must come to an end"


def _comes_back(team_id: str, parents: Mapping[str, str | None]) -> bool:
    above = parents[team_id]
    seen: set[str] = set()
    while above is not None and above not in seen:
        seen.add(above)
        above = parents.get(above)
    return team_id in seen


def _there_are_teams_to_choose(
    teams: tuple[Team, ...], ask_department: bool, force_department_selection: bool
) -> Problems:
    for name, is_set in (
        ("ask_department", ask_department),
        ("force_department_selection", force_department_selection),
    ):
        if is_set and not selectable_teams(teams):
            yield f"{name}: there is no team to choose; list them as teams, or leave it out"


def _departments_are_mapped_once(departments: Pairs | None, departments_file: str | None) -> Problems:
    if departments and departments_file is not None:
        yield "departments: are mapped once more by departments_file; keep one of them"
    for contradiction in contradictions_in(departments or ()):
        yield f"departments: {contradiction}"


def _departments_have_teams(departments: Pairs | None, teams: tuple[Team, ...]) -> Problems:
    known = {team.id for team in teams}
    for department, team_id in departments or ():
        if known and team_id not in known:
            yield f"departments: {department!r} is mapped to {team_id!r}, which is not the id of a listed team"


def _departments_file_is_right(departments_file: str | None, teams: tuple[Team, ...]) -> Problems:
    if departments_file is not None:
        try:
            read_departments_csv(departments_file, teams)
        except DepartmentsUnreadable as error:
            yield from (f"departments_file: {problem}" for problem in error.problems)


PROFILE_RULES: tuple[Callable[..., Problems], ...] = (
    _secondary_email_is_another,
    _teams_are_a_tree,
    _there_are_teams_to_choose,
    _departments_are_mapped_once,
    _departments_have_teams,
    _departments_file_is_right,
)
