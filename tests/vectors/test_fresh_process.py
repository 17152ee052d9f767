"""Honest vectors, each in a process and a thread that have read nothing like it before.

lxml keeps names by thread, and leaves a PrefixList's prefix out of exclusive canonicalization if the
thread that canonicalizes has never met it. A test suite's own parsing would hide that: so here each
message comes first, or after nothing but a flood of names that somebody made up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# One child per vector and per thread, forked from a parent that has parsed nothing, or the flood only.
SCRIPT = """
import json, os, sys, threading
from sso_middleware.errors import MessageRefused
from sso_middleware.saml.parsing import read_message_xml
from tests.vectors.reading import outcome

file = json.loads(open("tests/vectors/honest.json").read())

def play(vector):
    return outcome(vector, file["configurations"][vector["configuration"]]) == vector["expected"]

def in_a_child(vector, in_thread):
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    passed = []
    if in_thread:
        thread = threading.Thread(target=lambda: passed.append(play(vector)))
        thread.start()
        thread.join()
    else:
        passed.append(play(vector))
    os._exit(0 if passed == [True] else 1)

def flood(messages):
    for message in range(messages):
        names = "".join(f"<n{message}.{number}/>" for number in range(4000))
        try:
            read_message_xml(f"<a>{names}</a>".encode())
        except MessageRefused:
            pass

assert "signxml" not in sys.modules
flood(int(sys.argv[1]))
print(json.dumps([f"{vector['id']}{', in a thread' * in_thread}" for vector in file["vectors"]
                  for in_thread in (False, True) if not in_a_child(vector, in_thread)]))
"""


@pytest.mark.parametrize("flood", [0, 60], ids=["fresh", "after a flood"])
def test_the_first_message_that_a_process_or_thread_reads_is_verified_too(flood: int) -> None:
    """No honest message is refused because nothing like it came before, or too much that was unlike it."""
    command = [sys.executable, "-c", SCRIPT, str(flood)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
