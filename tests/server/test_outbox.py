"""Messages that come together are written together, and no write is too large."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from rkllm_twisted.rpc.limits import DEFAULTS
from rkllm_twisted.server.outbox import WRITE_CHUNK, Outbox


class Transport:
    """A transport that keeps its writes."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.producer: Outbox | None = None
        #: Called after each write.
        self.written: Callable[[], None] = lambda: None

    def registerProducer(self, producer: Outbox, streaming: bool) -> None:
        self.producer = producer

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self.written()


def outbox(transport: Transport, drop: Callable[[str], None] = lambda _: None) -> Outbox:
    """Return the outbox of a client."""
    return Outbox(transport, Clock(), DEFAULTS, lambda _: None, drop)


@given(st.lists(st.sampled_from([1, 300, 30_000, WRITE_CHUNK, WRITE_CHUNK + 1])))
def test_messages_that_come_together_are_written_together(sizes: list[int]) -> None:
    """As many as fit into a write: in order, whole, and none is lost."""
    transport, messages = Transport(), [bytes([n % 256]) * size for n, size in enumerate(sizes)]
    outbox(transport).send_all(messages)
    assert b"".join(transport.writes) == b"".join(messages)
    assert all(0 < len(data) <= WRITE_CHUNK for data in transport.writes)
    if sum(sizes) <= WRITE_CHUNK:
        assert len(transport.writes) == bool(sizes)


def test_what_a_client_does_not_take_is_counted_by_messages() -> None:
    """It pauses the stream amid messages that came together, and is dropped for what waits."""
    transport, reasons = Transport(), []
    box = outbox(transport, reasons.append)
    transport.written = box.pauseProducing
    box.send_all([b"x" * 1000] * 2 * (DEFAULTS.max_unread // 1000))
    assert len(transport.writes) == 1, "the others wait"
    assert reasons == ["it leaves too much unread"]
    box.stopProducing()


def test_messages_for_a_client_that_has_all_are_lost() -> None:
    """After the end there is nobody to write to."""
    transport = Transport()
    box = outbox(transport)
    box.stopProducing()
    box.send_all([b"a", b"b"])
    assert transport.writes == []
