"""Every attack of the table again, posted over HTTP at a whole middleware, under WSGI and under ASGI.

The messages and what is wrong with them are the tables' of this directory. Here it is held that a
refusal is a refusal: 4xx, no session, the host app not reached, an event with the code; and that the
honest answer to the very same request still signs the person in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.attacks import test_enc, test_pro, test_rpl, test_sig, test_ten, test_xml, test_xsw
from tests.attacks.scene import Attack, Scene
from tests.identity_provider import IdentityProvider, Signer, form_value, read_redirect, sign
from tests.response_shape import attributes_of, render_response
from tests.world import Answer, Browser, World

from sso_middleware import ConfigurationError
from sso_middleware.errors import AssertionReplayed
from sso_middleware.events import EXPLANATION
from sso_middleware.saml.assertion import NAME_ID_TRANSIENT
from sso_middleware.saml.parties import ServiceProvider
from sso_middleware.stores.sql import SqlStore

MakeWorld = Callable[..., World]

both_worlds = pytest.mark.parametrize("make_world", [("wsgi", "plain"), ("asgi", "plain")], indirect=True, ids="-".join)
TABLES: dict[str, tuple[Attack, ...]] = {
    "SIG": test_sig.ATTACKS,
    "XSW": test_xsw.ATTACKS,
    "XML": test_xml.ATTACKS,
    "PRO": test_pro.ATTACKS,
    "RPL": test_rpl.ATTACKS,
    "TEN": test_ten.ATTACKS,
    "ENC": test_enc.ATTACKS,
}

# The flow reads a body up to a limit only, and asks the store before the rules compare.
FLOW_CODES = {
    "RPL-006 unknown request": "login_request_unknown",
    "RPL-006 the same, signed": "login_request_unknown",
    "RPL-006 in the Response only": "login_request_unknown",
    "RPL-007 unknown request": "login_request_unknown",
    "RPL-007 in the Response only": "login_request_unknown",
    "XML-015 10 MB of text": "body_too_large",
}


@dataclass(frozen=True)
class Login:
    """A login that one browser has begun, and the scene in which its answer is forged."""

    world: World
    browser: Browser
    scene: Scene
    relay_state: str | None

    def post(self, message: bytes | str) -> Answer:
        value = message if isinstance(message, str) else form_value(message)
        relay_state = {"RelayState": self.relay_state} if self.relay_state is not None else {}
        return self.world.post_response({"SAMLResponse": value, **relay_state}, self.browser)


def begin(world: World, *, solicited: bool = True) -> Login:
    browser = world.browser()
    requested_at = world.now
    request = read_redirect(world.begin_login("/report", browser))
    world.wait(seconds=30)
    scene = Scene(
        idp=world.idp,
        service_provider=ServiceProvider(world.entity_id, world.acs_url),
        request_id=request.id if solicited else None,
        requested_at=requested_at,
        now=world.now,
    )
    return Login(world, browser, scene, request.relay_state if solicited else None)


def faults_of(world: World, attack: Attack) -> Iterator[str]:
    """What went wrong in refusing this attack, and in accepting its twin, in words."""
    login = begin(world, solicited=attack.solicited)
    seen = len(world.app.seen)
    world.events.clear()
    answer = login.post(attack.build(login.scene))
    expected = FLOW_CODES.get(str(attack), attack.code)
    if not 400 <= answer.status < 500:
        yield f"{attack}: status {answer.status}"
    if login.browser.has_session:
        yield f"{attack}: a session"
    if len(world.app.seen) != seen:
        yield f"{attack}: the app was reached"
    if world.codes != [expected]:
        yield f"{attack}: events {world.codes}, expected {expected}"
    if "no-store" not in answer.headers.get("Cache-Control", ""):
        yield f"{attack}: the refusal may be stored"
    if any(secret in answer.text for secret in (login.scene.email, login.scene.victim)):
        yield f"{attack}: the page tells who was meant"
    yield from faults_of_explanation(world, attack, login.scene)
    twin = login.post(attack.twin(login.scene))
    # Nobody is signed in by a message that we did not ask for, but our own request follows it (`restart`).
    is_accepted = login.browser.has_session if attack.solicited else is_our_request(world, twin)
    if not is_accepted:
        yield f"{attack}: the honest twin is refused: {world.codes}"


def faults_of_explanation(world: World, attack: Attack, scene: Scene) -> Iterator[str]:
    """What is kept for the admin: there whenever the person was shown a reference, and telling of nobody."""
    for event in world.events:
        told = event.detail.get(EXPLANATION, "")
        if event.reference and event.code != "body_too_large" and not told:
            yield f"{attack}: no explanation"
        if any(secret in told for secret in (scene.email, scene.victim, "Lovelace")):
            yield f"{attack}: the explanation tells who was meant"


def is_our_request(world: World, answer: Answer) -> bool:
    return answer.status == 303 and answer.location.startswith(f"{world.idp.sso_url}?SAMLRequest=")


def settings_for(world: World, trust: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a world whose one connection has this trust."""
    connection = {name: value for name, value in trust.items() if name in ("signed", "encryption")}
    keys = encryption_settings(test_enc.RECIPIENT) if "decryption_keys" in trust else {}
    return {"connections": [world.connection(**connection)], **keys}


def encryption_settings(signer: Signer) -> dict[str, str]:
    pem = signer.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {"encryption_key": pem.decode(), "encryption_certificate": signer.certificate}


@both_worlds
@pytest.mark.parametrize("row_class", TABLES)
def test_every_attack_is_refused_over_http(make_world: MakeWorld, row_class: str) -> None:
    """No attack opens a session or reaches the app, and none uses up the honest person's login."""
    plain = make_world()
    worlds: dict[str, World] = {"{}": plain}
    faults: list[str] = []
    for attack in TABLES[row_class]:
        key = repr({name: value for name, value in attack.trust.items() if name != "decryption_keys"})
        if key not in worlds:
            worlds[key] = make_world(**settings_for(plain, attack.trust))
        faults += faults_of(worlds[key], attack)
    assert faults == []


def test_rpl_002_the_same_assertion_in_a_new_envelope_is_a_replay(world: World) -> None:
    """The assertion is claimed, not the Response around it: before anybody finishes, and ever after."""
    login = begin(world)
    message = login.scene.respond()
    shape = login.scene.idp.shape(
        login.scene.service_provider, request_id=login.scene.request_id, email=login.scene.email, now=world.now
    )
    enveloped_anew = render_response(shape, assertion_of(message)).encode()
    first = login.browser.post(world.acs_url, {"SAMLResponse": form_value(message)}, cross_site=True)
    assert first.status == 303
    again = login.browser.post(world.acs_url, {"SAMLResponse": form_value(enveloped_anew)}, cross_site=True)
    assert (again.status, world.codes) == (403, ["assertion_replayed"])


def assertion_of(message: bytes) -> str:
    return message[message.index(b"<saml:Assertion") : message.index(b"</samlp:Response>")].decode()


def test_rpl_003_eight_workers_claim_an_assertion_once(database_url: str, world: World) -> None:
    """Eight stores on one database, all at once: one claims it, seven are told that it was claimed."""
    stores = [SqlStore(database_url) for _ in range(8)]

    def claim(store: SqlStore) -> bool:
        try:
            store.claim_assertion("acme", "_one", world.now)
        except AssertionReplayed:
            return False
        return True

    with ThreadPoolExecutor(8) as workers:
        claimed = list(workers.map(claim, stores))
    for store in stores:
        store.close()
    assert sorted(claimed) == [False] * 7 + [True]


def test_rpl_004_a_restart_forgets_no_claim(make_world: MakeWorld) -> None:
    """What one process claimed, the next one on the same database refuses, until it is too old anyway."""
    before = make_world()
    form = before.idp.unsolicited(before.acs_url, before.entity_id, "ada@acme.example", now=before.now)
    assert before.post_response(form).status == 303
    after = make_world()
    for minutes in (1, 3, 2, 2):
        after.wait(minutes=minutes)
        answer = after.post_response(form, after.browser())
        assert answer.status == 403
        assert after.codes[-1] in {"assertion_replayed", "stale", "expired"}
    assert after.codes[0] == "assertion_replayed"


def test_pro_032_a_transient_name_id_recognises_nobody(world: World) -> None:
    """Without a principal id attribute, a transient NameID is refused: next time it would be somebody else."""
    answer = world.post_response(world.log_in(name_id_format=NAME_ID_TRANSIENT))
    assert (answer.status, world.codes) == (403, ["transient_name_id"])
    assert not world.first_browser.has_session


def test_pro_041_a_status_message_is_never_markup(world: World) -> None:
    """What the identity provider says of a failure is not put on a page as HTML."""
    form = world.idp.refuse(
        world.begin_login(), now=world.now, status="AuthnFailed", status_message="<script>alert(1)</script>"
    )
    answer = world.post_response(form)
    assert answer.status == 403
    assert b"<script>alert" not in answer.body
    assert world.codes[-1] == "identity_provider_failure"


@pytest.mark.parametrize(
    ("email", "code"),
    [
        ("bob@other.example", "email_outside_domains"),
        ("bob@sub.acme.example", "email_outside_domains"),
        ("bob@acme.example.evil.example", "email_outside_domains"),
        ("bob@xn--bcher-kva.example", "email_outside_domains"),
        ("bob@\u0430cme.example", "email_outside_domains"),
        ("bob@acme.example.", "email_invalid"),
        ('"bob@other.example"@acme.example', "email_invalid"),
        ("bob@other.example@acme.example", "email_invalid"),
        ("bob\uff20acme.example", "email_invalid"),
        ("bob(acme)@acme.example", "email_invalid"),
        ("bob\n@acme.example", "email_invalid"),
        ("@acme.example", "attribute_missing"),  # which makes the names of these attributes empty, too
    ],
)
@both_worlds
def test_ten_007_an_address_is_within_the_domain_exactly(make_world: MakeWorld, email: str, code: str) -> None:
    """Whatever is not plainly an address of the connection's own domain signs nobody in."""
    world = make_world()
    answer = world.post_response(world.log_in(name_id="a stable id", attributes=attributes_of(email)))
    assert (answer.status, world.codes) == (403, [code])
    assert world.hooks.identities == []


@both_worlds
def test_ten_007_case_and_tags_are_no_disguise(make_world: MakeWorld) -> None:
    """The domain is compared in lower case; a +tag is part of the name before the @."""
    world = make_world()
    form = world.log_in(name_id="a stable id", attributes=attributes_of("Bob+tag@ACME.example"))
    assert world.post_response(form).status == 303
    assert world.hooks.identities[0].email.lower() == "bob+tag@acme.example"


@both_worlds
def test_ten_013_two_organizations_may_name_the_same_identity_provider(make_world: MakeWorld) -> None:
    """Keys belong to one connection: the copycat's own key says nothing of the first organization's people."""
    victim = make_world()
    copycat = IdentityProvider(victim.idp.entity_id, "https://idp.copycat.example/sso", key="copycat's")
    second = {
        "id": "copycat",
        "organization": "Copycat",
        "domains": ["copycat.example"],
        "metadata": copycat.metadata,
    }
    world = make_world(connections=[victim.connection(), second])
    form = copycat.unsolicited(world.acs_url, world.entity_id, "ada@acme.example", now=world.now)
    answer = world.post_response(form)
    assert (answer.status, world.codes) == (403, ["signature_invalid"])

    with pytest.raises(ConfigurationError):
        make_world(connections=[victim.connection(), second | {"organization": "Acme"}])


@both_worlds
def test_ten_014_the_connection_is_the_acs_paths_whatever_else_is_said(make_world: MakeWorld) -> None:
    """RelayState and other fields of the form that name another connection change nothing."""
    world = make_world()
    login = begin(world)
    form = {
        "SAMLResponse": form_value(login.scene.respond()),
        "RelayState": "https://app.example/sso/other/acs",
        "connection": "other",
    }
    answer = world.post_response(form, login.browser)
    assert (answer.status, answer.location) == (303, "https://app.example/report")
    assert world.hooks.identities[0].connection_id == "acme"


@both_worlds
def test_a_response_signed_anew_by_the_thief_is_refused(make_world: MakeWorld) -> None:
    """A genuine assertion, taken from its envelope and put into one that another key signs, is refused."""
    world = make_world()
    login = begin(world)
    shape = login.scene.idp.shape(
        login.scene.service_provider,
        request_id=login.scene.request_id,
        email=login.scene.email,
        now=world.now,
        sign_response=True,
    )
    stolen = sign(render_response(shape, assertion_of(login.scene.respond())), login.scene.impostor.signer)
    answer = login.post(stolen.encode())
    assert (answer.status, world.codes) == (403, ["signature_invalid"])
