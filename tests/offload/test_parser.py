"""The process that reads big messages: started on demand, replaced, ended when idle."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor, task
from twisted.internet.defer import CancelledError, ensureDeferred, gatherResults

from rkllm_twisted.errors import InternalError
from rkllm_twisted.offload.parser import Reader
from rkllm_twisted.wire.messages import Request


def request(number: int, size: int = 10) -> bytes:
    """A request with a given number of numbers."""
    params = {"numbers": [number] * size}
    message = {"jsonrpc": "2.0", "id": number, "method": "m", "params": params}
    return json.dumps(message).encode()


def processes() -> set[int]:
    """The readers among this process's children."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes()
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid() and b"rkllm_twisted.offload.worker" in words:
            found.add(int(path.name))
    return found


async def until(condition: Any) -> None:
    """Poll until a condition is true."""
    for _ in range(2000):
        if condition():
            return
        await task.deferLater(reactor, 0.01)  # type: ignore[arg-type]
    pytest.fail("it did not happen")


@pytest.fixture
def reader() -> Iterator[Reader]:
    """A reader whose process is gone after the test."""
    reader = Reader(reactor)
    yield reader
    reader.stop()
    pytest_twisted.blockon(ensureDeferred(until(lambda: not processes())))


@pytest_twisted.ensureDeferred
async def test_messages_are_read_in_order(reader: Reader) -> None:
    """A single process reads all of them."""
    assert not processes()
    messages = await gatherResults([reader.read(request(i)) for i in range(5)])
    assert [m.id for m in messages if isinstance(m, Request)] == [b"0", b"1", b"2", b"3", b"4"]
    assert len(processes()) == 1


@pytest_twisted.ensureDeferred
async def test_a_big_message_comes_whole(reader: Reader) -> None:
    """The pipes split the message into many pieces."""
    message = await reader.read(request(7, 150_000))
    assert isinstance(message, Request)
    assert message.params == {"numbers": [7] * 150_000}


@pytest_twisted.ensureDeferred
async def test_a_process_that_dies_costs_one_message(reader: Reader) -> None:
    """The next one is read by another."""
    await reader.read(request(1))
    (process,) = processes()
    os.kill(process, signal.SIGSTOP)
    lost, next_one = reader.read(request(2)), reader.read(request(3))
    os.kill(process, signal.SIGKILL)
    with pytest.raises(InternalError, match="Send it again, or in smaller parts"):
        await lost
    message = await next_one
    assert isinstance(message, Request)
    assert message.id == b"3"


@pytest_twisted.ensureDeferred
async def test_nobody_hears_of_a_message_that_is_cancelled(reader: Reader) -> None:
    """The message may be under way or still waiting; the others are read."""
    messages = [reader.read(request(i)) for i in range(4)]
    for message in (messages[0], messages[2]):
        message.cancel()
        with pytest.raises(CancelledError):
            await message
    for number in (1, 3):
        message = await messages[number]
        assert isinstance(message, Request)
        assert message.id == b"%d" % number


@pytest_twisted.ensureDeferred
async def test_an_idle_process_ends() -> None:
    """The next big message starts another process."""
    reader = Reader(reactor, idle=0.05)
    for number in range(2):
        message = await reader.read(request(number))
        assert isinstance(message, Request)
        await until(lambda: not processes())
