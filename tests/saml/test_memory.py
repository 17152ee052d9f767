"""No message costs more than 64 MiB, however it is made (within the size that is read at all)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_MIB = 64

# Each in a child of its own, whose high-water mark is set back just before: tracemalloc does not see libxml2.
SCRIPT = """
import json, os
from tests.attacks.scene import default_scene, form_value, verify_response, read_message, Trust, MessageRefused
from tests.worst_messages import worst_messages

scene = default_scene()
trust = Trust(scene.idp.describe())

def receive(value):
    try:
        verify_response(read_message(value), trust=trust, service_provider=scene.service_provider,
                        expected=scene.expected, now=scene.now)
    except MessageRefused as refusal:
        return refusal.code
    return "accepted"

def memory(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024

def cost(value):
    reader, writer = os.pipe()
    if os.fork() == 0:
        with open("/proc/self/clear_refs", "w") as marks:
            marks.write("5")
        before = memory("VmRSS:")
        code = receive(value)
        os.write(writer, json.dumps([code, round(memory("VmHWM:") - before, 1)]).encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    with os.fdopen(reader) as answer:
        return json.loads(answer.read() or '["crashed", 1e9]')

messages = worst_messages()
assert receive(form_value(scene.respond())) == "accepted"
print(json.dumps({name: cost(value) for name, value in messages.items()}))
"""


def test_no_message_costs_more_than_64_mib() -> None:
    """The highest water mark of the whole process while it receives each of the worst messages."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    costs: dict[str, tuple[str, float]] = json.loads(done.stdout)
    assert costs["honest, 1,900 groups, signed twice"][0] == "accepted"
    assert {name: cost for name, cost in costs.items() if cost[1] > MOST_MIB} == {}
