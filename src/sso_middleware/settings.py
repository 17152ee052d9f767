"""Every setting, with its default and its reason, checked when it is built.

A wrong one never starts: every problem is told at once, as one ConfigurationError. One value is read
by `setting_values`, what several may not be together is `setting_rules`'s, and where they come from is
`setting_sources`'s. Only `Settings.load` reads the environment, and only if it is given none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
)

from .errors import ConfigurationError
from .idp_source import ByHand, FromFile, FromUrl, Source, recognise
from .saml.parties import (
    SIGNATURE_ALGORITHM_NAMES,
    Encryption,
    OurSignatureAlgorithm,
    SignatureAlgorithmName,
    Signed,
)
from .setting_problems import SeveralProblems, misspelt, problems_in
from .setting_rules import CONNECTION_RULES, SETTINGS_RULES, problems_of
from .setting_sources import CONFIG_VARIABLE, config_path, no_config, read_environment, read_toml
from .setting_values import (
    AcsPath,
    AllowedHost,
    BaseUrl,
    Certificate,
    ConnectionId,
    DatabaseUrl,
    Day,
    Domains,
    Duration,
    EntityId,
    ExcludedUsers,
    HeaderName,
    Link,
    MetadataText,
    MetadataUrl,
    Name,
    Origin,
    PagesPrefix,
    PathPrefix,
    Pem,
    SecretPem,
    SsoUrl,
    Text,
    Timeout,
    TrustedNetwork,
    Url,
    at_most,
    hide_password,
    is_connection_id,
    read_url,
)

Mode = Literal["everyone", "domains"]
IdpInitiated = Literal["restart", "accept", "off"]
RequiredAttribute = Literal["email", "first_name", "last_name"]

_TABLES = frozenset({"connections"})
_CONFIG = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)


class _Checked(BaseModel):
    """Building one raises ConfigurationError with every problem: of each value, and of values together."""

    model_config = _CONFIG
    rules: ClassVar[tuple[Callable[..., Iterator[str]], ...]] = ()

    def __init__(self, /, **values: Any) -> None:
        valid: dict[str, Any] = {}
        problems: list[str] = []
        try:
            self.__pydantic_validator__.validate_python(values, self_instance=self, context=valid)
        except ValidationError as error:
            problems = list(problems_in(error, type(self)))
            for name in misspelt(error, type(self), values):
                valid.pop(name, None)
        problems += problems_of(self.rules, valid)
        if problems:
            values.clear()  # a reporter that shows the variables of each frame finds no key in this one
            valid.clear()
            raise ConfigurationError(*problems)

    @field_validator("*", mode="after")
    @classmethod
    def _is_valid(cls, value: object, info: ValidationInfo) -> object:
        """Note what is right by itself, so that the rules over several values can be asked beside it."""
        if info.context is not None and info.field_name is not None:
            info.context[info.field_name] = value
        return value


class AttributeMap(BaseModel):
    """Under which exact names the identity provider sends what."""

    model_config = _CONFIG

    email: Text = "Email"
    first_name: Text = "FirstName"
    last_name: Text = "LastName"
    country: Text = "Country"
    department: Text = "department"
    roles: Text = "role_mapping"
    principal_id: Text | None = None
    """A lasting id of the person, where the NameID is not one."""


class ConnectionSettings(_Checked):
    """The trust in one organization's identity provider, as declared by the operator."""

    rules = CONNECTION_RULES

    if TYPE_CHECKING:  # a checker would make up an __init__ that wants a timedelta where "8h" will do

        def __init__(self, /, **values: Any) -> None: ...

    id: ConnectionId
    """Part of its URLs, so it never changes."""
    organization: Text
    domains: Domains
    """Whose e-mail addresses it may assert; "any" only if it is the single connection."""
    excluded_users: ExcludedUsers = Field(default=(), repr=False)
    """Of its own domains, but signing in by the host's own login. A list, or separated by commas."""
    enabled: bool = True

    metadata_file: Path | None = None
    metadata: MetadataText | None = Field(default=None, repr=False)
    """The XML itself; or else a URL, a file, or entity id, URL and certificate on lines of their own."""
    metadata_url: MetadataUrl | None = None
    """Fetched, and fetched again, by housekeeping: never by a request, and never at start."""
    metadata_signing_certificates: tuple[Certificate, ...] = Field(default=(), repr=False)
    """Given: metadata that none of them signed is refused (a federation's)."""
    metadata_max_validity: Annotated[Timeout | None, at_most("365d")] = None
    """Given: fetched metadata whose validUntil is missing or further ahead waits for approval."""
    entity_id: Text | None = None
    """By hand; or which one of many in the metadata is meant."""
    sso_url: SsoUrl | None = None
    certificates: tuple[Certificate, ...] = Field(default=(), repr=False)

    hard_timeout: Annotated[Timeout | None, at_most("14d")] = None
    """None: the general one."""
    absolute_timeout: Annotated[Timeout | None, at_most("90d")] = None
    idp_initiated: IdpInitiated = "restart"
    signed: Signed = "either"
    encryption: Encryption = "off"
    signature_algorithm: OurSignatureAlgorithm = "rsa-sha256"
    """What we sign our requests with."""
    allowed_signature_algorithms: tuple[SignatureAlgorithmName, ...] = SIGNATURE_ALGORITHM_NAMES
    """What the identity provider may sign with."""
    sha1_until: Day | None = None
    """Until that day (00:00 UTC) SHA-1 signatures are accepted too, each with a warning. At most 90 days ahead."""
    skip_destination_until: Day | None = None
    """Until that day a Response's Destination is not compared. At most 7 days ahead; Recipient and Audience are."""
    sp_entity_id: EntityId | None = None
    """Our entity id for this connection, where its identity provider knows another."""
    acs_paths: tuple[AcsPath, ...] = ()
    """Further paths below the mount that take its Responses. The first is the one that our requests name."""
    attributes: AttributeMap = AttributeMap()
    required_attributes: tuple[RequiredAttribute, ...] = ("email", "first_name", "last_name")
    """Leave a name out to waive it; the e-mail address can't be."""
    leeway: Annotated[Duration, at_most("5m")] = timedelta(seconds=120)
    """How far the two clocks may differ."""
    authn_contexts: tuple[Text, ...] = ()
    """Only these AuthnContextClassRef are accepted (a second factor, say); it is not asked for. Empty: any."""
    name_id_format: Text | None = None
    """What to ask for; None leaves it to the identity provider."""

    @property
    def source(self) -> Source:
        """How its identity provider is named."""
        if self.metadata_url is not None:
            return FromUrl(self.metadata_url)
        if self.metadata_file is not None:
            return FromFile(self.metadata_file)
        if self.metadata is not None:
            return recognise(self.metadata)
        return ByHand(self.entity_id or "", self.sso_url or "", self.certificates)

    @property
    def named_domains(self) -> tuple[str, ...]:
        """None of them if it may assert any."""
        return () if self.domains == "any" else self.domains


class Settings(_Checked):
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

    connections: tuple[ConnectionSettings, ...] = ()
    shared_acs: bool = False
    """One ACS and one entity id for all connections (an app in an identity provider's gallery)."""
    sp_entity_id: Text | None = None

    hard_timeout: Annotated[Timeout, at_most("14d")] = timedelta(hours=8)
    """Idle for longer: signed out."""
    absolute_timeout: Annotated[Timeout, at_most("90d")] = timedelta(days=7)
    """Signed in for longer: signed out, idle or not."""
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

    background: bool = True
    """Housekeeping in a thread; False: `sso-middleware housekeeping`, from cron."""
    threads: Annotated[int, Field(ge=1, le=64)] = 8
    """Workers for what is plain, under ASGI."""

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
