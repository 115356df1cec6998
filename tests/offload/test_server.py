"""A connection while another process reads its big message: waiting, ending, releasing."""

from __future__ import annotations

import json

import pytest
from memory_client import FakeMethod, MemoryClient, Pending, code, make_factory
from twisted.internet.defer import Deferred

from rkllm_twisted.errors import InternalError
from rkllm_twisted.wire import jsonrpc, validation
from rkllm_twisted.wire.messages import Message

BIG = b'{"jsonrpc":"2.0","method":"echo","id":"big","params":[%b1]}\n' % (
    b"1," * validation.LIGHT_MESSAGE_BYTES
)
PING = b'{"jsonrpc":"2.0","method":"echo","id":"after"}\n'


class Elsewhere:
    """A stand-in reader that finishes when the test says so."""

    def __init__(self) -> None:
        self.read: list[tuple[bytes, Deferred[Message]]] = []
        self.forgotten = 0

    def __call__(self, payload: bytes) -> Deferred[Message]:
        """Take a message."""
        self.read.append((payload, Deferred(self._cancelled)))
        return self.read[-1][1]

    def _cancelled(self, _: Deferred[Message]) -> None:
        self.forgotten += 1

    def finish(self) -> None:
        """Give the oldest message back."""
        payload, message = self.read.pop(0)
        message.callback(jsonrpc.parse(payload))


@pytest.fixture
def elsewhere() -> Elsewhere:
    """The stand-in for the process that reads big messages."""
    return Elsewhere()


@pytest.fixture
def talk(elsewhere: Elsewhere) -> MemoryClient:
    """A connection of a daemon that reads big messages elsewhere."""
    factory = make_factory(
        [FakeMethod("echo", lambda _: None)], max_length=len(BIG), read_elsewhere=elsewhere
    )
    return MemoryClient(factory=factory)


def ids(talk: MemoryClient) -> list[object]:
    """The ids of the answers so far."""
    while talk.turn():
        pass
    return [json.loads(reply)["id"] for reply in talk.replies()]


def test_what_follows_waits(talk: MemoryClient, elsewhere: Elsewhere) -> None:
    """Answers come in the messages' order."""
    talk.send(BIG + PING + BIG + PING)
    assert ids(talk) == []
    elsewhere.finish()
    assert ids(talk) == ["big", "after"]
    elsewhere.finish()
    assert ids(talk) == ["big", "after"]


def test_a_small_message_is_read_here(talk: MemoryClient, elsewhere: Elsewhere) -> None:
    """The other process does not get small messages."""
    talk.send(PING)
    assert ids(talk) == ["after"]
    assert not elsewhere.read


def test_its_bytes_count_while_it_is_read(talk: MemoryClient, elsewhere: Elsewhere) -> None:
    """They count towards the limit for all connections."""
    talk.send(BIG)
    assert talk.factory.state.input_budget.total >= len(BIG) - 1
    elsewhere.finish()
    assert talk.factory.state.input_budget.total == 0


def test_its_bytes_count_until_it_is_answered(elsewhere: Elsewhere) -> None:
    """A request that waits for the NPU holds its parameters."""
    pending = Pending()
    factory = make_factory(
        [FakeMethod("echo", pending)], max_length=len(BIG), read_elsewhere=elsewhere
    )
    talk = MemoryClient(factory=factory)
    talk.send(BIG + PING)
    elsewhere.finish()
    while talk.turn():
        pass
    assert factory.state.input_budget.total == len(BIG) - 1
    for work in pending.works:
        work.callback(None)
    assert factory.state.input_budget.total == 0


def test_a_half_closed_client_gets_its_answer(talk: MemoryClient, elsewhere: Elsewhere) -> None:
    """The connection ends after the answer."""
    talk.send(BIG)
    talk.half_close()
    assert not talk.closing
    elsewhere.finish()
    assert ids(talk) == ["big"]
    assert talk.closing


def test_broken_framing_is_told_last(talk: MemoryClient, elsewhere: Elsewhere) -> None:
    """The messages before the error are answered first."""
    talk.send(BIG + b"x" * (len(BIG) + 1))
    assert ids(talk) == []
    elsewhere.finish()
    assert ids(talk) == ["big", None]
    assert talk.closing


def test_who_leaves_is_forgotten(talk: MemoryClient, elsewhere: Elsewhere) -> None:
    """The daemon releases everything that it held for the connection."""
    talk.send(BIG)
    talk.vanish()
    assert elsewhere.forgotten == 1
    assert talk.factory.state.input_budget.total == 0


def test_a_reader_that_fails_costs_the_message(talk: MemoryClient, elsewhere: Elsewhere) -> None:
    """The connection goes on."""
    talk.send(BIG + PING)
    elsewhere.read.pop()[1].errback(InternalError("It died."))
    while talk.turn():
        pass
    first, last = talk.answers()
    assert (code(first), first["id"]) == (-32603, None)
    assert last["id"] == "after"
