"""A mail, and the message that it becomes. What it says is its sender's; how it is sent is `smtp`'s or the host's."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

# A link must stay one line: RFC 5322 2.1.1 allows 998 characters, and not every reader mends what was folded.
_POLICY = SMTP.clone(max_line_length=998, cte_type="7bit")


@dataclass(frozen=True, slots=True)
class Mail:
    """Plain text for one person. `to` is one plain address, as `addresses.read_email` makes them."""

    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    """May hold a link that lets somebody in: it belongs into no log."""

    def __post_init__(self) -> None:
        # The address comes from our own records, and the subject from our own texts; all the same.
        if not (self.to.isprintable() and self.subject.isprintable()) or self.to.count("@") != 1:
            raise ValueError("a mail's address and subject are one line each")


def build_message(mail: Mail, *, sender: str, now: datetime) -> EmailMessage:
    """The message. No header can hold a line break: the policy raises ValueError."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = _address(sender)
    message["To"] = _address(mail.to)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{secrets.token_hex(16)}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 5: nobody's holiday notice answers it
    message.set_content(mail.text)
    return message


def _address(text: str) -> Address:
    return Address(addr_spec=text)
