"""The settings about mail: one value each, and what they may not be together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from .addresses import read_email
from .errors import EmailInvalid
from .smtp import read_smtp_url


def _smtp_url(value: SecretStr) -> SecretStr:
    read_smtp_url(value.get_secret_value())
    return value


def _mail_from(text: str) -> str:
    try:
        return read_email(text.strip()).address
    except EmailInvalid:
        raise ValueError("must be a plain e-mail address, without a name") from None


SmtpUrl = Annotated[SecretStr, AfterValidator(_smtp_url)]
MailFrom = Annotated[str, AfterValidator(_mail_from)]


def smtp_has_a_sender(smtp_url: SecretStr | None, mail_from: str | None) -> Iterator[str]:
    if smtp_url is not None and mail_from is None:
        yield "mail_from: is missing; smtp_url needs an address that our mail comes from"
    if mail_from is not None and smtp_url is None:
        yield "smtp_url: is missing; mail_from is for mail that we send ourselves"
