"""What the ACS found out, as it waits for `finish`: sealed in the store, its handle in one browser's cookie."""

from __future__ import annotations

import base64
import json
import re
import secrets
from dataclasses import dataclass, field

from ..saml.assertion import Assertion, dump_assertion, load_assertion
from ..tokens import hash_token, new_token
from ..web import Cookie, Request
from .site import Site

KIND = "pending"
_PURPOSE = "pending-login"
_ATTEMPT = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The identity provider's assertion, verified. `return_to` is only used for an unsolicited one."""

    assertion: Assertion = field(repr=False)
    return_to: str = "/"


@dataclass(frozen=True, slots=True)
class Failed:
    """The identity provider said no; believed, since a failure needs no proof."""

    status: str
    message: str = field(default="", repr=False)
    """The identity provider's own words, printable and short: for the admin only."""


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of a connection test, to be shown to who made it; `code` is of the refusal, if it was one."""

    assertion: Assertion | None = field(repr=False)
    findings: tuple[dict[str, object], ...] = field(repr=False)
    """Of every check, as `saml.explaining.stored.as_record` says it."""
    code: str | None = None
    why: str | None = None
    message: str = field(default="", repr=False)
    """The identity provider's own words, for the page alone."""
    stamp: str = ""
    """Of what the connection said then."""


Outcome = SignedIn | Failed | Tested


def seal_outcome(site: Site, outcome: Outcome) -> bytes:
    record: dict[str, object]
    if isinstance(outcome, Failed):
        record = {"failed": outcome.status, "message": outcome.message}
    elif isinstance(outcome, Tested):
        assertion = None if outcome.assertion is None else _to_text(outcome.assertion)
        record = {"tested": assertion, "findings": outcome.findings, "code": outcome.code, "why": outcome.why}
        record |= {"message": outcome.message, "stamp": outcome.stamp}
    else:
        record = {"assertion": _to_text(outcome.assertion), "return_to": outcome.return_to}
    return site.sealer.seal(json.dumps(record).encode(), _PURPOSE)


def open_outcome(site: Site, sealed: bytes) -> Outcome:
    record = json.loads(site.sealer.open(sealed, _PURPOSE))
    if "failed" in record:
        return Failed(record["failed"], record.get("message", ""))
    if "tested" in record:
        assertion = None if record["tested"] is None else _from_text(record["tested"])
        told = record["code"], record["why"], record.get("message", ""), record.get("stamp", "")
        return Tested(assertion, tuple(record["findings"]), *told)
    return SignedIn(_from_text(record["assertion"]), record["return_to"])


def _to_text(assertion: Assertion) -> str:
    return base64.b64encode(dump_assertion(assertion)).decode()


def _from_text(text: str) -> Assertion:
    return load_assertion(base64.b64decode(text))


@dataclass(frozen=True, slots=True)
class Handle:
    """Names one pending login, or another one of a browser's. The attempt is in the URL and says which cookie to read.

    A cookie name of its own keeps two tabs that finish at once from overwriting each other's.
    """

    attempt: str
    token: str = field(repr=False)
    kind: str = KIND

    @property
    def hash(self) -> str:
        return hash_token(self.token)

    def cookie(self, site: Site, *, seconds: int) -> Cookie:
        return site.cookie(f"{self.kind}-{self.attempt}", self.token, seconds=seconds)

    def no_cookie(self, site: Site) -> Cookie:
        return site.no_cookie(f"{self.kind}-{self.attempt}")


def new_handle(kind: str = KIND) -> Handle:
    return Handle(secrets.token_hex(6), new_token(), kind)


def handle_of(site: Site, request: Request, kind: str = KIND) -> Handle | None:
    """The handle that the URL's attempt and this browser's cookie make together."""
    attempt = request.query_value("attempt") or ""
    if not _ATTEMPT.fullmatch(attempt):
        return None
    token = request.cookie(site.cookie_name(f"{kind}-{attempt}"))
    return Handle(attempt, token, kind) if token else None
