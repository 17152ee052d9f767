"""A throw-away PostgreSQL on loopback, that can be stopped, killed and started again.

What it has written is lost by no kill of the server, unless it is asked to hurry; by one of the machine it may be.
"""

from __future__ import annotations

import os
import pwd
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from tests.servers import free_port, missing

from sso_middleware.stores.tables import metadata

USER = "sso"
START_SECONDS = 30


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL server. It runs, unless it was stopped."""

    port: int
    password: str = field(repr=False)
    binaries: Path
    directory: Path
    user: pwd.struct_passwd | None
    """Whom it runs as: PostgreSQL refuses to run as root."""
    hurries: bool
    """Whether a commit waits for nothing: for tests that never kill it."""
    running: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=self.password, dbname=database, autocommit=True
        )

    def create_database(self) -> str:
        """A new database; its name."""
        name = f"t{secrets.token_hex(6)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name

    def empty_tables(self, database: str) -> None:
        with self.connect(database) as connection:
            connection.execute(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY".encode())

    def drop_database(self, name: str) -> None:
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    # The server

    @property
    def log_file(self) -> Path:
        return self.directory / "log"

    def create(self) -> None:
        password_file = self.directory / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o644)
        with self.log_file.open("ab") as log:
            subprocess.run(
                [
                    self.binaries / "initdb",
                    f"--pgdata={self.directory / 'data'}",
                    f"--username={USER}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--no-sync",
                ],
                check=True,
                cwd=self.directory,
                stdout=log,
                stderr=log,
                user=self.user.pw_uid if self.user else None,
                group=self.user.pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
            )

    def start(self) -> None:
        """Returns when it answers."""
        with self.log_file.open("ab") as log:
            server = subprocess.Popen(
                [
                    self.binaries / "postgres",
                    *("-D", self.directory / "data", "-h", "127.0.0.1", "-p", str(self.port), "-k", self.directory),
                    *("-c", "fsync=off", "-c", f"synchronous_commit={'off' if self.hurries else 'on'}"),
                ],
                cwd=self.directory,
                stdout=log,
                stderr=log,
                user=self.user.pw_uid if self.user else None,
                group=self.user.pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
                start_new_session=True,
            )
        self.running.append(server)
        self._wait_until_up(server)

    def stop(self) -> None:
        """PostgreSQL's fast shutdown: clients are cut off."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL, to the server and each of its processes."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        for server in self.running:
            if number == signal.SIGKILL:
                os.killpg(server.pid, number)
            else:
                server.send_signal(number)
            server.wait(START_SECONDS)
        self.running.clear()

    def _wait_until_up(self, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"PostgreSQL did not start:\n{self.log_file.read_text(errors='replace')[-4000:]}")
                time.sleep(0.05)
            else:
                return


@contextmanager
def running_cluster(*, hurries: bool) -> Iterator[Cluster]:
    binaries = _binaries()
    if binaries is None:
        missing("PostgreSQL")
    # Not under pytest's own directory: that is for its user alone, and the server may be another one.
    with tempfile.TemporaryDirectory(prefix="sso-postgres-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
        cluster = Cluster(free_port(), secrets.token_urlsafe(24), binaries, directory, user, hurries)
        cluster.create()
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None
