"""What two real identity providers sent: each message accepted, or refused for its own reason.

The messages lie outside the repository, in a directory that SSO_SHARED names, or beside the
repository. signxml and python-xmlsec, which never run in production, must agree with us on every
signature.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.other_verifiers import check_that_others_agree

from sso_middleware.errors import MessageRefused, SignatureMissing
from sso_middleware.saml.assertion import Assertion
from sso_middleware.saml.certificates import read_certificate
from sso_middleware.saml.logout import read_logout_form, verify_logout_request, verify_logout_response
from sso_middleware.saml.parsing import parse_untrusted, read_message_xml
from sso_middleware.saml.parties import Expected, IdentityProvider, PinnedKey, ServiceProvider, Trust
from sso_middleware.saml.response import check_failure, verify_response
from sso_middleware.saml.schema import attribute_of, read_time, tag

SAMPLES = Path(os.environ.get("SSO_SHARED", Path(__file__).parents[2] / ".." / "shared")) / "idp-samples"

if not SAMPLES.is_dir():
    if os.environ.get("CI") == "true":
        raise RuntimeError("the sample messages must be there under CI: set SSO_SHARED")
    pytest.skip("the sample messages are not here (SSO_SHARED)", allow_module_level=True)

SLO_URL = "http://127.0.0.1:9000/saml/sls"
SERVICE_PROVIDER = ServiceProvider("http://127.0.0.1:9000/saml/metadata", "http://127.0.0.1:9000/saml/acs")

REFUSED = {
    "samlp-rsa-sha1": "algorithm_not_allowed",
    "simplesamlphp-rsa-sha1": "algorithm_not_allowed",
    "simplesamlphp-unsigned": "signature_missing",
    "simplesamlphp-encrypted-assertion-signed-only": "encryption_not_authenticated",
}
NO_PASSIVE = "urn:oasis:names:tc:SAML:2.0:status:NoPassive"

LOGOUTS = sorted(path.stem for path in SAMPLES.glob("*slo*.xml"))
RESPONSES = sorted(path.stem for path in SAMPLES.glob("*.xml") if not re.search("metadata|slo", path.stem))
FAILURES = [name for name in RESPONSES if "nopassive" in name]
ACCEPTED = [name for name in RESPONSES if name not in REFUSED and name not in FAILURES]


def read(name: str) -> bytes:
    return (SAMPLES / f"{name}.xml").read_bytes()


@cache
def keys_of(name: str) -> tuple[PinnedKey, ...]:
    """The keys in the metadata that was published when this message was sent."""
    provider = name.partition("-")[0]
    metadata = f"{provider}-idp-metadata"
    if "rollover" in name:
        metadata = name.replace("rollover", "metadata-rollover")
    root = parse_untrusted(read(metadata), max_bytes=100_000, max_elements=1000, max_depth=20)
    texts = {element.text or "" for element in root.iter(tag("ds:X509Certificate"))}
    return tuple(read_certificate(text) for text in sorted(texts))


def sample_key() -> RSAPrivateKey:
    key = load_pem_private_key((SAMPLES / "sp-test-key.pem").read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    return key


def trust_of(name: str, **changes: object) -> Trust:
    issuer = read_message_xml(read(name)).envelope.issuer
    assert issuer is not None
    provider = IdentityProvider(issuer, (), (), keys_of(name))
    options: dict[str, object] = {"encryption": "optional", "decryption_keys": (sample_key(),), **changes}
    return Trust(provider, **options)  # type: ignore[arg-type]  # options by name


def verify(name: str, *, late: timedelta = timedelta(seconds=1), **trust: object) -> Assertion:
    """Verified a second after it was sent: the messages were sent at different times."""
    message = read_message_xml(read(name))
    now = message.envelope.issue_instant + late
    request_id = message.envelope.in_response_to
    return verify_response(
        message,
        trust=trust_of(name, **trust),
        service_provider=SERVICE_PROVIDER,
        expected=Expected(request_id, now - timedelta(minutes=1)) if request_id else None,
        now=now,
    )


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_a_real_provider_sent_is_accepted(name: str) -> None:
    """Signed in one way or the other, encrypted or not, solicited or not: Alice, and her ten attributes."""
    assertion = verify(name)
    values = {attribute.name: attribute.values for attribute in assertion.attributes}
    assert len(values) == 10
    assert (assertion.in_response_to is None) == ("idp-initiated" in name)
    assert (assertion.session_ends_at is None) == name.startswith("samlp")
    assert any("@acme.example" in value for all_values in values.values() for value in all_values)
    assert all(value.isascii() for value in values["Country"])
    if "nonascii" in name:
        assert not all(value.isascii() for all_values in values.values() for value in all_values)


@pytest.mark.parametrize(("name", "code"), REFUSED.items())
def test_what_must_be_refused_is(name: str, code: str) -> None:
    """Unsigned, under SHA-1, or under a cipher that needs the Response's signature."""
    with pytest.raises(MessageRefused) as refusal:
        verify(name)
    assert refusal.value.code == code


@pytest.mark.parametrize("name", ["samlp-rsa-sha1", "simplesamlphp-rsa-sha1"])
def test_sha1_with_a_dated_exception(name: str) -> None:
    """It is SHA-1 alone that they were refused for."""
    assert verify(name, sha1_until=datetime(2027, 1, 1, tzinfo=UTC)).attributes


def test_a_clock_that_is_ahead() -> None:
    """The provider's clock was ten minutes ahead of ours."""
    with pytest.raises(MessageRefused) as refusal:
        verify("samlp-clock-ahead", late=-timedelta(minutes=10))
    assert refusal.value.code == "not_yet_valid"


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_read_as_one(name: str) -> None:
    """NoPassive at the top or below Responder, even with words that violate the schema."""
    message = read_message_xml(read(name))
    assert message.envelope.in_response_to is not None
    now = message.envelope.issue_instant
    status = check_failure(
        message,
        trust=trust_of(name),
        service_provider=SERVICE_PROVIDER,
        expected=Expected(message.envelope.in_response_to, now),
        now=now,
    )
    assert NO_PASSIVE in (status.code, status.sub_code)


@pytest.mark.parametrize("name", LOGOUTS)
def test_a_logout_message_passes_the_gate_and_is_nothing_without_its_query(name: str) -> None:
    """They came by HTTP-Redirect, or unsigned: without the query string, which was not kept, nothing signs them."""
    parameter = "SAMLRequest" if "request" in name else "SAMLResponse"
    message = read_logout_form({parameter: base64.b64encode(read(name)).decode()})
    issued_at = read_time(attribute_of(message.element, "IssueInstant"))
    trust = Trust(IdentityProvider(message.issuer, (), (), keys_of(name)))
    check: Callable[..., object]
    setting: dict[str, Any] = {"trust": trust, "slo_url": SLO_URL, "now": issued_at}
    if message.is_request:
        check, setting["service_provider"] = verify_logout_request, SERVICE_PROVIDER
    else:
        check, setting["expected"] = verify_logout_response, Expected(message.in_response_to or "", issued_at)
    with pytest.raises(SignatureMissing):
        check(message, **setting)


@pytest.mark.parametrize("name", ACCEPTED + FAILURES)
def test_two_other_verifiers_agree(name: str) -> None:
    """signxml and xmlsec verify each signature that we verified, by the same keys."""
    checked = check_that_others_agree(read(name), [key.certificate for key in keys_of(name)])
    assert checked or "encrypted" in name
