"""`doctor`: what is wrong with a running set-up, or could be better, and what to do about each.

`check` reads the settings alone; this looks at the database as well: at what admins have decided since, at fetched
metadata, and at what has gone wrong lately. It changes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import click

from ..configuring import Desk
from ..connection import Connection, Connections
from ..errors import ChangeRefused, ConfigurationError
from ..flows.dated_exceptions import describe_exceptions
from ..flows.enforcement_notices import describe_enforcement, describe_exclusions
from ..people_rules import is_address, key_is_address
from ..run_time_settings import read_document
from ..settings import Settings
from ..sso import SSO
from ..stores.event_records import EventQuery
from ..stores.people_records import PeopleQuery
from ..way_back import risks_of_enforcing, ways_back_of
from .configuring import actor
from .loading import config_option, json_option
from .metadata import NoHost

ENDS_SOON = timedelta(days=30)
LATELY = timedelta(days=7)
_MOST_EVENTS = 10_000
CONFLICTS = ("person_conflict", "principal_shared", "user_linked_twice")
FAILURES = (
    *("mail_failed", "metadata_fetch_failed", "metadata_held"),
    *("hook_failed", "hook_timed_out", "store_unavailable"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """`wrong`: somebody can't sign in, could be locked out, or is not made to. `note`: it could be better."""

    severity: Literal["wrong", "note"]
    about: str
    words: str


@click.command()
@config_option
@json_option
def doctor(config: Path | None, as_json: bool) -> None:
    """Look at the running set-up: say what is wrong.

    Changes nothing. Exits 1 if somebody can't sign in, could be locked out, or is not made to sign in as they must.
    """
    settings = Settings.load(config=config)
    sso = SSO(settings, NoHost())
    try:
        found = list(_findings(sso))
    finally:
        sso.site.store.close()
    wrong = [finding for finding in found if finding.severity == "wrong"]
    if as_json:
        told = [{"severity": f.severity, "about": f.about, "words": f.words} for f in found]
        click.echo(json.dumps({"ok": not wrong, "findings": told}, ensure_ascii=False, indent=2))
    else:
        for finding in sorted(found, key=lambda finding: finding.severity, reverse=True):
            click.echo(f"{finding.severity}: {finding.about}: {finding.words}")
        click.echo("Nothing is wrong." if not wrong else f"{len(wrong)} wrong.")
    if wrong:
        raise click.exceptions.Exit(1)


def _findings(sso: SSO) -> Iterator[Finding]:
    site = sso.site
    settings, now = site.settings, site.now()
    desk = Desk(site, actor(), sees_hooks=False)
    connections = desk.current()
    for words in describe_enforcement(settings, connections):
        yield Finding("wrong", "enforcement", words)
    for words in describe_exclusions(settings):
        yield Finding("note", "exclusion lists", words)
    for words in describe_exceptions(settings, now):
        yield Finding("note", "exceptions", words)
    if len(connections) == 0:
        yield Finding("wrong", "connections", "there is none: sso-middleware connections create ID --organization NAME")
    yield from _unreadable(sso)
    for connection in connections:
        if connection.state != "disabled":
            yield from _of_connection(sso, connections, connection, now)
    yield from _lately(sso, now)


def _unreadable(sso: SSO) -> Iterator[Finding]:
    for stored in sso.site.store.get_configuration().connections:
        if stored.settings is None:
            continue
        try:
            read_document(stored, sso.site.settings)
        except (ConfigurationError, ChangeRefused) as error:
            words = f"what is kept of it can't be read, so it is left out: {error.detail}"
            yield Finding("wrong", f"connection {stored.id}", words)


def _of_connection(sso: SSO, connections: Connections, connection: Connection, now: datetime) -> Iterator[Finding]:
    about = f"connection {connection.id}"
    if connection.trusted is None:
        severity: Literal["wrong", "note"] = "wrong" if connection.enabled else "note"
        yield Finding(severity, about, f"has no usable metadata yet: sso-middleware connections show {connection.id}")
    for key in connection.identity_provider.keys if connection.identity_provider else ():
        if key.not_after < now + ENDS_SOON:
            words = f"a certificate of its identity provider ends on {key.not_after:%Y-%m-%d}: ask for the next one"
            yield Finding("note", about, words)
    domains = connections.domains_of(connection.id)
    for domain in domains:
        if not domain.is_verified:
            words = f"{domain.name} is not verified, so it decides nothing: sso-middleware domains verify {domain.name}"
            yield Finding("note", about, words)
    if connection.state == "active" and any(domain.mode == "exclusive" and domain.is_verified for domain in domains):
        settings = sso.site.settings
        back = ways_back_of(settings, connection, connections.admins_of(connection.organization), None)
        # What the settings declare is the operator's word, who can change them: it is said, and stops nothing.
        lock_out: Literal["wrong", "note"] = "note" if connection.is_declared else "wrong"
        for words in risks_of_enforcing(connection, back) if settings.mode == "domains" else ():
            yield Finding(lock_out, about, words)
        yield from (Finding("note", about, way.warning) for way in back if way.works and way.warning)
    if _keys_are_addresses(sso, connection) and not connection.secondary_email_fallback:
        yield Finding(
            "note",
            about,
            "knows people by their e-mail address alone, so whoever gets another one is a new person: let the identity"
            " provider send a persistent NameID, name attributes.principal_id, or allow secondary_email_fallback",
        )


def _keys_are_addresses(sso: SSO, connection: Connection) -> bool:
    """By what is asked for, else by what came."""
    named = connection.attributes.principal_id
    if key_is_address(None if named is None else named.name, connection.name_id_format):
        return True
    people = sso.site.store.find_people(PeopleQuery(connection_ids=(connection.id,)), limit=20)
    return bool(people) and all(is_address(person.key) for person in people)


def _lately(sso: SSO, now: datetime) -> Iterator[Finding]:
    query = EventQuery(codes=(*CONFLICTS, *FAILURES), since=now - LATELY)
    counts = Counter(event.code for _, event in sso.site.store.find_events(query, limit=_MOST_EVENTS))
    for code, number in sorted(counts.items()):
        what = "settle it with sso-middleware people" if code in CONFLICTS else "the events say why"
        words = f"{number} times in the last {LATELY.days} days: sso-middleware events --code {code} --since 7d; {what}"
        yield Finding("note", code, words)
