"""`metadata check INPUT`: everything that an identity provider's metadata says, and all that is wrong with it.

INPUT is a file, a URL, or `-` for what is pasted: metadata, or entity id, sign-in URL and certificate. No
settings are needed; what they allow besides (metadata_hosts_allowed) counts where they are found.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from ..calling import system_clock
from ..egress import Guard
from ..errors import ConfigurationError, MetadataUnusable
from ..idp_source import ByHand, FromFile, FromUrl, Source, recognise
from ..metadata_refresh import guard_of, make_fetch
from ..saml.certificates import fingerprint, read_certificate
from ..saml.metadata import IdpMetadata, describe_identity_provider, examine_metadata
from ..saml.metadata_bytes import MAX_AGGREGATE_BYTES, MAX_BYTES, Document
from ..saml.parties import IdentityProvider, PinnedKey
from ..settings import Settings
from .loading import config_option, json_option


@click.command(name="check")
@click.argument("given", metavar="INPUT")
@click.option("--entity-id", metavar="ID", help="Which one is meant, where there are several.")
@click.option(
    "--signed-by",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The certificate (PEM) that must have signed it, as a federation's.",
)
@config_option
@json_option
def check_metadata(
    given: str, entity_id: str | None, signed_by: Path | None, config: Path | None, as_json: bool
) -> None:
    """Say what is in an identity provider's metadata, and whether it can be used.

    INPUT is the file or the URL of metadata as XML; or - for the standard input, which may hold entity id,
    sign-in URL and certificate on lines of their own instead. Exits 1 if it can't be used.
    """
    now = system_clock()
    try:
        text = sys.stdin.read() if given == "-" else given
        source = recognise(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="INPUT") from None
    signers = [read_certificate(signed_by.read_text(encoding="ascii"))] if signed_by else []
    found, valid_until, problems = _examine(source, entity_id, signers, config, now)
    told = _told(found, valid_until, problems, now)
    click.echo(json.dumps(told, ensure_ascii=False, indent=2) if as_json else _as_text(told))
    if problems:
        raise click.exceptions.Exit(1)


def _examine(
    source: Source, entity_id: str | None, signers: Sequence[PinnedKey], config: Path | None, now: datetime
) -> tuple[IdentityProvider | None, datetime | None, tuple[str, ...]]:
    try:
        if isinstance(source, ByHand):
            return describe_identity_provider(source.entity_id, source.sso_url, source.certificates), None, ()
        document = _read(source, entity_id, config)
        examined = examine_metadata(document, now=now, entity_id=entity_id, signed_by=signers)
    except MetadataUnusable as error:
        return None, None, (error.detail,)
    except OSError as error:
        return None, None, (f"{error.filename} can't be read: {error.strerror}",)
    metadata: IdpMetadata = examined.metadata
    return metadata.identity_provider, metadata.valid_until, examined.problems


def _read(source: Source, entity_id: str | None, config: Path | None) -> Document:
    if isinstance(source, FromUrl):
        return make_fetch(_guard(config))(source.url, MAX_BYTES if entity_id is None else MAX_AGGREGATE_BYTES)
    if isinstance(source, FromFile):
        return source.path
    assert not isinstance(source, ByHand)  # noqa: S101 - _examine has none
    return source.xml.encode()


def _guard(config: Path | None) -> Guard:
    try:
        return guard_of(Settings.load(config=config))
    except ConfigurationError:
        if config is not None:
            raise
        return Guard()  # the public internet only


def _told(
    found: IdentityProvider | None, valid_until: datetime | None, problems: Sequence[str], now: datetime
) -> dict[str, object]:
    told: dict[str, object] = {"ok": not problems, "problems": list(problems)}
    if found is not None:
        told |= {
            "entity_id": found.entity_id,
            "sign_in": {e.binding.rpartition(":")[2]: e.location for e in found.sso_endpoints},
            "sign_out": {e.binding.rpartition(":")[2]: e.location for e in found.slo_endpoints},
            "certificates": [_certificate(key, now) for key in found.keys],
            "valid_until": None if valid_until is None else valid_until.isoformat(),
        }
    return told


def _certificate(key: PinnedKey, now: datetime) -> dict[str, object]:
    return {
        "sha256": fingerprint(key.certificate),
        "ends": key.not_after.isoformat(),
        "days_left": (key.not_after - now).days,
    }


def _as_text(told: dict[str, object]) -> str:
    problems = told["problems"]
    assert isinstance(problems, list)  # noqa: S101 - _told makes one
    lines = ["This metadata can be used." if told["ok"] else "This metadata can't be used:"]
    lines += [f"- {problem}" for problem in problems]
    if "entity_id" in told:
        lines += ["", f"entity id    {_printable(told['entity_id'])}"]
        for name, heading in (("sign_in", "sign-in"), ("sign_out", "sign-out")):
            endpoints = told[name]
            assert isinstance(endpoints, dict)  # noqa: S101
            lines += [f"{heading:<12} {location} ({binding})" for binding, location in endpoints.items()]
        certificates = told["certificates"]
        assert isinstance(certificates, list)  # noqa: S101
        for certificate in certificates:
            lines += [f"certificate  {_ends(certificate)}", f"             SHA-256 {certificate['sha256']}"]
        lines.append(f"valid until  {told['valid_until'] or 'not said'}")
    return "\n".join(lines)


def _ends(certificate: dict[str, object]) -> str:
    day, left = str(certificate["ends"])[:10], certificate["days_left"]
    assert isinstance(left, int)  # noqa: S101
    return f"ended on {day}; it still works (its key is what counts)" if left < 0 else f"ends on {day}, in {left} days"


def _printable(value: object) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))
