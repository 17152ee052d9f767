"""The first-login page, `complete-profile`: what the identity provider did not say is asked once, before anything else.

A sign-in that stops here has no session yet, and nothing of the host's was called. The verified assertion waits,
sealed, for the same browser; with the answers the sign-in goes on exactly where it stopped. What is asked, and
what may be answered, is `profile_answers`'.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from ..calling import Call
from ..connection import Connection
from ..countries import country_names
from ..errors import ConnectionDisabled, PendingProfileUnknown
from ..languages import OurText
from ..profile_answers import Question, may_answer, questions_for, team_groups
from ..saml.assertion import Assertion, dump_assertion, load_assertion
from ..stores.profile_records import PendingProfile
from ..web import Reply, Request, read_form, see_other
from .arriving import Arrival, arrive
from .browsers import bindings_of, recognise
from .entering import enter
from .explaining import explained_by
from .forms import FORM_LIMIT, csrf_token, read_own_form, refuse_frames, refuse_other_sites
from .outcome import Handle, handle_of, new_handle
from .paths import read_return_to
from .provisioning import read_identity
from .reporting import about, report
from .sessions import find_session
from .site import Site

PAGE = "complete-profile"
KIND = "profile"
ANSWER_WITHIN = timedelta(minutes=30)
_SEALED = "pending-profile"
_PROBLEMS: Mapping[Question, OurText] = {
    "country": OurText("Please choose your country."),
    "team": OurText("Please choose your department or team from the list."),
}


@dataclass(frozen=True, slots=True)
class _Stopped:
    """A sign-in that waits for answers."""

    handle: Handle
    connection: Connection
    assertion: Assertion = field(repr=False)
    return_to: str = field(repr=False)
    questions: tuple[Question, ...]


async def ask_for_missing(
    site: Site, request: Request, call: Call, arrival: Arrival, assertion: Assertion, return_to: str
) -> Reply | None:
    """Stop the sign-in, and send the person to the page; None if there is nothing to ask."""
    connection, person = arrival.connection, arrival.person
    questions = questions_for(arrival.asserted, person.answers, connection.profile)
    if not questions:
        return None
    ends = [site.now() + ANSWER_WITHIN, *([assertion.session_ends_at] if assertion.session_ends_at else [])]
    handle, browser = new_handle(KIND), recognise(site, request)
    pending = PendingProfile(
        handle=handle.hash,
        connection_id=connection.id,
        person_id=person.id,
        browser=browser.binding,
        arrival=_seal(site, assertion, return_to, questions),
        expires_at=min(ends),
    )
    await call(site.store.add_pending_profile, pending)
    await _report(site, request, call, "profile_asked", connection, person.email, questions)
    cookie = handle.cookie(site, seconds=int(ANSWER_WITHIN.total_seconds()))
    return see_other(site.page_url(PAGE, attempt=handle.attempt), cookie, *browser.cookies)


async def show_profile(site: Site, request: Request, call: Call) -> Reply:
    """GET complete-profile."""
    refuse_frames(request)
    stopped = await _find(site, request, call)
    if stopped is None:
        raise PendingProfileUnknown("complete-profile was asked for without a sign-in that waits for this browser")
    return _page(site, request, stopped)


async def take_profile(site: Site, request: Request, call: Call) -> Reply:
    """POST complete-profile: keep the answers and go on, or ask again, or leave it."""
    refuse_frames(request)
    stopped = await _find(site, request, call)
    if stopped is None:
        return await _go_on_if_signed_in(site, request, call)
    connection, handle = stopped.connection, stopped.handle
    with about(connection.id, return_to=stopped.return_to, known_person=True):
        form = await read_own_form(site, request, call, (handle.token,))
        if "cancel" in form:
            return await _cancel(site, request, call, stopped)
        chosen = {str(name): form.get(name, "") for name in stopped.questions}
        problems = {
            name: _PROBLEMS[name]
            for name in stopped.questions
            if not may_answer(name, chosen[name], connection.profile)
        }
        if problems:
            return _page(site, request, stopped, chosen, problems)
        if not await _take(site, request, call, handle, chosen):
            return await _go_on_if_signed_in(site, request, call, stopped.return_to)
        with explained_by(site, stopped.assertion):
            arrival = await arrive(site, request, call, connection, stopped.assertion)
        email = arrival.person.email
        await _report(site, request, call, "profile_answered", connection, email, stopped.questions)
        reply = await enter(site, request, call, arrival, stopped.assertion, stopped.return_to)
        return reply.with_cookies(handle.no_cookie(site))


async def _cancel(site: Site, request: Request, call: Call, stopped: _Stopped) -> Reply:
    """Nobody was signed in, so nobody is signed out: whoever was signed in before still is, and goes on."""
    await _take(site, request, call, stopped.handle, {})
    email = read_identity(stopped.assertion, stopped.connection).email
    await _report(site, request, call, "profile_cancelled", stopped.connection, email, stopped.questions)
    is_signed_in = await find_session(site, request, call) is not None
    return see_other(site.app_url("/") if is_signed_in else site.page_url("signed-out"), stopped.handle.no_cookie(site))


async def _go_on_if_signed_in(site: Site, request: Request, call: Call, return_to: str | None = None) -> Reply:
    """The second click on a button, mostly: the first one's answer was lost to it, and it may have signed in."""
    if await find_session(site, request, call) is None:
        raise PendingProfileUnknown("answers came without a sign-in that waits for them in this browser")
    refuse_other_sites(site, request)
    if return_to is None:
        return_to = read_return_to(read_form(request, await call(request.read_body, FORM_LIMIT)).get("return_to"))
    return see_other(site.app_url(return_to))


async def _take(site: Site, request: Request, call: Call, handle: Handle, answers: Mapping[str, str]) -> bool:
    bindings = bindings_of(site, request)
    return await call(site.store.take_pending_profile, handle.hash, bindings, site.now(), answers) is not None


async def _find(site: Site, request: Request, call: Call) -> _Stopped | None:
    """The sign-in that the URL's attempt and this browser's cookies name."""
    handle = handle_of(site, request, KIND)
    if handle is None:
        return None
    pending = await call(site.store.get_pending_profile, handle.hash, bindings_of(site, request), site.now())
    if pending is None:
        return None
    with about(pending.connection_id):
        connection = site.connections.get(pending.connection_id)
        if connection is None or not connection.enabled:
            raise ConnectionDisabled(f"connection {pending.connection_id!r} is disabled or gone")
    return _open(site, handle, connection, pending)


def _page(
    site: Site,
    request: Request,
    stopped: _Stopped,
    chosen: Mapping[str, str] | None = None,
    problems: Mapping[Question, OurText] | None = None,
) -> Reply:
    """At first with what the identity provider said, then with what was chosen."""
    policy = stopped.connection.profile
    with about(stopped.connection.id, return_to=stopped.return_to), explained_by(site, stopped.assertion):
        identity = read_identity(stopped.assertion, stopped.connection)
    chosen = chosen if chosen is not None else {"country": identity.country or "", "team": identity.team or ""}
    texts = problems or {}
    return site.pages.reply(
        request,
        "complete_profile",
        status=400 if problems else 200,
        action=site.page_url(PAGE, attempt=stopped.handle.attempt),
        csrf_token=csrf_token(site, stopped.handle.token),
        return_to=stopped.return_to,
        email=identity.email,
        countries=country_names(site.pages.language_of(request)) if "country" in stopped.questions else (),
        country=chosen.get("country"),
        teams=[(group.name, group.teams) for group in team_groups(policy)] if "team" in stopped.questions else (),
        team=chosen.get("team"),
        problems=texts,
    )


async def _report(
    site: Site,
    request: Request,
    call: Call,
    code: str,
    connection: Connection,
    email: str,
    questions: tuple[Question, ...],
) -> None:
    detail = {"questions": ", ".join(questions)}
    await report(site, request, call, code, connection_id=connection.id, email=email, detail=detail)


# What waits


def _seal(site: Site, assertion: Assertion, return_to: str, questions: tuple[Question, ...]) -> bytes:
    record = {
        "assertion": base64.b64encode(dump_assertion(assertion)).decode(),
        "return_to": return_to,
        "questions": questions,
    }
    return site.sealer.seal(json.dumps(record).encode(), _SEALED)


def _open(site: Site, handle: Handle, connection: Connection, pending: PendingProfile) -> _Stopped:
    record = json.loads(site.sealer.open(pending.arrival, _SEALED))
    has_teams = bool(connection.profile.departments.selectable)  # or no answer would be right
    questions = tuple(name for name in record["questions"] if name != "team" or has_teams)
    assertion = load_assertion(base64.b64decode(record["assertion"]))
    return _Stopped(handle, connection, assertion, record["return_to"], questions)
