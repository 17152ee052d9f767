"""Fetching by URL: from real TLS servers on loopback, whose names an injected resolver gives out."""

from __future__ import annotations

import gzip
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_network
from pathlib import Path

import pytest
from tests.metadata_servers import BODY, MAX_BYTES, NAME, Authority, fetcher, reply, serving, to_loopback

from sso_middleware.egress import Guard
from sso_middleware.errors import EgressRefused, MetadataFetchFailed
from sso_middleware.fetching import Fetcher


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def refusal(fetch: Fetcher, url: str, max_bytes: int = MAX_BYTES) -> str:
    with pytest.raises(MetadataFetchFailed) as refused:
        fetch(url, max_bytes)
    return refused.value.detail


def test_a_document_is_fetched_by_name_from_the_address_that_was_checked(authority: Authority, tmp_path: Path) -> None:
    """The certificate is verified for the name, Host says the name, and the name is resolved exactly once."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with serving(reply(), authority.context_for(tmp_path, NAME)) as server:
        url = f"https://{NAME}:{server.port}/metadata?app=1"
        assert fetcher(authority, resolve)(url, MAX_BYTES) == BODY
        assert server.hosts == [f"{NAME}:{server.port}"]
        assert server.paths == ["/metadata?app=1"]
    assert asked == [NAME]


def test_an_address_that_does_not_answer_gives_way_to_the_next(authority: Authority, tmp_path: Path) -> None:
    """All were checked, so any of them will do."""
    guard = Guard(networks=(ip_network("127.0.0.0/8"),), resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"])
    with serving(reply(), authority.context_for(tmp_path, NAME)) as server:
        fetch = Fetcher(guard, tls=authority.client)
        assert fetch(f"https://{NAME}:{server.port}/", MAX_BYTES) == BODY


def test_redirects_are_followed_a_little_way(authority: Authority, tmp_path: Path) -> None:
    """Three of them, relative ones too; the fourth is one too many."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        left = int(handler.path[1:])
        (reply() if left == 0 else reply(b"", 302, Location=f"/{left - 1}"))(handler)

    with serving(answer, authority.context_for(tmp_path, NAME)) as server:
        fetch = fetcher(authority)
        assert fetch(f"https://{NAME}:{server.port}/3", MAX_BYTES) == BODY
        assert "redirects" in refusal(fetch, f"https://{NAME}:{server.port}/4")


@pytest.mark.parametrize("location", ["https://[", "//[::1", "https://[v1.x]/", "\x80\xff", "https://a b/", "ftp://x/"])
def test_a_redirect_to_nonsense_is_told_in_words(authority: Authority, tmp_path: Path, location: str) -> None:
    """Whoever answers can't break anything but its own fetch."""
    with serving(reply(b"", 302, Location=location), authority.context_for(tmp_path, NAME)) as server:
        assert refusal(fetcher(authority), f"https://{NAME}:{server.port}/")


def test_gzip_is_read_although_nobody_asked_for_it(authority: Authority, tmp_path: Path) -> None:
    """Some servers compress whatever one asks for; a broken stream is told in words."""
    packed = gzip.compress(BODY)
    with serving(reply(packed, Content_Encoding="gzip"), authority.context_for(tmp_path, NAME)) as server:
        assert fetcher(authority)(f"https://{NAME}:{server.port}/", MAX_BYTES) == BODY
    for body, encoding, why in (
        (packed[:-3], "gzip", "broke off"),
        (b"plain", "gzip", "something else"),
        (b"x", "br", "compresses"),
    ):
        with serving(reply(body, Content_Encoding=encoding), authority.context_for(tmp_path, NAME)) as server:
            assert why in refusal(fetcher(authority), f"https://{NAME}:{server.port}/")


@pytest.mark.parametrize(("status", "headers"), [(404, {}), (500, {}), (204, {}), (302, {})])
def test_anything_but_a_document_is_told_with_its_status(
    authority: Authority, tmp_path: Path, status: int, headers: dict[str, str]
) -> None:
    """A redirect without a Location is none."""
    with serving(reply(b"", status, **headers), authority.context_for(tmp_path, NAME)) as server:
        assert f"status {status}" in refusal(fetcher(authority), f"https://{NAME}:{server.port}/")


def test_a_server_that_is_away_is_told_in_words(authority: Authority, tmp_path: Path) -> None:
    """As is one that speaks no TLS, or no HTTP."""
    with serving(reply()) as server:
        assert "TLS" in refusal(fetcher(authority), f"https://{NAME}:{server.port}/")
    assert "can't be reached" in refusal(fetcher(authority), f"https://{NAME}:{server.port}/")

    def nonsense(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"nonsense\r\n\r\n")

    with serving(nonsense, authority.context_for(tmp_path, NAME)) as server:
        assert "HTTP" in refusal(fetcher(authority), f"https://{NAME}:{server.port}/")


def test_proxy_settings_of_the_environment_are_not_read(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would resolve the name again, and connect to what it finds."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(reply(), authority.context_for(tmp_path, NAME)) as server:
        assert fetcher(authority)(f"https://{NAME}:{server.port}/", MAX_BYTES) == BODY


def test_while_developing_this_very_machine_is_reached_by_http() -> None:
    """A dev IdP has no certificate; without `allow_loopback` the same is refused."""
    with serving(reply()) as server:
        url = f"http://localhost:{server.port}/metadata"
        assert Fetcher(Guard(allow_loopback=True, resolve=to_loopback))(url, MAX_BYTES) == BODY
        with pytest.raises(EgressRefused, match="https only"):
            Fetcher(Guard(resolve=to_loopback))(url, MAX_BYTES)


# The guard


def check(url: str, *addresses: str, **allowed: object) -> tuple[str, ...]:
    guard = Guard(resolve=lambda host, port: addresses, **allowed)  # type: ignore[arg-type]
    return guard.check(url).addresses


@pytest.mark.parametrize("address", ["93.184.216.34", "1.1.1.1", "2606:2800:220:1::1", "2a00:1450:4001:800::200e"])
def test_public_addresses_may_be_reached(address: str) -> None:
    assert check("https://idp.example.org/metadata", address) == (address,)


def test_a_listed_host_may_be_inside_and_nothing_else() -> None:
    """Its name opens internal networks for it alone; link-local and metadata services stay shut."""
    inside = frozenset({"idp.corp.example"})
    assert check("https://idp.corp.example/", "10.1.2.3", hosts=inside) == ("10.1.2.3",)
    for url, address in (
        ("https://other.corp.example/", "10.1.2.3"),
        ("https://idp.corp.example/", "169.254.169.254"),
        ("https://idp.corp.example/", "100.100.100.200"),
        ("https://idp.corp.example/", "fd00:ec2::254"),
        ("https://idp.corp.example/", "fe80::1"),
    ):
        with pytest.raises(EgressRefused, match="not a public address"):
            check(url, address, hosts=inside)


def test_a_listed_network_may_be_reached_by_any_name() -> None:
    networks = (ip_network("10.1.0.0/16"),)
    assert check("https://idp.example.org/", "10.1.2.3", networks=networks) == ("10.1.2.3",)
    with pytest.raises(EgressRefused):
        check("https://idp.example.org/", "10.2.0.1", networks=networks)


def test_a_name_that_cannot_be_resolved_is_told_in_words() -> None:
    def fails(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    with pytest.raises(EgressRefused, match="can't be resolved"):
        Guard(resolve=fails).check("https://idp.example.org/")
    with pytest.raises(EgressRefused, match="no address"):
        check("https://idp.example.org/")
