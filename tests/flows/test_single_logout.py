"""Single logout, in both directions: who is signed out, who is told what, and what is never done."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from lxml import etree
from tests.conftest import MakeWorld
from tests.flows.test_fetched_metadata import Fetched
from tests.identity_provider import IdentityProvider, make_signer
from tests.metadata_refreshing import url_connection, with_valid_until
from tests.signing_out import (
    BINDINGS,
    SLO,
    Deliver,
    Sent,
    acme,
    answer_to,
    by_post,
    by_redirect,
    connection,
    in_frame,
    log_out,
    request_for,
    sent_by_post,
    sent_by_redirect,
    session_indexes,
    sessions_of,
    slo_url,
)
from tests.world import Answer, World
from tests.xml_encryption import Encryption

from sso_middleware.errors import SealedWithUnknownKey, StoreUnavailable
from sso_middleware.flows.own_keys import OwnKeys
from sso_middleware.saml.assertion import NAME_ID_PERSISTENT, NAME_ID_UNSPECIFIED
from sso_middleware.stores.sql import SqlStore

POST_ONLY = f'<SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="{SLO}"/>'
WITH_RESPONSE_LOCATION = (
    '<SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"'
    f' Location="{SLO}" ResponseLocation="https://idp.acme.example/slo/answers"/>'
)
GLOBEX = "https://idp.globex.example/slo"
MAY_KNOW = "Your organization may still know you"
both_bindings = pytest.mark.parametrize("deliver", BINDINGS.values(), ids=BINDINGS)


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(connections=[connection()])


def begun(world: World) -> Sent:
    """Ada signs in and out again; the request that goes to the identity provider."""
    world.sign_in()
    sent = sent_by_redirect(world, log_out(world.first_browser).refresh_url)
    world.wait(seconds=2)
    world.events.clear()
    return sent


# We ask


def test_signing_out_goes_by_the_identity_provider(world: World) -> None:
    """Here the session is over before the browser leaves; in answer to a POST it leaves by a page."""
    world.sign_in()
    (session,) = sessions_of(world)
    cookies = dict(world.first_browser.cookies)

    answer = log_out(world.first_browser)

    assert sessions_of(world) == []
    assert answer.status == 200
    assert "Signing you out at your organization, too" in answer.text
    assert not world.first_browser.has_session
    assert any("-signed-out=" in line for line in answer.set_cookies)
    assert "host=; Max-Age=0; Path=/; SameSite=Lax" in answer.set_cookies
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert world.hooks.ended == ["/sso/logout"]
    assert world.codes == ["login_succeeded", "logged_out"]
    sent = sent_by_redirect(world, answer.refresh_url)
    assert (sent.url, sent.kind, sent.get("Destination")) == (SLO, "LogoutRequest", SLO)
    assert sent.texts("saml:Issuer") == [world.entity_id]
    assert sent.texts("samlp:SessionIndex") == [session.session_index]
    assert len((sent.relay_state or "").encode()) <= 80
    world.first_browser.cookies = cookies
    assert world.first_browser.get("/report").status == 303


def test_an_identity_provider_that_takes_only_posts_is_posted_to(make_world: MakeWorld) -> None:
    """From a page with a button that presses itself; only there may its form go."""
    world = make_world(connections=[connection(services=POST_ONLY)])
    world.sign_in()

    answer = log_out(world.first_browser)

    sent = sent_by_post(world, answer, "SAMLRequest")
    assert (answer.status, sent.url, sent.kind) == (200, SLO, "LogoutRequest")
    assert "form-action 'self' https://idp.acme.example;" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    ("name_id", "attributes"),
    [
        ({"name_id": "ada@acme.example"}, {"Format": "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"}),
        ({"name_id": " a,b=c%2C<&ü ", "name_id_format": None}, {"Format": NAME_ID_UNSPECIFIED}),
        (
            {"name_id": "7", "name_id_format": NAME_ID_PERSISTENT, "name_qualifier": "IDP", "sp_name_qualifier": "SP"},
            {"Format": NAME_ID_PERSISTENT, "NameQualifier": "IDP", "SPNameQualifier": "SP"},
        ),
    ],
    ids=["e-mail address", "odd", "qualified"],
)
def test_the_name_id_goes_back_to_the_letter(world: World, name_id: dict[str, Any], attributes: dict[str, str]) -> None:
    """Identity providers compare each part of what they said (SAML core 3.3.4)."""
    real = {"IDP": world.idp.entity_id, "SP": world.entity_id}
    changes = {name: real.get(value, value) for name, value in name_id.items()}
    assert world.post_response(world.log_in("/report", **changes)).status == 303

    sent = sent_by_redirect(world, log_out(world.first_browser).refresh_url)

    expected = {name: real.get(value, value) for name, value in attributes.items()}
    assert sent.name_id == (name_id["name_id"], expected)


def test_a_session_without_an_index_is_asked_for_without_one(world: World) -> None:
    """The identity provider then ends all of the person's (SAML core 3.7.3.1)."""
    assert world.post_response(world.log_in("/report", session_index=None)).status == 303

    sent = sent_by_redirect(world, log_out(world.first_browser).refresh_url)

    assert sent.texts("samlp:SessionIndex") == []


OUTCOMES = {
    "done": (("Success",), "Your organization has signed you out, too.", "single_logout_done"),
    "partial": (("Success", "PartialLogout"), "could not reach every other application", "single_logout_partial"),
    "partial, as a failure": (("Responder", "PartialLogout"), "could not reach every", "single_logout_partial"),
    "failed": (("Responder", "RequestDenied"), "says that it did not", "single_logout_failed"),
}


@both_bindings
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_how_it_came_out_is_told_honestly(world: World, deliver: Deliver, outcome: str) -> None:
    """In words for each outcome; an event for each; and the next sign-in is a click in any case."""
    status, words, code = OUTCOMES[outcome]
    sent = begun(world)

    answer = deliver(world, answer_to(world, sent, status=status), world.first_browser)

    assert answer.status == 303
    assert answer.location.startswith(f"{world.base_url}/sso/signed-out?told=")
    page = world.first_browser.get(answer.location)
    assert "You are signed out" in page.text
    assert words in page.text
    assert MAY_KNOW not in page.text
    assert any("-signed-out=" in line for line in page.set_cookies)
    assert world.codes == [code]
    assert "You are signed out" in world.first_browser.get("/sso/login").text


@both_bindings
def test_an_answer_counts_once(world: World, deliver: Deliver) -> None:
    """Reloaded, it answers nothing any more; what it says then is no reason to worry about a sign-in."""
    shape = answer_to(world, begun(world))
    assert deliver(world, shape, world.first_browser).status == 303

    again = deliver(world, shape, world.first_browser)

    assert (again.status, world.codes) == (403, ["single_logout_done", "logout_request_unknown"])
    assert "This sign-out has been answered already" in again.text
    assert "sign-in" not in again.text.partition("<main>")[2]


@both_bindings
def test_an_answer_that_took_too_long_is_refused(world: World, deliver: Deliver) -> None:
    """After `login_timeout` we wait no longer."""
    sent = begun(world)
    world.wait(minutes=15)

    assert deliver(world, answer_to(world, sent), world.first_browser).status == 403
    assert world.codes == ["logout_request_unknown"]


@both_bindings
def test_a_forged_answer_leaves_the_request_to_the_honest_one(world: World, deliver: Deliver) -> None:
    """SLO-013: by a key that is not the identity provider's, nothing is used up."""
    sent = begun(world)
    forger = IdentityProvider(key="attacker's")

    assert deliver(world, answer_to(world, sent), world.first_browser, idp=forger).status == 403
    assert world.codes == ["signature_invalid"]
    assert deliver(world, answer_to(world, sent), world.first_browser).status == 303
    assert world.codes[1:] == ["single_logout_done"]


@both_bindings
def test_the_outcome_is_told_to_the_browser_that_asked(world: World, deliver: Deliver) -> None:
    """Somebody else's browser is told what it would be told anyway."""
    sent = begun(world)
    other = world.browser()

    answer = deliver(world, answer_to(world, sent), other)

    assert MAY_KNOW in other.get(answer.location).text
    assert MAY_KNOW not in world.first_browser.get(answer.location).text
    assert MAY_KNOW in world.first_browser.get(answer.location[:-3] + "AAA").text


def test_off_signs_out_here_only(make_world: MakeWorld) -> None:
    """`single_logout = "off"`: nobody is asked, and the person is told so."""
    world = make_world(connections=[connection(single_logout="off")])
    check_only_here(world, [])


def test_an_identity_provider_without_an_address_is_not_asked(make_world: MakeWorld) -> None:
    """As it was before there was single logout."""
    check_only_here(make_world(connections=[connection(acme(None))]), [])


def check_only_here(world: World, further: list[str]) -> None:
    world.sign_in()
    answer = log_out(world.first_browser)
    assert answer.location == f"{world.base_url}/sso/signed-out"
    assert MAY_KNOW in world.first_browser.get(answer.location).text
    assert sessions_of(world) == []
    assert not world.first_browser.has_session
    assert world.codes == ["login_succeeded", "logged_out", *further]


def raising(error: Exception) -> Any:
    def method(*_: Any, **__: Any) -> Any:
        raise error

    return method


FAULTS: dict[str, tuple[str, Exception, str]] = {
    "key": ("signing_key", SealedWithUnknownKey("it is gone"), "it is gone"),
    "store": ("add_logout_request", StoreUnavailable("it is away"), "it is away"),
    "fault": ("add_logout_request", ZeroDivisionError("ada@acme.example"), "unexpected ZeroDivisionError"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_goes_wrong_in_asking_the_person_is_signed_out(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """The operator is told why, and nobody told of the person."""
    name, error, why = FAULTS[fault]
    world.sign_in()
    page = world.first_browser.get("/sso/logout")
    holder = OwnKeys if name == "signing_key" else SqlStore
    monkeypatch.setattr(holder, name, raising(error))

    answer = world.first_browser.post("/sso/logout", {"csrf_token": page.field("csrf_token")})

    assert answer.location == f"{world.base_url}/sso/signed-out"
    assert MAY_KNOW in world.first_browser.get(answer.location).text
    assert sessions_of(world) == []
    assert world.codes == ["login_succeeded", "logged_out", "single_logout_not_sent"]
    assert world.events[-1].detail["why"] == why
    told = [record.getMessage() for record in caplog.records if record.name == "sso_middleware"]
    assert "ada@" not in "".join(told)


def test_while_its_metadata_is_void_nobody_is_asked(make_world: MakeWorld) -> None:
    """The session is ended here, and the operator told."""
    world = make_world(connections=[url_connection()])
    fetched = Fetched(world, with_valid_until(acme().metadata, world.now + timedelta(hours=1)))
    fetched.housekeep()
    world.sign_in()
    world.wait(hours=2)

    answer = log_out(world.first_browser)

    assert answer.location == f"{world.base_url}/sso/signed-out"
    assert world.codes[-2:] == ["logged_out", "single_logout_not_sent"]
    assert sessions_of(world) == []


# The identity provider asks


@both_bindings
def test_the_identity_provider_signs_somebody_out(world: World, deliver: Deliver) -> None:
    """From another browser than theirs, or without our cookies: the session is over, and the answer is signed."""
    world.sign_in()
    world.events.clear()
    shape = request_for(world)

    answer = deliver(world, shape, relay_state="state ü/+ &=%2f")

    assert world.first_browser.get("/report").status == 303
    assert sessions_of(world) == []
    assert answer.status == 303
    assert answer.set_cookies == []
    assert world.hooks.ended == []
    sent = sent_by_redirect(world, answer.location)
    assert (sent.url, sent.kind, sent.get("Destination")) == (SLO, "LogoutResponse", SLO)
    assert (sent.get("InResponseTo"), sent.status, sent.relay_state) == (shape.id, ["Success"], "state ü/+ &=%2f")
    assert sent.texts("saml:Issuer") == [world.entity_id]
    assert world.codes == ["single_logout_requested"]
    assert (world.events[0].connection_id, world.events[0].email) == ("acme", "ada@acme.example")
    assert world.events[0].detail == {"sessions": "1"}


def test_in_a_frame_it_works_as_well(world: World) -> None:
    """Without a page that the frame might not show."""
    world.sign_in()

    answer = in_frame(world, request_for(world))

    assert answer.status == 303
    assert sent_by_redirect(world, answer.location).status == ["Success"]
    assert sessions_of(world) == []


def test_where_only_a_form_can_answer_its_page_may_be_framed(make_world: MakeWorld) -> None:
    """By the identity provider, and by nobody else."""
    world = make_world(connections=[connection(services=POST_ONLY)])
    world.sign_in()

    answer = in_frame(world, request_for(world), relay_state="ü<&")

    assert answer.status == 200
    assert "X-Frame-Options" not in answer.headers
    assert "frame-ancestors https://idp.acme.example;" in answer.headers["Content-Security-Policy"]
    assert 'name="RelayState" value="ü&lt;&amp;"' in answer.text
    assert sent_by_post(world, answer, "SAMLResponse").status == ["Success"]


def test_answers_go_to_their_own_address_where_there_is_one(make_world: MakeWorld) -> None:
    """ResponseLocation (SAML metadata 2.2.2); our requests go to Location."""
    world = make_world(connections=[connection(services=WITH_RESPONSE_LOCATION)])
    world.sign_in()

    sent = sent_by_redirect(world, by_redirect(world, request_for(world)).location)

    assert (sent.url, sent.get("Destination")) == ("https://idp.acme.example/slo/answers",) * 2
    world.sign_in()
    assert sent_by_redirect(world, log_out(world.first_browser).refresh_url).url == SLO


def test_the_browser_that_is_sent_round_is_signed_out_as_by_its_own_button(world: World) -> None:
    """The cookie goes, the host's session ends, what it kept is dropped, and the next sign-in is a click."""
    world.sign_in()

    answer = by_redirect(world, request_for(world), world.first_browser)

    assert not world.first_browser.has_session
    assert world.hooks.ended == ["/sso/acme/slo"]
    assert "host=; Max-Age=0; Path=/; SameSite=Lax" in answer.set_cookies
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert "You are signed out" in world.first_browser.get("/sso/login").text


def test_a_browser_with_the_old_id_of_a_renewed_session_is_signed_out_too(make_world: MakeWorld) -> None:
    """An alias ends with what it stands for."""
    world = make_world(connections=[connection()], soft_timeout="15m")
    world.sign_in()
    old = dict(world.first_browser.cookies)
    world.wait(minutes=20)
    away = world.first_browser.get("/report")
    assert world.post_response(world.idp.log_in(away.location, "ada@acme.example", now=world.now)).status == 303
    world.first_browser.cookies = old

    answer = by_redirect(world, request_for(world), world.first_browser)

    assert sessions_of(world) == []
    assert not world.first_browser.has_session
    assert world.hooks.ended == ["/sso/acme/slo"]
    assert answer.status == 303


def test_another_persons_browser_keeps_its_session(world: World) -> None:
    """SLO-008: the identity provider may have another account in the browser than we."""
    world.sign_in("bob@acme.example")

    answer = by_redirect(world, request_for(world), world.first_browser)

    assert answer.set_cookies == []
    assert world.hooks.ended == []
    assert world.first_browser.get("/report").status == 200


def test_a_host_that_can_not_end_its_own_session_makes_it_partial(world: World) -> None:
    """The identity provider is told so (SAML core 3.7.3.2), and our own session is over."""
    world.sign_in()
    world.hooks.ended = None  # type: ignore[assignment]  # appending to it raises

    answer = by_redirect(world, request_for(world), world.first_browser)

    assert sent_by_redirect(world, answer.location).status == ["Success", "PartialLogout"]
    assert not world.first_browser.has_session


def test_ten_requests_in_a_row_are_fine(world: World) -> None:
    """Each under an id of its own, whether there is anything left to end or not."""
    world.sign_in()

    for _ in range(10):
        answer = by_redirect(world, request_for(world), world.first_browser)
        assert sent_by_redirect(world, answer.location).status == ["Success"]

    assert [event.detail["sessions"] for event in world.events[1:]] == ["1", *["0"] * 9]


@both_bindings
def test_nobody_learns_whether_there_was_anybody(world: World, deliver: Deliver) -> None:
    """The answers for one who is signed in and one who never was differ in ids, time and signature only."""
    world.sign_in()

    answers = [deliver(world, request_for(world, email)) for email in ("ada@acme.example", "nobody@acme.example")]

    first, second = ((answer.status, sorted(name for name, _ in answer.headers)) for answer in answers)
    assert first == second
    told = [sent_by_redirect(world, answer.location) for answer in answers]
    assert told[0].status == told[1].status == ["Success"]
    assert [child.tag for child in told[0].root.iter()] == [child.tag for child in told[1].root.iter()]


def test_slo_008_all_sessions_of_one_person_end_and_nobody_elses(world: World) -> None:
    """Without a SessionIndex: every browser of Ada's, and not Bob's (SLO-008)."""
    for email in ("ada@acme.example", "ada@acme.example", "bob@acme.example"):
        world.sign_in(email, browser=world.browser())

    by_post(world, request_for(world))

    (session,) = sessions_of(world)
    assert session.email == "bob@acme.example"


def test_slo_008_a_session_index_names_one_session(world: World) -> None:
    """Of Ada's two only that one; and another's index with her name, or hers with another's, names none (SLO-008)."""
    for email in ("ada@acme.example", "ada@acme.example", "bob@acme.example"):
        world.sign_in(email, browser=world.browser())
    index = {session.email: session.session_index for session in sessions_of(world)}
    before = session_indexes(world)

    by_post(world, request_for(world, session_indexes=(str(index["bob@acme.example"]),)))
    by_post(world, request_for(world, "bob@acme.example", session_indexes=(str(index["ada@acme.example"]),)))
    by_post(world, request_for(world, session_indexes=("_unknown",)))
    assert session_indexes(world) == before

    by_post(world, request_for(world, session_indexes=("_unknown", str(index["ada@acme.example"]))))
    assert session_indexes(world) == before - {index["ada@acme.example"]}


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ('Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"', 303),
        ("", 303),
        ('Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress" NameQualifier="https://other.example"', 403),
        (
            'Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress" SPNameQualifier="https://other.example"',
            403,
        ),
    ],
    ids=["another format", "no format", "another qualifier", "for another"],
)
def test_slo_008_the_same_text_is_not_the_same_name(world: World, attributes: str, status: int) -> None:
    """SAML core 3.3.4: format and qualifiers are part of a name (SLO-008)."""
    world.sign_in()

    answer = by_post(world, request_for(world, name_id_attributes=attributes))

    assert answer.status == status
    assert len(sessions_of(world)) == 1


def test_qualifiers_that_say_what_is_so_anyway_make_no_other_name(world: World) -> None:
    """SAML core 8.3.7: left out, they mean the identity provider, and us."""
    world.sign_in()
    qualified = (
        'Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"'
        f' NameQualifier="{world.idp.entity_id}" SPNameQualifier="{world.entity_id}"'
    )

    by_post(world, request_for(world, name_id_attributes=qualified))

    assert sessions_of(world) == []


def two_organizations(make_world: MakeWorld, **settings: Any) -> World:
    """Of Globex an identity provider of its own, which knows an ada@acme.example, too."""
    other = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso", slo_url=GLOBEX)
    globex = connection(other, id="globex", organization="Globex", domains=["globex.example"])
    return make_world(connections=[connection(), globex], **settings)


def test_slo_008_another_connections_identity_provider_ends_nothing_of_ours(make_world: MakeWorld) -> None:
    """The same name at another identity provider is another person; at our address it is refused (SLO-008)."""
    world = two_organizations(make_world)
    world.first_browser.cookies.update(signed_in_at_acme(world))
    other = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso", slo_url=GLOBEX)
    globex_slo = f"{world.base_url}/sso/globex/slo"
    there = request_for(world, issuer=other.entity_id, destination=globex_slo)

    assert by_post(world, there, idp=other, to=globex_slo).status == 303
    assert by_post(world, request_for(world, issuer=other.entity_id), idp=other).status == 403
    assert by_post(world, request_for(world, destination=globex_slo), to=globex_slo).status == 403

    assert world.first_browser.get("/report").status == 200
    by_post(world, request_for(world))
    assert world.first_browser.get("/report").status == 303


def signed_in_at_acme(world: World) -> dict[str, str]:
    browser = world.browser()
    left = browser.get("/sso/login?connection=acme&return_to=/report")
    assert (
        world.post_response(world.idp.log_in(left.location, "ada@acme.example", now=world.now), browser).status == 303
    )
    return browser.cookies


@both_bindings
def test_slo_009_a_request_counts_once(world: World, deliver: Deliver) -> None:
    """Whoever has a copy of it can't end the next session (SLO-009)."""
    world.sign_in()
    shape = request_for(world)
    assert deliver(world, shape).status == 303
    world.sign_in(browser=world.browser())
    world.events.clear()

    again = deliver(world, shape)

    assert (again.status, world.codes) == (403, ["logout_replayed"])
    assert "Used once" in world.events[0].detail["explanation"]
    assert len(sessions_of(world)) == 1


@both_bindings
def test_a_forged_request_changes_nothing(world: World, deliver: Deliver) -> None:
    """SLO-004: no session ends, no cookie goes, the host's session lives; the page has the words for it."""
    world.sign_in()
    world.events.clear()

    answer = deliver(world, request_for(world), world.first_browser, idp=IdentityProvider(key="attacker's"))

    assert (answer.status, world.codes) == (403, ["signature_invalid"])
    assert answer.set_cookies == []
    assert "Clear-Site-Data" not in answer.headers
    assert world.hooks.ended == []
    assert "A sign-out by your organization could not be completed" in answer.text
    assert f'href="{world.base_url}/sso/logout"' in answer.text
    assert str(world.events[0].reference) in answer.text
    assert "signature" in world.events[0].detail["explanation"]
    assert world.first_browser.get("/report").status == 200


def test_a_request_whose_answer_can_not_be_signed_has_ended_the_session(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked for is done first."""
    world.sign_in()
    monkeypatch.setattr(OwnKeys, "signing_key", raising(SealedWithUnknownKey("it is gone")))

    assert by_post(world, request_for(world)).status == 503
    assert sessions_of(world) == []


def test_where_the_store_fails_nothing_is_said_to_be_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, and the identity provider is not told that anybody was signed out."""
    world.sign_in()
    monkeypatch.setattr(SqlStore, "end_sessions", raising(StoreUnavailable("it is away")))

    answer = by_post(world, request_for(world))

    assert answer.status == 503
    assert answer.headers["Retry-After"]
    assert "Location" not in answer.headers


def test_a_new_key_is_looked_for_soon(make_world: MakeWorld) -> None:
    """As at the ACS: the identity provider may have changed its certificate."""
    world = make_world(connections=[url_connection()])
    fetched = Fetched(world, acme().metadata)
    fetched.housekeep()
    world.wait(minutes=11)
    by_redirect(world, request_for(world), idp=IdentityProvider(key="second"))

    fetched.housekeep()

    assert world.codes[-1] == "signature_invalid"
    assert "we look at its metadata again soon" in world.events[-1].detail["why"]
    assert fetched.count == 2


def test_an_encrypted_name_id_is_opened(make_world: MakeWorld) -> None:
    """Where the connection may encrypt."""
    recipient = make_signer("a recipient")
    keys = {"encryption_key": recipient.private_pem, "encryption_certificate": recipient.certificate}
    world = make_world(connections=[connection(encryption="optional")], **keys)
    world.sign_in()

    assert by_post(world, request_for(world, encryption=Encryption(recipient.certificate))).status == 303
    assert sessions_of(world) == []


# Where it is


def slo_services(metadata: Answer) -> list[tuple[str, str]]:
    services = etree.fromstring(metadata.body).iter("{urn:oasis:names:tc:SAML:2.0:metadata}SingleLogoutService")
    return [(str(end.get("Binding")).rpartition(":")[2], str(end.get("Location"))) for end in services]


def test_our_metadata_names_the_address(world: World) -> None:
    """By HTTP-Redirect and by HTTP-POST."""
    url = slo_url(world)
    assert slo_services(world.browser().get("/sso/acme/metadata")) == [("HTTP-Redirect", url), ("HTTP-POST", url)]


@pytest.mark.parametrize("how", ["off", "no address"])
def test_where_there_is_none_there_is_no_such_page(make_world: MakeWorld, how: str) -> None:
    """Neither in our metadata nor at the address, whatever comes there."""
    off = connection(single_logout="off") if how == "off" else connection(acme(None))
    world = make_world(connections=[off])
    world.sign_in()

    assert slo_services(world.browser().get("/sso/acme/metadata")) == []
    for answer in (
        world.browser().get("/sso/acme/slo"),
        by_redirect(world, request_for(world)),
        by_post(world, request_for(world)),
    ):
        assert answer.status == 404
    assert set(world.codes[1:]) == {"page_not_found"}
    assert len(sessions_of(world)) == 1


def test_what_was_fetched_decides_it(make_world: MakeWorld) -> None:
    """While nothing is known it is offered; then the metadata's own word counts, within a second."""
    world = make_world(connections=[url_connection()])
    fetched = Fetched(world, acme(None).metadata)
    assert len(slo_services(world.browser().get("/sso/acme/metadata"))) == 2
    assert world.browser().get("/sso/acme/slo").status == 503
    fetched.housekeep()
    world.wait(seconds=1)
    assert slo_services(world.browser().get("/sso/acme/metadata")) == []
    assert world.browser().get("/sso/acme/slo").status == 404
    fetched.document = acme().metadata
    world.wait(hours=7)
    fetched.housekeep()
    world.wait(seconds=1)
    assert len(slo_services(world.browser().get("/sso/acme/metadata"))) == 2
    world.sign_in()
    assert by_post(world, request_for(world)).status == 303


def test_a_disabled_connection_is_not_listened_to(make_world: MakeWorld) -> None:
    """As at the ACS; its sessions are over anyway."""
    world = make_world(connections=[connection(enabled=False)])

    assert by_post(world, request_for(world)).status == 403
    assert world.codes == ["connection_disabled"]
    assert world.browser().get("/sso/other/slo").status == 404


@pytest.mark.parametrize("method", ["HEAD", "PUT"])
def test_only_get_and_post_are_for_messages(world: World, method: str) -> None:
    """HEAD would use a message up that a browser is about to bring."""
    answer = world.browser().send(method, "/sso/acme/slo", headers={"Accept": "text/html"})

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST")


def test_a_shared_address_finds_the_connection_by_issuer_and_by_our_request(make_world: MakeWorld) -> None:
    """With `shared_acs` there is one `slo`, as there is one ACS."""
    world = two_organizations(make_world, shared_acs=True)
    other = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso", slo_url=GLOBEX)
    assert slo_services(world.browser().get("/sso/metadata"))[0] == ("HTTP-Redirect", f"{world.base_url}/sso/slo")
    assert world.browser().get("/sso/acme/slo").status == 404
    world.first_browser.cookies.update(signed_in_at_acme(world))

    assert by_post(world, request_for(world, issuer="https://stranger.example")).status == 404
    assert by_post(world, request_for(world, issuer=other.entity_id), idp=other).status == 303
    assert len(sessions_of(world)) == 1
    sent = sent_by_redirect(world, log_out(world.first_browser).refresh_url)
    assert by_redirect(world, answer_to(world, sent, issuer=other.entity_id), idp=other).status == 403
    assert by_redirect(world, answer_to(world, sent)).status == 303
    world.first_browser.cookies.update(signed_in_at_acme(world))
    assert by_redirect(world, request_for(world)).status == 303
    assert sessions_of(world) == []


def test_a_shared_address_without_any_single_logout_is_no_page(make_world: MakeWorld) -> None:
    """Neither connection has it."""
    world = make_world(connections=[connection(single_logout="off")], shared_acs=True)

    assert world.browser().get("/sso/slo").status == 404
    assert slo_services(world.browser().get("/sso/metadata")) == []


def test_an_answer_at_another_connections_address_is_refused(make_world: MakeWorld) -> None:
    """Only the one that was asked can answer."""
    world = two_organizations(make_world)
    world.first_browser.cookies.update(signed_in_at_acme(world))
    sent = sent_by_redirect(world, log_out(world.first_browser).refresh_url)
    globex_slo = f"{world.base_url}/sso/globex/slo"

    assert by_post(world, answer_to(world, sent, destination=globex_slo), to=globex_slo).status == 403
    assert world.codes[-1] == "logout_request_unknown"
    assert by_post(world, answer_to(world, sent)).status == 303


def test_no_log_line_names_anybody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """WEB-024: a single logout in both directions, a forged one and a replay."""
    caplog.set_level(logging.DEBUG)
    by_redirect(world, answer_to(world, begun(world)), world.first_browser)
    world.sign_in(browser=world.browser())
    shape = request_for(world)
    for idp in (IdentityProvider(key="attacker's"), world.idp, world.idp):
        by_post(world, shape, idp=idp)

    lines = [record.getMessage() for record in caplog.records if not record.name.startswith("signxml")]
    assert world.codes[-3:] == ["signature_invalid", "single_logout_requested", "logout_replayed"]
    assert "ada@" not in "\n".join(lines) + repr(world.events)
