"""A Flask app with a login of its own, where whole organizations must come by single sign-on.

Settings: SSO_* variables, or sso.toml in the current directory, with `mode = "domains"`.

gunicorn domains_flask:app
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from flask import Flask, redirect, render_template_string, request, session
from werkzeug.http import dump_cookie
from werkzeug.security import check_password_hash, generate_password_hash

from sso_middleware import Hooks, HostUser, SSOMiddleware, current_principal

if TYPE_CHECKING:
    from werkzeug import Response

    from sso_middleware.web import Request

PASSWORDS = {
    email: generate_password_hash(password)
    for email, password in (
        ("alice@acme.example", "alice-host-pw"),  # her organization has single sign-on
        ("it1@acme.example", "it1-host-pw"),  # excluded from it, to be able to repair it
        ("zoe@freelance.example", "zoe-host-pw"),  # has nothing to do with it
    )
}
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">
<title>{{ title }}</title><h1>{{ title }}</h1>
{% if email %}<p>Signed in as {{ email }}.</p>
{% elif title == "Log in" %}<p role="alert">{{ problem }}</p><form method="post" action="/login">
<label>E-mail <input name="email" type="email" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button>Log in</button></form><p><a href="/sso/login">Sign in with your organization</a></p>
{% else %}<p><a href="/report">The report</a></p>{% endif %}</html>"""

app = Flask(__name__)
app.secret_key = os.environ.get("APP_SECRET_KEY") or secrets.token_urlsafe(48)
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"


class OwnLogin(Hooks):
    """The middleware stands outside Flask: it reads Flask's session cookie as Flask does."""

    def host_user(self, request: Request) -> HostUser | None:
        flask_session = app.session_interface.open_session(app, app.request_class(dict(request.native)))
        email = flask_session.get("email") if flask_session else None
        return HostUser(email=email, user_id=email) if email else None

    def end_host_session(self, request: Request) -> list[tuple[str, str]]:
        cookie = dump_cookie(app.config["SESSION_COOKIE_NAME"], "", max_age=0, httponly=True, samesite="Lax")
        return [("Set-Cookie", cookie)]


@app.get("/")
def home() -> str:
    return render_template_string(PAGE, title="Welcome")


@app.get("/login")
def login_page() -> str:
    return render_template_string(PAGE, title="Log in")


@app.post("/login")
def log_in() -> tuple[str, int] | Response:
    email = request.form["email"]
    if not check_password_hash(PASSWORDS.get(email, ""), request.form["password"]):
        return render_template_string(PAGE, title="Log in", problem="That is not right."), 401
    session.clear()
    session["email"] = email
    return redirect("/report", 303)


@app.get("/report")
def report() -> str | Response:
    principal = current_principal()
    email = principal.email if principal else session.get("email")
    return render_template_string(PAGE, title="Report", email=email) if email else redirect("/login", 303)


app.wsgi_app = SSOMiddleware(app.wsgi_app, hooks=OwnLogin())  # type: ignore[method-assign]  # Flask's own way
