"""What the tests of kept forms share: an app that notes the bodies that it is sent, and ways through a timeout."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.world import NAVIGATION, Answer, Browser, World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

URLENCODED = "application/x-www-form-urlencoded"
PAGE = "/notes?list=7"


@dataclass(frozen=True)
class Got:
    """One request as the app got it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Notes:
    """An app that notes everything that reaches it, body and all."""

    def __init__(self, world: World) -> None:
        self.got: list[Got] = []
        world.wrap(self.wsgi if world.kind == "wsgi" else self.asgi)

    @property
    def posts(self) -> list[Got]:
        return [got for got in self.got if got.method == "POST"]

    def wsgi(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = {key[5:].replace("_", "-").title(): v for key, v in environ.items() if key.startswith("HTTP_")}
        headers |= {"Content-Type": environ.get("CONTENT_TYPE", "")}
        assert environ["RAW_URI"].partition("?")[2] == environ["QUERY_STRING"]
        self.got.append(Got(environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"], headers, body))
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"noted"]

    async def asgi(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            assert message["type"] == "http.request"
            body += message["body"]
            more = message["more_body"]
        assert (await receive())["type"] == "http.disconnect"
        headers = {name.decode().title(): value.decode() for name, value in scope["headers"]}
        assert int(headers.get("Content-Length", "0")) == len(body)
        self.got.append(Got(scope["method"], scope["path"], scope["query_string"].decode(), headers, body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"noted"})


def multipart(*parts: tuple[str, str | None, bytes], boundary: str = "----WebKitFormBoundaryx7Yb") -> tuple[str, bytes]:
    """Content type and body as Chromium makes them, of (name, file name, data)."""
    body = b""
    for name, file_name, data in parts:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        if file_name is not None:
            body += f'; filename="{file_name}"\r\nContent-Type: application/octet-stream'.encode()
        body += b"\r\n\r\n" + data + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


def post_form(
    browser: Browser, body: bytes, page: str = PAGE, *, content_type: str = URLENCODED, **headers: str
) -> Answer:
    """What a page of the app's sends when its form is sent."""
    sent = {**NAVIGATION, "Content-Type": content_type, "Origin": browser.world.origin}
    sent |= {"Referer": f"{browser.world.base_url}/notes/new", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return browser.send("POST", page, headers={name: value for name, value in sent.items() if value}, body=body)


def sign_in_again(world: World, answer: Answer, email: str = "ada@acme.example") -> Answer:
    """From the page that says that the form is kept, by its one link, to what is behind the sign-in."""
    browser = world.first_browser
    (link,) = re.findall(r'class="button" href="([^"]*)"', answer.text)
    leaving = browser.get(html.unescape(link))
    assert leaving.status == 303, leaving.text
    arrived = world.post_response(world.idp.log_in(leaving.location, email, now=world.now))
    assert arrived.status == 303, arrived.text
    return browser.get(arrived.location)


def send_url(offer: Answer) -> str:
    """Where the button "Send it now" posts to."""
    found = re.search(r'action="([^"]*)" id="send"', offer.text)
    assert found, offer.text
    return html.unescape(found.group(1))


def press_send(browser: Browser, offer: Answer, **headers: str) -> Answer:
    """The button: a form without a field, posted by our own page."""
    return post_form(browser, b"", send_url(offer), Referer=offer.url, Sec_Fetch_Site="same-origin", **headers)


def press_discard(browser: Browser, offer: Answer) -> Answer:
    fields = {"csrf_token": offer.field("csrf_token"), "id": offer.field("id")}
    return browser.post("/sso/form", fields)


def offered(world: World, body: bytes = urlencode({"title": "Milk"}).encode(), page: str = PAGE, **how: str) -> Answer:
    """A form meets a session that has timed out, and the same person signs in again."""
    world.wait(minutes=32)
    answer = post_form(world.first_browser, body, page, **how)
    assert answer.status == 401, answer.text
    return sign_in_again(world, answer)
