"""The gate, on bytes: what may be posted, and what a tree may be built of."""

from __future__ import annotations

import base64
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from lxml import etree
from tests.saml.conversation import EMAIL, EXPECTED, IDP, NOW, SERVICE_PROVIDER, respond

from sso_middleware.errors import (
    Base64Invalid,
    DeflateInvalid,
    MessageMalformed,
    MessageRefused,
    MessageTooLarge,
    TimeInvalid,
)
from sso_middleware.saml import parsing
from sso_middleware.saml.parsing import (
    MAX_ELEMENTS,
    MAX_ENCODED,
    decode_base64,
    decode_saml_response,
    inflate,
    parse_part,
    parse_signed,
    parse_untrusted,
    read_message,
    read_message_xml,
)
from sso_middleware.saml.schema import read_time


def parse(xml: bytes | str, **changes: int | bool) -> str:
    """`accepted`, or the code of the refusal."""
    limits: dict[str, int] = {"max_bytes": 10_000, "max_elements": 50, "max_depth": 10}
    try:
        parse_untrusted(xml.encode() if isinstance(xml, str) else xml, **{**limits, **changes})  # type: ignore[arg-type]  # mixed options
    except MessageMalformed as error:
        return error.code
    return "accepted"


# Base64 and DEFLATE


def test_base64_may_be_broken_into_lines() -> None:
    """Whitespace is passed over: some identity providers wrap the field at 76 characters."""
    value = base64.encodebytes(b"<a>" + b"x" * 200 + b"</a>").decode()
    assert decode_saml_response(value.replace("\n", "\r\n\t ")) == b"<a>" + b"x" * 200 + b"</a>"


@pytest.mark.parametrize(
    "value",
    [
        "PGEvPg",
        "PGEvPg=",
        "PGEvPg===",
        "PGEvPg==PGEvPg==",
        "PGEv!Pg==",
        "PGEvPh==",
        "PGE_Pg==",
        "PGE-Pg==",
        "PGEvPg\u00a0==",
        "PGEvPgé=",
        "=PGEvPg=",
    ],
    ids=["none", "short", "long", "two", "garbage", "stray bits", "url _", "url -", "nbsp", "non-ascii", "front"],
)
def test_base64_has_one_spelling(value: str) -> None:
    """Whatever another decoder would read as something else is refused (XML-019)."""
    with pytest.raises(Base64Invalid):
        decode_base64(value)


def test_a_long_value_is_refused_before_it_is_decoded() -> None:
    """The cap is on the field as posted, and one character over it is too much (XML-016)."""
    assert len(decode_saml_response("A" * MAX_ENCODED)) == MAX_ENCODED * 3 // 4
    with pytest.raises(MessageTooLarge) as refusal:
        decode_saml_response("!" * (MAX_ENCODED + 1))
    assert refusal.value.status == 413


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def test_a_deflated_message_is_for_redirect_only() -> None:
    """HTTP-POST doesn't deflate (XML-018); what isn't XML at all is just that."""
    with pytest.raises(MessageRefused) as refusal:
        decode_saml_response(base64.b64encode(deflate(b"\n<samlp:Response/>")).decode())
    assert refusal.value.code == "deflated_on_post"
    assert decode_saml_response(base64.b64encode(deflate(b"no xml")).decode()) == deflate(b"no xml")


def test_looking_for_deflate_unpacks_no_bomb() -> None:
    """Of what is posted 64 bytes are unpacked at most: an element that comes later is not looked for (XML-017)."""
    with pytest.raises(MessageRefused) as refusal:
        decode_saml_response(base64.b64encode(deflate(b" " * 63 + b"<a/>")).decode())
    assert refusal.value.code == "deflated_on_post"
    later = deflate(b" " * 64 + b"<a/>")
    assert decode_saml_response(base64.b64encode(later).decode()) == later


def test_inflating_stops_at_the_limit() -> None:
    """Up to the limit it is unpacked, and not one byte further (XML-017)."""
    assert inflate(deflate(b"x" * 1000), limit=1000) == b"x" * 1000
    with pytest.raises(MessageTooLarge):
        inflate(deflate(b"x" * 1001), limit=1000)
    with pytest.raises(MessageTooLarge):
        inflate(deflate(b"x" * 60_000_000), limit=1000)


def test_a_bomb_is_never_unpacked() -> None:
    """What comes after the limit takes no memory, by either binding (CVE-2025-25293, XML-017)."""
    bomb = deflate(b"<" + b" " * 20_000_000)
    posted = base64.b64encode(bomb).decode()
    tracemalloc.start()
    try:
        with pytest.raises(MessageTooLarge):
            inflate(bomb, limit=1000)
        with pytest.raises(MessageRefused):
            decode_saml_response(posted)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("data", [b"", b"\xff", b"<a/>", deflate(b"<a/>")[:-1], deflate(b"<a/>") + b"x"])
def test_inflating_takes_exactly_one_stream(data: bytes) -> None:
    """Nothing is missing, and nothing follows."""
    with pytest.raises(DeflateInvalid):
        inflate(data, limit=1000)


# Bytes


@pytest.mark.parametrize(
    "xml",
    [
        "<a/>",
        '<?xml version="1.0"?><a/>',
        "<?xml version='1.0' encoding='utf-8' standalone='no' ?>\n<a/>",
        '<?xml version="1.0" encoding="UTF-8"?><a>é&#233;&amp;</a>',
        "<a>]]&gt; DOCTYPE ENTITY --</a>",
    ],
)
def test_plain_xml_passes(xml: str) -> None:
    """XML 1.0 in UTF-8, declared or not."""
    assert parse(xml) == "accepted"


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        (b"\xef\xbb\xbf<a/>", "encoding_not_allowed"),
        ("<a/>".encode("utf-16"), "encoding_not_allowed"),
        ("<a/>".encode("utf-16-be"), "encoding_not_allowed"),
        (b"<a>\0</a>", "encoding_not_allowed"),
        (b"<a>\xe9</a>", "encoding_not_allowed"),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?><a/>', "encoding_not_allowed"),
        (b'<?xml version="1.0" encoding="UTF-7"?><a/>', "encoding_not_allowed"),
        (b'<?xml version="1.1"?><a/>', "xml_version_not_allowed"),
        (b'<?xml encoding="UTF-8"?><a/>', "xml_version_not_allowed"),
        (b"<!DOCTYPE a><a/>", "doctype_not_allowed"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "doctype_not_allowed"),
        (b'<a><!ENTITY b "c"></a>', "doctype_not_allowed"),
        (b"<a><![CDATA[b]]></a>", "cdata_not_allowed"),
        (b"<a>b<!-- -->c</a>", "comment_not_allowed"),
        (b"<a><?b c?></a>", "processing_instruction_not_allowed"),
        (b"<a/><?b?>", "processing_instruction_not_allowed"),
        (b' <?xml version="1.0"?><a/>', "processing_instruction_not_allowed"),
        (b"", "xml_malformed"),
        (b"<a>", "xml_malformed"),
        (b"<a/><b/>", "xml_malformed"),
        (b"<a>&b;</a>", "xml_malformed"),
        (b"<p:a/>", "xml_malformed"),
        (b"<a>&#0;</a>", "xml_malformed"),
        (b"PHNhbWxwOlJlc3BvbnNlLz4=", "xml_malformed"),
        (b'<a xmlns:b="c"/>', "namespace_not_absolute"),
        (b'<a><b xmlns="1"/></a>', "namespace_not_absolute"),
    ],
)
def test_anything_else_is_refused_for_what_it_is(xml: bytes, code: str) -> None:
    """Encodings, declarations and all that could hide or split a text (XML-001 to XML-012, XSW-018)."""
    assert parse(xml) == code


def test_a_refusal_quotes_nothing_of_the_document() -> None:
    """libxml2's message would name the element: it stays out of ours."""
    with pytest.raises(MessageMalformed) as refusal:
        parse_untrusted(b"<secret><other></secret>", max_bytes=100, max_elements=9, max_depth=9)
    assert "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_the_parser_itself_would_do_little_that_a_document_asks_for() -> None:
    """Behind the check of the bytes stands a second line: no entity, no endless depth, no element found by its ID."""
    parser = parsing._strict_parser
    root = etree.fromstring('<!DOCTYPE a [<!ENTITY b "c"><!ATTLIST a n ID #IMPLIED>]><a n="x">&b;</a>', parser())
    assert root.text is None
    assert root.xpath("id('x')") == []
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring("<a>" * 300 + "</a>" * 300, parser())


def test_a_comment_is_for_metadata_and_splits_no_text() -> None:
    """Where comments are allowed, the text around one is whole (CVE-2017-11427)."""
    root = parse_untrusted(b"<a>b<!-- <c> -->d</a>", max_bytes=100, max_elements=9, max_depth=9, allow_comments=True)
    assert root.text == "bd"
    assert parse("<a><!-- --><!DOCTYPE b></a>", allow_comments=True) == "doctype_not_allowed"


@pytest.mark.parametrize(
    ("at_the_limit", "beyond"),
    [
        ("<a>" + "x" * 9993 + "</a>", "<a>" + "x" * 9994 + "</a>"),
        ("<a>" + "<b/>" * 49 + "</a>", "<a>" + "<b/>" * 50 + "</a>"),
        ("<a>" * 10 + "</a>" * 10, "<a>" * 11 + "</a>" * 11),
        (attributes := "<a" + "".join(f" b{n}=''" for n in range(32)) + "/>", attributes.replace("/", " c=''/")),
        (f"<a xmlns='u:{'x' * 254}'/>", f"<a xmlns='u:{'x' * 255}'/>"),
        (spaces := "<a" + "".join(f" xmlns:b{n}='u:u'" for n in range(32)) + "/>", spaces.replace("/", " c=''/")),
    ],
    ids=["bytes", "elements", "depth", "attributes", "a namespace", "namespaces"],
)
def test_counts_have_a_limit(at_the_limit: str, beyond: str) -> None:
    """As much as the limit passes, one more does not (XML-014, XML-015)."""
    assert parse(at_the_limit) == "accepted"
    assert parse(beyond) in ("xml_too_complex", "message_too_large")


def test_siblings_are_not_depth() -> None:
    """Depth counts what is open, not what was."""
    assert parse("<a>" + "<b><c/></b>" * 20 + "</a>", max_depth=3) == "accepted"
    for deepest, code in ((5, "accepted"), (6, "xml_too_complex")):
        after_others = "<a>" * 5 + "<b/>" * 9 + "<c>" * deepest + "</c>" * deepest + "</a>" * 5
        assert parse(after_others, max_depth=10) == code


# What is left behind


MADE_UP = (
    b"<name-%d/>",
    b"<a name-%d=''/>",
    b"<prefix-%d:a xmlns:prefix-%d='urn:a'/>",
    b"<a xmlns='urn:namespace-%d'/>",
    b"<samlp:Response xmlns:samlp='urn:oasis:names:tc:SAML:2.0:protocol' name-%d='' other-%d></samlp:Response>",
    b"<a>&entity-%d;</a>",
    b"<a><b name-%d",
    b"<a>&#32;</name-%d>",
)
"""What a parser meets a new name in, well-formed and not."""


def made_up(number: int) -> Iterator[bytes]:
    for template in MADE_UP:
        yield template.replace(b"%d", b"%d" % number)
    blanks = f"{number:032b}".replace("0", " ").replace("1", "\n").encode()
    yield b"<samlp:Response xmlns:samlp='urn:oasis:names:tc:SAML:2.0:protocol'>" + blanks + b"</samlp:Response>"


def refuse_all(numbers: range) -> int:
    """How many names, prefixes, namespaces and blanks stay behind in this thread."""
    before = etree.memory_debugger.dict_size()
    for number in numbers:
        for xml in made_up(number):
            with pytest.raises(MessageMalformed):
                parse_part(xml, "samlp:Response")
    return int(etree.memory_debugger.dict_size() - before)


def in_a_new_thread(function: Callable[[range], int], numbers: range) -> int:
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(function, numbers).result()


def test_made_up_names_use_up_an_allowance_and_then_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """lxml keeps every name that a thread ever reads: no stream of posts that nobody signed may fill the memory."""
    monkeypatch.setattr(parsing, "_allowance", parsing._Allowance(2000))
    assert in_a_new_thread(refuse_all, range(1, 30)) > 0
    assert parsing._allowance.left <= 0
    assert in_a_new_thread(refuse_all, range(100, 150)) == 0
    assert read_message_xml(respond()).envelope.succeeded


def test_an_honest_message_is_charged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its names stay, so that the next one like it brings no new ones; an odd prefix makes no difference."""
    monkeypatch.setattr(parsing, "_allowance", allowance := parsing._Allowance())
    odd = respond().replace(b"samlp:", b"never-seen-before:").replace(b":samlp=", b":never-seen-before=")
    again = odd.replace(EMAIL.encode(), b"bob@acme.example")
    with ThreadPoolExecutor(max_workers=1) as thread:  # of this one nothing was read yet
        thread.submit(read_message_xml, odd).result()
        charged = allowance.left
        assert charged == parsing._Allowance().left - len(odd)
        thread.submit(read_message_xml, again).result()
        assert allowance.left == charged


def test_with_and_without_the_allowance_the_same_is_accepted_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick way and the careful one are one gate."""
    relative = respond().replace(b"<saml:Subject>", b"<saml:Subject xmlns:a='b'>")
    hidden = respond().replace(b"<saml:Subject>", b"""<saml:Subject a="xmlns='" xmlns:a='b'>""")
    deep = respond(extensions_xml="<a>" * 40 + "</a>" * 40)
    wide = respond(extensions_xml="<a" + "".join(f" b{number}=''" for number in range(40)) + "/>")
    declaring = respond(extensions_xml="<a" + "".join(f" xmlns:b{number}='u:u'" for number in range(40)) + "/>")
    long = respond().replace(b"<saml:Subject>", b"<saml:Subject xmlns:a='urn:" + b"a" * 300 + b"'>")
    audiences = "<AudienceRestriction>" + "<Audience/>" * MAX_ELEMENTS + "</AudienceRestriction>"
    many = respond(sign_assertion=False, assertion_prefix="", conditions_inner_xml=audiences)
    assert len(many) < 64 * 1024  # the quick way takes no longer ones
    codes = {
        respond(): "accepted",
        many: "xml_too_complex",
        relative: "namespace_not_absolute",
        hidden: "namespace_not_absolute",
        deep: "xml_too_complex",
        respond(status=("Success", *["urn:x"] * 40)): "xml_too_complex",
        wide: "xml_too_complex",
        declaring: "xml_too_complex",
        long: "xml_too_complex",
        respond() + b"<": "xml_malformed",
    }
    for left in (10**6, 0):
        monkeypatch.setattr(parsing, "_allowance", parsing._Allowance(left))
        assert {xml: gate(xml) for xml in codes} == codes


def gate(xml: bytes) -> str:
    try:
        read_message_xml(xml)
    except MessageMalformed as error:
        return error.code
    return "accepted"


def test_two_parsers_must_agree() -> None:
    """What only expat calls well-formed is refused: here a name longer than libxml2 reads."""
    assert parse(f"<{'a' * 60_000}/>", max_bytes=100_000) == "xml_malformed"


@pytest.mark.parametrize(
    ("canonical", "code"),
    [
        (b"<a", "xml_malformed"),
        (b"<saml:NameID xmlns:saml='urn:oasis:names:tc:SAML:2.0:assertion'/>", "root_unexpected"),
        (b"<Assertion xmlns='urn:oasis:names:tc:SAML:2.0:assertion'/>", "attribute_required"),
        (b"<Assertion xmlns='urn:oasis:names:tc:SAML:2.0:assertion'><!-- --></Assertion>", "comment_not_allowed"),
    ],
)
def test_what_was_signed_goes_through_the_gate_too(canonical: bytes, code: str) -> None:
    """A signature makes nothing well-formed."""
    with pytest.raises(MessageMalformed) as refusal:
        parse_signed(canonical, "saml:Assertion")
    assert refusal.value.code == code


# Messages


def test_the_envelope_says_what_the_response_says_of_itself() -> None:
    """All that a flow needs in order to find the login request and the connection."""
    message = read_message(base64.b64encode(respond(response_id="_one")).decode())
    envelope = message.envelope
    assert (envelope.id, envelope.in_response_to) == ("_one", EXPECTED.request_id)
    assert (envelope.destination, envelope.issuer) == (SERVICE_PROVIDER.acs_url, IDP.entity_id)
    assert envelope.issue_instant == NOW
    assert envelope.succeeded
    assert EMAIL not in repr(message)


def test_what_is_absent_is_none() -> None:
    """An unsolicited Response without Destination and Issuer."""
    envelope = read_message_xml(respond(request_id=None, destination=None, response_issuer=None)).envelope
    assert (envelope.in_response_to, envelope.destination, envelope.issuer) == (None, None, None)


def test_a_failure_says_why() -> None:
    """The codes from the outside in, and the identity provider's own words."""
    failure = respond(status=("Responder", "NoPassive"), status_message="<b>no</b> session", has_assertion=False)
    envelope = read_message_xml(failure).envelope
    assert not envelope.succeeded
    prefix = "urn:oasis:names:tc:SAML:2.0:status:"
    assert (envelope.status.code, envelope.status.sub_code) == (prefix + "Responder", prefix + "NoPassive")
    assert envelope.status.message == "<b>no</b> session"
    assert "session" not in repr(envelope)
    bare = read_message_xml(respond(status=("Requester",), has_assertion=False)).envelope.status
    assert (bare.sub_code, bare.message) == (None, None)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"status": ("Responder",)}, "status_contradicted"),
        ({"has_assertion": False}, "assertion_missing"),
    ],
)
def test_status_and_assertion_go_together(changes: dict[str, object], code: str) -> None:
    """Success comes with an assertion, and nothing else does (PRO-038)."""
    with pytest.raises(MessageMalformed) as refusal:
        read_message_xml(respond(**changes))
    assert refusal.value.code == code


def test_only_a_response_is_read() -> None:
    """Any other root is refused by name (PRO-050)."""
    with pytest.raises(MessageMalformed) as refusal:
        read_message_xml(respond().replace(b"samlp:Response", b"samlp:LogoutResponse"))
    assert refusal.value.code == "root_unexpected"


# Times


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00.5Z", datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-03-01T12:00:00.1234567Z", datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-03-01T14:00:00+02:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T06:30:00.000-05:30", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-02-28T24:00:00Z", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-02-28T24:00:00.000+01:00", datetime(2026, 2, 28, 23, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_utc(text: str, time: datetime) -> None:
    """With Z or an offset, and any number of digits of a second (PRO-052)."""
    assert read_time(text) == time
    assert read_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-01T12:00:00",
        "2026-03-01",
        "2026-03-01 12:00:00Z",
        " 2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00Z\n",
        "2026-02-30T12:00:00Z",
        "2026-03-01T12:00:60Z",
        "2026-03-01T24:00:01Z",
        "2026-03-01T24:00:00.001Z",
        "9999-12-31T24:00:00Z",
        "2026-03-01T12:00:00.Z",
        "2026-03-01T12:00:00+99:00",
        "0001-01-01T00:00:00+02:00",
        "-2026-03-01T12:00:00Z",
        "20260301T120000Z",
        "٢٠٢٦-03-01T12:00:00Z",
        "2026-03-01T12:00:00z",
    ],
)
def test_any_other_time_is_refused(text: str) -> None:
    """No zone could be any zone; what doesn't exist isn't moved to what does."""
    with pytest.raises(TimeInvalid):
        read_time(text)
