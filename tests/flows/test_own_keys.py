"""Our own keys: made once, sealed, shared by all workers, and never lost in silence."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from sso_middleware.errors import ConfigurationError, InvalidToken, SealedWithUnknownKey
from sso_middleware.flows.own_keys import OwnKeys, reseal
from sso_middleware.saml.keys import generate_key_pair
from sso_middleware.saml.parties import KeyPair
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
    keys = OwnKeys(store, Sealer([OLD]), common_name="x", supplied={"signing": pair, "encryption": pair})
    assert keys.get("signing", NOW) == pair
    assert [key.private_numbers() for key in keys.decryption_keys(NOW)] == [
        load_pem_private_key(pair.private_key, None).private_numbers()  # type: ignore[union-attr] # it is an RSA key
    ]
    assert store.get_keys("signing") == []
    keys.check()


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
    assert reseal(store, Sealer([NEW, OLD])) == 2
    assert reseal(store, Sealer([NEW, OLD])) == 0
    own_keys(store, NEW).check()
    assert own_keys(store, NEW).get("signing", NOW) == signing


def test_resealing_without_the_old_secret_key_changes_nothing(store: SqlStore) -> None:
    """It fails as a whole, and the kept keys still open under the old one."""
    own_keys(store, OLD).get("signing", NOW)
    with pytest.raises(SealedWithUnknownKey):
        reseal(store, Sealer([NEW]))
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
