"""Sign in through SimpleSAMLphp under every server that we name, in both worlds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.servers import (
    ConnectionSettings,
    ServerName,
    SimpleSamlPhp,
    free_port,
    serving,
    write_settings,
)
from tests.visitor import Visitor, form_on, response_on, with_passive

pytestmark = pytest.mark.server

APPS: tuple[tuple[ServerName, str], ...] = (
    ("uvicorn", "raw_asgi:app"),
    ("uvicorn", "fastapi_app:app"),
    ("uvicorn", "django_project.asgi:application"),
    ("hypercorn", "raw_asgi:app"),
    ("hypercorn", "fastapi_app:app"),
    ("hypercorn", "django_project.asgi:application"),
    ("gunicorn", "raw_wsgi:app"),
    ("gunicorn", "flask_app:app"),
    ("gunicorn", "django_project.wsgi:application"),
)
PAGE = "/report?year=2026&month=%2F7&q=a+b"


@dataclass(frozen=True)
class ServedApp:
    url: str
    metadata: str
    idp: SimpleSamlPhp

    @property
    def entity_id(self) -> str:
        return f"{self.url}/sso/acme/metadata"

    @property
    def page(self) -> str:
        return self.url + PAGE

    def trust(self, *, response: bool = True, assertion: bool = True, verify_requests: bool = True) -> None:
        self.idp.add_service_provider(
            "app", self.metadata, sign_response=response, sign_assertion=assertion, verify_requests=verify_requests
        )


@pytest.fixture(scope="module", params=APPS, ids=lambda app: f"{app[0]}-{app[1].partition(':')[0]}")
def app(
    request: pytest.FixtureRequest, simplesamlphp: SimpleSamlPhp, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedApp]:
    server, name = request.param
    directory: Path = tmp_path_factory.mktemp("app")
    port = free_port()
    connection = ConnectionSettings("acme", simplesamlphp.metadata_file, ("acme.example",))
    write_settings(directory, base_url=f"http://127.0.0.1:{port}", connections=[connection])
    with serving(name, directory, server=server, port=port) as process, Visitor() as admin:
        metadata = admin.get(f"{process.url}/sso/acme/metadata")
        assert metadata.status_code == 200, metadata.text
        yield ServedApp(process.url, metadata.text, simplesamlphp)


@pytest.mark.parametrize(
    ("response", "assertion"), [(True, True), (True, False), (False, True)], ids=["both", "response", "assertion"]
)
def test_a_protected_page_leads_there_and_back(
    app: ServedApp, visitor: Visitor, response: bool, assertion: bool
) -> None:
    """Whatever SimpleSAMLphp signs, the person ends on the very page that they asked for."""
    app.trust(response=response, assertion=assertion)

    signed = visitor.sign_in(visitor.get(app.page), "alice@acme.example", "alice-pw")
    page = visitor.send(signed)

    assert page.status_code == 200, page.text
    assert str(page.url) == app.page
    assert "Alice Andersson (alice@acme.example)" in page.text
    assert "year=2026&amp;month=%2F7&amp;q=a+b" in page.text


def test_names_beyond_ascii_arrive(app: ServedApp, visitor: Visitor) -> None:
    """A name with umlauts and angle brackets is shown as the identity provider has it."""
    app.trust()

    page = visitor.send(visitor.sign_in(visitor.get(app.page), "bob@acme.example", "bob-pw"))

    assert "Bob Müller &amp; Søn &lt;Öst&gt; (bob@acme.example)" in page.text


def test_starting_at_the_identity_provider(app: ServedApp, visitor: Visitor) -> None:
    """IdP-initiated (`restart`): the person types a password once and ends on the page of the RelayState."""
    app.trust()
    portal = visitor.get(app.idp.idp_initiated_url(app.entity_id, "/report?from=portal"))

    # The unsolicited Response makes us ask; the identity provider answers that without a form.
    unsolicited = visitor.sign_in(portal, "alice@acme.example", "alice-pw")
    answered = response_on(visitor.send(unsolicited))
    page = visitor.send(answered)

    assert page.status_code == 200, page.text
    assert str(page.url) == f"{app.url}/report?from=portal"
    assert "alice@acme.example" in page.text


def test_passive_without_a_session(app: ServedApp, visitor: Visitor) -> None:
    """An identity provider that must not ask, and knows nobody, ends in a refusal with its code."""
    app.trust(verify_requests=False)  # the request is changed on its way, so its signature goes

    no_passive = response_on(visitor.get(with_passive(visitor.way_out(app.page))))
    refusal = visitor.send(no_passive)

    assert refusal.status_code == 403
    assert "identity_provider_failure" in refusal.text
    assert visitor.get(f"{app.url}/sso/session").json()["signed_in"] is False


def test_someone_of_another_organization_is_refused(app: ServedApp, visitor: Visitor) -> None:
    """The identity provider knows her, but her e-mail address is outside the connection's domains."""
    app.trust()

    refusal = visitor.send(visitor.sign_in(visitor.get(app.page), "carol@globex.example", "carol-pw"))

    assert refusal.status_code == 403
    assert "email_outside_domains" in refusal.text


def test_signing_out_does_not_sign_back_in(app: ServedApp, visitor: Visitor) -> None:
    """Sign-out ends on a page for everybody; the identity provider is asked again only after a click."""
    app.trust()
    page = visitor.send(visitor.sign_in(visitor.get(app.page), "alice@acme.example", "alice-pw"))

    signed_out = visitor.go_on(visitor.send(form_on(page)))

    assert signed_out.status_code == 200
    assert str(signed_out.url).startswith(f"{app.url}/sso/signed-out?told=")
    assert "Your organization has signed you out, too" in signed_out.text
    assert "You are signed out" in visitor.get(app.page).text
    assert visitor.way_out(f"{app.url}/sso/login?again=1").startswith(app.idp.url)
