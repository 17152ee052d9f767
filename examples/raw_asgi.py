"""A plain ASGI app behind single sign-on. Settings: SSO_* variables, or sso.toml in the current directory.

uvicorn raw_asgi:app
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from sso_middleware import SSOMiddleware, current_principal

if TYPE_CHECKING:
    from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">
<title>{title}</title><h1>{title}</h1>{body}</html>"""
HOME = PAGE.format(title="Welcome", body='<p>Everybody may read this. <a href="/report?year=2026">The report</a></p>')
REPORT = """<p>Signed in as {name} ({email}).</p><p>You asked for: <code>{query}</code></p>
<form method="post" action="/sso/logout"><input type="hidden" name="csrf_token" value="{csrf_token}">
<button>Sign out</button></form>"""


def report(scope: HTTPScope) -> str:
    principal = current_principal()
    body = REPORT.format(
        name=escape(principal.name if principal else "nobody"),
        email=escape(principal.email if principal else ""),
        query=escape(scope["query_string"].decode("latin-1")),
        csrf_token=escape(str(scope.get("sso.csrf_token") or "")),
    )
    return PAGE.format(title="Report", body=body)


async def site(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    if scope["type"] != "http":  # this app needs no lifespan and has no websocket
        raise NotImplementedError(scope["type"])
    status, page = 200, HOME
    if scope["path"] == "/report":
        page = report(scope)
    elif scope["path"] not in ("", "/"):
        status, page = 404, PAGE.format(title="Not found", body="")
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": page.encode(), "more_body": False})


app = SSOMiddleware(site)
