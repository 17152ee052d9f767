"""Send what waits in the outbox: by housekeeping, in whichever process; each row by one of them at a time.

What could not be sent is tried again, later each time, until it is of no use any more. What a row
becomes is `recovery_links`'; how a mail travels, `outbox`'s.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from ..calling import Call
from ..errors import InvalidToken, MailFailed, SealedWithUnknownKey, StoreError
from ..events import Event
from ..faults import stack_of
from ..mail import Mail
from ..stores.mail_records import WaitingMail
from .limits import MINUTE
from .outbox import can_send_mail, deliver, open_waiting
from .recovery_links import answer_request, tell_of_sent
from .reporting import record
from .site import Site

log = logging.getLogger("sso_middleware")

CLAIMED_FOR = timedelta(minutes=5)
"""After this another process may send what one has claimed: it died, most likely."""
BATCH = 10
BATCHES = 100
"""In one run; what is left waits for the next."""
_LONGEST_WAIT = timedelta(minutes=30)


@dataclass(slots=True)
class _Run:
    """What one run has met."""

    unreachable: MailFailed | None = None
    """Once the server is found to be down, nothing more is tried on it in this run."""


async def send_due_mail(site: Site, call: Call) -> None:
    """Where there is no way to send mail, it is left for a process that has one. Raises StoreUnavailable."""
    if not can_send_mail(site):
        return
    run = _Run()
    for _ in range(BATCHES):
        now = site.now()
        batch = await call(site.store.claim_due_mail, now, now + CLAIMED_FOR, limit=BATCH)
        for waiting in batch:
            await _handle(site, call, waiting, run)
        if len(batch) < BATCH:
            break


async def _handle(site: Site, call: Call, waiting: WaitingMail, run: _Run) -> None:
    try:
        await _send(site, call, waiting, run)
    except MailFailed as error:
        run.unreachable = run.unreachable or (error if error.is_server else None)
        await _try_later(site, call, waiting, error)
    except (InvalidToken, SealedWithUnknownKey) as error:
        await _give_up(site, call, waiting, error.detail)
    except StoreError:
        raise
    except Exception as error:  # one row that can't be understood must not be in the way of all behind it
        log.error("mail of kind %r: unexpected %s\n%s", waiting.kind, type(error).__name__, stack_of(error))
        await _give_up(site, call, waiting, f"unexpected {type(error).__name__}")
    else:
        await call(site.store.delete_mail, waiting.id)


async def _send(site: Site, call: Call, waiting: WaitingMail, run: _Run) -> None:
    value = open_waiting(site, waiting)
    if waiting.kind == "mail":
        await _deliver(site, call, Mail(value["to"], value["subject"], value["text"]), run)
        return
    answer = await answer_request(site, call, value["address"], is_first_attempt=waiting.attempts == 1)
    if answer is None:
        # Told as a number only, with the refusals that are counted: each could be a stranger's.
        site.counters.leave_untold(None, "recovery_access_refused", site.now(), site.now() + MINUTE)
        return
    await _deliver(site, call, answer.mail, run)
    await tell_of_sent(site, call, answer)


async def _deliver(site: Site, call: Call, mail: Mail, run: _Run) -> None:
    if run.unreachable is not None:
        raise run.unreachable
    await deliver(site, call, mail)


async def _try_later(site: Site, call: Call, waiting: WaitingMail, error: MailFailed) -> None:
    wait = min(timedelta(minutes=2 ** min(waiting.attempts - 1, 10)), _LONGEST_WAIT)
    again = site.now() + wait
    if error.is_final or again >= waiting.expires_at:
        await _give_up(site, call, waiting, error.detail)
        return
    await call(site.store.put_off_mail, waiting.id, again, error.detail)
    await _tell_of_failure(site, call, waiting, error.detail, again.isoformat(timespec="seconds"))


async def _give_up(site: Site, call: Call, waiting: WaitingMail, why: str) -> None:
    await call(site.store.delete_mail, waiting.id)
    await _tell_of_failure(site, call, waiting, why, "never")


async def _tell_of_failure(site: Site, call: Call, waiting: WaitingMail, why: str, again: str) -> None:
    detail = {"kind": waiting.kind, "why": why, "attempts": str(waiting.attempts), "tried again": again}
    await record(site, call, Event(MailFailed.code, site.now(), detail=detail), logging.WARNING)
