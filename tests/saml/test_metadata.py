"""Metadata: what we publish can be read by others, and what others publish is read strictly, in words."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from tests.identity_provider import IdentityProvider

from sso_middleware.errors import MetadataUnusable
from sso_middleware.saml.keys import generate_key_pair
from sso_middleware.saml.metadata import build_sp_metadata, describe_identity_provider, read_idp_metadata
from sso_middleware.saml.parties import BINDING_POST, BINDING_REDIRECT, Endpoint, ServiceProvider

NOW = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)
SHARED = Path(os.environ.get("SSO_SHARED", Path(__file__).parents[3] / "shared"))
MD = "{urn:oasis:names:tc:SAML:2.0:metadata}"
DS = "{http://www.w3.org/2000/09/xmldsig#}"
SAML2 = "urn:oasis:names:tc:SAML:2.0:protocol"
ENTITY_ID = "https://idp.example/metadata"
SSO_URL = "https://idp.example/sso"
SERVICE_PROVIDER = ServiceProvider("https://app.example.com/sso/acme/metadata", "https://app.example.com/sso/acme/acs")

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey


def certificate_for(key: Key, *, not_after: datetime = NOW + timedelta(days=365)) -> x509.Certificate:
    name = x509.Name([])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=3000))
        .not_valid_after(not_after)
        .sign(key, hashes.SHA256())
    )


def in_xml(certificate: x509.Certificate) -> str:
    return b64encode(certificate.public_bytes(Encoding.DER)).decode()


def in_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


SIGNING = certificate_for(rsa.generate_private_key(public_exponent=65537, key_size=2048))
OTHER = certificate_for(ec.generate_private_key(ec.SECP256R1()))


def key_descriptor(*certificates: str, use: str | None = "signing") -> str:
    inner = "".join(f"<ds:X509Certificate>{certificate}</ds:X509Certificate>" for certificate in certificates)
    attribute = f' use="{use}"' if use else ""
    data = f"<ds:X509Data>{inner}</ds:X509Data>"
    return f"<md:KeyDescriptor{attribute}><ds:KeyInfo>{data}</ds:KeyInfo></md:KeyDescriptor>"


def endpoint(location: str = SSO_URL, *, binding: str = BINDING_REDIRECT, tag: str = "SingleSignOnService") -> str:
    return f'<md:{tag} Binding="{binding}" Location="{location}"/>'


def idp_role(*children: str, attributes: str = "", protocol: str = SAML2) -> str:
    content = "".join(children) if children else key_descriptor(in_xml(SIGNING)) + endpoint()
    return f'<md:IDPSSODescriptor protocolSupportEnumeration="{protocol}" {attributes}>{content}</md:IDPSSODescriptor>'


def sp_role(*children: str) -> str:
    return f'<md:SPSSODescriptor protocolSupportEnumeration="{SAML2}">{"".join(children)}</md:SPSSODescriptor>'


NAMESPACES = f'xmlns:md="{MD[1:-1]}" xmlns:ds="{DS[1:-1]}"'


def entity(*roles: str, entity_id: str = ENTITY_ID, attributes: str = "") -> str:
    content = "".join(roles) or idp_role()
    return f'<md:EntityDescriptor {NAMESPACES} entityID="{entity_id}" {attributes}>{content}</md:EntityDescriptor>'


def group(*entities: str, attributes: str = "") -> str:
    return f"<md:EntitiesDescriptor {NAMESPACES} {attributes}>{''.join(entities)}</md:EntitiesDescriptor>"


def refusal(xml: str | bytes, *, entity_id: str | None = None) -> str:
    with pytest.raises(MetadataUnusable) as refused:
        read_idp_metadata(xml if isinstance(xml, bytes) else xml.encode(), now=NOW, entity_id=entity_id)
    return refused.value.detail


# Ours


@pytest.fixture(scope="module")
def certificates() -> list[str]:
    return [generate_key_pair(name, NOW).certificate for name in ("newest", "older")]


def test_our_metadata_says_what_we_want_and_where(certificates: list[str]) -> None:
    """Signed requests, signed assertions, one assertion consumer service by HTTP-POST."""
    root = etree.fromstring(build_sp_metadata(SERVICE_PROVIDER, signing=certificates[:1], encryption=[]))

    assert root.tag == f"{MD}EntityDescriptor"
    assert root.get("entityID") == SERVICE_PROVIDER.entity_id
    (role,) = root.findall(f"{MD}SPSSODescriptor")
    assert role.get("AuthnRequestsSigned") == "true"
    assert role.get("WantAssertionsSigned") == "true"
    assert role.get("protocolSupportEnumeration") == SAML2
    (acs,) = role.findall(f"{MD}AssertionConsumerService")
    assert dict(acs.items()) == {
        "Binding": BINDING_POST,
        "Location": SERVICE_PROVIDER.acs_url,
        "index": "0",
        "isDefault": "true",
    }
    formats = [element.text or "" for element in role.findall(f"{MD}NameIDFormat")]
    assert len(formats) == 3
    assert not any("transient" in name for name in formats)
    # saml-schema-metadata-2.0: keys, then formats, then the assertion consumer service
    assert [etree.QName(child).localname for child in role] == [
        "KeyDescriptor",
        "NameIDFormat",
        "NameIDFormat",
        "NameIDFormat",
        "AssertionConsumerService",
    ]


def test_keys_are_published_for_what_they_are_for(certificates: list[str]) -> None:
    """Each key names its use; without encryption, none is published for it."""
    both = etree.fromstring(build_sp_metadata(SERVICE_PROVIDER, signing=certificates, encryption=certificates[:1]))
    plain = etree.fromstring(build_sp_metadata(SERVICE_PROVIDER, signing=certificates, encryption=[]))

    def uses(root: etree._Element) -> list[tuple[str | None, str | None]]:
        return [
            (key.get("use"), key.findtext(f"{DS}KeyInfo/{DS}X509Data/{DS}X509Certificate"))
            for key in root.iter(f"{MD}KeyDescriptor")
        ]

    in_document = [
        b64encode(x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)).decode()
        for pem in certificates
    ]
    signing = [("signing", in_document[0]), ("signing", in_document[1])]
    assert uses(plain) == signing
    assert uses(both) == [*signing, ("encryption", in_document[0])]


def test_the_encryption_key_says_what_it_may_be_used_with(certificates: list[str]) -> None:
    """Identity providers choose by it: AES-GCM under RSA-OAEP, the strongest first; a signing key says nothing."""
    root = etree.fromstring(build_sp_metadata(SERVICE_PROVIDER, signing=certificates, encryption=certificates[:1]))

    methods = {
        key.get("use"): [method.get("Algorithm") for method in key.findall(f"{MD}EncryptionMethod")]
        for key in root.iter(f"{MD}KeyDescriptor")
    }
    assert methods["signing"] == []
    assert [str(algorithm).partition("#")[2] for algorithm in methods["encryption"]] == [
        "aes256-gcm",
        "aes128-gcm",
        "rsa-oaep",
        "rsa-oaep-mgf1p",
    ]


def test_our_own_metadata_is_not_taken_for_an_identity_providers(certificates: list[str]) -> None:
    """The commonest mistake of the set-up, ours pasted where theirs belongs, is told as such."""
    ours = build_sp_metadata(SERVICE_PROVIDER, signing=certificates, encryption=[])

    assert "service provider" in refusal(ours)


# Theirs


def test_metadata_of_one_identity_provider_is_read() -> None:
    """Entity id, endpoints by the two bindings that we speak, and the keys that may sign."""
    xml = entity(
        idp_role(
            key_descriptor(in_xml(SIGNING)),
            key_descriptor(in_xml(OTHER), use=None),
            endpoint("https://idp.example/slo", tag="SingleLogoutService", binding=BINDING_POST),
            endpoint("https://idp.example/soap", binding="urn:oasis:names:tc:SAML:2.0:bindings:SOAP"),
            endpoint("https://idp.example/post", binding=BINDING_POST),
            endpoint("https://idp.example/redirect?a=b&amp;c=d"),
            endpoint("https://idp.example/second"),
        )
    )

    provider = read_idp_metadata(xml.encode(), now=NOW)

    assert provider.entity_id == ENTITY_ID
    assert provider.sso_endpoints == (
        Endpoint(BINDING_POST, "https://idp.example/post"),
        Endpoint(BINDING_REDIRECT, "https://idp.example/redirect?a=b&c=d"),
    )
    assert provider.sso.location == "https://idp.example/redirect?a=b&c=d"
    assert provider.slo_endpoints == (Endpoint(BINDING_POST, "https://idp.example/slo"),)
    assert [key.public_key for key in provider.keys] == [SIGNING.public_key(), OTHER.public_key()]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\ufeff", ""),
        ('<?xml version="1.0" encoding="utf-8"?>\n', "\n"),
        ("\r\n  ", ""),
        ("<!-- exported on Monday -->", "<!-- the end -->"),
    ],
)
def test_harmless_surroundings_are_accepted(before: str, after: str) -> None:
    """A byte order mark (Entra ID), a declaration, blank lines and comments are what real downloads have."""
    assert read_idp_metadata(f"{before}{entity()}{after}".encode(), now=NOW).entity_id == ENTITY_ID


def test_a_certificate_in_lines_or_twice_is_one_key() -> None:
    """Whitespace inside a certificate means nothing, and the same certificate twice is pinned once."""
    text = in_xml(SIGNING)
    lines = "\n   " + "\n   ".join(text[i : i + 64] for i in range(0, len(text), 64)) + "\n"

    provider = read_idp_metadata(
        entity(idp_role(key_descriptor(lines), key_descriptor(text), endpoint())).encode(), now=NOW
    )

    assert [key.public_key for key in provider.keys] == [SIGNING.public_key()]


def test_an_expired_certificate_is_pinned() -> None:
    """MDT-010: the dates of a certificate don't lock anybody out (Kantara IIP-MD11)."""
    old = certificate_for(ec.generate_private_key(ec.SECP384R1()), not_after=NOW - timedelta(days=1))

    provider = read_idp_metadata(entity(idp_role(key_descriptor(in_xml(old)), endpoint())).encode(), now=NOW)

    assert provider.keys[0].not_after == NOW - timedelta(days=1)


def test_only_keys_that_may_sign_for_this_role_are_pinned() -> None:
    """SIG-014, SIG-015: keys of another role of the same entity, or for encryption, sign nothing for us."""
    attribute_authority = (
        f'<md:AttributeAuthorityDescriptor protocolSupportEnumeration="{SAML2}">'
        f"{key_descriptor(in_xml(OTHER))}</md:AttributeAuthorityDescriptor>"
    )
    roles = [
        idp_role(key_descriptor(in_xml(SIGNING)), key_descriptor(in_xml(OTHER), use="encryption"), endpoint()),
        sp_role(key_descriptor(in_xml(OTHER))),
        attribute_authority,
    ]

    provider = read_idp_metadata(entity(*roles).encode(), now=NOW)

    assert [key.public_key for key in provider.keys] == [SIGNING.public_key()]


@pytest.mark.parametrize(
    "keys",
    [
        "",
        key_descriptor(in_xml(SIGNING), use="encryption"),
        "<md:KeyDescriptor><ds:KeyInfo><ds:KeyName>x</ds:KeyName></ds:KeyInfo></md:KeyDescriptor>",
    ],
)
def test_no_signing_key_is_refused(keys: str) -> None:
    """MDT-009: without a certificate that may sign, nothing could ever be verified."""
    assert "no signing certificate" in refusal(entity(idp_role(keys, endpoint()), sp_role(key_descriptor("x"))))


@pytest.mark.parametrize(
    "certificate",
    [
        pytest.param("not base64!", id="garbage"),
        pytest.param("AAAA", id="not a certificate"),
        pytest.param("", id="empty"),
        pytest.param(in_xml(certificate_for(rsa.generate_private_key(65537, 1024))), id="RSA-1024"),
        pytest.param(in_xml(certificate_for(ec.generate_private_key(ec.SECP256K1()))), id="another curve"),
        pytest.param(in_xml(certificate_for(dsa.generate_private_key(2048))), id="DSA"),
    ],
)
def test_a_certificate_that_we_cannot_pin_is_refused(certificate: str) -> None:
    """MDT-009, SIG-019: told when the metadata is saved, by number, even beside a good one."""
    keys = key_descriptor(in_xml(SIGNING)) + key_descriptor(certificate)

    assert "signing certificate 2: " in refusal(entity(idp_role(keys, endpoint())))


def test_a_chain_of_certificates_is_refused() -> None:
    """Of a chain, the issuers' keys would be trusted to sign assertions, too."""
    assert "only the one that signs" in refusal(
        entity(idp_role(key_descriptor(in_xml(SIGNING), in_xml(OTHER)), endpoint()))
    )


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("javascript:alert(1)", "not an https URL"),
        ("data:text/html,x", "not an https URL"),
        ("//idp.example/sso", "not an https URL"),
        ("/sso", "not an https URL"),
        ("https://", "not an https URL"),
        ("", "missing"),
        ("https://idp.example/" + "x" * 2048, "longer than"),
        ("http://idp.example/sso", "http, not https"),
        ("http://localhost.example/sso", "http, not https"),
        ("http://10.0.0.1/sso", "http, not https"),
        ("https://idp.example/&quot;onclick=&quot;x", "characters"),
        ("https://idp.example/'x", "characters"),
        ("https://idp.example/&lt;x>", "characters"),
        ("https://idp.example/a b", "characters"),
        ("https://idp.example/sso#part", "characters"),
        ("https://idp.example/&#10;Set-Cookie:x", "characters"),
        ("https://user:pw@idp.example/", "characters"),
        ("https://idp.example\\@evil.example/", "characters"),
        ("https://bücher.example/", "characters"),
        ("https://idp.example:99999/", "not a URL"),
        ("https://[idp.example/", "not a URL"),
    ],
)
@pytest.mark.parametrize("tag", ["SingleSignOnService", "SingleLogoutService"])
def test_an_address_that_is_not_plain_https_is_refused(location: str, why: str, tag: str) -> None:
    """MDT-008: where we send browsers is https, without anything that could break out of a page or a header."""
    xml = entity(idp_role(key_descriptor(in_xml(SIGNING)), endpoint(), endpoint(location, tag=tag)))

    assert why in refusal(xml)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "127.9.9.9"])
def test_plain_http_is_accepted_on_this_very_machine(host: str) -> None:
    """A developer's identity provider on loopback needs no certificate."""
    xml = entity(idp_role(key_descriptor(in_xml(SIGNING)), endpoint(f"http://{host}/sso")))

    assert read_idp_metadata(xml.encode(), now=NOW).sso.location == f"http://{host}/sso"


@pytest.mark.parametrize(
    "endpoints",
    ["", endpoint(binding="urn:oasis:names:tc:SAML:2.0:bindings:SOAP"), endpoint(tag="SingleLogoutService")],
)
def test_no_way_to_sign_in_is_refused(endpoints: str) -> None:
    """An identity provider that speaks neither HTTP-Redirect nor HTTP-POST is of no use to us."""
    assert "no SingleSignOnService" in refusal(entity(idp_role(key_descriptor(in_xml(SIGNING)), endpoints)))


@pytest.mark.parametrize(
    ("xml", "why"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"hello", "not XML"),
        (b"{}", "not XML"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "HTML"),
        (b"<!doctype HTML>\n<HTML lang=en><p>unclosed", "HTML"),
        (b'<html xmlns="http://www.w3.org/1999/xhtml"/>', "HTML"),
        (b"<!-- cached --><html><br></html>", "HTML"),
        (b"<a><b></a>", "not well-formed"),
        (entity().encode()[:-5], "not well-formed"),
        (b'<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"/>', "its first element is Response"),
        (b'<EntityDescriptor entityID="x"/>', "its first element is EntityDescriptor"),
        (entity().encode("utf-16"), "UTF-16"),
        (entity().encode("utf-16-le"), "UTF-16"),
        (entity(entity_id="https://é.example").encode("latin-1"), "UTF-8"),
        (f"<!DOCTYPE x>{entity()}".encode(), "document type"),
        (f'<!DOCTYPE x [<!ENTITY e "v">]>{entity()}'.encode(), "document type"),
        (f"<!DOCTYPE x SYSTEM 'http://127.0.0.1:1/x'>{entity()}".encode(), "document type"),
        (("<a>" * 3000 + "</a>" * 3000).encode(), "metadata is not acceptable XML"),
        (b"<a>" + b" " * 6_000_000 + b"</a>", "bytes"),
        (group().encode(), "no IDPSSODescriptor"),
        (entity(sp_role()).encode(), "service provider"),
        (entity(idp_role(protocol="urn:oasis:names:tc:SAML:1.1:protocol")).encode(), "does not speak SAML 2.0"),
        (entity(idp_role(), idp_role()).encode(), "2 IDPSSODescriptors"),
        (entity(entity_id="").encode(), "entity id is missing"),
        (entity(entity_id="x" * 1025).encode(), "longer than 1024"),
        (entity(entity_id="https://idp.example/a b").encode(), "spaces"),
        (entity(entity_id="https://idp.example/\u202e").encode(), "invisible"),
    ],
)
def test_what_is_not_metadata_of_an_identity_provider_is_refused_in_words(xml: bytes, why: str) -> None:
    """MDT-001 and the mistakes that people make: each says what is wrong, and none comes as a parser's error."""
    assert why in refusal(xml)


# Several entities


A, B = (entity(entity_id=f"https://{name}.example/") for name in "ab")


@pytest.mark.parametrize("xml", [group(A, B), group(group(A), group(group(B), entity(sp_role(), entity_id="urn:sp")))])
def test_of_several_identity_providers_the_admin_picks_one(xml: str) -> None:
    """MDT-011: two identity providers, in groups within groups too, are named; one that is asked for is read."""
    assert "https://a.example/, https://b.example/" in refusal(xml)
    assert read_idp_metadata(xml.encode(), now=NOW, entity_id="https://b.example/").entity_id == "https://b.example/"


def test_the_only_identity_provider_among_service_providers_needs_no_picking() -> None:
    """A federation's document with one identity provider in it names that one."""
    xml = group(entity(sp_role(), entity_id="urn:sp"), A)

    assert read_idp_metadata(xml.encode(), now=NOW).entity_id == "https://a.example/"


def test_another_identity_provider_than_the_expected_one_is_refused() -> None:
    """MDT-006: metadata for another entity than the connection's own doesn't replace it."""
    why = refusal(A, entity_id="https://other.example/")

    assert "https://other.example/" in why
    assert "https://a.example/" in why


@pytest.mark.parametrize("entity_id", [None, "https://a.example/"])
@pytest.mark.parametrize("twin", [A, entity(sp_role(), entity_id="https://a.example/")])
def test_an_entity_that_is_described_twice_is_refused(twin: str, entity_id: str | None) -> None:
    """MDT-011: of two descriptions under one entity id, neither is chosen."""
    assert "more than once" in refusal(group(A, twin), entity_id=entity_id)


def test_a_long_list_is_cut_short() -> None:
    """A whole federation's document names twenty of its identity providers and counts the rest."""
    xml = group(*(entity(entity_id=f"urn:idp:{number:02}") for number in range(25)))

    assert refusal(xml).endswith("urn:idp:19 and 5 more")


LINES = "&#10;WARNING all is well" + "x" * 5000


@pytest.mark.parametrize(
    "xml",
    [
        group(entity(entity_id="urn:a" + LINES), entity(entity_id="urn:b" + LINES)),
        group(entity(entity_id="urn:a" + LINES), entity(entity_id="urn:a" + LINES)),
        f"<{'x' * 5000}/>",
    ],
)
def test_a_refusal_quotes_metadata_in_one_short_line(xml: str) -> None:
    """Whoever wrote the metadata writes neither lines of our log nor pages of it."""
    why = refusal(xml)
    assert why.isprintable()
    assert len(why) < 600


def test_so_many_keys_are_nobody_s() -> None:
    """Each key is tried on each message: thousands of them would make every forged one costly."""
    certificates = [in_xml(certificate_for(ec.generate_private_key(ec.SECP256R1()))) for _ in range(21)]

    def with_keys(count: int) -> str:
        return entity(idp_role(*map(key_descriptor, certificates[:count]), endpoint()))

    assert len(read_idp_metadata(with_keys(20).encode(), now=NOW).keys) == 20
    assert "more than 20 signing certificates" in refusal(with_keys(21))


# Time


def valid_until(value: str) -> dict[str, str]:
    attribute = f'validUntil="{value}"'
    return {
        "entity": entity(attributes=attribute),
        "role": entity(idp_role(attributes=attribute)),
        "group": group(entity(), attributes=attribute),
        "outer group": group(group(entity()), attributes=attribute),
    }


@pytest.mark.parametrize("where", ["entity", "role", "group", "outer group"])
def test_metadata_past_its_validity_is_refused(where: str) -> None:
    """MDT-002: validUntil in the past, on the entity, its role or any group around it."""
    for value in (
        "2026-11-21T21:00:00Z",
        "2026-11-21T21:59:59+01:00",
        "2026-11-21T20:59:59.9999999",
        "2020-01-01T00:00:00",
    ):
        assert "was valid until" in refusal(valid_until(value)[where])
    for value in ("2026-11-21T21:00:01Z", "2026-11-21T20:30:00.1234567-01:00", "2030-01-01T00:00:00"):
        assert read_idp_metadata(valid_until(value)[where].encode(), now=NOW).entity_id == ENTITY_ID


@pytest.mark.parametrize("value", ["", "tomorrow", "1700000000", "2026-13-01T00:00:00Z"])
def test_a_validity_that_cannot_be_read_is_refused(value: str) -> None:
    """A validUntil that is not a time does not mean forever."""
    assert "not a time" in refusal(valid_until(value)["entity"])


def test_the_validity_of_another_entity_does_not_matter() -> None:
    """In a group, an expired neighbour spoils nothing."""
    xml = group(A, entity(entity_id="https://b.example/", attributes='validUntil="2020-01-01T00:00:00Z"'))

    assert read_idp_metadata(xml.encode(), now=NOW, entity_id="https://a.example/").entity_id == "https://a.example/"


# Without metadata


def test_an_identity_provider_is_described_by_hand() -> None:
    """Entity id, sign-in URL and certificates as an admin page shows them are enough."""
    provider = describe_identity_provider(ENTITY_ID, SSO_URL, [in_pem(SIGNING), in_pem(OTHER)])

    assert provider.entity_id == ENTITY_ID
    assert provider.sso == Endpoint(BINDING_REDIRECT, SSO_URL)
    assert [key.public_key for key in provider.keys] == [SIGNING.public_key(), OTHER.public_key()]
    assert provider.slo_endpoints == ()
    assert describe_identity_provider(ENTITY_ID, SSO_URL, [in_pem(SIGNING)], BINDING_POST).sso.binding == BINDING_POST


@pytest.mark.parametrize(
    ("entity_id", "sso_url", "certificates", "binding", "why"),
    [
        ("", SSO_URL, [in_pem(SIGNING)], BINDING_REDIRECT, "entity id"),
        (ENTITY_ID, "http://idp.example/", [in_pem(SIGNING)], BINDING_REDIRECT, "the sign-in URL is http"),
        (ENTITY_ID, "javascript:x", [in_pem(SIGNING)], BINDING_REDIRECT, "the sign-in URL is not"),
        (ENTITY_ID, SSO_URL, [], BINDING_REDIRECT, "no signing certificate"),
        (ENTITY_ID, SSO_URL, [in_pem(SIGNING), "x"], BINDING_REDIRECT, "signing certificate 2: "),
        (ENTITY_ID, SSO_URL, [in_pem(SIGNING)], "HTTP-Redirect", "the binding is neither"),
    ],
)
def test_by_hand_the_same_is_refused_as_in_metadata(
    entity_id: str, sso_url: str, certificates: list[str], binding: str, why: str
) -> None:
    """There is no way around the checks."""
    with pytest.raises(MetadataUnusable, match=why):
        describe_identity_provider(entity_id, sso_url, certificates, binding)


# Real ones


def samples() -> list[Path]:
    return sorted((SHARED / "idp-samples").glob("*metadata*.xml"))


@pytest.mark.skipif(
    not samples() and os.environ.get("CI") != "true", reason="no samples of real identity providers at hand"
)
def test_metadata_that_real_identity_providers_published_is_read() -> None:
    """Each sample names a place to sign in and a key, or two while a rollover is in progress."""
    read = {path.name: read_idp_metadata(path.read_bytes(), now=NOW) for path in samples()}

    assert len(read) >= 6
    for provider in read.values():
        assert provider.sso.binding == BINDING_REDIRECT
        assert {endpoint.binding for endpoint in provider.slo_endpoints} == {BINDING_REDIRECT, BINDING_POST}
    keys = {name: len(provider.keys) for name, provider in read.items()}
    assert keys["simplesamlphp-idp-metadata.xml"] == 1
    assert keys["simplesamlphp-metadata-rollover-announce.xml"] == 2
    assert keys["simplesamlphp-metadata-rollover-switched.xml"] == 2
    assert keys["simplesamlphp-metadata-rollover-done.xml"] == 1


def test_our_metadata_names_single_logout_only_where_there_is_one(certificates: list[str]) -> None:
    """By both bindings, and where the schema has it: after the keys, before the formats (SAML metadata 2.4.2)."""
    url = "https://app.example.com/sso/acme/slo"
    build = partial(build_sp_metadata, SERVICE_PROVIDER, signing=certificates[:1], encryption=[])
    (role,) = etree.fromstring(build(slo_url=url)).findall(f"{MD}SPSSODescriptor")

    services = [dict(service.items()) for service in role.findall(f"{MD}SingleLogoutService")]
    assert services == [{"Binding": binding, "Location": url} for binding in (BINDING_REDIRECT, BINDING_POST)]
    names = [etree.QName(child).localname for child in role]
    assert names[:4] == ["KeyDescriptor", "SingleLogoutService", "SingleLogoutService", "NameIDFormat"]
    assert b"SingleLogoutService" not in build()


SLO_SERVICE = '<SingleLogoutService Binding="{}" Location="https://idp.example/slo" {}/>'


def with_slo(binding: str, more: str = "") -> bytes:
    metadata = IdentityProvider(slo_url="https://idp.example/slo").metadata
    return re.sub("<SingleLogoutService[^>]*>", SLO_SERVICE.format(binding, more), metadata).encode()


@pytest.mark.parametrize("binding", [BINDING_REDIRECT, BINDING_POST])
def test_answers_may_have_a_location_of_their_own(binding: str) -> None:
    """ResponseLocation (SAML metadata 2.2.2); without one they go where requests go."""
    own = read_idp_metadata(with_slo(binding, 'ResponseLocation="https://idp.example/answers"'), now=NOW).slo
    same = read_idp_metadata(with_slo(binding), now=NOW).slo

    assert own is not None
    assert own.for_responses == Endpoint(binding, "https://idp.example/answers")
    assert own.location == "https://idp.example/slo"
    assert same is not None
    assert same.for_responses == same == Endpoint(binding, "https://idp.example/slo")


def test_a_location_for_answers_must_be_one_to_send_browsers_to() -> None:
    """As every other."""
    with pytest.raises(MetadataUnusable, match="the ResponseLocation of SingleLogoutService"):
        read_idp_metadata(with_slo(BINDING_POST, 'ResponseLocation="javascript:alert(1)"'), now=NOW)


def test_logout_messages_go_by_redirect_where_there_is_a_choice() -> None:
    """A redirect works in a frame; by SOAP we send nothing."""
    soap = "urn:oasis:names:tc:SAML:2.0:bindings:SOAP"
    both = with_slo(BINDING_POST).replace(b"</IDPSSO", SLO_SERVICE.format(BINDING_REDIRECT, "").encode() + b"</IDPSSO")

    chosen = read_idp_metadata(both, now=NOW).slo
    assert chosen is not None
    assert chosen.binding == BINDING_REDIRECT
    assert read_idp_metadata(with_slo(soap), now=NOW).slo is None
