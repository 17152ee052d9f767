"""`explain FILE`: why a SAML message is refused, check by check, for whoever has the message in hand.

The verdict is that of the functions that a sign-in runs (`saml.explaining.explanation.judge`), with the
settings and keys that are here. Nothing is fetched, nothing is written, and nothing about the person is shown.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.parse import unquote

import click
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ..calling import system_clock
from ..connections import Connection, Connections, read_connections
from ..directory import fetched_connections, read_current
from ..errors import ConnectionDisabled, Refused, StoreError, UnsolicitedRefused
from ..flows.own_keys import OwnKeys
from ..flows.provisioning import read_identity
from ..flows.supplied_keys import read_supplied_keys
from ..saml.explaining.explanation import Explanation, Finding, explain, judge
from ..saml.explaining.glimpse import Glimpse, glimpse_at
from ..saml.explaining.readings import Circumstances
from ..saml.explaining.stored import as_record, finding_lines
from ..saml.explaining.wording import clock, duration, shown, shown_all
from ..saml.parsing import Message, read_message, read_message_xml
from ..saml.parties import Expected
from ..setting_sources import config_path
from ..settings import Settings
from ..stores.database import is_sqlite, read_database_url
from ..stores.sealing import Sealer
from ..stores.sql import SqlStore
from .loading import config_option, json_option, secret_keys_of

MOST_READ = 4 * 1024 * 1024
_YEARS = range(1970, 9000)
"""Of the clock that a message is judged by: near the ends of the calendar no leeway can be reckoned."""
_FIELD = re.compile(r"""\b(SAMLResponse|SAMLRequest)["']?\s*[=:]\s*["']?([^\s&"']+)""")


@dataclass(frozen=True, slots=True)
class Sent:
    """What is to be explained, as the functions take it: a form value (str) or XML (bytes)."""

    value: str | bytes
    as_what: str


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that the verdict is made from."""

    connection: Connection | None
    chosen_by: str
    circumstances: Circumstances
    clock_is: str


@click.command(name="explain")
@click.argument("file", metavar="FILE", type=click.File("rb"))
@click.option(
    "--connection", "connection_id", metavar="ID", help="Judge it as this connection's. Default: whose it is."
)
@click.option("--at", metavar="TIME", help='"now", or 2026-03-01T12:00:00Z. Default: the message\'s own IssueInstant.')
@click.option("--request-id", metavar="ID", help='The ID of our request that it must answer; "" if nothing was asked.')
@config_option
@json_option
def explain_file(
    file: IO[bytes],
    connection_id: str | None,
    at: str | None,
    request_id: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Say why a SAML message is refused, and who must act.

    FILE has it as the browser posted it (the form field SAMLResponse, URL-encoded or not) or as XML; `-` is
    the standard input. Prints no secret and needs no network. Exits 0 only if the message is accepted.
    """
    sent = read_sent(file.read(MOST_READ))
    glimpse = glimpse_at(sent.value)
    settings = _settings(config)
    case = _case(settings, glimpse, connection_id=connection_id, at=at, request_id=request_id)
    told = _explain(sent, glimpse, case)
    verdict = _verdict(told)
    if as_json:
        click.echo(json.dumps(_as_json(sent, case, told, verdict), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(_lines(sent, glimpse, case, told)))
    if verdict != "accepted":
        raise click.exceptions.Exit(1)


def read_sent(data: bytes) -> Sent:
    """XML as it is; else the form value, taken out of a form or a URL if it is in one."""
    if not data.strip():
        raise click.UsageError("there is nothing in the file")
    if data.lstrip().startswith(b"<") or not data.isascii():
        return Sent(data.strip(), "XML")
    text = data.decode("ascii")
    field = _FIELD.search(text)
    if field is not None:
        # A plus sign stays one: who copies a value out of a tool has often lost its escape.
        return Sent(unquote(field[2]), f"the form field {field[1]}")
    return Sent(unquote(text).strip(), "the value of a form field")


def _settings(config: Path | None) -> Settings | None:
    is_there = config_path(config, os.environ) is not None or any(name.startswith("SSO_") for name in os.environ)
    return Settings.load(config=config) if is_there else None


# Whose it is, and when


def _case(
    settings: Settings | None,
    glimpse: Glimpse | None,
    *,
    connection_id: str | None,
    at: str | None,
    request_id: str | None,
) -> Case:
    now = system_clock()
    moment, clock_is = _moment(at, glimpse, now)
    circumstances = Circumstances(
        moment, expected=_expected(request_id, moment), is_request_known=request_id is not None
    )
    if settings is None:
        if connection_id is not None:
            raise click.UsageError("--connection needs the settings: give --config too")
        return Case(None, "there are no settings here", circumstances, clock_is)
    with closing(SqlStore(settings.database_url)) as store:
        connections = _current(settings, store, now)
        connection, chosen_by = _choose(connections, glimpse, connection_id)
        if connection is None or connection.trusted is None:
            return Case(None, chosen_by if connection is None else "it has no metadata yet", circumstances, clock_is)
        keys = _decryption_keys(settings, store, now) if connection.encryption != "off" else ()
    issuers = {each.identity_provider.entity_id: each.id for each in connections if each.identity_provider}
    provider = connection.service_provider
    if glimpse is not None and glimpse.destination in provider.acs_urls:
        provider = replace(provider, acs_url=glimpse.destination)
    trust = replace(connection.trusted, decryption_keys=keys)
    known = replace(circumstances, trust=trust, service_provider=provider, issuers=issuers)
    return Case(connection, chosen_by, known, clock_is)


def _moment(at: str | None, glimpse: Glimpse | None, now: datetime) -> tuple[datetime, str]:
    instants = () if glimpse is None else glimpse.issue_instants
    issued = next((instant for instant in instants if instant.year in _YEARS), None)
    if at == "now" or (at is None and issued is None):
        return now, "now"
    if at is None and issued is not None:
        way = "ago" if issued <= now else "ahead of now"
        return issued, f"the message's own IssueInstant, {duration(now - issued)} {way}; --at judges it at another time"
    try:
        moment = datetime.fromisoformat(at or "")
        if moment.year not in _YEARS:
            raise ValueError("a year that nobody means")
    except ValueError:
        raise click.UsageError('--at must be "now" or a time such as 2026-03-01T12:00:00Z') from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC), "as --at says"


def _expected(request_id: str | None, moment: datetime) -> Expected | None:
    return Expected(request_id, moment) if request_id else None


def _current(settings: Settings, store: SqlStore, now: datetime) -> Connections:
    declared = read_connections(settings, now)
    if not fetched_connections(settings) or not _has_database(settings):
        return declared
    try:
        return read_current(settings, declared, store, now)
    except StoreError:
        return declared


def _choose(
    connections: Connections, glimpse: Glimpse | None, connection_id: str | None
) -> tuple[Connection | None, str]:
    if connection_id is not None:
        connection = connections.get(connection_id)
        if connection is None:
            ids = ", ".join(each.id for each in connections) or "none"
            raise click.UsageError(f"there is no connection {connection_id!r}; there are: {ids}")
        return connection, "as --connection says"
    if glimpse is not None:
        for each in connections:
            if glimpse.destination in each.service_provider.acs_urls and not _is_shared(connections, each):
                return each, "its ACS address is the Destination"
        for each in connections:
            if each.identity_provider is not None and each.identity_provider.entity_id in glimpse.issuers:
                return each, "its identity provider is the Issuer"
    only = next(iter(connections)) if len(connections) == 1 else None
    return only, "it is the only one" if only else "no connection has this Destination or Issuer: give --connection"


def _is_shared(connections: Connections, connection: Connection) -> bool:
    return sum(each.service_provider.acs_url == connection.service_provider.acs_url for each in connections) > 1


def _decryption_keys(settings: Settings, store: SqlStore, now: datetime) -> tuple[RSAPrivateKey, ...]:
    """Our keys, where they are at hand. None is made here, and no database."""
    supplied = read_supplied_keys(settings)
    try:
        if "encryption" not in supplied and not (_has_database(settings) and store.get_keys("encryption")):
            return ()
        keys = OwnKeys(store, Sealer(secret_keys_of(settings)), common_name=settings.host, supplied=supplied)
        return keys.decryption_keys(now)
    except StoreError:
        return ()


def _has_database(settings: Settings) -> bool:
    url = read_database_url(settings.database_url)
    return not is_sqlite(url) or Path(url.database or "").exists()


# The verdict


def _explain(sent: Sent, glimpse: Glimpse | None, case: Case) -> Explanation:
    try:
        message = read_message(sent.value) if isinstance(sent.value, str) else read_message_xml(sent.value)
        stopped_at = _judge(message, case)
    except Refused as error:
        return explain(glimpse, case.circumstances, error=error)
    return explain(glimpse, case.circumstances, error=None, stopped_at=stopped_at)


def _judge(message: Message, case: Case) -> str | None:
    """Raises what a sign-in would. Where judging ends without a verdict, the check that it ends at."""
    connection = case.connection
    if connection is None:
        return "login_request"
    if not connection.enabled:
        raise ConnectionDisabled(f"connection {connection.id!r} is disabled")
    assertion = judge(message, case.circumstances)
    if assertion is None:
        return "encryption"
    if assertion.in_response_to is None and connection.idp_initiated == "off":
        raise UnsolicitedRefused(f"idp_initiated of connection {connection.id!r} is off")
    read_identity(assertion, connection)
    return None


def _verdict(told: Explanation) -> str:
    if told.code is not None:
        return "refused"
    return "accepted" if told.is_accepted else "undecided"


# Telling it


def _lines(sent: Sent, glimpse: Glimpse | None, case: Case, told: Explanation) -> Iterator[str]:
    whose = f"connection {case.connection.id!r}" if case.connection else "no connection"
    yield f"Read as {sent.as_what}. Judged by {whose}: {case.chosen_by}."
    yield f"The clock: {clock(case.circumstances.now)} ({case.clock_is})."
    if case.connection is None and glimpse is not None:
        yield f"It says that it is from {shown_all(glimpse.issuers)}, for {shown(glimpse.destination)}."
    yield ""
    for finding in told.findings:
        yield from _told(finding)
    yield ""
    yield from _ending(case, told)


def _told(finding: Finding) -> Iterator[str]:
    came = f": {finding.came}" if finding.came else ""
    if finding.who is None:
        yield f"{finding.state:<12}{finding.check.title}{came}"
        yield from (f"              note: {hint}" for hint in finding.hints)
        return
    first, *rest = finding_lines(finding)
    yield f"{finding.state.upper():<12}{first}"
    yield from (f"            {line}" for line in rest)


def _ending(case: Case, told: Explanation) -> Iterator[str]:
    if told.also:
        yield "WOULD FAIL is what the message says of itself; that was not verified."
    refused = told.refused
    if refused is not None:
        yield f"Verdict: refused, {told.code}. Who must act: {refused.who}."
    elif told.is_accepted:
        yield "Verdict: accepted, as far as a message alone can show it: what was not judged needs a real sign-in."
    elif case.connection is None:
        yield f"Verdict: undecided, since no connection is known ({case.chosen_by})."
    else:
        yield "Verdict: undecided. It is encrypted, and the key to it is not here (see `encryption` and the database)."


def _as_json(sent: Sent, case: Case, told: Explanation, verdict: str) -> dict[str, object]:
    return {
        "verdict": verdict,
        "code": told.code,
        "why": told.why,
        "read_as": sent.as_what,
        "connection": case.connection and case.connection.id,
        "chosen_by": case.chosen_by,
        "at": case.circumstances.now.isoformat(),
        "at_is": case.clock_is,
        "checks": [as_record(finding) for finding in told.findings],
    }
