"""Silent renewal with two real identity providers, and how each says that it can't: `NoPassive`, in both spellings."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tests.servers import (
    ConnectionSettings,
    Process,
    Samlp,
    SimpleSamlPhp,
    free_port,
    running_samlp,
    serving,
    write_settings,
)
from tests.visitor import Visitor, response_on

from sso_middleware.stores.session_records import SessionQuery
from sso_middleware.stores.sql import SqlStore

# One worker starts each of these servers, once.
pytestmark = [pytest.mark.server, pytest.mark.xdist_group("renewing")]

ALICE = ("alice@acme.example", "alice-pw")
PATIENCE = 30.0
NO_PASSIVE = b"urn:oasis:names:tc:SAML:2.0:status:NoPassive"
RESPONDER = b"urn:oasis:names:tc:SAML:2.0:status:Responder"


@dataclass(frozen=True)
class ServedApp:
    process: Process
    directory: Path

    @property
    def url(self) -> str:
        return self.process.url

    @property
    def page(self) -> str:
        return f"{self.url}/report?month=11&q=a%2Fb"

    def sign_in(self, visitor: Visitor) -> None:
        page = visitor.send(visitor.sign_in(visitor.get(self.page), *ALICE))
        assert (page.status_code, str(page.url)) == (200, self.page)

    def have_renewed(self, visitor: Visitor) -> None:
        """As an admin does; the worker has heard of it when this returns."""
        store = SqlStore(f"sqlite:///{self.directory / 'sso.db'}")
        assert store.make_sessions_stale(SessionQuery(), datetime.now(UTC)) >= 1
        store.close()
        until = time.monotonic() + PATIENCE
        while visitor.get(f"{self.url}/sso/session").json()["state"] != "renew":
            assert time.monotonic() < until
            time.sleep(0.05)


@pytest.fixture(scope="module")
def samlp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samlp]:
    with running_samlp(tmp_path_factory.mktemp("samlp")) as identity_provider:
        yield identity_provider


@pytest.fixture(scope="module", params=["simplesamlphp", "samlp"])
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    identity_provider: SimpleSamlPhp | Samlp = request.getfixturevalue(request.param)
    directory, port = tmp_path_factory.mktemp("app"), free_port()
    connection = ConnectionSettings("acme", identity_provider.metadata_file, ("acme.example",))
    write_settings(directory, base_url=f"http://127.0.0.1:{port}", connections=[connection])
    with serving("raw_asgi:app", directory, server="uvicorn", port=port) as process, Visitor() as admin:
        identity_provider.add_service_provider("renewing", admin.get(f"{process.url}/sso/acme/metadata").text)
        yield ServedApp(process, directory)


def session_cookie(visitor: Visitor) -> str:
    return str(visitor.http.cookies["sso-session"])


def test_a_session_is_renewed_unseen(app: ServedApp, visitor: Visitor) -> None:
    """No page of the identity provider's but the form that posts itself; then the same page, under a new session id."""
    app.sign_in(visitor)
    before = session_cookie(visitor)
    app.have_renewed(visitor)

    answer = visitor.get(app.page)
    assert 'type="password"' not in answer.text
    arrived = visitor.send(response_on(answer))

    assert (arrived.status_code, str(arrived.url)) == (200, app.page)
    assert ALICE[0] in arrived.text
    assert session_cookie(visitor) != before
    assert visitor.get(f"{app.url}/sso/session").json()["state"] == "live"


def test_no_passive_leads_to_a_sign_in(app: ServedApp, visitor: Visitor, request: pytest.FixtureRequest) -> None:
    """The person is no longer signed in there: within Responder, or alone at the top, it means the same."""
    app.sign_in(visitor)
    app.have_renewed(visitor)
    ours = [cookie for cookie in visitor.http.cookies.jar if cookie.name.startswith("sso-")]
    visitor.http.cookies = httpx.Cookies()
    for cookie in ours:
        visitor.http.cookies.jar.set_cookie(cookie)

    form = response_on(visitor.get(app.page))
    response = base64.b64decode(form.fields["SAMLResponse"])
    assert NO_PASSIVE in response
    assert (RESPONDER in response) is ("simplesamlphp" in request.node.name)
    asked = visitor.send(form)

    assert 'type="password"' in asked.text
    assert visitor.get(f"{app.url}/sso/session").json()["signed_in"] is False
    arrived = visitor.send(visitor.sign_in(visitor.get(app.page), *ALICE))
    assert (arrived.status_code, str(arrived.url)) == (200, app.page)
