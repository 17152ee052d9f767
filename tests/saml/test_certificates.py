"""Which certificates may be pinned."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.identity_provider import KeyKind, make_signer

from sso_middleware.errors import CertificateUnusable
from sso_middleware.saml.certificates import fingerprint, read_certificate


def certificate_of(
    key: ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey | ed25519.Ed25519PrivateKey, end: datetime
) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2001, 1, 1, tzinfo=UTC))
        .not_valid_after(end)
    )
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM).decode()


END = datetime(2049, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["rsa2048", "p256", "p384"])
def test_pem_and_bare_base64_are_the_same_key(kind: KeyKind) -> None:
    """As an admin pastes it, and as metadata has it, with or without line breaks."""
    signer = make_signer("certificate", kind)
    pinned = read_certificate(signer.certificate)
    assert pinned.public_key == signer.private_key.public_key()
    assert pinned.certificate == signer.certificate
    assert pinned.not_after == END
    assert read_certificate(f"\n {signer.certificate_body}\r\n") == pinned
    assert read_certificate("Bag Attributes\r\n" + signer.certificate.replace("\n", "\r\n")) == pinned


def test_a_fingerprint_is_what_admin_pages_show() -> None:
    """SHA-256 of the whole certificate, in pairs."""
    signer = make_signer("certificate")
    digest = hashlib.sha256(base64.b64decode(signer.certificate_body)).digest()
    assert fingerprint(read_certificate(signer.certificate).certificate) == digest.hex(":").upper()


def test_p521_may_be_pinned() -> None:
    """The third and last of the curves."""
    key = ec.generate_private_key(ec.SECP521R1())
    assert read_certificate(certificate_of(key, END)).public_key == key.public_key()


def test_an_expired_certificate_may_be_pinned() -> None:
    """Its dates are told, not enforced (Kantara IIP-MD11)."""
    end = datetime(2002, 1, 1, tzinfo=UTC)
    assert read_certificate(certificate_of(ec.generate_private_key(ec.SECP256R1()), end)).not_after == end


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (make_signer("weak", "rsa1024").certificate, "1024 bits"),
        (certificate_of(ec.generate_private_key(ec.SECP256K1()), END), "curve"),
        (certificate_of(ec.generate_private_key(ec.SECP224R1()), END), "curve"),
        (certificate_of(ed25519.Ed25519PrivateKey.generate(), END), "neither RSA"),
        (certificate_of(dsa.generate_private_key(2048), END), "neither RSA"),
        ("", "X.509"),
        ("AAAA", "X.509"),
        ("not base64!", "neither PEM nor base64"),
        ("-----BEGIN CERTIFICATE-----\n", "exactly one"),
        ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", "neither PEM nor base64"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "X.509"),
        (make_signer("one").certificate + make_signer("two").certificate, "exactly one"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "exactly one"),
    ],
)
def test_what_can_t_be_pinned_is_refused_in_words(certificate: str, words: str) -> None:
    """Weak keys, other curves, DSA, and what is no certificate at all (SIG-019, MDT-009)."""
    with pytest.raises(CertificateUnusable, match=words):
        read_certificate(certificate)


def test_a_certificate_of_no_known_version_is_refused() -> None:
    """X.509 has the versions 1 to 3; cryptography's error for another one is no ValueError."""
    der = x509.load_pem_x509_certificate(make_signer("one").certificate.encode()).public_bytes(Encoding.DER)
    assert der.count(b"\xa0\x03\x02\x01\x02") == 1
    with pytest.raises(CertificateUnusable, match=r"X\.509"):
        read_certificate(base64.b64encode(der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x04")).decode())


@pytest.mark.parametrize(
    "repeated", ["-----BEGIN A-----", "-----BEGIN " + "A" * 1000, "-----BEGIN A-----\n-----END B-----"]
)
def test_many_beginnings_cost_no_more_than_their_length(repeated: str) -> None:
    """Each BEGIN was once compared with the whole rest: hours, for a file that metadata may be as long as."""
    text = repeated * (3 * 1024 * 1024 // len(repeated))
    with pytest.raises(CertificateUnusable, match="exactly one"):
        read_certificate(text)


def test_a_private_key_is_refused_and_not_repeated() -> None:
    """Somebody who pastes the wrong file is told so, and the key goes no further."""
    pem = make_signer("one").private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(CertificateUnusable, match="private key") as refusal:
        read_certificate(pem.decode() + make_signer("one").certificate)
    assert pem.decode()[60:90] not in str(refusal.value)
