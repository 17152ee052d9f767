"""Read a form that one of our own pages posted, and know that it was ours (CSRF)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..calling import Call
from ..errors import CsrfMismatch, FramedRequest, InvalidToken
from ..tokens import hash_token
from ..web import Request, read_form
from .site import Site

CSRF_FIELD = "csrf_token"
FORM_LIMIT = 16 * 1024
_OTHER_SITES = {"cross-site", "same-site"}
_FRAMES = {"iframe", "frame", "embed", "object", "fencedframe"}
_SUBRESOURCES = {"cors", "no-cors"}


def csrf_token(site: Site, binding: str) -> str:
    """A form's token, good for one browser or session: `binding` is a secret of its own."""
    return site.tokens.sign("csrf", hash_token(binding))


async def read_own_form(
    site: Site, request: Request, call: Call, bindings: Iterable[str], *, limit: int = FORM_LIMIT
) -> dict[str, str]:
    """The fields of a form of ours. Raises CsrfMismatch unless its token is for one of `bindings`."""
    refuse_other_sites(site, request)
    form = read_form(request, await call(request.read_body, limit))
    check_csrf(site, form, bindings)
    return form


def check_csrf(site: Site, form: Mapping[str, str], bindings: Iterable[str]) -> None:
    """Raises CsrfMismatch unless the form's token is for one of `bindings`."""
    try:
        bound_to = site.tokens.verify("csrf", form.get(CSRF_FIELD, ""))
    except InvalidToken as error:
        raise CsrfMismatch("the form has no valid token") from error
    if bound_to not in {hash_token(binding) for binding in bindings}:
        raise CsrfMismatch("the form's token is another browser's")


def refuse_other_sites(site: Site, request: Request) -> None:
    """Raises CsrfMismatch if a form came from a page of another origin, as far as the browser says."""
    # A host page with `Referrer-Policy: no-referrer` posts with `Origin: null`; the token tells those.
    if request.headers.get("Origin", "null") not in ("null", site.settings.origin):
        raise CsrfMismatch(f"the form came from another origin than {site.settings.origin}")
    if request.headers.get("Sec-Fetch-Site", "").lower() in _OTHER_SITES:
        raise CsrfMismatch("the form came from another site")


def refuse_frames(request: Request) -> None:
    """Signing in never happens inside a frame, nor for a picture or a script: those are not the person's doing."""
    if request.headers.get("Sec-Fetch-Dest", "").lower() in _FRAMES:
        raise FramedRequest("the request came from inside a frame")
    # The mode, not the destination: of a page that a service worker fetches, that is empty.
    if request.headers.get("Sec-Fetch-Mode", "").lower() in _SUBRESOURCES:
        raise FramedRequest("the request came from a script, or for a part of a page")
