"""Claims about the project as a whole, which no single module could keep: read from its files, not by running it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "sso_middleware"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))

# Paths of the machine that somebody happened to work on, and addresses of package registries.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|farm|home/[a-z]+|Users/[a-z]+)/[a-z.]|(?<![\w.])/root/[.a-z]")
REGISTRY = re.compile(r"(?:index-ur[l])|https?://[a-z0-9.-]*(?:pypi|pythonhosted|npmjs|registry)[a-z0-9.-]*/", re.I)

# What takes long to import, and is not needed before somebody signs in, if ever.
LATE = ("saml2", "alembic", "jinja2", "pycountry", "requests")

# `saml/` works on bytes in memory. These would let it start a process or leave a file behind.
PROCESS_MODULES = {"subprocess", "tempfile", "multiprocessing", "pty", "shutil", "ctypes", "socket", "urllib.request"}
PROCESS_CALLS = re.compile(r"os\.(?:system|popen|fork\w*|exec\w+|spawn\w+|posix_spawn\w*)|open|io\.open")

LONGEST_FILE = 400
CATALOGUE = PACKAGE / "errors.py"  # grows by a row for each error, and by nothing else

# What an import may name besides declared dependencies: typeshed's own module exists for type checkers only,
# and pydantic and httpx2 (the extra `metadata`) pin the exact release of their cores.
NOT_DECLARED = {"_typeshed", "dns", "httpcore2", "pydantic_core", "sso_middleware"}


def tracked_files() -> list[Path]:
    """What is in the repository, or would be with the next commit."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git work tree")
    paths = (ROOT / name for name in listing.stdout.decode().split("\0") if name)
    return [path for path in paths if path.is_file()]


def modules(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imported(tree: ast.Module) -> Iterator[str]:
    """Absolute imports, by their full dotted names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


# Requirements and versions


def test_no_file_names_a_machine_or_a_registry() -> None:
    """Nothing in the tree holds a path of one machine or the address of a package registry."""
    found = []
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        for number, line in enumerate(text.splitlines(), start=1):
            if MACHINE_PATH.search(line) or REGISTRY.search(line):
                found.append(f"{name(path)}:{number}")
    assert found == []


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_by_hash(path: Path) -> None:
    """Each line of an exported file is a comment, one exact version, or a hash; each version has a hash."""
    text = path.read_text()
    assert text.startswith("# Made by `make requirements`")
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"(?m)^(#.*)?\n", "", text).strip())
    unpinned = [
        entry.split()[0]
        for entry in entries
        if not re.fullmatch(r"[A-Za-z0-9._-]+==[^\s;]+( ; [^\\]+?)?( \\\n    --hash=sha256:[0-9a-f]{64})+", entry)
    ]
    assert unpinned == []


def test_the_exports_hold_what_the_project_asks_for() -> None:
    """A dependency added to pyproject.toml is in the exported files too (else: `make requirements`)."""
    groups = PROJECT["dependency-groups"]
    runtime = PROJECT["project"]["dependencies"]
    wanted = {
        "runtime": runtime,
        "test": [
            *runtime,
            *PROJECT["project"]["optional-dependencies"]["postgres"],
            *groups["tests"],
            *groups["tools"],
        ],
        "docs": [*runtime, *groups["docs"]],
        "release": groups["release"],
        "build": PROJECT["build-system"]["requires"],
        "oldest": ["sqlalchemy"],
    }
    for file, dependencies in wanted.items():
        pinned = set(re.findall(r"(?m)^([A-Za-z0-9._-]+)==", (ROOT / "requirements" / f"{file}.txt").read_text()))
        names = {normalised(re.split(r"[\[<>=!;~ ]", text)[0]) for text in dependencies}
        assert names <= {normalised(text) for text in pinned}, f"requirements/{file}.txt"


def test_every_import_is_a_declared_dependency() -> None:
    """The package imports nothing that only comes along with something else."""
    declared = {normalised(re.split(r"[\[<>=!;~ ]", text)[0]) for text in PROJECT["project"]["dependencies"]}
    by_module = packages_distributions()
    undeclared = set()
    for path in modules(PACKAGE):
        for dotted in imported(parsed(path)):
            module = dotted.split(".")[0]
            if module in sys.stdlib_module_names or module in NOT_DECLARED:
                continue
            if not declared & {normalised(text) for text in by_module.get(module, [])}:
                undeclared.add(f"{name(path)}: {module}")
    assert sorted(undeclared) == []


def test_the_version_has_a_changelog_entry() -> None:
    """The newest entry of CHANGELOG.md is the version that pyproject.toml names."""
    headings = re.findall(r"(?m)^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text())
    assert headings[0] == PROJECT["project"]["version"]


def normalised(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


# Imports


def test_importing_the_package_brings_in_little() -> None:
    """`import sso_middleware`, with every public name, loads none of the slow modules."""
    program = (
        "import json, sys, sso_middleware\n"
        "for public in sso_middleware.__all__: getattr(sso_middleware, public)\n"
        f"print(json.dumps([late for late in {LATE!r} if late in sys.modules]))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(result.stdout) == []


@pytest.mark.parametrize("path", modules(PACKAGE / "saml"), ids=lambda path: path.name)
def test_saml_starts_no_process_and_writes_no_file(path: Path) -> None:
    """Nothing under saml/ imports or calls what could start a process, open a file or a socket."""
    tree = parsed(path)
    assert not PROCESS_MODULES & set(imported(tree))
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert [call for call in sorted(calls) if PROCESS_CALLS.fullmatch(call)] == []


# The shape of the code


@pytest.mark.parametrize(
    "path", [*modules(PACKAGE / "flows"), PACKAGE / "sso.py"], ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_the_core_awaits_only_call(path: Path) -> None:
    """Every `await` of the core is `await call(…)`, or of a coroutine that was handed `call` (DESIGN §3)."""
    strange = [
        f"{name(path)}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.AsyncFor | ast.AsyncWith) or (isinstance(node, ast.Await) and not is_call(node.value))
    ]
    assert strange == []


def is_call(awaited: ast.expr) -> bool:
    if not isinstance(awaited, ast.Call):
        return False
    handed_on = [*awaited.args, *(keyword.value for keyword in awaited.keywords)]
    return any(isinstance(value, ast.Name) and value.id == "call" for value in (awaited.func, *handed_on))


def test_no_file_is_long() -> None:
    """A module that nears 400 lines has taken in a second subject."""
    lengths = {path: len(path.read_text().splitlines()) for path in modules(PACKAGE) if path != CATALOGUE}
    assert {name(path): length for path, length in lengths.items() if length >= LONGEST_FILE} == {}


def test_every_module_says_what_it_decides() -> None:
    """Each module with code in it opens with a docstring."""
    silent = [name(path) for path in modules(PACKAGE) if path.read_text() and not ast.get_docstring(parsed(path))]
    assert silent == []


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    """Templates, migrations and the typing marker are installed along with the code."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {str(path.relative_to(ROOT / "src")) for path in tracked_files() if path.is_relative_to(PACKAGE)}
    assert wanted <= packed
