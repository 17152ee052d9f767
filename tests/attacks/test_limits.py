"""Floods (WEB-023): whoever asks too often is told to wait, and whoever shares its address signs in all the same.

The honest twin of each flood is a person behind the very same address, who gets in while it lasts.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from tests.attacks.scene import default_scene
from tests.conftest import MakeWorld
from tests.identity_provider import form_value, read_redirect
from tests.world import Answer, Browser, World

from sso_middleware import HostUser
from sso_middleware.errors import StoreUnavailable

PROXY = "203.0.113.9"
"""Where every request of a `World` comes from."""
OFFICE = "198.51.100.7"
HOME = "198.51.100.8"


def small(make_world: MakeWorld, **settings: Any) -> World:
    """Twenty sign-ins a minute, two of which may go wrong; addresses are told by a proxy."""
    return make_world(**{"sign_ins_per_minute": 20, "trusted_proxies": [PROXY], **settings})


def two_organizations(make_world: MakeWorld) -> World:
    acme = make_world().connection()
    globex = {**acme, "id": "globex", "organization": "Globex", "domains": ["globex.example"]}
    return small(make_world, connections=[acme, globex])


def junk(world: World, client: str = OFFICE, **headers: str) -> Answer:
    """A post that needs neither a login request nor a key."""
    return world.browser().post(
        world.acs_url, {"SAMLResponse": "bm90IFhNTA=="}, cross_site=True, X_Forwarded_For=client, **headers
    )


def flood(world: World, client: str = OFFICE) -> Answer:
    """Junk, until this address is told to wait."""
    for _ in range(100):
        answer = junk(world, client)
        if answer.status == 429:
            return answer
    raise AssertionError("nobody was told to wait")


def begin(world: World, browser: Browser, client: str = OFFICE, **query: str) -> Answer:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    return browser.get(f"/sso/login?return_to=/report{more}", X_Forwarded_For=client)


def sign_in(world: World, browser: Browser, client: str = OFFICE, email: str = "ada@acme.example") -> Answer:
    """A whole sign-in from this address; the last answer."""
    left = begin(world, browser, client)
    assert left.status == 303, left.text
    form = world.idp.log_in(left.location, email, now=world.now)
    posted = browser.post(world.acs_url, form, cross_site=True, X_Forwarded_For=client)
    return browser.get(posted.location, X_Forwarded_For=client) if posted.status == 303 else posted


def ask_for(world: World, email: str, browser: Browser | None = None, client: str = OFFICE) -> Answer:
    """Type an e-mail address into the sign-in page."""
    browser = browser or world.browser()
    page = begin(world, browser, client)
    fields = {"csrf_token": page.field("csrf_token"), "email": email, "return_to": "/"}
    return browser.post("/sso/login", fields, X_Forwarded_For=client)


def count_calls(world: World, name: str) -> list[tuple[Any, ...]]:
    """Every call of a store method from now on."""
    calls: list[tuple[Any, ...]] = []
    method = getattr(world.store, name)

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return method(*args, **kwargs)

    setattr(world.store, name, counted)
    return calls


# The ACS


def test_web_023_a_flood_at_the_acs_is_told_to_wait(make_world: MakeWorld) -> None:
    """429, when to come again, no session; free again when that time is over."""
    world = small(make_world)

    assert [junk(world).status for _ in range(4)] == [400, 400, 429, 429]
    answer = junk(world)

    assert answer.headers["Retry-After"] == "60"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "too_many_attempts" in answer.text
    assert "Please wait a moment" in answer.text
    assert answer.set_cookies == []
    assert world.app.seen == []
    world.wait(seconds=59)
    assert junk(world).headers["Retry-After"] == "1"
    world.wait(seconds=1)
    assert junk(world).status == 400


def test_web_023_a_script_is_told_in_its_own_way(make_world: MakeWorld) -> None:
    """RFC 9457, and RFC 6585 4."""
    world = small(make_world)
    flood(world)

    answer = junk(world, X_Requested_With="XMLHttpRequest")

    problem = json.loads(answer.body)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status, problem["status"], problem["code"]) == (429, 429, "too_many_attempts")
    assert answer.headers["Retry-After"] == "60"
    assert "reference" not in problem


def test_web_023_a_flood_locks_out_nobody_behind_the_same_address(make_world: MakeWorld) -> None:
    """At nine in the morning, with the attacker in the same office: everybody else signs in."""
    world = small(make_world)
    flood(world)

    for number in range(10):
        answer = sign_in(world, world.browser(), email=f"ada{number}@acme.example")
        assert answer.status == 303
        assert answer.location == f"{world.base_url}/report"
        assert junk(world).status == 429

    assert world.codes.count("login_succeeded") == 10


def test_web_023_a_flood_concerns_no_other_address(make_world: MakeWorld) -> None:
    """From there even what answers nothing is verified, and signs in."""
    world = small(make_world)
    flood(world)
    unsolicited = world.idp.unsolicited(world.acs_url, world.entity_id, "ada@acme.example", now=world.now)

    refused = world.browser().post(world.acs_url, unsolicited, cross_site=True, X_Forwarded_For=OFFICE)
    accepted = world.browser().post(world.acs_url, unsolicited, cross_site=True, X_Forwarded_For=HOME)

    assert (refused.status, accepted.status) == (429, 303)
    assert "/sso/login" in refused.text  # the way on: our own request, whose answer passes


def test_web_023_a_flood_from_many_addresses_locks_nobody_out(make_world: MakeWorld) -> None:
    """No count is kept of a connection or a person that could refuse them."""
    world = small(make_world)
    for number in range(200):
        junk(world, f"192.0.2.{number}")
        junk(world, f"192.0.2.{number}")

    assert sign_in(world, world.browser()).status == 303


def test_web_023_answers_to_one_login_request_are_limited_too(make_world: MakeWorld) -> None:
    """Where the address is full, five refused ones; then that one has to wait, and no other login has."""
    world = small(make_world)
    flood(world)
    browser = world.browser()
    request = read_redirect(begin(world, browser).location)
    forged = default_scene().impostor.answer(request, "ada@acme.example", now=world.now)

    def post() -> int:
        return world.browser().post(world.acs_url, forged, cross_site=True, X_Forwarded_For=OFFICE).status

    assert [post() for _ in range(7)] == [403] * 5 + [429] * 2
    assert sign_in(world, world.browser()).status == 303
    assert sign_in(world, browser).status == 303


def test_web_023_a_message_that_only_looks_like_an_answer_gets_no_further(make_world: MakeWorld) -> None:
    """Where the address is full: made-up ids, those of others, ids in the wrong place."""
    world = small(make_world)
    flood(world)
    id = read_redirect(begin(world, world.browser()).location).id
    unknown = "_" + "a" * 40

    def post(xml: str) -> int:
        fields = {"SAMLResponse": form_value(xml.encode())}
        return world.browser().post(world.acs_url, fields, cross_site=True, X_Forwarded_For=OFFICE).status

    assert post(f'<samlp:Response InResponseTo="{unknown}"/>') == 429
    assert post(f'<samlp:Response InResponseTo="{id}x"/>') == 429
    assert post(f"<samlp:Response>{id}</samlp:Response>") == 429
    assert [post(f'<x InResponseTo="{id}"/>') for _ in range(6)] == [400] * 5 + [429]


def test_web_023_an_answer_in_short_lines_passes_too(make_world: MakeWorld) -> None:
    """Some identity providers break base64 at 76 characters (RFC 2045 6.8)."""
    world = small(make_world)
    flood(world)
    form = world.idp.log_in(begin(world, world.first_browser).location, "ada@acme.example", now=world.now)
    form["SAMLResponse"] = "\r\n".join(re.findall(".{1,76}", form["SAMLResponse"]))

    posted = world.first_browser.post(world.acs_url, form, cross_site=True, X_Forwarded_For=OFFICE)

    assert posted.status == 303


def test_web_023_what_goes_well_is_not_counted(make_world: MakeWorld) -> None:
    """A whole company signs in from one address, far more often than may go wrong there."""
    world = small(make_world)
    for _ in range(15):
        assert sign_in(world, world.browser()).status == 303

    assert [junk(world).status for _ in range(3)] == [400, 400, 429]


@pytest.mark.parametrize(
    ("settings", "first", "then"),
    [
        ({"trusted_proxies": []}, "198.51.100.1", "198.51.100.2"),
        ({}, "198.51.100.1, 198.51.100.7", "198.51.100.2, 198.51.100.7"),
        ({}, "2001:db8:1:2::1", "2001:db8:1:2:ffff::2"),
        ({}, "198.51.100.7:1024", "198.51.100.7:1025"),
        ({}, "::ffff:198.51.100.7", "198.51.100.7"),
    ],
    ids=["nobody is trusted", "said further left", "the same /64", "another port", "the same, mapped"],
)
def test_web_023_a_client_can_not_become_another(
    make_world: MakeWorld, settings: dict[str, Any], first: str, then: str
) -> None:
    """Neither by saying so, nor by another address of its own network."""
    world = small(make_world, **settings)
    flood(world, first)

    assert junk(world, then).status == 429
    if world.settings.trusted_proxies:
        assert junk(world, "2001:db8:1:3::1").status == 400


def test_web_023_workers_count_together(make_world: MakeWorld) -> None:
    """What one worker refused, the next one has heard of, at the latest after a tenth of the limit."""
    first, second = (small(make_world, sign_ins_per_minute=200) for _ in range(2))
    statuses: Counter[int] = Counter()
    for _ in range(20):
        statuses[junk(first).status] += 1
        statuses[junk(second).status] += 1

    assert statuses[400] in range(20, 23)
    assert statuses[429] == 40 - statuses[400]
    assert (first.codes + second.codes).count("too_many_attempts") == 1


def test_web_023_workers_share_a_window(make_world: MakeWorld) -> None:
    """It ends for all of them when it ends for the one that began it."""
    first, second = small(make_world), small(make_world)
    assert junk(first).status == 400
    second.wait(seconds=50)
    assert junk(second).status == 400

    assert junk(second).headers["Retry-After"] == "10"
    second.wait(seconds=10)
    assert junk(second).status == 400


def test_web_023_a_flood_costs_few_transactions(make_world: MakeWorld) -> None:
    """Of a thousand posts, ten are counted in the store, and as many told as may be refused."""
    world = small(make_world, sign_ins_per_minute=500)
    counted, told = count_calls(world, "add_to_count"), count_calls(world, "add_event")
    for _ in range(1000):
        junk(world)

    names = Counter(str(name).rpartition(" ")[0] for name, *_ in counted)
    assert names == {"refused responses": 10, "refusals told": 8}
    assert len(told) == 51


def test_web_023_malformed_posts_from_a_full_address_cost_no_counting(make_world: MakeWorld) -> None:
    """They are refused as what they are, before anything is verified, and write nothing."""
    world = small(make_world)
    flood(world)
    counted = count_calls(world, "add_to_count")

    answers = [world.browser().post(world.acs_url, {"x": "y"}, X_Forwarded_For=OFFICE) for _ in range(5)]

    assert {answer.status for answer in answers} == {400}
    assert "refused responses" not in {str(name).rpartition(" ")[0] for name, *_ in counted}


# Beginning to sign in


def test_web_023_a_flood_of_sign_ins_fills_no_database(make_world: MakeWorld) -> None:
    """So many login requests a minute from one address, and no more."""
    world = small(make_world)
    kept = count_calls(world, "add_login_request")

    answers = [begin(world, world.browser()) for _ in range(40)]

    assert [answer.status for answer in answers] == [303] * 20 + [429] * 20
    assert len(kept) == 20
    assert answers[-1].headers["Retry-After"] == "60"
    assert begin(world, world.browser(), HOME).status == 303
    world.wait(minutes=1)
    assert begin(world, world.browser()).status == 303


def test_web_023_a_flood_of_sign_ins_stops_nobody_who_signed_in_before(make_world: MakeWorld) -> None:
    """A browser that has signed in here carries a mark, and has a small limit of its own."""
    world = small(make_world)
    colleague = world.browser()
    assert sign_in(world, colleague).status == 303
    world.wait(hours=12)
    while begin(world, world.browser()).status != 429:
        pass

    assert sign_in(world, colleague).status == 303
    world.wait(hours=12)
    while begin(world, world.browser()).status != 429:
        pass
    assert [begin(world, colleague).status for _ in range(31)] == [303] * 30 + [429]


def test_web_023_a_browser_keeps_its_mark(make_world: MakeWorld) -> None:
    """Signing in again makes no second limit of its own."""
    world = small(make_world)
    browser, marks = world.browser(), set()
    for _ in range(2):
        assert sign_in(world, browser).status == 303
        marks.add(browser.cookies["__Host-sso-known"])
        world.wait(hours=12)

    assert len(marks) == 1


def test_web_023_a_made_up_mark_helps_nobody(make_world: MakeWorld) -> None:
    """It is signed, and another kind of token is none."""
    world = small(make_world)
    while begin(world, world.browser()).status != 429:
        pass

    for value in ("x", world.sso.site.tokens.sign("csrf", "x")):
        browser = world.browser()
        browser.cookies["__Host-sso-known"] = value
        assert begin(world, browser).status == 429


def test_web_023_a_restarted_sign_in_is_not_counted(make_world: MakeWorld) -> None:
    """The identity provider had vouched for the person before we asked again."""
    world = small(make_world)
    while begin(world, world.browser()).status != 429:
        pass
    form = world.idp.unsolicited(world.acs_url, world.entity_id, "ada@acme.example", now=world.now)

    posted = world.browser().post(world.acs_url, form, cross_site=True, X_Forwarded_For=OFFICE)

    assert posted.status == 303


# Discovery


def test_web_023_addresses_can_not_be_tried_out(make_world: MakeWorld) -> None:
    """WEB-022. After a few that lead nowhere the answer is the same whatever is asked."""
    world = two_organizations(make_world)
    for _ in range(2):
        assert ask_for(world, "eve@unknown.example").status == 200

    assert [ask_for(world, email).status for email in ("eve@unknown.example", "ada@acme.example")] == [429, 429]
    assert ask_for(world, "ada@acme.example", client=HOME).status == 200
    assert begin(world, world.browser(), connection="acme").status == 303  # a link that names it needs no discovery
    world.wait(minutes=1)
    answer = ask_for(world, "ada@acme.example")
    assert "idp.acme.example" in answer.refresh_url


def test_web_023_discovery_goes_on_for_those_who_signed_in_before(make_world: MakeWorld) -> None:
    """Also behind an address where somebody tries addresses out."""
    world = two_organizations(make_world)
    colleague = world.browser()
    form = world.idp.log_in(begin(world, colleague, connection="acme").location, "ada@acme.example", now=world.now)
    assert world.post_response(form, colleague).status == 303
    world.wait(hours=12)
    while ask_for(world, "eve@unknown.example").status != 429:
        pass

    assert "idp.acme.example" in ask_for(world, "ada@acme.example", colleague).refresh_url


def test_web_023_finding_ones_connection_is_no_miss(make_world: MakeWorld) -> None:
    """Many people of many organizations behind one address: only what leads nowhere counts."""
    world = two_organizations(make_world)
    for _ in range(20):
        assert ask_for(world, "ada@acme.example").status == 200

    assert ask_for(world, "ada@acme.example").status == 429  # but it begins a sign-in, of which there were twenty


# What is told


def test_web_023_a_flood_is_told_once_and_counted(make_world: MakeWorld, caplog: pytest.LogCaptureFixture) -> None:
    """One event when the address has to wait; one with the number of the rest, before what comes next."""
    world = small(make_world)
    for _ in range(1002):
        junk(world)
    assert world.codes == ["xml_malformed", "too_many_attempts", "xml_malformed"]
    detail = world.events[1].detail
    assert (detail["limit"], detail["counted"]) == ("2 refused responses", OFFICE)
    assert len(caplog.records) == 3

    world.wait(minutes=1)
    sign_in(world, world.browser())

    assert world.codes[3:] == ["refusals_counted", "login_succeeded"]
    assert world.events[3].detail["number"] == "1000"
    assert world.events[3].detail["codes"] == "too_many_attempts 1000"
    assert world.store.get_events(limit=2)[1].code == "refusals_counted"


def test_web_023_sixty_refusals_a_minute_are_told_in_full(make_world: MakeWorld) -> None:
    """Of each connection; the rest get no reference that would lead to nothing, and still their own code."""
    world = small(make_world, sign_ins_per_minute=100_000)
    answers = [junk(world) for _ in range(70)]

    references = [re.findall("Reference</dt><dd><code>(.*?)<", answer.text) for answer in answers]
    assert [len(found) for found in references] == [1] * 60 + [0] * 10
    assert {answer.status for answer in answers} == {400}
    assert all("xml_malformed" in answer.text for answer in answers)
    assert [event.reference for event in world.events] == [found[0] for found in references[:60]]
    assert world.browser().get("/sso/unknown").status == 404  # of no connection, and told by itself
    assert world.codes[-1] == "page_not_found"
    world.wait(minutes=1)
    junk(world)
    assert world.codes[-2:] == ["refusals_counted", world.codes[0]]
    assert world.events[-2].connection_id == "acme"
    assert world.events[-2].detail["number"] == "10"


def test_web_023_full_addresses_are_told_sixty_times_a_minute(make_world: MakeWorld) -> None:
    """Many addresses at once fill no audit trail."""
    world = small(make_world, sign_ins_per_minute=10)
    for number in range(80):
        junk(world, f"192.0.2.{number}")

    assert world.codes.count("too_many_attempts") == 60
    assert junk(world, "192.0.2.79").status == 429


def test_web_023_a_vouched_for_person_is_always_told_in_full(make_world: MakeWorld) -> None:
    """Whoever the identity provider vouched for finds their reference, whatever else goes on."""
    world = small(make_world, sign_ins_per_minute=100_000)
    for _ in range(70):
        junk(world)

    answer = sign_in(world, world.browser(), email="bob@globex.example")

    assert answer.status == 403
    assert world.codes[-1] == "email_outside_domains"
    assert world.events[-1].reference is not None
    assert world.events[-1].reference in answer.text


def test_web_023_a_signed_in_person_is_always_told_in_full(make_world: MakeWorld) -> None:
    """Who must end a host session as somebody else finds their reference too."""
    world = small(make_world, mode="domains", local_login_url="/host/login")
    assert sign_in(world, world.first_browser).status == 303
    world.hooks.user = lambda request: HostUser("grace@acme.example", "2")
    for _ in range(70):
        world.browser().get("/sso/unknown")

    answer = world.first_browser.get("/report")

    assert world.codes[-1] == "host_session_of_another"
    assert (world.events[-1].reference or "none") in answer.text


def test_web_023_a_replay_in_a_flood_still_says_that_one_is_signed_in(make_world: MakeWorld) -> None:
    """Its page needs no reference."""
    world = small(make_world, sign_ins_per_minute=100_000)
    browser = world.browser()
    left = begin(world, browser)
    form = world.idp.log_in(left.location, "ada@acme.example", now=world.now)
    world.post_response(form, browser)
    for _ in range(70):
        junk(world)

    refused = browser.post(world.acs_url, form, cross_site=True)
    page = browser.get(refused.refresh_url)

    assert "You are signed in" in page.text
    assert "Reference" not in page.text


def test_web_023_an_honest_crowd_at_a_proxys_address_is_explained(make_world: MakeWorld) -> None:
    """The event says what to set if it is the proxy that is counted."""
    unset, set_up = small(make_world, trusted_proxies=[]), small(make_world)
    flood(unset)
    flood(set_up)

    told, elsewhere = unset.events[1], set_up.events[1]
    assert (told.client, elsewhere.client) == (PROXY, OFFICE)
    assert "trusted_proxies" in told.detail["forwarded"]
    assert "forwarded" not in elsewhere.detail


# When something fails


def test_web_023_a_store_that_can_not_count_opens_and_shuts_nothing(make_world: MakeWorld) -> None:
    """WEB-026. Each process goes by what it knows itself."""
    world = small(make_world)

    def down(*args: object) -> Any:
        raise StoreUnavailable("locked")

    setattr(world.store, "add_to_count", down)  # noqa: B010 (a table that can't be written)

    assert sign_in(world, world.browser()).status == 303
    assert [junk(world).status for _ in range(3)] == [400, 400, 429]
    assert sign_in(world, world.browser()).status == 303
    world.wait(minutes=1)
    assert junk(world).status == 400


def test_web_023_without_a_store_it_is_a_503_as_ever(make_world: MakeWorld) -> None:
    """WEB-026. A full address too: whether a message answers us can't be known, and nobody is let in."""
    world = small(make_world)
    browser = world.browser()
    form = world.idp.log_in(begin(world, browser).location, "ada@acme.example", now=world.now)
    flood(world)

    def down(*args: object, **kwargs: object) -> Any:
        raise StoreUnavailable("gone")

    for method in ("add_to_count", "add_event", "get_login_request", "add_login_request", "get_session"):
        setattr(world.store, method, down)

    assert browser.post(world.acs_url, form, cross_site=True, X_Forwarded_For=OFFICE).status == 503
    assert begin(world, world.browser()).status == 503
    assert junk(world).status == 429
    assert junk(world, HOME).status == 400


def test_web_023_our_own_faults_are_nobodys_attempts(make_world: MakeWorld) -> None:
    """After an outage nobody has to wait for having tried."""
    world = small(make_world)
    form = world.idp.log_in(begin(world, world.first_browser).location, "ada@acme.example", now=world.now)
    method = world.store.get_login_request

    def down(*args: object) -> Any:
        raise StoreUnavailable("gone")

    setattr(world.store, "get_login_request", down)  # noqa: B010 (an outage)
    for _ in range(5):
        assert world.browser().post(world.acs_url, form, X_Forwarded_For=OFFICE).status == 503
    setattr(world.store, "get_login_request", method)  # noqa: B010 (and its end)

    assert junk(world).status == 400


def test_web_023_being_signed_in_costs_no_counting(make_world: MakeWorld) -> None:
    """Nor does an honest sign-in, as long as it is one of few."""
    world = small(make_world, sign_ins_per_minute=1200)
    counted = count_calls(world, "add_to_count")
    browser = world.browser()
    assert sign_in(world, browser).status == 303
    names = len(world.sso.site.counters)

    for _ in range(10):
        assert browser.get("/report").status == 200

    assert counted == []
    assert len(world.sso.site.counters) == names


# Failures: nothing signs them, so anybody who has begun to sign in can make them


def test_web_023_failures_that_anybody_can_make_are_limited(make_world: MakeWorld) -> None:
    """A failure is believed unsigned: past a few for each login request it is refused, and keeps no record."""
    world = small(make_world)
    url = begin(world, world.browser()).location
    kept = count_calls(world, "add_pending_login")

    def fail() -> int:
        form = world.idp.refuse(url, now=world.now)
        return world.browser().post(world.acs_url, form, cross_site=True, X_Forwarded_For=OFFICE).status

    assert [fail() for _ in range(8)] == [303] * 5 + [429] * 3
    assert len(kept) == 5
    assert sign_in(world, world.browser()).status == 303, "nobody else waits for it"


def test_web_023_a_failure_keeps_little_of_what_it_says(make_world: MakeWorld) -> None:
    """Nobody signed its words: neither the record nor the event grows with them, or names anybody."""
    world = small(make_world)
    browser = world.browser()
    kept = count_calls(world, "add_pending_login")

    form = world.idp.refuse(begin(world, browser).location, now=world.now, status="ada@acme.example" + 9999 * "x")
    posted = browser.post(world.acs_url, form, cross_site=True, X_Forwarded_For=OFFICE)
    assert browser.get(posted.location, X_Forwarded_For=OFFICE).status == 403

    assert len(kept[0][0].outcome) < 2000
    assert world.codes == ["identity_provider_failure"]
    assert "ada@" not in str(world.events[0].detail)


def test_web_023_an_honest_failure_is_told_on_another_attempt_too(make_world: MakeWorld) -> None:
    """Each attempt is a login request of its own, whatever happened before."""
    world = small(make_world)
    browser = world.browser()

    for _ in range(7):
        form = world.idp.refuse(begin(world, browser).location, now=world.now)
        posted = browser.post(world.acs_url, form, cross_site=True, X_Forwarded_For=OFFICE)
        assert posted.status == 303
        assert browser.get(posted.location, X_Forwarded_For=OFFICE).status == 403
        world.wait(seconds=10)

    assert world.codes == ["identity_provider_failure"] * 7


def test_web_023_another_sites_pictures_and_scripts_fill_no_address(make_world: MakeWorld) -> None:
    """What a page makes its visitors' browsers ask for is no attempt of theirs: their office goes on signing in."""
    world = small(make_world)
    of_page = {"Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image", "Sec_Fetch_Site": "cross-site"}
    of_frame = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe", "Sec_Fetch_Site": "cross-site"}
    kept = count_calls(world, "add_login_request")

    for headers in [of_page, of_frame] * 15:
        assert world.browser().get("/sso/login?return_to=/", X_Forwarded_For=OFFICE, **headers).status == 403
        assert junk(world, **headers).status == 403

    assert kept == []
    assert sign_in(world, world.browser()).status == 303
    assert [junk(world).status for _ in range(3)] == [400, 400, 429]


@pytest.mark.parametrize("network", ["64:ff9b::", "::ffff:0:"])
def test_web_023_translated_ipv4_addresses_are_told_apart(make_world: MakeWorld, network: str) -> None:
    """Where IPv4 is translated in front of us (RFC 6052, RFC 7755) all of it is within one /64."""
    world = small(make_world)
    flood(world, f"{network}198.51.100.7")

    assert junk(world, f"{network}198.51.100.8").status == 400
