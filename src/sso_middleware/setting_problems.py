"""Say what is wrong with settings: pydantic's errors in our words, with the setting's name, never its value."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MAKE_A_KEY = 'make one with: python -c "import secrets; print(secrets.token_urlsafe(48))"'

_HOW_TO_GIVE = {"secret_keys": MAKE_A_KEY}
_WORDS = {
    "tuple_type": "must be a list",
    "string_type": "must be a text",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "mapping_type": "must be a table",
}


class SeveralProblems(ValueError):
    """One setting, several problems, each in whole words."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def problems_in(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    details = error.errors(include_url=False, include_input=False)
    meant = _meant(details, model)
    for detail in details:
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, SeveralProblems):
            yield from cause.problems
        elif detail["type"] == "extra_forbidden":
            yield _unknown(detail["loc"], model)
        elif detail["type"] != "missing":
            yield f"{_path(detail['loc'])}: {_words(detail, cause)}"
        elif detail["loc"] not in meant:
            path = _path(detail["loc"])
            yield f"{path}: is missing; {_HOW_TO_GIVE.get(path, 'it must be given')}"


def misspelt(error: ValidationError, model: type[BaseModel], given: Collection[str]) -> Iterator[str]:
    """The settings that somebody meant to give: whatever their defaults contradict would be told in vain."""
    for location in _meant(error.errors(include_url=False, include_input=False), model):
        name = str(location[0])
        if len(location) == 1 and name not in given:
            yield name


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The end of a sentence; empty if nothing is near."""
    close = _closest(name, names)
    return f"; did you mean {close}?" if close else ""


def _closest(name: str, names: Iterable[str]) -> str | None:
    return next(iter(get_close_matches(name, list(names), n=1, cutoff=0.6)), None)


def _words(detail: ErrorDetails, cause: object) -> str:
    if isinstance(cause, ValueError):
        return str(cause)
    return _WORDS.get(detail["type"], detail["msg"].replace("Input should be", "must be"))


def _unknown(location: Sequence[int | str], model: type[BaseModel]) -> str:
    return f"{_path(location)}: there is no such setting{did_you_mean(str(location[-1]), _names_at(location, model))}"


def _meant(details: Iterable[ErrorDetails], model: type[BaseModel]) -> set[tuple[int | str, ...]]:
    """Where a misspelt name belongs, as far as it can be told."""
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    close = [(loc, _closest(str(loc[-1]), _names_at(loc, model))) for loc in unknown]
    return {(*location[:-1], name) for location, name in close if name}


def _names_at(location: Sequence[int | str], model: type[BaseModel]) -> Iterable[str]:
    """`attributes.emial` is looked up among the names of `attributes`."""
    for part in location[:-1]:
        if not isinstance(part, int):  # else one of a list, whose model is known already
            model = next(_models_in(model.model_fields[part].annotation), model)
    return model.model_fields


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """`Team` of `tuple[Team, ...]`, and of `Team | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _path(location: Sequence[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
