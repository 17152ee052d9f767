"""Read one setting's value: durations, URLs, paths, networks, PEM. Each reader knows nothing of the others.

A reader raises ValueError in words that go on from the setting's name ("hard_timeout: must be …") and
never hold the value: it could be a secret that was put into the wrong place. What two settings
together may not be is `setting_rules`'s.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import idna
from pydantic import AfterValidator, BeforeValidator, SecretStr

from .addresses import normalise_domain, read_email
from .errors import EmailInvalid
from .idp_source import read_metadata_url, recognise
from .setting_problems import SeveralProblems
from .web import Network

_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# A path is compared decoded, and must be a path that can be written in one way only.
_NOT_IN_PATH = re.compile(r"[\x00-\x20\x7f\\%;?#\"<>]")
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\\]")
LONGEST_ENTITY_ID = 1024
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_CONNECTION_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_OUR_PAGES = {
    *("acs", "finish", "form", "login", "logout", "metadata", "refused", "renew", "renewed", "session", "session.js"),
    *("signed-out", "slo", "test", "welcome", "without-sso", "admin", "complete-profile", "recovery-access", "scim"),
    "setup",
}
_PASSWORD = re.compile(r"(://[^:/@]*:).*(?=@)")
_QUERY_PASSWORD = re.compile(r"([?&][^=&]*passw[^=&]*=)[^&]*", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Url:
    """A plain absolute http(s) URL, its host in the form that a browser sends."""

    scheme: str
    host: str
    """Lower-case A-labels or an address (IPv6 in brackets), with the port unless it is the default one."""
    path: str
    is_plain: bool
    """Whether it has neither query string nor fragment."""
    is_loopback: bool

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}"


def read_url(text: str) -> Url:
    if _UNPRINTABLE.search(text):
        raise ValueError("must not hold spaces, control characters or backslashes")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("must be an absolute URL that begins with https://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or a password")
    if not (parts.path + parts.query + parts.fragment).isascii():
        raise ValueError("must be percent-encoded where it has letters beyond ASCII")
    name, is_loopback = _read_host(parts.hostname, is_bracketed="[" in parts.netloc)
    return Url(
        scheme=parts.scheme,
        host=name if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{name}:{port}",
        path=parts.path,
        is_plain="?" not in text and "#" not in text,
        is_loopback=is_loopback,
    )


def _read_host(text: str, *, is_bracketed: bool) -> tuple[str, bool]:
    """The host as a browser writes it, and whether it can be this machine only."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        if is_bracketed:  # the "IPvFuture" of RFC 3986 3.2.2
            raise ValueError("has a host that is not an IP address") from None
        return _read_host_name(text)
    return (f"[{address}]" if address.version == 6 else str(address)), address.is_loopback


def _read_host_name(text: str) -> tuple[str, bool]:
    try:
        name = idna.encode(text.lower(), strict=True, std3_rules=True).decode("ascii")
    except UnicodeError:
        raise ValueError("has a host that is not a host name") from None
    last_label = name.rpartition(".")[2]
    if not last_label or last_label.isdigit():
        raise ValueError("has a host that is not a host name")
    # RFC 6761 6.3: these names always mean loopback.
    return name, last_label == "localhost"


def _duration(value: object) -> timedelta:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    if isinstance(value, timedelta) and value >= timedelta(0):
        return value
    raise ValueError('must be a duration, such as "120s", "30m", "8h" or "14d"')


def _positive(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("must be longer than 0")
    return value


def at_most(limit: str) -> AfterValidator:
    longest = _duration(limit)

    def check(value: timedelta | None) -> timedelta | None:
        if value is not None and value > longest:
            raise ValueError(f"must be at most {limit}")
        return value

    return AfterValidator(check)


def _base_url(text: str) -> str:
    url = read_url(text)
    if not url.is_plain:
        raise ValueError("must have no query string and no fragment")
    if url.scheme == "http" and not url.is_loopback:
        raise ValueError("must begin with https:// (http:// is for loopback only: 127.0.0.1, [::1], localhost)")
    mount = url.path.rstrip("/")
    if mount:
        _ascii_path(mount)
    return url.origin + mount


def _sso_url(text: str) -> str:
    url = read_url(text)
    if url.scheme == "http" and not url.is_loopback:
        raise ValueError("must begin with https:// (http:// is for loopback only)")
    return text


def _origin(text: str) -> str:
    url = read_url(text)
    if url.path not in ("", "/") or not url.is_plain:
        raise ValueError('must be an origin, such as "https://app.example.com", without a path')
    return url.origin


def path_of_link(text: str) -> str:
    """The path of a link that begins with a slash."""
    return re.split(r"[?#]", text, maxsplit=1)[0]


def _link(text: str) -> str:
    if not text.startswith("/"):
        read_url(text)
        return text
    _ascii_path(path_of_link(text))
    if _UNPRINTABLE.search(text) or not text.isascii():
        raise ValueError("must not hold spaces, control characters or letters beyond ASCII")
    return text


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError('must begin with "/"')
    segments = text.split("/")
    if "" in segments[1:-1]:
        raise ValueError('must not hold "//"')
    if "." in segments or ".." in segments:
        raise ValueError('must not hold "." or ".." as a segment')
    if _NOT_IN_PATH.search(text):
        raise ValueError('must be a plain path: no spaces, control characters, and none of % ; ? # " < > and backslash')
    return text


def _ascii_path(text: str) -> str:
    if not text.isascii():
        raise ValueError("must hold no letters beyond ASCII")
    return _path(text)


def _prefix(text: str) -> str:
    stripped = _ascii_path(text).rstrip("/")
    if not stripped:
        raise ValueError('must be a path of its own, such as "/sso"')
    return stripped


def _acs_path(text: str) -> str:
    """Compared to the letter, a trailing slash included: it is part of the address that an identity provider knows."""
    if _ascii_path(text) == "/":
        raise ValueError("must be a path of its own, such as /saml/acs")
    return text


def _entity_id(text: str) -> str:
    # SAML core 8.3.6: a URI of at most 1024 characters.
    if any(character.isspace() for character in _one_line(text)) or len(text) > LONGEST_ENTITY_ID:
        raise ValueError(f"must be an entity id: at most {LONGEST_ENTITY_ID} characters, none of them a space")
    return text


def _date(value: object) -> date:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value.strip())
        except ValueError:
            value = None
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError("must be a date, such as 2026-12-31")
    return value


def _metadata_text(text: str) -> str:
    recognise(text)
    return text


def _allowed_host(text: str) -> Network | str:
    """A network or an address, else a name as it is looked up."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    if "/" in text or text.startswith("*"):
        raise ValueError("must be a host name without wildcards, an IP address, or a network such as 10.1.0.0/16")
    return _read_host_name(text)[0]


def _network(value: object) -> Network:
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return value
    try:
        return ipaddress.ip_network(str(value))
    except ValueError:
        raise ValueError('must be an IP address or a network, such as "10.0.0.0/8" (no bits set behind it)') from None


def _header_name(text: str) -> str:
    if not _HEADER_NAME.fullmatch(text):
        raise ValueError("must be the name of a header, such as X-Customer-User")
    return text


def _domains(value: object) -> tuple[str, ...] | Literal["any"]:
    if value == "any":
        return "any"
    if not isinstance(value, list | tuple):
        raise ValueError('must be a list of domains, or "any"')
    domains: list[str] = []
    problems: list[str] = []
    for index, text in enumerate(value):
        try:
            domains.append(_domain(text))
        except ValueError as error:
            problems.append(f"domains[{index}]: {error}")
    if problems:
        raise SeveralProblems(problems)
    return tuple(domains)


def _domain(text: object) -> str:
    if not isinstance(text, str):
        raise ValueError("must be a text")
    if text.startswith("@"):
        raise ValueError("must not begin with @: leave it out")
    if text.startswith("*"):
        raise ValueError("must not be a wildcard: list each domain")
    return normalise_domain(text)


def _excluded_user(text: str) -> str:
    try:
        return read_email(text.strip()).address
    except EmailInvalid:
        raise ValueError("must be a plain e-mail address") from None


def split_commas(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _listed(value: object) -> object:
    return split_commas(value) if isinstance(value, str) else value


def is_pem(text: str) -> bool:
    return "-----BEGIN " in text


def _pem(value: object) -> object:
    """PEM text as it is; anything else names a file, whose text it is."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(text, str) and is_pem(text):
        return value
    if not isinstance(text, str | Path):
        raise ValueError("must be PEM text or the path of a PEM file")
    try:
        pem = Path(text).read_text(encoding="ascii")
    except (OSError, ValueError):
        raise ValueError("is neither PEM text nor a file that can be read") from None
    if not is_pem(pem):
        raise ValueError("names a file that is not PEM")
    return pem


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _certificate(text: str) -> str:
    # Base64 has no dot; the name of a file mostly has one.
    if "." in text and not is_pem(text):
        raise ValueError(
            "looks like the name of a file: paste the file's text (-----BEGIN CERTIFICATE-----…), or use metadata_file"
        )
    return _not_empty(text)


def _one_line(text: str) -> str:
    if not _not_empty(text).isprintable():
        raise ValueError("must be one line, without control characters")
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("must be up to 32 lower-case letters, digits and -, beginning with a letter")
    return text


def is_connection_id(text: str) -> bool:
    return _CONNECTION_ID.fullmatch(text) is not None


def _connection_id(text: str) -> str:
    if not is_connection_id(text):
        raise ValueError("must be up to 63 lower-case letters, digits and -, not beginning with -")
    if text in _OUR_PAGES:
        raise ValueError("is the name of one of our own pages; choose another")
    return text


def _database_url(text: str) -> str:
    # Which databases there are is the stores' to say.
    if "://" not in text:
        raise ValueError("must be a database URL, such as sqlite:///sso.db or postgresql+psycopg://…")
    return text


def hide_password(database_url: str) -> str:
    """Rather too much is hidden than too little: an unescaped @ in a password is a common mistake."""
    return _QUERY_PASSWORD.sub(r"\1***", _PASSWORD.sub(r"\1***", database_url))


# What the models are made of.
Name = Annotated[str, AfterValidator(_name)]
ConnectionId = Annotated[str, AfterValidator(_connection_id)]
Text = Annotated[str, AfterValidator(_one_line)]
Lines = Annotated[str, AfterValidator(_not_empty)]
Certificate = Annotated[str, AfterValidator(_certificate)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Timeout = Annotated[Duration, AfterValidator(_positive)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
SsoUrl = Annotated[str, AfterValidator(_sso_url)]
MetadataUrl = Annotated[str, AfterValidator(read_metadata_url)]
MetadataText = Annotated[str, AfterValidator(_metadata_text)]
AllowedHost = Annotated[Network | str, BeforeValidator(_allowed_host)]
Origin = Annotated[str, AfterValidator(_origin)]
Link = Annotated[str, AfterValidator(_link)]
PathPrefix = Annotated[str, AfterValidator(_path)]
AcsPath = Annotated[str, AfterValidator(_acs_path)]
EntityId = Annotated[str, AfterValidator(_entity_id)]
Day = Annotated[date, BeforeValidator(_date)]
PagesPrefix = Annotated[str, AfterValidator(_prefix)]
TrustedNetwork = Annotated[Network, BeforeValidator(_network)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
Domains = Annotated[tuple[str, ...] | Literal["any"], BeforeValidator(_domains)]
DomainName = Annotated[str, AfterValidator(_domain)]
ExcludedUsers = Annotated[tuple[Annotated[str, AfterValidator(_excluded_user)], ...], BeforeValidator(_listed)]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
Pem = Annotated[str, BeforeValidator(_pem)]
SecretPem = Annotated[SecretStr, BeforeValidator(_pem)]
