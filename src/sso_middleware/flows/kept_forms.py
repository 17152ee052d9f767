"""A form that meets an ended session is kept, and offered back to the same person after sign-in (DESIGN §7).

Whether it may be kept is decided here. It comes back as a page with a button; that posts to the form's own
address, where the gate puts the kept form in the place of the button's, once. Nothing is ever sent unasked.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ..calling import Call
from ..errors import (
    BadRequest,
    BodyTooLarge,
    CsrfMismatch,
    InvalidToken,
    SealedWithUnknownKey,
    TooManyAttempts,
    UnsupportedForm,
)
from ..hooks import has_refresh_form
from ..setting_rules import is_below
from ..stores.records import Session
from ..stores.session_records import KeptForm
from ..tokens import hash_token, new_token
from ..web import PassThrough, Replay, Reply, Request, see_other
from .form_bodies import FormBody, is_csrf_name, is_secret_name, read_form_body
from .forms import csrf_token, read_own_form, refuse_frames
from .limits import check, count, kept_forms
from .paths import intercepted_at, is_ambiguous, read_own_url, this_page
from .reporting import ask_host, report
from .sessions import lineage_of, look_up
from .site import Site

log = logging.getLogger("sso_middleware")

KEPT_FOR = timedelta(minutes=30)
MOST_OF_A_PERSON = 3
LARGEST = 1024 * 1024
PARAMETER = "sso-kept-form"
"""In the query of the button's address: the signed leave to send one kept form."""
_SEALED = "kept form"
_SENDING = "send kept form"
_LENGTH = re.compile(r"[0-9]{1,7}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_MOST_NAMES_SHOWN = 30


@dataclass(frozen=True, slots=True)
class _Offer:
    """A form that is kept."""

    token: str = field(repr=False)
    page: str = field(repr=False)
    """Its address below `base_url`, with its query."""
    referer: str | None = field(repr=False)
    form: FormBody
    expires_at: datetime


# Keeping


async def keep_form(site: Site, request: Request, call: Call, session: Session) -> str | None:
    """Keep it for the person whose session has ended; the path that offers it back, or None if it can't be kept."""
    offer = await _keep(site, request, call, session)
    return None if offer is None else _path_of(site, offer.token)


async def offer_to_keep(site: Site, request: Request, call: Call, session: Session, reply: Reply) -> Reply:
    """In place of `reply`, which says that the form is lost."""
    if session.timed_out_at is None:
        return reply  # it did not just time out: its connection is gone or disabled, or no longer has the domain
    offer = await _keep(site, request, call, session)
    if offer is None:
        return reply
    login_url = site.page_url("login", return_to=_path_of(site, offer.token))
    page = site.pages.reply(request, "form_kept", reply.status, login_url=login_url, **_describe(site, offer))
    return replace(reply, body=page.body)


async def _keep(site: Site, request: Request, call: Call, session: Session) -> _Offer | None:
    try:
        _check_request(site, request, session)
        before = await _kept_before(site, request, call, session)
        if before is not None:
            return before
        counted = kept_forms(site, request)
        check(site, counted)
        page, form = await _read(request, call)
    except (BadRequest, TooManyAttempts) as reason:
        log.info("a form that met an ended session is not kept: %s", reason)
        return None
    token, now = new_token(), site.now()
    referer = request.headers.get("Referer")
    is_own = read_own_url(site.settings, referer) is not None
    offer = _Offer(token, page, referer if is_own else None, form, now + KEPT_FOR)
    kept = KeptForm(
        id=hash_token(token),
        connection_id=session.connection_id,
        principal_key=session.principal_key,
        form=_seal(site, offer),
        created_at=now,
        expires_at=offer.expires_at,
    )
    await call(site.store.add_kept_form, kept, most=MOST_OF_A_PERSON)
    await count(site, request, call, counted)
    await report(site, request, call, "form_kept", connection_id=session.connection_id, email=session.email)
    return offer


def _check_request(site: Site, request: Request, session: Session) -> None:
    """Whether a form that comes so may be kept at all. Raises UnsupportedForm."""
    connection = site.connections.get(session.connection_id)
    if connection is None or not connection.enabled:
        raise UnsupportedForm("its connection is gone or disabled")
    # A page of another site can post a form, too, and must not have it offered here.
    if request.method != "POST" or request.headers.get("Origin") != site.settings.origin:
        raise UnsupportedForm("it was not posted by a page of our own origin")
    if is_ambiguous(request.path, request.raw_path):
        raise UnsupportedForm("its path can be read in two ways")
    if _is_host_login(site, request.path):
        raise UnsupportedForm("its path is that of the app's own login")
    if intercepted_at(site.settings, request.path, request.raw_path) is not None:
        raise UnsupportedForm("its path is that of a form that is intercepted")
    never_kept = (prefix.casefold() for prefix in site.settings.never_kept)
    if is_below(request.path.casefold(), *never_kept):
        raise UnsupportedForm("its path is one of never_kept")


def _is_host_login(site: Site, path: str) -> bool:
    url = site.settings.local_login_url
    if not url:
        return False
    own = url if url.startswith("/") else read_own_url(site.settings, url)
    prefix = urlsplit(own or "").path.casefold().rstrip("/")
    return bool(own) and (is_below(path.casefold(), prefix) if prefix else path == "/")


async def _kept_before(site: Site, request: Request, call: Call, session: Session) -> _Offer | None:
    """The button was pressed too late: it is the kept form that met an ended session this time."""
    leave, _ = _cut(request.query)
    if leave is None or not _is_empty(request):
        return None
    try:
        token, _ = _read_leave(site, leave)
    except InvalidToken:
        raise UnsupportedForm("it would send a kept form, without our leave") from None
    offer = await _find(site, call, session, token)
    if offer is None:
        raise UnsupportedForm("it would send a form that is no longer kept")
    return offer


async def _read(request: Request, call: Call) -> tuple[str, FormBody]:
    """Its address and its body. Raises UnsupportedForm and BodyTooLarge."""
    headers = request.headers
    length = headers.get("Content-Length") or "0"
    if "Transfer-Encoding" in headers or "Content-Encoding" in headers or not _LENGTH.fullmatch(length):
        raise UnsupportedForm("it is encoded, or does not say well how long it is")
    if int(length) > LARGEST:
        raise BodyTooLarge(f"it has more than {LARGEST} bytes")
    _, query = _cut(request.query)
    page = this_page(replace(request, query=query))
    if page == "/" and (request.path != "/" or query):
        raise UnsupportedForm("its address is too long, or not plain")
    body = await call(request.read_body, LARGEST)
    if len(body) != int(length):
        raise UnsupportedForm("it is not as long as it says")
    # Through `call`: a mebibyte takes a moment.
    form: FormBody = await call(read_form_body, headers.get("Content-Type", ""), body)
    if any(is_secret_name(part.name) for part in form.parts):
        raise UnsupportedForm("a field has the name of a password or the like")
    return page, form


# Offering


async def show_kept_form(site: Site, request: Request, call: Call) -> Reply:
    """GET form: what is kept, a button that sends it, and one that discards it."""
    refuse_frames(request)
    token = request.query_value("id") or ""
    if not _TOKEN.fullmatch(token):
        return _gone(site, request, 404)
    found = await look_up(site, request, call)
    if found is None or found.verdict != "live":
        way = "login" if found is None or found.verdict == "ended" else "renew"
        return see_other(site.page_url(way, return_to=_path_of(site, token)))
    offer = await _find(site, call, found.session, token)
    page = _gone(site, request, 404) if offer is None else _offering_page(site, request, found.session, offer)
    return page if found.cookie is None else page.with_cookies(found.cookie)


def _offering_page(site: Site, request: Request, session: Session, offer: _Offer) -> Reply:
    lineage = lineage_of(session)
    leave = site.tokens.sign(_SENDING, f"{offer.token}.{hash_token(lineage)}")
    sign = "&" if "?" in offer.page else "?"
    return site.pages.reply(
        request,
        "form_offered",
        # What the app answers to its form may lead anywhere, as it might have the first time.
        leads_anywhere=True,
        send_url=site.app_url(f"{offer.page}{sign}{PARAMETER}={leave}"),
        discard_url=site.page_url("form"),
        csrf_token=csrf_token(site, lineage),
        token=offer.token,
        may_have_to_be_repeated=not has_refresh_form(site.hooks),
        **_describe(site, offer),
    )


def _describe(site: Site, offer: _Offer) -> dict[str, Any]:
    """What a person may see of it: names. No value, and no query."""
    names = [name for name in offer.form.field_names if name and not is_csrf_name(name)]
    return {
        "page": site.settings.mount_path.rstrip("/") + unquote(urlsplit(offer.page).path),
        "fields": names[:_MOST_NAMES_SHOWN],
        "further_fields": len(names[_MOST_NAMES_SHOWN:]),
        "files": offer.form.file_names[:_MOST_NAMES_SHOWN],
        "minutes": max(1, -((site.now() - offer.expires_at) // timedelta(minutes=1))),
    }


def _gone(site: Site, request: Request, status: int, page: str = "/") -> Reply:
    """The same whether it was another person's, or sent, or too old, or never there."""
    return site.pages.reply(request, "form_gone", status, app_url=site.app_url(page))


async def discard_kept_form(site: Site, request: Request, call: Call) -> Reply:
    """POST form: it is gone, and was not sent."""
    found = await look_up(site, request, call, is_activity=False)
    if found is None or found.verdict == "ended":
        return see_other(site.page_url("login"))
    session = found.session
    form = await read_own_form(site, request, call, (lineage_of(session),))
    id = hash_token(form.get("id", ""))
    await call(site.store.take_kept_form, id, session.connection_id, session.principal_key, site.now())
    return site.pages.reply(request, "form_discarded", app_url=site.app_url("/"))


# Sending


async def replay_kept_form(
    site: Site, request: Request, call: Call, session: Session, decision: PassThrough
) -> PassThrough | Reply:
    """The decision, with a kept form in the place of what came, if this request asks for one.

    The host never sees that it was asked for; nor does a request that brings a body of its own, from the
    page that the host answered with, lose it.
    """
    if PARAMETER not in request.query:
        return decision
    leave, query = _cut(request.query)
    if leave is None:
        return decision
    decision = replace(decision, query=query)
    if request.method != "POST" or not _is_empty(request):
        return decision
    request = replace(request, query=query)
    sent = await _send(site, request, call, session, leave)
    return sent.with_cookies(*decision.cookies) if isinstance(sent, Reply) else replace(decision, replay=sent)


async def _send(site: Site, request: Request, call: Call, session: Session, leave: str) -> Replay | Reply:
    _check_button(site, request)
    page = this_page(request)
    try:
        token, lineage = _read_leave(site, leave)
    except InvalidToken:
        return _gone(site, request, 409, page)
    if lineage != hash_token(lineage_of(session)):
        return see_other(site.app_url(_path_of(site, token)))  # somebody has signed in anew since: ask again
    offer = await _find(site, call, session, token)
    is_intercepted = intercepted_at(site.settings, request.path, request.raw_path) is not None  # by now
    if offer is None or offer.page != page or is_intercepted:
        return _gone(site, request, 409, page)
    renewed = await ask_host(call, site.hooks.refresh_form, request, offer.form.fields)
    form: FormBody = await call(offer.form.with_fields, renewed) if renewed else offer.form
    # Last, so that a hook that fails costs nobody their form; of two clicks one goes on.
    taken = await call(
        site.store.take_kept_form, hash_token(token), session.connection_id, session.principal_key, site.now()
    )
    if taken is None:
        return _gone(site, request, 409, page)
    await report(site, request, call, "form_sent_again", connection_id=session.connection_id, email=session.email)
    headers = (("Content-Type", form.content_type), ("Origin", site.settings.origin), ("Referer", offer.referer))
    return Replay(form.body, headers)


def _check_button(site: Site, request: Request) -> None:
    """The token shows that our page was made for this person; this, that the click was made on it."""
    origin = request.headers.get("Origin", "null")
    is_same_origin = request.headers.get("Sec-Fetch-Site", "").lower() == "same-origin"
    if origin != site.settings.origin and not (origin == "null" and is_same_origin):
        raise CsrfMismatch("a kept form was to be sent by a page of another origin")


def _is_empty(request: Request) -> bool:
    return request.headers.get("Content-Length", "0") in ("", "0") and "Transfer-Encoding" not in request.headers


def _cut(query: str) -> tuple[str | None, str]:
    """The leave in a query, if there is just one, and the query without any."""
    pieces = query.split("&")
    ours = [piece for piece in pieces if piece.partition("=")[0] == PARAMETER]
    rest = "&".join(piece for piece in pieces if piece not in ours)
    return (ours[0].partition("=")[2] if ours else None), rest


def _read_leave(site: Site, leave: str) -> tuple[str, str]:
    """Which form, and the hash of the lineage of the session that it was offered to. Raises InvalidToken."""
    token, _, lineage = site.tokens.verify(_SENDING, leave).partition(".")
    return token, lineage


# What is kept


def _path_of(site: Site, token: str) -> str:
    return f"{site.settings.prefix}/form?id={quote(token)}"


async def _find(site: Site, call: Call, session: Session, token: str) -> _Offer | None:
    """It, if it is kept for this very person, and can be opened."""
    kept = await call(
        site.store.get_kept_form, hash_token(token), session.connection_id, session.principal_key, site.now()
    )
    return None if kept is None else await call(_open, site, kept, token)


def _seal(site: Site, offer: _Offer) -> bytes:
    head = {
        "token": hash_token(offer.token),  # so that it opens in no other's place
        "page": offer.page,
        "referer": offer.referer,
        "content_type": offer.form.content_type,
    }
    return site.sealer.seal(json.dumps(head).encode() + b"\n" + offer.form.body, _SEALED)


def _open(site: Site, kept: KeptForm, token: str) -> _Offer | None:
    try:
        text, _, body = site.sealer.open(kept.form, _SEALED).partition(b"\n")
        head = json.loads(text)
        form = read_form_body(head["content_type"], body)
    except (InvalidToken, SealedWithUnknownKey, UnsupportedForm) as error:
        log.warning("a kept form can't be opened: %s", error)
        return None
    if head["token"] != kept.id:
        log.warning("a kept form lies in another's place")
        return None
    return _Offer(token, head["page"], head["referer"], form, kept.expires_at)
