"""A child process from the daemon's side: its start, its output, its heartbeat, its end.

The NPU thread talks to the child over a :class:`Channel`; the reactor reads its lines and its
heartbeat.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from rkllm_twisted.abi.image import Buffer
from rkllm_twisted.errors import RuntimeCrashed
from rkllm_twisted.isolation.config import CONNECTION_FD, HEARTBEAT_FD, ChildConfig
from rkllm_twisted.isolation.frames import BadFrame
from rkllm_twisted.isolation.heartbeat import Heartbeat
from rkllm_twisted.isolation.host_reader import HostReader, Received
from rkllm_twisted.isolation.marks import CallMarks
from rkllm_twisted.isolation.output import ChildOutput, reason_in

#: The time to read what a child printed before its end. A process that the library has started may
#: hold the pipes open for longer.
LAST_OUTPUT_S = 0.05
#: The number of the last lines that go with the error of a crash.
MAX_CRASH_LINES = 20
#: What the daemon kills a child for: (how it failed), as the rest of a sentence.
SILENT = "stopped answering and was killed"
GARBLED = "sent bytes that are no message, and was killed"
DISCONNECTED = "closed its connection and was killed"
#: Bytes of one read, always into the same buffer: new ones leave holes in C's heap.
READ_BYTES = 2**20
#: The most descriptors that starting a child takes at the same time.
SPAWN_DESCRIPTORS = 12


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
    """The daemon's end of the connection to one child. It blocks.

    Only the NPU thread receives; any thread may send.

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
        self._receiving = threading.Lock()
        self._reader = HostReader(structure_bytes)
        self._buffer = memoryview(bytearray(READ_BYTES))

    def send(self, *parts: Buffer, descriptors: Sequence[int] = ()) -> None:
        """Send a frame, in parts. If the child has ended, it is lost; :meth:`receive` shows it.

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


class ChildProcess(ProcessProtocol):
    """One child as the reactor sees it.

    :param ended: called once, when the child has ended and its output has been read.
    """

    def __init__(self, reactor: Any, ended: Callable[[ChildProcess], None]) -> None:
        self._reactor = reactor
        self._ended = ended
        self._reads = 0
        self.started: float = reactor.seconds()
        self.expected = False
        self._heartbeat = Heartbeat(reactor, self._read_heartbeats, self._on_silence)
        self._close_timer: IDelayedCall | None = None

    def start(self, config: ChildConfig) -> None:
        """Start the process. It has the descriptors 0 to 4 and no other of the daemon's.

        :raises OSError: it cannot be started; nothing is left open.
        """
        try:
            check_free_descriptors(SPAWN_DESCRIPTORS)
            ours, theirs = socket.socketpair()
        except OSError:
            self._heartbeat.stop()
            raise
        nothing = os.open(os.devnull, os.O_RDONLY)
        self.channel = Channel(ours, config.offsets.size)
        self._output = ChildOutput(self.channel.marks)
        try:
            command = config.command()
            self._reactor.spawnProcess(
                self,
                command[0],
                command,
                env=config.environment(os.environ),
                childFDs={
                    0: nothing,
                    1: "r",
                    2: "r",
                    CONNECTION_FD: theirs.fileno(),
                    HEARTBEAT_FD: "r",
                },
            )
        except OSError:
            self._heartbeat.stop()
            ours.close()
            raise
        finally:
            os.close(nothing)
            theirs.close()

    def retire(self) -> None:
        """Make it exit; this is not a crash."""
        self.expected = True
        self.channel.close()

    def kill(self) -> None:
        """Kill the child, whatever it does."""
        with contextlib.suppress(ProcessExitedAlready):
            assert self.transport is not None
            self.transport.signalProcess("KILL")

    def is_alive(self) -> bool:
        """True if its last heartbeat is recent, or its first one is not due yet."""
        return self._heartbeat.is_alive()

    def lines_of(self, call: int) -> tuple[str, ...]:
        """Return the last lines that were printed during a call, also if they are still unread."""
        self._read_pipes(1, 2)
        return self._output.lines_of(call)

    def _read_heartbeats(self) -> None:
        self._read_pipes(HEARTBEAT_FD)

    def _read_pipes(self, *numbers: int) -> None:
        """Read what pipes hold, now and not when the reactor comes to them."""
        transport: Any = self.transport
        pipes = {} if transport is None else transport.pipes
        for number in numbers:
            reads = -1
            while reads != self._reads and number in pipes:
                reads = self._reads
                pipes[number].doRead()

    def _on_silence(self) -> None:
        self.channel.fault = SILENT
        self.kill()

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N803 - Twisted's name
        """Take a heartbeat, or what the runtime prints: log lines, never messages."""
        self._reads += 1
        if childFD == HEARTBEAT_FD:
            self._heartbeat.beat()
        else:
            self._output.feed(childFD, data)

    def processExited(self, reason: Failure) -> None:
        """Stop the timer. The pipes may stay open in a process that the child has started."""
        self._heartbeat.stop()
        self._close_timer = self._reactor.callLater(LAST_OUTPUT_S, self._close_pipes)

    def _close_pipes(self) -> None:
        assert self.transport is not None
        for number in (1, 2, HEARTBEAT_FD):
            self.transport.closeChildFD(number)

    def processEnded(self, reason: Failure) -> None:
        """Record the end, now that all output has been read."""
        self._output.finish()
        self._heartbeat.stop()
        if self._close_timer is not None and self._close_timer.active():
            self._close_timer.cancel()
        value: Any = reason.value
        call = self._output.call
        lines = self._output.lines_of(call)[-MAX_CRASH_LINES:]
        child_exit = ChildExit(value.signal, value.exitCode, lines, self.channel.fault, call)
        self.channel.set_exit(child_exit)
        self._ended(self)


def check_free_descriptors(number: int) -> None:
    """Check that so many descriptors can be opened: starting a process must not fail half way.

    :raises OSError: they cannot.
    """
    opened: list[int] = []
    try:
        # What was opened before one fails is in the list.
        opened.extend(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(number))
    finally:
        for descriptor in opened:
            os.close(descriptor)
