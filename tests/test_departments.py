"""From a department to a team: the comparison, the choice, and the CSV file with all its mistakes."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sso_middleware.departments import (
    Departments,
    DepartmentsUnreadable,
    Team,
    fold,
    folded,
    read_departments_csv,
    selectable_teams,
)

SALES = Team(id="sales", name="Sales")
EMEA = Team(id="emea", name="Sales EMEA", parent="sales")
APAC = Team(id="apac", name="Sales APAC", parent="sales")
LEGAL = Team(id="legal", name="Legal")
TEAMS = (SALES, EMEA, LEGAL, APAC)
HEAD = "department,team\n"


def problems(content: bytes | str, teams: tuple[Team, ...] = ()) -> tuple[str, ...]:
    with pytest.raises(DepartmentsUnreadable) as refused:
        read_departments_csv(content, teams)
    assert str(refused.value) == "\n".join(refused.value.problems)
    return refused.value.problems


# Comparing and choosing


def test_a_department_is_compared_exactly_but_for_case_and_blanks() -> None:
    """An accent, a hyphen or a blank inside makes another one of it; how an ü is put together does not."""
    table = Departments(folded({" Vertrieb Süd ": "emea"}))

    for same in ("Vertrieb Süd", "VERTRIEB SÜD", " vertrieb süd\t", "Vertrieb Su\u0308d"):
        assert table.team_of(same) == "emea"
    for other in ("Vertrieb Sud", "Vertrieb-Süd", "Vertrieb  Süd", "Vertrieb", "", None):
        assert table.team_of(other) is None


def test_a_parent_is_never_offered() -> None:
    """The others are, in the order in which they are listed. An answer must be one of them."""
    table = Departments(teams=TEAMS)

    assert selectable_teams(TEAMS) == table.selectable == (EMEA, LEGAL, APAC)
    assert [table.is_selectable(id) for id in ("emea", "sales", "EMEA", "nobody", "")] == [True, *[False] * 4]
    assert selectable_teams(()) == ()


def test_a_department_may_lead_to_a_parent() -> None:
    """The operator says so, in a table; only people are not asked for it."""
    assert read_departments_csv(f"{HEAD}Sales,sales\n", TEAMS) == {"Sales": "sales"}


# CSV


@pytest.mark.parametrize(
    "content",
    [
        "department,team\nSales EMEA,emea\nLegal,legal\n",
        "department;team\r\nSales EMEA;emea\r\nLegal;legal\r\n",
        "department\tteam\nSales EMEA\temea\nLegal\tlegal",
        '\ufeffTeam , note, DEPARTMENT\nemea,x, Sales EMEA\n\n,,\n legal ,"a, b",Legal\n',
        'department,team\n"Sales EMEA","emea"\nLegal,legal\nlegal,legal\n',
        "department,team\nSales EMEA,emea,,\nLegal,legal\n",
        "department;team\rSales EMEA;emea\rLegal;legal\r",
        '\ufeff"department","team"\n"Sales EMEA","emea"\n"Legal","legal"\n',
    ],
)
def test_what_spreadsheets_write_is_read(content: str) -> None:
    """Commas, semicolons or tabs; columns in any order; a mark in front; blank lines; the same twice."""
    for given_content in (content, content.encode()):
        table = read_departments_csv(given_content, TEAMS)
        assert folded(table) == {"sales emea": "emea", "legal": "legal"}


def test_every_mistake_is_told_at_once_by_line() -> None:
    """The line is where the row begins, also where a cell goes over several."""
    content = (
        'department,team\nSales,sales\n,emea\nLegal,\n"Two\nlines",nowhere\nSALES ,emea\nSupport, second line,legal\n'
    )

    assert problems(content, TEAMS) == (
        "line 3: the department is empty",
        "line 4: the team is empty",
        "line 5: there is no team 'nowhere'",
        "line 7: 'SALES' has another team than in line 2",
        "line 8: has more cells than the first line; is a name with a comma in it quoted?",
        "line 8: there is no team 'second line'",
    )


def test_a_row_that_lacks_something_contradicts_nothing() -> None:
    """What it lacks is told, once; the contradiction of the others is told as well."""
    rows = "Legal,\nLegal,legal\n,emea\n,apac\nLEGAL,emea\n"

    assert problems(HEAD + rows, TEAMS) == (
        "line 2: the team is empty",
        "line 4: the department is empty",
        "line 5: the department is empty",
        "line 6: 'LEGAL' has another team than in line 3",
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", 'line 1: has no column "department"'),
        ("dept,team\nA,1\n", 'line 1: has no column "department"'),
        ("department\nA\n", 'line 1: has no column "team"'),
        ("team,department,Team\n1,A,2\n", 'line 1: has two columns "team"'),
        (b"\xff\xfed\x00", 'line 1: is UTF-16; save it as "CSV UTF-8"'),
        ("department,team\nA,1\nSüd,2\n".encode("latin-1"), 'line 3: is not UTF-8; save it as "CSV UTF-8"'),
        (f'{HEAD}A,1\n"B,2\n', "line 3: is not CSV"),
        (f'{HEAD}"A"x,1\n', "line 2: is not CSV"),
        (f"{HEAD}{'x' * 200_000},1\n", "line 2: is not CSV"),
    ],
)
def test_what_is_no_such_file_is_told(content: bytes | str, problem: str) -> None:
    """With the line, and what to do in a spreadsheet."""
    assert problems(content)[0].startswith(problem)


def test_an_empty_table_is_one() -> None:
    """Nothing is mapped, and nothing is wrong."""
    assert read_departments_csv(HEAD) == {}


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=8), max_size=8))
def test_what_a_program_writes_comes_back(table: dict[str, str]) -> None:
    """Any letters, quotes, commas and line ends, as the csv module writes them."""
    rows = {key: value for key, value in table.items() if key.strip() and value.strip()}
    one_each = {fold(key): (key, value) for key, value in rows.items()}
    written = io.StringIO(newline="")
    writer = csv.writer(written)
    writer.writerows([("department", "team"), *one_each.values()])

    read = read_departments_csv(written.getvalue().encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass"))

    assert folded(read) == {key: value.strip() for key, (_, value) in one_each.items()}


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_a_table_or_are_told(content: bytes) -> None:
    """Never anything else: an upload may be a picture."""
    for whole in (content, HEAD.encode() + content):
        try:
            read = read_departments_csv(whole)
        except DepartmentsUnreadable:
            continue
        assert all(department and team for department, team in read.items())
