"""Explanations: the verdict is the real one, all that is wrong is told at once, and nothing about the person is."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from tests.attacks import test_enc, test_pro, test_rpl, test_sig, test_ten, test_xml, test_xsw
from tests.attacks.scene import Attack, Scene, default_scene, unsolicited
from tests.identity_provider import IdentityProvider, form_value
from tests.response_shape import SAML, SAMLP, attributes_of
from tests.saml.conversation import EXPECTED, IDP, NOW, SERVICE_PROVIDER, edited, our_encryption, respond

from sso_middleware import errors
from sso_middleware.errors import (
    AssertionReplayed,
    AttributeMissing,
    BadRequest,
    EmailOutsideDomains,
    LoginRefused,
    LoginRequestUnknown,
    Refused,
    SSOError,
    StoreUnavailable,
    XmlMalformed,
)
from sso_middleware.saml.assertion import NAME_ID_PERSISTENT, Assertion
from sso_middleware.saml.explaining.check import Who
from sso_middleware.saml.explaining.checks import CHECKS, check_of, who_must_act
from sso_middleware.saml.explaining.explanation import Explanation, Finding, explain, judge
from sso_middleware.saml.explaining.glimpse import Glimpse, glimpse_at, glimpse_of
from sso_middleware.saml.explaining.readings import Circumstances
from sso_middleware.saml.explaining.stored import LARGEST, as_record, dump_explanation, finding_lines, read_lines
from sso_middleware.saml.explaining.wording import clean, duration, how_it_differs, shown_all
from sso_middleware.saml.parsing import read_message
from sso_middleware.saml.parties import Expected, Trust

MODULES = (test_sig, test_xsw, test_xml, test_pro, test_rpl, test_ten, test_enc)
ATTACKS: list[Attack] = [attack for module in MODULES for attack in module.ATTACKS]
MINUTE = timedelta(minutes=1)
HONEST = respond(sign_response=True)


def known(**trust: Any) -> Circumstances:
    """All that is known of this connection and of our request."""
    provider = trust.pop("identity_provider", None) or IDP.describe()
    return Circumstances(
        NOW,
        trust=Trust(identity_provider=provider, **trust),
        service_provider=SERVICE_PROVIDER,
        expected=EXPECTED,
        is_request_known=True,
    )


def explained(sent: str | bytes, circumstances: Circumstances | None = None) -> Explanation:
    """What is told of this message, with the verdict of the real functions."""
    circumstances = circumstances or known()
    value = sent if isinstance(sent, str) else form_value(sent)
    error = None
    try:
        stopped_at = None if judge(read_message(value), circumstances) else "encryption"
    except Refused as refusal:
        error, stopped_at = refusal, None
    return explain(glimpse_at(sent), circumstances, error=error, stopped_at=stopped_at)


def told(explanation: Explanation) -> str:
    """Every word of it."""
    return json.dumps([as_record(finding) for finding in explanation.findings], ensure_ascii=False)


def finding(explanation: Explanation, check: str) -> Finding:
    return next(one for one in explanation.findings if one.check.id == check)


def hints(explanation: Explanation) -> str:
    """Of everything that is or would be refused."""
    refused = [explanation.refused] if explanation.refused else []
    return "\n".join(hint for one in (*refused, *explanation.also) for hint in one.hints)


# The table


NO_SIGN_IN = (errors.InterceptedRequestRefused, errors.RecoveryRefused)
"""No sign-in ends in these: they are about the app's own forms, and about the way back in."""


def leaves(root: type[SSOError]) -> Iterator[type[SSOError]]:
    """The classes that are raised: those that have no others below them, and BadRequest."""
    below = [kind for kind in root.__subclasses__() if kind.__module__ == errors.__name__ and kind not in NO_SIGN_IN]
    if not below or root is BadRequest:
        yield root
    for kind in below:
        yield from leaves(kind)


@pytest.mark.parametrize("error", dict.fromkeys(leaves(Refused)), ids=lambda error: error.code)
def test_every_refusal_belongs_to_exactly_one_check(error: type[SSOError]) -> None:
    """So each has an explanation, and the list of causes is closed."""
    owners = [check.id for check in CHECKS if error in check.causes]
    assert len(owners) == 1, f"{error.__name__} belongs into one check of saml/explaining/, once: {owners}"
    assert who_must_act(error) in list(Who)


def test_the_table_holds_nothing_else() -> None:
    """Each check has a name of its own, and only refusals in it."""
    assert len({check.id for check in CHECKS}) == len({check.title for check in CHECKS}) == len(CHECKS)
    listed = [error for check in CHECKS for error in check.causes]
    assert set(listed) == set(leaves(Refused))
    assert all(check.who is next(iter(check.causes.values())) for check in CHECKS)


def test_a_refusal_that_is_new_goes_with_its_kind() -> None:
    """What another package derives from ours is told as what it is a kind of; a fault of ours belongs nowhere."""

    class TooOdd(XmlMalformed):
        code = "too_odd"

    assert check_of(TooOdd) is check_of(XmlMalformed)
    assert who_must_act(TooOdd("no")) is Who.IDP
    assert (check_of(StoreUnavailable), who_must_act(StoreUnavailable)) == (None, None)


# The verdict


def of_attack(attack: Attack) -> tuple[Explanation, Scene, bytes | str]:
    scene = default_scene() if attack.solicited else unsolicited(default_scene())
    trust = dict(attack.trust)
    provider = trust.pop("identity_provider", None) or scene.idp.describe()
    circumstances = Circumstances(
        scene.now,
        trust=Trust(identity_provider=provider, **trust),
        service_provider=scene.service_provider,
        expected=scene.expected,
        is_request_known=True,
    )
    sent = attack.build(scene)
    return explained(sent, circumstances), scene, sent


def about_the_person(scene: Scene, sent: bytes | str) -> set[str]:
    """The names, addresses and values that this message holds, and what stands before an @ in them."""
    known_words = {scene.email, scene.victim, "Lovelace"}
    try:
        xml = sent if isinstance(sent, bytes) else base64.b64decode(sent)
        root = etree.fromstring(xml, etree.XMLParser(resolve_entities=False, recover=True))
        told_of = root.iter(*(f"{{*}}{name}" for name in ("NameID", "AttributeValue", "SignatureValue", "DigestValue")))
        texts = [one.text for one in told_of if one.text]
    except (ValueError, etree.XMLSyntaxError, AttributeError):
        texts = []  # nothing that anybody could read
    local_parts = {word.partition("@")[0] + "@" for word in (*known_words, *texts) if "@" in word}
    # "NL" or "Acme" are in other words too; what is as short as that says nothing.
    return {text.strip() for text in (*known_words, *texts) if len(text.strip()) > 5} | local_parts


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_an_attack_is_explained_by_its_own_code(attack: Attack) -> None:
    """The explanation of each row names that row's code, tells nothing about the person, and is short."""
    explanation, scene, sent = of_attack(attack)
    assert explanation.code == attack.code
    assert explanation.refused is not None
    assert not explanation.is_accepted
    stored = dump_explanation(explanation)
    assert 0 < len(stored.encode()) <= LARGEST
    words = told(explanation) + stored + (explanation.why or "") + "\n".join(read_lines(stored))
    for secret in about_the_person(scene, sent):
        assert secret not in words


def test_an_honest_message_passes_every_check() -> None:
    """What only a real sign-in shows is not judged; nothing would fail."""
    explanation = explained(respond(sign_response=True))
    assert explanation.is_accepted
    assert (explanation.code, explanation.why, explanation.refused, explanation.also) == (None, None, None, ())
    passed = {one.check.id for one in explanation.findings if one.state == "passed"}
    assert {"form", "login_request", "signature", "in_response_to", "audience", "name_id", "outcome"} <= passed
    assert {one.check.id for one in explanation.findings if one.state == "not judged"} == {
        check.id for check in CHECKS if check.of_flow and check.id != "login_request"
    }
    assert dump_explanation(explanation) == ""


def test_without_a_connection_only_the_form_is_judged() -> None:
    """And what the message says of itself is shown."""
    explanation = explain(glimpse_at(respond()), Circumstances(NOW), error=None, stopped_at="login_request")
    assert not explanation.is_accepted
    assert judge(read_message(form_value(respond())), Circumstances(NOW)) is None
    assert finding(explanation, "form").state == "passed"
    assert finding(explanation, "audience").state == "not judged"
    assert "Email (1)" in finding(explanation, "identity").came
    assert "acme.example" in finding(explanation, "identity").came


def test_where_our_request_is_not_known_it_is_taken_for_granted() -> None:
    """The rest is judged; whether it answers a request of ours is left open."""
    explanation = explained(respond(), replace(known(), expected=None, is_request_known=False))
    assert explanation.is_accepted
    assert finding(explanation, "in_response_to").state == "not judged"
    nobody_asked = explained(respond(request_id=None), replace(known(), expected=None, is_request_known=False))
    assert nobody_asked.is_accepted


def test_all_that_is_wrong_is_told_at_once() -> None:
    """The first fault is the verdict; an admin need not find the others one a day."""
    sent = respond(
        destination="https://app.example.com/sso/acme/acs/",
        recipient="http://app.example.com/sso/acme/acs",
        audience=SERVICE_PROVIDER.acs_url,
        name_id="",
        authn_instant=NOW,
    )
    explanation = explained(sent, known(authn_contexts=("urn:of:another",)))
    assert explanation.code == "destination_mismatch"
    assert [one.check.id for one in explanation.also] == ["recipient", "audience", "authn_context", "name_id"]
    assert "differs only in the trailing slash" in hints(explanation)
    assert "differs only in http against https" in hints(explanation)
    assert "this is our ACS address" in hints(explanation)
    assert "empty" in hints(explanation)


def test_nothing_is_called_passed_that_was_not_reached() -> None:
    """Another identity provider's message is refused for its Issuer; its signature did not verify either."""
    other = IdentityProvider("https://idp.other.example/metadata", "https://idp.other.example/sso")
    explanation = explained(respond(other))
    assert explanation.code == "issuer_mismatch"
    assert finding(explanation, "signature").state == "would fail"
    assert {finding(explanation, name).state for name in ("encryption", "coverage")} == {"not reached"}
    assert "is not pinned" not in hints(explanation)  # its Issuer is another's, so nothing was rolled over


def test_what_was_verified_is_not_doubted() -> None:
    """A refusal that comes after all checks of the message leaves them passed, whatever a glimpse may say."""
    explanation = explain(
        glimpse_at(respond(audience="https://other.example/")), known(), error=AssertionReplayed(), is_live=True
    )
    assert {one.state for one in explanation.findings[: CHECKS.index(finding(explanation, "replay").check)]} == {
        "passed"
    }
    assert explanation.also == ()


# The causes that the field knows


@pytest.mark.parametrize(
    ("sent", "trust", "code", "words"),
    [
        (
            {"audience": "https://app.example.com/sso/acme/metadata/"},
            {},
            "audience_mismatch",
            "only in the trailing slash",
        ),
        ({"recipient": "http://app.example.com/sso/acme/acs"}, {}, "recipient_mismatch", "only in http against https"),
        ({"recipient": SERVICE_PROVIDER.entity_id}, {}, "recipient_mismatch", "this is our entity id"),
        ({"destination": "https://staging.example.com/sso/acme/acs"}, {}, "destination_mismatch", "only in host name"),
        ({"name_id": ""}, {}, "name_id_missing", "the NameID is there and empty"),
        ({"signature_algorithm": "rsa-sha1", "digest_algorithm": "sha1"}, {}, "algorithm_not_allowed", "SHA-1"),
        (
            {"request_id": "_of-nobody"},
            {"expected": None},
            "in_response_to_mismatch",
            "a request that we don't wait on",
        ),
        ({"encryption": our_encryption()[0]}, {"encryption": "off"}, "encryption_unexpected", ""),
        ({"now": NOW + 7 * MINUTE}, {}, "not_yet_valid", "clock is 7 minutes ahead of ours"),
        ({"not_before": NOW + 3 * MINUTE}, {}, "not_yet_valid", "it becomes valid 3 minutes from now"),
        ({"now": NOW - timedelta(days=3)}, {}, "stale", "the message is 3 days old"),
        ({"not_on_or_after": NOW - 5 * MINUTE}, {}, "expired", "it expired 5 minutes ago"),
        ({"session_not_on_or_after": NOW - MINUTE}, {}, "session_over", ""),
    ],
)
def test_a_cause_is_told_in_words(sent: dict[str, Any], trust: dict[str, Any], code: str, words: str) -> None:
    """What came, what was expected, and what the difference is known to mean."""
    trust = dict(trust)
    circumstances = known()
    if "expected" in trust:
        circumstances = replace(circumstances, expected=trust.pop("expected"))
    circumstances = replace(circumstances, trust=replace(known().trust or Trust(IDP.describe()), **trust))
    explanation = explained(respond(**sent), circumstances)
    assert explanation.code == code
    assert explanation.refused is not None
    assert words in "\n".join(explanation.refused.hints)
    assert explanation.refused.came
    assert explanation.refused.expected
    assert explanation.refused.who is not None


def test_a_rolled_over_certificate_is_told_with_both_fingerprints() -> None:
    """Its own admin has the new one; the message is no source for it."""
    explanation = explained(respond(IdentityProvider(IDP.entity_id, IDP.sso_url, key="new")))
    refused = explanation.refused
    assert (explanation.code, refused and refused.check.id) == ("signature_invalid", "signature")
    assert refused is not None
    assert re.search(r"certificate whose SHA-256 begins \"([0-9A-F]{2}:){15}[0-9A-F]{2}\"", refused.came)
    assert refused.came.removeprefix("certificate whose SHA-256 begins ") not in refused.expected
    assert "rolled over" in hints(explanation)
    assert "never the certificate out of a message" in hints(explanation)


def test_a_pinned_certificate_proves_nothing() -> None:
    """A message that carries it, and that its key did not sign, was changed or put together."""

    def spoil(root: etree._Element) -> None:
        for value in root.iter("{*}SignatureValue"):
            value.text = "AAAA" + (value.text or "")[4:]

    explanation = explained(edited(respond(), spoil))
    assert explanation.code == "signature_invalid"
    assert "its key did not sign it" in hints(explanation)


def test_a_certificate_that_is_none_is_passed_over() -> None:
    """What can't be read is no reason to say nothing."""

    def spoil(text: str) -> bytes:
        def edit(root: etree._Element) -> None:
            for value in root.iter("{*}X509Certificate"):
                value.text = text

        return edited(respond(IdentityProvider(IDP.entity_id, IDP.sso_url, key="new")), edit)

    assert "no certificate" in finding(explained(spoil("no base64!")), "signature").came
    assert "certificate" in finding(explained(spoil("AAAA")), "signature").came


def test_a_signature_at_the_end_is_the_makers_fault() -> None:
    """The schema has it directly after Issuer, and no setting mends that."""

    def move(root: etree._Element) -> None:
        assertion = root.find(f"{{{SAML}}}Assertion")
        assert assertion is not None
        assertion.append(assertion[1])

    explanation = explained(edited(respond(), move))
    assert explanation.code == "signature_misplaced"
    assert "a fault of the identity provider's software" in hints(explanation)


def test_entra_s_encryption_in_an_unsigned_response_is_told_by_its_setting() -> None:
    """AES-CBC that nothing authenticates: the name of the option that mends it."""
    encryption, key = our_encryption(block="aes256-cbc")
    explanation = explained(respond(encryption=encryption), known(encryption="optional", decryption_keys=(key,)))
    assert explanation.code == "encryption_not_authenticated"
    assert "Sign SAML response and assertion" in hints(explanation)


def test_what_can_t_be_decrypted_is_not_judged() -> None:
    """Without our keys at hand there is no verdict; with the wrong ones it is the real refusal."""
    encryption, key = our_encryption()
    _, other = our_encryption("another's")
    sent = respond(encryption=encryption)
    open_ended = explained(sent, known(encryption="required"))
    assert (open_ended.code, open_ended.is_accepted) == (None, False)
    assert finding(open_ended, "encryption").state == "not judged"
    assert finding(open_ended, "signature").state == "not judged"  # the assertion's own is inside
    assert explained(sent, known(encryption="required", decryption_keys=(other,))).code == "decryption_failed"
    assert explained(sent, known(encryption="required", decryption_keys=(key,))).is_accepted
    plain = explained(respond(), known(encryption="required", decryption_keys=(key,)))
    assert plain.code == "encryption_required"
    both = explained(respond(encryption=encryption, sign_response=True), known(encryption="required"))
    assert finding(both, "signature").state == "passed"


@pytest.mark.parametrize(
    ("root", "words"),
    [
        ("LogoutResponse", "an answer to a sign-out"),
        ("LogoutRequest", "a sign-out came"),
        ("AuthnRequest", "a request to sign in, not the answer"),
    ],
)
def test_another_kind_of_message_is_told_as_what_it_is(root: str, words: str) -> None:
    """Sent to the ACS by a wrong address at the identity provider."""
    explanation = explained(f'<samlp:{root} xmlns:samlp="{SAMLP}" ID="_1" Version="2.0"/>'.encode())
    assert explanation.code == "root_unexpected"
    assert words in hints(explanation)
    assert explanation.also == ()


def test_a_deflated_message_is_looked_into() -> None:
    """It is refused for its encoding, and whatever else is wrong is told with that."""
    packer = zlib.compressobj(wbits=-15)
    deflated = packer.compress(respond(audience="https://other.example/")) + packer.flush()
    explanation = explained(base64.b64encode(deflated).decode())
    assert explanation.code == "deflated_on_post"
    assert [one.check.id for one in explanation.also] == ["audience"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (("Responder", "NoPassive"), "was not signed in at the identity provider"),
        (("Requester",), "finds a fault in our request"),
        (("Responder", "urn:of:its:own"), "had a fault of its own"),
        (("urn:of:its:own",), ""),
    ],
)
def test_a_failure_is_told_in_the_identity_providers_words(status: tuple[str, ...], words: str) -> None:
    """Its Status, its message without an address, and what the code is known to mean."""
    sent = respond(status=status, has_assertion=False, status_message="User ada.lovelace@acme.example is not assigned")
    explanation = explained(sent)
    assert explanation.code == "identity_provider_failure"
    refused = explanation.refused
    assert refused is not None
    assert '"User …@acme.example is not assigned"' in refused.came
    assert words in "\n".join(refused.hints)
    # There is no assertion to have passed anything.
    assert finding(explanation, "audience").state == "not judged"
    assert finding(explanation, "destination").state == "passed"


def test_another_connections_issuer_is_named() -> None:
    """Where all connections are known; several tenants of one identity provider look alike."""
    tenant = "https://sts.windows.net/{}/"
    ours, other = "0a0a0a0a-1111-2222-3333-444444444444", "0b0b0b0b-1111-2222-3333-444444444444"
    idp = IdentityProvider(tenant.format(ours), "https://login.example/sso")
    wrong = IdentityProvider(tenant.format(other), "https://login.example/sso")
    circumstances = replace(
        known(identity_provider=idp.describe()), issuers={wrong.entity_id: "globex", idp.entity_id: "acme"}
    )
    explanation = explained(respond(wrong), circumstances)
    assert explanation.code == "issuer_mismatch"
    assert "names another tenant" in hints(explanation)
    assert "the identity provider of connection 'globex'" in hints(explanation)


def test_sha1_passes_while_its_exception_lasts() -> None:
    """A dated exception is what the check expects, then."""
    sent = respond(signature_algorithm="rsa-sha1", digest_algorithm="sha1")
    explanation = explained(sent, known(sha1_until=NOW + MINUTE))
    assert explanation.is_accepted
    assert finding(explanation, "algorithm").state == "passed"
    assert explained(sent, known(sha1_until=NOW)).code == "algorithm_not_allowed"


def test_a_signed_message_must_name_its_destination() -> None:
    """Absent is right only of a Response that is not signed."""
    assert explained(respond(destination=None)).is_accepted
    assert explained(respond(destination=None, sign_response=True)).code == "destination_mismatch"


@pytest.mark.parametrize(
    ("signed", "demanded", "code"),
    [
        ({"sign_response": True, "sign_assertion": False}, "both", "assertion_signature_missing"),
        ({"sign_response": False}, "response", "response_signature_missing"),
        ({"sign_assertion": False}, "either", "signature_missing"),
        ({"sign_response": True, "sign_assertion": False}, "assertion", "assertion_signature_missing"),
    ],
)
def test_what_is_not_signed_is_told_with_what_is(signed: dict[str, Any], demanded: str, code: str) -> None:
    """Both sides of the comparison."""
    refused = explained(respond(**signed), known(signed=demanded)).refused
    assert refused is not None
    assert (refused.check.id, refused.who) == ("coverage", Who.IDP)
    assert refused.came.endswith("signed")
    assert refused.expected.endswith("signed")


def test_an_older_answer_is_told_by_our_request() -> None:
    """It was issued before we asked."""
    late = replace(known(), expected=Expected(EXPECTED.request_id, NOW + 4 * MINUTE), now=NOW + 4 * MINUTE)
    explanation = explained(respond(), late)
    assert explanation.code == "stale"
    assert "issued 4 minutes before our request" in hints(explanation)


def test_an_encrypted_name_id_is_seen_as_one() -> None:
    """Its value is nobody's to know; that there is one, is."""
    glimpse = glimpse_at(
        f'<samlp:Response xmlns:samlp="{SAMLP}"><Assertion xmlns="{SAML}" IssueInstant="yesterday">'
        "<Subject><EncryptedID/></Subject></Assertion></samlp:Response>".encode()
    )
    assert glimpse is not None
    assert (glimpse.name_id, glimpse.encryption, glimpse.issue_instants) == ("encrypted", (), ())
    assert not glimpse.is_failure
    explanation = explain(glimpse, known(encryption="optional"), error=XmlMalformed("never mind"))
    assert "encrypted" in finding(explanation, "name_id").came
    assert finding(explanation, "times").came == "no times"
    assert finding(explanation, "outcome").came == "no Status"
    assert finding(explanation, "identity").came == "e-mail domain none; attributes none"


@pytest.mark.parametrize("sent", ["not base64", "A" * 300_000, b"<broken", base64.b64encode(b"\x00" * 9).decode()])
def test_what_can_t_be_parsed_is_not_looked_at(sent: str | bytes) -> None:
    """Then the check that refused it says all there is to say."""
    assert glimpse_at(sent) is None


@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, len(HONEST)),
            st.integers(0, 40),
            st.sampled_from([b"", b"<", b"&", b"9999-12-31T23:59:59Z", b"/"]),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=200, deadline=None)
def test_explaining_never_fails(edits: list[tuple[int, int, bytes]]) -> None:
    """Whatever became of the message, there are words for it, and they are short."""
    sent = HONEST
    for place, length, instead in edits:
        sent = sent[:place] + instead + sent[place + length :]
    for error in (XmlMalformed("x"), errors.SignatureInvalid("x")):
        assert len(dump_explanation(explain(glimpse_at(sent), known(), error=error)).encode()) <= LARGEST


# After the message


def test_who_it_is_about_is_explained_by_the_attributes_that_came() -> None:
    """By name and number, so that a wrong mapping is seen at a glance."""
    assertion = judge(read_message(form_value(respond(name_id_format=NAME_ID_PERSISTENT))), known())
    assert isinstance(assertion, Assertion)
    explanation = explain(
        glimpse_of(assertion),
        Circumstances(NOW),
        error=AttributeMissing("the assertion has no value for email: expected an attribute named 'mail'"),
        is_live=True,
    )
    refused = explanation.refused
    assert refused is not None
    assert refused.came.startswith("e-mail domain acme.example; attributes Email (1), FirstName (1)")
    assert refused.why == "the assertion has no value for email: expected an attribute named 'mail'"
    assert refused.advice == refused.check.advice_on(AttributeMissing()) != refused.check.advice
    assert {one.state for one in explanation.findings[:20]} == {"passed"}


@pytest.mark.parametrize("error", [EmailOutsideDomains("x"), LoginRefused("y"), LoginRequestUnknown("z")])
def test_without_a_message_the_check_itself_is_told(error: SSOError) -> None:
    """Title, expectation and advice are always there, if the refusal is a check's."""
    explanation = explain(None, Circumstances(NOW), error=error, is_live=True)
    stored = dump_explanation(explanation)
    assert (stored == "") == (type(error) is LoginRefused)
    assert all(finding_lines(one) for one in explanation.findings)


def test_a_request_of_nobody_is_told_once() -> None:
    """Our own records were asked, and had nothing; the same comparison is not repeated for the message."""
    circumstances = replace(known(), expected=None)
    explanation = explain(glimpse_at(respond()), circumstances, error=LoginRequestUnknown("unknown"), is_live=True)
    assert explanation.refused is not None
    assert "`login_timeout`" in "\n".join(explanation.refused.hints)
    assert explanation.also == ()


# What is kept


def test_what_is_kept_is_short_whatever_came() -> None:
    """Every value is cut; of what would fail besides, as much is kept as there is room for."""
    long = "https://" + "\U0001d49c" * 5000 + ".example/"
    sent = respond(
        destination=long,
        recipient=long,
        audience=(long, long + "2"),
        response_issuer=long,
        attributes=tuple(replace(one, name=one.name * 1000) for one in attributes_of("a.b@acme.example")),
        status_message=long,
        sign_assertion=False,
        not_on_or_after=NOW - 5 * MINUTE,
    )
    explanation = explained(sent, known(authn_contexts=("a" * 5000,)))
    stored = dump_explanation(explanation)
    assert len(stored.encode()) <= LARGEST
    record = json.loads(stored)
    assert record["check"] == "coverage"
    assert 1 <= len(record["also"]) < len(explanation.also)
    lines = list(read_lines(stored))
    assert lines[0].startswith("What is signed:")
    assert "would fail too, as the message says of itself (not verified):" in lines


# Words


@pytest.mark.parametrize(
    ("came", "words"),
    [
        ("https://app.example.com/acs", None),
        (" https://app.example.com/acs\n", "differs only in white space around it"),
        ("https://app.example.com/acs/", "differs only in the trailing slash"),
        ("http://app.example.com/acs", "differs only in http against https"),
        ("https://app.example.com/ACS", "differs only in upper and lower case"),
        ("https://app.example.com:443/acs", "differs only in the port"),
        ("https://www.example.com/acs", "differs only in host name or port"),
        ("http://APP.example.com:80/acs/", "differs only in spelling: slash, scheme, case or port"),
        ("https://app.example.com/other", None),
        ("", None),
    ],
)
def test_a_slight_difference_is_named(came: str, words: str | None) -> None:
    """Who stares at two URLs sees it last."""
    assert how_it_differs(came, "https://app.example.com/acs") == words


def test_a_value_from_outside_is_harmless() -> None:
    """It moves no cursor, names nobody, and ends."""
    assert clean("a\x1b[2Jb\nc") == "a [2Jb c"
    assert clean("mail ada.lovelace+x@acme.example now") == "mail …@acme.example now"
    assert clean("""o'brien@acme.example, "ada lovelace"@acme.example""") == "…@acme.example, …@acme.example"
    assert len(clean("x" * 1000)) == 120
    assert shown_all([None, "a", "a", "b", "c", "d"]) == 'none, "a", "b" and 2 more'
    assert shown_all([]) == "none"


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=40), "40 seconds"),
        (timedelta(minutes=-7), "7 minutes"),
        (timedelta(seconds=599), "10 minutes"),
        (timedelta(hours=5), "5 hours"),
        (timedelta(days=3), "3 days"),
    ],
)
def test_a_duration_is_told_as_one_says_it(span: timedelta, words: str) -> None:
    """Roughly, in one unit."""
    assert duration(span) == words


def test_a_glimpse_has_no_value_about_the_person() -> None:
    """Not even in its repr."""
    assert "ada" not in repr(glimpse_at(respond())).lower().replace("metadata", "")
    assert Glimpse("Response").email_domains == ()
