"""How attributes, countries and departments are declared: what is understood, and what is told at start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.identity_provider import IdentityProvider
from tests.world import SECRET, START

from sso_middleware.attribute_presets import PRESETS
from sso_middleware.attribute_settings import AttributeMap, NamedAttribute
from sso_middleware.connections import read_connections
from sso_middleware.errors import ConfigurationError
from sso_middleware.settings import ConnectionSettings, Settings

TEAMS = [
    {"id": "sales", "name": "Sales"},
    {"id": "team-12", "name": "Sales EMEA", "parent": "sales"},
]


def connect(**values: Any) -> ConnectionSettings:
    return ConnectionSettings(
        **{
            "id": "acme",
            "organization": "Acme",
            "domains": ["acme.example"],
            "metadata": IdentityProvider().metadata,
            **values,
        }
    )


def problems(**values: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        connect(**values)
    return list(refused.value.problems)


def policy(**values: Any) -> str:
    settings = Settings(base_url="https://app.example", secret_keys=[SECRET], connections=[connect(**values)])
    (connection,) = read_connections(settings, START)
    return connection.policy


# Attributes


def test_a_text_is_a_name_and_a_table_says_more() -> None:
    """A name by itself is the same as a table with a name in it."""
    names = connect(attributes={"email": "mail", "roles": {"name": "ou", "separator": ";"}}).attributes

    assert names.email == NamedAttribute(name="mail")
    assert (names.roles.name, names.roles.separator, names.roles.values) == ("ou", ";", None)
    assert names.country == NamedAttribute(name="Country")
    assert names.secondary_email is None


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_a_word_or_a_default(preset: str) -> None:
    """By itself, or in a table whose own names win; what it has no name for keeps the general default."""
    alone = connect(attributes=preset).attributes
    mixed = connect(attributes={"preset": preset, "country": "c", "email": "mail"}).attributes

    for field, declared in PRESETS[preset].attributes.items():
        table = {"name": declared} if isinstance(declared, str) else dict(declared)
        assert getattr(alone, field) == NamedAttribute(**table)
    assert alone.country.name == "Country"
    assert (mixed.country.name, mixed.email.name, mixed.first_name) == ("c", "mail", alone.first_name)


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_says_who_people_are(preset: str) -> None:
    """It maps no principal id: one more word in the settings never makes everybody a new person. It has a source."""
    assert set(PRESETS[preset].attributes) == {"email", "first_name", "last_name", "roles"}
    assert PRESETS[preset].source


def test_what_was_read_is_read_again_the_same() -> None:
    """Settings that were written down in full, as a database would."""
    names = connect(
        attributes={"preset": "onelogin", "principal_id": "id", "email": {"name": "m", "name_format": "uri"}}
    )
    whole = connect(departments={"A": "1"}, teams=[{"id": "1", "name": "One"}])

    assert AttributeMap(**names.attributes.model_dump()) == names.attributes
    assert connect(**{name: getattr(whole, name) for name in ("departments", "teams")}) == whole
    assert connect(**whole.model_dump(mode="json", include={"departments", "teams"})) == whole
    assert hash(whole) == hash(connect(departments={" A": "1 "}, teams=[{"id": "1", "name": "One"}]))


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        (
            "entar",
            "attributes: must be a table, or one of entra, okta, onelogin, google, ping, keycloak, adfs, workspace-one;"
            " did you mean entra?",
        ),
        ({"preset": "oktar"}, "attributes.preset: must be one of entra, okta, "),
        (7, "attributes: must be a table"),
        ({"email": {"nmae": "mail"}}, "attributes.email.nmae: there is no such setting; did you mean name?"),
        ({"principal_id": {"nmae": "x"}}, "attributes.principal_id.nmae: there is no such setting; did you mean name?"),
        ({"email": {"values": "first"}}, "attributes.email.name: is missing"),
        ({"email": {"name": " "}}, "attributes.email.name: must not be empty"),
        ({"email": {"name": "m", "values": "last"}}, "attributes.email.values: must be 'first', 'only' or 'all'"),
        ({"email": {"name": "m", "values": "all"}}, 'attributes.email: values = "all" is for roles'),
        ({"country": {"name": "m", "values": "all"}}, 'attributes.country: values = "all" is for roles'),
        ({"email": {"name": "m", "name_format": "URI"}}, 'attributes.email.name_format: must be "uri", "basic"'),
        ({"email": {"name": "m", "name_format": "a b:c"}}, 'attributes.email.name_format: must be "uri", "basic"'),
        ({"roles": {"name": "m", "separator": ""}}, "attributes.roles.separator: must not be empty"),
        ({"principal_id": {"name": "m", "values": "first"}}, "attributes.principal_id: is taken as it came"),
        ({"principal_id": {"name": "m", "separator": ";"}}, "attributes.principal_id: is taken as it came"),
        ({"secondary_email": "Email"}, "attributes.secondary_email: is the attribute of email; name another"),
    ],
)
def test_attributes_that_can_t_be_are_told(attributes: object, problem: str) -> None:
    """One problem each, in words that say what to do."""
    (only,) = problems(attributes=attributes)
    assert only.startswith(problem)


# Countries and departments


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"country_format": "iso"}, "country_format: must be 'any', 'code' or 'name'"),
        ({"ask_department": True}, "ask_department: there is no team to choose"),
        ({"force_department_selection": True}, "force_department_selection: there is no team to choose"),
        ({"teams": [{"id": 12, "name": "x"}]}, "teams[0].id: must be a text"),
        ({"teams": [{"id": "a", "nmae": "x"}]}, "teams[0].nmae: there is no such setting; did you mean name?"),
        ({"teams": [TEAMS[0], TEAMS[0]]}, "teams: 2 of them have the id 'sales'"),
        ({"teams": [TEAMS[1]]}, "teams: the parent 'sales' of 'team-12' is not listed"),
        ({"teams": [{"id": "a", "name": "A", "parent": "a"}]}, "teams: 'a' is above itself"),
        ({"departments": ["Sales"]}, "departments: must be a table"),
        ({"departments": {"Sales": ""}}, "departments: the team of 'Sales' is not a text, or is empty"),
        ({"departments": {"Sales": 12}}, "departments: the team of 'Sales' is not a text, or is empty"),
        ({"departments": {" ": "x"}}, "departments: a department is not a text, or is empty"),
        (
            {"departments": {"Sales": "team-9"}, "teams": TEAMS},
            "departments: 'Sales' is mapped to 'team-9', which is not",
        ),
        ({"departments": {"Sales": "a", "SALES ": "b"}}, "departments: 'SALES' is the same as 'Sales'"),
        (
            {"departments": {"A": "1"}, "departments_file": "department,team\nB,2\n"},
            "departments: are mapped once more by departments_file",
        ),
        ({"departments_file": "nowhere.csv"}, "departments_file: names no file that can be read"),
        ({"departments_file": 7}, "departments_file: must be the path of a CSV file"),
    ],
)
def test_profiles_that_can_t_be_are_told(values: dict[str, Any], problem: str) -> None:
    """One problem each, in words that say what to do."""
    (only,) = problems(**values)
    assert only.startswith(problem)


def test_a_circle_of_teams_is_told_for_each() -> None:
    """Nobody could choose any of them."""
    circle = [{"id": "a", "name": "A", "parent": "b"}, {"id": "b", "name": "B", "parent": "a"}]

    told = problems(teams=[*circle, {"id": "c", "name": "C", "parent": "a"}])

    assert [problem.partition(";")[0] for problem in told] == [
        "teams: 'a' is above itself",
        "teams: 'b' is above itself",
    ]


def test_a_file_s_problems_are_told_by_line(tmp_path: Path) -> None:
    """All of them, with those of other settings."""
    (tmp_path / "d.csv").write_text("department,team\nSales,team-12\nsales,sales\nLegal,team-9\n,\nHR,\n")

    assert problems(departments_file=str(tmp_path / "d.csv"), teams=TEAMS, country_format="x") == [
        "country_format: must be 'any', 'code' or 'name'",
        "departments_file: line 3: 'sales' has another team than in line 2",
        "departments_file: line 4: there is no team 'team-9'",
        "departments_file: line 6: the team is empty",
    ]


def test_a_file_that_is_not_utf_8_is_told_by_line(tmp_path: Path) -> None:
    """With what to do about it in a spreadsheet."""
    (tmp_path / "d.csv").write_bytes("department,team\nVertrieb Süd,team-12\n".encode("latin-1"))

    (only,) = problems(departments_file=tmp_path / "d.csv", teams=TEAMS)
    assert only == 'departments_file: line 2: is not UTF-8; save it as "CSV UTF-8"'


def test_a_file_is_found_beside_the_settings(tmp_path: Path) -> None:
    """Its path is relative to the TOML file, as that of every other file."""
    (tmp_path / "d.csv").write_text("department,team\nSales,team-12\n")
    (tmp_path / "acme.xml").write_text(IdentityProvider().metadata)
    (tmp_path / "sso.toml").write_text(
        f"""
        base_url = "https://app.example"
        secret_keys = ["{SECRET}"]
        [[connections]]
        id = "acme"
        organization = "Acme"
        domains = ["acme.example"]
        metadata_file = "acme.xml"
        departments_file = "d.csv"
        """
    )

    (declared,) = Settings.load(environ={}, config=tmp_path / "sso.toml").connections

    assert declared.profile.team_of("SALES") == "team-12"


def test_a_file_that_was_read_is_read_again_the_same(tmp_path: Path) -> None:
    """Its text takes the place of its path, whatever its lines end with."""
    (tmp_path / "d.csv").write_bytes(b"department,team\rSales,team-12")
    declared = connect(departments_file=tmp_path / "d.csv")

    again = connect(departments_file=declared.departments_file)

    assert again == declared
    assert again.profile.team_of("sales") == "team-12"


def test_who_is_asked() -> None:
    """`ask_…`: who has none; `force_…`: everybody; by default nobody."""
    nobody = connect().profile
    some = connect(ask_country=True, ask_department=True, teams=TEAMS).profile
    all_ = connect(force_country_selection=True, force_department_selection=True, teams=TEAMS).profile

    assert [p.asks_for_country("NL") for p in (nobody, some, all_)] == [False, False, True]
    assert [p.asks_for_country(None) for p in (nobody, some, all_)] == [False, True, True]
    assert [p.asks_for_team("team-12") for p in (nobody, some, all_)] == [False, False, True]
    assert [p.asks_for_team(None) for p in (nobody, some, all_)] == [False, True, True]


# The policy stamp


@pytest.mark.parametrize(
    "changed",
    [
        {"attributes": {"email": "mail"}},
        {"attributes": {"roles": {"name": "role_mapping", "separator": ";"}}},
        {"attributes": {"email": {"name": "Email", "name_format": "basic"}}},
        {"attributes": {"secondary_email": "Other"}},
        {"country_format": "code"},
        {"departments": {"Sales": "team-12"}},
    ],
)
def test_what_makes_another_principal_is_another_policy(changed: dict[str, Any]) -> None:
    """So that sessions from before are renewed before they are used."""
    assert policy(**changed) != policy()


def test_what_is_only_written_otherwise_is_the_same_policy() -> None:
    """Nobody is sent round for a preset written out, a table from a file, or for what a page shows."""
    entra = dict(PRESETS["entra"].attributes)
    as_file = "department,team\nSales,team-12\n"

    assert policy(attributes="entra") == policy(attributes=entra)
    assert policy(departments={"Sales": "team-12"}) == policy(departments_file=as_file, teams=TEAMS)
    assert policy(teams=TEAMS, ask_department=True) == policy()
