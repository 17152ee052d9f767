"""Signatures that hold, under a key that is not the identity provider's: the attacker's, or no secret at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from tests.attacks.scene import Scene
from tests.identity_provider import LenientSigner, find_one
from tests.response_shape import EXCLUSIVE_C14N, render_assertion, render_response

HMAC_SHA1 = "http://www.w3.org/2000/09/xmldsig#hmac-sha1"
HMAC_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"


def hmac_signed(algorithm: str, key_of: Callable[[str], bytes]) -> Callable[[Scene], bytes]:
    """What a verifier believes that takes the public certificate for an HMAC's secret."""

    def build(scene: Scene) -> bytes:
        shape = scene.idp.shape(scene.service_provider, request_id=scene.request_id, email=scene.victim, now=scene.now)
        signer = LenientSigner(signature_algorithm=algorithm, c14n_algorithm=EXCLUSIVE_C14N)
        signed = signer.sign(etree.fromstring(render_assertion(shape)), key=key_of(scene.idp.certificate))
        return render_response(shape, etree.tostring(signed, encoding="unicode")).encode()

    return build


def as_pem(certificate: str) -> bytes:
    return certificate.encode()


def as_der(certificate: str) -> bytes:
    return x509.load_pem_x509_certificate(certificate.encode()).public_bytes(Encoding.DER)


def key_info(xml: str) -> Callable[[Scene], bytes]:
    """The impostor's signature, with a KeyInfo that leads to his key."""

    def build(scene: Scene) -> bytes:
        root = etree.fromstring(scene.respond_as(scene.impostor))
        info = find_one(root, ".//ds:KeyInfo")
        for child in list(info):
            info.remove(child)
        info.append(etree.fromstring(xml))
        return etree.tostring(root)

    return build


def as_impostor(signed: Mapping[str, bool]) -> Callable[[Scene], bytes]:
    return lambda scene: scene.respond_as(scene.impostor, **signed)
