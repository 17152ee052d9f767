"""Seal what is kept at rest, under keys derived from the host's secret keys.

A sealed value says which secret key it needs, so that a dropped one is told apart from a forgery.
Where sealed values are kept, and when they are sealed anew, is their owners' business.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import InvalidToken, SealedWithUnknownKey

# version (1) | key id (4) | nonce (12) | AES-256-GCM ciphertext and tag (16 at least)
_VERSION = b"\x01"
_KEY_ID_BYTES = 4
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES
_NONCE_BYTES = 12
_SHORTEST = _HEADER_BYTES + _NONCE_BYTES + 16


class Sealer:
    """Seals under the first of `secret_keys` (the newest), opens what was sealed under any of them.

    Each purpose has a key of its own (RFC 5869 3.2), so a value sealed for one opens for no other.
    """

    def __init__(self, secret_keys: Sequence[str]) -> None:
        if not secret_keys:
            raise ValueError("at least one secret key")
        self._secrets = {_key_id(secret): secret for secret in secret_keys}
        self._newest = _key_id(secret_keys[0])
        self._ciphers: dict[tuple[bytes, str], AESGCM] = {}

    def seal(self, plaintext: bytes, purpose: str) -> bytes:
        header = _VERSION + self._newest
        # A random nonce is good for 2^32 values under one key (NIST SP 800-38D 8.3).
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return header + nonce + self._cipher(self._newest, purpose).encrypt(nonce, plaintext, header)

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Raises SealedWithUnknownKey if its key is not among ours, InvalidToken if it is not genuine."""
        if len(sealed) < _SHORTEST or not sealed.startswith(_VERSION):
            raise InvalidToken("not a sealed value")
        header, nonce, ciphertext = _split(sealed)
        key_id = header[len(_VERSION) :]
        if key_id not in self._secrets:
            raise SealedWithUnknownKey("sealed under a key that is not in secret_keys")
        try:
            return self._cipher(key_id, purpose).decrypt(nonce, ciphertext, header)
        except InvalidTag:
            raise InvalidToken("a sealed value that was changed, or is for another purpose") from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether it says that the newest key sealed it, so that it need not be sealed anew."""
        return sealed.startswith(_VERSION + self._newest)

    def _cipher(self, key_id: bytes, purpose: str) -> AESGCM:
        cipher = self._ciphers.get((key_id, purpose))
        if cipher is None:
            cipher = AESGCM(_derive(self._secrets[key_id], f"seal/1/{purpose}", 32))
            self._ciphers[key_id, purpose] = cipher
        return cipher


def _split(sealed: bytes) -> tuple[bytes, bytes, bytes]:
    after_nonce = _HEADER_BYTES + _NONCE_BYTES
    return sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:after_nonce], sealed[after_nonce:]


def _key_id(secret: str) -> bytes:
    # Derived, so that it says nothing about the secret key.
    return _derive(secret, "key-id/1", _KEY_ID_BYTES)


def _derive(secret: str, info: str, length: int) -> bytes:
    # RFC 5869; without a salt, since the settings refuse secret keys that are short or guessable.
    kdf = HKDF(algorithm=SHA256(), length=length, salt=None, info=f"sso-middleware/{info}".encode())
    return kdf.derive(secret.encode())
