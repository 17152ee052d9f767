"""`SSO.decide()`: route a request to the flow that answers it. Both shells ask nothing else.

Which path is whose is decided here; what happens on it is the flows'.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

from werkzeug.datastructures import Headers

from .calling import Call, Clock, Pause, call_blocking, pause, run, system_clock
from .configuring import OPERATOR, Actor, Desk
from .configuring_all import Configuring
from .connections import Connections, our_side, read_connections, slo_url
from .directory import Directory
from .errors import ConfigurationError, MethodNotAllowed, NotSetUp, PageNotFound, StoreUnavailable, UnknownConnection
from .flows import (
    connection_test,
    exclusion_link,
    finishing,
    gate,
    kept_forms,
    login,
    logout,
    profile,
    receiving,
    recovery,
    refusing,
    renewing,
    session_script,
    sessions,
    single_logout,
    welcome,
)
from .flows.chores import check_chores, chores_of, urgent_chores_of
from .flows.dated_exceptions import describe_exceptions
from .flows.enforcement_notices import describe_enforcement, describe_exclusions
from .flows.identity_headers import IdentityHeaders
from .flows.own_keys import OwnKeys
from .flows.paths import is_ambiguous
from .flows.recalling import Recall
from .flows.reporting import about
from .flows.sign_in_button import SafeHtml, sign_in_button
from .flows.site import Site
from .flows.supplied_keys import read_supplied_keys
from .hooks import Hooks, has_host_user, has_provision
from .housekeeping import Housekeeping
from .languages import Languages
from .live_sessions import LiveSessions
from .pages import Pages
from .people_admin import People
from .role_admin import ManagedRoles
from .saml.metadata import build_sp_metadata
from .saml.self_test import check_installation
from .setting_rules import is_below
from .settings import Settings
from .stores.migrate import prepare_database
from .stores.records import Store
from .stores.sealing import Sealer
from .stores.sessions import SessionCache
from .stores.sql import SqlStore
from .tokens import Tokens
from .web import Decision, PassThrough, Reply, Request, is_within

log = logging.getLogger("sso_middleware")

LIVENESS_CHECKED_EVERY = timedelta(seconds=1)
"""How often an open websocket or event stream asks for its session, at the least."""

Flow = Callable[[Site, Request, Call], Coroutine[Any, Any, Reply]]
PAGES: dict[str, dict[str, Flow]] = {
    "login": {"GET": login.show_login, "POST": login.find_connection},
    "finish": {"GET": finishing.finish_login, "POST": finishing.accept_unsolicited},
    profile.PAGE: {"GET": profile.show_profile, "POST": profile.take_profile},
    "renew": {"GET": renewing.show_renew},
    "renewed": {"GET": session_script.show_renewed},
    "form": {"GET": kept_forms.show_kept_form, "POST": kept_forms.discard_kept_form},
    "logout": {"GET": logout.show_logout, "POST": logout.log_out},
    "signed-out": {"GET": logout.show_signed_out},
    "without-sso": {"GET": exclusion_link.show_link, "POST": exclusion_link.take_link},
    "session": {"GET": logout.show_session},
    "session.js": {"GET": session_script.show_script},
    "refused": {"GET": refusing.show_refused},
    "test": {"GET": connection_test.begin_test},
    "recovery-access": {"GET": recovery.show_recovery_access, "POST": recovery.receive_recovery_form},
    welcome.PAGE: {"GET": welcome.show_welcome},
}
"""Our pages below the prefix, by method; each connection also has `ID/acs`, `ID/slo`, `ID/metadata`, `acs_paths`."""

_NO_CONNECTION = {
    "everyone": "there is no connection: protected paths answer 503",
    "domains": "there is no connection: nobody can sign in by SSO",
}


class SSO:
    """One app's single sign-on. Raises ConfigurationError with everything that is wrong, at start."""

    def __init__(
        self,
        settings: Settings,
        hooks: Hooks,
        *,
        store: Store | None = None,
        now: Clock = system_clock,
        pause: Pause = pause,
    ) -> None:
        check_installation()
        connections = read_connections(settings, now())
        _check_hooks(settings, connections, hooks)
        if store is None:
            prepare_database(settings.database_url)
            store = SqlStore(settings.database_url)
        secret_keys = [key.get_secret_value() for key in settings.secret_keys]
        sealer = Sealer(secret_keys)
        own_keys = OwnKeys(store, sealer, common_name=settings.host, supplied=read_supplied_keys(settings))
        own_keys.check()
        has_connection = len(connections) > 0 or _is_any_kept(store)
        store.close()  # a server that forks its workers now must not share a connection among them
        self.settings = settings
        self._further_acs = {
            path: declared.id
            for declared in settings.connections
            for path in declared.acs_paths
            if not is_below(path, settings.prefix)
        }
        self.identity_headers = IdentityHeaders(settings.strip_headers)
        remembered = SessionCache(store, now, delay=settings.revocation_delay, most=settings.remembered_sessions)
        self.site = Site(
            settings=settings,
            connections=connections,
            directory=Directory(settings, connections, store, remembered, now),
            store=store,
            sessions=remembered,
            sealer=sealer,
            own_keys=own_keys,
            tokens=Tokens(secret_keys, name=settings.name),
            hooks=hooks,
            pages=Pages(Languages(settings.language, settings.languages, settings.locale_dir)),
            now=now,
            wake_housekeeping=self._wake_housekeeping,
            pause=pause,
        )
        self.recall = Recall(self.site, self._may_be_ours)
        """What `decide` would say of an HTTP request, from memory and at once; None: ask it."""
        self.sessions = LiveSessions(self.site)
        operator = self.acting_as(OPERATOR)
        self.connections, self.domains, self.admins = operator.connections, operator.domains, operator.admins
        self.people = People(self.site)
        self.roles = ManagedRoles(self.site)
        # What is remembered may be half of the delay old when it is asked, so the other half is left to ask in.
        self.liveness_checked_every = min(
            LIVENESS_CHECKED_EVERY, settings.revocation_delay / 2 or LIVENESS_CHECKED_EVERY
        )
        self.chores = chores_of(self.site)
        urgent = urgent_chores_of(self.site)
        self._housekeeping = (
            Housekeeping(store, now, chores=self.chores, urgent=urgent) if settings.background else None
        )
        if settings.background:
            check_chores(settings)
        for words in (
            *describe_exceptions(settings, now()),
            *describe_enforcement(settings, connections),
            *describe_exclusions(settings),
        ):
            log.warning("%s", words)
        if not has_connection:
            log.warning("%s until there is one: `sso-middleware connections create`", _NO_CONNECTION[settings.mode])

    def acting_as(self, actor: Actor) -> Configuring:
        """The same `connections`, `domains` and `admins` as `sso` has, for an admin of one organization alone."""
        return Configuring(Desk(self.site, actor))

    async def decide(self, request: Request, call: Call) -> Decision:
        """Let the host answer (`PassThrough`), or answer ourselves (`Reply`). Never raises."""
        if self._housekeeping is not None:
            self._housekeeping.ensure_running()
        try:
            if self._is_ours(request):
                with suppress(StoreUnavailable):  # a page that needs the store will meet it itself
                    await self.site.directory.follow(call)
                return await self._our_page(request, call)
            decision = await gate.guard(self.site, request, call)
            if isinstance(decision, PassThrough) and not request.is_websocket:
                self.recall.learn(request, decision)
            return decision
        except Exception as error:  # nothing may open a door: what is not understood is refused
            return await refusing.refuse(self.site, request, call, refusing.wrap(error))

    async def is_still_live(self, decision: PassThrough, call: Call) -> bool:
        """Whether the session behind a long answer (a websocket, an event stream) goes on."""
        if decision.session_key is None:
            return True
        return await sessions.is_still_live(self.site, decision.session_key, call)

    def sign_in_button(
        self,
        return_to: str = "/",
        *,
        label: str = "Continue with SSO",
        connection: str | None = None,  # straight to this one's identity provider, without a question
    ) -> SafeHtml:
        """HTML for a page of the host's, escaped: a link with the class `sso-button`, without style or script.

        `return_to` is the path, below the mount, that the person comes back to.
        """
        return sign_in_button(self.site, return_to=return_to, label=label, connection=connection)

    def host_of(self, headers: Headers, peer: str | None) -> str:
        """The name that the browser used, as far as we can tell: behind a trusted proxy X-Forwarded-Host.

        For comparing with `base_url` only; none of our URLs is ever made of it.
        """
        forwarded = headers.get("X-Forwarded-Host", "") if is_within(peer, self.settings.trusted_proxies) else ""
        return (forwarded.rpartition(",")[2].strip() or headers.get("Host", "")).lower()

    def dress(self, decision: PassThrough, headers: Headers) -> None:
        """Change the headers of the host's response as its decision says."""
        gate.dress(decision, headers)

    def answer_challenge(self, request: Request, decision: PassThrough, status: int, headers: Headers) -> Reply | None:
        """Our answer in place of the host's, where its own 401 asked for a sign-in."""
        return gate.answer_challenge(self.site, request, decision, status, headers)

    def _wake_housekeeping(self) -> None:
        if self._housekeeping is not None:
            self._housekeeping.wake()

    def _is_ours(self, request: Request) -> bool:
        if request.is_websocket or is_ambiguous(request.path, request.raw_path):
            return False
        return is_below(request.path, self.settings.prefix) or self._owner_of_further_acs(request) is not None

    def _may_be_ours(self, path: str, raw_path: str | None) -> bool:
        """Whether it depends on more than the path who answers."""
        return path in self._further_acs or (not is_ambiguous(path, raw_path) and is_below(path, self.settings.prefix))

    def _owner_of_further_acs(self, request: Request) -> str | None:
        """Whose `acs_paths` this is one of. Only a POST is ours there: whatever else the path shows is the host's."""
        return self._further_acs.get(request.path) if request.method == "POST" else None

    def _page_of(self, request: Request) -> tuple[str | None, str]:
        """Connection id (if the path names one) and page."""
        if not is_below(request.path, self.settings.prefix):
            return None, ""
        first, _, second = request.path[len(self.settings.prefix) + 1 :].partition("/")
        return (first, second) if second else (None, first)

    async def _our_page(self, request: Request, call: Call) -> Reply:
        method = "GET" if request.method == "HEAD" else request.method
        connection_id, page = self._page_of(request)
        is_shared = self.settings.shared_acs and connection_id is None
        is_own = not self.settings.shared_acs and connection_id is not None
        owner = self._owner_of_further_acs(request)
        if owner is not None or (page == "acs" and (is_shared or is_own)):
            _check_method(method, "POST")
            connection_id = owner or connection_id
            known = connection_id if self.site.connections.get(connection_id or "") else None
            with about(known):
                return await receiving.receive_response(self.site, request, call, connection_id)
        if page == "slo" and (is_shared or is_own):
            _check_method(request.method, "GET", "POST")  # no HEAD: what asks for that is no person's browser
            with about(connection_id if self.site.connections.get(connection_id or "") else None):
                return await single_logout.receive_logout(self.site, request, call, connection_id)
        if page == "metadata" and (is_shared or connection_id is not None):
            _check_method(method, "GET")
            return await self._metadata(connection_id, call)
        flows = PAGES.get(page) if connection_id is None else None
        if flows is None:
            raise PageNotFound("no page of ours has this path")
        _check_method(method, *flows)
        return await flows[method](self.site, request, call)

    async def _metadata(self, connection_id: str | None, call: Call) -> Reply:
        """Our own metadata, for this connection or for all of them."""
        if connection_id is not None and self.site.connections.get(connection_id) is None:
            raise UnknownConnection("no connection has this id")
        if len(self.site.connections) == 0:
            raise NotSetUp("no connection is configured")
        await self.site.directory.look(call)  # whether their side has single logout
        xml = await call(self.build_metadata, connection_id)
        name = f"{connection_id or self.settings.name}-sp-metadata.xml"
        headers = (
            ("Content-Type", "application/samlmetadata+xml"),
            ("Content-Disposition", f'attachment; filename="{name}"'),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        )
        return Reply(200, headers, xml)

    def build_metadata(self, connection_id: str | None) -> bytes:
        """SP metadata: the encryption key only where a connection's `encryption` is on, so single logout."""
        now = self.site.now()
        connection = self.site.connections.get(connection_id or "")
        asked = self.site.connections if connection is None else [connection]
        encrypts = any(connection.encryption != "off" for connection in asked)
        has_slo = any(connection.has_single_logout for connection in asked)
        keys = self.site.own_keys
        return build_sp_metadata(
            our_side(self.settings) if connection is None else connection.service_provider,
            signing=keys.published("signing", now),
            encryption=keys.published("encryption", now) if encrypts else [],
            slo_url=slo_url(self.settings, connection_id) if has_slo else None,
        )


def _check_method(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise MethodNotAllowed(*(("GET", "HEAD") if allowed == ("GET",) else allowed))


def _is_any_kept(store: Store) -> bool:
    """Whether there is a connection of run time, which the settings don't name."""
    return bool(run(call_blocking(store.get_configuration)).connections)


def _check_hooks(settings: Settings, connections: Connections, hooks: Hooks) -> None:
    """Without a hook a rule about the host's own people would silently never apply, or nobody could come in."""
    closed = [connection.id for connection in connections if not connection.just_in_time]
    if closed and not has_provision(hooks):
        raise ConfigurationError(
            f"just_in_time = false of connection {closed[0]!r} needs the hook provision: it alone can say who was"
            " invited; pass hooks=… with a method provision(identity)"
        )
    if has_host_user(hooks):
        return
    if settings.mode == "domains":  # also where there is no connection yet: one can be made at run time
        raise ConfigurationError(
            'mode = "domains" needs the hook host_user: pass hooks=… with a method host_user(request), or use an'
            " integration, so that we can tell who is signed in at your app"
        )
    if connections.excluded_users:
        raise ConfigurationError(
            "excluded_users needs the hook host_user: without it nobody on the list could be recognised; pass"
            " hooks=… with a method host_user(request), or use an integration"
        )
