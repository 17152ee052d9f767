"""The rows that are no plain attack, over HTTP: what must be accepted, cut short, or found when it is set up.

The tables of refused messages are test_over_http.py's; what each row means in a message, its own module's.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from tests.attacks.scene import BOTH_SIGNED, RESPONSE_SIGNED, Attack, Scene, cut, said
from tests.attacks.surgery import Element, edited
from tests.attacks.test_enc import DATA_VALUE, OPTIONAL, RECIPIENT, replace_with
from tests.attacks.test_over_http import MakeWorld, begin, both_worlds, faults_of, settings_for
from tests.attacks.test_xml import with_doctype
from tests.attacks.trap import Trap
from tests.identity_provider import IdentityProvider, find_one, make_signer
from tests.response_shape import BEARER, DS, SAMLP, Confirmation, SentAttribute, attributes_of, render_attribute
from tests.world import World
from tests.xml_encryption import XENC, Encryption

from sso_middleware import ConfigurationError
from sso_middleware.saml.assertion import NAME_ID_PERSISTENT, NAME_ID_UNSPECIFIED
from sso_middleware.stores.people_records import PeopleQuery

MINUTE = timedelta(minutes=1)
OTHER_ACS = "https://other.example/acs"
Changes = Callable[[Scene], Mapping[str, Any]]


@dataclass(frozen=True)
class Accepted:
    """A message that looks odd, and signs the honest person in all the same."""

    row: str
    sent: str
    changes: Changes = field(repr=False)
    trust: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.row} {self.sent}"


def sends(row: str, sent: str, /, **changes: Any) -> Accepted:
    return Accepted(row, sent, lambda scene: changes)


def statement(attribute: SentAttribute) -> str:
    return f"<saml:AttributeStatement>{render_attribute(attribute)}</saml:AttributeStatement>"


def beside(scene: Scene, **changes: Any) -> Confirmation:
    """A bearer confirmation that holds, but for `changes`."""
    honest: dict[str, Any] = {
        "method": BEARER,
        "recipient": scene.service_provider.acs_url,
        "not_on_or_after": scene.now + MINUTE,
        "in_response_to": scene.request_id,
    }
    return Confirmation(**(honest | changes))


def second_statement(scene: Scene) -> dict[str, str]:
    return {
        "further_statements_xml": (
            f'<saml:AuthnStatement AuthnInstant="{scene.now:%Y-%m-%dT%H:%M:%SZ}"'
            f' SessionNotOnOrAfter="{scene.now + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"><saml:AuthnContext>'
            "<saml:AuthnContextClassRef>urn:x</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>"
        )
    }


def years_ahead(scene: Scene) -> dict[str, Any]:
    far = scene.now + timedelta(days=3650)
    return {"not_on_or_after": far, "confirmation_not_on_or_after": far, "session_not_on_or_after": far}


def unasked_confirmation(scene: Scene) -> dict[str, Any]:
    return {"further_confirmations": (Confirmation(recipient=OTHER_ACS, not_on_or_after=scene.now + MINUTE),)}


GCM = Encryption(RECIPIENT.certificate)
HONEST: tuple[Accepted, ...] = (
    sends("SIG-036", "PrefixList of xs", inclusive_prefixes=("xs",)),
    sends("SIG-036", "both signed", inclusive_prefixes=("xs",), **BOTH_SIGNED),
    sends("PRO-002", "no Destination, the Response unsigned", destination=None),
    sends("PRO-015", "Conditions without NotOnOrAfter", not_on_or_after=None),
    Accepted("PRO-017", "valid for years", years_ahead),
    Accepted("PRO-025", "a bad confirmation beside the good one", unasked_confirmation),
    Accepted("PRO-025", "the good one comes second",
             lambda scene: {"recipient": OTHER_ACS, "further_confirmations": (beside(scene),)}),
    Accepted("PRO-027", "two AuthnStatements", second_statement),
    sends("PRO-042", "OneTimeUse", conditions_inner_xml="<saml:OneTimeUse/>"),
    sends("PRO-045", "another Address", confirmation_address="198.51.100.77"),
    Accepted("PRO-053", "an empty typed value",
             lambda scene: {"attributes": (*attributes_of(scene.email), SentAttribute("Region", ("",)))}),
    sends("TEN-003", "no Issuer in the Response", response_issuer=None),
    sends("TEN-011", "commas and escapes", name_id="a,b=c%2C%3D<b>&amp;</b>"),
    sends("TEN-011", "blanks at its ends", name_id=" padded "),
    Accepted("ENC-004", "AES-GCM, the assertion signed", lambda scene: {"encryption": GCM}, OPTIONAL),
    Accepted("ENC-004", "AES-GCM, the Response signed", lambda scene: {"encryption": GCM, **RESPONSE_SIGNED}, OPTIONAL),
    Accepted("ENC-008", "the key beside the data",
             lambda scene: {"encryption": Encryption(RECIPIENT.certificate, key_beside=True)}, OPTIONAL),
)  # fmt: skip


@both_worlds
def test_what_only_looks_odd_is_accepted(make_world: MakeWorld) -> None:
    """Each signs the honest person in, and the app sees that person."""
    plain = make_world()
    worlds = {False: plain, True: make_world(**settings_for(plain, OPTIONAL))}
    faults = []
    for accepted in HONEST:
        world = worlds[bool(accepted.trust)]
        forget_everybody(world)  # who comes under another NameID with the same address would be stopped
        login = begin(world)
        login.post(login.scene.respond(**accepted.changes(login.scene)))
        answer = login.browser.get("/report")
        principal = world.app.seen[-1].principal if answer.status == 200 else None
        if principal is None or principal.email != login.scene.email:
            faults.append(f"{accepted}: {answer.status} {world.codes}")
    assert faults == []


def forget_everybody(world: World) -> None:
    for person in world.store.find_people(PeopleQuery(), limit=10):
        world.store.unlink_person(person.id, world.now, forget=True)


def changed_envelope(scene: Scene) -> bytes:
    """The unsigned Response around the assertion says that it is older, and of another consent."""

    def edit(root: Element) -> None:
        root.set("IssueInstant", f"{scene.now - MINUTE:%Y-%m-%dT%H:%M:%SZ}")
        root.set("Consent", "urn:oasis:names:tc:SAML:2.0:consent:prior")

    return edited(scene.respond(), edit)


def in_envelope(name: str) -> Callable[[Scene], bytes]:
    return lambda scene: edited(scene.respond(), lambda root: root.set(name, "https://other.example/"))


def deflate_bomb(scene: Scene) -> str:
    packer = zlib.compressobj(9, wbits=-15)
    return base64.b64encode(packer.compress(b"<" + b"a" * 60_000_000) + packer.flush()).decode()


REFUSED: tuple[Attack, ...] = (
    Attack("XSW-023", "InResponseTo changed", "login_request_unknown", in_envelope("InResponseTo")),
    Attack("XSW-023", "Destination changed", "destination_mismatch", in_envelope("Destination")),
    Attack("XML-017", "inflates to 60 MB", "deflated_on_post", deflate_bomb),
    Attack("PRO-025", "two halves", "in_response_to_mismatch", lambda scene: scene.respond(
        recipient=OTHER_ACS, further_confirmations=(beside(scene, in_response_to="_other"),))),
    said("TEN-011", "10 kB", "name_id_invalid", name_id="x" * 10_000),
    said("TEN-011", "two lines", "name_id_invalid", name_id="two\nlines"),
)  # fmt: skip


@both_worlds
def test_what_is_refused_over_http(make_world: MakeWorld) -> None:
    """As test_over_http.py has it: 4xx, no session, the app not reached, the event, and the twin accepted."""
    world = make_world()
    assert [fault for attack in REFUSED for fault in faults_of(world, attack)] == []


@both_worlds
def test_xml_003_no_address_in_a_document_type_is_asked(make_world: MakeWorld, trap: Trap) -> None:
    """An external subset or entity: refused, and its server hears nothing."""
    world = make_world()
    for doctype in (f'SYSTEM "{trap.url}"', f'[<!ENTITY x SYSTEM "{trap.url}">]'):
        attack = Attack("XML-003", doctype, "doctype_not_allowed", with_doctype(doctype))
        assert list(faults_of(world, attack)) == []
    assert not trap.was_called()


@both_worlds
def test_enc_011_no_address_in_encrypted_data_is_asked(make_world: MakeWorld, trap: Trap) -> None:
    """A ciphertext or a key that lies elsewhere: refused, and its server hears nothing."""
    world = make_world(**settings_for(make_world(), OPTIONAL))
    code = "encryption_reference_not_allowed"
    cipher = replace_with(f'<x:CipherReference xmlns:x="{XENC}" URI="{trap.url}"/>', DATA_VALUE)
    beside_data = {"encryption": Encryption(RECIPIENT.certificate, key_beside=True)}

    def key_elsewhere(scene: Scene, root: Element) -> None:
        find_one(root, ".//ds:RetrievalMethod").set("URI", trap.url)

    for attack in (
        cut("ENC-011", "CipherReference", code, cipher, genuine={"encryption": GCM}, trust=OPTIONAL),
        cut("ENC-011", "RetrievalMethod", code, key_elsewhere, genuine=beside_data, trust=OPTIONAL),
    ):
        assert list(faults_of(world, attack)) == []
    assert not trap.was_called()


@both_worlds
def test_xsw_023_the_envelope_lends_no_value(make_world: MakeWorld) -> None:
    """Its time and its consent were changed on the way: the person, and all that is said of them, is the signed one."""
    world = make_world()
    login = begin(world)
    assert login.post(changed_envelope(login.scene)).status == 303
    (identity,) = world.hooks.identities
    assert (identity.email, identity.first_name) == (login.scene.email, "Ada")


OTHER_ROLES = {
    "SIG-014 SPSSODescriptor": ("signing", "SPSSODescriptor", '<AssertionConsumerService index="0"'),
    "SIG-014 AttributeAuthorityDescriptor": ("signing", "AttributeAuthorityDescriptor", "<AttributeService"),
    "SIG-015 use=encryption": ("encryption", "IDPSSODescriptor", ""),
}


@both_worlds
@pytest.mark.parametrize("role", OTHER_ROLES)
def test_sig_014_015_a_key_of_another_role_signs_nobody_in(make_world: MakeWorld, role: str) -> None:
    """The same entity publishes it, for something else."""
    use, descriptor, service = OTHER_ROLES[role]
    plain = make_world()
    other = IdentityProvider(plain.idp.entity_id, key="other role's")
    key = (
        f'<KeyDescriptor use="{use}"><ds:KeyInfo xmlns:ds="{DS}"><ds:X509Data><ds:X509Certificate>'
        f"{other.signer.certificate_body}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></KeyDescriptor>"
    )
    binding = 'Binding="urn:oasis:names:tc:SAML:2.0:bindings:SOAP" Location="https://idp.acme.example/x"/>'
    if service:
        whole = f'<{descriptor} protocolSupportEnumeration="{SAMLP}">{key}{service} {binding}</{descriptor}>'
        metadata = plain.idp.metadata.replace("</EntityDescriptor>", f"{whole}</EntityDescriptor>")
    else:
        metadata = plain.idp.metadata.replace("<SingleSignOnService", f"{key}<SingleSignOnService", 1)
    world = make_world(connections=[plain.connection(metadata=metadata)])
    attack = Attack(role[:7], "signed by it", "signature_invalid", lambda scene: scene.respond_as(other))

    assert list(faults_of(world, attack)) == []


@both_worlds
def test_sig_019_a_weak_key_stops_the_start(make_world: MakeWorld) -> None:
    """RSA-1024: there is no app that would believe it."""
    plain = make_world()
    weak = IdentityProvider(plain.idp.entity_id, plain.idp.sso_url, kind="rsa1024")
    with pytest.raises(ConfigurationError, match="1024 bits"):
        make_world(connections=[plain.connection(metadata=weak.metadata)])


@both_worlds
def test_pro_015_017_no_assertion_lasts_longer_than_it_may(make_world: MakeWorld) -> None:
    """Whatever NotOnOrAfter says, after some minutes it is refused, and until then it counts once."""
    world = make_world()
    for changes in ({"not_on_or_after": None}, {"not_on_or_after": world.now + timedelta(days=3650)}):
        login = begin(world)
        message = login.scene.respond(**changes)
        assert login.post(message).status == 303
        assert login.post(message).status == 403
        late = begin(world)
        message = late.scene.respond(**changes)
        world.wait(minutes=8)
        world.events.clear()
        assert late.post(message).status == 403
        assert world.codes[0] in {"stale", "expired"}


@both_worlds
def test_pro_027_029_a_session_ends_when_the_identity_provider_says(make_world: MakeWorld) -> None:
    """SessionNotOnOrAfter, the earlier of two."""
    world = make_world()
    login = begin(world)
    login.post(
        login.scene.respond(session_not_on_or_after=world.now + timedelta(hours=8), **second_statement(login.scene))
    )
    world.wait(minutes=59)
    assert login.browser.get("/report").status == 200
    world.wait(minutes=1)
    assert login.browser.get("/report").status == 303


@both_worlds
def test_pro_042_one_time_use_is_used_once(make_world: MakeWorld) -> None:
    """As every assertion is."""
    world = make_world()
    login = begin(world)
    message = login.scene.respond(conditions_inner_xml="<saml:OneTimeUse/>")
    assert login.post(message).status == 303
    assert login.post(message).status == 403


@both_worlds
def test_pro_047_the_values_of_a_repeated_attribute_come_together(make_world: MakeWorld) -> None:
    """In order; none hides another."""
    world = make_world()
    login = begin(world)
    roles = (*attributes_of(login.scene.email, roles=("first",)), SentAttribute("role_mapping", ("second",)))
    third = statement(SentAttribute("role_mapping", ("third",)))
    login.post(login.scene.respond(attributes=roles, further_statements_xml=third))
    assert world.hooks.identities[-1].roles == ("first", "second", "third")


@both_worlds
def test_ten_012_no_role_comes_under_another_name(make_world: MakeWorld) -> None:
    """Whatever its FriendlyName says."""
    world = make_world()
    login = begin(world)
    disguised = SentAttribute("favourite_colour", ("admin",), friendly_name="role_mapping")
    login.post(
        login.scene.respond(
            attributes=(disguised, *attributes_of(login.scene.email, roles=("user",))),
            further_statements_xml=statement(disguised),
        )
    )
    assert world.hooks.identities[-1].roles == ("user",)


@both_worlds
def test_ten_010_another_format_or_qualifier_is_another_person(make_world: MakeWorld) -> None:
    """The same text four times, and four keys that a host could link to."""
    world = make_world()
    for shape in (
        {"name_id_format": NAME_ID_PERSISTENT},
        {"name_id_format": NAME_ID_UNSPECIFIED},
        {"name_id_format": NAME_ID_PERSISTENT, "name_qualifier": world.idp.entity_id},
        {"name_id_format": NAME_ID_PERSISTENT, "sp_name_qualifier": world.entity_id},
    ):
        login = begin(world)
        assert login.post(login.scene.respond(name_id="7", **shape)).status == 303
        forget_everybody(world)
    assert len({identity.key for identity in world.hooks.identities}) == 4


@both_worlds
def test_ten_010_another_format_or_qualifier_with_the_same_address_is_stopped(make_world: MakeWorld) -> None:
    """One person under two keys, or two people with one address: nobody guesses which."""
    world = make_world()
    login = begin(world)
    assert login.post(login.scene.respond(name_id="7", name_id_format=NAME_ID_PERSISTENT)).status == 303

    login = begin(world)
    assert login.post(login.scene.respond(name_id="7", name_id_format=NAME_ID_UNSPECIFIED)).status == 403
    assert world.codes[-1] == "person_conflict"


@both_worlds
def test_enc_010_a_message_for_a_key_that_is_gone_is_refused(make_world: MakeWorld) -> None:
    """That either key opens it during a rollover is shown by tests/flows/test_key_rollover.py."""
    plain = make_world()
    world = make_world(**settings_for(plain, OPTIONAL))
    stranger = Encryption(make_signer("a key of nobody's here").certificate)
    attack = Attack(
        "ENC-010",
        "for another key",
        "decryption_failed",
        lambda scene: scene.respond(encryption=stranger),
        {"encryption": GCM},
        OPTIONAL,
    )
    assert list(faults_of(world, attack)) == []
