"""Sealing: what opens, what does not, and what each refusal says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sso_middleware.errors import InvalidToken, SealedWithUnknownKey
from sso_middleware.stores.sealing import Sealer

OLD = "old-secret-key-0123456789abcdefghijklmnop"
NEW = "new-secret-key-0123456789abcdefghijklmnop"


@given(plaintext=st.binary(max_size=200), purpose=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_what_was_sealed_opens(plaintext: bytes, purpose: str) -> None:
    """Any bytes come back for the purpose that they were sealed for, by whoever has the secret key."""
    assert Sealer([NEW]).open(Sealer([NEW]).seal(plaintext, purpose), purpose) == plaintext


def test_sealed_bytes_hide_what_they_hold() -> None:
    """The plaintext does not show, and the same plaintext never looks the same twice."""
    sealer = Sealer([NEW])
    first, second = sealer.seal(b"a private key", "p"), sealer.seal(b"a private key", "p")
    assert b"private" not in first
    assert first != second


def test_another_purpose_does_not_open() -> None:
    """A value sealed for one purpose is nothing for another."""
    sealer = Sealer([NEW])
    with pytest.raises(InvalidToken):
        sealer.open(sealer.seal(b"x", "pending-login"), "own-key")


def test_any_changed_byte_is_found() -> None:
    """Whichever byte of a sealed value is changed, it does not open."""
    sealer = Sealer([NEW])
    sealed = sealer.seal(b"some bytes", "p")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises((InvalidToken, SealedWithUnknownKey)):
            sealer.open(bytes(changed), "p")


def test_any_shortened_value_is_refused() -> None:
    """A value that was cut off is not a sealed value, and nothing else is raised for it."""
    sealer = Sealer([NEW])
    sealed = sealer.seal(b"", "p")
    for length in range(len(sealed)):
        with pytest.raises(InvalidToken):
            sealer.open(sealed[:length], "p")


def test_an_older_secret_key_still_opens() -> None:
    """After a rotation what the old key sealed opens, and is known not to be current."""
    sealed = Sealer([OLD]).seal(b"x", "p")
    rotated = Sealer([NEW, OLD])
    assert rotated.open(sealed, "p") == b"x"
    assert not rotated.is_current(sealed)
    assert rotated.is_current(rotated.seal(b"x", "p"))


def test_a_dropped_secret_key_is_told_apart_from_a_forgery() -> None:
    """A value of a secret key that is gone says so, without naming any key."""
    sealed = Sealer([OLD]).seal(b"x", "p")
    with pytest.raises(SealedWithUnknownKey) as refused:
        Sealer([NEW]).open(sealed, "p")
    assert OLD not in str(refused.value)


def test_a_sealer_needs_a_key_and_shows_none() -> None:
    """No secret key is an error at once, and a repr holds none."""
    with pytest.raises(ValueError, match="secret key"):
        Sealer([])
    assert NEW not in repr(Sealer([NEW]))
