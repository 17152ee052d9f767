"""Our own keys: made strong, and refused in words where the host's are not."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sso_middleware.errors import CertificateUnusable
from sso_middleware.saml.keys import check_certificate, check_key_pair, check_private_key, generate_key_pair
from sso_middleware.saml.parties import KeyPair

NOW = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return generate_key_pair("app.example.com", NOW)


def private_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pem(label: str, der: bytes) -> bytes:
    return f"-----BEGIN {label}-----\n{b64encode(der).decode()}\n-----END {label}-----\n".encode()


def self_signed(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


def test_a_generated_key_is_rsa_3072_with_a_certificate_of_its_own_for_ten_years(pair: KeyPair) -> None:
    """What we generate needs no renewal for ten years, and is signed with SHA-256 by itself."""
    key = load_pem_private_key(pair.private_key, None)
    certificate = x509.load_pem_x509_certificate(pair.certificate.encode())

    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 3072
    assert certificate.public_key() == key.public_key()
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    certificate.verify_directly_issued_by(certificate)
    assert certificate.subject.rfc4514_string() == "CN=app.example.com"
    assert certificate.not_valid_before_utc < NOW
    assert certificate.not_valid_after_utc >= NOW.replace(year=2036)


@pytest.mark.parametrize("name", ["", "x" * 300, "bücher.example"])
def test_no_name_makes_generating_fail(name: str) -> None:
    """The name is only a label: a long, an empty and a non-ASCII one still give a certificate."""
    assert "BEGIN CERTIFICATE" in generate_key_pair(name, NOW).certificate


def test_what_we_generate_passes_our_own_check(pair: KeyPair) -> None:
    """A generated pair that the host hands back is the same pair."""
    assert check_key_pair(pair.private_key, pair.certificate) == pair


def test_an_old_fashioned_private_key_is_brought_into_pkcs8(pair: KeyPair) -> None:
    """`BEGIN RSA PRIVATE KEY` files, which most admins have, are accepted."""
    key = load_pem_private_key(pair.private_key, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    traditional = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    assert check_key_pair(traditional, pair.certificate) == pair


def test_a_key_and_a_certificate_that_do_not_match_are_refused(pair: KeyPair) -> None:
    """The certificate of another key is noticed at start, not at the first login."""
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    with pytest.raises(CertificateUnusable, match="don't belong together"):
        check_key_pair(private_pem(other), pair.certificate)


def test_half_a_pair_is_checked_alike(pair: KeyPair) -> None:
    """A key that only decrypts, and a certificate whose key is to come: as strict as for a pair."""
    assert check_private_key(pair.private_key) == pair.private_key
    assert check_certificate(pair.certificate) == pair.certificate
    weak, curve = rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256R1())
    for key in (weak, curve):
        with pytest.raises(CertificateUnusable):
            check_private_key(private_pem(key))
        with pytest.raises(CertificateUnusable, match="not an RSA key of at least 2048"):
            check_certificate(self_signed(key))
    with pytest.raises(CertificateUnusable, match="not a PEM certificate"):
        check_certificate("hello")


def test_a_weak_key_is_refused() -> None:
    """RSA under 2048 bits is not signed with."""
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)

    with pytest.raises(CertificateUnusable, match="1024 bits"):
        check_key_pair(private_pem(weak), self_signed(weak))


def test_an_elliptic_curve_key_is_refused() -> None:
    """Our messages are signed with RSA; another kind of key is told at start."""
    key = ec.generate_private_key(ec.SECP256R1())

    with pytest.raises(CertificateUnusable, match="not an RSA key"):
        check_key_pair(private_pem(key), self_signed(key))


def test_a_key_with_a_password_is_refused_in_words(pair: KeyPair) -> None:
    """An encrypted PEM file says what to do about it."""
    key = load_pem_private_key(pair.private_key, None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))

    with pytest.raises(CertificateUnusable, match="without one"):
        check_key_pair(locked, pair.certificate)


@pytest.mark.parametrize("garbage", ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "é"])
def test_garbage_is_refused_without_being_repeated(pair: KeyPair, garbage: str) -> None:
    """Neither half is taken from something that is not PEM, and the text of neither is in the error."""
    with pytest.raises(CertificateUnusable, match="not a PEM certificate"):
        check_key_pair(pair.private_key, garbage)
    with pytest.raises(CertificateUnusable, match="not a PEM private key") as refused:
        check_key_pair(garbage.encode(), pair.certificate)
    assert refused.value.__cause__ is None


RSA_ENCRYPTION = bytes.fromhex("2a864886f70d010101")


def test_a_kind_of_key_that_nobody_knows_is_refused(pair: KeyPair) -> None:
    """Well-formed, but of an algorithm or a version that cryptography has no reader for: its errors differ."""
    key = load_pem_private_key(pair.private_key, None)
    key_der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    certificate = x509.load_pem_x509_certificate(pair.certificate.encode()).public_bytes(Encoding.DER)
    unknown = RSA_ENCRYPTION[:-1] + b"\x63"

    with pytest.raises(CertificateUnusable, match="not a PEM private key"):
        check_key_pair(pem("PRIVATE KEY", key_der.replace(RSA_ENCRYPTION, unknown)), pair.certificate)
    version = (bytes.fromhex("a003020102"), bytes.fromhex("a003020104"))
    for replaced in (certificate.replace(RSA_ENCRYPTION, unknown), certificate.replace(*version)):
        with pytest.raises(CertificateUnusable, match="not a PEM certificate"):
            check_key_pair(pair.private_key, pem("CERTIFICATE", replaced).decode())


def test_a_key_pair_shows_no_private_key(pair: KeyPair) -> None:
    """A pair that ends in a log shows its certificate only."""
    assert "PRIVATE" not in repr(pair)
