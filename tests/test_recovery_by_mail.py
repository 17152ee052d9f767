"""Recovery links by a real SMTP server and the real housekeeping thread: within seconds, or as soon as it is back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.mail_servers import Mailbox, mail_server
from tests.metadata_servers import Authority
from tests.recovering import ADMIN, ask, link_in, recoverable, use
from tests.servers import free_port
from tests.world import World

from sso_middleware import SSO, Hooks, HostUser, Mail
from sso_middleware.housekeeping import Housekeeping
from sso_middleware.stores import tables
from sso_middleware.stores.sql import SqlStore
from sso_middleware.web import Request

SECONDS = 20


class NoMailOfItsOwn(Hooks):
    def host_user(self, request: Request) -> HostUser | None:
        return None


@pytest.fixture(params=[("wsgi", "plain"), ("asgi", "plain")], ids="-".join)
def make_mailing(request: pytest.FixtureRequest, database_url: str) -> Iterator[Callable[..., World]]:
    """A world that sends by SMTP, since its host does not."""
    store = SqlStore(database_url)
    made: list[World] = []

    def make_world(**settings: Any) -> World:
        kind, style = request.param
        return World(kind, style, store, database_url, **settings)

    def make(url: str, **settings: Any) -> World:
        world = recoverable(make_world, smtp_url=url, mail_from="sso@app.example", **settings)
        world.sso = SSO(world.settings, NoMailOfItsOwn(), store=store, now=lambda: world.now)
        world.wrap(world.app.wsgi if world.kind == "wsgi" else world.app.asgi)
        made.append(world)
        return world

    yield make
    for world in made:
        housekeeping = world.sso._housekeeping
        if housekeeping is not None:
            housekeeping.stop()
        world.close()
    store.close()


def waiting(world: World) -> list[Any]:
    with world.store._database.reading() as connection:
        return list(connection.execute(tables.outbox.select()))


def codes(world: World) -> list[str]:
    return [event.code for event in reversed(world.store.get_events())]


def link_of(box: Mailbox) -> str:
    return link_in(Mail("x@y.example", "", box.text()))


def test_mail_leaves_within_seconds_and_never_in_the_request(make_mailing: Callable[..., World]) -> None:
    """The thread is woken by the request; the next round of everything else is a minute away."""
    with mail_server() as box:
        world = make_mailing(f"smtp://127.0.0.1:{box.port}", background=True)
        assert ask(world, ADMIN).status == 200
        assert box.arrived.wait(SECONDS)
        assert box.recipients == [ADMIN]
        assert box.messages[0]["From"] == "sso@app.example"
        assert use(link_of(box), world.browser()).status == 303


def test_by_starttls_with_a_certificate_that_verifies(
    make_mailing: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with the password, which nobody sees."""
    authority = Authority()
    pem = tmp_path / "authority.pem"
    pem.write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    tls = authority.context_for(tmp_path, "127.0.0.2")
    with mail_server(tls=tls, needs_login=True, host="127.0.0.2") as box:
        world = make_mailing(f"smtp://user:p%40ss%2Fword@127.0.0.2:{box.port}")
        assert "word" not in repr(world.settings) + repr(world.sso.site) + str(world.settings.model_dump())
        ask(world, ADMIN)
        world.send_mail()
    assert (box.users, box.was_encrypted, box.recipients) == (["user"], [True], [ADMIN])


def test_a_server_that_is_down_is_asked_again_and_then_gets_all_of_it(make_mailing: Callable[..., World]) -> None:
    """Whoever waits behind the first is not tried on a server that is down; each is sent once it is back."""
    port = free_port()
    world = make_mailing(f"smtp://127.0.0.1:{port}")
    for address in (ADMIN, "it@globex.example", "nobody@acme.example"):
        ask(world, address)
    world.send_mail()
    assert len(waiting(world)) == 2
    assert codes(world).count("mail_failed") == 2
    assert {row.problem for row in waiting(world)} == {"the server could not be reached: Connection refused"}

    with mail_server(port=port) as box:
        world.send_mail()
        assert box.recipients == []
        world.wait(minutes=1)
        world.send_mail()
        assert sorted(box.recipients) == [ADMIN, "it@globex.example"]
        assert use(link_of(box), world.browser()).status == 303
    assert waiting(world) == []
    assert codes(world).count("recovery_link_sent") == 2


def test_a_recipient_that_is_refused_for_good_is_given_up(make_mailing: Callable[..., World]) -> None:
    """Told once, by the server's number; one that may come again is tried again."""
    with mail_server() as box:
        box.refused = {ADMIN: f"550 no such user {ADMIN}", "it@globex.example": "450 later"}
        world = make_mailing(f"smtp://127.0.0.1:{box.port}")
        ask(world, ADMIN)
        ask(world, "it@globex.example")
        world.send_mail()
        assert len(waiting(world)) == 1
        told = [dict(event.detail) for event in reversed(world.store.get_events()) if event.code == "mail_failed"]
        assert [detail["why"] for detail in told] == [
            "the server refused the recipient (550)",
            "the server refused the recipient (450)",
        ]
        assert told[0]["tried again"] == "never"
        box.refused = {}
        world.wait(minutes=1)
        world.send_mail()
        assert box.recipients == ["it@globex.example"]


def test_whatever_wakes_it_housekeeping_goes_on_by_its_own_time(make_mailing: Callable[..., World]) -> None:
    """A wake before the thread is there, after it, and after its end: none waits, none fails."""
    world = make_mailing("smtp://127.0.0.1:9")
    did_all, did_urgent = threading.Event(), threading.Event()
    housekeeping = Housekeeping(world.store, lambda: world.now, chores=[did_all.set], urgent=[did_urgent.set])
    housekeeping.wake()
    housekeeping.ensure_running()
    assert did_all.wait(SECONDS)
    assert not did_urgent.is_set()
    did_all.clear()
    housekeeping.wake()
    assert did_urgent.wait(SECONDS)
    housekeeping.stop()
    housekeeping.wake()
    assert not did_all.is_set()
