"""Which language a page is in, and that every text of ours is in each of them."""

from __future__ import annotations

import re
import runpy
import struct
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.test_pages import PAGES
from tests.world import World
from werkzeug.datastructures import Headers

from sso_middleware import Settings
from sso_middleware.errors import ConfigurationError
from sso_middleware.languages import Languages, OurText, available, placeholders
from sso_middleware.pages import Pages
from sso_middleware.web import Request

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "sso_middleware"
SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "compile-messages"))
CATALOGUES = sorted(PACKAGE.glob("locales/*/LC_MESSAGES/sso_middleware.po"))

SECRET = "k3Jx0vQm8TzR5nLw2YbHs7UdGc4PfEa1-words"


def asked(accept_language: str | None) -> Request:
    headers = Headers({} if accept_language is None else {"Accept-Language": accept_language})
    return Request("GET", "/", None, "", headers, "https", "", None, {}, lambda _: b"")


@pytest.fixture(scope="session")
def texts() -> dict[str, Any]:
    """All that the sources say to people."""
    found: dict[str, Any] = SCRIPT["texts_in_sources"]()
    return found


# Which one


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("de", "de"),
        ("DE-at", "de"),
        ("de-AT, en;q=0.9", "de"),
        ("en-US,en;q=0.9,de;q=0.8", "en"),
        ("fr-CH, fr;q=0.9, de;q=0.7, *;q=0.5", "de"),
        ("en;q=0.5, de;q=0.51", "de"),
        ("de;q=0, en", "en"),
        ("fr", "en"),
        ("*", "en"),
        ("*, de;q=0.5", "en"),
        ("de;q=2", "en"),
        ("de;q=0.5555", "en"),
        ("de ; q=0.9", "de"),
        ("de;level=1", "en"),
        ("<script>", "en"),
        ("../../etc/de", "en"),
        ("fr," * 100_000 + "de", "en"),
        ("d" * 100_000, "en"),
    ],
)
def test_the_best_language_that_there_is(header: str | None, language: str) -> None:
    """By quality, then by order; what is no language range, and what comes after many, is left out."""
    assert Languages().of(header) == language


def test_a_region_is_taken_exactly_or_by_its_language(tmp_path: Path) -> None:
    """pt-BR for those who ask for it; whoever asks for another region gets the language itself."""
    for name in ("pt", "pt_BR"):
        write_catalogue(tmp_path, name, {"Sign in": name})
    languages = Languages(folder=tmp_path)

    assert [languages.of(header) for header in ("pt-br", "pt-PT", "pt")] == ["pt-BR", "pt", "pt"]
    assert languages.texts("pt-BR").gettext("Sign in") == "pt_BR"


def test_only_languages_that_are_offered(tmp_path: Path) -> None:
    """A browser that asks for another one gets the default."""
    languages = Languages("de", ["de"])

    assert [languages.of(header) for header in ("en", None, "de")] == ["de", "de", "de"]


# What is in a catalogue


def test_german_is_shipped_with_the_package() -> None:
    """Found as an installed package finds it, not by the tree."""
    catalogue = files("sso_middleware").joinpath("locales", "de", "LC_MESSAGES", "sso_middleware.mo")
    assert catalogue.is_file()
    assert available(None) == {"en", "de"}
    assert Languages().texts("de").gettext("Sign in") == "Anmelden"


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_every_text_is_translated(path: Path, texts: dict[str, Any]) -> None:
    """Of every template, every error and every other text; none is fuzzy, left out, or no longer there."""
    catalogue = SCRIPT["read_po"](path.read_text("utf-8"))
    assert list(SCRIPT["problems_in"](catalogue, texts)) == [], "run: scripts/compile-messages --update"


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_translations_have_the_very_values_of_their_texts(path: Path) -> None:
    """None is lost, and none is made up, which would make a page fail."""
    for message in SCRIPT["read_po"](path.read_text("utf-8")).values():
        for translated in message.translations if message.text else ():
            assert placeholders(translated) == placeholders(message.text), message.text
            assert "<" not in translated
            assert translated == translated.strip()


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_what_is_shipped_is_made_of_what_people_wrote(path: Path) -> None:
    """The .mo is that of its .po, byte for byte, and gettext reads it."""
    catalogue = SCRIPT["read_po"](path.read_text("utf-8"))
    assert path.with_suffix(".mo").read_bytes() == SCRIPT["build_mo"](catalogue), "run: scripts/compile-messages"
    assert SCRIPT["build_po"](catalogue) == path.read_text("utf-8"), "run: scripts/compile-messages --update"
    with path.with_suffix(".mo").open("rb") as file:
        read = GNUTranslations(file)
    for message in catalogue.values():
        if message.plural:
            forms = [read.ngettext(message.text, message.plural, number) for number in (1, 7)]
            assert forms == message.translations
        else:
            assert [read.gettext(message.text)] == message.translations


class Marking(NullTranslations):
    """A language in which every text is known by its brackets."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"⟦{msgid1 if n == 1 else msgid2}⟧"


class Marked(Languages):
    def texts(self, language: str) -> NullTranslations:
        return Marking()


FOR_ADMINS = frozenset({"recovery_connections", "test_report"})
"""Templates of pages that are `in_english`."""
SHOWN = sorted({path.stem for path in (PACKAGE / "templates").glob("[!_]*.html")} - FOR_ADMINS - {"layout"})


@pytest.mark.parametrize("template", SHOWN)
def test_no_page_says_anything_that_is_not_translated(template: str) -> None:
    """Apart from values, which are hostile ones in these tests and easily told, and the names of codes."""
    text = Pages(Marked()).reply(asked(None), template, **shown(template)).body.decode()
    said = re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.DOTALL)
    told = re.findall(r'(?:alt|title|label|placeholder|aria-label)="([^"]*)"', said)
    said = re.sub(r"<[^>]*>", " ", said) + " ".join(told)
    said = re.sub(r"⟦.*?⟧", "", said, flags=re.DOTALL).replace("~", "")
    assert re.findall(r"[A-Za-z]{2,}", said) == []


def shown(template: str) -> dict[str, Any]:
    """Values that hold no word."""
    values = VALUES.get(template) or PAGES[template]
    return {name: wordless(value) for name, value in values.items()}


def wordless(value: Any) -> Any:
    match value:
        case str():
            return OurText("text") if isinstance(value, OurText) else value if value.startswith("renewed") else "~"
        case dict():
            return {name: wordless(item) for name, item in value.items()}
        case list() | tuple():
            return [wordless(item) for item in value]
        case _:
            return value


_FORM = {"page": "", "fields": ["a"], "further_fields": 2, "files": ["b"]}
VALUES: dict[str, dict[str, Any]] = {
    "choice": {"sso_url": "", "other_url": "", "other": OurText("Use your password")},
    "without_sso": {"action": "", "csrf_token": "", "form": "", "sso_url": ""},
    "form_discarded": {"app_url": ""},
    "form_gone": {"app_url": ""},
    "form_kept": {"login_url": "", "minutes": 30, **_FORM},
    "form_offered": {
        "send_url": "",
        "discard_url": "",
        "csrf_token": "",
        "token": "",
        "minutes": 1,
        "may_have_to_be_repeated": True,
        **_FORM,
    },
    "renewal_due": {"renew_url": ""},
}


def test_no_template_translates_a_value() -> None:
    """What the catalogue gives is taken for HTML: only a text that stands in the template may go through it."""
    for path in (PACKAGE / "templates").glob("*.html"):
        assert re.findall(r"\b(?:_|n?gettext|pgettext)\s*\(", path.read_text("utf-8")) == [], path.name


# On the pages


def test_a_page_is_in_the_language_of_the_browser(world: World) -> None:
    """And says so, to caches and to those who hear it."""
    page = world.browser().get(f"{world.base_url}/sso/signed-out", Accept_Language="de-DE,de;q=0.9,en;q=0.8")

    assert "Sie sind abgemeldet" in page.text
    assert '<html lang="de">' in page.text
    assert page.headers["Content-Language"] == "de"
    assert page.headers["Vary"] == "Accept-Language"


def test_without_a_wish_a_page_is_english(world: World) -> None:
    """As every page was before there was another language."""
    page = world.browser().get(f"{world.base_url}/sso/signed-out")

    assert "You are signed out" in page.text
    assert '<html lang="en">' in page.text


def test_a_page_for_admins_is_english() -> None:
    """In words and by what it says of itself, whatever the browser asks for: so is the rest of what they are told."""
    page = Pages().reply(asked("de"), "form_gone", in_english=True, app_url="/")

    assert b"This form is no longer kept" in page.body
    assert b'<html lang="en">' in page.body
    assert dict(page.headers)["Content-Language"] == "en"


def test_a_refusal_is_in_the_language_of_the_browser(world: World) -> None:
    """Sentence, heading and button; the code is the same in every language."""
    page = world.browser().get(f"{world.base_url}/sso/finish", Accept_Language="de")

    assert "Diese Anmeldung wurde bereits verwendet oder hat zu lange gedauert." in page.text
    assert "Das hat nicht funktioniert" in page.text
    assert "Erneut versuchen" in page.text
    assert "pending_login_unknown" in page.text


def test_the_default_is_the_operators_to_choose(make_world: MakeWorld) -> None:
    """For a browser that asks for none of the languages."""
    world = make_world(language="de")
    browser = world.browser()

    assert "Sie sind abgemeldet" in browser.get(f"{world.base_url}/sso/signed-out", Accept_Language="fr").text
    assert "You are signed out" in browser.get(f"{world.base_url}/sso/signed-out", Accept_Language="en").text


def test_a_hosts_own_words_win_over_ours(make_world: MakeWorld, tmp_path: Path) -> None:
    """Text by text: what its catalogue lacks is ours."""
    write_catalogue(tmp_path, "de", {"You are signed out": "Bis bald"})
    world = make_world(locale_dir=tmp_path)

    page = world.browser().get(f"{world.base_url}/sso/signed-out", Accept_Language="de")

    assert "Bis bald" in page.text
    assert "Erneut anmelden" in page.text


# Settings


def problems(**settings: Any) -> str:
    with pytest.raises(ConfigurationError) as raised:
        Settings(base_url="https://app.example", secret_keys=[SECRET], **settings)
    return str(raised.value)


def test_a_language_that_there_is_not_is_told_at_start() -> None:
    """With those that there are."""
    assert "language: there is no catalogue for 'fr'; there are de, en" in problems(language="fr")
    assert "languages[1]: there is no catalogue for 'fr'" in problems(languages=["en", "fr"])
    assert "language: 'en' is not one of languages" in problems(languages=["de"])
    assert "language: must be the tag of a language" in problems(language="../en")


def test_a_catalogue_that_can_not_be_used_is_told_at_start(tmp_path: Path) -> None:
    """One that is none, that is empty, or that would make a page fail."""
    assert "locale_dir: holds no" in problems(locale_dir=tmp_path)
    write_catalogue(tmp_path, "fr", {"Sign in as %(email)s?": "%(name)s ?"})
    assert "locale_dir: fr: the translation of 'Sign in as %(email)s?' has placeholders" in problems(
        locale_dir=tmp_path
    )
    for content in (b"", b"no catalogue", struct.pack("<7I", 0x950412DE, 0, 1, 28, 36, 0, 44)):
        (tmp_path / "fr" / "LC_MESSAGES" / "sso_middleware.mo").write_bytes(content)
        assert "locale_dir: fr: can't be read as a catalogue" in problems(locale_dir=tmp_path)


def write_catalogue(folder: Path, language: str, texts: dict[str, str]) -> None:
    path = folder / language / "LC_MESSAGES" / "sso_middleware.mo"
    path.parent.mkdir(parents=True, exist_ok=True)
    message = SCRIPT["Message"]
    header = message("", None, ["Content-Type: text/plain; charset=UTF-8\n"])
    entries = {"": header} | {text: message(text, None, [translated]) for text, translated in texts.items()}
    path.write_bytes(SCRIPT["build_mo"](entries))
