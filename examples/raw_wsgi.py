"""A plain WSGI app behind single sign-on. Settings: SSO_* variables, or sso.toml in the current directory.

gunicorn raw_wsgi:app
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from sso_middleware import SSOMiddleware, current_principal

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">
<title>{title}</title><h1>{title}</h1>{body}</html>"""
HOME = PAGE.format(title="Welcome", body='<p>Everybody may read this. <a href="/report?year=2026">The report</a></p>')
REPORT = """<p>Signed in as {name} ({email}).</p><p>You asked for: <code>{query}</code></p>
<form method="post" action="/sso/logout"><input type="hidden" name="csrf_token" value="{csrf_token}">
<button>Sign out</button></form>"""


def report(environ: WSGIEnvironment) -> str:
    principal = current_principal()
    body = REPORT.format(
        name=escape(principal.name if principal else "nobody"),
        email=escape(principal.email if principal else ""),
        query=escape(environ["QUERY_STRING"]),
        csrf_token=escape(environ.get("sso.csrf_token") or ""),
    )
    return PAGE.format(title="Report", body=body)


def site(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    status, page = "200 OK", HOME
    if environ["PATH_INFO"] == "/report":
        page = report(environ)
    elif environ["PATH_INFO"] not in ("", "/"):
        status, page = "404 Not Found", PAGE.format(title="Not found", body="")
    start_response(status, [("Content-Type", "text/html; charset=utf-8")])
    return [page.encode()]


app = SSOMiddleware(site)
