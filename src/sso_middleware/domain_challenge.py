"""Prove by DNS that a domain is an organization's: a TXT record that only who runs the domain can make.

What the record must say is made anew for each claim and ends after a week, so that one that was left
behind proves nothing later, or for anybody else (TEN-008). Nothing here is asked while a request waits.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from .errors import ConfigurationError, DomainNotVerified
from .stores.configuration_records import StoredDomain

LASTS = timedelta(days=7)
PREFIX = "sso-middleware-verification="
_SECONDS = 5.0

Resolve = Callable[[str], Sequence[str]]
"""The TXT records under a name; none if there is no such name. Raises DomainNotVerified if nobody answers."""


def record_name(domain: str) -> str:
    """A label of its own: whoever may only make records of hosts can't make this one."""
    return f"_sso-middleware.{domain}"


def record_value(domain: StoredDomain) -> str:
    return f"{PREFIX}{domain.challenge}"


def with_challenge(domain: StoredDomain, now: datetime) -> StoredDomain:
    """With a new one, unless there is one that still lasts a day."""
    if domain.challenge_expires_at is not None and domain.challenge_expires_at > now + timedelta(days=1):
        return domain
    return replace(domain, challenge=secrets.token_urlsafe(24), challenge_expires_at=now + LASTS)


def verified_by_dns(domain: StoredDomain, resolve: Resolve, now: datetime) -> StoredDomain:
    """The same, verified. Raises DomainNotVerified with what was looked for and what was found."""
    name = record_name(domain.name)
    if domain.challenge is None or domain.challenge_expires_at is None or domain.challenge_expires_at <= now:
        raise DomainNotVerified(f"{domain.name} has no challenge that is still good: ask for a new one")
    found = [text.strip() for text in resolve(name)]
    if record_value(domain) not in found:
        others = "no TXT record" if not found else f"{len(found)} TXT records, none of them this"
        raise DomainNotVerified(
            f"expected a TXT record {record_value(domain)!r} under {name}; there is {others}. A new record can take"
            " an hour to be seen everywhere"
        )
    return replace(domain, verified_at=now, verified_by="dns", challenge=None, challenge_expires_at=None)


def make_resolve(servers: Sequence[tuple[str, int]] = ()) -> Resolve:
    """By these name servers (address, port), else this machine's. Raises ConfigurationError without the extra."""
    try:
        import dns.exception  # noqa: PLC0415 - needs the extra `dns`
        import dns.nameserver  # noqa: PLC0415
        import dns.resolver  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            "to verify a domain by DNS needs a package that is not installed: pip install 'sso-middleware[dns]'"
        ) from None

    resolver = dns.resolver.Resolver(configure=not servers)
    if servers:
        resolver.nameservers = [dns.nameserver.Do53Nameserver(address, port) for address, port in servers]

    def resolve(name: str) -> Sequence[str]:
        try:
            answer = resolver.resolve(f"{name}.", "TXT", lifetime=_SECONDS, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except dns.exception.DNSException as error:
            raise DomainNotVerified(f"DNS did not answer for {name} ({type(error).__name__}): try again") from None
        return [b"".join(record.strings).decode("ascii", "replace") for record in answer]

    return resolve
