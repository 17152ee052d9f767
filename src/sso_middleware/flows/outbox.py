"""The outbox: a request leaves in it what is to be mailed, and never waits for a mail server, nor learns of an address.

What is kept is sealed, and bounded. Who takes it out, and when, is `sending`'s; how a mail travels is
decided here: by the host's hook, else by the SMTP server of the settings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta

from ..calling import Call
from ..errors import HookFailed, MailFailed
from ..hooks import has_send_mail
from ..mail import Mail
from ..smtp import read_smtp_url, send_by_smtp
from ..stores.mail_records import MailKind, WaitingMail
from .reporting import ask_host
from .site import Site

MOST_WAITING = 1000
"""Rows of two kilobytes at most. Those of strangers go as soon as somebody looks at them."""
_PURPOSE = "outbox"


async def leave_in_outbox(site: Site, call: Call, kind: MailKind, value: Mapping[str, str], lasts: timedelta) -> bool:
    """One write, whatever it holds. False if there is no room."""
    sealed = site.sealer.seal(json.dumps(dict(value)).encode(), _PURPOSE)
    now = site.now()
    return await call(site.store.add_to_outbox, kind, sealed, now, now + lasts, most=MOST_WAITING)


def open_waiting(site: Site, waiting: WaitingMail) -> dict[str, str]:
    """Raises SealedWithUnknownKey, InvalidToken."""
    value: dict[str, str] = json.loads(site.sealer.open(waiting.message, _PURPOSE))
    return value


def can_send_mail(site: Site) -> bool:
    """Whether this process has a way to."""
    return has_send_mail(site.hooks) or site.settings.smtp_url is not None


async def deliver(site: Site, call: Call, mail: Mail) -> None:
    """Raises MailFailed."""
    if has_send_mail(site.hooks):
        try:
            answer = await ask_host(call, site.hooks.send_mail, mail)
        except HookFailed as error:
            raise MailFailed(error.detail) from None
        if answer is False:
            raise MailFailed("the hook send_mail says that it did not send it")
        return
    settings = site.settings
    if settings.smtp_url is None or settings.mail_from is None:
        raise MailFailed("there is neither a hook send_mail nor smtp_url", is_server=True)
    await call(
        send_by_smtp,
        read_smtp_url(settings.smtp_url.get_secret_value()),
        mail,
        sender=settings.mail_from,
        our_name=settings.host.partition(":")[0],
        now=site.now(),
    )
