"""Everything that an identity provider may write into a Response, as one value, and its XML.

The defaults of `honest_shape` are what a well-behaved provider sends; a test changes one field and
thereby says what it is about. Signing and encrypting are `identity_provider.py`'s. The XML is put
together as text on purpose: a parser between a test and its bytes would tidy away what is tested.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from tests.xml_encryption import Encryption

from sso_middleware.saml.assertion import NAME_ID_EMAIL
from sso_middleware.saml.parties import ServiceProvider

SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
DS = "http://www.w3.org/2000/09/xmldsig#"
XS = "http://www.w3.org/2001/XMLSchema"
XSI = "http://www.w3.org/2001/XMLSchema-instance"

BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
SENDER_VOUCHES = "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"
HOLDER_OF_KEY = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"
ENTITY_FORMAT = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
BASIC_NAME_FORMAT = "urn:oasis:names:tc:SAML:2.0:attrname-format:basic"
PASSWORD_PROTECTED = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
STATUS_PREFIX = "urn:oasis:names:tc:SAML:2.0:status:"
EXCLUSIVE_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"

SIGNATURE_PLACEHOLDER = f'<ds:Signature xmlns:ds="{DS}" Id="placeholder"/>'

Instant = datetime | str | None
"""A time; a string is written as it is; None leaves the attribute out."""

_numbers = count(1)


@dataclass(frozen=True)
class SentAttribute:
    name: str
    values: tuple[str, ...]
    name_format: str | None = BASIC_NAME_FORMAT
    friendly_name: str | None = None
    value_type: str | None = "xs:string"


@dataclass(frozen=True)
class Confirmation:
    """SAML core 2.4.1.1. `has_data=False` leaves SubjectConfirmationData out."""

    method: str = BEARER
    has_data: bool = True
    recipient: str | None = None
    not_before: Instant = None
    not_on_or_after: Instant = None
    in_response_to: str | None = None
    address: str | None = None
    inner_xml: str = ""


@dataclass(frozen=True)
class ResponseShape:
    """A Response to be. `..._xml` fields are raw XML, put where their name says."""

    response_id: str
    issued_at: Instant
    destination: str | None
    in_response_to: str | None
    response_issuer: str | None
    assertion_id: str
    assertion_issued_at: Instant
    issuer: str | None
    name_id: str | None
    recipient: str | None
    confirmation_in_response_to: str | None
    confirmation_not_on_or_after: Instant
    audience: str | tuple[str, ...] | None
    not_before: Instant
    not_on_or_after: Instant
    authn_instant: Instant
    session_index: str | None
    attributes: tuple[SentAttribute, ...]

    # The envelope
    response_head_xml: str = ""
    """More attributes, or namespaces."""
    response_version: str = "2.0"
    response_issuer_format: str | None = None
    status: tuple[str, ...] | None = ("Success",)
    """Nested codes, from the outside in; None leaves Status out."""
    status_message: str | None = None
    status_detail_xml: str = ""
    second_status: tuple[str, ...] | None = None
    extensions_xml: str = ""
    before_assertion_xml: str = ""
    after_assertion_xml: str = ""
    has_assertion: bool = True

    # The assertion
    assertion_version: str = "2.0"
    assertion_prefix: str = "saml"
    """"" writes the assertion under a default namespace, as Entra ID does."""
    issuer_format: str | None = None
    has_subject: bool = True
    name_id_format: str | None = NAME_ID_EMAIL
    name_qualifier: str | None = None
    sp_name_qualifier: str | None = None
    has_confirmation: bool = True
    has_confirmation_data: bool = True
    confirmation_method: str = BEARER
    confirmation_not_before: Instant = None
    confirmation_address: str | None = None
    confirmation_inner_xml: str = ""
    further_confirmations: tuple[Confirmation, ...] = ()
    has_conditions: bool = True
    further_restrictions: tuple[tuple[str, ...], ...] = ()
    """More AudienceRestrictions; all of them must hold (SAML core 2.5.1.4)."""
    conditions_inner_xml: str = ""
    advice_xml: str = ""
    has_authn_statement: bool = True
    authn_context: str = PASSWORD_PROTECTED
    session_not_on_or_after: Instant = None
    attributes_first: bool = False
    further_statements_xml: str = ""

    # Signatures and encryption
    sign_assertion: bool = True
    sign_response: bool = False
    signature_algorithm: str | None = None
    """A URI or its fragment; None is SHA-256 with whatever key there is."""
    digest_algorithm: str = "sha256"
    c14n_algorithm: str = EXCLUSIVE_C14N
    inclusive_prefixes: tuple[str, ...] = ()
    encryption: Encryption | None = None


def honest_shape(
    *, entity_id: str, service_provider: ServiceProvider, request_id: str | None, email: str, now: datetime
) -> ResponseShape:
    """What a well-behaved provider answers to this request (None: unsolicited) about this person."""
    number = next(_numbers)
    return ResponseShape(
        response_id=f"_response-{number}",
        issued_at=now,
        destination=service_provider.acs_url,
        in_response_to=request_id,
        response_issuer=entity_id,
        assertion_id=f"_assertion-{number}",
        assertion_issued_at=now,
        issuer=entity_id,
        name_id=email,
        recipient=service_provider.acs_url,
        confirmation_in_response_to=request_id,
        confirmation_not_on_or_after=now + timedelta(minutes=5),
        audience=service_provider.entity_id,
        not_before=now - timedelta(minutes=1),
        not_on_or_after=now + timedelta(minutes=5),
        authn_instant=now,
        session_index=f"_session-{number}",
        attributes=attributes_of(email),
    )


def attributes_of(
    email: str,
    *,
    roles: tuple[str, ...] = ("engineering", "all staff"),
    country: str = "NL",
    department: str = "Research",
) -> tuple[SentAttribute, ...]:
    """The six attributes of the documented mapping; the names come from the address."""
    local, _, domain = email.partition("@")
    first, _, last = local.partition(".")
    return (
        SentAttribute("Email", (email,)),
        SentAttribute("FirstName", (first.title(),)),
        SentAttribute("LastName", ((last or domain.partition(".")[0]).title(),)),
        SentAttribute("Country", (country,)),
        SentAttribute("department", (department,)),
        SentAttribute("role_mapping", roles),
    )


def render_response(shape: ResponseShape, assertion: str) -> str:
    """The Response around an assertion that is already written (signed, encrypted, or "")."""
    head = _attributes(
        ID=shape.response_id,
        Version=shape.response_version,
        IssueInstant=_instant(shape.issued_at),
        Destination=shape.destination,
        InResponseTo=shape.in_response_to,
    )
    return (
        f'<samlp:Response xmlns:samlp="{SAMLP}" xmlns:saml="{SAML}"{head}{shape.response_head_xml}>'
        + _issuer("saml:", shape.response_issuer, shape.response_issuer_format)
        + (SIGNATURE_PLACEHOLDER if shape.sign_response else "")
        + (f"<samlp:Extensions>{shape.extensions_xml}</samlp:Extensions>" if shape.extensions_xml else "")
        + _status(shape.status, shape.status_message, shape.status_detail_xml)
        + _status(shape.second_status, None, "")
        + shape.before_assertion_xml
        + assertion
        + shape.after_assertion_xml
        + "</samlp:Response>"
    )


def render_assertion(shape: ResponseShape) -> str:
    p = f"{shape.assertion_prefix}:" if shape.assertion_prefix else ""
    xmlns = f"xmlns:{shape.assertion_prefix}" if shape.assertion_prefix else "xmlns"
    head = _attributes(
        ID=shape.assertion_id, Version=shape.assertion_version, IssueInstant=_instant(shape.assertion_issued_at)
    )
    statements = [_authn_statement(shape, p), _attribute_statement(shape, p)]
    if shape.attributes_first:
        statements.reverse()
    return (
        f'<{p}Assertion {xmlns}="{SAML}" xmlns:xs="{XS}" xmlns:xsi="{XSI}"{head}>'
        + _issuer(p, shape.issuer, shape.issuer_format)
        + (SIGNATURE_PLACEHOLDER if shape.sign_assertion else "")
        + _subject(shape, p)
        + _conditions(shape, p)
        + (f"<{p}Advice>{shape.advice_xml}</{p}Advice>" if shape.advice_xml else "")
        + "".join(statements)
        + shape.further_statements_xml
        + f"</{p}Assertion>"
    )


def _subject(shape: ResponseShape, p: str) -> str:
    if not shape.has_subject:
        return ""
    name_id = ""
    if shape.name_id is not None:
        head = _attributes(
            Format=shape.name_id_format,
            NameQualifier=shape.name_qualifier,
            SPNameQualifier=shape.sp_name_qualifier,
        )
        name_id = f"<{p}NameID{head}>{escape(shape.name_id)}</{p}NameID>"
    own = Confirmation(
        method=shape.confirmation_method,
        has_data=shape.has_confirmation_data,
        recipient=shape.recipient,
        not_before=shape.confirmation_not_before,
        not_on_or_after=shape.confirmation_not_on_or_after,
        in_response_to=shape.confirmation_in_response_to,
        address=shape.confirmation_address,
        inner_xml=shape.confirmation_inner_xml,
    )
    confirmations = ((own,) if shape.has_confirmation else ()) + shape.further_confirmations
    return f"<{p}Subject>{name_id}{''.join(_confirmation(each, p) for each in confirmations)}</{p}Subject>"


def _confirmation(confirmation: Confirmation, p: str) -> str:
    head = _attributes(
        NotBefore=_instant(confirmation.not_before),
        NotOnOrAfter=_instant(confirmation.not_on_or_after),
        Recipient=confirmation.recipient,
        InResponseTo=confirmation.in_response_to,
        Address=confirmation.address,
    )
    data = f"<{p}SubjectConfirmationData{head}>{confirmation.inner_xml}</{p}SubjectConfirmationData>"
    return (
        f"<{p}SubjectConfirmation{_attributes(Method=confirmation.method)}>"
        + (data if confirmation.has_data else "")
        + f"</{p}SubjectConfirmation>"
    )


def _conditions(shape: ResponseShape, p: str) -> str:
    if not shape.has_conditions:
        return ""
    restrictions = shape.further_restrictions
    if shape.audience is not None:
        own = (shape.audience,) if isinstance(shape.audience, str) else shape.audience
        restrictions = (own, *restrictions)
    head = _attributes(NotBefore=_instant(shape.not_before), NotOnOrAfter=_instant(shape.not_on_or_after))
    return (
        f"<{p}Conditions{head}>"
        + "".join(
            f"<{p}AudienceRestriction>"
            + "".join(f"<{p}Audience>{escape(audience)}</{p}Audience>" for audience in restriction)
            + f"</{p}AudienceRestriction>"
            for restriction in restrictions
        )
        + shape.conditions_inner_xml
        + f"</{p}Conditions>"
    )


def _authn_statement(shape: ResponseShape, p: str) -> str:
    if not shape.has_authn_statement:
        return ""
    head = _attributes(
        AuthnInstant=_instant(shape.authn_instant),
        SessionIndex=shape.session_index,
        SessionNotOnOrAfter=_instant(shape.session_not_on_or_after),
    )
    return (
        f"<{p}AuthnStatement{head}><{p}AuthnContext>"
        f"<{p}AuthnContextClassRef>{escape(shape.authn_context)}</{p}AuthnContextClassRef>"
        f"</{p}AuthnContext></{p}AuthnStatement>"
    )


def _attribute_statement(shape: ResponseShape, p: str) -> str:
    if not shape.attributes:
        return ""
    return (
        f"<{p}AttributeStatement>"
        + "".join(render_attribute(attribute, p) for attribute in shape.attributes)
        + f"</{p}AttributeStatement>"
    )


def render_attribute(attribute: SentAttribute, p: str = "saml:") -> str:
    head = _attributes(Name=attribute.name, NameFormat=attribute.name_format, FriendlyName=attribute.friendly_name)
    of_type = "" if attribute.value_type is None else f' xsi:type="{attribute.value_type}"'
    values = "".join(f"<{p}AttributeValue{of_type}>{escape(value)}</{p}AttributeValue>" for value in attribute.values)
    return f"<{p}Attribute{head}>{values}</{p}Attribute>"


def _issuer(p: str, issuer: str | None, format: str | None) -> str:
    return "" if issuer is None else f"<{p}Issuer{_attributes(Format=format)}>{escape(issuer)}</{p}Issuer>"


def _status(codes: tuple[str, ...] | None, message: str | None, detail_xml: str) -> str:
    if codes is None:
        return ""
    nested = ""
    for code in reversed(codes):
        uri = code if ":" in code else STATUS_PREFIX + code
        nested = f"<samlp:StatusCode{_attributes(Value=uri)}>{nested}</samlp:StatusCode>"
    return (
        f"<samlp:Status>{nested}"
        + ("" if message is None else f"<samlp:StatusMessage>{escape(message)}</samlp:StatusMessage>")
        + (f"<samlp:StatusDetail>{detail_xml}</samlp:StatusDetail>" if detail_xml else "")
        + "</samlp:Status>"
    )


def _instant(value: Instant) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _attributes(**values: Any) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in values.items() if value is not None)
