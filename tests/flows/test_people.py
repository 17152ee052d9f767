"""One person, one user: who comes back is known, who is somebody else is not, and the host makes nobody twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.attacks.test_web_failures import at_once
from tests.conftest import MakeWorld
from tests.renewing import limited, sent_away
from tests.response_shape import SentAttribute, attributes_of
from tests.world import Answer, Browser, World

from sso_middleware import SSO, ConfigurationError, Continue, Hooks, Identity, Link, Reject
from sso_middleware.saml.assertion import NAME_ID_PERSISTENT
from sso_middleware.stores.people_records import PeopleQuery, Person
from sso_middleware.stores.session_records import SessionQuery

ADA = "ada.lovelace@acme.example"
BY_ID = {"attributes": {"principal_id": "UserPrincipalId"}}
TWO_ADDRESSES = {"attributes": {"secondary_email": "OtherEmail"}, "secondary_email_fallback": True}


def comes(world: World, name_id: str = "ada", email: str = ADA, browser: Browser | None = None, **more: Any) -> Answer:
    """Somebody whom the identity provider calls `name_id`, with this address; `id` and `other` are attributes."""
    browser = browser or world.browser()
    attributes = more.pop("attributes", attributes_of(email))
    if "id" in more:
        attributes += (SentAttribute("UserPrincipalId", (more.pop("id"),)),)
    if "other" in more:
        attributes += (SentAttribute("OtherEmail", (more.pop("other"),)),)
    form = world.idp.log_in(
        world.begin_login(browser=browser),
        email,
        now=world.now,
        **{"name_id": name_id, "name_id_format": NAME_ID_PERSISTENT, "attributes": attributes, **more},
    )
    return world.post_response(form, browser)


def people(world: World) -> list[Person]:
    return list(world.store.find_people(PeopleQuery()))


def user_for_each_key(world: World) -> dict[str, str]:
    """A host that makes a user for whom it does not know."""
    users: dict[str, str] = {}
    world.hooks.decision = lambda identity: Link(users.setdefault(identity.key, f"user-{len(users) + 1}"))
    return users


@pytest.fixture
def by_id(make_world: MakeWorld) -> World:
    world = make_world()
    return make_world(connections=[world.connection(**BY_ID)])


@pytest.fixture
def two_addresses(make_world: MakeWorld) -> World:
    world = make_world()
    return make_world(connections=[world.connection(**TWO_ADDRESSES)])


# Who comes back


def test_a_changed_address_reaches_the_host(world: World) -> None:
    """The same person and user; the hook hears what changed and what it was; an event says whose address it is."""
    user_for_each_key(world)
    assert comes(world).status == 303
    assert comes(world, email="ada.king@acme.example").status == 303
    assert comes(world, email="ada.king@acme.example").status == 303

    first, moved, again = world.hooks.identities
    assert (first.is_new, first.user_id, first.changed, first.former_email) == (True, None, frozenset(), None)
    assert (moved.is_new, moved.user_id, moved.former_email) == (False, "user-1", ADA)
    assert moved.changed == {"email", "last_name"}
    assert (again.changed, again.former_email) == (frozenset(), ADA)
    assert len({identity.attempt_id for identity in world.hooks.identities}) == 3
    (event,) = [event for event in world.events if event.code == "person_email_changed"]
    assert event.email == "ada.king@acme.example"
    assert "@" not in str(event.detail)
    assert len(people(world)) == 1


def test_the_host_hears_of_a_change_until_it_says_yes(world: World) -> None:
    """A hook that fails, or says no, was not told."""
    user_for_each_key(world)
    decision = world.hooks.decision
    comes(world)
    failing: list[Callable[[Identity], Any]] = [lambda identity: Reject("not now"), lambda identity: 1 / 0]
    for world.hooks.decision in failing:
        assert comes(world, email="ada.king@acme.example").status in (403, 503)
    world.hooks.decision = decision
    comes(world, email="ada.king@acme.example")

    assert [identity.changed for identity in world.hooks.identities[1:]] == [{"email", "last_name"}] * 3
    assert world.codes.count("person_email_changed") == 1


def test_everything_that_the_host_is_told_can_change(world: World) -> None:
    """Each field is compared with what it was told last."""
    comes(world)
    comes(world, attributes=attributes_of(ADA, roles=("chief",), country="SE", department="Sales"))
    assert world.hooks.identities[-1].changed == {"roles", "country", "department"}


def test_who_was_never_admitted_is_new(world: World) -> None:
    """To the host, however often it said no."""
    world.hooks.decision = lambda identity: Reject("no")
    comes(world)
    world.hooks.decision = lambda identity: Continue()
    comes(world)
    comes(world)
    assert [identity.is_new for identity in world.hooks.identities] == [True, True, False]


def test_a_known_key_with_somebody_elses_address_is_stopped(world: World) -> None:
    """Nothing is changed, nobody is merged, the host is not asked, and the event names both by our ids."""
    comes(world)
    comes(world, "bob", "bob@acme.example")
    before = people(world)

    attributes = (SentAttribute("Email", ("bob@acme.example",)), *attributes_of(ADA)[1:])
    answer = comes(world, email="bob@acme.example", attributes=attributes)

    assert answer.status == 403
    assert world.codes[-1] == "person_conflict"
    assert all(person.id[:12] in world.events[-1].detail["why"] for person in before)
    assert "@" not in world.events[-1].detail["why"]
    assert len(world.hooks.identities) == 2
    assert people(world) == before
    assert comes(world).status == 303


def test_one_person_under_two_keys_is_stopped(world: World) -> None:
    """Without the fallback an address does not say who somebody is: an identity provider changed, or a re-hire."""
    comes(world)
    answer = comes(world, "ada at the new provider")

    assert (answer.status, world.codes[-1]) == (403, "person_conflict")
    assert len(people(world)) == 1


def test_two_people_with_one_principal_value_are_stopped(by_id: World) -> None:
    """Another NameID and another address; or another address and other names."""
    assert comes(by_id, id="1").status == 303
    before = people(by_id)
    assert comes(by_id, "eve", "eve.lovelace@acme.example", id="1").status == 403
    assert comes(by_id, "ada", "eve.moneypenny@acme.example", id="1").status == 403

    assert by_id.codes[-2:] == ["principal_shared"] * 2
    assert len(by_id.hooks.identities) == 1
    assert people(by_id) == before
    assert comes(by_id, "ada", "ada.king@acme.example", id="1").status == 303
    assert comes(by_id, "a new one", "ada.king@acme.example", id="1").status == 303


def test_without_the_principal_id_nobody_comes_in(by_id: World) -> None:
    """Once it is named it is mandatory: else the person would be somebody else."""
    assert comes(by_id).status == 403
    assert by_id.codes == ["attribute_missing"]
    assert people(by_id) == []


def test_who_is_known_by_a_name_id_keeps_their_user_when_a_principal_id_comes(make_world: MakeWorld) -> None:
    """To name the attribute locks nobody out, and makes nobody twice."""
    world = make_world()
    user_for_each_key(world)
    comes(world)
    later = make_world(connections=[world.connection(**BY_ID)])
    user_for_each_key(later)
    comes(later, id="1")

    assert later.hooks.identities[0].user_id == "user-1"
    assert later.hooks.identities[0].key == world.hooks.identities[0].key
    (person,) = people(later)
    assert len(person.keys) == 2
    assert comes(later, "another NameID by now", id="1").status == 303
    assert comes(later, id="2").status == 403


# The fallback


def test_either_address_finds_the_person(two_addresses: World) -> None:
    """By any of theirs, under a key that nobody has: the key is added, the addresses follow, the user stays."""
    world = two_addresses
    user_for_each_key(world)
    comes(world, other="ada@acme.example")
    comes(world, "second", "a.king@acme.example", other=ADA)
    comes(world, "third", ADA, other="countess@acme.example")

    assert {identity.key for identity in world.hooks.identities} == {world.hooks.identities[0].key}
    assert [identity.user_id for identity in world.hooks.identities] == [None, "user-1", "user-1"]
    (person,) = people(world)
    assert len(person.keys) == 3
    assert person.emails == {ADA, "countess@acme.example"}
    assert world.hooks.identities[-1].secondary_email == "countess@acme.example"
    assert "secondary_email" in world.hooks.identities[-1].changed


def test_an_address_of_another_domain_finds_nobody(two_addresses: World) -> None:
    """TEN-006: it is passed over, as if it had not come."""
    comes(two_addresses, other="ada@globex.example")
    comes(two_addresses, "other", "bob@acme.example", other="ada@globex.example")
    comes(two_addresses, "third", "cyd@acme.example", other="no address")

    assert len(people(two_addresses)) == 3
    assert {identity.secondary_email for identity in two_addresses.hooks.identities} == {None}


def test_the_addresses_of_two_people_are_stopped(two_addresses: World) -> None:
    """Whichever of them it is."""
    comes(two_addresses)
    comes(two_addresses, "bob", "bob@acme.example")
    before = people(two_addresses)
    for email, other in ((ADA, "bob@acme.example"), ("bob@acme.example", ADA)):
        assert comes(two_addresses, "new", email, other=other).status == 403
        assert two_addresses.codes[-1] == "person_conflict"
    assert people(two_addresses) == before


def test_where_the_key_is_an_address_a_changed_one_is_somebody_new(make_world: MakeWorld) -> None:
    """Unless the fallback finds them."""
    for settings, expected in (({}, 2), (TWO_ADDRESSES, 1)):
        world = make_world()
        world = make_world(connections=[world.connection(id=f"acme-{expected}", **settings)])
        for email, other in ((ADA, "ada@acme.example"), ("ada.king@acme.example", "ada@acme.example")):
            attributes = (*attributes_of(email), SentAttribute("OtherEmail", (other,)))
            browser = world.browser()
            url = world.begin_login(browser=browser)
            form = world.idp.log_in(url, email, now=world.now, attributes=attributes)
            assert world.post_response(form, browser).status == 303
        found = world.store.find_people(PeopleQuery(connection_ids=(f"acme-{expected}",)))
        assert len(found) == expected


def test_a_session_goes_on_under_a_key_that_was_added(make_world: MakeWorld) -> None:
    """A renewal is answered about the same person under a new key: it is renewed, as the same user."""
    world = make_world()
    world = make_world(connections=[limited(secondary_email_fallback=True)])
    user_for_each_key(world)
    browser = world.first_browser
    comes(world, browser=browser)
    world.wait(minutes=10, seconds=31)
    request = sent_away(browser.get("/report"), world)
    assert request is not None

    form = world.idp.answer(request, ADA, now=world.now, name_id="the new one", name_id_format=NAME_ID_PERSISTENT)
    assert world.post_response(form, browser).status == 303

    assert browser.get("/report").status == 200
    assert world.codes[-1] == "session_renewed"
    (person,) = people(world)
    seen = world.app.seen[-1].principal
    assert seen is not None
    assert (seen.key, seen.user_id, len(person.keys)) == (person.key, "user-1", 2)


def test_a_renewal_by_somebody_else_changes_nothing(make_world: MakeWorld) -> None:
    """Neither is the other one made a person, nor do addresses follow, nor is the host asked."""
    world = make_world()
    world = make_world(connections=[limited()])
    browser = world.first_browser
    comes(world, browser=browser)
    before = people(world)
    world.wait(minutes=10, seconds=31)
    request = sent_away(browser.get("/report"), world)
    assert request is not None

    form = world.idp.answer(request, "bob@acme.example", now=world.now, name_id_format=NAME_ID_PERSISTENT)
    world.post_response(form, browser)

    assert world.codes[-1] == "renewal_by_another"
    assert people(world) == before
    assert len(world.hooks.identities) == 1


# The host's user


def test_two_people_are_never_one_user(world: World) -> None:
    """The second is refused, and nothing of the first is changed; linked to another user they come in."""
    world.hooks.decision = lambda identity: Link("user-1")
    comes(world)
    answer = comes(world, "bob", "bob@acme.example")

    assert (answer.status, world.codes[-1]) == (403, "user_linked_twice")
    assert [person.user_id for person in people(world) if person.email == ADA] == ["user-1"]
    assert [person.user_id for person in people(world) if person.email != ADA] == [None]
    assert "user-1" not in str(world.events[-1].detail)
    world.hooks.decision = lambda identity: Link(identity.user_id or "user-2")
    assert comes(world, "bob", "bob@acme.example").status == 303


def test_who_becomes_another_user_is_not_two_at_once(world: World) -> None:
    """Their other session is renewed before it is used again, and has the new user then."""
    world.hooks.decision = lambda identity: Link("user-1")
    first = world.first_browser
    comes(world, browser=first)
    world.hooks.decision = lambda identity: Link("user-2")
    comes(world)

    request = sent_away(first.get("/report"), world)
    assert request is not None
    form = world.idp.answer(request, ADA, now=world.now, name_id="ada", name_id_format=NAME_ID_PERSISTENT)
    world.post_response(form, first)
    first.get("/report")
    seen = world.app.seen[-1].principal
    assert seen is not None
    assert seen.user_id == "user-2"


@pytest.mark.parametrize("user_id", ["", 42, None])
def test_a_link_to_nothing_lets_nobody_in(world: World, user_id: Any) -> None:
    """A user's id is a text, and not an empty one."""
    world.hooks.decision = lambda identity: Link(user_id)
    assert comes(world).status == 503
    assert world.codes == ["hook_failed"]
    assert [person.user_id for person in people(world)] == [None]


def test_a_host_without_the_hook_lets_everybody_in(make_world: MakeWorld) -> None:
    """There is nobody to ask, so nothing is claimed and nothing remembered."""
    world = make_world()
    world.sso.site = replace(world.sso.site, hooks=Hooks())
    assert comes(world).status == 303
    assert [(person.told, person.attempt_id) for person in people(world)] == [(None, None)]


# Two first sign-ins at once


def test_the_second_waits_for_the_firsts_user(make_world: MakeWorld) -> None:
    """While the host makes the user, another sign-in of the same person asks nothing; then it has that user."""
    world = make_world()
    person, attempt = _somebody_elses_claim(world)

    def is_done() -> None:
        world.store.keep_provisioned(person, attempt, user_id="user-1", told={}, now=world.now)

    world.on_pause = is_done
    world.hooks.decision = lambda identity: Link(identity.user_id or "user-2")
    began = world.now
    assert comes(world).status == 303

    (identity,) = world.hooks.identities
    assert (identity.user_id, identity.is_new) == ("user-1", False)
    assert world.now > began
    assert [each.user_id for each in people(world)] == ["user-1"]


def _somebody_elses_claim(world: World) -> tuple[str, str]:
    """A sign-in of Ada's on another worker, that is in the host's hook now."""
    world.hooks.decision = lambda identity: Reject("not yet")
    comes(world)
    world.hooks.identities.clear()
    world.events.clear()
    (person,) = people(world)
    until = world.now + world.settings.hook_timeout
    claim = world.store.claim_provisioning(person.id, "another", world.now, until)
    assert claim is not None
    assert claim.is_granted
    return person.id, "another"


def test_the_second_waits_for_five_seconds_at_most(world: World) -> None:
    """Then it is told to try again; the claim of a worker that died ends by itself, and the next try works."""
    _somebody_elses_claim(world)
    world.on_pause = lambda: None
    world.hooks.decision = lambda identity: Link("user-1")
    began = world.now

    answer = comes(world)

    assert (answer.status, answer.headers["Retry-After"], world.codes) == (503, "5", ["person_busy"])
    assert 4.9 <= (world.now - began).total_seconds() <= 5.3
    assert world.hooks.identities == []
    world.wait(seconds=3)
    assert comes(world).status == 303
    assert len(world.hooks.identities) == 1


def test_a_person_who_was_forgotten_meanwhile_is_not_signed_in(world: World) -> None:
    """Nor is one who was merged: the next try finds who they are now."""

    def forget(identity: Identity) -> Link:
        (person,) = people(world)
        world.store.unlink_person(person.id, world.now, forget=True)
        return Link("user-1")

    world.hooks.decision = forget
    assert comes(world).status == 503
    assert world.codes == ["person_busy"]
    world.hooks.decision = lambda identity: Link("user-1")
    assert comes(world).status == 303


@pytest.mark.parametrize("step", ["unlinks", "forgets", "merges", "links anew"])
def test_an_admins_step_in_the_middle_of_a_sign_in_leaves_no_session_of_before(world: World, step: str) -> None:
    """Between the host's answer and the session: it is taken back, and the next try is as things are then."""
    user_for_each_key(world)
    comes(world)
    attributes = (SentAttribute("Email", ("bob@acme.example",)), *attributes_of(ADA)[1:])
    comes(world, "bob", "bob@acme.example", attributes=attributes)
    bob, ada = sorted(people(world), key=lambda person: person.email, reverse=True)
    add_session = world.store.add_session
    steps: dict[str, Callable[[], object]] = {
        "unlinks": lambda: world.store.unlink_person(ada.id, world.now),
        "forgets": lambda: world.store.unlink_person(ada.id, world.now, forget=True),
        "merges": lambda: world.store.merge_people(bob.id, ada.id, world.now),
        "links anew": lambda: world.store.keep_provisioned(ada.id, "a", user_id="another", told={}, now=world.now),
    }

    def too_late(*args: Any, **kwargs: Any) -> None:
        steps[step]()
        add_session(*args, **kwargs)

    world.store.add_session = too_late  # type: ignore[method-assign]  # an admin is at work on another machine
    browser = world.browser()
    answer = comes(world, browser=browser)

    assert (answer.status, world.codes[-1]) == (503, "person_busy")
    assert not browser.has_session
    left = world.store.find_sessions(SessionQuery())
    assert all(session.principal["user_id"] != "user-1" or session.is_stale for session in left)
    world.store.add_session = add_session  # type: ignore[method-assign]
    assert comes(world, browser=browser).status == 303


@pytest.mark.parametrize("answer", ["raises", "rejects", "continues"])
def test_whoever_asked_the_host_lets_the_next_one_ask(world: World, answer: str) -> None:
    """Whatever it said, nobody waits for a claim that is over."""
    answers: dict[str, Callable[[Identity], Any]] = {
        "raises": lambda identity: 1 / 0,
        "rejects": lambda identity: Reject("no"),
        "continues": lambda identity: Continue(),
    }
    world.on_pause = lambda: pytest.fail("it waits")
    for _ in range(2):
        world.hooks.decision = answers[answer]
        comes(world)
        assert [person.attempt_id for person in people(world)] == [None]
    assert len(world.hooks.identities) == 2


def test_many_first_sign_ins_at_once_make_one_user(make_world: MakeWorld) -> None:
    """For real, on threads or one loop: the hook makes one user, and all are signed in as that one."""
    world = make_world()
    made: list[str] = []
    lock = threading.Lock()

    def provision(identity: Identity) -> Link:
        if identity.user_id is None:
            with lock:
                made.append(identity.attempt_id)
            threading.Event().wait(0.02)
            return Link(f"user-{len(made)}")
        return Link(identity.user_id)

    world.hooks.decision = provision
    browsers = [world.browser() for _ in range(4)]
    urls = []
    for browser in browsers:
        form = world.idp.log_in(world.begin_login(browser=browser), ADA, now=world.now)
        urls.append(browser.post(world.acs_url, form, cross_site=True).location)
    answers = at_once(world, browsers, urls)

    assert [answer.status for answer in answers] == [303] * 4
    assert len(made) == 1
    for browser in browsers:
        browser.get("/report")
    assert {seen.principal.user_id for seen in world.app.seen if seen.principal} == {"user-1"}


# Invitations


def test_who_was_not_invited_is_told_to_ask_for_it(make_world: MakeWorld) -> None:
    """With just_in_time off a yes is not enough: only a user of the app's comes in, and comes in again."""
    world = make_world()
    world = make_world(connections=[world.connection(just_in_time=False)])
    answer = comes(world)

    assert answer.status == 403
    assert "ask whoever manages this application to invite you" in answer.text
    assert world.codes == ["invitation_needed"]
    assert world.hooks.identities[-1].may_create is False
    world.hooks.decision = lambda identity: Link("user-1")
    assert comes(world).status == 303
    world.hooks.decision = lambda identity: Continue()
    assert comes(world).status == 303
    assert world.hooks.identities[-1].user_id == "user-1"


def test_an_invitation_needs_a_host_who_can_say_so(make_world: MakeWorld) -> None:
    """Without the hook nobody could ever come in: told at start."""
    world = make_world()
    closed = world.settings.model_copy(
        update={"connections": tuple(c.model_copy(update={"just_in_time": False}) for c in world.settings.connections)}
    )
    with pytest.raises(ConfigurationError, match="just_in_time = false of connection 'acme' needs the hook provision"):
        SSO(closed, Hooks(), store=world.store)


# Time-outs


def test_a_hook_that_takes_too_long_fails_the_sign_in_and_the_next_one_works(make_world: MakeWorld) -> None:
    """Async: cancelled. Plain: under ASGI nobody waits for it, under WSGI it has as long as the server gives it."""
    world = make_world(hook_timeout="1s")
    world.on_pause = lambda: pytest.fail("it waits")
    may_end = threading.Event()
    cancelled: list[str] = []
    hooks = world.sso.site.hooks
    ask = hooks.provision
    if world.style == "async":

        async def slow(identity: Identity) -> Any:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(identity.attempt_id)
                raise

        hooks.provision = slow  # type: ignore[method-assign]  # a host's hook may do anything
    elif world.kind == "asgi":

        def waits(identity: Identity) -> Link:
            may_end.wait(30)
            return Link("too late")

        hooks.provision = waits  # type: ignore[method-assign]
    else:
        world.hooks.decision = lambda identity: Link(f"after {threading.Event().wait(1.1) or 'a while'}")
        assert comes(world).status == 303
        return

    answer = comes(world)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert world.codes == ["hook_timed_out"]
    assert len(cancelled) == (1 if world.style == "async" else 0)
    hooks.provision = ask  # type: ignore[method-assign]
    world.hooks.decision = lambda identity: Link("user-1")
    assert comes(world).status == 303
    may_end.set()
    assert [person.user_id for person in people(world)] == ["user-1"]
