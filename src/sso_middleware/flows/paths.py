"""Which paths are protected, and where a person may be sent back to. Pure rules over strings."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from ..setting_rules import is_below, plain_form
from ..settings import InterceptSettings, Settings
from ..web import Request

Access = Literal["protected", "public"]

# What servers, proxies and frameworks read differently, so that one of them could see another path
# (WEB-010): empty and dot segments, path parameters, backslashes, NUL and other controls, bytes that
# were not UTF-8, and an escape that is still there after decoding once.
_AMBIGUOUS = re.compile(r"//|/\.{1,2}(?:/|$)|[;\\\x00-\x1f\x7f\ufffd]|%(?:2e|2f|5c|25|3b|00)", re.IGNORECASE)
_ENCODED_SEPARATOR = re.compile(r"%(?:2f|5c|00)", re.IGNORECASE)
_UNSAFE_IN_TARGET = re.compile(r"[\\\x00-\x20\x7f]")
_UNESCAPED = re.compile(r"[\\\x80-\xff]")
_SAFE_IN_PATH = "/:@!$&'()*+,;=-._~"
_CONTROLS = re.compile(r"[\x00-\x20\x7f\ufffd]")
MAX_RETURN_TO = 2048


def is_ambiguous(path: str, raw_path: str | None) -> bool:
    """Whether somebody behind us might read this path as another one; such a path is never public."""
    return bool(_AMBIGUOUS.search(path) or (raw_path and _ENCODED_SEPARATOR.search(raw_path)))


def access_of(settings: Settings, path: str, raw_path: str | None) -> Access:
    """`public` wins over `protect`; what can be read in two ways is protected.

    A public path must match to the letter; a protected one matches in any case, since a host's
    router may not mind the case.
    """
    if is_ambiguous(path, raw_path):
        return "protected"
    if is_below(path, *settings.public):
        return "public"
    protected = is_below(path.casefold(), *(prefix.casefold() for prefix in settings.protect))
    return "protected" if protected else "public"


def intercepted_at(settings: Settings, path: str, raw_path: str | None) -> InterceptSettings | None:
    """The form of the host's that is posted to this path, or to what somebody behind us might read it as."""
    if not settings.intercept:
        return None
    seen = {plain_form(path)}
    if is_ambiguous(path, raw_path) or "%" in path:
        seen |= {plain_form(reading) for text in (path, raw_path or path) for reading in _readings(text)}
    return next((form for form in settings.intercept if plain_form(form.path) in seen), None)


def _readings(path: str) -> set[str]:
    """As others might read it: decoded once more, without parameters and dot segments, with or cut at its controls."""
    texts = [path]
    while len(texts) < 4 and (decoded := unquote(texts[-1])) != texts[-1]:
        texts.append(decoded)
    cut = [_CONTROLS.split(text, maxsplit=1)[0] for text in texts]
    return {_resolved(text) for text in (*texts, *cut)}


def _resolved(path: str) -> str:
    segments: list[str] = []
    for segment in _CONTROLS.sub("", path).replace("\\", "/").split("/"):
        plain = segment.partition(";")[0]
        if plain == ".." and segments:
            segments.pop()
        elif plain not in ("", ".", ".."):
            segments.append(plain)
    return "/" + "/".join(segments)


def this_page(request: Request) -> str:
    """The path with its query string, as the browser would ask for it again."""
    path = request.raw_path if request.raw_path is not None else quote(request.path, safe=_SAFE_IN_PATH)
    return read_return_to(f"{path}?{_escaped(request.query)}" if request.query else path)


def _escaped(query: str) -> str:
    """Browsers send a backslash, and some clients more than ASCII, as they are."""
    return _UNESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", query)


def read_return_to(text: str | None) -> str:
    """A path below `base_url` to send somebody back to; `/` for anything else (RPL-015).

    It is always appended to `base_url`, so even `//evil.example` would stay on our own origin; that,
    a backslash, a blank and control characters are dropped all the same.
    """
    if not text or len(text) > MAX_RETURN_TO or not text.startswith("/") or text.startswith("//"):
        return "/"
    return "/" if _UNSAFE_IN_TARGET.search(text) or not text.isascii() else text


def read_own_url(settings: Settings, url: str | None) -> str | None:
    """The path of an absolute URL of ours (a Referer, an `HX-Current-URL`); None for any other."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if f"{parts.scheme}://{parts.netloc}" != settings.origin or not is_below(parts.path or "/", settings.mount_path):
        return None
    path = parts.path[len(settings.mount_path.rstrip("/")) :] or "/"
    return read_return_to(f"{path}?{parts.query}" if parts.query else path)
