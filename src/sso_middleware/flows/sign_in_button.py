"""The "Continue with SSO" button for pages of the host's: a link, as a piece of HTML.

A link and no form, so that a page whose policy says `form-action 'self'` can hold it: the way to the identity
provider is a redirect, which such a policy would stop after a form.
"""

from __future__ import annotations

from html import escape

from .paths import read_return_to
from .site import Site


class SafeHtml(str):
    """HTML in which all that came from elsewhere is escaped: templates of Jinja and Django put it in as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def sign_in_button(site: Site, *, return_to: str, label: str, connection: str | None) -> SafeHtml:
    """`return_to` is a path below the mount; anything else leads to the front page."""
    named = {} if connection is None else {"connection": connection}
    # `again`: whoever clicks wants in, also just after a sign-out.
    url = site.page_url("login", return_to=read_return_to(return_to), **named, again="1")
    return SafeHtml(f'<a class="sso-button" href="{escape(url)}">{escape(label)}</a>')
