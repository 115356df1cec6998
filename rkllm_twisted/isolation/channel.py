"""The daemon's end of the connection to a child, and how the child ended."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections import deque
from collections.abc import Sequence

import attrs

from rkllm_twisted.abi.image import Buffer
from rkllm_twisted.errors import RuntimeCrashed
from rkllm_twisted.isolation.frames import BadFrame
from rkllm_twisted.isolation.host_reader import HostReader, Received
from rkllm_twisted.isolation.marks import CallMarks
from rkllm_twisted.isolation.output import reason_in

#: What the daemon kills a child for: (how it failed), as the rest of a sentence.
SILENT = "stopped answering and was killed"
GARBLED = "sent bytes that are no message, and was killed"
DISCONNECTED = "closed its connection and was killed"
#: Bytes of one read, always into the same buffer: new ones leave holes in C's heap.
READ_BYTES = 2**20


@attrs.frozen
class ChildExit:
    """The end of a child.

    :param signal: the number of the signal that killed it, or None.
    :param exit_code: its exit code, or None.
    :param lines: the last lines that the runtime printed during the last call, or before the first.
    :param fault: what the daemon killed it for, as the rest of a sentence; None: it did not.
    :param call: the number of the last call that the child had begun; 0: it had not begun any.
    """

    signal: int | None
    exit_code: int | None
    lines: tuple[str, ...]
    fault: str | None = None
    call: int = 0

    def reason(self) -> str:
        """Return how it ended, as the rest of a sentence."""
        if self.fault is not None:
            return self.fault
        if self.signal is not None:
            return f"was killed by {signal.Signals(self.signal).name}"
        return f"exited with code {self.exit_code}"

    def error(self, call: int = 0) -> RuntimeCrashed:
        """Return the error for the client that had a call under way.

        :param call: its number. The lines of another call are another client's.
        """
        how = {"signal": self.signal} if self.signal is not None else {"exit_code": self.exit_code}
        lines = self.lines if self.call in (0, call) else ()
        reason = reason_in(lines)
        why = f" ({reason})" if reason else ""
        return RuntimeCrashed(
            f"The runtime's process {self.reason()}{why}; load the model again with rkllm.init.",
            {**how, "lines": list(lines)},
        )


class Channel:
    """The daemon's end of the connection to one child.

    Only the NPU thread sends calls and receives: that blocks. Any thread may send signals, which
    never waits.

    :param structure_bytes: the size of an RKLLMResult.
    :ivar exit: the :class:`ChildExit`, once the child has ended.
    :ivar succeeded: True once a call of the child has succeeded.
    :ivar marks: those of the child's calls.
    :ivar fault: what the child must be killed for, see :class:`ChildExit`.
    """

    def __init__(self, connection: socket.socket, structure_bytes: int) -> None:
        self.exit: ChildExit | None = None
        self.succeeded = False
        self.marks = CallMarks()
        self.fault: str | None = None
        self._connection = connection
        self._ended = threading.Event()
        self._sending = threading.Lock()
        self._signals: deque[bytes] = deque()
        self._receiving = threading.Lock()
        self._reader = HostReader(structure_bytes)
        self._buffer = memoryview(bytearray(READ_BYTES))

    def send(self, *parts: Buffer, descriptors: Sequence[int] = ()) -> None:
        """Send a call, in parts. If the child has ended, it is lost; :meth:`receive` shows it.

        :param descriptors: sent beside it.
        """
        with self._sending, contextlib.suppress(OSError):
            first, *rest = parts
            if descriptors:
                sent = socket.send_fds(self._connection, [first], list(descriptors))
                first = memoryview(first)[sent:]
            self._connection.sendall(first)
            for part in rest:
                self._connection.sendall(part)
        self._send_signals()

    def signal(self, frame: bytes) -> None:
        """Send an abort or a pause without waiting; it follows a call that is being sent."""
        if frame not in self._signals:
            self._signals.append(frame)
        self._send_signals()

    def _send_signals(self, flags: int = socket.MSG_DONTWAIT) -> None:
        # The thread that has the lock looks again when it has let go.
        while self._signals and self._sending.acquire(blocking=False):
            try:
                has_room = self._have_gone(flags)
            finally:
                self._sending.release()
            if not has_room:
                threading.Thread(target=self._send_signals, args=(0,), daemon=True).start()
                return

    def _have_gone(self, flags: int) -> bool:
        """Send the signals; False: there is no room. So few bytes go whole or not at all."""
        try:
            while self._signals:
                self._connection.send(self._signals[0], flags)
                self._signals.popleft()
        except BlockingIOError:
            return False
        except OSError:  # the child has ended
            self._signals.clear()
        return True

    def receive(self) -> list[Received]:
        """Wait for frames, and return those that one read brings.

        :returns: none if the connection has ended, or brought what is no frame: then :attr:`fault`
            is set. The library may write to any descriptor of the child.
        """
        received: list[Received] = []
        while not received:
            with self._receiving:
                try:
                    size = self._connection.recv_into(self._buffer)
                except OSError:
                    size = 0
            if not size:
                return []
            try:
                received = self._reader.feed(self._buffer[:size])
            except BadFrame:
                self.fault = GARBLED
                return []
        return received

    def close(self) -> None:
        """Shut the connection down, which makes the child exit."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def set_exit(self, child_exit: ChildExit) -> None:
        """Record how the child ended, and close the connection."""
        self.exit = child_exit
        self.close()  # wakes a thread that sends or receives
        with self._sending, self._receiving:
            self._connection.close()
            # Now, not at the next garbage collection: it is a megabyte for each child.
            self._buffer = memoryview(bytearray())
        self._ended.set()

    def wait(self, seconds: float) -> ChildExit | None:
        """Wait for the exit of the child; None if it has not ended after so many seconds."""
        self._ended.wait(seconds)
        return self.exit
