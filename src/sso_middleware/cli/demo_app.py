"""The app that `sso-middleware demo` wraps: plain WSGI, as if it had never heard of single sign-on.

A front page for everybody, a reports page for those who are signed in. All that it knows of the
person is what `SSOMiddleware` puts into the environ; who may see which page is the settings'.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from ..principal import Principal

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

FIRST_REPORT = "/reports?region=north&quarter=Q3"

STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5a6673; --paper: #fff; --ground: #eef2f6; --line: #d3dae2;
  --accent: #0f6b5c; --on-accent: #fff; --tint: #dff1ed; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7ecf2; --soft: #a6b2bf; --paper: #18202a; --ground: #10161d;
  --line: #37434f; --accent: #63d3bd; --on-accent: #06231d; --tint: #16332e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
header, main { max-width: 46rem; margin: 0 auto; padding: 1rem 1.25rem; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; align-items: center; justify-content: space-between; }
header a { font-weight: 700; color: inherit; text-decoration: none; }
header form { margin: 0; display: flex; gap: .75rem; align-items: center; }
main { background: var(--paper); border: 1px solid var(--line); border-radius: .75rem; padding: 1.75rem; }
h1 { margin: 0 0 .75rem; font-size: 1.7rem; line-height: 1.25; }
h2 { margin: 1.75rem 0 .5rem; font-size: 1.15rem; }
p { margin: 0 0 1rem; }
a { color: var(--accent); }
.button, button { display: inline-block; padding: .55rem 1.2rem; font: inherit; font-weight: 600; cursor: pointer;
  color: var(--on-accent); background: var(--accent); border: 1px solid var(--accent); border-radius: .45rem;
  text-decoration: none; }
button { color: var(--accent); background: transparent; padding: .3rem .9rem; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
table { width: 100%; border-collapse: collapse; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { text-align: left; padding: .45rem .5rem; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1.25rem; margin: 0 0 1rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 30rem) {
  header { flex-wrap: nowrap; gap: .75rem; padding: .75rem 1rem; }
  header form { gap: .5rem; font-size: .95rem; line-height: 1.3; text-align: right; }
  header button { flex: none; }
  main { margin: 0 .75rem 1rem; padding: 1.25rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .6rem; }
}
.role { display: inline-block; padding: 0 .6rem; margin-right: .35rem; background: var(--tint); border-radius: 1rem; }
.soft { color: var(--soft); }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; margin: 0 0 1rem; }
nav [aria-current] { font-weight: 700; color: inherit; text-decoration: none; }
""".strip()

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; form-action 'self';"
        " frame-ancestors 'none'; base-uri 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
]

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath fill='%230f6b5c' d='M2 9h3v5H2zm4.5-4h3v9h-3zM11 2h3v12h-3z'/%3E%3C/svg%3E"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Meridian Reports</title>
<link rel="icon" href="{icon}">
<style>{style}</style>
</head>
<body>
<header><a href="{root}/">Meridian Reports</a>{account}</header>
<main>
{body}
</main>
</body>
</html>
"""

_ACCOUNT = """
<form method="post" action="{root}/sso/logout">
<input type="hidden" name="csrf_token" value="{csrf_token}">
<span>{name}</span><button>Sign out</button>
</form>"""

_WELCOME = """<h1>See how the quarter went</h1>
<p>This page is public. The reports are not: to see them you sign in at your organization's identity provider,
and come back to exactly the page you asked for.</p>
<p><a class="button" href="{root}{report}">{action}</a></p>
<p class="soft">This is the demo app of sso-middleware. It has no login of its own, no user table and no password:
it reads who you are from the request.</p>"""

_REPORT = """<h1>{region} region, {quarter}</h1>
<nav aria-label="Regions"><ul>{regions}</ul></nav>
<table>
<caption>Units sold</caption>
<thead><tr><th scope="col">Product</th><th scope="col" class="number">Units</th></tr></thead>
<tbody>{rows}</tbody>
</table>
<h2>Who the app thinks you are</h2>
<dl>
<dt>Name</dt><dd>{name}</dd>
<dt>E-mail</dt><dd>{email}</dd>
<dt>Organization</dt><dd>{organization}</dd>
<dt>Roles</dt><dd>{roles}</dd>
<dt>Signed in at</dt><dd>{authenticated_at}</dd>
<dt>At the latest until</dt><dd>{expires_at}</dd>
</dl>
<p class="soft">Your identity provider said so, and <code>SSOMiddleware</code> verified it.</p>"""

_REGIONS = {"north": "North", "south": "South", "east": "East", "west": "West"}
_QUARTERS = ("Q1", "Q2", "Q3", "Q4")
_PRODUCTS = ("Sextants", "Barometers", "Ship's chronometers", "Star charts")


def demo_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    pages: Mapping[str, Callable[[WSGIEnvironment], str]] = {"/": _front_page, "/reports": _reports_page}
    page = pages.get(environ.get("PATH_INFO") or "/")
    status = "200 OK" if page else "404 Not Found"
    html = (page or _missing_page)(environ).encode()
    start_response(status, [*_HEADERS, ("Content-Length", str(len(html)))])
    return [html]


def _front_page(environ: WSGIEnvironment) -> str:
    action = "Open the reports" if _person(environ) else "Sign in"
    return _page(environ, "Welcome", _WELCOME.format(root=_root(environ), report=escape(FIRST_REPORT), action=action))


def _reports_page(environ: WSGIEnvironment) -> str:
    person = _person(environ)
    if person is None:  # only if somebody took /reports out of `protect`
        return _page(environ, "Not signed in", "<h1>Nobody is signed in</h1>")
    query = parse_qs(environ.get("QUERY_STRING", ""))
    region = query.get("region", [""])[0] if query.get("region", [""])[0] in _REGIONS else "north"
    quarter = query.get("quarter", [""])[0] if query.get("quarter", [""])[0] in _QUARTERS else "Q3"
    body = _REPORT.format(
        region=_REGIONS[region],
        quarter=quarter,
        regions="".join(_region_link(environ, key, quarter, is_current=key == region) for key in _REGIONS),
        rows="".join(_row(product, region, quarter) for product in _PRODUCTS),
        name=escape(person.name),
        email=escape(person.email),
        organization=escape(person.organization),
        roles="".join(f'<span class="role">{escape(role)}</span>' for role in person.roles) or "none",
        authenticated_at=_time(person.authenticated_at),
        expires_at=_time(person.expires_at),
    )
    return _page(environ, f"{_REGIONS[region]} region, {quarter}", body)


def _missing_page(environ: WSGIEnvironment) -> str:
    body = f'<h1>There is no such page</h1><p><a href="{_root(environ)}/">To the front page</a></p>'
    return _page(environ, "No such page", body)


def _page(environ: WSGIEnvironment, title: str, body: str) -> str:
    person, account = _person(environ), ""
    if person is not None:
        token = str(environ.get("sso.csrf_token") or "")
        account = _ACCOUNT.format(root=_root(environ), csrf_token=escape(token), name=escape(person.name))
    return _PAGE.format(title=escape(title), style=STYLE, icon=_ICON, root=_root(environ), account=account, body=body)


def _person(environ: WSGIEnvironment) -> Principal | None:
    person = environ.get("sso.principal")
    return person if isinstance(person, Principal) else None


def _root(environ: WSGIEnvironment) -> str:
    return escape(environ.get("SCRIPT_NAME", ""))


def _region_link(environ: WSGIEnvironment, region: str, quarter: str, *, is_current: bool) -> str:
    current = ' aria-current="page"' if is_current else ""
    return (
        f'<li><a href="{_root(environ)}/reports?region={region}&amp;quarter={quarter}"{current}>'
        f"{_REGIONS[region]}</a></li>"
    )


def _row(product: str, region: str, quarter: str) -> str:
    # Figures out of thin air, but the same ones each time.
    units = int.from_bytes(hashlib.sha256(f"{product}{region}{quarter}".encode()).digest()[:2]) % 900 + 100
    return f'<tr><th scope="row">{escape(product)}</th><td class="number">{units}</td></tr>'


def _time(moment: datetime | None) -> str:
    return f'<time datetime="{moment.isoformat()}">{moment:%d %B %Y, %H:%M} UTC</time>' if moment else "not known"
