"""The body of a form as a browser sends it: which fields and files it holds, and the same with some fields renewed.

Everything here is pure. A body that can't be read with certainty is refused (UnsupportedForm), for what
depends on it is whether it may be kept at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote_plus, unquote_plus

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, Preamble

from ..errors import UnsupportedForm

MOST_FIELDS = 2000
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
_LONGEST_BOUNDARY = 70  # RFC 2046 5.1.1


@dataclass(frozen=True, slots=True)
class Part:
    """One field, or one file. A file's content is nobody's business here."""

    name: str
    value: str = field(repr=False)
    """Of a file: empty."""
    file_name: str | None = field(default=None, repr=False)
    """None: a field. Empty: a file that was not chosen."""


@dataclass(frozen=True, slots=True)
class FormBody:
    """A body that was read, and is still there byte for byte."""

    content_type: str
    body: bytes = field(repr=False)
    parts: tuple[Part, ...] = field(repr=False)

    @property
    def fields(self) -> dict[str, str]:
        """Name to value, without the files; of a repeated field the last one."""
        return {part.name: part.value for part in self.parts if part.file_name is None}

    @property
    def field_names(self) -> list[str]:
        """Each once, as they came, with those of chosen files."""
        return list(dict.fromkeys(part.name for part in self.parts if part.file_name != ""))

    @property
    def file_names(self) -> list[str]:
        return [part.file_name for part in self.parts if part.file_name]

    def with_fields(self, renewed: Mapping[str, str]) -> FormBody:
        """With other values for these fields, wherever they stand; none is added. Every other byte stays.

        So the body is cut at its delimiters, not read and written anew: werkzeug's encoder would write
        a name with a quotation mark as two parameters.
        """
        cut = _Multipart(self.content_type, self.body) if _media_type(self.content_type) == MULTIPART else None
        body = _with_urlencoded_fields(self.body, renewed) if cut is None else cut.with_fields(renewed)
        return read_form_body(self.content_type, body)


def read_form_body(content_type: str, body: bytes) -> FormBody:
    """Raises UnsupportedForm for another content type or charset, for bad UTF-8, and for too many fields."""
    media_type = _media_type(content_type)
    if media_type == URLENCODED:
        return FormBody(content_type, body, _read_urlencoded(content_type, body))
    if media_type == MULTIPART:
        return FormBody(content_type, body, _Multipart(content_type, body).parts)
    raise UnsupportedForm("the content type is not that of a form")


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


# application/x-www-form-urlencoded


def _read_urlencoded(content_type: str, body: bytes) -> tuple[Part, ...]:
    if parse_options_header(content_type)[1].get("charset", "utf-8").lower() != "utf-8":
        raise UnsupportedForm("the form's charset is not UTF-8")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError:
        raise UnsupportedForm("the form can't be decoded") from None
    return tuple(Part(name, value) for name, value in pairs)


def _with_urlencoded_fields(body: bytes, renewed: Mapping[str, str]) -> bytes:
    pieces = body.decode("ascii").split("&")
    for index, piece in enumerate(pieces):
        name = piece.partition("=")[0]
        value = renewed.get(unquote_plus(name))
        if value is not None and piece:
            pieces[index] = f"{name}={quote_plus(value)}"
    return "&".join(pieces).encode("ascii")


# multipart/form-data (RFC 7578)


class _Multipart:
    """Read by werkzeug, and cut by us at the delimiters; the two must agree to the byte."""

    def __init__(self, content_type: str, body: bytes) -> None:
        boundary = parse_options_header(content_type)[1].get("boundary", "")
        if not boundary.isascii() or not 0 < len(boundary) <= _LONGEST_BOUNDARY:
            raise UnsupportedForm("the form has no boundary")
        self._delimiter = b"\r\n--" + boundary.encode()
        # RFC 2046 5.1.1: the line break before a delimiter belongs to it; the first one may come without.
        self._pieces = (b"\r\n" + body).split(self._delimiter)
        try:
            read = list(_decode(boundary.encode(), body))
        except (ValueError, RequestEntityTooLarge, AttributeError):  # the last of a part without its line break
            raise UnsupportedForm("the form can't be decoded") from None
        cut = [piece.partition(b"\r\n\r\n")[2] for piece in self._pieces[1:-1]]
        if cut != [data for _, data in read] or not self._pieces[-1].startswith(b"--"):
            raise UnsupportedForm("the form can be read in two ways")
        self.parts = tuple(part for part, _ in read)

    def with_fields(self, renewed: Mapping[str, str]) -> bytes:
        pieces = list(self._pieces)
        for index, part in enumerate(self.parts, start=1):
            value = renewed.get(part.name) if part.file_name is None else None
            if value is not None:
                head, blank_line, _ = pieces[index].partition(b"\r\n\r\n")
                pieces[index] = head + blank_line + value.encode()
        return self._delimiter.join(pieces).removeprefix(b"\r\n")


def _decode(boundary: bytes, body: bytes) -> Iterator[tuple[Part, bytes]]:
    """Each part with its data. Raises ValueError (also of bad UTF-8) and RequestEntityTooLarge."""
    decoder = MultipartDecoder(boundary, max_parts=MOST_FIELDS)
    decoder.receive_data(body)
    decoder.receive_data(None)
    head: Field | File | None = None
    data = bytearray()
    while not isinstance(event := decoder.next_event(), Epilogue):
        if isinstance(event, Preamble):
            continue
        if isinstance(event, Field | File):
            head, data = event, bytearray()
        elif isinstance(event, Data) and head is not None:
            data += event.data
            if not event.more_data:
                yield _part_of(head, bytes(data)), bytes(data)


def _part_of(head: Field | File, data: bytes) -> Part:
    if not isinstance(head.name, str):  # werkzeug gives None where there is none
        raise ValueError("a part has no name")
    if isinstance(head, File):
        return Part(head.name, "", head.filename)
    return Part(head.name, data.decode())


# Names

# Words of a name, as in `user_pin` and `userPin`; and what is unmistakable inside longer ones.
_SECRET_WORDS = {"pass", "pw", "pwd", "pin", "secret", "otp", "totp", "cvv", "cvc", "csc", "mfa", "senha"}
_SECRET_PARTS = re.compile(
    "passw|passphrase|passcode|pincode|kennwort|motdepasse|contrasena|contraseña|wachtwoord|lösenord|"
    "securitycode|verificationcode|onetime|cardnumber|creditcard"
)
_CSRF_PARTS = re.compile("csrf|xsrf|authenticitytoken|requestverificationtoken")


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds what nobody should keep: a password, a one-time code, a card's number."""
    return not _SECRET_WORDS.isdisjoint(_words_of(name)) or bool(_SECRET_PARTS.search("".join(_words_of(name))))


def is_csrf_name(name: str) -> bool:
    """Whether it is a field that no person filled in."""
    return bool(_CSRF_PARTS.search("".join(_words_of(name))))


def _words_of(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[\W\d_]+", apart.casefold()) if word]
