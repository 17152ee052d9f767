"""Must this person come by single sign-on now? The one place that says so; the gate and the flows ask here.

Excluded people are looked for first. Then everybody of a domain that is exclusive and verified must, if its
connection is active and its go-live date has come; and managed people of a domain that is only offered. The
setting `enforcement = "off"` ends all of that, and nothing else: what passes on a protected path of mode
`everyone` stays an SSO session or somebody who is excluded. What becomes of who must is the gate's to do.
"""

from __future__ import annotations

import logging
import unicodedata
from datetime import timedelta
from typing import Literal

from ..addresses import Email, read_email
from ..calling import Call
from ..connections import Connection
from ..errors import EmailInvalid
from ..hooks import HostUser
from ..stores.role_records import ManagedPerson
from ..tokens import hash_token
from ..web import Request
from .limits import client_key
from .reporting import report
from .roles import find_managed
from .site import Site

log = logging.getLogger("sso_middleware")

Standing = Literal["free", "excluded", "bound"]
"""Of a host user without an SSO session: `bound` is who must have one."""

_TOLD_EVERY = timedelta(hours=1)


# Of a domain


def required_connection(site: Site, domain: str) -> Connection | None:
    """By which everybody of this domain, but the excluded, must come now."""
    if site.settings.enforcement == "off":
        return None
    return site.connections.exclusive_to(domain, site.now())


def binds_anybody(site: Site) -> bool:
    """Whether there is any domain whose people must come by SSO now."""
    return site.settings.enforcement == "on" and site.connections.has_exclusive(site.now())


# Of a person


def is_excluded(site: Site, email: Email) -> bool:
    """Only by the connection whose verified domain it is: no organization excludes another's people."""
    owner = site.connections.owner_of(email.domain)
    return owner is not None and email.address in owner.excluded_users


async def judge_host_user(site: Site, call: Call, host_user: HostUser) -> Standing:
    """May this user of the host's own use protected paths without SSO?

    What looks like an address but can't be read as one could still reach the host's account of
    somebody of an exclusive domain, so it is treated as one of those (TEN-007).
    """
    try:
        email = read_email(host_user.email)
    except EmailInvalid:
        email = None
    if email is not None and is_excluded(site, email):
        return "excluded"
    if site.settings.mode == "everyone" or _is_bound_by_domain(site, host_user, email):
        return "bound"
    if site.settings.enforcement == "off":
        return "free"
    # By the user that they are, too: an address at the host's is theirs to change.
    managed = await find_managed(site, call, site.connections, host_user)
    return "bound" if any(_must_come(site, person) for person in managed) else "free"


def _is_bound_by_domain(site: Site, host_user: HostUser, email: Email | None) -> bool:
    if email is None:
        return looks_like_an_address(host_user.email) and binds_anybody(site)
    return required_connection(site, email.domain) is not None


def _must_come(site: Site, person: ManagedPerson) -> bool:
    """Whoever is excluded by now need not, and whose domain is not in use any more could not."""
    connection = site.connections.of_domain(person.email.rpartition("@")[2])
    if connection is None or connection.id != person.connection_id:
        return False
    return person.email not in connection.excluded_users


def looks_like_an_address(text: str) -> bool:
    """Whether somebody behind us might take it for an address: a host may normalise what we don't."""
    return "@" in unicodedata.normalize("NFKC", text)


# What is told


async def tell_of_exclusion(site: Site, request: Request, call: Call, host_user: HostUser) -> None:
    """An excluded person passes by the host's own session, where without the exclusion they would not."""
    email = read_email(host_user.email)
    owner = site.connections.owner_of(email.domain)
    if site.settings.mode == "everyone" or required_connection(site, email.domain) is not None:
        await _tell(site, request, call, "exclusion_used", owner, email.address)


async def tell_of_ended_session(site: Site, request: Request, call: Call, host_user: HostUser) -> None:
    """Somebody who must come by SSO had a session of the host's own, and it was ended."""
    try:
        email = read_email(host_user.email)
    except EmailInvalid:
        await _tell(site, request, call, "host_session_ended", None, None)
        return
    owner = site.connections.owner_of(email.domain)
    await _tell(site, request, call, "host_session_ended", owner, email.address)


async def _tell(
    site: Site, request: Request, call: Call, code: str, connection: Connection | None, email: str | None
) -> None:
    """Once an hour of each address and client: each of their requests would be an event else."""
    now = site.now()
    name = f"{code}/{hash_token(f'{email} {client_key(request.client)}')}"
    if site.counters.find(name, now) is not None:
        return
    site.counters.open(name, now, now + _TOLD_EVERY)
    try:
        is_new = await call(site.store.claim_notice, f"{name}/{now:%Y-%m-%d %H}", now + 2 * _TOLD_EVERY)
    except Exception as error:  # whatever a store raises: it is told once more rather than not at all
        log.warning("whether %s was told is not known: %s", code, type(error).__name__)
        is_new = True
    if is_new:
        connection_id = None if connection is None else connection.id
        await report(site, request, call, code, connection_id=connection_id, email=email, is_trouble=True)
