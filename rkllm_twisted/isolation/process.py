"""A child process from the daemon's side: its start, its output, its heartbeat, its end.

The NPU thread talks to the child over a :class:`Channel`; the reactor reads its lines and its
heartbeat.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from rkllm_twisted.errors import RuntimeCrashed
from rkllm_twisted.isolation import messages
from rkllm_twisted.isolation.child import (
    DESCRIPTOR,
    HEARTBEAT_FD,
    MAX_MESSAGE_BYTES,
    READ_BYTES,
    ChildConfig,
)
from rkllm_twisted.wire.framing import Netstrings, netstring

#: The number of the runtime's last lines that go with the error of a crash.
LAST_LINES = 20
#: A longer line of the runtime is cut: it must not fill the daemon's memory or log.
MAX_LINE_BYTES = 4096
#: A child without a heartbeat for this time has stopped and is killed.
HEARTBEAT_TIMEOUT_S = 10.0
#: The time to the first heartbeat: at boot, Python and the library are read from a slow card.
START_TIMEOUT_S = 60.0
#: A child counts as alive for this time after a heartbeat.
ALIVE_S = 5.0
#: The time to read what a child printed before its end. A process that the library has started may
#: hold the pipes open for longer.
LAST_OUTPUT_S = 0.05


@attrs.frozen
class ChildExit:
    """How a child ended.

    :param signal: the number of the signal that killed it, or None.
    :param exit_code: its exit code, or None.
    :param lines: the last lines that the runtime printed.
    :param silent: True if the daemon killed it because its heartbeat had stopped.
    """

    signal: int | None
    exit_code: int | None
    lines: tuple[str, ...]
    silent: bool = False

    def reason(self) -> str:
        """Return how it ended, as the rest of a sentence."""
        if self.silent:
            return "stopped answering and was killed"
        if self.signal is not None:
            return f"was killed by {signal.Signals(self.signal).name}"
        return f"exited with code {self.exit_code}"

    def error(self) -> RuntimeCrashed:
        """Return the error for the clients that had a call under way."""
        how = {"signal": self.signal} if self.signal is not None else {"exit_code": self.exit_code}
        return RuntimeCrashed(
            f"The runtime's process {self.reason()}; load the model again with rkllm.init.",
            {**how, "lines": list(self.lines)},
        )


class Channel:
    """The daemon's end of the connection to one child. It blocks.

    Only the NPU thread receives; any thread may send.

    :ivar exit: the :class:`ChildExit`, once the child has ended.
    :ivar succeeded: True once a call of the child has succeeded.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.exit: ChildExit | None = None
        self.succeeded = False
        self._connection = connection
        self._ended = threading.Event()
        self._sending = threading.Lock()
        self._receiving = threading.Lock()
        self._frames = Netstrings(MAX_MESSAGE_BYTES)
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._received: deque[bytes] = deque()

    def send(self, message: messages.ToChild) -> None:
        """Send a message. If the child has ended, the message is lost; :meth:`receive` shows it."""
        data = netstring(messages.pack(message))
        with self._sending, contextlib.suppress(OSError):
            self._connection.sendall(data)

    def receive(self) -> messages.FromChild | None:
        """Wait for a message. None: the child has ended."""
        while not self._received:
            with self._receiving:
                try:
                    size = self._connection.recv_into(self._buffer)
                except OSError:
                    size = 0
            if not size:
                return None
            self._received.extend(self._frames.feed(bytes(self._buffer[:size])))
        return messages.from_child(self._received.popleft())

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

    def wait(self, seconds: float) -> ChildExit:
        """Wait for the exit of the child, at most so many seconds."""
        self._ended.wait(seconds)
        return self.exit or ChildExit(None, None, ())


class _LineSplitter:
    """Splits the bytes of one stream into lines."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take bytes that were read."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:MAX_LINE_BYTES]
        for line in lines:
            self._take(line[:MAX_LINE_BYTES].decode("utf-8", "replace").rstrip("\r"))

    def finish(self) -> None:
        """Take the end of the stream: the rest is a line, too."""
        if self._rest:
            self.feed(b"\n")


class ChildProcess(ProcessProtocol):
    """One child as the reactor sees it.

    :param ended: called once, when the child has ended and its output has been read.
    """

    log = Logger()

    def __init__(self, reactor: Any, ended: Callable[[ChildProcess], None]) -> None:
        self._reactor = reactor
        self._ended = ended
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._streams = {number: _LineSplitter(self._take_line) for number in (1, 2)}
        self._silent = False
        self.started: float = reactor.seconds()
        self._last_heartbeat: float | None = None
        self.expected = False
        self._timer: IDelayedCall = reactor.callLater(START_TIMEOUT_S, self._on_heartbeat_timeout)

    def start(self, config: ChildConfig) -> None:
        """Start the process. It has the descriptors 0 to 4 and no other of the daemon's."""
        ours, theirs = socket.socketpair()
        nothing = os.open(os.devnull, os.O_RDONLY)
        self.channel = Channel(ours)
        try:
            self._reactor.spawnProcess(
                self,
                sys.executable,
                [sys.executable, "-m", "rkllm_twisted.isolation.child", config.to_argument()],
                # twistd may have put its working directory on our path.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                childFDs={
                    0: nothing,
                    1: "r",
                    2: "r",
                    DESCRIPTOR: theirs.fileno(),
                    HEARTBEAT_FD: "r",
                },
            )
        finally:
            os.close(nothing)
            theirs.close()

    def retire(self) -> None:
        """Make it exit; this is not a crash."""
        self.expected = True
        self.channel.close()

    def kill(self) -> None:
        """Kill it, whatever it does."""
        with contextlib.suppress(ProcessExitedAlready):
            assert self.transport is not None
            self.transport.signalProcess("KILL")

    def is_alive(self) -> bool:
        """True if its last heartbeat is recent, or its first one is not due yet."""
        if self._last_heartbeat is None:
            limit = self.started + START_TIMEOUT_S
        else:
            limit = self._last_heartbeat + ALIVE_S
        alive: bool = self._reactor.seconds() < limit
        return alive

    def _on_heartbeat_timeout(self) -> None:
        self._silent = True
        self.kill()

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N803 - Twisted's name
        """Take a heartbeat, or what the runtime prints: log lines, never messages."""
        if childFD == HEARTBEAT_FD:
            self._last_heartbeat = self._reactor.seconds()
            self._timer.reset(HEARTBEAT_TIMEOUT_S)
        else:
            self._streams[childFD].feed(data)

    def _take_line(self, line: str) -> None:
        self._lines.append(line)
        self.log.info("runtime: {line}", line=line)

    def processExited(self, reason: Failure) -> None:
        """Stop the timer. The pipes may stay open in a process that the child has started."""
        self._cancel_timer()
        self._timer = self._reactor.callLater(LAST_OUTPUT_S, self._close_pipes)

    def _cancel_timer(self) -> None:
        if self._timer.active():
            self._timer.cancel()

    def _close_pipes(self) -> None:
        assert self.transport is not None
        for number in (1, 2, HEARTBEAT_FD):
            self.transport.closeChildFD(number)

    def processEnded(self, reason: Failure) -> None:
        """Record the end, now that all output has been read."""
        for stream in self._streams.values():
            stream.finish()
        self._cancel_timer()
        value: Any = reason.value
        self.channel.set_exit(
            ChildExit(value.signal, value.exitCode, tuple(self._lines), self._silent)
        )
        self._ended(self)
