"""Encrypt an assertion as identity providers do (XML Encryption 1.1), and as they must not.

The weak algorithms are here because a test must be able to send them. Each function makes text;
nothing decrypts.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

XENC = "http://www.w3.org/2001/04/xmlenc#"
XENC11 = "http://www.w3.org/2009/xmlenc11#"
DS = "http://www.w3.org/2000/09/xmldsig#"
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
ELEMENT_TYPE = XENC + "Element"
ENCRYPTED_KEY_TYPE = XENC + "EncryptedKey"

BlockCipher = Literal["aes128-gcm", "aes192-gcm", "aes256-gcm", "aes128-cbc", "aes192-cbc", "aes256-cbc", "tripledes"]
KeyTransport = Literal["oaep-sha1", "oaep-sha256", "rsa-1_5"]

BLOCK_CIPHERS: dict[BlockCipher, tuple[str, int]] = {
    "aes128-gcm": (XENC11 + "aes128-gcm", 16),
    "aes192-gcm": (XENC11 + "aes192-gcm", 24),
    "aes256-gcm": (XENC11 + "aes256-gcm", 32),
    "aes128-cbc": (XENC + "aes128-cbc", 16),
    "aes192-cbc": (XENC + "aes192-cbc", 24),
    "aes256-cbc": (XENC + "aes256-cbc", 32),
    "tripledes": (XENC + "tripledes-cbc", 24),
}
"""The algorithm's URI and the length of its key in bytes."""


@dataclass(frozen=True)
class Encryption:
    """For whom, and how. `key_beside` is Okta's layout: EncryptedKey next to EncryptedData."""

    certificate: str
    """PEM, the service provider's encryption certificate."""
    block: BlockCipher = "aes256-gcm"
    transport: KeyTransport = "oaep-sha1"
    key_beside: bool = False
    names_recipient: bool = False
    """Whether the EncryptedKey holds the certificate that it is for, and refers back to the data."""


def encrypted_assertion(plain: str, encryption: Encryption) -> str:
    """A saml:EncryptedAssertion (SAML core 2.3.4) that holds this text."""
    uri, length = BLOCK_CIPHERS[encryption.block]
    key = os.urandom(length)
    encrypted_key = _encrypted_key(key, encryption)
    if encryption.key_beside:
        retrieval = f'<ds:RetrievalMethod Type="{ENCRYPTED_KEY_TYPE}" URI="#_encrypted-key"/>'
        inside, beside = retrieval, encrypted_key
    else:
        inside, beside = encrypted_key, ""
    value = base64.b64encode(encrypt(plain.encode(), key, encryption.block)).decode()
    return (
        f'<saml:EncryptedAssertion xmlns:saml="{SAML}">'
        f'<xenc:EncryptedData xmlns:xenc="{XENC}" Type="{ELEMENT_TYPE}" Id="_encrypted-data">'
        f'<xenc:EncryptionMethod Algorithm="{uri}"/>'
        f'<ds:KeyInfo xmlns:ds="{DS}">{inside}</ds:KeyInfo>'
        f"<xenc:CipherData><xenc:CipherValue>{value}</xenc:CipherValue></xenc:CipherData>"
        f"</xenc:EncryptedData>{beside}</saml:EncryptedAssertion>"
    )


def encrypt(plain: bytes, key: bytes, block: BlockCipher) -> bytes:
    """XML Encryption 1.1, 5.2: the IV first, then what the cipher gives."""
    if block.endswith("-gcm"):
        nonce = os.urandom(12)
        return nonce + AESGCM(key).encrypt(nonce, plain, None)
    algorithm = TripleDES(key) if block == "tripledes" else algorithms.AES(key)
    size = algorithm.block_size // 8
    pad = size - len(plain) % size
    padded = plain + b"\0" * (pad - 1) + bytes([pad])
    iv = os.urandom(size)
    encryptor = Cipher(algorithm, modes.CBC(iv)).encryptor()
    return iv + encryptor.update(padded) + encryptor.finalize()


def _encrypted_key(key: bytes, encryption: Encryption) -> str:
    public_key = x509.load_pem_x509_certificate(encryption.certificate.encode()).public_key()
    assert isinstance(public_key, RSAPublicKey)
    if encryption.transport == "rsa-1_5":
        method = f'<xenc:EncryptionMethod Algorithm="{XENC}rsa-1_5"/>'
        value = public_key.encrypt(key, padding.PKCS1v15())
    elif encryption.transport == "oaep-sha1":
        method = (
            f'<xenc:EncryptionMethod Algorithm="{XENC}rsa-oaep-mgf1p">'
            f'<ds:DigestMethod xmlns:ds="{DS}" Algorithm="{DS}sha1"/></xenc:EncryptionMethod>'
        )
        value = public_key.encrypt(key, padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))
    else:
        method = (
            f'<xenc:EncryptionMethod Algorithm="{XENC11}rsa-oaep">'
            f'<ds:DigestMethod xmlns:ds="{DS}" Algorithm="{XENC}sha256"/>'
            f'<xenc11:MGF xmlns:xenc11="{XENC11}" Algorithm="{XENC11}mgf1sha256"/></xenc:EncryptionMethod>'
        )
        value = public_key.encrypt(key, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    recipient = references = ""
    if encryption.names_recipient:
        body = "".join(encryption.certificate.strip().splitlines()[1:-1])
        certificate = f"<ds:X509Data><ds:X509Certificate>{body}</ds:X509Certificate></ds:X509Data>"
        recipient = f'<ds:KeyInfo xmlns:ds="{DS}">{certificate}</ds:KeyInfo>'
        references = '<xenc:ReferenceList><xenc:DataReference URI="#_encrypted-data"/></xenc:ReferenceList>'
    return (
        f'<xenc:EncryptedKey xmlns:xenc="{XENC}" Id="_encrypted-key">{method}{recipient}'
        f"<xenc:CipherData><xenc:CipherValue>{base64.b64encode(value).decode()}</xenc:CipherValue></xenc:CipherData>"
        f"{references}</xenc:EncryptedKey>"
    )
