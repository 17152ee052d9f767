"""An app with passwords of its own that is told by single sign-on who people are, and keeps it in files.

Below the folder that it runs in: `users/ID.json`, what it knows of each user; `roles/ID.json`, what was assigned last;
`identities.jsonl`, each identity that `provision` was asked about. Its login page is as strict as hosts are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from html import escape
from http.cookies import SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from itsdangerous import BadSignature, URLSafeTimedSerializer

from sso_middleware import Hooks, HostUser, Identity, Link, RoleAssignment, SSOMiddleware, current_principal

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from sso_middleware.web import Request

PASSWORD_END = "-host-pw"
"""Everybody's password is the part before the @, and this."""
COOKIE = "people_login"
FOR_GOOD = "; Path=/; HttpOnly; SameSite=Lax"
POLICY = ("Content-Security-Policy", "form-action 'self'")
"""A redirect in answer to the form that leads to another site would be blocked, unseen."""

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">
<title>{title}</title><h1>{title}</h1>{body}</html>"""
LOGIN = """<p role="alert">{problem}</p><form method="post" action="/login?next={going}">
<label>E-mail <input name="email" type="email" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button>Log in</button></form>"""
ROW = "<dt>{}</dt><dd data-testid={}>{}</dd>"

signer = URLSafeTimedSerializer(os.environ["APP_SECRET_KEY"], salt="login")


def path_of(kind: str, user_id: str) -> Path:
    return Path(kind) / f"{quote(user_id, safe='@')}.json"


def read(kind: str, user_id: str) -> dict[str, Any]:
    path = path_of(kind, user_id)
    return dict(json.loads(path.read_text())) if path.exists() else {}


def write(kind: str, user_id: str, values: dict[str, Any]) -> None:
    path = path_of(kind, user_id)
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(values))
    new.replace(path)


def signed_in(environ: Mapping[str, Any]) -> str | None:
    cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(COOKIE)
    try:
        return str(signer.loads(cookie.value, max_age=8 * 3600)) if cookie else None
    except BadSignature:
        return None


class People(Hooks):
    def host_user(self, request: Request) -> HostUser | None:
        email = signed_in(request.native)
        return HostUser(email=email, user_id=email) if email else None

    def end_host_session(self, request: Request) -> Iterable[tuple[str, str]]:
        return [("Set-Cookie", f"{COOKIE}=; Max-Age=0{FOR_GOOD}")]

    def provision(self, identity: Identity) -> Link:
        """Whoever is not linked yet is a new user, called by the first address."""
        told = {**asdict(identity), "changed": sorted(identity.changed), "attributes": dict(identity.attributes)}
        with Path("identities.jsonl").open("a") as notes:
            notes.write(json.dumps(told) + "\n")
        user_id = identity.user_id or identity.email
        known = ("email", "first_name", "last_name", "country", "team")
        write("users", user_id, {name: told[name] for name in known})
        return Link(user_id)

    def assign_roles(self, assignment: RoleAssignment) -> None:
        grants = {scope: list(roles) for scope, roles in assignment.grants.items()}
        write("roles", assignment.user_id or assignment.email, grants)

    def describe_scope(self, scope: str) -> str | None:
        return {"account": "All of Acme", "project:42": "Project Atlas", "project:7": "Project Borealis"}.get(scope)


def report() -> str | None:
    """What the person who is signed in by SSO is here."""
    principal = current_principal()
    if principal is None or principal.user_id is None:
        return None
    user = read("users", principal.user_id)
    granted = ", ".join(f"{scope}: {' '.join(sorted(roles))}" for scope, roles in sorted(principal.grants.items()))
    rows = {"user": principal.user_id, "e-mail": user["email"], "country": user["country"], "team": user["team"]}
    values = [*rows.items(), ("roles", granted)]
    return "<dl>" + "".join(ROW.format(name, name, escape(str(value))) for name, value in values) + "</dl>"


def login_page(going: str, problem: str = "") -> str:
    return PAGE.format(title="Log in", body=LOGIN.format(going=quote(going), problem=problem))


def log_in(environ: WSGIEnvironment, going: str) -> tuple[str, list[tuple[str, str]], str]:
    length = min(int(environ.get("CONTENT_LENGTH") or 0), 10_000)
    form = parse_qs(environ["wsgi.input"].read(length).decode("ascii", "replace"))
    email, password = form.get("email", [""])[0], form.get("password", [""])[0]
    if not email or password != email.partition("@")[0] + PASSWORD_END:
        return "401 Unauthorized", [POLICY], login_page(going, "That is not right.")
    cookie = f"{COOKIE}={signer.dumps(email)}{FOR_GOOD}"
    return "303 See Other", [("Location", going), ("Set-Cookie", cookie)], ""


def answer(environ: WSGIEnvironment) -> tuple[str, list[tuple[str, str]], str]:
    path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    if path == "/login":
        going = parse_qs(query).get("next", ["/report"])[0]
        return (
            log_in(environ, going) if environ["REQUEST_METHOD"] == "POST" else ("200 OK", [POLICY], login_page(going))
        )
    if path != "/report":
        return "200 OK", [], PAGE.format(title="Welcome", body='<a href="/report">The report</a>')
    email = signed_in(environ)
    body = report() or (email and f"<p>By password: {escape(email)}</p>")
    if body is None:
        return "303 See Other", [("Location", f"/login?next={quote(f'{path}?{query}')}")], ""
    return "200 OK", [], PAGE.format(title="Report", body=body)


def site(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    status, headers, page = answer(environ)
    start_response(status, [("Content-Type", "text/html; charset=utf-8"), *headers])
    return [page.encode()]


app = SSOMiddleware(site, hooks=People())
