"""A place on the network that an attack names, and that nobody may ever ask."""

from __future__ import annotations

import socket


class Trap:
    """A listener on loopback that nobody may ever call."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"

    def was_called(self) -> bool:
        try:
            connection, _ = self.listener.accept()
        except BlockingIOError:
            return False
        connection.close()
        return True
