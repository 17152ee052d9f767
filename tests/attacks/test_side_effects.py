"""Verifying touches nothing: no process, no file, no socket, whatever the message says."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.attacks import test_enc, test_pro, test_rpl, test_sig, test_ten, test_xml, test_xsw
from tests.attacks.scene import default_scene, unsolicited, verify

from sso_middleware.errors import MessageRefused

TABLES = (test_sig, test_xsw, test_xml, test_pro, test_rpl, test_ten, test_enc)
FORBIDDEN = ("subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "tempfile.", "socket.")

_watching: list[list[str]] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook (PEP 578) can't be taken away again, so it looks only while somebody watches."""
    if not _watching:
        return
    if event.startswith(FORBIDDEN) or (event == "open" and _is_for_writing(arguments)):
        _watching[-1].append(event)


def _is_for_writing(arguments: tuple[object, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


sys.addaudithook(_watch)


@contextmanager
def watched() -> Iterator[list[str]]:
    seen: list[str] = []
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.pop()


def test_xml_022_no_attack_makes_us_start_or_write_anything() -> None:
    """Refused or accepted, encrypted or not: nothing is left on disk, because nothing was ever put there."""
    for attack in (attack for module in TABLES for attack in module.ATTACKS):
        scene = default_scene() if attack.solicited else unsolicited(default_scene())
        for message in (attack.build(scene), attack.twin(scene)):
            with watched() as seen, suppress(MessageRefused):
                verify(scene, message, **attack.trust)
            assert seen == [], str(attack)


def test_the_watch_sees_what_it_must(tmp_path: os.PathLike[str]) -> None:
    """A file that is written is seen, so the silence of the other test means something."""
    with watched() as seen:
        with open(os.path.join(tmp_path, "x"), "w"):
            pass
        with open(os.path.join(tmp_path, "x")):
            pass
    assert seen == ["open"]
