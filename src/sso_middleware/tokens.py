"""Values that only we can have made: signed for one purpose, under a version, with keys that rotate.

Signing is not hiding: whoever holds a token can read its payload (sealing is `stores.sealing`'s). What a
payload means, and how long it holds, is the caller's. Also every random value that we hand out.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from itsdangerous import BadData, BadSignature, Signer
from itsdangerous.encoding import base64_decode, base64_encode

from .errors import InvalidToken

_VERSION = "v1"
# Proquints (arXiv 0901.4016): four bits a consonant, two bits a vowel, and no pair that sounds alike.
_CONSONANTS = "bdfghjklmnprstvz"
_VOWELS = "aiou"


class Tokens:
    """Signs and verifies for one instance. `secret_keys` are newest first: the first signs, all verify.

    A token is `v1.payload.signature`, in characters that need no escape in a URL or a cookie. A token of
    another purpose, instance name or version is not one of ours.
    """

    def __init__(self, secret_keys: Sequence[str], *, name: str) -> None:
        # itsdangerous wants the newest last.
        self._keys = [key.encode() for key in reversed(secret_keys)]
        self._name = name

    def sign(self, purpose: str, payload: str) -> str:
        return self._signer(purpose).sign(f"{_VERSION}.{_encode(payload.encode())}").decode("ascii")

    def verify(self, purpose: str, token: str) -> str:
        """The payload. Raises InvalidToken; the text never holds the token."""
        parts = token.split(".")
        if len(parts) != 3 or parts[0] != _VERSION or not all(map(_is_canonical, parts[1:])):
            raise InvalidToken(f"a {purpose} token is not of our form")
        try:
            self._signer(purpose).unsign(token)
        except BadSignature:
            # Without its cause, which carries the token.
            raise InvalidToken(f"a {purpose} token does not verify") from None
        return base64_decode(parts[1]).decode()

    def derive(self, purpose: str, token: str) -> list[str]:
        """The token that follows from this one, as secret as it: by the newest key first, then by each older one.

        Whoever derives it again finds the same; nobody can without our keys.
        """
        keys = [self._signer(purpose).derive_key(key) for key in reversed(self._keys)]
        return [_encode(hmac.digest(key, token.encode(), "sha256")) for key in keys]

    def _signer(self, purpose: str) -> Signer:
        # The defaults are SHA-1 and one salt for all (WEB-005).
        return Signer(
            list(self._keys),
            salt=f"sso-middleware\0{self._name}\0{purpose}".encode(),
            sep=".",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )


def new_token() -> str:
    """256 random bits, for a URL or a cookie."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """What is stored and compared in a token's place: finding it by its hash tells nothing by timing."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_saml_id() -> str:
    """An xs:ID of 160 random bits (SAML core 1.3.4 wants 128 or more); it may not begin with a digit."""
    return "_" + secrets.token_hex(20)


def new_reference() -> str:
    """32 random bits to be read out on the telephone, such as "babud-kolim"."""
    return f"{_pronounce(secrets.randbits(16))}-{_pronounce(secrets.randbits(16))}"


def _pronounce(bits: int) -> str:
    return (
        _CONSONANTS[bits >> 12 & 15]
        + _VOWELS[bits >> 10 & 3]
        + _CONSONANTS[bits >> 6 & 15]
        + _VOWELS[bits >> 4 & 3]
        + _CONSONANTS[bits & 15]
    )


def _encode(data: bytes) -> str:
    return base64_encode(data).decode("ascii")


def _is_canonical(text: str) -> bool:
    """Whether this is the one spelling of its bytes: a decoder skips foreign characters and spare bits."""
    if not text.isascii():
        return False
    try:
        return _encode(base64_decode(text)) == text
    except BadData:
        return False
