"""`session.js`, which renews the session of a page that stays open, and `renewed`, where its window ends.

Both are the same for everybody and say nothing of anybody, so they need no session.
"""

from __future__ import annotations

import hashlib
from functools import cache

from werkzeug.http import parse_etags

from ..calling import Call
from ..pages import read_file
from ..web import Reply, Request
from .site import Site

RENEWED = "renewed"
_KEPT_SECONDS = 3600


async def show_script(site: Site, request: Request, call: Call) -> Reply:
    """GET session.js. Browsers keep it for an hour, then ask whether it has changed."""
    script, etag = _script()
    headers = (
        ("ETag", f'"{etag}"'),
        ("Cache-Control", f"public, max-age={_KEPT_SECONDS}"),
        ("X-Content-Type-Options", "nosniff"),
        # No page of another origin may load it: it would find no session of that page's anyway.
        ("Cross-Origin-Resource-Policy", "same-origin"),
    )
    if parse_etags(request.headers.get("If-None-Match")).contains_weak(etag):
        return Reply(304, headers)
    return Reply(200, (("Content-Type", "text/javascript; charset=utf-8"), *headers), script)


@cache
def _script() -> tuple[bytes, str]:
    text = read_file("session.js").encode()
    return text, hashlib.sha256(text).hexdigest()[:32]


async def show_renewed(site: Site, request: Request, call: Call) -> Reply:
    """GET renewed: the script's window tells its page, and closes."""
    return site.pages.reply(request, "renewed", script="renewed.js", continue_url=site.app_url("/"))
