"""The whole server in memory: real protocol, methods and queue over a fake runtime and transports.

Both ends of every connection are in the test's hands, and so are the clock and the NPU's thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer, ITransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.abi.release import releases
from rkllm_twisted.daemon.about import About
from rkllm_twisted.daemon.named_models import NamedModels
from rkllm_twisted.daemon.resident_model import ResidentModel
from rkllm_twisted.daemon.self_description import describe_for
from rkllm_twisted.interfaces import IRPCMethod
from rkllm_twisted.npu.thread import ThreadNPU
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.rpc.limits import Limits
from rkllm_twisted.rpc.registry import find_methods
from rkllm_twisted.server.factory import RPCFactory, RPCProtocol
from rkllm_twisted.testing import Answer, FakeRuntime, PacedThread, StepThread
from rkllm_twisted.values import SelfDescription


@cache
def methods() -> Mapping[str, IRPCMethod]:
    """The real methods, by name."""
    return find_methods()


@cache
def description() -> SelfDescription:
    """The description of the real methods, for the newest release."""
    return describe_for(methods(), releases()["1.3.0"])


@implementer(ITransport)
class MemoryTransport:
    """The server's end of a connection, as Twisted's UNIX transports behave.

    :param room: bytes that fit before the server is told to wait; the kernel's and Twisted's.
    :param taken: given each piece of what the server writes, whether it is read or not.
    :ivar received: what the client has read.
    :ivar gone: the client has closed its end.
    :ivar lost: the protocol has been told that the connection is over.
    """

    def __init__(self, clock: Clock, room: int, taken: Callable[[bytes], object]) -> None:
        self.received = bytearray()
        self.waiting = bytearray()
        self.gone = self.lost = self.closing = False
        self.client_reads = True
        self.server_reads = True
        self.paused = False
        self.producer: Any = None
        self.protocol: RPCProtocol | None = None
        self._inbound: deque[bytes | None] = deque()  # None is the end
        self._clock, self._room, self._taken = clock, room, taken
        self._aborted = False

    # The client's end

    def feed(self, data: bytes | None) -> None:
        """Send bytes; None closes the sending half."""
        self._inbound.append(data)
        self._pump()

    def read_on(self) -> None:
        """Read everything from now on."""
        self.client_reads = True
        self._flush()

    def leave(self) -> None:
        """Close, as a process that ends does."""
        self.gone = True
        self.feed(None)
        self._flush()

    def _pump(self) -> None:
        while self._inbound and self.server_reads and not self._is_over():
            data = self._inbound.popleft()
            assert self.protocol is not None
            if data is None:
                self.protocol.readConnectionLost()
            else:
                self.protocol.dataReceived(data)

    def _is_over(self) -> bool:
        return self.closing or self.lost or self._aborted

    # The transport's interface

    def write(self, data: bytes) -> None:
        """Accept bytes for the client, even beyond the room."""
        if self.lost or self._aborted:
            return
        self._taken(data)
        self.waiting += data
        self._flush()

    def _flush(self) -> None:
        if self.gone and self.waiting:
            self._soon(ConnectionLost())
        elif self.client_reads and not self.gone:
            self.received += self.waiting
            self.waiting.clear()
            if self.producer is not None and self.paused:
                self.paused = False
                self.producer.resumeProducing()
            self._close_if_done()
        elif len(self.waiting) > self._room and self.producer is not None and not self.paused:
            self.paused = True
            self.producer.pauseProducing()

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """See ITransport's consumer half."""
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        """The producer has no more."""
        self.producer = None
        self._close_if_done()

    def loseConnection(self) -> None:
        """Close after all bytes are written."""
        self.closing = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self.closing and not self.waiting and self.producer is None:
            self._soon(ConnectionDone())

    def abortConnection(self) -> None:
        """Close now."""
        self._aborted = True
        self._soon(ConnectionAborted())

    def _soon(self, reason: Exception) -> None:
        self._clock.callLater(0, self._lose, reason)

    def _lose(self, reason: Exception) -> None:
        if not self.lost:
            self.lost = True
            self.waiting.clear()
            if self.producer is not None:
                self.producer.stopProducing()
            assert self.protocol is not None
            self.protocol.connectionLost(Failure(reason))

    def pauseProducing(self) -> None:
        """Stop reading from the client."""
        self.server_reads = False

    def resumeProducing(self) -> None:
        """Resume reading in the reactor's next turn."""
        self.server_reads = True
        self._clock.callLater(0, self._pump)


class WatchedRuntime(FakeRuntime):
    """A fake runtime that records the runs inside it, and the run that each abort stops.

    :param entered: told the prompt of each run that reaches "C", before it begins.
    :ivar at_once: how many calls were in "C" at the same moment, at most.
    :ivar at_work: the prompt of the run for which the thread is in "C", or about to enter or leave.
    :ivar aborts: the prompts of the runs that were in "C" when an abort came.
    """

    def __init__(
        self,
        answers: Mapping[str, Answer],
        pace: Callable[[], object],
        entered: Callable[[str], object] = lambda _: None,
    ) -> None:
        super().__init__(answers, pace)
        self.at_once = self._inside = 0
        self.aborts: list[str | None] = []
        self.at_work: str | None = None
        self._entered = entered

    def perform(self, prepared: Any, on_result: Any = None) -> dict[str, Any]:
        """Count the calls inside."""
        self._inside += 1
        self.at_once = max(self.at_once, self._inside)
        if on_result is not None:
            self.at_work = prepared.arguments["rkllm_input"].get("prompt_input", "")
            self._entered(self.at_work)
        try:
            return super().perform(prepared, on_result)
        finally:
            self._inside -= 1
            self.at_work = None

    def abort(self) -> dict[str, Any]:
        """Record the run that the abort stops."""
        self.aborts.append(self.prompt)
        return super().abort()


class MemoryServer:
    """A server.

    :param thread: the NPU's; a :class:`PacedThread` stops at each moment of a run.
    :param entered: see :class:`WatchedRuntime`.
    :param extra: methods beside the real ones.
    """

    def __init__(
        self,
        thread: StepThread | None = None,
        limits: Limits = Limits(),  # noqa: B008 - a frozen value
        queue_limit: int = 64,
        max_clients: int = 100,
        pace: Callable[[], object] | None = None,
        entered: Callable[[str], object] = lambda _: None,
        extra: Mapping[str, IRPCMethod] = MappingProxyType({}),
    ) -> None:
        self.clock = Clock()
        self.thread = StepThread() if thread is None else thread
        self.answers: dict[str, Answer] = {}
        if pace is None:
            pace = thread.pace if isinstance(thread, PacedThread) else lambda: None
        self.runtime = WatchedRuntime(self.answers, pace, entered)
        self.npu = ThreadNPU(
            self.runtime, self.thread.in_thread, self.thread.from_thread, queue_limit
        )
        models = NamedModels((), self.npu, self.clock)
        resident = ResidentModel(self.clock, self.npu, models)
        connections = lambda: len(self.factory.connections)  # noqa: E731 - its factory comes later
        about = About(self.clock, self.npu, connections, description, resident)
        self.dispatcher = Dispatcher({**methods(), **extra}, self.npu, about)
        self.factory = RPCFactory(
            self.dispatcher,
            self.clock,
            max_clients=max_clients,
            limits=limits,
            has_gone=lambda transport: transport.gone,
        )

    def connect(
        self, room: int = 2**17, taken: Callable[[bytes], object] = lambda _: None
    ) -> MemoryTransport | None:
        """A new connection; None where the server closes it at once."""
        protocol = self.factory.buildProtocol(None)
        if protocol is None:
            return None
        transport = MemoryTransport(self.clock, room, taken)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return transport

    def load(self) -> None:
        """Load a model, as rkllm.init does."""
        self.npu.call("rkllm_init", [{"model_path": "m"}])
        self.thread.run()


def held(protocol: RPCProtocol) -> int:
    """Bytes of a connection's input that the server keeps."""
    return protocol.held


def unread(protocol: RPCProtocol) -> int:
    """Bytes for a client that wait outside of its transport."""
    return sum(map(len, protocol._outbox._waiting))
