"""What a person is to be asked on the first-login page, what an answer may be, and whom the host is told of then.

Pure. An answer is kept for good. What the identity provider says counts more, unless the connection wants
the person to choose; an answer counts no longer when it is no choice any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .countries import is_country
from .hooks import Identity
from .profiles import ProfilePolicy

Question = Literal["country", "team"]
QUESTIONS: tuple[Question, ...] = ("country", "team")


def questions_for(identity: Identity, answers: Mapping[str, str], policy: ProfilePolicy) -> tuple[Question, ...]:
    """What is missing, or is to be chosen whatever came, and was not answered yet. `identity`: as asserted."""
    asked = {
        "country": policy.asks_for_country(identity.country),
        "team": policy.asks_for_team(identity.team) and bool(policy.departments.selectable),
    }
    return tuple(name for name in QUESTIONS if asked[name] and not may_answer(name, answers.get(name), policy))


def may_answer(question: Question, answer: str | None, policy: ProfilePolicy) -> bool:
    """Whether it is one of the choices, to the letter. A parent team is none."""
    if not answer:
        return False
    return is_country(answer) if question == "country" else policy.departments.is_selectable(answer)


def with_answers(identity: Identity, answers: Mapping[str, str], policy: ProfilePolicy) -> Identity:
    """As the host is to be told, `identity` being as asserted."""
    country, team = (_answer_to(name, answers, policy) for name in QUESTIONS)
    if country and (identity.country is None or policy.force_country_selection):
        identity = replace(identity, country=country)
    if team and (identity.team is None or policy.force_department_selection):
        identity = replace(identity, team=team)
    return identity


def _answer_to(question: Question, answers: Mapping[str, str], policy: ProfilePolicy) -> str | None:
    answer = answers.get(question)
    return answer if may_answer(question, answer, policy) else None


@dataclass(frozen=True, slots=True)
class TeamGroup:
    """Teams that belong below one that can't be chosen itself. `name` is empty for those that belong below none."""

    name: str
    teams: Sequence[tuple[str, str]]
    """Id and name."""


def team_groups(policy: ProfilePolicy) -> list[TeamGroup]:
    """All that may be chosen, in the order in which the operator lists them."""
    by_id = {team.id: team for team in policy.departments.teams}

    def path(parent: str | None) -> str:
        team = by_id.get(parent or "")
        return "" if team is None else " / ".join(filter(None, (path(team.parent), team.name)))

    groups: dict[str, list[tuple[str, str]]] = {}
    for team in policy.departments.selectable:
        groups.setdefault(path(team.parent), []).append((team.id, team.name))
    return [TeamGroup(name, teams) for name, teams in groups.items()]
