"""Serve the dev IdP on 127.0.0.1, until Ctrl-C."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Literal

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from ..errors import ConfigurationError
from .app import make_app
from .identity_provider import DevIdP

ADDRESS = "127.0.0.1"
HostName = Literal["localhost", "127.0.0.1"]
"""What the browser sees. An app on the other of the two makes the way between them cross-site, as in the field."""


class _Quiet(WSGIRequestHandler):
    """Request lines carry whole messages: they are not for a terminal."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def serve(
    *,
    port: int,  # 0 for any that is free
    make: Callable[[str], DevIdP],  # called once, with the base_url that it has
    ready: Callable[[DevIdP], None],  # called once, when it listens: to print addresses, to write metadata
    host: HostName = "localhost",
) -> None:
    """Serve until Ctrl-C (KeyboardInterrupt), which ends it quietly. Raises ConfigurationError for a taken port."""
    listener = listen(port)
    idp = make(f"http://{host}:{listener.getsockname()[1]}")
    server = make_idp_server(idp, listener)
    try:
        ready(idp)
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def listen(port: int) -> socket.socket:
    """A listening socket on loopback. Raises ConfigurationError, in words, if the port can't be had."""
    if port not in range(65536):
        raise ConfigurationError(f"there is no port {port}: ports go up to 65535")
    try:
        return socket.create_server((ADDRESS, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"port {port} is taken: stop what listens there, or choose another port for the dev IdP"
            ) from error
        raise ConfigurationError(f"the dev IdP can't listen on port {port}: {error.strerror}") from error


def make_idp_server(idp: DevIdP, listener: socket.socket) -> BaseWSGIServer:
    """A threaded server on this socket, which it takes over; `serve_forever`, `shutdown` and `server_close` it."""
    try:
        return make_server(
            ADDRESS,
            listener.getsockname()[1],
            make_app(idp),
            threaded=True,
            request_handler=_Quiet,
            fd=listener.fileno(),
        )
    finally:
        listener.close()  # werkzeug has duplicated it
