"""Tells systemd how the daemon is: sd_notify(3), without the library."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from twisted.logger import Logger

#: What must not be in a value: a line more would be one more assignment.
_CONTROL = dict.fromkeys([*range(32), 127], " ")


class NotifySocket:
    """Where news go. Telling never fails and never waits: the daemon's work is more important.

    :param address: a path, or, after ``@``, a name in the abstract namespace.
    """

    log = Logger()

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def tell(self, news: Mapping[str, str]) -> None:
        """Send assignments, such as ``{"READY": "1"}``."""
        lines = (f"{name}={value.translate(_CONTROL)}" for name, value in news.items())
        try:
            self._socket.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError as error:
            self.log.warn("systemd could not be told {news}: {error}", news=news, error=error)

    def close(self) -> None:
        """There will be no more news."""
        self._socket.close()
