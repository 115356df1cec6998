"""A client in memory: a real protocol and dispatcher, on the test's clock and transport."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.plugin import IPlugin
from twisted.python.failure import Failure
from zope.interface import implementer

from rkllm_twisted.interfaces import ICall, IRPCMethod
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.rpc.limits import Limits
from rkllm_twisted.server.factory import RPCFactory, RPCProtocol
from rkllm_twisted.wire.framing import Netstrings
from rkllm_twisted.wire.lines import Lines

#: The type of the fixture ``flush_logged_errors``.
Flush = Callable[..., list[Failure]]


@implementer(IPlugin, IRPCMethod)
@attrs.frozen(eq=False)
class FakeMethod:
    """A method that calls a function of the test."""

    name: str
    work: Callable[[ICall], object] = lambda call: call.params
    params: type | None = None
    streams: bool = False
    summary: str = "Does what the test says."

    def call(self, call: ICall) -> object:
        """Call the function."""
        return self.work(call)


class Pending:
    """A method's work that the test ends. Counts the cancelled ones."""

    def __init__(self) -> None:
        self.calls: list[ICall] = []
        self.works: list[Deferred[Any]] = []
        self.cancelled = 0

    def __call__(self, call: ICall) -> Deferred[Any]:
        self.calls.append(call)
        work: Deferred[Any] = Deferred(self._cancel)
        self.works.append(work)
        return work

    def _cancel(self, _: Deferred[Any]) -> None:
        self.cancelled += 1


@attrs.frozen
class SubtractParams:
    """The parameters of "subtract" in the specification's examples."""

    minuend: int
    subtrahend: int


def subtract(call: ICall) -> object:
    return call.params.minuend - call.params.subtrahend


#: The methods of the specification's examples, and an echo.
SPEC_METHODS = [
    FakeMethod("echo"),
    FakeMethod("subtract", subtract, SubtractParams),
    FakeMethod("update"),
    FakeMethod("notify_hello"),
    FakeMethod("notify_sum"),
    FakeMethod("sum", lambda call: sum(call.params)),
    FakeMethod("get_data", lambda _: ["hello", 5]),
]


def by_name(methods: Iterable[FakeMethod]) -> Mapping[str, FakeMethod]:
    return {method.name: method for method in methods}


def dispatcher(methods: Iterable[FakeMethod] = SPEC_METHODS) -> Dispatcher:
    return Dispatcher(by_name(methods), "the npu", "the daemon")  # type: ignore[arg-type]


class MemoryClient:
    """One connection to a factory, and the bytes that it got back."""

    def __init__(
        self, methods: Iterable[FakeMethod] = SPEC_METHODS, factory: RPCFactory | None = None
    ) -> None:
        self.factory = factory or make_factory(methods)
        clock = self.factory.state.reactor
        assert isinstance(clock, Clock)
        self.clock = clock
        self.transport = StringTransport()
        protocol = self.factory.buildProtocol(None)
        assert isinstance(protocol, RPCProtocol)
        self.protocol = protocol
        self.protocol.makeConnection(self.transport)

    def send(self, *chunks: bytes) -> None:
        """Give the server these chunks, one read each."""
        for chunk in chunks:
            if not self.closing:
                self.protocol.dataReceived(chunk)

    def turn(self) -> bool:
        """Make one turn of the reactor: run the calls due now, not those that they schedule."""
        due = [c for c in self.clock.getDelayedCalls() if c.getTime() <= self.clock.seconds()]
        for call in due:
            self.clock.calls.remove(call)  # type: ignore[arg-type]
            call.called = 1  # type: ignore[attr-defined]
            call.func(*call.args, **call.kw)  # type: ignore[attr-defined]
        return bool(due)

    @property
    def closing(self) -> bool:
        """Has the server begun to close the connection?"""
        return bool(self.transport.disconnecting or self.transport.disconnected)

    def raw(self) -> bytes:
        """The bytes that the server wrote since the last call."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def replies(self) -> list[bytes]:
        """The payloads of the server's new bytes, without framing."""
        data = self.raw()
        return (Netstrings() if data[:1].isdigit() else Lines()).feed(data)

    def answers(self) -> list[Any]:
        """The server's new payloads, decoded."""
        return [msgspec.json.decode(reply) for reply in self.replies()]

    def ask(self, *messages: object) -> list[Any]:
        """Send messages as lines; return the immediate answers."""
        self.send(b"".join(msgspec.json.encode(message) + b"\n" for message in messages))
        return self.answers()

    def half_close(self) -> None:
        """Close the sending half, as ``shutdown(SHUT_WR)`` does."""
        self.protocol.readConnectionLost()

    def vanish(self) -> None:
        """Lose the connection."""
        self.protocol.connectionLost(Failure(ConnectionDone()))


def make_factory(
    methods: Iterable[FakeMethod] = SPEC_METHODS,
    has_gone: Callable[[Any], bool] = lambda _: False,
    **options: Any,
) -> RPCFactory:
    """A factory on a clock; ``options`` are the factory's and those of Limits."""
    limits = {name: options.pop(name) for name in attrs.fields_dict(Limits) if name in options}
    return RPCFactory(
        dispatcher(methods), Clock(), limits=Limits(**limits), has_gone=has_gone, **options
    )


def request(request_id: object, method: str, params: object = None) -> dict[str, object]:
    """A request as JSON values."""
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def notification(method: str, params: object = None) -> dict[str, object]:
    """A notification as JSON values."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


def code(answer: Any) -> int:
    """The error code of an answer that is an error."""
    found = answer["error"]["code"]
    assert isinstance(found, int)
    return found
