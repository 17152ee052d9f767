"""`demo`: a small app behind `SSOMiddleware`, and an identity provider to sign in at, in one process.

The app is on 127.0.0.1 and the identity provider on localhost, so that they are two sites for a
browser, as they are in the field.
"""

from __future__ import annotations

import fcntl
import shlex
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

import click
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from ..connections import our_side
from ..dev_idp import DevIdP, listen, make_idp_server
from ..errors import ConfigurationError
from ..hooks import Hooks
from ..mail import Mail
from ..settings import Settings
from ..sso import SSO
from ..wsgi import WSGIMiddleware
from .demo_app import demo_app
from .dev_idp import encryption_certificates
from .starting import new_secret_key, write_private

_CONNECTION = "acme"
_FILE = """\
# The settings of `sso-middleware demo`. Yours to play with; delete the directory to begin anew.
base_url = "http://127.0.0.1:8000"       # with the port that the demo is started on
secret_keys = ["{secret_key}"]
database_url = "sqlite:///sso.db"
protect = ["/reports"]

[[connections]]
id = "acme"
organization = "Acme Inc"
domains = ["acme.example"]
admins = ["grace@acme.example"]          # gets recovery access: /sso/recovery-access
metadata_file = "idp.xml"                # the dev IdP has a new key, and writes it anew, at each start
attributes = {{ principal_id = "UserPrincipalId" }}
"""
_READY = """
  Open  {url}

  Sign in as Ada, Grace or Bob of Acme. (Carol is of another organization: see how she is turned away.
  To be somebody else, sign out and sign in again.)
  Grace is an administrator: {url}/sso/recovery-access mails her a way back in. Mail is printed here.
  What is kept is in {data}. What happened: {events}
  Ctrl-C ends it.
"""


class _Quiet(WSGIRequestHandler):
    """The terminal is for people; what happens is in the events."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class _PrintedMail(Hooks):
    """There is no mail server, and nobody to get mail."""

    def send_mail(self, mail: Mail) -> None:
        click.echo(f"\n--- mail to {mail.to}: {mail.subject}\n{mail.text}---\n")


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="The app's port.")
@click.option("--idp-port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="The dev IdP's port.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-data"),
    show_default=True,
    help="Where settings, keys and records of the demo are kept.",
)
def demo(port: int, idp_port: int, data: Path) -> None:
    """See it work: a small app behind single sign-on.

    It comes with an identity provider to sign in at.
    """
    ports = {"--port": port, "--idp-port": idp_port}
    with _listening(ports) as (app_socket, idp_socket), _alone_in(data):
        url = f"http://127.0.0.1:{app_socket.getsockname()[1]}"
        certificates: dict[str, str | None] = {}
        idp = DevIdP(
            lambda: known,
            base_url=f"http://localhost:{idp_socket.getsockname()[1]}",
            encryption_certificate=certificates.get,
        )
        settings = _set_up(data, url, idp)
        known = {our_side(settings, c).entity_id: our_side(settings, c).acs_url for c in settings.connections}
        sso = SSO(settings, _PrintedMail())
        certificates.update(encryption_certificates(sso))
        servers = [_make_server(WSGIMiddleware(demo_app, sso), app_socket), make_idp_server(idp, idp_socket)]
        try:
            with _serving(servers), _until_stopped() as stopped:
                events = shlex.join([_own_command(), "events", "-c", str(data / "sso.toml")])
                click.echo(_READY.format(url=url, data=data, events=events))
                stopped.wait()
        finally:
            sso.site.store.close()
    click.echo("Stopped.")


@contextmanager
def _listening(ports: Mapping[str, int]) -> Iterator[list[socket.socket]]:
    """A socket for each option's port; all that are taken are told at once."""
    listeners: list[socket.socket] = []
    taken: list[str] = []
    with ExitStack() as stack:
        for option, port in ports.items():
            try:
                listeners.append(stack.enter_context(listen(port)))
            except ConfigurationError as error:
                reason = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error.detail
                taken.append(f"Port {port} can't be used ({reason}): choose another one with {option}.")
        if taken:
            others = "--port 8010 --idp-port 8011"
            taken.append(f'Such as: {_own_command()} demo {others}, or make demo DEMO="{others}".')
            raise click.UsageError("\n".join(taken))
        yield listeners


@contextmanager
def _alone_in(data: Path) -> Iterator[None]:
    """Two demos in one directory would write each other's metadata over."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / ".lock").open("w", encoding="utf-8")
    except OSError as error:
        raise _unwritable(data, error) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise click.UsageError(
                f"{data} is in use by another demo. Stop that one, or choose another directory with --data."
            ) from None
        yield


def _own_command() -> str:
    """What to type to call us again: the name if it would find us, else the path that we were started by."""
    started = Path(sys.argv[0])
    if started.name != "sso-middleware" or not started.is_file():
        return "sso-middleware"  # started from Python
    found = shutil.which(started.name)
    return started.name if found and started.samefile(found) else str(started)


def _unwritable(data: Path, error: OSError) -> click.BadParameter:
    return click.BadParameter(f"{data} can't be written to: {error.strerror}", param_hint="--data")


def _set_up(data: Path, url: str, idp: DevIdP) -> Settings:
    config = data / "sso.toml"
    try:
        (data / ".gitignore").write_text("*\n", encoding="utf-8")
        (data / "idp.xml").write_text(idp.metadata(), encoding="utf-8")
        with suppress(FileExistsError):
            write_private(config, _FILE.format(secret_key=new_secret_key()))
    except OSError as error:
        raise _unwritable(data, error) from None
    # Cookies know no ports: a second demo has names of its own.
    return Settings.load(environ={}, config=config, base_url=url, name=f"demo-{url.rpartition(':')[2]}")


def _make_server(app: WSGIMiddleware, listener: socket.socket) -> BaseWSGIServer:
    host, port = listener.getsockname()[:2]
    return make_server(host, port, app, threaded=True, request_handler=_Quiet, fd=listener.fileno())


@contextmanager
def _serving(servers: list[BaseWSGIServer]) -> Iterator[None]:
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()


@contextmanager
def _until_stopped() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set."""
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
