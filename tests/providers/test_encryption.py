"""Two real identity providers encrypt for us by what our metadata says, one connection each.

SimpleSAMLphp knows AES-CBC only, samlp (Auth0's library) AES-GCM too. Our connection to samlp was set up
while it announced its next key, so that both of its keys may sign.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from lxml import etree
from tests.servers import (
    ConnectionSettings,
    Samlp,
    SimpleSamlPhp,
    free_port,
    running_samlp,
    serving,
    write_settings,
)
from tests.visitor import Form, Visitor, response_on, with_passive

# One worker starts each of these servers, once.
pytestmark = [pytest.mark.server, pytest.mark.xdist_group("encryption")]

XENC = "{http://www.w3.org/2001/04/xmlenc#}"
XENC11 = "http://www.w3.org/2009/xmlenc11#"
ALICE = ("alice@acme.example", "alice-pw")


@dataclass(frozen=True)
class ServedApp:
    """An app of the examples, whose one connection demands encryption."""

    url: str
    metadata: str

    @property
    def page(self) -> str:
        return f"{self.url}/report?year=2026"


@contextmanager
def served(directory: Path, metadata_file: Path) -> Iterator[ServedApp]:
    port = free_port()
    connection = ConnectionSettings("acme", metadata_file, ("acme.example",), encryption="required")
    write_settings(directory, base_url=f"http://127.0.0.1:{port}", connections=[connection])
    with serving("raw_asgi:app", directory, server="uvicorn", port=port) as process, Visitor() as admin:
        metadata = admin.get(f"{process.url}/sso/acme/metadata")
        assert metadata.status_code == 200, metadata.text
        yield ServedApp(process.url, metadata.text)


def encryption_methods(form: Form) -> list[str]:
    """The algorithms of the data and of the key, in what is being sent."""
    response = etree.fromstring(base64.b64decode(form.fields["SAMLResponse"]))
    return [str(method.get("Algorithm")).partition("#")[2] for method in response.iter(f"{XENC}EncryptionMethod")]


def signed_in(page: httpx.Response, app: ServedApp) -> bool:
    return page.status_code == 200 and str(page.url) == app.page and "Alice Andersson" in page.text


# SimpleSAMLphp


@pytest.fixture(scope="module")
def php_app(simplesamlphp: SimpleSamlPhp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    with served(tmp_path_factory.mktemp("php-app"), simplesamlphp.metadata_file) as app:
        yield app


@pytest.mark.parametrize("encrypt_name_id", [False, True])
def test_simplesamlphp_encrypts_in_a_signed_response(
    php_app: ServedApp, simplesamlphp: SimpleSamlPhp, visitor: Visitor, encrypt_name_id: bool
) -> None:
    """AES-128-CBC is accepted, for the Response around it is signed; an EncryptedID within it is, too."""
    simplesamlphp.add_service_provider(
        "encrypted", php_app.metadata, encrypt_assertion=True, encrypt_name_id=encrypt_name_id
    )

    signed = visitor.sign_in(visitor.get(php_app.page), *ALICE)

    assert encryption_methods(signed) == ["aes128-cbc", "rsa-oaep-mgf1p"]
    assert signed_in(visitor.send(signed), php_app)


def test_simplesamlphp_s_encryption_needs_its_signature_around_it(
    php_app: ServedApp, simplesamlphp: SimpleSamlPhp, visitor: Visitor
) -> None:
    """ENC-002: the same ciphertext in a Response that is not signed is refused, in words for the admin."""
    simplesamlphp.add_service_provider("encrypted", php_app.metadata, sign_response=False, encrypt_assertion=True)

    refusal = visitor.send(visitor.sign_in(visitor.get(php_app.page), *ALICE))

    assert refusal.status_code == 403
    assert "encryption_not_authenticated" in refusal.text


@pytest.mark.parametrize("encrypt_name_id", [False, True])
def test_simplesamlphp_s_plaintext_is_refused_where_encryption_is_required(
    php_app: ServedApp, simplesamlphp: SimpleSamlPhp, visitor: Visitor, encrypt_name_id: bool
) -> None:
    """ENC-006: signed twice, and still nobody is signed in; an EncryptedID alone is not an encrypted assertion."""
    simplesamlphp.add_service_provider("encrypted", php_app.metadata, encrypt_name_id=encrypt_name_id)

    refusal = visitor.send(visitor.sign_in(visitor.get(php_app.page), *ALICE))

    assert refusal.status_code == 403
    assert "encryption_required" in refusal.text
    assert visitor.get(f"{php_app.url}/sso/session").json()["signed_in"] is False


# samlp


@pytest.fixture(scope="module")
def samlp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samlp]:
    with running_samlp(tmp_path_factory.mktemp("samlp"), ROLLOVER="announce") as identity_provider:
        yield identity_provider


@pytest.fixture(scope="module")
def samlp_app(samlp: Samlp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    with served(tmp_path_factory.mktemp("samlp-app"), samlp.metadata_file) as app:
        samlp.add_service_provider("app", app.metadata)
        yield app


ENCRYPTS = {"ENCRYPT_ASSERTION": "1", "REQUIRE_SIGNED_REQUESTS": "1"}


@pytest.mark.parametrize(
    ("settings", "data"),
    [
        ({"ENC_ALG": XENC11 + "aes256-gcm", "ROLLOVER": "switched", "SIGN_RESPONSE": "0"}, "aes256-gcm"),
        ({"ENC_ALG": XENC11 + "aes128-gcm", "ROLLOVER": "announce"}, "aes128-gcm"),
        ({"ENC_ALG": XENC[1:-1] + "aes256-cbc"}, "aes256-cbc"),
    ],
    ids=["aes256-gcm, by the next key", "aes128-gcm, by the present key", "aes256-cbc"],
)
def test_samlp_encrypts(
    samlp: Samlp, samlp_app: ServedApp, visitor: Visitor, settings: dict[str, str], data: str
) -> None:
    """What it encrypts is opened, whichever of its two keys signed it; it believed the signature of our request."""
    samlp.restart(**ENCRYPTS, **settings)

    signed = visitor.sign_in(visitor.get(samlp_app.page), *ALICE)

    assert encryption_methods(signed) == [data, "rsa-oaep-mgf1p"]
    assert signed_in(visitor.send(signed), samlp_app)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"ENC_ALG": XENC[1:-1] + "aes256-cbc", "SIGN_RESPONSE": "0"}, "encryption_not_authenticated"),
        ({"ENCRYPT_ASSERTION": "0"}, "encryption_required"),
    ],
    ids=["CBC without the Response's signature", "plaintext"],
)
def test_what_samlp_must_not_send_is_refused(
    samlp: Samlp, samlp_app: ServedApp, visitor: Visitor, settings: dict[str, str], code: str
) -> None:
    """ENC-002, ENC-006."""
    samlp.restart(**{**ENCRYPTS, **settings})

    refusal = visitor.send(visitor.sign_in(visitor.get(samlp_app.page), *ALICE))

    assert refusal.status_code == 403
    assert code in refusal.text


def test_samlp_refuses_passively_at_the_top_level(samlp: Samlp, samlp_app: ServedApp, visitor: Visitor) -> None:
    """NoPassive as the top-level StatusCode, against the standard, is a failure like any other.

    So is one whose words stand in an attribute that the schema does not know.
    """
    samlp.restart(STATUS_MESSAGE="nobody is signed in")
    no_passive = response_on(visitor.get(with_passive(visitor.way_out(samlp_app.page))))
    status = etree.fromstring(base64.b64decode(no_passive.fields["SAMLResponse"])).find(".//{*}StatusCode")
    assert status is not None
    assert status.get("Value") == "urn:oasis:names:tc:SAML:2.0:status:NoPassive"

    refusal = visitor.send(no_passive)

    assert refusal.status_code == 403
    assert "identity_provider_failure" in refusal.text
    assert visitor.get(f"{samlp_app.url}/sso/session").json()["signed_in"] is False


def test_samlp_refuses_a_request_that_is_not_signed(samlp: Samlp, samlp_app: ServedApp, visitor: Visitor) -> None:
    """The honest twin of every login above: it looks at our signature."""
    samlp.restart(**ENCRYPTS)

    refused = visitor.get(with_passive(visitor.way_out(samlp_app.page)))

    assert refused.status_code == 400
    assert "bad AuthnRequest" in refused.text
