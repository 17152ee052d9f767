"""What any of them may do: empty values, times in many ways, old and new certificates."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider
from tests.response_shape import SentAttribute
from tests.shapes.signing_in import NOW, REQUEST_ID, in_both_worlds, log_in, open_world, refusal, respond, verify
from tests.shapes.vendors import EMAIL, ENTRA, VENDORS, WORKSPACE_ONE, attributes_of

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("value_type", ["xs:string", "xs:anyType", None])
@in_both_worlds
def test_an_empty_value_is_a_value(make_world: MakeWorld, value_type: str | None) -> None:
    """An empty AttributeValue, typed or not, is the empty text; where a name is required it is none."""
    world = open_world(make_world, WORKSPACE_ONE)
    empty = SentAttribute("costCenter", ("", "42"), value_type=value_type)

    identity = log_in(world, WORKSPACE_ONE, attributes=(*WORKSPACE_ONE.attributes, empty))

    assert identity.attributes["costCenter"] == ("", "42")
    world.first_browser.cookies.clear()
    form = world.log_in(**WORKSPACE_ONE.shape(world.now, attributes=attributes_of(WORKSPACE_ONE, last_name=("",))))
    assert world.post_response(form).status == 403
    assert world.codes[-1] == "attribute_missing"


@pytest.mark.parametrize(
    "write",
    [
        lambda time: time.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(),
        lambda time: time.astimezone(timezone(-timedelta(hours=8))).isoformat(timespec="milliseconds"),
        lambda time: time.strftime("%Y-%m-%dT%H:%M:%S.1234567Z"),
        lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ"),
    ],
    ids=["east", "west", "seven digits", "no fraction"],
)
def test_times_are_written_in_many_ways(write: Callable[[datetime], str]) -> None:
    """With an offset, with seven digits of a second, with none: it is the same time, and over at the same time."""

    def at(end: datetime) -> dict[str, Any]:
        return {
            "issued_at": write(NOW),
            "assertion_issued_at": write(NOW),
            "authn_instant": write(NOW - MINUTE),
            "not_before": write(NOW - MINUTE),
            "not_on_or_after": write(end),
            "confirmation_not_on_or_after": write(end),
            "session_not_on_or_after": write(NOW + 60 * MINUTE),
        }

    assertion = verify(ENTRA, respond(ENTRA, **at(NOW + 5 * MINUTE)))
    assert abs(assertion.authenticated_at - (NOW - MINUTE)) < timedelta(seconds=1)
    assert assertion.session_ends_at is not None
    assert abs(assertion.session_ends_at - (NOW + 60 * MINUTE)) < timedelta(seconds=1)
    assert refusal(ENTRA, respond(ENTRA, **at(NOW - 3 * MINUTE))) == "expired"


def test_some_put_every_element_on_a_line_of_its_own() -> None:
    """Blanks and line ends between elements say nothing; a letter among them is no message of SAML's."""

    def spaced(text: str) -> dict[str, Any]:
        return {"conditions_inner_xml": text, "further_statements_xml": text, "after_assertion_xml": text}

    for vendor in VENDORS:
        assert refusal(vendor, respond(vendor, **spaced("\n\t  "))) == "accepted"
        assert refusal(vendor, respond(vendor, **spaced("x"))) == "schema_violated"


def test_a_time_without_a_zone_could_be_any() -> None:
    """So it is refused."""
    assert refusal(ENTRA, respond(ENTRA, not_on_or_after="2026-03-01T13:00:00")) == "time_invalid"


@in_both_worlds
def test_an_expired_certificate_still_signs(make_world: MakeWorld) -> None:
    """Kantara IIP-MD11: its dates are told, not enforced; its key alone counts."""
    idp = WORKSPACE_ONE.identity_provider
    expired = reissued(idp, not_after=datetime(2021, 1, 1, tzinfo=UTC))
    world = open_world(
        make_world,
        WORKSPACE_ONE,
        metadata=lambda published: published.replace(idp.signer.certificate_body, body_of(expired)),
    )
    world.idp.signer = replace(idp.signer, certificate=expired)

    # Not by `post_response`: signxml, which it asks for its opinion, looks at the dates.
    form = world.log_in(**WORKSPACE_ONE.shape(world.now))
    received = world.first_browser.post(world.acs_url, form, cross_site=True)
    assert world.first_browser.get(received.location).status == 303
    assert world.first_browser.has_session
    (connection,) = world.sso.site.connections
    (key,) = connection.trust.identity_provider.keys
    assert key.not_after < world.now


@in_both_worlds
def test_two_certificates_at_once(make_world: MakeWorld) -> None:
    """During a rollover either key signs; a third one does not."""
    present = WORKSPACE_ONE.identity_provider
    following, third = (IdentityProvider(WORKSPACE_ONE.entity_id, key=key) for key in ("next", "third"))
    descriptor = re.compile("<KeyDescriptor.*</KeyDescriptor>")
    found = descriptor.search(following.metadata)
    assert found is not None
    world = open_world(
        make_world, WORKSPACE_ONE, metadata=lambda published: descriptor.sub(lambda one: one[0] + found[0], published)
    )

    for idp in (following, present):
        world.idp = idp
        assert log_in(world, WORKSPACE_ONE).email == EMAIL
        world.first_browser.cookies.clear()
    world.idp = third
    assert world.post_response(world.log_in(**WORKSPACE_ONE.shape(world.now))).status == 403
    assert world.codes == ["login_succeeded", "login_succeeded", "signature_invalid"]


@pytest.mark.parametrize("field", ["in_response_to", "confirmation_in_response_to"])
def test_our_request_s_id_is_echoed_twice(field: str) -> None:
    """On the Response and in the confirmation: each must be ours, to the letter."""
    xml = respond(WORKSPACE_ONE)
    assert xml.count(f'InResponseTo="{REQUEST_ID}"'.encode()) == 2
    assert refusal(WORKSPACE_ONE, xml) == "accepted"
    for other in (None, REQUEST_ID.upper(), f" {REQUEST_ID}"):
        assert refusal(WORKSPACE_ONE, respond(WORKSPACE_ONE, **changed(field, other))) == "in_response_to_mismatch"


def changed(field: str, value: str | None) -> dict[str, Any]:
    return {field: value}


def reissued(idp: IdentityProvider, *, not_after: datetime) -> str:
    """A certificate (PEM) of the same key that is good until then."""
    old = x509.load_pem_x509_certificate(idp.certificate.encode())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(old.serial_number)
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(not_after)
        .sign(idp.signer.private_key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


def body_of(certificate: str) -> str:
    """As metadata has it: the base64 of its DER."""
    return base64.b64encode(x509.load_pem_x509_certificate(certificate.encode()).public_bytes(Encoding.DER)).decode()
