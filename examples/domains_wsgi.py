"""A plain WSGI app with a login of its own, where whole organizations must come by single sign-on.

Settings: SSO_* variables, or sso.toml in the current directory, with `mode = "domains"`.

gunicorn domains_wsgi:app
"""

from __future__ import annotations

import hmac
import os
import secrets
from html import escape
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from itsdangerous import BadSignature, URLSafeTimedSerializer

from sso_middleware import Hooks, HostUser, SSOMiddleware, current_principal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from sso_middleware.web import Request

PASSWORDS = {  # a real app keeps hashes in its database
    "alice@acme.example": "alice-host-pw",  # her organization has single sign-on
    "it1@acme.example": "it1-host-pw",  # excluded from it, to be able to repair it
    "zoe@freelance.example": "zoe-host-pw",  # has nothing to do with it
}
COOKIE = "login"
FOR_GOOD = "; Path=/; HttpOnly; SameSite=Lax"
signer = URLSafeTimedSerializer(os.environ.get("APP_SECRET_KEY") or secrets.token_urlsafe(48), salt="login")

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">
<title>{title}</title><h1>{title}</h1>{body}</html>"""
LOGIN = """<p role="alert">{problem}</p><form method="post" action="/login">
<label>E-mail <input name="email" type="email" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button>Log in</button></form><p><a href="/sso/login">Sign in with your organization</a></p>"""


def signed_in(environ: Mapping[str, str]) -> str | None:
    """The e-mail address of the person who came by our own login."""
    cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(COOKIE)
    try:
        return str(signer.loads(cookie.value, max_age=8 * 3600)) if cookie else None
    except BadSignature:
        return None


class OwnLogin(Hooks):
    def host_user(self, request: Request) -> HostUser | None:
        email = signed_in(request.native)
        return HostUser(email=email, user_id=email) if email else None

    def end_host_session(self, request: Request) -> list[tuple[str, str]]:
        return [("Set-Cookie", f"{COOKIE}=; Max-Age=0{FOR_GOOD}")]


def log_in(environ: WSGIEnvironment) -> tuple[str, list[tuple[str, str]], str]:
    form = parse_qs(
        environ["wsgi.input"].read(min(int(environ.get("CONTENT_LENGTH") or 0), 10_000)).decode("ascii", "replace")
    )
    email, password = form.get("email", [""])[0], form.get("password", [""])[0]
    if not hmac.compare_digest(PASSWORDS.get(email, "").encode(), password.encode()) or not password:
        return "401 Unauthorized", [], PAGE.format(title="Log in", body=LOGIN.format(problem="That is not right."))
    cookie = f"{COOKIE}={signer.dumps(email)}{FOR_GOOD}"
    return "303 See Other", [("Location", "/report"), ("Set-Cookie", cookie)], ""


def answer(environ: WSGIEnvironment) -> tuple[str, list[tuple[str, str]], str]:
    principal, path = current_principal(), environ["PATH_INFO"]
    email = principal.email if principal else signed_in(environ)
    if path == "/login" and environ["REQUEST_METHOD"] == "POST":
        return log_in(environ)
    if path == "/report" and email:
        return "200 OK", [], PAGE.format(title="Report", body=f"<p>Signed in as {escape(email)}.</p>")
    if path == "/report":
        return "303 See Other", [("Location", "/login")], ""
    title = "Log in" if path == "/login" else "Welcome"
    body = LOGIN.format(problem="") if path == "/login" else '<p><a href="/report">The report</a></p>'
    return "200 OK", [], PAGE.format(title=title, body=body)


def site(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    status, headers, page = answer(environ)
    start_response(status, [("Content-Type", "text/html; charset=utf-8"), *headers])
    return [page.encode()]


app = SSOMiddleware(site, hooks=OwnLogin())
