"""Find a person's attributes in what a verified assertion states, by a connection's declared rules.

Pure, and small on purpose: only the exact Name counts, and the NameFormat where one is declared (TEN-012);
FriendlyName never came this far. Repeated attributes add up. Who the person is then is `flows.provisioning`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .attribute_presets import OVERAGE_LINKS, PRESETS, Preset
from .attribute_settings import UNSPECIFIED, AttributeMap, NamedAttribute, Values
from .errors import AttributeAmbiguous
from .saml.assertion import Attribute

_RULES: Mapping[str, Values] = {"principal_id": "only", "roles": "all"}
"""What is made of several values where nothing is declared; of all other fields the first."""
_IN_WORDS = {"principal_id": "the principal id"}

LONGEST_NAME = 80
MOST_NAMES = 20


@dataclass(frozen=True, slots=True)
class StatedAttributes:
    """What came, by field; empty where nothing did. All but the principal id without blanks around it."""

    email: str = field(repr=False)
    first_name: str = field(repr=False)
    last_name: str = field(repr=False)
    secondary_email: str = field(repr=False)
    country: str
    department: str
    roles: tuple[str, ...]
    roles_overage: bool
    """More groups than the identity provider sends, so it sent none: not the same as being in no group."""
    principal_id: str | None = field(repr=False)
    """None where the connection names no such attribute."""


def read_attributes(attributes: Iterable[Attribute], names: AttributeMap) -> StatedAttributes:
    """Raises AttributeAmbiguous for several different values where one is wanted."""
    came = tuple(attributes)

    def first(name: str) -> str:
        return next((value.strip() for value in _chosen(came, names, name)), "")

    principal_ids = _chosen(came, names, "principal_id")
    roles = tuple(value.strip() for value in _chosen(came, names, "roles"))
    return StatedAttributes(
        email=first("email"),
        first_name=first("first_name"),
        last_name=first("last_name"),
        secondary_email=first("secondary_email"),
        country=first("country"),
        department=first("department"),
        roles=roles,
        roles_overage=_is_overage(came, names.roles, roles),
        principal_id=None if names.principal_id is None else next(iter(principal_ids), ""),
    )


def values_by_name(attributes: Iterable[Attribute]) -> dict[str, tuple[str, ...]]:
    """All values of an attribute in document order; a repeated attribute adds to them (Keycloak, PRO-047)."""
    held: dict[str, tuple[str, ...]] = {}
    for attribute in attributes:
        held[attribute.name] = (*held.get(attribute.name, ()), *attribute.values)
    return held


def _chosen(came: Iterable[Attribute], names: AttributeMap, name: str) -> tuple[str, ...]:
    named: NamedAttribute | None = getattr(names, name)
    if named is None:
        return ()
    values = tuple(_values_of(came, named))
    rule = named.values or _RULES.get(name, "first")
    if rule == "only":
        # To the letter for a principal id: two that differ in a blank are two people at the provider.
        different = dict.fromkeys(value if name == "principal_id" else value.strip() for value in values)
        if len(different) > 1:
            raise AttributeAmbiguous(
                f"the attribute {shown(named.name)} came with {len(different)} different values, and"
                f" {_IN_WORDS.get(name, name)} must be one"
            )
    return values if rule == "all" else values[:1]


def _values_of(came: Iterable[Attribute], named: NamedAttribute) -> Iterator[str]:
    """Those that are not empty; an attribute without any is as good as none."""
    for attribute in came:
        if attribute.name == named.name and _has_format(attribute, named):
            for value in attribute.values:
                parts = [value] if named.separator is None else value.split(named.separator)
                yield from (part for part in parts if part.strip())


def _has_format(attribute: Attribute, named: NamedAttribute) -> bool:
    return named.name_format is None or (attribute.name_format or UNSPECIFIED) == named.name_format


def _is_overage(came: Iterable[Attribute], named: NamedAttribute, roles: Collection[str]) -> bool:
    """Whether a link stands for the roles: in their very place, or where none came."""
    return any(
        named.name == OVERAGE_LINKS[attribute.name] or not roles
        for attribute in came
        if attribute.name in OVERAGE_LINKS
    )


# What is missing


def tell_missing(missing: Iterable[str], names: AttributeMap, attributes: Iterable[Attribute]) -> str:
    """For the admin: what was expected, and which names came, so that a spelling is seen. Never a value."""
    came = tuple(attributes)
    wanted = [(field, named) for field in missing if (named := getattr(names, field)) is not None]
    told = [
        f"{_IN_WORDS.get(field, field)}: expected an attribute named {shown(named.name)}{_hint(named, came)}"
        for field, named in wanted
    ]
    return f"the assertion has no value for {'; for '.join(told)}. {_what_came(came)}{_preset_hint(wanted, came)}"


def shown(name: str) -> str:
    """A name as it came, with nothing in it that a log or a terminal would obey."""
    return repr(name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "…")


def _hint(named: NamedAttribute, came: Iterable[Attribute]) -> str:
    same = [attribute for attribute in came if attribute.name == named.name]
    if any(_has_format(attribute, named) for attribute in same):
        return " (it came empty)"
    if same:
        expected = shown(named.name_format or UNSPECIFIED)
        return f" (it came with NameFormat {shown(same[0].name_format or UNSPECIFIED)}, expected {expected})"
    similar = next((a.name for a in came if _letters(a.name) == _letters(named.name)), None)
    return "" if similar is None else f" (it is spelt {shown(similar)} there)"


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold())) or name


def _what_came(came: Iterable[Attribute]) -> str:
    names = list(dict.fromkeys(attribute.name for attribute in came))
    if not names:
        return "No attribute came at all"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"Attributes that came: {', '.join(map(shown, names[:MOST_NAMES]))}{more}"


def _preset_hint(wanted: Collection[tuple[str, NamedAttribute]], came: Iterable[Attribute]) -> str:
    names = {attribute.name for attribute in came}
    fitting = [
        preset
        for preset, row in PRESETS.items()
        if all(_name_of(field, row) in names - {named.name} for field, named in wanted)
    ]
    return f'. The preset "{fitting[0]}" would find them' if fitting else ""


def _name_of(field: str, preset: Preset) -> str | None:
    declared = preset.attributes.get(field)
    return declared if declared is None or isinstance(declared, str) else declared["name"]
