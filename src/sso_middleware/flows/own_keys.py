"""Our own SAML keys: supplied by the host, or made at first use and kept sealed in the store.

Which key signs, which are published, and which decrypt is decided here; so is each step of a rollover
(next, then current, then retired). How a key is made is `saml.keys`'; how it is sealed, `stores.sealing`'s.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import get_args

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ..errors import ConfigurationError, InvalidToken, KeyChangeRefused, SealedWithUnknownKey
from ..events import Event
from ..saml.keys import generate_key_pair
from ..saml.parties import KeyPair, OurSignatureAlgorithm
from ..stores.records import KeyPurpose, KeyState, SealedKey, Store
from ..stores.sealing import Sealer

PURPOSES: tuple[KeyPurpose, ...] = get_args(KeyPurpose)
CHANGES_NOTICED_WITHIN = timedelta(seconds=1)
"""How long a process may go on with keys that were changed elsewhere. Only a flow that needs a key looks."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys of one purpose, ready to use."""

    current: KeyPair
    next_certificate: str | None = None
    """PEM. Published before its key is used."""
    decryption: tuple[RSAPrivateKey, ...] = field(default=(), repr=False)
    """Of the purpose encryption: whatever may still have been encrypted for, newest first."""


_NOTHING: Mapping[KeyPurpose, KeyRing] = MappingProxyType({})


class OwnKeys:
    """Which key we sign with, which we publish, and which ones we decrypt with. Plain methods that may read the store.

    What was read stays in the process until the store says that a key was added, changed its state or
    is gone; it is asked at most once in `CHANGES_NOTICED_WITHIN`, and only when a key is needed.
    """

    def __init__(
        self, store: Store, sealer: Sealer, *, common_name: str, supplied: Mapping[KeyPurpose, KeyRing] = _NOTHING
    ) -> None:
        """`supplied` keys are the host's (PEM settings), and are used instead of stored ones."""
        self._store = store
        self._sealer = sealer
        self._common_name = common_name
        self._supplied = supplied
        self._read: dict[KeyPurpose, KeyRing] = {}
        self._states: Mapping[str, KeyState] = {}
        self._looked_at: datetime | None = None

    def get(self, purpose: KeyPurpose, now: datetime) -> KeyPair:
        """The current key of this purpose; made now if there is none. All processes get the same.

        Raises StoreUnavailable, SealedWithUnknownKey, or InvalidToken if the kept key was changed.
        """
        return self._all(purpose, now).current

    def signing_key(self, algorithm: OurSignatureAlgorithm, now: datetime) -> KeyPair:
        """The current signing key, to sign with as a connection wants it. Raises as `get` does."""
        return replace(self.get("signing", now), algorithm=algorithm)

    def published(self, purpose: KeyPurpose, now: datetime) -> list[str]:
        """The certificates (PEM) that belong into our metadata. Raises as `get` does.

        Signing: the current one, then the next, so that an identity provider already knows the next one
        when it begins to sign. Encryption: one only, the next if there is one. We decrypt with both, so
        nobody has to wait; and of two published ones an identity provider may use either (SAML metadata
        2.4.1.1), or refuse to have two (AD FS): it would be left on the old one until it reads metadata again.
        """
        keys = self._all(purpose, now)
        if purpose == "encryption":
            return [keys.next_certificate or keys.current.certificate]
        return [keys.current.certificate, *filter(None, [keys.next_certificate])]

    def decryption_keys(self, now: datetime) -> tuple[RSAPrivateKey, ...]:
        """Every key that an identity provider may have encrypted for, newest first. Raises as `get` does."""
        return self._all("encryption", now).decryption

    def check(self) -> None:
        """At start: every stored key can be opened. Raises ConfigurationError that says what to do."""
        problems = [self._problem(key) for key in self._stored()]
        if any(problems):
            raise ConfigurationError(*filter(None, problems))

    def _all(self, purpose: KeyPurpose, now: datetime) -> KeyRing:
        if purpose in self._supplied:
            return self._supplied[purpose]
        read = self._notice_changes(now)
        if purpose not in read:
            kept = self._store.get_keys(purpose) or [self._make(purpose, now)]
            read[purpose] = _open_all(kept, self._sealer)
        return read[purpose]

    def _notice_changes(self, now: datetime) -> dict[KeyPurpose, KeyRing]:
        """What was read and still holds. A clock that was set back counts as time that has passed."""
        looked_at = self._looked_at
        if looked_at is None or not timedelta(0) <= now - looked_at < CHANGES_NOTICED_WITHIN:
            states = self._store.get_key_states()
            if states != self._states:
                # A new one: a thread that read before the change goes on filling the old one.
                self._states, self._read = states, {}
            self._looked_at = now
        return self._read

    def _make(self, purpose: KeyPurpose, now: datetime) -> SealedKey:
        # Two workers may both make one at first use; the store keeps one, and both go on with that.
        return self._store.claim_first_key(_make_key(self._sealer, purpose, self._common_name, now))

    def _stored(self) -> Sequence[SealedKey]:
        return [key for purpose in PURPOSES if purpose not in self._supplied for key in self._store.get_keys(purpose)]

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


# A rollover, step by step. Each is one change in the store, and one event.


def add_next_key(store: Store, sealer: Sealer, purpose: KeyPurpose, *, common_name: str, now: datetime) -> SealedKey:
    """Make the next key of this purpose; the current one too, if there is none. Raises KeyChangeRefused."""
    if not store.get_keys(purpose):
        store.claim_first_key(_make_key(sealer, purpose, common_name, now))
    key = replace(_make_key(sealer, purpose, common_name, now), state="next")
    store.add_next_key(key)
    _report(store, "key_added", key, now)
    return key


def rotate_keys(store: Store, sealer: Sealer, purpose: KeyPurpose, *, now: datetime) -> SealedKey:
    """The next key becomes the current one, which is retired. Raises KeyChangeRefused, SealedWithUnknownKey."""
    for key in store.get_keys(purpose):
        if key.state == "next":
            _open(key, sealer)  # one that can't be opened would leave us without a key
    current = store.rotate_keys(purpose, now)
    _report(store, "key_rotated", current, now)
    return current


def drop_key(store: Store, id: str, *, now: datetime) -> SealedKey:
    """Delete a retired key: what is still encrypted for it can't be read any more. Raises KeyChangeRefused."""
    state = store.get_key_states().get(id)
    if state is None:
        raise KeyChangeRefused(f"there is no key {id!r}; `sso-middleware keys list` shows them")
    if state != "retired":
        raise KeyChangeRefused(f"the key {id!r} is the {state} one: only a retired one can be dropped; rotate first")
    dropped = store.delete_retired_key(id)
    _report(store, "key_dropped", dropped, now)
    return dropped


def reseal(store: Store, sealer: Sealer, *, now: datetime) -> int:
    """Seal every stored key under the newest secret key; how many needed it.

    `sealer` has the new secret key and the old ones. Nothing is written unless every key opens.
    Raises SealedWithUnknownKey, InvalidToken, StoreUnavailable.
    """
    outdated = [
        key for purpose in PURPOSES for key in store.get_keys(purpose) if not sealer.is_current(key.private_key)
    ]
    resealed = [
        replace(key, private_key=sealer.seal(_open(key, sealer).private_key, _seal_purpose(key.purpose, key.id)))
        for key in outdated
    ]
    for key in resealed:
        store.replace_key(key)
        _report(store, "key_resealed", key, now)
    return len(resealed)


def _report(store: Store, code: str, key: SealedKey, now: datetime) -> None:
    store.add_event(Event(code, now, detail={"purpose": key.purpose, "key": key.id}))


def _make_key(sealer: Sealer, purpose: KeyPurpose, common_name: str, now: datetime) -> SealedKey:
    pair = generate_key_pair(common_name, now)
    key_id = secrets.token_hex(8)
    sealed = sealer.seal(pair.private_key, _seal_purpose(purpose, key_id))
    return SealedKey(key_id, purpose, sealed, pair.certificate, now)


def _open_all(keys: Sequence[SealedKey], sealer: Sealer) -> KeyRing:
    pairs = [(key.state, _open(key, sealer)) for key in keys]
    return KeyRing(
        current=next(pair for state, pair in pairs if state == "current"),
        next_certificate=next((pair.certificate for state, pair in pairs if state == "next"), None),
        decryption=tuple(read_decryption_key(pair.private_key) for _, pair in pairs)
        if keys[0].purpose == "encryption"
        else (),
    )


def _open(key: SealedKey, sealer: Sealer) -> KeyPair:
    return KeyPair(sealer.open(key.private_key, _seal_purpose(key.purpose, key.id)), key.certificate)


def _seal_purpose(purpose: KeyPurpose, id: str) -> str:
    # With its id, so that nobody who can write to the table makes one key out of another.
    return f"own-key/{purpose}/{id}"


def read_decryption_key(private_key: bytes) -> RSAPrivateKey:
    """Load it once and keep it: OpenSSL checks a whole key while loading it, which takes 0.1 s."""
    key = load_pem_private_key(private_key, password=None)
    if not isinstance(key, RSAPrivateKey):
        # XML Encryption 1.1, 5.5: key transport is RSA; `saml.keys` lets no other in.
        raise ConfigurationError("our encryption key is not an RSA key: supply one of at least 2048 bits")
    return key
