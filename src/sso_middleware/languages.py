"""Which language a person is answered in, and what our texts are in it (the standard library's gettext).

The source is English; every other language is a catalogue, ours or the host's. None is read before a page is
shown in it. What a page says is `pages`' and the flows'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import as_file, files
from pathlib import Path

SOURCE = "en"
DOMAIN = "sso_middleware"
TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?")
"""As browsers send it; regions and scripts in any case."""

_LONGEST_HEADER = 400
_MOST_RANGES = 20
_RANGE = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,3}|\*)(?:;q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?")
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?(.?)", re.DOTALL)


class OurText(str):
    """A text of ours, in English, that is shown to people: a page says it in its reader's language."""

    __slots__ = ()


class Languages:
    """Those that pages are offered in. `folder` holds the host's own catalogues, `LANGUAGE/LC_MESSAGES/*.mo`.

    What `folder` has wins over what we have, text by text.
    """

    def __init__(self, default: str = SOURCE, offered: Sequence[str] = (), folder: Path | None = None) -> None:
        self.default = default
        self._offered = tuple(offered) or tuple(sorted(available(folder)))
        self._folder = folder
        self._by_tag = {tag.lower(): tag for tag in self._offered}

    def of(self, accept_language: str | None) -> str:
        """The one that a browser's Accept-Language likes best (RFC 9110 12.5.4), else the default."""
        for wanted in _ranges(accept_language or ""):
            if wanted == "*":
                break
            found = self._by_tag.get(wanted) or self._by_tag.get(wanted.partition("-")[0])
            if found is not None:
                return found
        return self.default

    def texts(self, language: str) -> NullTranslations:
        return _catalogues(language, self._folder)


def available(folder: Path | None) -> set[str]:
    """English, and every language that there is a catalogue for."""
    ours = {entry.name for entry in files(__package__).joinpath("locales").iterdir()}
    theirs = {path.parent.parent.name for path in _files_in(folder)} if folder else set()
    return {SOURCE, *(name.replace("_", "-") for name in ours | theirs)}


def problems_of_catalogues(folder: Path) -> Iterator[str]:
    """What keeps the host's own catalogues from being used."""
    paths = sorted(_files_in(folder))
    if not paths:
        yield f"holds no LANGUAGE/LC_MESSAGES/{DOMAIN}.mo"
    for path in paths:
        name = path.parent.parent.name
        if not TAG.fullmatch(name.replace("_", "-")):
            yield f"{name!r} is not the name of a language, such as fr or pt_BR"
        try:
            with path.open("rb") as file:
                catalogue = GNUTranslations(file)
        except Exception as error:  # a broken file makes gettext raise anything
            yield f"{name}: can't be read as a catalogue ({type(error).__name__})"
            continue
        for text, translated in messages_in(catalogue):
            if not placeholders(translated) <= placeholders(text):
                yield f"{name}: the translation of {text!r} has placeholders that the text has not"


def messages_in(catalogue: GNUTranslations) -> Iterator[tuple[str, str]]:
    """Text and translation; of a text with a plural each form, by the singular."""
    held: dict[str | tuple[str, int], str] = vars(catalogue)["_catalog"]  # there is no other way to list them
    for key, translated in held.items():
        if key:
            yield key if isinstance(key, str) else key[0], translated


def placeholders(text: str) -> set[tuple[str, str]]:
    """A page can only be made with values that its text has, too. (A percent sign is written as two.)"""
    return {(name, kind) for name, kind in _PLACEHOLDER.findall(text) if (name, kind) != ("", "%")}


def _ranges(header: str) -> list[str]:
    """What is wanted, best first, in lower case. What is not of the standard's form is left out."""
    found: list[tuple[float, str]] = []
    for part in header[:_LONGEST_HEADER].split(",")[:_MOST_RANGES]:
        match = _RANGE.fullmatch(part.replace(" ", "").replace("\t", ""))
        quality = float(match[2] or 1) if match else 0.0
        if match and quality > 0:
            found.append((-quality, match[1].lower()))
    return [tag for _, tag in sorted(found, key=lambda pair: pair[0])]  # which keeps the order of equals


@cache
def _catalogues(language: str, folder: Path | None) -> NullTranslations:
    """The host's, then ours, then the source. Asked for languages that there are, so that few are kept."""
    name = language.replace("-", "_")
    texts: NullTranslations | None = None
    found = folder / name / "LC_MESSAGES" / f"{DOMAIN}.mo" if folder else None
    if found is not None and found.is_file():
        texts = _read(found)
    ours = files(__package__).joinpath("locales", name, "LC_MESSAGES", f"{DOMAIN}.mo")
    if ours.is_file():
        with as_file(ours) as path:
            shipped = _read(path)
        if texts is None:
            return shipped
        texts.add_fallback(shipped)
    return texts or NullTranslations()


def _read(path: Path) -> NullTranslations:
    with path.open("rb") as file:
        return GNUTranslations(file)


def _files_in(folder: Path) -> Iterator[Path]:
    return folder.glob(f"*/LC_MESSAGES/{DOMAIN}.mo")
