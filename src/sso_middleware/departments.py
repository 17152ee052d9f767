"""To which of the host's teams a department belongs, and which teams a person may choose from.

Pure. A department is compared exactly, but for blanks around it and for upper and lower case: "sales emea"
is "Sales EMEA", and "Sales-EMEA" is not. Reading the table from a file is here as well; asking the person is
the first-login page's.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from .setting_values import Text

if TYPE_CHECKING:
    from _csv import Reader

COLUMNS = ("department", "team")
_DELIMITERS = ",;\t"
"""Spreadsheets write a semicolon where the comma is a decimal one."""


class Team(BaseModel):
    """One of the host's, as the operator lists it. A team that is another listed one's parent is never shown."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: Text
    """The host's own."""
    name: Text
    parent: Text | None = None
    """The id of another listed team."""


@dataclass(frozen=True, slots=True)
class Departments:
    """The table of one connection."""

    by_department: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    """Folded department to the team's id."""
    teams: tuple[Team, ...] = ()

    def team_of(self, department: str | None) -> str | None:
        """The host's id of the team; None if the department is not mapped."""
        return None if department is None else self.by_department.get(fold(department))

    @property
    def selectable(self) -> tuple[Team, ...]:
        return selectable_teams(self.teams)

    def is_selectable(self, team_id: str) -> bool:
        """Whether a person may answer with it."""
        return any(team.id == team_id for team in self.selectable)


class DepartmentsUnreadable(ValueError):
    """`problems` are all of them, each with the number of its line."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def fold(department: str) -> str:
    """What two ways to write the same department have in common. An ü is one, however it is put together."""
    return unicodedata.normalize("NFC", department.strip().casefold())


def selectable_teams(teams: Iterable[Team]) -> tuple[Team, ...]:
    """Those that a person may choose, in the listed order: no parent of another one."""
    listed = tuple(teams)
    parents = {team.parent for team in listed}
    return tuple(team for team in listed if team.id not in parents)


def read_departments_csv(content: bytes | str, teams: Iterable[Team] = ()) -> dict[str, str]:
    """Department, as written, to team id. Raises DepartmentsUnreadable with every problem.

    The first line names the columns, in any order: department, team; others are left alone. With commas,
    semicolons or tabs. `teams`: those that there are; none given: any id will do.
    """
    text = decode_csv(content) if isinstance(content, bytes) else content.removeprefix("\ufeff")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    known = {team.id for team in teams}
    try:
        columns = _columns(next(reader, []))
        rows = list(_rows(reader, columns))
    except csv.Error as error:
        raise DepartmentsUnreadable([f"line {reader.line_num}: is not CSV ({error})"]) from None
    problems = [problem for row in rows for problem in _problems_of(row, known)]
    problems += _contradictions(rows)
    if problems:
        raise DepartmentsUnreadable(sorted(problems, key=_line_of))
    return {row.department: row.team for row in rows}


def decode_csv(content: bytes) -> str:
    """UTF-8, with a byte order mark or without. Raises DepartmentsUnreadable."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DepartmentsUnreadable(['line 1: is UTF-16; save it as "CSV UTF-8"'])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DepartmentsUnreadable([f'line {line}: is not UTF-8; save it as "CSV UTF-8"']) from None


def folded(table: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({fold(department): team for department, team in table.items()})


def contradictions_in(table: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Departments that are one, and are mapped to different teams."""
    first: dict[str, tuple[str, str]] = {}
    for department, team in table:
        other, its_team = first.setdefault(fold(department), (department, team))
        if its_team != team:
            yield f"{department!r} is the same as {other!r}, and is mapped to another team; take one out"


# One file


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    department: str
    team: str
    has_more: bool


def _delimiter(text: str) -> str:
    header = re.split(r"[\r\n]", text, maxsplit=1)[0]
    return max(_DELIMITERS, key=header.count)


def _columns(header: list[str]) -> tuple[int, int, int]:
    """Where the two are, and how many there are."""
    names = [name.strip().lower() for name in header]
    missing = [f'line 1: has no column "{column}"' for column in COLUMNS if column not in names]
    twice = [f'line 1: has two columns "{column}"' for column in COLUMNS if names.count(column) > 1]
    if missing or twice:
        raise DepartmentsUnreadable([*missing, *twice])
    department, team = (names.index(column) for column in COLUMNS)
    return department, team, len(names)


def _rows(reader: Reader, columns: tuple[int, int, int]) -> Iterator[_Row]:
    department, team, width = columns
    before = reader.line_num
    for cells in reader:
        line, before = before + 1, reader.line_num  # a quoted cell may go over several lines: the first is told
        stripped = [cell.strip() for cell in (*cells, *[""] * width)]
        if any(stripped):
            yield _Row(line, stripped[department], stripped[team], has_more=any(stripped[width:]))


def _problems_of(row: _Row, known: Collection[str]) -> Iterator[str]:
    if row.has_more:
        yield f"line {row.line}: has more cells than the first line; is a name with a comma in it quoted?"
    for column, cell in zip(COLUMNS, (row.department, row.team), strict=True):
        if not cell:
            yield f"line {row.line}: the {column} is empty"
    if row.team and known and row.team not in known:
        yield f"line {row.line}: there is no team {row.team!r}"


def _contradictions(rows: Iterable[_Row]) -> Iterator[str]:
    first: dict[str, _Row] = {}
    for row in rows:
        if not (row.department and row.team):
            continue  # told already, and no table's
        other = first.setdefault(fold(row.department), row)
        if other.team != row.team:
            yield f"line {row.line}: {row.department!r} has another team than in line {other.line}"


def _line_of(problem: str) -> int:
    return int(problem.removeprefix("line ").partition(":")[0])
