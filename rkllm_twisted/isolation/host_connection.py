"""The Python host's end of the connection to the daemon.

A hostile library shares its descriptor: what can be waited for is waited for, and no frame follows
a part of another.
"""

from __future__ import annotations

import array
import contextlib
import errno
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from rkllm_twisted.isolation.frames import BadFrame

#: Bytes of one read, always into the same buffer.
READ_BYTES = 2**20
#: The most descriptors of one call; SCM_MAX_FD of the kernel.
MAX_DESCRIPTORS = 253
#: Until the kernel may have memory again; poll(2) does not wait for that.
MEMORY_RETRY_S = 0.001
_HAS_ENDED = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)
_NO_MEMORY = (errno.ENOBUFS, errno.ENOMEM)


class HostConnection:
    """Sends and receives whole.

    :param number: of its descriptor.
    :param fail: ends the process with one sentence.
    """

    def __init__(self, number: int, fail: Callable[[str], NoReturn]) -> None:
        self._socket = socket.socket(fileno=number)
        self._fail = fail
        self._sending = threading.Lock()
        self._has_ended = False
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._room = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
        self._arrived: list[int] = []
        self._is_truncated = False

    def send(self, data: bytes) -> None:
        """Send bytes, whole. When the connection has ended they are lost: the reader sees that."""
        with self._sending:
            sent = self._send_some(data)
            while sent < len(data):
                data = data[sent:]
                sent = self._send_some(data)

    def _send_some(self, data: bytes) -> int:
        if self._has_ended:
            return len(data)
        try:
            return self._socket.send(data)
        except OSError as error:
            self._await(error, select.POLLOUT)
            return 0

    def receive(self) -> memoryview:
        """Wait for bytes; none: the connection has ended. They are valid until the next call."""
        while not self._has_ended:
            try:
                size, ancillary, flags, _ = self._socket.recvmsg_into(
                    [self._buffer], self._room, socket.MSG_CMSG_CLOEXEC
                )
            except OSError as error:
                self._await(error, select.POLLIN)
                continue
            self._is_truncated = self._is_truncated or bool(flags & socket.MSG_CTRUNC)
            for _, _, numbers in ancillary:
                whole = len(numbers) - len(numbers) % array.array("i").itemsize
                self._arrived += array.array("i", numbers[:whole])
            return self._buffer[:size]
        return self._buffer[:0]

    def descriptors(self, count: int) -> tuple[int, ...]:
        """Return those that came beside a call: fewer if the kernel had no room for them.

        :raises BadFrame: fewer were sent.
        """
        taken = tuple(self._arrived[:count])
        del self._arrived[:count]
        if len(taken) < count and not self._is_truncated:
            raise BadFrame(f"{len(taken)} descriptors, not {count}")
        return taken

    def _await(self, error: OSError, event: int) -> None:
        """Wait until what has failed may succeed, or record that the connection has ended."""
        if isinstance(error, BlockingIOError):
            # The library has made the descriptor non-blocking; its own child may share it.
            poll = select.poll()
            poll.register(self._socket, event)
            with contextlib.suppress(OSError):
                poll.poll()
        elif error.errno in _NO_MEMORY:
            time.sleep(MEMORY_RETRY_S)
        elif error.errno in _HAS_ENDED:
            self._has_ended = True
        else:  # the library has closed the descriptor
            self._fail(f"the connection to the daemon has failed: {error.strerror}")
