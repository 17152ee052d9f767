"""What passes from memory leaves no more in it than is bounded."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

from tests.conftest import MakeWorld
from tests.world import World


def addressed(world: World, address: Callable[[], str]) -> None:
    """Have the server tell an address with parts that no rule reads (RFC 9112 3.2.2 lets a client send a host)."""
    wsgi, asgi = (world.wsgi, None) if world.kind == "wsgi" else (None, world.asgi)

    def to_wsgi(environ: dict[str, Any], start_response: Any) -> Any:
        assert wsgi
        return wsgi({**environ, "RAW_URI": f"http://{address()}.example/open"}, start_response)

    async def to_asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert asgi
        await asgi({**scope, "raw_path": f"/open?{address()}".encode()}, receive, send)

    world.wsgi, world.asgi = to_wsgi, to_asgi


def test_long_addresses_are_not_kept(make_world: MakeWorld) -> None:
    """However short the path in them is: anybody can make up as many as they like."""
    world = make_world(public=["/open"])
    visitor = world.browser()
    addresses = (f"{number:050000d}" for number in range(1000))
    addressed(world, lambda: next(addresses))
    assert visitor.get("/open").status == 200

    tracemalloc.start()
    try:
        for _ in range(100):
            assert visitor.get("/open").status == 200
            world.app.seen.clear()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 1_000_000
