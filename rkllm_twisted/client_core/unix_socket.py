"""A UNIX socket that reads and writes at the same time, and that Ctrl-C leaves in order.

A client that reads only after it has written everything would deadlock with a daemon that stops
reading from a client that does not read. And an exception between reading bytes and processing
them would lose the bytes, and with them every message that follows.
"""

from __future__ import annotations

import math
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from types import FrameType

from rkllm_twisted.client_core.address import (
    PING_AFTER_S,
    PING_TIMEOUT_S,
    checked_path,
    connect_error,
)

#: The most that one read returns.
READ_BYTES = 2**18


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block.

    In threads other than the main one this does nothing, because Python interrupts only that one.
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

    :param path: the socket's path.
    :param on_data: called with the bytes that were read; with ``b""`` when the other end has
        closed.
    :raises Unreachable: if it cannot be connected to.
    """

    def __init__(self, path: str, on_data: Callable[[bytes], None]) -> None:
        checked_path(path)
        self._on_data = on_data
        self._outgoing = bytearray()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            # Connect while the socket blocks: a full backlog refuses a non-blocking one at once.
            seconds, fraction = divmod(PING_TIMEOUT_S, 1)
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

    def send(self, data: bytes) -> None:
        """Send as much as can be sent now; the next calls of :meth:`poll` send the rest."""
        with without_interrupts():
            self._outgoing += data
            if self._outgoing and self._socket.fileno() >= 0:
                self._write()

    def poll(self, seconds: float) -> bool:
        """Wait until bytes can be read or written, and read or write them.

        :param seconds: the longest wait.
        :returns: False if the time has passed.
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

    def wait_for(self, inbox: Sized, seconds: float, ping: Callable[[], bytes]) -> bool:
        """Read and write until the inbox is not empty, or the time has passed.

        A daemon that sends nothing for a while gets a ping.

        :param inbox: what ``on_data`` fills.
        :param ping: makes a ping.
        :returns: False if the daemon does not even answer a ping.
        """
        now = time.monotonic()
        deadline, ping_at, has_pinged = now + seconds, now + PING_AFTER_S, False
        while not inbox and now < deadline:
            if self.poll(min(deadline, ping_at) - now):
                ping_at, has_pinged = time.monotonic() + PING_AFTER_S, False
            elif (now := time.monotonic()) >= ping_at:
                if has_pinged:
                    return False
                self.send(ping())
                ping_at, has_pinged = now + PING_TIMEOUT_S, True
            now = time.monotonic()
        return True

    def close(self) -> None:
        """Close the socket, and drop what was not sent yet."""
        self._outgoing.clear()
        self._socket.close()

    def _write(self) -> None:
        try:
            sent = self._socket.send(self._outgoing)
        except BlockingIOError:
            return
        except OSError:  # the other end has closed; what it sent before must still be read
            sent = len(self._outgoing)
        del self._outgoing[:sent]

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._on_data(data)
