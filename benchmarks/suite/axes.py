"""The figures as functions of idle clients, message size and queue length."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import attrs

from benchmarks.clients import Client, clients
from benchmarks.processes import wait_for
from benchmarks.suite.bench import Bench
from benchmarks.suite.contenders import CONTENDERS, OURS, Server
from benchmarks.suite.growth import Axis, OnceBegun
from benchmarks.suite.programs import Load

CLIENTS = (1, 10, 100, 1000)
SIZES = (64, 4 * 1024, 64 * 1024, 1024 * 1024)
QUEUES = (0, 16, 64, 256)
#: Messages per second from another client while a stream is read.
RATE = 50.0
#: Requests that a connection may have under way.
EACH = 8


def axes(bench: Bench) -> list[Axis]:
    """Measure along all three axes."""

    def at_most(places: Sequence[int]) -> list[int]:
        return [min(place, bench.size.crowd) for place in places]

    return [
        Axis("idle clients", at_most(CLIENTS), _asking_beside_clients, _reading_beside_clients),
        Axis(
            "bytes of a message", SIZES, _asking_at_size, _reading_beside_messages, beside_echo=True
        ),
        Axis(
            "calls in the queue",
            at_most(QUEUES),
            _asking_at_queue,
            _reading_before_queue,
            [f"--queue={2 * max(QUEUES)}"],
        ),
    ]


def _nothing() -> None:
    """Do nothing before a stream begins."""


def _ping(bench: Bench) -> Load:
    return Load(CONTENDERS[OURS].ping(), seconds=bench.size.seconds)


# Idle clients


@contextlib.contextmanager
def _asking_beside_clients(bench: Bench, server: Server, count: int) -> Iterator[Load]:
    with clients(server.path, count):
        yield _ping(bench)


@contextlib.contextmanager
def _reading_beside_clients(_: Bench, server: Server, count: int) -> Iterator[OnceBegun]:
    with clients(server.path, count):
        yield _nothing


# Message size: a string parameter, which the daemon reads and the echo sends back


def _message(bench: Bench, size: int) -> Load:
    head = b'{"jsonrpc":"2.0","id":###,"method":"$/cancelRequest","params":{"id":"'
    return Load(head + b"x" * size + b'"}}', seconds=bench.size.seconds)


@contextlib.contextmanager
def _asking_at_size(bench: Bench, _: Server, size: int) -> Iterator[Load]:
    yield _message(bench, size)


@contextlib.contextmanager
def _reading_beside_messages(bench: Bench, server: Server, size: int) -> Iterator[OnceBegun]:
    messages = attrs.evolve(_message(bench, size), rate=RATE, seconds=60)
    with bench.programs.load_beside(server.path, messages):
        yield _nothing


# Calls that wait for the NPU


@contextlib.contextmanager
def _asking_at_queue(bench: Bench, server: Server, length: int) -> Iterator[Load]:
    with _queue(server, length) as queue:
        queue.fill(0)
        yield _ping(bench)


@contextlib.contextmanager
def _reading_before_queue(_: Bench, server: Server, length: int) -> Iterator[OnceBegun]:
    """Queue the calls, then start the stream ahead of them."""
    with _queue(server, length) as queue:

        def let_it_begin() -> None:
            queue.fill(1)
            queue.holder.send("$/cancelRequest", {"id": 1}, 2)

        yield let_it_begin


@attrs.frozen
class _Queue:
    """Calls that are queued behind an endless run.

    :param holder: the client of the endless run.
    """

    holder: Client
    asking: Client
    others: Sequence[Client]
    length: int

    def wait_for(self, length: int) -> None:
        """Wait until the queue has this length."""
        wait_for(lambda: self.asking.ask("server.status")["queue_length"] == length)

    def fill(self, ahead: int) -> None:
        """Queue the calls behind those that are already waiting."""
        self.wait_for(ahead)
        for number in range(self.length):
            self.others[number // EACH].run("ok", request_id=number % EACH)
        self.wait_for(ahead + self.length)


@contextlib.contextmanager
def _queue(server: Server, length: int) -> Iterator[_Queue]:
    count = -(-length // EACH)
    with clients(server.path, 2 + count) as [asking, holder, *others]:
        wait_for(lambda: asking.ask("server.status")["state"] == "loaded")  # the queue is empty
        holder.run("for ever")
        wait_for(lambda: asking.ask("server.status")["state"] == "running")
        yield _Queue(holder, asking, others, length)
