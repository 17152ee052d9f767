"""The gate: turn what somebody posted into a tree, or refuse it for its form alone.

Nothing here knows a key, a connection or the time, and nothing that passes is believed yet. First
come the bytes, before any parser sees them; then counts, before a tree is built; then one tree, and
on a SAML message the checks of form.py. Whether the message is genuine is response.py's to say.
"""

from __future__ import annotations

import base64
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from xml.etree import ElementTree

from lxml import etree

from ..errors import (
    AssertionMissing,
    Base64Invalid,
    CdataNotAllowed,
    CommentNotAllowed,
    DeflatedOnPost,
    DeflateInvalid,
    DoctypeNotAllowed,
    EncodingNotAllowed,
    MessageTooLarge,
    ProcessingInstructionNotAllowed,
    RootUnexpected,
    StatusContradicted,
    XmlMalformed,
    XmlVersionNotAllowed,
)
from .counting import MAX_ATTRIBUTES, MAX_NAMESPACE, read_words
from .form import check_common_form, check_form
from .schema import (
    ASSERTIONS,
    STATUS_SUCCESS,
    AnyElement,
    Element,
    SignedElement,
    attribute_of,
    child,
    name_of,
    read_time,
    required_child,
    text_of,
)
from .vocabulary import is_familiar

MAX_ENCODED = 256 * 1024
"""Characters of SAMLResponse: some ten times the largest honest one (hundreds of groups, encrypted twice)."""

# An honest message has under a hundred elements and a dozen levels; an attribute value is an element.
MAX_ELEMENTS = 5000
MAX_DEPTH = 32

_XML_DECLARATION = re.compile(
    r"""<\?xml\s+version=["']([^"']*)["'](?:\s+encoding=["']([^"']*)["'])?(?:\s+standalone=["'][a-z]*["'])?\s*\?>"""
)
_BLANKS = b" \t\r\n"
_NO_ELEMENT = re.compile("<[?!]")
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")


# Bytes


def decode_saml_response(value: str) -> bytes:
    """The XML in the form field SAMLResponse (SAML bindings 3.5.4): base64, whitespace allowed.

    Raises MessageTooLarge (413) before decoding, Base64Invalid, DeflatedOnPost.
    """
    if len(value) > MAX_ENCODED:
        raise MessageTooLarge(f"SAMLResponse is longer than {MAX_ENCODED} characters")
    xml = decode_base64(value)
    if _is_deflated(xml):
        raise DeflatedOnPost("SAMLResponse is deflated, which only HTTP-Redirect does (SAML bindings 3.4.4.1)")
    return xml


def decode_base64(text: str) -> bytes:
    """Strict RFC 4648 section 4: one spelling for each value; only XML whitespace is passed over."""
    try:
        packed = text.encode("ascii").translate(None, _BLANKS)
        decoded = base64.b64decode(packed)
    except ValueError as error:
        raise Base64Invalid("not base64") from error
    # b64decode passes over foreign characters and stray bits: then two texts would mean the same bytes.
    if base64.b64encode(decoded) != packed:
        raise Base64Invalid("not the one spelling in base64 of anything")
    return decoded


def inflate(data: bytes, *, limit: int) -> bytes:
    """The one whole raw DEFLATE stream in `data` (HTTP-Redirect only), at most `limit` bytes unpacked.

    Raises MessageTooLarge as soon as there is more (CVE-2025-25293), DeflateInvalid.
    """
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        raise DeflateInvalid("not a DEFLATE stream") from error
    if len(inflated) > limit:
        raise MessageTooLarge(f"more than {limit} bytes once inflated")
    if not unpacker.eof or unpacker.unused_data:
        raise DeflateInvalid("not exactly one DEFLATE stream")
    return inflated


def _is_deflated(data: bytes) -> bool:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, 64).lstrip().startswith(b"<")
    except zlib.error:
        return False


# Any XML from outside, metadata included


def parse_untrusted(
    xml: bytes, *, max_bytes: int, max_elements: int, max_depth: int, allow_comments: bool = False
) -> Element:
    """The root element of a document that nobody vouches for.

    UTF-8 and XML 1.0 only; no DTD, entity, CDATA section or processing instruction; comments only on
    request (never in a message: they split text, CVE-2017-11427); every namespace absolute. Raises a
    MessageMalformed.
    """
    _check_bytes(xml, max_bytes, allow_comments)
    words = read_words(xml, max_elements=max_elements, max_depth=max_depth)
    if is_familiar(xml, words):
        return _parse(xml)
    # lxml keeps every name that a thread has read for as long as the thread lives; once they are 100 MB,
    # it reads no new one. So whoever makes names up gets a thread that ends.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_parse, xml).result()


def _parse(xml: bytes) -> Element:
    try:
        return etree.fromstring(xml, _strict_parser())
    except etree.XMLSyntaxError as error:
        # libxml2's own text may quote the document.
        raise XmlMalformed(f"not well-formed XML (line {error.lineno})") from None


def _check_bytes(xml: bytes, max_bytes: int, allow_comments: bool) -> None:
    if len(xml) > max_bytes:
        raise MessageTooLarge(f"more than {max_bytes} bytes of XML")
    if xml.startswith(_BYTE_ORDER_MARKS) or b"\0" in xml:
        raise EncodingNotAllowed("a byte order mark or NUL")
    try:
        text = xml.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EncodingNotAllowed("not UTF-8") from error
    # In XML a bare `<` is always markup, in attribute values too: what isn't found here isn't there.
    body = _after_declaration(text)
    if _NO_ELEMENT.search(body) is None:
        return
    if "<?" in body:
        raise ProcessingInstructionNotAllowed("a processing instruction")
    if "<![" in body:
        raise CdataNotAllowed("a CDATA section")
    if "<!--" in body and not allow_comments:
        raise CommentNotAllowed("a comment")
    if re.search("<!(?!--)", body):
        raise DoctypeNotAllowed("a document type or other declaration")


def _after_declaration(text: str) -> str:
    if not text.startswith("<?xml"):
        return text
    declaration = _XML_DECLARATION.match(text)
    if declaration is None or declaration[1] != "1.0":
        raise XmlVersionNotAllowed("an XML declaration of another version than 1.0")
    if declaration[2] is not None and declaration[2].lower() != "utf-8":
        raise EncodingNotAllowed("an encoding other than UTF-8 is declared")
    return text[declaration.end() :]


def _strict_parser() -> etree.XMLParser:
    # A second line only: what a document could declare, an external DTD among it, _check_bytes has refused.
    return etree.XMLParser(
        resolve_entities=False,  # and there are none: _check_bytes refuses every declaration
        no_network=True,
        load_dtd=False,
        huge_tree=False,  # libxml2's own limits stay on
        remove_comments=True,  # only metadata gets this far with any, and a comment must not split a text
        collect_ids=False,  # elements are never found by ID: see CVE-2025-23369
    )


# A Response


@dataclass(frozen=True, slots=True)
class Status:
    """SAML core 3.2.2: whether the identity provider did what it was asked, and if not, why."""

    code: str
    sub_code: str | None
    message: str | None = field(repr=False)
    """The identity provider's own words: from outside, to be escaped wherever they are shown."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a Response says of itself. Anyone may have written it: it can only lead to a refusal."""

    id: str
    in_response_to: str | None
    destination: str | None
    issuer: str | None
    issue_instant: datetime
    status: Status

    @property
    def succeeded(self) -> bool:
        """Whether there is an assertion to verify; else there is none, and the Status says why."""
        return self.status.code == STATUS_SUCCESS


@dataclass(frozen=True, slots=True)
class Message:
    """A Response that passed the gate. `element` is for response.py alone: nothing in it is believed yet."""

    envelope: Envelope
    element: Element = field(repr=False)


def read_message(value: str) -> Message:
    """The Response in the form field SAMLResponse (HTTP-POST). Raises a MessageRefused."""
    return read_message_xml(decode_saml_response(value))


def read_message_xml(xml: bytes) -> Message:
    """The Response in this XML. Raises a MessageRefused, as a rule a MessageMalformed."""
    root = parse_part(xml, "samlp:Response")
    envelope = read_envelope(root)
    # SAML profiles 4.1.4.2: an assertion with Success and with nothing else.
    has_assertion = name_of(root[-1]) in ASSERTIONS
    if has_assertion and not envelope.succeeded:
        raise StatusContradicted("an assertion in a Response whose Status is not Success")
    if envelope.succeeded and not has_assertion:
        raise AssertionMissing("no assertion in a Response whose Status is Success")
    return Message(envelope, root)


def parse_part(xml: bytes, expected_root: str) -> Element:
    """The whole gate, for a message or a part of one that was decrypted."""
    root = _parse_common(xml, expected_root)
    if root is None:
        root = parse_untrusted(xml, max_bytes=MAX_ENCODED, max_elements=MAX_ELEMENTS, max_depth=MAX_DEPTH)
        _check_root(root, expected_root)
        if not check_common_form(root, MAX_DEPTH):
            check_form(root)
    return root


_QUICK = 64 * 1024
"""Bytes. Few honest messages are longer, and an unusual one is parsed twice."""


@dataclass(slots=True)
class _Allowance:
    """Bytes of messages that may yet leave names behind in this process: ten times as much memory, at most."""

    left: int = 512 * 1024


_allowance = _Allowance()


def _parse_common(xml: bytes, expected_root: str) -> Element | None:
    """The same for a message with nothing unusual in it, in one go; None if it is for `parse_untrusted` to look at.

    Honest messages bring the same few dozen names each time. One that leaves new ones behind is charged
    for it, and once the allowance is used up, each document is looked through before lxml gets it.
    """
    _check_bytes(xml, MAX_ENCODED, allow_comments=False)
    if _allowance.left <= 0 or len(xml) > _QUICK or xml.count(b"<") > MAX_ELEMENTS or not _has_plain_namespaces(xml):
        return None
    names_kept = etree.memory_debugger.dict_size()
    try:
        root = etree.fromstring(xml, _strict_parser())
    except etree.XMLSyntaxError:
        return None
    finally:
        if etree.memory_debugger.dict_size() > names_kept:
            _allowance.left -= len(xml)
    return root if name_of(root) == expected_root and check_common_form(root, MAX_DEPTH) else None


def _has_plain_namespaces(xml: bytes) -> bool:
    """Few, and all of them absolute. Each `xmlns` counts, wherever it stands, so that none is overlooked."""
    declared = _DECLARED.findall(xml)
    return (
        len(declared) == xml.count(b"xmlns")
        and len(declared) < MAX_ATTRIBUTES // 2
        and all(map(_PLAINLY_ABSOLUTE.fullmatch, set(declared)))
    )


_DECLARED = re.compile(rb"""xmlns(?::[^\s=:"'<]*)?\s*=\s*["']([^"'<]*)""")
_PLAINLY_ABSOLUTE = re.compile(rb"(?=.{0,%d}\Z)(?:[A-Za-z][A-Za-z0-9+.-]*:[^&\s]+)?" % MAX_NAMESPACE)


def _check_root(root: AnyElement, expected: str) -> None:
    if name_of(root) != expected:
        raise RootUnexpected(f"the root element is not {expected}")


def parse_signed(canonical: bytes, expected_root: str) -> SignedElement:
    """What a signature covers, from the bytes whose digest matched, through the same checks of bytes and of form.

    Parsed by expat, which keeps no names. Nothing else makes a SignedElement, and only of it an Assertion is made.
    """
    _check_bytes(canonical, MAX_ENCODED, allow_comments=False)
    try:
        root = ElementTree.fromstring(canonical)  # noqa: S314 - there is no DTD: _check_bytes
    except ElementTree.ParseError as error:
        raise XmlMalformed(f"not well-formed XML (line {error.position[0]})") from None
    _check_root(root, expected_root)
    if not check_common_form(root, MAX_DEPTH):
        check_form(root)
    return root


def read_envelope(response: AnyElement) -> Envelope:
    issuer = child(response, "saml:Issuer")
    return Envelope(
        id=attribute_of(response, "ID"),
        in_response_to=response.get("InResponseTo"),
        destination=response.get("Destination"),
        issuer=None if issuer is None else text_of(issuer),
        issue_instant=read_time(attribute_of(response, "IssueInstant")),
        status=_read_status(response),
    )


def _read_status(response: AnyElement) -> Status:
    status = required_child(response, "samlp:Status")
    code = status[0]  # the table has StatusCode first, and in it at most another
    message = child(status, "samlp:StatusMessage") if len(status) > 1 else None
    return Status(
        code=attribute_of(code, "Value"),
        sub_code=attribute_of(code[0], "Value") if len(code) else None,
        message=None if message is None else text_of(message),
    )
