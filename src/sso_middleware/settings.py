"""Every setting, with its default and its reason, checked when it is built.

A wrong one never starts: every problem is told at once, as one ConfigurationError. One value is read
by `setting_values`, what several may not be together is `setting_rules`'s, and where they come from is
`setting_sources`'s. Only `Settings.load` reads the environment, and only if it is given none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_origin

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    field_serializer,
    field_validator,
)

from .attribute_settings import AttributeMap
from .calling import HOOK_TIMEOUT
from .connection_settings import Checked, ConnectionSettings, IdpInitiated, SingleLogout
from .errors import ConfigurationError
from .interception_settings import InterceptSettings, read_intercepts
from .language_rules import LanguageTag
from .mail_settings import MailFrom, SmtpUrl
from .role_settings import PROTECTED_ROLES, SCOPE_KINDS, RoleName, ScopeKind
from .setting_problems import SeveralProblems
from .setting_rules import SETTINGS_RULES
from .setting_sources import CONFIG_VARIABLE, config_path, no_config, read_environment, read_toml
from .setting_values import (
    AllowedHost,
    BaseUrl,
    DatabaseUrl,
    Duration,
    HeaderName,
    Link,
    Name,
    Origin,
    PagesPrefix,
    PathPrefix,
    Pem,
    SecretPem,
    Text,
    Timeout,
    TrustedNetwork,
    Url,
    at_most,
    hide_password,
    is_connection_id,
    read_url,
)
from .timeout_rules import SessionTimeout

Mode = Literal["everyone", "domains"]
Enforcement = Literal["on", "off"]

__all__ = ["AttributeMap", "ConnectionSettings", "IdpInitiated", "InterceptSettings", "Settings", "SingleLogout"]

_TABLES = frozenset({"connections", "intercept"})


class Settings(Checked):
    """Everything that the operator decides. Frozen; two instances in one process don't meet."""

    rules = SETTINGS_RULES

    if TYPE_CHECKING:  # a checker would make up an __init__ that wants a SecretStr where a text will do

        def __init__(self, /, **values: Any) -> None: ...

    base_url: BaseUrl
    """The only source of our own URLs; its path, if any, is where the app is mounted. No trailing slash."""
    secret_keys: tuple[SecretStr, ...]
    """Newest first: the first signs and seals, the others still verify and open."""
    name: Name = "sso"
    """Cookie names carry it."""
    database_url: DatabaseUrl = "sqlite:///sso.db"
    mode: Mode = "everyone"
    enforcement: Enforcement = "on"
    """`off`: nobody is made to come by SSO instead of the host's own login. Protected paths stay protected. Loud."""
    demo: bool = False
    """Accepts weak secret keys, on a loopback base_url only."""

    # Paths are below the mount, decoded, and hold by segment.
    protect: tuple[PathPrefix, ...] = ("/",)
    public: tuple[PathPrefix, ...] = ()
    """Wins over `protect`."""
    cors: tuple[PathPrefix, ...] = ()
    """Where preflights reach the app."""
    cacheable: tuple[PathPrefix, ...] = ()
    """Where the host's own Cache-Control stays."""
    prefix: PagesPrefix = "/sso"
    """Where our own pages are."""
    local_login_url: Link | None = None
    """The host's own login, for people without a connection: a path below the mount, or a URL."""

    language: LanguageTag = "en"
    """Of our own pages, for a browser that wants none of `languages`."""
    languages: tuple[LanguageTag, ...] = ()
    """That our own pages are offered in; none named: all that there are."""
    locale_dir: Path | None = None
    """The host's own catalogues: `LANGUAGE/LC_MESSAGES/sso_middleware.mo`."""
    intercept: tuple[InterceptSettings, ...] = ()
    """Forms of the host's (login, registration, reset) that people of exclusive domains are sent to SSO from."""
    largest_intercepted_body: Annotated[int, Field(ge=1024, le=1_048_576)] = 65_536
    """Bytes of such a form; a larger one is refused."""

    connections: tuple[ConnectionSettings, ...] = ()
    shared_acs: bool = False
    """One ACS and one entity id for all connections (an app in an identity provider's gallery)."""
    sp_entity_id: Text | None = None

    roles: tuple[RoleName, ...] = ()
    """That the app has, so that a typo in a role mapping is told. Empty: any may be granted."""
    scope_kinds: tuple[ScopeKind, ...] = SCOPE_KINDS
    """Of what a role may be one, besides the whole account: `project:42`."""
    protected_roles: tuple[RoleName, ...] = PROTECTED_ROLES
    """That no identity provider can give, unless the connection's `may_grant` lists them."""
    announce_roles: bool = True
    """After a sign-in a page says once which roles a person was given, or has from now on."""

    hard_timeout: Annotated[SessionTimeout, at_most("14d")] = timedelta(hours=8)
    """Idle for longer: signed out."""
    hard_timeout_mobile: Annotated[SessionTimeout | None, at_most("90d")] = None
    """On a mobile device; None: as on any other."""
    soft_timeout: Annotated[SessionTimeout | None, at_most("24h")] = None
    """Idle for longer: the identity provider is asked, unseen, whether the person still is signed in. None: never."""
    soft_timeout_mobile: Annotated[SessionTimeout | None, at_most("24h")] = None
    """On a mobile device; None: as on any other."""
    absolute_timeout: Annotated[SessionTimeout, at_most("90d")] = timedelta(days=7)
    """Signed in for longer: signed out, idle or not."""
    polling: tuple[PathPrefix, ...] = ()
    """Where requests are no activity, as those with the header `X-SSO-Polling` are: a page asks by itself."""
    never_kept: tuple[PathPrefix, ...] = ()
    """Where a form that meets an ended session is not kept. `/`: nowhere is one."""
    revocation_delay: Annotated[Duration, at_most("60s")] = timedelta(seconds=1)
    """How long a session that was ended elsewhere may still be believed here. 0s: each request asks the store."""
    remembered_sessions: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    """That one process keeps in memory."""
    login_timeout: Annotated[Timeout, at_most("1h")] = timedelta(minutes=15)
    """How long we wait for the identity provider's answer."""

    sign_ins_per_minute: Annotated[int, Field(ge=10, le=100_000)] = 1200
    """That one client address may begin; a tenth of that may go wrong. Thousands can share one address."""
    metadata_hosts_allowed: tuple[AllowedHost, ...] = ()
    """Names and networks of one's own that a metadata_url may lead to, besides the public internet."""
    trusted_proxies: tuple[TrustedNetwork, ...] = ()
    """Whose X-Forwarded-For is believed, for limits and events; never for our URLs."""
    allowed_origins: tuple[Origin, ...] = ()
    """Besides our own, whose pages may open a websocket."""
    strip_headers: tuple[HeaderName, ...] = ()
    """Taken off every request, besides those that claim an identity."""
    challenge: bool = False
    """A view's own 401 with `WWW-Authenticate: SSO` starts the login."""

    event_retention: Annotated[Timeout, at_most("3650d")] = timedelta(days=365)
    """How long events are kept."""
    smtp_url: SmtpUrl | None = None
    """`smtp://user:password@host:587` (STARTTLS) or `smtps://…`; for mail that the hook `send_mail` does not send."""
    mail_from: MailFrom | None = None
    """Whom that mail comes from."""

    background: bool = True
    """Housekeeping in a thread; False: `sso-middleware housekeeping`, from cron."""
    threads: Annotated[int, Field(ge=1, le=64)] = 8
    """Workers for what is plain, under ASGI."""

    hook_timeout: Annotated[Timeout, at_most("60s")] = HOOK_TIMEOUT
    """How long we wait for a hook of the host's."""

    signing_key: SecretPem | None = None
    """PEM, or a PEM file. Without it a key is made at first use and kept, sealed."""
    signing_certificate: Pem | None = Field(default=None, repr=False)
    next_signing_certificate: Pem | None = Field(default=None, repr=False)
    """Published beside the current one, before its key becomes `signing_key`."""
    encryption_key: SecretPem | None = None
    encryption_certificate: Pem | None = Field(default=None, repr=False)
    older_encryption_keys: tuple[SecretPem, ...] = ()
    """Still decrypt, for identity providers that have not read our new metadata."""

    @field_validator("connections", mode="before")
    @classmethod
    def _read_connections(cls, value: object, info: ValidationInfo) -> tuple[ConnectionSettings, ...]:
        """Each by itself, so that one that is wrong hides no other's problems."""
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list of tables ([[connections]] in TOML)")
        connections: list[ConnectionSettings] = []
        problems: list[str] = []
        for index, declared in enumerate(value):
            if not isinstance(declared, ConnectionSettings | Mapping):
                problems.append(f"connections[{index}]: must be a table")
                continue
            if isinstance(declared, ConnectionSettings):
                connections.append(declared)
                continue
            where = f"connections[{_label(declared, index)}]"
            # In TOML, whatever stands below [[connections]] is the connection's.
            strays = [name for name in declared if name in cls.model_fields.keys() - ConnectionSettings.model_fields]
            problems += [
                f"{where}.{name}: {name} is a setting of the app: move it above the first [[connections]]"
                for name in strays
            ]
            try:
                connections.append(ConnectionSettings(**{k: v for k, v in declared.items() if k not in strays}))
            except ConfigurationError as error:
                problems += [f"{where}.{problem}" for problem in error.problems]
        if problems:
            if info.context is not None:
                info.context["connections"] = tuple(connections)
            raise SeveralProblems(problems)
        return tuple(connections)

    @field_validator("intercept", mode="before")
    @classmethod
    def _read_intercepts(cls, value: object) -> tuple[InterceptSettings, ...]:
        return read_intercepts(value)

    @field_serializer("database_url")
    def _without_password(self, value: str) -> str:
        return hide_password(value)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, hide_password(value) if name == "database_url" else value

    @classmethod
    def load(
        cls,
        mapping: Mapping[str, Any] | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        config: Path | None = None,
        **keywords: Any,
    ) -> Settings:
        """From keywords, else `mapping`, else `SSO_*` variables, else the TOML file: setting by setting.

        `environ` is the process's own unless given. The file is `config`, else the one that SSO_CONFIG
        names, else ./sso.toml if it exists. Raises ConfigurationError with every problem.
        """
        environ = os.environ if environ is None else environ
        lists = {name for name, field in cls.model_fields.items() if get_origin(field.annotation) is tuple} - _TABLES
        scalars = cls.model_fields.keys() - lists - _TABLES
        found, problems = read_environment(environ, scalars=scalars, lists=lists, tables=_TABLES)
        path = config_path(config, environ)
        named_by = "config" if config else CONFIG_VARIABLE if environ.get(CONFIG_VARIABLE) else None
        try:
            written = read_toml(path, named_by=named_by) if path else {}
        except ConfigurationError as error:
            # All that the file holds would be told as missing: no further.
            raise ConfigurationError(*error.problems, *problems) from None
        values = {**written, **found, **(mapping or {}), **keywords}
        if path is None and any(field.is_required() and name not in values for name, field in cls.model_fields.items()):
            problems.insert(0, no_config())
        try:
            settings = cls(**values)
        except ConfigurationError as error:
            problems += error.problems
        if problems:
            raise ConfigurationError(*problems)
        return settings

    @cached_property
    def _url(self) -> Url:
        return read_url(self.base_url)

    @property
    def origin(self) -> str:
        return self._url.origin

    @property
    def host(self) -> str:
        """As a browser sends it: lower case, without the default port."""
        return self._url.host

    @property
    def mount_path(self) -> str:
        """The path of `base_url`: empty, or without a trailing slash."""
        return self._url.path

    @property
    def is_secure(self) -> bool:
        return self._url.scheme == "https"

    @property
    def is_loopback(self) -> bool:
        return self._url.is_loopback


def _label(declared: Mapping[str, object], index: int) -> object:
    """The connection's id, where it has a usable one."""
    label = declared.get("id")
    return label if isinstance(label, str) and is_connection_id(label) else index
