"""The app that `tests.session_soak` puts under load: it says who it is told is here. WSGI or ASGI, by SOAK_KIND.

Its clock runs SOAK_SPEED times as fast as ours, from SOAK_EPOCH on, in every worker alike: so minutes of
timeouts pass in seconds.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sso_middleware import SSO, ASGIMiddleware, Hooks, Settings, WSGIMiddleware, current_principal


def make_clock(epoch: float, speed: float) -> Callable[[], datetime]:
    """Starts at `epoch` (a Unix time) with everybody else's clock."""
    began_at = datetime.fromtimestamp(epoch, UTC)
    return lambda: began_at + timedelta(seconds=(time.time() - epoch) * speed)


def answer() -> bytes:
    principal = current_principal()
    return json.dumps({"email": principal.email if principal else None, "pid": os.getpid()}).encode()


def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [answer()]


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": answer()})


def make_app() -> Any:
    settings = Settings(**json.loads(Path(os.environ["SOAK_SETTINGS"]).read_text()))
    clock = make_clock(float(os.environ["SOAK_EPOCH"]), float(os.environ["SOAK_SPEED"]))
    sso = SSO(settings, Hooks(), now=clock)
    return WSGIMiddleware(wsgi_app, sso) if os.environ["SOAK_KIND"] == "wsgi" else ASGIMiddleware(asgi_app, sso)


app = make_app() if "SOAK_SETTINGS" in os.environ else None
