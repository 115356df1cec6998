"""The socket that systemd has opened before the daemon was there, and keeps when it is gone."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from zope.interface import implementer

from rkllm_twisted.errors import SocketError
from rkllm_twisted.interfaces import IListeningSocket

WANTED = "rkllm.socket must have one ListenStream= with a path, and no other Listen…="


@implementer(IListeningSocket)
class ActivatedSocket:
    """A socket that somebody else has made, and will listen on again.

    :param descriptor: of it.
    :raises SocketError: it is no listening UNIX stream socket.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        family, kind = self._socket.family, self._socket.type
        listens = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if (family, kind) != (socket.AF_UNIX, socket.SOCK_STREAM) or not listens:
            self._socket.close()
            raise SocketError(f"The descriptor from systemd is no listening UNIX socket: {WANTED}.")

    @property
    def path(self) -> Path:
        """See :class:`IListeningSocket`."""
        return Path(os.fsdecode(self._socket.getsockname()).replace("\0", "@"))

    def open(self) -> socket.socket:
        """See :meth:`IListeningSocket.open`."""
        return self._socket

    def unlink(self) -> None:
        """Leave it: its name is systemd's (systemd.socket(5))."""

    def close(self) -> None:
        """Leave it: whoever connects now waits for the next daemon."""


def activated_socket(descriptors: Sequence[int]) -> ActivatedSocket | None:
    """Adopt the socket that systemd passed, if it did.

    :raises SocketError: there are several, or it is of the wrong kind.
    """
    if len(descriptors) > 1:
        raise SocketError(f"systemd passed {len(descriptors)} sockets: {WANTED}.")
    try:
        return ActivatedSocket(descriptors[0]) if descriptors else None
    except OSError as error:
        raise SocketError(
            f"The descriptor {descriptors[0]} from systemd is no socket ({error.strerror}):"
            f" {WANTED}."
        ) from None
