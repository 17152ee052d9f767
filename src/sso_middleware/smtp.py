"""Hand a mail to the SMTP server that the settings name: encrypted, or not at all.

What is sent, when, and what follows a failure is for others to say. Nothing that the server answers is
repeated but its number: it may quote an address.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import unquote, urlsplit

from .errors import MailFailed
from .mail import Mail, build_message

SECONDS = 15.0
"""How long the server may take for each step."""
_PORTS = {"smtp": 587, "smtps": 465}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where, and as whom. `smtps`: encrypted from the first byte (RFC 8314); else by STARTTLS."""

    host: str
    port: int
    is_smtps: bool
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)

    @property
    def is_loopback(self) -> bool:
        """On this machine there is nobody in between: a server without STARTTLS will do."""
        return self.host in _LOOPBACK


def read_smtp_url(text: str) -> SmtpServer:
    """Raises ValueError in words that go on from the setting's name, and never hold the value."""
    if _UNPRINTABLE.search(text):
        raise ValueError("must not hold spaces or control characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL; percent-encode what is special in the password") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError('must be such as "smtp://user:password@mail.example.com:587" or "smtps://…"')
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must end after the host or the port; percent-encode /, ? and # in the password")
    if (parts.username is None) != (parts.password is None):
        raise ValueError("has a user without a password, or the other way round; give both or neither")
    return SmtpServer(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        is_smtps=parts.scheme == "smtps",
        user=parts.username and unquote(parts.username),
        password=parts.password and unquote(parts.password),
    )


def send_by_smtp(
    server: SmtpServer,
    mail: Mail,
    *,
    sender: str,
    our_name: str,  # what we call ourselves (EHLO): looking it up could take a while
    now: datetime,
) -> None:
    """Raises MailFailed, which says whether it is worth another try."""
    message = build_message(mail, sender=sender, now=now)
    context = ssl.create_default_context()
    with _in_words(), _connected(server, our_name, context) as client:
        if server.user is not None and server.password is not None:
            client.login(server.user, server.password)
        client.send_message(message)


def _connected(server: SmtpServer, our_name: str, context: ssl.SSLContext) -> smtplib.SMTP:
    if server.is_smtps:
        return smtplib.SMTP_SSL(server.host, server.port, our_name, timeout=SECONDS, context=context)
    client = smtplib.SMTP(server.host, server.port, our_name, timeout=SECONDS)
    try:
        client.ehlo()
        if client.has_extn("starttls"):
            client.starttls(context=context)
            client.ehlo()
        elif not server.is_loopback:
            # Whoever sits in between can take STARTTLS out of the server's answer (RFC 3207 6).
            raise MailFailed("the server offers no STARTTLS, and nothing is sent in the clear", is_server=True)
    except BaseException:
        client.close()
        raise
    return client


@contextmanager
def _in_words() -> Iterator[None]:
    """What smtplib, the sockets and TLS raise. Not chained: their texts quote addresses."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        code = next((code for code, _ in error.recipients.values()), 0)
        raise MailFailed(f"the server refused the recipient ({code})", is_final=500 <= code < 600) from None
    except smtplib.SMTPAuthenticationError as error:
        raise MailFailed(f"the server refused our user name or password ({error.smtp_code})", is_server=True) from None
    except smtplib.SMTPSenderRefused as error:
        raise MailFailed(f"the server refused mail_from ({error.smtp_code})", is_server=True) from None
    except smtplib.SMTPResponseException as error:
        raise MailFailed(f"the server refused the mail ({error.smtp_code})") from None
    except ssl.SSLCertVerificationError as error:
        raise MailFailed(f"the server's certificate: {error.verify_message}", is_server=True) from None
    except (smtplib.SMTPException, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise MailFailed(f"the server could not be reached: {reason}", is_server=True) from None
