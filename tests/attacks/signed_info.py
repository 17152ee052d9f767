"""Edits of what is signed: a SignedInfo with other algorithms, transforms, references or digests.

`on_signed_info` lets the identity provider's own key sign the result, so that only the form of the
signature, and not its value, can be the reason to refuse it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from copy import deepcopy

from cryptography.hazmat.primitives import hashes
from lxml import etree
from tests.attacks.scene import Scene
from tests.attacks.surgery import (
    ENVELOPED,
    Element,
    assertion_in,
    digest_now,
    ds,
    hash_of,
    insert_before,
    remove,
    sign_again,
    sign_info_again,
    signature_of,
    without_signature,
    wrap_in,
)
from tests.identity_provider import find_one
from tests.response_shape import DS, EXCLUSIVE_C14N

RSA_MD5 = "http://www.w3.org/2001/04/xmldsig-more#rsa-md5"
MD5 = "http://www.w3.org/2001/04/xmldsig-more#md5"


def forge_name_id(scene: Scene, root: Element) -> None:
    find_one(root, ".//saml:NameID").text = scene.victim


def on_signed_info(change: Callable[[Element, Element], None], **again: str) -> Callable[[Scene, Element], None]:
    """Change the SignedInfo of the assertion's signature, and let the identity provider's own key sign that.

    `change` is given the assertion and its signature.
    """

    def edit(scene: Scene, root: Element) -> None:
        assertion = assertion_in(root)
        change(assertion, signature_of(assertion))
        sign_again(assertion, scene.idp.signer, **again)

    return edit


def set_algorithm(path: str, uri: str) -> Callable[[Element, Element], None]:
    return lambda assertion, signature: find_one(signature, path).set("Algorithm", uri)


def set_transforms(*transforms: str) -> Callable[[Element, Element], None]:
    """Replace all Transforms by these, each a URI or XML."""

    def change(assertion: Element, signature: Element) -> None:
        place = find_one(signature, ".//ds:Transforms")
        for child in list(place):
            place.remove(child)
        for transform in transforms:
            xml = transform if transform.startswith("<") else f'<ds:Transform xmlns:ds="{DS}" Algorithm="{transform}"/>'
            place.append(etree.fromstring(xml))

    return change


def md5_signed(scene: Scene, root: Element) -> None:
    md5_digest(scene, root)
    signature = signature_of(assertion_in(root))
    find_one(signature, ".//ds:SignatureMethod").set("Algorithm", RSA_MD5)
    sign_info_again(signature, scene.idp.signer, algorithm=hashes.MD5())


def md5_digest(scene: Scene, root: Element) -> None:
    assertion = assertion_in(root)
    signature = signature_of(assertion)
    find_one(signature, ".//ds:DigestMethod").set("Algorithm", MD5)
    canonical = etree.tostring(without_signature(assertion), method="c14n", exclusive=True)
    digest = hash_of(hashes.MD5(), canonical)
    find_one(signature, ".//ds:DigestValue").text = base64.b64encode(digest).decode()
    sign_info_again(signature, scene.idp.signer)


XSLT = (
    f'<ds:Transform xmlns:ds="{DS}" Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116">'
    '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
    '<xsl:template match="/"><xsl:value-of select="document(\'http://127.0.0.1:9/\')"/></xsl:template>'
    "</xsl:stylesheet></ds:Transform>"
)
XPATH = (
    f'<ds:Transform xmlns:ds="{DS}" Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116">'
    "<ds:XPath>not(ancestor-or-self::*[local-name()='Subject'])</ds:XPath></ds:Transform>"
)
XPATH_FILTER2 = (
    f'<ds:Transform xmlns:ds="{DS}" Algorithm="http://www.w3.org/2002/06/xmldsig-filter2">'
    '<dsig:XPath xmlns:dsig="http://www.w3.org/2002/06/xmldsig-filter2" Filter="subtract">'
    "//*[local-name()='Subject']</dsig:XPath></ds:Transform>"
)
XPOINTER = "http://www.w3.org/TR/2001/WD-xptr-20010108"


def dropping_subject(transform: str) -> Callable[[Scene, Element], None]:
    """A signature that truly holds, for an assertion without its Subject; then the Subject is forged."""

    def edit(scene: Scene, root: Element) -> None:
        assertion = assertion_in(root)
        signature = signature_of(assertion)
        set_transforms(ENVELOPED, transform, EXCLUSIVE_C14N)(assertion, signature)
        bare = deepcopy(assertion)
        remove(find_one(bare, "saml:Subject"))
        sign_again(assertion, scene.idp.signer, digest=digest_now(bare, signature_of(bare)))
        forge_name_id(scene, root)

    return edit


def unauthenticated(transform: str) -> Callable[[Scene, Element], None]:
    """Nobody's signature; what matters is that its transform is never run."""

    def edit(scene: Scene, root: Element) -> None:
        assertion = assertion_in(root)
        set_transforms(ENVELOPED, transform)(assertion, signature_of(assertion))
        find_one(root, ".//ds:SignatureValue").text = "AAAA"

    return edit


def second_signature_with_xslt(scene: Scene, root: Element) -> None:
    assertion = assertion_in(root)
    second = deepcopy(signature_of(assertion))
    set_transforms(ENVELOPED, XSLT)(assertion, second)
    signature_of(assertion).addnext(second)


def set_uri(uri: Callable[[Element], str]) -> Callable[[Element, Element], None]:
    return lambda assertion, signature: find_one(signature, ".//ds:Reference").set("URI", uri(assertion))


def second_reference(assertion: Element, signature: Element) -> None:
    reference = find_one(signature, ".//ds:Reference")
    reference.addnext(deepcopy(reference))


def parameter_of_enveloped(assertion: Element, signature: Element) -> None:
    prefixes = etree.SubElement(find_one(signature, ".//ds:Transform"), f"{{{EXCLUSIVE_C14N}}}InclusiveNamespaces")
    prefixes.set("PrefixList", "xs")


def drop_uri(assertion: Element, signature: Element) -> None:
    del find_one(signature, ".//ds:Reference").attrib["URI"]


def drop_transforms(assertion: Element, signature: Element) -> None:
    remove(find_one(signature, ".//ds:Transforms"))


def second_signed_info(evil_first: bool) -> Callable[[Scene, Element], None]:
    """The genuine SignedInfo beside one whose digest fits the forged assertion."""

    def edit(scene: Scene, root: Element) -> None:
        assertion = assertion_in(root)
        signature = signature_of(assertion)
        forge_name_id(scene, root)
        genuine = find_one(signature, "ds:SignedInfo")
        evil = deepcopy(genuine)
        find_one(evil, ".//ds:DigestValue").text = digest_now(assertion, signature)
        if evil_first:
            insert_before(evil, genuine)
        else:
            genuine.addnext(evil)

    return edit


def comment_in_digest(scene: Scene, root: Element) -> None:
    """CVE-2025-29775: one reader takes the text before the comment, the signature covers the rest."""
    assertion = assertion_in(root)
    forge_name_id(scene, root)
    value = find_one(assertion, ".//ds:DigestValue")
    genuine, value.text = value.text, ""
    comment = etree.Comment(digest_now(assertion, signature_of(assertion)))
    comment.tail = genuine
    value.append(comment)


def second_digest(place: str, namespace: str) -> Callable[[Scene, Element], None]:
    """CVE-2024-45409: a DigestValue for the forged assertion, where a careless search finds it first."""

    def edit(scene: Scene, root: Element) -> None:
        assertion = assertion_in(root)
        forge_name_id(scene, root)
        signature = signature_of(assertion)
        evil = etree.Element(f"{{{namespace}}}DigestValue")
        evil.text = digest_now(assertion, signature)
        genuine = find_one(signature, ".//ds:DigestValue")
        if place == "object":
            signature.append(wrap_in(ds("Object"), evil))
        else:
            insert_before(evil, genuine)

    return edit


def add_to_signature(xml: str) -> Callable[[Scene, Element], None]:
    return lambda scene, root: signature_of(assertion_in(root)).append(etree.fromstring(xml))


def move_signature(place: str) -> Callable[[Scene, Element], None]:
    """An enveloped signature holds wherever in its element it stands; SAML allows one place only."""

    def edit(scene: Scene, root: Element) -> None:
        assertion = assertion_in(root)
        signature = remove(signature_of(assertion))
        parent = {"status": find_one(root, "samlp:Status"), "subject": find_one(assertion, "saml:Subject")}.get(place)
        if parent is not None:
            parent.append(signature)
        elif place == "first":
            assertion.insert(0, signature)
        elif place == "end of the assertion":
            assertion.append(signature)
        else:
            root.append(signature)

    return edit


def hmac_output_length(algorithm: str | None) -> Callable[[Scene, Element], None]:
    def change(assertion: Element, signature: Element) -> None:
        method = find_one(signature, ".//ds:SignatureMethod")
        etree.SubElement(method, ds("HMACOutputLength")).text = "1"
        if algorithm:
            method.set("Algorithm", algorithm)

    return on_signed_info(change)
