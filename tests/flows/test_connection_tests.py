"""A connection test shows everything, and lets nothing follow."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.identity_provider import IdentityProvider
from tests.response_shape import attributes_of
from tests.world import Answer, Browser, World

from sso_middleware.errors import ChangeRefused

AUTHORIZATION = {
    "authorization": True,
    "role_mapping": {"Engineers": {"account": ["member"], "project:42": ["editor"]}},
}


def draft(world: World) -> str:
    """A connection of run time that nobody has switched on; the link of its test."""
    world.sso.connections.create("globex", organization="Globex", metadata=world.idp.metadata)
    world.sso.domains.add("globex.example", connection="globex", verified=True)
    world.wait(seconds=1)
    return world.sso.connections.test_link("globex")


def take_test(world: World, link: str, email: str = "hank@globex.example", **changes: Any) -> tuple[Browser, Answer]:
    browser = world.browser()
    url = browser.get(link).location
    connection = world.sso.site.connections.get("globex")
    assert connection is not None
    form = world.idp.log_in(url, email, now=world.now, **changes)
    answer = browser.post(connection.service_provider.acs_url, form, cross_site=True)
    return browser, browser.get(answer.location) if answer.status == 303 else answer


def test_a_test_shows_the_person_and_signs_nobody_in(world: World) -> None:
    """Of a draft: attributes, identity, each check; no session, no hook, and it is remembered."""
    browser, report = take_test(world, draft(world))

    assert report.status == 200
    assert "passed" in report.text
    assert "hank@globex.example" in report.text
    assert "not used" in report.text or "first name" in report.text
    assert not browser.has_session
    assert world.hooks.identities == []
    assert browser.get("/report").status == 303
    assert world.sso.connections.show("globex").test_passed_at == world.now
    tested = next(event for event in world.events if event.code == "connection_tested")
    assert tested.detail["result"] == "passed"
    assert "hank" not in repr(tested)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"audience": "https://other.example"}, "audience_mismatch"),
        ({"sign_assertion": False}, "signature_missing"),
        ({"email": "eve@acme.example"}, "email_outside_domains"),
    ],
)
def test_a_test_that_fails_says_who_must_change_what(world: World, changes: dict[str, Any], code: str) -> None:
    """To the browser that began it, with the code that everybody would get; nothing passed."""
    link = draft(world)
    email = changes.get("email", "hank@globex.example")
    changes = {name: value for name, value in changes.items() if name != "email"}
    _, report = take_test(world, link, email, **changes)

    assert report.status == 200
    assert code in report.text
    assert "Who must act" in report.text
    assert world.sso.connections.show("globex").test_passed_at is None


def test_what_a_test_does_not_ask_has_not_passed(world: World) -> None:
    """No hook is called, and nobody is looked for; so the report does not say what would come of that."""
    _, report = take_test(world, draft(world))

    states = dict(re.findall(r'<th scope="row">([^<]+)</th><td>(passed|not judged)', report.text))
    assert [check for check, state in states.items() if state == "not judged"] == [
        "Which person it is",
        "The app&#39;s own decision",
    ]
    assert states["Who it is"] == "passed"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"attributes": attributes_of("hank@globex.example", roles=("Guests",))}, "roles_unmatched"),
        ({"attributes": attributes_of("hank@globex.example")[:-1]}, "roles_missing"),
    ],
)
def test_a_test_of_somebody_without_a_role_did_not_pass(world: World, sent: dict[str, Any], code: str) -> None:
    """With `authorization` on they would be refused, so a domain is not enforced on the strength of it."""
    link = draft(world)
    world.sso.connections.update("globex", AUTHORIZATION)
    world.wait(seconds=1)

    _, report = take_test(world, link, **sent)

    assert code in report.text
    assert "did not pass" in report.text
    assert "hank@globex.example" in report.text
    assert world.sso.connections.show("globex").test_passed_at is None
    assert world.hooks.assignments == []


def test_a_test_is_for_the_browser_that_began_it(world: World) -> None:
    """What the identity provider says of a tester is not shown to somebody else, and is no way in."""
    link = draft(world)
    began, other = world.browser(), world.browser()
    url = began.get(link).location
    connection = world.sso.site.connections.get("globex")
    assert connection is not None
    form = world.idp.log_in(url, "hank@globex.example", now=world.now)
    other.get("/sso/login")

    answer = other.post(connection.service_provider.acs_url, form, cross_site=True)
    refused = other.get(answer.location)

    assert refused.status == 403
    assert "hank" not in refused.text
    assert world.codes[-1] == "browser_mismatch"


@pytest.mark.parametrize("what", ["forged", "expired", "of another purpose", "of one that is gone"])
def test_a_link_that_is_not_good_leads_nowhere(world: World, what: str) -> None:
    """It takes our signature, its day, and a connection."""
    link = draft(world)
    if what == "forged":
        link = link[:-4] + "AAAA"
    elif what == "expired":
        world.wait(hours=25)
    elif what == "of another purpose":
        link = world.sso.site.page_url("test", token=world.sso.site.tokens.sign("session", '["globex", 9999999999]'))
    else:
        world.sso.connections.delete("globex")
    answer = world.browser().get(link)

    assert answer.status == 403
    assert world.codes[-1] == "test_link_unknown"


def test_a_draft_is_good_for_tests_only(world: World) -> None:
    """Its people can't sign in, and an unsolicited Response opens nothing."""
    draft(world)

    assert world.browser().get("/sso/login?connection=globex").status == 403
    assert world.codes == ["connection_created", "domain_added", "connection_disabled"]


def test_a_changed_connection_is_to_be_tested_again(world: World) -> None:
    """What passed was passed with what it said then."""
    take_test(world, draft(world))
    world.sso.connections.update("globex", {"attributes": {"email": "mail"}})

    assert world.sso.connections.show("globex").test_passed_at is None

    world.sso.connections.update("globex", {"attributes": None})
    assert world.sso.connections.show("globex").test_passed_at is not None


@pytest.mark.parametrize("what", ["keys", "address"])
def test_another_identity_provider_of_the_same_name_is_to_be_tested(world: World, what: str) -> None:
    """Anybody can give theirs this entity id: who passed a test with one can't sign in with the other."""
    take_test(world, draft(world))
    other = (
        IdentityProvider(key="second") if what == "keys" else IdentityProvider(sso_url="https://idp.two.example/sso")
    )
    assert other.entity_id == world.idp.entity_id

    world.sso.connections.update("globex", {"metadata": other.metadata})

    assert world.sso.connections.show("globex").test_passed_at is None


def test_a_test_is_of_what_the_connection_said_when_the_answer_came(world: World) -> None:
    """Changed before the browser is back, it passed with something else."""
    link, browser = draft(world), world.browser()
    url = browser.get(link).location
    connection = world.sso.site.connections.get("globex")
    assert connection is not None
    form = world.idp.log_in(url, "hank@globex.example", now=world.now)
    answer = browser.post(connection.service_provider.acs_url, form, cross_site=True)

    world.sso.connections.update("globex", {"metadata": IdentityProvider(key="second").metadata})
    world.wait(seconds=1)
    report = browser.get(answer.location)

    assert "connection_changed" in report.text
    assert world.sso.connections.show("globex").test_passed_at is None


def test_what_the_identity_provider_says_is_shown_and_not_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own words may name the person."""
    link, browser = draft(world), world.browser()
    url = browser.get(link).location
    connection = world.sso.site.connections.get("globex")
    assert connection is not None
    form = world.idp.refuse(url, now=world.now, status="AuthnFailed", status_message="no access for Hank")
    with caplog.at_level("DEBUG"):
        report = browser.get(browser.post(connection.service_provider.acs_url, form, cross_site=True).location)

    assert "no access for Hank" in report.text
    assert "identity_provider_failure" in caplog.text
    assert "Hank" not in caplog.text


def test_without_an_identity_provider_there_is_nothing_to_test(world: World) -> None:
    """And it can't be activated either."""
    world.sso.connections.create("globex", organization="Globex")

    with pytest.raises(ChangeRefused, match="no usable metadata"):
        world.sso.connections.test_link("globex")
    with pytest.raises(ChangeRefused, match="no usable metadata"):
        world.sso.connections.set_state("globex", "active")


def test_a_declared_connection_is_tested_too(make_world: MakeWorld) -> None:
    """A draft in the settings: the test is remembered beside them."""
    world = make_world()
    world = make_world(connections=[world.connection(state="draft")])
    browser = world.browser()
    url = browser.get(world.sso.connections.test_link("acme")).location
    form = world.idp.log_in(url, "ada@acme.example", now=world.now)
    answer = browser.post(world.acs_url, form, cross_site=True)

    assert "passed" in browser.get(answer.location).text
    assert world.sso.connections.show("acme").test_passed_at == world.now


def test_a_test_shows_the_roles_that_would_follow(world: World) -> None:
    """By scope, where authorization is on; without a match it did not pass, for the reason of a sign-in."""
    link = draft(world)
    mapping = {"user": {"account": ["member"], "project:42": ["editor"]}}
    world.sso.connections.update("globex", {"authorization": True, "role_mapping": mapping})
    world.wait(seconds=1)
    _, report = take_test(world, link, attributes=attributes_of("hank@globex.example", roles=("user",)))
    assert "Roles of account" in report.text
    assert "Roles of project:42" in report.text

    _, report = take_test(world, link, attributes=attributes_of("hank@globex.example", roles=("stranger",)))
    assert "roles_unmatched" in report.text
    assert "Who must act" in report.text


def test_while_it_is_tested_only_named_people_get_in(world: World) -> None:
    """`testing`: the named ones sign in by a link of their connection; all others are told to go the usual way."""
    draft(world)
    world.sso.connections.update("globex", {"test_users": ["hank@globex.example"]})
    world.sso.connections.set_state("globex", "testing")
    world.wait(seconds=1)
    acs = f"{world.base_url}/sso/globex/acs"

    for email, status in (("hank@globex.example", 303), ("homer@globex.example", 403)):
        browser = world.browser()
        form = world.idp.log_in(browser.get("/sso/login?connection=globex").location, email, now=world.now)
        assert world.post_response(form, browser, acs=acs).status == status
    assert world.codes[-1] == "not_a_test_user"
    assert [identity.email for identity in world.hooks.identities] == ["hank@globex.example"]
