"""What the documentation says of each error code: its meaning, and what an operator does about it.

Read from `sso_middleware.errors`, and from `error_codes.toml` beside this file. How it is laid out is
`error_table`'s.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path

from sso_middleware.errors import SSOError

CODES: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("error_codes.toml").read_text("utf-8"))


def with_subclasses(root: type[SSOError]) -> Iterator[type[SSOError]]:
    yield root
    for below in root.__subclasses__():
        yield from with_subclasses(below)


def meaning_of(error: type[SSOError]) -> str:
    """What the table says, else the class's own docstring; empty if there is neither."""
    text = CODES.get(error.code, {}).get("meaning") or inspect.cleandoc(error.__dict__.get("__doc__") or "")
    return " ".join(text.split())


def what_to_do(error: type[SSOError]) -> str:
    """What the table says of this code, else of the nearest class above; the root has a word for all."""
    above = (kind.code for kind in error.__mro__ if issubclass(kind, SSOError))
    return next(CODES[code]["do"] for code in above if "do" in CODES.get(code, {}))
