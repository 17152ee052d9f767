"""The settings of one form of the host's that is intercepted: where it is posted to, and what its fields are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator

from .connection_settings import Checked
from .errors import ConfigurationError
from .setting_problems import SeveralProblems
from .setting_values import PathPrefix, Text

FormKind = Literal["login", "registration", "reset"]
Method = Literal["POST", "PUT", "PATCH"]


def _names(value: object) -> object:
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list | tuple) and not names:
        raise ValueError("must name at least one field")
    return names


class InterceptSettings(Checked):
    """A form of the host's in which people give their e-mail address: those who must come by SSO are sent there."""

    if TYPE_CHECKING:  # a checker would make up an __init__ that wants a tuple where a text will do

        def __init__(self, /, **values: Any) -> None: ...

    path: PathPrefix
    """Where it is posted to: this very path below the mount, in any case, with or without a slash at its end."""
    field: Annotated[tuple[Text, ...], BeforeValidator(_names)]
    """What the field of the e-mail address is called; several names where any of them is read."""
    kind: FormKind
    """What the form is for."""
    methods: tuple[Method, ...] = ("POST",)
    """POST is always one of them, since others can be sent within it."""
    next: Text = "next"
    """What the field, or the parameter of the query, is called that says where the person was going."""


def read_intercepts(value: object) -> tuple[InterceptSettings, ...]:
    """Each by itself, so that one that is wrong hides no other's problems. Raises SeveralProblems."""
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of tables ([[intercept]] in TOML)")
    read: list[InterceptSettings] = []
    problems: list[str] = []
    for index, declared in enumerate(value):
        if isinstance(declared, InterceptSettings):
            read.append(declared)
        elif not isinstance(declared, Mapping):
            problems.append(f"intercept[{index}]: must be a table")
        else:
            try:
                read.append(InterceptSettings(**declared))
            except ConfigurationError as error:
                problems += [f"intercept[{index}].{problem}" for problem in error.problems]
    if problems:
        raise SeveralProblems(problems)
    return tuple(read)
