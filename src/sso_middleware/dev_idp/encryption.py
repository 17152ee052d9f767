"""Encrypt an assertion for a service provider (XML Encryption 1.1), as real identity providers do.

pysaml2 would need the xmlsec1 binary for it. Whether to encrypt, and before or after which signature, is
`messages`'.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from lxml.builder import ElementMaker

from ..saml.metadata import NAMESPACES as METADATA
from ..saml.parsing import parse_untrusted

DataCipher = Literal["aes256-gcm", "aes128-gcm", "aes256-cbc", "aes128-cbc"]
"""AES-CBC is what older identity providers have; it proves nothing, so the Response around it must be signed."""

_SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
_DS = "http://www.w3.org/2000/09/xmldsig#"
_XENC = "http://www.w3.org/2001/04/xmlenc#"
_XENC11 = "http://www.w3.org/2009/xmlenc11#"

_saml = ElementMaker(namespace=_SAML, nsmap={"saml": _SAML})
_ds = ElementMaker(namespace=_DS, nsmap={"ds": _DS})
_xenc = ElementMaker(namespace=_XENC, nsmap={"xenc": _XENC})
_xenc11 = ElementMaker(namespace=_XENC11, nsmap={"xenc11": _XENC11})


def read_encryption_certificate(sp_metadata: bytes) -> str | None:
    """The certificate (PEM) that this service provider wants to be encrypted for; None where it publishes none."""
    root = parse_untrusted(sp_metadata, max_bytes=256 * 1024, max_elements=1000, max_depth=20)
    path = "md:SPSSODescriptor/md:KeyDescriptor[@use='encryption']/ds:KeyInfo/ds:X509Data/ds:X509Certificate"
    text = root.findtext(path, namespaces=METADATA)
    if text is None:
        return None
    return x509.load_der_x509_certificate(b64decode(text)).public_bytes(Encoding.PEM).decode("ascii")


def encrypt_assertion(assertion: bytes, *, certificate: str, cipher: DataCipher) -> etree._Element:
    """An EncryptedAssertion (SAML core 2.3.4) that only the holder of this certificate's (PEM) RSA key can open."""
    key = os.urandom(32 if cipher.startswith("aes256") else 16)
    is_gcm = cipher.endswith("-gcm")
    data = (_close_gcm if is_gcm else _close_cbc)(assertion, key)
    encrypted: etree._Element = _saml.EncryptedAssertion(
        _xenc.EncryptedData(
            _xenc.EncryptionMethod(Algorithm=(_XENC11 if is_gcm else _XENC) + cipher),
            _ds.KeyInfo(_encrypted_key(key, certificate)),
            _cipher_data(data),
            Type=_XENC + "Element",
        )
    )
    return encrypted


def _close_gcm(plain: bytes, key: bytes) -> bytes:
    # XML Encryption 5.2.4: a nonce of 96 bits in front, a tag of 128 bits at the end.
    nonce = os.urandom(12)
    return nonce + AESGCM(key).encrypt(nonce, plain, None)


def _close_cbc(plain: bytes, key: bytes) -> bytes:
    # XML Encryption 5.2.1: the IV in front; what PKCS 7 adds is one of the paddings that it allows.
    iv = os.urandom(16)
    padder, encryptor = PKCS7(AES.block_size).padder(), Cipher(AES(key), CBC(iv)).encryptor()
    return iv + encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()


def _encrypted_key(key: bytes, certificate: str) -> etree._Element:
    public_key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    if not isinstance(public_key, RSAPublicKey):
        raise TypeError("our own encryption keys are RSA keys")
    # XML Encryption 5.5.2: both hashes are named, or they would be SHA-1.
    wrapped = public_key.encrypt(key, OAEP(mgf=MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None))
    method = _xenc.EncryptionMethod(
        _ds.DigestMethod(Algorithm=_XENC + "sha256"),
        _xenc11.MGF(Algorithm=_XENC11 + "mgf1sha256"),
        Algorithm=_XENC11 + "rsa-oaep",
    )
    encrypted: etree._Element = _xenc.EncryptedKey(method, _cipher_data(wrapped))
    return encrypted


def _cipher_data(value: bytes) -> etree._Element:
    data: etree._Element = _xenc.CipherData(_xenc.CipherValue(b64encode(value).decode("ascii")))
    return data
