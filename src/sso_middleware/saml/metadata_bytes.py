"""Look at the bytes of a metadata document before any parser does, while they go by.

As parsing.py does for a message: UTF-8 and XML 1.0 only; no DTD, entity, CDATA section or processing
instruction. But a document may be 64 MiB here, so it is read in pieces, and none of them is kept.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from ..errors import MetadataUnusable

Document = bytes | Path
"""What somebody supplied, or the file that it is in."""

MAX_BYTES = 5 * 1024 * 1024
"""Of a document about one entity, or a few."""
MAX_AGGREGATE_BYTES = 64 * 1024 * 1024
"""Of one from which an entity is picked by name: eduGAIN's, with a few thousand, is near this."""
_TAGS = {MAX_BYTES: 200_000, MAX_AGGREGATE_BYTES: 4_000_000}
_PIECE = 64 * 1024

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
_DECLARATION = re.compile(
    rb"""<\?xml\s+version=["']1\.0["'](?:\s+encoding=["']([^"']*)["'])?(?:\s+standalone=["'][a-z]*["'])?\s*\?>"""
)
_DECLARATIVE = re.compile(rb"<\?|<!\[|<!--|<!")
_NOT_ALLOWED = {
    b"<?": "a processing instruction",
    b"<![": "a CDATA section",
    b"<!": "a document type or other declaration",
}
_UNFINISHED = re.compile(rb"<(?:!-?)?\Z")
"""What may begin a comment, or something else: only the next piece tells."""
WEB_PAGE = "this is a web page (HTML), not SAML metadata: perhaps a sign-in page, or one that links to the metadata"


@contextmanager
def opened(document: Document, max_bytes: int) -> Iterator[CheckedBytes]:
    """To be read by a parser. Raises OSError for a file that can't be read."""
    with BytesIO(document) if isinstance(document, bytes) else document.open("rb") as source:
        text = CheckedBytes(source, max_bytes)
        text.check_size(len(document) if isinstance(document, bytes) else document.stat().st_size)
        yield text


class CheckedBytes:
    """A document as a file to read. `read` raises MetadataUnusable, in words, before it gives anything doubtful."""

    def __init__(self, source: BinaryIO, max_bytes: int) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._size = 0
        self._tags = 0
        self._head = b""
        self._held_back = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read(self, _size: int = -1) -> bytes:
        """The next piece, of a size of our own; empty at the end."""
        piece = self._source.read(_PIECE)
        self._size += len(piece)
        self.check_size(self._size)
        start = 0
        if not self._head:
            piece, start = self._read_head(piece)
        whole = self._held_back + piece
        self._held_back = b""
        if piece:
            unfinished = _UNFINISHED.search(whole, max(0, len(whole) - 3))
            if unfinished is not None:
                whole, self._held_back = whole[: unfinished.start()], unfinished[0]
        problem = self._encoding_problem(piece) or self._markup_problem(whole, start)
        if problem is not None:
            raise MetadataUnusable(self.in_words(problem))
        # Held back alone, it would look like the end of the document.
        return whole or (self.read() if piece else b"")

    def check_size(self, size: int) -> None:
        """Before anything is read, and again as it is: a file may grow."""
        if size > self._max_bytes:
            hint = "; if many entities are meant to be in it, say the entity_id of yours"
            raise MetadataUnusable(
                f"the metadata has more than {self._max_bytes} bytes{hint if self._max_bytes == MAX_BYTES else ''}"
            )

    def in_words(self, problem: str) -> str:
        if re.search(rb"<(!doctype\s+)?html\b", self._head, re.IGNORECASE):
            return WEB_PAGE
        return f"the metadata is not acceptable XML: {problem}"

    def _read_head(self, piece: bytes) -> tuple[bytes, int]:
        """The first piece from its first element on, and where its XML declaration ends."""
        text = piece.removeprefix(_BYTE_ORDER_MARK).lstrip()  # Entra ID's download begins with the mark
        if not text:
            raise MetadataUnusable("the metadata is empty")
        if text.startswith(_UTF_16):
            raise MetadataUnusable("the metadata is in UTF-16: save it as UTF-8")
        if not text.startswith(b"<"):
            raise MetadataUnusable("this is not XML: SAML metadata starts with <EntityDescriptor")
        self._head = text[:2000]
        declaration = _DECLARATION.match(text)
        if declaration is None and text.startswith(b"<?xml"):
            raise MetadataUnusable(self.in_words("an XML declaration of another version than 1.0"))
        if declaration is not None and (declaration[1] or b"utf-8").lower() != b"utf-8":
            raise MetadataUnusable(self.in_words("an encoding other than UTF-8 is declared"))
        return text, 0 if declaration is None else declaration.end()

    def _encoding_problem(self, piece: bytes) -> str | None:
        if b"\0" in piece:
            return "a NUL"
        try:
            if not piece.isascii() or self._decoder.getstate()[0] or not piece:
                self._decoder.decode(piece, final=not piece)
        except UnicodeDecodeError:
            return "not UTF-8"
        return None

    def _markup_problem(self, text: bytes, start: int) -> str | None:
        # In XML a bare `<` is always markup, in attribute values too: what isn't found here isn't there.
        # Both marks are rare, so most pieces are passed over quickly.
        if (b"!" in text and b"<!" in text) or (b"?" in text and b"<?" in text):
            for match in _DECLARATIVE.finditer(text, start):
                what = _NOT_ALLOWED.get(match[0])
                if what is not None:
                    return what
        self._tags += text.count(b"<")
        most = _TAGS[self._max_bytes]
        return f"more than {most} tags" if self._tags > most else None
