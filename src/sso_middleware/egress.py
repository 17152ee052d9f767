"""Decide where we may connect to, of our own accord: which URLs, and which of the addresses behind a name.

A URL that somebody typed must not make this server ask its own network (SSRF). A name is resolved once,
every address behind it must be allowed, and what is handed on are those very addresses: whoever
connects resolves nothing again (DNS rebinding). Connecting is fetching.py's.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import idna

from .errors import EgressRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
"""The addresses behind a name. Raises OSError."""

MAX_URL = 2048
LOWEST_HIGH_PORT = 1024
"""Below it lie the services of old (SSH, SMTP …), and of the web two ports only."""


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))


# Our own lists: what `is_global` means differs between releases of Python (DESIGN §8).
_INTERNAL = _networks(
    "10.0.0.0/8",
    "100.64.0.0/10",  # carrier-grade NAT, RFC 6598
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
)
"""Somebody's own network: only for a host that the operator listed."""
_METADATA_SERVICES = _networks(
    "100.100.100.200/32",  # Alibaba Cloud
    "168.63.129.16/32",  # Azure
    "192.0.0.192/32",  # Oracle Cloud
    "fd00:ec2::254/128",  # AWS
    "fd20:ce::254/128",  # Google Cloud
)
"""They hand out credentials to whoever asks. The one at 169.254.169.254 is link-local."""
_SPECIAL = _networks(
    # IANA's special-purpose registries (RFC 6890), and what never is a server's address.
    "0.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "2001::/23",  # Teredo and ORCHID among them
    "2001:db8::/32",
    "2002::/16",  # 6to4: an IPv4 address within
    "3fff::/20",
)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""RFC 4291 2.4. Outside lie IPv4-mapped and NAT64 addresses, link-local and multicast ones."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One request that may be made."""

    scheme: str
    host: str
    """As the certificate must name it, and as Host says it."""
    port: int
    path: str
    """With the query string."""
    addresses: tuple[str, ...]
    """Connect to one of these, and to nothing else."""


def resolve_by_system(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class Guard:
    """What may be reached. Without anything listed: the public internet, by https."""

    hosts: frozenset[str] = frozenset()
    """Names that may lead into an internal network (an identity provider of one's own)."""
    networks: tuple[Network, ...] = ()
    """Addresses that any name may lead to."""
    allow_loopback: bool = False
    """While developing: this very machine, by http too."""
    resolve: Resolve = field(default=resolve_by_system, repr=False)

    def check(self, url: str) -> Destination:
        """Where this URL leads, if that is allowed. Resolves its name. Raises EgressRefused."""
        scheme, host, port, path = _read(url)
        addresses = self._addresses(host, port)
        if scheme == "http" and not (self.allow_loopback and all(a.is_loopback for a in addresses)):
            raise EgressRefused(f"{host}: https only (http is for this very machine, while developing)")
        for address in addresses:
            if not self._allows(host, address):
                raise EgressRefused(
                    f"{host} leads to {address}, which is not a public address; if it is meant, list the host in"
                    " metadata_hosts_allowed"
                )
        return Destination(scheme, host, port, path, tuple(map(str, addresses)))

    def _addresses(self, host: str, port: int) -> list[Address]:
        try:
            return [ipaddress.ip_address(host)]
        except ValueError:
            pass
        try:
            found = [ipaddress.ip_address(text) for text in self.resolve(host, port)]
        except (OSError, ValueError) as error:
            raise EgressRefused(f"{host} can't be resolved") from error
        if not found:
            raise EgressRefused(f"{host} has no address")
        return found

    def _allows(self, host: str, address: Address) -> bool:
        if _is_in(address, self.networks):
            return True
        if _is_in(address, _METADATA_SERVICES):
            return False
        if self.allow_loopback and address.is_loopback:
            return True
        if _is_in(address, _INTERNAL):
            return host in self.hosts
        return not _is_in(address, _SPECIAL) and (address.version == 4 or address in _GLOBAL_UNICAST)


def check_url(url: str) -> None:
    """As much as can be told without resolving a name. Raises EgressRefused."""
    _read(url)


def _read(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path of a URL that is written in one way only."""
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise EgressRefused("the URL is too long, or has characters in it that must be percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise EgressRefused("this is not a URL") from None
    if parts.scheme not in ("https", "http"):
        raise EgressRefused("the URL must begin with https://")
    if "@" in parts.netloc:
        raise EgressRefused("the URL must not hold a user name or a password")
    port = port if port is not None else {"https": 443, "http": 80}[parts.scheme]
    if port not in (80, 443) and port < LOWEST_HIGH_PORT:
        raise EgressRefused(f"port {port} is none of a web server's")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, _read_host(parts.hostname or "", is_bracketed="[" in parts.netloc), port, path


def _read_host(host: str, *, is_bracketed: bool) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if is_bracketed:
            raise EgressRefused("the URL's host is not an IP address") from None
    else:
        return str(address)
    try:
        name = idna.encode(host, strict=True, std3_rules=True).decode("ascii").lower()
    except UnicodeError:
        raise EgressRefused("the URL's host is not a host name") from None
    # 2130706433, 0177.0.0.1 and 0x7f.1 are addresses to some resolvers. No top-level domain begins with a digit.
    if name.rpartition(".")[2][:1].isdigit():
        raise EgressRefused("the URL's host is an address in an unusual spelling")
    return name


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
