"""A form that meets an ended session is kept, and offered back to the same person after sign-in (DESIGN §7)."""

from __future__ import annotations

from ..calling import Call
from ..stores.records import Session
from ..web import PassThrough, Reply, Request
from .site import Site

PARAMETER = "sso-kept-form"
"""Of the query string, where a kept form is sent to the host's own path."""


async def keep_form(site: Site, request: Request, call: Call, session: Session) -> str | None:
    """Keep it for the person whose session has ended; the path that offers it back, or None if it can't be kept."""
    return None


async def offer_to_keep(site: Site, request: Request, call: Call, session: Session, reply: Reply) -> Reply:
    """In place of `reply`, which says that the form is lost."""
    return reply


async def replay_kept_form(
    site: Site, request: Request, call: Call, session: Session, decision: PassThrough
) -> PassThrough | Reply:
    """The decision, with a kept form in the place of what came, if this request asks for one."""
    return decision
