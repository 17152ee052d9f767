"""A page with a form, behind single sign-on, and a way to let time pass for the people who are signed in.

`/idle?minutes=20` sets back when each session was last seen. So the clocks of app, identity provider and
browser stay together, which they would not if the app's own were put forward.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import update
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder

from sso_middleware import SSO, ASGIMiddleware, Hooks, Settings
from sso_middleware.stores import tables
from sso_middleware.stores.session_records import SessionQuery
from sso_middleware.stores.sql import SqlStore

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Notes</title>
<h1>Notes</h1><form method="post" {encoding}><label>Title <input name="title"></label>
<label>Text <textarea name="text"></textarea></label>{file}<input type="hidden" name="csrf_token" value="x">
<button>Save</button></form></html>"""
SAVED = """<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Saved</title>
<h1>Saved</h1><pre>{what}</pre><a href="/report">Back</a></html>"""
# As strict as hosts are: a redirect in answer to a form would be blocked.
POLICY = {"Content-Security-Policy": "form-action 'self'"}

site = FastAPI()
number_saved = 0


@site.get("/report")
def form(file: bool = False) -> HTMLResponse:
    encoding = 'enctype="multipart/form-data"' if file else ""
    chooser = '<label>Scan <input type="file" name="scan"></label>' if file else ""
    return HTMLResponse(PAGE.format(encoding=encoding, file=chooser), headers=POLICY)


@site.post("/report")
async def save(request: Request, then: str | None = None) -> Response:
    global number_saved  # noqa: PLW0603 (a small app's own state)
    number_saved += 1
    if then is not None:
        return RedirectResponse(then, status_code=303)
    boundary = request.headers["Content-Type"].partition("boundary=")[2]
    body = await request.body()
    lines = describe(boundary.encode(), body) if boundary else [body.decode()]
    lines += [f"number {number_saved}", f"query {request.url.query}", f"origin {request.headers.get('Origin')}"]
    return HTMLResponse(SAVED.format(what="\n".join(lines).replace("&", "&amp;").replace("<", "&lt;")), headers=POLICY)


def describe(boundary: bytes, body: bytes) -> list[str]:
    decoder = MultipartDecoder(boundary)
    decoder.receive_data(body)
    decoder.receive_data(None)
    lines: list[str] = []
    while not isinstance(event := decoder.next_event(), Epilogue):
        if isinstance(event, File):
            lines.append(f"{event.name}: {event.filename} ")
        elif isinstance(event, Field):
            lines.append(f"{event.name}= ")
        elif isinstance(event, Data):
            lines[-1] += hashlib.sha256(event.data).hexdigest() if ": " in lines[-1] else event.data.decode()
    return lines


@site.get("/idle")
def grow_idle(minutes: int) -> str:
    store = sso.site.store
    assert isinstance(store, SqlStore)
    sessions = store.find_sessions(SessionQuery())
    with store._database.writing() as connection:
        for session in sessions:
            earlier = session.last_seen - timedelta(minutes=minutes)
            row = update(tables.sessions).where(tables.sessions.c.id == session.id)
            connection.execute(row.values(last_seen=earlier))
    for session in sessions:
        sso.site.sessions.forget_now(session.id)
    return f"{len(sessions)} idle"


sso = SSO(Settings.load(), Hooks())
app = ASGIMiddleware(site, sso)
