"""What an assertion states becomes an identity by the connection's rules, or a refusal with a code of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider
from tests.response_shape import BASIC_NAME_FORMAT, SentAttribute
from tests.world import World

from sso_middleware import Identity

URI_NAME_FORMAT = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"
ADA = {"Email": "ada@acme.example", "FirstName": "Ada", "LastName": "Lovelace"}
TEAMS = [
    {"id": "sales", "name": "Sales"},
    {"id": "team-12", "name": "Sales EMEA", "parent": "sales"},
]


def world_with(make_world: MakeWorld, **connection: Any) -> World:
    idp = IdentityProvider()
    declared = {"id": "acme", "organization": "Acme", "domains": ["acme.example"], "metadata": idp.metadata}
    return make_world(connections=[{**declared, **connection}])


def sent(**more: str | tuple[str, ...]) -> tuple[SentAttribute, ...]:
    """Ada's attributes, and these; with a tuple the values of one."""
    values = {**ADA, **more}
    return tuple(SentAttribute(name, (value,) if isinstance(value, str) else value) for name, value in values.items())


def sign_in(world: World, attributes: tuple[SentAttribute, ...]) -> Identity:
    world.first_browser.cookies.clear()
    answer = world.post_response(world.log_in(attributes=attributes))
    assert (answer.status, world.codes[-1]) == (303, "login_succeeded")
    return world.hooks.identities[-1]


def refusal(world: World, attributes: tuple[SentAttribute, ...]) -> str:
    """The code; nobody is signed in, the host is not asked, and the page has no name and no value."""
    asked = len(world.hooks.identities)
    world.first_browser.cookies.clear()
    answer = world.post_response(world.log_in(attributes=attributes))
    assert answer.status == 403
    assert not world.first_browser.has_session
    assert len(world.hooks.identities) == asked
    assert not any(attribute.name in answer.text for attribute in attributes if attribute.name not in ADA)
    return world.codes[-1]


# Refusals, and their honest twins


def test_two_principal_ids_are_refused(make_world: MakeWorld) -> None:
    """Whoever of the two it is: it would be a guess. One, sent twice, is one."""
    world = world_with(make_world, attributes={"principal_id": "EmployeeId"})

    assert refusal(world, sent(EmployeeId=("e-1", "e-2"))) == "attribute_ambiguous"
    assert "'EmployeeId' came with 2 different values" in world.events[-1].detail["why"]
    assert "e-1" not in str(world.events[-1].detail)
    assert refusal(world, (*sent(EmployeeId="e-1"), SentAttribute("EmployeeId", ("e-2",)))) == "attribute_ambiguous"

    first = sign_in(world, sent(EmployeeId=("e-1", "e-1")))
    assert sign_in(world, sent(EmployeeId="e-1", FirstName="Augusta")).key == first.key
    assert sign_in(world, sent(EmployeeId="e-2", Email="augusta@acme.example")).key != first.key


def test_an_address_declared_the_only_one_must_be(make_world: MakeWorld) -> None:
    """By default the first counts; where the connection says `only`, two are refused."""
    two = sent(Email=("ada@acme.example", "lovelace@acme.example"))

    assert sign_in(world_with(make_world), two).email == "ada@acme.example"
    only = world_with(make_world, attributes={"email": {"name": "Email", "values": "only"}})
    assert refusal(only, two) == "attribute_ambiguous"
    assert sign_in(only, sent(Email=("", "ada@acme.example"))).email == "ada@acme.example"


def test_another_name_format_is_refused_in_words(make_world: MakeWorld) -> None:
    """Declared `uri`, sent as basic: the event says both, and the page neither."""
    world = world_with(make_world, attributes={"last_name": {"name": "LastName", "name_format": "uri"}})

    assert refusal(world, sent()) == "attribute_missing"
    why = world.events[-1].detail["why"]
    assert f"(it came with NameFormat '{BASIC_NAME_FORMAT}', expected '{URI_NAME_FORMAT}')" in why
    as_uri = tuple(replace(one, name_format=URI_NAME_FORMAT) if one.name == "LastName" else one for one in sent())
    assert sign_in(world, as_uri).last_name == "Lovelace"


def test_a_misspelt_name_is_refused_in_words(make_world: MakeWorld) -> None:
    """The event says how it is spelt there, and what else came; the value of none."""
    world = world_with(make_world)
    misspelt = tuple(replace(one, name="firstname") if one.name == "FirstName" else one for one in sent())

    assert refusal(world, misspelt) == "attribute_missing"
    assert world.events[-1].detail["why"] == (
        "the assertion has no value for first_name: expected an attribute named 'FirstName' (it is spelt 'firstname'"
        " there). Attributes that came: 'Email', 'firstname', 'LastName'"
    )
    assert sign_in(world, sent()).first_name == "Ada"


def test_a_missing_principal_id_is_told_with_all_else(make_world: MakeWorld) -> None:
    """It is needed once it is named; with its name, and at once with the others."""
    world = world_with(make_world, attributes={"principal_id": "EmployeeId"})

    assert refusal(world, tuple(one for one in sent(EmployeeId=" ") if one.name != "LastName")) == "attribute_missing"
    why = world.events[-1].detail["why"]
    assert "last_name: expected an attribute named 'LastName'" in why
    assert "; for the principal id: expected an attribute named 'EmployeeId' (it came empty)" in why
    assert sign_in(world, sent(EmployeeId="e-1")).key == '["principal_id", "e-1"]'


def test_ten_012_a_friendly_name_is_no_name(make_world: MakeWorld) -> None:
    """TEN-012: neither it nor a name that only looks alike gives a role, a country or a team."""
    world = world_with(make_world, departments={"Board": "board"})
    alike = (
        SentAttribute("urn:x", ("admin",), friendly_name="role_mapping"),
        SentAttribute("Role_Mapping", ("admin",)),
        SentAttribute("country", ("NL",)),
        SentAttribute("urn:y", ("Board",), friendly_name="department"),
    )

    identity = sign_in(world, (*sent(), *alike))

    assert (identity.roles, identity.country, identity.department, identity.team) == ((), None, None, None)
    honest = sign_in(world, sent(role_mapping="editor", Country="NL", department="Board"))
    assert (honest.roles, honest.country, honest.team) == (("editor",), "NL", "board")


# What the host is told


@pytest.mark.parametrize(
    ("country_format", "came", "country"),
    [
        ("any", "Netherlands", "NL"),
        ("any", "nld", "NL"),
        ("any", "528", "NL"),
        ("any", "Korea", None),
        ("any", "Atlantis", None),
        ("code", "nl", "NL"),
        ("code", "Netherlands", None),
        ("name", "Holland", "NL"),
        ("name", "NL", None),
    ],
)
def test_a_country_is_alpha_2_or_nothing(
    make_world: MakeWorld, country_format: str, came: str, country: str | None
) -> None:
    """As the connection's format allows. What came stays among the attributes, and nobody is refused for it."""
    world = world_with(make_world, country_format=country_format)

    identity = sign_in(world, sent(Country=came))

    assert identity.country == country
    assert identity.attributes["Country"] == (came,)


def test_a_department_leads_to_a_team(make_world: MakeWorld) -> None:
    """By the connection's table; what is not in it is told as it came, without a team."""
    world = world_with(make_world, departments={"Sales EMEA": "team-12"}, teams=TEAMS)

    mapped = sign_in(world, sent(department=" SALES EMEA "))
    unmapped = sign_in(world, sent(department="Sales"))

    assert (mapped.department, mapped.team) == ("SALES EMEA", "team-12")
    assert (unmapped.department, unmapped.team) == ("Sales", None)


def test_a_secondary_address_counts_within_the_domains_only(make_world: MakeWorld) -> None:
    """TEN-006: any other is left alone, and refuses nobody; nor does one that is no address, or the same again."""
    world = world_with(make_world, attributes={"secondary_email": "Other"})

    assert sign_in(world, sent(Other="Byron@ACME.example")).secondary_email == "byron@acme.example"
    for other in ("ada@globex.example", "ada@sub.acme.example", "none", "", "ada@acme.example"):
        assert sign_in(world, sent(Other=other)).secondary_email is None
    assert sign_in(world, sent()).secondary_email is None


def test_a_connection_s_own_rules_are_only_its_own(make_world: MakeWorld) -> None:
    """The same attributes by two connections: each by its map, its format and its table."""
    by_name = world_with(make_world, country_format="name", departments={"R&D": "lab"})
    by_code = world_with(make_world, country_format="code", departments={"R&D": "research"})

    attributes = sent(Country="Italy", department="R&D")
    assert (sign_in(by_name, attributes).country, sign_in(by_name, attributes).team) == ("IT", "lab")
    assert (sign_in(by_code, attributes).country, sign_in(by_code, attributes).team) == (None, "research")
