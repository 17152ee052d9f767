"""The checks of the gate, in their order: what is looked at before any key is, and of anybody's message.

`checks` puts them first in the one list of all.
"""

from __future__ import annotations

from ... import errors
from . import readings
from .check import Check, Who

_REPORT = (
    "No honest identity provider sends this. If a real sign-in shows it, its software is at fault: tell its maker."
)

GATE_CHECKS: tuple[Check, ...] = (
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
)
