"""SIG: signatures that are missing, broken, somebody else's, too weak, or say too much."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from tests.attacks.forged_keys import HMAC_SHA1, HMAC_SHA256, as_der, as_impostor, as_pem, hmac_signed, key_info
from tests.attacks.scene import (
    ASSERTION_SIGNED,
    BOTH_SIGNED,
    EVERY_WAY,
    RESPONSE_SIGNED,
    Attack,
    Scene,
    check_refused,
    check_twin_accepted,
    cut,
    cut_each_way,
    default_scene,
    said,
    verify,
)
from tests.attacks.signed_info import (
    XPATH,
    XPATH_FILTER2,
    XPOINTER,
    XSLT,
    add_to_signature,
    comment_in_digest,
    drop_transforms,
    drop_uri,
    dropping_subject,
    forge_name_id,
    hmac_output_length,
    md5_digest,
    md5_signed,
    move_signature,
    on_signed_info,
    parameter_of_enveloped,
    second_digest,
    second_reference,
    second_signature_with_xslt,
    second_signed_info,
    set_algorithm,
    set_transforms,
    set_uri,
    unauthenticated,
)
from tests.attacks.surgery import ENVELOPED, Element, assertion_in, ds, remove, signature_of
from tests.attacks.trap import Trap
from tests.identity_provider import IdentityProvider, find_one
from tests.response_shape import DS, EXCLUSIVE_C14N, SAMLP

from sso_middleware.errors import CertificateUnusable, MessageRefused
from sso_middleware.saml.certificates import read_certificate
from sso_middleware.saml.metadata import read_idp_metadata

INCLUSIVE_C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
WITH_COMMENTS = EXCLUSIVE_C14N + "WithComments"
DSIG11 = "http://www.w3.org/2009/xmldsig11#"


DEMAND_RESPONSE = {"signed": "response"}
DEMAND_ASSERTION = {"signed": "assertion"}
DEMAND_BOTH = {"signed": "both"}


def drop_signatures(scene: Scene, root: Element) -> None:
    for signature in list(root.iter(ds("Signature"))):
        remove(signature)


def drop_response_signature(scene: Scene, root: Element) -> None:
    remove(signature_of(root))


def drop_assertion_signature(scene: Scene, root: Element) -> None:
    remove(signature_of(assertion_in(root)))


def with_assertion_signed(scene: Scene) -> bytes:
    return scene.respond(**ASSERTION_SIGNED)


def with_response_signed(scene: Scene) -> bytes:
    return scene.respond(**RESPONSE_SIGNED)


def empty_signature(scene: Scene, root: Element) -> None:
    signature = find_one(root, ".//ds:Signature")
    for child in list(signature):
        signature.remove(child)


def flip_signature_value(scene: Scene, root: Element) -> None:
    value = find_one(root, ".//ds:SignatureValue")
    text = value.text or ""
    value.text = ("B" if text[0] == "A" else "A") + text[1:]


ATTACKS: tuple[Attack, ...] = (
    *cut_each_way("SIG-001", "signature_missing", drop_signatures),
    cut(
        "SIG-002",
        "removed",
        "response_signature_missing",
        drop_response_signature,
        trust=DEMAND_RESPONSE,
        genuine=BOTH_SIGNED,
    ),
    cut(
        "SIG-002",
        "both demanded",
        "response_signature_missing",
        drop_response_signature,
        trust=DEMAND_BOTH,
        genuine=BOTH_SIGNED,
    ),
    Attack(
        "SIG-002",
        "never there",
        "response_signature_missing",
        with_assertion_signed,
        RESPONSE_SIGNED,
        DEMAND_RESPONSE,
    ),
    Attack(
        "SIG-003",
        "never there",
        "assertion_signature_missing",
        with_response_signed,
        ASSERTION_SIGNED,
        DEMAND_ASSERTION,
    ),
    Attack(
        "SIG-003",
        "both demanded",
        "assertion_signature_missing",
        with_response_signed,
        BOTH_SIGNED,
        DEMAND_BOTH,
    ),
    cut("SIG-003", "removed", "digest_mismatch", drop_assertion_signature, trust=DEMAND_ASSERTION, genuine=BOTH_SIGNED),
    *cut_each_way("SIG-004", "signature_malformed", empty_signature),
    *cut_each_way("SIG-005", "digest_mismatch", forge_name_id),
    *cut_each_way("SIG-006", "signature_invalid", flip_signature_value),
    cut("SIG-007", "either", "signature_invalid", flip_signature_value, genuine=BOTH_SIGNED),
    cut(
        "SIG-007",
        "assertion demanded",
        "signature_invalid",
        flip_signature_value,
        trust=DEMAND_ASSERTION,
        genuine=BOTH_SIGNED,
    ),
    *(Attack("SIG-008", way, "signature_invalid", as_impostor(signed), signed) for way, signed in EVERY_WAY.items()),
    Attack(
        "SIG-009",
        "own issuer",
        "issuer_mismatch",
        lambda scene: scene.respond_as(
            IdentityProvider("https://idp.attacker.example/metadata"),
            issuer="https://idp.attacker.example/metadata",
            response_issuer="https://idp.attacker.example/metadata",
        ),
    ),
    Attack(
        "SIG-010",
        "no issuer",
        "schema_violated",
        lambda scene: scene.respond_as(scene.impostor, issuer=None, response_issuer=None),
    ),
    Attack(
        "SIG-010",
        "empty issuer",
        "issuer_mismatch",
        lambda scene: scene.respond_as(scene.impostor, issuer="", response_issuer=""),
    ),
    Attack("SIG-011", "hmac-sha1 pem", "algorithm_not_allowed", hmac_signed(HMAC_SHA1, as_pem)),
    Attack("SIG-011", "hmac-sha1 der", "algorithm_not_allowed", hmac_signed(HMAC_SHA1, as_der)),
    Attack("SIG-011", "hmac-sha256 pem", "algorithm_not_allowed", hmac_signed(HMAC_SHA256, as_pem)),
    Attack("SIG-011", "hmac-sha256 der", "algorithm_not_allowed", hmac_signed(HMAC_SHA256, as_der)),
    Attack("SIG-012", "KeyName", "signature_invalid", key_info(f'<ds:KeyName xmlns:ds="{DS}">attacker</ds:KeyName>')),
    Attack(
        "SIG-012",
        "DSAKeyValue",
        "key_info_not_allowed",
        key_info(f'<ds:KeyValue xmlns:ds="{DS}"><ds:DSAKeyValue><ds:Y>AQ==</ds:Y></ds:DSAKeyValue></ds:KeyValue>'),
    ),
    Attack("SIG-013", "other IdP's key", "signature_invalid", lambda scene: scene.respond_as(scene.other_idp)),
    said("SIG-016", "sha1", "algorithm_not_allowed", signature_algorithm="rsa-sha1", digest_algorithm="sha1"),
    said("SIG-017", "sha1 digest", "algorithm_not_allowed", digest_algorithm="sha1"),
    cut("SIG-018", "md5", "algorithm_not_allowed", md5_signed),
    cut("SIG-018", "md5 digest", "algorithm_not_allowed", md5_digest),
    said("SIG-020", "inclusive", "canonicalization_not_allowed", c14n_algorithm=INCLUSIVE_C14N),
    cut(
        "SIG-020",
        "inclusive method only",
        "canonicalization_not_allowed",
        on_signed_info(set_algorithm("ds:SignedInfo/ds:CanonicalizationMethod", INCLUSIVE_C14N), c14n=INCLUSIVE_C14N),
    ),
    said("SIG-021", "with comments", "canonicalization_not_allowed", c14n_algorithm=WITH_COMMENTS),
    cut(
        "SIG-021",
        "transform with comments",
        "transform_not_allowed",
        on_signed_info(set_transforms(ENVELOPED, WITH_COMMENTS)),
    ),
    cut("SIG-022", "xslt", "transform_not_allowed", unauthenticated(XSLT)),
    cut(
        "SIG-022",
        "xslt, signed",
        "transform_not_allowed",
        on_signed_info(set_transforms(ENVELOPED, XSLT, EXCLUSIVE_C14N)),
    ),
    cut("SIG-023", "second with xslt", "signature_misplaced", second_signature_with_xslt),
    cut("SIG-024", "XPath", "transform_not_allowed", dropping_subject(XPATH)),
    cut("SIG-024", "XPath filter 2", "transform_not_allowed", dropping_subject(XPATH_FILTER2)),
    cut("SIG-024", "XPointer", "transform_not_allowed", dropping_subject(XPOINTER)),
    cut(
        "SIG-025",
        "three",
        "transform_not_allowed",
        on_signed_info(set_transforms(ENVELOPED, EXCLUSIVE_C14N, EXCLUSIVE_C14N)),
    ),
    cut("SIG-025", "enveloped twice", "transform_not_allowed", on_signed_info(set_transforms(ENVELOPED, ENVELOPED))),
    cut("SIG-025", "base64", "transform_not_allowed", on_signed_info(set_transforms(ENVELOPED, DS + "base64"))),
    cut("SIG-025", "wrong order", "transform_not_allowed", on_signed_info(set_transforms(EXCLUSIVE_C14N, ENVELOPED))),
    cut("SIG-025", "parameter of enveloped", "transform_not_allowed", on_signed_info(parameter_of_enveloped)),
    cut("SIG-026", "empty URI", "reference_not_allowed", on_signed_info(set_uri(lambda assertion: ""))),
    cut("SIG-026", "no URI", "reference_not_allowed", on_signed_info(drop_uri)),
    cut("SIG-027", "two references", "reference_not_allowed", on_signed_info(second_reference)),
    cut(
        "SIG-028",
        "the Response's ID",
        "reference_not_allowed",
        on_signed_info(set_uri(lambda assertion: "#" + str(assertion.getroottree().getroot().get("ID")))),
    ),
    cut("SIG-028", "nobody's ID", "reference_not_allowed", on_signed_info(set_uri(lambda assertion: "#_nobody"))),
    cut(
        "SIG-028",
        "xpointer",
        "reference_not_allowed",
        on_signed_info(set_uri(lambda assertion: f"#xpointer(id('{assertion.get('ID')}'))")),
    ),
    cut("SIG-029", "no Transforms", "signature_malformed", on_signed_info(drop_transforms)),
    cut("SIG-029", "empty Transforms", "transform_not_allowed", on_signed_info(set_transforms())),
    cut("SIG-030", "evil first", "signature_malformed", second_signed_info(evil_first=True)),
    cut("SIG-030", "evil last", "signature_malformed", second_signed_info(evil_first=False)),
    cut("SIG-031", "comment", "comment_not_allowed", comment_in_digest),
    cut("SIG-032", "two", "signature_malformed", second_digest("first", DS)),
    cut("SIG-032", "other namespace", "signature_malformed", second_digest("first", SAMLP)),
    cut("SIG-032", "in Object", "signature_malformed", second_digest("object", DS)),
    cut("SIG-033", "Object", "signature_malformed", add_to_signature(f'<ds:Object xmlns:ds="{DS}"/>')),
    cut(
        "SIG-033",
        "Manifest",
        "signature_malformed",
        add_to_signature(f'<ds:Object xmlns:ds="{DS}"><ds:Manifest/></ds:Object>'),
    ),
    *(
        cut("SIG-034", place, "signature_misplaced", move_signature(place))
        for place in ("first", "status", "subject", "end of the assertion", "end of the document")
    ),
    cut("SIG-035", "hmac", "algorithm_not_allowed", hmac_output_length(HMAC_SHA256)),
    cut("SIG-035", "rsa", "algorithm_not_allowed", hmac_output_length(None)),
)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_attack_is_refused(attack: Attack) -> None:
    """Each signature attack is refused, for its own reason."""
    check_refused(attack)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_honest_twin_is_accepted(attack: Attack) -> None:
    """The same message without the attack signs the person in."""
    check_twin_accepted(attack)


@pytest.mark.parametrize("element", ["RetrievalMethod", "X509Data", "KeyInfoReference"])
def test_sig_012_a_key_elsewhere_is_never_fetched(trap: Trap, element: str) -> None:
    """A KeyInfo that points to the attacker's server is refused, and his server hears nothing."""
    xml = {
        "RetrievalMethod": f'<ds:RetrievalMethod xmlns:ds="{DS}" URI="{trap.url}"/>',
        "X509Data": f'<ds:X509Data xmlns:ds="{DS}"><ds:X509URL>{trap.url}</ds:X509URL></ds:X509Data>',
        "KeyInfoReference": f'<dsig11:KeyInfoReference xmlns:dsig11="{DSIG11}" URI="{trap.url}"/>',
    }[element]
    check_refused(Attack("SIG-012", element, "key_info_not_allowed", key_info(xml)))
    assert not trap.was_called()


def test_sig_028_a_reference_elsewhere_is_never_fetched(trap: Trap) -> None:
    """A Reference to a URL is refused, and nobody asks that URL."""
    edit = on_signed_info(set_uri(lambda assertion: trap.url))
    check_refused(cut("SIG-028", "URL", "reference_not_allowed", edit))
    assert not trap.was_called()


@pytest.mark.parametrize(
    ("use", "descriptor"),
    [("signing", "SPSSODescriptor"), ("signing", "AttributeAuthorityDescriptor"), ("encryption", "IDPSSODescriptor")],
)
def test_sig_014_015_a_key_signs_only_in_its_own_role(use: str, descriptor: str) -> None:
    """A key that the same entity publishes for something else than signing as an IdP signs no assertion."""
    scene = default_scene()
    other = IdentityProvider(scene.idp.entity_id, key="other role's")
    key = (
        f'<KeyDescriptor use="{use}"><ds:KeyInfo xmlns:ds="{DS}"><ds:X509Data>'
        f"<ds:X509Certificate>{other.signer.certificate_body}</ds:X509Certificate>"
        "</ds:X509Data></ds:KeyInfo></KeyDescriptor>"
    )
    metadata = scene.idp.metadata
    if descriptor == "IDPSSODescriptor":
        metadata = metadata.replace("<SingleSignOnService", key + "<SingleSignOnService", 1)
    else:
        service = {
            "SPSSODescriptor": '<AssertionConsumerService index="0"',
            "AttributeAuthorityDescriptor": "<AttributeService",
        }[descriptor]
        metadata = metadata.replace(
            "</EntityDescriptor>",
            f'<{descriptor} protocolSupportEnumeration="{SAMLP}">{key}'
            f'{service} Binding="urn:oasis:names:tc:SAML:2.0:bindings:SOAP" Location="https://idp.acme.example/x"/>'
            f"</{descriptor}></EntityDescriptor>",
        )
    pinned = read_idp_metadata(metadata.encode(), now=scene.now)

    assert verify(scene, scene.respond(), identity_provider=pinned).name_id.value == scene.email
    with pytest.raises(MessageRefused) as refusal:
        verify(scene, scene.respond_as(other), identity_provider=pinned)
    assert refusal.value.code == "signature_invalid"


def test_sig_016_a_dated_exception_lets_sha1_pass_until_then() -> None:
    """SHA-1 is believed only until the day that the connection names."""
    scene = default_scene()
    message = scene.respond(signature_algorithm="rsa-sha1", digest_algorithm="sha1")
    assert verify(scene, message, sha1_until=scene.now + timedelta(days=1)).name_id.value == scene.email
    with pytest.raises(MessageRefused) as refusal:
        verify(scene, message, sha1_until=scene.now - timedelta(days=1))
    assert refusal.value.code == "algorithm_not_allowed"


def test_sig_019_a_weak_key_is_never_pinned() -> None:
    """RSA-1024 is refused when the connection is set up."""
    with pytest.raises(CertificateUnusable):
        read_certificate(IdentityProvider(kind="rsa1024").certificate)


@pytest.mark.parametrize("way", EVERY_WAY)
def test_sig_036_inclusive_prefixes_are_accepted(way: str) -> None:
    """Okta's PrefixList of "xs" verifies."""
    scene = default_scene()
    message = scene.respond(inclusive_prefixes=("xs",), **EVERY_WAY[way])
    assert b'PrefixList="xs"' in message
    assert verify(scene, message).name_id.value == scene.email


@pytest.mark.parametrize("kind", ["p256", "p384"])
def test_an_elliptic_key_is_accepted(kind: str) -> None:
    """ECDSA values are raw r and s in XML, and verify all the same."""
    idp = IdentityProvider(kind=kind)  # type: ignore[arg-type]  # one of KeyKind
    scene = replace(default_scene(), idp=idp)
    assert verify(scene, scene.respond(**BOTH_SIGNED)).name_id.value == scene.email


def test_an_ecdsa_value_in_asn1_is_refused() -> None:
    """XML Signature 6.4.3 allows r and s end to end only: another spelling of a good signature is refused."""
    scene = replace(default_scene(), idp=IdentityProvider(kind="p256"))

    def in_asn1(scene: Scene, root: Element) -> None:
        value = find_one(root, ".//ds:SignatureValue")
        raw = base64.b64decode(value.text or "")
        asn1 = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
        value.text = base64.b64encode(asn1).decode()

    check_refused(cut("SIG-006", "ASN.1", "signature_invalid", in_asn1), scene)
