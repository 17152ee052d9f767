"""Read one identity provider out of an aggregate, and say what it took: time, and memory above the imports."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.metadata import ITERPARSE
from benchmarks.peers import OURS


def prepare(name: str, path: Path, entity_id: str) -> Callable[[], object]:
    """Whatever must be imported is, and then the work alone is left."""
    if name == OURS:
        from sso_middleware.saml.metadata import read_idp_metadata

        return lambda: read_idp_metadata(path, now=datetime.now(UTC), entity_id=entity_id)
    if name == ITERPARSE:
        from lxml import etree

        def iterate() -> None:
            for _, element in etree.iterparse(path, tag="{urn:oasis:names:tc:SAML:2.0:metadata}EntityDescriptor"):
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]

        return iterate
    from saml2.attribute_converter import ac_factory
    from saml2.config import Config
    from saml2.mdstore import MetadataStore

    def load() -> object:
        store = MetadataStore(ac_factory(), Config())
        store.load("local", str(path))
        return store.single_sign_on_service(entity_id)

    return load


def main() -> None:
    name, path, entity_id = sys.argv[1:]
    work = prepare(name, Path(path), entity_id)
    before = _peak()
    started = time.perf_counter()
    work()
    print(json.dumps({"seconds": time.perf_counter() - started, "bytes": _peak() - before}))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
