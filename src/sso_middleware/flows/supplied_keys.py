"""Our own SAML keys where the host supplies them: read and checked when the app starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import SecretStr

from ..errors import CertificateUnusable, ConfigurationError
from ..saml.keys import check_certificate, check_key_pair, check_private_key
from ..saml.parties import KeyPair
from ..settings import Settings
from ..stores.records import KeyPurpose
from .own_keys import KeyRing, read_decryption_key

S = TypeVar("S")
T = TypeVar("T")


def read_supplied_keys(settings: Settings) -> Mapping[KeyPurpose, KeyRing]:
    """Empty if none are. Raises ConfigurationError about all of them at once."""
    reader = _Reader()
    signing = reader.pair("signing_key", settings.signing_key, settings.signing_certificate)
    next_certificate = reader.read("next_signing_certificate", check_certificate, settings.next_signing_certificate)
    encryption = reader.pair("encryption_key", settings.encryption_key, settings.encryption_certificate)
    older = [
        reader.read(f"older_encryption_keys[{index}]", check_private_key, key.get_secret_value().encode())
        for index, key in enumerate(settings.older_encryption_keys)
    ]
    if reader.problems:
        raise ConfigurationError(*reader.problems)
    supplied: dict[KeyPurpose, KeyRing] = {}
    if signing is not None:
        supplied["signing"] = KeyRing(signing, next_certificate)
    if encryption is not None:
        private_keys = [encryption.private_key, *filter(None, older)]
        supplied["encryption"] = KeyRing(encryption, decryption=tuple(map(read_decryption_key, private_keys)))
    return supplied


class _Reader:
    """Goes on after a problem, so that all are told."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def pair(self, name: str, key: SecretStr | None, certificate: str | None) -> KeyPair | None:
        if key is None or certificate is None:
            return None
        private_key = key.get_secret_value().encode()
        return self.read(name, lambda text: check_key_pair(private_key, text), certificate)

    def read(self, name: str, reader: Callable[[S], T], value: S | None) -> T | None:
        if value is None:
            return None
        try:
            return reader(value)
        except CertificateUnusable as error:
            self.problems.append(f"{name}: {error.detail}")
            return None
