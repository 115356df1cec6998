"""What the kernel knows of the other end of a UNIX socket: who it is, and whether it is there."""

from __future__ import annotations

import select
import socket
import struct
from typing import Any

from rkllm_twisted.interfaces import Peer

_CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


def peer_of(number: int, transport: Any) -> Peer:
    """Ask who connected. A transport that is no UNIX socket has nobody to name."""
    try:
        raw = transport.getHandle().getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
        )
    except (AttributeError, OSError):
        return Peer(number)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    return Peer(number, pid, uid, gid)


def has_gone(transport: Any) -> bool:
    """Tell a client that is gone from one that only sends no more (``shutdown(SHUT_WR)``).

    Twisted reports both alike to a protocol that can be half closed. For poll(2) on a UNIX socket
    a half-close is POLLRDHUP alone, and POLLHUP means that nobody can read any more; that holds
    with unread input and while reading is paused, too.
    """
    try:
        poll = select.poll()
        poll.register(transport.getHandle(), 0)  # POLLHUP and POLLERR are always reported
        return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        return False
