"""The checks of a sign-in in their order, and for each which refusals are its own and who must act.

Closed: every refusal that a sign-in can end in belongs to exactly one check (tests hold that). The order
is that of the flow: the gate, then whose message it is, signatures, encryption, the rules, the person.
What passes in one check may only be told from the next on: this order never says "passed" too early.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import errors
from ...errors import SSOError
from . import readings
from .check import Check, Who

_REPORT = (
    "No honest identity provider sends this. If a real sign-in shows it, its software is at fault: tell its maker."
)
_BEGIN_AGAIN = "Begin again at the app."

CHECKS: tuple[Check, ...] = (
    # The gate
    Check(
        "request",
        "The request",
        "a form posted to the ACS, with SAMLResponse in it once and no SAMLRequest",
        "Nothing, if a robot sent it. From people: the identity provider must use the binding HTTP-POST, and no proxy"
        " may change or frame the form.",
        {
            Who.IDP: (
                errors.BadRequest,
                errors.MethodNotAllowed,
                errors.BodyTooLarge,
                errors.UnsupportedForm,
                errors.PageNotFound,
                errors.MessageAmbiguous,
                errors.QueryMalformed,
            ),
            Who.HOST: (errors.Misdirected, errors.FramedRequest),
            Who.PERSON: (errors.CsrfMismatch, errors.TooManyAttempts),
        },
        of_flow=True,
    ),
    Check(
        "encoding",
        "Base64 and size",
        "plain base64, at most 256 KiB, not deflated",
        "Let the identity provider post to the ACS (binding HTTP-POST), and send fewer attributes (often: groups) if it"
        " is too large.",
        {Who.IDP: (errors.Base64Invalid, errors.MessageTooLarge, errors.DeflateInvalid, errors.DeflatedOnPost)},
    ),
    Check(
        "xml",
        "Plain XML",
        "one well-formed XML 1.0 document in UTF-8, without DTD, comments, CDATA or processing instructions",
        _REPORT,
        {
            Who.IDP: (
                errors.XmlMalformed,
                errors.EncodingNotAllowed,
                errors.XmlVersionNotAllowed,
                errors.CdataNotAllowed,
            ),
            Who.ATTACK: (
                errors.CommentNotAllowed,
                errors.ProcessingInstructionNotAllowed,
                errors.DoctypeNotAllowed,
                errors.XmlTooComplex,
                errors.NamespaceNotAbsolute,
            ),
        },
    ),
    Check(
        "kind",
        "The kind of message",
        "a Response of SAML 2.0",
        "Give each kind of message its own address at the identity provider, as in our metadata.",
        {Who.IDP: (errors.RootUnexpected, errors.VersionUnsupported)},
        read=readings.read_kind,
    ),
    Check(
        "form",
        "The form",
        "elements, attributes and IDs as the SAML schema has them, and one assertion",
        _REPORT,
        {
            Who.IDP: (
                errors.SchemaViolated,
                errors.AttributeNotAllowed,
                errors.AttributeRequired,
                errors.IdInvalid,
                errors.TimeInvalid,
                errors.TooManyAssertions,
            ),
            Who.ATTACK: (errors.DuplicateId, errors.AssertionMisplaced),
        },
    ),
    Check(
        "signature_form",
        "The form of signatures",
        "each directly after Issuer, over its own parent, enveloped, in exclusive canonical form",
        _REPORT,
        {
            Who.IDP: (
                errors.SignatureMisplaced,
                errors.SignatureMalformed,
                errors.KeyInfoNotAllowed,
                errors.CanonicalizationNotAllowed,
            ),
            Who.ATTACK: (errors.ReferenceNotAllowed, errors.TransformNotAllowed),
        },
        read=readings.read_signature_form,
    ),
    Check(
        "algorithm",
        "Signature algorithms",
        "RSA or ECDSA with SHA-256 or better",
        "Choose RSA with SHA-256 at the identity provider, for the signature and for the digest.",
        {Who.IDP: (errors.AlgorithmNotAllowed,)},
        read=readings.read_algorithm,
    ),
    Check(
        "encryption_form",
        "The form of encrypted data",
        "one EncryptedData with one EncryptedKey, and no reference to anything else",
        _REPORT,
        {
            Who.IDP: (errors.EncryptionMalformed,),
            Who.ATTACK: (errors.EncryptionReferenceNotAllowed,),
        },
    ),
    Check(
        "contents",
        "Status and assertion",
        "an assertion if the Status is Success, none if not",
        _REPORT,
        {Who.IDP: (errors.AssertionMissing, errors.StatusContradicted)},
    ),
    # Whose it is
    Check(
        "login_request",
        "Our request",
        "an answer to a request that we wait on, or to none",
        f"{_BEGIN_AGAIN} If it happens often: do all machines use one database, and is `login_timeout` long enough?",
        {Who.PERSON: (errors.LoginRequestUnknown,)},
        read=readings.read_login_request,
        of_flow=True,
    ),
    Check(
        "connection",
        "The connection",
        "an enabled connection, the one that sent the request",
        "Compare the address with `sso-middleware metadata ID`; each connection has its own at the identity provider.",
        {
            Who.IDP: (errors.UnknownConnection, errors.ConnectionMismatch),
            Who.HOST: (errors.ConnectionDisabled, errors.ConnectionNotReady, errors.NotSetUp),
        },
        of_flow=True,
    ),
    Check(
        "unsolicited",
        "Asked for",
        "an answer to a request of ours, unless `idp_initiated` allows others",
        'Let people start at the app, or set the connection\'s `idp_initiated` to "restart"; the identity provider must'
        " answer our requests with their ID as InResponseTo.",
        {
            Who.HOST: (errors.UnsolicitedRefused,),
            Who.IDP: (errors.UnsolicitedLoop,),
        },
        of_flow=True,
    ),
    # Whether it is genuine
    Check(
        "signature",
        "Signatures",
        "each made by a pinned key of the connection, over what is there",
        "Signed by another key: take the identity provider's current metadata from its admin. Changed since: does a"
        " proxy rewrite bodies? If neither is so, take it for an attack.",
        {
            Who.HOST: (errors.SignatureInvalid,),
            Who.ATTACK: (errors.DigestMismatch, errors.CanonicalizationFailed),
        },
        read=readings.read_signature,
    ),
    Check(
        "encryption",
        "Encryption",
        "as the connection's `encryption` says, with our current key",
        "Let `encryption` of the connection and the identity provider's setting agree, and give its admin our current"
        " metadata, which has the key.",
        {
            Who.IDP: (
                errors.DecryptionFailed,
                errors.EncryptionRequired,
                errors.EncryptionAlgorithmNotAllowed,
                errors.EncryptionNotAuthenticated,
            ),
            Who.HOST: (errors.EncryptionUnexpected,),
        },
        read=readings.read_encryption,
        of_assertion=True,
    ),
    Check(
        "coverage",
        "What is signed",
        "what the connection's `signed` demands",
        "Let the identity provider sign what is demanded, or change the connection's `signed`.",
        {Who.IDP: (errors.ResponseSignatureMissing, errors.AssertionSignatureMissing, errors.SignatureMissing)},
        read=readings.read_coverage,
        of_assertion=True,
    ),
    # Whether it is for us, now, in answer to us
    Check(
        "issuer",
        "Issuer",
        "the entity id of the connection's identity provider",
        "Did the person sign in at the right identity provider, or is its metadata an old one or another app's?",
        {Who.HOST: (errors.IssuerMismatch,)},
        read=readings.read_issuer,
    ),
    Check(
        "destination",
        "Destination",
        "our ACS address, to the letter",
        "The identity provider must have exactly our ACS address (`sso-middleware metadata ID`). Is `base_url` right?",
        {Who.IDP: (errors.DestinationMismatch,)},
        read=readings.read_destination,
    ),
    Check(
        "in_response_to",
        "InResponseTo",
        "the ID of our request, in the Response and in the assertion",
        f"{_BEGIN_AGAIN} If it stays, the identity provider answers another request than the one it was sent.",
        {Who.IDP: (errors.InResponseToMismatch,)},
        read=readings.read_login_request,
    ),
    Check(
        "times",
        "Times",
        "issued just now, and valid",
        f"{_BEGIN_AGAIN} If everybody meets it, set the clocks of both sides by a time server.",
        {
            Who.IDP: (errors.NotYetValid,),
            Who.PERSON: (errors.Stale, errors.Expired),
        },
        read=readings.read_times,
        of_assertion=True,
    ),
    Check(
        "subject",
        "Subject",
        "a Subject with a bearer confirmation that ends",
        "Let the identity provider use the web browser profile of SAML 2.0 (bearer).",
        {Who.IDP: (errors.SubjectMissing, errors.SubjectConfirmationMissing, errors.SubjectConfirmationUnbounded)},
        of_assertion=True,
    ),
    Check(
        "recipient",
        "Recipient",
        "our ACS address, to the letter",
        'Often called "Single sign-on URL" or "Reply URL": exactly our ACS address (`sso-middleware metadata ID`).',
        {Who.IDP: (errors.RecipientMismatch,)},
        read=readings.read_recipient,
        of_assertion=True,
    ),
    Check(
        "conditions",
        "Conditions",
        "conditions that we know",
        "Let the identity provider set the audience, and no conditions of its own.",
        {Who.IDP: (errors.ConditionsMissing, errors.ConditionUnknown)},
        of_assertion=True,
    ),
    Check(
        "audience",
        "Audience",
        "our entity id, to the letter",
        'Often called "Audience URI" or "Identifier" there: exactly our entity id (`sso-middleware metadata ID`).',
        {Who.IDP: (errors.AudienceMismatch,)},
        read=readings.read_audience,
        of_assertion=True,
    ),
    Check(
        "authn",
        "The sign-in at the identity provider",
        "an AuthnStatement, fresh if we asked for that, of a session that goes on",
        "The person signs in there anew; if it stays, its admin looks at the session's length and at ForceAuthn.",
        {
            Who.PERSON: (errors.SessionOver,),
            Who.IDP: (errors.AuthnStatementMissing, errors.AuthnNotFresh),
        },
        read=readings.read_session_end,
        of_assertion=True,
    ),
    Check(
        "authn_context",
        "The way of signing in",
        "one of the connection's `authn_contexts`",
        "Let the identity provider ask for that kind of sign-in for this app (often: a second factor).",
        {Who.IDP: (errors.AuthnContextNotAllowed,)},
        read=readings.read_authn_context,
        of_assertion=True,
    ),
    Check(
        "name_id",
        "NameID",
        "one NameID with a value, for us",
        "Choose at the identity provider what to send as NameID, and see that the person has a value for it.",
        {Who.IDP: (errors.NameIdMissing, errors.NameIdInvalid, errors.NameQualifierMismatch)},
        read=readings.read_name_id,
        of_assertion=True,
    ),
    Check(
        "outcome",
        "The identity provider's answer",
        "that the person signed in",
        "Ask the identity provider's admin, with its own words: mostly the person must be assigned to the app.",
        {Who.IDP: (errors.IdentityProviderFailure, errors.StatusNotSuccess)},
        read=readings.read_status,
    ),
    # Whose login it is, and what may come of it
    Check(
        "replay",
        "Used once",
        "an assertion that was not used before",
        f"{_BEGIN_AGAIN} Mostly a reloaded page; from another address, tell the customer's IT.",
        {Who.PERSON: (errors.AssertionReplayed,)},
        of_assertion=True,
        of_flow=True,
    ),
    Check(
        "browser",
        "The browser",
        "the browser in which the sign-in was begun, with its cookies",
        f"{_BEGIN_AGAIN} If everybody meets it: does a proxy drop our cookies, and do people come by `base_url`?",
        {Who.PERSON: (errors.BrowserMismatch, errors.PendingLoginUnknown)},
        of_flow=True,
    ),
    Check(
        "identity",
        "Who it is",
        "an e-mail address of the connection's own domains, and every required attribute by its exact name",
        "Let the identity provider send the attributes that the connection's `attributes` names, or name those that"
        " it sends; are the connection's `domains` complete?",
        {Who.IDP: (errors.AttributeMissing, errors.EmailOutsideDomains, errors.EmailInvalid, errors.TransientNameId)},
        read=readings.read_identity,
        of_assertion=True,
        of_flow=True,
    ),
    Check(
        "host",
        "The app's own decision",
        "that the app lets the person in",
        "The app's own code decided so; its reason is in the event.",
        {
            Who.HOST: (errors.ProvisioningRejected,),
            Who.PERSON: (errors.HostSessionOfAnother,),
        },
        of_flow=True,
    ),
)

_BY_ERROR = {error: check for check in CHECKS for error in check.causes}


def check_of(error: SSOError | type[SSOError]) -> Check | None:
    """The check that raised this: of the error's own class, or of the nearest one above it."""
    return next((_BY_ERROR[kind] for kind in _lineage(error) if kind in _BY_ERROR), None)


def who_must_act(error: SSOError | type[SSOError]) -> Who | None:
    check = check_of(error)
    if check is None:
        return None
    causes = check.causes
    return next(causes[kind] for kind in _lineage(error) if kind in causes)


def _lineage(error: SSOError | type[SSOError]) -> Iterator[type[SSOError]]:
    kind = error if isinstance(error, type) else type(error)
    return (above for above in kind.__mro__ if issubclass(above, SSOError))
