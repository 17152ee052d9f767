"""A FastAPI app behind single sign-on. Settings: SSO_* variables, or sso.toml in the current directory.

uvicorn fastapi_app:app
"""

from __future__ import annotations

from html import escape
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse

from sso_middleware import Principal, SSOMiddleware, current_principal

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">
<title>{title}</title><h1>{title}</h1>{body}</html>"""
REPORT = """<p>Signed in as {name} ({email}).</p><p>You asked for: <code>{query}</code></p>
<form method="post" action="/sso/logout"><input type="hidden" name="csrf_token" value="{csrf_token}">
<button>Sign out</button></form>"""

app = FastAPI()
app.add_middleware(SSOMiddleware)


@app.get("/", response_class=HTMLResponse)
async def home() -> str:
    return PAGE.format(
        title="Welcome", body='<p>Everybody may read this. <a href="/report?year=2026">The report</a></p>'
    )


@app.get("/report", response_class=HTMLResponse)
async def report(request: Request, principal: Annotated[Principal | None, Depends(current_principal)]) -> str:
    body = REPORT.format(
        name=escape(principal.name if principal else "nobody"),
        email=escape(principal.email if principal else ""),
        query=escape(request.url.query),
        csrf_token=escape(request.scope.get("sso.csrf_token") or ""),
    )
    return PAGE.format(title="Report", body=body)
