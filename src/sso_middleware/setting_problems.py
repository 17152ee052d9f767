"""Say what is wrong with settings: pydantic's errors in our words, with the setting's name, never its value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_WORDS = {
    "missing": "is missing; it must be given",
    "tuple_type": "must be a list",
    "string_type": "must be a text",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "model_type": "must be a table",
}


class SeveralProblems(ValueError):
    """One setting, several problems, each in whole words."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def problems_in(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    for detail in error.errors(include_url=False, include_input=False):
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, SeveralProblems):
            yield from cause.problems
        elif detail["type"] == "extra_forbidden":
            yield _unknown(detail["loc"], model)
        else:
            yield f"{_path(detail['loc'])}: {_words(detail, cause)}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The end of a sentence; empty if nothing is near."""
    close = get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _words(detail: ErrorDetails, cause: object) -> str:
    if isinstance(cause, ValueError):
        return str(cause)
    return _WORDS.get(detail["type"], detail["msg"].replace("Input should be", "must be"))


def _unknown(location: Sequence[int | str], model: type[BaseModel]) -> str:
    """`attributes.emial` is looked up among the names of `attributes`."""
    for part in location[:-1]:
        annotation = model.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return f"{_path(location)}: there is no such setting{did_you_mean(str(location[-1]), model.model_fields)}"


def _path(location: Sequence[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
