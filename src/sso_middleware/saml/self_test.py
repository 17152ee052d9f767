"""Decide whether this installation verifies as it must: five shipped messages, once a process, at start.

A library of another build than ours was tested with may canonicalize otherwise, or find what is not
there. One message is good, four must be refused, each for its own reason; times are no trouble, for
each brings its clock. The messages and their certificate are made by `python -m tests.vectors.generate
--self-test`, whose keys are thrown away. What a wrong answer leads to: nothing starts.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.resources import files
from typing import Any

from ..errors import ConfigurationError, MessageRefused
from .assertion import Assertion
from .certificates import read_certificate
from .parsing import read_message_xml
from .parties import Expected, IdentityProvider, ServiceProvider, Trust
from .response import verify_response

_PACKAGE = "sso-middleware"
_RELIED_ON = ("lxml", "cryptography")


@cache
def check_installation() -> None:
    """Raise ConfigurationError, which says what to install, unless all five come out right. Takes a few ms."""
    check_vectors(json.loads(files(__package__).joinpath("self_test.json").read_bytes()))


def check_vectors(suite: dict[str, Any]) -> None:
    for vector in suite["vectors"]:
        came = _outcome(vector, suite["configurations"][vector["configuration"]])
        if came != vector["expected"]:
            raise ConfigurationError(_advice(vector["id"]))


def _outcome(vector: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    """What we make of a vector, in the form of its `expected` (tests/vectors/README.md)."""
    provider, request = configuration["identity_provider"], configuration["request"]
    try:
        assertion = verify_response(
            read_message_xml(vector["input"]["xml"].encode()),
            trust=Trust(
                IdentityProvider(provider["entity_id"], (), (), tuple(map(read_certificate, provider["certificates"])))
            ),
            service_provider=ServiceProvider(**configuration["service_provider"]),
            expected=Expected(request["id"], datetime.fromisoformat(request["issued_at"])),
            now=datetime.fromisoformat(vector["clock"]),
        )
    except MessageRefused as refusal:
        return {"outcome": "refused", "code": refusal.code}
    except Exception:  # a library that does not fit may raise anything, and all of it means the same
        return {"outcome": "broken"}
    return {"outcome": "accepted", "assertion": _stated(assertion)}


def _stated(assertion: Assertion) -> dict[str, Any]:
    name_id = assertion.name_id
    return {
        "id": assertion.id,
        "issuer": assertion.issuer,
        "name_id": {
            "value": name_id.value,
            "format": name_id.format,
            "name_qualifier": name_id.name_qualifier,
            "sp_name_qualifier": name_id.sp_name_qualifier,
        },
        "session_index": assertion.session_index,
        "attributes": [{"name": each.name, "values": list(each.values)} for each in assertion.attributes],
    }


def _advice(vector: str) -> str:
    wanted = " ".join(f"'{requirement}'" for requirement in _requirements())
    here = ", ".join(f"{name} {_version(name)}" for name in _RELIED_ON)
    return (
        f"the SAML self-test failed (the message “{vector}” did not come out as it must), so no sign-in could be"
        f" trusted here. Installed are {here}. Install the published wheels again:"
        f" pip install --force-reinstall --only-binary :all: {wanted}"
    )


def _requirements() -> list[str]:
    """Of what we rely on for verifying, the releases that this package asks for."""
    try:
        declared = requires(_PACKAGE) or []
    except PackageNotFoundError:
        declared = []
    return [text for text in declared if re.split(r"[^\w-]", text)[0] in _RELIED_ON] or list(_RELIED_ON)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "of no known release"
