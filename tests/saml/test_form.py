"""The gate, on the tree: each element in its place, each attribute its own, each ID once."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from random import Random

import pytest
from lxml import etree
from tests.identity_provider import find_one
from tests.response_shape import DS, SAML, SAMLP
from tests.saml.conversation import edited, our_encryption, respond

from sso_middleware.errors import MessageRefused
from sso_middleware.saml.content import Place
from sso_middleware.saml.form import check_common_form, check_form
from sso_middleware.saml.parsing import parse_part, read_message_xml
from sso_middleware.saml.schema import SHAPES

Edit = Callable[[etree._Element], object]

BOTH = respond(sign_response=True)


def read(xml: bytes) -> str:
    """`accepted`, or the code of the refusal: the same by the careful way alone, which unusual messages go."""
    came = outcome(read_message_xml, xml)
    if came != "time_invalid":  # values are read later
        assert outcome(lambda xml: check_form(etree.fromstring(xml)), xml) == came
    return came


def outcome(check: Callable[[bytes], object], xml: bytes) -> str:
    try:
        check(xml)
    except MessageRefused as error:
        return error.code
    return "accepted"


def gate(edit: Edit, xml: bytes = BOTH) -> str:
    return read(edited(xml, edit))


def add(parent: str, xml: str, index: int | None = None) -> Edit:
    """Put an element in; the usual prefixes are declared."""
    declared = f'<x xmlns:saml="{SAML}" xmlns:samlp="{SAMLP}" xmlns:ds="{DS}" xmlns:f="urn:f">{xml}</x>'

    def edit(root: etree._Element) -> None:
        element = find_one(root, parent)
        element.insert(len(element) if index is None else index, etree.fromstring(declared)[0])

    return edit


def drop(path: str) -> Edit:
    def edit(root: etree._Element) -> None:
        element = find_one(root, path)
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)

    return edit


def set_attribute(path: str, name: str, value: str | None) -> Edit:
    def edit(root: etree._Element) -> None:
        element = find_one(root, path)
        if value is None:
            del element.attrib[name]
        else:
            element.set(name, value)

    return edit


def set_text(path: str, text: str) -> Edit:
    def edit(root: etree._Element) -> None:
        find_one(root, path).text = text

    return edit


def test_an_honest_response_passes() -> None:
    """Both signed, and with nothing in it that isn't needed."""
    assert read(BOTH) == "accepted"
    assert read(respond(sign_assertion=False)) == "accepted"


STATEMENT = "saml:Assertion/saml:AuthnStatement"
VALUE = "saml:Assertion/saml:AttributeStatement/saml:Attribute/saml:AttributeValue"


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        # Order and number
        (add(".", "<saml:Issuer>x</saml:Issuer>", 0), "schema_violated"),
        (add("saml:Assertion", "<saml:Conditions/>"), "schema_violated"),
        (add("saml:Assertion", "<saml:Subject/>"), "schema_violated"),
        (add("saml:Assertion", "<saml:AuthzDecisionStatement/>"), "schema_violated"),
        (add("saml:Assertion", "<f:Statement/>"), "schema_violated"),
        (add(".", "<samlp:Status><samlp:StatusCode Value='x'/></samlp:Status>", 2), "schema_violated"),
        (add("saml:Assertion/saml:Subject", "<saml:NameID>x</saml:NameID>", 0), "schema_violated"),
        (add("saml:Assertion/saml:Subject/saml:NameID", "<f:b/>"), "schema_violated"),
        (add("saml:Assertion/saml:AttributeStatement", "<saml:EncryptedAttribute/>"), "schema_violated"),
        (drop("saml:Assertion/saml:Issuer"), "schema_violated"),
        (drop("samlp:Status/samlp:StatusCode"), "schema_violated"),
        (drop(f"{STATEMENT}/saml:AuthnContext"), "schema_violated"),
        # Assertions
        (add(".", "<saml:Assertion/>"), "too_many_assertions"),
        (add(".", "<saml:EncryptedAssertion/>"), "too_many_assertions"),
        (add("saml:Assertion", "<saml:Advice><saml:Assertion/></saml:Advice>", 4), "assertion_misplaced"),
        (add(".", "<samlp:Extensions><saml:Assertion/></samlp:Extensions>", 2), "assertion_misplaced"),
        (lambda root: root.insert(2, find_one(root, "saml:Assertion")), "assertion_misplaced"),
        # Signatures
        (add("saml:Assertion", "<ds:Signature/>", 0), "signature_misplaced"),
        (add("saml:Assertion", "<ds:Signature/>", 2), "signature_misplaced"),
        (add("saml:Assertion", "<ds:Signature/>"), "signature_misplaced"),
        (add("saml:Assertion/saml:Subject", "<ds:Signature/>"), "signature_misplaced"),
        (drop("saml:Issuer"), "signature_misplaced"),
        # Text where only elements are
        (set_text("samlp:Status", "Success"), "schema_violated"),
        (lambda root: setattr(root[0], "tail", "x"), "schema_violated"),
        (lambda root: setattr(root[0], "tail", "\u00a0"), "schema_violated"),
        # Attributes
        (set_attribute("saml:Assertion", "foo", "x"), "attribute_not_allowed"),
        (set_attribute("saml:Assertion", "id", "_x"), "attribute_not_allowed"),
        (set_attribute("saml:Assertion", "{urn:x}ID", "_x"), "attribute_not_allowed"),
        (set_attribute("saml:Assertion", f"{{{SAML}}}ID", "_x"), "attribute_not_allowed"),
        (set_attribute(".", "{http://www.w3.org/XML/1998/namespace}id", "_x"), "attribute_not_allowed"),
        (set_attribute(VALUE, "Id", "_x"), "attribute_not_allowed"),
        (set_attribute("saml:Assertion", "ID", None), "attribute_required"),
        (set_attribute("saml:Assertion", "Version", None), "attribute_required"),
        (set_attribute(".", "IssueInstant", None), "attribute_required"),
        (set_attribute(STATEMENT, "AuthnInstant", None), "attribute_required"),
        (set_attribute("saml:Assertion", "Version", "2.1"), "version_unsupported"),
        (set_attribute(".", "Version", "1.1"), "version_unsupported"),
        (set_attribute(".", "IssueInstant", "yesterday"), "time_invalid"),
        # Other content
        (add(VALUE, "<f:a><saml:NameID>x</saml:NameID></f:a>"), "schema_violated"),
        (add(VALUE, "<f:a><f:Assertion/></f:a>"), "schema_violated"),
        (add(VALUE, "<Response/>"), "schema_violated"),
        (add(VALUE, "<f:a f:id='x'/>"), "attribute_not_allowed"),
        (add(VALUE, "<f:a><f:b xml:id='x'/></f:a>"), "attribute_not_allowed"),
    ],
)
def test_what_has_no_place_is_refused(edit: Edit, code: str) -> None:
    """Each violation under the code that tells an admin what it is."""
    assert gate(edit) == code


@pytest.mark.parametrize(
    "edit",
    [
        add(".", "<samlp:Extensions><f:a b='c'>d<f:e/></f:a></samlp:Extensions>", 2),
        add("samlp:Status", "<samlp:StatusMessage>fine</samlp:StatusMessage>"),
        add("samlp:Status", "<samlp:StatusDetail><Cause>none</Cause></samlp:StatusDetail>"),
        add("saml:Assertion", "<saml:Advice><f:a/></saml:Advice>", 4),
        add("saml:Assertion", "<saml:AttributeStatement/>"),
        add("saml:Assertion/saml:AttributeStatement", "<saml:Attribute Name='x' f:Encoding='LDAP'/>"),
        add("saml:Assertion/saml:Conditions", "<saml:OneTimeUse/>", 0),
        add("saml:Assertion/saml:Conditions", "<saml:ProxyRestriction Count='1'/>"),
        add(STATEMENT, "<saml:SubjectLocality Address='192.0.2.1'/>", 0),
        add(VALUE, "<saml:NameID>x</saml:NameID>"),
        lambda root: root.insert(0, root[0]),
    ],
)
def test_what_the_schema_allows_passes(edit: Edit) -> None:
    """Extensions, details and statements that say nothing to us do no harm."""
    assert gate(edit) == "accepted"


# IDs


@pytest.mark.parametrize("value", ["1a", "", "a b", "a:b", "-a", "a\u00a0", "a" * 257])
def test_an_id_is_a_name(value: str) -> None:
    """An xs:ID begins with a letter or an underscore (XML-021), and ours has an end."""
    assert gate(set_attribute(".", "ID", value), respond()) == "id_invalid"


@pytest.mark.parametrize("value", ["_1a", "id5", "pfx-1.2_3", "é1", "a" * 256])
def test_ids_as_providers_make_them(value: str) -> None:
    """Okta's, OneLogin's and any other name."""
    assert gate(set_attribute(".", "ID", value), respond()) == "accepted"


def test_ids_are_unique_over_all_elements() -> None:
    """Of the same type, of another, of the signature's own (XSW-014, XSW-015)."""
    assert read(respond(response_id="_one", assertion_id="_one")) == "duplicate_id"
    assert gate(set_attribute("ds:Signature", "Id", "_two"), respond(sign_response=True)) == "accepted"
    twin = respond(sign_response=True, assertion_id="_two")
    assert gate(set_attribute("ds:Signature", "Id", "_two"), twin) == "duplicate_id"


# Failures


def test_a_failure_may_be_told_in_other_words() -> None:
    """A failure whose StatusMessage violates the schema is still read as one."""

    def in_an_attribute(root: etree._Element) -> None:
        status = find_one(root, "samlp:Status")
        status.insert(1, etree.SubElement(status, f"{{{SAMLP}}}StatusMessage", Value="no session"))
        status.insert(1, etree.SubElement(status, f"{{{SAMLP}}}StatusDetail"))

    assert gate(in_an_attribute, respond(status=("NoPassive",), has_assertion=False)) == "accepted"
    assert gate(in_an_attribute) == "schema_violated"


def test_a_failure_is_not_excused_from_anything_else() -> None:
    """Only the words of a failure are taken as they come."""
    failure = respond(status=("NoPassive",), has_assertion=False, sign_response=True)
    assert gate(add("samlp:Status", "<ds:Signature/>"), failure) == "signature_misplaced"
    assert gate(add("samlp:Status", "<f:a/>"), failure) == "schema_violated"
    assert gate(add("samlp:Status/samlp:StatusCode", "<f:a/>"), failure) == "schema_violated"


# The shape of a signature

SIGNATURE = "saml:Assertion/ds:Signature"
INFO = f"{SIGNATURE}/ds:SignedInfo"
REFERENCE = f"{INFO}/ds:Reference"
TRANSFORMS = f"{REFERENCE}/ds:Transforms"
EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
PREFIXES = f"<ec:InclusiveNamespaces xmlns:ec='{EXC_C14N}' PrefixList='xs'/>"


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (drop(f"{SIGNATURE}/ds:SignatureValue"), "signature_malformed"),
        (drop(f"{REFERENCE}/ds:Transforms"), "signature_malformed"),
        (add(SIGNATURE, "<ds:Object/>"), "signature_malformed"),
        (add(SIGNATURE, "<ds:SignedInfo/>", 0), "signature_malformed"),
        (add(REFERENCE, "<ds:DigestValue/>"), "signature_malformed"),
        (add(f"{REFERENCE}/ds:DigestValue", "<f:a/>"), "signature_malformed"),
        (set_text(INFO, "x"), "signature_malformed"),
        (add(f"{INFO}/ds:SignatureMethod", "<ds:HMACOutputLength>1</ds:HMACOutputLength>"), "algorithm_not_allowed"),
        (set_attribute(f"{INFO}/ds:SignatureMethod", "Algorithm", f"{DS}hmac-sha1"), "algorithm_not_allowed"),
        (set_attribute(f"{INFO}/ds:SignatureMethod", "Algorithm", f"{DS}dsa-sha1"), "algorithm_not_allowed"),
        (set_attribute(f"{REFERENCE}/ds:DigestMethod", "Algorithm", "urn:md5"), "algorithm_not_allowed"),
        (set_attribute(f"{REFERENCE}/ds:DigestMethod", "Algorithm", None), "attribute_required"),
        (add(f"{INFO}/ds:CanonicalizationMethod", "<f:a/>"), "canonicalization_not_allowed"),
        (
            set_attribute(f"{INFO}/ds:CanonicalizationMethod", "Algorithm", EXC_C14N + "WithComments"),
            "canonicalization_not_allowed",
        ),
        (set_attribute(REFERENCE, "URI", ""), "reference_not_allowed"),
        (set_attribute(REFERENCE, "URI", None), "reference_not_allowed"),
        (set_attribute(REFERENCE, "URI", "#_other"), "reference_not_allowed"),
        (set_attribute(REFERENCE, "URI", "https://idp.acme.example/"), "reference_not_allowed"),
        (lambda root: find_one(root, INFO).append(etree.fromstring(etree.tostring(find_one(root, REFERENCE)))),
         "reference_not_allowed"),
        (drop(f"{TRANSFORMS}/ds:Transform"), "transform_not_allowed"),
        (add(TRANSFORMS, f"<ds:Transform Algorithm='{EXC_C14N}'/>"), "transform_not_allowed"),
        (lambda root: find_one(root, TRANSFORMS).insert(0, find_one(root, TRANSFORMS)[1]), "transform_not_allowed"),
        (add(f"{TRANSFORMS}/ds:Transform", "<ds:XPath>1</ds:XPath>"), "transform_not_allowed"),
        (add(f"{TRANSFORMS}/ds:Transform", PREFIXES), "transform_not_allowed"),
        (
            lambda root: find_one(root, TRANSFORMS).clear(),
            "transform_not_allowed",
        ),
        (add(f"{SIGNATURE}/ds:KeyInfo", "<ds:RetrievalMethod URI='#x'/>"), "key_info_not_allowed"),
        (add(f"{SIGNATURE}/ds:KeyInfo", "<ds:KeyValue><ds:DSAKeyValue/></ds:KeyValue>"), "key_info_not_allowed"),
        (add(f"{SIGNATURE}/ds:KeyInfo/ds:X509Data", "<f:X509URL>urn:x</f:X509URL>"), "key_info_not_allowed"),
    ],
)  # fmt: skip
def test_a_signature_has_one_shape(edit: Edit, code: str) -> None:
    """What it covers, how it is canonicalized and by which algorithms leaves no choice."""
    assert gate(edit) == code


@pytest.mark.parametrize(
    "edit",
    [
        drop(f"{SIGNATURE}/ds:KeyInfo"),
        add(f"{SIGNATURE}/ds:KeyInfo", "<ds:KeyName>key</ds:KeyName>", 0),
        add(f"{INFO}/ds:CanonicalizationMethod", PREFIXES),
        add(f"{TRANSFORMS}/ds:Transform[2]", PREFIXES),
    ],
)
def test_what_a_signature_may_carry(edit: Edit) -> None:
    """No KeyInfo, or one with a name; the prefixes of exclusive canonicalization (SIG-036)."""
    assert gate(edit) == "accepted"


@pytest.mark.parametrize("path", [f"{INFO}/ds:CanonicalizationMethod", f"{TRANSFORMS}/ds:Transform[2]"])
def test_a_prefix_list_has_an_end(path: str) -> None:
    """Each prefix is looked up anew for each element; sixty thousand would fit into a message."""
    assert gate(add(path, PREFIXES.replace("xs", "xs " * 32))) == "accepted"
    assert gate(add(path, PREFIXES.replace("xs", "xs " * 33))) == "xml_too_complex"


# Encrypted data

KEY = (
    "<xenc:EncryptedKey Id='_key'><xenc:EncryptionMethod Algorithm='urn:k'/>{key_info}"
    "<xenc:CipherData><xenc:CipherValue>AA==</xenc:CipherValue></xenc:CipherData>{references}</xenc:EncryptedKey>"
)
DATA = (
    "<saml:EncryptedAssertion xmlns:saml='{saml}' xmlns:xenc='http://www.w3.org/2001/04/xmlenc#' xmlns:ds='{ds}'>"
    "<xenc:EncryptedData Id='_data'><xenc:EncryptionMethod Algorithm='urn:d'/>{inside}"
    "<xenc:CipherData>{cipher}</xenc:CipherData></xenc:EncryptedData>{beside}</saml:EncryptedAssertion>"
)


def encrypted(
    *, inside: str = "", beside: str = "", cipher: str = "<xenc:CipherValue>AA==</xenc:CipherValue>"
) -> bytes:
    assertion = DATA.format(saml=SAML, ds=DS, inside=inside, beside=beside, cipher=cipher)
    return respond(has_assertion=False, after_assertion_xml=assertion)


def key(references: str = "", key_info: str = "") -> str:
    return KEY.format(references=references, key_info=key_info)


def key_info(content: str) -> str:
    return f"<ds:KeyInfo>{content}</ds:KeyInfo>"


def data_reference(uri: str) -> str:
    return f"<xenc:ReferenceList><xenc:DataReference URI='{uri}'/></xenc:ReferenceList>"


def retrieval(uri: str) -> str:
    return key_info(f"<ds:RetrievalMethod URI='{uri}'/>")


@pytest.mark.parametrize(
    "xml",
    [
        encrypted(inside=key_info(key())),
        encrypted(beside=key()),
        encrypted(inside=retrieval("#_key"), beside=key(data_reference("#_data"))),
        encrypted(inside=key_info(key(key_info=key_info("<ds:KeyName>us</ds:KeyName>")))),
    ],
    ids=["inside", "beside", "beside, referred to", "named"],
)
def test_the_key_lies_in_or_beside_the_data(xml: bytes) -> None:
    """Both layouts that identity providers use (ENC-008)."""
    assert read(xml) == "accepted"


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        (encrypted(), "encryption_malformed"),
        (encrypted(inside=key_info(key()), beside=key().replace("_key", "_key2")), "encryption_malformed"),
        (encrypted(inside="<ds:KeyName/>"), "encryption_malformed"),
        (encrypted(beside="<saml:NameID>x</saml:NameID>"), "encryption_malformed"),
        (encrypted(inside=retrieval("#_data"), beside=key()), "encryption_reference_not_allowed"),
        (encrypted(inside=retrieval("https://x.example/"), beside=key()), "encryption_reference_not_allowed"),
        (encrypted(inside=retrieval("https://x.example/")), "encryption_reference_not_allowed"),
        (encrypted(beside=key(data_reference("#_key"))), "encryption_reference_not_allowed"),
        (encrypted(inside=key_info("<ds:KeyName>x</ds:KeyName>")), "encryption_reference_not_allowed"),
        (encrypted(beside=key(), cipher="<xenc:CipherReference URI='u'/>"), "encryption_reference_not_allowed"),
        (encrypted(beside=key(key_info=retrieval("#_key"))), "key_info_not_allowed"),
        (respond(extensions_xml="<EncryptedData/>"), "schema_violated"),
    ],
)
def test_encrypted_data_refers_to_nothing_else(xml: bytes, code: str) -> None:
    """One key, one ciphertext, and no reference but from one to the other (ENC-005, ENC-006, ENC-011)."""
    assert read(xml) == code


# The table


def names_in(content: Place) -> set[str]:
    """All that a content model names."""
    places = [content]
    names: set[str] = set()
    for place in places:
        new = [following for name, following in place.next.items() if following not in places]
        names |= place.next.keys()
        places += new
    return names


def test_every_element_that_is_allowed_is_described() -> None:
    """No content model names an element without a row, and no row is for an element that can't occur."""
    named = set().union(*(names_in(shape.content) for shape in SHAPES.values())) - {"other"}
    messages = {"samlp:Response", "samlp:LogoutRequest", "samlp:LogoutResponse"}
    assert named == {row.rpartition("/")[2] for row in SHAPES} - messages


def mutate(root: etree._Element, chance: Random) -> None:
    """Something about one element becomes another's, or goes."""
    one, other = chance.choices(list(root.iter()), k=2)
    parent = one.getparent()
    change = chance.randrange(6)
    if change == 0 and parent is not None:
        parent.remove(one)
    elif change == 1:
        other.insert(chance.randrange(len(other) + 1), deepcopy(one))
    elif change == 2:
        one.tag = other.tag
    elif change == 3:
        one.attrib.update(other.attrib)
    elif change == 4:
        one.attrib.clear()
    else:
        one.text, one.tail = other.text, other.text


@pytest.mark.parametrize("seed", range(40))
def test_the_quick_way_says_yes_to_nothing_that_would_be_refused(seed: int) -> None:
    """Of whatever has become of a genuine message; and it is for something: it says yes to the genuine ones."""
    chance = Random(seed)
    for xml in (BOTH, respond(encryption=our_encryption()[0]), respond(sign_assertion=False)):
        assert check_common_form(etree.fromstring(xml), 32)
        for _ in range(25):
            root = etree.fromstring(xml)
            for _ in range(chance.randrange(1, 4)):
                mutate(root, chance)
            if is_common(root):
                check_form(root)


def is_common(root: etree._Element) -> bool:
    try:
        return check_common_form(root, 32)
    except MessageRefused:
        return False


def test_a_part_is_checked_like_the_whole() -> None:
    """What was signed or decrypted goes through the same gate, under its own root."""
    name_id = f'<saml:NameID xmlns:saml="{SAML}">x</saml:NameID>'.encode()
    assert parse_part(name_id, "saml:NameID").text == "x"
    with pytest.raises(MessageRefused) as refusal:
        parse_part(name_id, "saml:Assertion")
    assert refusal.value.code == "root_unexpected"
    with pytest.raises(MessageRefused) as refusal:
        parse_part(name_id.replace(b">x", b" a='b'>x"), "saml:NameID")
    assert refusal.value.code == "attribute_not_allowed"
