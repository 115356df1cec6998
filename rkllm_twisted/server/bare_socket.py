"""Writes to a socket at once, for the daemon's clients, the HTTP service's, and their own client.

Uses names private to Twisted. What it adds is speed: a transport of Twisted's asks the kernel first
whether a socket takes more, with two calls of epoll_ctl and a turn of the reactor.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp


def is_bare(transport: object) -> bool:
    """True if what is written goes to a socket as it is.

    A transport of TLS passes for its socket's: it has that one's interfaces and attributes.
    """
    return isinstance(transport, tcp.Connection) and not transport.TLS


def unsent(transport: Any, data: bytes) -> bytes:
    """Send what a bare transport's socket takes now, and return the rest, which is to be written.

    Nothing overtakes what was written before, and nothing is sent on a connection that closes.
    """
    is_behind = transport.dataBuffer or transport._tempDataBuffer
    if is_behind or not transport.connected or transport.disconnecting or transport._aborting:
        return data
    try:
        sent = transport.socket.send(data)
    except OSError:  # nothing now, or never: the reactor finds out
        return data
    return data[sent:]
