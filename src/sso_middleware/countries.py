"""Which country a text means: ISO 3166-1 codes and names, with the names that people use for them.

Pure. A country is given as alpha-2, or not at all: what is ambiguous or unknown is never guessed, so that
the person can be asked. Codes, names and translations are pycountry's (Debian's iso-codes), which is
imported at the first use; below it stands only what that lacks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from gettext import NullTranslations, translation
from pathlib import Path
from typing import Literal

CountryFormat = Literal["any", "code", "name"]
Reason = Literal["empty", "ambiguous", "unknown"]

LONGEST = 100
"""Of a text that is looked at; the longest official name has 57 letters."""

# Names that pycountry does not have, and short forms. Written as `_plain` makes them.
_ALIASES: Mapping[str, str] = {
    "aland": "AX",
    "antigua": "AG",
    "bolivia": "BO",
    "bosnia": "BA",
    "bosnia herzegovina": "BA",
    "britain": "GB",
    "great britain": "GB",
    "uk": "GB",
    "u k": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "northern ireland": "GB",
    "brunei": "BN",
    "burma": "MM",
    "cape verde": "CV",
    "congo brazzaville": "CG",
    "congo republic": "CG",
    "congo republic of": "CG",
    "republic of congo": "CG",
    "congo kinshasa": "CD",
    "congo democratic republic": "CD",
    "democratic republic of congo": "CD",
    "dr congo": "CD",
    "d r congo": "CD",
    "drc": "CD",
    "zaire": "CD",
    "cocos islands": "CC",
    "keeling islands": "CC",
    "czech republic": "CZ",
    "dprk": "KP",
    "east timor": "TL",
    "eire": "IE",
    "falkland islands": "FK",
    "falklands": "FK",
    "fyrom": "MK",
    "macedonia": "MK",
    "holland": "NL",
    "hong kong sar": "HK",
    "vatican": "VA",
    "vatican city": "VA",
    "vatican city state": "VA",
    "ivory coast": "CI",
    "korea north": "KP",
    "korea south": "KR",
    "lao pdr": "LA",
    "macao sar": "MO",
    "macau": "MO",
    "mainland china": "CN",
    "prc": "CN",
    "peoples republic of china": "CN",
    "pitcairn islands": "PN",
    "republic of ireland": "IE",
    "russia": "RU",
    "sao tome": "ST",
    "svalbard": "SJ",
    "swaziland": "SZ",
    "trinidad": "TT",
    "turkey": "TR",
    "uae": "AE",
    "u a e": "AE",
    "emirates": "AE",
    "us": "US",
    "u s": "US",
    "usa": "US",
    "u s a": "US",
    "united states of america": "US",
    "us virgin islands": "VI",
    "u s virgin islands": "VI",
    "united states virgin islands": "VI",
    "vietnam": "VN",
    "wallis": "WF",
}
_AMBIGUOUS = frozenset({"congo", "guiana", "korea", "saint martin", "virgin islands"})
"""Of more than one country, even where one of them is listed under that very name (CG is "Congo")."""

# Exceptionally reserved in ISO 3166-1 for this very country.
_RESERVED = {"UK": "GB"}

_APOSTROPHES = str.maketrans(dict.fromkeys("'’‘`´ʼʹ′ʻ＇", ""))


@dataclass(frozen=True, slots=True)
class CountryReading:
    """`code` is alpha-2; None: see `reason`."""

    code: str | None
    reason: Reason | None = None


def read_country(text: str, country_format: CountryFormat = "any") -> CountryReading:
    """A code (alpha-2, alpha-3 or numeric) or an English name, in any case, as far as the format allows.

    A numeric code may lack its leading zeros, since Active Directory keeps `countryCode` as a number.
    """
    text = text.strip()
    if not text:
        return CountryReading(None, "empty")
    if len(text) > LONGEST:
        return CountryReading(None, "unknown")
    found = None if country_format == "name" else _of_code(text)
    if found is None and country_format != "code":
        plain = _plain(text)
        if plain in _AMBIGUOUS:
            return CountryReading(None, "ambiguous")
        found = _by_name().get(plain)
    return CountryReading(found, None if found else "unknown")


def is_country(code: str) -> bool:
    """Whether this is an alpha-2 code to the letter, such as the answer of a select is."""
    return code in _by_code() and len(code) == 2 and code not in _RESERVED


def country_names(language: str) -> list[tuple[str, str]]:
    """All countries, (alpha-2, name), in the order of the names in this language ("de", "pt-BR"); else in English."""
    translated = _translations(language)
    names = [(code, translated.gettext(name)) for code, name in _shown_names().items()]
    return sorted(names, key=lambda pair: (_plain(pair[1]) or pair[1], pair[1]))


def country_name(code: str, language: str) -> str:
    """The name of one of them. Raises KeyError if it is none."""
    return _translations(language).gettext(_shown_names()[code])


def _of_code(text: str) -> str | None:
    if not text.isascii():  # else a letter such as ſ would be taken for one of ours
        return None
    return _by_code().get(text.zfill(3) if text.isdigit() else text.upper())


def _plain(text: str) -> str:
    """Its words, without case, accents and apostrophes, and without "the"."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES))
    letters = "".join(char for char in decomposed if not unicodedata.combining(char)).casefold().replace("&", " and ")
    words = "".join(char if char.isalnum() else " " for char in letters).split()
    return " ".join("saint" if word == "st" else word for word in words if word != "the")


# What pycountry has. Nothing of it is needed before a country is read, or a page shown.


@cache
def _fields() -> tuple[Mapping[str, str], ...]:
    import pycountry  # noqa: PLC0415 - late: it reads its tables from files

    return tuple(dict(country) for country in pycountry.countries)


@cache
def _by_code() -> Mapping[str, str]:
    codes = {one[kind]: one["alpha_2"] for one in _fields() for kind in ("alpha_2", "alpha_3", "numeric")}
    return codes | _RESERVED


@cache
def _by_name() -> Mapping[str, str]:
    """No name of one country is another's: where two would share one, it is nobody's, but for a name in full."""
    found = {name: code for one in _fields() for name, code in _short_names(one)}
    found |= {_plain(alias): code for alias, code in _ALIASES.items()}
    for one in _fields():
        full = (one[kind] for kind in ("name", "official_name", "common_name") if kind in one)
        found |= {_plain(name): one["alpha_2"] for name in full}
    return {name: code for name, code in found.items() if name not in _AMBIGUOUS}


def _short_names(one: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """ "Korea, Republic of" is also "Republic of Korea"; "Iran, Islamic Republic of" also "Iran"; without brackets."""
    name, code = one["name"], one["alpha_2"]
    before, comma, after = name.partition(", ")
    if comma:
        yield _plain(f"{after} {before}"), code
        yield _plain(before), code
    without, bracket, _ = name.partition(" (")
    if bracket:
        yield _plain(without), code


@cache
def _shown_names() -> Mapping[str, str]:
    """What people call it, where ISO's own name is another."""
    return {one["alpha_2"]: one.get("common_name", one["name"]) for one in _fields()}


@cache
def _catalogue(locale: str) -> NullTranslations:
    import pycountry  # noqa: PLC0415

    return translation("iso3166-1", pycountry.LOCALES_DIR, languages=[locale], fallback=True)


def _translations(language: str) -> NullTranslations:
    """By the tag as browsers send it. Only a name that pycountry has is looked for, and so remembered."""
    main, *more = language.replace("_", "-").split("-")
    main = main.lower()
    wanted = [main, *([f"{main}_{more[-1].upper()}"] if more else [])]
    found = next((locale for locale in reversed(wanted) if locale in _locales()), _REGIONAL.get(main))
    return _catalogue(found) if found else NullTranslations()


# Languages that pycountry has for regions only.
_REGIONAL = {"nb": "nb_NO", "no": "nb_NO", "zh": "zh_CN"}


@cache
def _locales() -> frozenset[str]:
    import pycountry  # noqa: PLC0415

    return frozenset(folder.name for folder in Path(pycountry.LOCALES_DIR).iterdir())
