"""The code blocks of the documentation, and a folder in which they can run."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.identity_provider import IdentityProvider

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"(?:^`(?P<file>[\w.]+)`[^\n`]*:\n\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)

DJANGO_SETTINGS = 'SECRET_KEY = "for a test"\nROOT_URLCONF = "mysite.urls"\n'


@dataclass(frozen=True)
class Block:
    """One fenced block. `file` is the name that the line above gives it, as in "`app.py`:"."""

    page: str
    line: int
    language: str
    code: str
    file: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*languages: str, page: Path | None = None) -> list[Block]:
    pages = [page] if page else [path for path in PAGES if "_build" not in path.parts]
    return [block for path in pages for block in _blocks_on(path) if block.language in languages]


def _blocks_on(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        yield Block(str(page.relative_to(ROOT)), line, match["language"], match["code"], match["file"])


def complete_toml(code: str) -> str:
    """Settings as they stand on a page, with a key for the "…", and with whatever the page left out."""
    code = code.replace('"…"', f'"{secrets.token_urlsafe(48)}"')
    if not re.search(r"(?m)^secret_keys", code):
        code = f'secret_keys = ["{secrets.token_urlsafe(48)}"]\n' + code
    if not re.search(r"(?m)^base_url", code):
        code = 'base_url = "https://app.example.com"\n' + code
    return code


def furnish(folder: Path, identity_provider: IdentityProvider) -> None:
    """What the pages take for granted: settings, an identity provider's metadata, keys, a Django project."""
    metadata = folder / "acme-idp.xml"
    metadata.write_text(identity_provider.metadata)
    connection = (
        '[[connections]]\nid = "acme"\norganization = "Acme Inc"\ndomains = ["acme.example"]\n'
        'metadata_file = "acme-idp.xml"\n'
    )
    (folder / "sso.toml").write_text(complete_toml("background = false\n" + connection))
    keys = folder / "keys"
    keys.mkdir()
    for name in ("signing", "encryption", "encryption-before"):
        (keys / f"{name}.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    for name in ("signing", "next-signing", "encryption"):
        (keys / f"{name}.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    site = folder / "mysite"
    site.mkdir()
    (site / "__init__.py").touch()
    (site / "settings.py").write_text(DJANGO_SETTINGS)
    (site / "urls.py").write_text("urlpatterns = []\n")
