"""No step of a login starts a process, writes a file or opens a connection (XML-022, and DESIGN §4)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# In an interpreter of its own: an audit hook can't be taken away again.
SCRIPT = """
import json, os, sys
from datetime import UTC, datetime

from tests.identity_provider import IdentityProvider, read_post, read_redirect
from sso_middleware.errors import MessageRefused
from sso_middleware.saml import authn_request, keys, metadata, parsing, parties, response

now = datetime(2026, 11, 21, tzinfo=UTC)
provider = IdentityProvider()
us = parties.ServiceProvider("https://app.example/sso/acme/metadata", "https://app.example/sso/acme/acs")
key = keys.generate_key_pair("app.example", now)
honest = provider.respond(us, request_id="_" + "a" * 32, email="ada@acme.example", now=now).value
hostile = provider.respond(us, request_id="_" + "a" * 32, email="ada@acme.example", now=now).xml.replace(b"Ada", b"Eve")

watched = []
def watch(event, arguments):
    if event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "os.spawn",
                 "tempfile.mkstemp", "tempfile.mkdtemp", "socket.connect", "socket.getaddrinfo", "os.mkdir"):
        watched.append(event)
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        if not str(arguments[0]).endswith((".pyc", os.devnull)) and ".pyc." not in str(arguments[0]):
            watched.append(f"{event} {arguments[0]}")
sys.addaudithook(watch)

metadata.build_sp_metadata(us, signing=[key.certificate], encryption=[key.certificate])
trusted = metadata.read_idp_metadata(provider.metadata.encode(), now=now)
only_post = parties.IdentityProvider(trusted.entity_id, trusted.sso_endpoints[1:], (), trusted.keys)
for described in (trusted, only_post):
    authn_request.build_authn_request(request_id="_" + "a" * 32, service_provider=us, identity_provider=described,
                                      key=key, relay_state="x", issued_at=now)
expected = parties.Expected("_" + "a" * 32, now)
trust = parties.Trust(trusted)
accepted = response.verify_response(parsing.read_message(honest), trust=trust, service_provider=us, expected=expected,
                                    now=now)
try:
    response.verify_response(parsing.read_message_xml(hostile), trust=trust, service_provider=us, expected=expected,
                             now=now)
    refused = False
except MessageRefused:
    refused = True
os.system("true")  # the hook itself works
print(json.dumps({"watched": watched, "refused": refused, "accepted": accepted.issuer}))
"""


def test_a_whole_login_touches_nothing_outside_the_process() -> None:
    """Metadata both ways, both AuthnRequests, a good and a forged Response: only the control is seen."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)

    result = json.loads(done.stdout.splitlines()[-1])
    assert result["refused"] is True
    assert result["accepted"] == "https://idp.acme.example/metadata"
    assert result["watched"] == ["os.system"]
