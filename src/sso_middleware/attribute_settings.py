"""Under which names, and by which rules, the attributes of an assertion are found: the settings.

A plain text is an exact Name; a table says more. What is read by them is `attribute_reading`'s, and what
the vendors send is `attribute_presets`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    field_validator,
    model_validator,
)

from .attribute_presets import PRESETS
from .setting_problems import did_you_mean
from .setting_values import Text

Values = Literal["first", "only", "all"]

_CONFIG = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)
_FORMATS = "urn:oasis:names:tc:SAML:2.0:attrname-format:"
_SHORT_FORMATS = ("unspecified", "uri", "basic")
UNSPECIFIED = f"{_FORMATS}unspecified"
"""SAML core 2.7.3.1: what an attribute without a NameFormat has."""


def _name_format(text: str) -> str:
    if text in _SHORT_FORMATS:
        return _FORMATS + text
    if ":" not in text or any(character.isspace() for character in text):
        raise ValueError('must be "uri", "basic", "unspecified", or a whole URI')
    return text


def _separator(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


class NamedAttribute(BaseModel):
    """How one attribute is found, and what is made of several values."""

    model_config = _CONFIG

    name: Text
    """To the letter: spelling, punctuation, upper and lower case."""
    name_format: Annotated[str, AfterValidator(_name_format)] | None = None
    """None: any. Else to the letter, too."""
    values: Values | None = None
    """The first one that is not empty; or the only one, else the person is refused; or all. None: by field."""
    separator: Annotated[str, AfterValidator(_separator)] | None = None
    """One value holds several, with this in between."""

    if TYPE_CHECKING:

        def __init__(self, /, **values: Any) -> None: ...


_TEXT: TypeAdapter[str] = TypeAdapter(Text)


def _as_table(value: object) -> object:
    """A name by itself is told of by itself when it is wrong."""
    return {"name": _TEXT.validate_python(value)} if isinstance(value, str) else value


Sent = Annotated[NamedAttribute, BeforeValidator(_as_table)]


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(f"must be one of {', '.join(PRESETS)}{did_you_mean(name, PRESETS)}")
    return name


class AttributeMap(BaseModel):
    """Under which exact names the identity provider sends what. A text in its place names a preset."""

    model_config = _CONFIG

    if TYPE_CHECKING:  # a checker would make up an __init__ that wants a NamedAttribute where a text will do

        def __init__(self, /, **values: Any) -> None: ...

    preset: Annotated[str, AfterValidator(_preset)] | None = None
    """Whose names are the defaults of those below."""
    email: Sent = NamedAttribute(name="Email")
    first_name: Sent = NamedAttribute(name="FirstName")
    last_name: Sent = NamedAttribute(name="LastName")
    secondary_email: Sent | None = None
    """By which a person whose e-mail address has changed is found, too."""
    country: Sent = NamedAttribute(name="Country")
    department: Sent = NamedAttribute(name="department")
    roles: Sent = NamedAttribute(name="role_mapping")
    principal_id: Sent | None = None
    """A lasting id of the person, where the NameID is not one."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_preset(cls, given: object) -> object:
        if isinstance(given, str):
            if given not in PRESETS:
                raise ValueError(f"must be a table, or one of {', '.join(PRESETS)}{did_you_mean(given, PRESETS)}")
            given = {"preset": given}
        if not isinstance(given, Mapping):
            return given
        preset = PRESETS.get(str(given.get("preset")))
        return given if preset is None else {**preset.attributes, **given}

    @field_validator("email", "first_name", "last_name", "secondary_email", "country", "department", mode="after")
    @classmethod
    def _is_one(cls, named: NamedAttribute | None) -> NamedAttribute | None:
        if named is not None and named.values == "all":
            raise ValueError('values = "all" is for roles; one value is wanted here: "first" or "only"')
        return named

    @field_validator("principal_id", mode="after")
    @classmethod
    def _is_kept_to_the_letter(cls, named: NamedAttribute | None) -> NamedAttribute | None:
        if named is not None and (named.values not in (None, "only") or named.separator is not None):
            raise ValueError('is taken as it came, and must be one: leave separator out, and values = "only"')
        return named
