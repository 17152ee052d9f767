"""What tests of renewed sessions have in common: limits, tabs, replies that get lost, and websockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.identity_provider import IdentityProvider, ReceivedRequest, read_redirect
from tests.world import BASE_URL, Answer, Browser, World
from werkzeug.datastructures import Headers

PAGE = "/report?month=11&q=a%20b"
LIMITS = {"soft_timeout": "10m", "hard_timeout": "1h", "absolute_timeout": "8h"}
"""Their step is 30 s."""
PAST_SOFT = {"minutes": 10, "seconds": 31}
PAST_HARD = {"hours": 1, "seconds": 31}


def limited(**changes: Any) -> dict[str, Any]:
    """One connection `acme` with `LIMITS`, as `connections` of the settings holds it."""
    own = {"id": "acme", "organization": "Acme", "domains": ["acme.example"], "metadata": IdentityProvider().metadata}
    return {**own, **LIMITS, **changes}


def sent_away(answer: Answer, world: World) -> ReceivedRequest | None:
    """The AuthnRequest that this answer sends the browser to the identity provider with, if it does."""
    if answer.status != 303 or not answer.location.startswith(world.idp.sso_url):
        return None
    return read_redirect(answer.location)


def ask_unseen(browser: Browser, page: str = PAGE) -> str:
    """Ask for a page whose session must be renewed first: the identity provider's URL."""
    answer = browser.get(page)
    request = sent_away(answer, browser.world)
    assert request is not None, (answer.status, answer.text)
    assert request.is_passive
    return answer.location


def renew(browser: Browser, page: str = PAGE, email: str = "ada@acme.example", **changes: Any) -> Answer:
    """Away to the identity provider and back, unseen: what `finish` answers."""
    world = browser.world
    form = world.idp.log_in(ask_unseen(browser, page), email, now=world.now, **changes)
    return world.post_response(form, browser)


def arrives(answer: Answer, page: str = PAGE) -> bool:
    """Whether it sends the browser on to this very page."""
    return answer.status == 303 and answer.location == BASE_URL + page


def session_cookie(browser: Browser) -> tuple[str, str]:
    return next((name, value) for name, value in browser.cookies.items() if name.endswith("-session"))


def with_session(browser: Browser, cookie: tuple[str, str]) -> Browser:
    """Another browser that holds this one's cookies, with this session's."""
    other = browser.world.browser()
    other.cookies = {**browser.cookies, cookie[0]: cookie[1]}
    return other


@contextmanager
def lost_replies(browser: Browser) -> Iterator[None]:
    """What the server sets meanwhile never reaches the browser."""
    kept = dict(browser.cookies)
    yield
    browser.cookies = kept


def open_socket(browser: Browser, url: str = "/live", origin: str | None = BASE_URL) -> int:
    """The status of a websocket's handshake (ASGI): 101 if it reached the host."""
    world = browser.world
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    headers = Headers({"Host": "app.example", "Cookie": cookies, **({"Origin": origin} if origin else {})})
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    scope = world.scope("websocket", world.base_url + url, headers, subprotocols=[], extensions=extensions)
    sent: list[dict[str, Any]] = []
    incoming: list[dict[str, Any]] = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def socket_app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"

    host, world.asgi.app = world.asgi.app, socket_app
    try:
        world.run(world.asgi(scope, receive, send))
    finally:
        world.asgi.app = host
    return 101 if sent[0]["type"] == "websocket.accept" else int(sent[0]["status"])
