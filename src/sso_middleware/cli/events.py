"""`events`: what happened, filtered, followed, or written out for another program."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from ..addresses import read_email
from ..calling import system_clock
from ..errors import EmailInvalid
from ..events import EXPLANATION, Event
from ..saml.explaining.stored import read_lines
from ..settings import Settings
from ..stores.event_records import EventQuery
from ..stores.records import Store
from .loading import config_option, json_option, open_store

_AGO = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
LOOKS_BACK = 200
"""Numbers behind the newest that is known: one that was given earlier may be seen later."""
_PAGE = 1000


class Moment(click.ParamType[datetime]):
    """A time, or how long ago."""

    name = "time"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        ago = _AGO.fullmatch(value.strip())
        if ago:
            return system_clock() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            self.fail("must be a time such as 2026-03-01T12:00:00Z, or how long ago, such as 30m, 8h or 7d", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.command()
@click.option("--code", "codes", multiple=True, metavar="CODE", help="Only these; `login_*` is all that begin so.")
@click.option("--connection", "connections", multiple=True, metavar="ID")
@click.option("--organization", metavar="NAME", help="Of its connections.")
@click.option("--person", metavar="EMAIL")
@click.option("--client", metavar="ADDRESS", help="From this IP address.")
@click.option("--reference", metavar="WORDS", help="What a person was shown this reference for (babud-kolim).")
@click.option("--since", type=Moment(), metavar="TIME", help="Such as 8h, 7d or 2026-03-01T12:00:00Z.")
@click.option("--until", type=Moment(), metavar="TIME", help="Before then.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True)
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@click.option("--jsonl", "as_lines", is_flag=True, help="One JSON object a line, oldest first: for another program.")
@config_option
@json_option
def events(
    config: Path | None,
    as_json: bool,
    as_lines: bool,
    follow: bool,
    limit: int,
    organization: str | None,
    connections: tuple[str, ...],
    codes: tuple[str, ...],
    person: str | None,
    client: str | None,
    reference: str | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """What happened, newest first. Exits 1 if nothing is found for a reference."""
    if follow and as_json:
        raise click.UsageError("--follow goes with --jsonl, not with --json")
    settings = Settings.load(config=config)
    with open_store(settings) as store:
        query = EventQuery(
            codes=codes,
            connection_ids=_connections(settings, store, connections, organization),
            email=_address(person),
            client=client,
            reference=reference.strip().lower() if reference else None,
            since=since,
            until=until,
        )
        found = store.find_events(query, limit=limit)
        _show([event for _, event in found], as_json=as_json, as_lines=as_lines, is_oldest_first=follow or as_lines)
        if not found and not (as_json or as_lines or follow):
            click.echo("Nothing has this reference." if reference else "Nothing has happened yet.")
        if follow:
            _follow(store, query, found[0][0] if found else None, as_lines=as_lines)
    if reference and not found:
        raise click.exceptions.Exit(1)


def _show(found: Sequence[Event], *, as_json: bool, as_lines: bool, is_oldest_first: bool) -> None:
    ordered = list(reversed(found)) if is_oldest_first else list(found)
    if as_json:
        click.echo(json.dumps([_as_json(event) for event in ordered], ensure_ascii=False, indent=2))
    elif as_lines:
        for event in ordered:
            click.echo(_as_line(event))
    elif ordered:
        click.echo("\n".join(map(_as_text, ordered)))


def _follow(store: Store, query: EventQuery, newest: int | None, *, as_lines: bool) -> None:
    for event in follow_events(store, query, newest):
        click.echo(_as_line(event) if as_lines else _as_text(event))


def follow_events(store: Store, query: EventQuery, newest: int | None, *, every: float = 1.0) -> Iterator[Event]:
    """What happens from now on, for ever. `newest` is the number of the last one that is known."""
    if newest is None:
        last = store.find_events(EventQuery(), limit=1)
        newest = last[0][0] if last else 0
    before = store.find_events(query, after=newest - LOOKS_BACK, limit=LOOKS_BACK)
    seen = {number for number, _ in before if number <= newest}
    while True:
        found = store.find_events(query, after=newest - LOOKS_BACK, limit=_PAGE)
        for number, event in found:
            if number not in seen:
                yield event
        seen = {number for number, _ in found}
        newest = max([newest, *seen])
        if len(found) < _PAGE:
            time.sleep(every)


def _connections(
    settings: Settings, store: Store, named: tuple[str, ...], organization: str | None
) -> tuple[str, ...] | None:
    if organization is None:
        return named or None
    of_organization = {c.id for c in settings.connections if c.organization == organization}
    of_organization |= {c.id for c in store.get_configuration().connections if c.organization == organization}
    if not of_organization:
        raise click.UsageError(f"no connection is of the organization {organization!r}")
    return tuple(sorted(of_organization & set(named) if named else of_organization))


def _address(person: str | None) -> str | None:
    if person is None:
        return None
    try:
        return read_email(person.strip()).address
    except EmailInvalid:
        raise click.BadParameter("must be a plain e-mail address", param_hint="--person") from None


def _as_line(event: Event) -> str:
    return json.dumps(_as_json(event), ensure_ascii=False, separators=(",", ":"))


def _as_json(event: Event) -> dict[str, object]:
    return {
        "code": event.code,
        "at": event.at.isoformat(),
        "connection": event.connection_id,
        "reference": event.reference,
        "client": event.client,
        "email": event.email,
        "detail": {name: value for name, value in event.detail.items() if name != EXPLANATION},
        "explanation": json.loads(event.detail.get(EXPLANATION) or "null"),
    }


def _as_text(event: Event) -> str:
    """One line, and one for each detail. What came from outside can move no cursor."""
    named = {"connection": event.connection_id, "person": event.email, "from": event.client, "ref": event.reference}
    told = [f"{event.at:%Y-%m-%d %H:%M:%S}Z  {event.code:<28}"]
    told += [f"{name} {_printable(value)}" for name, value in named.items() if value]
    return "\n".join(["  ".join(told).rstrip(), *(f"    {line}" for line in _detail_lines(event))])


def _detail_lines(event: Event) -> Iterator[str]:
    for name, value in event.detail.items():
        if name == EXPLANATION:
            yield from map(_printable, read_lines(value))
        elif value:
            yield f"{name}: {_printable(value)}"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
