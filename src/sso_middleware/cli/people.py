"""`people …`: who has come by single sign-on, and how an admin settles who is one person.

What each step changes is `people_admin`'s; here is what is asked before, and told afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from ..errors import PeopleChoiceRefused
from ..people_admin import People, PersonSummary
from ..settings import Settings
from ..sso import SSO
from .loading import actor, config_option, json_option
from .metadata import NoHost
from .sessions import yes_option

connection_option = click.option("--connection", metavar="ID", help="Of this connection.")


@click.group()
def people() -> None:
    """Who has come by SSO, and who is here twice."""


@people.command(name="list")
@connection_option
@click.option("--organization", metavar="NAME", help="Of an organization's connections.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@config_option
@json_option
def list_people(
    config: Path | None, as_json: bool, limit: int, connection: str | None, organization: str | None
) -> None:
    """Show people, last seen first. Exits 1 if there is nobody."""
    with _open(config) as known:
        found = known.list(connection=connection, organization=organization, limit=limit)
    if as_json:
        click.echo(json.dumps({"people": [_as_json(each) for each in found]}, ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(map(_as_line, found)) if found else "Nobody has come yet.")
    if not found:
        raise click.exceptions.Exit(1)


@people.command(name="show")
@click.argument("who", metavar="[WHO]", required=False)
@click.option("--user", "user_id", metavar="ID", help="In place of WHO: the user of your app's that they are.")
@click.option("--key", metavar="KEY", help="In place of WHO: Principal.key. Needs --connection.")
@connection_option
@config_option
@json_option
def show_person(
    config: Path | None, as_json: bool, who: str | None, user_id: str | None, key: str | None, connection: str | None
) -> None:
    """Show one person: by the beginning of the id, or an e-mail address."""
    with _open(config) as known:
        person = known.show(who, user_id=user_id, key=key, connection=connection)
    _tell(person, as_json, "")


@people.command(name="unlink")
@click.argument("who", metavar="WHO")
@click.option("--forget", is_flag=True, help="The person goes as well, with keys and addresses.")
@connection_option
@yes_option
@config_option
@json_option
def unlink(config: Path | None, as_json: bool, yes: bool, who: str, forget: bool, connection: str | None) -> None:
    """Take the link to your app's user away from one person.

    The person stays; your hook decides anew at the next sign-in. With --forget
    whoever comes under their keys or addresses is new. Their sessions end.
    """
    with _open(config) as known:
        found = known.show(who, connection=connection)
        if not yes:
            click.echo(_as_line(found), err=True)
            does = "Forget this person, and end their sessions?" if forget else "Unlink them, and end their sessions?"
            click.confirm(does, abort=True, err=True)
        person = known.unlink(found.id, connection=found.connection, forget=forget, actor=actor())
    if forget:
        said = "Forgotten, and their sessions ended. Whoever comes under these keys or addresses is new."
    else:
        said = "Unlinked, and their sessions ended. Your hook decides anew at the next sign-in."
    _tell(person, as_json, said)


@people.command(name="merge")
@click.argument("keep", metavar="KEEP")
@click.argument("other", metavar="OTHER")
@connection_option
@yes_option
@config_option
@json_option
def merge(config: Path | None, as_json: bool, yes: bool, keep: str, other: str, connection: str | None) -> None:
    """Make one person, KEEP, of two who are one.

    KEEP has the keys of both from then on. OTHER goes, and their sessions end.
    """
    with _open(config) as known:
        kept, gone = (known.show(who, connection=connection) for who in (keep, other))
        if not yes:
            click.echo(f"stays:\n{_as_line(kept)}\ngoes:\n{_as_line(gone)}", err=True)
            click.confirm("Are these one person?", abort=True, err=True)
        person = known.merge(kept.id, gone.id, actor=actor())
    _tell(person, as_json, "Merged, and the other one's sessions ended.")


@contextmanager
def _open(config: Path | None) -> Iterator[People]:
    """Whoever is not found ends with 1; a choice that is not clear is a wrong call."""
    sso = SSO(Settings.load(config=config), NoHost())
    try:
        yield sso.people
    except PeopleChoiceRefused as error:
        if error.is_unknown:
            raise
        raise click.UsageError(error.detail) from None
    finally:
        sso.site.store.close()


def _tell(person: PersonSummary, as_json: bool, said: str) -> None:
    if as_json:
        click.echo(json.dumps(_as_json(person), ensure_ascii=False, indent=2))
        return
    click.echo("\n".join([_as_line(person), *_more(person)]))
    if said:
        click.echo(said)


def _as_line(person: PersonSummary) -> str:
    whose = f"{person.connection} ({person.organization})" if person.organization else person.connection
    user = f"user {_printable(person.user_id)}" if person.user_id is not None else "no user"
    name = _printable(f"{person.first_name} {person.last_name}".strip())
    return "  ".join(part for part in (person.id, person.email or "(no address yet)", name, whose, user) if part)


def _more(person: PersonSummary) -> Iterator[str]:
    yield f"    known by: {', '.join(person.keys)}"
    if person.secondary_email:
        yield f"    also {person.secondary_email}"
    if person.former_email:
        since = f", until {_when(person.email_changed_at)}" if person.email_changed_at else ""
        yield f"    before it {person.former_email}{since}"
    times = {"came first": person.created_at, "last seen": person.seen_at, "linked": person.linked_at}
    yield "    " + "  ".join(f"{what} {_when(at)}" for what, at in times.items() if at is not None)


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}Z"


def _printable(text: str) -> str:
    """What came from outside can move no cursor."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _as_json(person: PersonSummary) -> dict[str, object]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(person).items()}
