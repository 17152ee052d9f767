"""Which paths are protected, whatever way they are written (WEB-010), and where one may be sent back to (RPL-015)."""

from __future__ import annotations

import pytest
from tests.world import SECRET
from werkzeug.datastructures import Headers

from sso_middleware.flows.paths import access_of, read_own_url, read_return_to, this_page
from sso_middleware.setting_rules import is_below
from sso_middleware.settings import Settings
from sso_middleware.web import Request


def settings(**changes: object) -> Settings:
    values = {"base_url": "https://app.example", "secret_keys": [SECRET], "public": ["/static/", "/healthz"], **changes}
    return Settings(**values)


def request(path: str, raw_path: str | None = None, query: str = "") -> Request:
    return Request(
        method="GET",
        path=path,
        raw_path=raw_path,
        query=query,
        headers=Headers(),
        scheme="https",
        host="app.example",
        client=None,
        native={},
        read_body=lambda limit: b"",
    )


@pytest.mark.parametrize("path", ["/static", "/static/", "/static/app.css", "/healthz", "/healthz/live"])
def test_a_public_path_is_public_with_all_below_it(path: str) -> None:
    assert access_of(settings(), path, None) == "public"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/report",
        "/statics",
        "/STATIC/app.css",
        "/static//admin",
        "//static/x",
        "/static/../admin",
        "/static/..",
        "/static/./x",
        "/static/;/admin",
        "/static/a;b=c",
        "/static/\\admin",
        "/static/\x00admin",
        "/static/\r\nadmin",
        "/static/\ufffd",
        "/static/%2e%2e/admin",
        "/static/%2Fadmin",
        "/static/%252fadmin",
    ],
)
def test_what_could_be_read_as_another_path_is_never_public(path: str) -> None:
    """Empty and dot segments, parameters, backslashes, controls, bad UTF-8, a second layer of escapes."""
    assert access_of(settings(), path, None) == "protected"


@pytest.mark.parametrize("raw", ["/static%2fadmin", "/static%2Fadmin", "/static%5cadmin", "/static%00"])
def test_an_encoded_separator_is_never_public(raw: str) -> None:
    """The decoded path looks innocent: only the raw one tells."""
    assert access_of(settings(), "/static/admin", raw) == "protected"


@pytest.mark.parametrize("path", ["/admin", "/ADMIN", "/Admin/users", "//elsewhere", "/open/../admin", "/open;x"])
def test_protected_in_any_case_and_whenever_unclear(path: str) -> None:
    assert access_of(settings(protect=["/admin"], public=[]), path, None) == "protected"


@pytest.mark.parametrize("path", ["/", "/open", "/administration"])
def test_what_protect_does_not_name_is_open(path: str) -> None:
    assert access_of(settings(protect=["/admin"], public=[]), path, None) == "public"


def test_prefixes_hold_by_whole_segments() -> None:
    assert is_below("/a/b", "/a")
    assert is_below("/a/b", "/")
    assert not is_below("/ab", "/a")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "https://evil.example/",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "/a\r\nSet-Cookie: x=y",
        "/a b",
        "/caf\u00e9",
        "/\u3002evil",
        "user@host",
        "/" + "a" * 2048,
    ],
)
def test_only_a_path_of_our_own_is_gone_back_to(text: str | None) -> None:
    assert read_return_to(text) == "/"


@pytest.mark.parametrize("text", ["/", "/report?a=1&b=%20", "/a/../b", "/@host", "/x?next=https://evil.example/"])
def test_a_path_is_kept_to_the_letter(text: str) -> None:
    assert read_return_to(text) == text


def test_this_page_is_as_the_browser_sent_it() -> None:
    assert this_page(request("/a b/\u00e9", "/a%20b/%C3%A9", "q=%20")) == "/a%20b/%C3%A9?q=%20"
    assert this_page(request("/a b/\u00e9")) == "/a%20b/%C3%A9"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://app.example/shop/cart?x=1", "/cart?x=1"),
        ("https://app.example/shop", "/"),
        ("https://app.example/other", None),
        ("https://app.example:444/shop/cart", None),
        ("https://app.example.evil/shop/cart", None),
        ("http://app.example/shop/cart", None),
        ("https://[broken/shop", None),
        ("", None),
        (None, None),
    ],
)
def test_an_absolute_url_of_ours_becomes_its_path(url: str | None, path: str | None) -> None:
    assert read_own_url(settings(base_url="https://app.example/shop", public=[]), url) == path
