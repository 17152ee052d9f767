"""Decrypt an EncryptedAssertion or EncryptedID with our own keys (XML Encryption 1.1).

form.py has left one EncryptedData and one EncryptedKey, and no reference out of them. Which
encryption is demanded, and what the plaintext may be, are response.py's to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from ..errors import DecryptionFailed, EncryptionAlgorithmNotAllowed, EncryptionNotAuthenticated
from .parsing import decode_base64
from .schema import NAMESPACES, AnyElement, anywhere_in, attribute_of, child, required_child, text_of

_XENC = NAMESPACES["xenc"]
_XENC11 = NAMESPACES["xenc11"]
_DS = NAMESPACES["ds"]

ELEMENT_TYPE = _XENC + "Element"

_Hashes = dict[str, type[hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512]]

# Key lengths in bytes. No 3DES; and AES-CBC says nothing of whether the ciphertext was changed.
_GCM = {_XENC11 + "aes128-gcm": 16, _XENC11 + "aes192-gcm": 24, _XENC11 + "aes256-gcm": 32}
_CBC = {_XENC + "aes128-cbc": 16, _XENC + "aes192-cbc": 24, _XENC + "aes256-cbc": 32}

# RSA-OAEP only: RSA 1.5 is the padding that Bleichenbacher's oracle reads. SHA-1 is safe in OAEP,
# and it is what rsa-oaep-mgf1p means where nothing else is said (5.5.2).
_OAEP_MGF1P = _XENC + "rsa-oaep-mgf1p"
_OAEP = _XENC11 + "rsa-oaep"
_DIGESTS: _Hashes = {
    _DS + "sha1": hashes.SHA1,
    _XENC + "sha256": hashes.SHA256,
    "http://www.w3.org/2001/04/xmldsig-more#sha384": hashes.SHA384,
    _XENC + "sha512": hashes.SHA512,
}
_SHA1_MASK: _Hashes = {_XENC11 + "mgf1sha1": hashes.SHA1}
_MASKS: _Hashes = _SHA1_MASK | {
    _XENC11 + "mgf1sha256": hashes.SHA256,
    _XENC11 + "mgf1sha384": hashes.SHA384,
    _XENC11 + "mgf1sha512": hashes.SHA512,
}

_CBC_BLOCK = 16
_GCM_NONCE = 12


def decrypt(encrypted: AnyElement, *, keys: Sequence[RSAPrivateKey], is_authenticated: bool) -> bytes:
    """The plaintext, of which nothing is known but that it can be decrypted.

    `is_authenticated`: a verified signature covers `encrypted`. Without one AES-CBC is refused, for
    the answers to changed ciphertexts would tell what is in it (Jager and Somorovsky, 2011). Raises
    EncryptionAlgorithmNotAllowed, EncryptionNotAuthenticated, or DecryptionFailed for all that can fail.
    """
    data = required_child(encrypted, "xenc:EncryptedData")
    algorithm = _algorithm(data)
    if algorithm not in _GCM | _CBC or data.get("Type", ELEMENT_TYPE) != ELEMENT_TYPE:
        raise EncryptionAlgorithmNotAllowed("the data must be an element under AES-GCM, or under AES-CBC if signed")
    if algorithm in _CBC and not is_authenticated:
        raise EncryptionNotAuthenticated("AES-CBC in a Response that is not signed: let your IdP sign the response too")
    encrypted_key = anywhere_in(encrypted, "xenc:EncryptedKey")[0]
    key = _unwrap(_cipher_value(encrypted_key), _oaep(encrypted_key), keys, (_GCM | _CBC)[algorithm])
    return (_open_gcm if algorithm in _GCM else _open_cbc)(key, _cipher_value(data))


def _algorithm(element: AnyElement) -> str:
    return attribute_of(required_child(element, "xenc:EncryptionMethod"), "Algorithm")


def _cipher_value(element: AnyElement) -> bytes:
    cipher_data = required_child(element, "xenc:CipherData")
    return decode_base64(text_of(required_child(cipher_data, "xenc:CipherValue")))


def _oaep(encrypted_key: AnyElement) -> OAEP:
    """XML Encryption 5.5.2: the digest is SHA-1 unless said, and so is the mask's; mgf1p allows no other mask."""
    algorithm = _algorithm(encrypted_key)
    method = required_child(encrypted_key, "xenc:EncryptionMethod")
    digest = _parameter(method, "ds:DigestMethod", _DS + "sha1")
    mask = _parameter(method, "xenc11:MGF", _XENC11 + "mgf1sha1")
    allowed_masks = {_OAEP: _MASKS, _OAEP_MGF1P: _SHA1_MASK}.get(algorithm, {})
    if digest not in _DIGESTS or mask not in allowed_masks:
        raise EncryptionAlgorithmNotAllowed("the key must be under RSA-OAEP")
    return OAEP(mgf=MGF1(_MASKS[mask]()), algorithm=_DIGESTS[digest](), label=None)


def _parameter(method: AnyElement, name: str, default: str) -> str:
    element = child(method, name)
    return default if element is None else attribute_of(element, "Algorithm")


def _unwrap(wrapped: bytes, oaep: OAEP, keys: Sequence[RSAPrivateKey], length: int) -> bytes:
    """Two of our keys are published during a rollover: either may have been used."""
    for private_key in keys:
        try:
            key = private_key.decrypt(wrapped, oaep)
        except ValueError:
            continue
        if len(key) == length:
            return key
    raise DecryptionFailed


def _open_gcm(key: bytes, ciphertext: bytes) -> bytes:
    # XML Encryption 5.2.4: a nonce of 96 bits in front, a tag of 128 bits at the end.
    try:
        return AESGCM(key).decrypt(ciphertext[:_GCM_NONCE], ciphertext[_GCM_NONCE:], None)
    except (InvalidTag, ValueError):
        raise DecryptionFailed from None


def _open_cbc(key: bytes, ciphertext: bytes) -> bytes:
    # XML Encryption 5.2.1: the IV in front; the last byte says how many were added, whatever the others are.
    iv, blocks = ciphertext[:_CBC_BLOCK], ciphertext[_CBC_BLOCK:]
    if not blocks or len(blocks) % _CBC_BLOCK:
        raise DecryptionFailed
    decryptor = Cipher(AES(key), CBC(iv)).decryptor()
    padded = decryptor.update(blocks) + decryptor.finalize()
    if not 1 <= padded[-1] <= _CBC_BLOCK:
        raise DecryptionFailed
    return padded[: -padded[-1]]
