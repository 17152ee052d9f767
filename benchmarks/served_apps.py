"""The hello apps that `served` puts behind uvicorn, each by a name of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from starlette.middleware.sessions import SessionMiddleware

from benchmarks.hot_path import SECRET, bare_asgi, make_sso
from sso_middleware import ASGIMiddleware


def _with_session() -> Any:
    return SessionMiddleware(_reads_session, secret_key=SECRET)


async def _reads_session(scope: Any, receive: Any, send: Any) -> None:
    assert scope["session"]["email"] == "person-1@acme.example"
    await bare_asgi(scope, receive, send)


bare = bare_asgi
starlette = _with_session()
ours = ASGIMiddleware(bare_asgi, make_sso(Path(folder))) if (folder := os.environ.get("BENCHMARK_FOLDER")) else None
