"""Every vendor's Response signs people in, in every way that it can sign."""

from __future__ import annotations

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider
from tests.other_verifiers import check_that_others_agree
from tests.shapes.signing_in import in_both_worlds, log_in, open_world, refusal, respond, verify
from tests.shapes.vendors import EMAIL, VENDORS, Signs, Vendor

from sso_middleware.attribute_presets import PRESETS

by_name = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
in_every_way = pytest.mark.parametrize(
    ("vendor", "signs"),
    [
        pytest.param(vendor, signs, id=f"{vendor.name}-{'response' * signs[0]}{'assertion' * signs[1]}")
        for vendor in VENDORS
        for signs in vendor.signs
    ],
)


@by_name
@in_both_worlds
def test_it_signs_people_in(make_world: MakeWorld, vendor: Vendor) -> None:
    """By what it sends by default, under its own attribute names: the host is told who and in which groups.

    The next time it is the same person.
    """
    world = open_world(make_world, vendor)

    identity = log_in(world, vendor)

    assert (identity.email, identity.first_name, identity.last_name) == (EMAIL, "Ada", "Lovelace")
    assert identity.roles == vendor.roles
    assert world.codes == ["login_succeeded"]
    world.first_browser.cookies.clear()
    assert log_in(world, vendor).key == identity.key


@pytest.mark.parametrize("vendor", [one for one in VENDORS if one.preset], ids=lambda vendor: vendor.name)
@in_both_worlds
def test_its_preset_signs_people_in(make_world: MakeWorld, vendor: Vendor) -> None:
    """One word in the settings, and the host is told who it is and in which groups.

    She is the same person as by the names written out: no preset changes by what people are known.
    """
    by_names = log_in(open_world(make_world, vendor), vendor)
    world = open_world(make_world, vendor, attributes=vendor.preset)

    identity = log_in(world, vendor)

    assert (identity.email, identity.first_name, identity.last_name) == (EMAIL, "Ada", "Lovelace")
    assert identity.roles == vendor.preset_roles
    assert identity.key == by_names.key


def test_every_preset_has_a_vendor() -> None:
    """So that each row is one of a Response that signed somebody in."""
    assert {vendor.preset for vendor in VENDORS} - {None} == set(PRESETS)


@in_every_way
def test_it_is_believed_however_it_signs(vendor: Vendor, signs: Signs) -> None:
    """By its options it signs the Response, the Assertion or both; two other verifiers agree."""
    xml = respond(vendor, signs=signs)

    assertion = verify(vendor, xml)

    certificate = vendor.identity_provider.certificate
    assert check_that_others_agree(xml, [certificate]) == (signs[0] if vendor.encryption else sum(signs))
    assert {value for one in assertion.attributes for value in one.values} >= {EMAIL, "Ada", "Lovelace"}


@in_every_way
def test_another_key_is_not_believed(vendor: Vendor, signs: Signs) -> None:
    """The same bytes from somebody who calls himself by the vendor's name."""
    pretender = IdentityProvider(vendor.entity_id, kind=vendor.key, key="a pretender's")

    assert refusal(vendor, respond(vendor, signs=signs, idp=pretender)) == "signature_invalid"


@by_name
def test_unsigned_it_is_not_believed(vendor: Vendor) -> None:
    """Whatever else it looks like."""
    code = "encryption_not_authenticated" if vendor.encryption else "signature_missing"

    assert refusal(vendor, respond(vendor, signs=(False, False))) == code
