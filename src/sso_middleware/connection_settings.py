"""The settings of one connection, and what every table of settings has in common: it is checked when it is built.

A wrong one never starts: every problem is told at once, as one ConfigurationError. The settings of the
app are `settings`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from .attribute_settings import AttributeMap
from .connection_rules import CONNECTION_RULES
from .countries import CountryFormat
from .departments import Departments, Team, folded, read_departments_csv
from .errors import ConfigurationError
from .idp_source import ByHand, FromFile, FromUrl, Source, recognise
from .profile_rules import PROFILE_RULES
from .profile_values import CsvText, DepartmentPairs
from .profiles import ProfilePolicy
from .role_settings import RoleMapping, RoleName
from .saml.parties import (
    SIGNATURE_ALGORITHM_NAMES,
    Encryption,
    OurSignatureAlgorithm,
    SignatureAlgorithmName,
    Signed,
)
from .setting_problems import misspelt, problems_in
from .setting_rules import problems_of
from .setting_tables import FrozenTable
from .setting_values import (
    AcsPath,
    Certificate,
    ConnectionId,
    Day,
    DomainName,
    Domains,
    Duration,
    EntityId,
    ExcludedUsers,
    MetadataText,
    MetadataUrl,
    SsoUrl,
    Text,
    Timeout,
    at_most,
)
from .stores.configuration_records import ConnectionState, DomainMode
from .timeout_rules import SessionTimeout

IdpInitiated = Literal["restart", "accept", "off"]
SingleLogout = Literal["auto", "off"]
RequiredAttribute = Literal["email", "first_name", "last_name"]

_CONFIG = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True)


class Checked(BaseModel):
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


class ConnectionSettings(Checked):
    """The trust in one organization's identity provider, as declared by the operator."""

    rules = (*CONNECTION_RULES, *PROFILE_RULES)

    if TYPE_CHECKING:  # a checker would make up an __init__ that wants a timedelta where "8h" will do

        def __init__(self, /, **values: Any) -> None: ...

    id: ConnectionId
    """Part of its URLs, so it never changes."""
    organization: Text
    domains: Domains
    """Whose e-mail addresses it may assert; "any" only if it is the single connection."""
    excluded_users: ExcludedUsers = Field(default=(), repr=False)
    """Of its own domains, but signing in by the host's own login. A list, or separated by commas."""
    exclusion_by_link: bool = False
    """Everybody of its exclusive domains is offered "Sign in without SSO": then no answer tells who is excluded."""
    domain_modes: Annotated[Mapping[DomainName, DomainMode], AfterValidator(FrozenTable)] = FrozenTable()
    """`exclusive` (must sign in by SSO: the default), `offer` (may) or `off`, by domain."""
    enabled: bool = True
    state: ConnectionState = "active"
    """`draft`: for connection tests only. `testing`: only `test_users` may sign in. `disabled`: as `enabled = false`
    is."""
    test_users: ExcludedUsers = Field(default=(), repr=False)
    """Who may sign in while the state is `testing`. A list, or separated by commas."""
    enforce_from: Day | None = None
    """The day (00:00 UTC) from which its exclusive domains must come by SSO; until then they may. None: at once."""
    admins: ExcludedUsers = Field(default=(), repr=False)
    """SSO account admins of the organization: who may change its connections, and get recovery access."""

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

    hard_timeout: Annotated[SessionTimeout | None, at_most("14d")] = None
    """None, here and below: the general one."""
    hard_timeout_mobile: Annotated[SessionTimeout | None, at_most("90d")] = None
    soft_timeout: Annotated[SessionTimeout | None, at_most("24h")] = None
    soft_timeout_mobile: Annotated[SessionTimeout | None, at_most("24h")] = None
    absolute_timeout: Annotated[SessionTimeout | None, at_most("90d")] = None
    single_logout: SingleLogout = "auto"
    """With the identity provider, where it has an endpoint for it; `off`: sign-out ends our session only."""
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
    just_in_time: bool = True
    """Whoever comes is provisioned. Off: only who is a user of the app's already, as its hook `provision` says."""
    secondary_email_fallback: bool = False
    """Who comes under a new key is found by either e-mail address, of this connection's own domains."""
    attributes: AttributeMap = AttributeMap()
    required_attributes: tuple[RequiredAttribute, ...] = ("email", "first_name", "last_name")
    """Leave a name out to waive it; the e-mail address can't be."""
    country_format: CountryFormat = "any"
    """What its country attribute holds: codes of ISO 3166-1, English names, or either."""
    ask_country: bool = False
    """A person without a country is asked, once, after the first sign-in."""
    force_country_selection: bool = False
    """The same even if one came."""
    departments: DepartmentPairs | None = None
    """Its departments, to the ids of the host's teams."""
    departments_file: CsvText | None = None
    """The same as CSV."""
    teams: tuple[Team, ...] = ()
    """Of the host's: those that a department may be mapped to, and a person may choose."""
    ask_department: bool = False
    force_department_selection: bool = False
    authorization: bool = False
    """The identity provider decides who has which roles: whoever comes without one is refused."""
    role_mapping: RoleMapping = FrozenTable()
    """A value of the roles attribute, to the letter, and what it grants: scope to roles."""
    may_grant: tuple[RoleName, ...] = ()
    """Of the app's `protected_roles`, those that this mapping may grant all the same."""
    leeway: Annotated[Duration, at_most("5m")] = timedelta(seconds=120)
    """How far the two clocks may differ."""
    authn_contexts: tuple[Text, ...] = ()
    """Only these AuthnContextClassRef are accepted (a second factor, say); it is not asked for. Empty: any."""
    name_id_format: Text | None = None
    """What to ask for; None leaves it to the identity provider."""

    is_declared: ClassVar[bool] = True
    """By the settings of the app."""

    @property
    def declared_state(self) -> ConnectionState:
        return self.state if self.enabled else "disabled"

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
    def names_identity_provider(self) -> bool:
        """Whether one is named at all; only at run time may it not be."""
        return any((self.metadata_url, self.metadata_file, self.metadata, self.entity_id))

    @property
    def profile(self) -> ProfilePolicy:
        """What is made of a country and a department."""
        table = dict(self.departments or ())
        if self.departments_file is not None:
            table = read_departments_csv(self.departments_file, self.teams)
        return ProfilePolicy(
            country_format=self.country_format,
            ask_country=self.ask_country,
            force_country_selection=self.force_country_selection,
            departments=Departments(folded(table), self.teams),
            ask_department=self.ask_department,
            force_department_selection=self.force_department_selection,
        )

    @property
    def named_domains(self) -> tuple[str, ...]:
        """None of them if it may assert any."""
        return () if self.domains == "any" else self.domains
