"""Decryption: the algorithms, the keys, the policy, and the one error."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from lxml import etree
from tests.identity_provider import find_one, sign
from tests.response_shape import SAML, render_assertion, render_response
from tests.saml.conversation import (
    EMAIL,
    EXPECTED,
    IDP,
    NOW,
    SERVICE_PROVIDER,
    edited,
    our_encryption,
    refusal,
    respond,
    verify,
)
from tests.xml_encryption import BlockCipher, KeyTransport, encrypted_assertion

from sso_middleware.errors import DecryptionFailed
from sso_middleware.saml.encryption import decrypt

XENC = "http://www.w3.org/2001/04/xmlenc#"
XENC11 = "http://www.w3.org/2009/xmlenc11#"
DATA = "saml:EncryptedAssertion/{*}EncryptedData"
KEY = f"{DATA}/ds:KeyInfo/{{*}}EncryptedKey"


def opened(**changes: Any) -> dict[str, Any]:
    """The trust of a connection that may encrypt."""
    return {"encryption": "optional", "decryption_keys": (our_encryption()[1],), **changes}


def encrypted(block: BlockCipher = "aes256-gcm", transport: KeyTransport = "oaep-sha1", **changes: Any) -> bytes:
    key_beside = changes.pop("key_beside", False)
    name = changes.pop("name", "ours")
    encryption, _ = our_encryption(name, block=block, transport=transport, key_beside=key_beside)
    return respond(encryption=encryption, **changes)


@pytest.mark.parametrize("block", ["aes128-gcm", "aes192-gcm", "aes256-gcm"])
@pytest.mark.parametrize("transport", ["oaep-sha1", "oaep-sha256"])
@pytest.mark.parametrize("key_beside", [False, True])
def test_gcm_under_oaep_is_opened(block: BlockCipher, transport: KeyTransport, key_beside: bool) -> None:
    """The algorithms that providers should use, in both layouts (ENC-004, ENC-008)."""
    assert verify(encrypted(block, transport, key_beside=key_beside), **opened()).name_id.value == EMAIL


@pytest.mark.parametrize("block", ["aes128-cbc", "aes192-cbc", "aes256-cbc"])
def test_cbc_is_opened_only_under_the_response_s_signature(block: BlockCipher) -> None:
    """Unauthenticated ciphertext is not even tried, and the refusal says what to do (ENC-002)."""
    assert refusal(encrypted(block, sign_response=True), **opened()) == "accepted"
    assert refusal(encrypted(block), **opened()) == "encryption_not_authenticated"


@pytest.mark.parametrize(("block", "transport"), [("tripledes", "oaep-sha1"), ("aes128-cbc", "rsa-1_5")])
def test_old_algorithms_are_refused(block: BlockCipher, transport: KeyTransport) -> None:
    """3DES and RSA 1.5, signed or not (ENC-003)."""
    message = encrypted(block, transport, sign_response=True)
    assert refusal(message, **opened()) == "encryption_algorithm_not_allowed"


Edit = Callable[[etree._Element], object]


def set_algorithm(path: str, algorithm: str, name: str = "Algorithm") -> Edit:
    return lambda root: find_one(root, path).set(name, algorithm)


@pytest.mark.parametrize(
    "edit",
    [
        set_algorithm(f"{KEY}/{{*}}EncryptionMethod/{{*}}DigestMethod", "urn:md5"),
        set_algorithm(f"{KEY}/{{*}}EncryptionMethod/{{*}}MGF", "urn:mask"),
        set_algorithm(f"{KEY}/{{*}}EncryptionMethod", XENC + "rsa-oaep-mgf1p"),
        set_algorithm(DATA, XENC + "Content", "Type"),
    ],
    ids=["digest", "mask", "mask that mgf1p has not", "content"],
)
def test_other_parameters_are_refused(edit: Edit) -> None:
    """Nothing but what the standard gives these algorithms."""
    assert refusal(edited(encrypted(transport="oaep-sha256"), edit), **opened()) == "encryption_algorithm_not_allowed"


def test_oaep_s_defaults() -> None:
    """Without DigestMethod and MGF both are SHA-1, under both names; without a Type it is an element."""

    def bare(root: etree._Element) -> None:
        del find_one(root, DATA).attrib["Type"]
        method = find_one(root, f"{KEY}/{{*}}EncryptionMethod")
        method.remove(method[0])

    def renamed(root: etree._Element) -> None:
        bare(root)
        find_one(root, f"{KEY}/{{*}}EncryptionMethod").set("Algorithm", XENC11 + "rsa-oaep")

    assert refusal(edited(encrypted(), bare), **opened()) == "accepted"
    assert refusal(edited(encrypted(), renamed), **opened()) == "accepted"


def test_either_of_our_keys_opens_it() -> None:
    """During a rollover the provider may still have the old one (ENC-010)."""
    keys = (our_encryption("new")[1], our_encryption("ours")[1])
    assert refusal(encrypted(), **opened(decryption_keys=keys)) == "accepted"
    assert refusal(encrypted(name="new"), **opened(decryption_keys=keys)) == "accepted"
    assert refusal(encrypted(name="stranger"), **opened(decryption_keys=keys)) == "decryption_failed"
    assert refusal(encrypted(), **opened(decryption_keys=())) == "decryption_failed"


@pytest.mark.parametrize(
    ("encryption", "message", "code"),
    [
        ("off", encrypted(), "encryption_unexpected"),
        ("off", respond(), "accepted"),
        ("optional", encrypted(), "accepted"),
        ("optional", respond(), "accepted"),
        ("required", encrypted(), "accepted"),
        ("required", respond(), "encryption_required"),
    ],
)
def test_the_connection_says_whether_it_is_encrypted(encryption: str, message: bytes, code: str) -> None:
    """Off, optional or required: what doesn't fit is refused."""
    assert refusal(message, **opened(encryption=encryption)) == code


def put(plain: str, block: BlockCipher = "aes256-gcm") -> bytes:
    """A Response whose ciphertext holds this."""
    encryption, _ = our_encryption(block=block)
    return respond(has_assertion=False, sign_response=True, after_assertion_xml=encrypted_assertion(plain, encryption))


@pytest.mark.parametrize(
    "plain",
    ["", "x", "<a/>", "<!DOCTYPE a><a/>", f"<Assertion xmlns='{SAML}'/>", f"<EncryptedAssertion xmlns='{SAML}'/>"],
)
@pytest.mark.parametrize("block", ["aes256-gcm", "aes256-cbc"])
def test_what_is_no_assertion_is_not_told_from_a_wrong_key(plain: str, block: BlockCipher) -> None:
    """Decrypted bytes go through the gate, and its reasons stay inside (ENC-007)."""
    with pytest.raises(DecryptionFailed) as refused:
        verify(put(plain, block), **opened())
    assert str(refused.value) == str(DecryptionFailed())


def test_an_encrypted_assertion_proves_nothing_by_itself() -> None:
    """Anybody can encrypt for us: some signature must cover it (ENC-001)."""
    assert refusal(encrypted(sign_assertion=False), **opened()) == "signature_missing"
    assert refusal(encrypted(sign_assertion=False, sign_response=True), **opened()) == "accepted"


# Ciphertexts that were changed


def element(block: BlockCipher) -> etree._Element:
    encryption, _ = our_encryption(block=block)
    return etree.fromstring(encrypted_assertion("<a>0123456789</a>", encryption))


def with_value(encrypted_element: etree._Element, path: str, value: bytes) -> etree._Element:
    find_one(encrypted_element, f"{path}/{{*}}CipherData/{{*}}CipherValue").text = base64.b64encode(value).decode()
    return encrypted_element


@pytest.mark.parametrize("value", [b"", b"x" * 12, b"x" * 28, b"x" * 100])
def test_a_changed_gcm_ciphertext(value: bytes) -> None:
    """Too short for its nonce, too short for its tag, or with the wrong one."""
    with pytest.raises(DecryptionFailed):
        decrypt(
            with_value(element("aes256-gcm"), "{*}EncryptedData", value),
            keys=(our_encryption()[1],),
            is_authenticated=False,
        )


@pytest.mark.parametrize("value", [b"", b"x" * 16, b"x" * 20, b"x" * 33])
def test_a_changed_cbc_ciphertext(value: bytes) -> None:
    """No block at all, or half of one."""
    with pytest.raises(DecryptionFailed):
        decrypt(
            with_value(element("aes128-cbc"), "{*}EncryptedData", value),
            keys=(our_encryption()[1],),
            is_authenticated=True,
        )


@pytest.mark.parametrize(("last", "is_opened"), [(0, False), (1, True), (16, True), (17, False), (255, False)])
def test_a_cbc_padding_that_can_t_be(last: int, is_opened: bool) -> None:
    """The last byte counts what was added: one to sixteen."""
    key, private_key = bytes(16), our_encryption()[1]
    encryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor()
    changed = with_value(
        element("aes128-cbc"), "{*}EncryptedData", bytes(16) + encryptor.update(bytes(31) + bytes([last]))
    )
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    with_value(changed, "{*}EncryptedData/ds:KeyInfo/{*}EncryptedKey", private_key.public_key().encrypt(key, oaep))
    if is_opened:
        assert decrypt(changed, keys=(private_key,), is_authenticated=True) == bytes(32 - last)
        return
    with pytest.raises(DecryptionFailed):
        decrypt(changed, keys=(private_key,), is_authenticated=True)


@pytest.mark.parametrize("value", [b"", b"x", b"x" * 256])
def test_a_changed_key(value: bytes) -> None:
    """What our private key can't unwrap."""
    with pytest.raises(DecryptionFailed):
        decrypt(
            with_value(element("aes256-gcm"), "{*}EncryptedData/ds:KeyInfo/{*}EncryptedKey", value),
            keys=(our_encryption()[1],),
            is_authenticated=False,
        )


def test_a_key_of_another_length() -> None:
    """A key of 256 bits under the name of an algorithm that takes 128."""
    encrypted_element = element("aes256-gcm")
    find_one(encrypted_element, "{*}EncryptedData/{*}EncryptionMethod").set("Algorithm", XENC11 + "aes128-gcm")
    with pytest.raises(DecryptionFailed):
        decrypt(encrypted_element, keys=(our_encryption()[1],), is_authenticated=False)


# EncryptedID


def with_encrypted_id(plain: str) -> bytes:
    """A Response whose signed assertion holds this, encrypted, in place of the NameID."""
    encryption, _ = our_encryption(block="aes128-cbc")
    encrypted_id = encrypted_assertion(plain, encryption).replace("EncryptedAssertion", "EncryptedID")
    shape = IDP.shape(SERVICE_PROVIDER, request_id=EXPECTED.request_id, email=EMAIL, now=NOW)
    assertion = re.sub("<saml:NameID.*</saml:NameID>", encrypted_id, render_assertion(shape))
    return render_response(shape, sign(assertion, IDP.signer)).encode()


NAME_ID = f'<saml:NameID xmlns:saml="{SAML}">ada</saml:NameID>'


def test_an_encrypted_name_id_is_opened() -> None:
    """Under the assertion's signature, which covers it, CBC is good enough."""
    assert verify(with_encrypted_id(NAME_ID), **opened()).name_id.value == "ada"


@pytest.mark.parametrize(
    ("plain", "setting", "code"),
    [
        (NAME_ID, {"encryption": "off"}, "encryption_unexpected"),
        (NAME_ID, {"encryption": "required"}, "encryption_required"),
        (NAME_ID.replace("NameID", "BaseID"), {}, "decryption_failed"),
        (NAME_ID.replace("ada", " "), {}, "name_id_missing"),
        (NAME_ID, {"decryption_keys": ()}, "decryption_failed"),
    ],
)
def test_an_encrypted_name_id_is_held_to_the_rules(plain: str, setting: dict[str, Any], code: str) -> None:
    """The connection's policy, the gate and the rules for a NameID."""
    assert refusal(with_encrypted_id(plain), **opened(**setting)) == code
