"""What several commands begin with: the settings, and the records that they point to."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from ..settings import Settings
from ..stores.migrate import prepare_database
from ..stores.sql import SqlStore

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(command: Command) -> Command:
    return click.option(
        "--config",
        "-c",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="The TOML file with the settings. Default: the one that SSO_CONFIG names, else ./sso.toml.",
    )(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="For scripts: JSON on the standard output.")(command)


@contextmanager
def open_store(settings: Settings) -> Iterator[SqlStore]:
    prepare_database(settings.database_url)
    store = SqlStore(settings.database_url)
    try:
        yield store
    finally:
        store.close()


def secret_keys_of(settings: Settings) -> list[str]:
    return [key.get_secret_value() for key in settings.secret_keys]


def actor() -> str:
    """Who asks, for the audit trail."""
    try:
        return f"command line, {getpass.getuser()}"
    except (KeyError, OSError):  # a user without a name, as in many containers
        return "command line"
