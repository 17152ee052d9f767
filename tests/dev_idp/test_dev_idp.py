"""The dev IdP signs people in for real: what it sends, our own service provider side accepts."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from html.parser import HTMLParser
from typing import get_args
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree
from signxml.verifier import XMLVerifier
from werkzeug.test import Client, TestResponse

from sso_middleware.dev_idp import PEOPLE, DevIdP, Manner, make_app, read_encryption_certificate
from sso_middleware.dev_idp.encryption import DataCipher
from sso_middleware.errors import (
    ConfigurationError,
    EncryptionNotAuthenticated,
    EncryptionRequired,
    EncryptionUnexpected,
    NotYetValid,
    ResponseSignatureMissing,
    SignatureMissing,
    Stale,
)
from sso_middleware.saml.assertion import (
    NAME_ID_EMAIL,
    NAME_ID_PERSISTENT,
    NAME_ID_TRANSIENT,
    NAME_ID_UNSPECIFIED,
    Assertion,
)
from sso_middleware.saml.authn_request import build_authn_request
from sso_middleware.saml.bindings import FormPost, Redirect
from sso_middleware.saml.keys import generate_key_pair
from sso_middleware.saml.metadata import build_sp_metadata, read_idp_metadata
from sso_middleware.saml.parsing import read_message
from sso_middleware.saml.parties import (
    BINDING_POST,
    BINDING_REDIRECT,
    DEV_IDP_PREFIX,
    Encryption,
    Endpoint,
    Expected,
    IdentityProvider,
    ServiceProvider,
    Signed,
    Trust,
)
from sso_middleware.saml.response import check_failure, verify_response

BASE_URL = "http://localhost:8765"
SP = ServiceProvider("http://127.0.0.1:8000/sso/demo/metadata", "http://127.0.0.1:8000/sso/demo/acs")
OTHER_SP = ServiceProvider("https://other.example/metadata", "https://other.example/acs")
REQUEST_ID = "_0123456789abcdef0123456789abcdef"
SP_KEY = generate_key_pair("service provider", datetime(2026, 1, 1, tzinfo=UTC))
ON_TIME = timedelta()


@cache
def sp_private_key() -> RSAPrivateKey:
    key = load_pem_private_key(SP_KEY.private_key, None)
    assert isinstance(key, RSAPrivateKey)
    return key


class Form(HTMLParser):
    """The first form of a page: where it goes, and its hidden fields."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.buttons: list[str] = []
        self.focused: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            assert values["method"] == "post"
            self.action = self.action or values["action"]
        elif tag == "input":
            self.fields[values["name"]] = values["value"]
        elif tag == "button":
            self.buttons.append(values.get("value", ""))
            self.focused += [values["value"]] if "autofocus" in values else []


class Clock:
    def __init__(self) -> None:
        self.offset = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset  # pysaml2 stamps its messages with the machine's time


@dataclass
class Browser:
    """A browser at the dev IdP."""

    idp: DevIdP
    client: Client
    clock: Clock

    @property
    def provider(self) -> IdentityProvider:
        return read_idp_metadata(self.idp.metadata().encode(), now=datetime.now(UTC))

    def get(self, url: str) -> TestResponse:
        return self.client.get(url, base_url=BASE_URL, follow_redirects=True)

    def ask(
        self,
        *,
        binding: str = BINDING_REDIRECT,
        service_provider: ServiceProvider = SP,
        is_passive: bool = False,
        force_authn: bool = False,
        name_id_format: str | None = None,
    ) -> TestResponse:
        """Arrive with an AuthnRequest of ours, and follow to the page that it leads to."""
        message = build_authn_request(
            request_id=REQUEST_ID,
            service_provider=service_provider,
            identity_provider=IdentityProvider(self.idp.entity_id, (Endpoint(binding, self.idp.sso_url),), (), ()),
            key=SP_KEY,
            relay_state="opaque-1",
            issued_at=datetime.now(UTC),
            is_passive=is_passive,
            force_authn=force_authn,
            name_id_format=name_id_format,
        )
        if isinstance(message, Redirect):
            return self.get(message.url.removeprefix(BASE_URL))
        assert isinstance(message, FormPost)
        path = message.url.removeprefix(BASE_URL)
        return self.client.post(path, data=dict(message.fields), base_url=BASE_URL, follow_redirects=True)

    def choose(self, page: TestResponse, person: str, **changed: str) -> TestResponse:
        form = Form(page.text)
        data = {**form.fields, "person": person, **changed}
        return self.client.post(form.action, data=data, base_url=BASE_URL)

    def verify(
        self,
        page: TestResponse,
        *,
        signed: Signed = "both",
        unsolicited: bool = False,
        encryption: Encryption = "off",
        late: timedelta = ON_TIME,
    ) -> Assertion:
        """What our own service provider side makes of the posted Response, by a clock that is so late."""
        form = Form(page.text)
        assert form.action == SP.acs_url
        now = datetime.now(UTC) - late
        return verify_response(
            read_message(form.fields["SAMLResponse"]),
            trust=Trust(self.provider, signed=signed, encryption=encryption, decryption_keys=(sp_private_key(),)),
            service_provider=SP,
            expected=None if unsolicited else Expected(REQUEST_ID, now),
            now=now,
        )


CLOCK = Clock()
USUAL = Manner()


@pytest.fixture(autouse=True)
def on_time() -> None:
    """The clock is everybody's: no identity provider is made at the hour where another test left it."""
    CLOCK.offset = timedelta()


def start(
    manner: Manner = USUAL,
    *,
    remember: bool = False,
    encrypts: bool = False,
    name_id_format: str = NAME_ID_PERSISTENT,
) -> DevIdP:
    return DevIdP(
        {SP.entity_id: SP.acs_url, OTHER_SP.entity_id: OTHER_SP.acs_url},
        base_url=BASE_URL,
        manner=manner,
        encryption_certificate={SP.entity_id: SP_KEY.certificate if encrypts else None}.get,
        name_id_format=name_id_format,
        remember=remember,
        clock=CLOCK,
    )


started = cache(start)
"""Making a key takes a while: most tests share one identity provider, each with a browser of its own."""


def open_browser(idp: DevIdP) -> Browser:
    return Browser(idp, Client(make_app(idp)), CLOCK)


@pytest.fixture
def browser() -> Browser:
    return open_browser(started())


# Who it is


def test_its_metadata_is_what_a_connection_needs(browser: Browser) -> None:
    """Its entity id says what it is, and both bindings lead to one address."""
    reply = browser.get("/metadata")

    assert reply.content_type == "application/samlmetadata+xml"
    provider = read_idp_metadata(reply.data, now=datetime.now(UTC))
    assert provider.entity_id == f"{DEV_IDP_PREFIX}localhost:8765"
    assert {endpoint.binding for endpoint in provider.sso_endpoints} == {BINDING_REDIRECT, BINDING_POST}
    assert {endpoint.location for endpoint in provider.sso_endpoints} == {f"{BASE_URL}/sso"}
    assert len(provider.keys) == 1


def test_each_start_has_a_key_of_its_own(browser: Browser) -> None:
    """No key is kept anywhere: yesterday's metadata trusts nothing of today's."""
    assert open_browser(start()).provider.keys[0].certificate != browser.provider.keys[0].certificate


@pytest.mark.parametrize(
    "base_url",
    [
        "http://idp.example:8765",
        "http://10.0.0.1:8765",
        "https://localhost:8765",
        "http://localhost:8765/idp",
        "http://localhost.idp.example",
        "localhost:8765",
    ],
)
def test_it_is_for_loopback_only(base_url: str) -> None:
    """Anybody can be anybody there, so it can't be set up under an address that others reach."""
    with pytest.raises(ConfigurationError, match="the dev IdP is for"):
        DevIdP({}, base_url=base_url)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8765", 200),
        ("127.0.0.1:8765", 200),
        ("[::1]:8765", 200),
        ("idp.example:8765", 403),
        ("localhost.idp.example", 403),
        ("127.0.0.1.nip.example:8765", 403),
        ("10.0.0.1:8765", 403),
        ("", 403),
        ("[::1", 403),
    ],
)
def test_another_host_name_is_refused(browser: Browser, host: str, status: int) -> None:
    """A name of somebody else's that leads to loopback (DNS rebinding) gets nothing."""
    reply = browser.client.get("/", environ_overrides={"HTTP_HOST": host})

    assert reply.status_code == status
    if status == 403:
        assert "Set-Cookie" not in reply.headers


def test_another_machine_is_refused(browser: Browser) -> None:
    """Mounted on a server that listens everywhere, it still answers to this machine only."""
    assert browser.client.get("/", base_url=BASE_URL, environ_overrides={"REMOTE_ADDR": "192.0.2.1"}).status_code == 403


# Signing in


@pytest.mark.parametrize("binding", [BINDING_REDIRECT, BINDING_POST])
@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.id)
def test_choosing_a_person_signs_them_in(browser: Browser, binding: str, person: object) -> None:
    """Either binding leads to the list of people, and the chosen one's Response passes every check of ours."""
    chosen = next(one for one in PEOPLE if one is person)
    page = browser.ask(binding=binding)
    assert "Who is signing in?" in page.text
    assert "To continue to <strong>127.0.0.1:8000</strong>" in page.text
    assert set(Form(page.text).buttons) == {"ada", "grace", "bob", "carol"}

    posted = browser.choose(page, chosen.id)

    assertion = browser.verify(posted)
    assert Form(posted.text).fields["RelayState"] == "opaque-1"
    assert assertion.in_response_to == REQUEST_ID
    assert assertion.name_id.format == NAME_ID_PERSISTENT
    stated = {attribute.name: attribute.values for attribute in assertion.attributes}
    assert stated == dict(chosen.attributes)
    assert set(stated) == {
        "Email",
        "FirstName",
        "LastName",
        "Country",
        "department",
        "role_mapping",
        "groups",
        "UserPrincipalId",
    }


@pytest.mark.parametrize(
    ("sign_response", "sign_assertion", "signed"),
    [(True, True, "both"), (True, False, "response"), (False, True, "assertion")],
)
def test_it_signs_what_it_is_told_to(*, sign_response: bool, sign_assertion: bool, signed: Signed) -> None:
    """signxml and our own verifier find the signatures where they were asked for, and only there."""
    browser = open_browser(started(Manner(sign_response=sign_response, sign_assertion=sign_assertion)))

    posted = browser.choose(browser.ask(), "ada")

    browser.verify(posted, signed=signed)
    xml = b64decode(Form(posted.text).fields["SAMLResponse"])
    signatures = etree.fromstring(xml).findall(".//{http://www.w3.org/2000/09/xmldsig#}Signature")
    assert len(signatures) == sign_response + sign_assertion
    certificate = browser.provider.keys[0].certificate
    result = XMLVerifier().verify(xml, x509_cert=certificate, id_attribute="ID")
    assert not isinstance(result, list)
    assert result.signed_xml is not None
    assert etree.QName(result.signed_xml).localname == ("Response" if sign_response else "Assertion")
    if not sign_response:
        with pytest.raises(ResponseSignatureMissing):
            browser.verify(posted, signed="response")


def test_it_can_sign_nothing_so_that_a_refusal_can_be_seen() -> None:
    """With both switches off, its Response is refused for having no signature."""
    browser = open_browser(started(Manner(sign_response=False, sign_assertion=False)))

    posted = browser.choose(browser.ask(), "ada")

    with pytest.raises(SignatureMissing):
        browser.verify(posted, signed="either")


def test_a_person_is_recognised_at_the_next_visit_and_only_there(browser: Browser) -> None:
    """The NameID is the same at each login, after a restart too, and another one at another service provider."""
    first = browser.verify(browser.choose(browser.ask(), "ada")).name_id
    again = open_browser(start(remember=True))
    second = again.verify(again.choose(again.ask(), "ada")).name_id
    elsewhere = b64decode(Form(again.ask(service_provider=OTHER_SP).text).fields["SAMLResponse"])

    assert first == second
    assert first.value.encode() not in elsewhere
    assert b">ada@acme.example<" in elsewhere


@pytest.mark.parametrize("name_id_format", [NAME_ID_EMAIL, NAME_ID_TRANSIENT])
def test_a_name_id_of_another_format_is_given_on_request(browser: Browser, name_id_format: str) -> None:
    """NameIDPolicy is followed."""
    name_id = browser.verify(browser.choose(browser.ask(name_id_format=name_id_format), "ada")).name_id

    assert name_id.format == name_id_format
    assert (name_id.value == "ada@acme.example") == (name_id_format == NAME_ID_EMAIL)


def failure(browser: Browser, page: TestResponse) -> tuple[str, str | None]:
    now = datetime.now(UTC)
    status = check_failure(
        read_message(Form(page.text).fields["SAMLResponse"]),
        trust=Trust(browser.provider),
        service_provider=SP,
        expected=Expected(REQUEST_ID, now),
        now=now,
    )
    return status.code.rpartition(":")[2], (status.sub_code or "").rpartition(":")[2]


def test_a_name_id_format_that_it_has_not_is_a_failure(browser: Browser) -> None:
    """An unknown format is answered with InvalidNameIDPolicy (SAML core 3.4.1.1)."""
    posted = browser.choose(browser.ask(name_id_format="urn:other"), "ada")

    assert failure(browser, posted) == ("Responder", "InvalidNameIDPolicy")


@pytest.mark.parametrize("name_id_format", [NAME_ID_EMAIL, NAME_ID_TRANSIENT])
def test_the_format_of_its_name_ids_can_be_chosen(name_id_format: str) -> None:
    """Where the request asks for none, or for any; one that it does ask for still comes first."""
    browser = open_browser(started(name_id_format=name_id_format))

    def given(asked: str | None) -> str:
        return browser.verify(browser.choose(browser.ask(name_id_format=asked), "ada")).name_id.format

    assert given(None) == given(NAME_ID_UNSPECIFIED) == name_id_format
    assert given(NAME_ID_PERSISTENT) == NAME_ID_PERSISTENT


# Its manners


def encrypted_parts(page: TestResponse) -> list[str]:
    """The algorithms in the posted Response: the data's, the key's."""
    response = etree.fromstring(b64decode(Form(page.text).fields["SAMLResponse"]))
    return [
        str(method.get("Algorithm")).partition("#")[2]
        for method in response.iter("{http://www.w3.org/2001/04/xmlenc#}EncryptionMethod")
    ]


@pytest.mark.parametrize("cipher", get_args(DataCipher))
def test_it_encrypts_for_who_publishes_a_key(cipher: DataCipher) -> None:
    """Our own side opens each cipher, and finds both signatures good: one within, one around."""
    browser = open_browser(started(Manner(cipher=cipher), encrypts=True))

    posted = browser.choose(browser.ask(), "bob")

    assert encrypted_parts(posted) == [cipher, "rsa-oaep"]
    assert b"bob@acme.example" not in b64decode(Form(posted.text).fields["SAMLResponse"])
    stated = {one.name: one.values for one in browser.verify(posted, encryption="required").attributes}
    assert stated["LastName"] == ("Ångström",)
    with pytest.raises(EncryptionUnexpected):
        browser.verify(posted)


def test_aes_cbc_needs_the_response_s_signature() -> None:
    """Signed within only, GCM is accepted and CBC refused: the refusal can be tried out here."""
    cases: list[tuple[DataCipher, type[Exception] | None]] = [
        ("aes128-gcm", None),
        ("aes128-cbc", EncryptionNotAuthenticated),
    ]
    for cipher, refusal in cases:
        browser = open_browser(started(Manner(sign_response=False, cipher=cipher), encrypts=True))
        posted = browser.choose(browser.ask(), "ada")
        if refusal is None:
            assert browser.verify(posted, signed="assertion", encryption="required").in_response_to == REQUEST_ID
        else:
            with pytest.raises(refusal):
                browser.verify(posted, signed="assertion", encryption="required")


def test_it_sends_plaintext_where_it_can_t_encrypt_or_is_told_not_to() -> None:
    """Without a published key there is nothing to encrypt for; and a connection that requires it can be tried out."""
    for manner, encrypts in ((USUAL, False), (Manner(cipher=None), True)):
        browser = open_browser(started(manner, encrypts=encrypts))
        posted = browser.choose(browser.ask(), "ada")
        assert encrypted_parts(posted) == []
        assert browser.verify(posted).in_response_to == REQUEST_ID
        with pytest.raises(EncryptionRequired):
            browser.verify(posted, encryption="required")


def test_the_key_to_encrypt_for_is_in_our_metadata() -> None:
    """As a real identity provider finds it; where encryption is off there is none."""
    signing = generate_key_pair("signing", datetime(2026, 1, 1, tzinfo=UTC)).certificate
    on = build_sp_metadata(SP, signing=[signing], encryption=[SP_KEY.certificate])
    off = build_sp_metadata(SP, signing=[signing], encryption=[])

    assert read_encryption_certificate(on) == SP_KEY.certificate
    assert read_encryption_certificate(off) is None


@pytest.mark.parametrize("seconds", [-200, 200])
def test_its_clock_can_be_wrong(seconds: int) -> None:
    """What it says is refused now, and good by a clock that is as wrong; a failure's time is wrong too."""
    skew = timedelta(seconds=seconds)
    browser = open_browser(started(Manner(clock_skew=skew), encrypts=True))
    posted = browser.choose(browser.ask(), "ada")

    with pytest.raises((NotYetValid, Stale)):
        browser.verify(posted, encryption="required")
    assertion = browser.verify(posted, encryption="required", late=-skew)
    failed = browser.choose(browser.ask(name_id_format="urn:other"), "ada")
    envelope = read_message(Form(failed.text).fields["SAMLResponse"]).envelope

    assert abs(envelope.issue_instant - datetime.now(UTC) - skew) < timedelta(seconds=30)
    assert abs(assertion.authenticated_at - datetime.now(UTC) - skew) < timedelta(seconds=30)


# Its own session


def test_who_is_signed_in_comes_first(browser: Browser) -> None:
    """Nobody has to sign out here to become somebody else, and who stays needs one key; the login stays as old."""
    browser.clock.offset = timedelta(minutes=-50)
    first_page = browser.ask()
    assert Form(first_page.text).focused == []
    assert "(signed in)" not in first_page.text
    first = browser.verify(browser.choose(first_page, "grace"))
    browser.clock.offset = timedelta()

    page = browser.ask()
    assert Form(page.text).buttons == ["grace", "ada", "bob", "carol"]
    assert Form(page.text).focused == ["grace"]
    assert page.text.count("(signed in)") == 1

    assert browser.verify(browser.choose(page, "grace")).authenticated_at == first.authenticated_at
    assert browser.verify(browser.choose(page, "carol")).authenticated_at > first.authenticated_at
    assert Form(browser.ask().text).focused == ["carol"]


def test_with_remember_who_is_signed_in_is_not_asked_again() -> None:
    """As at a real one: the second application gets its Response without a click."""
    browser = open_browser(started(remember=True))
    first = browser.verify(browser.choose(browser.ask(), "grace"))
    for binding in (BINDING_REDIRECT, BINDING_POST):
        again = browser.verify(browser.ask(binding=binding))
        assert again.authenticated_at == first.authenticated_at
        assert again.name_id == first.name_id
        assert again.id != first.id


def test_the_session_ends_after_eight_hours(browser: Browser) -> None:
    """A forgotten browser tab does not stay signed in for ever."""
    browser.choose(browser.ask(), "ada")
    assert "(signed in)" in browser.ask().text
    browser.clock.offset = timedelta(hours=8)

    assert "(signed in)" not in browser.ask().text
    assert failure(browser, browser.ask(is_passive=True)) == ("Responder", "NoPassive")


def test_passively_nobody_is_asked(browser: Browser) -> None:
    """IsPassive without a session is NoPassive under Responder; with one, it signs in silently."""
    nobody = browser.ask(is_passive=True)
    assert failure(browser, nobody) == ("Responder", "NoPassive")
    assert Form(nobody.text).fields["RelayState"] == "opaque-1"

    browser.choose(browser.ask(), "ada")

    assert browser.verify(browser.ask(is_passive=True)).in_response_to == REQUEST_ID


def test_forced_everybody_is_asked(browser: Browser) -> None:
    """ForceAuthn makes a new login in spite of a session, and passively it can't be done."""
    browser.clock.offset = timedelta(minutes=-50)
    signed_in = browser.verify(browser.choose(browser.ask(), "ada"))
    browser.clock.offset = timedelta()

    page = browser.ask(force_authn=True)
    assert "Who is signing in?" in page.text
    assert "Ada Lovelace is signed in here" in page.text
    assert browser.verify(browser.choose(page, "ada")).authenticated_at > signed_in.authenticated_at
    browser.verify(browser.choose(page, "bob"))
    assert failure(browser, browser.ask(force_authn=True, is_passive=True)) == ("Responder", "NoPassive")


def test_signing_out_of_the_identity_provider(browser: Browser) -> None:
    """Its first page says who is signed in, and has the button to end it."""
    browser.choose(browser.ask(), "carol")
    home = browser.get("/")
    assert "Signed in as Carol Shaw" in home.text

    form = Form(home.text)
    reply = browser.client.post(form.action, data=form.fields, base_url=BASE_URL, follow_redirects=True)

    assert "Nobody is signed in here" in reply.text
    assert "(signed in)" not in browser.ask().text


def test_idp_initiated(browser: Browser) -> None:
    """A link of its own makes an unsolicited Response, with the RelayState that the link has."""
    query = urlencode({"sp": SP.entity_id, "relay_state": "/report?a=b"})

    posted = browser.choose(browser.get(f"/idp-initiated?{query}"), "ada")

    assertion = browser.verify(posted, unsolicited=True)
    assert assertion.in_response_to is None
    assert Form(posted.text).fields["RelayState"] == "/report?a=b"
    assert urlencode({"sp": SP.entity_id}) in browser.get("/").text


def test_service_providers_may_be_learned_later() -> None:
    """Given as a function, they are looked up at every request."""
    known: dict[str, str] = {}
    idp = DevIdP(lambda: known, base_url=BASE_URL)
    browser = Browser(idp, Client(make_app(idp)), Clock())
    assert browser.ask().status_code == 400

    known[SP.entity_id] = SP.acs_url

    browser.verify(browser.choose(browser.ask(), "ada"))


# Bad input


@pytest.mark.parametrize(
    "service_provider",
    [
        ServiceProvider("https://unknown.example/metadata", SP.acs_url),
        ServiceProvider(SP.entity_id, OTHER_SP.acs_url),
        ServiceProvider(SP.entity_id, SP.acs_url + "/"),
        ServiceProvider(SP.entity_id, SP.acs_url.upper()),
        ServiceProvider("", SP.acs_url),
    ],
)
@pytest.mark.parametrize("is_passive", [True, False])
def test_nothing_is_sent_to_an_address_that_is_not_registered(
    browser: Browser, service_provider: ServiceProvider, *, is_passive: bool
) -> None:
    """To the letter: an unknown service provider or another address of a known one gets a page, and no Response."""
    browser.choose(browser.ask(), "ada")

    reply = browser.ask(service_provider=service_provider, is_passive=is_passive)

    assert reply.status_code == 400
    assert "SAMLResponse" not in reply.text
    assert "registered" in reply.text


def test_a_request_for_another_identity_provider_is_not_answered(browser: Browser) -> None:
    """The Destination must be ours."""
    message = build_authn_request(
        request_id=REQUEST_ID,
        service_provider=SP,
        identity_provider=IdentityProvider("x", (Endpoint(BINDING_REDIRECT, "http://localhost:1/sso"),), (), ()),
        key=SP_KEY,
        relay_state="",
        issued_at=datetime.now(UTC),
    )
    assert isinstance(message, Redirect)

    reply = browser.get(f"/sso?{urlsplit(message.url).query}")

    assert reply.status_code == 400
    assert "Destination" in reply.text


@pytest.mark.parametrize("missing", ["csrf_token", "cookie"])
def test_the_forms_need_their_token(browser: Browser, missing: str) -> None:
    """Another site can't sign anybody in or out here."""
    sign_in, home = browser.ask(), browser.get("/")
    if missing == "cookie":
        browser.client.delete_cookie("dev_idp_8765_csrf", domain="localhost")

    for page in (sign_in, home):
        token = {"csrf_token": "x" if missing == "csrf_token" else Form(page.text).fields.get("csrf_token", "x")}
        form = Form(page.text)
        data = {**form.fields, "person": "ada", **token}
        reply = browser.client.post(form.action or "/sign-out", data=data, base_url=BASE_URL)
        assert reply.status_code == 403
        assert "Set-Cookie" not in reply.headers
        assert "out of date" in reply.text


@pytest.mark.parametrize(("person", "status"), [("mallory", 400), ("", 400)])
def test_nobody_else_can_sign_in(browser: Browser, person: str, status: int) -> None:
    """Only the people of the list exist."""
    assert browser.choose(browser.ask(), person).status_code == status


def test_a_request_that_was_not_read_here_is_not_answered(browser: Browser) -> None:
    """What the sign-in page carries is signed, for this process, for this purpose, and for an hour."""
    page = browser.ask()
    token = Form(page.text).fields["request"]
    session = next(
        cookie for cookie in browser.choose(page, "ada").headers.getlist("Set-Cookie") if "session" in cookie
    )
    for forged in ("", "x", token[:-2], token + "a", session.partition("=")[2].partition(";")[0]):
        assert browser.choose(page, "ada", request=forged).status_code == 403
    assert browser.get(f"/sign-in?request={token}").status_code == 200
    assert open_browser(browser.idp).get(f"/sign-in?request={token}").status_code == 403
    browser.clock.offset = timedelta(hours=1)
    assert browser.get(f"/sign-in?request={token}").status_code == 403


def test_a_forged_session_cookie_is_nobody(browser: Browser) -> None:
    """A session of another dev IdP on this host, or a made-up one, signs nobody in."""
    browser.client.set_cookie("dev_idp_8765_session", "ada", domain="localhost")

    assert "(signed in)" not in browser.ask().text
    assert failure(browser, browser.ask(is_passive=True)) == ("Responder", "NoPassive")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("PUT", "/sso", 405),
        ("GET", "/sign-out", 405),
        ("GET", "/sso", 400),
        ("POST", "/sso", 400),
        ("GET", "/idp-initiated", 400),
        ("GET", "/idp-initiated?sp=x", 400),
        ("GET", f"/idp-initiated?sp={SP.entity_id}&relay_state={'x' * 3000}", 400),
        ("GET", "/sign-in", 403),
        ("POST", "/sign-in", 403),
    ],
)
def test_what_makes_no_sense_gets_a_page(browser: Browser, method: str, path: str, status: int) -> None:
    """Each refusal has a status and a sentence, and none is a server error."""
    reply = browser.client.open(path, method=method, base_url=BASE_URL)

    assert reply.status_code == status
    assert 'role="alert"' in reply.text


def test_a_huge_form_is_not_read(browser: Browser) -> None:
    """The body has a limit."""
    reply = browser.client.post("/sso", data={"SAMLRequest": "A" * 300_000}, base_url=BASE_URL)

    assert reply.status_code == 413


# Pages


def test_every_page_is_strict_about_what_runs_in_it(browser: Browser) -> None:
    """No inline script but our own by its hash, no framing, no caching; forms go home or to the one ACS."""
    sign_in = browser.ask()
    pages = [browser.get("/"), sign_in, browser.choose(sign_in, "ada"), browser.get("/nothing")]

    for reply in pages:
        policy = dict(
            directive.partition(" ")[::2] for directive in reply.headers["Content-Security-Policy"].split("; ")
        )
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["base-uri"] == "'none'"
        assert policy["script-src"].startswith("'sha256-")
        assert "unsafe" not in reply.headers["Content-Security-Policy"]
        assert reply.headers["Cache-Control"] == "no-store"
        assert reply.text.startswith('<!doctype html>\n<html lang="en">')
        assert reply.text.count("<h1>") == 1
        assert " style=" not in reply.text
        assert " on" + "load=" not in reply.text
    actions = [reply.headers["Content-Security-Policy"].partition("form-action ")[2] for reply in pages]
    assert [action.partition(";")[0] for action in actions] == [
        "'self'",
        "'self'",
        "'self' http://127.0.0.1:8000",
        "'self'",
    ]


def test_the_page_that_posts_back_works_without_script(browser: Browser) -> None:
    """There is a button."""
    posted = browser.choose(browser.ask(), "ada")

    assert posted.status_code == 200
    assert Form(posted.text).buttons == [""]
    assert "Continue" in posted.text


def test_cookies_are_its_own_and_name_samesite(browser: Browser) -> None:
    """HttpOnly, SameSite=Lax, no Domain, and named by the port: cookies know no ports."""
    page = browser.ask()
    cookies = [
        *page.headers.getlist("Set-Cookie"),
        *browser.choose(page, "ada").headers.getlist("Set-Cookie"),
    ]

    assert len(cookies) == 2
    for cookie in cookies:
        assert cookie.startswith("dev_idp_8765_")
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Domain" not in cookie
        assert "Path=/" in cookie


def test_what_comes_from_outside_is_escaped(browser: Browser) -> None:
    """WEB-016: an entity id or a RelayState with markup in it is text."""
    markup = "<script>alert(1)</script>'\""
    refused = browser.get(f"/idp-initiated?{urlencode({'sp': markup})}")
    query = urlencode({"sp": SP.entity_id, "relay_state": markup})
    posted = browser.choose(browser.get(f"/idp-initiated?{query}"), "ada")

    assert "<script>alert" not in refused.text + posted.text
    assert Form(posted.text).fields["RelayState"] == markup


def test_the_redirect_to_the_sign_in_page_carries_no_message(browser: Browser) -> None:
    """An AuthnRequest by HTTP-POST (without our Lax cookie) is brought home by a redirect to a page of our own."""
    message = build_authn_request(
        request_id=REQUEST_ID,
        service_provider=SP,
        identity_provider=IdentityProvider("x", (Endpoint(BINDING_POST, browser.idp.sso_url),), (), ()),
        key=SP_KEY,
        relay_state="",
        issued_at=datetime.now(UTC),
    )
    assert isinstance(message, FormPost)

    reply = browser.client.post("/sso", data=dict(message.fields), base_url=BASE_URL)

    assert reply.status_code == 303
    assert urlsplit(reply.location).path == "/sign-in"
    assert list(parse_qs(urlsplit(reply.location).query)) == ["request"]
    assert "Set-Cookie" not in reply.headers
