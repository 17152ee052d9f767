"""A person with a browser that knows no scripts: httpx, and forms sent on by hand."""

from __future__ import annotations

import base64
import html
import re
import zlib
from dataclasses import dataclass
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx
import lxml.html

NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@dataclass(frozen=True)
class Form:
    """A form on a page: where it goes, and the fields that it has."""

    action: str
    fields: dict[str, str]


def form_on(page: httpx.Response) -> Form:
    """The first form that is posted."""
    document = lxml.html.fromstring(page.text)
    form = next((form for form in document.iter("form") if form.get("method", "").lower() == "post"), None)
    assert form is not None, f"no form at {page.url.copy_with(query=None)} ({page.status_code})"
    inputs = (field for field in form.iter("input") if field.get("name"))
    fields = {field.get("name", ""): field.get("value", "") for field in inputs}
    return Form(urljoin(str(page.url), form.get("action", "")), fields)


def response_on(page: httpx.Response) -> Form:
    """The form with which an identity provider sends its Response."""
    form = form_on(page)
    assert "SAMLResponse" in form.fields, f"no Response at {page.url.copy_with(query=None)}"
    return form


class Visitor:
    """Goes where redirects and meta refreshes lead; keeps cookies, one jar for each visitor."""

    def __init__(self) -> None:
        self.http = httpx.Client(trust_env=False, follow_redirects=True, headers=NAVIGATION, timeout=30)

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def get(self, url: str) -> httpx.Response:
        return self.http.get(url)

    def send(self, form: Form, **fields: str) -> httpx.Response:
        return self.http.post(form.action, data=form.fields | fields)

    def go_on(self, page: httpx.Response) -> httpx.Response:
        """Follow pages that lead on by themselves, by a meta refresh or a form that a script sends, to the last one."""
        for _ in range(20):
            refresh = re.search(r'http-equiv="refresh" content="0;\s*url=([^"]*)"', page.text, re.IGNORECASE)
            if refresh is not None:
                page = self.get(urljoin(str(page.url), html.unescape(refresh[1])))
            elif re.search(r'name="SAML(?:Request|Response)"', page.text):
                page = self.send(form_on(page))
            else:
                return page
        raise AssertionError("it leads round in circles")

    def sign_in(self, login_page: httpx.Response, user: str, password: str) -> Form:
        """At an identity provider that asks for user name and password; the form with its Response."""
        return response_on(self.send(form_on(login_page), username=user, password=password))

    def way_out(self, url: str) -> str:
        """Follow redirects for as long as they stay on this site; the first address elsewhere."""
        return way_out(self.http, url)


def way_out(http: httpx.Client, url: str) -> str:
    """See `Visitor.way_out`."""
    answer = http.get(url, follow_redirects=False)
    site = answer.url.copy_with(raw_path=b"/")
    while answer.next_request is not None:
        if answer.next_request.url.copy_with(raw_path=b"/") != site:
            return str(answer.next_request.url)
        answer = http.send(answer.next_request, follow_redirects=False)
    raise AssertionError(f"{answer.url.copy_with(query=None)} does not lead away ({answer.status_code})")


def with_passive(authn_request_url: str) -> str:
    """The same AuthnRequest over HTTP-Redirect, with IsPassive set, and so without its signature."""
    address = urlsplit(authn_request_url)
    query = dict(parse_qsl(address.query))
    message = zlib.decompress(base64.b64decode(query["SAMLRequest"]), -15)
    passive = message.replace(b' ID="', b' IsPassive="true" ID="', 1)
    assert passive != message
    compressor = zlib.compressobj(wbits=-15)
    request = base64.b64encode(compressor.compress(passive) + compressor.flush()).decode()
    kept = httpx.QueryParams({"SAMLRequest": request, "RelayState": query["RelayState"]})
    return address._replace(query=str(kept)).geturl()
