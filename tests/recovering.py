"""The steps of recovery access, as an admin and their browser take them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tests.identity_provider import IdentityProvider
from tests.world import Answer, Browser, World

from sso_middleware import Mail
from sso_middleware.stores.configuration_records import Admin, StoredConnection

PAGE = "/sso/recovery-access"
ADMIN = "it@acme.example"
GLOBEX = IdentityProvider("https://idp.globex.example/metadata", "https://idp.globex.example/sso")
INITECH = IdentityProvider("https://idp.initech.example/metadata", "https://idp.initech.example/sso")


def recoverable(make_world: Callable[..., World], **settings: Any) -> World:
    """Acme is declared, with one admin; Globex has another; a second connection of Acme's is kept in the database."""
    acme = {
        "id": "acme",
        "organization": "Acme",
        "domains": ["acme.example"],
        "metadata": IdentityProvider().metadata,
        "admins": [ADMIN],
    }
    globex = {
        "id": "globex",
        "organization": "Globex",
        "domains": ["globex.example"],
        "metadata": GLOBEX.metadata,
        "admins": ["it@globex.example"],
    }
    world = make_world(connections=[acme, globex], **settings)
    for id, organization in (("acme-two", "Acme"), ("globex-two", "Globex")):
        world.store.add_connection(stored(world, id, organization))
    return world


def stored(world: World, id: str, organization: str) -> StoredConnection:
    settings = {
        "metadata": INITECH.metadata,
        "excluded_users": [f"first@{id}.example"],
    }
    return StoredConnection(id, organization, settings, "active", 1, world.now, world.now, test_passed_at=world.now)


def kept(world: World, id: str = "acme-two") -> StoredConnection | None:
    found = world.store.get_configuration().connections
    return next((connection for connection in found if connection.id == id), None)


def name_admin(world: World, email: str, organization: str = "Acme", **changes: Any) -> None:
    world.store.put_admin(Admin(organization, email, changes.pop("since", world.now), **changes))


def ask(world: World, address: str, browser: Browser | None = None) -> Answer:
    browser = browser or world.browser()
    page = browser.get(PAGE)
    assert page.status == 200, (page.status, page.text)
    fields = {"csrf_token": page.field("csrf_token"), "step": "ask", "email": address}
    return browser.post(PAGE, fields)


def link_in(mail: Mail) -> str:
    found = re.search(r"https://\S+token=\S+", mail.text)
    assert found, mail.text
    return found.group()


def mailed_link(world: World, address: str = ADMIN) -> str:
    before = len(world.hooks.mails)
    assert ask(world, address).status == 200
    world.send_mail()
    assert len(world.hooks.mails) == before + 1, world.codes
    return link_in(world.hooks.mails[-1])


def token_of(link: str) -> str:
    return urlsplit(link).query.partition("=")[2]


def use(link: str, browser: Browser) -> Answer:
    """Open it, and press the button."""
    page = browser.get(link)
    assert page.status == 200, (page.status, page.text)
    fields = {"csrf_token": page.field("csrf_token"), "step": "use", "token": page.field("token")}
    return browser.post(PAGE, fields)


def recovered(world: World, address: str = ADMIN) -> Browser:
    """A browser with a recovery session."""
    browser = world.browser()
    answer = use(mailed_link(world, address), browser)
    assert answer.status == 303, (answer.status, answer.text)
    return browser


def change(browser: Browser, step: str, id: str, version: int = 1, **fields: str) -> Answer:
    page = browser.get(PAGE)
    posted = {"csrf_token": page.field("csrf_token"), "step": step, "connection": id, "version": str(version)}
    return browser.post(PAGE, {**posted, **fields})
