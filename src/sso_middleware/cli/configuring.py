"""What the commands that change the configuration share: who asks, and how an outcome is told."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from ..configuring import Actor, Desk
from ..configuring_all import Configuring
from ..connection_admin import ConnectionSummary
from ..domain_admin import DomainSummary
from ..settings import Settings
from ..sso import SSO
from .metadata import NoHost

Command = TypeVar("Command", bound=Callable[..., Any])


def actor() -> Actor:
    try:
        return Actor(f"command line, {getpass.getuser()}")
    except (KeyError, OSError):  # a user without a name, as in many containers
        return Actor("command line")


@contextmanager
def opened(config: Path | None) -> Iterator[tuple[SSO, Configuring]]:
    sso = SSO(Settings.load(config=config), NoHost())
    try:
        yield sso, Configuring(Desk(sso.site, actor(), sees_hooks=False))
    finally:
        sso.site.store.close()


def force_option(command: Command) -> Command:
    return click.option(
        "--force", is_flag=True, help="Although it could lock people out: what is missing is recorded."
    )(command)


def say_next(summary: ConnectionSummary) -> None:
    click.echo(f"Next: {summary.next_step}")


def tell(summary: ConnectionSummary, done: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(connection_as_json(summary), ensure_ascii=False, indent=2))
    else:
        click.echo(done)
        say_next(summary)


def connection_as_json(summary: ConnectionSummary) -> dict[str, object]:
    return {
        "id": summary.id,
        "organization": summary.organization,
        "state": summary.state,
        "declared": summary.is_declared,
        "identity_provider": summary.identity_provider,
        "domains": [
            {"name": domain.name, "mode": domain.mode, "verified": domain.is_verified} for domain in summary.domains
        ],
        "test_passed_at": summary.test_passed_at and summary.test_passed_at.isoformat(),
        "enforce_from": summary.enforce_from and summary.enforce_from.isoformat(),
        "excluded_users": list(summary.excluded_users),
        "test_users": list(summary.test_users),
        "admins": list(summary.admins),
        "ways_back": [{"name": way.name, "works": way.works, "words": way.words} for way in summary.ways_back],
        "next": summary.next_step,
    }


def domain_as_json(summary: DomainSummary) -> dict[str, object]:
    return {
        "name": summary.name,
        "connection": summary.connection_id,
        "organization": summary.organization,
        "mode": summary.mode,
        "declared": summary.is_declared,
        "verified": summary.is_verified,
        "verified_by": summary.verified_by,
        "record_name": summary.record_name,
        "record_value": summary.record_value,
        "record_expires_at": summary.record_expires_at and summary.record_expires_at.isoformat(),
    }
