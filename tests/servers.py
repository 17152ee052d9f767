"""Real servers for the tests: WSGI and ASGI servers, SimpleSAMLphp and samlp, each a process of its own.

Everything binds to loopback on a free port, is waited for until it answers, writes its log to a file, and
is ended as a process group. What a machine does not have is `missing`: skipped, but a failure where CI=true.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
BINARIES = Path(sys.executable).parent
START_TIMEOUT = 40.0

ServerName = Literal["uvicorn", "hypercorn", "gunicorn"]


def missing(what: str) -> NoReturn:
    """This test needs something that the machine has not got. Where CI=true it must have it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI=true: everything must run here")
    pytest.skip(f"{what} is missing")


def shared_directory() -> Path:
    """Where the identity providers' scripts are: SSO_SHARED, else `shared` beside the repository."""
    directory = Path(os.environ.get("SSO_SHARED") or ROOT.parent / "shared")
    if not directory.is_dir():
        missing("the directory with the identity providers' scripts (SSO_SHARED)")
    return directory


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without any setting of ours, and without a proxy between us and loopback."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("SSO_", "DJANGO_"))}
    kept.update({"NO_PROXY": "localhost,127.0.0.1", "no_proxy": "localhost,127.0.0.1", "PYTHONUNBUFFERED": "1"})
    return kept | more


@dataclass(frozen=True)
class Process:
    """A server that runs. `log` is what it wrote, for a failed test to show."""

    name: str
    url: str
    log_file: Path
    popen: subprocess.Popen[bytes] = field(repr=False)

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_until_answers(self, path: str = "/") -> None:
        deadline = time.monotonic() + START_TIMEOUT
        with httpx.Client(trust_env=False) as client:
            while True:
                try:
                    client.get(self.url + path, timeout=10)
                except httpx.TransportError:
                    if self.popen.poll() is not None or time.monotonic() > deadline:
                        pytest.fail(f"{self.name} does not answer at {self.url + path}:\n{self.log[-4000:]}")
                    time.sleep(0.05)
                else:
                    return

    def stop(self, patience: float) -> None:
        """End the whole group, also workers that outlive their parent; kill what is left after so many seconds."""
        _signal_group(self.popen.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(patience)
        _signal_group(self.popen.pid, signal.SIGKILL)
        self.popen.wait(10)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    *,
    url: str,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    patience: float = 3,
) -> Iterator[Process]:
    """Run `command` in `directory` until the block ends."""
    directory.mkdir(parents=True, exist_ok=True)
    log_file = directory / f"{name}.log"
    with log_file.open("ab") as log:
        popen = subprocess.Popen(
            command,
            cwd=directory,
            env=clean_environment(**(environment or {})),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process = Process(name, url, log_file, popen)
    try:
        yield process
    finally:
        process.stop(patience)


def server_command(server: ServerName, app: str, port: int) -> list[str]:
    """How each server is started on loopback with an app from the examples."""
    binary = BINARIES / server
    if not binary.exists():
        missing(server)
    address = f"127.0.0.1:{port}"
    match server:
        case "uvicorn":
            arguments = ["--host=127.0.0.1", f"--port={port}", f"--app-dir={EXAMPLES}", "--no-server-header", app]
        case "hypercorn":
            arguments = ["--bind", address, "--access-logfile=-", "--error-logfile=-", app]
        case "gunicorn":
            arguments = ["--workers=2", "--preload", "--bind", address, "--access-logfile=-", app]
    return [str(binary), *arguments]


@contextmanager
def serving(
    app: str, directory: Path, *, server: ServerName, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """Serve an app of the examples or of the tests (`module:name`). Its sso.toml and database lie in `directory`."""
    url = f"http://127.0.0.1:{port}"
    path = os.pathsep.join((str(EXAMPLES), str(ROOT)))
    environment = {"PYTHONPATH": path, "APP_SECRET_KEY": secrets.token_urlsafe(48), **(environment or {})}
    command = server_command(server, app, port)
    with running(server, command, url=url, directory=directory, environment=environment) as process:
        process.wait_until_answers()
        yield process


# Settings


@dataclass(frozen=True)
class ConnectionSettings:
    """One `[[connections]]` table. The identity provider comes from `metadata_file`."""

    id: str
    metadata_file: Path
    domains: tuple[str, ...]
    excluded_users: tuple[str, ...] = ()
    idp_initiated: Literal["restart", "accept", "off"] = "restart"
    signed: Literal["either", "assertion", "response", "both"] = "either"
    encryption: Literal["off", "optional", "required"] = "off"
    durations: Mapping[str, str] = field(default_factory=dict)
    """Such as {"soft_timeout": "15m"}."""


def write_settings(
    directory: Path,
    *,
    base_url: str,
    connections: Sequence[ConnectionSettings],
    mode: str = "everyone",
    tables: str = "",  # further ones, as TOML
) -> Path:
    """Write the sso.toml of an example: only /report is protected."""
    lines = [
        f"base_url = {json.dumps(base_url)}",
        f"secret_keys = [{json.dumps(secrets.token_urlsafe(48))}]",
        'database_url = "sqlite:///sso.db"',
        f"mode = {json.dumps(mode)}",
        'protect = ["/report"]',
    ]
    for connection in connections:
        lines += [
            "",
            "[[connections]]",
            f"id = {json.dumps(connection.id)}",
            f"organization = {json.dumps(connection.id.title() + ' Inc')}",
            f"metadata_file = {json.dumps(str(connection.metadata_file))}",
            f"domains = {json.dumps(connection.domains)}",
            f"excluded_users = {json.dumps(connection.excluded_users)}",
            f"idp_initiated = {json.dumps(connection.idp_initiated)}",
            f"signed = {json.dumps(connection.signed)}",
            f"encryption = {json.dumps(connection.encryption)}",
            *(f"{name} = {json.dumps(value)}" for name, value in connection.durations.items()),
        ]
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "sso.toml"
    path.write_text("\n".join([*lines, tables]) + "\n")
    return path


# SimpleSAMLphp


@dataclass(frozen=True)
class SimpleSamlPhp:
    """A running SimpleSAMLphp. It reads its service providers anew at each request."""

    url: str
    home: Path
    script: Path
    environment: Mapping[str, str] = field(repr=False, hash=False)

    @property
    def metadata_file(self) -> Path:
        return self.home / "idp-metadata.xml"

    @property
    def entity_id(self) -> str:
        return f"{self.url}/simplesaml/saml2/idp/metadata.php"

    def add_service_provider(
        self,
        name: str,
        metadata: str,
        *,
        sign_response: bool = True,
        sign_assertion: bool = True,
        verify_requests: bool = True,
        encrypt_assertion: bool = False,
        encrypt_name_id: bool = False,
    ) -> None:
        """Trust this service provider from now on, and sign and encrypt so for it."""
        path = self.home / "sps" / f"{name}.xml"
        overrides = {
            "saml20.sign.response": sign_response,
            "saml20.sign.assertion": sign_assertion,
            "validate.authnrequest": verify_requests,
            "validate.logout": verify_requests,
            "assertion.encryption": encrypt_assertion,
            "nameid.encryption": encrypt_name_id,
        }
        path.with_name(f"{name}.xml.json").write_text(json.dumps(overrides))
        path.write_text(metadata)

    def stop(self) -> None:
        """Nobody can reach it any more."""
        _run(self.script, "stop", self.environment)

    def start(self) -> None:
        """Again, with its keys and its service providers; its people are those of its script."""
        _run(self.script, "start", self.environment)

    def sign_out_url(self, return_to: str) -> str:
        query = httpx.QueryParams({"ReturnTo": return_to})
        return f"{self.url}/simplesaml/saml2/idp/SingleLogoutService.php?{query}"

    def idp_initiated_url(self, service_provider: str, relay_state: str = "") -> str:
        query = httpx.QueryParams({"spentityid": service_provider, "RelayState": relay_state})
        return f"{self.url}/simplesaml/saml2/idp/SSOService.php?{query}"


@contextmanager
def running_simplesamlphp(home: Path, **settings: str) -> Iterator[SimpleSamlPhp]:
    """On `localhost`, where our apps are on 127.0.0.1: browsers hold the two for different sites.

    `settings` are variables of its script.
    """
    script = shared_directory() / "idps" / "simplesamlphp.sh"
    if not Path("/usr/share/simplesamlphp").is_dir() or shutil.which("php") is None:
        missing("SimpleSAMLphp")
    port = free_port()
    environment = clean_environment(IDP_HOME=str(home), IDP_HOST="localhost", IDP_PORT=str(port), **settings)
    with ExitStack() as stack:
        stack.callback(_run_script, script, "stop", environment)
        _run(script, "start", environment)
        yield SimpleSamlPhp(f"http://localhost:{port}", home, script, environment)


def _run(script: Path, action: str, environment: Mapping[str, str]) -> None:
    """Do this with it, or fail with what it said."""
    started = _run_script(script, action, environment)
    if started.returncode:
        pytest.fail(f"{script.stem} did not {action}:\n{started.stdout[-4000:]}")


def _run_script(script: Path, action: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Its output goes to a file: the server that it leaves behind would hold a pipe open."""
    log_file = Path(environment["IDP_HOME"]).with_suffix(".log")
    with log_file.open("w") as log:
        done = subprocess.run(
            [script, action],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
    return subprocess.CompletedProcess(done.args, done.returncode, stdout=log_file.read_text(errors="replace"))


@pytest.fixture(scope="session")
def simplesamlphp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleSamlPhp]:
    """One for all tests of a worker; each adds its own service provider."""
    with running_simplesamlphp(tmp_path_factory.mktemp("simplesamlphp")) as identity_provider:
        yield identity_provider


# samlp


@dataclass(frozen=True)
class Samlp:
    """A running identity provider on Auth0's library. It reads its service providers anew at each request."""

    url: str
    home: Path
    script: Path
    environment: Mapping[str, str] = field(repr=False, hash=False)

    @property
    def metadata_file(self) -> Path:
        return self.home / "idp-metadata.xml"

    def add_service_provider(self, name: str, metadata: str) -> None:
        (self.home / "sps" / f"{name}.xml").write_text(metadata)

    def restart(self, **settings: str) -> None:
        """With these variables of its script; its keys, its address and its service providers stay."""
        _run(self.script, "restart", {**self.environment, **settings})


@contextmanager
def running_samlp(home: Path, **settings: str) -> Iterator[Samlp]:
    """On `localhost`, as SimpleSAMLphp is. `settings` are variables of its script."""
    script = shared_directory() / "idps" / "samlp.sh"
    modules = Path(os.environ.get("NODE_DIR") or Path(tempfile.gettempdir()) / "sso-idps" / "node-samlp")
    if shutil.which("node") is None or not (modules / "node_modules" / "samlp").is_dir():
        missing("samlp (scripts/install-test-servers installs it)")
    port = free_port()
    environment = clean_environment(
        IDP_HOME=str(home), IDP_HOST="localhost", IDP_PORT=str(port), NODE_DIR=str(modules), **settings
    )
    with ExitStack() as stack:
        stack.callback(_run_script, script, "stop", environment)
        _run(script, "start", environment)
        yield Samlp(f"http://localhost:{port}", home, script, environment)
