"""MDT: metadata that is malformed, out of date, wrapped, too weak, or leads browsers where they must not go.

What the reader of a pasted or downloaded document decides, and that an app with such a connection does
not start. Fetching by URL, and what a changed document may change, are test_mdt_fetching.py's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from tests.identity_provider import make_signer, sign
from tests.response_shape import SIGNATURE_PLACEHOLDER
from tests.saml.test_metadata import (
    ENTITY_ID,
    NOW,
    certificate_for,
    endpoint,
    entity,
    group,
    idp_role,
    in_xml,
    key_descriptor,
    sp_role,
)
from tests.world import World

from sso_middleware import ConfigurationError
from sso_middleware.errors import MetadataUnusable
from sso_middleware.saml.certificates import read_certificate
from sso_middleware.saml.metadata import read_idp_metadata
from sso_middleware.saml.parties import IdentityProvider

MakeWorld = Callable[..., World]

one_world = pytest.mark.parametrize("make_world", [("wsgi", "plain")], indirect=True, ids="-".join)
both_worlds = pytest.mark.parametrize("make_world", [("wsgi", "plain"), ("asgi", "plain")], indirect=True, ids="-".join)

HONEST = certificate_for(rsa.generate_private_key(65537, 2048))
EVIL = certificate_for(rsa.generate_private_key(65537, 2048))
DS = "http://www.w3.org/2000/09/xmldsig#"


@dataclass(frozen=True)
class BadMetadata:
    """A row of the table: a document, what the admin is told of it, and the honest one beside it."""

    row: str
    sent: str
    words: str
    """What the refusal says, in part."""
    document: str = field(repr=False)
    twin: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.row} {self.sent}"


def provider(
    *keys: str, sso_url: str = "https://idp.example/sso", slo_url: str | None = None, attributes: str = ""
) -> str:
    endpoints = endpoint(sso_url) + (endpoint(slo_url, tag="SingleLogoutService") if slo_url is not None else "")
    content = "".join(keys or (key_descriptor(in_xml(HONEST)),)) + endpoints
    return entity(idp_role(content), attributes=attributes)


def bad(row: str, sent: str, words: str, document: str, twin: str | None = None) -> BadMetadata:
    return BadMetadata(row, sent, words, document, twin or provider())


def locations(*rows: tuple[str, str, str]) -> tuple[BadMetadata, ...]:
    """Where we would send browsers, to sign in and to sign out."""
    return tuple(
        bad("MDT-008", f"{sent}, {which}", words, provider(**{parameter: location}),
            provider(**{parameter: "https://idp.example/other?a=1"}))
        for sent, words, location in rows
        for which, parameter in (("sso", "sso_url"), ("slo", "slo_url"))
    )  # fmt: skip


def weak(sent: str, words: str, *keys: str) -> tuple[BadMetadata, ...]:
    """As the only key, and beside a good one."""
    beside = (key_descriptor(in_xml(HONEST)), *keys)
    return (
        bad("MDT-009", sent, words, provider(*keys)),
        bad("MDT-009", f"{sent}, beside a good one", words, provider(*beside)),
    )


def key_of(private_key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey) -> str:
    return key_descriptor(in_xml(certificate_for(private_key)))


A, B = (entity(entity_id=f"https://{name}.example/") for name in "ab")
INTERNAL = '<!DOCTYPE md [<!ENTITY id "x">]>'
EXTERNAL = '<!DOCTYPE md SYSTEM "https://evil.example/x.dtd">'
EXPANDING = '<!DOCTYPE md [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
PAST = 'validUntil="2026-11-21T11:59:59Z"'
AHEAD = 'validUntil="2026-11-21T21:00:01Z"'

ATTACKS: tuple[BadMetadata, ...] = (
    bad("MDT-001", "internal DTD", "not acceptable XML", INTERNAL + provider()),
    bad("MDT-001", "external DTD", "not acceptable XML", EXTERNAL + provider()),
    bad("MDT-001", "expanding entities", "not acceptable XML", EXPANDING + provider(sso_url="https://idp.example/&b;")),
    bad("MDT-001", "undeclared entity", "not acceptable XML", provider(sso_url="https://idp.example/&x;")),
    bad("MDT-001", "processing instruction", "not acceptable XML", f'<?xml-stylesheet href="x"?>{provider()}'),
    bad("MDT-002", "entity", "was valid until", provider(attributes=PAST), provider(attributes=AHEAD)),
    bad("MDT-002", "role", "was valid until", entity(idp_role(attributes=PAST)), entity(idp_role(attributes=AHEAD))),
    bad("MDT-002", "group", "was valid until", group(provider(), attributes=PAST), group(provider(), attributes=AHEAD)),
    *locations(
        ("javascript", "not an https URL", "javascript:alert(1)"),
        ("JavaScript in any case", "not an https URL", "JaVaScRiPt:alert(1)"),
        ("data", "not an https URL", "data:text/html,&lt;script>alert(1)&lt;/script>"),
        ("http", "http, not https", "http://idp.example/sso"),
        ("quotes", "characters", "https://idp.example/&quot;onmouseover=&quot;alert(1)"),
        ("an apostrophe", "characters", "https://idp.example/'x"),
        ("a line break", "characters", "https://idp.example/&#10;Set-Cookie:x"),
        ("user@", "characters", "https://idp.example@evil.example/"),
        ("a directive of our policy", "characters", "https://idp.example;report-uri/"),
        ("a policy of its own", "characters", "https://idp.example,sandbox/"),
        ("any host", "characters", "https://*.example/"),
    ),
    bad("MDT-009", "no KeyDescriptor", "no signing certificate", entity(idp_role(endpoint()))),
    bad("MDT-009", "a key for encryption only", "no signing certificate",
        provider(key_descriptor(in_xml(HONEST), use="encryption"))),
    *weak("garbage", "X.509", key_descriptor("AAAA")),
    *weak("not base64", "neither PEM nor base64", key_descriptor("not base64!")),
    *weak("DSA", "neither RSA", key_of(dsa.generate_private_key(2048))),
    *weak("RSA of 1024 bits", "1024 bits", key_of(rsa.generate_private_key(65537, 1024))),
    *weak("secp256k1", "P-256, P-384 or P-521", key_of(ec.generate_private_key(ec.SECP256K1()))),
    *weak("P-224", "P-256, P-384 or P-521", key_of(ec.generate_private_key(ec.SECP224R1()))),
    bad("MDT-011", "two", "https://a.example/, https://b.example/", group(A, B), group(A)),
    bad("MDT-011", "in nested groups", "say which one", group(group(A), group(group(B))), group(group(group(A)))),
    bad("MDT-011", "one entity id twice", "more than once", group(A, A), group(A, B.replace("IDPSSO", "SPSSO"))),
    bad("MDT-011", "the second in another group", "more than once", group(group(A), group(A))),
    bad("MDT-011", "the second a service provider", "more than once",
        group(A, entity(sp_role(), entity_id="https://a.example/"))),
)  # fmt: skip


def read(document: str) -> IdentityProvider:
    return read_idp_metadata(document.encode(), now=NOW)


@pytest.mark.parametrize("row", ATTACKS, ids=str)
def test_the_document_is_refused_in_words(row: BadMetadata) -> None:
    """The admin who supplied it is told what is wrong with it."""
    with pytest.raises(MetadataUnusable) as refused:
        read(row.document)
    assert row.words in refused.value.detail
    assert "\n" not in refused.value.detail


@pytest.mark.parametrize("row", ATTACKS, ids=str)
def test_the_honest_twin_is_read(row: BadMetadata) -> None:
    """The same kind of document without the fault."""
    assert read(row.twin).keys


@one_world
def test_an_app_with_such_a_connection_does_not_start(make_world: MakeWorld) -> None:
    """Every row again, as a setting: refused at start, by the connection's name and in the same words."""
    plain = make_world()
    wrong = [str(row) for row in ATTACKS if row.words not in problem_at_start(make_world, plain, row.document)]
    assert wrong == []


def problem_at_start(make_world: MakeWorld, plain: World, document: str) -> str:
    """What is said of connection `acme` with this metadata; "it starts" if nothing."""
    try:
        make_world(connections=[plain.connection(metadata=document)])
    except ConfigurationError as error:
        return "".join(problem for problem in error.problems if problem.startswith("connection 'acme': "))
    return "it starts"


HIDDEN = entity(idp_role(key_descriptor(in_xml(EVIL)), endpoint("https://evil.example/sso")))
SIGNATURE_AROUND = f"<ds:Signature><ds:SignedInfo/><ds:SignatureValue/><ds:Object>{HIDDEN}</ds:Object></ds:Signature>"
EXTENSIONS_AROUND = f"<md:Extensions>{HIDDEN}</md:Extensions>"
ADVICE_AROUND = f'<x:Wrapper xmlns:x="https://evil.example/">{HIDDEN}</x:Wrapper>'


@pytest.mark.parametrize(
    "hiding", [SIGNATURE_AROUND, EXTENSIONS_AROUND, ADVICE_AROUND], ids=["signature", "ext", "other"]
)
@pytest.mark.parametrize("where", ["in front", "behind", "in the role", "in the group"])
def test_mdt_005_only_the_entity_in_its_own_place_is_read(hiding: str, where: str) -> None:
    """A second entity of the same id, hidden in what a signature leaves out or refers to, lends nothing to the first.

    The trap is to find an element by its ID or by a search, and another one by its place. We find by place
    only, each element within the one above it.
    """
    role = idp_role(key_descriptor(in_xml(HONEST)), endpoint())
    document = {
        "in front": entity(hiding, role),
        "behind": entity(role, hiding),
        "in the role": entity(idp_role(hiding, key_descriptor(in_xml(HONEST)), endpoint())),
        "in the group": group(hiding, entity(role)),
    }[where]
    found = read(document)
    assert found == read(entity(role))
    assert (found.entity_id, found.sso.location) == (ENTITY_ID, "https://idp.example/sso")


@pytest.mark.parametrize(
    "document",
    [SIGNATURE_AROUND.replace("<ds:Signature>", f'<ds:Signature xmlns:ds="{DS}">'), ADVICE_AROUND],
    ids=["signature", "other"],
)
def test_mdt_005_what_is_wrapped_whole_is_no_metadata(document: str) -> None:
    """The root must be the entity, or a group of entities."""
    with pytest.raises(MetadataUnusable, match="not EntityDescriptor"):
        read(document)


SIGNER = make_signer("metadata's own key")
STRANGER = make_signer("somebody else's key")


def signed_entity(entity_id: str = ENTITY_ID) -> str:
    """The honest description, signed: the Signature is its first child."""
    marked = entity(SIGNATURE_PLACEHOLDER, idp_role(key_descriptor(in_xml(HONEST)), endpoint()), attributes='ID="_1"')
    return sign(marked.replace(ENTITY_ID, entity_id), SIGNER)


def evil_entity(signature: str = "", id: str = "_2") -> str:
    role = idp_role(key_descriptor(in_xml(EVIL)), endpoint("https://evil.example/sso"))
    return entity(signature, role, attributes=f'ID="{id}"')


def signature_of(document: str) -> str:
    return document[document.index("<ds:Signature") : document.index("</ds:Signature>") + len("</ds:Signature>")]


def taken_out(document: str) -> str:
    return document.replace(signature_of(document), "")


def with_object(document: str, content: str) -> str:
    return document.replace("</ds:Signature>", f"<ds:Object>{content}</ds:Object></ds:Signature>")


SIGNED = signed_entity()
SIGNED_SIGNATURE = signature_of(SIGNED)
WRAPPED: dict[str, str] = {
    "evil root, the signed one in its signature": with_object(evil_entity(SIGNED_SIGNATURE), taken_out(SIGNED)),
    "evil root of the same ID": with_object(evil_entity(SIGNED_SIGNATURE, id="_1"), taken_out(SIGNED)),
    "evil root, the signed one within": evil_entity(f"<md:Extensions>{SIGNED}</md:Extensions>"),
    "evil root under the signed one's signature": evil_entity(SIGNED_SIGNATURE, id="_1"),
    "evil first in a group": group(evil_entity(), SIGNED),
    "evil last in a group": group(SIGNED, evil_entity()),
    "evil in a group that the signature is lifted to": group(SIGNED_SIGNATURE, evil_entity(), taken_out(SIGNED)),
    "evil beside it within the signed one": SIGNED.replace(
        "</md:EntityDescriptor>", evil_entity() + "</md:EntityDescriptor>"
    ),
    "an evil role within the signed one": SIGNED.replace(
        "<md:IDPSSODescriptor", idp_role(key_descriptor(in_xml(EVIL)), endpoint()) + "<md:IDPSSODescriptor", 1
    ),
    "signed by somebody else": sign(
        taken_out(SIGNED).replace("<md:IDP", SIGNATURE_PLACEHOLDER + "<md:IDP", 1), STRANGER
    ),
    "not signed": taken_out(SIGNED),
}


@pytest.mark.parametrize("document", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize("entity_id", [None, ENTITY_ID])
def test_mdt_005_what_is_read_is_what_was_signed(document: str, entity_id: str | None) -> None:
    """Where metadata must be signed, nothing beside or around the signed entity is taken for it."""
    keys = [read_certificate(SIGNER.certificate)]
    with pytest.raises(MetadataUnusable):
        read_idp_metadata(document.encode(), now=NOW, entity_id=entity_id, signed_by=keys)


@pytest.mark.parametrize(
    "document",
    [SIGNED, group(SIGNED), group(SIGNED, evil_entity().replace(ENTITY_ID, "https://evil.example/"))],
    ids=["alone", "in a group", "beside another's"],
)
def test_mdt_005_a_signed_entity_is_read(document: str) -> None:
    """Signed by itself, whatever group it stands in."""
    keys = [read_certificate(SIGNER.certificate)]
    found = read_idp_metadata(document.encode(), now=NOW, entity_id=ENTITY_ID, signed_by=keys)
    assert found == read(entity(idp_role(key_descriptor(in_xml(HONEST)), endpoint())))


@both_worlds
def test_mdt_010_an_expired_certificate_keeps_working(make_world: MakeWorld) -> None:
    """The key is what is pinned: its certificate's dates lock nobody out (Kantara IIP-MD11), and are shown."""
    plain = make_world()
    key = plain.idp.signer.private_key
    assert isinstance(key, rsa.RSAPrivateKey)
    ended = certificate_for(key, not_after=datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=1))
    document = plain.idp.metadata.replace(plain.idp.signer.certificate_body, in_xml(ended))
    world = make_world(connections=[plain.connection(metadata=document)])

    # Not by `post_response`: of the two verifiers that check us there, signxml minds a certificate's dates.
    posted = world.first_browser.post(world.acs_url, world.log_in(), cross_site=True)
    assert posted.status == 303, (posted.status, world.codes)
    assert world.first_browser.get(posted.location).status == 303
    assert world.first_browser.has_session
    pinned = next(iter(world.sso.site.connections)).trust.identity_provider.keys
    assert [key.not_after.year for key in pinned] == [2020]
