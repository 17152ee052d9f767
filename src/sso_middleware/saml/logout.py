"""Decide whether a logout message proves that the identity provider wants somebody signed out (SAML core 3.7).

Pure, like response.py, and by the same gate, signatures and rules. A signature is required by either
binding. Which sessions a request ends, that its id is claimed once, and which request of ours a
response may answer, are the flows'. Our own logout messages are built by logout_sending.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from urllib.parse import unquote, unquote_plus

from ..errors import (
    MessageAmbiguous,
    MessageTooLarge,
    QueryMalformed,
    RootUnexpected,
    SignatureInvalid,
    SignatureMisplaced,
    SignatureMissing,
    StatusNotSuccess,
)
from . import rules
from .assertion import NameID, Verified
from .bindings import Parameter
from .parsing import (
    MAX_ENCODED,
    Status,
    decode_base64,
    decode_saml_response,
    inflate,
    parse_part,
    parse_signed,
    read_envelope,
)
from .parties import Expected, ServiceProvider, Trust
from .response import decrypt_part, read_name_id
from .schema import (
    STATUS_SUCCESS,
    AnyElement,
    Element,
    attribute_of,
    child,
    children,
    name_of,
    read_time,
    required_child,
    text_of,
)
from .signature import signature_algorithm_of, verify_detached, verify_signature

STATUS_PARTIAL_LOGOUT = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout"

_ROOTS: dict[Parameter, str] = {"SAMLRequest": "samlp:LogoutRequest", "SAMLResponse": "samlp:LogoutResponse"}
_VERIFIED = Verified()


# What came


@dataclass(frozen=True, slots=True)
class DetachedSignature:
    """HTTP-Redirect's: over the query string as it came."""

    data: bytes = field(repr=False)
    algorithm: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LogoutMessage:
    """A LogoutRequest or LogoutResponse that passed the gate: nothing in it is believed yet."""

    element: Element = field(repr=False)
    detached: DetachedSignature | None
    """None by HTTP-POST, where the signature is in the element."""
    relay_state: str | None = field(repr=False)
    """The sender's, to be given back with our answer to the letter. HTTP-POST does not sign it."""

    @property
    def is_request(self) -> bool:
        return name_of(self.element) == "samlp:LogoutRequest"

    @property
    def issuer(self) -> str:
        """Who it says it is from: enough to choose whose keys to verify it with, and for nothing else."""
        return text_of(required_child(self.element, "saml:Issuer"))

    @property
    def in_response_to(self) -> str | None:
        return self.element.get("InResponseTo")


def read_logout_query(query: str) -> LogoutMessage:
    """The message in a raw query string, as HTTP-Redirect has it. Raises a MessageRefused.

    `query` must be to the letter what the browser sent: that is what was signed, lower-case escapes
    and all, and no two encoders agree on how to write it anew.
    """
    parameters = [parameter.partition("=") for parameter in query.split("&")]
    sent_as = _the_one_message(name for name, _, _ in parameters)
    values = {name: value for name, _, value in parameters}
    if "Signature" not in values:
        raise SignatureMissing("no Signature in the query string")
    # SAML bindings 3.4.4.1: these are signed, in this order. Anything more, less, or twice would be for
    # another reader than the one that verifies (CVE-2025-27773).
    names = tuple(name for name, _, _ in parameters)
    if names not in ((sent_as, "SigAlg", "Signature"), (sent_as, "RelayState", "SigAlg", "Signature")):
        raise QueryMalformed(f"the parameters are not {sent_as}, RelayState, SigAlg and Signature, once and in order")
    if not query.isascii():
        raise QueryMalformed("the query string is not ASCII")
    if len(values[sent_as]) > MAX_ENCODED:
        raise MessageTooLarge(f"{sent_as} is longer than {MAX_ENCODED} characters")
    xml = inflate(decode_base64(unquote(values[sent_as])), limit=MAX_ENCODED)
    element = parse_part(xml, _ROOTS[sent_as])
    if child(element, "ds:Signature") is not None:
        raise SignatureMisplaced("a Signature in a message by HTTP-Redirect, which must have none (bindings 3.4.4.1)")
    detached = DetachedSignature(
        data=query.rpartition("&")[0].encode("ascii"),
        algorithm=unquote(values["SigAlg"]),
        value=decode_base64(unquote(values["Signature"])),
    )
    return LogoutMessage(element, detached, _read_relay_state(values.get("RelayState")))


def read_logout_form(form: Mapping[str, str]) -> LogoutMessage:
    """The message in the fields of a form, as HTTP-POST has it. Raises a MessageRefused."""
    sent_as = _the_one_message(form)
    element = parse_part(decode_saml_response(form[sent_as]), _ROOTS[sent_as])
    return LogoutMessage(element, None, form.get("RelayState"))


def _the_one_message(names: Iterable[str]) -> Parameter:
    present = set(names)
    found = [parameter for parameter in _ROOTS if parameter in present]
    if len(found) != 1:
        raise MessageAmbiguous("not exactly one of SAMLRequest and SAMLResponse")
    return found[0]


def _read_relay_state(value: str | None) -> str | None:
    try:
        return None if value is None else unquote_plus(value, errors="strict")
    except UnicodeDecodeError as error:
        raise QueryMalformed("RelayState is not UTF-8") from error


# What is believed


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """The identity provider wants this person's sessions ended: verified, for us, now."""

    id: str
    issuer: str
    issued_at: datetime
    name_id: NameID
    session_indexes: tuple[str, ...] = field(repr=False)
    """Only these sessions; empty means all of the person's (SAML core 3.7.3.1)."""
    valid_until: datetime
    """Until then the id must be remembered: afterwards the same message is refused for its age alone."""
    verified: InitVar[Verified]

    def __post_init__(self, verified: Verified) -> None:
        if verified is not _VERIFIED:
            raise TypeError("only verify_logout_request makes a LogoutRequest")


@dataclass(frozen=True, slots=True)
class LogoutResponse:
    """The identity provider has signed the person out, in answer to our request: verified, for us, now."""

    id: str
    issuer: str
    issued_at: datetime
    in_response_to: str
    is_partial: bool
    """Some other service could not be reached: the person may still be signed in there."""
    valid_until: datetime
    """As a request's. The request that it answers should be taken once, too."""
    verified: InitVar[Verified]

    def __post_init__(self, verified: Verified) -> None:
        if verified is not _VERIFIED:
            raise TypeError("only verify_logout_response makes a LogoutResponse")


def verify_logout_request(
    message: LogoutMessage, *, trust: Trust, service_provider: ServiceProvider, slo_url: str, now: datetime
) -> LogoutRequest:
    """Whom the identity provider wants signed out, if `message` proves it: to `slo_url`, now.

    Raises a MessageRefused. The caller must still claim the id, so that it is acted on once.
    """
    request = _verify_logout_message(message, "samlp:LogoutRequest", trust, now)
    rules.check_issuer(request, trust.identity_provider)
    rules.check_logout_destination(request, slo_url)
    rules.check_age(request, expected=None, trust=trust, now=now)
    rules.check_period(request, trust, now)  # core 3.7.1: NotOnOrAfter
    name_id = _take_name_id(request, trust)
    rules.check_name_id(name_id, identity_provider=trust.identity_provider, service_provider=service_provider)
    return LogoutRequest(
        id=attribute_of(request, "ID"),
        issuer=trust.identity_provider.entity_id,
        issued_at=read_time(attribute_of(request, "IssueInstant")),
        name_id=read_name_id(name_id),
        session_indexes=tuple(text_of(index) for index in children(request, "samlp:SessionIndex")),
        valid_until=rules.latest_arrival(request, trust),
        verified=_VERIFIED,
    )


def verify_logout_response(
    message: LogoutMessage, *, trust: Trust, slo_url: str, expected: Expected, now: datetime
) -> LogoutResponse:
    """That the identity provider has done what our LogoutRequest `expected` asked, if `message` proves it.

    Raises a MessageRefused; StatusNotSuccess where it is genuine, and says that it has not.
    """
    response = _verify_logout_message(message, "samlp:LogoutResponse", trust, now)
    rules.check_issuer(response, trust.identity_provider)
    rules.check_logout_destination(response, slo_url)
    rules.check_in_response_to(response, expected)
    rules.check_age(response, expected=expected, trust=trust, now=now)
    return LogoutResponse(
        id=attribute_of(response, "ID"),
        issuer=trust.identity_provider.entity_id,
        issued_at=read_time(attribute_of(response, "IssueInstant")),
        in_response_to=expected.request_id,
        is_partial=_check_partial(read_envelope(response).status),
        valid_until=rules.latest_arrival(response, trust),
        verified=_VERIFIED,
    )


def _verify_logout_message(message: LogoutMessage, expected_root: str, trust: Trust, now: datetime) -> AnyElement:
    """The element as it was signed. SAML profiles 4.4.3.1, 4.4.4.1: it must be, whatever way it came."""
    if name_of(message.element) != expected_root:
        raise RootUnexpected(f"the root element is not {expected_root}")
    try:
        return _verify_signature(message, trust, allow_sha1=trust.sha1_until is not None and now < trust.sha1_until)
    except SignatureInvalid:
        # Another identity provider's message is told as what it is; the admin looks elsewhere then.
        rules.check_issuer(message.element, trust.identity_provider)
        raise


def _verify_signature(message: LogoutMessage, trust: Trust, *, allow_sha1: bool) -> AnyElement:
    keys = trust.identity_provider.keys
    signature = message.detached
    if signature is not None:
        rules.check_signature_algorithm(signature.algorithm, trust)
        verify_detached(
            signature.data, signature.value, algorithm=signature.algorithm, keys=keys, allow_sha1=allow_sha1
        )
        return message.element  # read from the very text that was signed
    if child(message.element, "ds:Signature") is None:
        raise SignatureMissing("the logout message is not signed")
    rules.check_signature_algorithm(signature_algorithm_of(message.element), trust)
    signed = verify_signature(message.element, keys=keys, allow_sha1=allow_sha1)
    return parse_signed(signed, name_of(message.element))


def _take_name_id(request: AnyElement, trust: Trust) -> AnyElement:
    encrypted = child(request, "saml:EncryptedID")
    if encrypted is None:
        return required_child(request, "saml:NameID")
    # By now a verified signature covers it.
    return decrypt_part(encrypted, "saml:NameID", trust, is_authenticated=True)


def _check_partial(status: Status) -> bool:
    # SAML core 3.7.3.2: PartialLogout, a second-level code under whatever first one, where some other
    # participant was not signed out. Our own sessions are over all the same.
    if status.sub_code == STATUS_PARTIAL_LOGOUT:
        return True
    if status.code != STATUS_SUCCESS:
        raise StatusNotSuccess("the top-level StatusCode is neither Success nor a partial logout's")
    return False
