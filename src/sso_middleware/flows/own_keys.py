"""Our own SAML keys: supplied by the host, or made at first use and kept sealed in the store.

How a key is made is `saml.keys`'; how it is sealed, `stores.sealing`'s.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import get_args

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ..errors import ConfigurationError, InvalidToken, SealedWithUnknownKey
from ..saml.keys import generate_key_pair
from ..saml.parties import KeyPair
from ..stores.records import KeyPurpose, SealedKey, Store
from ..stores.sealing import Sealer

_PURPOSES: tuple[KeyPurpose, ...] = get_args(KeyPurpose)
_NOTHING: Mapping[KeyPurpose, KeyPair] = MappingProxyType({})


class OwnKeys:
    """Which key we sign with, and which ones we decrypt with. Plain methods that may read the store.

    What was read once stays in the process: a key never changes under its id.
    """

    def __init__(
        self, store: Store, sealer: Sealer, *, common_name: str, supplied: Mapping[KeyPurpose, KeyPair] = _NOTHING
    ) -> None:
        """`supplied` keys are the host's (PEM settings), and are used instead of stored ones."""
        self._store = store
        self._sealer = sealer
        self._common_name = common_name
        self._supplied = supplied
        self._read: dict[KeyPurpose, tuple[KeyPair, ...]] = {}
        self._decryption_keys: tuple[RSAPrivateKey, ...] | None = None

    def get(self, purpose: KeyPurpose, now: datetime) -> KeyPair:
        """The newest key of this purpose; made now if there is none. All processes get the same.

        Raises StoreUnavailable, SealedWithUnknownKey, or InvalidToken if the kept key was changed.
        """
        return self._all(purpose, now)[0]

    def decryption_keys(self, now: datetime) -> tuple[RSAPrivateKey, ...]:
        """Every key that an identity provider may still encrypt for, newest first. Raises as `get` does."""
        if self._decryption_keys is None:
            self._decryption_keys = tuple(_rsa_key(pair) for pair in self._all("encryption", now))
        return self._decryption_keys

    def check(self) -> None:
        """At start: every stored key can be opened. Raises ConfigurationError that says what to do."""
        problems = [self._problem(key) for key in self._stored()]
        if any(problems):
            raise ConfigurationError(*filter(None, problems))

    def _all(self, purpose: KeyPurpose, now: datetime) -> tuple[KeyPair, ...]:
        if purpose in self._supplied:
            return (self._supplied[purpose],)
        if purpose not in self._read:
            kept = self._store.get_keys(purpose) or [self._make(purpose, now)]
            self._read[purpose] = tuple(_open(key, self._sealer) for key in kept)
        return self._read[purpose]

    def _make(self, purpose: KeyPurpose, now: datetime) -> SealedKey:
        # Two workers may both make one at first use; the store keeps one, and both go on with that.
        pair = generate_key_pair(self._common_name, now)
        key_id = secrets.token_hex(8)
        sealed = self._sealer.seal(pair.private_key, _seal_purpose(purpose, key_id))
        return self._store.claim_first_key(SealedKey(key_id, purpose, sealed, pair.certificate, now))

    def _stored(self) -> Sequence[SealedKey]:
        return [key for purpose in _PURPOSES if purpose not in self._supplied for key in self._store.get_keys(purpose)]

    def _problem(self, key: SealedKey) -> str | None:
        try:
            _open(key, self._sealer)
        except SealedWithUnknownKey:
            return (
                f"our {key.purpose} key is sealed under a secret key that is no longer in secret_keys: put that one"
                " back as the last of secret_keys, run `sso-middleware keys reseal`, then drop it"
            )
        except InvalidToken:
            return f"our {key.purpose} key in the database was changed by someone else: restore it from a backup"
        return None


def reseal(store: Store, sealer: Sealer) -> int:
    """Seal every stored key under the newest secret key; how many needed it.

    `sealer` has the new secret key and the old ones. Nothing is written unless every key opens.
    Raises SealedWithUnknownKey, InvalidToken, StoreUnavailable.
    """
    outdated = [
        key for purpose in _PURPOSES for key in store.get_keys(purpose) if not sealer.is_current(key.private_key)
    ]
    resealed = [
        replace(key, private_key=sealer.seal(_open(key, sealer).private_key, _seal_purpose(key.purpose, key.id)))
        for key in outdated
    ]
    for key in resealed:
        store.replace_key(key)
    return len(resealed)


def _open(key: SealedKey, sealer: Sealer) -> KeyPair:
    return KeyPair(sealer.open(key.private_key, _seal_purpose(key.purpose, key.id)), key.certificate)


def _seal_purpose(purpose: KeyPurpose, id: str) -> str:
    # With its id, so that nobody who can write to the table makes one key out of another.
    return f"own-key/{purpose}/{id}"


def _rsa_key(pair: KeyPair) -> RSAPrivateKey:
    key = load_pem_private_key(pair.private_key, password=None)
    if not isinstance(key, RSAPrivateKey):
        # XML Encryption 1.1, 5.5: key transport is RSA; `saml.keys` lets no other in.
        raise ConfigurationError("our encryption key is not an RSA key: supply one of at least 2048 bits")
    return key
