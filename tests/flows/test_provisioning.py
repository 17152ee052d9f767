"""Who an assertion is about: attributes, keys and addresses; and that only the host links accounts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider
from tests.world import SECRET, World

from sso_middleware import Link, Settings
from sso_middleware.connections import Connection, read_connections
from sso_middleware.errors import AttributeMissing, EmailInvalid, EmailOutsideDomains, TransientNameId
from sso_middleware.flows.provisioning import principal_key, read_identity
from sso_middleware.saml.assertion import (
    NAME_ID_EMAIL,
    NAME_ID_PERSISTENT,
    NAME_ID_TRANSIENT,
    NAME_ID_UNSPECIFIED,
    VERIFIED,
    Assertion,
    Attribute,
    NameID,
)
from sso_middleware.stores.people_records import PeopleQuery

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ADA: dict[str, tuple[str, ...]] = {"Email": ("ada@acme.example",), "FirstName": ("Ada",), "LastName": ("Lovelace",)}


def assertion(attributes: dict[str, tuple[str, ...]], name_id: NameID | None = None, id: str = "_1") -> Assertion:
    return Assertion(
        id=id,
        issuer="https://idp.acme.example/metadata",
        issued_at=NOW,
        in_response_to=None,
        name_id=name_id or NameID("p-1", NAME_ID_PERSISTENT),
        attributes=tuple(Attribute(name, None, values) for name, values in attributes.items()),
        authenticated_at=NOW,
        session_index=None,
        session_ends_at=None,
        authn_context=None,
        valid_until=NOW,
        verified=VERIFIED,
    )


def connection(**changes: Any) -> Connection:
    declared = {
        "id": "acme",
        "organization": "Acme",
        "domains": ["acme.example", "m\u00fcller.example"],
        "metadata": IdentityProvider().metadata,
        **changes,
    }
    settings = Settings(base_url="https://app.example", secret_keys=[SECRET], connections=[declared])
    (found,) = read_connections(settings, NOW)
    return found


def test_an_identity_is_read_by_exact_names() -> None:
    """TEN-012: what only looks like a mapped name is an attribute like any other."""
    found = read_identity(
        assertion(
            {
                **ADA,
                "email": ("root@acme.example",),
                "Country": ("NL",),
                "department": (" R&D ",),
                "role_mapping": ("analyst", "", " editor "),
                "Role_Mapping": ("admin",),
            }
        ),
        connection(),
    )

    assert (found.email, found.first_name, found.last_name) == ("ada@acme.example", "Ada", "Lovelace")
    assert (found.country, found.department) == ("NL", "R&D")
    assert found.roles == ("analyst", "editor")
    assert found.attributes["Role_Mapping"] == ("admin",)
    assert found.user_id is None


@pytest.mark.parametrize("missing", ["Email", "FirstName", "LastName"])
def test_a_required_attribute_that_is_missing_or_empty_is_refused(missing: str) -> None:
    """By its name, for the admin."""
    without = {name: values for name, values in ADA.items() if name != missing}

    for attributes in (without, {**ADA, missing: ()}, {**ADA, missing: ("", "  ")}):
        with pytest.raises(AttributeMissing, match=repr(missing)):
            read_identity(assertion(attributes), connection())


def test_all_that_is_missing_is_told_at_once() -> None:
    """So that it can be put right at once."""
    with pytest.raises(AttributeMissing) as refused:
        read_identity(assertion({"Email": ADA["Email"]}), connection())

    assert refused.value.detail == (
        "the assertion has no value for first_name: expected an attribute named 'FirstName'; for last_name: expected an"
        " attribute named 'LastName'. Attributes that came: 'Email'"
    )


def test_names_can_be_waived() -> None:
    """By the connection."""
    found = read_identity(assertion({"Email": ADA["Email"]}), connection(required_attributes=["email"]))

    assert (found.first_name, found.last_name) == ("", "")


def test_a_name_id_that_is_declared_an_address_stands_in_for_the_attribute() -> None:
    """One that merely looks like it does not."""
    names = {name: values for name, values in ADA.items() if name != "Email"}

    declared = read_identity(assertion(names, NameID("ada@acme.example", NAME_ID_EMAIL)), connection())
    assert declared.email == "ada@acme.example"
    with pytest.raises(AttributeMissing):
        read_identity(assertion(names, NameID("ada@acme.example", NAME_ID_UNSPECIFIED)), connection())


@pytest.mark.parametrize("email", ["Ada@ACME.Example", " ada@acme.example ", "ada@acme.example."])
def test_an_address_is_brought_into_one_form_or_refused(email: str) -> None:
    """TEN-007: never another domain than the verified one."""
    try:
        found = read_identity(assertion({**ADA, "Email": (email,)}), connection())
    except EmailInvalid:
        return
    assert found.email.lower() == "ada@acme.example"


@pytest.mark.parametrize(
    "email", ["ada@sub.acme.example", "ada@acme.example.evil.example", "ada@xn--acm-epa.example", "ada@globex.example"]
)
def test_another_domain_is_refused(email: str) -> None:
    """TEN-006, TEN-007: sub-domains and look-alikes are others."""
    with pytest.raises((EmailOutsideDomains, EmailInvalid)):
        read_identity(assertion({**ADA, "Email": (email,)}), connection())


@pytest.mark.parametrize("email", ["ada@acme.example@evil.example", "ada", "@acme.example", "a\x00@acme.example"])
def test_what_is_no_address_is_refused_without_being_quoted(email: str) -> None:
    """WEB-024."""
    with pytest.raises(EmailInvalid) as refused:
        read_identity(assertion({**ADA, "Email": (email,)}), connection())
    assert email not in str(refused.value)


def test_a_person_is_a_whole_name_id() -> None:
    """TEN-010, TEN-011: the same text in another format or with another qualifier is somebody else."""
    name_ids = [
        NameID("x", NAME_ID_PERSISTENT),
        NameID("x", NAME_ID_UNSPECIFIED),
        NameID("x", NAME_ID_PERSISTENT, "https://idp"),
        NameID("x", NAME_ID_PERSISTENT, None, "https://idp"),
        NameID("x ", NAME_ID_PERSISTENT),
        NameID("X", NAME_ID_PERSISTENT),
        NameID('x", null', NAME_ID_PERSISTENT),
        NameID("x,y=%", NAME_ID_PERSISTENT),
    ]

    assert len({principal_key(assertion({}, name_id), None) for name_id in name_ids}) == len(name_ids)


def test_a_transient_name_id_is_nobody() -> None:
    """Unless a principal id attribute says who it is."""
    transient = assertion({**ADA, "PrincipalId": ("p-1",)}, NameID("_t", NAME_ID_TRANSIENT))

    with pytest.raises(TransientNameId):
        read_identity(transient, connection())
    mapped = read_identity(transient, connection(attributes={"principal_id": "PrincipalId"}))
    assert mapped.key == '["principal_id", "p-1"]'


@pytest.mark.parametrize("other", ["p-1 ", "\u00a0p-1", "p-1\u2003", "P-1"])
def test_a_principal_id_is_kept_to_the_letter(other: str) -> None:
    """TEN-010, TEN-011: two values that differ at the provider, in a space at the end even, are two people here."""
    mapped = connection(attributes={"principal_id": "PrincipalId"})
    keys = {read_identity(assertion({**ADA, "PrincipalId": (value,)}), mapped).key for value in ("p-1", other)}
    assert len(keys) == 2


def test_a_principal_id_attribute_is_mandatory_once_it_is_named() -> None:
    """Else the person would become another one."""
    for attributes in (ADA, {**ADA, "PrincipalId": ()}, {**ADA, "PrincipalId": ("", " ")}):
        with pytest.raises(AttributeMissing, match="principal id"):
            read_identity(assertion(attributes), connection(attributes={"principal_id": "PrincipalId"}))


def test_an_attempt_has_one_id_however_often_it_is_asked_about() -> None:
    """Another assertion is another attempt."""
    first, again = (read_identity(assertion(ADA), connection()).attempt_id for _ in range(2))
    other = read_identity(assertion(ADA, id="_2"), connection()).attempt_id

    assert first == again != other


def test_ten_009_an_address_alone_links_nobody(world: World) -> None:
    """TEN-009: the first login with the e-mail of an existing host user is that of an unknown person.

    Only the host's own `Link` ties the two, and then by the person's key, not the address.
    """
    world.sign_in()
    world.first_browser.get("/report")
    assert world.app.seen[-1].principal.user_id is None  # type: ignore[union-attr]  # signed in above

    world.hooks.decision = lambda identity: Link("admin-1")
    world.sign_in(browser=world.browser())
    key = world.hooks.identities[-1].key
    (person,) = world.store.find_people(PeopleQuery(user_id="admin-1"))
    assert (person.connection_id, person.keys) == ("acme", (key,))


def test_ten_009_a_link_of_one_connection_is_none_of_anothers(make_world: MakeWorld) -> None:
    """TEN-009, TEN-010: the same NameID from another identity provider is somebody else."""
    world = make_world()
    world.hooks.decision = lambda identity: Link("admin-1")
    world.sign_in()
    other = make_world(connections=[world.connection(id="acme-2")])
    other.sign_in()

    assert other.hooks.identities[0].key == world.hooks.identities[0].key
    assert other.hooks.identities[0].user_id is None
