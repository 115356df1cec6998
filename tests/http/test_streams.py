"""Streams: nothing too early, something in time, and no more than the client reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from http_rig import HTTPRig
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rkllm_twisted.errors import HTTPError
from rkllm_twisted.http.streams import (
    EVENTS,
    KEEP_ALIVE_S,
    LINES,
    MOST_AT_ONCE,
    UNREAD_S,
    Framing,
    Stream,
)
from rkllm_twisted.testing import Answer, Hang

PATH = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}


class FakeRequest:
    """Keeps what a stream writes."""

    def __init__(self) -> None:
        self.written = b""
        self.headers: dict[str, str] = {}
        self.startedWriting = False
        self.producer: Any = None
        self.is_aborted = False
        self.transport = self

    def setHeader(self, name: str, value: str) -> None:
        self.headers[name] = value

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.startedWriting = True
        self.written += data

    def write_now(self, data: bytes) -> None:
        self.write(data)

    def abortConnection(self) -> None:
        self.is_aborted = True


class Rig:
    def __init__(self, framing: Framing = EVENTS, api: str = "openai") -> None:
        self.clock = Clock()
        self.request = FakeRequest()
        self.stream = Stream(self.request, self.clock, framing, api)

    def send(self, value: object) -> Any:
        return Deferred.fromCoroutine(self.stream.send(value))


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_nothing_is_sent_before_the_first_piece(rig: Rig) -> None:
    rig.clock.advance(KEEP_ALIVE_S - 1)
    assert not rig.stream.has_begun


def test_a_long_wait_begins_the_stream_with_a_comment(rig: Rig) -> None:
    rig.clock.advance(KEEP_ALIVE_S)
    rig.clock.advance(KEEP_ALIVE_S)
    assert rig.request.written == b": keep-alive\n\n" * 2


def test_a_comment_comes_only_after_silence(rig: Rig) -> None:
    rig.clock.advance(KEEP_ALIVE_S - 1)
    rig.send(1)
    rig.clock.advance(KEEP_ALIVE_S - 1)
    assert rig.request.written == b"data: 1\n\n"


def test_lines_have_no_comments_but_their_headers_go_out_in_time() -> None:
    rig = Rig(LINES)
    rig.clock.advance(KEEP_ALIVE_S)
    assert rig.stream.has_begun
    assert rig.request.written == b""


def test_while_the_client_does_not_read_a_piece_waits(rig: Rig) -> None:
    rig.request.producer.pauseProducing()
    sent = rig.send(1)
    assert not sent.called
    assert rig.request.written == b""
    rig.request.producer.resumeProducing()
    assert sent.called
    assert rig.request.written == b"data: 1\n\n"


def test_a_paused_stream_sends_no_comment(rig: Rig) -> None:
    rig.request.producer.pauseProducing()
    rig.clock.advance(KEEP_ALIVE_S)
    assert rig.request.written == b""


def test_a_client_that_reads_nothing_is_dropped(rig: Rig) -> None:
    rig.request.producer.pauseProducing()
    rig.clock.advance(UNREAD_S)
    assert rig.request.is_aborted


def test_a_client_that_reads_again_in_time_is_not_dropped(rig: Rig) -> None:
    rig.request.producer.pauseProducing()
    rig.clock.advance(UNREAD_S - 1)
    rig.request.producer.resumeProducing()
    rig.clock.advance(UNREAD_S)
    assert not rig.request.is_aborted


def test_pieces_that_come_together_are_one_write(rig: Rig) -> None:
    writes: list[bytes] = []
    rig.request.write = writes.append  # type: ignore[assignment, method-assign]
    Deferred.fromCoroutine(rig.stream.send_all([1, b"2"]))
    assert writes == [b"data: 1\n\ndata: 2\n\n"]


def test_many_pieces_wait_amid_them_for_a_client_that_does_not_read(rig: Rig) -> None:
    size = MOST_AT_ONCE // 4

    def write(data: bytes) -> None:
        rig.request.written += data
        rig.request.producer.pauseProducing()

    rig.request.write = write  # type: ignore[assignment, method-assign]
    sent = Deferred.fromCoroutine(rig.stream.send_all([b"x" * size] * 12))
    for writes in (1, 2, 3):
        assert MOST_AT_ONCE * writes <= len(rig.request.written) < MOST_AT_ONCE * writes + size
        assert not sent.called or writes == 3
        rig.request.producer.resumeProducing()
    assert rig.request.written == (b"data: " + b"x" * size + b"\n\n") * 12


def test_what_is_pushed_waits_for_the_client_and_nobody_waits_for_it(rig: Rig) -> None:
    rig.request.producer.pauseProducing()
    rig.stream.push([1, 2])
    rig.stream.push([3])
    assert rig.request.written == b""
    rig.request.producer.resumeProducing()
    assert rig.request.written == b"data: 1\n\ndata: 2\n\ndata: 3\n\n"


def test_what_does_not_wait_goes_behind_what_does(rig: Rig) -> None:
    """An error amid a stream comes after the pieces before it."""
    rig.request.producer.pauseProducing()
    rig.stream.push([1])
    rig.stream.write(2)
    assert rig.request.written == b"data: 1\n\ndata: 2\n\n"


def test_a_client_that_reads_amid_a_write_gets_no_piece_twice_or_early(rig: Rig) -> None:
    def write(data: bytes) -> None:
        rig.request.producer.pauseProducing()
        rig.request.producer.resumeProducing()
        rig.request.written += data

    rig.request.write = write  # type: ignore[assignment, method-assign]
    pieces = [b"%d" % number + b"x" * MOST_AT_ONCE for number in range(3)]
    rig.stream.push(pieces)
    assert rig.request.written == b"".join(b"data: %b\n\n" % piece for piece in pieces)


def test_what_waits_is_woken_when_the_client_leaves(rig: Rig) -> None:
    rig.request.producer.pauseProducing()
    sent = rig.send(1)
    rig.request.producer.stopProducing()
    assert sent.called
    assert rig.request.written == b""


def test_the_end_leaves_no_timer_and_no_producer(rig: Rig) -> None:
    rig.send(1)
    rig.stream.end()
    rig.stream.end()
    assert rig.request.producer is None
    assert rig.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("framing", "api", "last"),
    [
        (EVENTS, "openai", b'data: {"error":{"message":"No.","type":"t","param":null,"code":"c"}}'),
        (LINES, "ollama", b'{"error":"No."}\n'),
        (EVENTS, "anthropic", b'event: error\ndata: {"type":"error","error":{"type":"api_error",'),
    ],
)
def test_an_error_amid_a_stream_has_the_apis_form(framing: Framing, api: str, last: bytes) -> None:
    rig = Rig(framing, api)
    rig.stream.fail(HTTPError(500, "No.", "t", "c"))
    assert rig.request.written.startswith(last)


def test_an_event_may_have_a_name(rig: Rig) -> None:
    rig.stream.write({"a": 1}, "message_start")
    assert rig.request.written == b'event: message_start\ndata: {"a":1}\n\n'


@pytest.fixture
def hanging() -> Iterator[HTTPRig]:
    rig = HTTPRig(answers={"Hello": Answer([], then=Hang())})
    yield rig
    rig.close()


def test_the_headers_of_lines_go_out_in_a_long_prefill(hanging: HTTPRig) -> None:
    visitor = hanging.start("POST", "/api/chat", HELLO)
    hanging.advance(KEEP_ALIVE_S + 1)
    assert visitor.data.startswith(b"HTTP/1.1 200")
    assert visitor.data.endswith(b"\r\n\r\n")


def test_a_prefill_that_takes_long_keeps_the_connection(hanging: HTTPRig) -> None:
    visitor = hanging.start("POST", PATH, HELLO)
    hanging.advance(1)
    assert visitor.data == b""
    hanging.advance(KEEP_ALIVE_S)
    assert visitor.data.startswith(b"HTTP/1.1 200 OK")
    assert visitor.streamed == ": keep-alive\n\n"


def test_a_client_that_leaves_during_the_prefill_ends_the_run(hanging: HTTPRig) -> None:
    visitor = hanging.start("POST", PATH, HELLO)
    hanging.advance(1)
    assert hanging.runs
    visitor.transport.abortConnection()
    hanging.advance(0.05)
    assert not hanging.runs


def test_a_client_that_leaves_amid_its_tokens_ends_the_run_with_the_next_one() -> None:
    rig = HTTPRig(answers={"Hello": Answer(["word"], endless=True, delay=0.5)})
    visitor = rig.start("POST", PATH, HELLO)
    rig.advance(1.2)
    assert "word" in visitor.streamed
    visitor.transport.abortConnection()
    rig.advance(0.5 + 0.05)  # a token and 50 ms
    assert not rig.runs
    rig.close()


def test_a_client_that_does_not_read_costs_no_other_client_a_token() -> None:
    """Its run goes to the end; the next one has the NPU, and its tokens go out as they come."""
    unread, wanted = Answer("word " * 500, delay=0.001), Answer("a b c", delay=0.1)
    rig = HTTPRig(answers={"Hello": unread, "other": wanted})
    slow = rig.start("POST", PATH, HELLO)
    rig.advance(0.01)
    slow.transport.pauseProducing()
    read = slow.data
    while rig.runs:
        rig.advance(0.1)
    messages = [{"role": "user", "content": "other"}]
    other = rig.start("POST", PATH, {"messages": messages, "stream": True})
    rig.advance(0.01)
    for text in ("a", " b", " c"):
        rig.advance(0.1)
        assert f'"content":"{text}"' in other.streamed
    assert slow.data == read
    slow.transport.resumeProducing()
    rig.advance(0.01)
    assert slow.data.count(b'word"') == 500
    rig.close()


def test_a_client_that_does_not_read_is_dropped_and_costs_little() -> None:
    rig = HTTPRig(answers={"Hello": Answer(["word" * 250], endless=True)})
    visitor = rig.start("POST", PATH, HELLO)
    rig.advance(0.01)
    visitor.transport.pauseProducing()
    for _ in range(600):  # as many tokens, each of more than 1,000 bytes
        rig.clock.advance(0.001)
    (channel,) = rig.site._channels
    assert channel.transport._other._size < 2**18
    rig.advance(UNREAD_S)
    assert visitor.is_closed
    assert not rig.runs
    rig.close()
