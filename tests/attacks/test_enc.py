"""ENC: encrypted assertions, which hide from us too what they hold until we open them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from lxml import etree
from tests.attacks.scene import (
    ASSERTION_SIGNED,
    BOTH_SIGNED,
    RESPONSE_SIGNED,
    Attack,
    Scene,
    check_refused,
    check_twin_accepted,
    cut,
    default_scene,
    verify,
)
from tests.attacks.surgery import Element, assertion_in, remove
from tests.attacks.trap import Trap
from tests.identity_provider import find_one, make_signer, sign
from tests.response_shape import SAML, render_assertion, render_response
from tests.xml_encryption import XENC, XENC11, BlockCipher, Encryption, KeyTransport, encrypted_assertion

from sso_middleware.errors import MessageRefused

RECIPIENT = make_signer("service provider's encryption key")
FORMER = make_signer("service provider's former encryption key")
STRANGER = make_signer("a stranger's encryption key")
OPTIONAL = {"encryption": "optional", "decryption_keys": (RECIPIENT.private_key,)}
GCM = {"encryption": Encryption(RECIPIENT.certificate)}
CBC = {"encryption": Encryption(RECIPIENT.certificate, "aes256-cbc")}


def sealed(block: BlockCipher, transport: KeyTransport = "oaep-sha1", **changes: Any) -> Callable[[Scene], bytes]:
    encryption = Encryption(RECIPIENT.certificate, block, transport)
    return lambda scene: scene.respond(encryption=encryption, **changes)


def holding(plain: Callable[[Scene], str], block: BlockCipher = "aes256-gcm") -> Callable[[Scene], bytes]:
    """A signed Response whose EncryptedAssertion opens to this text."""

    def build(scene: Scene) -> bytes:
        shape = scene.idp.shape(
            scene.service_provider, request_id=scene.request_id, email=scene.email, now=scene.now, sign_response=True
        )
        assertion = encrypted_assertion(plain(scene), Encryption(RECIPIENT.certificate, block))
        return sign(render_response(shape, assertion), scene.idp.signer).encode()

    return build


def plain_assertion(scene: Scene) -> str:
    return render_assertion(
        scene.idp.shape(
            scene.service_provider,
            request_id=scene.request_id,
            email=scene.email,
            now=scene.now,
            sign_assertion=False,
        )
    )


def flip(path: str, position: int) -> Callable[[Scene, Element], None]:
    """Change one byte of a CipherValue."""

    def edit(scene: Scene, root: Element) -> None:
        value = find_one(root, path)
        data = bytearray(base64.b64decode(value.text or ""))
        data[position] ^= 1
        value.text = base64.b64encode(bytes(data)).decode()

    return edit


DATA_VALUE = ".//{*}EncryptedData/{*}CipherData/{*}CipherValue"
KEY_VALUE = ".//{*}EncryptedKey/{*}CipherData/{*}CipherValue"


def put(xml: str, path: str) -> Callable[[Scene, Element], None]:
    """Append this to the element at `path` (`.` is the Response)."""

    def edit(scene: Scene, root: Element) -> None:
        (root if path == "." else find_one(root, path)).append(etree.fromstring(xml))

    return edit


def replace_with(xml: str, path: str) -> Callable[[Scene, Element], None]:
    def edit(scene: Scene, root: Element) -> None:
        old = find_one(root, path)
        old.addprevious(etree.fromstring(xml))
        remove(old)

    return edit


def plain_inside(scene: Scene, root: Element) -> None:
    """An EncryptedAssertion that isn't encrypted."""
    wrapper = find_one(root, "saml:EncryptedAssertion")
    wrapper[:] = [assertion_in(etree.fromstring(scene.respond(email=scene.victim)))]


def without_key(scene: Scene, root: Element) -> None:
    remove(find_one(root, ".//{*}EncryptedKey/.."))


def two_keys(scene: Scene, root: Element) -> None:
    """The attacker's own key beside the genuine one: which would be taken?"""
    key = deepcopy(find_one(root, ".//{*}EncryptedKey"))
    key.set("Id", "_second-key")
    find_one(root, "saml:EncryptedAssertion").append(key)


def encrypted_id(scene: Scene, root: Element) -> None:
    """The NameID of an unsigned assertion replaced by one that the attacker encrypted for us."""
    data = find_one(etree.fromstring(sealed("aes256-gcm")(scene)), ".//{*}EncryptedData")
    wrapper = etree.Element(f"{{{SAML}}}EncryptedID")
    wrapper.append(data)
    old = find_one(root, ".//saml:NameID")
    old.addprevious(wrapper)
    remove(old)


def encrypted_attribute(scene: Scene, root: Element) -> None:
    data = find_one(etree.fromstring(sealed("aes256-gcm")(scene)), ".//{*}EncryptedData")
    wrapper = etree.SubElement(find_one(root, ".//saml:AttributeStatement"), f"{{{SAML}}}EncryptedAttribute")
    wrapper.append(data)


STRAY = (
    f'<xenc:EncryptedData xmlns:xenc="{XENC}"><xenc:CipherData>'
    "<xenc:CipherValue>AAAA</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>"
)


def enc(row: str, sent: str, code: str, build: Callable[[Scene], bytes], genuine: Any = None) -> Attack:
    return Attack(row, sent, code, build, genuine or GCM, OPTIONAL)


ATTACKS: tuple[Attack, ...] = (
    enc("ENC-001", "GCM", "signature_missing", sealed("aes256-gcm", sign_assertion=False)),
    enc("ENC-001", "CBC", "encryption_not_authenticated", sealed("aes256-cbc", sign_assertion=False)),
    enc("ENC-002", "CBC, only the assertion signed", "encryption_not_authenticated", sealed("aes256-cbc"),
        CBC | BOTH_SIGNED),
    *(
        cut("ENC-002", f"byte {position} under a signature", "digest_mismatch", flip(DATA_VALUE, position),
            genuine=CBC | RESPONSE_SIGNED, trust=OPTIONAL)
        for position in (0, 15, 16, -17, -1)
    ),
    *(
        cut("ENC-002", f"GCM byte {position}", "decryption_failed", flip(DATA_VALUE, position),
            genuine=GCM | ASSERTION_SIGNED, trust=OPTIONAL)
        for position in (0, 12, -1)
    ),
    cut("ENC-002", "wrapped key", "decryption_failed", flip(KEY_VALUE, 5), genuine=GCM, trust=OPTIONAL),
    enc("ENC-003", "3DES", "encryption_algorithm_not_allowed", sealed("tripledes", sign_response=True)),
    enc("ENC-003", "RSA 1.5", "encryption_algorithm_not_allowed", sealed("aes256-gcm", "rsa-1_5", sign_response=True)),
    cut("ENC-005", "plain inside", "encryption_malformed", plain_inside, genuine=GCM, trust=OPTIONAL),
    cut("ENC-005", "no key", "encryption_malformed", without_key, genuine=GCM, trust=OPTIONAL),
    cut("ENC-005", "two keys", "encryption_malformed", two_keys, genuine=GCM, trust=OPTIONAL),
    cut("ENC-006", "under Response", "schema_violated", put(STRAY, "."), genuine=GCM, trust=OPTIONAL),
    cut("ENC-006", "in Status", "schema_violated", put(STRAY, "samlp:Status"), genuine=GCM, trust=OPTIONAL),
    enc("ENC-006", "in Extensions", "schema_violated", lambda scene: scene.respond(extensions_xml=STRAY, **GCM)),
    enc("ENC-007", "two assertions", "decryption_failed", holding(lambda scene: plain_assertion(scene) * 2)),
    enc("ENC-007", "encrypted again", "decryption_failed", holding(
        lambda scene: encrypted_assertion(plain_assertion(scene), Encryption(RECIPIENT.certificate)))),
    enc("ENC-009", "EncryptedID", "signature_missing", lambda scene: edit_of(scene, encrypted_id)),
    enc("ENC-009", "EncryptedAttribute", "schema_violated", lambda scene: edit_of(scene, encrypted_attribute)),
)  # fmt: skip


def edit_of(scene: Scene, edit: Callable[[Scene, Element], None]) -> bytes:
    root = etree.fromstring(scene.respond(sign_assertion=False))
    edit(scene, root)
    return etree.tostring(root)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_attack_is_refused(attack: Attack) -> None:
    """Each abuse of encryption is refused, for its own reason."""
    check_refused(attack)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_honest_twin_is_accepted(attack: Attack) -> None:
    """The same message, honestly encrypted, signs the person in."""
    check_twin_accepted(attack)


def tampered(block: BlockCipher, edit: Callable[[Scene, Element], None]) -> Callable[[Scene], bytes]:
    """Tampered with before the Response was signed: then nothing but decryption can fail."""

    def build(scene: Scene) -> bytes:
        shape = scene.idp.shape(
            scene.service_provider, request_id=scene.request_id, email=scene.email, now=scene.now, sign_response=True
        )
        assertion = encrypted_assertion(plain_assertion(scene), Encryption(RECIPIENT.certificate, block))
        root = etree.fromstring(render_response(shape, assertion))
        edit(scene, root)
        return sign(etree.tostring(root, encoding="unicode"), scene.idp.signer).encode()

    return build


def cut_to(path: str, length: int) -> Callable[[Scene, Element], None]:
    def edit(scene: Scene, root: Element) -> None:
        value = find_one(root, path)
        value.text = base64.b64encode(base64.b64decode(value.text or "")[:length]).decode()

    return edit


def other_length(scene: Scene, root: Element) -> None:
    """A key of 32 bytes, under the name of an algorithm that takes 16."""
    find_one(root, ".//{*}EncryptedData/{*}EncryptionMethod").set("Algorithm", XENC11 + "aes128-gcm")


def bad_padding(scene: Scene, root: Element) -> None:
    """Flip the top bit of what decrypts to the length of the padding: the byte a block before the last."""
    value = find_one(root, DATA_VALUE)
    data = bytearray(base64.b64decode(value.text or ""))
    data[-17] ^= 0x80
    value.text = base64.b64encode(bytes(data)).decode()


@pytest.mark.parametrize(
    ("block", "edit"),
    [
        ("aes256-gcm", flip(DATA_VALUE, 0)),
        ("aes256-gcm", flip(DATA_VALUE, -1)),
        ("aes256-gcm", cut_to(DATA_VALUE, 5)),
        ("aes256-gcm", flip(KEY_VALUE, 9)),
        ("aes256-gcm", cut_to(KEY_VALUE, 100)),
        ("aes256-gcm", other_length),
        ("aes256-cbc", bad_padding),
        ("aes256-cbc", cut_to(DATA_VALUE, 16)),
        ("aes256-cbc", cut_to(DATA_VALUE, 35)),
        ("aes256-cbc", flip(KEY_VALUE, 9)),
    ],
)
def test_enc_002_every_failure_reads_the_same(block: BlockCipher, edit: Callable[[Scene, Element], None]) -> None:
    """Whatever fails in decrypting, the refusal is one and the same, so that nothing can be learnt from it."""
    scene = default_scene()
    untouched = tampered(block, lambda scene, root: None)(scene)
    assert verify(scene, untouched, **OPTIONAL).name_id.value == scene.email
    with pytest.raises(MessageRefused) as wrong_key:
        verify(scene, untouched, **(OPTIONAL | {"decryption_keys": (FORMER.private_key,)}))
    with pytest.raises(MessageRefused) as refusal:
        verify(scene, tampered(block, edit)(scene), **OPTIONAL)
    assert (refusal.value.code, str(refusal.value)) == ("decryption_failed", str(wrong_key.value))


@pytest.mark.parametrize(
    "plain",
    [
        lambda scene: "",
        lambda scene: "not xml",
        lambda scene: plain_assertion(scene)[:-5],
        lambda scene: "<a/>",
        lambda scene: "<!DOCTYPE a>" + plain_assertion(scene),
        lambda scene: plain_assertion(scene).replace("<saml:Conditions", "<saml:Advice/><saml:Conditions"),
    ],
    ids=["empty", "no XML", "cut off", "something else", "DTD", "out of order"],
)
@pytest.mark.parametrize("block", ["aes256-gcm", "aes256-cbc"])
def test_enc_002_what_was_opened_is_not_told_either(block: BlockCipher, plain: Callable[[Scene], str]) -> None:
    """A plaintext that is no assertion is refused in the same words as a key that doesn't fit."""
    scene = default_scene()
    with pytest.raises(MessageRefused) as wrong_key:
        verify(scene, holding(plain, block)(scene), **(OPTIONAL | {"decryption_keys": (FORMER.private_key,)}))
    with pytest.raises(MessageRefused) as refusal:
        verify(scene, holding(plain, block)(scene), **OPTIONAL)
    assert (refusal.value.code, str(refusal.value)) == ("decryption_failed", str(wrong_key.value))


@pytest.mark.parametrize("transport", ["oaep-sha1", "oaep-sha256"])
@pytest.mark.parametrize("block", ["aes128-gcm", "aes192-gcm", "aes256-gcm"])
@pytest.mark.parametrize(
    "signed", [ASSERTION_SIGNED, RESPONSE_SIGNED, BOTH_SIGNED], ids=["assertion", "response", "both"]
)
def test_enc_004_gcm_and_oaep_are_accepted(
    block: BlockCipher, transport: KeyTransport, signed: dict[str, bool]
) -> None:
    """AES-GCM under RSA-OAEP opens, whichever part is signed."""
    scene = default_scene()
    assert verify(scene, sealed(block, transport, **signed)(scene), **OPTIONAL).name_id.value == scene.email


@pytest.mark.parametrize("block", ["aes128-cbc", "aes256-cbc"])
def test_enc_002_cbc_under_a_response_signature_is_accepted(block: BlockCipher) -> None:
    """AES-CBC opens where a verified Response signature covers the ciphertext."""
    scene = default_scene()
    assert verify(scene, sealed(block, **RESPONSE_SIGNED)(scene), **OPTIONAL).name_id.value == scene.email


def test_enc_008_the_key_may_stand_beside_the_data() -> None:
    """Okta's layout: EncryptedKey as a sibling, found by a RetrievalMethod within the same document."""
    scene = default_scene()
    message = scene.respond(encryption=Encryption(RECIPIENT.certificate, key_beside=True))
    assert b"RetrievalMethod" in message
    assert verify(scene, message, **OPTIONAL).name_id.value == scene.email


@pytest.mark.parametrize("signer", [RECIPIENT, FORMER], ids=["new key", "old key"])
def test_enc_010_either_key_opens_during_a_rollover(signer: Any) -> None:
    """While two decryption keys are in use, a message for either is read; for a third, not."""
    scene = default_scene()
    keys = {"encryption": "optional", "decryption_keys": (RECIPIENT.private_key, FORMER.private_key)}
    assert verify(scene, scene.respond(encryption=Encryption(signer.certificate)), **keys).name_id.value == scene.email
    with pytest.raises(MessageRefused) as refusal:
        verify(scene, scene.respond(encryption=Encryption(STRANGER.certificate)), **keys)
    assert refusal.value.code == "decryption_failed"


@pytest.mark.parametrize("reference", ["CipherReference", "KeyInfoReference"])
def test_enc_011_nothing_outside_is_fetched(trap: Trap, reference: str) -> None:
    """A reference out of the document, inside encrypted data, is refused, and its server hears nothing."""
    edit = {
        "CipherReference": replace_with(f'<x:CipherReference xmlns:x="{XENC}" URI="{trap.url}"/>', DATA_VALUE),
        "KeyInfoReference": replace_with(
            f'<x:KeyInfoReference xmlns:x="http://www.w3.org/2009/xmldsig11#" URI="{trap.url}"/>', ".//{*}EncryptedKey"
        ),
    }[reference]
    check_refused(cut("ENC-011", reference, "encryption_reference_not_allowed", edit, genuine=GCM, trust=OPTIONAL))
    assert not trap.was_called()


def test_enc_011_a_key_elsewhere_is_never_fetched(trap: Trap) -> None:
    """A RetrievalMethod may lead to the EncryptedKey beside the data, and nowhere else."""

    def edit(scene: Scene, root: Element) -> None:
        find_one(root, ".//ds:RetrievalMethod").set("URI", trap.url)

    beside = {"encryption": Encryption(RECIPIENT.certificate, key_beside=True)}
    attack = cut("ENC-011", "URL", "encryption_reference_not_allowed", edit, genuine=beside, trust=OPTIONAL)
    check_refused(attack)
    check_twin_accepted(attack)
    assert not trap.was_called()


def test_encryption_is_off_by_default_and_can_be_demanded() -> None:
    """What the connection says about encryption is held to, both ways."""
    scene = default_scene()
    with pytest.raises(MessageRefused) as refusal:
        verify(scene, scene.respond(**GCM))
    assert refusal.value.code == "encryption_unexpected"
    with pytest.raises(MessageRefused) as refusal:
        verify(scene, scene.respond(), **(OPTIONAL | {"encryption": "required"}))
    assert refusal.value.code == "encryption_required"
