"""What kind of request this is: a page that a person waits for, a form, or something that a script sends."""

from __future__ import annotations

from typing import Literal

from ..setting_rules import is_below
from ..web import Request
from .paths import read_own_url
from .site import Site

Kind = Literal["navigation", "form", "script", "websocket"]
PROBLEM = "application/problem+json"
POLLING_HEADER = "X-SSO-Polling"


def is_preflight(request: Request) -> bool:
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def kind_of(request: Request) -> Kind:
    """A navigation is a page that a person waits for; only it may be sent away to sign in."""
    if request.is_websocket:
        return "websocket"
    if not _is_page_load(request):
        return "script"
    return "navigation" if request.method in ("GET", "HEAD") else "form"


def _is_page_load(request: Request) -> bool:
    headers = request.headers
    if "HX-Request" in headers or headers.get("X-Requested-With", "").lower() == "xmlhttprequest":
        return False
    if any(name.lower().startswith("sec-fetch-") for name, _ in headers):
        return (
            headers.get("Sec-Fetch-Mode") == "navigate"
            and headers.get("Sec-Fetch-Dest") == "document"
            and "Sec-Purpose" not in headers
        )
    return "text/html" in headers.get("Accept", "").lower()


def is_unasked_for(request: Request) -> bool:
    """Whether nobody waits for this page: it is fetched ahead, or looked for only."""
    return request.method == "HEAD" or "Sec-Purpose" in request.headers


def is_of_another_site(request: Request) -> bool:
    """Whether a page that is not of our own origin led here, as far as the browser says."""
    return request.headers.get("Sec-Fetch-Site", "").lower() in ("cross-site", "same-site")


def is_polling(site: Site, request: Request) -> bool:
    """Whether a page asks by itself, which is nobody's activity."""
    return POLLING_HEADER in request.headers or is_below(request.path, *site.settings.polling)


def is_foreign_websocket(site: Site, request: Request) -> bool:
    """Browsers send cookies with a websocket from any site; only our own pages may open one."""
    if not request.is_websocket:
        return False
    origin = request.headers.get("Origin")
    return origin != site.settings.origin and origin not in site.settings.allowed_origins


def page_of_script(site: Site, request: Request) -> str:
    """The page that the person looks at, never the URL that a script fetched."""
    headers = request.headers
    for url in (headers.get("HX-Current-URL"), headers.get("Referer")):
        page = read_own_url(site.settings, url)
        if page is not None:
            return page
    return "/"
