"""Where an attack is played, and what an attack is: a row of the attack table, built and refused.

Each attack comes with its honest twin, the same kind of message without the attack in it, under the
same trust. If the twin were refused too, the refusal of the attack would prove nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.attacks.surgery import Element, edited, forge
from tests.identity_provider import IdentityProvider, form_value
from tests.other_verifiers import check_that_others_agree

from sso_middleware.errors import MessageRefused
from sso_middleware.saml.assertion import Assertion
from sso_middleware.saml.parsing import read_message
from sso_middleware.saml.parties import Expected, ServiceProvider, Trust
from sso_middleware.saml.response import verify_response


@dataclass(frozen=True)
class Scene:
    """Who takes part: one connection, its login request, the honest person and the one to be."""

    idp: IdentityProvider
    service_provider: ServiceProvider
    request_id: str | None
    requested_at: datetime
    now: datetime
    email: str = "ada@acme.example"
    victim: str = "boss@acme.example"

    @property
    def expected(self) -> Expected | None:
        if self.request_id is None:
            return None
        return Expected(request_id=self.request_id, issued_at=self.requested_at)

    @property
    def impostor(self) -> IdentityProvider:
        """The attacker, who says to be our identity provider and has a key of his own."""
        return IdentityProvider(self.idp.entity_id, self.idp.sso_url, key="attacker's")

    @property
    def other_idp(self) -> IdentityProvider:
        """Another organization's honest identity provider, trusted on a connection of its own."""
        return IdentityProvider("https://idp.other.example/metadata", "https://idp.other.example/sso")

    def respond(self, **changes: Any) -> bytes:
        """What the identity provider signs for the honest person, but for `changes`."""
        return self._response_of(self.idp, **changes)

    def respond_as(self, provider: IdentityProvider, **changes: Any) -> bytes:
        """What another signs about the victim, in our identity provider's name."""
        return self._response_of(
            provider,
            **{"email": self.victim, "issuer": self.idp.entity_id, "response_issuer": self.idp.entity_id} | changes,
        )

    def _response_of(self, provider: IdentityProvider, **changes: Any) -> bytes:
        setting: dict[str, Any] = {"request_id": self.request_id, "email": self.email, "now": self.now}
        return provider.respond(self.service_provider, **(setting | changes)).xml

    def forge(self, element: Element) -> Element:
        """Make the victim of whoever this element speaks of."""
        return forge(element, self.email, self.victim)


Build = Callable[[Scene], bytes | str]
"""Makes XML (bytes), or the form value itself (str)."""


@dataclass(frozen=True)
class Attack:
    row: str
    sent: str
    """What is sent, in a word or two; with the row it names the test."""
    code: str
    """The error code of the refusal; any other refuses for the wrong reason."""
    build: Build = field(repr=False)
    genuine: Mapping[str, Any] = field(default_factory=dict)
    """How the honest twin differs from the default shape."""
    trust: Mapping[str, Any] = field(default_factory=dict)
    """How the connection's trust differs from the default, for the attack and its twin."""
    solicited: bool = True

    def __str__(self) -> str:
        return f"{self.row} {self.sent}"

    def twin(self, scene: Scene) -> bytes:
        return scene.respond(**self.genuine)


def said(row: str, sent: str, code: str, /, **changes: Any) -> Attack:
    """The identity provider itself says it, over its own good signature."""
    genuine: dict[str, Any] = {name: value for name, value in changes.items() if name.startswith("sign_")}
    return Attack(row, sent, code, lambda scene: scene.respond(**changes), genuine)


def cut(
    row: str,
    sent: str,
    code: str,
    edit: Callable[[Scene, Element], None],
    /,
    *,
    genuine: Mapping[str, Any] | None = None,
    trust: Mapping[str, Any] | None = None,
) -> Attack:
    """A genuine message (with these changes of shape), edited after it was signed."""

    def build(scene: Scene) -> bytes:
        return edited(scene.respond(**(genuine or {})), lambda root: edit(scene, root))

    return Attack(row, sent, code, build, genuine or {}, trust or {})


def cut_each_way(row: str, code: str, edit: Callable[[Scene, Element], None]) -> tuple[Attack, ...]:
    """The same edit of a message with a signed assertion, with a signed Response, and with both."""
    return tuple(cut(row, way, code, edit, genuine=signed) for way, signed in EVERY_WAY.items())


ASSERTION_SIGNED: dict[str, Any] = {"sign_assertion": True, "sign_response": False}
RESPONSE_SIGNED: dict[str, Any] = {"sign_assertion": False, "sign_response": True}
BOTH_SIGNED: dict[str, Any] = {"sign_assertion": True, "sign_response": True}
EVERY_WAY = {"assertion signed": ASSERTION_SIGNED, "response signed": RESPONSE_SIGNED, "both signed": BOTH_SIGNED}

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def default_scene() -> Scene:
    return Scene(
        idp=IdentityProvider(),
        service_provider=ServiceProvider(
            "https://app.example.com/sso/acme/metadata", "https://app.example.com/sso/acme/acs"
        ),
        request_id="_request-of-ours",
        requested_at=NOW - timedelta(seconds=30),
        now=NOW,
    )


def unsolicited(scene: Scene) -> Scene:
    return replace(scene, request_id=None)


def verify(scene: Scene, message: bytes | str, **trust: Any) -> Assertion:
    """What our SAML layer makes of this message."""
    value = message if isinstance(message, str) else form_value(message)
    identity_provider = trust.pop("identity_provider", None) or scene.idp.describe()
    assertion = verify_response(
        read_message(value),
        trust=Trust(identity_provider=identity_provider, **trust),
        service_provider=scene.service_provider,
        expected=scene.expected,
        now=scene.now,
    )
    check_that_others_agree(base64.b64decode(value), [key.certificate for key in identity_provider.keys])
    return assertion


def check_refused(attack: Attack, scene: Scene | None = None) -> None:
    """The attack is refused for its own reason, and the refusal tells nobody who was meant."""
    scene = scene or default_scene()
    scene = scene if attack.solicited else unsolicited(scene)
    message = attack.build(scene)
    assert message != attack.twin(scene)
    with pytest.raises(MessageRefused) as refusal:
        verify(scene, message, **attack.trust)
    assert refusal.value.code == attack.code, str(refusal.value)
    assert 400 <= refusal.value.status < 500
    for secret in (scene.email, scene.victim, "Lovelace"):
        assert secret not in str(refusal.value)


def check_twin_accepted(attack: Attack, scene: Scene | None = None) -> None:
    """The honest twin signs the honest person in."""
    scene = scene or default_scene()
    scene = scene if attack.solicited else unsolicited(scene)
    assert verify(scene, attack.twin(scene), **attack.trust).name_id.value == scene.email
