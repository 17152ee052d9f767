"""What passes from memory touches nothing, is what the gate would say, and leaves no more in it than is bounded."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

from tests.conftest import MakeWorld
from tests.world import World

from sso_middleware.stores.sql import SqlStore


def touching_nothing(world: World) -> None:
    """From now on any store method, any `call` and any question to the gate is a failure."""

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("touched")

    for name in [name for name in dir(SqlStore) if not name.startswith("_") and name != "close"]:
        setattr(world.store, name, fails)
    world.sso.decide = fails  # type: ignore[method-assign]
    if world.kind == "asgi":
        world.asgi.call = fails


def test_a_signed_in_request_takes_no_thread_and_no_store(make_world: MakeWorld) -> None:
    """Once the gate has seen the session, requests pass on any path of the host's, by any method, as the person."""
    world = make_world(public=["/open"], soft_timeout="15m", revocation_delay="60s")
    world.sign_in()
    browser = world.first_browser
    assert browser.get("/report").status == 200
    by_the_gate = world.app.seen[-1].principal
    touching_nothing(world)

    for ask in (browser.get, browser.fetch, lambda path: browser.post(path, {"a": "b"})):
        for path in ("/report", "/other?q=1", "/open"):
            assert ask(path).status == 200
            seen = world.app.seen[-1]
            assert (seen.principal, seen.current) == (by_the_gate, by_the_gate)
    assert world.browser().get("/open").status == 200
    assert world.app.seen[-1].principal is None


def test_a_page_from_memory_is_dressed_as_by_the_gate(make_world: MakeWorld) -> None:
    """HTML of a protected path is kept out of caches, that of a public or cacheable one is left alone."""
    world = make_world(public=["/open"], cacheable=["/pictures"], revocation_delay="60s")
    world.sign_in()
    for path in ("/report", "/open", "/pictures/map"):
        by_the_gate, from_memory = (world.first_browser.get(path) for _ in range(2))
        assert from_memory.headers == by_the_gate.headers
        assert ("Cache-Control" in from_memory.headers) is (path == "/report")


def test_headers_that_claim_an_identity_do_not_pass_from_memory_either(make_world: MakeWorld) -> None:
    """WEB-008: in any spelling, however often they came before."""
    world = make_world()
    world.sign_in()
    for _ in range(3):
        world.first_browser.get("/report", X_Remote_User="eve@acme.example", X_SSO_Anything="1", X_Fine="yes")
        headers = world.app.seen[-1].headers
        names = {name.lower().replace("_", "-").removeprefix("http-") for name in headers}
        assert "x-fine" in names
        assert not names & {"x-remote-user", "x-sso-anything"}


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
