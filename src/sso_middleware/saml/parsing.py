"""The gate: turn what somebody posted into a tree, or refuse it for its form alone.

Nothing here knows a key, a connection or the time, and nothing that passes is believed yet. First
come the bytes, before any parser sees them; then counts, before a tree is built; then one tree, and
on a SAML message the checks of form.py. Whether the message is genuine is response.py's to say.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

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
    NamespaceNotAbsolute,
    ProcessingInstructionNotAllowed,
    RootUnexpected,
    StatusContradicted,
    XmlMalformed,
    XmlTooComplex,
    XmlVersionNotAllowed,
)
from .form import check_form
from .schema import ASSERTIONS, NAMESPACES, STATUS_SUCCESS, Element, attribute_of, name_of, read_time, text_of

MAX_ENCODED = 256 * 1024
"""Characters of SAMLResponse: some ten times the largest honest one (hundreds of groups, encrypted twice)."""

# An honest message has under a hundred elements and a dozen levels; an attribute value is an element.
MAX_ELEMENTS = 5000
MAX_DEPTH = 32
MAX_ATTRIBUTES = 32
"""On one element, namespace declarations included."""

_XML_DECLARATION = re.compile(
    r"""<\?xml\s+version=["']([^"']*)["'](?:\s+encoding=["']([^"']*)["'])?(?:\s+standalone=["'][a-z]*["'])?\s*\?>"""
)
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.")


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
    packed = re.sub(r"[ \t\r\n]+", "", text)
    try:
        decoded = base64.b64decode(packed)
    except ValueError as error:
        raise Base64Invalid("not base64") from error
    # b64decode passes over foreign characters and stray bits: then two texts would mean the same bytes.
    if base64.b64encode(decoded).decode("ascii") != packed:
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
    # lxml keeps all names and namespaces that a thread has read, for as long as the thread lives; and
    # once they are 100 MB, it reads no new one. So whoever makes names up gets a thread that ends.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_parse, xml, _Counter(max_elements, max_depth)).result()


def _parse(xml: bytes, counter: _Counter) -> Element:
    try:
        etree.fromstring(xml, _strict_parser(counter))
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


def _strict_parser(target: _Counter | None = None) -> etree.XMLParser:
    return etree.XMLParser(
        target=cast("etree.ParserTarget | None", target),  # the stubs ask for methods that we have no use for
        resolve_entities=False,  # and there are none: _check_bytes refuses every declaration
        no_network=True,
        load_dtd=False,
        huge_tree=False,  # libxml2's own limits stay on
        remove_comments=True,  # only metadata gets this far with any, and a comment must not split a text
        collect_ids=False,  # elements are never found by ID: see CVE-2025-23369
    )


@dataclass
class _Counter:
    """Sees the document go by, builds nothing, and stops the parser at the first excess."""

    max_elements: int
    max_depth: int
    elements: int = 0
    depth: int = 0

    def start(self, tag: str, attributes: Mapping[str, str], namespaces: Mapping[str, str]) -> None:
        self.elements += 1
        self.depth += 1
        if self.elements > self.max_elements:
            raise XmlTooComplex(f"more than {self.max_elements} elements")
        if self.depth > self.max_depth:
            raise XmlTooComplex(f"elements nested more than {self.max_depth} deep")
        if len(attributes) + len(namespaces) > MAX_ATTRIBUTES:
            raise XmlTooComplex(f"more than {MAX_ATTRIBUTES} attributes on one element")
        # A relative one leaves canonicalisation undefined, and libxml2's comes out empty (CVE-2025-66568).
        if not all(_ABSOLUTE_URI.match(uri) for uri in namespaces.values() if uri):
            raise NamespaceNotAbsolute("a namespace that is no absolute URI")

    def end(self, tag: str) -> None:
        self.depth -= 1

    def close(self) -> None:
        """Nothing was kept."""


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
    """The whole gate, for a message or a part of one (what was signed, what was decrypted)."""
    root = parse_untrusted(xml, max_bytes=MAX_ENCODED, max_elements=MAX_ELEMENTS, max_depth=MAX_DEPTH)
    if name_of(root) != expected_root:
        raise RootUnexpected(f"the root element is not {expected_root}")
    check_form(root)
    return root


def read_envelope(response: Element) -> Envelope:
    issuer = response.find("saml:Issuer", NAMESPACES)
    return Envelope(
        id=attribute_of(response, "ID"),
        in_response_to=response.get("InResponseTo"),
        destination=response.get("Destination"),
        issuer=None if issuer is None else text_of(issuer),
        issue_instant=read_time(attribute_of(response, "IssueInstant")),
        status=_read_status(response),
    )


def _read_status(response: Element) -> Status:
    codes = [attribute_of(code, "Value") for code in response.iterfind("samlp:Status//samlp:StatusCode", NAMESPACES)]
    message = response.find("samlp:Status/samlp:StatusMessage", NAMESPACES)
    return Status(
        code=codes[0],
        sub_code=codes[1] if len(codes) > 1 else None,
        message=None if message is None else text_of(message),
    )
