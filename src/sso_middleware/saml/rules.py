"""The clauses that a genuine Response must keep: for us, now, and in answer to us.

One function a clause, each cites it; it raises a RuleViolated or returns. They read elements that
response.py has verified, or, of a Response that is not signed, what can only lead to a refusal.
What is said of the person is read by response.py.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from ..errors import (
    AlgorithmNotAllowed,
    AudienceMismatch,
    AuthnContextNotAllowed,
    AuthnNotFresh,
    AuthnStatementMissing,
    ConditionsMissing,
    ConditionUnknown,
    DestinationMismatch,
    Expired,
    InResponseToMismatch,
    IssuerMismatch,
    NameIdInvalid,
    NameIdMissing,
    NameQualifierMismatch,
    NotYetValid,
    RecipientMismatch,
    RuleViolated,
    SessionOver,
    Stale,
    StatusNotSuccess,
    SubjectConfirmationMissing,
    SubjectConfirmationUnbounded,
    SubjectMissing,
)
from .parties import Expected, IdentityProvider, ServiceProvider, Trust
from .schema import (
    BEARER,
    ENTITY_FORMAT,
    SIGNATURE_ALGORITHMS,
    STATUS_SUCCESS,
    AnyElement,
    SignedElement,
    attribute_of,
    child,
    children,
    read_time,
    required_child,
    text_of,
)

MAX_AGE = timedelta(minutes=5)
"""How long after IssueInstant a Response or an assertion may arrive, however long it says it is valid."""

MAX_NAME_ID = 1024
"""Characters. SAML core 8.3.7 allows 256 for persistent ones; some identity providers make longer ones."""


_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")


# Signatures


def check_signature_algorithm(algorithm: str, trust: Trust) -> None:
    # SAML2Int SDP-ALG01: what we know is allowed unless the connection allows less. SHA-1, which is known
    # for its dated exception only, is signature.py's to refuse.
    known = SIGNATURE_ALGORITHMS.get(algorithm)
    if known is not None and known.digest != "sha1" and known.name not in trust.signature_algorithms:
        raise AlgorithmNotAllowed(f"{known.name}, which allowed_signature_algorithms of this connection does not list")


# The Response


def check_status(response: AnyElement) -> None:
    # SAML core 3.2.2.2: only the top-level code says whether it succeeded.
    if attribute_of(required_child(response, "samlp:Status")[0], "Value") != STATUS_SUCCESS:
        raise StatusNotSuccess("the top-level StatusCode is not Success")


def check_issuer(element: AnyElement, identity_provider: IdentityProvider) -> None:
    # SAML core 2.3.3, profiles 4.1.4.2: the entity id of the identity provider, in the entity format
    # or none. A Response may have no Issuer, an assertion always has (schema.py).
    issuer = child(element, "saml:Issuer")
    if issuer is None:
        return
    if issuer.get("Format", ENTITY_FORMAT) != ENTITY_FORMAT:
        raise IssuerMismatch("the Format of Issuer is not that of an entity")
    if text_of(issuer) != identity_provider.entity_id:
        raise IssuerMismatch(f"Issuer is {_shown(text_of(issuer))}, expected {identity_provider.entity_id!r}")


def check_destination(
    response: AnyElement, *, is_signed: bool, service_provider: ServiceProvider, trust: Trust, now: datetime
) -> None:
    # SAML bindings 3.5.5.2: a signed message must name where it was sent, and that must be here.
    if trust.skip_destination_until is not None and now < trust.skip_destination_until:
        return
    destination = response.get("Destination")
    if destination is None and not is_signed:
        return
    if destination != service_provider.acs_url:
        raise DestinationMismatch(f"Destination is {_shown(destination)}, expected {service_provider.acs_url!r}")


def check_logout_destination(message: AnyElement, slo_url: str) -> None:
    # SAML bindings 3.4.5.2 and 3.5.5.2: a logout message is always signed, so it must say where it was sent.
    destination = message.get("Destination")
    if destination != slo_url:
        raise DestinationMismatch(f"Destination is {_shown(destination)}, expected {slo_url!r}")


def check_in_response_to(element: AnyElement, expected: Expected | None) -> None:
    # SAML profiles 4.1.4.3 and 4.1.5: our own request's ID; of an unsolicited Response it MUST NOT be there.
    if element.get("InResponseTo") != (expected.request_id if expected else None):
        raise InResponseToMismatch("InResponseTo is not that of our login request, or is there where we asked nothing")


def check_age(element: AnyElement, *, expected: Expected | None, trust: Trust, now: datetime) -> None:
    # SAML core 3.2.2, 2.3.3: IssueInstant. Nothing genuine takes minutes from the identity provider
    # to here, whatever NotOnOrAfter allows; and nobody can answer before he is asked.
    issued_at = read_time(attribute_of(element, "IssueInstant"))
    if issued_at > now + trust.leeway:
        raise NotYetValid(f"IssueInstant is {issued_at}, and it is {now}")
    if now >= latest_arrival(element, trust):
        raise Stale(f"IssueInstant is {issued_at}, and it is {now}")
    if expected is not None and issued_at < expected.issued_at - trust.leeway:
        raise Stale(f"IssueInstant is {issued_at}, before our request of {expected.issued_at}")


def latest_arrival(element: AnyElement, trust: Trust) -> datetime:
    """From then on `check_age` refuses it: until then a replay must be remembered."""
    return read_time(attribute_of(element, "IssueInstant")) + MAX_AGE + trust.leeway


# The assertion


def check_confirmations(
    assertion: SignedElement,
    *,
    service_provider: ServiceProvider,
    expected: Expected | None,
    trust: Trust,
    now: datetime,
) -> None:
    # SAML profiles 4.1.4.2 and 4.1.4.3: at least one bearer confirmation that holds in every respect;
    # the others don't matter (core 2.4.1.1).
    subject = child(assertion, "saml:Subject")
    if subject is None:
        raise SubjectMissing("no Subject")
    refusal: RuleViolated | None = None
    for confirmation in children(subject, "saml:SubjectConfirmation"):
        if confirmation.get("Method") != BEARER:
            continue
        try:
            check_bearer(confirmation, service_provider=service_provider, expected=expected, trust=trust, now=now)
        except RuleViolated as violated:
            refusal = violated
        else:
            return
    raise refusal or SubjectConfirmationMissing("no bearer SubjectConfirmation")


def check_bearer(
    confirmation: SignedElement,
    *,
    service_provider: ServiceProvider,
    expected: Expected | None,
    trust: Trust,
    now: datetime,
) -> None:
    # SAML profiles 4.1.4.2: Recipient and NotOnOrAfter MUST be there, NotBefore MUST NOT. Address is
    # not compared: the IdP may see the person from another side of a proxy than we do.
    data = child(confirmation, "saml:SubjectConfirmationData")
    if data is None:
        raise SubjectConfirmationMissing("a bearer SubjectConfirmation without its data")
    recipient = data.get("Recipient")
    if recipient != service_provider.acs_url:
        raise RecipientMismatch(f"Recipient is {_shown(recipient)}, expected {service_provider.acs_url!r}")
    if data.get("NotOnOrAfter") is None or data.get("NotBefore") is not None:
        raise SubjectConfirmationUnbounded("a bearer confirmation must have NotOnOrAfter, and no NotBefore")
    check_period(data, trust, now)
    check_in_response_to(data, expected)


def check_conditions(assertion: SignedElement, trust: Trust, now: datetime) -> None:
    # SAML core 2.5.1: NotBefore and NotOnOrAfter may be absent (then check_age bounds it), but a
    # condition that we don't know makes the validity indeterminate. OneTimeUse is kept by claiming
    # every assertion once; ProxyRestriction binds identity providers.
    conditions = child(assertion, "saml:Conditions")
    if conditions is None:
        raise ConditionsMissing("no Conditions")
    if child(conditions, "saml:Condition") is not None:
        raise ConditionUnknown("a Condition of a type that we don't know")
    check_period(conditions, trust, now)


def check_period(element: AnyElement, trust: Trust, now: datetime) -> None:
    # SAML core 2.5.1.2: from NotBefore up to, not including, NotOnOrAfter; two clocks may differ by the leeway.
    # The leeway moves our own clock: .NET writes the first and the last times there are for "always".
    not_before, not_on_or_after = element.get("NotBefore"), element.get("NotOnOrAfter")
    if not_before is not None and now + trust.leeway < read_time(not_before):
        raise NotYetValid(f"not before {read_time(not_before)}, and it is {now}: is one of the clocks wrong?")
    if not_on_or_after is not None and now - trust.leeway >= read_time(not_on_or_after):
        raise Expired(f"not on or after {read_time(not_on_or_after)}, and it is {now}")


def check_audience(assertion: SignedElement, service_provider: ServiceProvider) -> None:
    # SAML core 2.5.1.4: every AudienceRestriction must name us; within one, any Audience will do.
    # Profiles 4.1.4.2: there must be one.
    conditions = child(assertion, "saml:Conditions")
    restrictions = [] if conditions is None else children(conditions, "saml:AudienceRestriction")
    if not restrictions:
        raise AudienceMismatch("no AudienceRestriction")
    for restriction in restrictions:
        audiences = [text_of(audience) for audience in children(restriction, "saml:Audience")]
        if service_provider.entity_id not in audiences:
            named = ", ".join(_shown(audience) for audience in audiences[:3])
            raise AudienceMismatch(f"Audience is {named}, expected {service_provider.entity_id!r}")


def check_authn_statements(assertion: SignedElement, *, expected: Expected | None, trust: Trust, now: datetime) -> None:
    # SAML profiles 4.1.4.2: at least one AuthnStatement. 4.1.4.3: its session must not be over.
    # Core 3.4.1: where we asked for a fresh authentication (ForceAuthn), an earlier one is none.
    statements = children(assertion, "saml:AuthnStatement")
    if not statements:
        raise AuthnStatementMissing("no AuthnStatement")
    for statement in statements:
        authenticated_at = read_time(attribute_of(statement, "AuthnInstant"))
        if authenticated_at > now + trust.leeway:
            raise NotYetValid("AuthnInstant lies ahead")
        if expected is not None and expected.force_authn and authenticated_at < expected.issued_at - trust.leeway:
            raise AuthnNotFresh(f"AuthnInstant is {authenticated_at}, before our request of {expected.issued_at}")
        session_ends_at = statement.get("SessionNotOnOrAfter")
        if session_ends_at is not None and now >= read_time(session_ends_at):
            raise SessionOver(f"the session at the identity provider ended at {read_time(session_ends_at)}")


def check_authn_contexts(assertion: SignedElement, trust: Trust) -> None:
    # SAML core 2.7.2.2: how the person was authenticated, where this connection demands a way.
    if not trust.authn_contexts:
        return
    for statement in children(assertion, "saml:AuthnStatement"):
        context = child(required_child(statement, "saml:AuthnContext"), "saml:AuthnContextClassRef")
        if context is None or text_of(context) not in trust.authn_contexts:
            shown = _shown(None if context is None else text_of(context))
            raise AuthnContextNotAllowed(f"AuthnContextClassRef is {shown}, which authn_contexts does not list")


def check_name_id(
    name_id: AnyElement, *, identity_provider: IdentityProvider, service_provider: ServiceProvider
) -> None:
    # SAML core 2.2.2, 2.2.3, 8.3.7. The value is otherwise opaque, and kept to the letter.
    value = text_of(name_id)
    if not value.strip():
        raise NameIdMissing("an empty NameID")
    if len(value) > MAX_NAME_ID or _CONTROL_CHARACTER.search(value):
        raise NameIdInvalid(f"a NameID with control characters, or longer than {MAX_NAME_ID}")
    if name_id.get("NameQualifier") not in (None, "", identity_provider.entity_id):
        raise NameQualifierMismatch("NameQualifier is not the identity provider's entity id")
    if name_id.get("SPNameQualifier") not in (None, "", service_provider.entity_id):
        raise NameQualifierMismatch("SPNameQualifier is not our entity id")


def _shown(value: str | None) -> str:
    """For the log: quoted, so that no line of it can be forged, and short."""
    return "absent" if value is None else repr(value[:200])
