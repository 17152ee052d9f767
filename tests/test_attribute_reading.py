"""The rules by which attributes are found: names, formats, several values, and what is told of missing ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sso_middleware.attribute_presets import ENTRA_GROUPS, ENTRA_GROUPS_LINK, PRESETS
from sso_middleware.attribute_reading import MOST_NAMES, read_attributes, tell_missing, values_by_name
from sso_middleware.attribute_settings import AttributeMap
from sso_middleware.errors import AttributeAmbiguous
from sso_middleware.saml.assertion import Attribute

FORMATS = "urn:oasis:names:tc:SAML:2.0:attrname-format:"
URI, BASIC, UNSPECIFIED = (FORMATS + name for name in ("uri", "basic", "unspecified"))


def came(name: str, *values: str, name_format: str | None = None) -> Attribute:
    return Attribute(name, name_format, values)


# Names and formats


@pytest.mark.parametrize("name", ["email", "EMAIL", "Email ", "E-mail", "Emаil", "urn:Email", ""])
def test_only_the_exact_name_counts(name: str) -> None:
    """Case, punctuation, blanks and look-alike letters make another name of it (TEN-012)."""
    assert read_attributes([came(name, "root@acme.example")], AttributeMap()).email == ""
    assert read_attributes([came("Email", "ada@acme.example")], AttributeMap()).email == "ada@acme.example"


@pytest.mark.parametrize(
    ("declared", "sent", "is_found"),
    [
        (None, None, True),
        (None, URI, True),
        ("uri", URI, True),
        ("uri", BASIC, False),
        ("uri", None, False),
        ("basic", BASIC, True),
        ("basic", BASIC.upper(), False),
        ("unspecified", None, True),
        ("unspecified", UNSPECIFIED, True),
        ("unspecified", BASIC, False),
        ("urn:acme:format", "urn:acme:format", True),
        ("urn:acme:format", "urn:acme:Format", False),
    ],
)
def test_a_name_format_counts_where_it_is_declared(declared: str | None, sent: str | None, is_found: bool) -> None:
    """To the letter; an attribute without one is unspecified (SAML core 2.7.3.1)."""
    names = AttributeMap(country={"name": "Country", "name_format": declared})

    found = read_attributes([came("Country", "NL", name_format=sent)], names)

    assert found.country == ("NL" if is_found else "")


def test_the_same_name_in_two_formats_is_two_attributes() -> None:
    """Where a format is declared, the other one's values are not added."""
    both = [came("groups", "admin", name_format=URI), came("groups", "staff", name_format=BASIC)]

    declared = AttributeMap(roles={"name": "groups", "name_format": "basic"})
    assert read_attributes(both, declared).roles == ("staff",)
    assert read_attributes(both, AttributeMap(roles="groups")).roles == ("admin", "staff")


# Several values


ONE_FIELDS = ["email", "first_name", "last_name", "secondary_email", "country", "department"]


def mapped(field: str, **how: Any) -> AttributeMap:
    return AttributeMap(**{field: {"name": "X", **how}})


@pytest.mark.parametrize("field", ONE_FIELDS)
def test_the_first_value_that_is_not_empty_counts(field: str) -> None:
    """By default, and if it is declared; over repeated attributes in document order."""
    sent = [came("X"), came("X", "", "  "), came("X", " one ", "two"), came("X", "three")]

    assert getattr(read_attributes(sent, mapped(field)), field) == "one"
    assert getattr(read_attributes(sent, mapped(field, values="first")), field) == "one"
    assert getattr(read_attributes([came("X", "", " ")], mapped(field)), field) == ""


@pytest.mark.parametrize("field", ONE_FIELDS)
def test_only_means_that_two_different_ones_are_refused(field: str) -> None:
    """The same one twice is one; blanks around it don't make it another. The text names the attribute, no value."""
    only = mapped(field, values="only")

    assert getattr(read_attributes([came("X", "one", "", " one")], only), field) == "one"
    with pytest.raises(AttributeAmbiguous, match="'X' came with 2 different values") as refused:
        read_attributes([came("X", "one"), came("X", "two")], only)
    assert "one" not in refused.value.detail.replace("must be one", "")


def test_two_principal_ids_are_nobody() -> None:
    """Without any declaration: who the person is would be a guess. To the letter, so a blank makes it another."""
    names = AttributeMap(principal_id="X")

    assert read_attributes([came("X", "p-1", "", "p-1")], names).principal_id == "p-1"
    assert read_attributes([came("X", " p-1")], names).principal_id == " p-1"
    assert read_attributes([came("X", " ")], names).principal_id == ""
    assert read_attributes([came("X", "p-1")], AttributeMap()).principal_id is None
    for values in (("p-1", "p-2"), ("p-1", "p-1 "), ("p-1", "P-1")):
        with pytest.raises(AttributeAmbiguous, match="the principal id must be one"):
            read_attributes([came("X", *values)], names)


def test_all_roles_count_unless_it_is_declared_otherwise() -> None:
    """Each without blanks around it, in document order, as often as it came."""
    sent = [came("X", "a", "", " b "), came("Y", "z"), came("X", "a")]

    assert read_attributes(sent, mapped("roles")).roles == ("a", "b", "a")
    assert read_attributes(sent, mapped("roles", values="first")).roles == ("a",)
    assert read_attributes([came("X", "a", "a ")], mapped("roles", values="only")).roles == ("a",)
    with pytest.raises(AttributeAmbiguous):
        read_attributes(sent, mapped("roles", values="only"))


def test_a_separator_splits_where_it_is_declared() -> None:
    """Within each value; nothing that is left between two of them."""
    sent = [came("X", "a; b;;c;", "d")]

    assert read_attributes(sent, mapped("roles", separator=";")).roles == ("a", "b", "c", "d")
    assert read_attributes(sent, mapped("roles")).roles == ("a; b;;c;", "d")
    assert read_attributes(sent, mapped("email", separator=";")).email == "a"


@settings(deadline=None)
@given(st.lists(st.lists(st.text(alphabet="ab; ", max_size=6), max_size=4), max_size=4))
def test_declared_pieces_are_all_that_there_are(values: list[list[str]]) -> None:
    """However they are spread over attributes, values and separators: none is lost, added or empty."""
    sent = [came("X", *each) for each in values]
    pieces = [piece.strip() for each in values for value in each for piece in value.split(";")]

    assert list(read_attributes(sent, mapped("roles", separator=";")).roles) == [piece for piece in pieces if piece]


def test_all_that_came_is_kept_by_name() -> None:
    """Empty values too, and attributes without any."""
    sent = [came("X", "a", ""), came("Y"), came("X", "b")]

    assert values_by_name(sent) == {"X": ("a", "", "b"), "Y": ()}


# Overage


def test_a_link_in_place_of_groups_is_told() -> None:
    """Never read as "no groups"; and where a link comes beside the very groups, they are not all."""
    link = came(ENTRA_GROUPS_LINK, "https://graph.example/members")
    entra = AttributeMap.model_validate("entra")

    assert read_attributes([link], entra).roles_overage
    assert read_attributes([link, came(ENTRA_GROUPS, "a")], entra).roles_overage
    assert not read_attributes([came(ENTRA_GROUPS, "a")], entra).roles_overage
    assert not read_attributes([], entra).roles_overage
    assert not read_attributes([came(ENTRA_GROUPS_LINK.upper(), "x")], entra).roles_overage
    assert read_attributes([link], AttributeMap()).roles_overage
    assert not read_attributes([link, came("role_mapping", "editor")], AttributeMap()).roles_overage


# What is told of a missing one


def told(*sent: Attribute, missing: tuple[str, ...] = ("first_name",), **names: Any) -> str:
    return tell_missing(missing, AttributeMap(**names), sent)


@pytest.mark.parametrize(
    ("sent", "hint"),
    [
        ((), "'FirstName'. No attribute came at all"),
        ((came("other", "Ada"),), "'FirstName'. Attributes that came: 'other'"),
        ((came("FirstName"),), "'FirstName' (it came empty). "),
        ((came("FirstName", " "),), "'FirstName' (it came empty). "),
        ((came("firstname", "Ada"),), "'FirstName' (it is spelt 'firstname' there). "),
        ((came("first_name", "Ada"),), "'FirstName' (it is spelt 'first_name' there). "),
        ((came("First Name", "Ada"),), "'FirstName' (it is spelt 'First Name' there). "),
    ],
)
def test_a_spelling_mistake_is_seen(sent: tuple[Attribute, ...], hint: str) -> None:
    """Names alone are told; what they hold is not."""
    text = told(*sent)

    assert text.startswith(f"the assertion has no value for first_name: expected an attribute named {hint}")
    assert "Ada" not in text


def test_another_name_format_is_seen() -> None:
    """With both of them, in full."""
    text = told(came("FirstName", "Ada"), first_name={"name": "FirstName", "name_format": "uri"})
    assert f"(it came with NameFormat '{UNSPECIFIED}', expected '{URI}')" in text


def test_a_preset_that_would_do_is_named() -> None:
    """Somebody who left the names of Entra ID out needs one word."""
    row = PRESETS["entra"].attributes
    sent = [came(str(row[field]), "x") for field in ("email", "first_name", "last_name")]

    assert told(*sent, missing=("email", "last_name")).endswith('. The preset "entra" would find them')
    assert "preset" not in told(*sent, missing=("email", "principal_id"), principal_id="p")
    assert "preset" not in told(came(str(row["email"])), missing=("email",), email=row["email"])


def test_what_came_is_told_in_a_few_harmless_letters() -> None:
    """A name can be as long and as strange as the identity provider likes: a log is not its page."""
    strange = "\x1b[31m\nevil\u202e" + "n" * 1000
    text = told(came(strange, "v"), *(came(f"a{number}", "v") for number in range(100)))

    assert text.isprintable()
    assert text.endswith(f" and {101 - MOST_NAMES} more")
    assert len(text) < 500
