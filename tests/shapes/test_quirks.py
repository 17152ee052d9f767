"""One test a quirk: what one vendor does and others don't, and beside it what stays refused.

The rows themselves are in `vendors.py`. Quirks of logout messages (lower-case escapes of ADFS and Entra ID)
are in `tests/attacks/test_slo.py`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from lxml import etree
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider, KeyKind, find_one, read_redirect
from tests.response_shape import BASIC_NAME_FORMAT, ENTITY_FORMAT, SAML, SentAttribute
from tests.shapes.signing_in import NOW, in_both_worlds, log_in, open_world, refusal, respond, verify
from tests.shapes.vendors import (
    ADFS,
    ASSERTION,
    BOTH,
    EMAIL,
    ENCRYPTING,
    ENTRA,
    ENTRA_GROUPS,
    ENTRA_GROUPS_LINK,
    GOOGLE,
    KEYCLOAK,
    OKTA,
    ONELOGIN,
    PINGFEDERATE,
    PINGONE,
    RESPONSE,
    ROLES,
    SIMPLESAMLPHP,
    TENANT,
    UNSPECIFIED_NAME_FORMAT,
    URI_NAME_FORMAT,
    VENDORS,
    WORKSPACE_ONE,
    Vendor,
    attributes_of,
)

from sso_middleware.errors import AttributeMissing
from sso_middleware.saml.assertion import (
    NAME_ID_EMAIL,
    NAME_ID_PERSISTENT,
    NAME_ID_TRANSIENT,
    NAME_ID_UNSPECIFIED,
    Assertion,
)
from sso_middleware.stores.people_records import PeopleQuery

MINUTE = timedelta(minutes=1)


def stated(assertion: Assertion) -> dict[str, tuple[str, ...]]:
    return {attribute.name: attribute.values for attribute in assertion.attributes}


# Entra ID


def test_entra_id_s_issuer_ends_in_a_slash() -> None:
    """It is compared to the letter: without the slash it is somebody else."""
    assert ENTRA.entity_id.endswith("/")
    assert verify(ENTRA, respond(ENTRA)).issuer == ENTRA.entity_id
    without = ENTRA.entity_id.rstrip("/")
    assert refusal(ENTRA, respond(ENTRA, issuer=without, response_issuer=without)) == "issuer_mismatch"


def test_entra_id_says_who_it_is_before_how_they_signed_in() -> None:
    """AttributeStatement before AuthnStatement, in a default namespace: nothing is lost, in either order."""
    first, last = (verify(ENTRA, respond(ENTRA, attributes_first=order)) for order in (True, False))
    xml = respond(ENTRA)

    assert xml.index(b"<AttributeStatement>") < xml.index(b"<AuthnStatement")
    assert f'<Assertion xmlns="{SAML}"'.encode() in xml
    assert stated(first) == stated(last)
    assert stated(first)["http://schemas.microsoft.com/identity/claims/tenantid"] == (TENANT,)


def test_entra_id_s_seventy_minutes_begin_now() -> None:
    """By a clock that is behind its own, "now" lies ahead: two minutes are leeway, three are not.

    However long Conditions last, a message is good for minutes.
    """
    xml = respond(ENTRA)

    assert refusal(ENTRA, xml, now=NOW - 1.9 * MINUTE) == "accepted"
    assert refusal(ENTRA, xml, now=NOW - 3 * MINUTE) == "not_yet_valid"
    assert refusal(ENTRA, xml, now=NOW + 4 * MINUTE) == "accepted"
    assert refusal(ENTRA, xml, now=NOW + 60 * MINUTE) == "stale"


@in_both_worlds
def test_entra_id_gives_no_format_for_the_name_id(make_world: MakeWorld) -> None:
    """It is read as unspecified, and so is never taken for an e-mail address, not even if it looks like one."""
    assertion = verify(ENTRA, respond(ENTRA))
    assert assertion.name_id.format == NAME_ID_UNSPECIFIED
    world = open_world(make_world, ENTRA)
    form = world.log_in(**ENTRA.shape(world.now, name_id=EMAIL, attributes=attributes_of(ENTRA, email=())))

    assert world.post_response(form).status == 403
    assert world.codes == [AttributeMissing.code]


@in_both_worlds
def test_entra_id_sends_a_link_in_place_of_many_groups(make_world: MakeWorld) -> None:
    """Above 150 groups the claim is not there, and the host can tell that from somebody who is in no group."""
    link = f"https://graph.windows.net/{TENANT}/users/0b4f3f1c-2b7a-4f0c-8c55-7e4a6f1d9b20/getMemberObjects"
    others = tuple(one for one in ENTRA.attributes if one.name != ENTRA_GROUPS)
    world = open_world(make_world, ENTRA)

    in_many = log_in(world, ENTRA, attributes=(*others, SentAttribute(ENTRA_GROUPS_LINK, (link,), None)))
    world.first_browser.cookies.clear()
    in_none = log_in(world, ENTRA, attributes=others)

    assert in_many.attributes[ENTRA_GROUPS_LINK] == (link,)
    assert ENTRA_GROUPS not in in_many.attributes
    assert ENTRA_GROUPS_LINK not in in_none.attributes
    assert link not in in_many.roles
    assert (in_many.roles_overage, in_none.roles_overage) == (True, False)


@in_both_worlds
def test_entra_id_s_app_roles_are_not_its_groups(make_world: MakeWorld) -> None:
    """The link stands for groups: app roles that came are all there are, and where none came it can't be told."""
    role = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
    others = tuple(one for one in ENTRA.attributes if one.name != ENTRA_GROUPS)
    many = (*others, SentAttribute(ENTRA_GROUPS_LINK, ("https://graph.example/members",), None))
    world = open_world(make_world, ENTRA, attributes={"preset": "entra", "roles": role})

    with_role = log_in(world, ENTRA, attributes=(*many, SentAttribute(role, ("editor",), None)))
    world.first_browser.cookies.clear()
    without = log_in(world, ENTRA, attributes=many)

    assert (with_role.roles, with_role.roles_overage) == (("editor",), False)
    assert (without.roles, without.roles_overage) == ((), True)


@in_both_worlds
def test_entra_id_is_asked_as_it_demands(make_world: MakeWorld) -> None:
    """The request's ID never begins with a digit, and there is no Subject in it."""
    world = open_world(make_world, ENTRA)

    for _ in range(20):
        request = read_redirect(world.begin_login(browser=world.browser()))
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{15,127}", request.id)
        assert b"Subject" not in request.xml


# Okta


def test_okta_names_a_prefix_that_only_a_value_uses() -> None:
    """InclusiveNamespaces PrefixList="xs", in both signatures, for the sake of xsi:type="xs:string"."""
    xml = respond(OKTA)

    assert xml.count(b'PrefixList="xs"') == 4
    assert refusal(OKTA, xml) == "accepted"
    assert refusal(OKTA, xml.replace(b"all staff", b"all stuff")) == "digest_mismatch"
    # The prefix was signed along, with SignedInfo too: bound to something else, it makes another text of it.
    rebound = xml.replace(b'xmlns:xs="http://www.w3.org/2001/XMLSchema"', b'xmlns:xs="urn:other"')
    assert rebound != xml
    assert refusal(OKTA, rebound) == "signature_invalid"


def test_okta_puts_the_encrypted_key_beside_the_data() -> None:
    """RetrievalMethod leads from the data to the key, ReferenceList back, both within the message.

    Signed before and around. Nothing else may be referred to.
    """
    okta = ENCRYPTING[0]
    xml = respond(okta)
    (encrypted,) = etree.fromstring(xml).iter(f"{{{SAML}}}EncryptedAssertion")
    assert [etree.QName(child).localname for child in encrypted] == ["EncryptedData", "EncryptedKey"]
    assert find_one(encrypted, ".//ds:RetrievalMethod").get("URI") == f"#{encrypted[1].get('Id')}"
    assert find_one(encrypted, ".//{*}DataReference").get("URI") == f"#{encrypted[0].get('Id')}"

    assert refusal(okta, xml) == "accepted"
    for reference in (b'"#_encrypted-key"', b'"#_encrypted-data"'):
        elsewhere = xml.replace(reference, b'"https://evil.example/key"')
        assert elsewhere != xml
        assert refusal(okta, elsewhere) == "encryption_reference_not_allowed"


def test_okta_gives_the_issuer_a_format() -> None:
    """That of an entity, which is what none means; another one is another kind of name."""
    assert ENTITY_FORMAT.encode() in respond(OKTA)
    assert refusal(OKTA, respond(OKTA)) == "accepted"
    assert refusal(OKTA, respond(OKTA, issuer_format=None, response_issuer_format=None)) == "accepted"
    assert refusal(OKTA, respond(OKTA, issuer_format=NAME_ID_PERSISTENT)) == "issuer_mismatch"


@pytest.mark.parametrize("name_format", [BASIC_NAME_FORMAT, URI_NAME_FORMAT, UNSPECIFIED_NAME_FORMAT, None])
def test_okta_lets_the_admin_choose_the_name_format(name_format: str | None) -> None:
    """Attributes are found by their Name alone."""
    attributes = tuple(replace(one, name_format=name_format) for one in OKTA.attributes)

    assert stated(verify(OKTA, respond(OKTA, attributes=attributes)))[OKTA.names["roles"]] == ROLES


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_each_has_ids_of_its_own_kind(vendor: Vendor) -> None:
    """`id<digits>`, `pfx<uuid>`, `_<uuid>`, `ID_<uuid>`: any xs:ID will do; one that begins with a digit is none."""
    assert verify(vendor, respond(vendor)).id
    assert refusal(vendor, respond(vendor, response_id="0123456789abcdef")) == "id_invalid"


# Google


@pytest.mark.parametrize("signs", [ASSERTION, RESPONSE])
@in_both_worlds
def test_google_sends_attributes_without_a_value(make_world: MakeWorld, signs: tuple[bool, bool]) -> None:
    """What is not filled in there is an Attribute without values and without a NameFormat: nothing is known."""
    world = open_world(make_world, GOOGLE, attributes={**GOOGLE.names, "country": "country", "department": "dept"})
    empty = tuple(SentAttribute(name, (), None) for name in ("country", "dept"))

    identity = log_in(world, GOOGLE, signs=signs, attributes=(*GOOGLE.attributes, *empty))

    assert (identity.country, identity.department) == (None, None)
    assert identity.attributes["country"] == ()
    assert identity.roles == ROLES


def test_google_needs_no_attribute_at_all() -> None:
    """Where the admin mapped none, its AttributeStatement is empty."""
    assertion = verify(GOOGLE, respond(GOOGLE, attributes=(), further_statements_xml=EMPTY_STATEMENT))

    assert assertion.attributes == ()
    assert assertion.authn_context == "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified"


EMPTY_STATEMENT = f'<saml:AttributeStatement xmlns:saml="{SAML}"/>'


# OneLogin


def test_onelogin_signs_with_sha_512_and_its_old_apps_with_sha_1() -> None:
    """SHA-512 is believed as it is; SHA-1 until the date of an exception, and not from then on."""
    assert b"rsa-sha512" in respond(ONELOGIN)
    assert refusal(ONELOGIN, respond(ONELOGIN)) == "accepted"
    old = respond(ONELOGIN, signature_algorithm="rsa-sha1", digest_algorithm="sha1")
    assert refusal(ONELOGIN, old) == "algorithm_not_allowed"
    assert refusal(ONELOGIN, old, sha1_until=NOW + MINUTE) == "accepted"
    assert refusal(ONELOGIN, old, sha1_until=NOW) == "algorithm_not_allowed"


@in_both_worlds
def test_onelogin_sends_all_groups_in_one_value(make_world: MakeWorld) -> None:
    """`a;b;c` reaches the host as the one text that it is: a semicolon may be part of a group's name.

    Where a separator is declared, it is several; one at the end, or two in a row, make no empty one.
    """
    identity = log_in(open_world(make_world, ONELOGIN), ONELOGIN)

    assert identity.roles == ("engineering;all staff;ops",)
    declared = {**ONELOGIN.names, "roles": {"name": "memberOf", "separator": ";"}}
    world = open_world(make_world, ONELOGIN, attributes=declared)
    split = log_in(world, ONELOGIN, attributes=attributes_of(ONELOGIN, roles=("engineering; all staff;;ops;",)))
    assert split.roles == ("engineering", "all staff", "ops")


@pytest.mark.parametrize("vendor", [ONELOGIN, PINGONE, KEYCLOAK, SIMPLESAMLPHP, OKTA], ids=lambda vendor: vendor.name)
def test_some_say_when_their_session_ends(vendor: Vendor) -> None:
    """SessionNotOnOrAfter is kept, and once it is over the message is refused; Okta has none."""
    assertion = verify(vendor, respond(vendor))

    if vendor is OKTA:
        assert assertion.session_ends_at is None
        return
    assert assertion.session_ends_at is not None
    assert assertion.session_ends_at > NOW + timedelta(hours=1)
    assert refusal(vendor, respond(vendor, session_not_on_or_after=NOW)) == "session_over"


@in_both_worlds
def test_a_session_ends_when_theirs_does(make_world: MakeWorld) -> None:
    """A minute before they said, the person is signed in, and not when it is over."""
    world = open_world(make_world, KEYCLOAK, hard_timeout="12h")
    log_in(world, KEYCLOAK, session_not_on_or_after=world.now + timedelta(hours=1))

    world.wait(minutes=59)
    assert world.first_browser.get("/report").status == 200
    world.wait(minutes=1)
    assert world.first_browser.get("/report").status == 303


# PingOne and PingFederate


@pytest.mark.parametrize("signs", [ASSERTION, RESPONSE, BOTH])
@pytest.mark.parametrize("algorithm", ["rsa-sha256", "rsa-sha512"])
@pytest.mark.parametrize("name_id_format", [None, NAME_ID_EMAIL])
def test_pingone_has_options_for_everything(
    signs: tuple[bool, bool], algorithm: str, name_id_format: str | None
) -> None:
    """What is signed, by which algorithm, and whether the NameID has a Format."""
    xml = respond(PINGONE, signs=signs, signature_algorithm=algorithm, name_id_format=name_id_format)

    assertion = verify(PINGONE, xml)

    assert assertion.name_id.format == (name_id_format or NAME_ID_UNSPECIFIED)
    assert stated(assertion)["saml_subject"] == (EMAIL,)


@pytest.mark.parametrize("kind", ["rsa2048", "p256", "p384"])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_pingfederate_signs_with_elliptic_curves_too(kind: KeyKind, digest: str) -> None:
    """RSA or EC, in each strength; a signature under the other kind's name is none."""
    vendor = replace(PINGFEDERATE, key=kind)
    family, other = ("rsa", "ecdsa") if kind == "rsa2048" else ("ecdsa", "rsa")
    xml = respond(vendor, signature_algorithm=f"{family}-{digest}", digest_algorithm=digest)

    assert refusal(vendor, xml) == "accepted"
    renamed = xml.replace(f"#{family}-{digest}".encode(), f"#{other}-{digest}".encode())
    assert refusal(vendor, renamed) == "signature_invalid"


# Keycloak, ADFS, Workspace ONE, SimpleSAMLphp


@in_both_worlds
def test_keycloak_repeats_the_attribute_for_each_role(make_world: MakeWorld) -> None:
    """Each `Role` is an Attribute of its own: none hides another."""
    roles = tuple(SentAttribute("Role", (role,)) for role in ("a", "b", "a", "c"))
    others = tuple(one for one in KEYCLOAK.attributes if one.name != "Role")

    identity = log_in(open_world(make_world, KEYCLOAK), KEYCLOAK, attributes=(roles[0], *others, *roles[1:]))

    assert identity.roles == ("a", "b", "a", "c")


@in_both_worlds
def test_adfs_signs_its_failures(make_world: MakeWorld) -> None:
    """A failure that is signed is one; a signature of somebody else's on it is told as what it is."""
    world = open_world(make_world, ADFS)
    status = "RequestDenied"
    signed = world.idp.refuse(world.begin_login(), now=world.now, status=status, sign_response=True)

    assert world.post_response(signed).status == 403
    assert world.codes == ["identity_provider_failure"]

    world.idp = IdentityProvider(ADFS.entity_id, key="a pretender's")
    forged = world.idp.refuse(world.begin_login(), now=world.now, status=status, sign_response=True)
    assert world.post_response(forged).status == 403
    assert world.codes[-1] == "signature_invalid"


@pytest.mark.parametrize("vendor", [ADFS, WORKSPACE_ONE, SIMPLESAMLPHP], ids=lambda vendor: vendor.name)
@in_both_worlds
def test_the_admin_chooses_the_name_id(make_world: MakeWorld, vendor: Vendor) -> None:
    """Whatever the format, the person gets in, and is told apart by it, unless there is an attribute for that."""
    world = open_world(make_world, vendor)
    for name_id_format in (NAME_ID_PERSISTENT, NAME_ID_EMAIL, NAME_ID_UNSPECIFIED):
        identity = log_in(world, vendor, name_id_format=name_id_format, name_id=EMAIL)
        world.first_browser.cookies.clear()

        assert identity.email == EMAIL
        assert ("principal_id" in vendor.names) == (name_id_format not in identity.key)
        for person in world.store.find_people(PeopleQuery(), limit=10):  # under another NameID it would be two
            world.store.unlink_person(person.id, world.now, forget=True)


@in_both_worlds
def test_simplesamlphp_s_transient_name_ids_need_an_attribute(make_world: MakeWorld) -> None:
    """Nobody could be recognised by one; where the connection maps a lasting attribute, they can be."""
    with_attribute = open_world(make_world, SIMPLESAMLPHP)
    assert "acme-1001" in log_in(with_attribute, SIMPLESAMLPHP, name_id_format=NAME_ID_TRANSIENT).key

    names = {field: name for field, name in SIMPLESAMLPHP.names.items() if field != "principal_id"}
    without = open_world(make_world, SIMPLESAMLPHP, attributes=names)
    form = without.log_in(**SIMPLESAMLPHP.shape(without.now))
    assert without.post_response(form).status == 403
    assert without.codes == ["transient_name_id"]


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_simplesamlphp_encrypts_with_aes_cbc(digest: str) -> None:
    """Within a signed Response that is good enough, within a signed assertion alone it is not."""
    vendor = ENCRYPTING[1]
    algorithms: dict[str, Any] = {"signature_algorithm": f"rsa-{digest}", "digest_algorithm": digest}

    assert refusal(vendor, respond(vendor, signs=BOTH, **algorithms)) == "accepted"
    assert refusal(vendor, respond(vendor, signs=RESPONSE, **algorithms)) == "accepted"
    assert refusal(vendor, respond(vendor, signs=ASSERTION, **algorithms)) == "encryption_not_authenticated"
