"""What the admin finds under the reference of a refused sign-in: what came, what was expected, who must act.

Never for the page: what the person sees says no more than it ever did. It costs another look at the
message, so it is made only for a refusal that is told in full (limits.py), and it can never raise: a
fault in explaining leaves the refusal as it is. What it says is `saml.explaining`'s.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ..connections import Connection
from ..errors import LoginRefused, LogoutRefused, MessageRefused, SSOError
from ..faults import stack_of
from ..saml.assertion import Assertion
from ..saml.explaining.explanation import Explanation, explain
from ..saml.explaining.glimpse import Glimpse, glimpse_at, glimpse_of
from ..saml.explaining.readings import Circumstances
from ..saml.explaining.stored import dump_explanation
from ..saml.parties import Expected
from ..stores.records import LoginRequest
from .outcome import Failed
from .site import Site

log = logging.getLogger("sso_middleware")


def explanation_of(site: Site, error: SSOError) -> str:
    """JSON, or nothing where there is nothing to say."""
    if not isinstance(error, MessageRefused | LoginRefused | LogoutRefused):
        return ""
    try:
        return _dump(None, Circumstances(site.now()), error) if error.explain is None else error.explain(error)
    except Exception as fault:  # it reads what anybody may have sent; the refusal stands, whatever comes of it
        log.error("explaining %s: %s\n%s", error.code, type(fault).__name__, stack_of(fault))
        return ""


def expected_of(login_request: LoginRequest | None) -> Expected | None:
    if login_request is None:
        return None
    return Expected(login_request.id, login_request.issued_at, force_authn=login_request.purpose == "fresh")


@dataclass(slots=True)
class Received:
    """What the ACS was sent, and what it has found out about it so far."""

    value: str = field(repr=False)
    acs_url: str
    connection: Connection | None = None
    login_request: LoginRequest | None = None
    is_request_known: bool = False
    """Whether the login request was looked for."""

    @contextmanager
    def explained(self, site: Site) -> Iterator[None]:
        """An error that passes can say what was wrong with this message."""
        try:
            yield
        except SSOError as error:
            error.explain = lambda refusal: self._explain(site, refusal)
            raise

    def _explain(self, site: Site, error: SSOError) -> str:
        return dump_explanation(self.explanation(site, error))

    def explanation(self, site: Site, error: SSOError | None) -> Explanation:
        """Every check; `error` is what it was refused with."""
        connection = self.connection
        us = None if connection is None else replace(connection.service_provider, acs_url=self.acs_url)
        circumstances = Circumstances(
            site.now(),
            trust=None if connection is None else connection.trusted,
            service_provider=us,
            expected=expected_of(self.login_request),
            is_request_known=self.is_request_known,
        )
        return explain(glimpse_at(self.value), circumstances, error=error, is_live=True)


@contextmanager
def sign_out_explained(site: Site) -> Iterator[None]:
    """The same for a logout message: only the check that refused it is told, for the others are a Response's."""
    try:
        yield
    except SSOError as error:
        error.met_sign_out = True
        error.explain = lambda refusal: _explain_sign_out(site, refusal)
        raise


def _explain_sign_out(site: Site, error: SSOError) -> str:
    whole = explain(None, Circumstances(site.now()), error=error, is_live=True)
    return dump_explanation(replace(whole, findings=tuple(f for f in whole.findings if f.state == "refused")))


@contextmanager
def explained_by(site: Site, outcome: Assertion | Failed) -> Iterator[None]:
    """The same for what was accepted at the ACS, and is refused for what it says."""
    try:
        yield
    except SSOError as error:
        error.explain = lambda refusal: _dump(_glimpse_of(outcome), Circumstances(site.now()), refusal)
        raise


def _glimpse_of(outcome: Assertion | Failed) -> Glimpse:
    if isinstance(outcome, Failed):
        return Glimpse("Response", status=tuple(outcome.status.split(" / ")), status_message=outcome.message or None)
    return glimpse_of(outcome)


def _dump(glimpse: Glimpse | None, circumstances: Circumstances, error: SSOError) -> str:
    return dump_explanation(explain(glimpse, circumstances, error=error, is_live=True))
