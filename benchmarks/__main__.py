"""Time the verification of the same signed Responses by this package, by signxml and by python-xmlsec.

All start from the bytes of the Response. Ours is timed twice: `sso-middleware` is the whole receiving
path (gate, signatures, parsing again, every rule); `…, signatures only` is what the peers do, and only
they are compared with it. Rounds are interleaved, so that a busy machine slows everybody alike; a ratio
is of two medians. Before anything is timed, each must accept the message and refuse a changed one.

    python -m benchmarks [--rounds 15] [--calls 40]
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from statistics import median

import xmlsec
from lxml import etree
from signxml.verifier import XMLVerifier
from tests.identity_provider import IdentityProvider

from sso_middleware.saml.parsing import read_message_xml
from sso_middleware.saml.parties import Expected, ServiceProvider, Trust
from sso_middleware.saml.response import verify_response
from sso_middleware.saml.signature import verify_signature

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SERVICE_PROVIDER = ServiceProvider("https://app.example.com/sso/acme/metadata", "https://app.example.com/sso/acme/acs")
EXPECTED = Expected("_request", NOW - timedelta(seconds=20))
DS = "{http://www.w3.org/2000/09/xmldsig#}"
SHAPES = {
    "assertion signed": {"sign_assertion": True, "sign_response": False},
    "response signed": {"sign_assertion": False, "sign_response": True},
    "both signed": {"sign_assertion": True, "sign_response": True},
}
OURS = "sso-middleware"
OURS_SIGNATURES = "sso-middleware, signatures only"

Verify = Callable[[bytes], object]


def contenders(provider: IdentityProvider) -> dict[str, Verify]:
    trust = Trust(identity_provider=provider.describe())
    keys = trust.identity_provider.keys
    xmlsec_key = xmlsec.Key.from_memory(provider.certificate, xmlsec.constants.KeyDataFormatCertPem)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)

    def signed_elements(xml: bytes) -> list[etree._Element]:
        """Each element with a Signature of its own, the innermost first."""
        root = etree.fromstring(xml, parser)
        return [signature.getparent() for signature in reversed(list(root.iter(f"{DS}Signature")))]

    def ours(xml: bytes) -> object:
        return verify_response(
            read_message_xml(xml), trust=trust, service_provider=SERVICE_PROVIDER, expected=EXPECTED, now=NOW
        )

    def our_signatures(xml: bytes) -> object:
        # The Response first, as the receiving path does: verifying takes an element's own Signature out.
        return [verify_signature(element, keys=keys, allow_sha1=False) for element in reversed(signed_elements(xml))]

    def by_signxml(xml: bytes) -> object:
        return [XMLVerifier().verify(e, x509_cert=provider.certificate) for e in signed_elements(xml)]

    def by_xmlsec(xml: bytes) -> object:
        elements = signed_elements(xml)
        for element in elements:
            xmlsec.tree.add_ids(element, ["ID"])
        for element in elements:
            context = xmlsec.SignatureContext()
            context.key = xmlsec_key
            context.verify(element.findall(f"{DS}Signature")[0])
        return elements

    return {OURS: ours, OURS_SIGNATURES: our_signatures, "python-xmlsec": by_xmlsec, "signxml": by_signxml}


def check_honest(verify: Verify, xml: bytes, changed: bytes) -> None:
    """It accepts the message, and raises on one that was changed after signing."""
    verify(xml)
    try:
        verify(changed)
    except Exception:  # each library has errors of its own
        return
    raise AssertionError("a changed message was accepted: there is nothing to time here")


def timed(verify: Verify, xml: bytes, calls: int) -> float:
    """Milliseconds a call."""
    started = time.perf_counter()
    for _ in range(calls):
        verify(xml)
    return (time.perf_counter() - started) * 1000 / calls


def compare(xml: bytes, verifiers: dict[str, Verify], rounds: int, calls: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in verifiers}
    for verify in verifiers.values():
        timed(verify, xml, calls)  # warm up
    for _ in range(rounds):
        for name, verify in verifiers.items():
            times[name].append(timed(verify, xml, calls))
    return times


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--calls", type=int, default=40, help="calls in each round")
    chosen = options.parse_args()

    libraries = ", ".join(f"{name} {version(name)}" for name in ("lxml", "cryptography", "xmlsec", "signxml"))
    print(f"Python {platform.python_version()}, {libraries}; RSA-2048, SHA-256")
    print(
        f"{chosen.rounds} interleaved rounds of {chosen.calls} calls; milliseconds a Response, median (least to most)"
    )
    provider = IdentityProvider()
    verifiers = contenders(provider)
    for name, signed in SHAPES.items():
        sent = provider.respond(
            SERVICE_PROVIDER, request_id=EXPECTED.request_id, email="ada@acme.example", now=NOW, **signed
        )
        changed = sent.xml.replace(b"ada@acme.example", b"eve@acme.example")
        for verify in verifiers.values():
            check_honest(verify, sent.xml, changed)
        times = compare(sent.xml, verifiers, chosen.rounds, chosen.calls)
        print(f"\n{name}, {len(sent.xml)} bytes")
        base = median(times[OURS_SIGNATURES])
        for contender, measured in times.items():
            spread = f"({min(measured):.3f} to {max(measured):.3f})"
            print(f"  {contender:<32} {median(measured):7.3f}  {spread:<18} {median(measured) / base:5.1f} x")


if __name__ == "__main__":
    main()
