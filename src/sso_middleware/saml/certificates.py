"""Decide which certificates may be pinned: their keys' kind and strength (SAML2Int SDP-MD06 to 08).

A certificate here only carries a key. Its dates, issuer and names are not judged: an expired one
keeps working (Kantara IIP-MD11), and whoever shows it may warn.
"""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, SECP521R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from ..errors import Base64Invalid, CertificateUnusable
from .parsing import decode_base64
from .parties import PinnedKey

MIN_RSA_BITS = 2048
_CURVES = (SECP256R1, SECP384R1, SECP521R1)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


def read_certificate(text: str) -> PinnedKey:
    """The key in one X.509 certificate, in PEM or as bare base64 (as metadata has it).

    Raises CertificateUnusable: not one certificate, or not RSA of 2048 bits or more, P-256, P-384 or P-521.
    """
    try:
        certificate = x509.load_der_x509_certificate(_read_der(text))
        key = certificate.public_key()
    except Base64Invalid as error:
        raise CertificateUnusable("this is neither PEM nor base64") from error
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise CertificateUnusable("this is not an X.509 certificate that we can read") from error
    if isinstance(key, RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise CertificateUnusable(f"its RSA key has {key.key_size} bits; {MIN_RSA_BITS} is the least")
    elif not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, _CURVES):
        raise CertificateUnusable("its key is neither RSA nor on the curve P-256, P-384 or P-521")
    return PinnedKey(key, certificate.public_bytes(Encoding.PEM).decode("ascii"), certificate.not_valid_after_utc)


def fingerprint(certificate: str) -> str:
    """SHA-256 of a certificate (PEM), as admin pages show it: AB:CD:…"""
    return x509.load_pem_x509_certificate(certificate.encode()).fingerprint(SHA256()).hex(":").upper()


def _read_der(text: str) -> bytes:
    if "-----BEGIN" not in text:
        return decode_base64(text)
    if "PRIVATE KEY-----" in text:
        raise CertificateUnusable("this is a private key: keep it secret, and give the certificate")
    # Counted first: to look for an END from each of many BEGINs takes the square of the length.
    block = _PEM.search(text) if text.count("-----BEGIN") == 1 else None
    if block is None:
        raise CertificateUnusable("this must be exactly one CERTIFICATE in PEM")
    return decode_base64(block[1])
