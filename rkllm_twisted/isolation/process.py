"""The child processes from the daemon's side: their start, their words, their end.

There is always one: as soon as a child has ended, another stands by. Each is a :class:`Channel` for
the NPU thread, which talks to it, and a process for the reactor, which hears its lines and its
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
from rkllm_twisted.isolation.child import DESCRIPTOR, HEART, MAX_LENGTH, READ, ChildConfig
from rkllm_twisted.wire.framing import Netstrings, netstring

#: Of the runtime's last words, so many lines go with the error.
LAST_LINES = 20
#: A longer line of the runtime's is cut: it must not fill the daemon's memory or log.
LONGEST_LINE = 4096
#: Seconds without a heartbeat until the child is taken for stopped.
PATIENCE = 10.0
#: Seconds to read what a child has printed before its end.
LAST_WORDS = 0.05
#: Seconds until the first one: Python and the library are read from a slow card at boot.
STARTING = 60.0
#: A heartbeat is fresh for so many seconds.
FRESH = 5.0
#: A child that ends within so many seconds of its start, without a success, has failed to start;
#: after so many of these in a row no more are started until somebody asks.
YOUNG, TRIES = 60.0, 3
#: Seconds before the second try; each further one waits twice as long.
BACK_OFF = 0.5


@attrs.frozen
class ChildExit:
    """How a child ended.

    :param signal: the number of the signal that killed it, or None.
    :param exit_code: what it exited with, or None.
    :param lines: the last lines that the runtime printed.
    :param silent: was it killed because its heartbeat had stopped?
    """

    signal: int | None
    exit_code: int | None
    lines: tuple[str, ...]
    silent: bool = False

    def reason(self) -> str:
        """In words."""
        if self.silent:
            return "stopped answering and was killed"
        if self.signal is not None:
            return f"was killed by {signal.Signals(self.signal).name}"
        return f"exited with code {self.exit_code}"

    def error(self) -> RuntimeCrashed:
        """What the clients are told whose calls were under way."""
        how = {"signal": self.signal} if self.signal is not None else {"exit_code": self.exit_code}
        return RuntimeCrashed(
            f"The runtime's process {self.reason()}; load the model again with rkllm.init.",
            {**how, "lines": list(self.lines)},
        )


class Channel:
    """The daemon's end of the talk with one child. Blocks: the NPU thread receives, any may send.

    :ivar ending: the :class:`ChildExit`, once the child has ended.
    :ivar succeeded: has the child done any call well?
    """

    def __init__(self, connection: socket.socket) -> None:
        self.ending: ChildExit | None = None
        self.succeeded = False
        self._connection = connection
        self._ended = threading.Event()
        self._sending = threading.Lock()
        self._receiving = threading.Lock()
        self._frames = Netstrings(MAX_LENGTH)
        self._buffer = memoryview(bytearray(READ))
        self._received: deque[bytes] = deque()

    def send(self, message: messages.ToChild) -> None:
        """Send a message; a child that has ended does not get it, and that is told by its end."""
        data = netstring(messages.pack(message))
        with self._sending, contextlib.suppress(OSError):
            self._connection.sendall(data)

    def receive(self) -> messages.FromChild | None:
        """Wait for a message; None: the child has ended."""
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
        """Let the child end: it notices."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def over(self, ending: ChildExit) -> None:
        """Say how the child ended."""
        self.ending = ending
        self.close()  # wakes who sends or receives
        with self._sending, self._receiving:
            self._connection.close()
            # Now, and not when the garbage collector comes by: it is a megabyte for each child.
            self._buffer = memoryview(bytearray())
        self._ended.set()

    def wait(self, seconds: float) -> ChildExit:
        """Wait until it is known how the child ended."""
        self._ended.wait(seconds)
        return self.ending or ChildExit(None, None, ())


class _LineSplitter:
    """Makes lines of the bytes of one stream."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:LONGEST_LINE]
        for line in lines:
            self._take(line[:LONGEST_LINE].decode("utf-8", "replace").rstrip("\r"))

    def finish(self) -> None:
        """The stream is over: what is left is a line, too."""
        if self._rest:
            self.feed(b"\n")


class ChildProcess(ProcessProtocol):
    """One child, as the reactor sees it.

    :param ended: called once, when everything that the child said has been read.
    """

    log = Logger()

    def __init__(self, reactor: Any, ended: Callable[[ChildProcess], None]) -> None:
        self._reactor = reactor
        self._ended = ended
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._words = {number: _LineSplitter(self._said) for number in (1, 2)}
        self._silent = False
        self.started: float = reactor.seconds()
        self._heard: float | None = None
        self.expected = False
        self._alarm: IDelayedCall = reactor.callLater(STARTING, self._stopped)

    def start(self, setup: ChildConfig) -> None:
        """Make the process. It has the descriptors 0 to 4, and none of the daemon's others."""
        ours, theirs = socket.socketpair()
        nothing = os.open(os.devnull, os.O_RDONLY)
        self.link = Channel(ours)
        try:
            self._reactor.spawnProcess(
                self,
                sys.executable,
                [sys.executable, "-m", "rkllm_twisted.isolation.child", setup.to_argument()],
                # twistd may have put its working directory on our path.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                childFDs={0: nothing, 1: "r", 2: "r", DESCRIPTOR: theirs.fileno(), HEART: "r"},
            )
        finally:
            os.close(nothing)
            theirs.close()

    def retire(self) -> None:
        """Let it end; its end is no crash."""
        self.expected = True
        self.link.close()

    def kill(self) -> None:
        """End it now, whatever it does."""
        with contextlib.suppress(ProcessExitedAlready):
            assert self.transport is not None
            self.transport.signalProcess("KILL")

    def is_fresh(self) -> bool:
        """Has it beaten of late, or is it about to? A killed one that does not end has not."""
        limit = self.started + STARTING if self._heard is None else self._heard + FRESH
        fresh: bool = self._reactor.seconds() < limit
        return fresh

    def _stopped(self) -> None:
        self._silent = True
        self.kill()

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N803 - Twisted's name
        """A heartbeat, or the runtime prints: these are log lines, never messages."""
        if childFD == HEART:
            self._heard = self._reactor.seconds()
            self._alarm.reset(PATIENCE)
        else:
            self._words[childFD].feed(data)

    def _said(self, line: str) -> None:
        self._lines.append(line)
        self.log.info("runtime: {line}", line=line)

    def processExited(self, reason: Failure) -> None:
        """It has ended; a process that it started may hold on to its descriptors."""
        self._silence()
        self._alarm = self._reactor.callLater(LAST_WORDS, self._deaf)

    def _silence(self) -> None:
        if self._alarm.active():
            self._alarm.cancel()

    def _deaf(self) -> None:
        assert self.transport is not None
        for number in (1, 2, HEART):
            self.transport.closeChildFD(number)

    def processEnded(self, reason: Failure) -> None:
        """It has ended, and everything that it said has been read."""
        for words in self._words.values():
            words.finish()
        self._silence()
        value: Any = reason.value
        self.link.over(ChildExit(value.signal, value.exitCode, tuple(self._lines), self._silent))
        self._ended(self)
