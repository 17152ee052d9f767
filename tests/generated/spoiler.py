"""Change bytes, and the base64 around them, at random: what no tree could hold, or a parser would tidy away."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable
from random import Random
from urllib.parse import quote

SNIPPETS = (
    b"<!-- -->", b"<![CDATA[x]]>", b"<?x y?>", b'<!DOCTYPE x [<!ENTITY e "x">]>', b"&e;", b"&#97;", b"&#0;", b"&amp;",
    b"&#x200B;", b" ", b"\r", b"\r\n", b"\x00", b"\xef\xbb\xbf", b"\xc2\xa0", b"\xff", b"<x/>", b"</x>", b"]]>", b"'",
    b'"', b"xml:space='preserve'",
)  # fmt: skip
IN_TAGS = (
    b' xmlns="urn:mine"', b' xmlns=""', b' xmlns:saml="urn:mine"', b' xmlns:evil="urn:evil"', b' xmlns:ds="urn:mine"',
    b' xmlns:x="1"', b' xml:id="_evil"', b' ID="_evil"', b' Id="_evil"', b' xml:base="https://attacker.example/"',
    b" \n\t", b' xmlns:xs="urn:mine"',
)  # fmt: skip

SpoilBytes = Callable[[Random, bytes], bytes]
SpoilValue = Callable[[Random, str], str]


def spoil(random: Random, xml: bytes, done: list[str]) -> bytes:
    change = random.choice(ON_BYTES)
    done.append(change.__name__)
    return change(random, xml)


def encode(random: Random, xml: bytes, done: list[str]) -> str:
    """The form field: as a rule as it must be."""
    value = base64.b64encode(xml).decode()
    if random.randint(0, 9):
        return value
    change = random.choice(ON_VALUE)
    done.append(change.__name__)
    return change(random, value)


def _place(random: Random, xml: bytes) -> int:
    return random.randint(0, len(xml))


def _slice(random: Random, xml: bytes) -> tuple[int, int]:
    start = _place(random, xml)
    return start, min(len(xml), start + random.choice((1, 2, 8, 40, 400)))


def change_byte(random: Random, xml: bytes) -> bytes:
    at = random.randint(0, max(0, len(xml) - 1))
    return xml[:at] + bytes([random.randint(0, 255)]) + xml[at + 1 :]


def insert_snippet(random: Random, xml: bytes) -> bytes:
    at = _place(random, xml)
    return xml[:at] + random.choice(SNIPPETS) + xml[at:]


def insert_before_text(random: Random, xml: bytes) -> bytes:
    return _after(random, xml, rb">(?=[^<])", random.choice(SNIPPETS))


def insert_in_tag(random: Random, xml: bytes) -> bytes:
    return _after(random, xml, rb"<[\w:]+", random.choice(IN_TAGS))


def _after(random: Random, xml: bytes, pattern: bytes, new: bytes) -> bytes:
    places = [match.end() for match in re.finditer(pattern, xml)]
    at = random.choice(places) if places else 0
    return xml[:at] + new + xml[at:]


def cut_out(random: Random, xml: bytes) -> bytes:
    start, end = _slice(random, xml)
    return xml[:start] + xml[end:]


def repeat(random: Random, xml: bytes) -> bytes:
    start, end = _slice(random, xml)
    return xml[:end] + xml[start:end] + xml[end:]


def cut_off(random: Random, xml: bytes) -> bytes:
    return xml[: _place(random, xml)]


def add_behind(random: Random, xml: bytes) -> bytes:
    return xml + random.choice((b" ", b"\n", b"\r\n\t ", b"<x/>", b"<!---->", b"\x00", b"x", xml))


def add_in_front(random: Random, xml: bytes) -> bytes:
    return random.choice((b" ", b"\n", b"\xef\xbb\xbf", b"<?xml version='1.0'?>", b"<!DOCTYPE x>", b"x")) + xml


def declare(random: Random, xml: bytes) -> bytes:
    """Say an encoding, which may or may not be the one that it is in."""
    said, used = random.choice(("utf-8", "UTF-8", "utf-16", "latin-1", "utf-7")), random.choice(("utf-8", "utf-16"))
    text = f'<?xml version="{random.choice(("1.0", "1.1"))}" encoding="{said}"?>' + xml.decode(errors="replace")
    return text.encode(used, errors="replace")


def by_number(random: Random, xml: bytes) -> bytes:
    """Write one letter of a text as a character reference, which is the same text."""
    places = [match.start() for match in re.finditer(rb"(?<=>)[A-Za-z](?=[^<>]*<)", xml)]
    if not places:
        return xml
    at = random.choice(places)
    return xml[:at] + b"&#x%X;" % xml[at] + xml[at + 1 :]


def change_quotes(random: Random, xml: bytes) -> bytes:
    """Attribute values in single quotes: the same values."""
    return xml if b"'" in xml else xml.replace(b'"', b"'")


def rename_prefix(random: Random, xml: bytes) -> bytes:
    """Another prefix for one namespace everywhere: the same names, and another canonical form."""
    old, new = random.choice((b"saml", b"samlp", b"ds", b"xs")), random.choice((b"s", b"ds", b"saml2"))
    return re.sub(rb"(?<=[</\s:\"])" + old + rb"(?=[:=])", new, xml)


def rename_tag(random: Random, xml: bytes) -> bytes:
    return xml.replace(random.choice((b"Assertion", b"NameID", b"Signature", b"ID=")), random.choice((b"X", b"Id=")), 1)


ON_BYTES: tuple[SpoilBytes, ...] = (
    change_byte, insert_snippet, insert_before_text, insert_in_tag, insert_in_tag, cut_out, repeat, cut_off, add_behind,
    add_in_front, declare, by_number, change_quotes, rename_prefix, rename_tag,
)  # fmt: skip


def break_lines(random: Random, value: str) -> str:
    end = random.choice(("\n", "\r\n", "\t", " "))
    return end.join(value[at : at + 76] for at in range(0, len(value), 76)) + random.choice(("", end))


def change_padding(random: Random, value: str) -> str:
    return value.rstrip("=") + "=" * random.randint(0, 4)


def change_letter(random: Random, value: str) -> str:
    at = random.randint(0, max(0, len(value) - 1))
    return value[:at] + random.choice("ABab09+/=-_%.\x00é\u2028") + value[at + 1 :]


def insert_letter(random: Random, value: str) -> str:
    at = random.randint(0, len(value))
    return value[:at] + random.choice("A=-\x0b\u00a0 %") + value[at:]


def urlsafe(random: Random, value: str) -> str:
    return value.replace("+", "-").replace("/", "_")


def percent(random: Random, value: str) -> str:
    return quote(value, safe="")


def twice(random: Random, value: str) -> str:
    return random.choice((value + value, base64.b64encode(value.encode()).decode()))


def deflate(random: Random, value: str) -> str:
    packer = zlib.compressobj(wbits=-15)
    return base64.b64encode(packer.compress(base64.b64decode(value)) + packer.flush()).decode()


ON_VALUE: tuple[SpoilValue, ...] = (
    break_lines, break_lines, change_padding, change_letter, insert_letter, urlsafe, percent, twice, deflate,
)  # fmt: skip
