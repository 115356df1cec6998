"""Listeners that are not daemons."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def rogue(path: Path, says: bytes | None) -> Iterator[None]:
    """A listener that sends these bytes to each client and closes; None sends nothing."""
    connections = []
    with socket.socket(socket.AF_UNIX) as port:
        port.bind(str(path))
        port.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = port.accept()
                except OSError:
                    return
                connections.append(connection)
                if says is not None:
                    connection.recv(65536)
                    connection.sendall(says)
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            port.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in connections:
                connection.close()
