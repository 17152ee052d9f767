"""Who must come, who they become, and the way back: an app, its customer's SimpleSAMLphp, and Chromium, from nothing.

The app's settings name no connection. Whoever runs it makes one by commands while it runs, so that is what is shown
here first; the tests then play what happens to the people of Acme, each to one of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect
from tests.browser.chromium import Chromium
from tests.browser.people_host import (
    ADMIN,
    EXCLUDED,
    ROLE_MAPPING,
    TEAMS,
    Host,
    running_host,
    shown,
    whole_page,
)

# One host for all of them, whichever worker has it.
pytestmark = [pytest.mark.server, pytest.mark.xdist_group("people")]


@pytest.fixture(scope="module")
def new_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Acme's domain is enforced; nothing else is set for it."""
    with running_host(tmp_path_factory.mktemp("people")) as host:
        yield host


@pytest.fixture(scope="module")
def host(new_host: Host) -> Host:
    """And its people are known by UserPrincipalId, are asked for what did not come, and get their roles from it."""
    new_host.run("connections", "exclude", "acme", *EXCLUDED)
    told = new_host.run(
        "connections",
        "set",
        "acme",
        "attributes.principal_id=UserPrincipalId",
        "ask_country=true",
        "ask_department=true",
        f"teams={json.dumps(TEAMS)}",
        'departments={"Engineering": "t4"}',
        "authorization=true",
        f"role_mapping={json.dumps(ROLE_MAPPING)}",
    )
    assert "Next: sso-middleware connections test acme" in told
    report = new_host.test_sign_in(new_host.run("connections", "test", "acme"))
    assert "The test of Acme Inc passed" in report
    assert re.search(r"Roles of account\s+member", report)
    return new_host


def announced(page: Page) -> dict[str, str]:
    expect(page.get_by_role("heading", level=1)).to_have_text("Your roles here")
    return dict(zip(page.locator("dt").all_inner_texts(), page.locator("dd").all_inner_texts(), strict=True))


def go_on(page: Page, host: Host) -> None:
    page.get_by_role("link", name="Continue").click()
    page.wait_for_url(host.report)


def press_on(page: Page, name: str) -> None:
    """Tab to a button or link of this name, and press it."""
    for _ in range(10):
        page.keyboard.press("Tab")
        if str(page.evaluate("document.activeElement.textContent")).strip() == name:
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"the keyboard does not lead to {name!r}")


def test_from_nothing_to_an_enforced_domain(new_host: Host) -> None:
    """Each command names the next one; with a test sign-in in a browser it takes fewer than ten of them."""
    assert len(new_host.commands) < 10, new_host.commands
    assert new_host.commands[-1] == "domains mode acme.example exclusive"
    assert "The test of Acme Inc passed" in new_host.test_report
    assert "nora@acme.example" in new_host.test_report
    assert re.search(r"UserPrincipalId\s+acme-nora", new_host.test_report)
    assert "nora@acme.example" not in new_host.user_ids  # a test makes nobody known


def test_what_did_not_come_is_asked_once(chromium: Chromium, host: Host) -> None:
    """Without a country and a department Alice is asked, by keyboard; then never again."""
    host.directory.put("alice", Country=[], department=[])
    page = chromium.first_tab
    host.sign_in(page, "alice")
    expect(page.get_by_role("heading", level=1)).to_have_text("One more step")
    chromium.screenshot(page, "asked")
    assert "alice@acme.example" not in host.user_ids

    page.keyboard.press("Tab")
    expect(page.get_by_label("Country")).to_be_focused()
    page.keyboard.type("Swed")
    page.keyboard.press("Tab")
    page.keyboard.type("Sales E")
    press_on(page, "Continue")
    assert announced(page) == {"All of Acme": "member"}
    press_on(page, "Continue")
    page.wait_for_url(host.report)

    assert shown(page) == {
        "user": "alice@acme.example",
        "e-mail": "alice@acme.example",
        "country": "SE",
        "team": "t2",
        "roles": "account: member",
    }
    assert host.user("alice@acme.example")["country"] == "SE"
    assert [told["is_new"] for told in host.identities("acme-alice")] == [True]

    host.sign_in(page, "alice")
    assert page.url == host.report
    assert shown(page)["team"] == "t2"
    second = host.identities("acme-alice")[1]
    assert (second["is_new"], second["country"], second["changed"]) == (False, "SE", [])


def test_roles_are_those_of_the_identity_provider(chromium: Chromium, host: Host) -> None:
    """Changed groups are changed roles at the next sign-in, announced once; without any of them nobody is let in."""
    host.directory.put("bob", role_mapping=["Engineers", "Somebody else's group"])
    page = chromium.first_tab
    host.sign_in(page, "bob")
    assert announced(page) == {"All of Acme": "member", "Project Atlas": "editor"}
    go_on(page, host)
    assert shown(page)["roles"] == "account: member, project:42: editor"
    assert host.roles("bob@acme.example") == {"account": ["member"], "project:42": ["editor"]}

    host.directory.put("bob", role_mapping=["Analysts"])
    host.sign_in(page, "bob")
    assert {scope: set(roles.split(", ")) for scope, roles in announced(page).items()} == {
        "All of Acme": {"analyst", "member"},
        "Project Borealis": {"viewer"},
    }
    chromium.screenshot(page, "announced")
    go_on(page, host)
    assert shown(page)["roles"] == "account: analyst member, project:7: viewer"
    assert host.roles("bob@acme.example").keys() == {"account", "project:7"}

    host.sign_in(page, "bob")
    assert page.url == host.report

    host.directory.put("bob", role_mapping=["Guests"])
    host.sign_in(page, "bob")
    expect(page.locator("main")).to_contain_text("roles_unmatched")
    chromium.screenshot(page, "refused")
    chromium.forgive("status of 403")
    assert host.roles("bob@acme.example") == {}
    page.goto(host.report)
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    codes = [event["code"] for event in host.events() if event.get("email") == "bob@acme.example"]
    assert codes.count("roles_changed") == 3, codes


def test_a_new_address_is_the_same_person(chromium: Chromium, host: Host) -> None:
    """Carla marries. Her principal id is what it was, so she is the same user, and the host hears what changed."""
    host.directory.put("carla")
    page = chromium.first_tab
    host.sign_in(page, "carla")
    go_on(page, host)
    assert shown(page)["user"] == "carla@acme.example"

    host.directory.put("carla", Email="carla.new@acme.example", LastName="New")
    host.sign_in(page, "carla")

    assert page.url == host.report
    assert shown(page)["user"] == "carla@acme.example"
    assert shown(page)["e-mail"] == "carla.new@acme.example"
    assert "carla.new@acme.example" not in host.user_ids
    told = host.identities("acme-carla")[-1]
    assert told["changed"] == ["email", "last_name"]
    assert told["former_email"] == "carla@acme.example"
    assert "person_email_changed" in [event["code"] for event in host.events()]


def test_the_hosts_form_is_for_the_excluded(chromium: Chromium, host: Host) -> None:
    """An excluded person's password counts. Dora's does not: she is led to SSO, whatever the page's policy."""
    page = chromium.first_tab
    host.log_in(page, EXCLUDED[0], "it1-host-pw")
    page.wait_for_url(host.report)
    expect(page.locator("body")).to_contain_text(f"By password: {EXCLUDED[0]}")
    assert "exclusion_used" in [event["code"] for event in host.events()]

    page.context.clear_cookies()
    host.directory.put("dora")
    answer = page.goto(f"{host.url}/login")
    assert answer is not None
    assert answer.headers["content-security-policy"] == "form-action 'self'"
    with page.expect_response(lambda reply: reply.request.method == "POST") as posted:
        host.log_in(page, "dora@acme.example", "dora-host-pw")
    assert posted.value.status == 200
    assert posted.value.url.startswith(f"{host.url}/login")
    host.directory.sign_in(page, "dora")
    go_on(page, host)
    assert shown(page)["user"] == "dora@acme.example"


def test_the_way_back_when_the_identity_provider_is_down(chromium: Chromium, host: Host) -> None:
    """An admin's link by mail, looked at by a scanner, switches the connection off; then passwords count again."""
    host.directory.put("erin")
    page = chromium.first_tab
    host.sign_in(page, "erin")
    go_on(page, host)
    host.directory.idp.stop()
    try:
        with pytest.raises(httpx.ConnectError):
            httpx.get(host.directory.idp.url, trust_env=False)
        page.context.clear_cookies()
        recover(chromium, host)
        host.log_in(page, "erin@acme.example", "erin-host-pw")
        page.wait_for_url(host.report)
        expect(page.locator("body")).to_contain_text("By password: erin@acme.example")
        page.context.clear_cookies()
        page.goto(host.report)
        expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    finally:
        host.directory.idp.start()
        host.directory.write()
        host.change("connections", "activate", "acme")
    codes = [event["code"] for event in host.events()]
    for code in ("recovery_requested", "recovery_link_sent", "recovery_link_used", "recovery_change"):
        assert codes.count(code) == 1, (code, codes)


def recover(chromium: Chromium, host: Host) -> None:
    page = chromium.first_tab
    host.mailbox.arrived.clear()
    page.goto(f"{host.url}/sso/recovery-access")
    chromium.screenshot(page, "recovery-1-ask")
    page.get_by_label("Your e-mail address").fill(ADMIN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Look into your mail")
    chromium.screenshot(page, "recovery-2-asked")
    assert host.mailbox.arrived.wait(20), "no mail"
    assert host.mailbox.recipients == [ADMIN]
    link = re.search(r"http://\S+token=\S+", host.mailbox.text())
    assert link, host.mailbox.text()
    for _ in range(2):  # what scans the mail
        assert httpx.get(link[0], trust_env=False).status_code == 200

    page.goto(link[0])
    chromium.screenshot(page, "recovery-3-link")
    page.get_by_role("button", name="Use this link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Single sign-on of Acme Inc")
    whole_page(chromium, page, "recovery-4-connections")
    page.get_by_role("button", name="Switch it off").click()
    expect(page.get_by_role("status")).to_have_text("Done.")
    whole_page(chromium, page, "recovery-5-off")
    page.get_by_role("button", name="End recovery access").click()
    expect(page.get_by_role("button", name="End recovery access")).to_have_count(0)
    chromium.screenshot(page, "recovery-6-ended")
