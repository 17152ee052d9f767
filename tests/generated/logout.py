"""Generated attacks on logout messages: query strings that are cut up and joined anew, and forms whose XML is.

The truth is simple here: whoever's query is accepted sent exactly a text that the pinned key signed.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random
from urllib.parse import quote, unquote

from hypothesis import strategies as st
from lxml import etree
from tests.identity_provider import make_signer
from tests.logout_messages import (
    RSA_SHA1,
    LogoutShape,
    deflated,
    honest_request,
    honest_response,
    quote_lower,
    quote_upper,
    sign_query,
    signed_form,
    signed_query,
)

from .messages import MALLORY, SCENE
from .spoiler import encode, spoil
from .surgeon import Patient, operate

SLO_URL = "https://app.example.com/sso/acme/slo"
PINNED = SCENE.idp.signer
ATTACKER = make_signer("the attacker's, for queries")


@dataclass(frozen=True)
class Query:
    """A raw query string, and how it came about."""

    text: str
    done: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """The fields of a form, and how they came about."""

    fields: dict[str, str] = field(repr=False)
    done: tuple[str, ...]


def request(**changes: object) -> LogoutShape:
    return replace(honest_request(issuer=SCENE.idp.entity_id, slo_url=SLO_URL, now=SCENE.now), **changes)  # type: ignore[arg-type]  # fields by name


def response(**changes: object) -> LogoutShape:
    honest = honest_response(
        issuer=SCENE.idp.entity_id, slo_url=SLO_URL, now=SCENE.now, in_response_to=SCENE.request_id or ""
    )
    return replace(honest, **changes)  # type: ignore[arg-type]  # fields by name


@cache
def signed_shapes() -> tuple[LogoutShape, ...]:
    """What the pinned key signed for us, now; the person is one or the other, or the message a response."""
    return (
        request(),
        request(id="_logout-request-2", name_id=MALLORY),
        request(id="_logout-request-3", session_indexes=()),
        response(),
    )


@cache
def genuine_queries() -> tuple[str, ...]:
    return tuple(
        signed_query(shape, PINNED, relay_state=relay_state, quoting=quoting)
        for shape in signed_shapes()
        for relay_state in (None, "state a/b+c é")
        for quoting in (quote_upper, quote_lower)
    )


@cache
def donors() -> tuple[str, ...]:
    """Good for their parts: the attacker's own, one for somebody else, one under SHA-1."""
    return (
        signed_query(request(id="_evil", name_id=SCENE.victim), ATTACKER),
        signed_query(request(id="_evil", name_id=SCENE.victim), ATTACKER, relay_state="x"),
        signed_query(request(id="_elsewhere", destination="https://elsewhere.example/slo"), PINNED),
        signed_query(request(id="_weak"), PINNED, sig_alg=RSA_SHA1),
    )


@cache
def genuine_forms() -> tuple[dict[str, str], ...]:
    return tuple(signed_form(shape, PINNED) for shape in signed_shapes())


# Query strings

Part = list[str]
Cut = Callable[[Random, Part], Part]


def generate_query(random: Random) -> Query:
    done: list[str] = []
    parts = random.choice((*genuine_queries(), *genuine_queries(), *donors())).split("&")
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        cut = random.choice(CUTS)
        done.append(cut.__name__)
        parts = cut(random, parts)
    return Query("&".join(parts), tuple(done))


def drop(random: Random, parts: Part) -> Part:
    gone = random.randrange(len(parts) + 1)
    return [part for at, part in enumerate(parts) if at != gone] or parts


def double(random: Random, parts: Part) -> Part:
    parts = [*parts]
    parts.insert(random.randint(0, len(parts)), random.choice(parts))
    return parts


def reorder(random: Random, parts: Part) -> Part:
    return random.sample(parts, len(parts))


def borrow(random: Random, parts: Part) -> Part:
    """A parameter of another message, beside its like or in its place."""
    part = random.choice(random.choice((*genuine_queries(), *donors())).split("&"))
    name = part.partition("=")[0]
    if random.random() < 0.7:
        return [part if each.startswith(f"{name}=") else each for each in parts]
    return [*parts, part] if random.random() < 0.5 else [part, *parts]


def add(random: Random, parts: Part) -> Part:
    new = random.choice(("RelayState=x", "x=y", "", "Signature=", "SigAlg=", "SAMLEncoding=x", "SAMLResponse=", "&"))
    parts = [*parts]
    parts.insert(random.randint(0, len(parts)), new)
    return parts


def rename(random: Random, parts: Part) -> Part:
    names = ("SAMLRequest", "SAMLResponse", "RelayState", "SigAlg", "Signature", "samlrequest", "SAMLReques%74")
    return _change(random, parts, lambda name, value: f"{random.choice(names)}={value}")


def quote_anew(random: Random, parts: Part) -> Part:
    """The same value, written otherwise: to us another text, which nobody signed."""
    quoting = random.choice((quote_upper, quote_lower, lambda text: quote(text, safe="/+="), lambda text: text))
    return _change(random, parts, lambda name, value: f"{name}={quoting(unquote(value))}")


def change_letter(random: Random, parts: Part) -> Part:
    def change(name: str, value: str) -> str:
        at = random.randint(0, len(value))
        letter = random.choice("Aa0%+=;é\x00")
        return f"{name}={value[:at]}{letter}{value[at + random.randint(0, 1) :]}"

    return _change(random, parts, change)


def edit_message(random: Random, parts: Part) -> Part:
    """Unpack the message, change it, and pack it again."""

    def change(name: str, value: str) -> str:
        if not name.startswith("SAML"):
            return f"{name}={value}"
        try:
            xml = zlib.decompress(base64.b64decode(unquote(value)), -zlib.MAX_WBITS)
        except (ValueError, zlib.error):
            return f"{name}={value}"
        forged = xml.replace(SCENE.email.encode(), SCENE.victim.encode()) if random.random() < 0.5 else xml
        forged = spoil(random, forged, []) if random.random() < 0.5 else forged
        return f"{name}={quote_upper(deflated(forged.decode(errors='replace')))}"

    return [change(*part.partition("=")[::2]) for part in parts]


def change_deflate(random: Random, parts: Part) -> Part:
    """Something behind the stream, or the stream cut off."""

    def change(name: str, value: str) -> str:
        try:
            data = base64.b64decode(unquote(value))
        except ValueError:
            return f"{name}={value}"
        data = random.choice((data + b"x", data[:-1], data * 2, b"x" + data))
        return f"{name}={quote_upper(base64.b64encode(data).decode())}"

    return _change(random, parts, change)


def sign_anew(random: Random, parts: Part) -> Part:
    """Under the attacker's own key, whatever it says by now."""
    unsigned = [part for part in parts if not part.startswith("Signature=")]
    return sign_query("&".join(unsigned), ATTACKER).split("&")


def set_algorithm(random: Random, parts: Part) -> Part:
    more = "http://www.w3.org/2001/04/xmldsig-more#"
    uri = random.choice((RSA_SHA1, more + "rsa-sha512", more + "ecdsa-sha256", more + "hmac-sha256", "", "rsa"))
    return [f"SigAlg={quote_upper(uri)}" if part.startswith("SigAlg=") else part for part in parts]


def other_separators(random: Random, parts: Part) -> Part:
    return [random.choice((";", "%26", "&&", "&amp;")).join(parts)]


def _change(random: Random, parts: Part, change: Callable[[str, str], str]) -> Part:
    at = random.randrange(len(parts))
    name, _, value = parts[at].partition("=")
    return [*parts[:at], change(name, value), *parts[at + 1 :]]


CUTS: tuple[Cut, ...] = (
    drop, double, reorder, borrow, borrow, add, rename, quote_anew, change_letter, edit_message, edit_message,
    change_deflate, sign_anew, set_algorithm, other_separators,
)  # fmt: skip


# Forms


def generate_form(random: Random) -> Form:
    """The surgery of responses, on logout messages; what is grafted onto them is Responses'."""
    ((name, value),) = random.choice(genuine_forms()).items()
    patient = Patient(etree.fromstring(base64.b64decode(value)))
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        operate(random, patient)
    xml = etree.tostring(patient.root)
    if random.randint(0, 3) == 0:
        xml = spoil(random, xml, patient.done)
    field_name = name if random.randint(0, 9) else random.choice(("SAMLRequest", "SAMLResponse"))
    return Form({field_name: encode(random, xml, patient.done)}, tuple(patient.done))


def signed_part(query: str) -> str:
    """What a signature of HTTP-Redirect is over (SAML bindings 3.4.4.1), found as plainly as can be."""
    return re.sub(r"&Signature=[^&]*$", "", query)


def generated_queries() -> st.SearchStrategy[Query]:
    return st.randoms(use_true_random=False).map(generate_query)


def generated_forms() -> st.SearchStrategy[Form]:
    return st.randoms(use_true_random=False).map(generate_form)
