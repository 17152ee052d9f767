"""TEN: one customer's identity provider speaks for another's. Message level; domains and people are the flows'."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from lxml import etree
from tests.attacks.scene import (
    EVERY_WAY,
    RESPONSE_SIGNED,
    Attack,
    Scene,
    check_refused,
    check_twin_accepted,
    default_scene,
    said,
    verify,
)
from tests.attacks.surgery import assertion_in
from tests.identity_provider import sign
from tests.response_shape import (
    SentAttribute,
    attributes_of,
    render_assertion,
    render_attribute,
    render_response,
)
from tests.xml_encryption import Encryption, encrypted_assertion

from sso_middleware.errors import MessageRefused
from sso_middleware.saml.assertion import NAME_ID_PERSISTENT, NAME_ID_UNSPECIFIED, Assertion
from sso_middleware.saml.parties import ServiceProvider

OTHER = "https://idp.other.example/metadata"


def response_of_other_around_unsigned(scene: Scene) -> bytes:
    """The other provider signs a Response of its own, around an unsigned assertion in our provider's name."""
    return scene.respond_as(scene.other_idp, response_issuer=OTHER, **RESPONSE_SIGNED)


def response_of_other_around_genuine(scene: Scene) -> bytes:
    """The other provider signs a Response around a genuine assertion that it came by."""
    shape = scene.other_idp.shape(
        scene.service_provider, request_id=scene.request_id, email=scene.email, now=scene.now, sign_response=True
    )
    genuine = etree.tostring(assertion_in(etree.fromstring(scene.respond())), encoding="unicode")
    return sign(render_response(shape, genuine), scene.other_idp.signer).encode()


def plain_of_other_beside_encrypted(scene: Scene) -> bytes:
    shape = scene.idp.shape(scene.service_provider, request_id=scene.request_id, email=scene.email, now=scene.now)
    ours = encrypted_assertion(sign(render_assertion(shape), scene.idp.signer), Encryption(scene.idp.certificate))
    theirs = scene.other_idp.shape(
        scene.service_provider, request_id=scene.request_id, email=scene.victim, now=scene.now
    )
    return render_response(shape, sign(render_assertion(theirs), scene.other_idp.signer) + ours).encode()


def other_for_itself(signed: Mapping[str, bool]) -> Callable[[Scene], bytes]:
    return lambda scene: scene.respond_as(scene.other_idp, issuer=OTHER, response_issuer=OTHER, **signed)


ATTACKS: tuple[Attack, ...] = (
    said("TEN-001", "unsigned Response of another", "issuer_mismatch", response_issuer=OTHER),
    said("TEN-001", "Response in another's name", "issuer_mismatch", response_issuer=OTHER, **RESPONSE_SIGNED),
    said("TEN-001", "assertion in another's name", "issuer_mismatch", issuer=OTHER),
    Attack("TEN-002", "unsigned assertion", "issuer_mismatch", response_of_other_around_unsigned),
    Attack("TEN-002", "genuine assertion", "issuer_mismatch", response_of_other_around_genuine),
    Attack("TEN-002", "all in our name", "signature_invalid",
           lambda scene: scene.respond_as(scene.other_idp, **RESPONSE_SIGNED)),
    Attack("TEN-004", "plain and encrypted", "too_many_assertions", plain_of_other_beside_encrypted),
    *(
        Attack("TEN-005", f"another's login, {way}", "issuer_mismatch",
               other_for_itself(signed), signed)
        for way, signed in EVERY_WAY.items()
    ),
)  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_attack_is_refused(attack: Attack) -> None:
    """No provider but the connection's own says who somebody is."""
    check_refused(attack)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_honest_twin_is_accepted(attack: Attack) -> None:
    """The same message from the connection's own provider signs the person in."""
    check_twin_accepted(attack)


def test_ten_003_an_unsigned_response_without_issuer_goes_by_the_assertions() -> None:
    """Issuer is optional in a Response (SAML core 3.2.2); the assertion's own is required and compared."""
    scene = default_scene()
    assert verify(scene, scene.respond(response_issuer=None)).issuer == scene.idp.entity_id


def test_ten_005_a_login_at_one_connection_is_no_login_at_another() -> None:
    """The same genuine message at another connection's ACS, even of the same identity provider, is refused."""
    scene = default_scene()
    elsewhere = replace(
        scene,
        service_provider=ServiceProvider("https://app.example.com/sso/b/metadata", "https://app.example.com/sso/b/acs"),
    )
    with pytest.raises(MessageRefused) as refusal:
        verify(elsewhere, scene.respond())
    assert refusal.value.code == "destination_mismatch"
    with pytest.raises(MessageRefused) as refusal:
        verify(elsewhere, scene.respond(destination=None))
    assert refusal.value.code in {"recipient_mismatch", "audience_mismatch"}


def test_ten_010_a_name_id_keeps_what_tells_it_apart() -> None:
    """Format and qualifiers come with the value, and two people who differ in one of them stay two."""
    scene = default_scene()
    seen = {
        verify(scene, scene.respond(name_id="7", **shape)).name_id
        for shape in (
            {"name_id_format": NAME_ID_PERSISTENT},
            {"name_id_format": NAME_ID_UNSPECIFIED},
            {"name_id_format": NAME_ID_PERSISTENT, "name_qualifier": scene.idp.entity_id},
            {"name_id_format": NAME_ID_PERSISTENT, "sp_name_qualifier": scene.service_provider.entity_id},
        )
    }
    assert len(seen) == 4


@pytest.mark.parametrize("value", ["a,b=c%2C%3D", "x" * 256, " padded ", "\u00e9", "e\u0301", "<b>&amp;</b>"])
def test_ten_011_a_name_id_is_kept_to_the_letter(value: str) -> None:
    """Nothing in a NameID is decoded, trimmed or normalised."""
    scene = default_scene()
    assert verify(scene, scene.respond(name_id=value)).name_id.value == value


@pytest.mark.parametrize("value", ["x" * 10_000, "two\nlines", "tab\tbed"])
def test_ten_011_an_unreasonable_name_id_is_refused(value: str) -> None:
    """A NameID that no provider would make, and no log or header could hold, is refused."""
    check_refused(said("TEN-011", "unreasonable", "name_id_invalid", name_id=value))


def test_ten_012_a_role_counts_under_its_own_name_only() -> None:
    """A FriendlyName is for people to read: the attribute keeps the Name that it was sent under."""
    scene = default_scene()
    disguised = SentAttribute("favourite_colour", ("admin",), friendly_name="role_mapping")
    second = f"<saml:AttributeStatement>{render_attribute(disguised)}</saml:AttributeStatement>"
    assertion = verify(
        scene, scene.respond(attributes=attributes_of(scene.email, roles=("user",)), further_statements_xml=second)
    )
    assert roles_of(assertion) == ["user"]


def roles_of(assertion: Assertion) -> list[str]:
    return [value for each in assertion.attributes if each.name == "role_mapping" for value in each.values]
