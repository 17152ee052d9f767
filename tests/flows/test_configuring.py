"""`sso.connections`, `sso.domains`, `sso.admins`: what each actor may change, what is refused, and what is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.conftest import MakeWorld
from tests.world import World

from sso_middleware.configuring import admin_of
from sso_middleware.configuring_all import Configuring
from sso_middleware.errors import (
    ChangeRefused,
    ConfigurationError,
    DomainNotClaimable,
    DomainNotVerified,
    DomainTaken,
    LockOutRisked,
    NotAllowed,
)

IT = "it@globex.example"


@pytest.fixture
def globex(world: World) -> World:
    """A world with a second organization of run time, Globex, with an admin and a verified domain."""
    world.sso.connections.create("globex", organization="Globex", metadata=world.idp.metadata)
    world.sso.domains.add("globex.example", connection="globex", verified=True)
    world.sso.admins.add("Globex", IT)
    world.wait(seconds=1)
    return world


def their(world: World) -> Configuring:
    """What the admin of Globex has in hand."""
    return world.sso.acting_as(admin_of("Globex", IT))


# Domains (TEN-008)


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("gmail.com", DomainNotClaimable),
        ("GMAIL.com", DomainNotClaimable),
        ("outlook.com", DomainNotClaimable),
        ("co.uk", DomainNotClaimable),
        ("github.io", DomainNotClaimable),
        ("onmicrosoft.com", DomainNotClaimable),
        ("example", ChangeRefused),
        ("*.acme.example", ChangeRefused),
        ("ada@acme.example", ChangeRefused),
        ("acme.example.", ChangeRefused),
        ("acme.example", DomainTaken),
        ("ACME.example", DomainTaken),
        ("globex.example", DomainTaken),
    ],
)
def test_ten_008_a_domain_that_is_not_theirs_is_claimed_by_nobody(
    globex: World, name: str, refused: type[Exception]
) -> None:
    """Public suffixes, mail providers, what is no domain, and what somebody has; by the operator and by an admin."""
    for configuring in (globex.sso.acting_as(admin_of("Globex", IT)), globex.sso):
        with pytest.raises(refused):
            configuring.domains.add(name, connection="globex")


def test_ten_008_who_has_a_domain_is_not_told_to_others(globex: World) -> None:
    """An admin learns that it is taken, not by whom."""
    with pytest.raises(DomainTaken) as refused:
        their(globex).domains.add("acme.example", connection="globex")

    assert "acme'" not in str(refused.value)
    assert "Acme" not in str(refused.value)


def test_a_domain_is_exact(globex: World) -> None:
    """IDNA and case come into one form; a sub-domain is another domain, which somebody must claim by itself."""
    added = globex.sso.domains.add("Bücher.Example", connection="globex", verified=True)
    globex.wait(seconds=1)
    globex.browser().get("/report")
    connections = globex.sso.site.connections

    assert added.name == "xn--bcher-kva.example"
    assert connections.domain("xn--bcher-kva.example") is not None
    assert connections.of_domain("sub.globex.example") is None


def test_ten_008_a_claim_is_proved_by_a_record_of_its_own(globex: World) -> None:
    """The right text under the right name; nothing else, and not after it has ended."""
    asked = globex.sso.domains.add("globex.co.example", connection="globex")
    assert (asked.is_verified, asked.record_name) == (False, "_sso-middleware.globex.co.example")
    assert asked.record_value is not None

    for found in ([], ["sso-middleware-verification=other"], [f"x{asked.record_value}"], [asked.record_value.upper()]):
        with pytest.raises(DomainNotVerified):
            globex.sso.domains.verify("globex.co.example", resolve=lambda _, found=found: found)  # type: ignore[misc]

    seen: list[str] = []

    def resolve(name: str) -> list[str]:
        seen.append(name)
        return ["v=spf1 -all", asked.record_value or ""]

    globex.wait(days=8)
    with pytest.raises(DomainNotVerified, match="still good"):
        globex.sso.domains.verify("globex.co.example", resolve=resolve)
    renewed = globex.sso.domains.challenge("globex.co.example")
    assert renewed.record_value != asked.record_value
    with pytest.raises(DomainNotVerified):
        globex.sso.domains.verify("globex.co.example", resolve=resolve)

    verified = globex.sso.domains.verify("globex.co.example", resolve=lambda _: [renewed.record_value or ""])
    assert (verified.is_verified, verified.verified_by, verified.record_value) == (True, "dns", None)
    assert seen == ["_sso-middleware.globex.co.example"]


def test_a_domain_that_changed_while_dns_was_asked_stays_as_it_is(globex: World) -> None:
    """DNS takes seconds: what an admin decides meanwhile is not undone by what was there before."""

    def resolve(name: str) -> list[str]:
        globex.sso.domains.set_mode("globex.co.example", "off")
        return [asked.record_value or ""]

    asked = globex.sso.domains.add("globex.co.example", connection="globex")
    with pytest.raises(ChangeRefused, match="somebody else"):
        globex.sso.domains.verify("globex.co.example", resolve=resolve)

    assert (globex.sso.domains.show("globex.co.example").mode, asked.mode) == ("off", "offer")


def test_ten_008_a_claim_that_nobody_proves_keeps_its_owner_out_for_a_week_at_most(globex: World) -> None:
    """And the operator not at all; one that was proved stays, whoever asks."""
    globex.sso.connections.create("initech", organization="Initech", metadata=globex.idp.metadata)
    globex.sso.domains.add("initech.example", connection="globex")
    globex.sso.admins.add("Initech", "it@initech.example")
    theirs = globex.sso.acting_as(admin_of("Initech", "it@initech.example"))
    with pytest.raises(DomainTaken):
        theirs.domains.add("initech.example", connection="initech")

    globex.wait(days=8)
    assert theirs.domains.add("initech.example", connection="initech").connection_id == "initech"

    globex.sso.domains.add("initech.example", connection="globex", verified=True)
    globex.wait(days=8)
    with pytest.raises(DomainTaken):
        theirs.domains.add("initech.example", connection="initech")
    with pytest.raises(DomainTaken):
        globex.sso.domains.add("initech.example", connection="initech")


def test_an_admin_can_not_verify_on_their_own_word(globex: World) -> None:
    """Nor add a domain as verified: DNS is asked."""
    with pytest.raises(NotAllowed):
        their(globex).domains.add("globex.net.example", connection="globex", verified=True)
    their(globex).domains.add("globex.net.example", connection="globex")
    with pytest.raises(NotAllowed):
        their(globex).domains.verify("globex.net.example", on_my_word=True)


# No lock-out


def pass_test(world: World) -> None:
    browser = world.browser()
    url = browser.get(world.sso.connections.test_link("globex")).location
    connection = world.sso.site.connections.get("globex")
    assert connection is not None
    form = world.idp.log_in(url, "hank@globex.example", now=world.now)
    answer = browser.post(connection.service_provider.acs_url, form, cross_site=True)
    assert "passed" in browser.get(answer.location).text
    world.wait(seconds=1)


def test_a_domain_is_not_exclusive_before_that_could_lock_nobody_out(world: World) -> None:
    """A test that passed and a way back; each that is missing is named."""
    world.sso.connections.create("globex", organization="Globex", metadata=world.idp.metadata)
    world.sso.domains.add("globex.example", connection="globex", verified=True)
    world.wait(seconds=1)
    with pytest.raises(LockOutRisked, match=r"connections test globex.*; and .*way back"):
        world.sso.domains.set_mode("globex.example", "exclusive")

    pass_test(world)
    with pytest.raises(LockOutRisked, match="way back") as refused:
        world.sso.domains.set_mode("globex.example", "exclusive")
    assert "connections test" not in str(refused.value)

    world.sso.connections.update("globex", {"excluded_users": ["it1@globex.example", "it2@globex.example"]})
    assert world.sso.domains.set_mode("globex.example", "exclusive").mode == "exclusive"
    assert "lock_out_risked" not in world.codes


def test_force_says_what_is_risked_and_is_told(world: World) -> None:
    """Loudly: the event names what is missing, and who did it."""
    world.sso.connections.create("globex", organization="Globex", metadata=world.idp.metadata)
    world.sso.domains.add("globex.example", connection="globex", verified=True)

    world.sso.domains.set_mode("globex.example", "exclusive", force=True)

    told = next(event for event in world.events if event.code == "lock_out_risked")
    assert "no test sign-in" in told.detail["risk"]
    assert told.detail["actor"] == "operator"


def test_to_activate_what_is_exclusive_is_to_enforce_it(world: World) -> None:
    """Whichever is done last asks for the same."""
    world.sso.connections.create("globex", organization="Globex", metadata=world.idp.metadata)
    world.sso.domains.add("globex.example", connection="globex", verified=True)
    world.sso.domains.set_mode("globex.example", "exclusive", force=True)

    with pytest.raises(LockOutRisked):
        world.sso.connections.set_state("globex", "active")
    assert world.sso.connections.set_state("globex", "active", force=True).state == "active"


def test_an_unverified_domain_is_never_exclusive(globex: World) -> None:
    """Not even by force: it is not theirs yet."""
    globex.sso.domains.add("globex.co.example", connection="globex")

    with pytest.raises(DomainNotVerified):
        globex.sso.domains.set_mode("globex.co.example", "exclusive", force=True)


# Isolation (WEB-019)

FOREIGN: dict[str, Callable[[Configuring], Any]] = {
    "show": lambda theirs: theirs.connections.show("acme"),
    "document": lambda theirs: theirs.connections.document("acme"),
    "update": lambda theirs: theirs.connections.update("acme", {"soft_timeout": "5m"}),
    "disable": lambda theirs: theirs.connections.set_state("acme", "disabled"),
    "test": lambda theirs: theirs.connections.test_link("acme"),
    "delete": lambda theirs: theirs.connections.delete("acme"),
    "add a domain": lambda theirs: theirs.domains.add("new.example", connection="acme"),
    "show a domain": lambda theirs: theirs.domains.show("acme.example"),
    "verify a domain": lambda theirs: theirs.domains.verify("acme.example"),
    "change a domain": lambda theirs: theirs.domains.set_mode("acme.example", "off"),
    "remove a domain": lambda theirs: theirs.domains.remove("acme.example"),
    "name an admin": lambda theirs: theirs.admins.add("Acme", "it@globex.example"),
    "remove an admin": lambda theirs: theirs.admins.remove("Acme", "it@acme.example"),
    "make a connection": lambda theirs: theirs.connections.create("more", organization="Globex"),
    "delete their own": lambda theirs: theirs.connections.delete("globex"),
    "loosen their own": lambda theirs: theirs.connections.update("globex", {"sha1_until": "2026-12-01"}),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_web_019_an_admin_touches_nothing_of_another_organization(globex: World, what: str) -> None:
    """403, nothing changed, and nothing told of what there is."""
    before = globex.store.get_configuration()

    with pytest.raises(NotAllowed) as refused:
        FOREIGN[what](their(globex))

    assert refused.value.status == 403
    assert "Acme" not in str(refused.value)
    assert globex.store.get_configuration() == before


def test_web_019_an_unknown_connection_is_refused_as_a_foreign_one_is(globex: World) -> None:
    """Which ids there are can't be found out."""
    words = set()
    for id in ("acme", "nobody"):
        with pytest.raises(NotAllowed) as refused:
            their(globex).connections.show(id)
        words.add(str(refused.value))

    assert len(words) == 1


def test_an_admin_changes_what_is_their_own(globex: World) -> None:
    """The honest twin; and their address is in the event, not in its text."""
    theirs = their(globex)
    theirs.connections.update("globex", {"soft_timeout": "5m"})
    theirs.connections.set_state("globex", "disabled")
    theirs.domains.set_mode("globex.example", "off")
    theirs.admins.add("Globex", "second@globex.example")

    assert [summary.id for summary in theirs.connections.list()] == ["globex"]
    assert {domain.organization for domain in theirs.domains.list()} == {"Globex"}
    assert {admin.organization for admin in theirs.admins.list()} == {"Globex"}
    changed = [event for event in globex.events if event.detail.get("actor") == "SSO account admin"]
    assert [event.code for event in changed] == [
        "connection_changed",
        "connection_state_changed",
        "domain_mode_changed",
        "admin_added",
    ]
    assert {event.email for event in changed} == {IT}


def test_who_is_no_admin_any_more_may_nothing(globex: World) -> None:
    """Asked at each step: what they have in hand is worth nothing from then on."""
    theirs = their(globex)
    globex.sso.admins.remove("Globex", IT)

    for attempt in (
        theirs.connections.list,
        lambda: theirs.connections.update("globex", {"soft_timeout": "5m"}),
        lambda: theirs.admins.add("Globex", IT),
        theirs.domains.list,
    ):
        with pytest.raises(NotAllowed):
            attempt()


def test_only_an_admin_switches_authorization(globex: World) -> None:
    """And not what the operator keeps to themselves: which protected roles may come from outside."""
    mapping = {"authorization": True, "role_mapping": {"Engineers": {"account": ["member"]}}}
    for stranger in (admin_of("Globex", "eve@globex.example"), admin_of("Acme", IT)):
        with pytest.raises(NotAllowed):
            globex.sso.acting_as(stranger).connections.update("globex", mapping)
    with pytest.raises(NotAllowed):
        their(globex).connections.update("globex", {"may_grant": ["owner"]})
    assert "authorization" not in globex.sso.connections.document("globex")

    their(globex).connections.update("globex", mapping)
    assert globex.sso.connections.document("globex")["authorization"] is True


def test_web_019_nobody_promotes_themselves(globex: World) -> None:
    """Whoever is no admin can't make themselves one."""
    with pytest.raises(NotAllowed):
        globex.sso.acting_as(admin_of("Globex", "eve@globex.example")).admins.add("Globex", "eve@globex.example")


def test_an_address_is_not_replaced_twice_in_a_day(globex: World) -> None:
    """Else the first one would not be told of a link that is asked for: whoever has the second is told instead."""
    theirs = their(globex)
    theirs.admins.add("Globex", "second@globex.example")
    theirs.admins.replace("Globex", "second@globex.example", by="eve@elsewhere.example")

    with pytest.raises(ChangeRefused, match="24 hours"):
        theirs.admins.replace("Globex", "eve@elsewhere.example", by="eve2@elsewhere.example")

    globex.wait(hours=24)
    theirs.admins.replace("Globex", "eve@elsewhere.example", by="eve2@elsewhere.example")


@pytest.mark.parametrize("state", ["active", "testing", "draft"])
def test_what_the_operator_switched_off_in_the_settings_no_admin_switches_on(make_world: MakeWorld, state: Any) -> None:
    """As recovery access does not: the operator's own rules are the operator's."""
    off = make_world().connection(enabled=False, admins=["it@acme.example"], test_users=["it@acme.example"])
    world = make_world(connections=[off])

    with pytest.raises(NotAllowed):
        world.sso.acting_as(admin_of("Acme", "it@acme.example")).connections.set_state("acme", state)
    assert world.sso.connections.show("acme").state == "disabled"

    assert world.sso.connections.set_state("acme", state, force=True).state == state


# What is given


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"domains": ["x.example"]}, "domains add"),
        ({"state": "active"}, "connections activate"),
        ({"enabled": False}, "connections disable"),
        ({"no_such": 1}, "not a setting"),
        ({"soft_timeout": "1 fortnight"}, "soft_timeout"),
        ({"soft_timeout": "9h"}, "soft_timeout"),
        ({"metadata": "<html></html>"}, "metadata"),
        ({"acs_paths": ["/old/acs"]}, "acs_paths"),
        ({"excluded_users": "nonsense"}, "excluded_users"),
    ],
)
def test_what_is_wrong_is_told_in_words_and_changes_nothing(world: World, document: dict[str, Any], words: str) -> None:
    """The same rules as for the settings file, before anything is kept."""
    with pytest.raises(ConfigurationError, match=words):
        world.sso.connections.create("globex", organization="Globex", **document)
    assert world.store.get_configuration().connections == ()

    world.sso.connections.create("globex", organization="Globex")
    with pytest.raises(ConfigurationError, match=words):
        world.sso.connections.update("globex", document)
    assert world.sso.connections.document("globex") == {}


def test_what_the_settings_declare_is_changed_there(world: World) -> None:
    """But its state can be: that is how it is switched off in a hurry."""
    with pytest.raises(ChangeRefused, match="declared in the settings"):
        world.sso.connections.update("acme", {"soft_timeout": "5m"})
    with pytest.raises(ChangeRefused, match="declared in the settings"):
        world.sso.domains.set_mode("acme.example", "off")
    with pytest.raises(ChangeRefused, match="declared in the settings"):
        world.sso.domains.add("more.example", connection="acme")
    with pytest.raises(ConfigurationError, match="the settings declare"):
        world.sso.connections.create("acme", organization="Acme")

    assert world.sso.connections.set_state("acme", "disabled").state == "disabled"
    assert world.sso.connections.set_state("acme", None).state == "active"


def test_addresses_are_in_the_table_and_never_in_a_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Who was put on the exclusion list is told to who reads the events; the log has the number."""
    world.sso.connections.create("globex", organization="Globex")
    with caplog.at_level("DEBUG"):
        world.sso.connections.update("globex", {"excluded_users": ["it1@globex.example", "it2@globex.example"]})
        world.sso.admins.add("Globex", IT)

    kept = {event.code: event.detail for event in world.store.get_events()}
    assert "it1@globex.example" in kept["connection_changed"]["excluded_users after"]
    assert kept["admin_added"]["admin"] == IT
    assert "2 addresses" in caplog.text
    assert "globex.example" not in caplog.text


def test_two_who_change_the_same_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second finds that it was changed, and changes nothing of it."""
    world.sso.connections.create("globex", organization="Globex")
    first = world.store.get_configuration()
    world.sso.connections.update("globex", {"soft_timeout": "5m"})
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "get_configuration", lambda: first)
        with pytest.raises(ChangeRefused, match="somebody else"):
            world.sso.connections.update("globex", {"hard_timeout": "1h"})

    assert world.sso.connections.document("globex") == {"soft_timeout": "5m"}


def test_a_connection_in_testing_needs_people_who_test(globex: World) -> None:
    """Nobody could sign in by it otherwise."""
    with pytest.raises(ChangeRefused, match="test_users"):
        globex.sso.connections.set_state("globex", "testing")
    globex.sso.connections.update("globex", {"test_users": "hank@globex.example"})

    assert globex.sso.connections.set_state("globex", "testing").state == "testing"


def test_a_go_live_date_is_kept(globex: World) -> None:
    """`enforce_from` at run time, as in the settings."""
    day = (globex.now + timedelta(days=7)).date()
    summary = globex.sso.connections.update("globex", {"enforce_from": day})

    assert summary.enforce_from is not None
    assert summary.enforce_from.date() == day
