"""The dev IdP over HTTP: addresses, cookies and forms.

It answers to this machine only. It keeps no state: the request that a sign-in page is for travels in
the page, signed, and who is signed in travels in a cookie, signed.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from ..errors import BadRequest, CsrfMismatch, InvalidToken, Refused
from ..saml.bindings import FormPost
from ..saml.metadata import is_loopback
from ..tokens import Tokens, new_token
from .identity_provider import DevIdP
from .pages import page
from .people import Person
from .sign_in_request import MAX_RELAY_STATE, SignInRequest, read_sign_in_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SESSION_LIFETIME = timedelta(hours=8)
REQUEST_LIFETIME = timedelta(hours=1)
"""How long a sign-in page may stay open."""

_ROUTES = Map(
    [
        Rule("/", endpoint="home", methods=["GET"]),
        Rule("/metadata", endpoint="metadata", methods=["GET"]),
        Rule("/sso", endpoint="receive", methods=["GET", "POST"]),
        Rule("/idp-initiated", endpoint="begin", methods=["GET"]),
        Rule("/sign-in", endpoint="ask", methods=["GET"]),
        Rule("/sign-in", endpoint="sign_in", methods=["POST"]),
        Rule("/sign-out", endpoint="sign_out", methods=["POST"]),
    ]
)


class _LimitedRequest(Request):
    max_content_length = 256 * 1024
    max_form_memory_size = 256 * 1024


def make_app(idp: DevIdP) -> WSGIApplication:
    """The WSGI app of this identity provider, at the root of its host."""
    return _App(idp)


class _App:
    def __init__(self, idp: DevIdP) -> None:
        self._idp = idp
        self._tokens = Tokens([secrets.token_urlsafe(48)], name=idp.entity_id)
        # Cookies know no ports: the app itself, or another dev IdP, may be on this host too.
        self._session_cookie = f"dev_idp_{idp.port}_session"
        self._csrf_cookie = f"dev_idp_{idp.port}_csrf"

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Anybody may be anybody here. A Host of another name on a loopback connection is DNS rebinding.
        if not (_is_from_here(environ) and _is_addressed_here(environ)):
            return Response("The dev IdP answers to this machine only.\n", 403)(environ, start_response)
        return self._answer(_LimitedRequest(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        try:
            endpoint, _ = _ROUTES.bind_to_environ(request.environ).match()
            handler = {
                "home": self._home,
                "metadata": self._metadata,
                "receive": self._receive,
                "begin": self._begin,
                "ask": self._ask,
                "sign_in": self._sign_in,
                "sign_out": self._sign_out,
            }[endpoint]
            return handler(request)
        except Refused as refused:
            return page("refused", refused.status, sentence=refused.detail)
        except InvalidToken as invalid:
            sentence = "This page is out of date: begin again at the application."
            return page("refused", invalid.status, sentence=sentence)
        except HTTPException as error:
            return page("refused", error.code or 500, sentence=error.description or error.name)

    # Pages

    def _home(self, request: Request) -> Response:
        signed_in = self._signed_in(request)
        show = partial(
            page,
            "home",
            person=signed_in[0] if signed_in else None,
            links=[(name, f"/idp-initiated?{urlencode({'sp': name})}") for name in self._idp.service_providers],
            entity_id=self._idp.entity_id,
            sso_url=self._idp.sso_url,
            metadata_url=f"{self._idp.base_url}/metadata",
        )
        return self._with_csrf_token(request, show)

    def _metadata(self, request: Request) -> Response:
        headers = {"Content-Disposition": 'attachment; filename="dev-idp-metadata.xml"', "Cache-Control": "no-store"}
        return Response(self._idp.metadata(), headers=headers, content_type="application/samlmetadata+xml")

    # Signing in

    def _receive(self, request: Request) -> Response:
        """An AuthnRequest, on its way to the sign-in page.

        HTTP-POST comes from another site, so without our Lax cookie; the redirect brings it.
        """
        is_post = request.method == "POST"
        fields = (request.form if is_post else request.args).to_dict()
        return self._to_sign_in(read_sign_in_request(fields, deflated=not is_post))

    def _begin(self, request: Request) -> Response:
        """IdP-initiated: a link in the portal of a real identity provider."""
        relay_state = request.args.get("relay_state", "")
        if len(relay_state.encode()) > MAX_RELAY_STATE:
            raise BadRequest("the relay_state is too long")
        return self._to_sign_in(SignInRequest(request.args.get("sp", ""), relay_state=relay_state))

    def _to_sign_in(self, wanted: SignInRequest) -> Response:
        self._idp.check(wanted)
        location = f"/sign-in?{urlencode({'request': self._sign('request', wanted.to_json(), self._idp.now())})}"
        return Response("", 303, {"Location": location, "Cache-Control": "no-store"})

    def _ask(self, request: Request) -> Response:
        token = request.args.get("request", "")
        wanted = self._read_request(token)
        signed_in = self._signed_in(request)
        # Who develops changes persons all day: asked they are, unless a real one's silence is wanted.
        is_silent = wanted.is_passive or self._idp.remember
        if signed_in and is_silent and not wanted.force_authn:
            return _post(self._idp.log_in(wanted, *signed_in))
        if wanted.is_passive:
            return _post(self._idp.refuse_passive(wanted))
        current = signed_in[0] if signed_in else None
        show = partial(
            page,
            "sign_in",
            app=self._idp.app_of(wanted),
            people=sorted(self._idp.people.values(), key=lambda person: person != current),
            current=current,
            is_forced=wanted.force_authn,
            request_token=token,
        )
        return self._with_csrf_token(request, show)

    def _sign_in(self, request: Request) -> Response:
        self._check_csrf_token(request)
        wanted = self._read_request(request.form.get("request", ""))
        person = self._idp.people.get(request.form.get("person", ""))
        if person is None:
            raise BadRequest("there is no such person")
        signed_in = self._signed_in(request)
        if signed_in and signed_in[0] == person and not wanted.force_authn:
            return _post(self._idp.log_in(wanted, *signed_in))  # goes on, as old as it is
        now = self._idp.now()
        response = _post(self._idp.log_in(wanted, person, now))
        self._set_cookie(response, self._session_cookie, self._sign("session", person.id, now))
        return response

    def _sign_out(self, request: Request) -> Response:
        self._check_csrf_token(request)
        response = Response("", 303, {"Location": "/", "Cache-Control": "no-store"})
        response.delete_cookie(self._session_cookie, httponly=True, samesite="Lax")
        return response

    # What is signed

    def _signed_in(self, request: Request) -> tuple[Person, datetime] | None:
        """Who is signed in at this identity provider, and since when."""
        try:
            person_id, at = self._verify("session", request.cookies.get(self._session_cookie, ""), SESSION_LIFETIME)
        except InvalidToken:
            return None
        person = self._idp.people.get(person_id)
        return (person, at) if person else None

    def _read_request(self, token: str) -> SignInRequest:
        payload, _ = self._verify("request", token, REQUEST_LIFETIME)
        return SignInRequest.from_json(payload)

    def _sign(self, purpose: str, payload: str, now: datetime) -> str:
        return self._tokens.sign(purpose, f"{int(now.timestamp())} {payload}")

    def _verify(self, purpose: str, token: str, lifetime: timedelta) -> tuple[str, datetime]:
        seconds, _, payload = self._tokens.verify(purpose, token).partition(" ")
        signed_at = datetime.fromtimestamp(int(seconds), UTC)
        if self._idp.now() >= signed_at + lifetime:
            raise InvalidToken(f"a {purpose} token is too old")
        return payload, signed_at

    # Forms

    def _with_csrf_token(self, request: Request, show: partial[Response]) -> Response:
        """A page with forms. All tabs of a browser share one token, so that each page stays usable."""
        token = request.cookies.get(self._csrf_cookie) or new_token()
        response = show(csrf_token=token)
        self._set_cookie(response, self._csrf_cookie, token)
        return response

    def _check_csrf_token(self, request: Request) -> None:
        cookie = request.cookies.get(self._csrf_cookie, "")
        if not cookie or not hmac.compare_digest(cookie.encode(), request.form.get("csrf_token", "").encode()):
            raise CsrfMismatch("This form is out of date: go back, reload the page and try again.")

    def _set_cookie(self, response: Response, name: str, value: str) -> None:
        response.set_cookie(name, value, httponly=True, samesite="Lax")


def _post(message: FormPost) -> Response:
    return page("post", form_target=message.url, url=message.url, fields=message.fields)


def _is_from_here(environ: WSGIEnvironment) -> bool:
    return is_loopback(environ.get("REMOTE_ADDR", "127.0.0.1"))


def _is_addressed_here(environ: WSGIEnvironment) -> bool:
    try:
        return is_loopback(urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname or "")
    except ValueError:
        return False
