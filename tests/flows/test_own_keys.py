"""Our own keys: made once, sealed, shared by all workers, and never lost in silence."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from tests.identity_provider import IdentityProvider, make_signer
from tests.world import SECRET

from sso_middleware.errors import ConfigurationError, InvalidToken, KeyChangeRefused, SealedWithUnknownKey
from sso_middleware.flows.own_keys import (
    KeyRing,
    OwnKeys,
    add_next_key,
    drop_key,
    read_decryption_key,
    reseal,
    rotate_keys,
)
from sso_middleware.flows.supplied_keys import read_supplied_keys
from sso_middleware.saml.keys import generate_key_pair
from sso_middleware.saml.parties import KeyPair
from sso_middleware.settings import Settings
from sso_middleware.stores.records import KeyPurpose, SealedKey
from sso_middleware.stores.sealing import Sealer
from sso_middleware.stores.sql import SqlStore

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
OLD = "old-secret-key-0123456789abcdefghijklmnop"
NEW = "new-secret-key-0123456789abcdefghijklmnop"


@pytest.fixture
def store() -> Iterator[SqlStore]:
    store = SqlStore("sqlite://")
    yield store
    store.close()


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return generate_key_pair("supplied.example", NOW)


def own_keys(store: SqlStore, *secret_keys: str) -> OwnKeys:
    return OwnKeys(store, Sealer(secret_keys or [OLD]), common_name="app.example.com")


def test_a_key_is_made_at_first_use_and_then_kept(store: SqlStore) -> None:
    """The next call, and the next process, get the same key with the certificate that fits it."""
    made = own_keys(store).get("signing", NOW)
    assert own_keys(store).get("signing", NOW) == made
    certificate = load_pem_x509_certificate(made.certificate.encode())
    assert certificate.public_key() == load_pem_private_key(made.private_key, None).public_key()
    assert "app.example.com" in certificate.subject.rfc4514_string()


def test_the_kept_key_is_sealed(store: SqlStore) -> None:
    """Nothing of the private key can be read in the database."""
    own_keys(store).get("signing", NOW)
    (kept,) = store.get_keys("signing")
    assert b"PRIVATE KEY" not in kept.private_key


def test_a_key_is_read_once(store: SqlStore) -> None:
    """Afterwards it comes from the process, without the store."""
    keys = own_keys(store)
    made = keys.get("signing", NOW)
    store.close()  # a database in memory is gone with its connection
    assert store.get_keys("signing") == []
    assert keys.get("signing", NOW) == made


def test_two_workers_at_first_use_agree(store: SqlStore) -> None:
    """Both may make a key; both go on with the one that was kept."""
    workers = [own_keys(store), own_keys(store)]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda keys: keys.get("signing", NOW), workers)
    assert first == second
    assert len(store.get_keys("signing")) == 1


def test_supplied_keys_come_first(store: SqlStore, pair: KeyPair) -> None:
    """The host's key is used as it is, and none is made of that purpose."""
    encryption = KeyRing(pair, decryption=(read_decryption_key(pair.private_key),))
    keys = OwnKeys(store, Sealer([OLD]), common_name="x", supplied={"signing": KeyRing(pair), "encryption": encryption})
    assert keys.get("signing", NOW) == pair
    assert [key.private_numbers() for key in keys.decryption_keys(NOW)] == [
        load_pem_private_key(pair.private_key, None).private_numbers()  # type: ignore[union-attr] # it is an RSA key
    ]
    assert store.get_keys("signing") == []
    keys.check()


def test_every_problem_of_supplied_keys_is_told_at_once(pair: KeyPair) -> None:
    """A half that does not fit, garbage, and a weak key: each by its setting's name, and no key in the words."""
    other, weak = make_signer("somebody else's key"), IdentityProvider(kind="rsa1024").signer
    settings = Settings(
        base_url="https://app.example.com",
        secret_keys=[SECRET],
        signing_key=pair.private_key.decode(),
        signing_certificate=other.certificate,
        next_signing_certificate=weak.certificate,
        encryption_key=other.private_pem,
        encryption_certificate=other.certificate,
        older_encryption_keys=[pair.private_key.decode(), weak.private_pem],
    )
    with pytest.raises(ConfigurationError) as refused:
        read_supplied_keys(settings)
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "signing_key",
        "next_signing_certificate",
        "older_encryption_keys[1]",
    ]
    assert "PRIVATE KEY" not in str(refused.value)


def test_we_decrypt_with_the_published_key(store: SqlStore) -> None:
    """The key of the certificate in our metadata is among those that decrypt."""
    keys = own_keys(store)
    published = load_pem_x509_certificate(keys.get("encryption", NOW).certificate.encode())
    assert [key.public_key() for key in keys.decryption_keys(NOW)] == [published.public_key()]
    assert keys.get("encryption", NOW) != keys.get("signing", NOW)


def test_dropping_a_secret_key_too_early_is_refused_at_start(store: SqlStore) -> None:
    """The message names the way out, and no key."""
    own_keys(store, OLD).get("signing", NOW)
    own_keys(store, NEW, OLD).check()
    with pytest.raises(ConfigurationError, match="`sso-middleware keys reseal`") as refused:
        own_keys(store, NEW).check()
    assert OLD not in str(refused.value)
    with pytest.raises(SealedWithUnknownKey):
        own_keys(store, NEW).get("signing", NOW)


def test_every_problem_is_told_at_once(store: SqlStore) -> None:
    """Both purposes are checked, not only the first that fails."""
    own_keys(store, OLD).get("signing", NOW)
    own_keys(store, OLD).get("encryption", NOW)
    with pytest.raises(ConfigurationError) as refused:
        own_keys(store, NEW).check()
    assert len(refused.value.problems) == 2


def test_after_resealing_the_old_secret_key_may_go(store: SqlStore) -> None:
    """The keys stay the same; only what they are sealed under changes, once."""
    signing = own_keys(store, OLD).get("signing", NOW)
    own_keys(store, OLD).get("encryption", NOW)
    assert reseal(store, Sealer([NEW, OLD]), now=NOW) == 2
    assert reseal(store, Sealer([NEW, OLD]), now=NOW) == 0
    own_keys(store, NEW).check()
    assert own_keys(store, NEW).get("signing", NOW) == signing


def test_resealing_without_the_old_secret_key_changes_nothing(store: SqlStore) -> None:
    """It fails as a whole, and the kept keys still open under the old one."""
    own_keys(store, OLD).get("signing", NOW)
    with pytest.raises(SealedWithUnknownKey):
        reseal(store, Sealer([NEW]), now=NOW)
    own_keys(store, OLD).check()


def test_a_changed_key_is_refused(store: SqlStore) -> None:
    """Sealed bytes that someone changed are told at start, and never used."""
    own_keys(store).get("signing", NOW)
    (kept,) = store.get_keys("signing")
    store.replace_key(replace(kept, private_key=kept.private_key[:-1] + bytes([kept.private_key[-1] ^ 1])))
    with pytest.raises(ConfigurationError, match="changed by someone else"):
        own_keys(store).check()
    with pytest.raises(InvalidToken):
        own_keys(store).get("signing", NOW)


def test_one_key_can_not_be_passed_off_as_another(store: SqlStore) -> None:
    """Sealed bytes open only for the purpose and the key that they were made for."""
    own_keys(store).get("signing", NOW)
    own_keys(store).get("encryption", NOW)
    (signing,), (encryption,) = store.get_keys("signing"), store.get_keys("encryption")
    store.replace_key(replace(signing, private_key=encryption.private_key))
    with pytest.raises(InvalidToken):
        own_keys(store).get("signing", NOW)


# A rollover


LATER = NOW + timedelta(seconds=1)
"""When every process must have noticed."""


def add(store: SqlStore, purpose: KeyPurpose) -> SealedKey:
    return add_next_key(store, Sealer([OLD]), purpose, common_name="app.example.com", now=NOW)


def rotate(store: SqlStore, purpose: KeyPurpose) -> SealedKey:
    return rotate_keys(store, Sealer([OLD]), purpose, now=NOW)


def test_a_next_signing_key_is_published_and_does_not_sign(store: SqlStore) -> None:
    """Identity providers get to know it while the current one goes on."""
    worker = own_keys(store)
    current = worker.get("signing", NOW)
    added = add(store, "signing")
    assert worker.get("signing", LATER) == current
    assert worker.published("signing", LATER) == [current.certificate, added.certificate]


def test_rotating_signs_with_the_next_key_and_no_longer_publishes_the_old(store: SqlStore) -> None:
    """The key that was published beside is the one that signs now; nobody verifies with the retired one."""
    worker = own_keys(store)
    worker.get("signing", NOW)
    added = add(store, "signing")
    rotate(store, "signing")
    assert worker.get("signing", LATER).certificate == added.certificate
    assert worker.published("signing", LATER) == [added.certificate]


def test_we_decrypt_with_next_current_and_retired(store: SqlStore) -> None:
    """Whatever any identity provider may still encrypt for is opened; a dropped key opens nothing."""
    worker = own_keys(store)
    first = worker.get("encryption", NOW).certificate
    rotate_to = add(store, "encryption").certificate
    rotate(store, "encryption")
    last = add(store, "encryption").certificate
    assert [key.public_key() for key in worker.decryption_keys(LATER)] == list(
        map(public_key, [last, rotate_to, first])
    )
    (retired,) = [key.id for key in store.get_keys("encryption") if key.state == "retired"]
    drop_key(store, retired, now=NOW)
    again = worker.decryption_keys(LATER + timedelta(seconds=1))
    assert [key.public_key() for key in again] == list(map(public_key, [last, rotate_to]))


def public_key(certificate: str) -> object:
    return load_pem_x509_certificate(certificate.encode()).public_key()


def test_one_encryption_key_is_published(store: SqlStore) -> None:
    """The next, as soon as there is one: of two an identity provider might go on with the old one."""
    worker = own_keys(store)
    current = worker.get("encryption", NOW)
    assert worker.published("encryption", NOW) == [current.certificate]
    added = add(store, "encryption")
    assert worker.published("encryption", LATER) == [added.certificate]
    rotate(store, "encryption")
    assert worker.published("encryption", LATER + timedelta(seconds=1)) == [added.certificate]


def test_the_first_next_key_brings_a_current_one(store: SqlStore) -> None:
    """Before anybody signed in there is nothing to follow: the current key is made too."""
    add(store, "signing")
    assert [key.state for key in store.get_keys("signing")] == ["next", "current"]


def test_a_change_is_looked_for_once_a_second(store: SqlStore) -> None:
    """Within the second nothing is read; after it, or when the clock was set back, it is."""
    worker = own_keys(store)
    worker.get("signing", NOW)
    worker.get("signing", LATER)  # the first look after making it
    added = add(store, "signing")
    assert len(worker.published("signing", LATER + timedelta(milliseconds=999))) == 1
    assert worker.published("signing", LATER + timedelta(seconds=1))[1] == added.certificate
    rotate(store, "signing")
    assert worker.published("signing", NOW - timedelta(days=1)) == [added.certificate]


def test_what_did_not_change_is_not_opened_again(store: SqlStore) -> None:
    """A look that finds the same keys in the same states keeps what was read."""
    worker = own_keys(store)
    worker.get("encryption", NOW)
    before = worker.decryption_keys(LATER)
    assert worker.decryption_keys(LATER + timedelta(seconds=5)) is before


def test_a_step_out_of_order_is_refused(store: SqlStore) -> None:
    """No second next key, no rotation without one, and nothing but a retired key is dropped."""
    with pytest.raises(KeyChangeRefused, match="no next"):
        rotate(store, "signing")
    added = add(store, "signing")
    with pytest.raises(KeyChangeRefused, match="next signing key already"):
        add(store, "signing")
    for key in store.get_keys("signing"):
        with pytest.raises(KeyChangeRefused, match=f"is the {key.state} one"):
            drop_key(store, key.id, now=NOW)
    with pytest.raises(KeyChangeRefused, match="no key 'unknown'"):
        drop_key(store, "unknown", now=NOW)
    assert [key.id for key in store.get_keys("signing") if key.state == "next"] == [added.id]


def test_a_next_key_that_can_not_be_opened_does_not_become_current(store: SqlStore) -> None:
    """Where its secret key is gone, the current key stays."""
    own_keys(store, NEW).get("signing", NOW)
    add_next_key(store, Sealer([OLD]), "signing", common_name="x", now=NOW)
    with pytest.raises(SealedWithUnknownKey):
        rotate_keys(store, Sealer([NEW]), "signing", now=NOW)
    assert [key.state for key in store.get_keys("signing")] == ["next", "current"]


def test_every_step_is_an_event(store: SqlStore) -> None:
    """With the purpose and the key's id, and nothing that is secret."""
    add(store, "signing")
    current = next(key for key in store.get_keys("signing") if key.state == "current")
    added = rotate(store, "signing")
    drop_key(store, current.id, now=NOW)
    reseal(store, Sealer([NEW, OLD]), now=NOW)
    told = [(event.code, event.detail) for event in reversed(store.get_events())]
    assert told == [
        ("key_added", {"purpose": "signing", "key": added.id}),
        ("key_rotated", {"purpose": "signing", "key": added.id}),
        ("key_dropped", {"purpose": "signing", "key": current.id}),
        ("key_resealed", {"purpose": "signing", "key": added.id}),
    ]
