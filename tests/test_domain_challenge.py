"""Whose domain it is, asked of a real name server on loopback; and which domains are nobody's."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dns.message
import dns.rcode
import dns.rrset
import pytest

from sso_middleware.claimable import why_not_claimable
from sso_middleware.domain_challenge import make_resolve, record_name, record_value, verified_by_dns, with_challenge
from sso_middleware.errors import DomainNotVerified
from sso_middleware.stores.configuration_records import StoredDomain

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


class NameServer:
    """Answers TXT questions over UDP; `says` is by name. None: it fails."""

    def __init__(self) -> None:
        self.says: dict[str, list[str] | None] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._socket.getsockname()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            wire, client = self._socket.recvfrom(4096)
            if not wire:
                return
            asked = dns.message.from_wire(wire)
            name = asked.question[0].name
            texts = self.says.get(name.to_text(omit_final_dot=True), [])
            answer = dns.message.make_response(asked)
            if texts is None:
                answer.set_rcode(dns.rcode.SERVFAIL)
            elif texts:
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *(f'"{text}"' for text in texts)))
            else:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            self._socket.sendto(answer.to_wire(), client)

    def close(self) -> None:
        self._socket.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.close()


def claimed() -> StoredDomain:
    return with_challenge(StoredDomain("acme.example", "acme", "offer", NOW), NOW)


def test_the_record_proves_it(server: NameServer) -> None:
    """Among others, and however the name server splits it."""
    domain = claimed()
    value = record_value(domain)
    server.says[record_name("acme.example")] = ["v=spf1 -all", f'{value[:20]}" "{value[20:]}']

    verified = verified_by_dns(domain, make_resolve([server.address]), NOW)

    assert (verified.verified_at, verified.verified_by, verified.challenge) == (NOW, "dns", None)


@pytest.mark.parametrize(
    ("says", "words"), [([], "no TXT record"), (["other"], "none of them"), (None, "DNS did not answer")]
)
def test_anything_else_proves_nothing(server: NameServer, says: list[str] | None, words: str) -> None:
    """Nothing there, something else, or nobody answers: each in words."""
    server.says[record_name("acme.example")] = says

    with pytest.raises(DomainNotVerified, match=words):
        verified_by_dns(claimed(), make_resolve([server.address]), NOW)


def test_the_record_under_another_name_proves_nothing(server: NameServer) -> None:
    """Who may make records for a host below may not speak for the domain."""
    domain = claimed()
    for name in ("acme.example", "_sso-middleware.sub.acme.example", "www.acme.example"):
        server.says[name] = [record_value(domain)]

    with pytest.raises(DomainNotVerified):
        verified_by_dns(domain, make_resolve([server.address]), NOW)


def test_a_challenge_is_asked_again_only_when_it_ends() -> None:
    """Whoever looks twice sees the same; after its end another one, so that an old record proves nothing."""
    domain = claimed()

    assert with_challenge(domain, NOW + timedelta(days=5)) == domain
    assert with_challenge(domain, NOW + timedelta(days=6, seconds=1)).challenge != domain.challenge
    with pytest.raises(DomainNotVerified, match="still good"):
        verified_by_dns(domain, lambda _: [record_value(domain)], NOW + timedelta(days=7))
    with pytest.raises(DomainNotVerified, match="still good"):
        verified_by_dns(replace(domain, challenge=None), lambda _: ["None"], NOW)


@pytest.mark.parametrize(
    "domain", ["acme.example", "acme.co.uk", "ada.github.io", "xn--bcher-kva.example", "acme.test"]
)
def test_an_organizations_domain_can_be_claimed(domain: str) -> None:
    """The honest twin: also one below a suffix of its own."""
    assert why_not_claimable(domain) is None


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        *((name, "mail provider") for name in ("gmail.com", "outlook.com", "gmx.de", "web.de", "proton.me", "qq.com")),
        *((name, "public suffix") for name in ("com", "co.uk", "github.io", "xn--p1ai", "onmicrosoft.com", "example")),
    ],
)
def test_what_is_nobodys_can_not_be_claimed(domain: str, words: str) -> None:
    """TEN-008: each for its own reason."""
    assert words in (why_not_claimable(domain) or "")
