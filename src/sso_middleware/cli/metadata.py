"""`metadata`: our own for the customer's IT, and what became of theirs where it is fetched.

What a document is worth is told by `metadata check` (metadata_check.py), which needs no settings.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..calling import call_blocking, run, system_clock
from ..directory import fetched_connections
from ..errors import ConfigurationError
from ..flows.chores import metadata_refresh
from ..hooks import Hooks, HostUser, Identity, Reject
from ..idp_source import FromUrl
from ..metadata_refresh import MetadataRefresh, guard_of, make_fetch
from ..settings import ConnectionSettings, Settings
from ..sso import SSO
from ..stores.records import MetadataCopy
from ..web import Request
from .loading import config_option, json_option, open_store
from .metadata_check import check_metadata


class NoHost(Hooks):
    """In place of the host's hooks: no request is answered here."""

    def host_user(self, request: Request) -> HostUser | None:
        return None

    def provision(self, identity: Identity) -> Reject:
        return Reject("no request is answered here")


class _OursByDefault(click.Group):
    """`metadata ID` is `metadata show ID`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_OursByDefault)
def metadata() -> None:
    """Our metadata for their side, and theirs on ours.

    `metadata ID` is short for `metadata show ID`.
    """


metadata.add_command(check_metadata)


@metadata.command()
@click.argument("connection_id", metavar="[ID]", required=False)
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file.")
@config_option
def show(connection_id: str | None, output: Path | None, config: Path | None) -> None:
    """Print our metadata as connection ID sees us.

    It is for upload at the identity provider. ID may be left out where there is only one, or with
    `shared_acs`. The signing key is made if there is none yet.
    """
    settings = Settings.load(config=config)
    ids = [connection.id for connection in settings.connections]
    if connection_id is not None and connection_id not in ids:
        raise click.UsageError(f"there is no connection {connection_id!r}; there are: {', '.join(ids) or 'none'}")
    if not ids:
        click.echo("No connection is configured: add one to [[connections]] in the TOML file.", err=True)
        raise click.exceptions.Exit(1)
    if connection_id is None and not settings.shared_acs:
        if len(ids) > 1:
            raise click.UsageError(f"Which connection? There are: {', '.join(ids)}.")
        connection_id = ids[0]
    sso = SSO(settings, NoHost())
    run(sso.site.directory.look(call_blocking))  # as the app does: whether their side has single logout
    xml = sso.build_metadata(connection_id).rstrip() + b"\n"
    if output is None:
        click.echo(xml, nl=False)
    else:
        output.write_bytes(xml)
        click.echo(f"Written to {output}.")


# Theirs, where it is fetched


@metadata.command(name="list")
@config_option
@json_option
def list_fetched(config: Path | None, as_json: bool) -> None:
    """What was fetched for each connection with a metadata_url, and what went wrong.

    Exits 1 if one of them is not ready, failed, or waits for approval.
    """
    settings = Settings.load(config=config)
    with open_store(settings) as store:
        found = [
            (declared, store.get_metadata_copy(id)) for id, declared in fetched_connections(settings, store).items()
        ]
    if as_json:
        click.echo(json.dumps([_as_json(declared, copy) for declared, copy in found], ensure_ascii=False, indent=2))
    else:
        click.echo(
            "\n".join(_as_text(declared, copy) for declared, copy in found) or "No connection has a metadata_url."
        )
    if any(copy is None or copy.document is None or copy.problem or copy.held for _, copy in found):
        raise click.exceptions.Exit(1)


@metadata.command()
@click.argument("connection_id", metavar="[ID]", required=False)
@config_option
def refresh(connection_id: str | None, config: Path | None) -> None:
    """Fetch the metadata of connection ID, or of all, now.

    Exits 1 if nothing could be taken over from one of them.
    """
    settings = Settings.load(config=config)
    chosen = _chosen(settings, connection_id)
    refresher = _refresher(settings)
    copies = [(declared, refresher.refresh(declared, system_clock())) for declared in chosen]
    click.echo("\n".join(_as_text(declared, copy) for declared, copy in copies))
    if any(copy.problem or copy.held for _, copy in copies):
        raise click.exceptions.Exit(1)


@metadata.command()
@click.argument("connection_id", metavar="ID")
@config_option
def held(connection_id: str, config: Path | None) -> None:
    """Print the metadata of connection ID that waits for approval, for a look at it."""
    settings = Settings.load(config=config)
    (declared,) = _chosen(settings, connection_id)
    with open_store(settings) as store:
        copy = store.get_metadata_copy(declared.id)
    if copy is None or copy.held is None:
        click.echo(f"no metadata of connection {connection_id!r} is held for approval", err=True)
        raise click.exceptions.Exit(1)
    click.echo(f"Held because {copy.held_reason}.", err=True)
    click.echo(copy.held.rstrip() + b"\n", nl=False)


@metadata.command()
@click.argument("connection_id", metavar="ID")
@click.option("--yes", "-y", is_flag=True, help="Don't ask.")
@config_option
def approve(connection_id: str, yes: bool, config: Path | None) -> None:
    """Take over the held metadata of connection ID: its keys are trusted from then on.

    Ask the customer's IT first, by another way than the metadata itself, whether the change is theirs.
    """
    settings = Settings.load(config=config)
    (declared,) = _chosen(settings, connection_id)
    refresher, now = _refresher(settings), system_clock()
    held, described = refresher.describe_held(declared, now)
    click.echo("\n".join(f"{name}: {value}" for name, value in described.items()))
    if not yes:
        # Of exactly this copy: another may have come since somebody looked at one.
        click.confirm("Is this what their IT says?", abort=True)
    refresher.approve(declared, held, now)
    click.echo(f"Taken over: every process of the app trusts it for connection {connection_id!r} within a second.")


@metadata.command()
@click.argument("connection_id", metavar="ID")
@config_option
def reject(connection_id: str, config: Path | None) -> None:
    """Drop the held metadata of connection ID, and look again in a day."""
    settings = Settings.load(config=config)
    (declared,) = _chosen(settings, connection_id)
    _refresher(settings).reject(declared, system_clock())
    click.echo(f"Dropped. Connection {connection_id!r} goes on with the metadata that it had.")


def _refresher(settings: Settings) -> MetadataRefresh:
    return metadata_refresh(SSO(settings, NoHost()).site, make_fetch(guard_of(settings)))


def _chosen(settings: Settings, connection_id: str | None) -> list[ConnectionSettings]:
    fetched = fetched_connections(settings)
    if connection_id is None and fetched:
        return list(fetched.values())
    if connection_id is None:
        raise ConfigurationError("no connection has a metadata_url")
    if connection_id not in fetched:
        raise click.UsageError(
            f"there is no connection {connection_id!r} with a metadata_url; there are: {', '.join(fetched) or 'none'}"
        )
    return [fetched[connection_id]]


def _as_json(declared: ConnectionSettings, copy: MetadataCopy | None) -> dict[str, object]:
    return {
        "id": declared.id,
        "url": _url(declared),
        "ready": copy is not None and copy.document is not None,
        "fetched_at": copy and copy.fetched_at and copy.fetched_at.isoformat(),
        "next_fetch_at": copy and copy.next_fetch_at.isoformat(),
        "problem": copy and copy.problem,
        "held_because": copy and copy.held_reason,
    }


def _as_text(declared: ConnectionSettings, copy: MetadataCopy | None) -> str:
    lines = [f"{declared.id}: {_state(copy)}", f"    from {_url(declared)}"]
    if copy is not None:
        lines += [f"    problem: {copy.problem}"] * bool(copy.problem)
        lines += [
            f"    held for approval: {copy.held_reason}; look at it: sso-middleware metadata held {declared.id}"
        ] * bool(copy.held)
        lines.append(f"    next fetch {copy.next_fetch_at:%Y-%m-%d %H:%M} UTC")
    return "\n".join(lines)


def _state(copy: MetadataCopy | None) -> str:
    if copy is None:
        return "not fetched yet; nobody can sign in by it"
    if copy.document is None or copy.fetched_at is None:
        return "nothing usable was fetched yet; nobody can sign in by it"
    return f"ready, last taken over {copy.fetched_at:%Y-%m-%d %H:%M} UTC"


def _url(declared: ConnectionSettings) -> str:
    source = declared.source
    return source.url if isinstance(source, FromUrl) else ""
