"""`python -m tests.soak [--verifications N]`: does resident memory stay flat, however many messages come?

Good and bad ones mixed: the generated attacks, the genuine messages, and messages full of names that
nobody has used before, which a parser that keeps names would keep. Prints the figures; status 1 if
memory grew by more than a few MiB once everything was warm.
"""

from __future__ import annotations

import argparse
import base64
import gc
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator
from random import Random

from tests.generated.attacks import Generated, generate
from tests.generated.messages import SCENE, genuine_messages

from sso_middleware.errors import MessageRefused
from sso_middleware.saml.parsing import read_message
from sso_middleware.saml.response import verify_response

GENERATED = 2000
MOST_GROWTH_MIB = 16.0
"""After the first tenth. 100,000 messages with made-up names would leave hundreds behind (ADR 3)."""
NAMES = 40
"""Made-up names in one message, each of an element, an attribute, a prefix and a namespace."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--verifications", type=int, default=100_000)
    total = parser.parse_args().verifications
    outcomes: Counter[str] = Counter()
    figures: list[float] = []
    started = time.perf_counter()
    for number, attack in enumerate(itertools.islice(messages(), total), start=1):
        outcomes[outcome(attack)] += 1
        if number % max(1, total // 10) == 0:
            gc.collect()
            figures.append(resident_mib())
            print(
                f"{number:>8} verifications  {figures[-1]:7.1f} MiB  {time.perf_counter() - started:6.0f} s", flush=True
            )
    growth = max(figures[1:], default=figures[0]) - figures[0]
    print(f"{outcomes['accepted']} accepted, {total - outcomes['accepted']} refused for {len(outcomes) - 1} reasons")
    print(f"memory grew by {growth:.1f} MiB after the first tenth (at most {MOST_GROWTH_MIB:.0f} are allowed)")
    return 0 if growth <= MOST_GROWTH_MIB else 1


def messages() -> Iterator[Generated]:
    """In turn a genuine one, a generated attack, and one with made-up names, signed or not."""
    honest = [genuine(each.xml) for each in genuine_messages()]
    attacks = [generate(Random(seed)) for seed in range(GENERATED)]
    random = Random(0)
    for good, bad in zip(itertools.cycle(honest), itertools.cycle(attacks)):
        yield good
        yield bad
        yield made_up(random)


def made_up(random: Random) -> Generated:
    """A signed message, its signature intact, with values of names never seen before."""
    xml = random.choice(genuine_messages()).xml
    names = b"".join(_element(random) for _ in range(NAMES))
    place = xml.find(b"</saml:AttributeValue>")
    value = xml if place < 0 else xml[:place] + names + xml[place:]
    return genuine(value)


def genuine(xml: bytes) -> Generated:
    return Generated(base64.b64encode(xml).decode(), (), "either", "optional", SCENE.expected)


def _element(random: Random) -> bytes:
    name = b"%016x" % random.getrandbits(64)
    return b'<p%s:e%s xmlns:p%s="urn:%s" a%s=""/>' % (name, name, name, name, name)


def outcome(attack: Generated) -> str:
    try:
        verify_response(
            read_message(attack.value),
            trust=attack.trust,
            service_provider=SCENE.service_provider,
            expected=attack.expected,
            now=SCENE.now,
        )
    except MessageRefused as refusal:
        return refusal.code
    return "accepted"


def resident_mib() -> float:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024


if __name__ == "__main__":
    sys.exit(main())
