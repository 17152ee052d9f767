"""XML: documents that two parsers read in two ways, or that cost more to read than to send."""

from __future__ import annotations

import base64
import codecs
import zlib
from collections.abc import Callable
from copy import deepcopy

import pytest
from lxml import etree
from tests.attacks.scene import (
    BOTH_SIGNED,
    Attack,
    Scene,
    check_refused,
    check_twin_accepted,
    cut,
    default_scene,
    said,
    verify,
)
from tests.attacks.surgery import Element, assertion_in, saml, sign_again, swapped
from tests.attacks.trap import Trap
from tests.identity_provider import find_one, form_value

from sso_middleware.errors import MessageRefused
from sso_middleware.saml.parsing import inflate

LAUGHS = '<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {name} "{"".join(f"&{before};" for _ in range(10))}">'
    for before, name in zip("abcdef", "bcdefg", strict=True)
)


def with_doctype(declarations: str, within: str = "") -> Callable[[Scene], bytes]:
    """A document type in front; `within` is put where the person's address is read."""

    def build(scene: Scene) -> bytes:
        message = scene.respond()
        if within:
            message = swapped(message, f">{scene.email}</", f">{within}</")
        return f"<!DOCTYPE samlp:Response {declarations}>".encode() + message

    return build


def entity_in_id(declared: bool) -> Callable[[Scene], bytes]:
    """CVE-2025-23369: the ID is an entity, which libxml2 looked up differently than it compared it."""

    def build(scene: Scene) -> bytes:
        message = swapped(scene.respond(assertion_id="_known"), 'ID="_known"', 'ID="&i;"')
        return (b'<!DOCTYPE samlp:Response [<!ENTITY i "_known">]>' if declared else b"") + message

    return build


def split_text(by: str, **where: str) -> Callable[[Scene], bytes]:
    """The identity provider signs `{honest}{tail}`; something in between makes a parser stop at `{honest}`.

    The attacker owns what the whole text names, at a domain of his own.
    """

    def build(scene: Scene) -> bytes:
        ((field, honest),) = where.items()
        text = honest.format(victim=scene.victim, issuer=scene.idp.entity_id, audience=scene.service_provider.entity_id)
        tail = ".attacker.example"
        return swapped(scene.respond(**{field: text + tail}), text + tail, text + by + tail)

    return build


def recoded(encode: Callable[[str], bytes]) -> Callable[[Scene], bytes]:
    return lambda scene: encode(scene.respond().decode())


def declared(declaration: str) -> Callable[[Scene], bytes]:
    return lambda scene: declaration.encode() + scene.respond()


def padded_with(extensions: str) -> Callable[[Scene], bytes]:
    """Something large where SAML allows anything: in Extensions, which no signature of an assertion covers."""
    return lambda scene: scene.respond(extensions_xml=extensions)


def value_of(change: Callable[[str], str]) -> Callable[[Scene], str]:
    """A form value that differs from the honest one in its spelling."""
    return lambda scene: change(form_value(scene.respond()))


def deflated(scene: Scene) -> str:
    packer = zlib.compressobj(wbits=-15)
    return base64.b64encode(packer.compress(scene.respond()) + packer.flush()).decode()


def signed_again(edit: Callable[[Scene, Element], None]) -> Callable[[Scene, Element], None]:
    """Edit the assertion, and let the identity provider's own key sign the result."""

    def change(scene: Scene, root: Element) -> None:
        edit(scene, assertion_in(root))
        sign_again(assertion_in(root), scene.idp.signer)

    return change


def element_in(path: str) -> Callable[[Scene, Element], None]:
    def edit(scene: Scene, assertion: Element) -> None:
        element = find_one(assertion, path)
        element.text = scene.victim
        etree.SubElement(element, saml("Audience")).tail = ".attacker.example"

    return signed_again(edit)


def text_after(path: str) -> Callable[[Scene, Element], None]:
    def edit(scene: Scene, assertion: Element) -> None:
        find_one(assertion, path).tail = scene.victim

    return signed_again(edit)


def text_in_envelope(scene: Scene, root: Element) -> None:
    find_one(root, "samlp:Status").tail = scene.victim


def without_id(scene: Scene, root: Element) -> None:
    del root.attrib["ID"]


def doubled(path: str) -> Callable[[Scene, Element], None]:
    """A second copy of a child that there may be only one of."""

    def edit(scene: Scene, assertion: Element) -> None:
        child = find_one(assertion, path)
        child.addnext(deepcopy(child))

    return signed_again(edit)


def doubled_status(scene: Scene, root: Element) -> None:
    status = find_one(root, "samlp:Status")
    status.addnext(deepcopy(status))


def swapped_children(scene: Scene, assertion: Element) -> None:
    find_one(assertion, "saml:Conditions").addnext(find_one(assertion, "saml:Subject"))


ATTACKS: tuple[Attack, ...] = (
    Attack("XML-001", "plain", "doctype_not_allowed", with_doctype("")),
    Attack("XML-002", "default attribute", "doctype_not_allowed",
           with_doctype('[<!ATTLIST saml:Assertion Id CDATA "_evil">]')),
    Attack("XML-002", "ID typing", "doctype_not_allowed",
           with_doctype("[<!ATTLIST saml:Assertion Version ID #REQUIRED>]")),
    Attack("XML-004", "file", "doctype_not_allowed", with_doctype('[<!ENTITY x SYSTEM "file:///etc/passwd">]', "&x;")),
    Attack("XML-005", "billion laughs", "doctype_not_allowed", with_doctype(f"[{LAUGHS}]", "&g;")),
    Attack("XML-005", "quadratic", "doctype_not_allowed",
           with_doctype(f'[<!ENTITY a "{"ha" * 5000}">]', "&a;" * 5000)),
    Attack("XML-006", "declared", "doctype_not_allowed", entity_in_id(declared=True)),
    Attack("XML-006", "undeclared", "xml_malformed", entity_in_id(declared=False)),
    Attack("XML-007", "NameID", "comment_not_allowed", split_text("<!---->", name_id="{victim}")),
    Attack("XML-007", "AttributeValue", "comment_not_allowed", split_text("<!---->", email="{victim}")),
    Attack("XML-007", "Issuer", "comment_not_allowed", split_text("<!---->", issuer="{issuer}")),
    Attack("XML-007", "Audience", "comment_not_allowed", split_text("<!---->", audience="{audience}")),
    Attack("XML-008", "NameID", "processing_instruction_not_allowed", split_text("<?x y?>", name_id="{victim}")),
    cut("XML-008", "between elements", "processing_instruction_not_allowed",
        lambda scene, root: assertion_in(root).addprevious(etree.ProcessingInstruction("x", "y"))),
    Attack("XML-009", "NameID", "cdata_not_allowed", split_text("<![CDATA[]]>", name_id="{victim}")),
    Attack("XML-009", "whole value", "cdata_not_allowed", lambda scene: swapped(
        scene.respond(), f">{scene.email}</", f"><![CDATA[{scene.email}]]></")),
    cut("XML-010", "NameID", "schema_violated", element_in("saml:Subject/saml:NameID")),
    cut("XML-010", "AttributeValue", "schema_violated", element_in(".//saml:AttributeValue")),
    cut("XML-010", "between elements", "schema_violated", text_after("saml:Subject")),
    cut("XML-010", "between elements of the envelope", "schema_violated", text_in_envelope),
    Attack("XML-011", "UTF-16", "encoding_not_allowed", recoded(lambda text: text.encode("utf-16"))),
    Attack("XML-011", "UTF-16 without mark", "encoding_not_allowed", recoded(lambda text: text.encode("utf-16-le"))),
    Attack("XML-011", "UTF-7", "encoding_not_allowed", recoded(
        lambda text: b'<?xml version="1.0" encoding="UTF-7"?>' + text.encode("utf-7"))),
    Attack("XML-011", "ISO-8859-1", "encoding_not_allowed", recoded(
        lambda text: b'<?xml version="1.0" encoding="ISO-8859-1"?>' + text.encode("iso-8859-1"))),
    Attack("XML-011", "EBCDIC", "encoding_not_allowed", recoded(
        lambda text: ('<?xml version="1.0" encoding="cp037"?>' + text).encode("cp037"))),
    Attack("XML-011", "EBCDIC declared", "encoding_not_allowed", declared('<?xml version="1.0" encoding="cp037"?>')),
    Attack("XML-011", "byte order mark", "encoding_not_allowed", recoded(lambda text: codecs.BOM_UTF8 + text.encode())),
    Attack("XML-011", "NUL", "encoding_not_allowed", lambda scene: swapped(
        scene.respond(), f">{scene.email}</", f">{scene.email}\0</")),
    Attack("XML-012", "1.1", "xml_version_not_allowed", declared('<?xml version="1.1"?>')),
    Attack("XML-014", "3000 levels", "xml_too_complex", padded_with("<a>" * 3000 + "</a>" * 3000)),
    Attack("XML-015", "20000 attributes", "xml_too_complex", padded_with(
        "<a " + " ".join(f'a{number:x}=""' for number in range(20_000)) + "/>")),
    Attack("XML-015", "40000 elements", "xml_too_complex", padded_with("<a/>" * 40_000)),
    Attack("XML-015", "100000 elements", "message_too_large", padded_with("<a/>" * 100_000)),
    Attack("XML-015", "10 MB of text", "message_too_large", padded_with(f"<a>{'x' * 10_000_000}</a>")),
    Attack("XML-016", "over the limit", "message_too_large", padded_with(f"<a>{'x' * 256 * 1024}</a>")),
    Attack("XML-016", "whitespace", "message_too_large", value_of(lambda value: value + " " * 256 * 1024)),
    Attack("XML-018", "DEFLATE on POST", "deflated_on_post", deflated),
    Attack("XML-019", "garbage", "base64_invalid", value_of(lambda value: value[:100] + "!" + value[100:])),
    Attack("XML-019", "missing padding", "base64_invalid", lambda scene: form_value(
        padded_to(scene.respond(), 1)).rstrip("=")),
    Attack("XML-019", "too much padding", "base64_invalid", value_of(lambda value: value.rstrip("=") + "====")),
    Attack("XML-019", "data after padding", "base64_invalid", lambda scene: form_value(
        padded_to(scene.respond(), 1)) + "QQ=="),
    Attack("XML-019", "URL-safe", "base64_invalid", value_of(lambda value: value.replace("+", "-"))),
    Attack("XML-019", "stray bits", "base64_invalid", lambda scene: with_stray_bits(
        form_value(padded_to(scene.respond(), 1)))),
    *(
        cut("XML-020", f"two of {path.partition(':')[2]}", "schema_violated", doubled(path))
        for path in ("saml:Subject", "saml:Conditions")
    ),
    cut("XML-020", "two of Issuer", "schema_violated", doubled("saml:Issuer")),
    cut("XML-020", "two of NameID", "schema_violated", doubled("saml:Subject/saml:NameID")),
    cut("XML-020", "two of Status", "schema_violated", doubled_status),
    cut("XML-020", "out of order", "schema_violated", signed_again(swapped_children)),
    said("XML-021", "digit first", "id_invalid", response_id="1response"),
    said("XML-021", "digit first in the assertion", "id_invalid", assertion_id="1assertion"),
    cut("XML-021", "absent", "attribute_required", without_id),
    said("XML-021", "space", "id_invalid", response_id="_a b"),
)  # fmt: skip


def padded_to(xml: bytes, remainder: int) -> bytes:
    """Trailing spaces until the length leaves this remainder by three, so that base64 needs its padding."""
    return xml + b" " * ((remainder - len(xml)) % 3)


def with_stray_bits(value: str) -> str:
    """Another spelling of the same bytes: the unused bits of the last character set (RFC 4648 3.5)."""
    assert value.endswith("==")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return value[:-3] + alphabet[alphabet.index(value[-3]) + 1] + "=="


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_attack_is_refused(attack: Attack) -> None:
    """Each document that abuses XML is refused, for its own reason."""
    check_refused(attack)


def test_the_honest_twin_is_accepted() -> None:
    """The same message without the attack signs the person in; all attacks here have the same twin."""
    assert not any(attack.genuine or attack.trust for attack in ATTACKS)
    check_twin_accepted(ATTACKS[0])


def test_whitespace_in_base64_is_accepted() -> None:
    """XML-019 says that whitespace only is allowed: lines of 76 characters are usual."""
    scene = default_scene()
    lines = base64.encodebytes(scene.respond(**BOTH_SIGNED)).decode().replace("\n", "\r\n")
    assert verify(scene, lines).name_id.value == scene.email


@pytest.mark.parametrize(
    "doctype", ['SYSTEM "{url}"', '[<!ENTITY x SYSTEM "{url}">]', '[<!ENTITY % x SYSTEM "{url}"> %x;]']
)
def test_xml_003_nothing_outside_is_fetched(trap: Trap, doctype: str) -> None:
    """An external subset or entity is refused, and its server hears nothing."""
    build = with_doctype(doctype.format(url=trap.url))
    check_refused(Attack("XML-003", "external subset", "doctype_not_allowed", build))
    assert not trap.was_called()


def test_xml_017_a_deflate_bomb_stops_early() -> None:
    """75 KiB that unpack to 60 MB are refused at the limit."""
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(b"<" + b"a" * 60_000_000) + packer.flush()
    assert len(bomb) < 75 * 1024
    with pytest.raises(MessageRefused) as refusal:
        inflate(bomb, limit=256 * 1024)
    assert refusal.value.code == "message_too_large"


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"\xff" + data])
def test_xml_017_what_is_inflated_is_one_whole_stream(spoil: Callable[[bytes], bytes]) -> None:
    """A DEFLATE stream that is cut off, has something behind it, or is none, is refused."""
    packer = zlib.compressobj(wbits=-15)
    stream = packer.compress(b"<a/>") + packer.flush()
    assert inflate(stream, limit=100) == b"<a/>"
    with pytest.raises(MessageRefused) as refusal:
        inflate(spoil(stream), limit=100)
    assert refusal.value.code == "deflate_invalid"
