"""Our own pages: plain, accessible, no script needed, not frameable, nothing loaded from anywhere.

Each is in the language of the request that it answers, as far as `languages` has that. The stylesheet and a
page's one script are inline and named by their hash in the policy, so a page needs neither a nonce nor a file.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache, cached_property
from gettext import NullTranslations
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .languages import SOURCE, Languages, OurText
from .web import Reply, Request

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.runtime import Context


class Pages:
    """Renders `templates/`. Jinja is imported when the first page is asked for."""

    def __init__(self, languages: Languages | None = None) -> None:
        self._languages = languages or Languages()

    def language_of(self, request: Request) -> str:
        """Which one a page in answer to this request is in."""
        return self._languages.of(request.headers.get("Accept-Language"))

    def reply(
        self,
        request: Request,
        template: str,
        status: int = 200,
        *,
        form_target: str | None = None,  # the one foreign URL that a form of this page may post to
        leads_anywhere: bool = False,  # since browsers hold redirects after a form against the page's policy, too
        framed_by: Sequence[str] = (),  # origins in whose frames this page may be: it holds nothing to click on then
        script: str = "submit.js",  # the one that may run on this page
        holds_secret: bool = False,  # whether its address is one: it is told to nobody as a Referer, not even to us
        in_english: bool = False,  # for admins, as all that is told to them is
        **values: object,
    ) -> Reply:
        """A page in answer to `request`, in its language; so is each `OurText` in `values`."""
        language = SOURCE if in_english else self.language_of(request)
        texts = self._languages.texts(language)
        shown = {name: _translated(value, texts) for name, value in values.items()}
        style, script = read_file("style.css"), read_file(script)
        page = self.environment.get_template(f"{template}.html")
        html = page.render(style=style, script=script, language=language, texts=texts, **shown)
        policy = _policy(style, script, form_target, framed_by, leads_anywhere=leads_anywhere)
        headers = _headers(policy, language, is_framed=bool(framed_by), holds_secret=holds_secret)
        return Reply(status, headers, html.encode())

    @cached_property
    def environment(self) -> Environment:
        """One for all languages: what a text is in one of them is looked up when it is shown."""
        from jinja2 import (  # noqa: PLC0415 (slow import)
            Environment,
            PackageLoader,
            StrictUndefined,
            pass_context,
            select_autoescape,
        )

        environment = Environment(
            loader=PackageLoader("sso_middleware"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        environment.policies["ext.i18n.trimmed"] = True

        # Only for texts that stand in a template: what these give is taken for HTML.
        @pass_context
        def gettext(context: Context, text: str) -> str:
            return str(context["texts"].gettext(text))

        @pass_context
        def ngettext(context: Context, one: str, more: str, number: int) -> str:
            return str(context["texts"].ngettext(one, more, number))

        environment.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]  # of i18n
        return environment


def _translated(value: object, texts: NullTranslations) -> object:
    """A text of ours, and such texts wherever they stand in a table or a list."""
    match value:
        case OurText() if value:  # the translation of nothing would be the head of the catalogue
            return texts.gettext(value)
        case dict():
            return {name: _translated(each, texts) for name, each in value.items()}
        case list() | tuple():
            return [_translated(each, texts) for each in value]
        case _:
            return value


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


def _headers(
    policy: Sequence[str], language: str, *, is_framed: bool, holds_secret: bool
) -> tuple[tuple[str, str], ...]:
    return (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Language", language),
        ("Vary", "Accept-Language"),
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
