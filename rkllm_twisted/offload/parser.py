"""Parses large messages in a process of their own, while the reactor serves the clients."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from io import BytesIO
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure

from rkllm_twisted.errors import InternalError
from rkllm_twisted.offload import messages
from rkllm_twisted.wire.framing import Netstrings
from rkllm_twisted.wire.messages import Message

#: Bytes that are written at once.
WRITE_BYTES = 64 * 1024
#: Seconds without a big message after which the process ends.
IDLE_S = 60.0


class _QueuedMessage:
    """One message that waits for its turn or is being parsed."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.message: Deferred[Message] = Deferred(self._cancelled)
        self.is_wanted = True

    def _cancelled(self, message: Deferred[Message]) -> None:
        self.is_wanted = False
        self.payload = b""
        message.errback(CancelledError())


class Reader:
    """Parses large messages, one at a time, in a process that starts when it is needed.

    :param idle: seconds without a big message after which the process ends.
    """

    log = Logger("rkllm.rpc")

    def __init__(self, reactor: Any, idle: float = IDLE_S) -> None:
        self._reactor = reactor
        self._idle = idle
        self._queue: deque[_QueuedMessage] = deque()
        self._process: _Process | None = None
        self._rest: IDelayedCall | None = None

    def read(self, payload: bytes) -> Deferred[Message]:
        """Parse a message.

        :returns: a Deferred of it, as :func:`rkllm_twisted.wire.jsonrpc.parse` returns it, or of an
            InternalError. If it is cancelled, the message is dropped.
        """
        queued = _QueuedMessage(payload)
        self._queue.append(queued)
        self._go_on()
        return queued.message

    def stop(self) -> None:
        """End the process; the next message starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def answered(self, queued: _QueuedMessage, packed: bytes) -> None:
        """Deliver a parsed message."""
        # In a turn of its own: what follows walks through the whole message again.
        self._reactor.callLater(0, self._deliver, queued, messages.unpack(packed))
        self._go_on()

    def _deliver(self, queued: _QueuedMessage, message: Message) -> None:
        if queued.is_wanted:
            queued.message.callback(message)

    def ended(self, process: _Process, words: str) -> None:
        """Handle the end of the process."""
        if process is self._process:
            self._process = None
        queued = process.queued
        if queued is not None:
            self.log.error("the process that reads big messages ended: {words}", words=words)
            if queued.is_wanted:
                problem = "The message could not be read: the process that reads big messages died."
                queued.message.errback(
                    InternalError(f"{problem} Send it again, or in smaller parts.")
                )
        if self._queue:
            self._go_on()

    def _go_on(self) -> None:
        """Begin the next message, or end the process after a while."""
        while self._queue and not self._queue[0].is_wanted:
            self._queue.popleft()
        if self._rest is not None and self._rest.active():
            self._rest.cancel()
        if self._process is None and self._queue:
            self._process = _Process(self)
            self._process.start(self._reactor)
        if self._process is not None and self._process.queued is None:
            if self._queue:
                self._process.begin(self._queue.popleft())
            else:
                self._rest = self._reactor.callLater(self._idle, self.stop)


class _Process(ProcessProtocol):
    """The process, as the reactor sees it.

    :ivar queued: the message that it parses now.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._answers = Netstrings(sys.maxsize)
        self._words = b""
        self.queued: _QueuedMessage | None = None

    def start(self, reactor: Any) -> None:
        """Start the process."""
        reactor.spawnProcess(
            self,
            sys.executable,
            [sys.executable, "-m", "rkllm_twisted.offload.worker"],
            # twistd may have put its working directory on our path.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def begin(self, queued: _QueuedMessage) -> None:
        """Send a message to the process."""
        self.queued = queued
        assert self.transport is not None
        transport, payload = self.transport, queued.payload
        queued.payload = b""
        transport.write(b"%d:" % len(payload))
        # In pieces: a transport would make one string of all of it, and then of what is left.
        sender = FileSender()
        sender.CHUNK_SIZE = WRITE_BYTES
        sent = sender.beginFileTransfer(BytesIO(payload), transport)
        sent.addCallbacks(
            lambda _: transport.write(b","), lambda _: None
        )  # processEnded() reports its end

    def end(self) -> None:
        """End the process: at once if it parses a message, else by closing its input."""
        assert self.transport is not None
        if self.queued is None:
            self.transport.closeStdin()
        else:
            with contextlib.suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:
        """Handle a part of an answer."""
        for packed in self._answers.feed(data):
            queued, self.queued = self.queued, None
            assert queued is not None
            self._reader.answered(queued, packed)

    def errReceived(self, data: bytes) -> None:
        """Keep the last lines that it prints, for the log."""
        self._words = (self._words + data)[-2000:]

    def processEnded(self, reason: Failure) -> None:
        """Report the end of the process."""
        words = self._words.decode("utf-8", "replace").strip()
        self._reader.ended(self, words or str(reason.value))
