"""A socket that is read and written at once, and that Ctrl-C leaves in order.

A client that only writes while it has something to write, and only reads then, waits for ever on a
daemon that does the same. And an exception that comes between reading bytes and taking them in
would lose them, and with them every message that follows.
"""

from __future__ import annotations

import math
import select
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rkllm_twisted.client_core.address import PATIENCE, checked_path, connect_error

#: Bytes of one read.
READ = 2**18


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block.

    Only the main thread is ever interrupted; in others this does nothing.
    """
    held: list[tuple[int, FrameType | None]] = []

    def hold(number: int, frame: FrameType | None) -> None:
        held.append((number, frame))

    before = signal.getsignal(signal.SIGINT)
    try:
        mine = callable(before) and signal.signal(signal.SIGINT, hold) is not None
    except ValueError:  # not the main thread
        mine = False
    try:
        yield
    finally:
        if mine:
            signal.signal(signal.SIGINT, before)
        if held and callable(before):
            before(*held[0])


class UNIXSocket:
    """A connection to a UNIX socket.

    :param path: of the socket.
    :param take: called with what was read; with nothing when the other end has closed.
    :raises Unreachable: it cannot be connected to.
    """

    def __init__(self, path: str, take: Callable[[bytes], None]) -> None:
        checked_path(path)
        self._take = take
        self._outgoing = bytearray()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            # A full backlog would refuse a socket that does not block at once.
            seconds, fraction = divmod(PATIENCE, 1)
            limit = struct.pack("ll", int(seconds), int(1e6 * fraction))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            self._socket.connect(path)
            self._socket.setblocking(False)
        except OSError as error:
            self._socket.close()
            raise connect_error(path, error.errno, error.strerror or str(error)) from None
        except BaseException:
            self._socket.close()
            raise

    def put(self, data: bytes) -> None:
        """Send as much as can be sent now, and the rest with the next turns."""
        with without_interrupts():
            self._outgoing += data
            if self._outgoing and self._socket.fileno() >= 0:
                self._write()

    def turn(self, seconds: float) -> bool:
        """Wait until something can be read or written, and do it.

        :param seconds: to wait at most.
        :returns: whether anything was.
        """
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._outgoing else 0))
        if not poll.poll(None if seconds == math.inf else math.ceil(max(0, seconds) * 1000)):
            return False
        with without_interrupts():
            if self._outgoing:
                self._write()
            self._read()
        return True

    def close(self) -> None:
        """Close it."""
        self._outgoing.clear()
        self._socket.close()

    def _write(self) -> None:
        try:
            sent = self._socket.send(self._outgoing)
        except BlockingIOError:
            return
        except OSError:  # the other end has closed; what it said before is still to be read
            sent = len(self._outgoing)
        del self._outgoing[:sent]

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._take(data)
