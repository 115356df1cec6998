"""The protocol on a real UNIX socket: the behaviour that depends on the kernel."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_twisted
from daemons import MAX_WAIT_S
from memory_client import FakeMethod, Flush, Pending, by_name, code, notification, request
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from rkllm_twisted.errors import ShuttingDown
from rkllm_twisted.rpc.dispatch import Dispatcher
from rkllm_twisted.rpc.limits import Limits
from rkllm_twisted.server import peer
from rkllm_twisted.server.endpoint import RKLLMServerEndpoint
from rkllm_twisted.server.factory import RPCFactory
from rkllm_twisted.server.socket_file import SocketFile
from rkllm_twisted.values import Peer
from rkllm_twisted.wire.framing import netstring

reactor: Any = real_reactor

Serve = Callable[..., tuple[RPCFactory, Callable[[], socket.socket]]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Listens; gives the factory, and a function that connects a blocking socket."""
    ports: list[Any] = []
    clients: list[socket.socket] = []
    factories: list[RPCFactory] = []

    def start(*methods: FakeMethod, **limits: Any) -> tuple[RPCFactory, Any]:
        dispatcher = Dispatcher(by_name(methods), "npu", "daemon")  # type: ignore[arg-type]
        factory = RPCFactory(dispatcher, reactor, limits=Limits(**limits))
        factories.append(factory)
        path = str(tmp_path / "s")
        endpoint = RKLLMServerEndpoint(reactor, SocketFile(path, 0o600))
        endpoint.listen(factory).addCallback(ports.append)

        def connect() -> socket.socket:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(MAX_WAIT_S)
            client.connect(path)
            clients.append(client)
            return client

        return factory, connect

    yield start
    for client in clients:
        client.close()
    for port in ports:
        pytest_twisted.blockon(port.stopListening())
    for factory in factories:
        pytest_twisted.blockon(factory.close_all())


def message(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def read_to_the_end(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def lines(data: bytes) -> list[Any]:
    return [msgspec.json.decode(line) for line in data.splitlines()]


async def until(condition: Callable[[], object]) -> None:
    """Run the reactor until a condition is true."""
    deadline = time.monotonic() + MAX_WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        await deferLater(reactor, 0.001)


@pytest_twisted.ensureDeferred
async def test_the_kernel_says_who_connected(serve: Serve) -> None:
    """The kernel keeps the user of the moment of connect()."""
    factory, connect = serve(FakeMethod("echo"))
    client = connect()
    client.sendall(message(request(1, "echo", [1])))
    assert lines(await deferToThread(client.recv, 1000))[0]["result"] == [1]
    [connection] = factory.connections
    groups = tuple(sorted({os.getgid(), *os.getgroups()}))
    assert connection.peer == Peer(1, os.getpid(), os.getuid(), os.getgid(), groups)


@pytest.mark.parametrize("end", [b"\n", b""])
@pytest_twisted.ensureDeferred
async def test_a_pipe_to_nc_gets_its_answers(serve: Serve, end: bytes) -> None:
    """Send, shut down the sending half, read to the end; also when the answer takes a while."""
    pending = Pending()
    factory, connect = serve(FakeMethod("echo"), FakeMethod("wait", pending))
    looks: list[bool] = []

    def has_gone(transport: Any) -> bool:
        looks.append(peer.has_gone(transport))
        return looks[-1]

    factory.state.has_gone = has_gone
    client = connect()
    client.sendall(message(request(1, "echo")) + message(request(2, "wait")).rstrip() + end)
    client.shutdown(socket.SHUT_WR)
    everything = deferToThread(read_to_the_end, client)
    await until(lambda: pending.works)
    await until(lambda: len(looks) > 1)  # at the half-close, and half a second later
    assert pending.cancelled == 0
    pending.works[0].callback("late")
    assert [answer["result"] for answer in lines(await everything)] == [None, "late"]


@pytest.mark.parametrize("half_close_first", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_is_noticed(serve: Serve, half_close_first: bool) -> None:
    """The daemon cancels its work, with or without a half-close before."""
    pending = Pending()
    factory, connect = serve(FakeMethod("wait", pending))
    client = connect()
    client.sendall(message(request(1, "wait")) + message(notification("wait")))
    await until(lambda: len(pending.works) == 2)
    if half_close_first:
        client.shutdown(socket.SHUT_WR)
        [connection] = factory.connections
        await until(lambda: connection._input.input_ended)
        assert pending.cancelled == 0
    client.close()
    await until(lambda: pending.cancelled == 2)
    await until(lambda: not factory.connections)


@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_is_noticed_while_it_is_not_read(serve: Serve) -> None:
    """Reading is paused because the client leaves its answers unread."""
    pending = Pending()
    factory, connect = serve(
        FakeMethod("wait", pending), FakeMethod("big", lambda _: "x" * 500_000), max_unread=1000
    )
    client = connect()
    client.sendall(message(request(0, "wait")))
    client.sendall(b"".join(message(request(i, "big")) for i in range(1, 5)))
    await until(lambda: any("unread" in c._not_reading for c in factory.connections))
    client.close()
    await until(lambda: pending.cancelled)
    await until(lambda: not factory.connections)


@pytest_twisted.ensureDeferred
async def test_a_big_answer_arrives_whole(serve: Serve) -> None:
    """The answer goes out in slices to a client that begins to read late."""
    factory, connect = serve(FakeMethod("big", lambda _: "x" * 20_000_000))
    client = connect()
    client.sendall(netstring(message(request(1, "big")).strip()))
    client.shutdown(socket.SHUT_WR)
    await until(lambda: any("unread" in c._not_reading for c in factory.connections))
    data = await deferToThread(read_to_the_end, client)
    assert len(data) == len(b'20000036:{"jsonrpc":"2.0","id":1,"result":""},') + 20_000_000


@pytest_twisted.ensureDeferred
async def test_a_big_message_arrives_whole(serve: Serve) -> None:
    """The message arrives in both framings."""
    _, connect = serve(FakeMethod("size", lambda call: len(call.params[0])))
    for frame in (netstring, lambda payload: payload + b"\n"):
        client = connect()
        payload = message(request(1, "size", ["x" * 10_000_000])).strip()
        await deferToThread(client.sendall, frame(payload))
        client.shutdown(socket.SHUT_WR)
        assert b"10000000" in await deferToThread(read_to_the_end, client)


@pytest_twisted.ensureDeferred
async def test_non_reading_clients_cost_little_and_nobody_else_anything(serve: Serve) -> None:
    """Fifty clients do not read their streams; memory stays bounded, and a reader is served."""
    pending = Pending()
    factory, connect = serve(
        FakeMethod("run", pending, streams=True), FakeMethod("echo"), unread_timeout=0.5
    )
    deaf = [connect() for _ in range(50)]
    for client in deaf:
        client.sendall(message(request(1, "run")))
    await until(lambda: len(pending.works) == 50)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(400):
        for call in pending.calls:
            call.stream("x" * 1000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024  # KiB
    client = connect()
    client.sendall(message(request(1, "echo")))
    assert await deferToThread(client.recv, 1000)
    await until(lambda: len(factory.connections) == 1)
    assert pending.cancelled == 50


EVIL = {
    "a gigabyte announced": b"1000000000:" + b"x" * 100,
    "5,000 nines": b"9" * 5000,
    "100,000 levels": netstring(b"[" * 100_000),
    "NaN": netstring(b'{"jsonrpc":"2.0","method":"echo","id":1,"params":[NaN]}'),
    "half a character": netstring(b'{"jsonrpc":"2.0","method":"echo","id":"\xe4\xbd"}'),
    "garbage": bytes(range(255, -1, -1)) * 100,
    "HTTP": b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    "nothing": b"",
}


@pytest.mark.parametrize("name", EVIL)
@pytest_twisted.ensureDeferred
async def test_evil_peers_get_an_error_or_the_end(serve: Serve, name: str) -> None:
    """No traceback is logged, and another client is served."""
    factory, connect = serve(FakeMethod("echo"))
    evil, good = connect(), connect()
    evil.sendall(EVIL[name])
    evil.shutdown(socket.SHUT_WR)
    data = await deferToThread(read_to_the_end, evil)
    assert (b'"code":-32' in data) is (name not in ("nothing", "HTTP"))
    assert data.startswith(b"HTTP/1.1 400") is (name == "HTTP")
    good.sendall(message(request(1, "echo")))
    assert await deferToThread(good.recv, 1000)
    await until(lambda: len(factory.connections) == 1)


@pytest_twisted.ensureDeferred
async def test_a_framing_error_ends_the_connection(serve: Serve) -> None:
    """A client that neither reads nor closes is cut off after a second."""
    factory, connect = serve(FakeMethod("big", lambda _: "x" * 5_000_000))
    reading, deaf = connect(), connect()
    reading.sendall(b"3:abc;")
    assert b"-32700" in await deferToThread(read_to_the_end, reading)
    deaf.sendall(netstring(message(request(1, "big")).strip()) + b"03:")
    await until(lambda: not factory.connections)


@pytest_twisted.ensureDeferred
async def test_shutdown_is_told_and_ends(serve: Serve) -> None:
    """Every request under way is answered before the connection closes."""
    factory, connect = serve(FakeMethod("wait", Pending()))
    clients = [connect() for _ in range(3)]
    for client in clients:
        client.sendall(message(request(1, "wait")))
    await until(lambda: [c.conversation.busy for c in factory.connections] == [True] * 3)
    closed: Deferred[None] = factory.close_all()
    for client in clients:
        [answer] = lines(await deferToThread(read_to_the_end, client))
        assert code(answer) == ShuttingDown.code
    await closed
    assert factory.connections == set()


@pytest_twisted.ensureDeferred
async def test_a_fault_costs_its_request_only(serve: Serve, flush_logged_errors: Flush) -> None:
    """The connection goes on."""
    _, connect = serve(FakeMethod("echo"), FakeMethod("bug", lambda _: {}["x"]))
    client = connect()
    client.sendall(message(request(1, "bug")) + message(request(2, "echo")))
    client.shutdown(socket.SHUT_WR)
    first, second = lines(await deferToThread(read_to_the_end, client))
    assert code(first) == -32603
    assert second["id"] == 2
    assert len(flush_logged_errors(KeyError)) == 1


# Slow readers, slow and hostile writers


@pytest_twisted.ensureDeferred
async def test_a_slow_reader_does_not_slow_others_down(serve: Serve) -> None:
    """The slow reader is dropped at its bound; the other stream gets each token at once."""
    pending = Pending()
    factory, connect = serve(FakeMethod("run", pending, streams=True), max_unread=256 * 1024)
    deaf, good = connect(), connect()
    for client in (deaf, good):
        client.sendall(message(request(1, "run")))
    await until(lambda: len(pending.works) == 2)
    for number in range(1000):
        for call in pending.calls:
            call.stream({"token": number, "filler": "x" * 1000})
        received = await deferToThread(good.recv, 65536)
        assert lines(received)[-1]["result"]["token"] == number, "it came with its own turn"
    await until(lambda: len(factory.connections) == 1)
    assert pending.cancelled == 1


class Stalls:
    """Measures the processor time of the reactor's turns, without other processes."""

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()  # what other tests have left for the collector to walk through
        self.longest = 0.0
        self.turns = 0
        self._before = time.thread_time()
        self._call = reactor.callLater(0, self._tick)

    def _tick(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._before)
        self._before = now
        self.turns += 1
        self._call = reactor.callLater(0, self._tick)

    def stop(self) -> None:
        self._call.cancel()
        gc.unfreeze()


HOSTILE = {
    "empty netstrings": b"0:," * 200_000,
    "empty lines": b"\n" * 600_000,
    "brackets": b"[]" * 200_000,
    "broken JSON": b"{x}\n" * 50_000,
    "small requests": netstring(b'{"jsonrpc":"2.0","method":"echo","id":1}') * 10_000,
    "deep nesting": (b"[" * 60_000 + b"\n") * 20,
    "a line that never ends": b"[" + b" " * 1_000_000,
    "one string": b'{"x":"' + b"\\" * 1_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest_twisted.ensureDeferred
async def test_hostile_writers_do_not_stall_the_reactor(serve: Serve, name: str) -> None:
    """With eight of them, no turn takes 50 ms of processor time, and another client is served."""
    _, connect = serve(FakeMethod("echo"))
    hostile, good = [connect() for _ in range(8)], connect()
    stalls = Stalls()

    def flood(client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it is not read any more, or closed
            client.settimeout(0.5)
            client.sendall(HOSTILE[name])

    floods = [deferToThread(flood, client) for client in hostile]
    for number in range(100):
        good.sendall(message(request(number, "echo")))
        assert lines(await deferToThread(good.recv, 1000))[0]["id"] == number
    for client in hostile:
        client.close()
    await DeferredList(floods)
    stalls.stop()
    assert stalls.turns > 100
    assert stalls.longest < 0.05


@pytest.mark.parametrize("frame", [netstring, lambda payload: payload + b"\n"])
@pytest_twisted.ensureDeferred
async def test_bytes_may_come_one_at_a_time(serve: Serve, frame: Callable[[bytes], bytes]) -> None:
    """Many clients do so at once."""
    _, connect = serve(FakeMethod("echo"))
    clients = [connect() for _ in range(20)]
    framed = frame(message(request(1, "echo")).strip())
    for at in range(len(framed)):
        for client in clients:
            client.sendall(framed[at : at + 1])
        await deferLater(reactor, 0)
    for client in clients:
        assert b'"id":1' in await deferToThread(client.recv, 1000)


@pytest.mark.parametrize("frame", [netstring, lambda payload: payload + b"\n"])
@pytest_twisted.ensureDeferred
async def test_idle_clients_do_not_keep_what_they_once_sent(
    serve: Serve, frame: Callable[[bytes], bytes]
) -> None:
    """After a big message from each of fifty clients, less memory than one message remains."""
    factory, connect = serve(FakeMethod("size", lambda call: len(call.params[0])))
    clients = [connect() for _ in range(50)]
    framed = frame(message(request(1, "size", ["x" * 2_000_000])).strip())
    tracemalloc.start()
    for client in clients:
        await deferToThread(client.sendall, framed)
        assert b"2000000" in await deferToThread(client.recv, 1000)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(factory.connections) == 50
    assert factory.state.input_budget.total == 0
    assert held < 1_000_000


@pytest_twisted.ensureDeferred
async def test_a_client_that_reads_is_not_dropped_for_a_busy_reactor(serve: Serve) -> None:
    """More comes in one turn of the reactor than may be left unread; the client has read it all."""
    received = bytearray()

    def read() -> None:
        with contextlib.suppress(BlockingIOError):
            while data := client.recv(65536):
                received.extend(data)

    def flood(call: Any) -> None:
        for number in range(300):
            call.stream("x" * 10_000)
            if number > 60:  # more than the kernel takes: from here on the daemon is behind
                read()

    factory, connect = serve(FakeMethod("flood", flood, streams=True), max_unread=2**20)
    client = connect()
    client.sendall(message(request("last", "flood")))
    client.setblocking(False)

    def read_on() -> None:
        while received.count(b"\n") < 301:
            received.extend(client.recv(65536) or pytest.fail("the client was dropped"))

    await until(lambda: received)
    client.settimeout(MAX_WAIT_S)
    await deferToThread(read_on)
    assert len(received) > 300 * 10_000
    assert factory.connections
