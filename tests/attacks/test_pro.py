"""PRO: genuine and signed, but not what the web browser SSO profile (SAML profiles 4.1) demands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from lxml import etree
from tests.attacks.scene import (
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
from tests.identity_provider import form_value
from tests.response_shape import (
    BEARER,
    DS,
    HOLDER_OF_KEY,
    PASSWORD_PROTECTED,
    SAML,
    SAMLP,
    SENDER_VOUCHES,
    XSI,
    Confirmation,
    SentAttribute,
    attributes_of,
    render_assertion,
    render_attribute,
)
from tests.xml_encryption import Encryption, encrypted_assertion

from sso_middleware.errors import AuthnContextNotAllowed, AuthnNotFresh, MessageRefused
from sso_middleware.saml.assertion import NAME_ID_PERSISTENT, Assertion
from sso_middleware.saml.parsing import read_message_xml
from sso_middleware.saml.parties import Expected, Trust
from sso_middleware.saml.response import verify_response

MINUTE = timedelta(minutes=1)
BEYOND_LEEWAY = timedelta(seconds=121)
MFA = "https://refeds.org/profile/mfa"
OTHER_ACS = "https://app.example.com/sso/other/acs"


def relative(
    row: str, sent: str, code: str, /, trust: dict[str, Any] | None = None, **changes: Callable[[Scene], Any]
) -> Attack:
    """The identity provider says what depends on the scene: each change is asked for its value."""

    def build(scene: Scene) -> bytes:
        return scene.respond(**{name: change(scene) for name, change in changes.items()})

    return Attack(row, sent, code, build)


def after(delta: timedelta) -> Callable[[Scene], Any]:
    return lambda scene: scene.now + delta


def acs(change: Callable[[str], str]) -> Callable[[Scene], str]:
    return lambda scene: change(scene.service_provider.acs_url)


def entity_id(change: Callable[[str], str]) -> Callable[[Scene], str]:
    return lambda scene: change(scene.service_provider.entity_id)


def other_case(url: str) -> str:
    return url.replace("/acs", "/ACS").replace("/metadata", "/Metadata")


def plain_twin(scene: Scene) -> str:
    """One more assertion, as the identity provider signs it."""
    return etree.tostring(assertion_in(etree.fromstring(scene.respond())), encoding="unicode")


def further(xml: Callable[[Scene], str]) -> Callable[[Scene], bytes]:
    return lambda scene: scene.respond(after_assertion_xml=xml(scene))


def encrypted_twin(scene: Scene) -> str:
    return encrypted_assertion(plain_twin(scene), Encryption(scene.idp.certificate))


def root(xml: str) -> Callable[[Scene], bytes]:
    head = f'xmlns:samlp="{SAMLP}" xmlns:saml="{SAML}" ID="_a" Version="2.0" IssueInstant="2026-03-01T12:00:00Z"'
    return lambda scene: xml.format(head=head, issuer=f"<saml:Issuer>{scene.idp.entity_id}</saml:Issuer>").encode()


def lone_assertion(scene: Scene) -> bytes:
    return plain_twin(scene).encode()


def in_soap(scene: Scene) -> bytes:
    soap = "http://schemas.xmlsoap.org/soap/envelope/"
    return f'<s:Envelope xmlns:s="{soap}"><s:Body>{scene.respond().decode()}</s:Body></s:Envelope>'.encode()


UNKNOWN_CONDITION = f'<saml:Condition xmlns:mine="urn:mine" xmlns:xsi="{XSI}" xsi:type="mine:Sunny"/>'
KEY_INFO = f'<ds:KeyInfo xmlns:ds="{DS}"><ds:KeyName>mine</ds:KeyName></ds:KeyInfo>'

ATTACKS: tuple[Attack, ...] = (
    said("PRO-001", "absent", "destination_mismatch", destination=None, **RESPONSE_SIGNED),
    said("PRO-003", "empty", "destination_mismatch", destination=""),
    said("PRO-003", "empty, signed", "destination_mismatch", destination="", **RESPONSE_SIGNED),
    said("PRO-004", "elsewhere", "destination_mismatch", destination="https://other.example/acs"),
    said("PRO-004", "other connection", "destination_mismatch", destination=OTHER_ACS),
    relative("PRO-004", "case", "destination_mismatch", destination=acs(other_case)),
    relative("PRO-004", "port", "destination_mismatch", destination=acs(lambda url: url.replace("/sso", ":8443/sso"))),
    relative("PRO-004", "trailing slash", "destination_mismatch", destination=acs(lambda url: url + "/")),
    said("PRO-005", "absent", "recipient_mismatch", recipient=None),
    said("PRO-006", "elsewhere", "recipient_mismatch", recipient="https://other.example/acs"),
    relative("PRO-006", "trailing slash", "recipient_mismatch", recipient=acs(lambda url: url + "/")),
    relative("PRO-007", "our entity id", "recipient_mismatch", recipient=entity_id(str)),
    said("PRO-008", "other connection", "recipient_mismatch", recipient=OTHER_ACS),
    said("PRO-009", "other", "audience_mismatch", audience="https://other.example/metadata"),
    said("PRO-009", "empty restriction", "schema_violated", audience=()),
    said("PRO-010", "absent", "audience_mismatch", audience=None),
    said("PRO-011", "second not us", "audience_mismatch", further_restrictions=(("https://other.example/",),)),
    relative("PRO-012", "case", "audience_mismatch", audience=entity_id(other_case)),
    relative("PRO-012", "prefix", "audience_mismatch", audience=entity_id(lambda name: name[:-1])),
    relative("PRO-012", "longer", "audience_mismatch", audience=entity_id(lambda name: name + "/")),
    relative("PRO-012", "inner whitespace", "audience_mismatch",
             audience=entity_id(lambda name: name.replace("/sso", " /sso"))),
    said("PRO-013", "absent", "conditions_missing", has_conditions=False),
    relative("PRO-014", "expired", "expired", not_on_or_after=after(-BEYOND_LEEWAY)),
    relative("PRO-016", "in the future", "not_yet_valid", not_before=after(BEYOND_LEEWAY)),
    said("PRO-018", "absent", "subject_confirmation_unbounded", confirmation_not_on_or_after=None),
    relative("PRO-019", "expired", "expired", confirmation_not_on_or_after=after(-BEYOND_LEEWAY)),
    relative("PRO-020", "present", "subject_confirmation_unbounded", confirmation_not_before=after(-MINUTE)),
    said("PRO-021", "absent", "subject_confirmation_missing", has_confirmation=False),
    said("PRO-022", "no data", "subject_confirmation_missing", has_confirmation_data=False),
    said("PRO-023", "sender-vouches", "subject_confirmation_missing", confirmation_method=SENDER_VOUCHES),
    said("PRO-024", "without key", "subject_confirmation_missing", confirmation_method=HOLDER_OF_KEY),
    said("PRO-024", "with key", "subject_confirmation_missing", confirmation_method=HOLDER_OF_KEY,
         confirmation_inner_xml=KEY_INFO),
    said("PRO-026", "absent", "authn_statement_missing", has_authn_statement=False),
    relative("PRO-028", "past", "session_over", session_not_on_or_after=after(-BEYOND_LEEWAY)),
    said("PRO-030", "absent", "subject_missing", has_subject=False),
    said("PRO-031", "absent", "name_id_missing", name_id=None),
    said("PRO-031", "empty", "name_id_missing", name_id=""),
    said("PRO-031", "blank", "name_id_missing", name_id=" \n "),
    said("PRO-033", "NameQualifier", "name_qualifier_mismatch", name_qualifier="https://idp.other.example/metadata"),
    said("PRO-033", "SPNameQualifier", "name_qualifier_mismatch", sp_name_qualifier="https://other.example/metadata"),
    *(said("PRO-034", value, "version_unsupported", response_version=value) for value in ("1.1", "2.1", "3.0", "")),
    *(said("PRO-035", value, "version_unsupported", assertion_version=value) for value in ("1.1", "2.1", "")),
    relative("PRO-036", "stale", "stale", issued_at=after(-20 * MINUTE)),
    relative("PRO-036", "future", "not_yet_valid", issued_at=after(BEYOND_LEEWAY)),
    Attack("PRO-036", "stale and unsolicited", "stale", lambda scene: scene.respond(
        issued_at=scene.now - 8 * MINUTE), solicited=False),
    relative("PRO-037", "stale", "stale", assertion_issued_at=after(-20 * MINUTE)),
    Attack("PRO-037", "stale and unsolicited", "stale", lambda scene: scene.respond(
        assertion_issued_at=scene.now - 8 * MINUTE), solicited=False),
    relative("PRO-037", "authenticated in the future", "not_yet_valid", authn_instant=after(BEYOND_LEEWAY)),
    relative("PRO-037", "future", "not_yet_valid", assertion_issued_at=after(BEYOND_LEEWAY)),
    relative("PRO-037", "before the request", "stale", assertion_issued_at=after(-timedelta(seconds=151))),
    said("PRO-038", "refused, with an assertion", "status_contradicted", status=("Responder", "AuthnFailed")),
    said("PRO-038", "the same, signed", "status_contradicted", status=("Requester",), **RESPONSE_SIGNED),
    said("PRO-038", "Success within", "status_contradicted", status=("Responder", "Success")),
    said("PRO-039", "absent", "schema_violated", status=None),
    said("PRO-040", "error, then Success", "schema_violated", status=("Responder",), second_status=("Success",)),
    said("PRO-040", "Success, then error", "schema_violated", second_status=("Responder",)),
    said("PRO-043", "unknown type", "condition_unknown", conditions_inner_xml=UNKNOWN_CONDITION),
    Attack("PRO-046", "embedded assertion", "assertion_misplaced", lambda scene: scene.respond(
        advice_xml=render_assertion(scene.idp.shape(scene.service_provider, request_id=scene.request_id,
                                                    email=scene.victim, now=scene.now, sign_assertion=False)))),
    Attack("PRO-048", "two signed", "too_many_assertions", further(plain_twin)),
    Attack("PRO-049", "plain and encrypted", "too_many_assertions", further(encrypted_twin)),
    Attack("PRO-049", "two plain and one encrypted", "too_many_assertions", further(
        lambda scene: plain_twin(scene) + encrypted_twin(scene))),
    Attack("PRO-050", "LogoutResponse", "root_unexpected", root(
        "<samlp:LogoutResponse {head}>{issuer}</samlp:LogoutResponse>")),
    Attack("PRO-050", "AuthnRequest", "root_unexpected", root(
        "<samlp:AuthnRequest {head}>{issuer}</samlp:AuthnRequest>")),
    Attack("PRO-050", "Assertion", "root_unexpected", lone_assertion),
    Attack("PRO-050", "SOAP", "root_unexpected", in_soap),
    said("PRO-051", "Response", "issuer_mismatch", response_issuer_format=NAME_ID_PERSISTENT),
    said("PRO-051", "Assertion", "issuer_mismatch", issuer_format=NAME_ID_PERSISTENT),
    said("PRO-052", "no zone", "time_invalid", not_on_or_after="2026-03-01T12:05:00"),
    said("PRO-052", "no such day", "time_invalid", not_on_or_after="2026-02-30T12:05:00Z"),
    said("PRO-052", "words", "time_invalid", assertion_issued_at="now"),
)  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_attack_is_refused(attack: Attack) -> None:
    """Each breach of the profile is refused, for its own reason."""
    check_refused(attack)


@pytest.mark.parametrize("signed", [{}, RESPONSE_SIGNED], ids=["assertion signed", "response signed"])
def test_the_honest_twin_is_accepted(signed: dict[str, Any]) -> None:
    """The same message without the breach signs the person in; there are two twins in this table."""
    assert all(attack.genuine in ({}, RESPONSE_SIGNED) and not attack.trust for attack in ATTACKS)
    check_twin_accepted(Attack("PRO", "twin", "", lambda scene: b"", signed))


def accepted(**changes: Any) -> Any:
    scene = default_scene()
    return verify(scene, scene.respond(**changes))


def test_pro_002_an_unsigned_response_needs_no_destination() -> None:
    """Destination is demanded of a signed Response only (SAML bindings 3.5.5.2); the Recipient is signed."""
    assert accepted(destination=None).name_id.value == default_scene().email


@pytest.mark.parametrize(
    ("field", "seconds"),
    [("not_on_or_after", -119), ("confirmation_not_on_or_after", -119), ("not_before", 119), ("issued_at", 119)],
)
def test_pro_014_016_019_the_two_clocks_may_differ_by_the_leeway(field: str, seconds: int) -> None:
    """Within 120 seconds a time that is just over, or not yet, still counts."""
    now = default_scene().now
    assert accepted(**{field: now + timedelta(seconds=seconds)}).name_id.value


def test_pro_015_without_conditions_notonorafter_the_confirmation_ends_it() -> None:
    """The assertion can't be used longer than its bearer confirmation allows."""
    scene = default_scene()
    message = scene.respond(not_on_or_after=None, confirmation_not_on_or_after=scene.now + MINUTE)
    assert verify(replace(scene, now=scene.now + 2 * MINUTE), message).name_id.value == scene.email
    with pytest.raises(MessageRefused) as refusal:
        verify(replace(scene, now=scene.now + 3 * MINUTE), message)
    assert refusal.value.code == "expired"


def test_pro_017_a_lifetime_of_years_is_cut() -> None:
    """However long the identity provider says, what we remember about replays has an end."""
    now = default_scene().now
    assertion = accepted(
        not_on_or_after=now + timedelta(days=3650), confirmation_not_on_or_after=now + timedelta(days=3650)
    )
    assert assertion.valid_until <= now + timedelta(days=1)


def test_pro_025_one_good_bearer_confirmation_is_enough() -> None:
    """A bad confirmation beside a good one neither helps nor harms."""
    scene = default_scene()
    bad = Confirmation(recipient=OTHER_ACS, not_on_or_after=scene.now + MINUTE, in_response_to="_other")
    good = Confirmation(
        method=BEARER,
        recipient=scene.service_provider.acs_url,
        not_on_or_after=scene.now + MINUTE,
        in_response_to=scene.request_id,
    )
    assert accepted(further_confirmations=(bad,)).valid_until
    assert accepted(recipient=OTHER_ACS, further_confirmations=(good,)).valid_until


def test_pro_025_two_halves_are_no_confirmation() -> None:
    """What one confirmation lacks, another can't lend it."""
    scene = default_scene()
    wrong_request = Confirmation(
        recipient=scene.service_provider.acs_url, not_on_or_after=scene.now + MINUTE, in_response_to="_other"
    )
    with pytest.raises(MessageRefused):
        accepted(recipient=OTHER_ACS, further_confirmations=(wrong_request,))


def test_pro_027_two_authn_statements_give_the_earliest_end() -> None:
    """With two AuthnStatements the session ends at the earlier of the two."""
    now = default_scene().now
    second = (
        '<saml:AuthnStatement AuthnInstant="2026-03-01T12:00:00Z" SessionNotOnOrAfter="2026-03-01T13:00:00Z">'
        "<saml:AuthnContext><saml:AuthnContextClassRef>urn:x</saml:AuthnContextClassRef></saml:AuthnContext>"
        "</saml:AuthnStatement>"
    )
    assertion = accepted(session_not_on_or_after=now + timedelta(hours=8), further_statements_xml=second)
    assert assertion.session_ends_at == now + timedelta(hours=1)


def test_pro_029_the_session_ends_when_the_identity_provider_says() -> None:
    """SessionNotOnOrAfter is handed on, for the session to be cut."""
    end = default_scene().now + timedelta(hours=1)
    assert accepted(session_not_on_or_after=end).session_ends_at == end


def test_pro_042_one_time_use_is_accepted() -> None:
    """OneTimeUse asks for what we do with every assertion: claim it once."""
    assert accepted(conditions_inner_xml="<saml:OneTimeUse/>").valid_until


def test_pro_044_a_fresh_authentication_is_not_an_old_one() -> None:
    """Where we sent ForceAuthn, AuthnInstant lies behind our request; the leeway is for clocks that differ."""
    scene = default_scene()
    asked = Expected(request_id="_request-of-ours", issued_at=scene.requested_at, force_authn=True)

    def verify_at(authn_instant: datetime, expected: Expected) -> Assertion:
        return verify_response(
            read_message_xml(scene.respond(authn_instant=authn_instant)),
            trust=Trust(identity_provider=scene.idp.describe()),
            service_provider=scene.service_provider,
            expected=expected,
            now=scene.now,
        )

    with pytest.raises(AuthnNotFresh):
        verify_at(scene.requested_at - 3 * MINUTE, asked)
    assert verify_at(scene.requested_at - 1 * MINUTE, asked).id
    assert verify_at(scene.requested_at - 3 * MINUTE, replace(asked, force_authn=False)).id


@pytest.mark.parametrize("sent", [PASSWORD_PROTECTED, MFA + "/", MFA.upper(), ""])
def test_pro_044_another_authentication_context_is_refused(sent: str) -> None:
    """Compared to the letter; the honest twin, which says one that is listed, is accepted."""
    scene = default_scene()

    with pytest.raises(AuthnContextNotAllowed):
        verify(scene, scene.respond(authn_context=sent), authn_contexts=("urn:other", MFA))
    assert verify(scene, scene.respond(authn_context=MFA), authn_contexts=("urn:other", MFA)).authn_context == MFA


def test_pro_045_the_address_is_not_compared() -> None:
    """The identity provider may see the person from another side of a proxy than we do (a decision, in rules.py)."""
    assert accepted(confirmation_address="198.51.100.77").name_id.value


def test_pro_047_repeated_attributes_are_all_kept_in_order() -> None:
    """An attribute that is sent twice is never last-wins: both are there, in the order they came."""
    third = render_attribute(SentAttribute("role_mapping", ("third",)))
    second = f"<saml:AttributeStatement>{third}</saml:AttributeStatement>"
    assertion = accepted(
        attributes=(*attributes_of("ada@acme.example", roles=("first",)), SentAttribute("role_mapping", ("second",))),
        further_statements_xml=second,
    )
    values = [
        value for attribute in assertion.attributes if attribute.name == "role_mapping" for value in attribute.values
    ]
    assert values == ["first", "second", "third"]


@pytest.mark.parametrize(
    "time",
    ["2026-03-01T14:05:00+02:00", "2026-03-01T12:05:00.1234567Z", "2026-03-01T12:05:00Z", "2026-03-01T05:05:00-07:00"],
)
def test_pro_052_a_time_with_its_zone_is_read_correctly(time: str) -> None:
    """An offset is applied, and seven digits of a second are no obstacle."""
    scene = default_scene()
    assertion = accepted(not_on_or_after=time, confirmation_not_on_or_after=time)
    assert scene.now + 5 * MINUTE <= assertion.valid_until <= scene.now + 8 * MINUTE


def test_pro_053_an_empty_typed_value_is_an_empty_value() -> None:
    """`<AttributeValue xsi:type="xs:string"/>` is the empty string, not an error."""
    scene = default_scene()
    message = scene.respond(attributes=(SentAttribute("Email", (scene.email,)), SentAttribute("Country", ("",))))
    assert [a.values for a in verify(scene, message).attributes if a.name == "Country"] == [("",)]


def test_pro_054_only_an_assertion_comes_back() -> None:
    """Whatever isn't a verified assertion raises: there is no result that could be overlooked."""
    scene = default_scene()
    for status in (("Responder",), ("Requester", "RequestDenied")):
        with pytest.raises(MessageRefused) as refusal:
            verify(scene, scene.respond(status=status, has_assertion=False))
        assert refusal.value.code == "status_not_success"
    with pytest.raises(MessageRefused) as refusal:
        verify(scene, scene.respond(has_assertion=False))
    assert refusal.value.code == "assertion_missing"
    with pytest.raises(MessageRefused):
        verify(scene, form_value(b""))
