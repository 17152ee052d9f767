"""The dev IdP itself: for whom it speaks, to whom, and what it answers.

Nothing of HTTP is here but the addresses. It sends a Response to a registered assertion consumer
service, compared to the letter, and nowhere else, whatever an AuthnRequest asks for.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from urllib.parse import urlsplit

from ..calling import Clock, system_clock
from ..errors import BadRequest, ConfigurationError
from ..saml.assertion import (
    NAME_ID_EMAIL,
    NAME_ID_PERSISTENT,
    NAME_ID_TRANSIENT,
    NAME_ID_UNSPECIFIED,
    NameID,
)
from ..saml.bindings import FormPost
from ..saml.keys import generate_key_pair
from ..saml.metadata import is_loopback
from ..saml.parties import DEV_IDP_PREFIX
from .messages import INVALID_NAME_ID_POLICY, NO_PASSIVE, Manner, Responses, build_idp_metadata
from .people import PEOPLE, Person
from .sign_in_request import SignInRequest

ServiceProviders = Mapping[str, str] | Callable[[], Mapping[str, str]]
"""The assertion consumer service of each entity id; or a function, asked at every request."""

_USUAL = Manner()
_NO_CERTIFICATES: Mapping[str, str] = MappingProxyType({})


class DevIdP:
    """An identity provider for this machine only, with a new key each time one is made."""

    def __init__(
        self,
        service_providers: ServiceProviders,
        *,
        base_url: str,  # "http://localhost:8001": only for loopback, because anybody can sign in as anybody
        manner: Manner = _USUAL,
        encryption_certificate: Callable[[str], str | None] = _NO_CERTIFICATES.get,  # PEM, by SP entity id
        name_id_format: str = NAME_ID_PERSISTENT,  # where a request asks for none
        remember: bool = False,  # True: who is signed in is not asked again, as at a real one
        people: Sequence[Person] = PEOPLE,
        clock: Clock = system_clock,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme != "http" or not is_loopback(parts.hostname or "") or parts.path or parts.query:
            raise ConfigurationError(
                f"the dev IdP is for http://localhost:PORT or http://127.0.0.1:PORT, not {base_url}"
            )
        self.base_url = base_url
        self.port = parts.port or 80
        self.entity_id = f"{DEV_IDP_PREFIX}{parts.netloc}"
        self.sso_url = f"{base_url}/sso"
        self.remember = remember
        self.people = {person.id: person for person in people}
        self.now = clock
        self._service_providers = service_providers
        self._encryption_certificate = encryption_certificate
        self._name_id_format = name_id_format
        key = generate_key_pair(f"dev IdP {parts.netloc}", clock())
        self._certificate = key.certificate
        self._responses = Responses(self.entity_id, key, manner)

    @property
    def service_providers(self) -> Mapping[str, str]:
        known = self._service_providers
        return known() if callable(known) else known

    def metadata(self) -> str:
        """The XML that a connection needs."""
        return build_idp_metadata(self.entity_id, self.sso_url, self._certificate)

    def check(self, request: SignInRequest) -> None:
        """Raises BadRequest, in words, for a service provider or an address that isn't registered."""
        registered = self.service_providers.get(request.service_provider)
        if registered is None:
            known = ", ".join(self.service_providers) or "none"
            raise BadRequest(
                f"the service provider {request.service_provider!r} is not registered here; known: {known}"
            )
        # SAML profiles 4.1.4.1: the IdP must make sure that the address belongs to who asks.
        if request.acs_url not in (None, registered):
            raise BadRequest(f"the AuthnRequest wants its answer at {request.acs_url!r}; registered is {registered}")
        if request.destination not in (None, self.sso_url):
            raise BadRequest(f"the AuthnRequest's Destination is {request.destination!r}, not {self.sso_url}")

    def app_of(self, request: SignInRequest) -> str:
        """The host of the application that this is for, which a person knows better than its entity id."""
        return urlsplit(self._acs_url(request)).netloc

    def log_in(self, request: SignInRequest, person: Person, authenticated_at: datetime) -> FormPost:
        """Tell the service provider that this is `person`, who signed in here at that time."""
        name_id = _name_id(request, person, default_format=self._name_id_format)
        if name_id is None:
            return self._refuse(request, INVALID_NAME_ID_POLICY, "no such NameID format here")
        acs_url = self._acs_url(request)
        message = self._responses.success(
            service_provider=request.service_provider,
            acs_url=acs_url,
            in_response_to=request.request_id,
            name_id=name_id,
            attributes=person.attributes,
            authenticated_at=authenticated_at,
            encryption_certificate=self._encryption_certificate(request.service_provider),
        )
        return _post(acs_url, message, request.relay_state)

    def refuse_passive(self, request: SignInRequest) -> FormPost:
        """Tell the service provider that nobody can be signed in without being asked (SAML core 3.4.1)."""
        return self._refuse(request, NO_PASSIVE, "nobody is signed in, or they would have to be asked")

    def _refuse(self, request: SignInRequest, status: str, message: str) -> FormPost:
        acs_url = self._acs_url(request)
        response = self._responses.failure(
            acs_url=acs_url, in_response_to=request.request_id, status=status, message=message
        )
        return _post(acs_url, response, request.relay_state)

    def _acs_url(self, request: SignInRequest) -> str:
        self.check(request)
        return self.service_providers[request.service_provider]


def _post(acs_url: str, message: str, relay_state: str) -> FormPost:
    fields = [("SAMLResponse", b64encode(message.encode()).decode("ascii"))]
    if relay_state:
        fields.append(("RelayState", relay_state))
    return FormPost(acs_url, tuple(fields))


def _name_id(request: SignInRequest, person: Person, *, default_format: str) -> NameID | None:
    # SAML core 3.4.1.1: no Format, and "unspecified", leave the choice to us.
    asked = request.name_id_format
    name_id_format = default_format if asked in (None, NAME_ID_UNSPECIFIED) else asked
    if name_id_format == NAME_ID_PERSISTENT:
        # SAML core 8.3.7: opaque, the same at every visit, another one for each service provider.
        value = hashlib.sha256(f"{request.service_provider}\0{person.id}".encode()).hexdigest()[:40]
        return NameID(value, NAME_ID_PERSISTENT, sp_name_qualifier=request.service_provider)
    if name_id_format == NAME_ID_EMAIL:
        return NameID(person.email, NAME_ID_EMAIL)
    if name_id_format == NAME_ID_TRANSIENT:
        return NameID("_" + secrets.token_hex(20), NAME_ID_TRANSIENT)
    return None
