"""Who has which roles: decided at each sign-in and renewal, handed to the host, and gone when they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.people_rows import add_person
from tests.renewing import LIMITS, PAST_SOFT, arrives, renew
from tests.response_shape import SentAttribute, attributes_of, render_attribute
from tests.world import Answer, Browser, World

from sso_middleware import HostUser, Identity, Link, Principal, RoleAssignment
from sso_middleware.calling import CallCooperatively, call_blocking, run
from sso_middleware.connection import Connection
from sso_middleware.errors import RolesOverage, StoreUnavailable
from sso_middleware.flows.roles import check_roles, is_managed
from sso_middleware.hooks import ProvisionDecision
from sso_middleware.roles import Granted, Grants
from sso_middleware.stores.role_records import GivenRoles

EMAIL = "ada@acme.example"
MAPPING: dict[str, Any] = {
    "Engineers": {"account": ["member"], "project:42": ["editor"]},
    "Auditors": {"account": ["auditor"], "project:42": ["viewer"]},
    "admin": {"account": ["admin"]},
}
ENGINEER = {"account": ("member",), "project:42": ("editor",)}
AUDITOR = {"account": ("auditor",), "project:42": ("viewer",)}
MakeAuthorized = Callable[..., World]


@pytest.fixture
def make_authorized(make_world: MakeWorld) -> MakeAuthorized:
    """A world whose connection gives roles by `MAPPING`, with changes; the host links Ada to its user `u1`."""
    plain = make_world()

    def make(app: dict[str, Any] | None = None, **changes: Any) -> World:
        mapped = {"authorization": True, "role_mapping": MAPPING, **LIMITS, **changes}
        world = make_world(**(app or {}), connections=[plain.connection(**mapped)])
        world.hooks.decision = known_to(world)
        return world

    return make


@pytest.fixture
def world(make_authorized: MakeAuthorized) -> World:
    return make_authorized(app={"announce_roles": False})


def known_to(world: World) -> Callable[[Identity], ProvisionDecision]:
    """The host's answer; and the row of the person, which is there by the time roles are kept."""

    def decide(identity: Identity) -> ProvisionDecision:
        user_id = "u1" if identity.email == EMAIL else identity.email
        add_person(world.store, identity.connection_id, identity.key, identity.email, user_id)
        return Link(user_id)

    return decide


def with_roles(*values: str, email: str = EMAIL) -> dict[str, Any]:
    """What the identity provider sends of somebody in these groups; none: no such attribute."""
    sent = attributes_of(email, roles=values)
    return {"attributes": sent if values else sent[:-1]}


def come(world: World, *values: str, browser: Browser | None = None, email: str = EMAIL, **changes: Any) -> Answer:
    """Sign in with these values."""
    browser = browser or world.first_browser
    url = world.begin_login(browser=browser)
    form = world.idp.log_in(url, email, now=world.now, **(changes or with_roles(*values, email=email)))
    return world.post_response(form, browser)


def principal(browser: Browser) -> Principal:
    """Whom the app sees."""
    assert browser.get("/report").status == 200
    found = browser.world.app.seen[-1].principal
    assert found is not None
    return found


def given(world: World) -> GivenRoles:
    return world.store.get_given_roles("acme", world.hooks.identities[-1].key)


# Refused


def test_who_comes_without_the_attribute_is_refused(world: World) -> None:
    """With its own code, before the host is asked anything."""
    assert come(world).status == 403
    assert not world.first_browser.has_session
    assert world.codes == ["roles_missing"]
    assert (world.hooks.identities, world.hooks.assignments) == ([], [])

    assert come(world, "Engineers").status == 303


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_value_is_none(world: World, value: str) -> None:
    """So it names no mapping role, either."""
    assert come(world, value).status == 403
    assert world.codes == ["roles_missing"]


def test_who_matches_nothing_is_refused(world: World) -> None:
    """Names are compared to the letter; the page tells nothing of groups, and the event no value."""
    answer = come(world, "engineers", "Engineers.", "member", "secret-group")

    assert answer.status == 403
    assert world.codes == ["roles_unmatched"]
    assert (world.hooks.identities, world.hooks.assignments) == ([], [])
    told = f"{answer.text} {world.events[-1]!r}"
    assert "secret-group" not in told
    assert "Engineers" not in told
    assert "none of the 4 values" in world.events[-1].detail["why"]


def test_too_many_groups_to_send_are_not_no_groups(world: World) -> None:
    """Entra's overage: refused with its own code, and what somebody has is not taken away."""
    come(world, "Engineers")
    connection, (identity,) = world.sso.site.connections.get("acme"), world.hooks.identities
    assert connection is not None
    identity = replace(identity, roles=(), roles_overage=True, user_id="u1")
    request: Any = None

    with pytest.raises(RolesOverage):
        run(check_roles(world.sso.site, request, call_blocking, connection, identity))

    assert given(world).grants == ENGINEER
    assert len(world.hooks.assignments) == 1


def as_attribute(name: str, **changes: Any) -> Callable[[], dict[str, Any]]:
    other = SentAttribute(name, ("admin",), **changes)
    return lambda: {"attributes": (*with_roles("Engineers")["attributes"], other)}


def in_advice() -> dict[str, Any]:
    statement = f"<saml:AttributeStatement>{render_attribute(SentAttribute('role_mapping', ('admin',)))}"
    assertion = (
        '<saml:Assertion ID="_advice" Version="2.0" IssueInstant="2026-11-21T12:00:00Z">'
        f"<saml:Issuer>https://idp.acme.example/metadata</saml:Issuer>{statement}</saml:AttributeStatement>"
        "</saml:Assertion>"
    )
    return {**with_roles("Engineers"), "advice_xml": assertion}


def in_extensions() -> dict[str, Any]:
    attribute = render_attribute(SentAttribute("role_mapping", ("admin",)))
    return {**with_roles("Engineers"), "extensions_xml": attribute}


def outside_the_assertion() -> dict[str, Any]:
    attribute = render_attribute(SentAttribute("role_mapping", ("admin",)))
    statement = f"<saml:AttributeStatement>{attribute}</saml:AttributeStatement>"
    return {**with_roles("Engineers"), "after_assertion_xml": statement}


@pytest.mark.parametrize(
    "forged",
    [
        as_attribute("roles"),
        as_attribute("Role_Mapping"),
        as_attribute("role_mapping "),
        as_attribute("urn:x:role", friendly_name="role_mapping"),
        in_advice,
        in_extensions,
        outside_the_assertion,
    ],
    ids=["unmapped", "another case", "a blank", "friendly name", "advice", "extensions", "outside"],
)
def test_ten_012_no_other_place_gives_a_role(world: World, forged: Callable[[], dict[str, Any]]) -> None:
    """TEN-012: only the attribute of the mapped Name, in the verified assertion; all else is refused or passed over."""
    answer = come(world, **forged())

    if answer.status == 303:
        assert principal(world.first_browser).grants == ENGINEER
        assert not principal(world.first_browser).has_role("admin")
    else:
        assert not world.first_browser.has_session
    assert all("admin" not in str(assignment.grants) for assignment in world.hooks.assignments)


def test_ten_012_a_second_statement_is_no_way_around_the_rule(world: World) -> None:
    """TEN-012: of one verified assertion all statements count, and all their values by the rule: no more, no less."""
    second = (
        f"<saml:AttributeStatement>{render_attribute(SentAttribute('roles', ('admin',)))}</saml:AttributeStatement>"
    )
    answer = come(world, **with_roles("Engineers"), further_statements_xml=second)

    if answer.status == 303:
        assert principal(world.first_browser).grants == ENGINEER
    else:
        assert not world.first_browser.has_session


# Granted


def test_exactly_the_matched_roles_are_given(world: World) -> None:
    """On the principal, as Starlette's scopes, and to the host, after `provision`."""
    assert come(world, "Nobody", "Engineers").status == 303

    found = principal(world.first_browser)
    assert (found.grants, found.roles) == (ENGINEER, ("member",))
    assert found.has_role("member")
    assert found.has_role("editor", "project:42")
    assert not found.has_role("editor")
    assert not found.has_role("Engineers")
    if world.kind == "asgi":
        scopes = world.app.seen[-1].native["auth"].scopes
        assert scopes == ("authenticated", "member", "project:42:editor")
    (assignment,) = world.hooks.assignments
    (identity,) = world.hooks.identities
    assert (assignment.connection_id, assignment.organization, assignment.user_id) == ("acme", "Acme", "u1")
    assert (assignment.email, assignment.key, assignment.attempt_id) == (EMAIL, identity.key, identity.attempt_id)
    assert (assignment.grants, assignment.added, assignment.removed) == (ENGINEER, ENGINEER, {})
    assert identity.roles == ("Nobody", "Engineers")
    assert world.codes == ["roles_changed", "login_succeeded"]
    assert world.events[0].detail == {"added": "account: member; project:42: editor"}


def test_roles_are_computed_anew_at_each_sign_in(world: World) -> None:
    """What no longer matches is removed, by scope; the same again is no change, and is handed over all the same."""
    come(world, "Engineers", "Auditors")
    come(world, "Auditors", browser=world.browser())
    come(world, "Auditors", browser=world.browser())

    both = {"account": ("auditor", "member"), "project:42": ("editor", "viewer")}
    told = [(a.grants, a.added, a.removed) for a in world.hooks.assignments]
    assert told == [(both, both, {}), (AUDITOR, {}, ENGINEER), (AUDITOR, {}, {})]
    assert given(world).grants == AUDITOR
    changes = [event.detail for event in world.events if event.code == "roles_changed"]
    assert changes[1:] == [{"removed": "account: member; project:42: editor"}]


@pytest.mark.parametrize("values", [(), ("Nobody",)])
def test_who_has_no_role_any_more_has_none_at_the_host_either(world: World, values: tuple[str, ...]) -> None:
    """Refused; and the host takes away what was given, once."""
    come(world, "Engineers")

    assert [come(world, *values, browser=world.browser()).status for _ in range(2)] == [403, 403]

    first, second = world.hooks.assignments
    assert (second.user_id, second.grants, second.removed) == ("u1", {}, ENGINEER)
    assert first.attempt_id != second.attempt_id
    assert given(world).grants == {}


def test_who_loses_a_role_loses_it_in_every_browser(world: World) -> None:
    """Other sessions go on only after the identity provider was asked; whoever gains one is left in peace."""
    other, third = world.browser(), world.browser()
    come(world, "Engineers")
    come(world, "Engineers", "Auditors", browser=other)
    assert principal(world.first_browser).grants == ENGINEER

    world.wait(seconds=5)
    come(world, "Auditors", browser=third)
    world.wait(seconds=1)

    assert principal(third).grants == AUDITOR
    assert world.first_browser.fetch("/report").status == 401
    assert other.fetch("/report").status == 401
    assert arrives(renew(world.first_browser, **with_roles("Auditors")))
    assert principal(world.first_browser).grants == AUDITOR
    assert principal(third).grants == AUDITOR


def test_roles_of_one_person_are_nobody_elses(world: World) -> None:
    """Nor do two people's changes meet."""
    bob = world.browser()
    come(world, "Engineers")
    come(world, "Auditors", browser=bob, email="bob@acme.example")

    assert principal(world.first_browser).grants == ENGINEER
    assert principal(bob).grants == AUDITOR


# Protected


def test_a_protected_role_is_withheld_from_what_was_kept(make_authorized: MakeAuthorized) -> None:
    """A mapping that would grant one can't be made; one that is older gives the rest, and each use is an event."""
    world = make_authorized(app={"announce_roles": False, "protected_roles": []})
    policy = world.sso.site.connections.get("acme")
    assert policy is not None
    world.sso.site.connections.put(
        replace(policy, roles=replace(policy.roles, protected=frozenset({"member", "admin"})))
    )

    assert come(world, "admin", browser=world.browser()).status == 403
    assert world.codes[-1] == "roles_unmatched"
    assert come(world, "Engineers").status == 303

    assert principal(world.first_browser).grants == {"project:42": ("editor",)}
    assert world.hooks.assignments[-1].grants == {"project:42": ("editor",)}
    withheld = next(event for event in world.events if event.code == "roles_withheld")
    assert withheld.detail == {"roles": "account: member"}


# Renewed


def test_roles_are_computed_anew_at_each_renewal(world: World) -> None:
    """Unseen; the session goes on with what it gives now."""
    come(world, "Engineers")
    world.wait(**PAST_SOFT)

    assert arrives(renew(world.first_browser, **with_roles("Auditors")))

    assert principal(world.first_browser).grants == AUDITOR
    assert world.hooks.assignments[-1].removed == ENGINEER


@pytest.mark.parametrize("values", [(), ("Nobody",)])
def test_a_renewal_without_a_role_signs_out(world: World, values: tuple[str, ...]) -> None:
    """As any other renewal that is refused; and the host takes the roles away."""
    come(world, "Engineers")
    world.wait(**PAST_SOFT)

    assert renew(world.first_browser, **with_roles(*values)).status == 403

    assert not world.first_browser.has_session
    assert world.first_browser.get("/report").status == 303
    assert world.hooks.assignments[-1].grants == {}


@pytest.mark.parametrize(
    "mapping",
    [
        {"Engineers": {"account": ["member"]}},
        {"Engineers": {"account": ["member"], "project:42": ["viewer"]}},
        {"Engineers": {"account": ["member"], "project:43": ["editor"]}},
    ],
)
def test_a_changed_mapping_reaches_live_sessions(make_authorized: MakeAuthorized, mapping: Any) -> None:
    """A grant that was removed is gone at the next request, by way of an unseen renewal."""
    before = make_authorized(app={"announce_roles": False})
    come(before, "Engineers")
    assert principal(before.first_browser).has_role("editor", "project:42")

    after = make_authorized(app={"announce_roles": False}, role_mapping=mapping)
    after.now = before.now
    after.wait(seconds=5)
    after.first_browser.cookies = before.first_browser.cookies

    assert after.first_browser.fetch("/report").status == 401
    assert arrives(renew(after.first_browser, **with_roles("Engineers")))
    assert not principal(after.first_browser).has_role("editor", "project:42")
    assert after.hooks.assignments[-1].removed == {"project:42": ("editor",)}


# Switched


def test_without_authorization_roles_stay_as_they_were(make_authorized: MakeAuthorized) -> None:
    """The host is not called, grants are what was given last, and what is merely sent grants nothing."""
    on = make_authorized(app={"announce_roles": False})
    come(on, "Engineers")
    off = make_authorized(app={"announce_roles": False}, authorization=False)
    off.now = on.now
    off.wait(seconds=5)
    off.first_browser.cookies = on.first_browser.cookies

    sent = with_roles("Auditors", "owner", "project:42:owner", "account:admin", "admin")
    assert arrives(renew(off.first_browser, **sent))

    found = principal(off.first_browser)
    assert found.grants == ENGINEER
    assert found.roles == ("Auditors", "admin")
    assert not found.has_role("admin")
    assert off.hooks.assignments == []
    assert given(off).grants == ENGINEER
    assert come(off, browser=off.browser()).status == 303

    new = off.browser()
    come(off, "Engineers", browser=new, email="bob@acme.example")
    assert (principal(new).grants, principal(new).roles) == ({}, ("Engineers",))


def test_switched_on_everybody_is_asked_for_at_the_next_request(make_authorized: MakeAuthorized) -> None:
    """Whoever has a role stays in; whoever has none is out."""
    off = make_authorized(app={"announce_roles": False}, authorization=False)
    other = off.browser()
    come(off, "Engineers")
    come(off, "Nobody", browser=other, email="bob@acme.example")
    on = make_authorized(app={"announce_roles": False})
    on.now = off.now
    on.wait(seconds=5)
    browsers = on.browser(), on.browser()
    for browser, before in zip(browsers, (off.first_browser, other), strict=True):
        browser.cookies = before.cookies

    assert arrives(renew(browsers[0], **with_roles("Engineers")))
    refused = renew(browsers[1], email="bob@acme.example", **with_roles("Nobody", email="bob@acme.example"))

    assert principal(browsers[0]).grants == ENGINEER
    assert refused.status == 403
    assert not browsers[1].has_session


# A hook that fails


def fail(_: object) -> None:
    raise RuntimeError("down")


def test_a_hook_that_fails_opens_no_session(world: World) -> None:
    """503; and it is told of the same change again, at the next try."""
    world.hooks.assign = fail

    assert come(world, "Engineers").status == 503
    assert not world.first_browser.has_session
    assert (given(world).grants, given(world).perhaps) == ({}, ENGINEER)
    assert world.codes == ["hook_failed"]

    world.hooks.assign = lambda _: None
    assert come(world, "Engineers").status == 303
    assert [assignment.added for assignment in world.hooks.assignments] == [ENGINEER, ENGINEER]


def test_a_hook_that_fails_at_a_renewal_signs_nobody_out(world: World) -> None:
    """And gives no new roles: the old session waits until it works again."""
    come(world, "Engineers")
    world.wait(**PAST_SOFT)
    world.hooks.assign = fail

    assert renew(world.first_browser, **with_roles("Auditors")).status == 503
    assert world.first_browser.fetch("/report").status == 401
    assert given(world).grants == {}

    world.hooks.assign = lambda _: None
    url = world.first_browser.get("/sso/renew?window=1&return_to=/report").location  # the page offers it
    form = world.idp.log_in(url, EMAIL, now=world.now, **with_roles("Auditors"))
    assert world.post_response(form).status == 303
    assert principal(world.first_browser).grants == AUDITOR
    assert world.hooks.assignments[-1].removed == ENGINEER


def test_a_store_that_fails_after_the_hook_opens_no_session(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host knows more than we: so it hears it again; and nothing, where it can't be noted before."""
    put = world.store.put_grants

    def fails(connection_id: str, key: str, grants: Grants, perhaps: Grants) -> bool:
        if has_noted or not perhaps:
            raise StoreUnavailable("full")
        return put(connection_id, key, grants, perhaps)

    for has_noted in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(world.store, "put_grants", fails)
            assert come(world, "Engineers", browser=world.browser()).status == 503
        assert len(world.hooks.assignments) == (0 if has_noted else 1)

    assert come(world, "Engineers").status == 303
    assert [assignment.added for assignment in world.hooks.assignments] == [ENGINEER, ENGINEER]


@pytest.mark.parametrize("values", [(), ("Nobody",), ("Auditors",)])
def test_what_a_failed_hook_may_have_given_is_taken_away(world: World, values: tuple[str, ...]) -> None:
    """It raised after it had done as it was told; and by the next time the person is somewhere else."""
    world.hooks.assign = fail
    come(world, "Engineers")
    world.hooks.assign = lambda _: None

    come(world, *values)

    assert world.hooks.assignments[-1].removed == ENGINEER
    assert given(world) == GivenRoles(AUDITOR if values == ("Auditors",) else {})


@pytest.mark.parametrize("seed", range(4))
def test_the_host_always_arrives_at_the_rules_answer(world: World, seed: int) -> None:
    """Whatever comes in whatever order, and whenever its hook fails, before or after it did what it was told."""
    random = Random(seed)
    picture: set[tuple[str, str]] = set()

    def assign(assignment: RoleAssignment) -> None:
        if fails == "before":
            raise RuntimeError("down")
        picture.difference_update(pairs(assignment.removed))
        picture.update(pairs(assignment.added))
        if fails == "after":
            raise RuntimeError("down")

    world.hooks.assign = assign
    for _ in range(12):
        values = random.sample(["Engineers", "Auditors", "admin", "Nobody"], random.randint(0, 3))
        fails = random.choice(["", "", "before", "after"])
        browser = world.browser()
        status = come(world, *values, browser=browser).status
        if fails and status == 503:
            assert not browser.has_session
            continue
        connection = world.sso.site.connections.get("acme")
        assert connection is not None
        decision = connection.roles.decide(values)
        expected: Grants = decision.grants if isinstance(decision, Granted) else {}
        assert status == (303 if expected else 403)
        assert picture == pairs(expected)
        if expected:
            assert principal(browser).grants == expected
            assert given(world).grants == expected


def pairs(grants: Grants) -> set[tuple[str, str]]:
    return {(scope, role) for scope, roles in grants.items() for role in roles}


# Who is managed


def ask(world: World, connection: Connection, host_user: HostUser) -> bool:
    """As the gate of this world would."""
    if world.kind == "wsgi":
        return run(is_managed(world.sso.site, call_blocking, connection, host_user))
    answer: bool = world.run(is_managed(world.sso.site, CallCooperatively(1), connection, host_user))
    return answer


def test_whose_roles_are_managed_is_known_by_user_or_address(make_authorized: MakeAuthorized) -> None:
    """From the first sign-in with authorization on; and not while it, or the connection, is off."""
    world = make_authorized(app={"announce_roles": False})
    connection = world.sso.site.connections.get("acme")
    assert connection is not None

    def managed(email: str, user_id: str) -> bool:
        return ask(world, connection, HostUser(email, user_id))

    assert not managed(EMAIL, "u1")
    come(world, "Engineers")

    assert managed(EMAIL, "u1")
    assert managed("Ada@Acme.Example", "")
    assert managed("another@acme.example", "u1")
    assert managed("no address", "u1")
    assert not managed("bob@acme.example", "u2")

    come(world, "Nobody", browser=world.browser())
    assert managed(EMAIL, "u1")


def test_nobody_is_managed_by_what_is_off(world: World) -> None:
    """Authorization, or the connection itself; while it is tested, only who may use it."""
    come(world, "Engineers")
    connection = world.sso.site.connections.get("acme")
    assert connection is not None

    def managed(**changes: Any) -> bool:
        return ask(world, replace(connection, **changes), HostUser(EMAIL, "u1"))

    assert managed()
    assert not managed(roles=replace(connection.roles, authorization=False))
    assert not managed(state="disabled")
    assert not managed(state="draft")
    assert not managed(state="testing")
    assert managed(state="testing", test_users=frozenset({EMAIL}))


@pytest.mark.parametrize("address", ["ada@private.example", " ada@acme.example", "ada", ""])
def test_a_managed_person_is_bound_whatever_address_the_host_has(make_authorized: MakeAuthorized, address: str) -> None:
    """By the user that they are: else they would change their address at the host, and keep its login."""
    world = make_authorized(app={"announce_roles": False, "mode": "domains"}, domain_modes={"acme.example": "offer"})
    come_by_button(world, "Engineers")
    world.hooks.user = lambda request: HostUser(address, "u1")
    assert world.browser().get("/report").status == 303
    assert world.hooks.ended == ["/report"]

    world.hooks.user = lambda request: HostUser(address, "u2")
    assert world.browser().get("/report").status == 200


def test_whoever_may_not_come_by_sso_any_more_is_bound_by_nothing(make_authorized: MakeAuthorized) -> None:
    """A domain that was switched off lets its people go, whatever was given to them before."""
    world = make_authorized(app={"announce_roles": False, "mode": "domains"}, domain_modes={"acme.example": "offer"})
    come_by_button(world, "Engineers")
    key, store = world.hooks.identities[-1].key, world.store
    off = make_authorized(app={"mode": "domains"}, domain_modes={"acme.example": "off"})
    add_person(off.store, "acme", key, EMAIL, "u1")
    off.store.put_grants("acme", key, ENGINEER, {})
    assert store.get_given_roles("acme", key).grants == ENGINEER

    off.hooks.user = lambda request: HostUser("ada@private.example", "u1")
    assert off.browser().get("/report").status == 200


def test_who_is_excluded_by_now_keeps_the_hosts_login(make_authorized: MakeAuthorized) -> None:
    """Whatever address the host has of them, and whatever was given to them before."""
    plain = {"announce_roles": False, "mode": "domains"}
    world = make_authorized(app=plain, domain_modes={"acme.example": "offer"}, excluded_users=[EMAIL])
    add_person(world.store, "acme", "ada", EMAIL, "u1")
    add_person(world.store, "acme", "nobody", "", "u2")
    for key in ("ada", "nobody"):
        world.store.put_grants("acme", key, ENGINEER, {})

    for user_id in ("u1", "u2"):
        world.hooks.user = lambda request, user_id=user_id: HostUser("ada@private.example", user_id)  # type: ignore[misc]
        assert world.browser().get("/report").status == 200


def come_by_button(world: World, *values: str) -> None:
    """Sign in where the host lets everybody pass who is nobody's."""
    browser = world.browser()
    url = browser.get("/sso/login?connection=acme").location
    answer = world.post_response(world.idp.log_in(url, EMAIL, now=world.now, **with_roles(*values)), browser)
    assert answer.status == 303
