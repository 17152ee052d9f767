"""Everything that can go wrong, for three readers: the person, the admin, the engineer.

``code`` is stable: events, pages, tests and documentation name it. ``status`` is the HTTP status of
the refusal. ``public_message`` is for the person and gives nothing away. The exception's own text is
for the log: it may name URLs, entity ids and algorithms; never a secret, a token, a NameID, an
e-mail address or a piece of a message.

    SSOError
    ├── ConfigurationError          the host's mistake, told at start; lists every problem at once
    ├── StoreError
    │   ├── StoreUnavailable        503: we can't read or write; nobody is let in, nobody is signed out
    │   ├── SchemaOutdated          told at start: which command to run
    │   └── SealedWithUnknownKey    a sealed record needs a secret key that is no longer in `secret_keys`
    ├── CertificateUnusable         400: a certificate that we don't pin
    ├── MetadataUnusable …          400: metadata that names no usable identity provider, or is not signed as it must be
    ├── MetadataFetchFailed …       502: nothing usable came from a metadata_url
    ├── KeyChangeRefused            409: a step of our own keys' rollover that can't be taken now
    ├── SessionChoiceRefused        400: which sessions an admin means is not clear
    ├── ChangeRefused …             409: what an admin wants to change can't be, or may not be by them (403)
    ├── MailFailed                  502: a mail that could not be sent (now)
    ├── PeopleChoiceRefused         400: which person an admin means is not clear
    ├── InvalidToken                a signed value that isn't ours, or not for this purpose
    └── Refused                     a request or a message that we don't act on
        ├── BadRequest …            the HTTP request is malformed (400, 405, 413, 415, 421)
        ├── TooManyAttempts         429: one client's limit; it may come again
        ├── LoginRefused …          the message was well-formed, but this login may not go on
        ├── LogoutRefused …         the same of a single logout
        └── MessageRefused          a SAML message that proves nothing
            ├── MessageMalformed …  the gate: refused before any cryptography (400)
            ├── SignatureRefused …  not signed, or not by whom it must be (403)
            ├── DecryptionRefused … (403)
            └── RuleViolated …      signed, but not for us, not now, or not in answer to us (403)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar


class SSOError(Exception):
    """The root of this package's errors. Every subclass that can be raised has a ``code`` of its own."""

    code: ClassVar[str] = "sso_error"
    status: ClassVar[int] = 500
    public_message: ClassVar[str] = "Something went wrong while signing you in."
    heading: ClassVar[str] = "That didn’t work"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.public_message)
        self.detail = detail or self.public_message
        self.connection_id: str | None = None
        """Which connection it is about, once somebody knows."""
        self.return_to = "/"
        """The page that the person wanted, once somebody knows."""
        self.met_known_person = False
        """Whether it met somebody whom the identity provider had vouched for; each such refusal is told in full."""
        self.explain: Callable[[SSOError], str] | None = None
        """Makes what the admin is told besides (JSON), if it is told in full: it takes another look at the message."""
        self.headers: tuple[tuple[str, str], ...] = ()
        """To be sent with the refusal: of somebody's session that was ended, say."""
        self.met_sign_out = False
        """Whether it came of signing out, so that the page must not speak of a sign-in."""

    @property
    def sentence(self) -> str:
        """What the person is told."""
        return self.public_message


class ConfigurationError(SSOError):
    """The host's settings contradict themselves. ``problems`` says each in words that say what to do."""

    code = "configuration_error"

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(f"- {problem}" for problem in problems))


# Stores


class StoreError(SSOError):
    code = "store_error"
    status = 503
    public_message = "Signing in is not available right now. Please try again in a moment."


class StoreUnavailable(StoreError):
    """The database can't be reached, is locked, read-only or full."""

    code = "store_unavailable"


class SchemaOutdated(StoreError):
    """The database is at another revision than this version of the package needs."""

    code = "schema_outdated"


class SealedWithUnknownKey(StoreError):
    """A sealed record was sealed under a secret key that is not in ``secret_keys`` any more."""

    code = "sealed_with_unknown_key"


class InvalidToken(SSOError):
    """A signed value that was not made by us, not for this purpose, or under a key that is gone."""

    code = "invalid_token"
    status = 403


class CertificateUnusable(SSOError):
    """Not a certificate, or its key is too weak to pin (RSA under 2048 bits, DSA, other curves). Told at save."""

    code = "certificate_unusable"
    status = 400


class MetadataUnusable(SSOError):
    """Not SAML metadata of exactly one usable identity provider; the text says what is wrong in words."""

    code = "metadata_unusable"
    status = 400


class MetadataSignatureRefused(MetadataUnusable):
    """The connection has ``metadata_signing_certificates``, and none of them signed this metadata."""

    code = "metadata_signature_refused"


class MetadataFetchFailed(SSOError):
    """Nothing usable came from a ``metadata_url``: no answer, not in time, too much, or an error page."""

    code = "metadata_fetch_failed"
    status = 502


class EgressRefused(MetadataFetchFailed):
    """A URL, or what its name resolves to, that we don't connect to (private and special addresses, ports, schemes)."""

    code = "egress_refused"


class KeyChangeRefused(SSOError):
    """A step of our own keys' rollover that can't be taken in the state that they are in. Told to the operator."""

    code = "key_change_refused"
    status = 409


class SessionChoiceRefused(SSOError):
    """Which sessions are meant is not clear. Told to the admin or the code that asked for them."""

    code = "session_choice_refused"
    status = 400


class MailFailed(SSOError):
    """A mail could not be sent. The text names neither the recipient nor what the server said, but for its number."""

    code = "mail_failed"
    status = 502

    def __init__(
        self,
        detail: str = "",
        *,
        is_final: bool = False,  # whether another try would be in vain
        is_server: bool = False,  # whether no other mail would get through now
    ) -> None:
        super().__init__(detail)
        self.is_final = is_final
        self.is_server = is_server


# Requests and messages that we don't act on


class ChangeRefused(SSOError):
    """A change of the configuration that can't be made as it was asked for; the text says what to do."""

    code = "change_refused"
    status = 409
    public_message = "This change can’t be made."


class NotAllowed(ChangeRefused):
    """Who asks is no SSO account admin of the organization, or only the operator may do this (WEB-019)."""

    code = "not_allowed"
    status = 403
    public_message = "You may not do this."


class DomainNotClaimable(ChangeRefused):
    """A public suffix, or a mail provider's domain: it belongs to nobody (TEN-008)."""

    code = "domain_not_claimable"
    status = 400


class DomainTaken(ChangeRefused):
    """The domain belongs to a connection already (TEN-008)."""

    code = "domain_taken"


class DomainNotVerified(ChangeRefused):
    """Whose domain it is was not proved; the text says what DNS was expected to say."""

    code = "domain_not_verified"


class LockOutRisked(ChangeRefused):
    """To make a domain exclusive now could lock its people out; the text says what is missing."""

    code = "lock_out_risked"


class PeopleChoiceRefused(SSOError):
    """Which person an admin means is not clear, or what is to be done with them can't be; nothing was changed."""

    code = "people_choice_refused"
    status = 400

    def __init__(self, detail: str = "", *, is_unknown: bool = False) -> None:
        super().__init__(detail)
        self.is_unknown = is_unknown
        """Nobody is known by what was named; else it is several, or was said in no clear way."""


class Refused(SSOError):
    code = "refused"
    status = 403
    public_message = "Your sign-in could not be completed."


class BadRequest(Refused):
    code = "bad_request"
    status = 400
    public_message = "This request could not be understood."


class MethodNotAllowed(BadRequest):
    code = "method_not_allowed"
    status = 405

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed
        super().__init__(f"allowed here: {', '.join(allowed)}")


class BodyTooLarge(BadRequest):
    code = "body_too_large"
    status = 413


class UnsupportedForm(BadRequest):
    """Not application/x-www-form-urlencoded in UTF-8, a repeated field, or too many fields."""

    code = "unsupported_form"


class InterceptedRequestRefused(BadRequest):
    """A form of the app's own that is intercepted, and that the app might read otherwise than we do."""

    code = "intercepted_request_refused"


class InterceptedPathAmbiguous(InterceptedRequestRefused):
    """Its path can be read in two ways, and one of them is that of an intercepted form."""

    code = "intercepted_path_ambiguous"


class InterceptedBodyTooLarge(InterceptedRequestRefused):
    """It has more bytes than ``largest_intercepted_body``, or fewer than it says."""

    code = "intercepted_body_too_large"


class InterceptedBodyUnreadable(InterceptedRequestRefused):
    """Neither a form nor a JSON object in plain UTF-8, or one that two readers could read differently."""

    code = "intercepted_body_unreadable"


class InterceptedFieldAmbiguous(InterceptedRequestRefused):
    """The field of the e-mail address is there twice, in the query with another value, or is not a text."""

    code = "intercepted_field_ambiguous"


class InterceptedAddressUnreadable(InterceptedRequestRefused):
    """What the field holds looks like an e-mail address, and is not exactly one."""

    code = "intercepted_address_unreadable"
    public_message = "Please enter your e-mail address exactly, such as ada@example.com."


class Misdirected(BadRequest):
    """A request for a protected path under another host name than that of ``base_url``."""

    code = "misdirected"
    status = 421


class PageNotFound(BadRequest):
    code = "page_not_found"
    status = 404
    heading = "There is no such page"
    public_message = "The address may be mistyped."


class FramedRequest(BadRequest):
    """Signing in happens neither inside a frame nor for a script or a picture (clickjacking, login CSRF, floods)."""

    code = "framed_request"
    status = 403


class CsrfMismatch(BadRequest):
    code = "csrf_mismatch"
    status = 403
    public_message = "This form is out of date. Please go back, reload the page and try again."


class NotSetUp(Refused):
    """No connection is configured: 503, never an open door."""

    code = "not_set_up"
    status = 503
    public_message = "Single sign-on is not set up yet."


class TooManyAttempts(Refused):
    """One client began, or was refused, more than its limit within a minute. ``seconds`` says how long to wait."""

    code = "too_many_attempts"
    status = 429
    public_message = "There were too many sign-in attempts from your network. Please wait a minute, then try again."
    heading = "Please wait a moment"

    def __init__(self, detail: str = "", *, seconds: int = 60) -> None:
        super().__init__(detail)
        self.seconds = seconds


class LoginRefused(Refused):
    code = "login_refused"


class UnknownConnection(LoginRefused):
    code = "unknown_connection"
    status = 404
    public_message = "There is no single sign-on under this address."


class ConnectionDisabled(LoginRefused):
    code = "connection_disabled"
    public_message = "Single sign-on is switched off for your organization at the moment."


class TestLinkUnknown(LoginRefused):
    """The link of a connection test is not ours, has expired, or is for a connection that is gone."""

    __test__ = False  # for pytest, which takes anything called so for a test
    code = "test_link_unknown"
    public_message = "This test link can’t be used any more. Ask for a new one."


class NotATestUser(LoginRefused):
    """The connection is being tested, and this person is not among those who test it."""

    code = "not_a_test_user"
    public_message = "Single sign-on for your organization is still being set up. Please sign in as you did before."


class ConnectionNotReady(LoginRefused):
    """No good copy of this connection's metadata was fetched yet, or the one that we have is void by now."""

    code = "connection_not_ready"
    status = 503
    public_message = "Single sign-on for your organization is being set up. Please try again in a few minutes."


class UnsolicitedRefused(LoginRefused):
    """An IdP-initiated Response, and this connection's ``idp_initiated`` is ``off``."""

    code = "unsolicited_response"
    public_message = "Please start from this application's own sign-in page."


class UnsolicitedLoop(LoginRefused):
    """The IdP answered our own request with an unsolicited Response again (``idp_initiated = "restart"``)."""

    code = "unsolicited_loop"


class ConnectionMismatch(LoginRefused):
    """The answer to a login request of one connection came to another one (IdP mix-up)."""

    code = "connection_mismatch"


class LoginRequestUnknown(LoginRefused):
    """InResponseTo names no login request that we still wait on: unknown, used, or too old."""

    code = "login_request_unknown"
    public_message = "This sign-in has already been used or has taken too long. Please start again."


class PendingLoginUnknown(LoginRefused):
    """``finish`` was called without an outcome waiting for it: reloaded, too late, or without its cookie."""

    code = "pending_login_unknown"
    public_message = "This sign-in has already been used or has taken too long. Please start again."


class PendingProfileUnknown(LoginRefused):
    """``complete-profile`` without a sign-in that waits for answers there: answered, too late, or another browser's."""

    code = "pending_profile_unknown"
    public_message = "These questions have been answered already, or have waited for too long. Please start again."


class BrowserMismatch(LoginRefused):
    """The login was begun in another browser (login CSRF, session swap)."""

    code = "browser_mismatch"
    public_message = "This sign-in was started in another browser. Please start again here."


class AssertionReplayed(LoginRefused):
    code = "assertion_replayed"
    public_message = "This sign-in has already been used. Please start again."


class IdentityProviderFailure(LoginRefused):
    """The identity provider answered, but did not sign the person in (its Status says why)."""

    code = "identity_provider_failure"
    public_message = "Your identity provider did not sign you in."


class HostSessionOfAnother(LoginRefused):
    """`domains` mode: signed in by SSO as one person, and at the host as one who must come by SSO.

    The host's session was ended; ``headers`` are what its hook wants sent with that.
    """

    code = "host_session_of_another"
    public_message = (
        "You were signed in here as two different people. One of them has been signed out: go on or reload."
    )

    def __init__(self, detail: str, headers: Iterable[tuple[str, str]]) -> None:
        super().__init__(detail)
        self.headers = tuple(headers)
        self.met_known_person = True


class AttributeMissing(LoginRefused):
    """A required attribute is not in the assertion; the text names it."""

    code = "attribute_missing"
    public_message = "Your identity provider did not send everything that is needed to sign you in."


class AttributeAmbiguous(LoginRefused):
    """An attribute that must have one value has several different ones; the text names it, not them."""

    code = "attribute_ambiguous"
    public_message = "Your identity provider sent several answers where one is needed to sign you in."


class EmailOutsideDomains(LoginRefused):
    """The asserted e-mail address is not within the connection's own domains."""

    code = "email_outside_domains"
    public_message = (
        "Your e-mail address does not belong to this organization. If you are signed in there as somebody else, sign"
        " out there first."
    )


class EmailInvalid(LoginRefused):
    code = "email_invalid"
    public_message = "This is not a usable e-mail address."


class TransientNameId(LoginRefused):
    """A transient NameID and no principal id attribute: nobody could be recognised the next time."""

    code = "transient_name_id"


class ProvisioningRejected(LoginRefused):
    """The host's ``provision`` hook answered ``Reject``; ``message`` is the host's own sentence for the person."""

    code = "provisioning_rejected"
    public_message = "Your account may not use this application."

    def __init__(self, reason: str, message: str | None = None) -> None:
        super().__init__(reason)
        self.message = message

    @property
    def sentence(self) -> str:
        return self.message or self.public_message


class PersonConflict(LoginRefused):
    """Whom the assertion is about can't be told: one person under two keys, say, or two people with one address."""

    code = "person_conflict"
    public_message = (
        "Your identity provider says something of you that does not fit what is known here. Please tell your"
        " administrator, with the reference below."
    )


class PrincipalShared(LoginRefused):
    """Two people came under one principal value: address and NameID, or address and names, are another person's."""

    code = "principal_shared"
    public_message = PersonConflict.public_message


class UserLinkedTwice(LoginRefused):
    """The host's ``provision`` hook linked somebody to a user that another person of the connection is already."""

    code = "user_linked_twice"
    public_message = "Your account here belongs to somebody else by now. Please tell your administrator."


class InvitationNeeded(LoginRefused):
    """The connection has ``just_in_time`` off, and the host's ``provision`` hook did not say which user this is."""

    code = "invitation_needed"
    heading = "You need an invitation"
    public_message = "You have no account here yet. Please ask whoever manages this application to invite you."


class RolesMissing(LoginRefused):
    """The connection has ``authorization`` on, and no value of its roles attribute came."""

    code = "roles_missing"
    heading = "You have no role here"
    public_message = (
        "Your organization has not given you a role in this application. Please ask your administrator for access."
    )


class RolesUnmatched(LoginRefused):
    """None of the values of the roles attribute is the name of a mapping role that may grant something."""

    code = "roles_unmatched"
    heading = RolesMissing.heading
    public_message = RolesMissing.public_message


class RolesOverage(LoginRefused):
    """The identity provider sent a link in place of the groups, since they are too many; so they are not known."""

    code = "roles_overage"
    heading = "Your roles are not known"
    public_message = (
        "Your organization could not tell us your roles: you are in too many groups. Please ask your administrator."
    )


class LogoutRefused(Refused):
    code = "logout_refused"
    public_message = "A sign-out by your organization could not be completed. You may still be signed in."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.met_sign_out = True


class LogoutRequestUnknown(LogoutRefused):
    """InResponseTo names no logout request that we still wait on: unknown, used, or too old."""

    code = "logout_request_unknown"
    public_message = (
        "This sign-out has been answered already or has taken too long. Your organization may still know you: on a"
        " shared computer, close the browser too."
    )


class LogoutReplayed(LogoutRefused):
    """The same LogoutRequest came twice: it is acted on once."""

    code = "logout_replayed"


class RecoveryRefused(Refused):
    code = "recovery_refused"
    public_message = "Recovery access was refused."


class RecoveryLinkUnknown(RecoveryRefused):
    """A recovery link that was never made, is used or expired, or there is a newer one: nobody is told which."""

    code = "recovery_link_unknown"
    public_message = "This link is not valid: it was used, it is too old, or there is a newer one. Ask for another."


class RecoverySessionOver(RecoveryRefused):
    """A form of recovery access without a recovery session: it lasts half an hour, and as long as the admin is one."""

    code = "recovery_session_over"
    public_message = "Your recovery access has ended. Ask for another link to go on."


class ConnectionOfAnother(RecoveryRefused):
    """Recovery access reaches its own organization's connections, and no other id, whether there is one or not."""

    code = "connection_of_another"
    public_message = "There is no such connection of your organization."


class ConnectionChanged(RecoveryRefused):
    """Somebody else changed the connection since the page was shown."""

    code = "connection_changed"
    status = 409
    public_message = "Somebody else has changed this connection in the meantime. Look at it again, then decide."


class ConnectionDeclared(RecoveryRefused):
    """What the settings declare can't be changed here, apart from switching the connection off and on."""

    code = "connection_declared"
    status = 409
    public_message = "This is in the app's own settings, which only its operator can change."


class HookFailed(SSOError):
    """A hook of the host's raised, or answered with something it may not; the cause is in the log."""

    code = "hook_failed"
    status = 503
    public_message = "Signing in is not available right now. Please try again in a moment."


class HookTimedOut(HookFailed):
    """A hook of the host's did not answer within ``hook_timeout``."""

    code = "hook_timed_out"


class PersonBusy(HookFailed):
    """The host is being asked about this person by another sign-in, or an admin has just changed who they are."""

    code = "person_busy"
    public_message = "Your account is being set up at this moment. Please try again in a few seconds."


# SAML messages. `saml/` raises these and nothing else.


class MessageRefused(Refused):
    code = "message_refused"


class MessageMalformed(MessageRefused):
    """The gate: refused for its form alone, before any cryptography."""

    code = "message_malformed"
    status = 400


class MessageTooLarge(MessageMalformed):
    code = "message_too_large"
    status = 413


class Base64Invalid(MessageMalformed):
    code = "base64_invalid"


class DeflateInvalid(MessageMalformed):
    """Not one whole DEFLATE stream (HTTP-Redirect)."""

    code = "deflate_invalid"


class DeflatedOnPost(MessageMalformed):
    """A message in the encoding of HTTP-Redirect came by HTTP-POST."""

    code = "deflated_on_post"


class MessageAmbiguous(MessageMalformed):
    """Not exactly one of SAMLRequest and SAMLResponse."""

    code = "message_ambiguous"


class QueryMalformed(MessageMalformed):
    """HTTP-Redirect: parameters other than those that are signed, in another order, or repeated."""

    code = "query_malformed"


class EncodingNotAllowed(MessageMalformed):
    """Anything but plain UTF-8: another encoding, a byte order mark, NUL."""

    code = "encoding_not_allowed"


class XmlVersionNotAllowed(MessageMalformed):
    """An XML declaration of another version than 1.0, or one that can't be read."""

    code = "xml_version_not_allowed"


class DoctypeNotAllowed(MessageMalformed):
    """A document type, entity, element, attribute list or notation declaration."""

    code = "doctype_not_allowed"


class CdataNotAllowed(MessageMalformed):
    code = "cdata_not_allowed"


class CommentNotAllowed(MessageMalformed):
    code = "comment_not_allowed"


class ProcessingInstructionNotAllowed(MessageMalformed):
    code = "processing_instruction_not_allowed"


class XmlMalformed(MessageMalformed):
    code = "xml_malformed"


class XmlTooComplex(MessageMalformed):
    """More elements, levels or attributes than any honest message has."""

    code = "xml_too_complex"


class NamespaceNotAbsolute(MessageMalformed):
    """A relative namespace URI: canonicalisation is undefined, and some give an empty result."""

    code = "namespace_not_absolute"


class RootUnexpected(MessageMalformed):
    code = "root_unexpected"


class SchemaViolated(MessageMalformed):
    """An element that doesn't belong where it is, or not in this order or number."""

    code = "schema_violated"


class AttributeNotAllowed(MessageMalformed):
    """An attribute that the schema doesn't give this element, above all a second kind of ID."""

    code = "attribute_not_allowed"


class AttributeRequired(MessageMalformed):
    """An attribute that the schema requires is absent."""

    code = "attribute_required"


class IdInvalid(MessageMalformed):
    """An ID that is no xs:ID: it begins with a digit, or holds a character that no name has."""

    code = "id_invalid"


class DuplicateId(MessageMalformed):
    code = "duplicate_id"


class VersionUnsupported(MessageMalformed):
    code = "version_unsupported"


class TimeInvalid(MessageMalformed):
    """Not an xs:dateTime with a time zone."""

    code = "time_invalid"


class TooManyAssertions(MessageMalformed):
    code = "too_many_assertions"


class AssertionMisplaced(MessageMalformed):
    """An Assertion or EncryptedAssertion anywhere but directly in the Response."""

    code = "assertion_misplaced"


class AssertionMissing(MessageMalformed):
    """The Status says Success, and there is no assertion."""

    code = "assertion_missing"


class StatusContradicted(MessageMalformed):
    """The Status says that the login failed, and there is an assertion all the same."""

    code = "status_contradicted"


class SignatureMisplaced(MessageMalformed):
    """A Signature anywhere but directly after the Issuer of the Response or the Assertion, or a second one."""

    code = "signature_misplaced"


class SignatureMalformed(MessageMalformed):
    """A Signature that isn't made of exactly the parts that one needs."""

    code = "signature_malformed"


class KeyInfoNotAllowed(MessageMalformed):
    """A KeyInfo that refers to a key elsewhere, or holds one of a kind that we never use."""

    code = "key_info_not_allowed"


class ReferenceNotAllowed(MessageMalformed):
    """A Signature that covers anything but the element it stands in."""

    code = "reference_not_allowed"


class TransformNotAllowed(MessageMalformed):
    """Any transforms but enveloped-signature followed by exclusive canonicalisation."""

    code = "transform_not_allowed"


class CanonicalizationNotAllowed(MessageMalformed):
    """A CanonicalizationMethod other than exclusive canonicalisation without comments."""

    code = "canonicalization_not_allowed"


class EncryptionMalformed(MessageMalformed):
    """Encrypted data that isn't made of exactly the parts that it needs."""

    code = "encryption_malformed"


class EncryptionReferenceNotAllowed(MessageMalformed):
    """A reference inside encrypted data to anything but its own EncryptedKey."""

    code = "encryption_reference_not_allowed"


class SignatureRefused(MessageRefused):
    """Not signed, or not by whom it must be."""

    code = "signature_refused"


class SignatureMissing(SignatureRefused):
    """No signature covers the assertion, or the logout message."""

    code = "signature_missing"


class ResponseSignatureMissing(SignatureRefused):
    """The connection demands a signed Response."""

    code = "response_signature_missing"


class AssertionSignatureMissing(SignatureRefused):
    """The connection demands a signed Assertion."""

    code = "assertion_signature_missing"


class AlgorithmNotAllowed(SignatureRefused):
    """A signature or digest algorithm that we don't know, or SHA-1 without a dated exception."""

    code = "algorithm_not_allowed"


class CanonicalizationFailed(SignatureRefused):
    code = "canonicalization_failed"


class SignatureInvalid(SignatureRefused):
    """None of the connection's pinned keys made this signature."""

    code = "signature_invalid"


class DigestMismatch(SignatureRefused):
    """The signature is the identity provider's, but what it covers was changed."""

    code = "digest_mismatch"


class DecryptionRefused(MessageRefused):
    code = "decryption_refused"


class EncryptionUnexpected(DecryptionRefused):
    """Encrypted, and this connection's ``encryption`` is ``off``."""

    code = "encryption_unexpected"


class EncryptionRequired(DecryptionRefused):
    """Not encrypted, and this connection's ``encryption`` is ``required``."""

    code = "encryption_required"


class EncryptionAlgorithmNotAllowed(DecryptionRefused):
    """Anything but AES-GCM or AES-CBC under RSA-OAEP (no RSA 1.5, no 3DES)."""

    code = "encryption_algorithm_not_allowed"


class EncryptionNotAuthenticated(DecryptionRefused):
    """AES-CBC where no verified signature covers the ciphertext."""

    code = "encryption_not_authenticated"


class DecryptionFailed(DecryptionRefused):
    """One error, of one text, for every way to fail, so that nothing can be learnt from it (padding oracles)."""

    code = "decryption_failed"

    def __init__(self) -> None:
        super().__init__("no key of ours makes what it must be out of the encrypted data")


class RuleViolated(MessageRefused):
    """Genuine, but not for us, not now, or not in answer to us."""

    code = "rule_violated"


class StatusNotSuccess(RuleViolated):
    code = "status_not_success"


class IssuerMismatch(RuleViolated):
    code = "issuer_mismatch"


class DestinationMismatch(RuleViolated):
    code = "destination_mismatch"


class InResponseToMismatch(RuleViolated):
    """Not in answer to the login request in question, or to one at all where there was none."""

    code = "in_response_to_mismatch"


class AuthnContextNotAllowed(RuleViolated):
    """AuthnContextClassRef is not one of the connection's ``authn_contexts``."""

    code = "authn_context_not_allowed"
    public_message = "Please sign in again in the way that your organization asks for, such as with a second factor."


class AuthnNotFresh(RuleViolated):
    """We asked for a fresh authentication (ForceAuthn), and AuthnInstant is older than our request."""

    code = "authn_not_fresh"


class Stale(RuleViolated):
    """IssueInstant is minutes ago, or before our request."""

    code = "stale"
    public_message = "This sign-in has taken too long. Please start again."


class NotYetValid(RuleViolated):
    """A time before which it is not valid lies ahead; mostly a clock that is wrong."""

    code = "not_yet_valid"


class Expired(RuleViolated):
    code = "expired"
    public_message = "This sign-in has taken too long. Please start again."


class SubjectMissing(RuleViolated):
    code = "subject_missing"


class NameIdMissing(RuleViolated):
    """No NameID, or an empty one."""

    code = "name_id_missing"


class NameIdInvalid(RuleViolated):
    """Too long, or with control characters."""

    code = "name_id_invalid"


class NameQualifierMismatch(RuleViolated):
    """The NameID is qualified by another identity provider or for another service provider."""

    code = "name_qualifier_mismatch"


class SubjectConfirmationMissing(RuleViolated):
    """No bearer SubjectConfirmation with its data: nothing says that whoever holds it may use it here."""

    code = "subject_confirmation_missing"


class SubjectConfirmationUnbounded(RuleViolated):
    """A bearer confirmation without NotOnOrAfter, or with the NotBefore that it must not have."""

    code = "subject_confirmation_unbounded"


class RecipientMismatch(RuleViolated):
    code = "recipient_mismatch"


class ConditionsMissing(RuleViolated):
    code = "conditions_missing"


class ConditionUnknown(RuleViolated):
    """A Condition that we don't understand makes the assertion's validity indeterminate."""

    code = "condition_unknown"


class AudienceMismatch(RuleViolated):
    code = "audience_mismatch"


class AuthnStatementMissing(RuleViolated):
    code = "authn_statement_missing"


class SessionOver(RuleViolated):
    """SessionNotOnOrAfter has passed."""

    code = "session_over"
