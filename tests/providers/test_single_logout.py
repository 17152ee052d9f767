"""Single logout with two real identity providers, in both directions and by both bindings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.servers import (
    ConnectionSettings,
    Process,
    Samlp,
    ServerName,
    SimpleSamlPhp,
    free_port,
    running_samlp,
    serving,
    write_settings,
)
from tests.visitor import Visitor, form_on

# One worker starts each of these servers, once.
pytestmark = [pytest.mark.server, pytest.mark.xdist_group("single-logout")]

ALICE = ("alice@acme.example", "alice-pw")
BOB = ("bob@acme.example", "bob-pw")
DONE = "Your organization has signed you out, too"
REDIRECT_SERVICE = re.compile(r"<(?:\w+:)?SingleLogoutService[^>]*HTTP-Redirect[^>]*/>")
ANY_SERVICE = re.compile(r"<(?:\w+:)?SingleLogoutService[^>]*/>")


@dataclass(frozen=True)
class ServedApp:
    process: Process
    metadata: str

    @property
    def url(self) -> str:
        return self.process.url

    def without(self, service: re.Pattern[str]) -> str:
        """Our metadata but for one kind of address."""
        fewer = service.sub("", self.metadata)
        assert fewer != self.metadata
        return fewer

    def sign_in(self, visitor: Visitor, who: tuple[str, str] = ALICE) -> httpx.Response:
        page = visitor.send(visitor.sign_in(visitor.get(f"{self.url}/report"), *who))
        assert page.status_code == 200, page.text
        assert who[0] in page.text
        return page

    def is_signed_in(self, visitor: Visitor) -> bool:
        return bool(visitor.get(f"{self.url}/sso/session").json()["signed_in"])

    def asks_for_password(self, visitor: Visitor) -> bool:
        """Whether the identity provider does, when it is asked for a sign-in."""
        return 'type="password"' in visitor.get(f"{self.url}/sso/login?again=1").text


@contextmanager
def served(directory: Path, metadata_file: Path, server: ServerName, app: str) -> Iterator[ServedApp]:
    port = free_port()
    connection = ConnectionSettings("acme", metadata_file, ("acme.example",))
    write_settings(directory, base_url=f"http://127.0.0.1:{port}", connections=[connection])
    with serving(app, directory, server=server, port=port) as process, Visitor() as admin:
        yield ServedApp(process, admin.get(f"{process.url}/sso/acme/metadata").text)


@pytest.fixture
def other() -> Iterator[Visitor]:
    """Another browser."""
    with Visitor() as visitor:
        yield visitor


# SimpleSAMLphp


@pytest.fixture(scope="module", params=[("uvicorn", "raw_asgi:app"), ("gunicorn", "flask_app:app")], ids=lambda p: p[0])
def php_app(
    request: pytest.FixtureRequest, simplesamlphp: SimpleSamlPhp, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedApp]:
    with served(tmp_path_factory.mktemp("app"), simplesamlphp.metadata_file, *request.param) as app:
        yield app


def test_simplesamlphp_ends_its_session_when_we_ask(
    php_app: ServedApp, simplesamlphp: SimpleSamlPhp, visitor: Visitor
) -> None:
    """It verifies our signature, finds the session by NameID and SessionIndex, and asks for the password afterwards."""
    simplesamlphp.add_service_provider("slo", php_app.metadata)

    told = visitor.go_on(visitor.send(form_on(php_app.sign_in(visitor))))

    assert str(told.url).startswith(f"{php_app.url}/sso/signed-out?told=")
    assert DONE in told.text
    assert not php_app.is_signed_in(visitor)
    assert php_app.asks_for_password(visitor)


def test_simplesamlphp_tells_that_it_could_not_reach_another_app(
    php_app: ServedApp, simplesamlphp: SimpleSamlPhp, visitor: Visitor
) -> None:
    """Another service provider of the same session has no address for it: partial, and told as that."""
    simplesamlphp.add_service_provider("slo", php_app.metadata)
    another = php_app.without(ANY_SERVICE).replace("/sso/acme/metadata", "/another/metadata")
    simplesamlphp.add_service_provider("another", another, verify_requests=False)
    page = php_app.sign_in(visitor)
    assert "SAMLResponse" in visitor.get(simplesamlphp.idp_initiated_url(f"{php_app.url}/another/metadata")).text

    told = visitor.go_on(visitor.send(form_on(page)))

    assert "could not reach every other application" in told.text
    assert not php_app.is_signed_in(visitor)


@pytest.mark.parametrize("binding", ["redirect", "post"])
def test_simplesamlphp_signs_somebody_out(
    php_app: ServedApp, simplesamlphp: SimpleSamlPhp, visitor: Visitor, other: Visitor, binding: str
) -> None:
    """It ends this session and no other, not even Alice's own in another browser; and it believes our answer."""
    metadata = php_app.metadata if binding == "redirect" else php_app.without(REDIRECT_SERVICE)
    simplesamlphp.add_service_provider("slo", metadata)
    with Visitor() as bob:
        for who, somebody in ((ALICE, visitor), (ALICE, other), (BOB, bob)):
            php_app.sign_in(somebody, who)

        ended = visitor.go_on(visitor.get(simplesamlphp.sign_out_url(f"{php_app.url}/")))

        assert str(ended.url) == f"{php_app.url}/"
        assert not php_app.is_signed_in(visitor)
        assert php_app.is_signed_in(other)
        assert php_app.is_signed_in(bob)
        assert php_app.asks_for_password(visitor)


def test_simplesamlphp_s_request_needs_its_signature(
    php_app: ServedApp, simplesamlphp: SimpleSamlPhp, visitor: Visitor
) -> None:
    """SLO-002, SLO-009: without it nobody is signed out; with it somebody is, once."""
    simplesamlphp.add_service_provider("slo", php_app.metadata)
    php_app.sign_in(visitor)
    request = visitor.way_out(simplesamlphp.sign_out_url(f"{php_app.url}/"))
    assert request.startswith(f"{php_app.url}/sso/acme/slo?SAMLRequest=")

    refused = visitor.get(request.partition("&SigAlg=")[0])

    assert (refused.status_code, "signature_missing" in refused.text) == (403, True)
    assert php_app.is_signed_in(visitor)
    assert str(visitor.go_on(visitor.get(request)).url) == f"{php_app.url}/"
    assert not php_app.is_signed_in(visitor)
    again = visitor.get(request)
    assert (again.status_code, "logout_replayed" in again.text) == (403, True)


# samlp


@pytest.fixture(scope="module")
def samlp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samlp]:
    with running_samlp(tmp_path_factory.mktemp("samlp")) as identity_provider:
        yield identity_provider


@pytest.fixture(scope="module")
def samlp_app(samlp: Samlp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    with served(tmp_path_factory.mktemp("app"), samlp.metadata_file, "uvicorn", "raw_asgi:app") as app:
        samlp.add_service_provider("app", app.metadata)
        yield app


@pytest.mark.parametrize("binding", ["redirect", "post"])
def test_samlp_ends_its_session_when_we_ask(samlp: Samlp, samlp_app: ServedApp, visitor: Visitor, binding: str) -> None:
    """It verifies our signature; its answer comes by the binding that it is set to."""
    samlp.restart(REQUIRE_SIGNED_REQUESTS="1", SLO_BINDING=binding)

    told = visitor.go_on(visitor.send(form_on(samlp_app.sign_in(visitor))))

    assert DONE in told.text
    assert not samlp_app.is_signed_in(visitor)
    assert samlp_app.asks_for_password(visitor)


@pytest.mark.parametrize("binding", ["redirect", "post"])
def test_samlp_signs_somebody_out(
    samlp: Samlp, samlp_app: ServedApp, visitor: Visitor, other: Visitor, binding: str
) -> None:
    """This session and no other; and it takes our signed answer."""
    samlp.restart(REQUIRE_SIGNED_REQUESTS="1", SLO_BINDING=binding)
    samlp_app.sign_in(visitor)
    samlp_app.sign_in(other)

    ended = visitor.go_on(visitor.get(f"{samlp.url}/slo"))

    assert ended.status_code == 200, ended.text
    assert str(ended.url).startswith(samlp.url)
    assert not samlp_app.is_signed_in(visitor)
    assert samlp_app.is_signed_in(other)
    assert samlp_app.asks_for_password(visitor)
