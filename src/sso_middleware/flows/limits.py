"""The limiter: how often one client may ask before it is told to wait, and how many refusals are told in full.

It slows floods down, and never locks their victim out (ADR 5). What goes well is not counted, apart from
sign-ins begun. Where an address is full, whoever shares it honestly is told apart: by the login request
that a message answers, or by the mark of a browser that has signed in here before. No count is ever
kept per person or per connection that could refuse them.

Processes count together in the store, in steps: a tenth of a limit is counted in memory before it is
written, and a full one is remembered, so that a flood costs no transaction for each request. If the
store fails, each process goes by what it knows itself: the limiter neither opens a door nor shuts one.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import re
from dataclasses import dataclass
from datetime import timedelta

from ..calling import Call
from ..errors import SSOError, TooManyAttempts
from ..web import Request
from .browsers import known_browser
from .reporting import report
from .site import Site

log = logging.getLogger("sso_middleware")

MINUTE = timedelta(minutes=1)
UNKNOWN_CLIENT = "unknown"
"""A unix socket, or a proxy that does not tell: everybody is in one bucket, ten times as large."""


@dataclass(frozen=True, slots=True)
class Limit:
    """So many within a window that begins with the first."""

    name: str
    most: int
    window: timedelta = MINUTE

    @property
    def step(self) -> int:
        """How many a process counts by itself before it tells the store."""
        return max(1, self.most // 10)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Those who are counted together under one limit."""

    limit: Limit
    key: str

    @property
    def name(self) -> str:
        return f"{self.limit.name} {self.key}"


SIGN_INS = "sign-ins begun"
MISSES = "addresses without a connection"
REFUSED_RESPONSES = "refused responses"
REFUSED_LOGOUTS = "refused logout messages"
KEPT_FORMS = "forms kept"
RECOVERY_REQUESTS = "recovery links asked for"
EXCLUSIONS = "excluded addresses at the app's own forms"
SIGN_INS_OF_BROWSER = Limit("sign-ins begun by browser", 30)
MISSES_OF_BROWSER = Limit("addresses without a connection by browser", 10)
REFUSED_LOGOUTS_OF_BROWSER = Limit("refused logout messages by browser", 10)
EXCLUSIONS_OF_BROWSER = Limit("excluded addresses at the app's own forms by browser", 10)
KEPT_FORMS_OF_BROWSER = Limit("forms kept by browser", 10)
RECOVERY_REQUESTS_OF_BROWSER = Limit("recovery links asked for by browser", 3)
REFUSED_ANSWERS = Limit("refused answers to", 5, timedelta(hours=1))  # no login request lives longer
TOLD_IN_FULL = Limit("refusals told", 60)
FILLED_TOLD_IN_FULL = Limit("limits reached", 60)


# Who is counted


def sign_ins(site: Site, request: Request) -> Bucket:
    """Each makes a record and a signature of ours, and is counted whatever comes of it."""
    return _bucket(site, request, SIGN_INS, site.settings.sign_ins_per_minute, SIGN_INS_OF_BROWSER)


def misses(site: Site, request: Request) -> Bucket:
    """E-mail addresses for which the sign-in page found no connection (WEB-021, WEB-022)."""
    return _bucket(site, request, MISSES, site.settings.sign_ins_per_minute // 10, MISSES_OF_BROWSER)


def refused_responses(site: Site, request: Request) -> Bucket:
    """None of our cookies comes to the ACS, so there is no browser to tell apart."""
    return of_client(request, REFUSED_RESPONSES, site.settings.sign_ins_per_minute // 10)


def refused_logouts(site: Site, request: Request) -> Bucket:
    """Those inside a page are counted apart: another site's page can have its visitors' browsers ask for anything."""
    is_page = request.headers.get("Sec-Fetch-Dest", "document").lower() == "document"
    name = REFUSED_LOGOUTS if is_page else f"{REFUSED_LOGOUTS} in frames"
    return _bucket(site, request, name, site.settings.sign_ins_per_minute // 10, REFUSED_LOGOUTS_OF_BROWSER)


def kept_forms(site: Site, request: Request) -> Bucket:
    """Each is an event and a write of up to a mebibyte, and takes no more than the cookie of a session that is over."""
    return _bucket(site, request, KEPT_FORMS, site.settings.sign_ins_per_minute // 10, KEPT_FORMS_OF_BROWSER)


def recovery_requests(site: Site, request: Request) -> Bucket:
    """Each is a row of the outbox, whatever was typed: counted by client, never by address."""
    most = max(3, site.settings.sign_ins_per_minute // 100)
    return _bucket(site, request, RECOVERY_REQUESTS, most, RECOVERY_REQUESTS_OF_BROWSER)


def exclusions(site: Site, request: Request) -> Bucket:
    """Forms of the host's with the address of somebody excluded: the only ones of a domain that reach the host."""
    return _bucket(site, request, EXCLUSIONS, site.settings.sign_ins_per_minute // 10, EXCLUSIONS_OF_BROWSER)


def refused_answers(request_id: str) -> Bucket:
    """Of one login or logout request of ours."""
    return Bucket(REFUSED_ANSWERS, request_id)


def _bucket(site: Site, request: Request, name: str, most: int, of_browser: Limit) -> Bucket:
    """The client's; where that is full, the browser's own, if it has signed in here before."""
    bucket = of_client(request, name, most)
    known = known_browser(site, request) if is_full(site, bucket) else None
    return Bucket(of_browser, known) if known else bucket


def of_client(request: Request, name: str, most: int) -> Bucket:
    client = client_key(request.client)
    return Bucket(Limit(name, most * 10 if client == UNKNOWN_CLIENT else most), client)


_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::ffff:0:0:0/96"))
"""Where IPv4 is translated in front of us, all of it is within one /64 (RFC 6052 2.1, RFC 7915 6)."""
_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+|\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?")


def client_key(client: str | None) -> str:
    """The IPv4 address; of IPv6 the /64, since a client picks the rest itself (RFC 4291 2.5.4, RFC 8981).

    Some proxies add the client's port to X-Forwarded-For: it does not make another client.
    """
    with_port = _WITH_PORT.fullmatch(client or "")
    try:
        address = ipaddress.ip_address((with_port[1] or with_port[2]) if with_port else client or "")
    except ValueError:
        return UNKNOWN_CLIENT
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    if any(address in network for network in _TRANSLATED):
        return str(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return str(ipaddress.IPv6Network((int(address), 64), strict=False))


# Counting


def is_full(site: Site, bucket: Bucket) -> bool:
    tally = site.counters.find(bucket.name, site.now())
    return tally is not None and tally.total >= bucket.limit.most


def check(site: Site, bucket: Bucket) -> None:
    """Touches no store. Raises TooManyAttempts, which says when to come again."""
    now = site.now()
    tally = site.counters.find(bucket.name, now)
    if tally is not None and tally.total >= bucket.limit.most:
        wait = math.ceil((tally.ends_at - now).total_seconds())
        raise TooManyAttempts(f"more than {bucket.limit.most} {bucket.name}", seconds=max(1, wait))


async def count(site: Site, request: Request, call: Call, bucket: Bucket) -> None:
    """One more. An event says that the bucket is full: once a window, of all processes."""
    if not is_full(site, bucket) and await _fills(site, call, bucket):
        note = Bucket(FILLED_TOLD_IN_FULL, "")
        if not is_full(site, note):
            await _fills(site, call, note)
            await report(site, request, call, TooManyAttempts.code, is_trouble=True, detail=_detail_of(request, bucket))


async def is_first(site: Site, request: Request, call: Call, name: str) -> bool:
    """Whether this client did not do so within the last minute, as far as is known: worth an event."""
    bucket = Bucket(Limit(name, 1), client_key(request.client))
    return not is_full(site, bucket) and await _fills(site, call, bucket)


async def _fills(site: Site, call: Call, bucket: Bucket) -> bool:
    """Count one more; whether that made it full."""
    limit, now = bucket.limit, site.now()
    tally = site.counters.open(bucket.name, now, now + limit.window)
    if tally.add() % limit.step:
        return False
    try:
        known = await call(site.store.add_to_count, bucket.name, limit.step, now, now + limit.window)
        tally.total, tally.ends_at = known.count, known.ends_at
    except Exception as error:  # whatever a store raises: what we know ourselves must do
        log.warning("a limit is counted by this process alone: %s", type(error).__name__)
        tally.total += limit.step
    return tally.total >= limit.most > tally.total - limit.step


def _detail_of(request: Request, bucket: Bucket) -> dict[str, str]:
    detail = {"limit": f"{bucket.limit.most} {bucket.limit.name}", "counted": bucket.key}
    forwarded_for = ",".join(request.headers.getlist("X-Forwarded-For"))
    if forwarded_for and (request.client or "") not in forwarded_for:
        # The likeliest cause of an honest crowd at one address.
        detail["forwarded"] = "the request came by a proxy that is not one of trusted_proxies"
    return detail


# What is told in full


async def is_told_in_full(site: Site, call: Call, error: SSOError) -> bool:
    """Whether this refusal gets an event, a log line and a reference of its own, or is only counted.

    Sixty a minute of each connection do, and always those of a person whom the identity provider had
    vouched for. Whoever is only told to wait is counted: the event was told when the bucket was full.
    """
    if error.met_known_person:
        return True
    now = site.now()
    bucket = Bucket(TOLD_IN_FULL, error.connection_id or "")
    if not isinstance(error, TooManyAttempts) and not is_full(site, bucket):
        await _fills(site, call, bucket)
        return True
    site.counters.leave_untold(error.connection_id, error.code, now, now + TOLD_IN_FULL.window)
    return False
