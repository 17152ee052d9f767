"""`sessions …`: who is signed in, and how an admin ends that, or has it confirmed by the identity provider.

What each step changes is `live_sessions`'; here is what is asked before, and told afterwards.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

import click

from ..errors import SessionChoiceRefused
from ..live_sessions import LiveSessions, SessionSummary
from ..settings import Settings
from ..sso import SSO
from .loading import config_option, json_option
from .metadata import NoHost

Command = TypeVar("Command", bound=Callable[..., Any])
_MOST = 1_000_000
_DOES = {
    "live": "may be used",
    "renew": "is confirmed by the identity provider first",
    "ended": "has ended",
    "dormant": "of a connection that the settings don't name",
}


class Named(TypedDict):
    """Which sessions, as the options name them."""

    session: str | None
    person: str | None
    connection: str | None
    organization: str | None


def choice_options(command: Command) -> Command:
    options = (
        click.option("--session", metavar="ID", help="One session, by its id in the list, or the beginning of it."),
        click.option("--person", metavar="EMAIL", help="All sessions of one person. With --connection: only of that."),
        click.option("--connection", metavar="ID", help="All sessions of one connection."),
        click.option("--organization", metavar="NAME", help="All sessions of an organization's connections."),
    )
    for option in reversed(options):
        command = option(command)
    return command


all_option = click.option("--all", "everyone", is_flag=True, help="Everybody's sessions.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Don't ask.")


@click.group()
def sessions() -> None:
    """Who is signed in, and an end to it."""


@sessions.command(name="list")
@choice_options
@click.option("--ended", is_flag=True, help="Also those that have ended by themselves and are still kept.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@config_option
@json_option
def list_sessions(config: Path | None, as_json: bool, ended: bool, limit: int, **named: Unpack[Named]) -> None:
    """Show sessions, last seen first. Exits 1 if there is none of whom was named."""
    with _open(config) as (_, live):
        found = live.list(**named, include_ended=ended, limit=limit)
    if as_json:
        click.echo(json.dumps({"sessions": [_as_json(each) for each in found]}, ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(map(_as_text, found)) if found else "Nobody of these is signed in.")
    if not found and any(named.values()):
        raise click.exceptions.Exit(1)


@sessions.command(name="revoke")
@choice_options
@all_option
@yes_option
@config_option
@json_option
def revoke(config: Path | None, as_json: bool, yes: bool, everyone: bool, **named: Unpack[Named]) -> None:
    """End sessions. Say which in one way.

    Asks first if there are more than one. Exits 1 if there was none. Who is
    revoked may sign in again, if their identity provider lets them.
    """
    with _open(config) as (settings, live):
        if not yes:
            _confirm(live, named, everyone, does="ends", question="End them?")
        number = live.revoke(**named, everyone=everyone, actor=actor_of_command())
    _tell(number, settings, as_json, "ended", "Every worker refuses them", "Nobody of these is signed in.")


@sessions.command(name="renew")
@choice_options
@all_option
@yes_option
@config_option
@json_option
def renew(config: Path | None, as_json: bool, yes: bool, everyone: bool, **named: Unpack[Named]) -> None:
    """Have the identity provider asked before sessions are used again.

    Say which in one way. For what has changed there, such as somebody's roles:
    it is asked unseen, and who is still signed in there stays signed in here.
    Asks first if there are more than one. Exits 1 if there was none.
    """
    with _open(config) as (settings, live):
        if not yes:
            _confirm(live, named, everyone, does="sends to their identity provider", question="Renew them?")
        number = live.require_renewal(**named, everyone=everyone, actor=actor_of_command())
    told = "Every worker has them confirmed at their next use,"
    _tell(number, settings, as_json, "to be renewed", told, "Nobody of these is signed in.")


@contextmanager
def _open(config: Path | None) -> Iterator[tuple[Settings, LiveSessions]]:
    """A choice that is not clear is a wrong call."""
    settings = Settings.load(config=config)
    sso = SSO(settings, NoHost())
    try:
        yield settings, sso.sessions
    except SessionChoiceRefused as error:
        raise click.UsageError(error.detail) from None
    finally:
        sso.site.store.close()


def _confirm(live: LiveSessions, named: Named, everyone: bool, *, does: str, question: str) -> None:
    """Ask, if more than one session is meant. Whoever named nothing is refused by the step itself."""
    if not (everyone or any(named.values())):
        return
    found = live.list(**named, everyone=everyone, limit=_MOST)
    if len(found) > 1:
        people = len({(each.connection, each.email) for each in found})
        whose = "of one person" if people == 1 else f"of {people} people"
        click.echo(f"This {does} {len(found)} sessions {whose}.", err=True)
        click.confirm(question, abort=True, err=True)


def actor_of_command() -> str:
    try:
        return f"command line, {getpass.getuser()}"
    except (KeyError, OSError):  # a user without a name, as in many containers
        return "command line"


def _tell(number: int, settings: Settings, as_json: bool, what: str, where: str, nothing: str) -> None:
    delay = settings.revocation_delay
    if as_json:
        told = {what.replace(" ", "_"): number, "seen_everywhere_within_seconds": delay.total_seconds()}
        click.echo(json.dumps(told, indent=2))
    elif number:
        click.echo(f"{_count(number)} {what}. {where} {_within(delay)}.")
    else:
        click.echo(nothing)
    if not number:
        raise click.exceptions.Exit(1)


def _within(delay: timedelta) -> str:
    seconds = delay.total_seconds()
    if not seconds:
        return "from now on"
    return f"within {seconds:g} second{'' if seconds == 1 else 's'} (revocation_delay)"


def _count(number: int) -> str:
    return "1 session" if number == 1 else f"{number} sessions"


def _as_text(summary: SessionSummary) -> str:
    whose = f"{summary.email}  {summary.connection}"
    whose += f" ({summary.organization})" if summary.organization else ""
    times = (
        f"signed in {summary.created_at:%Y-%m-%d %H:%M}Z  last seen {summary.last_seen:%Y-%m-%d %H:%M}Z"
        f"  ends {summary.expires_at:%Y-%m-%d %H:%M}Z at the latest"
    )
    return f"{summary.id}  {whose}  {summary.device}\n    {summary.state}: {_DOES[summary.state]}  {times}"


def _as_json(summary: SessionSummary) -> dict[str, object]:
    return {
        "id": summary.id,
        "connection": summary.connection,
        "organization": summary.organization,
        "email": summary.email,
        "device": summary.device,
        "created_at": summary.created_at.isoformat(),
        "authenticated_at": summary.authenticated_at.isoformat(),
        "last_seen": summary.last_seen.isoformat(),
        "expires_at": summary.expires_at.isoformat(),
        "state": summary.state,
    }
