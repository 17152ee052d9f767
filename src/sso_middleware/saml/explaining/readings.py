"""For each check that can be looked at: what came, what was expected, and what the difference is known to mean.

A reading is a service, not a verdict: it is of what the message says of itself, verified or not. So
one that doesn't fit is told as "would fail too", and everything that is wrong is told at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..parties import SIGNATURE_ALGORITHM_NAMES, Expected, ServiceProvider, Trust
from ..rules import MAX_AGE
from .glimpse import Glimpse, SeenSignature, fingerprint_of_pem
from .wording import clean, clock, differences, duration, shown, shown_all


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the message was, or is to be, judged by; what isn't known is None, and not judged."""

    now: datetime
    trust: Trust | None = None
    service_provider: ServiceProvider | None = None
    expected: Expected | None = None
    is_request_known: bool = False
    """Whether `expected` (None: nobody asked) is what we know, and not what the message says."""
    issuers: Mapping[str, str] = field(default_factory=dict)
    """Entity id to connection id, of all connections: another organization's may have been used."""
    is_signature_invalid: bool = False
    """Whether one is known not to verify, whatever the message was refused for."""


@dataclass(frozen=True, slots=True)
class Reading:
    came: str
    expected: str
    fits: bool | None = None
    """None: can't be told from here."""
    hints: tuple[str, ...] = ()


# What else is sent to the ACS, and what that means.
KINDS = {
    "LogoutResponse": "an answer to a sign-out came to the address for sign-ins: the identity provider must have our"
    " single logout address for that, or none",
    "LogoutRequest": "a sign-out came to the address for sign-ins: the identity provider must have our single logout"
    " address for that, or none",
    "AuthnRequest": "this is a request to sign in, not the answer to one: what belongs here is the form that the"
    " identity provider has the browser send",
    "Assertion": "an assertion without the Response around it: the identity provider must use the web browser profile",
    "EntityDescriptor": "this is metadata, not a message",
    "EntitiesDescriptor": "this is metadata, not a message",
}


def read_kind(glimpse: Glimpse, _: Circumstances) -> Reading:
    hint = KINDS.get(glimpse.kind)
    return Reading(clean(glimpse.kind), "Response", glimpse.kind == "Response", (hint,) if hint else ())


def read_signature_form(glimpse: Glimpse, _: Circumstances) -> Reading:
    came = ", ".join(f"one in {clean(signature.on)}" for signature in glimpse.signatures) or "none"
    last = any(signature.is_last for signature in glimpse.signatures)
    hint = (
        "a Signature is the last child of its element. The SAML schema has it directly after Issuer: this is a fault"
        " of the identity provider's software, which its maker must mend"
    )
    return Reading(came, "each directly after Issuer, over its own parent", hints=(hint,) if last else ())


def read_algorithm(glimpse: Glimpse, circumstances: Circumstances) -> Reading:
    trust = circumstances.trust
    allowed: set[str] = set(SIGNATURE_ALGORITHM_NAMES if trust is None else trust.signature_algorithms)
    if trust is not None and trust.sha1_until is not None and circumstances.now < trust.sha1_until:
        allowed |= {"rsa-sha1", "ecdsa-sha1", "sha1"}
    used = {_fragment(signature.algorithm) for signature in glimpse.signatures if signature.algorithm}
    digests = {_fragment(signature.digest) for signature in glimpse.signatures if signature.digest}
    names = dict.fromkeys((*sorted(used), *sorted(digests)))
    hints = ("SHA-1 is no longer safe: choose RSA with SHA-256 at the identity provider",) if _has_sha1(names) else ()
    fits = used <= allowed and digests <= allowed | {"sha256", "sha384", "sha512"}
    return Reading(", ".join(map(clean, names)) or "none", f"one of {', '.join(sorted(allowed))}", fits, hints)


def _fragment(uri: str) -> str:
    return uri.rpartition("#")[2]


def _has_sha1(names: Iterable[str]) -> bool:
    return any(name.endswith("sha1") for name in names)


def read_login_request(glimpse: Glimpse, circumstances: Circumstances) -> Reading | None:
    if not circumstances.is_request_known:
        return None
    expected = None if circumstances.expected is None else circumstances.expected.request_id
    values = tuple(value or None for value in glimpse.in_response_to)
    hints: tuple[str, ...] = ()
    if expected is None and any(values):
        hints = (
            "it answers a request that we don't wait on: used already, older than `login_timeout`, of another"
            " installation or database, or made up",
        )
    return Reading(
        shown_all(values),
        "none, for nothing was asked" if expected is None else shown(expected),
        all(value == expected for value in values),
        hints,
    )


_ROLLED_OVER = (
    "signed with a certificate that is not pinned: the identity provider's may have been changed (rolled over). Take"
    " its current metadata from its own admin, never the certificate out of a message; if nothing changed there, this"
    " is a forgery"
)


def read_signature(glimpse: Glimpse, circumstances: Circumstances) -> Reading | None:
    if circumstances.trust is None:
        return None
    provider = circumstances.trust.identity_provider
    pinned = [fingerprint_of_pem(key.certificate) for key in provider.keys]
    seen = [certificate.fingerprint for signature in glimpse.signatures for certificate in signature.certificates]
    is_unknown = any(_is_unknown(signature, pinned) for signature in glimpse.signatures)
    hint = None
    if is_unknown and provider.entity_id in glimpse.issuers:
        hint = _ROLLED_OVER
    elif circumstances.is_signature_invalid and seen and not is_unknown:
        hint = "a pinned certificate is in the message, but its key did not sign it: it was changed, or put together"
    return Reading(
        f"certificate whose SHA-256 begins {shown_all(seen)}"
        if seen
        else "no certificate in the message (none is needed)",
        f"the key of a pinned certificate, whose SHA-256 begins {shown_all(pinned)}",
        False if is_unknown or circumstances.is_signature_invalid else None,
        (hint,) if hint else (),
    )


def _is_unknown(signature: SeenSignature, pinned: Iterable[str]) -> bool:
    seen = {certificate.fingerprint for certificate in signature.certificates}
    return bool(seen) and seen.isdisjoint(pinned)


_CBC_HINT = (
    "AES-CBC in a Response that is not signed, as Entra ID sends it by default: anybody could change the ciphertext."
    ' Let the identity provider sign the Response too ("Sign SAML response and assertion"), or use AES-GCM'
)
_EXPECTED_ENCRYPTION = {
    "off": "not encrypted (`encryption` is off)",
    "optional": "AES-GCM with RSA-OAEP, or AES-CBC in a signed Response",
    "required": "encrypted: AES-GCM with RSA-OAEP, or AES-CBC in a signed Response",
}


def read_encryption(glimpse: Glimpse, circumstances: Circumstances) -> Reading | None:
    if circumstances.trust is None:
        return None
    wanted = circumstances.trust.encryption
    names = [name.rpartition("#")[2] for name in glimpse.encryption or ()]
    is_open_to_change = any(name.endswith("-cbc") for name in names) and not glimpse.is_signed("Response")
    fits: bool | None = None
    if glimpse.encryption is None:
        fits = wanted != "required" or not glimpse.has_assertion
    elif wanted == "off" or (is_open_to_change and not glimpse.has_assertion):
        fits = False
    hints = (_CBC_HINT,) if is_open_to_change and not glimpse.has_assertion else ()
    came = "nothing encrypted" if glimpse.encryption is None else shown_all(names)
    return Reading(came, _EXPECTED_ENCRYPTION[wanted], fits, hints)


_EXPECTED_SIGNATURES = {
    "either": "the Response or the Assertion signed",
    "assertion": "the Assertion signed",
    "response": "the Response signed",
    "both": "the Response and the Assertion signed",
}


def read_coverage(glimpse: Glimpse, circumstances: Circumstances) -> Reading | None:
    if circumstances.trust is None:
        return None
    wanted = circumstances.trust.signed
    response, assertion = glimpse.is_signed("Response"), glimpse.is_signed("Assertion")
    enough = {"either": response or assertion, "assertion": assertion, "response": response}
    is_enough = enough.get(wanted, response and assertion)
    came = " and ".join(name for name, is_signed in (("Response", response), ("Assertion", assertion)) if is_signed)
    # Of an encrypted assertion nobody sees from outside whether it is signed.
    is_visible = glimpse.has_assertion or (wanted in ("response", "both") and not response)
    return Reading(f"{came or 'nothing'} signed", _EXPECTED_SIGNATURES[wanted], is_enough if is_visible else None)


def read_issuer(glimpse: Glimpse, circumstances: Circumstances) -> Reading | None:
    if circumstances.trust is None:
        return None
    expected = circumstances.trust.identity_provider.entity_id
    hints = differences(glimpse.issuers, expected)
    others = {circumstances.issuers[issuer] for issuer in glimpse.issuers if issuer in circumstances.issuers}
    if expected not in glimpse.issuers:
        hints += tuple(f"this is the identity provider of connection {other!r}" for other in sorted(others))
    fits = all(issuer == expected for issuer in glimpse.issuers)
    return Reading(shown_all(glimpse.issuers), shown(expected), fits, hints)


def read_destination(glimpse: Glimpse, circumstances: Circumstances) -> Reading | None:
    provider = circumstances.service_provider
    if provider is None:
        return None
    came = glimpse.destination
    fits = came == provider.acs_url or (came is None and not glimpse.is_signed("Response"))
    return Reading(shown(came), shown(provider.acs_url), fits, _hints_on_addresses((came,), provider.acs_url, provider))


def read_recipient(glimpse: Glimpse, circumstances: Circumstances) -> Reading | None:
    provider = circumstances.service_provider
    if provider is None or not glimpse.recipients:
        return None
    hints = _hints_on_addresses(glimpse.recipients, provider.acs_url, provider)
    fits = provider.acs_url in glimpse.recipients
    return Reading(shown_all(glimpse.recipients), shown(provider.acs_url), fits, () if fits else hints)


def read_audience(glimpse: Glimpse, circumstances: Circumstances) -> Reading | None:
    provider = circumstances.service_provider
    if provider is None or not glimpse.has_assertion:
        return None
    named = [audience for restriction in glimpse.audiences for audience in restriction]
    fits = bool(glimpse.audiences) and all(provider.entity_id in restriction for restriction in glimpse.audiences)
    hints = () if fits else _hints_on_addresses(named, provider.entity_id, provider)
    return Reading(shown_all(named), shown(provider.entity_id), fits, hints)


def _hints_on_addresses(came: Iterable[str | None], expected: str, provider: ServiceProvider) -> tuple[str, ...]:
    came = tuple(came)
    other = {provider.acs_url: "our ACS address", provider.entity_id: "our entity id"}
    swapped = tuple(f"this is {name}: two fields are mixed up" for url, name in other.items() if url in came)
    return differences(came, expected) + (() if expected in came else swapped)


def read_times(glimpse: Glimpse, circumstances: Circumstances) -> Reading:
    now, leeway = circumstances.now, timedelta(0) if circumstances.trust is None else circumstances.trust.leeway
    hints = tuple(dict.fromkeys((*_early(glimpse, now, leeway), *_late(glimpse, circumstances, leeway))))
    told = [
        *(f"issued {clock(moment)}" for moment in glimpse.issue_instants),
        *(f"valid from {clock(moment)}" for moment in glimpse.not_before),
        *(f"valid until {clock(moment)}" for moment in glimpse.not_on_or_after),
    ]
    expected = f"it is {clock(now)}, give or take {duration(leeway)}"
    return Reading("; ".join(dict.fromkeys(told)) or "no times", expected, not hints, hints)


def _early(glimpse: Glimpse, now: datetime, leeway: timedelta) -> Iterable[str]:
    for moment in glimpse.issue_instants:
        if moment - now > leeway:
            yield f"the identity provider's clock is {duration(moment - now)} ahead of ours: set both by a time server"
    for moment in glimpse.not_before:
        if moment - now > leeway:
            yield f"it becomes valid {duration(moment - now)} from now: the identity provider's clock is ahead of ours"


def _late(glimpse: Glimpse, circumstances: Circumstances, leeway: timedelta) -> Iterable[str]:
    now, expected = circumstances.now, circumstances.expected
    for moment in glimpse.issue_instants:
        if now - moment >= MAX_AGE + leeway:
            yield f"the message is {duration(now - moment)} old: a saved copy, a page left open, or a slow clock"
        if expected is not None and expected.issued_at - moment > leeway:
            yield (
                f"it was issued {duration(expected.issued_at - moment)} before our request: an older answer, or the"
                " identity provider's clock is behind ours"
            )
    for moment in glimpse.not_on_or_after:
        if now - moment >= leeway:
            yield f"it expired {duration(now - moment)} ago"


def read_session_end(glimpse: Glimpse, circumstances: Circumstances) -> Reading | None:
    ends = glimpse.session_ends
    if not ends:
        return None
    return Reading(
        f"the session ends {clock(min(ends))}",
        f"later than {clock(circumstances.now)}",
        all(circumstances.now < end for end in ends),
    )


def read_authn_context(glimpse: Glimpse, circumstances: Circumstances) -> Reading | None:
    wanted = () if circumstances.trust is None else circumstances.trust.authn_contexts
    if not glimpse.has_assertion:
        return None
    fits = not wanted or all(context in wanted for context in glimpse.authn_contexts or ("",))
    return Reading(shown_all(glimpse.authn_contexts), shown_all(wanted) if wanted else "any", fits)


def read_name_id(glimpse: Glimpse, _: Circumstances) -> Reading | None:
    if not glimpse.has_assertion:
        return None
    hint = "the NameID is there and empty: what the identity provider takes it from has no value for this person"
    came = f"{glimpse.name_id}, of the format {shown((glimpse.name_id_format or 'unspecified').rpartition(':')[2])}"
    fits = {"present": True, "encrypted": None}.get(glimpse.name_id, False)
    return Reading(came, "a NameID with a value", fits, (hint,) if glimpse.name_id == "empty" else ())


# SAML core 3.2.2.2, from the inside out: the first that is known says most.
STATUS_WORDS = {
    "NoPassive": "the person was not signed in at the identity provider, and we had asked it to show no page",
    "AuthnFailed": "the person could not sign in at the identity provider",
    "RequestDenied": "the identity provider does not let this person use this app: mostly nobody assigned them to it",
    "NoAuthnContext": "the identity provider can't do the kind of sign-in that was asked for",
    "UnknownPrincipal": "the identity provider does not know the person",
    "InvalidNameIDPolicy": "the identity provider can't send the NameID format that was asked for (`name_id_format`)",
    "RequestUnsupported": "the identity provider does not support such a request",
    "VersionMismatch": "the identity provider does not speak SAML 2.0 here",
    "Requester": "the identity provider finds a fault in our request: does it know our entity id, ACS and certificate?",
    "Responder": "the identity provider had a fault of its own: its log says more",
}


def read_identity(glimpse: Glimpse, _: Circumstances) -> Reading | None:
    if not glimpse.has_assertion:
        return None
    names = ", ".join(f"{clean(name, 80)} ({count})" for name, count in glimpse.attributes) or "none"
    domains = ", ".join(glimpse.email_domains) or "none"
    return Reading(clean(f"e-mail domain {domains}; attributes {names}", 600), _EXPECTED_IDENTITY)


_EXPECTED_IDENTITY = "an e-mail address of the connection's own domains, and every required attribute by its exact name"


def read_status(glimpse: Glimpse, _: Circumstances) -> Reading:
    tails = [code.rpartition(":")[2] for code in glimpse.status]
    known = [STATUS_WORDS[tail] for tail in reversed(tails) if tail in STATUS_WORDS]
    said = f", in its own words {shown(glimpse.status_message)}" if glimpse.status_message else ""
    came = " / ".join(clean(tail) for tail in tails) or "no Status"
    return Reading(came + said, "Success", not glimpse.is_failure, tuple(known[:1]) if glimpse.is_failure else ())
