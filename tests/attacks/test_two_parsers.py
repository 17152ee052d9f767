"""XML-013: a second parser sees the same document as ours, in everything that passes the gate.

Two parsers that disagree were behind several broken verifiers (CVE-2025-25291, CVE-2025-25292). Here
one parser reads, at run time; this holds that expat, which shares no code with it, reads the same:
every element, attribute, text and namespace, of what came and of what was signed.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from lxml import etree
from tests.attacks import test_enc, test_pro, test_rpl, test_sig, test_ten, test_xml, test_xsw
from tests.attacks.scene import Attack, default_scene, unsolicited
from tests.second_parser import as_expat_reads, as_lxml_reads

from sso_middleware.errors import MessageRefused
from sso_middleware.saml.parsing import read_message, read_message_xml

if TYPE_CHECKING:
    from sso_middleware.saml.parsing import Message

MODULES = (test_sig, test_xsw, test_xml, test_pro, test_rpl, test_ten, test_enc)
ATTACKS = [attack for module in MODULES for attack in module.ATTACKS]


def read(sent: bytes | str) -> tuple[Message, bytes] | None:
    """The message and its XML, if the gate lets it through."""
    try:
        if isinstance(sent, str):
            return read_message(sent), base64.b64decode(sent)
        return read_message_xml(sent), sent
    except MessageRefused:
        return None


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_xml_013_expat_reads_what_lxml_reads(attack: Attack) -> None:
    """Of every attack that passes the gate, and of its honest twin."""
    scene = default_scene() if attack.solicited else unsolicited(default_scene())
    twin = attack.twin(scene)
    passed = [found for sent in (twin, attack.build(scene)) if (found := read(sent)) is not None]

    assert passed
    for message, xml in passed:
        assert as_expat_reads(xml) == as_lxml_reads(message.element)
        canonical = etree.tostring(message.element, method="c14n", exclusive=True)
        assert as_expat_reads(canonical) == as_lxml_reads(message.element)
