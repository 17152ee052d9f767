"""MDT-003, 004, 006, 007, 012, 013 and 014: metadata that is fetched, and what somebody may have done to it.

Each is refused or held for a person, and its honest twin is taken over. The other rows of the class are
about the document alone: test_mdt.py.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from lxml import etree
from signxml.signer import XMLSigner
from tests.identity_provider import MD, IdentityProvider, make_signer
from tests.metadata_refreshing import NOW, URL, Refreshing, with_valid_until
from tests.metadata_servers import BODY, MAX_BYTES, NAME, Authority, fetcher, reply, serving
from tests.metadata_signing import in_group, signed

from sso_middleware.egress import Guard
from sso_middleware.errors import EgressRefused, MetadataFetchFailed, MetadataSignatureRefused
from sso_middleware.fetching import Fetcher
from sso_middleware.saml.certificates import read_certificate
from sso_middleware.saml.metadata import read_idp_metadata

IDP = IdentityProvider()
ROLLED = IdentityProvider(key="second")
FEDERATION = make_signer("the federation")
STRANGER = make_signer("not the federation")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


# MDT-003


@pytest.mark.parametrize("days", [None, 31], ids=["missing", "too far"])
def test_mdt_003_a_validity_without_a_near_end_is_held_where_one_is_demanded(
    make_refreshing: Callable[..., Refreshing], days: int | None
) -> None:
    """By policy: with metadata_max_validity it waits for a person, without it it is taken over."""
    document = IDP.metadata if days is None else with_valid_until(IDP.metadata, NOW + timedelta(days=days))
    strict = make_refreshing(metadata_max_validity="30d")
    copy = strict.refresh(document)
    assert (copy.document, strict.codes) == (None, ["metadata_held"])
    assert "metadata_max_validity" in (copy.held_reason or "")
    twin = strict.refresh(with_valid_until(IDP.metadata, NOW + timedelta(days=29)))
    assert (twin.held, strict.codes[-1]) == (None, "metadata_taken_over")


def test_mdt_003_without_a_policy_it_is_taken_over(make_refreshing: Callable[..., Refreshing]) -> None:
    """Most identity providers name no end; the event says so."""
    lenient = make_refreshing()
    assert lenient.refresh(IDP.metadata).document is not None
    assert lenient.events[-1].detail["valid_until"] == "not said"


# MDT-004, and MDT-005 of what is signed


OTHER = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso").metadata
EVIL = IdentityProvider(key="evil").metadata


def wrapped(genuine: bytes) -> bytes:
    """The signed entity inside one of the attacker's, that has its ID and carries its Signature."""
    inner, outer = etree.fromstring(genuine), etree.fromstring(EVIL.encode())
    outer.set("ID", "_m1")
    signature = inner[0]
    outer.insert(0, signature)
    holder = etree.SubElement(outer, f"{{{MD}}}Extensions")
    holder.append(inner)
    return etree.tostring(outer)


FORGED = {
    "stripped": IDP.metadata.encode(),
    "signed by a stranger": signed(IDP.metadata, STRANGER),
    "changed afterwards": signed(IDP.metadata, FEDERATION).replace(b"idp.acme.example/sso", b"idp.evil.example/sso"),
    "MDT-005: wrapped": wrapped(signed(IDP.metadata, FEDERATION)),
    "only a neighbour is signed": in_group(EVIL, signed(OTHER, FEDERATION)).encode(),
    "signed twice": signed(etree.tostring(etree.fromstring(signed(IDP.metadata, FEDERATION))).decode(), FEDERATION),
}


@pytest.mark.parametrize("document", FORGED.values(), ids=FORGED.keys())
def test_mdt_004_metadata_that_must_be_signed_is_refused_without(document: bytes) -> None:
    """MDT-004: where the connection names a certificate, nothing that it did not sign is read."""
    keys = [read_certificate(FEDERATION.certificate)]
    with pytest.raises(MetadataSignatureRefused):
        read_idp_metadata(document, now=NOW, entity_id=IDP.entity_id, signed_by=keys)


HONEST = {
    "the entity": signed(IDP.metadata, FEDERATION),
    "the whole group": signed(in_group(IDP.metadata, OTHER), FEDERATION),
    "one of a group": in_group(OTHER, signed(IDP.metadata, FEDERATION)).encode(),
    "with ECDSA": signed(IDP.metadata, make_signer("p256", "p256"), signature_algorithm="ecdsa-sha256"),
}


@pytest.mark.parametrize("document", HONEST.values(), ids=HONEST.keys())
def test_mdt_004_signed_metadata_is_read(document: bytes) -> None:
    """The honest twins: signed as a whole, or each entity by itself."""
    keys = [read_certificate(s.certificate) for s in (FEDERATION, make_signer("p256", "p256"))]
    provider = read_idp_metadata(document, now=NOW, entity_id=IDP.entity_id, signed_by=keys)
    assert provider.keys == IDP.describe().keys


def test_mdt_004_sha_1_signs_no_metadata() -> None:
    """There is no exception for it here."""

    class Lenient(XMLSigner):
        def check_deprecated_methods(self) -> None:
            pass

    root = etree.fromstring(IDP.metadata.encode())
    root.set("ID", "_m1")
    root.insert(0, etree.Element("{http://www.w3.org/2000/09/xmldsig#}Signature", Id="placeholder"))
    signer = Lenient(
        c14n_algorithm="http://www.w3.org/2001/10/xml-exc-c14n#",
        signature_algorithm="rsa-sha1",
        digest_algorithm="sha1",
    )
    document = signer.sign(root, key=FEDERATION.private_key, cert=FEDERATION.certificate, reference_uri="_m1")
    with pytest.raises(MetadataSignatureRefused, match="SHA-1"):
        read_idp_metadata(etree.tostring(document), now=NOW, signed_by=[read_certificate(FEDERATION.certificate)])


def test_mdt_004_an_unsigned_refresh_leaves_the_last_good_copy(make_refreshing: Callable[..., Refreshing]) -> None:
    """What was signed stays in use when the next document has lost its signature."""
    refreshing = make_refreshing(metadata_signing_certificates=[FEDERATION.certificate])
    good = refreshing.refresh(signed(IDP.metadata, FEDERATION))
    assert good.document is not None
    after = refreshing.refresh(ROLLED.metadata)
    assert (after.document, after.held) == (good.document, None)
    assert "not signed" in (after.problem or "")
    assert refreshing.codes == ["metadata_taken_over", "metadata_fetch_failed"]


# MDT-006, MDT-007


def test_mdt_006_another_entity_is_not_taken_over(make_refreshing: Callable[..., Refreshing]) -> None:
    """Even with a key that we know: the IdP that may speak for the connection was decided by a person."""
    refreshing = make_refreshing()
    good = refreshing.refresh(IDP.metadata)
    after = refreshing.refresh(IDP.metadata.replace(IDP.entity_id, "https://other.example/metadata"))
    assert after.document == good.document
    assert "another entity" in (after.held_reason or "")
    assert refreshing.codes == ["metadata_taken_over", "metadata_held"]
    twin = refreshing.refresh(IDP.metadata)
    assert (twin.held, twin.document) == (None, good.document)


def test_mdt_006_where_the_settings_name_the_entity_another_is_refused(
    make_refreshing: Callable[..., Refreshing],
) -> None:
    """Then there is nothing to approve: the settings say otherwise."""
    refreshing = make_refreshing(entity_id=IDP.entity_id)
    good = refreshing.refresh(IDP.metadata)
    after = refreshing.refresh(OTHER)
    assert (after.document, after.held) == (good.document, None)
    assert "no identity provider" in (after.problem or "")


def test_mdt_007_a_key_set_without_a_known_key_is_held(make_refreshing: Callable[..., Refreshing]) -> None:
    """And one that keeps a known key is taken over, with an event that says what came and what went."""
    refreshing = make_refreshing()
    good = refreshing.refresh(IDP.metadata)
    held = refreshing.refresh(ROLLED.metadata)
    assert (held.document, held.version) == (good.document, good.version)
    assert "none of its signing keys" in (held.held_reason or "")
    both = IDP.metadata.replace("<SingleSignOn", key_of(ROLLED) + "<SingleSignOn", 1)
    taken = refreshing.refresh(both)
    assert (taken.held, taken.version) == (None, good.version + 1)
    assert refreshing.refresh(ROLLED.metadata).held is None
    assert refreshing.codes == ["metadata_taken_over", "metadata_held", "metadata_taken_over", "metadata_taken_over"]
    assert refreshing.events[2].detail["new_keys"]
    assert refreshing.events[3].detail["gone_keys"]


def key_of(idp: IdentityProvider) -> str:
    start, end = idp.metadata.index("<KeyDescriptor"), idp.metadata.index("</KeyDescriptor>")
    return idp.metadata[start:end] + "</KeyDescriptor>"


# MDT-012


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/",
        "https://127.0.0.1/",
        "https://127.9.9.9/",
        "https://[::1]/",
        "https://[::]/",
        "https://0.0.0.0/",
        "https://10.1.2.3/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://198.18.0.1/",
        "https://168.63.129.16/",
        "https://[::ffff:10.0.0.1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::]/",
        "https://[2001:0:a00:1::]/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[ff02::1]/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.0.1./",
        "https://localhost/",
        "file:///etc/passwd",
        "gopher://idp.example.org/",
        "unix:///var/run/docker.sock",
        "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
        "https://user@idp.example.org/",
        "https://user:pw@idp.example.org/",
        "https://idp.example.org:22/",
        "https://idp.example.org:25/",
        "https://idp.example.org:0/",
        "https://idp.example.org:99999/",
        "http://idp.example.org/",
        "https://idp.example.org\\@127.0.0.1/",
        "https://idp.example.org/ HTTP/1.1",
        "https:///metadata",
        "//idp.example.org/",
        "",
    ],
)
def test_mdt_012_an_address_that_is_not_on_the_public_internet_is_refused(url: str) -> None:
    """Whatever its spelling; the resolver stands for one that reads every spelling of an address."""

    def resolve(host: str, port: int) -> list[str]:
        return ["93.184.216.34"] if host == "idp.example.org" else ["127.0.0.1"]

    guard = Guard(resolve=resolve)
    with pytest.raises(EgressRefused):
        guard.check(url)
    assert guard.check("https://idp.example.org/metadata").addresses == ("93.184.216.34",)


def test_mdt_012_one_bad_address_among_good_ones_is_enough() -> None:
    """Whoever names two would have us try the second."""
    with pytest.raises(EgressRefused):
        Guard(resolve=lambda host, port: ["93.184.216.34", "10.0.0.1"]).check("https://idp.example.org/")


def test_mdt_012_a_name_that_changes_its_mind_is_asked_once(authority: Authority, tmp_path: Path) -> None:
    """DNS rebinding: what was checked is what is connected to."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"], ["10.0.0.1"]])
    with serving(reply(), authority.context_for(tmp_path, NAME)) as server:
        assert fetcher(authority, lambda host, port: next(answers))(f"https://{NAME}:{server.port}/", MAX_BYTES) == BODY
        assert next(answers) == ["10.0.0.1"]


@pytest.mark.parametrize(
    "target", ["https://inside.example.org/", "https://10.0.0.1/", "http://idp.example.org/", "file:///etc/passwd"]
)
def test_mdt_012_each_hop_of_a_redirect_is_checked_again(authority: Authority, tmp_path: Path, target: str) -> None:
    """A public address that leads inside is no way in."""

    def resolve(host: str, port: int) -> list[str]:
        return ["10.0.0.1"] if host == "inside.example.org" else ["127.0.0.1"]

    with serving(reply(b"", 302, Location=target), authority.context_for(tmp_path, NAME)) as server:
        with pytest.raises(EgressRefused):
            fetcher(authority, resolve)(f"https://{NAME}:{server.port}/", MAX_BYTES)
        assert len(server.paths) == 1


# MDT-013


def dripping(released: threading.Event) -> Callable[[BaseHTTPRequestHandler], None]:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not released.wait(0.02):
            handler.wfile.write(b"x")

    return drip


def dripping_headers(released: threading.Event) -> Callable[[BaseHTTPRequestHandler], None]:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not released.wait(0.02):
            handler.wfile.write(b"X: y\r\n")

    return drip


@pytest.mark.parametrize("drip", [dripping, dripping_headers])
def test_mdt_013_whoever_sends_a_byte_now_and_then_is_not_waited_for(
    authority: Authority, tmp_path: Path, drip: Callable[[threading.Event], Callable[[BaseHTTPRequestHandler], None]]
) -> None:
    """The limit is on the whole, in the body as in the headers."""
    released = threading.Event()
    with serving(drip(released), authority.context_for(tmp_path, NAME)) as server:
        with pytest.raises(MetadataFetchFailed, match="took longer than"):
            fetcher(authority, total_seconds=0.4)(f"https://{NAME}:{server.port}/", 10_000_000)
        released.set()


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(40 * 16):
        handler.wfile.write(b"x" * 65536)


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"x" * (MAX_BYTES + 1)),
        endless,
        reply(gzip.compress(b"x" * 40_000_000), Content_Encoding="gzip"),
        reply(b"", Content_Length=str(40_000_000)),
    ],
    ids=["a byte too many", "40 MB", "a gzip bomb", "announced"],
)
def test_mdt_013_more_than_agreed_is_refused(
    authority: Authority, tmp_path: Path, answer: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    """And is neither read nor unpacked to its end; exactly as much as agreed is accepted."""
    with (
        serving(answer, authority.context_for(tmp_path, NAME)) as server,
        pytest.raises(MetadataFetchFailed, match=f"more than {MAX_BYTES} bytes"),
    ):
        fetcher(authority)(f"https://{NAME}:{server.port}/", MAX_BYTES)
    with serving(reply(b"x" * MAX_BYTES), authority.context_for(tmp_path, NAME)) as server:
        assert len(fetcher(authority)(f"https://{NAME}:{server.port}/", MAX_BYTES)) == MAX_BYTES


# MDT-014


@pytest.mark.parametrize(
    ("names", "days"),
    [(["other.example.org"], 1), (["127.0.0.1"], 1), ([NAME], -1)],
    ids=["name", "address", "expired"],
)
def test_mdt_014_a_bad_certificate_ends_it(authority: Authority, tmp_path: Path, names: list[str], days: int) -> None:
    """Of another name, of the address only, or expired: nothing is asked of that server."""
    with serving(reply(), authority.context_for(tmp_path, *names, days=days)) as server:
        with pytest.raises(MetadataFetchFailed, match="no certificate that we accept"):
            fetcher(authority)(f"https://{NAME}:{server.port}/", MAX_BYTES)
        assert server.paths == []


def test_mdt_014_an_authority_that_nobody_knows_ends_it(authority: Authority, tmp_path: Path) -> None:
    """As the system's authorities do for one that signed itself; the twin knows its own."""
    with serving(reply(), Authority().context_for(tmp_path, NAME)) as server:
        for fetch in (fetcher(authority), Fetcher(fetcher(authority)._guard)):
            with pytest.raises(MetadataFetchFailed, match="no certificate that we accept"):
                fetch(f"https://{NAME}:{server.port}/", MAX_BYTES)
        assert server.paths == []
    with serving(reply(), authority.context_for(tmp_path, NAME)) as server:
        assert fetcher(authority)(f"https://{NAME}:{server.port}/", MAX_BYTES) == BODY


def test_the_url_of_these_tests_may_be_fetched() -> None:
    """What is held or refused above is so for what it says, not for where it came from."""
    assert Guard(resolve=lambda host, port: ["93.184.216.34"]).check(URL).scheme == "https"
