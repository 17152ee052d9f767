"""Which addresses are read, and into what (attacks.tsv, TEN-007)."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sso_middleware.addresses import Email, normalise_domain, read_email
from sso_middleware.errors import EmailInvalid


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("acme.example", "acme.example"),
        ("ACME.Example", "acme.example"),
        ("mail.acme.example", "mail.acme.example"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("1and1.example", "1and1.example"),
        ("a-b.example", "a-b.example"),
    ],
)
def test_a_domain_has_one_form(text: str, domain: str) -> None:
    """Every spelling of a domain becomes the same lower-case A-labels."""
    assert normalise_domain(text) == domain
    assert normalise_domain(domain) == domain


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "acme",
        "acme.example.",
        ".acme.example",
        "acme..example",
        "*.acme.example",
        "@acme.example",
        " acme.example",
        "acme.example\n",
        "acme.exa\0mple",
        "acme.example:25",
        "acme_inc.example",
        "-acme.example",
        "acme-.example",
        "a" * 64 + ".example",
        ".".join(["a" * 60] * 5),
        "192.0.2.1",
        "[192.0.2.1]",
        "acme。example",
        "acme．example",
        "ａcme.example",
        "ban\u212a.example",
        "ac\u200bme.example",
        "ac\u00adme.example",
        "\u202eacme.example",
        "xn--abc.example",
        "xn--a.example",
        "xn--.example",
        "ac\ud800me.example",
    ],
)
def test_what_is_not_exactly_a_domain_is_refused(text: str) -> None:
    """Nothing is repaired: no trimming, no other dots, no width folding, no wildcard."""
    with pytest.raises(ValueError, match=r"^(is|must)") as caught:
        normalise_domain(text)
    assert not text.strip() or text not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("Bob@TENANT-B.example", Email("bob@tenant-b.example", "bob", "tenant-b.example")),
        ("bob+tag@tenant-b.example", Email("bob+tag@tenant-b.example", "bob+tag", "tenant-b.example")),
        ("b.o'b@sub.tenant-b.example", Email("b.o'b@sub.tenant-b.example", "b.o'b", "sub.tenant-b.example")),
        ("bob@bücher.example", Email("bob@xn--bcher-kva.example", "bob", "xn--bcher-kva.example")),
    ],
)
def test_an_address_is_taken_apart(text: str, email: Email) -> None:
    """TEN-007: the domain is normalised exactly; the tag and the sub-domain stay what they are."""
    assert read_email(text) == email


def test_case_makes_no_other_person() -> None:
    """TEN-007: two addresses that differ in case only are the same."""
    assert read_email("Ada.Lovelace@Acme.Example") == read_email("ada.lovelace@acme.example")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bob",
        "@tenant-b.example",
        "bob@",
        "bob@tenant-b.example.",
        "bob@tenant-b.example ",
        " bob@tenant-b.example",
        "bob@tenant-b.example\n",
        "bob\r\n@tenant-b.example",
        "bob\0@tenant-b.example",
        "bob@tenant-b.example\0.tenant-a.example",
        "bob@tenant-a.example@tenant-b.example",
        "bob@tenant-b.example,eve@tenant-a.example",
        "bob@tenant-b.example;tenant-a.example",
        '"bob"@tenant-b.example',
        '"bob@tenant-a.example"@tenant-b.example',
        '"b b"@tenant-b.example',
        "bob(comment)@tenant-b.example",
        "bob@tenant-b.example(comment)",
        "(c)bob@tenant-b.example",
        "Bob <bob@tenant-b.example>",
        "mailto:bob@tenant-b.example",
        "bob\uff20tenant-b.example",
        "bob\ufe6btenant-b.example",
        "bob\uff20tenant-a.example@tenant-b.example",
        "bob@tenant-ｂ.example",
        "bob@tenant-b。example",
        "böb@tenant-b.example",
        "b\u043eb@tenant-b.example",
        ".bob@tenant-b.example",
        "bob.@tenant-b.example",
        "b..b@tenant-b.example",
        "bob@[192.0.2.1]",
        "bob@192.0.2.1",
        "bob@localhost",
        "b" * 65 + "@tenant-b.example",
        "bob@" + "a." * 150 + "example",
        "b" * 64 + "@" + "a." * 92 + "example",
        "bob@tenant-b.example" + " " * 100_000,
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    """TEN-007: two @, quoted parts, comments, other @ signs, trailing dots, control and look-alike letters."""
    with pytest.raises(EmailInvalid) as caught:
        read_email(text)
    if text.strip():
        assert text not in "".join(traceback.format_exception(caught.value))


def test_a_look_alike_domain_is_another_domain() -> None:
    """TEN-007: a Cyrillic letter gives other A-labels, so it never equals the verified domain."""
    assert read_email("bob@ten\u0430nt-b.example").domain.startswith("xn--tennt-b-")


def test_an_address_is_not_shown() -> None:
    """A repr ends up in logs; it holds no e-mail address."""
    assert "bob" not in repr(read_email("Bob@tenant-b.example")).lower()


@given(st.text(max_size=80) | st.emails())
def test_whatever_comes_is_read_exactly_or_refused(text: str) -> None:
    """No text crashes the reader, and what it accepts reads as itself."""
    try:
        email = read_email(text)
    except EmailInvalid:
        return
    assert email.address.isascii()
    assert email.address == f"{email.local}@{email.domain}" == email.address.lower()
    assert read_email(email.address) == email


def test_the_longest_address_is_read() -> None:
    """254 characters, of which 64 before the @ (RFC 5321 4.5.3.1)."""
    assert len(read_email("b" * 64 + "@" + "a." * 91 + "example").address) == 254
