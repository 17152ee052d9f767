"""The settings of languages: what one is called, and what they may not be together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from .languages import TAG, available, problems_of_catalogues


def _tag(text: str) -> str:
    if not TAG.fullmatch(text):
        raise ValueError('must be the tag of a language, such as "de" or "pt-BR"')
    return text


LanguageTag = Annotated[str, AfterValidator(_tag)]


def languages_are_there(language: str, languages: tuple[str, ...], locale_dir: Path | None) -> Iterator[str]:
    if locale_dir is not None:
        yield from (f"locale_dir: {problem}" for problem in problems_of_catalogues(locale_dir))
    known = available(locale_dir)
    for index, tag in enumerate(languages):
        if tag not in known:
            yield f"languages[{index}]: there is no catalogue for {tag!r}; there are {', '.join(sorted(known))}"
    if language not in known:
        yield f"language: there is no catalogue for {language!r}; there are {', '.join(sorted(known))}"
    elif languages and language not in languages:
        yield f"language: {language!r} is not one of languages; add it there, or choose one of them"
