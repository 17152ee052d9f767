"""What the core sees of an HTTP request, and what it answers: plain frozen values.

The shells make a `Request` from a WSGI environ or an ASGI scope and carry out the decision, a
`PassThrough` or a `Reply`. Nothing here knows which of the two worlds it is in.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.datastructures import Headers
from werkzeug.http import dump_cookie

from .errors import BodyTooLarge, UnsupportedForm
from .principal import Credentials, Principal

BodyReader = Callable[[int], bytes | Awaitable[bytes]]
"""Reads the whole body, at most so many bytes; raises BodyTooLarge beyond. Called through `call`."""

HTML = ("text/html", "application/xhtml")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# RFC 9110 5.6.2 token; a cookie's value may hold none of these (RFC 6265 4.1.1).
_COOKIE_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")


@dataclass(frozen=True, slots=True)
class Request:
    """One request, or one websocket handshake, below the host's mount point."""

    method: str
    path: str
    """Decoded, below the mount, always with a leading slash."""
    raw_path: str | None
    """As sent, below the mount, still percent-encoded; None where the server does not tell."""
    query: str = field(repr=False)
    """The raw query string, without the question mark."""
    headers: Headers = field(repr=False)
    scheme: str
    host: str
    """What the client says our name is. For comparison only: our URLs come from `base_url`."""
    client: str | None
    """The client's address, behind the trusted proxies."""
    native: Mapping[str, Any] = field(repr=False)
    """The WSGI environ or ASGI scope, for hooks."""
    read_body: BodyReader = field(repr=False)
    is_websocket: bool = False

    def cookie(self, name: str) -> str | None:
        """The cookie's value; None if it is absent or comes more than once with different values.

        A second cookie of the same name was set by somebody else (a sibling host, a longer path).
        """
        return self.cookies().get(name)

    def cookies(self) -> dict[str, str | None]:
        """Every cookie by name, its value as `cookie` tells it."""
        found: dict[str, str | None] = {}
        for part in ";".join(self.headers.getlist("Cookie")).split(";"):
            # RFC 6265 4.2.1: blanks only. A browser doesn't take "\xa0__Host-…" for a __Host- cookie, so that a
            # sibling host can set it; nor may we.
            name, sign, value = part.strip(" \t").partition("=")
            if not sign:
                continue
            is_first = name not in found or found[name] == value
            found[name] = value if is_first and _COOKIE_VALUE.fullmatch(value) else None
        return found

    def query_value(self, name: str) -> str | None:
        """The one value of this query parameter; None if it is absent or repeated."""
        values = [value for key, value in parse_qsl(self.query, keep_blank_values=True) if key == name]
        return values[0] if len(values) == 1 else None


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie that we set. All are HttpOnly and SameSite=Lax; a `max_age` of 0 deletes."""

    name: str
    value: str = field(repr=False)
    secure: bool
    max_age: int | None = None

    def header(self) -> tuple[str, str]:
        text = dump_cookie(
            self.name, self.value, max_age=self.max_age, path="/", secure=self.secure, httponly=True, samesite="Lax"
        )
        return ("Set-Cookie", text)


@dataclass(frozen=True, slots=True)
class Reply:
    """Our own HTTP answer; the host app is not reached."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)

    def with_headers(self, headers: Iterable[tuple[str, str]]) -> Reply:
        return replace(self, headers=(*self.headers, *headers))

    def with_cookies(self, *cookies: Cookie) -> Reply:
        return self.with_headers(cookie.header() for cookie in cookies)


@dataclass(frozen=True, slots=True)
class PassThrough:
    """The host app answers. What it is told about the person, and what its answer must carry."""

    principal: Principal | None = None
    credentials: Credentials | None = None
    """What Starlette's `request.auth` answers."""
    session_key: str | None = field(default=None, repr=False)
    """The hash of the session's token, so that a long answer can be ended with the session."""
    csrf_token: str | None = field(default=None, repr=False)
    is_protected: bool = False
    keeps_out_of_caches: bool = False
    """Whether a page of HTML in the answer must not be kept by any cache."""
    cookies: tuple[Cookie, ...] = ()
    query: str | None = field(default=None, repr=False)
    """The query that the host gets, where that which came was ours in part; None: what came."""
    replay: Replay | None = field(default=None, repr=False)
    """What the host gets in place of what came: a form that was kept for the person, or the very body that we read."""

    def dresses(self, content_type: str) -> bool:
        """Whether anything of an answer of this type (in lower case) is changed: a cookie, a page's Cache-Control."""
        return bool(self.cookies) or (self.keeps_out_of_caches and content_type.startswith(HTML))


@dataclass(frozen=True, slots=True)
class Replay:
    """A body as it was first sent: this, with these headers in place of those that came (None: without)."""

    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str | None], ...] = field(repr=False)


Decision = PassThrough | Reply


def see_other(url: str, *cookies: Cookie) -> Reply:
    """303: go there with GET. `url` was built from `base_url`, or is the IdP's own endpoint."""
    headers = (("Location", url), ("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))
    return Reply(303, headers).with_cookies(*cookies)


def json_reply(
    status: int,
    value: Mapping[str, object],
    headers: Sequence[tuple[str, str]] = (),
    media_type: str = "application/json",
) -> Reply:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    fixed = (("Content-Type", media_type), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
    return Reply(status, (*fixed, *headers), body)


def read_form(request: Request, body: bytes, *, max_fields: int = 20) -> dict[str, str]:
    """The fields of an urlencoded form, each at most once.

    Raises UnsupportedForm for another content type or charset, bad UTF-8, a repeated field or too
    many: a reader behind us might take the other one of two.
    """
    media_type, _, parameters = request.headers.get("Content-Type", "").partition(";")
    if media_type.strip().lower() != "application/x-www-form-urlencoded":
        raise UnsupportedForm("the content type is not application/x-www-form-urlencoded")
    if parameters.strip().replace('"', "").lower() not in ("", "charset=utf-8"):
        raise UnsupportedForm("the form's charset is not UTF-8")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=max_fields
        )
    except ValueError as error:
        raise UnsupportedForm("the form can't be decoded") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise UnsupportedForm("a field is repeated")
    return fields


def read_within(chunks: Iterable[bytes], limit: int) -> bytes:
    """Join chunks up to `limit` bytes. Raises BodyTooLarge."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"more than {limit} bytes")
        parts.append(chunk)
    return b"".join(parts)


def client_address(peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str | None:
    """The nearest address that is not a trusted proxy's, reading X-Forwarded-For from the right."""
    address = peer
    hops = [hop.strip() for line in forwarded_for for hop in line.split(",")]
    while hops and is_within(address, trusted):
        address = hops.pop()
    return address


def is_within(address: str | None, networks: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    return any(parsed in network for network in networks)
