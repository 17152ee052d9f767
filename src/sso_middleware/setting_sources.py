"""Where settings come from besides keyword arguments: `SSO_*` variables and a TOML file.

Only what was written is brought home here, as plain values; whether it is right is told by
`settings` when they are built.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from .errors import ConfigurationError
from .idp_source import is_path
from .setting_problems import did_you_mean
from .setting_values import is_pem, split_commas

PREFIX = "SSO_"
CONFIG_VARIABLE = "SSO_CONFIG"
DEFAULT_CONFIG = Path("sso.toml")

_FILE_SETTINGS = (
    *("signing_key", "signing_certificate", "next_signing_certificate"),
    *("encryption_key", "encryption_certificate", "older_encryption_keys"),
    *("metadata_file", "departments_file"),
)
_SQLITE_FILE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)([^?]+)(.*)")


def config_path(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The TOML file to read: the one that is named, else the default one if it is there."""
    if config is not None:
        return config
    if named := environ.get(CONFIG_VARIABLE):
        return Path(named)
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def no_config() -> str:
    """What to say first where nothing was read and something is missing."""
    return (
        f"no {DEFAULT_CONFIG} in {Path.cwd()}, and {CONFIG_VARIABLE} is not set: run `sso-middleware init` there,"
        f" or set {CONFIG_VARIABLE}"
    )


def read_environment(
    environ: Mapping[str, str], *, scalars: Collection[str], lists: Collection[str], tables: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    """The settings that `SSO_*` variables hold, and what is wrong with those variables.

    An empty variable is one that is not set. One that means nothing to us is a problem: it was meant
    to protect something.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    known = [PREFIX + name.upper() for name in (*scalars, *lists)]
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name in tables:
            problems.append(f"{variable}: {name} can't come from a variable; write them into the TOML file")
        elif variable not in known:
            problems.append(f"{variable}: there is no such setting{did_you_mean(variable, [*known, CONFIG_VARIABLE])}")
        elif text:
            values[name] = split_commas(text) if name in lists else text
    return values, problems


def read_toml(path: Path, *, named_by: str | None) -> dict[str, Any]:
    """The settings in a TOML file; relative paths in it are relative to the file. Raises ConfigurationError."""
    is_it_right = f": is {named_by} right?" if named_by else ""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: can't be read ({error.strerror}){is_it_right}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        # The parser's words hold a place and at most one character of the file.
        raise ConfigurationError(f"{path}: is not TOML: {error}") from None
    return _with_paths_from(path.parent.absolute(), values)


def _with_paths_from(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    anchored = {name: _anchored(folder, name, value) for name, value in values.items()}
    connections = anchored.get("connections")
    if isinstance(connections, list):
        anchored["connections"] = [
            {name: _anchored(folder, name, value) for name, value in connection.items()}
            if isinstance(connection, dict)
            else connection
            for connection in connections
        ]
    return anchored


def _anchored(folder: Path, name: str, value: Any) -> Any:
    if isinstance(value, list) and name in _FILE_SETTINGS:
        return [_anchored(folder, name, item) for item in value]
    if not isinstance(value, str):
        return value
    if name in _FILE_SETTINGS and value and "\n" not in value and not is_pem(value):
        return str(folder / value)
    if name == "metadata" and is_path(value):
        return str(folder / value.strip())
    if name == "database_url" and (match := _SQLITE_FILE.fullmatch(value)):
        # Else the app and the command line, started in two folders, would use two databases.
        return f"{match[1]}{folder / match[2]}{match[3]}"
    return value
