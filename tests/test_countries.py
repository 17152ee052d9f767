"""Which country a text means; every code and name that pycountry has, and none that is guessed."""

from __future__ import annotations

import pycountry
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sso_middleware import countries
from sso_middleware.countries import country_name, country_names, is_country, read_country

ALL = [dict(country) for country in pycountry.countries]
CODES = {one["alpha_2"] for one in ALL}
NAMED = [(one["alpha_2"], one[kind]) for one in ALL for kind in ("name", "official_name", "common_name") if kind in one]
every_country = st.sampled_from(ALL)


def scrambled(text: str, draw: st.DataObject) -> str:
    """Other case, blanks around it, any apostrophe."""
    cased = draw.draw(st.sampled_from([text, text.upper(), text.lower(), text.title(), text.swapcase()]))
    quote: str = draw.draw(st.sampled_from("'’`´"))
    blank: str = draw.draw(st.sampled_from(["", " ", "\t", "\u00a0"]))
    return blank + cased.replace("'", quote)


@settings(deadline=None)
@given(every_country, st.data())
def test_every_code_is_read(one: dict[str, str], draw: st.DataObject) -> None:
    """Alpha-2, alpha-3 and numeric, the latter with its zeros and without; as a code and in general, not as a name."""
    code = draw.draw(st.sampled_from([one["alpha_2"], one["alpha_3"], one["numeric"], str(int(one["numeric"]))]))
    text = scrambled(code, draw)

    assert read_country(text).code == one["alpha_2"]
    assert read_country(text, "code").code == one["alpha_2"]
    named = read_country(text, "name").code
    assert named is None or (named == one["alpha_2"] == "US")  # "US" and "USA" are what people call it, too


@settings(deadline=None)
@given(st.sampled_from(NAMED), st.data())
def test_every_name_is_read(named: tuple[str, str], draw: st.DataObject) -> None:
    """Its name, its official one and its common one; as a name and in general, not as a code. But for one."""
    code, name = named
    text = scrambled(name, draw)

    if name == "Congo":
        assert read_country(text).reason == "ambiguous"
        return
    assert read_country(text).code == code
    assert read_country(text, "name").code == code
    assert read_country(text, "code").code is None


def test_all_of_them_without_chance() -> None:
    """Each name and code once, as pycountry writes it; and what a select shows is read as what it stands for."""
    wrong = [(code, name) for code, name in NAMED if read_country(name).code != code]
    assert wrong == [("CG", "Congo")]
    assert [
        one for one in ALL if {read_country(one[k]).code for k in ("alpha_2", "alpha_3", "numeric")} != {one["alpha_2"]}
    ] == []
    assert [pair for pair in country_names("en") if read_country(pair[1]).code != pair[0]] == [("CG", "Congo")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("USA", "US"),
        ("U.S.A.", "US"),
        ("United States of America", "US"),
        ("the United States", "US"),
        ("UK", "GB"),
        ("u.k.", "GB"),
        ("Great Britain", "GB"),
        ("Scotland", "GB"),
        ("Czechia", "CZ"),
        ("Czech Republic", "CZ"),
        ("South Korea", "KR"),
        ("Republic of Korea", "KR"),
        ("Korea, Republic of", "KR"),
        ("Korea (South)", "KR"),
        ("North Korea", "KP"),
        ("Côte d'Ivoire", "CI"),
        ("Côte d’Ivoire", "CI"),
        ("Cote d`Ivoire", "CI"),
        ("COTE DIVOIRE", "CI"),
        ("Co\u0302te d'Ivoire", "CI"),
        ("Ivory Coast", "CI"),
        ("Viet Nam", "VN"),
        ("Vietnam", "VN"),
        ("Russia", "RU"),
        ("Türkiye", "TR"),
        ("TÜRKİYE", "TR"),
        ("Turkey", "TR"),
        ("Burma", "MM"),
        ("Myanmar", "MM"),
        ("Holland", "NL"),
        ("The Netherlands", "NL"),
        ("Georgia", "GE"),
        ("Swaziland", "SZ"),
        ("Macedonia", "MK"),
        ("Cape Verde", "CV"),
        ("East Timor", "TL"),
        ("Vatican City", "VA"),
        ("Tanzania", "TZ"),
        ("Bosnia & Herzegovina", "BA"),
        ("St. Lucia", "LC"),
        ("Trinidad & Tobago", "TT"),
        ("DR Congo", "CD"),
        ("Congo (Kinshasa)", "CD"),
        ("Democratic Republic of the Congo", "CD"),
        ("Republic of the Congo", "CG"),
        ("Congo-Brazzaville", "CG"),
        ("US Virgin Islands", "VI"),
        ("British Virgin Islands", "VG"),
        ("Hong Kong SAR", "HK"),
        ("Ireland", "IE"),
        ("Åland Islands", "AX"),
        ("Curacao", "CW"),
        ("4", "AF"),
        ("04", "AF"),
        ("276", "DE"),
        ("deu", "DE"),
    ],
)
def test_what_people_call_it_is_read(text: str, code: str) -> None:
    """With dots, accents, any apostrophe, an article, or another word order."""
    assert read_country(text).code == code


@pytest.mark.parametrize("text", ["Korea", "CONGO", "the Congo", "Virgin Islands", "St. Martin", "Guiana"])
def test_what_is_two_countries_is_none(text: str) -> None:
    """The person is asked, in place of a guess."""
    assert (read_country(text).code, read_country(text).reason) == (None, "ambiguous")


@pytest.mark.parametrize(
    "text",
    [
        *("ZZ", "XK", "EL", "AN", "YU", "0", "000", "0004", "999", "1000", "-4", "4.0", "٤", "D E", "ＤＥ", "ſe"),
        *(
            "Kosovo",
            "Yugoslavia",
            "Czechoslovakia",
            "Netherlands Antilles",
            "America",
            "Europe",
            "Germny",
            "German",
            "n/a",
        ),
        *("?", "'", "the", "x" * 10_000, "Germany, France", "DE;FR", "\x00DE", "Germany" + "." * 100),
    ],
)
def test_what_is_no_country_is_none(text: str) -> None:
    """Neither former ones nor near misses, nor two at once."""
    assert (read_country(text).code, read_country(text).reason) == (None, "unknown")


@pytest.mark.parametrize("text", ["", " ", "\t\u00a0"])
def test_an_empty_text_says_nothing(text: str) -> None:
    """It is told apart from one that can't be read."""
    assert (read_country(text).code, read_country(text).reason) == (None, "empty")


@settings(deadline=None)
@given(st.text(max_size=120))
def test_anything_may_come(text: str) -> None:
    """And what comes of it is a country's code, or a reason."""
    for country_format in ("any", "code", "name"):
        found = read_country(text, country_format)
        assert (found.code is None) == (found.reason is not None)
        assert found.code is None or found.code in CODES


def test_no_name_stands_for_two_countries() -> None:
    """Neither an alias nor a short form is the name or the code of another country. Each alias is in plain form."""
    names: dict[str, set[str]] = {}
    for one in countries._fields():
        for name, code in countries._short_names(one):
            names.setdefault(name, set()).add(code)
    for code, name in NAMED:
        names.setdefault(countries._plain(name), set()).add(code)
    for alias, code in countries._ALIASES.items():
        assert countries._plain(alias) == alias
        names.setdefault(alias, set()).add(code)
    assert {name for name, found in names.items() if len(found) > 1} <= countries._AMBIGUOUS
    codes = {one[kind].lower(): one["alpha_2"] for one in ALL for kind in ("alpha_2", "alpha_3")}
    assert [name for name, found in names.items() if name in codes and found != {codes[name]}] == []


# For a select


def test_a_select_has_every_country_in_the_language_of_the_page() -> None:
    """Once each, by what people call it, in the order of the alphabet, accents aside."""
    english, german = country_names("en"), country_names("de-AT")

    assert {code for code, _ in english} == {code for code, _ in german} == CODES
    assert len(english) == len(CODES)
    assert dict(english)["VN"] == "Vietnam"
    assert dict(german)["DE"] == country_name("DE", "de") == "Deutschland"
    assert [code for code, _ in german[:3]] == ["AF", "EG", "AX"]  # Afghanistan, Ägypten, Åland
    assert dict(country_names("pt-BR"))["ZA"] == "África do Sul"
    assert dict(country_names("zh"))["CN"] == "中国"
    assert dict(country_names("no"))["NO"] == "Norge"


@pytest.mark.parametrize("language", ["", "xx", "tlh-KX", "../../etc", "de/../..", "-", "en-US"])
def test_a_language_that_there_is_not_is_english(language: str) -> None:
    """Whatever a browser says; it never leads to another file."""
    assert dict(country_names(language))["DE"] == "Germany"


def test_the_answer_of_a_select_is_a_code_to_the_letter() -> None:
    """A form may send anything."""
    assert all(is_country(code) for code in CODES)
    assert [text for text in ("de", "DEU", "276", "UK", "ZZ", "", " DE", "Germany") if is_country(text)] == []
    with pytest.raises(KeyError):
        country_name("ZZ", "en")
