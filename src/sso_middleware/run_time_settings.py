"""The settings of a connection that was created at run time: what is kept of it, read as the settings file is.

Nothing kept is believed unread: what another version wrote, or a person by hand, may be wrong. Such a
connection is left out and told of; it is never in the way of the others.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from .connection_rules import RUN_TIME_CONNECTION_RULES
from .connection_settings import ConnectionSettings
from .errors import ConfigurationError
from .idp_source import FromFile, FromUrl
from .profile_rules import PROFILE_RULES
from .role_settings import role_mappings_fit
from .settings import Settings
from .stores.configuration_records import Configuration, StoredConnection, StoredDomain
from .timeout_rules import connection_timeouts_are_in_order, timeouts_are_in_order

log = logging.getLogger("sso_middleware")

KEPT_APART = (
    *("id", "organization", "domains", "domain_modes", "enabled", "state", "admins"),
    *("metadata_file", "departments_file"),
)
"""Which settings of a connection are not part of its document: they have records, or a place, of their own."""


_WHO_IS_BOUND = ("excluded_users", "exclusion_by_link", "enforce_from", "test_users")


class RunTimeSettings(ConnectionSettings):
    """May have no domain, and no identity provider yet."""

    rules = (*RUN_TIME_CONNECTION_RULES, *PROFILE_RULES)
    is_declared: ClassVar[bool] = False


def read_document(
    connection: StoredConnection,
    settings: Settings,
    domains: Mapping[str, StoredDomain] | None = None,
    *,
    is_kept: bool = False,  # then settings of the app that changed since don't take it away
) -> RunTimeSettings:
    """Raises ConfigurationError with every problem."""
    document = dict(connection.settings or {})
    problems = [f"{name}: is not part of a connection's document" for name in KEPT_APART if name in document]
    if problems:
        raise ConfigurationError(*problems)
    used = {name: domain for name, domain in (domains or {}).items() if domain.verified_at is not None}
    values: dict[str, Any] = {
        **document,
        "id": connection.id,
        "organization": connection.organization,
        "domains": list(used),
        "domain_modes": {name: domain.mode for name, domain in used.items()},
        "state": connection.state or "draft",
    }
    read = RunTimeSettings(**values)
    _check_fits(read, settings)
    if not is_kept:
        _check_timeouts_fit(read, settings)
        _check_roles_fit(read, settings)
    return read


def _check_fits(read: RunTimeSettings, settings: Settings) -> None:
    """What must not clash with the settings of the app."""
    if any(read.id == declared.id for declared in settings.connections):
        raise ConfigurationError("id: the settings declare a connection with this id")
    if read.acs_paths:
        raise ConfigurationError("acs_paths: can only be given in the settings: they are paths of the app")
    if isinstance(read.source, FromFile):  # an admin far away may not have this machine's files read
        raise ConfigurationError("metadata: names a file; give the metadata itself, or a URL")
    url = read.source.url if isinstance(read.source, FromUrl) else ""
    if url.startswith("http://") and not settings.is_loopback:
        raise ConfigurationError("metadata_url: must begin with https://")


def _check_timeouts_fit(read: RunTimeSettings, settings: Settings) -> None:
    """Of what is kept, and fits no longer, the narrower limit holds."""
    general = {name: getattr(settings, name) for name in inspect.signature(timeouts_are_in_order).parameters}
    _raise(connection_timeouts_are_in_order(**general, connections=(read,)))


def _check_roles_fit(read: RunTimeSettings, settings: Settings) -> None:
    """What a mapping grants that it may not, or no longer may, is withheld at each sign-in besides."""
    general = {name: getattr(settings, name) for name in ("scope_kinds", "protected_roles", "roles")}
    _raise(role_mappings_fit(**general, connections=(read,)))


def _raise(problems: Iterator[str]) -> None:
    told = [problem.partition("].")[2] for problem in problems]
    if told:
        raise ConfigurationError(*told)


def read_documents(
    settings: Settings, configuration: Configuration
) -> Iterator[tuple[StoredConnection, RunTimeSettings]]:
    """All that can be read; what can't is told in the log."""
    owned: dict[str, dict[str, StoredDomain]] = {}
    declared = {name for connection in settings.connections for name in connection.named_domains}
    for domain in configuration.domains:
        if domain.name in declared:
            log.warning("the domain %s is kept for a connection, and in the settings: those win", domain.name)
        else:
            owned.setdefault(domain.connection_id, {})[domain.name] = domain
    for connection in configuration.connections:
        if connection.settings is None:
            continue
        try:
            yield connection, read_document(connection, settings, owned.get(connection.id), is_kept=True)
        except ConfigurationError as error:
            problems = "; ".join(error.problems)
            closed = _read_closed(connection, settings, owned.get(connection.id))
            if closed is not None:
                log.error("connection %r, as it is kept, lets nobody sign in: %s", connection.id, problems)
                yield connection, closed
            else:
                log.error("connection %r, as it is kept, is left out: %s", connection.id, problems)


def _read_closed(
    connection: StoredConnection, settings: Settings, domains: Mapping[str, StoredDomain] | None
) -> RunTimeSettings | None:
    """Of one that can't be read, who is bound by it: to leave that out would set the people of its domains free."""
    document = {name: value for name, value in (connection.settings or {}).items() if name in _WHO_IS_BOUND}
    for kept in (document, {}):
        try:
            return read_document(replace(connection, settings=kept), settings, domains, is_kept=True)
        except ConfigurationError:
            continue
    return None
