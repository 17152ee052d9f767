"""Reading metadata: one identity provider out of a federation's aggregate, and one connection made ready."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.identity_provider import IdentityProvider, make_signer

from benchmarks.measuring import Task, calling, compare
from benchmarks.messages import set_scene
from benchmarks.peers import FLOOR, OURS, PYSAML2, floor, pysaml2_settings
from benchmarks.report import Row, Section, Target
from sso_middleware.saml.metadata import describe_identity_provider, read_idp_metadata
from sso_middleware.saml.parties import IdentityProvider as PinnedProvider
from sso_middleware.saml.parties import Trust

ENTITIES = 5000
ITERPARSE = "lxml iterparse, doing nothing"
FROM_RECORD = f"{OURS}, from a record"
FROM_XML = f"{OURS}, from its metadata"


def measure(rounds: int, seconds: float) -> Iterator[Section]:
    yield from _aggregate(rounds)
    yield _cold_connection(rounds, seconds)


# One out of many


def write_aggregate(path: Path, entities: int) -> str:
    """A federation's file, 6 KB an entity as in real ones; the entity id of the one in the middle."""
    certificates = [make_signer(f"federation {number}").certificate_body for number in range(8)]
    padding = "A member of the federation of universities and what belongs to them. " * 12
    with path.open("w", encoding="utf-8") as file:
        file.write('<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">')
        for number in range(entities):
            file.write(_entity(number, certificates[number % len(certificates)], padding))
        file.write("</md:EntitiesDescriptor>")
    return entity_id_of(entities // 2)


def entity_id_of(number: int) -> str:
    return f"https://idp-{number}.federation.example/metadata"


def _entity(number: int, certificate: str, padding: str) -> str:
    def key(use: str) -> str:
        return (
            f'<md:KeyDescriptor use="{use}"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data>'
            f"<ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
        )

    location = f"https://idp-{number}.federation.example/sso"
    return (
        f'<md:EntityDescriptor entityID="{entity_id_of(number)}">'
        '<md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
        f"{key('signing')}{key('encryption')}"
        f'<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="{location}"/>'
        f'<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="{location}"/>'
        "</md:IDPSSODescriptor><md:Organization>"
        f'<md:OrganizationName xml:lang="en">Member {number}</md:OrganizationName>'
        f'<md:OrganizationDisplayName xml:lang="en">{padding}</md:OrganizationDisplayName>'
        f'<md:OrganizationDisplayName xml:lang="de">{padding}</md:OrganizationDisplayName>'
        f'<md:OrganizationURL xml:lang="en">https://idp-{number}.federation.example/</md:OrganizationURL>'
        f'</md:Organization><md:ContactPerson contactType="technical"><md:Company>{padding}</md:Company>'
        f"<md:EmailAddress>mailto:admin@idp-{number}.federation.example</md:EmailAddress></md:ContactPerson>"
        "</md:EntityDescriptor>"
    )


def _aggregate(rounds: int) -> Iterator[Section]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "aggregate.xml"
        entity_id = write_aggregate(path, ENTITIES)
        measured: dict[str, list[tuple[float, float]]] = {ITERPARSE: [], OURS: [], PYSAML2: []}
        for _ in range(rounds):
            for name, of_rounds in measured.items():
                of_rounds.append(_in_own_process(name, path, entity_id))
        title = f"one identity provider out of {ENTITIES:,} entities, {path.stat().st_size / 1e6:.0f} MB"
    yield _section(f"{title}: time", "s", ITERPARSE, {n: [s for s, _ in m] for n, m in measured.items()}, 1.5)
    yield _section(f"{title}: memory", "MB", PYSAML2, {n: [b for _, b in m] for n, m in measured.items()}, 1 / 8)


def _section(title: str, unit: str, base: str, amounts: dict[str, list[float]], most: float) -> Section:
    ratio_to = median(amounts[base])
    rows = tuple(
        Row(
            name,
            median(each),
            min(each),
            max(each),
            median(each) / ratio_to,
            Target("most", most) if name == OURS else None,
        )
        for name, each in amounts.items()
    )
    return Section(title, base, unit, rows)


def _in_own_process(name: str, path: Path, entity_id: str) -> tuple[float, float]:
    """Seconds, and megabytes at most above what was there after the imports."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.aggregate_worker", name, str(path), entity_id],
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(run.stdout.splitlines()[-1])
    return float(answer["seconds"]), float(answer["bytes"]) / 1e6


# One, made ready


def _cold_connection(rounds: int, seconds: float) -> Section:
    """From what is kept of a connection to being able to verify its messages."""
    scene = set_scene()
    provider = scene.provider
    now = datetime.now(UTC)

    def from_record() -> Trust:
        return Trust(describe_identity_provider(provider.entity_id, provider.sso_url, (provider.certificate,)))

    def from_xml() -> Trust:
        return Trust(_read(provider, now))

    with tempfile.TemporaryDirectory() as folder:
        tasks: dict[str, Task] = {
            FLOOR: calling(floor(scene)(scene.respond())),
            FROM_RECORD: calling(from_record),
            FROM_XML: calling(from_xml),
            "pysaml2, a client": calling(lambda: _pysaml2_client(pysaml2_settings(scene, Path(folder)))),
        }
        calls = {name: max(1, int(seconds / task(1))) for name, task in tasks.items()}
        measured = compare(tasks, rounds=rounds, calls=calls)
    base = measured[FLOOR].median
    rows = tuple(
        Row(name, t.median, t.least, t.most, t.median / base, Target("most", 2.0) if name == FROM_RECORD else None)
        for name, t in measured.items()
    )
    return Section("a cold connection, ready to verify", FLOOR, "ms", rows)


def _read(provider: IdentityProvider, now: datetime) -> PinnedProvider:
    return read_idp_metadata(provider.metadata.encode(), now=now)


def _pysaml2_client(settings: dict[str, object]) -> object:
    from saml2.client import Saml2Client
    from saml2.config import Config

    return Saml2Client(Config().load(settings))
