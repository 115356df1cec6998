"""The Twisted client's own features: Deferreds, cancelling, reconnecting, asyncio."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemons import Daemon
from false_daemons import rogue
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.defer import TimeoutError as TooLate
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from rkllm_twisted.client import Client, RKLLMClientService, connect
from rkllm_twisted.client.endpoint import daemon_endpoint
from rkllm_twisted.client_core.address import PING_AFTER_S, PING_TIMEOUT_S
from rkllm_twisted.errors import Disconnected, NoAnswer, NoDaemon, RPCError
from rkllm_twisted.wire.framing import Netstrings, netstring

Flush = Callable[..., list[Failure]]
Start = Callable[..., Daemon]
Script = Callable[[str], Path]

MODEL = 'run when "for ever"\ntoken "x"\nhang until abort\nrun\necho\n'


@pytest.fixture
def client(start: Start, script: Script) -> Iterator[Client]:
    """Connect to a daemon with a model."""
    daemon = start()
    daemon.load(script(MODEL))
    client = pytest_twisted.blockon(connect(reactor, f"unix:{daemon.path}"))
    yield client
    pytest_twisted.blockon(client.close())


@pytest_twisted.ensureDeferred
async def test_cancelling_a_deferred_cancels_its_request_and_nothing_else(client: Client) -> None:
    """The run ends, and the next one starts."""
    run = client.run("for ever")
    other = client.run("other")
    while not await client.is_running():
        pass  # until it has its turn
    run.cancel()
    with pytest.raises(CancelledError):
        await run
    assert (await other).text == "other"


@pytest_twisted.ensureDeferred
async def test_cancelling_a_coroutine_cancels_the_stream_that_it_reads(client: Client) -> None:
    """The coroutine needs no code for that."""

    async def read() -> None:
        async for _ in client.run_async("for ever"):
            reactor.callLater(0, reading.cancel)  # type: ignore[attr-defined]

    reading = Deferred.fromCoroutine(read())
    with pytest.raises(CancelledError):
        await reading
    assert (await client.run("still here")).text == "still here"


@pytest_twisted.ensureDeferred
async def test_a_timeout_of_twisteds_will_do(client: Client) -> None:
    """Twisted's own timeout cancels the request."""
    with pytest.raises(TooLate):
        await client.run("for ever").addTimeout(0.1, reactor)
    assert (await client.run("still here")).text == "still here"


@pytest_twisted.ensureDeferred
async def test_call_remote_takes_parameters_by_position_or_by_name(client: Client) -> None:
    """PB, AMP and XML-RPC allow this; JSON-RPC does not allow both in one request."""
    assert await client.callRemote("server.ping") == "pong"
    by_position = await client.callRemote("rkllm.run", {"prompt_input": "a"})
    by_name = await client.callRemote("rkllm.run", rkllm_input={"prompt_input": "a"})
    assert by_position["text"] == by_name["text"] == "a"
    with pytest.raises(TypeError, match="not both"):
        client.callRemote("rkllm.run", {"prompt_input": "a"}, rkllm_infer_params={})


@pytest_twisted.ensureDeferred
async def test_many_requests_may_be_under_way_at_once(client: Client) -> None:
    """Each Deferred gets its own answer."""
    results = await gatherResults([client.run(f"{number}") for number in range(8)])
    assert [result.text for result in results] == [f"{number}" for number in range(8)]


@pytest_twisted.ensureDeferred
async def test_it_is_a_context_manager(start: Start) -> None:
    """After the block, the connection is closed."""
    daemon = start()
    observer = await connect(reactor, str(daemon.path))
    async with await connect(reactor, str(daemon.path)):
        assert (await observer.status()).clients == 2
    while (await observer.status()).clients > 1:
        pass  # until the daemon has noticed
    await observer.close()


@pytest_twisted.ensureDeferred
async def test_connecting_can_be_cancelled(tmp_path: Path) -> None:
    """Cancelling works even before the daemon's first answer."""
    path = tmp_path / "other.sock"
    with rogue(path, None):
        connecting = connect(reactor, f"unix:{path}")
        reactor.callLater(0.1, connecting.cancel)  # type: ignore[attr-defined]
        with pytest.raises(CancelledError):
            await connecting


@pytest_twisted.ensureDeferred
async def test_a_service_connects_again(start: Start, script: Script, tmp_path: Path) -> None:
    """A caller that waits for the client gets the new one."""
    daemon = start()
    service = RKLLMClientService(reactor, f"unix:{daemon.path}", retry_policy=lambda failures: 0.05)
    service.startService()
    try:
        first = await service.whenConnected()
        await first.ping()
        daemon.stop(signal.SIGKILL)
        with pytest.raises(Disconnected):
            await first.ping()
        start()
        second = await service.whenConnected()
        assert second is not first
        await second.ping()
    finally:
        await service.stopService()


@pytest_twisted.ensureDeferred
async def test_a_service_tells_why_it_is_not_connected(tmp_path: Path) -> None:
    """With failAfterFailures the caller gets the same sentence as from connect()."""
    service = RKLLMClientService(reactor, str(tmp_path / "none"))
    service.startService()
    try:
        with pytest.raises(NoDaemon, match="start one with"):
            await service.whenConnected(failAfterFailures=1)
    finally:
        await service.stopService()


@pytest.mark.parametrize(
    ("description", "where", "is_path"),
    [
        ("unix:/tmp/a.sock", "/tmp/a.sock", True),
        ("unix:path=/tmp/a.sock:timeout=3", "/tmp/a.sock", True),
        ("unix:/tmp/a\\:b.sock", "/tmp/a:b.sock", True),
        ("/tmp/a:b.sock", "/tmp/a:b.sock", True),
        ("./a.sock", "./a.sock", True),
        ("tcp:127.0.0.1:1", "tcp:127.0.0.1:1", False),
    ],
)
def test_an_endpoint_is_a_description_or_a_path(
    description: str, where: str, is_path: bool
) -> None:
    """Messages show the path as a person writes it."""
    endpoint = daemon_endpoint(reactor, description)
    assert (endpoint.where, endpoint.is_path) == (where, is_path)


def test_an_endpoint_may_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an endpoint, the environment's is used."""
    mine = UNIXClientEndpoint(reactor, "/tmp/a.sock")
    assert daemon_endpoint(reactor, mine).endpoint is mine
    monkeypatch.setenv("RKLLM_UDS_PATH", "/tmp/b.sock")
    assert daemon_endpoint(reactor, None).where == "/tmp/b.sock"


#: An asyncio program that cancels a task and leaves a loop.
ASYNCIO = """
import asyncio, sys
from twisted.internet import asyncioreactor
from rkllm_twisted.client import connect, for_asyncio

async def main():
    loop = asyncio.get_running_loop()
    asyncioreactor.install(loop)
    from twisted.internet import reactor
    client = await connect(reactor, sys.argv[1]).asFuture(loop)
    begun = asyncio.Event()

    async def read():
        async for chunk in for_asyncio(client.run_async("for ever")):
            begun.set()

    reading = asyncio.create_task(read())
    await begun.wait()
    reading.cancel()
    try:
        await reading
    except asyncio.CancelledError:
        print("cancelled")
    async for chunk in for_asyncio(client.run_async("for ever")):
        break
    run = client.run("for ever").asFuture(loop)
    run.cancel()
    print((await client.run("still here").asFuture(loop)).text)
    try:
        async for chunk in for_asyncio(client.run_async("x", keep_histroy=1)):
            pass
    except Exception as error:
        print(type(error).__name__)
    await client.close().asFuture(loop)

asyncio.run(main(), debug=True)
"""


def test_asyncio_programs_cancel_in_their_own_way(client: Client) -> None:
    """A cancelled task or future and a loop that was left each end their run, without a warning."""
    command = [sys.executable, "-c", ASYNCIO, client.where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("cancelled\nstill here\nInvalidParams\n", "")


def test_importing_it_installs_no_reactor() -> None:
    """A program can still choose its own reactor."""
    code = "import sys, rkllm_twisted.client; print('twisted.internet.reactor' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


class InMemory:
    """A client with the test's own daemon, clock and socket."""

    def __init__(self, **kwargs: Any) -> None:
        self.clock = Clock()
        self.client = Client(self.clock, "memory", **kwargs)
        self.transport = StringTransport()
        self.client.makeConnection(self.transport)
        self.answer(b'{"id":1,"result":{}}')

    def answer(self, message: bytes) -> None:
        """Send a message to the client as the daemon."""
        self.transport.clear()
        self.client.dataReceived(netstring(message))

    def sent(self) -> list[bytes]:
        """Return what the client has sent since."""
        return Netstrings().feed(self.transport.value())


def test_silence_is_asked_about_only_while_something_is_waited_for() -> None:
    """An idle client sends nothing, however long it lives."""
    there = InMemory()
    there.clock.advance(10 * PING_AFTER_S)
    assert there.sent() == []
    waiting = there.client.call("a")
    there.transport.clear()
    there.clock.advance(PING_AFTER_S)
    (ping,) = there.sent()
    assert b"server.ping" in ping
    there.answer(b'{"id":3,"result":"pong"}')
    there.clock.advance(PING_AFTER_S - 1)
    assert there.sent() == []
    there.answer(b'{"id":2,"result":5}')
    assert waiting.result == 5
    there.clock.advance(10 * PING_AFTER_S)
    assert there.sent() == []
    assert not there.transport.disconnected


def test_silence_begins_with_the_last_data() -> None:
    """The timer that a request has started is not restarted by what comes, but looks at it."""
    there = InMemory()
    there.clock.advance(PING_TIMEOUT_S)
    there.client.call("a")
    (timer,) = there.clock.getDelayedCalls()
    there.clock.advance(20)
    there.answer(b'{"jsonrpc":"2.0","method":"rkllm.result","params":{"id":2,"result":1}}')
    assert there.clock.getDelayedCalls() == [timer]
    assert timer.getTime() == PING_TIMEOUT_S + PING_AFTER_S
    there.clock.advance(PING_AFTER_S - 20)
    there.clock.advance(19)
    assert there.sent() == []
    there.clock.advance(1)
    (ping,) = there.sent()
    assert b"server.ping" in ping


def test_a_ping_without_an_answer_ends_the_connection() -> None:
    """All waiting requests fail as well."""
    there = InMemory()
    waiting = there.client.call("a")
    there.clock.advance(PING_AFTER_S)
    there.clock.advance(PING_TIMEOUT_S)
    assert there.transport.disconnected
    failed: list[Any] = []
    waiting.addErrback(failed.append)
    assert failed[0].check(NoAnswer)


def test_a_notification_that_belongs_to_no_request_may_be_heard() -> None:
    """Only a client with a listener receives it."""
    heard: list[object] = []
    there = InMemory(on_notification=lambda method, params: heard.append((method, params)))
    there.answer(b'{"jsonrpc":"2.0","method":"other.news","params":[1]}')
    InMemory().answer(b'{"jsonrpc":"2.0","method":"other.news","params":[1]}')
    assert heard == [("other.news", [1])]


def test_a_listener_that_fails_costs_nobody_the_connection(flush_logged_errors: Flush) -> None:
    """The error is logged."""

    def listen(method: str, params: object) -> None:
        raise ZeroDivisionError

    there = InMemory(on_notification=listen)
    waiting = there.client.call("a")
    there.answer(b'{"jsonrpc":"2.0","method":"other.news"}')
    there.answer(b'{"id":2,"result":5}')
    assert waiting.result == 5
    assert len(flush_logged_errors(ZeroDivisionError)) == 1


def test_what_ends_the_connection_says_so_to_everything_that_waits() -> None:
    """An error with a null id is about the whole connection."""
    there = InMemory()
    waiting = [there.client.call("a"), there.client.call("b")]
    there.answer(b'{"id":null,"error":{"code":-32600,"message":"Too long."}}')
    errors: list[Any] = []
    for one in waiting:
        one.addErrback(errors.append)
    assert [str(error.value) for error in errors] == ["Too long.", "Too long."]


PART = b'{"jsonrpc":"2.0","method":"rkllm.result","params":{"id":2,"result":%d}}'


@pytest_twisted.ensureDeferred
async def test_a_descriptor_that_a_false_daemon_passes_is_not_taken(tmp_path: Path) -> None:
    came: Deferred[bytes] = Deferred()

    class Reader(Protocol):
        def dataReceived(self, data: bytes) -> None:
            came.callback(data)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        endpoint = daemon_endpoint(reactor, tmp_path / "s")
        reader = await endpoint.connect(Factory.forProtocol(Reader))
        false_daemon, _ = listening.accept()
        with false_daemon:
            open_before = len([*Path("/proc/self/fd").iterdir()])
            socket.send_fds(false_daemon, [b"x"], [false_daemon.fileno()])
            assert await came == b"x"
            assert len([*Path("/proc/self/fd").iterdir()]) == open_before
            reader.transport.abortConnection()


def failed(of: Deferred[Any]) -> type[BaseException]:
    """Return the class of the exception that a Deferred has now."""
    failures: list[Failure] = []
    of.addErrback(failures.append)
    return failures[0].type


@pytest.mark.parametrize(
    ("ending", "last", "after"),
    [
        (b'"result":3', [2, 3], StopAsyncIteration),
        (b'"error":{"code":-32004,"message":"No."}', [2], RPCError),
    ],
)
def test_results_that_come_together_are_one_batch(
    ending: bytes, last: list[int], after: type[Exception]
) -> None:
    """The answer is in the last batch; an error comes after the results before it."""
    there = InMemory()
    batches = there.client.batches("a")
    first = Deferred.fromCoroutine(anext(batches))
    there.client.dataReceived(netstring(PART % 0) + netstring(PART % 1))
    assert first.result == [0, 1]
    there.client.dataReceived(netstring(PART % 2) + netstring(b'{"id":2,%b}' % ending))
    assert Deferred.fromCoroutine(anext(batches)).result == last
    assert issubclass(failed(Deferred.fromCoroutine(anext(batches))), after)


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_call_passes_on_partial_results_that_come_together(is_streamed: bool) -> None:
    """The final result is the Deferred's. Without a function the partial ones are left out."""
    there, came = InMemory(), list[Sequence[Any]]()
    answer = there.client.call("a", on_results=came.append if is_streamed else None)
    there.client.dataReceived(netstring(PART % 0) + netstring(PART % 1))
    there.client.dataReceived(netstring(PART % 2) + netstring(b'{"id":2,"result":3}'))
    assert came == ([[0, 1], [2]] if is_streamed else [])
    assert answer.result == 3


def test_an_error_comes_after_the_partial_results_before_it() -> None:
    there, came = InMemory(), list[Sequence[Any]]()
    answer = there.client.call("a", on_results=came.append)
    error = netstring(b'{"id":2,"error":{"code":-32004,"message":"No."}}')
    there.client.dataReceived(netstring(PART % 0) + error)
    assert came == [[0]]
    assert issubclass(failed(answer), RPCError)


def test_what_cannot_take_a_partial_result_cancels_the_request_and_nothing_else() -> None:
    there = InMemory()

    def refuse(_: Sequence[Any]) -> None:
        raise ZeroDivisionError

    answer = there.client.call("a", on_results=refuse)
    there.transport.clear()
    there.client.dataReceived(netstring(PART % 0) + netstring(b'{"id":2,"result":3}'))
    assert failed(answer) is ZeroDivisionError
    assert there.client.state == "connected"


def test_leaving_a_batch_cancels_its_request() -> None:
    """The connection stays."""
    there = InMemory()
    batches = there.client.batches("a")
    first = Deferred.fromCoroutine(anext(batches))
    there.transport.clear()
    there.client.dataReceived(netstring(PART % 0))
    assert first.result == [0]
    Deferred.fromCoroutine(batches.aclose())
    assert b"$/cancelRequest" in there.sent()[0]
    assert there.client.state == "connected"
