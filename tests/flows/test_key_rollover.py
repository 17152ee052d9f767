"""Our own keys are rolled over while people sign in: nobody notices, until a key that is still used is dropped."""

from __future__ import annotations

import re
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.x509 import load_pem_x509_certificate
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider, check_redirect_signature, make_signer
from tests.world import SECRET, World
from tests.xml_encryption import Encryption

from sso_middleware.flows.own_keys import add_next_key, drop_key, rotate_keys
from sso_middleware.stores.records import KeyPurpose
from sso_middleware.stores.sealing import Sealer

KEPT = {"signing_key": None, "signing_certificate": None}
"""The world supplies a signing key unless told otherwise."""


def encrypting(make_world: MakeWorld, **settings: Any) -> World:
    connection = {
        "id": "acme",
        "organization": "Acme",
        "domains": ["acme.example"],
        "metadata": IdentityProvider().metadata,
        "encryption": "required",
    }
    return make_world(connections=[connection], **settings)


def certificates(world: World, use: str) -> list[str]:
    """Those of our metadata, PEM."""
    metadata = world.browser().get("/sso/acme/metadata").text
    found = re.findall(rf'use="{use}".*?X509Certificate>([^<]+)<', metadata, re.DOTALL)
    return [f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n" for body in found]


def add(world: World, purpose: KeyPurpose) -> None:
    add_next_key(world.store, Sealer([SECRET]), purpose, common_name="app.example", now=world.now)
    world.wait(seconds=1)


def rotate(world: World, purpose: KeyPurpose) -> None:
    rotate_keys(world.store, Sealer([SECRET]), purpose, now=world.now)
    world.wait(seconds=1)


def drop_retired(world: World, purpose: KeyPurpose) -> None:
    (retired,) = [key.id for key in world.store.get_keys(purpose) if key.state == "retired"]
    drop_key(world.store, retired, now=world.now)
    world.wait(seconds=1)


def sign_in(world: World, encrypt_for: str) -> list[str]:
    """The codes of what happened when somebody signed in with an assertion that is encrypted for this certificate."""
    told = len(world.codes)
    browser = world.browser()
    url = world.begin_login(browser=browser)
    form = world.idp.log_in(url, "ada@acme.example", now=world.now, encryption=Encryption(encrypt_for))
    world.post_response(form, browser)
    return world.codes[told:]


def test_enc_010_either_key_decrypts_during_a_rollover(make_world: MakeWorld) -> None:
    """Old and new key both work from the first step to the last but one; a dropped one is refused."""
    world = encrypting(make_world)
    (old,) = certificates(world, "encryption")
    assert sign_in(world, old) == ["login_succeeded"]

    add(world, "encryption")
    (new,) = certificates(world, "encryption")
    assert new != old
    assert (sign_in(world, old), sign_in(world, new)) == (["login_succeeded"], ["login_succeeded"])

    rotate(world, "encryption")
    assert certificates(world, "encryption") == [new]
    assert (sign_in(world, old), sign_in(world, new)) == (["login_succeeded"], ["login_succeeded"])

    drop_retired(world, "encryption")
    assert (sign_in(world, old), sign_in(world, new)) == (["decryption_failed"], ["login_succeeded"])


def test_older_encryption_keys_of_the_settings_still_decrypt(make_world: MakeWorld) -> None:
    """The same rollover with supplied keys: the older one decrypts as long as it is listed."""
    old, new = make_signer("our old encryption key"), make_signer("our new encryption key")
    current = {"encryption_key": new.private_pem, "encryption_certificate": new.certificate}
    during = encrypting(make_world, **current, older_encryption_keys=[old.private_pem])
    (published,) = certificates(during, "encryption")
    assert load_pem_x509_certificate(published.encode()) == load_pem_x509_certificate(new.certificate.encode())
    assert sign_in(during, old.certificate) == ["login_succeeded"]
    assert sign_in(during, new.certificate) == ["login_succeeded"]

    afterwards = encrypting(make_world, **current)
    assert sign_in(afterwards, old.certificate) == ["decryption_failed"]
    assert sign_in(afterwards, new.certificate) == ["login_succeeded"]


def test_requests_are_signed_by_the_current_key(make_world: MakeWorld) -> None:
    """The next one signs from the second after the rotation on, in the worker that runs already."""
    world = make_world(**KEPT)
    (current,) = certificates(world, "signing")
    add(world, "signing")
    assert certificates(world, "signing")[0] == current
    following = certificates(world, "signing")[1]
    check_redirect_signature(world.begin_login(browser=world.browser()), current)

    rotate(world, "signing")
    url = world.begin_login(browser=world.browser())
    check_redirect_signature(url, following)
    with pytest.raises(InvalidSignature):
        check_redirect_signature(url, current)
    assert certificates(world, "signing") == [following]


def test_a_next_signing_certificate_of_the_settings_is_published(make_world: MakeWorld) -> None:
    """Beside the current one, which signs."""
    following = make_signer("our next key")
    world = make_world(next_signing_certificate=following.certificate)
    current, published = certificates(world, "signing")
    assert load_pem_x509_certificate(published.encode()) == load_pem_x509_certificate(following.certificate.encode())
    check_redirect_signature(world.begin_login(), current)
