"""A Flask app behind single sign-on. Settings: SSO_* variables, or sso.toml in the current directory.

gunicorn flask_app:app
"""

from __future__ import annotations

from flask import Flask, render_template_string, request

from sso_middleware import SSOMiddleware, current_principal

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">
<title>{{ title }}</title><h1>{{ title }}</h1>
{% if principal %}<p>Signed in as {{ principal.name }} ({{ principal.email }}).</p>
<p>You asked for: <code>{{ query }}</code></p>
<form method="post" action="/sso/logout"><input type="hidden" name="csrf_token" value="{{ csrf_token }}">
<button>Sign out</button></form>
{% else %}<p>Everybody may read this. <a href="/report?year=2026">The report</a></p>{% endif %}</html>"""

app = Flask(__name__)


@app.get("/")
def home() -> str:
    return render_template_string(PAGE, title="Welcome")


@app.get("/report")
def report() -> str:
    return render_template_string(
        PAGE,
        title="Report",
        principal=current_principal(),
        query=request.query_string.decode(),
        csrf_token=request.environ.get("sso.csrf_token"),
    )


app.wsgi_app = SSOMiddleware(app.wsgi_app)  # type: ignore[method-assign]  # Flask's own documented way
