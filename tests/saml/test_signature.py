"""Verifying a signature: the pinned keys, the algorithms, and the bytes that are handed on."""

from __future__ import annotations

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeVar
from xml.etree.ElementTree import fromstring

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from lxml import etree
from signxml.verifier import XMLVerifier
from tests.identity_provider import IdentityProvider, KeyKind, find_one, sign
from tests.response_shape import DS, SAML, SIGNATURE_PLACEHOLDER, XS, render_assertion, render_response
from tests.saml.conversation import EMAIL, EXPECTED, IDP, NOW, SERVICE_PROVIDER, edited, refusal, respond, verify

from sso_middleware.errors import AlgorithmNotAllowed, CanonicalizationFailed, DigestMismatch, SignatureInvalid
from sso_middleware.saml.parsing import parse_signed
from sso_middleware.saml.schema import SignedElement
from sso_middleware.saml.signature import check_covered, verify_detached, verify_signature

MORE = "http://www.w3.org/2001/04/xmldsig-more#"
BOTH = {"sign_response": True, "sign_assertion": True}


def provider(kind: KeyKind) -> IdentityProvider:
    return IdentityProvider(kind=kind, key=kind)


@pytest.mark.parametrize(
    ("kind", "algorithm", "digest"),
    [
        ("rsa2048", "rsa-sha256", "sha256"),
        ("rsa2048", "rsa-sha384", "sha384"),
        ("rsa2048", "rsa-sha512", "sha512"),
        ("p256", "ecdsa-sha256", "sha256"),
        ("p384", "ecdsa-sha384", "sha384"),
        ("p384", "ecdsa-sha512", "sha512"),
    ],
)
def test_each_algorithm_of_the_table(kind: KeyKind, algorithm: str, digest: str) -> None:
    """RSA and ECDSA with SHA-256 and better; the same message under another key is refused."""
    idp = provider(kind)
    message = respond(idp, signature_algorithm=algorithm, digest_algorithm=digest, **BOTH)
    assert verify(message, identity_provider=idp.describe()).name_id.value == EMAIL
    assert refusal(message) == "signature_invalid"
    assert refusal(message, identity_provider=IdentityProvider(kind="p256").describe()) == "signature_invalid"


def test_any_of_several_pinned_keys_will_do() -> None:
    """During a rollover the provider signs with the old key or the new one, of whatever kind."""
    new = IdentityProvider(kind="p256", key="new")
    both = IDP.describe(new)
    assert verify(respond(), identity_provider=both).name_id.value == EMAIL
    assert verify(respond(new), identity_provider=both).name_id.value == EMAIL


@pytest.mark.parametrize("signed", [{}, {"sign_assertion": False, "sign_response": True}, BOTH])
def test_a_connection_may_allow_less_than_we_know(signed: dict[str, bool]) -> None:
    """Every signature that is there must be of the list, wherever it stands; SHA-1 is no matter of the list."""
    message = respond(signature_algorithm="rsa-sha256", **signed)
    assert refusal(message, signature_algorithms=("rsa-sha256",)) == "accepted"
    assert refusal(message, signature_algorithms=("rsa-sha512", "ecdsa-sha256")) == "algorithm_not_allowed"
    sha1 = respond(signature_algorithm="rsa-sha1", digest_algorithm="sha1", **signed)
    assert refusal(sha1, signature_algorithms=("rsa-sha256",)) == "algorithm_not_allowed"
    assert refusal(sha1, signature_algorithms=("rsa-sha512",), sha1_until=NOW + timedelta(days=1)) == "accepted"


def test_sha1_is_believed_until_its_date_and_no_longer() -> None:
    """An exception has an end (SIG-016), and without one there is none."""
    sha1 = respond(signature_algorithm="rsa-sha1", digest_algorithm="sha1")
    assert refusal(sha1) == "algorithm_not_allowed"
    assert refusal(sha1, sha1_until=NOW) == "algorithm_not_allowed"
    assert refusal(sha1, sha1_until=NOW + timedelta(seconds=1)) == "accepted"


@pytest.mark.parametrize(
    "changes", [{"signature_algorithm": "rsa-sha1"}, {"digest_algorithm": "sha1"}], ids=["signature", "digest"]
)
def test_half_of_sha1_is_sha1(changes: dict[str, str]) -> None:
    """A weak digest under a strong signature proves nothing either (SIG-017)."""
    message = respond(**changes)
    assert refusal(message) == "algorithm_not_allowed"
    assert refusal(message, sha1_until=NOW + timedelta(days=1)) == "accepted"


@pytest.mark.parametrize("path", ["ds:Signature", "saml:Assertion/ds:Signature"])
def test_every_signature_that_is_there_must_verify(path: str) -> None:
    """A broken signature is refused although the other one would do (SIG-007)."""

    def break_it(root: etree._Element) -> None:
        value = find_one(root, f"{path}/ds:SignatureValue")
        octets = bytearray(base64.b64decode(value.text or ""))
        octets[5] ^= 1
        value.text = base64.b64encode(octets).decode()

    # The Response's signature covers the assertion's, so breaking that one breaks both.
    code = "signature_invalid" if path == "ds:Signature" else "digest_mismatch"
    assert refusal(edited(respond(**BOTH), break_it)) == code


def test_a_response_signature_does_not_excuse_the_assertion_s() -> None:
    """An assertion that somebody else signed is refused in a Response that is signed by the right one."""
    assertion = find_one(etree.fromstring(respond(IdentityProvider(key="another"))), "saml:Assertion")
    around = respond(has_assertion=False, sign_response=True, after_assertion_xml=etree.tostring(assertion).decode())
    assert refusal(around) == "signature_invalid"


def test_what_was_changed_after_signing_is_told_apart() -> None:
    """A good signature over another content is a digest mismatch (SIG-005)."""
    assert refusal(respond().replace(EMAIL.encode(), b"boss@acme.example")) == "digest_mismatch"


def test_ecdsa_is_r_and_s_and_not_der() -> None:
    """XML Signature 6.4.3 has one encoding; ASN.1 in its place is refused, and so is any other length."""
    idp = provider("p256")
    assert isinstance(idp.signer.private_key, EllipticCurvePrivateKey)

    def as_der(root: etree._Element) -> None:
        value = find_one(root, "saml:Assertion/ds:Signature/ds:SignatureValue")
        raw = base64.b64decode(value.text or "")
        assert len(raw) == 64
        der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
        value.text = base64.b64encode(der).decode()

    def with_a_zero(root: etree._Element) -> None:
        value = find_one(root, "saml:Assertion/ds:Signature/ds:SignatureValue")
        raw = base64.b64decode(value.text or "")
        value.text = base64.b64encode(raw[:32] + b"\0" + raw[32:]).decode()

    message = respond(idp)
    assert refusal(message, identity_provider=idp.describe()) == "accepted"
    assert refusal(edited(message, as_der), identity_provider=idp.describe()) == "signature_invalid"
    assert refusal(edited(message, with_a_zero), identity_provider=idp.describe()) == "signature_invalid"


@pytest.mark.parametrize(("kind", "label"), [("rsa2048", "ecdsa-sha256"), ("p256", "rsa-sha256")])
def test_a_key_signs_under_its_own_algorithm(kind: KeyKind, label: str) -> None:
    """A good signature by the pinned key, under the name of another algorithm, is none."""
    idp = provider(kind)

    def sign_anew(root: etree._Element, label: str) -> None:
        info = find_one(root, "saml:Assertion/ds:Signature/ds:SignedInfo")
        find_one(info, "ds:SignatureMethod").set("Algorithm", MORE + label)
        canonical = etree.tostring(info, method="c14n", exclusive=True, with_comments=False)
        key = idp.signer.private_key
        if isinstance(key, EllipticCurvePrivateKey):
            r, s = decode_dss_signature(key.sign(canonical, ECDSA(hashes.SHA256())))
            value = r.to_bytes(32) + s.to_bytes(32)
        else:
            value = key.sign(canonical, PKCS1v15(), hashes.SHA256())
        find_one(root, "saml:Assertion/ds:Signature/ds:SignatureValue").text = base64.b64encode(value).decode()

    own = "rsa-sha256" if kind == "rsa2048" else "ecdsa-sha256"
    for name, code in ((own, "accepted"), (label, "signature_invalid")):
        message = edited(respond(idp), partial(sign_anew, label=name))
        assert refusal(message, identity_provider=idp.describe()) == code


def test_the_prefixes_of_exclusive_canonicalization_are_kept() -> None:
    """`InclusiveNamespaces PrefixList="xs"`, as Okta sends it, on both signatures (SIG-036)."""
    message = respond(inclusive_prefixes=("xs",), **BOTH)
    assert message.count(b'PrefixList="xs"') == 4
    assert verify(message).attributes[0].values == (EMAIL,)


def test_prefixes_that_were_made_up_count_and_do_not_stay() -> None:
    """In a PrefixList each that is declared counts, whatever else is there, and the thread that verifies keeps none."""
    prefixes = ("moon-1", "moon-2", "undeclared", "#default", "xs")
    shape = IDP.shape(
        SERVICE_PROVIDER, request_id=EXPECTED.request_id, email=EMAIL, now=NOW, inclusive_prefixes=prefixes
    )
    declared = "<saml:Assertion xmlns:moon-1='urn:moon:1' xmlns:moon-2='urn:moon:2' "

    def signed() -> etree._Element:
        return etree.fromstring(sign(render_assertion(shape).replace("<saml:Assertion ", declared), IDP.signer, shape))

    def canonical_form(part: etree._Element) -> tuple[bytes, int]:
        verify(respond())  # the usual names stay
        before = etree.memory_debugger.dict_size()
        canonical = verify_signature(part, keys=IDP.describe().keys, allow_sha1=False)
        return canonical, etree.memory_debugger.dict_size() - before

    # signxml and the gate read the prefixes in threads of their own: a new one knows none of them.
    part = in_a_new_thread(signed)
    canonical, kept = in_a_new_thread(lambda: canonical_form(part))
    assert b'xmlns:moon-1="urn:moon:1" xmlns:moon-2="urn:moon:2"' in canonical
    assert kept == 0


Value = TypeVar("Value")


def in_a_new_thread(function: Callable[[], Value]) -> Value:
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(function).result()


XS_DECLARED = f' xmlns:xs="{XS}"'


@pytest.mark.parametrize("where", ["<samlp:Response", "<saml:Assertion", "<saml:AttributeValue"])
def test_only_the_inner_signature_may_have_prefixes(where: str) -> None:
    """The Response's canonical form drops `xs`, which the assertion's PrefixList names, wherever it is declared."""
    shape = IDP.shape(
        SERVICE_PROVIDER, request_id=EXPECTED.request_id, email=EMAIL, now=NOW, inclusive_prefixes=("xs",), **BOTH
    )
    moved = where if where == "<saml:AttributeValue" else "<saml:Assertion"
    assertion = render_assertion(shape).replace(XS_DECLARED, "").replace(moved, moved + XS_DECLARED)
    signed = sign(assertion, IDP.signer, shape)
    response = render_response(shape, signed.replace(XS_DECLARED, "") if where == "<samlp:Response" else signed)
    if where == "<samlp:Response":
        response = response.replace(where, where + XS_DECLARED)
    message = sign(response, IDP.signer, replace(shape, inclusive_prefixes=())).encode()

    assert message.count(b'PrefixList="xs"') == 2
    assert verify(message, signed="both").attributes[0].values == (EMAIL,)
    assert refusal(message.replace(EMAIL.encode(), b"boss@acme.example")) == "digest_mismatch"


@pytest.mark.parametrize(
    "change",
    [
        lambda part: setattr(part.find(".//{*}NameID"), "text", "boss@acme.example"),
        lambda part: setattr(part.find("{*}Subject"), "tail", " "),
        lambda part: part.find(".//{*}NameID").set("Format", "x"),
        lambda part: part.find(".//{*}Attribute").attrib.popitem(),
        lambda part: part.remove(part.find("{*}Conditions")),
        lambda part: part.append(part.find("{*}AuthnStatement")),
        lambda part: setattr(part.find(".//{*}NameID"), "tag", "NameID"),
    ],
)
def test_two_signatures_must_cover_the_same_assertion(change: Callable[[SignedElement], object]) -> None:
    """Should the two canonical forms ever tell two stories, neither is believed."""
    message = respond()
    assertion = find_one(etree.fromstring(message), "saml:Assertion")
    by_itself = parse_signed(verify_signature(assertion, keys=IDP.describe().keys, allow_sha1=False), "saml:Assertion")
    by_response = parse_signed(message, "samlp:Response")[-1]
    other = deepcopy(by_response)
    change(other)
    check_covered(by_itself, by_response)
    with pytest.raises(DigestMismatch):
        check_covered(by_itself, other)


def test_the_text_around_the_inner_signature_is_no_other_assertion() -> None:
    """Indented messages: the one signature is not of the other's line breaks' place, only of the same text."""
    issuer = f'<Assertion xmlns="{SAML}" ID="_a" IssueInstant="2026-03-01T12:00:00Z" Version="2.0"><Issuer>i</Issuer>'
    rest = "<Subject><NameID>ada</NameID></Subject></Assertion>"

    def parsed(between: str) -> SignedElement:
        return fromstring(issuer + between + rest)

    signature = f'<Signature xmlns="{DS}"/>'
    check_covered(parsed("\n  "), parsed(f"\n{signature}  "))
    check_covered(parsed("\n"), parsed(f"\n{signature}"))
    check_covered(parsed("  "), parsed(f"{signature}  "))
    check_covered(parsed(""), parsed(signature))
    for between in ("", "\n", "  "):
        with pytest.raises(DigestMismatch):
            check_covered(parsed(between), parsed(f"\n{signature}  "))


def test_a_detached_signature_is_held_to_the_same() -> None:
    """Of a query string: the pinned keys, the data to the letter, and SHA-1 by exception only."""
    key = IDP.signer.private_key
    assert isinstance(key, RSAPrivateKey)
    for name, algorithm in ((MORE + "rsa-sha256", hashes.SHA256()), (DS + "rsa-sha1", hashes.SHA1())):
        value = key.sign(b"data", PKCS1v15(), algorithm)
        verify_detached(b"data", value, algorithm=name, keys=IDP.describe().keys, allow_sha1=True)
        with pytest.raises(SignatureInvalid):
            verify_detached(b"date", value, algorithm=name, keys=IDP.describe().keys, allow_sha1=True)
        with pytest.raises(SignatureInvalid):
            verify_detached(
                b"data", value, algorithm=name, keys=IdentityProvider(key="x").describe().keys, allow_sha1=True
            )
    with pytest.raises(AlgorithmNotAllowed):
        verify_detached(b"data", value, algorithm=DS + "rsa-sha1", keys=IDP.describe().keys, allow_sha1=False)


def test_the_text_around_a_signature_is_signed() -> None:
    """A line break behind the Signature belongs to what was signed, and must not go with it."""
    indented = respond().replace(b"</ds:Signature>", b"</ds:Signature>\n  ")
    assert refusal(indented) == "digest_mismatch"

    unsigned = find_one(etree.fromstring(respond(sign_assertion=False)), "saml:Assertion")
    placeholder = f"</saml:Issuer>\n {SIGNATURE_PLACEHOLDER}\n  "
    signed = sign(etree.tostring(unsigned).decode().replace("</saml:Issuer>", placeholder), IDP.signer)
    canonical = verify_signature(etree.fromstring(signed), keys=IDP.describe().keys, allow_sha1=False)
    assert b"</saml:Issuer>\n \n  <saml:Subject>" in canonical


@pytest.mark.parametrize("before", ["", "\n  "])
@pytest.mark.parametrize("behind", ["", "\n    "])
def test_a_signature_may_come_first(before: str, behind: str) -> None:
    """In metadata it does: the text around it is signed there too, and all is left as it was."""
    unsigned = f'<a xmlns="urn:a" ID="_m1">{before}{SIGNATURE_PLACEHOLDER}{behind}<b></b></a>'
    root = etree.fromstring(sign(unsigned, IDP.signer))
    sent = etree.tostring(root)
    canonical = verify_signature(root, keys=IDP.describe().keys, allow_sha1=False)
    assert canonical.decode() == f'<a xmlns="urn:a" ID="_m1">{before}{behind}<b></b></a>'
    assert etree.tostring(root) == sent


def test_what_is_handed_on_is_what_was_signed() -> None:
    """Exactly the bytes whose digest matched: the element without its Signature, canonical; as signxml sees it too."""
    root = etree.fromstring(respond())
    assertion = find_one(root, "saml:Assertion")
    theirs = XMLVerifier().verify(etree.tostring(assertion), x509_cert=IDP.certificate, expect_references=1)
    ours = verify_signature(assertion, keys=IDP.describe().keys, allow_sha1=False)
    assert not isinstance(theirs, list)
    assert ours == theirs.signed_data
    assert b"Signature" not in ours


def test_without_a_key_nothing_verifies() -> None:
    """No key of the message's own is ever taken."""
    assertion = find_one(etree.fromstring(respond()), "saml:Assertion")
    with pytest.raises(SignatureInvalid):
        verify_signature(assertion, keys=(), allow_sha1=True)


def test_what_can_t_be_canonicalized_is_refused() -> None:
    """libxml2 gives up on a relative namespace; the gate would not have let it in (XSW-018)."""
    root = etree.fromstring(respond().replace(b"<ds:SignedInfo", b'<ds:SignedInfo xmlns:x="1"'))
    with pytest.raises(CanonicalizationFailed):
        verify_signature(find_one(root, "saml:Assertion"), keys=IDP.describe().keys, allow_sha1=False)


def test_an_empty_canonical_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a canonicalizer ever answer with nothing, nothing is proved by it (CVE-2025-66568)."""
    assertion = find_one(etree.fromstring(respond()), "saml:Assertion")
    monkeypatch.setattr("sso_middleware.saml.signature.etree.tostring", lambda *args, **options: b"")
    with pytest.raises(CanonicalizationFailed):
        verify_signature(assertion, keys=IDP.describe().keys, allow_sha1=False)
