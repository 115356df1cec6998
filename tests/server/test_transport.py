"""The transport of a client's connection: immediate writes, and Twisted's behaviour."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from daemons import MAX_WAIT_S
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from rkllm_twisted.server.endpoint import RKLLMServerEndpoint
from rkllm_twisted.server.peer import peer_of
from rkllm_twisted.server.socket_file import SocketFile
from rkllm_twisted.server.transport import ClientTransport

reactor: Any = installed_reactor  # its type depends on the platform
BIG = bytes(range(256)) * 8192


class Heard(Protocol):
    """Records its calls."""

    def __init__(self) -> None:
        self.data = b""
        self.paused: list[bool] = []
        self.address: object = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def pauseProducing(self) -> None:
        self.paused.append(True)

    def resumeProducing(self) -> None:
        self.paused.append(False)

    def stopProducing(self) -> None:
        """Nothing to stop."""


Connect = Callable[[], Any]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """Connects a socket; gives it and the server's protocol."""
    made: list[Heard] = []
    sockets: list[socket.socket] = []

    class Keeping(Factory):
        noisy = False

        def buildProtocol(self, addr: object) -> Heard:
            made.append(Heard())
            made[-1].address = addr
            return made[-1]

    endpoint = RKLLMServerEndpoint(reactor, SocketFile(str(tmp_path / "s"), 0o600))
    port = pytest_twisted.blockon(endpoint.listen(Keeping()))

    async def one() -> tuple[socket.socket, Heard]:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(MAX_WAIT_S)
        client.connect(str(tmp_path / "s"))
        sockets.append(client)
        await until(lambda: len(made) == len(sockets) and made[-1].transport)
        return client, made[-1]

    yield one
    for client in sockets:
        client.close()
    for protocol in made:
        if protocol.transport is not None:
            protocol.transport.abortConnection()  # type: ignore[attr-defined]
    pytest_twisted.blockon(maybeDeferred(port.stopListening))


async def until(condition: Callable[[], object]) -> None:
    """Run the reactor until a condition is true."""
    deadline = time.monotonic() + MAX_WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        await deferLater(reactor, 0.001)


def read(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += client.recv(size - len(data))
    return data


@pytest_twisted.ensureDeferred
async def test_the_factory_sees_the_user_of_a_client(connect: Connect) -> None:
    """The address has the socket, before there is a protocol."""
    _, protocol = await connect()
    assert peer_of(1, protocol.address).uid == os.geteuid()


@pytest_twisted.ensureDeferred
async def test_what_the_socket_takes_is_there_at_once(connect: Connect) -> None:
    """The bytes arrive without a turn of the reactor."""
    client, protocol = await connect()
    assert isinstance(protocol.transport, ClientTransport)
    protocol.transport.write(b"now")
    client.setblocking(False)
    assert client.recv(100) == b"now"


@pytest_twisted.ensureDeferred
async def test_what_it_does_not_take_follows_in_order(connect: Connect) -> None:
    """The transport pauses and resumes its producer, as any other does."""
    client, protocol = await connect()
    protocol.transport.registerProducer(protocol, True)
    protocol.transport.write(BIG)
    protocol.transport.write(b"behind")
    assert protocol.paused == [True, True]
    assert await deferToThread(read, client, len(BIG) + 6) == BIG + b"behind"
    await until(lambda: protocol.paused[-1] is False)
    protocol.transport.write(b"again")
    assert client.recv(100) == b"again"


@pytest_twisted.ensureDeferred
async def test_what_is_written_before_the_end_arrives(connect: Connect) -> None:
    """Bytes that are written after the end do not arrive."""
    client, protocol = await connect()
    protocol.transport.write(BIG)
    protocol.transport.loseConnection()
    protocol.transport.write(b"late")
    assert await deferToThread(read, client, len(BIG)) == BIG
    assert (await deferToThread(client.recv, 100)) in (b"late", b"")  # as Twisted's transports do


@pytest_twisted.ensureDeferred
async def test_nothing_is_read_during_a_pause(connect: Connect) -> None:
    """All bytes are read after the pause, even after repeated pauses."""
    client, protocol = await connect()
    protocol.transport.pauseProducing()
    protocol.transport.resumeProducing()
    protocol.transport.pauseProducing()
    client.sendall(b"held")
    await until(lambda: protocol.transport not in reactor.getReaders())
    assert protocol.data == b""
    protocol.transport.resumeProducing()
    await until(lambda: protocol.data == b"held")


@pytest_twisted.ensureDeferred
async def test_descriptors_are_not_taken(connect: Connect) -> None:
    """The bytes that come with the descriptors are read."""
    client, protocol = await connect()
    ours, theirs = socket.socketpair()
    socket.send_fds(client, [b"x"], [theirs.fileno()])
    theirs.close()
    await until(lambda: protocol.data == b"x")
    ours.settimeout(MAX_WAIT_S)
    assert await deferToThread(ours.recv, 1) == b""  # no process holds the other end
    ours.close()


@pytest_twisted.ensureDeferred
async def test_a_client_that_has_gone_is_noticed_after_a_write(connect: Connect) -> None:
    """The write itself reports no error."""
    client, protocol = await connect()
    client.close()
    protocol.transport.write(b"to nobody")
    await until(lambda: not protocol.transport.connected)


@pytest_twisted.ensureDeferred
async def test_a_pause_may_last_longer_than_the_listening(connect: Connect) -> None:
    """For example, a client is busy while the daemon stops."""
    client, protocol = await connect()
    protocol.transport.pauseProducing()
    client.send(b"late")
    await until(lambda: protocol.transport._is_forgotten)
    await protocol.transport.server.stopListening()
    protocol.transport.resumeProducing()
    await until(lambda: protocol.data == b"late")
