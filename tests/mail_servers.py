"""An SMTP server on loopback that keeps what it is sent, and can refuse, demand a password, or speak TLS."""

from __future__ import annotations

import email
import email.policy
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from tests.servers import free_port


@dataclass
class Mailbox:
    """What came, and how. `refused` holds addresses that the server says no to, each with its answer."""

    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    port: int = 0
    arrived: threading.Event = field(default_factory=threading.Event, repr=False)

    async def handle_RCPT(  # noqa: N802 (so it is looked for)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        self.recipients += envelope.rcpt_tos
        assert server.transport is not None
        self.was_encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        self.arrived.set()
        return "250 OK"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        self.users.append(data.login.decode())
        return AuthResult(success=data.password == b"p@ss/word", handled=False)

    def text(self) -> str:
        """Of the last one. (A property would be looked at by the server, which looks for handlers.)"""
        return str(self.messages[-1].get_content())


@contextmanager
def mail_server(
    *,
    tls: ssl.SSLContext | None = None,
    is_smtps: bool = False,
    needs_login: bool = False,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[Mailbox]:
    box = Mailbox()
    more: dict[str, Any] = {"auth_required": needs_login, "authenticator": box.authenticate}
    if tls is not None and not is_smtps:
        more["tls_context"] = tls
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a password without TLS
        controller = Controller(
            box,
            hostname=host,
            port=port or free_port(),
            ssl_context=tls if is_smtps else None,
            auth_require_tls=False,
            ready_timeout=20,
            **more,
        )
        controller.start()
        box.port = controller.port
        try:
            yield box
        finally:
            controller.stop()
