"""The checks of a sign-in in their order, and for each which refusals are its own and who must act.

Closed: every refusal that a sign-in or a single logout can end in belongs to exactly one check (tests
hold that). The order is that of the flow: the gate (`gate_checks`), then whose message it is, signatures,
encryption, the rules, the person. What passes in one check may only be told from the next on: this order
never says "passed" too early.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import errors
from ...errors import SSOError
from . import readings
from .check import Check, Who
from .gate_checks import GATE_CHECKS

_BEGIN_AGAIN = "Begin again at the app."

CHECKS: tuple[Check, ...] = (
    *GATE_CHECKS,
    # Whose it is
    Check(
        "login_request",
        "Our request",
        "an answer to a request that we wait on, or to none",
        f"{_BEGIN_AGAIN} If it happens often: do all machines use one database, and is `login_timeout` long enough?",
        {Who.PERSON: (errors.LoginRequestUnknown, errors.LogoutRequestUnknown)},
        read=readings.read_login_request,
        of_flow=True,
        closer={
            errors.LogoutRequestUnknown: "Nothing need be done: the person signed out before that was asked. If it"
            " happens often: do all machines use one database, and is `login_timeout` long enough?",
        },
    ),
    Check(
        "connection",
        "The connection",
        "an enabled connection that has metadata, the one that sent the request",
        "Compare the address with `sso-middleware metadata ID`; each connection has its own at the identity provider.",
        {
            Who.IDP: (errors.UnknownConnection, errors.ConnectionMismatch),
            Who.HOST: (
                errors.ConnectionDisabled,
                errors.ConnectionNotReady,
                errors.NotSetUp,
                errors.TestLinkUnknown,
            ),
        },
        of_flow=True,
        closer={
            errors.ConnectionDisabled: "Set the connection's `enabled` to true, or tell its people why not.",
            errors.ConnectionNotReady: "`sso-middleware metadata list` says why nothing usable came from its"
            " `metadata_url`; `sso-middleware metadata refresh ID` tries again at once.",
            errors.NotSetUp: "Add a connection to the settings, and start the app again.",
        },
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
        "Signed by another key: take the identity provider's current metadata from its admin, and start the app again"
        " with it. Changed since: does a proxy rewrite bodies? If neither is so, take it for an attack.",
        {
            Who.HOST: (errors.SignatureInvalid,),
            Who.ATTACK: (errors.DigestMismatch, errors.CanonicalizationFailed),
        },
        read=readings.read_signature,
        closer={
            errors.DigestMismatch: "The key is the right one, and something changed the message on its way: does a"
            " proxy rewrite bodies? If not, take it for an attack.",
        },
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
        closer={
            errors.DecryptionFailed: "Give its admin our current metadata (`sso-middleware metadata ID`): mostly an old"
            " encryption key of ours is used there.",
            errors.EncryptionRequired: "Give its admin our metadata (`sso-middleware metadata ID`), which has the key,"
            " and let assertions be encrypted there; or set the connection's `encryption` to `optional`.",
            errors.EncryptionAlgorithmNotAllowed: "Choose AES-GCM with RSA-OAEP at the identity provider.",
            errors.EncryptionNotAuthenticated: "Let the identity provider sign the Response too, or choose AES-GCM.",
            errors.EncryptionUnexpected: "Set the connection's `encryption` to `optional`, and give the identity"
            " provider's admin our new metadata; or let encryption be switched off there.",
        },
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
        "The identity provider must have exactly our ACS address (`sso-middleware metadata ID`), often called"
        ' "Single sign-on URL" or "Reply URL" there.',
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
        "The identity provider must have exactly our entity id (`sso-middleware metadata ID`), often called"
        ' "Audience URI" or "Identifier" there.',
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
        "an assertion, or a logout request, that was not used before",
        f"{_BEGIN_AGAIN} Mostly a reloaded page; from another address, tell the customer's IT.",
        {Who.PERSON: (errors.AssertionReplayed, errors.LogoutReplayed)},
        of_assertion=True,
        of_flow=True,
        closer={
            errors.LogoutReplayed: "Mostly a reloaded page: nothing need be done. From another address, tell the"
            " customer's IT.",
        },
    ),
    Check(
        "browser",
        "The browser",
        "the browser in which the sign-in was begun, with its cookies",
        f"{_BEGIN_AGAIN} If everybody meets it: does a proxy drop our cookies, and do people come by `base_url`?",
        {Who.PERSON: (errors.BrowserMismatch, errors.PendingLoginUnknown, errors.PendingProfileUnknown)},
        of_flow=True,
    ),
    Check(
        "identity",
        "Who it is",
        "an e-mail address of the connection's own domains, and every required attribute by its exact name",
        "Let the identity provider send the attributes that the connection's `attributes` names, or name those that"
        " it sends; are the connection's `domains` complete?",
        {
            Who.IDP: (
                errors.AttributeMissing,
                errors.AttributeAmbiguous,
                errors.EmailOutsideDomains,
                errors.EmailInvalid,
                errors.TransientNameId,
            )
        },
        read=readings.read_identity,
        of_assertion=True,
        of_flow=True,
        closer={
            errors.AttributeMissing: "Let the identity provider send the attribute, or name the one that it does send"
            " under the connection's `attributes`; names are compared to the letter. If it is not needed, take it out"
            " of `required_attributes`.",
            errors.AttributeAmbiguous: "Let the identity provider send one value of that attribute, or name another"
            " attribute that has one.",
            errors.EmailOutsideDomains: "Is the domain this organization's? Then the operator adds it to the"
            " connection's `domains`. If not, the identity provider must send another address.",
            errors.EmailInvalid: "Let the identity provider send a plain address (name@acme.example) in that attribute,"
            " or name the one that holds it as `attributes.email`.",
            errors.TransientNameId: "Choose a persistent NameID at the identity provider, or name the attribute with a"
            " lasting id as `attributes.principal_id`.",
        },
    ),
    Check(
        "person",
        "Which person it is",
        "one person who is known by that key and those addresses, or nobody",
        "Two people are never made one by a guess. The event names those that it may be, by our ids: `sso-middleware"
        " people show` tells of them, and `people merge` or `people unlink` settles it.",
        {
            Who.HOST: (errors.PersonConflict, errors.UserLinkedTwice),
            Who.IDP: (errors.PrincipalShared,),
        },
        of_flow=True,
    ),
    Check(
        "roles",
        "Roles",
        "with `authorization` on: a value of the roles attribute that is the name of a mapping role",
        "`sso-middleware roles explain CONNECTION --value …` says what follows from which values; names are compared to"
        " the letter.",
        {Who.IDP: (errors.RolesMissing, errors.RolesUnmatched, errors.RolesOverage)},
        of_assertion=True,
        of_flow=True,
        closer={
            errors.RolesMissing: "Put the person into a group that is sent to this app, or let the identity provider"
            " send the attribute that `attributes.roles` of the connection names.",
            errors.RolesUnmatched: "Put the person into a group that is mapped, or add theirs to the connection's"
            " `role_mapping`: `sso-middleware roles show CONNECTION` has the names, which are compared to the letter.",
            errors.RolesOverage: "Let the identity provider send only the groups that are assigned to this app (Entra"
            " ID: Groups assigned to the application), or app roles in their place.",
        },
    ),
    Check(
        "host",
        "The app's own decision",
        "that the app lets the person in",
        "The app's own code decided so; its reason is in the event.",
        {
            Who.HOST: (errors.ProvisioningRejected, errors.InvitationNeeded, errors.NotATestUser),
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
