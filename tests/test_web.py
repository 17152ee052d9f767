"""What the core makes of a request, whatever was sent."""

from __future__ import annotations

import ipaddress

import pytest
from werkzeug.datastructures import Headers

from sso_middleware.errors import BodyTooLarge, UnsupportedForm
from sso_middleware.web import Cookie, Request, client_address, read_form, read_within, see_other


def request(headers: list[tuple[str, str]] | None = None, query: str = "") -> Request:
    return Request(
        method="GET",
        path="/",
        raw_path=None,
        query=query,
        headers=Headers(headers or []),
        scheme="https",
        host="app.example",
        client=None,
        native={},
        read_body=lambda limit: b"",
    )


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        (["a=1; sid=x; b=2"], "x"),
        (["sid=x", "sid=x"], "x"),
        (["sid=x; sid=y"], None),
        (["sid=x", "sid=y"], None),
        (["xsid=x; sid"], None),
        (["sid="], ""),
        (['sid="x"'], None),
        (["sid=a,b"], None),
        (["sid=a\\b"], None),
        ([], None),
    ],
)
def test_a_cookie_counts_only_if_it_is_alone(headers: list[str], value: str | None) -> None:
    """WEB-002: a second one of the name was set by somebody else; odd characters are not ours."""
    assert request([("Cookie", line) for line in headers]).cookie("sid") == value


@pytest.mark.parametrize(
    ("query", "value"),
    [("a=1", "1"), ("a=", ""), ("a=1&a=2", None), ("b=1", None), ("", None), ("a=%2Fx%20y", "/x y")],
)
def test_a_query_parameter_counts_only_if_it_is_alone(query: str, value: str | None) -> None:
    """Two readers might take different ones."""
    assert request(query=query).query_value("a") == value


def form(content_type: str = "application/x-www-form-urlencoded", body: bytes = b"a=1&b=") -> dict[str, str]:
    return read_form(request([("Content-Type", content_type)]), body)


def test_an_honest_form_is_read() -> None:
    """UTF-8, blanks kept, parameters in any case."""
    assert form() == {"a": "1", "b": ""}
    assert form('Application/X-WWW-Form-Urlencoded; charset="UTF-8"', b"n=%C3%A9+x") == {"n": "\u00e9 x"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"a=1"),
        ("", b"a=1"),
        ("application/x-www-form-urlencoded; charset=latin-1", b"a=1"),
        ("application/x-www-form-urlencoded", b"a=1&a=1"),
        ("application/x-www-form-urlencoded", b"a=%ff"),
        ("application/x-www-form-urlencoded", b"a=\xe9"),
        ("application/x-www-form-urlencoded", b"&".join(b"p%d=" % n for n in range(21))),
    ],
)
def test_any_other_form_is_refused(content_type: str, body: bytes) -> None:
    """WEB-012."""
    with pytest.raises(UnsupportedForm):
        form(content_type, body)


def test_a_body_may_be_as_long_as_the_limit() -> None:
    """And no longer."""
    assert read_within([b"ab", b"c"], 3) == b"abc"
    with pytest.raises(BodyTooLarge):
        read_within([b"ab", b"cd"], 3)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3"], "10.0.0.3"),
        ("not an address", ["198.51.100.1"], "not an address"),
        (None, ["198.51.100.1"], None),
    ],
)
def test_the_clients_address_is_the_nearest_untrusted_one(peer: str, forwarded: list[str], address: str) -> None:
    """X-Forwarded-For is read from the right; what a client wrote itself is never reached."""
    assert client_address(peer, forwarded, [ipaddress.ip_network("10.0.0.0/8")]) == address


def test_no_cookie_value_is_in_a_repr() -> None:
    """WEB-024."""
    cookie = Cookie("sid", "token", secure=True)

    assert "token" not in repr(cookie)
    assert cookie.header() == ("Set-Cookie", "sid=token; Secure; HttpOnly; Path=/; SameSite=Lax")


def test_no_request_or_reply_shows_its_headers_in_a_repr() -> None:
    """WEB-024: a host's hook may log what it was given."""
    request = Request(
        method="GET",
        path="/",
        raw_path=None,
        query="token=secret",
        headers=Headers({"Cookie": "sid=secret"}),
        scheme="https",
        host="app.example",
        client=None,
        native={},
        read_body=lambda limit: b"",
    )

    assert "secret" not in repr(request)
    assert "secret" not in repr(see_other("https://app.example/", Cookie("sid", "secret", secure=True)))
