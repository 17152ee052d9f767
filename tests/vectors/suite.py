"""Turn the attack tables, and honest messages of every kind, into vectors: plain JSON for any project.

A vector is one message, who receives it under which trust, when, and what must come of it; README.md
has the format. What is right was decided by the tables of tests/attacks; here it is only written down.
Keys are made at run time and kept nowhere: the vectors hold certificates.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.attacks import test_enc, test_pro, test_rpl, test_sig, test_ten, test_xml, test_xsw
from tests.attacks.scene import (
    ASSERTION_SIGNED,
    BOTH_SIGNED,
    EVERY_WAY,
    RESPONSE_SIGNED,
    Attack,
    Scene,
    default_scene,
    unsolicited,
)
from tests.identity_provider import IdentityProvider, form_value
from tests.response_shape import SentAttribute

from sso_middleware.saml.parties import Trust
from sso_middleware.saml.response import verify_response

from .reading import Json, read_input, stated

FORMAT = "sso-middleware/saml-response-vectors/1"
TABLES: dict[str, tuple[Attack, ...]] = {
    "SIG": test_sig.ATTACKS,
    "XSW": test_xsw.ATTACKS,
    "XML": test_xml.ATTACKS,
    "PRO": test_pro.ATTACKS,
    "RPL": test_rpl.ATTACKS,
    "TEN": test_ten.ATTACKS,
}
ENCRYPTED = "ENC"
"""The class that can't be checked without a private key, so that no file of it is kept in the tree."""

OWN = '<acme:note xmlns:acme="urn:acme:note" acme:about="nothing"/>'

LONGEST_PLAIN = 32 * 1024
"""A longer message is written deflated: it is long on purpose, and says little."""


def committed_suite() -> dict[str, Json]:
    """File stem → its contents: every class that needs no private key, and the honest messages."""
    return {"honest": vectors_file(_honest())} | {
        row_class: vectors_file(_tabled([attack for attack in attacks if "decryption_keys" not in attack.trust]))
        for row_class, attacks in TABLES.items()
    }


def suite_with_keys() -> dict[str, Json]:
    """What the committed suite leaves out: messages that only a private key opens, and that key, in PEM."""
    needing_a_key = [a for attacks in TABLES.values() for a in attacks if "decryption_keys" in a.trust]
    return {ENCRYPTED: vectors_file(_tabled([*test_enc.ATTACKS, *needing_a_key]))}


@dataclass(frozen=True)
class Vector:
    """One row of a file to be, with its configuration still in full."""

    id: str
    message: bytes | str = field(repr=False)
    scene: Scene = field(repr=False)
    trust: Mapping[str, Any] = field(repr=False)
    code: str | None
    """None: to be accepted."""


def _tabled(attacks: list[Attack]) -> Iterator[Vector]:
    """Each attack, and after those of one kind the honest twin that they share."""
    twins: dict[str, Vector] = {}
    for attack in attacks:
        scene = default_scene() if attack.solicited else unsolicited(default_scene())
        yield Vector(str(attack), attack.build(scene), scene, attack.trust, attack.code)
        key = repr((attack.genuine, attack.trust, attack.solicited))
        if key not in twins:
            twins[key] = Vector(f"honest twin of {attack}", attack.twin(scene), scene, attack.trust, None)
    yield from twins.values()


def _honest() -> Iterator[Vector]:
    """What a service provider must not refuse for all its strictness."""
    scene = default_scene()

    def honest(id: str, scene: Scene, /, trust: Mapping[str, Any] | None = None, **changes: Any) -> Vector:
        return Vector(id, scene.respond(**changes), scene, trust or {}, None)

    for way, signed in EVERY_WAY.items():
        yield honest(way, scene, **signed)
        yield honest(f"{way}, unsolicited", unsolicited(scene), **signed)
        yield honest(f"{way}, PrefixList xs", scene, inclusive_prefixes=("xs",), **signed)
        yield honest(f"{way}, PrefixList xs beside names of its own", scene, inclusive_prefixes=("xs",), advice_xml=OWN,
                     **signed)  # fmt: skip
        yield honest(f"{way}, default namespace", scene, assertion_prefix="", **signed)
    for kind in ("p256", "p384"):
        yield honest(f"elliptic curve {kind}", replace(scene, idp=IdentityProvider(kind=kind)), **BOTH_SIGNED)
    for digest in ("sha384", "sha512"):
        yield honest(f"rsa-{digest}", scene, signature_algorithm=f"rsa-{digest}", digest_algorithm=digest)
    yield honest("response demanded", scene, {"signed": "response"}, **RESPONSE_SIGNED)
    yield honest("assertion demanded", scene, {"signed": "assertion"}, **ASSERTION_SIGNED)
    yield honest("both demanded", scene, {"signed": "both"}, **BOTH_SIGNED)
    yield honest("a second pinned key", scene, {"identity_provider": _rolled_over(scene).describe(scene.idp)})
    yield honest("SHA-1 until tomorrow", scene, {"sha1_until": scene.now + timedelta(days=1)},
                 signature_algorithm="rsa-sha1", digest_algorithm="sha1")  # fmt: skip
    yield honest("two hundred groups", scene, attributes=_groups(200))
    yield honest("a repeated attribute", scene, attributes=(*_groups(2), *_groups(1)))
    yield honest("issued at the far end of the leeway", replace(scene, now=scene.now + timedelta(seconds=119)))
    lines = base64.encodebytes(scene.respond()).decode()
    yield Vector("base64 in lines", lines, scene, {}, None)
    yield Vector("base64 in lines of CRLF", lines.replace("\n", "\r\n"), scene, {}, None)


def _rolled_over(scene: Scene) -> IdentityProvider:
    return IdentityProvider(scene.idp.entity_id, scene.idp.sso_url, key="next")


def _groups(count: int) -> tuple[SentAttribute, ...]:
    groups = tuple(f"group {number} of many" for number in range(count))
    return (SentAttribute("Email", ("ada@acme.example",)), SentAttribute("groups", groups))


# One file


def vectors_file(vectors: Iterable[Vector]) -> Json:
    """Vectors of one kind share a configuration, by name."""
    configurations: dict[str, Json] = {}
    names: dict[str, str] = {}
    rows: list[Json] = []
    for vector in vectors:
        configuration = _configuration(vector)
        name = names.setdefault(repr(configuration), f"configuration {len(names) + 1}")
        configurations[name] = configuration
        rows.append(_row(vector, name))
    return {"format": FORMAT, "configurations": configurations, "vectors": rows}


def _row(vector: Vector, configuration: str) -> Json:
    return {
        "id": vector.id,
        "configuration": configuration,
        "clock": _instant(vector.scene.now),
        "input": write_input(vector.message),
        "expected": _expected(vector),
    }


def write_input(message: bytes | str) -> Json:
    """As XML where that says all, else the form value itself, deflated where it is long."""
    value = message if isinstance(message, str) else form_value(message)
    if len(value) > LONGEST_PLAIN:
        packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        packed = packer.compress(value.encode("ascii")) + packer.flush()
        return {"saml_response_deflated": base64.b64encode(packed).decode()}
    try:
        return {"xml": message.decode("utf-8")} if isinstance(message, bytes) else {"saml_response": value}
    except UnicodeDecodeError:
        return {"saml_response": value}


def _expected(vector: Vector) -> Json:
    if vector.code is not None:
        return {"outcome": "refused", "code": vector.code}
    scene = vector.scene
    assertion = verify_response(
        read_input(write_input(vector.message)),
        trust=_trust(vector),
        service_provider=scene.service_provider,
        expected=scene.expected,
        now=scene.now,
    )
    return {"outcome": "accepted", "assertion": stated(assertion)}


def _trust(vector: Vector) -> Trust:
    return Trust(**({"identity_provider": vector.scene.idp.describe()} | dict(vector.trust)))


_WRITERS: dict[str, Callable[[Any], Any]] = {
    "signed": str,
    "encryption": str,
    "leeway": lambda leeway: leeway.total_seconds(),
    "sha1_until": lambda until: until and _instant(until),
    "skip_destination_until": lambda until: until and _instant(until),
    "authn_contexts": list,
    "decryption_keys": lambda keys: [_pem(key) for key in keys],
}


def _configuration(vector: Vector) -> Json:
    scene, trust = vector.scene, _trust(vector)
    request = None
    if scene.request_id is not None:
        request = {"id": scene.request_id, "issued_at": _instant(scene.requested_at)}
    return {
        "service_provider": {"entity_id": scene.service_provider.entity_id, "acs_url": scene.service_provider.acs_url},
        "identity_provider": {
            "entity_id": trust.identity_provider.entity_id,
            "certificates": [key.certificate for key in trust.identity_provider.keys],
        },
        "request": request,
        **{name: write(getattr(trust, name)) for name, write in _WRITERS.items()},
    }


def _pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def _instant(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
