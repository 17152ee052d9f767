"""Everybody who verifies: ourselves, the floor, and the peers, each as its own manual has it used.

The floor is what no XML verifier in C can do without: parse once, canonicalise, digest and verify each
signature by python-xmlsec (and decrypt, and parse again, where the assertion is encrypted). It checks
nothing else. signxml likewise verifies signatures alone. The others also judge the message.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import xmlsec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree
from signxml.verifier import XMLVerifier

from benchmarks.measuring import Task, calling
from benchmarks.messages import REQUEST_ID, Scene, as_form_value, changed
from sso_middleware.saml.parsing import read_message
from sso_middleware.saml.parties import Trust
from sso_middleware.saml.response import verify_response

DS = "{http://www.w3.org/2000/09/xmldsig#}"
XENC = "{http://www.w3.org/2001/04/xmlenc#}"
SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"

OURS = "sso-middleware"
FLOOR = "floor (python-xmlsec)"
SIGNXML = "signxml alone"
PYTHON3_SAML = "python3-saml"
LASSO = "lasso"
PYSAML2 = "pysaml2 with xmlsec1"
"""Slowest last."""

Verify = Callable[[bytes], Callable[[], object]]
"""Prepared with a message (base64 and the like are the caller's everywhere), verifies it at each call."""


def ours(scene: Scene) -> Verify:
    decryption_key = scene.decryption.private_key
    assert isinstance(decryption_key, RSAPrivateKey)
    trust = Trust(
        identity_provider=scene.provider.describe(),
        encryption="optional",
        decryption_keys=(decryption_key,),
    )

    def verify(xml: bytes) -> Callable[[], object]:
        value = as_form_value(xml)
        return lambda: verify_response(
            read_message(value),
            trust=trust,
            service_provider=scene.service_provider,
            expected=scene.expected,
            now=scene.now,
        )

    return verify


def floor(scene: Scene) -> Verify:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    key = xmlsec.Key.from_memory(scene.provider.certificate, xmlsec.constants.KeyDataFormatCertPem)
    keys = xmlsec.KeysManager()
    keys.add_key(xmlsec.Key.from_memory(scene.decryption.private_pem, xmlsec.constants.KeyDataFormatPem))

    def verify_all(root: etree._Element) -> None:
        for signature in reversed(list(root.iter(f"{DS}Signature"))):
            signed = signature.getparent()
            assert signed is not None
            xmlsec.tree.add_ids(signed, ["ID"])
            context = xmlsec.SignatureContext()
            context.key = key
            context.verify(signature)

    def verify_xml(xml: bytes) -> object:
        root = etree.fromstring(xml, parser)
        encrypted = root.find(f"{SAML}EncryptedAssertion/{XENC}EncryptedData")
        if encrypted is None:
            verify_all(root)
            return root
        plain = xmlsec.EncryptionContext(keys).decrypt(encrypted)
        verify_all(etree.fromstring(etree.tostring(plain), parser))
        return plain

    return lambda xml: lambda: verify_xml(xml)


def by_signxml(scene: Scene) -> Verify:
    def verify_xml(xml: bytes) -> object:
        root = etree.fromstring(xml)
        elements = [signature.getparent() for signature in reversed(list(root.iter(f"{DS}Signature")))]
        if not elements:
            raise LookupError("nothing to verify")
        return [XMLVerifier().verify(element, x509_cert=scene.provider.certificate) for element in elements]

    return lambda xml: lambda: verify_xml(xml)


def by_python3_saml(scene: Scene) -> Verify:
    from onelogin.saml2.response import OneLogin_Saml2_Response
    from onelogin.saml2.settings import OneLogin_Saml2_Settings

    settings = OneLogin_Saml2_Settings(
        {
            "strict": True,
            "sp": {
                "entityId": scene.service_provider.entity_id,
                "assertionConsumerService": {"url": scene.service_provider.acs_url},
                "x509cert": _body(scene.decryption.certificate),
                "privateKey": _body(scene.decryption.private_pem),
            },
            "idp": {
                "entityId": scene.provider.entity_id,
                "singleSignOnService": {"url": scene.provider.sso_url},
                "x509cert": scene.provider.signer.certificate_body,
            },
            "security": {"wantAttributeStatement": False},
        }
    )
    request = {"https": "on", "http_host": "app.example.com", "script_name": "/sso/acme/acs", "get_data": {}}

    def verify_value(value: str) -> object:
        response = OneLogin_Saml2_Response(settings, value)
        response.is_valid({**request, "post_data": {"SAMLResponse": value}}, REQUEST_ID, raise_exceptions=True)
        return response.get_attributes()

    def verify(xml: bytes) -> Callable[[], object]:
        value = as_form_value(xml)
        return lambda: verify_value(value)

    return verify


def by_pysaml2(scene: Scene, folder: Path) -> Verify:
    from saml2 import BINDING_HTTP_POST
    from saml2.client import Saml2Client
    from saml2.config import Config

    config = Config().load(pysaml2_settings(scene, folder))
    client = Saml2Client(config)

    def verify_value(value: str) -> object:
        response = client.parse_authn_request_response(value, BINDING_HTTP_POST, {REQUEST_ID: "/"})
        if response is None or response.assertion is None:
            raise LookupError("not accepted")
        return response.ava

    def verify(xml: bytes) -> Callable[[], object]:
        value = as_form_value(xml)
        return lambda: verify_value(value)

    return verify


def pysaml2_settings(scene: Scene, folder: Path) -> dict[str, Any]:
    binary = shutil.which("xmlsec1")
    if binary is None:
        raise FileNotFoundError("xmlsec1")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    key.write_text(scene.decryption.private_pem)
    certificate.write_text(scene.decryption.certificate)
    acs = (scene.service_provider.acs_url, "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST")
    return {
        "entityid": scene.service_provider.entity_id,
        "xmlsec_binary": binary,
        "key_file": str(key),
        "cert_file": str(certificate),
        "encryption_keypairs": [{"key_file": str(key), "cert_file": str(certificate)}],
        "metadata": {"inline": [scene.provider.metadata]},
        "accepted_time_diff": 86400,
        "service": {
            "sp": {
                "endpoints": {"assertion_consumer_service": [acs]},
                "want_response_signed": False,
                "want_assertions_signed": False,
                "want_assertions_or_response_signed": True,
                "allow_unknown_attributes": True,
            }
        },
    }


@contextmanager
def lasso_worker(scene: Scene, folder: Path) -> Iterator[Callable[[bytes], Task]]:
    """Lasso has no wheel: Debian's python3-lasso runs under the system's own Python, and times itself."""
    setting = {
        "sp_metadata": _sp_metadata(scene),
        "private_key": scene.decryption.private_pem,
        "certificate": scene.decryption.certificate,
        "idp_metadata": scene.provider.metadata,
        "idp": scene.provider.entity_id,
        "request_id": REQUEST_ID,
        "folder": str(folder),
    }
    program = Path(__file__).with_name("lasso_worker.py")
    with subprocess.Popen(
        ["/usr/bin/python3", str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        requests, answers = process.stdin, process.stdout

        def ask(question: object) -> Any:
            requests.write(json.dumps(question) + "\n")
            requests.flush()
            line = answers.readline()
            if not line:
                raise FileNotFoundError("python3-lasso")
            answer = json.loads(line)
            if "error" in answer:
                raise ValueError(answer["error"])
            return answer

        ask(setting)

        def task_of(xml: bytes) -> Task:
            value = as_form_value(xml)
            return lambda calls: float(ask({"value": value, "calls": calls})["seconds"])

        yield task_of
        requests.close()


@contextmanager
def contenders(scene: Scene) -> Iterator[tuple[dict[str, Callable[[bytes], Task]], dict[str, str]]]:
    """Everybody that is installed, and what is missing of the others."""
    found: dict[str, Callable[[bytes], Task]] = {}
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def enter(name: str, prepare: Callable[[], Verify]) -> None:
            try:
                verify = prepare()
            except (ImportError, FileNotFoundError) as error:
                missing[name] = str(error)
            else:
                found[name] = lambda xml: calling(verify(xml))

        enter(FLOOR, lambda: floor(scene))
        enter(OURS, lambda: ours(scene))
        enter(SIGNXML, lambda: by_signxml(scene))
        enter(PYTHON3_SAML, lambda: by_python3_saml(scene))
        try:
            found[LASSO] = stack.enter_context(lasso_worker(scene, folder))
        except (FileNotFoundError, BrokenPipeError):
            missing[LASSO] = "apt-get install python3-lasso"
        enter(PYSAML2, lambda: by_pysaml2(scene, folder))
        yield found, missing


def check_honest(name: str, task_of: Callable[[bytes], Task], xml: bytes) -> bool:
    """It accepts the message, and raises on one that was changed after signing. False: it can't do this one.

    Raises AssertionError if a changed message is accepted: then there is nothing to time.
    """
    try:
        task_of(xml)(1)
    except Exception:  # each library has errors of its own; the table says that it was left out
        return False
    try:
        task_of(changed(xml))(1)
    except Exception:  # as it must
        return True
    raise AssertionError(f"{name} accepted a changed message")


def _body(pem: str) -> str:
    return "".join(pem.strip().splitlines()[1:-1])


def _sp_metadata(scene: Scene) -> str:
    def key(use: str) -> str:
        return (
            f'<KeyDescriptor use="{use}"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data>'
            f"<X509Certificate>{_body(scene.decryption.certificate)}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>"
        )

    return (
        f'<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{scene.service_provider.entity_id}">'
        '<SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
        f"{key('signing')}{key('encryption')}"
        '<AssertionConsumerService isDefault="true" index="0" Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" '
        f'Location="{scene.service_provider.acs_url}"/></SPSSODescriptor></EntityDescriptor>'
    )
