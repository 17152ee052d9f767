"""Turn an error into an answer for three readers: a page with a code and a reference, an event, a log line."""

from __future__ import annotations

import logging

from ..calling import Call
from ..errors import (
    AssertionReplayed,
    BadRequest,
    EmailOutsideDomains,
    HostSessionOfAnother,
    InvalidToken,
    InvitationNeeded,
    LoginRequestUnknown,
    LogoutRefused,
    MethodNotAllowed,
    PageNotFound,
    PendingLoginUnknown,
    PendingProfileUnknown,
    ProvisioningRejected,
    RecoveryRefused,
    SSOError,
    StoreError,
    TooManyAttempts,
    UnknownConnection,
)
from ..faults import stack_of
from ..languages import OurText
from ..tokens import new_reference
from ..web import Reply, Request, json_reply
from .explaining import explanation_of
from .kinds import PROBLEM, kind_of
from .limits import is_told_in_full
from .reporting import report
from .sessions import find_session
from .site import Site

log = logging.getLogger("sso_middleware")

# What a reloaded page or a repeated post ends in; the person may well be signed in by then.
_MAYBE_SIGNED_IN = (AssertionReplayed, LoginRequestUnknown, PendingLoginUnknown, PendingProfileUnknown)


class InternalError(SSOError):
    """A fault of ours: refused with 503, and the log has the stack."""

    code = "internal_error"
    status = 503
    public_message = "Signing in is not available right now. Please try again in a moment."


def wrap(error: Exception) -> SSOError:
    """Our own errors as they are; any other is logged by type and stack, and never shown."""
    if isinstance(error, SSOError):
        return error
    log.error("unexpected %s\n%s", type(error).__name__, stack_of(error))
    return InternalError(f"unexpected {type(error).__name__}")


async def refuse(site: Site, request: Request, call: Call, error: SSOError) -> Reply:
    """The refusal, recorded under the reference that the person sees.

    In a flood most are only counted: they get no reference, since it would lead to nothing.
    """
    reference = new_reference() if await is_told_in_full(site, call, error) else None
    if reference is not None:
        await report(
            site,
            request,
            call,
            error.code,
            connection_id=error.connection_id,
            reference=reference,
            detail={"why": error.detail, "path": request.path},
            explanation=explanation_of(site, error),
        )
    reply = (await _answer(site, request, call, error, reference)).with_headers(error.headers)
    if isinstance(error, MethodNotAllowed):
        reply = reply.with_headers([("Allow", ", ".join(error.allowed))])
    if isinstance(error, TooManyAttempts):
        reply = reply.with_headers([("Retry-After", str(error.seconds))])
    if isinstance(error, StoreError) or error.status == 503:
        reply = reply.with_headers([("Retry-After", "5")])
    return reply


async def _answer(site: Site, request: Request, call: Call, error: SSOError, reference: str | None) -> Reply:
    if kind_of(request) in ("script", "websocket"):
        problem = {
            "type": "about:blank",
            "title": _sentence_of(error),
            "status": error.status,
            "code": error.code,
            **({"reference": reference} if reference else {}),
        }
        return json_reply(error.status, problem, media_type=PROBLEM)
    if isinstance(error, _MAYBE_SIGNED_IN):
        if await _is_signed_in(site, request, call):
            return _signed_in_page(site, request, error, reference)
        if request.method == "POST":
            # Our cookies don't come with a post from another site: look again from our own page.
            about = site.tokens.sign("refused", f"{error.code} {reference or ''}")
            return _refused_page(site, request, error, reference, look_again=site.page_url("refused", about=about))
    return _refused_page(site, request, error, reference)


async def show_refused(site: Site, request: Request, call: Call) -> Reply:
    """GET refused: the same refusal again, where our cookies are (it was recorded when it happened)."""
    try:
        code, reference = site.tokens.verify("refused", request.query_value("about") or "").split(" ")
    except (InvalidToken, ValueError):
        raise PendingLoginUnknown("the page of a refusal was asked for without one") from None
    known = {kind.code: kind for kind in _MAYBE_SIGNED_IN}
    error = known.get(code, PendingLoginUnknown)()
    if await _is_signed_in(site, request, call):
        return _signed_in_page(site, request, error, reference)
    return _refused_page(site, request, error, reference)


def _refused_page(
    site: Site, request: Request, error: SSOError, reference: str | None, *, look_again: str | None = None
) -> Reply:
    is_ours_to_mend = isinstance(error, PageNotFound | HostSessionOfAnother)  # then no sign-in would help
    button, button_url = OurText("Try again"), _try_again_url(site, error)
    if is_ours_to_mend:
        button, button_url = OurText("Go on"), site.app_url("/")
    elif isinstance(error, RecoveryRefused):
        button, button_url = OurText("Recovery access"), site.page_url("recovery-access")
    elif error.met_sign_out:
        button, button_url = OurText("Sign out here"), site.page_url("logout")
    return site.pages.reply(
        request,
        "refused",
        status=error.status,
        heading=OurText(error.heading),
        code=error.code,
        sentence=OurText(_sentence_of(error)),
        reference=reference,
        look_again=look_again,
        button=button,
        button_url=button_url,
        holds_secret=True,  # a recovery link that is refused for now is still one
    )


def _sentence_of(error: SSOError) -> str:
    """What most errors say is about a sign-in."""
    if error.met_sign_out and not isinstance(error, BadRequest | LogoutRefused | UnknownConnection):
        return LogoutRefused.public_message
    return error.sentence


def _try_again_url(site: Site, error: SSOError) -> str:
    """Where the identity provider sent the wrong person, it is asked to let them choose another account."""
    fresh = {"fresh": "1"} if isinstance(error, EmailOutsideDomains | InvitationNeeded | ProvisioningRejected) else {}
    connection = {"connection": error.connection_id} if fresh and error.connection_id else {}
    return site.page_url("login", return_to=error.return_to, again="1", **connection, **fresh)


def _signed_in_page(site: Site, request: Request, error: SSOError, reference: str | None) -> Reply:
    return site.pages.reply(
        request,
        "signed_in",
        status=error.status,
        code=error.code,
        reference=reference,
        continue_url=site.app_url("/"),
    )


async def _is_signed_in(site: Site, request: Request, call: Call) -> bool:
    try:
        return await find_session(site, request, call) is not None
    except Exception:  # whatever a store raises, the page is a refusal
        return False
