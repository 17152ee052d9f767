"""Which values stand in the few fields that matter of a form, or of a JSON object, that is meant for the host.

Everything here is pure. The host reads the same bytes after us, by a reader that we don't know: what two
readers could take differently is refused, never passed. Whose address it is, is `interception`'s to ask.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from urllib.parse import parse_qsl

from ..errors import InterceptedBodyUnreadable, InterceptedFieldAmbiguous, UnsupportedForm
from .form_bodies import MOST_FIELDS, MULTIPART, URLENCODED, read_form_body

JSON = "application/json"
Pairs = Iterable[tuple[str, object]]

_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")
_CHARSET = re.compile(r'charset=(utf-8|"utf-8")')
_BOUNDARY = re.compile(r'boundary=("[^"\\]*"|[^"\\\s]+)')
# The head of a part as browsers and plain clients write it: one name, at most one file name, no way of encoding.
_DISPOSITION = re.compile(
    rb'content-disposition: *form-data; *name=(?:"[^"\\\r\n]*"|[a-z0-9_.-]+)(; *filename="[^"\\\r\n]*")?', re.IGNORECASE
)
_FURTHER = re.compile(rb"content-length: *[0-9]+|content-transfer-encoding: *(?:7bit|8bit|binary)", re.IGNORECASE)
_TEXT = re.compile(rb'content-type: *text/plain(?:; *charset="?(?:utf-8|us-ascii)"?)?', re.IGNORECASE)
_OF_FILE = re.compile(rb"content-type: *[^\r\n]*", re.IGNORECASE)


def fold(name: str) -> str:
    """Of a field's name: some readers trim it, or don't mind its case."""
    return name.strip().casefold()


def is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == JSON or media_type.endswith("+json")


def read_fields(
    content_types: Sequence[str], body: bytes, query: str, wanted: Collection[str]
) -> dict[str, str | None]:
    """The values of those of the (folded) names that stand in the body or, since some read both alike, in the query.

    Raises InterceptedBodyUnreadable, and InterceptedFieldAmbiguous where a wanted field is there twice.
    """
    fields = _once(_read_query(query), wanted)
    for name, value in _once(_read_body(content_types, body, wanted), wanted).items():
        if fields.setdefault(name, value) != value:
            raise InterceptedFieldAmbiguous("a field says one thing in the body, and another in the query")
    return fields


def _once(pairs: Pairs, wanted: Collection[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, value in pairs:
        folded = fold(name)
        if folded not in wanted:
            continue
        if folded in found:
            raise InterceptedFieldAmbiguous("a field is repeated")
        if value is not None and not isinstance(value, str):
            raise InterceptedFieldAmbiguous("a field is not a text")
        found[folded] = value
    return found


def _read_query(query: str) -> Pairs:
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise InterceptedBodyUnreadable("the query can't be decoded") from None


def _read_body(content_types: Sequence[str], body: bytes, wanted: Collection[str]) -> Pairs:
    if not body:
        return ()
    content_type, media_type = _read_content_type(content_types)
    if is_json(media_type):
        return _read_json(body)
    try:
        form = read_form_body(content_type, body)
    except UnsupportedForm as error:
        raise InterceptedBodyUnreadable(error.detail) from None
    if media_type == MULTIPART:
        _check_heads(content_type, body)
    if any(fold(part.name) in wanted and part.file_name is not None for part in form.parts):
        raise InterceptedFieldAmbiguous("a field is a file")
    pairs = [(part.name, part.value) for part in form.parts if part.file_name is None]
    if any(fold(name) == "_charset_" and value.lower() != "utf-8" for name, value in pairs):
        raise InterceptedBodyUnreadable("a field says that the form is not in UTF-8")
    if media_type == URLENCODED and b";" in body:
        _check_semicolons(content_type, body, pairs, wanted)
    return pairs


def _read_content_type(content_types: Sequence[str]) -> tuple[str, str]:
    """As it came, and the media type. Only what every reader takes alike."""
    if len(content_types) != 1:
        raise InterceptedBodyUnreadable("there is not exactly one content type")
    media_type, *parameters = (part.strip().lower() for part in content_types[0].split(";"))
    if not _MEDIA_TYPE.fullmatch(media_type) or not (media_type in (URLENCODED, MULTIPART) or is_json(media_type)):
        raise InterceptedBodyUnreadable("the content type is not that of a form or of JSON")
    boundaries = [part for part in parameters if _BOUNDARY.fullmatch(part)]
    others = [part for part in parameters if part and part not in boundaries]
    if len(boundaries) != (media_type == MULTIPART) or len(others) > 1 or not all(map(_CHARSET.fullmatch, others)):
        raise InterceptedBodyUnreadable("the content type has a parameter that can be read in two ways")
    return content_types[0], media_type


def _check_semicolons(content_type: str, body: bytes, pairs: Pairs, wanted: Collection[str]) -> None:
    """HTML 4 let `;` stand for `&`, and some readers still do: it must make no difference."""
    parts = read_form_body(content_type, body.replace(b";", b"&")).parts
    if _once(((part.name, part.value) for part in parts), wanted) != _once(pairs, wanted):
        raise InterceptedFieldAmbiguous("a field depends on what a semicolon means")


def _check_heads(content_type: str, body: bytes) -> None:
    """A name given twice, or in RFC 5987's way, and a part in an encoding of its own: readers differ on each."""
    boundary = re.search(r'boundary=("?)([^";]*)\1', content_type, re.IGNORECASE)
    delimiter = b"\r\n--" + (boundary[2] if boundary else "").strip().encode()
    preamble, *pieces = (b"\r\n" + body).split(delimiter)
    if preamble or not re.fullmatch(rb"--(?:\r\n)?", pieces[-1]):
        raise InterceptedBodyUnreadable("something stands before or after the parts of the form")
    for piece in pieces[:-1]:
        head = piece.partition(b"\r\n\r\n")[0]
        before, *lines = head.split(b"\r\n")
        dispositions = [found for line in lines if (found := _DISPOSITION.fullmatch(line))]
        is_file = bool(dispositions and dispositions[0][1])
        types = [line for line in lines if (_OF_FILE if is_file else _TEXT).fullmatch(line)]
        further = [line for line in lines if _FURTHER.fullmatch(line)]
        is_plain = len(dispositions) == 1 and len(types) <= 1
        if before or not is_plain or len(lines) != len(dispositions) + len(types) + len(further):
            raise InterceptedBodyUnreadable("the head of a part can be read in two ways")


def _read_json(body: bytes) -> Pairs:
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_distinct)
    except InterceptedFieldAmbiguous:
        raise
    except (ValueError, RecursionError):
        raise InterceptedBodyUnreadable("the JSON can't be read") from None
    if not isinstance(value, dict):
        raise InterceptedBodyUnreadable("the JSON is not an object")
    return value.items()


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InterceptedFieldAmbiguous("a key of the JSON is repeated")
    return found
