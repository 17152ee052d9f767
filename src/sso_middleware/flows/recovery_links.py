"""Recovery links: who is mailed one, and what the mail says. Nobody who asks learns any of it.

Decided by housekeeping, long after the request was answered. What a link opens is `recovery`'s.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from ..addresses import read_email
from ..calling import Call
from ..errors import EmailInvalid
from ..events import Event
from ..mail import Mail
from ..stores.configuration_records import Configuration
from ..stores.mail_records import RecoveryToken
from ..tokens import hash_token, new_token
from .admins import NamedAdmin, former_addresses_of, named_admins
from .outbox import leave_in_outbox
from .reporting import record
from .site import Site

PAGE = "recovery-access"
REQUEST_LASTS = timedelta(hours=1)
"""How long it is tried to answer a request: a link that comes later surprises."""
LINK_LASTS = timedelta(minutes=15)
NOTICE_LASTS = timedelta(days=2)
QUOTAS = ((2, timedelta(minutes=30)), (3, timedelta(hours=1)))
"""So many mails for one admin in so long. The first keeps whoever asks in an admin's name from using the hour up at
once: a new link can be had a quarter of an hour after the last one ended."""


@dataclass(frozen=True, slots=True)
class LinkMail:
    """What is to be mailed, and for whom it is."""

    mail: Mail
    admins: Sequence[NamedAdmin] = field(repr=False)


async def answer_request(site: Site, call: Call, address: str, *, is_first_attempt: bool) -> LinkMail | None:
    """The mail with the link, made now, for a named admin's address; None for any other, and where none may be sent."""
    try:
        email = read_email(address).address
    except EmailInvalid:
        return None
    configuration = await call(site.store.get_configuration)
    admins = [admin for admin in named_admins(site.settings, configuration, site.now()) if admin.email == email]
    if not admins:
        return None
    if is_first_attempt and not await _is_within_quotas(site, call, admins):
        return None
    good = [
        admin for admin in admins if not await _is_new_address(site, call, configuration, admin, tells=is_first_attempt)
    ]
    if not good:
        return None
    links = [(admin.organization, await make_link(site, call, admin)) for admin in good]
    return LinkMail(Mail(email, f"Recovery access to {_name_of(site)}", _text_of(site, links)), good)


async def make_link(site: Site, call: Call, admin: NamedAdmin) -> str:
    """A new link, the only good one of this admin from now on. It is in nobody's hands but the caller's."""
    token, now = new_token(), site.now()
    kept = RecoveryToken(hash_token(token), admin.organization, admin.email, now, now + LINK_LASTS)
    await call(site.store.add_recovery_token, kept)
    return site.page_url(PAGE, token=token)


async def tell_of_sent(site: Site, call: Call, sent: LinkMail) -> None:
    for admin in sent.admins:
        await _tell(site, call, "recovery_link_sent", admin)


async def _is_within_quotas(site: Site, call: Call, admins: Sequence[NamedAdmin]) -> bool:
    """Counts this one. Nobody who asks is told; the admins of the organization can read it in the events."""
    now, email = site.now(), admins[0].email
    for most, lasts in QUOTAS:  # what the first keeps back is not counted in the second
        name = f"recovery mail {lasts} {hash_token(email)}"
        counted = (await call(site.store.add_to_count, name, 1, now, now + lasts)).count
        if counted == most + 1:  # once a window, not at each request of a flood
            for admin in admins:
                await _tell(site, call, "recovery_access_refused", admin, why="several links were mailed a moment ago")
        if counted > most:
            return False
    return True


async def _is_new_address(
    site: Site, call: Call, configuration: Configuration, admin: NamedAdmin, *, tells: bool
) -> bool:
    """Whether it is too new to be trusted. Then whoever had the one before is told that somebody asked."""
    former = await former_addresses_of(site, call, configuration, admin)
    for address in former if tells else ():
        mail = {"to": address, "subject": f"Somebody asked for recovery access to {_name_of(site)}"}
        text = _NOTICE.format(site=site.settings.base_url, organization=admin.organization)
        await leave_in_outbox(site, call, "mail", mail | {"text": text}, NOTICE_LASTS)
    if former and tells:
        why = "the address was changed within the last 24 hours; the one before it is told"
        await _tell(site, call, "recovery_access_refused", admin, why=why)
    return bool(former)


async def _tell(site: Site, call: Call, code: str, admin: NamedAdmin, **detail: str) -> None:
    event = Event(code, site.now(), email=admin.email, detail={"organization": admin.organization, **detail})
    await record(site, call, event, logging.WARNING)


def _name_of(site: Site) -> str:
    return site.settings.host


def _text_of(site: Site, links: Sequence[tuple[str, str]]) -> str:
    told = "\n\n".join(f"For {organization}:\n\n{link}" for organization, link in links)
    return _LINK.format(site=site.settings.base_url, minutes=int(LINK_LASTS.total_seconds() // 60), links=told)


_LINK = """\
Somebody, probably you, asked for recovery access to single sign-on at
{site}

Open this link within {minutes} minutes, and press the button there. It works once, and a newer link replaces it.

{links}

If it was not you, do nothing: without the button nothing happens. Tell whoever looks after security at your
organization; the app's events say when it was asked for, and from which address of the network.
"""
_NOTICE = """\
Somebody asked for recovery access to the single sign-on of {organization} at
{site}

They gave the e-mail address that took the place of this one within the last 24 hours. No link was sent to it, since
it is so new.

If you did not have your address changed, tell whoever looks after security at your organization, now.
"""
