"""Serving the dev IdP: on loopback, until Ctrl-C, with a clear word about a port that is taken."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import urllib.request
from datetime import UTC, datetime
from wsgiref.validate import validator

import pytest
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app

from sso_middleware.dev_idp import DevIdP, listen, make_app, make_idp_server, serve
from sso_middleware.errors import ConfigurationError
from sso_middleware.saml.metadata import read_idp_metadata

PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background is started without it
from sso_middleware.dev_idp import DevIdP, serve
serve(
    port=0,
    host="127.0.0.1",
    make=lambda base_url: DevIdP({"urn:sp": "http://localhost:1/acs"}, base_url=base_url),
    ready=lambda idp: print(idp.base_url, flush=True),
)
print("the end")
"""


def test_it_serves_until_ctrl_c_and_says_nothing() -> None:
    """It listens when it says so, answers, and ends without a traceback and without request lines."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{base_url}/metadata", timeout=30) as reply:
            provider = read_idp_metadata(reply.read(), now=datetime.now(UTC))
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()

    assert provider.sso.location == f"{base_url}/sso"
    assert base_url.startswith("http://127.0.0.1:")
    assert output == "the end\n"
    assert errors == ""
    assert process.returncode == 0


def test_it_serves_from_a_thread_beside_the_app() -> None:
    """A demo starts it on any free port, and stops it with `shutdown`."""
    listener = listen(0)
    port = listener.getsockname()[1]
    server = make_idp_server(DevIdP({}, base_url=f"http://localhost:{port}"), listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as reply:
            assert reply.status == 200
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_taken_port_is_told_in_words() -> None:
    """Not a traceback, and before any key is made."""
    with listen(0) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigurationError, match=f"port {port} is taken: stop what listens there, or choose"):
            serve(port=port, make=lambda base_url: DevIdP({}, base_url=base_url), ready=lambda idp: None)


def test_a_port_that_may_not_be_had_is_told_in_words() -> None:
    """Neither is any other trouble with a port a traceback."""
    with pytest.raises(ConfigurationError, match="no port 70000"):
        listen(70_000)


def test_it_listens_on_loopback_only() -> None:
    """Other machines can't reach it at all."""
    with listen(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_it_keeps_to_wsgi() -> None:
    """`wsgiref.validate` has nothing to say about its answers."""
    app = validator(make_app(DevIdP({}, base_url="http://localhost:8765")))

    for path in ("/", "/metadata", "/nothing"):
        environ = EnvironBuilder(path, base_url="http://localhost:8765").get_environ()
        body, _, _ = run_wsgi_app(app, environ, buffered=True)
        assert b"".join(body)
    assert Client(app).get("/", base_url="http://evil.example", buffered=True).status_code == 403
