"""The first-login page: what the identity provider did not say is asked once, before the host hears of anything."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider
from tests.response_shape import attributes_of
from tests.signing_out import by_redirect, connection, request_for
from tests.world import Answer, Browser, World

from sso_middleware import Reject
from sso_middleware.stores.people_records import PeopleQuery

TEAMS = [
    {"id": "t1", "name": "Sales"},
    {"id": "t2", "name": "Sales EMEA", "parent": "t1"},
    {"id": "t3", "name": "Sales <Americas>", "parent": "t1"},
    {"id": "t4", "name": "Legal"},
]
ASKS: dict[str, Any] = {
    "ask_country": True,
    "ask_department": True,
    "teams": TEAMS,
    "departments": {"Sales EMEA": "t2"},
}
PAGE = "/report?month=11&q=a%20b"
ADA = "ada@acme.example"
NOTHING: dict[str, Any] = {"country": "", "department": ""}


def asking(make_world: MakeWorld, settings: dict[str, Any] | None = None, **changes: Any) -> World:
    own = {"id": "acme", "organization": "Acme", "domains": ["acme.example"], "metadata": IdentityProvider().metadata}
    return make_world(connections=[{**own, **(ASKS if settings is None else settings)}], **changes)


def arrive(world: World, browser: Browser | None = None, page: str = PAGE, email: str = ADA, **came: Any) -> Answer:
    """Sign in at the identity provider, which sends these (`country`, `department`), and come back."""
    browser = browser or world.first_browser
    attributes = attributes_of(email, **(came or NOTHING))
    form = world.idp.log_in(world.begin_login(page, browser), email, now=world.now, attributes=attributes)
    return world.post_response(form, browser)


def stop(world: World, browser: Browser | None = None, **came: Any) -> Answer:
    """The page that the sign-in stops at."""
    browser = browser or world.first_browser
    stopped = arrive(world, browser, **came)
    assert stopped.status == 303, stopped.text
    assert urlsplit(stopped.location).path == "/sso/complete-profile"
    page = browser.get(stopped.location)
    assert page.status == 200
    return page


def answer(browser: Browser, page: Answer, *, csrf: str | None = None, **fields: str) -> Answer:
    hidden = {
        "csrf_token": csrf or page.field("csrf_token"),
        "return_to": page.field("return_to").replace("&amp;", "&"),
    }
    return browser.post(page.url, {**hidden, **fields})


def options(page: Answer, name: str) -> dict[str, str]:
    select = re.search(rf'<select id="{name}".*?</select>', page.text, re.DOTALL)
    return {} if select is None else dict(re.findall(r'<option value="([^"]*)"[^>]*>([^<]*)</option>', select[0]))


def chosen(page: Answer) -> list[str]:
    return re.findall(r'<option value="([^"]*)" selected>', page.text)


def told(world: World) -> tuple[str | None, str | None]:
    """Country and team, as the host was told last."""
    identity = world.hooks.identities[-1]
    return identity.country, identity.team


# What is asked


def test_what_is_missing_is_asked_before_anything_happens(make_world: MakeWorld) -> None:
    """No session, nothing of the host's called, until the answers are there; then back to the very page."""
    world = asking(make_world)
    page = stop(world)
    browser = world.first_browser

    assert not browser.has_session
    assert world.hooks.identities == []
    assert world.app.seen == []
    assert world.codes == ["profile_asked"]

    done = answer(browser, page, country="CI", team="t2")

    assert (done.status, done.location) == (303, world.base_url + PAGE)
    assert browser.get(done.location).status == 200
    assert told(world) == ("CI", "t2")
    assert world.codes == ["profile_asked", "profile_answered", "login_succeeded"]
    assert not any("profile-" in name for name in browser.cookies)


def test_it_is_asked_once_and_never_again(make_world: MakeWorld) -> None:
    """The next sign-in, on another machine, is told what was answered on the first one."""
    world = asking(make_world)
    answer(world.first_browser, stop(world), country="CI", team="t2")

    again = arrive(world, world.browser())

    assert again.location == world.base_url + PAGE
    assert told(world) == ("CI", "t2")


def test_a_renewal_never_asks(make_world: MakeWorld) -> None:
    """It goes by what was answered."""
    world = asking(make_world, soft_timeout="10m")
    answer(world.first_browser, stop(world), country="CI", team="t2")
    world.wait(minutes=11)

    again = arrive(world)

    assert again.location == world.base_url + PAGE
    assert "session_renewed" in world.codes
    assert told(world) == ("CI", "t2")


def test_nothing_is_asked_of_whom_everything_is_known(make_world: MakeWorld) -> None:
    """A country that can be read, and a department that is mapped."""
    world = asking(make_world)

    assert arrive(world, country="Germany", department="sales emea").location == world.base_url + PAGE
    assert told(world) == ("DE", "t2")


@pytest.mark.parametrize(
    ("came", "asked"),
    [
        ({"country": "DE", "department": "Unheard of"}, ["team"]),
        ({"country": "DE", "department": ""}, ["team"]),
        ({"country": "Atlantis", "department": "Sales EMEA"}, ["country"]),
        ({"country": "Korea", "department": "Sales EMEA"}, ["country"]),
    ],
)
def test_only_what_is_missing_is_asked(make_world: MakeWorld, came: dict[str, Any], asked: list[str]) -> None:
    """Or can't be read, is ambiguous, or is not mapped."""
    page = stop(asking(make_world), **came)

    assert [name for name in ("country", "team") if options(page, name)] == asked


def test_without_the_settings_nothing_is_asked(world: World) -> None:
    """As it always was."""
    assert arrive(world).location == world.base_url + PAGE
    assert told(world) == (None, None)


def test_what_is_forced_is_asked_once_even_if_it_came(make_world: MakeWorld) -> None:
    """Beginning with what came; from then on the person's choice counts, whatever comes."""
    forced = {**ASKS, "force_country_selection": True, "force_department_selection": True}
    world = asking(make_world, forced)
    came: dict[str, Any] = {"country": "DE", "department": "Sales EMEA"}
    page = stop(world, **came)
    assert chosen(page) == ["DE", "t2"]

    answer(world.first_browser, page, country="FR", team="t4")

    assert told(world) == ("FR", "t4")
    assert arrive(world, world.browser(), **came).location == world.base_url + PAGE
    assert told(world) == ("FR", "t4")


def test_what_is_not_forced_gives_way_to_the_identity_provider(make_world: MakeWorld) -> None:
    """An answer stands in for what did not come, and no longer once it does."""
    world = asking(make_world)
    answer(world.first_browser, stop(world), country="CI", team="t4")

    arrive(world, world.browser(), country="DE", department="Sales EMEA")

    assert told(world) == ("DE", "t2")


def test_a_team_that_is_gone_is_asked_for_again(make_world: MakeWorld) -> None:
    """Nobody is told of a choice that there is not any more; the country is not asked again."""
    world = asking(make_world)
    answer(world.first_browser, stop(world), country="CI", team="t4")
    fewer = asking(make_world, {**ASKS, "teams": TEAMS[:3]})

    page = stop(fewer, fewer.browser())

    assert options(page, "country") == {}
    assert "t4" not in options(page, "team")


# The page


def test_every_country_is_there_by_its_name(make_world: MakeWorld) -> None:
    """In the language of the browser, in the order of its names; nothing is chosen for anybody."""
    world = asking(make_world)
    page = stop(world)
    english, german = (
        options(page, "country"),
        options(world.first_browser.get(page.url, Accept_Language="de"), "country"),
    )

    assert len(english) > 240
    assert english["CI"] == "Côte d&#39;Ivoire"
    assert german["CI"] == "Elfenbeinküste" or german["CI"].startswith("Côte")
    assert german["AT"] == "Österreich"
    names = list(german.values())
    assert names.index("Oman") < names.index("Österreich") < names.index("Pakistan")
    assert chosen(page) == []


def test_teams_stand_below_their_parent_which_is_none_to_choose(make_world: MakeWorld) -> None:
    """The parent's name is a group's label."""
    page = stop(asking(make_world))

    assert options(page, "team") == {
        "": "Please choose",
        "t2": "Sales EMEA",
        "t3": "Sales &lt;Americas&gt;",
        "t4": "Legal",
    }
    assert '<optgroup label="Sales">' in page.text


def test_the_page_is_in_the_language_of_the_browser(make_world: MakeWorld) -> None:
    """Questions, problems and buttons."""
    world = asking(make_world)
    page = world.first_browser.get(stop(world).url, Accept_Language="de-CH")

    assert '<html lang="de">' in page.text
    assert "Noch ein Schritt" in page.text
    refused = world.first_browser.post(
        page.url, {"csrf_token": page.field("csrf_token"), "country": "", "team": ""}, Accept_Language="de"
    )
    assert "Bitte wählen Sie Ihr Land aus." in refused.text


# What is refused


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"country": "", "team": "t2"}, "country"),
        ({"country": "XX", "team": "t2"}, "country"),
        ({"country": "de", "team": "t2"}, "country"),
        ({"country": "UK", "team": "t2"}, "country"),
        ({"country": "DEU", "team": "t2"}, "country"),
        ({"team": "t2"}, "country"),
        ({"country": "DE", "team": "t1"}, "team"),
        ({"country": "DE", "team": "unknown"}, "team"),
        ({"country": "DE", "team": "T2"}, "team"),
        ({"country": "DE"}, "team"),
    ],
)
def test_what_is_no_choice_is_asked_again(make_world: MakeWorld, fields: dict[str, str], problem: str) -> None:
    """At its field, with a summary that leads there; the other choice is kept, and nobody is signed in."""
    world = asking(make_world)
    browser = world.first_browser
    page = stop(world)

    refused = answer(browser, page, **fields)

    assert refused.status == 400
    assert f'<a href="#{problem}">' in refused.text
    assert f'aria-describedby="{problem}-problem"' in refused.text
    assert f'id="{problem}-problem"' in refused.text
    assert refused.text.count('aria-invalid="true"') == 1
    kept = [value for name, value in fields.items() if name != problem]
    assert chosen(refused) == kept
    assert world.hooks.identities == []
    assert not browser.has_session
    assert answer(browser, refused, country="DE", team="t2").location == world.base_url + PAGE


def test_what_was_not_asked_can_not_be_answered(make_world: MakeWorld) -> None:
    """Whatever else a form holds."""
    world = asking(make_world)
    page = stop(world, country="DE", department="")

    answer(world.first_browser, page, country="US", team="t2", email="eve@acme.example", roles="admin")

    assert told(world) == ("DE", "t2")
    arrive(world, world.browser(), country="", department="")
    assert world.codes[-1] == "profile_asked"


@pytest.mark.parametrize("token", ["", "nonsense", "of another attempt"])
def test_only_a_form_of_this_page_counts(make_world: MakeWorld, token: str) -> None:
    """CSRF: the token is bound to this very sign-in."""
    world = asking(make_world)
    browser = world.first_browser
    other, page = stop(world), stop(world)

    refused = answer(
        browser, page, csrf=other.field("csrf_token") if "other" in token else token or " ", country="DE", team="t2"
    )

    assert refused.status == 403
    assert world.codes[-1] == "csrf_mismatch"
    assert not browser.has_session


def test_no_other_site_answers(make_world: MakeWorld) -> None:
    """Nor a frame, nor a script."""
    world = asking(make_world)
    browser = world.first_browser
    page = stop(world)
    fields = {"csrf_token": page.field("csrf_token"), "country": "DE", "team": "t2"}

    assert browser.post(page.url, fields, Origin="https://evil.example").status == 403
    assert browser.post(page.url, fields, Sec_Fetch_Site="cross-site").status == 403
    assert browser.post(page.url, fields, Sec_Fetch_Dest="iframe").status == 403
    assert browser.get(page.url, Sec_Fetch_Dest="iframe").status == 403
    assert world.hooks.identities == []


def test_another_browser_has_nothing_of_it(make_world: MakeWorld) -> None:
    """Even one that holds the handle: it is bound to the browser that began the sign-in."""
    world = asking(make_world)
    page = stop(world)
    thief = world.browser()
    world.begin_login("/", thief)
    assert thief.get(page.url).status == 403

    stolen = {name: value for name, value in world.first_browser.cookies.items() if "profile-" in name}
    assert len(stolen) == 1
    thief.cookies |= stolen

    assert thief.get(page.url).status == 403
    assert answer(thief, page, country="DE", team="t2").status == 403
    assert not thief.has_session
    assert set(world.codes[1:]) == {"pending_profile_unknown"}
    assert answer(world.first_browser, page, country="DE", team="t2").location == world.base_url + PAGE


def test_it_does_not_wait_for_ever(make_world: MakeWorld) -> None:
    """After half an hour one begins again, from a page that says so."""
    world = asking(make_world)
    page = stop(world)
    world.wait(minutes=30)

    for refused in (world.first_browser.get(page.url), answer(world.first_browser, page, country="DE", team="t2")):
        assert refused.status == 403
        assert "pending_profile_unknown" in refused.text
        assert "/sso/login?" in refused.text
    assert world.hooks.identities == []


def test_it_waits_no_longer_than_the_identity_providers_session(make_world: MakeWorld) -> None:
    """SessionNotOnOrAfter holds here, too."""
    world = asking(make_world)
    form = world.idp.log_in(
        world.begin_login(PAGE),
        ADA,
        now=world.now,
        attributes=attributes_of(ADA, **NOTHING),
        session_not_on_or_after=world.now + timedelta(minutes=10),
    )
    stopped = world.post_response(form)
    assert world.first_browser.get(stopped.location).status == 200
    world.wait(minutes=10)

    assert world.first_browser.get(stopped.location).status == 403


def test_a_connection_that_was_switched_off_signs_nobody_in(make_world: MakeWorld) -> None:
    """What holds when the answers come is what counts."""
    world = asking(make_world)
    page = stop(world)
    off = asking(make_world, {**ASKS, "enabled": False})
    browser = off.first_browser
    browser.cookies = dict(world.first_browser.cookies)

    assert answer(browser, page, country="DE", team="t2").status == 403
    assert off.codes == ["connection_disabled"]


def test_who_may_come_in_is_looked_at_again(make_world: MakeWorld) -> None:
    """Such as a domain that the connection has lost since."""
    world = asking(make_world)
    page = stop(world)
    moved = asking(make_world, {**ASKS, "domains": ["other.example"]})
    browser = moved.first_browser
    browser.cookies = dict(world.first_browser.cookies)

    assert answer(browser, page, country="DE", team="t2").status == 403
    assert moved.codes == ["email_outside_domains"]
    assert not browser.has_session


@pytest.mark.parametrize(
    "whose",
    [{"person": ADA}, {"connection": "acme"}, {"organization": "Acme"}, {"everyone": True}, {"person": "their key"}],
)
def test_whoever_is_revoked_does_not_come_in_by_answering(make_world: MakeWorld, whose: dict[str, Any]) -> None:
    """What waits is as good as a session, and ends with their sessions; the identity provider is asked anew."""
    world = asking(make_world)
    page = stop(world)
    if whose == {"person": "their key"}:
        (person,) = world.store.find_people(PeopleQuery(connection_ids=("acme",)))
        whose = {"person": person.key, "connection": "acme"}

    world.sso.sessions.revoke(**whose)

    assert answer(world.first_browser, page, country="DE", team="t2").status == 403
    assert not world.first_browser.has_session
    assert world.hooks.identities == []


@pytest.mark.parametrize("whose", ["theirs", "another's"])
def test_who_is_signed_out_at_the_identity_provider_does_not_come_in_by_answering(
    make_world: MakeWorld, whose: str
) -> None:
    """Whoever sits down at this browser next could answer; somebody else's sign-out is of no matter."""
    world = make_world(connections=[connection(**ASKS)])
    page = stop(world)

    by_redirect(world, request_for(world, ADA if whose == "theirs" else "bob@acme.example"), world.browser())

    answered = answer(world.first_browser, page, country="DE", team="t2")
    assert answered.status == (403 if whose == "theirs" else 303)
    assert world.first_browser.has_session is (whose != "theirs")


def test_whoever_is_somebody_else_is_not_in_the_way_of_a_revocation(make_world: MakeWorld) -> None:
    """The honest twin."""
    world = asking(make_world)
    page = stop(world)

    world.sso.sessions.revoke(person="bob@acme.example")

    assert answer(world.first_browser, page, country="DE", team="t2").status == 303
    assert world.first_browser.has_session


def test_what_the_host_refuses_is_not_asked_again(make_world: MakeWorld) -> None:
    """The answers are kept even so."""
    world = asking(make_world)
    world.hooks.decision = lambda _: Reject("not yet")
    refused = answer(world.first_browser, stop(world), country="DE", team="t2")
    assert refused.status == 403
    assert not world.first_browser.has_session

    assert arrive(world).status == 403
    assert [event.code for event in world.events if event.code == "profile_asked"] == ["profile_asked"]
    assert told(world) == ("DE", "t2")


# Twice, and elsewhere


def test_a_second_click_arrives_where_the_first_one_did(make_world: MakeWorld) -> None:
    """And nothing happens twice."""
    world = asking(make_world)
    browser = world.first_browser
    page = stop(world)
    before = dict(browser.cookies)
    first = answer(browser, page, country="DE", team="t2")

    again = answer(browser, page, country="FR", team="t4")
    browser.cookies |= {name: value for name, value in before.items() if "profile-" in name}
    with_handle = answer(browser, page, country="FR", team="t4")

    assert first.location == again.location == with_handle.location == world.base_url + PAGE
    assert len(world.hooks.identities) == 1
    assert told(world) == ("DE", "t2")


def test_a_second_click_of_nobody_is_refused(make_world: MakeWorld) -> None:
    """With a way to begin again."""
    world = asking(make_world)
    browser = world.first_browser
    page = stop(world)
    before = dict(browser.cookies)
    answer(browser, page, country="DE", team="t2")
    browser.cookies = before

    refused = answer(browser, page, country="FR", team="t4")

    assert refused.status == 403
    assert world.codes[-1] == "pending_profile_unknown"
    assert not browser.has_session


def test_a_page_that_is_opened_again_says_that_one_is_signed_in(make_world: MakeWorld) -> None:
    """After the browser's Back button, say."""
    world = asking(make_world)
    page = stop(world)
    answer(world.first_browser, page, country="DE", team="t2")

    again = world.first_browser.get(page.url)

    assert again.status == 403
    assert "You are signed in" in again.text


@pytest.mark.parametrize("url", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"])
def test_a_second_click_leads_to_our_own_pages_only(make_world: MakeWorld, url: str) -> None:
    """Whatever the form says."""
    world = asking(make_world)
    page = stop(world)
    answer(world.first_browser, page, country="DE", team="t2")

    again = world.first_browser.post(page.url, {"return_to": url})

    assert urlsplit(again.location).netloc == urlsplit(world.base_url).netloc


def test_two_tabs_do_not_meet(make_world: MakeWorld) -> None:
    """Each goes on to its own page, with its own cookie."""
    world = asking(make_world)
    browser = world.first_browser
    stopped = [arrive(world, browser, page=page) for page in ("/one", "/two")]
    pages = [browser.get(each.location) for each in stopped]

    done = [answer(browser, page, country="DE", team="t2") for page in pages]

    assert [each.location for each in done] == [f"{world.base_url}/one", f"{world.base_url}/two"]


def test_one_may_go_away_from_it(make_world: MakeWorld) -> None:
    """Nobody is signed in, nothing is kept, and the page is over."""
    world = asking(make_world)
    browser = world.first_browser
    page = stop(world)

    left = answer(browser, page, country="DE", team="t2", cancel="1")

    assert left.location == f"{world.base_url}/sso/signed-out"
    assert browser.get(left.location).status == 200
    assert not browser.has_session
    assert world.hooks.identities == []
    assert browser.get(page.url).status == 403
    assert world.codes[:2] == ["profile_asked", "profile_cancelled"]
    arrive(world)
    assert world.codes[-1] == "profile_asked"


def test_whoever_was_signed_in_before_still_is(make_world: MakeWorld) -> None:
    """Going away from the page ends nobody's session, and neither does coming to it."""
    world = asking(make_world)
    browser = world.first_browser
    arrive(world, email="bob@acme.example", country="DE", department="Sales EMEA")
    form = world.idp.log_in(leaving_url(browser), ADA, now=world.now, attributes=attributes_of(ADA, **NOTHING))
    page = browser.get(world.post_response(form).location)

    left = answer(browser, page, cancel="1")

    assert left.location == f"{world.base_url}/"
    browser.get(left.location)
    principal = world.app.seen[-1].principal
    assert principal is not None
    assert principal.email == "bob@acme.example"


def leaving_url(browser: Browser) -> str:
    """To the identity provider, by a tab in which the sign-in began before somebody signed in here."""
    other = browser.world.browser()
    other.cookies = {name: value for name, value in browser.cookies.items() if not name.endswith("-session")}
    return browser.world.begin_login(PAGE, other)


def test_after_consent_to_an_unsolicited_sign_in_it_is_asked_too(make_world: MakeWorld) -> None:
    """There is one way in, and this is on it."""
    world = asking(make_world, {**ASKS, "idp_initiated": "accept"})
    browser = world.first_browser
    form = world.idp.unsolicited(
        world.acs_url, world.entity_id, ADA, now=world.now, attributes=attributes_of(ADA, **NOTHING)
    )
    finish = browser.post(world.acs_url, form, cross_site=True)
    consent = browser.get(finish.location)
    stopped = browser.post(consent.url, {"csrf_token": consent.field("csrf_token")})

    page = browser.get(stopped.location)
    assert answer(browser, page, country="DE", team="t2").location == f"{world.base_url}/"
    assert told(world) == ("DE", "t2")


def test_nothing_of_it_is_logged_or_shown(make_world: MakeWorld, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the handle nor what was answered."""
    world = asking(make_world)
    page = stop(world)
    handle = next(value for name, value in world.first_browser.cookies.items() if "profile-" in name)
    answer(world.first_browser, page, country="CI", team="t3")

    for text in (caplog.text, repr(world.events), repr(world.hooks.identities[0])):
        assert handle not in text
    assert [event.detail for event in world.events[:2]] == [{"questions": "country, team"}] * 2
