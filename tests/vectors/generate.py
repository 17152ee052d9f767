"""`python -m tests.vectors.generate`: write the vectors, and those of the self-test, with keys that are thrown away.

python -m tests.vectors.generate                   the committed suite, into this directory
python -m tests.vectors.generate --with-keys DIR   the encrypted ones, each with its private key, into DIR
python -m tests.vectors.generate --self-test       the five that the package ships
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from sso_middleware.saml import self_test

from .reading import Json
from .self_test_vectors import self_test_file
from .suite import committed_suite, suite_with_keys

HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.vectors.generate")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--with-keys", type=Path, metavar="DIR", help="the encrypted vectors, into a directory of yours")
    which.add_argument("--self-test", action="store_true", help="the vectors that the package ships")
    chosen = parser.parse_args(arguments)
    if chosen.self_test:
        write(Path(self_test.__file__).parent, {"self_test": self_test_file()})
    elif chosen.with_keys:
        chosen.with_keys.mkdir(parents=True, exist_ok=True)
        write(chosen.with_keys, suite_with_keys())
    else:
        write(HERE, committed_suite())


def write(directory: Path, files: Mapping[str, Json]) -> None:
    for stem, contents in files.items():
        path = directory / f"{stem}.json"
        path.write_text(json.dumps(contents, indent=1, ensure_ascii=True) + "\n")
        print(f"{path.name}: {len(contents['vectors'])} vectors, {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
