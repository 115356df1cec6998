"""A child process from the daemon's side: its start, its output, its heartbeat, its end.

The NPU thread talks to the child over a :class:`~rkllm_twisted.isolation.channel.Channel`; the
reactor reads its lines and its heartbeat.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import termios
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from rkllm_twisted.isolation.channel import SILENT, Channel, ChildExit
from rkllm_twisted.isolation.config import CONNECTION_FD, HEARTBEAT_FD, ChildConfig
from rkllm_twisted.isolation.heartbeat import Heartbeat
from rkllm_twisted.isolation.output import ChildOutput

#: The time to read what a child printed before its end. A process that the library has started may
#: hold the pipes open for longer.
LAST_OUTPUT_S = 0.05
#: The number of the last lines that go with the error of a crash.
MAX_CRASH_LINES = 20
#: The most descriptors that starting a child takes at the same time.
SPAWN_DESCRIPTORS = 12


class ChildProcess(ProcessProtocol):
    """One child as the reactor sees it.

    :param ended: called once, when the child has ended and its output has been read.
    """

    def __init__(self, reactor: Any, ended: Callable[[ChildProcess], None]) -> None:
        self._reactor = reactor
        self._ended = ended
        self._bytes_read = 0
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
        """Read what pipes hold, now and not when the reactor comes to them.

        What comes meanwhile waits: a library may print without a pause.
        """
        transport: Any = self.transport
        pipes = {} if transport is None else transport.pipes
        for number in numbers:
            left = _unread_in(pipes[number]) if number in pipes else 0
            until, before = self._bytes_read + left, -1
            while before < self._bytes_read < until and number in pipes:
                before = self._bytes_read
                pipes[number].doRead()

    def _on_silence(self) -> None:
        self.channel.fault = SILENT
        self.kill()

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N803 - Twisted's name
        """Take a heartbeat, or what the runtime prints: log lines, never messages."""
        self._bytes_read += len(data)
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


def _unread_in(pipe: Any) -> int:
    """Return how many bytes a pipe holds."""
    size = fcntl.ioctl(pipe.fileno(), termios.FIONREAD, bytes(4))
    return int.from_bytes(size, sys.byteorder)


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
