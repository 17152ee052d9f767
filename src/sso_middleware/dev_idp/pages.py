"""The dev IdP's pages: plain, accessible, and strict about what may run in them.

Style and script are inline and named by their hash, so that nothing else can be.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cache
from importlib.resources import files
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from werkzeug.wrappers import Response


def page(template: str, status: int = 200, *, form_target: str | None = None, **values: object) -> Response:
    """`form_target` is the one foreign URL that a form of this page may post to."""
    style, script = _asset("style.css"), _asset("submit.js")
    html = _environment().get_template(f"{template}.html").render(style=style, script=script, **values)
    target = " {0.scheme}://{0.netloc}".format(urlsplit(form_target)) if form_target else ""
    policy = (
        "default-src 'none'",
        f"style-src '{_hash(style)}'",
        f"script-src '{_hash(script)}'",
        "img-src data:",
        f"form-action 'self'{target}",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
    return Response(
        html,
        status,
        {
            "Content-Security-Policy": "; ".join(policy),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        },
        content_type="text/html; charset=utf-8",
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("sso_middleware.dev_idp"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _asset(name: str) -> str:
    return files("sso_middleware.dev_idp").joinpath("templates", name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return "sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
