"""`connections …`: make, change, test, switch on and off connections while the app runs.

What each step changes, and refuses, is `connection_admin`'s; here is what is asked before, and told afterwards.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import click

from ..calling import system_clock
from ..configuring_all import Configuring
from ..connection_admin import ConnectionSummary
from ..departments import DepartmentsUnreadable, Team, read_departments_csv
from ..directory import fetched_connections
from ..errors import ConfigurationError
from ..flows.chores import metadata_refresh
from ..metadata_refresh import guard_of, make_fetch
from ..sso import SSO
from ..stores.configuration_records import ConnectionState
from .configuring import connection_as_json, force_option, opened, tell
from .loading import config_option, json_option

_METADATA = {"metadata", "metadata_url"}

metadata_url_option = click.option("--metadata-url", metavar="URL", help="Where the identity provider's metadata is.")
metadata_file_option = click.option(
    "--metadata-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A file with the identity provider's metadata: it is read now, and kept.",
)


@click.group()
def connections() -> None:
    """Make, change, test and switch connections."""


@connections.command(name="list")
@config_option
@json_option
def list_connections(config: Path | None, as_json: bool) -> None:
    """Every connection, and what to do next with it."""
    with opened(config) as (_, configuring):
        found = configuring.connections.list()
    if as_json:
        click.echo(json.dumps([connection_as_json(each) for each in found], ensure_ascii=False, indent=2))
        return
    for each in found:
        click.echo(_as_text(each))
    if not found:
        click.echo("There is no connection yet.\nNext: sso-middleware connections create ID --organization NAME")


@connections.command()
@click.argument("id")
@config_option
@json_option
def show(id: str, config: Path | None, as_json: bool) -> None:
    """One connection, with what was set for it."""
    with opened(config) as (_, configuring):
        found = configuring.connections.show(id)
        document = {} if found.is_declared else configuring.connections.document(id)
    if as_json:
        click.echo(json.dumps({**connection_as_json(found), "settings": document}, ensure_ascii=False, indent=2))
        return
    click.echo(_as_text(found))
    for name, value in document.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        click.echo(f"    {name} = {text if len(text) < 100 else f'{text[:80]}… ({len(text)} characters)'}")


@connections.command()
@click.argument("id")
@click.option("--organization", required=True, metavar="NAME", help="The customer's name, for people to read.")
@metadata_url_option
@metadata_file_option
@config_option
@json_option
def create(
    id: str,
    organization: str,
    metadata_url: str | None,
    metadata_file: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Make a draft: nobody can sign in by it before it is activated.

    ID becomes part of its URLs, and never changes. Their metadata can come later.
    """
    document = _metadata(metadata_url, metadata_file)
    with opened(config) as (sso, configuring):
        configuring.connections.create(id, organization=organization, **document)
        _fetch(sso, id, document)
        made = configuring.connections.show(id)
        if not as_json:
            us = sso.site.page_url(f"{id}/metadata")
            click.echo(f"Connection {id!r} is made, as a draft. Their IT needs our metadata: {us}")
        tell(made, f"(or as a file: sso-middleware metadata show {id} -o {id}-sp.xml)", as_json=as_json)


@connections.command(name="set")
@click.argument("id")
@click.argument("assignments", nargs=-1, metavar="NAME=VALUE...")
@metadata_url_option
@metadata_file_option
@config_option
@json_option
def set_values(
    id: str,
    assignments: tuple[str, ...],
    metadata_url: str | None,
    metadata_file: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Change settings of a connection. A dot goes into a table: attributes.email=mail.

    A VALUE is a text, or JSON. None at all (soft_timeout=) takes the setting out.
    """
    with opened(config) as (sso, configuring):
        changes = _read_assignments(assignments, configuring.connections.document(id))
        changes |= _metadata(metadata_url, metadata_file)
        if not changes:
            raise click.UsageError("nothing to change: give NAME=VALUE, --metadata-url or --metadata-file")
        if metadata_url or metadata_file:
            changes = {**dict.fromkeys(_METADATA), **changes}
        configuring.connections.update(id, changes)
        _fetch(sso, id, changes)
        changed = configuring.connections.show(id)
        tell(
            changed,
            f"Changed: {', '.join(name for name, value in changes.items() if value is not None)}.",
            as_json=as_json,
        )


@connections.command()
@click.argument("id")
@click.argument("emails", nargs=-1, required=True, metavar="EMAIL...")
@config_option
@json_option
def exclude(id: str, emails: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """Let people of its domains sign in by the app's own login: add them to the exclusion list."""
    with opened(config) as (_, configuring):
        before = configuring.connections.show(id).excluded_users
        wanted = sorted({*before, *(part.strip() for email in emails for part in email.split(",") if part.strip())})
        changed = configuring.connections.update(id, {"excluded_users": wanted})
        tell(changed, _excluded(changed), as_json=as_json)


@connections.command()
@click.argument("id")
@click.argument("emails", nargs=-1, required=True, metavar="EMAIL...")
@config_option
@json_option
def include(id: str, emails: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """Take people off the exclusion list."""
    with opened(config) as (_, configuring):
        before = configuring.connections.show(id).excluded_users
        unwanted = {email.strip().lower() for email in emails}
        strangers = unwanted - set(before)
        if strangers:
            raise click.UsageError("not on the list: " + ", ".join(sorted(strangers)))
        changed = configuring.connections.update(id, {"excluded_users": sorted(set(before) - unwanted)})
        tell(changed, _excluded(changed), as_json=as_json)


@connections.command()
@click.argument("id")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="FILE.csv")
@config_option
@json_option
def departments(id: str, file: Path, config: Path | None, as_json: bool) -> None:
    """Take over a table of departments and teams, from a CSV file.

    Its columns are department and team. Every line that is wrong is told; then nothing is changed.
    """
    with opened(config) as (_, configuring):
        document = configuring.connections.document(id)
        teams = tuple(Team(**team) for team in cast("list[dict[str, str]]", document.get("teams") or []))
        try:
            table = read_departments_csv(file.read_bytes(), teams)
        except DepartmentsUnreadable as error:
            raise ConfigurationError(*error.problems) from None
        changed = configuring.connections.update(id, {"departments": dict(table)})
        tell(changed, f"{len(table)} departments lead to a team.", as_json=as_json)


@connections.command()
@click.argument("id")
@config_option
@json_option
def test(id: str, config: Path | None, as_json: bool) -> None:
    """Print a link for a test sign-in, good for a day.

    Open it in a browser: it shows all that would follow, and signs nobody in.
    """
    with opened(config) as (_, configuring):
        link = configuring.connections.test_link(id)
    if as_json:
        click.echo(json.dumps({"link": link}))
        return
    click.echo(f"Open this in a browser, as somebody of that organization:\n\n  {link}\n")
    click.echo(f"Then: sso-middleware connections show {id}")


@connections.command()
@click.argument("id")
@force_option
@config_option
@json_option
def activate(id: str, force: bool, config: Path | None, as_json: bool) -> None:
    """Let everybody of its domains sign in by it."""
    _set_state(id, "active", f"{id} is active: people of its domains can sign in by it.", config, as_json, force=force)


@connections.command()
@click.argument("id")
@config_option
@json_option
def testing(id: str, config: Path | None, as_json: bool) -> None:
    """Let only its test_users sign in by it."""
    _set_state(id, "testing", f"{id} is being tested: only its test_users can sign in by it.", config, as_json)


@connections.command()
@click.argument("id")
@config_option
@json_option
def disable(id: str, config: Path | None, as_json: bool) -> None:
    """Switch single sign-on off for its people, at once.

    Its sessions end, and its domains are not enforced: its people can use the app's own login. Paths that
    the app protects stay protected.
    """
    told = f"{id} is disabled: its people can use the app's own login. Every worker knows within a second."
    _set_state(id, "disabled", told, config, as_json)


@connections.command()
@click.argument("id")
@click.option("--yes", "-y", is_flag=True, help="Don't ask.")
@config_option
def delete(id: str, yes: bool, config: Path | None) -> None:
    """Delete a connection and its domains. Its people can't sign in by it any more."""
    with opened(config) as (_, configuring):
        found = configuring.connections.show(id)
        if not yes:
            names = ", ".join(domain.name for domain in found.domains) or "no domain"
            click.confirm(f"Delete {id} of {found.organization} ({names})?", abort=True, err=True)
        configuring.connections.delete(id)
    click.echo(f"{id} is deleted.")


def _set_state(
    id: str, state: ConnectionState, told: str, config: Path | None, as_json: bool, *, force: bool = False
) -> None:
    with opened(config) as (_, configuring):
        changed = configuring.connections.set_state(id, _declared_state(configuring, id, state), force=force)
        tell(changed, told, as_json=as_json)


def _declared_state(configuring: Configuring, id: str, state: ConnectionState) -> ConnectionState | None:
    """To activate a declared one that was disabled here is to let the settings decide again."""
    found = configuring.connections.show(id)
    return None if found.is_declared and found.state == "disabled" and state == "active" else state


def _metadata(url: str | None, file: Path | None) -> dict[str, Any]:
    if url and file:
        raise click.UsageError("give --metadata-url or --metadata-file, not both")
    if file is None:
        return {"metadata_url": url} if url else {}
    try:
        return {"metadata": file.read_text(encoding="utf-8-sig")}
    except (OSError, UnicodeDecodeError):
        raise click.UsageError(f"{file} can't be read as a text") from None


def _fetch(sso: SSO, id: str, changes: dict[str, Any]) -> None:
    """At once, so that whoever gave a URL sees whether it works."""
    declared = fetched_connections(sso.settings, sso.site.store).get(id)
    if declared is None or not _METADATA & changes.keys():
        return
    now = system_clock()
    copy = metadata_refresh(sso.site, make_fetch(guard_of(sso.settings))).refresh(declared, now)
    if copy.problem:
        click.echo(f"Their metadata could not be fetched yet, and is tried again: {copy.problem}", err=True)


def _read_assignments(assignments: tuple[str, ...], document: Any) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for assignment in assignments:
        name, is_one, text = assignment.partition("=")
        if not is_one or not name:
            raise click.UsageError(f"{assignment!r} is not NAME=VALUE")
        table, _, key = name.partition(".")
        value = _read_value(text)
        if key:
            within = dict(changes.get(table) or document.get(table) or {})
            if value is None:
                within.pop(key, None)
            else:
                within[key] = value
            value = within or None
        changes[table] = value
    return changes


def _read_value(text: str) -> Any:
    """JSON where it is a list, a table or a truth value; a text otherwise."""
    if not text:
        return None
    if text[0] in "[{" or text in ("true", "false"):
        try:
            return json.loads(text)
        except ValueError:
            raise click.UsageError(f"{text[:40]!r} begins as JSON, and is not") from None
    return text


def _excluded(summary: ConnectionSummary) -> str:
    number = len(summary.excluded_users)
    told = f"{number} excluded user{'' if number == 1 else 's'}: {', '.join(summary.excluded_users) or 'nobody'}."
    return told if number != 1 else f"{told}\nName two or more: one can be ill, or have left."


def _as_text(summary: ConnectionSummary) -> str:
    domains = ", ".join(
        f"{domain.name} ({domain.mode}{'' if domain.is_verified else ', not verified'})" for domain in summary.domains
    )
    lines = [
        f"{summary.id}  {summary.organization}  {summary.state}{'  (declared in the settings)' * summary.is_declared}",
        f"    domains: {domains or 'none'}",
        f"    identity provider: {summary.identity_provider or 'not known yet'}",
        f"    test sign-in: {f'passed {summary.test_passed_at:%Y-%m-%d %H:%M}Z' if summary.test_passed_at else 'none'}",
        *(f"    way back: {way.words}" for way in summary.ways_back if way.works),
        *(f"    no way back: {way.words}" for way in summary.ways_back if not way.works),
        f"    next: {summary.next_step}",
    ]
    return "\n".join(lines)
