"""What is fuzzed: each target takes any bytes, and raises where something is wrong with our reading of them.

A refusal is what ought to happen to nearly everything. Wrong is any other exception, and a value that
another reader of the same bytes would not have got.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from random import Random

from lxml import etree
from tests.generated.attacks import generate
from tests.generated.logout import genuine_queries, signed_part
from tests.generated.messages import SCENE, genuine_messages
from tests.generated.spoiler import spoil
from tests.generated.surgeon import Patient, operate
from tests.second_parser import as_expat_reads, as_lxml_reads
from werkzeug.datastructures import Headers

from sso_middleware.errors import InvalidToken, MessageRefused, UnsupportedForm
from sso_middleware.saml.logout import LogoutMessage, read_logout_query
from sso_middleware.saml.parsing import decode_base64, decode_saml_response, inflate, read_message_xml
from sso_middleware.saml.signature import verify_detached
from sso_middleware.tokens import Tokens
from sso_middleware.web import Request, read_form

Mutate = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Target:
    check: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]] = field(repr=False)
    """Where the fuzzer starts from: what is honest, and what nearly is."""
    mutate: Mutate | None = None
    """A change that knows the form, besides those of the fuzzer's own."""


# The gate


def check_gate(xml: bytes) -> None:
    """What passes the gate, expat reads just as lxml does, as it came and in canonical form."""
    try:
        message = read_message_xml(xml)
    except MessageRefused:
        return
    ours = as_lxml_reads(message.element)
    assert as_expat_reads(xml) == ours
    assert as_expat_reads(etree.tostring(message.element, method="c14n", exclusive=True)) == ours


def cut_up(xml: bytes, random: Random) -> bytes:
    """Surgery on the tree, if there is one that bears it; else a change of bytes."""
    try:
        patient = Patient(etree.fromstring(xml))
        operate(random, patient)
        return etree.tostring(patient.root)
    except (etree.LxmlError, ValueError, AssertionError):
        return spoil(random, xml, [])


def messages() -> list[bytes]:
    return [message.xml for message in genuine_messages()]


# Packing


def check_base64(data: bytes) -> None:
    """One text for each value: what is decoded encodes to the same text again, but for whitespace."""
    text = data.decode("latin-1")
    try:
        decoded = decode_base64(text)
    except MessageRefused:
        decoded = None
    if decoded is not None:
        assert base64.b64encode(decoded).decode() == "".join(text.split())
    with suppress(MessageRefused):
        assert decode_saml_response(text) == decoded


def check_inflate(data: bytes) -> None:
    """What is inflated is the whole of one stream, and no longer than the limit."""
    try:
        inflated = inflate(data, limit=10_000)
    except MessageRefused:
        return
    assert len(inflated) <= 10_000
    assert inflated == zlib.decompress(data, -zlib.MAX_WBITS)


def deflated_messages() -> list[bytes]:
    streams = []
    for xml in messages()[:4]:
        for level in (0, 1, 9):
            packer = zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
            streams.append(packer.compress(xml) + packer.flush())
    return streams


# The signature of HTTP-Redirect


def check_query(data: bytes) -> None:
    """A query string whose signature holds is, to the letter, one that the pinned key signed."""
    query = data.decode("latin-1")
    try:
        message = read_logout_query(query)
        _verify_detached(message)
    except MessageRefused:
        return
    assert signed_part(query) in _signed_parts()


def _verify_detached(message: LogoutMessage) -> None:
    detached = message.detached
    assert detached is not None
    verify_detached(
        detached.data,
        detached.value,
        algorithm=detached.algorithm,
        keys=SCENE.idp.describe().keys,
        allow_sha1=False,
    )


@cache
def _signed_parts() -> frozenset[str]:
    return frozenset(signed_part(query) for query in genuine_queries())


# Cookies, tokens, forms

TOKENS = Tokens(
    ["a secret key of at least thirty-two characters", "an older one, which still verifies tokens"], name="app"
)
PAYLOADS = ("", "a", "some payload or other", '{"json": [1, 2]}', "\u00e9\u2028")


@cache
def _our_tokens() -> dict[str, str]:
    return {TOKENS.sign("fuzzing", payload): payload for payload in PAYLOADS}


def check_token(data: bytes) -> None:
    """A token that verifies is one that we signed, to the letter, and says what we said."""
    token = data.decode("latin-1")
    with suppress(InvalidToken):
        assert TOKENS.verify("fuzzing", token) == _our_tokens()[token]


def check_cookies(data: bytes) -> None:
    """Each cookie that is read stands in the header as it is read, and no other of its name says otherwise."""
    header = data.decode("latin-1").translate({0: " ", 10: " ", 13: " "})  # no server lets these pass
    written: dict[str, set[str]] = {}
    for part in header.split(";"):
        name, _, text = part.strip(" \t").partition("=")
        written.setdefault(name, set()).add(text)
    for name, value in _request(header).cookies().items():
        assert value is None or value in written[name]
        assert value is None or (value.isascii() and value.isprintable() and not set(value) & set(' ",;\\'))


def check_form(data: bytes) -> None:
    """A form that is read has each field once."""
    try:
        fields = read_form(_request("", ("Content-Type", "application/x-www-form-urlencoded")), data)
    except UnsupportedForm:
        return
    assert len(fields) <= 20
    assert len(fields) <= data.count(b"&") + 1


def _request(cookies: str, *headers: tuple[str, str]) -> Request:
    return Request(
        method="POST",
        path="/",
        raw_path=None,
        query="",
        headers=Headers([("Cookie", cookies), *headers]),
        scheme="https",
        host="app.example.com",
        client=None,
        native={},
        read_body=lambda limit: b"",
    )


def values() -> list[bytes]:
    return [generate(Random(seed)).value.encode("utf-8", "replace")[:20_000] for seed in range(20)]


TARGETS: dict[str, Target] = {
    "gate": Target(check_gate, messages, cut_up),
    "base64": Target(check_base64, values),
    "inflate": Target(check_inflate, deflated_messages),
    "query": Target(check_query, lambda: [query.encode() for query in genuine_queries()]),
    "token": Target(check_token, lambda: [token.encode() for token in _our_tokens()]),
    "cookies": Target(check_cookies, lambda: [b"a=b; __Host-app-session=x; a=c", b'a="b";a=b', b"\xa0a=b; =c;;d"]),
    "form": Target(check_form, lambda: [b"SAMLResponse=PHg%2B&RelayState=a+b", b"a=b&a=c", b"a;b=%C3%A9", b"=%FF"]),
}
