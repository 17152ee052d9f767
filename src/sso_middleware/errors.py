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
    ├── InvalidToken                a signed value that isn't ours, or not for this purpose
    └── Refused                     a request or a message that we don't act on
        ├── BadRequest …            the HTTP request is malformed (400, 405, 413, 415, 421)
        ├── LoginRefused …          the message was well-formed, but this login may not go on
        └── MessageRefused          a SAML message that proves nothing
            ├── MessageMalformed …  the gate: refused before any cryptography (400)
            ├── SignatureRefused …  not signed, or not by whom it must be (403)
            ├── DecryptionRefused … (403)
            └── RuleViolated …      signed, but not for us, not now, or not in answer to us (403)
"""

from __future__ import annotations

from typing import ClassVar


class SSOError(Exception):
    """The root of this package's errors. Every subclass that can be raised has a ``code`` of its own."""

    code: ClassVar[str] = "sso_error"
    status: ClassVar[int] = 500
    public_message: ClassVar[str] = "Something went wrong while signing you in."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.public_message)
        self.detail = detail or self.public_message


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


# Requests and messages that we don't act on


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


class Misdirected(BadRequest):
    """A request for a protected path under another host name than that of ``base_url``."""

    code = "misdirected"
    status = 421


class PageNotFound(BadRequest):
    code = "page_not_found"
    status = 404
    public_message = "There is no such page."


class FramedRequest(BadRequest):
    """ACS and finish don't act inside a frame (clickjacking, login CSRF)."""

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


class LoginRefused(Refused):
    code = "login_refused"


class UnknownConnection(LoginRefused):
    code = "unknown_connection"
    status = 404
    public_message = "There is no single sign-on under this address."


class ConnectionDisabled(LoginRefused):
    code = "connection_disabled"
    public_message = "Single sign-on is switched off for your organization at the moment."


class UnsolicitedRefused(LoginRefused):
    """An IdP-initiated Response, and this connection's ``idp_initiated`` is ``off``."""

    code = "unsolicited_response"
    public_message = "Please start from this application's own sign-in page."


class UnsolicitedLoop(LoginRefused):
    """The IdP answered our own request with an unsolicited Response again (``idp_initiated = "restart"``)."""

    code = "unsolicited_loop"


class LoginRequestUnknown(LoginRefused):
    """InResponseTo names no login request that we still wait on: unknown, used, or too old."""

    code = "login_request_unknown"
    public_message = "This sign-in has already been used or has taken too long. Please start again."


class PendingLoginUnknown(LoginRefused):
    """``finish`` was called without an outcome waiting for it: reloaded, too late, or without its cookie."""

    code = "pending_login_unknown"
    public_message = "This sign-in has already been used or has taken too long. Please start again."


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


class AttributeMissing(LoginRefused):
    """A required attribute is not in the assertion; the text names it."""

    code = "attribute_missing"
    public_message = "Your identity provider did not send everything that is needed to sign you in."


class EmailOutsideDomains(LoginRefused):
    """The asserted e-mail address is not within the connection's own domains."""

    code = "email_outside_domains"
    public_message = "Your e-mail address does not belong to this organization."


class EmailInvalid(LoginRefused):
    code = "email_invalid"
    public_message = "This is not a usable e-mail address."


class TransientNameId(LoginRefused):
    """A transient NameID and no principal id attribute: nobody could be recognised the next time."""

    code = "transient_name_id"


class ProvisioningRejected(LoginRefused):
    """The host's ``provision`` hook answered ``Reject``."""

    code = "provisioning_rejected"
    public_message = "Your account may not use this application."


class HookFailed(SSOError):
    """A hook of the host's raised, or answered with something it may not; the cause is in the log."""

    code = "hook_failed"
    status = 503
    public_message = "Signing in is not available right now. Please try again in a moment."


# SAML messages. `saml/` raises these and nothing else.


class MessageRefused(Refused):
    code = "message_refused"
