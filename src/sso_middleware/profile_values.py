"""Read the values of a connection's settings of departments. Like `setting_values`, which see."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from .departments import DepartmentsUnreadable, decode_csv
from .setting_problems import SeveralProblems


def _csv_text(value: object) -> object:
    """CSV as it is, which has several lines; one line names a file, whose text it is."""
    if isinstance(value, str) and "\n" in value:
        return value
    if not isinstance(value, str | Path):
        raise ValueError("must be the path of a CSV file, or CSV")
    try:
        content = Path(value).read_bytes()
    except (OSError, ValueError):
        raise ValueError("names no file that can be read") from None
    try:
        return decode_csv(content) + "\n"  # so that it is told from a path when it is read again
    except DepartmentsUnreadable as error:
        raise SeveralProblems(f"departments_file: {problem}" for problem in error.problems) from None


def _pairs(value: object) -> object:
    """A table as pairs, which can be hashed as settings must be, and can be read again."""
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, list | tuple) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs
    ):
        raise ValueError("must be a table of departments and ids of teams")
    problems = [
        f"departments: {'a department' if not _is_text(department) else f'the team of {department!r}'} is not a text,"
        " or is empty"
        for department, team in pairs
        if not _is_text(department) or not _is_text(team)
    ]
    if problems:
        raise SeveralProblems(problems)
    return tuple((department.strip(), team.strip()) for department, team in pairs)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


CsvText = Annotated[str, BeforeValidator(_csv_text)]
DepartmentPairs = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_pairs)]
