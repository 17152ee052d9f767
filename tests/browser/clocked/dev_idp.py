"""`sso-middleware dev-idp --remember`, on the clock of a test. Arguments: port, metadata file, settings file."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import time_machine
from tests.browser.clocked import clock

from sso_middleware import Settings
from sso_middleware.connections import our_side
from sso_middleware.dev_idp import DevIdP, serve
from sso_middleware.dev_idp.people import Person
from sso_middleware.dev_idp.sign_in_request import SignInRequest
from sso_middleware.saml.bindings import FormPost

_process_time = threading.Lock()


def now() -> datetime:
    """Never while the time of the process is moved: it would be moved twice."""
    with _process_time:
        return clock.now()


class ClockedIdP(DevIdP):
    """pysaml2 asks the process what time it is: what is said is said with that time moved."""

    @contextmanager
    def _moved(self) -> Iterator[None]:
        with _process_time, time_machine.travel(clock.now(), tick=True):
            yield

    def log_in(self, request: SignInRequest, person: Person, authenticated_at: datetime) -> FormPost:
        with self._moved():
            return super().log_in(request, person, authenticated_at)

    def refuse_passive(self, request: SignInRequest) -> FormPost:
        with self._moved():
            return super().refuse_passive(request)


def main(port: str, metadata_file: str, config: str) -> None:
    settings = Settings.load(config=Path(config))
    us = [our_side(settings, connection) for connection in settings.connections]
    service_providers = {side.entity_id: side.acs_url for side in us}

    def ready(idp: DevIdP) -> None:
        Path(metadata_file).write_text(idp.metadata(), encoding="utf-8")

    serve(
        port=int(port),
        make=lambda base_url: ClockedIdP(service_providers, base_url=base_url, remember=True, clock=now),
        ready=ready,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
