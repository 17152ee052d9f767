"""Say it loudly where people of exclusive domains are not made to come by SSO, and where too few could get in without.

The words are for the log at start, `check` and `doctor`; the events come from housekeeping, once an hour.
Who must come by SSO is `enforcement`'s to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from ..connections import Connection, Connections
from ..events import Event
from ..settings import ConnectionSettings, Settings

FEWEST_EXCLUDED = 2
"""One person is ill or has left on the very day."""
_REMEMBERED = timedelta(hours=2)


def describe_enforcement(settings: Settings, connections: Connections) -> Iterator[str]:
    """Each way in which exclusive domains are not exclusive now, in words that say how to end it."""
    if settings.enforcement == "off":
        yield (
            'enforcement is "off": nobody of an exclusive domain is made to come by single sign-on; protected paths'
            ' stay protected. Set it to "on" again (SSO_ENFORCEMENT, or the settings) as soon as the trouble is over'
        )
    for connection in disabled_exclusive(connections):
        names = ", ".join(_exclusive_domains(connections, connection))
        yield (
            f"connection {connection.id!r} is disabled, so its exclusive domains ({names}) are not enforced; enable it"
            " again, or set those domains to off"
        )


def describe_exclusions(settings: Settings) -> Iterator[str]:
    """Each connection with fewer excluded people than are asked for."""
    for declared in settings.connections:
        number = len(set(declared.excluded_users))
        needs_some = settings.mode == "domains" and _is_exclusive_somewhere(declared)
        if number < FEWEST_EXCLUDED and (number or needs_some):
            yield (
                f"connection {declared.id!r}: excluded_users names {number or 'nobody'}, and two or more are asked for:"
                " they can still sign in when single sign-on fails"
            )


def tell_of_enforcement(
    settings: Settings,
    read: Callable[[], Connections],
    claim: Callable[[str, datetime], bool],
    tell: Callable[[Event], None],
    now: datetime,
) -> None:
    """An event an hour for each that `describe_enforcement` says. `read` is asked once an hour, since it takes long."""
    hour = f"{now:%Y-%m-%d %H}"
    if not claim(f"enforcement looked at {hour}", now + _REMEMBERED):
        return
    if settings.enforcement == "off":
        tell(Event("enforcement_off", now, detail={"why": 'the setting enforcement is "off"'}))
    connections = read()
    for connection in disabled_exclusive(connections):
        domains = ", ".join(_exclusive_domains(connections, connection))
        tell(
            Event("exclusive_connection_disabled", now, connection_id=connection.id, detail={"domains": domains[:500]})
        )


def disabled_exclusive(connections: Connections) -> list[Connection]:
    """Those that are disabled, and have domains whose people had to come by them."""
    return [c for c in connections if c.state == "disabled" and _exclusive_domains(connections, c)]


def _exclusive_domains(connections: Connections, connection: Connection) -> list[str]:
    found = connections.domains_of(connection.id)
    return sorted(domain.name for domain in found if domain.mode == "exclusive" and domain.is_verified)


def _is_exclusive_somewhere(declared: ConnectionSettings) -> bool:
    modes = (declared.domain_modes.get(name, "exclusive") for name in declared.named_domains)
    return declared.declared_state != "disabled" and "exclusive" in modes
