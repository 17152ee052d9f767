"""`sso-middleware dev-idp --remember`, on the clock of a test. Arguments: port, metadata file, settings file."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.browser.clocked.clock import now

from sso_middleware import Settings
from sso_middleware.connections import our_side
from sso_middleware.dev_idp import DevIdP, serve


def main(port: str, metadata_file: str, config: str) -> None:
    settings = Settings.load(config=Path(config))
    us = [our_side(settings, connection) for connection in settings.connections]
    service_providers = {side.entity_id: side.acs_url for side in us}
    serve(
        port=int(port),
        make=lambda base_url: DevIdP(service_providers, base_url=base_url, remember=True, clock=now),
        ready=lambda idp: Path(metadata_file).write_text(idp.metadata(), encoding="utf-8") and None,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
