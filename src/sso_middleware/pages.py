"""Our own pages: plain, accessible, no script needed, not frameable, nothing loaded from anywhere.

The stylesheet and a page's one script are inline and named by their hash in the policy, so a page
needs neither a nonce nor a file.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .web import Reply

if TYPE_CHECKING:
    from jinja2 import Environment


class Pages:
    """Renders `templates/`. Jinja is imported when the first page is asked for."""

    def reply(
        self,
        template: str,
        status: int = 200,
        *,
        form_target: str | None = None,  # the one foreign URL that a form of this page may post to
        leads_anywhere: bool = False,  # since browsers hold redirects after a form against the page's policy, too
        framed_by: Sequence[str] = (),  # origins in whose frames this page may be: it holds nothing to click on then
        script: str = "submit.js",  # the one that may run on this page
        holds_secret: bool = False,  # whether its address is one: it is told to nobody as a Referer, not even to us
        **values: object,
    ) -> Reply:
        """A page."""
        style, script = read_file("style.css"), read_file(script)
        html = self._environment.get_template(f"{template}.html").render(style=style, script=script, **values)
        policy = _policy(style, script, form_target, framed_by, leads_anywhere=leads_anywhere)
        return Reply(status, _headers(policy, is_framed=bool(framed_by), holds_secret=holds_secret), html.encode())

    @cached_property
    def _environment(self) -> Environment:
        from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape  # noqa: PLC0415 (slow import)

        return Environment(
            loader=PackageLoader("sso_middleware"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )


def _policy(
    style: str, script: str, form_target: str | None, framed_by: Sequence[str], *, leads_anywhere: bool
) -> tuple[str, ...]:
    ancestors = " ".join(framed_by) or "'none'"
    target = "{0.scheme}://{0.netloc}".format(urlsplit(form_target)) if form_target else ""
    return (
        "default-src 'none'",
        "img-src data:",  # the empty icon, which spares the host a request for /favicon.ico
        f"style-src '{_hash(style)}'",
        f"script-src '{_hash(script)}'",
        *([] if leads_anywhere else [f"form-action 'self' {target}".rstrip()]),
        f"frame-ancestors {ancestors}",
        "base-uri 'none'",
    )


def _headers(policy: Sequence[str], *, is_framed: bool, holds_secret: bool) -> tuple[tuple[str, str], ...]:
    return (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", "; ".join(policy)),
        ("Cache-Control", "no-store"),
        *(() if is_framed else (("X-Frame-Options", "DENY"),)),  # which knows no list
        ("X-Content-Type-Options", "nosniff"),
        # Not `no-referrer` everywhere: with it a browser posts our own forms with `Origin: null`.
        ("Referrer-Policy", "no-referrer" if holds_secret else "same-origin"),
    )


@cache
def read_file(name: str) -> str:
    """One of `templates/`: a stylesheet or a script."""
    return files("sso_middleware").joinpath("templates", name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
