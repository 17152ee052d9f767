"""Two pages: one for everybody, one for people who signed in."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template import Context, Engine
from django.urls import path

from sso_middleware import current_principal

PAGE = Engine().from_string("""<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">
<title>{{ title }}</title><h1>{{ title }}</h1>
{% if principal %}<p>Signed in as {{ principal.name }} ({{ principal.email }}).</p>
<p>You asked for: <code>{{ query }}</code></p>
<form method="post" action="/sso/logout"><input type="hidden" name="csrf_token" value="{{ csrf_token }}">
<button>Sign out</button></form>
{% else %}<p>Everybody may read this. <a href="/report?year=2026">The report</a></p>{% endif %}</html>""")


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE.render(Context({"title": "Welcome"})))


def report(request: HttpRequest) -> HttpResponse:
    told = getattr(request, "scope", request.META)  # under ASGI the middleware tells the scope, under WSGI the environ
    page = {"title": "Report", "principal": current_principal(), "csrf_token": told.get("sso.csrf_token")}
    return HttpResponse(PAGE.render(Context({**page, "query": request.META["QUERY_STRING"]})))


urlpatterns = [path("", home), path("report", report)]
