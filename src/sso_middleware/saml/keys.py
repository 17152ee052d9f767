"""Our own SAML keys: making them, and checking those that the host supplies.

Keeping, sealing and rolling them over is the stores'; signing with them is `signing`'s.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from ..errors import CertificateUnusable
from .parties import KeyPair

KEY_BITS = 3072
"""128 bits of security (NIST SP 800-57 part 1, table 2): enough for as long as the certificate lasts."""
LIFETIME = timedelta(days=3653)
"""Ten years. Identity providers compare the key, not the dates (SAML metadata interoperability profile 2.6)."""
SMALLEST_KEY_BITS = 2048


def generate_key_pair(common_name: str, now: datetime) -> KeyPair:
    """A new RSA-3072 key with a self-signed SHA-256 certificate, valid for ten years. `now` is aware.

    The same kind serves for signing and for encryption; which one it is, metadata says.
    """
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    # RFC 5280, upper bound of a common name: 64 characters. The name is a label; nobody compares it.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64] or "sso-middleware")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # an IdP's clock may be behind ours
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private_key, hashes.SHA256())
    )
    return _key_pair(private_key, certificate)


def check_key_pair(private_key: bytes, certificate: str) -> KeyPair:
    """A key and its certificate that the host supplies, both PEM, brought into our own form.

    Raises CertificateUnusable, in words that say what to do, if either can't be read, the key is
    encrypted or not RSA of at least 2048 bits, or the two don't belong together.
    """
    key = _read_private_key(private_key)
    parsed = _read_certificate(certificate)
    if _public_bytes(key.public_key()) != parsed.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    ):
        raise CertificateUnusable("the private key and the certificate don't belong together")
    return _key_pair(key, parsed)


def check_private_key(private_key: bytes) -> bytes:
    """A key without its certificate, which only decrypts: PEM, in our own form. Raises as `check_key_pair` does."""
    return _private_pem(_read_private_key(private_key))


def check_certificate(certificate: str) -> str:
    """A certificate whose key is to come: PEM, in our own form. Raises as `check_key_pair` does."""
    parsed = _read_certificate(certificate)
    key = parsed.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < SMALLEST_KEY_BITS:
        raise CertificateUnusable(f"the certificate's key is not an RSA key of at least {SMALLEST_KEY_BITS} bits")
    return _certificate_pem(parsed)


def _read_private_key(private_key: bytes) -> rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(private_key, password=None)
    except TypeError as error:
        raise CertificateUnusable("the private key is encrypted with a password: supply it without one") from error
    except (ValueError, UnsupportedAlgorithm):
        # Without its cause: a parser's words about a private key don't belong in a log.
        raise CertificateUnusable("the private key is not a PEM private key") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CertificateUnusable("the private key is not an RSA key")
    if key.key_size < SMALLEST_KEY_BITS:
        raise CertificateUnusable(
            f"the private key has {key.key_size} bits; RSA keys must have at least {SMALLEST_KEY_BITS}"
        )
    return key


def _read_certificate(certificate: str) -> x509.Certificate:
    try:
        parsed = x509.load_pem_x509_certificate(certificate.encode())
        parsed.public_key()  # read only when asked for, so ask here
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise CertificateUnusable("the certificate is not a PEM certificate that we can read") from error
    return parsed


def _public_bytes(key: rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_pair(private_key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> KeyPair:
    return KeyPair(_private_pem(private_key), _certificate_pem(certificate))


def _private_pem(private_key: rsa.RSAPrivateKey) -> bytes:
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
