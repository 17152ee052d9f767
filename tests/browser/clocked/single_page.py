"""A page that stays open, as single-page apps do, on a movable clock: a strict policy, our script, and data to fetch.

The query chooses the script's attributes: `?warn-seconds=30` is `data-warn-seconds="30"`. `?coop` isolates the page.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from tests.browser.clocked.clock import on_this_clock

from sso_middleware import current_principal

if TYPE_CHECKING:
    from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope

POLICY = b"default-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Report</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<script src="/sso/session.js" defer{attributes}></script>
<h1>Report</h1><p>Signed in as {email}.</p><code>{query}</code>
<p><label>A long text <textarea rows="5" cols="60"></textarea></label></p></html>"""


async def site(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    query = scope["query_string"].decode("latin-1")
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-security-policy", POLICY)]
    if "coop" in query:
        headers.append((b"cross-origin-opener-policy", b"same-origin"))
    body = b""
    status = 200
    if scope["path"] == "/report/data":
        headers = [(b"content-type", b"application/json")]
        body = json.dumps({"method": scope["method"], "body": await _body(receive), "email": _email()}).encode()
    elif scope["path"] == "/favicon.ico":
        status = 204
    else:
        given = parse_qsl(query, keep_blank_values=True)
        attributes = "".join(f' data-{escape(name)}="{escape(value)}"' for name, value in given if name != "year")
        body = PAGE.format(attributes=attributes, email=escape(_email()), query=escape(query)).encode()
    await send({"type": "http.response.start", "status": status, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _email() -> str:
    principal = current_principal()
    return principal.email if principal else "nobody"


async def _body(receive: ASGIReceiveCallable) -> str:
    text = b""
    while True:
        message = await receive()
        if message["type"] == "http.request":
            text += message["body"]
        if message["type"] != "http.request" or not message["more_body"]:
            return text.decode()


app = on_this_clock(site)
