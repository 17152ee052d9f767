"""The vectors that we publish come out as they say, and are what the attack tables say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.vectors.generate import main
from tests.vectors.reading import Json, outcome
from tests.vectors.suite import FORMAT, committed_suite, suite_with_keys

HERE = Path(__file__).parent
STEMS = ("honest", "SIG", "XSW", "XML", "PRO", "RPL", "TEN")
MOST_BYTES = 3 * 1024 * 1024
FILES: dict[str, Json] = {stem: json.loads((HERE / f"{stem}.json").read_text()) for stem in STEMS}
VECTORS = [
    pytest.param(stem, vector, id=f"{stem} {vector['id']}") for stem in STEMS for vector in FILES[stem]["vectors"]
]


@pytest.mark.parametrize(("stem", "vector"), VECTORS)
def test_the_outcome_is_the_one_expected(stem: str, vector: Json) -> None:
    """Read from JSON alone, each message is accepted for what it states, or refused for its reason."""
    assert outcome(vector, FILES[stem]["configurations"][vector["configuration"]]) == vector["expected"]


def test_the_encrypted_ones_come_out_too(tmp_path: Path) -> None:
    """Made now, with keys of their own, and played from the file that the command wrote."""
    main(["--with-keys", str(tmp_path)])
    (file,) = (json.loads(path.read_text()) for path in tmp_path.iterdir())
    for vector in file["vectors"]:
        assert outcome(vector, file["configurations"][vector["configuration"]]) == vector["expected"], vector["id"]
    assert kind(file) == kind(suite_with_keys()["ENC"])


def test_the_files_are_what_the_tables_say() -> None:
    """The command would write the same ids, clocks, outcomes and codes. If not: python -m tests.vectors.generate."""
    made = committed_suite()
    assert {path.stem for path in HERE.glob("*.json")} == made.keys() == set(STEMS)
    for stem in STEMS:
        assert kind(FILES[stem]) == kind(made[stem]), f"{stem}: run python -m tests.vectors.generate"


def kind(file: Json) -> list[tuple[str, ...]]:
    """What is the same however often a file is made: keys, signatures and numbers are not."""
    assert file["format"] == FORMAT
    return [
        (row["id"], row["configuration"], row["clock"], *row["input"], row["expected"]["outcome"],
         row["expected"].get("code", ""))
        for row in file["vectors"]
    ]  # fmt: skip


@pytest.mark.parametrize("stem", STEMS)
def test_each_vector_has_an_id_of_its_own(stem: str) -> None:
    """An id names one vector of its file."""
    ids = [vector["id"] for vector in FILES[stem]["vectors"]]
    assert sorted(set(ids)) == sorted(ids)


def test_no_private_key_is_published_and_the_files_stay_small() -> None:
    """The keys that signed are gone; the suite is small enough for a repository."""
    paths = list(HERE.glob("*.json"))
    assert not any("PRIVATE KEY" in path.read_text() for path in paths)
    assert sum(path.stat().st_size for path in paths) < MOST_BYTES
