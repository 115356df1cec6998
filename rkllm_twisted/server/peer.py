"""The kernel's facts of the other end of a UNIX socket: its process, and whether it is there."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import socket
import struct
from typing import Any

from rkllm_twisted.values import Peer

_CREDENTIALS = struct.Struct("iII")  # struct ucred of unix(7): pid, uid, gid
#: The uid for other sockets, such as TCP's: (uid_t) -1.
NOBODY = 2**32 - 1
#: socket(7); since Linux 4.13, and not in Python's socket module.
SO_PEERGROUPS = 59
#: Bytes that the groups of most processes fit into; getsockopt of Python takes no more.
USUAL_GROUPS_BYTES = 1024
#: Bytes of as many groups as a process can be in (NGROUPS_MAX is 65536).
MAX_GROUPS_BYTES = 4 * 65536


def peer_of(number: int, transport: Any) -> Peer:
    """Return the process that connected; only the number if the transport is no UNIX socket."""
    try:
        handle = transport.getHandle()
        raw = handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except (AttributeError, OSError):
        return Peer(number)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    if uid == NOBODY:  # not a UNIX socket
        return Peer(number)
    return Peer(number, pid, uid, gid, tuple(sorted({gid, *_groups_of(handle)})))


def _groups_of(handle: socket.socket) -> tuple[int, ...]:
    """Return the supplementary groups; none if the kernel is too old."""
    raw = b""
    try:
        raw = handle.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, USUAL_GROUPS_BYTES)
    except OSError as error:
        if error.errno == errno.ERANGE:
            with contextlib.suppress(OSError):
                raw = _many_groups(handle)
    return struct.unpack(f"{len(raw) // 4}I", raw)


def _many_groups(handle: socket.socket) -> bytes:
    buffer, length = ctypes.create_string_buffer(MAX_GROUPS_BYTES), ctypes.c_uint(MAX_GROUPS_BYTES)
    c = ctypes.CDLL(None, use_errno=True)
    arguments = (handle.fileno(), socket.SOL_SOCKET, SO_PEERGROUPS, buffer, ctypes.byref(length))
    if c.getsockopt(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return buffer.raw[: length.value]


def has_gone(transport: Any) -> bool:
    """True if a client is gone; False if it only sends no more (``shutdown(SHUT_WR)``).

    Twisted reports both in the same way to a protocol that can be half closed. For poll(2) on a
    UNIX socket a half-close is POLLRDHUP alone, and POLLHUP means that nobody can read any more;
    that holds with unread input and while reading is paused, too.
    """
    try:
        poll = select.poll()
        poll.register(transport.getHandle(), 0)  # POLLHUP and POLLERR are always reported
        return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))
    except (AttributeError, OSError, ValueError):
        return False
