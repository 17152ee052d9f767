"""Single logout as its two sides play it: a world whose identity provider has an address for it, and what it sends.

What we send is read by lxml and its signature checked by pyca/cryptography or signxml: none of it is our own code.
"""

from __future__ import annotations

import base64
import itertools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lxml import etree
from tests.identity_provider import IdentityProvider, check_redirect_signature, make_signer
from tests.logout_messages import (
    LogoutShape,
    honest_request,
    honest_response,
    signed_form,
    signed_query,
)
from tests.other_verifiers import check_that_others_agree
from tests.response_shape import SAML, SAMLP, STATUS_PREFIX
from tests.world import Answer, Browser, World

from sso_middleware.stores.session_records import Session, SessionQuery

SLO = "https://idp.acme.example/slo"
NAMES = {"samlp": SAMLP, "saml": SAML}
REDIRECT_SERVICE = (
    f'<SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="{SLO}"/>'
)
_numbers = itertools.count(1)


def acme(slo_url: str | None = SLO) -> IdentityProvider:
    """The identity provider of every world, with an address for single logout."""
    return IdentityProvider(slo_url=slo_url)


def connection(idp: IdentityProvider | None = None, *, services: str | None = None, **changes: Any) -> dict[str, Any]:
    """What `settings.connections` holds for it. `services` is XML in place of its SingleLogoutService."""
    metadata = (idp or acme()).metadata
    if services is not None:
        assert REDIRECT_SERVICE in metadata
        metadata = metadata.replace(REDIRECT_SERVICE, services)
    return {"id": "acme", "organization": "Acme", "domains": ["acme.example"], "metadata": metadata, **changes}


def log_out(browser: Browser) -> Answer:
    """Press the button of our own page."""
    page = browser.get("/sso/logout")
    return browser.post("/sso/logout", {"csrf_token": page.field("csrf_token")})


def sessions_of(world: World) -> list[Session]:
    return list(world.store.find_sessions(SessionQuery()))


def session_indexes(world: World) -> set[str | None]:
    return {session.session_index for session in sessions_of(world)}


@dataclass(frozen=True)
class Sent:
    """A logout message of ours."""

    url: str
    root: etree._Element = field(repr=False)
    relay_state: str | None

    def get(self, name: str) -> str | None:
        return self.root.get(name)

    def texts(self, path: str) -> list[str | None]:
        return [element.text for element in self.root.findall(path, NAMES)]

    @property
    def id(self) -> str:
        return str(self.root.attrib["ID"])

    @property
    def kind(self) -> str:
        return etree.QName(self.root).localname

    @property
    def name_id(self) -> tuple[str | None, dict[str, str]]:
        (element,) = self.root.findall("saml:NameID", NAMES)
        return element.text, {str(name): str(value) for name, value in element.items()}

    @property
    def status(self) -> list[str]:
        codes = self.root.findall(".//samlp:StatusCode", NAMES)
        return [str(code.get("Value")).removeprefix(STATUS_PREFIX) for code in codes]


def sent_by_redirect(world: World, url: str) -> Sent:
    """As HTTP-Redirect carries it; the signature is checked over the text as it is."""
    check_redirect_signature(url, str(world.settings.signing_certificate))
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}
    message = query.get("SAMLRequest") or query["SAMLResponse"]
    root = etree.fromstring(zlib.decompress(base64.b64decode(message), -15))
    return Sent(url.partition("?")[0], root, query.get("RelayState"))


def sent_by_post(world: World, page: Answer, parameter: str) -> Sent:
    """As a page of ours posts it on."""
    xml = base64.b64decode(page.field(parameter))
    assert check_that_others_agree(xml, [make_signer("our own key").certificate]) == 1
    relay_state = page.field("RelayState") if 'name="RelayState"' in page.text else None
    return Sent(
        page.text.partition('<form method="post" action="')[2].partition('"')[0], etree.fromstring(xml), relay_state
    )


def slo_url(world: World) -> str:
    own = "" if world.settings.shared_acs else "/acme"
    return f"{world.base_url}/sso{own}/slo"


def request_for(world: World, email: str = "ada@acme.example", **changes: Any) -> LogoutShape:
    """A LogoutRequest for all sessions of this person, under an id of its own."""
    shape = honest_request(issuer=world.idp.entity_id, slo_url=slo_url(world), now=world.now)
    changes = {"id": f"_logout-{next(_numbers)}", "name_id": email, "session_indexes": (), **changes}
    return replace(shape, **changes)


def answer_to(world: World, sent: Sent, **changes: Any) -> LogoutShape:
    shape = honest_response(issuer=world.idp.entity_id, slo_url=slo_url(world), now=world.now, in_response_to=sent.id)
    return replace(shape, **{"id": f"_answer-{next(_numbers)}", **changes})


Deliver = Callable[..., Answer]


def by_redirect(world: World, shape: LogoutShape, browser: Browser | None = None, **how: Any) -> Answer:
    """The identity provider redirects the browser to us: a navigation, which brings our Lax cookies."""
    headers = how.pop("headers", {})
    idp = how.pop("idp", world.idp)
    url = f"{how.pop('to', slo_url(world))}?{signed_query(shape, idp.signer, **how)}"
    return (browser or world.browser()).get(url, Sec_Fetch_Site="cross-site", **headers)


def by_post(world: World, shape: LogoutShape, browser: Browser | None = None, **how: Any) -> Answer:
    """A page of the identity provider's posts a form: none of our cookies comes."""
    headers = how.pop("headers", {})
    idp = how.pop("idp", world.idp)
    form = signed_form(shape, idp.signer, how.pop("relay_state", None))
    return (browser or world.browser()).post(how.pop("to", slo_url(world)), form, cross_site=True, **headers)


def in_frame(world: World, shape: LogoutShape, **how: Any) -> Answer:
    """The identity provider loads us in a frame of a page of its own: no cookie comes either."""
    return by_redirect(world, shape, headers={"Sec_Fetch_Dest": "iframe"}, **how)


BINDINGS: dict[str, Deliver] = {"redirect": by_redirect, "post": by_post}
