"""What verifies, and for what (attacks.tsv, WEB-004, WEB-005, WEB-029)."""

from __future__ import annotations

import base64
import hashlib
import re
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer

from sso_middleware.errors import InvalidToken
from sso_middleware.tokens import Tokens, hash_token, new_reference, new_saml_id, new_token

OLD, NEW = "old-" + "k" * 40, "new-" + "k" * 40
TOKENS = Tokens([NEW, OLD], name="sso")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_token_gives_back_its_payload(payload: str) -> None:
    """Whatever was signed comes back, from characters that need no escape in a URL or a cookie."""
    token = TOKENS.sign("session", payload)
    assert TOKENS.verify("session", token) == payload
    assert re.fullmatch(r"[A-Za-z0-9._-]+", token)


def test_every_character_counts() -> None:
    """WEB-004: a token with any one character changed, removed or added is refused."""
    token = TOKENS.sign("session", "payload")
    for index in range(len(token)):
        for other in ("A", "B", ".", "!", "=", "", token[index] * 2, "é", "\ud800", "\n"):
            if other != token[index]:
                with pytest.raises(InvalidToken):
                    TOKENS.verify("session", token[:index] + other + token[index + 1 :])


@pytest.mark.parametrize("token", ["", ".", "..", "...", "v1", "v1.", "v1..", "v1.YQ", "v1.YQ.", "v1.YQ.YQ", "\0", "é"])
def test_what_has_no_form_is_refused(token: str) -> None:
    """WEB-004: truncated and empty texts are refused like forged ones."""
    with pytest.raises(InvalidToken):
        TOKENS.verify("session", token)


@given(st.text())
def test_any_text_is_refused_in_the_same_way(token: str) -> None:
    """WEB-004: no text crashes the verification."""
    with pytest.raises(InvalidToken):
        TOKENS.verify("session", token)


@pytest.mark.parametrize(
    ("tokens", "purpose"),
    [
        (TOKENS, "browser"),
        (TOKENS, ""),
        (Tokens([NEW, OLD], name="other"), "session"),
        (Tokens([NEW, OLD], name="sso\0session"), ""),
        (Tokens(["third" + "k" * 40], name="sso"), "session"),
    ],
)
def test_a_token_is_for_one_purpose_of_one_instance(tokens: Tokens, purpose: str) -> None:
    """WEB-004, WEB-005: another purpose, instance or key makes it a stranger's."""
    with pytest.raises(InvalidToken):
        tokens.verify(purpose, TOKENS.sign("session", "payload"))


def test_another_version_is_refused() -> None:
    """WEB-004: a token of a version that we don't know is refused, although its signature is ours."""
    signer = Signer(
        NEW, salt=b"sso-middleware\0sso\0session", sep=".", key_derivation="hmac", digest_method=hashlib.sha256
    )
    assert TOKENS.verify("session", signer.sign("v1.cGF5bG9hZA").decode()) == "payload"
    with pytest.raises(InvalidToken):
        TOKENS.verify("session", signer.sign("v2.cGF5bG9hZA").decode())


def test_the_digest_is_sha_256() -> None:
    """WEB-005: the signature is 32 bytes of HMAC-SHA-256, and one made with the default SHA-1 is refused."""
    token = TOKENS.sign("session", "payload")
    assert len(base64.urlsafe_b64decode(token.rpartition(".")[2] + "=")) == 32
    weak = Signer(NEW, salt=b"sso-middleware\0sso\0session", sep=".", key_derivation="hmac")
    with pytest.raises(InvalidToken):
        TOKENS.verify("session", weak.sign("v1.cGF5bG9hZA").decode())


def test_keys_rotate() -> None:
    """WEB-004: the newest key signs, an older one still verifies, and one that was dropped does not."""
    before, after = Tokens([OLD], name="sso"), Tokens([NEW], name="sso")
    assert TOKENS.verify("session", before.sign("session", "old")) == "old"
    assert after.verify("session", TOKENS.sign("session", "new")) == "new"
    with pytest.raises(InvalidToken):
        after.verify("session", before.sign("session", "old"))


def test_neither_token_nor_key_is_told() -> None:
    """WEB-028: errors and representations hold neither the token nor a key."""
    token = TOKENS.sign("session", "payload")
    with pytest.raises(InvalidToken) as caught:
        TOKENS.verify("browser", token)
    told = "".join(traceback.format_exception(caught.value)) + repr(TOKENS) + str(TOKENS)
    assert token not in told
    assert NEW not in told
    assert OLD not in told


def test_random_values_are_long_and_new() -> None:
    """Tokens have 256 bits, SAML IDs 160 and begin like an xs:ID, references 32."""
    assert len(base64.urlsafe_b64decode(new_token() + "=")) == 32
    assert re.fullmatch(r"_[0-9a-f]{40}", new_saml_id())
    assert re.fullmatch(r"([bdfghjklmnprstvz][aiou]){2}[bdfghjklmnprstvz]", new_reference().partition("-")[0])
    for make in (new_token, new_saml_id, new_reference):
        assert len({make() for _ in range(200)}) == 200
    every_letter = set("".join(new_reference() for _ in range(500)))
    assert every_letter == set("bdfghjklmnprstvz" + "aiou" + "-")


def test_a_stored_token_is_its_hash() -> None:
    """WEB-029: what is looked up is a SHA-256, so the time of a comparison tells nothing of the token."""
    assert hash_token("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
