"""The protocol in memory: fairness, back-pressure, half-close, refusals, shutdown."""

from __future__ import annotations

import json
import os
import socket
import sys
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from memory_client import (
    FakeMethod,
    MemoryClient,
    Pending,
    code,
    make_factory,
    notification,
    request,
)
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IPushProducer,
    IWriteDescriptor,
)
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from zope.interface import alsoProvides
from zope.interface.verify import verifyObject

from rkllm_twisted.errors import Busy, NotAllowed, ParseError, ShuttingDown, TimedOut
from rkllm_twisted.server.outbox import WRITE_CHUNK, Outbox
from rkllm_twisted.server.transport import ClientAddress
from rkllm_twisted.wire.framing import netstring

PING = b'{"jsonrpc":"2.0","method":"echo","id":1}'
PONG = b'{"jsonrpc":"2.0","id":1,"result":null}'


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The log's lines, as text."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
    yield lines
    globalLogPublisher.removeObserver(observe)  # type: ignore[arg-type]


def test_it_provides_what_twisted_asks_for() -> None:
    """Half-close and back-pressure."""
    talk = MemoryClient()
    verifyObject(IHalfCloseableProtocol, talk.protocol)
    outbox = talk.transport.producer
    assert isinstance(outbox, Outbox)
    verifyObject(IPushProducer, outbox)


def test_the_first_byte_decides_for_good() -> None:
    """Replies use the framing of the first byte."""
    netstrings, lines = MemoryClient(), MemoryClient()
    netstrings.send(netstring(PING))
    assert netstrings.raw() == netstring(PONG)
    lines.send(PING + b"\n")
    assert lines.raw() == PONG + b"\n"
    lines.send(netstring(PING) + b"\n")
    assert code(lines.answers()[0]) == -32700
    assert not lines.closing


BROKEN = {
    "neither": (b"HELO localhost\r\n", -32700),
    "a TLS hello": (b"\x16\x03\x01", -32700),
    "a gigabyte announced": (b"1000000000:", -32600),
    "5,000 nines": (b"9" * 5000, -32600),
    "a leading zero": (b"03:abc,", -32700),
    "no comma": (b"2:[];", -32700),
    "a line too long": (b"[" + b" " * 2000, -32600),
    "a netstring too long": (b"1001:", -32600),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_framing_gets_one_error_and_the_end(name: str) -> None:
    """The error uses the connection's framing and id null; later bytes are ignored."""
    data, expected = BROKEN[name]
    talk = MemoryClient(factory=make_factory(max_length=1000))
    talk.send(data, netstring(PING), PING + b"\n")
    [answer] = talk.answers()
    assert code(answer) == expected
    assert answer["id"] is None
    assert talk.transport.disconnecting


@pytest.mark.parametrize("frame", [netstring, lambda payload: payload + b"\n"])
def test_messages_before_the_damage_are_answered_first(frame: Callable[[bytes], bytes]) -> None:
    """The daemon answers all of them before the error."""
    talk = MemoryClient(factory=make_factory(max_length=1000))
    talk.send(frame(PING) * 3 + (b"x" * 2000 if frame is not netstring else b"x"))
    *answers, error = talk.answers()
    assert [answer["id"] for answer in answers] == [1, 1, 1]
    assert error["id"] is None
    assert talk.closing


def test_a_peer_that_does_not_read_the_error_is_cut_off() -> None:
    """The daemon waits one second for the client to read."""
    talk = MemoryClient()
    talk.transport.producer.pauseProducing()
    talk.send(b"nonsense")
    assert not talk.closing
    talk.clock.advance(1)
    assert talk.transport.disconnected


def test_requests_under_way_end_with_the_framing() -> None:
    """The client could not recognise their answers after the error."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("wait", pending)])
    talk.send(netstring(json.dumps(request(1, "wait")).encode()), b"x")
    assert pending.cancelled == 1
    assert [code(answer) for answer in talk.answers()] == [-32700]


def test_nothing_is_handled_once_the_connection_is_to_be_closed() -> None:
    """Bytes that still arrive are ignored."""
    works: list[object] = []
    talk = MemoryClient([FakeMethod("count", lambda call: works.append(call))])
    talk.send(b"x")
    talk.protocol.dataReceived(b'{"jsonrpc":"2.0","method":"count"}\n')
    talk.protocol.dataReceived(b"x" * 1000)
    assert works == []
    assert not talk.protocol._input._unparsed


# Fairness


@pytest.mark.parametrize("framed", [netstring(PING), PING + b"\n", PING])
def test_one_client_cannot_stall_the_others(framed: bytes) -> None:
    """A turn handles 64 messages; the rest wait, and unread bytes stay in the kernel."""
    talk = MemoryClient()
    talk.send(framed * 200)
    counts = [len(talk.replies())]
    assert talk.transport.producerState == "paused"
    while talk.turn():
        counts.append(len(talk.replies()))
    assert counts == [64, 64, 64, 8]
    assert talk.transport.producerState == "producing"


def test_thousands_of_empty_messages_are_not_parsed_at_once() -> None:
    """Parsing waits for its turn, as requests do."""
    talk = MemoryClient()
    talk.send(b"0:," * 21_845)
    assert len(talk.replies()) == 64
    assert len(talk.protocol._input._messages) < 4096
    talk.vanish()
    assert not talk.clock.getDelayedCalls()


def test_what_comes_while_others_have_their_turn_keeps_its_order() -> None:
    """Bytes that were read before the pause keep their order."""
    talk = MemoryClient(factory=make_factory(messages_per_turn=1))
    for i in range(3):
        talk.send(json.dumps(request(i, "echo")).encode() + b"\n")
    talk.clock.pump([0, 0, 0])
    assert [answer["id"] for answer in talk.answers()] == [0, 1, 2]


def test_more_bytes_make_no_earlier_turn() -> None:
    """A second read adds no messages to the current turn."""
    talk = MemoryClient()
    talk.send((PING + b"\n") * 100)
    talk.send(PING + b"\n")
    assert len(talk.replies()) == 64


def test_damage_waits_for_the_messages_before_it() -> None:
    """The messages take several turns."""
    talk = MemoryClient(factory=make_factory(messages_per_turn=2))
    talk.send(netstring(PING) * 5 + b"x")
    assert not talk.closing
    talk.clock.pump([0, 0, 0])
    assert len(talk.answers()) == 6
    assert talk.closing


# Back-pressure

MIB = 1024 * 1024


def text(size: int) -> FakeMethod:
    return FakeMethod("text", lambda _: "x" * size)


def test_a_big_answer_goes_out_in_slices() -> None:
    """The transport holds two of them at most."""
    talk = MemoryClient([text(MIB)])
    talk.send(b'{"jsonrpc":"2.0","method":"text","id":1}\n')
    assert len(talk.raw()) > MIB
    talk.transport.producer.pauseProducing()
    talk.send(b'{"jsonrpc":"2.0","method":"text","id":1}\n')
    assert talk.raw() == b""
    written = talk.transport.write
    sizes: list[int] = []

    def pausing(data: bytes) -> None:
        sizes.append(len(data))
        written(data)
        talk.transport.producer.pauseProducing()

    talk.transport.write = pausing  # type: ignore[method-assign]
    while not talk.raw().endswith(b"\n"):
        talk.transport.producer.resumeProducing()
    assert max(sizes) == WRITE_CHUNK
    assert sum(sizes) > MIB


def test_order_is_kept_while_a_client_does_not_read() -> None:
    """All answers arrive once the client reads."""
    talk = MemoryClient()
    talk.transport.producer.pauseProducing()
    assert talk.ask(request(1, "echo"), request(2, "echo")) == []
    talk.transport.producer.resumeProducing()
    assert [answer["id"] for answer in talk.answers()] == [1, 2]


def test_who_does_not_read_is_not_read() -> None:
    """From half the limit on, its requests stay unread in the kernel."""
    talk = MemoryClient([text(1000)], make_factory([text(1000)], max_unread=10_000))
    talk.transport.producer.pauseProducing()
    talk.send(b'{"jsonrpc":"2.0","method":"text","id":1}\n' * 50)
    assert talk.transport.producerState == "paused"
    assert talk.protocol.conversation.messages == 5
    talk.clock.advance(1)
    assert talk.protocol.conversation.messages == 5
    talk.transport.producer.resumeProducing()
    talk.clock.pump([0, 0])
    assert len(talk.replies()) == 50
    assert talk.transport.producerState == "producing"


def test_who_reads_nothing_for_30_seconds_is_dropped(logged: list[str]) -> None:
    """The daemon cancels the client's request under way."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("wait", pending)])
    talk.ask(request(1, "wait"))
    talk.transport.producer.pauseProducing()
    talk.clock.advance(29.9)
    assert not talk.closing
    talk.clock.advance(0.1)
    assert talk.transport.disconnected
    talk.vanish()
    assert pending.cancelled == 1
    assert any("read nothing for 30 s" in line for line in logged)


def test_who_reads_slowly_is_not_dropped() -> None:
    """Each slice that the client reads restarts the timeout."""
    talk = MemoryClient()
    for _ in range(10):
        talk.transport.producer.pauseProducing()
        talk.clock.advance(20)
        talk.transport.producer.resumeProducing()
    assert not talk.closing


def test_a_pause_of_the_daemon_does_not_drop_a_client_that_reads() -> None:
    """After SIGSTOP the timer is due before the reactor has seen that the client reads."""
    talk = MemoryClient()
    talk.transport.producer.pauseProducing()
    talk.clock.advance(30 + 12)
    assert not talk.closing
    talk.clock.advance(29.9)
    assert not talk.closing
    talk.clock.advance(0.1)
    assert talk.closing


def test_a_client_that_has_just_read_is_not_dropped() -> None:
    """The reactor looks at its sockets after its timers."""
    talk = MemoryClient()
    talk.transport.doWrite = talk.transport.producer.resumeProducing
    alsoProvides(talk.transport, IWriteDescriptor)
    talk.transport.producer.pauseProducing()
    talk.clock.advance(30)
    assert not talk.closing


def test_a_stream_to_nobody_is_bounded(logged: list[str]) -> None:
    """The stream ends before the unread timeout."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("run", pending, streams=True)])
    talk.ask(request(1, "run"))
    talk.transport.producer.pauseProducing()
    sent = 0
    while not talk.closing:
        pending.calls[0].stream("x" * 1000)
        sent += 1000
    assert 0.9 * MIB < sent <= MIB
    assert any("too much unread" in line for line in logged)


def test_a_thousand_tokens_are_held_without_an_object_each() -> None:
    """A token has more overhead than text."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("run", pending, streams=True)])
    talk.ask(request(1, "run"))
    talk.transport.producer.pauseProducing()
    tracemalloc.start()
    for number in range(3000):
        pending.calls[0].stream({"text": f"token {number}", "filler": "x" * 250})
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not talk.closing
    assert held < 1.15 * MIB
    talk.transport.producer.resumeProducing()
    assert len(talk.replies()) == 3000


def test_what_the_transport_still_holds_counts(logged: list[str]) -> None:
    """The bound covers all bytes that the client has not read."""
    pending = Pending()
    talk = MemoryClient(
        factory=make_factory([FakeMethod("run", pending, streams=True)], max_unread=MIB)
    )
    talk.ask(request(1, "run"))
    for _ in range(100):
        pending.calls[0].stream("x" * 1000)
    talk.raw()
    talk.transport.producer.pauseProducing()
    sent = 0
    while not talk.closing:
        pending.calls[0].stream("x" * 1000)
        sent += 1000
    assert 0.8 * MIB < sent < 0.95 * MIB


def test_a_second_long_answer_waits_for_a_reader_too(logged: list[str]) -> None:
    """One long answer may wait beyond the bound, but not a second one."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("run", pending, streams=True)])
    talk.ask(request(1, "run"))
    talk.transport.producer.pauseProducing()
    pending.calls[0].stream("x" * 3 * MIB)
    pending.calls[0].stream("short")
    assert not talk.closing
    pending.calls[0].stream("x" * 3 * MIB)
    assert talk.closing


def test_one_answer_may_be_longer_than_the_bound() -> None:
    """A strict bound would make such an answer unreadable."""
    big = text(9 * MIB)
    talk = MemoryClient([big])
    talk.transport.producer.pauseProducing()
    talk.send(b'{"jsonrpc":"2.0","method":"text","id":1}\n')
    assert not talk.closing
    talk.transport.producer.resumeProducing()
    assert len(talk.raw()) > 9 * MIB


def test_a_big_messages_buffer_is_given_back() -> None:
    """The buffer is released before the connection's next message."""
    talk = MemoryClient()
    talk.send(netstring(PING + b" " * MIB))
    assert talk.replies() == [PONG]
    assert sys.getsizeof(talk.protocol._input._receiver._buffer) < 10_000  # type: ignore[union-attr]


# Half-close, and being gone


def test_a_half_closed_client_gets_its_answers() -> None:
    """The connection closes after the answers."""
    pending = Pending()
    talk = MemoryClient([FakeMethod("wait", pending)])
    talk.ask(request(1, "wait"), notification("wait"))
    talk.half_close()
    assert not talk.closing
    pending.works[0].callback("done")
    assert [answer["result"] for answer in talk.answers()] == ["done"]
    assert not talk.closing
    pending.works[1].callback("done")
    assert talk.transport.disconnecting


def test_a_half_closed_client_without_requests_is_closed() -> None:
    """The daemon closes at once, also if the client sent nothing."""
    talk = MemoryClient()
    talk.half_close()
    assert talk.transport.disconnecting


def test_the_last_words_need_no_newline() -> None:
    """The last message may be complete or not."""
    talk = MemoryClient()
    talk.send(b"\n5")
    talk.half_close()
    talk.turn()
    assert [code(answer) for answer in talk.answers()] == [-32600]
    assert talk.transport.disconnecting


def test_a_backlog_is_answered_after_the_half_close() -> None:
    """The daemon answers all messages that it read before."""
    talk = MemoryClient(factory=make_factory(messages_per_turn=1))
    talk.send((PING + b"\n") * 3)
    talk.half_close()
    assert not talk.closing
    talk.clock.pump([0, 0, 0])
    assert len(talk.replies()) == 3
    assert talk.transport.disconnecting
    assert talk.transport.producerState == "paused"  # it would only read the end again


def test_a_client_that_is_gone_is_noticed_at_once() -> None:
    """Twisted reports it like a half-close."""
    pending = Pending()
    talk = MemoryClient(
        factory=make_factory([FakeMethod("wait", pending)], has_gone=lambda _: True)
    )
    talk.ask(request(1, "wait"))
    talk.half_close()
    assert talk.transport.disconnected


def test_a_half_closed_client_that_leaves_is_noticed_soon() -> None:
    """The daemon checks every half second while a request is under way."""
    gone: list[bool] = []
    talk = MemoryClient(
        factory=make_factory([FakeMethod("wait", Pending())], has_gone=lambda _: bool(gone))
    )
    talk.ask(request(1, "wait"))
    talk.half_close()
    talk.clock.pump([0.5] * 10)
    assert not talk.closing
    gone.append(True)
    talk.clock.advance(0.5)
    assert talk.transport.disconnected


def test_nobody_is_watched_without_a_reason() -> None:
    """An idle connection costs no timer."""
    talk = MemoryClient()
    talk.ask(request(1, "echo"))
    assert talk.clock.getDelayedCalls() == []


def test_nothing_is_left_of_a_connection() -> None:
    """No timer and no entry of the connection remains."""
    talk = MemoryClient([FakeMethod("wait", Pending())])
    talk.ask(request(1, "wait"))
    talk.transport.producer.pauseProducing()
    talk.vanish()
    assert talk.clock.getDelayedCalls() == []
    assert talk.factory.connections == set()


# The factory


@pytest.mark.parametrize("frame", [netstring, lambda payload: payload + b"\n"])
def test_a_client_too_many_is_told_in_its_framing(frame: Callable[[bytes], bytes]) -> None:
    """The first byte triggers the error; the client's requests are not handled."""
    works: list[object] = []
    factory = make_factory([FakeMethod("count", works.append)], max_clients=1)
    first, second = MemoryClient(factory=factory), MemoryClient(factory=factory)
    second.send(frame(b'{"jsonrpc":"2.0","method":"count","id":1}'))
    [answer] = second.answers()
    assert code(answer) == Busy.code
    assert answer["id"] is None
    assert answer["error"]["data"] == {"queue_length": 1}
    assert second.transport.disconnecting
    assert works == []
    assert (len(factory.connections), factory.refused) == (1, 1)
    second.vanish()
    first.vanish()
    third = MemoryClient(factory=factory)
    third.send(frame(b'{"jsonrpc":"2.0","method":"count","id":1}'))
    assert len(works) == 1


def test_a_silent_client_too_many_is_closed() -> None:
    """The daemon waits one second for the first byte."""
    factory = make_factory(max_clients=1)
    MemoryClient(factory=factory)
    silent = MemoryClient(factory=factory)
    silent.clock.advance(1)
    assert silent.transport.disconnected


def test_a_crowd_is_not_even_told() -> None:
    """As many clients get the error as can be served; further ones are closed at once."""
    factory = make_factory(max_clients=2)
    talks = [MemoryClient(factory=factory) for _ in range(4)]
    assert factory.buildProtocol(None) is None
    assert len(factory.connections) == 2
    assert factory.refused == 3
    talks[3].vanish()
    assert factory.buildProtocol(None) is not None


def test_a_client_with_a_reserve_is_served_in_spite_of_a_crowd() -> None:
    """The socket shows the user before there is a protocol."""
    factory = make_factory(max_clients=1, has_reserve=lambda client: client.uid == os.geteuid())
    _talks = [MemoryClient(factory=factory) for _ in range(2)]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert factory.buildProtocol(None) is None
        assert factory.buildProtocol(ClientAddress(None, ours)) is not None


def test_a_client_that_has_just_left_makes_room() -> None:
    """The daemon has not noticed its end yet."""
    gone: list[object] = []
    factory = make_factory(max_clients=1, has_gone=lambda transport: transport in gone)
    gone.append(MemoryClient(factory=factory).transport)
    assert MemoryClient(factory=factory).ask(request(1, "echo"))[0]["result"] is None


def test_a_client_that_is_not_admitted_is_told_why() -> None:
    """The answer is the error that ``admit`` returns."""
    factory = make_factory(admit=lambda client: NotAllowed(f"Not you, {client.uid}."))
    talk = MemoryClient(factory=factory)
    talk.send(PING)
    assert [code(answer) for answer in talk.answers()] == [NotAllowed.code]


def test_shutdown_answers_and_closes_everybody() -> None:
    """Its Deferred fires when the last connection is gone."""
    pending = Pending()
    factory = make_factory([FakeMethod("wait", pending)])
    busy, idle = MemoryClient(factory=factory), MemoryClient(factory=factory)
    busy.ask(request(1, "wait"))
    done: list[object] = []
    factory.close_all().addCallback(done.append)
    assert [code(answer) for answer in busy.answers()] == [ShuttingDown.code]
    assert busy.transport.disconnecting
    assert idle.transport.disconnecting
    busy.vanish()
    assert done == []
    idle.vanish()
    assert done == [None]


def test_shutdown_waits_for_nobody_who_does_not_read() -> None:
    """The wait ends after a second."""
    talk = MemoryClient()
    talk.transport.producer.pauseProducing()
    talk.ask(request(1, "echo"))
    talk.factory.close_all()
    assert not talk.closing
    talk.clock.advance(1)
    assert talk.transport.disconnected


def test_shutdown_without_clients_is_done_at_once() -> None:
    """The Deferred fires immediately."""
    done: list[object] = []
    make_factory().close_all().addCallback(done.append)
    assert done == [None]


def test_coming_and_going_is_logged_and_prompts_are_not(logged: list[str]) -> None:
    """Each has one line."""
    talk = MemoryClient()
    talk.ask(request(1, "echo", ["my secret"]), request(2, "my secret"), notification("my secret"))
    talk.vanish()
    first, *_, last = logged
    assert first == "client 1 connected: pid None, uid None, gid None"
    assert last == "client 1 left after 3 messages"
    assert sum("secret" in line for line in logged) == 2  # the name of a method, twice
    assert not any('["my secret"]' in line for line in logged)


# Input that is no JSON-RPC


def test_http_gets_an_http_answer_of_one_sentence() -> None:
    """curl shows it; then the connection closes."""
    talk = MemoryClient()
    talk.send(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head, _, body = talk.transport.value().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert body.endswith(b"send a JSON object in a line of its own.\n")
    assert talk.closing


@pytest.mark.parametrize(
    "text",
    [
        b'{\n  "jsonrpc": "2.0",\n  "method": "echo",\n  "id": 1\n}\n',
        b'{"jsonrpc": "2.0", "method": "echo", "params":\n  {"a": 1},\n  "id": 1}\n',
        b'[\n  {\n    "jsonrpc": "2.0"\n  },\n  {\n    "id": 1\n  }\n]\n',
    ],
    ids=["members", "params", "batch"],
)
def test_json_over_several_lines_is_answered_once(text: bytes) -> None:
    """The error says what to do; the next request on one line is served."""
    talk = MemoryClient()
    talk.send(text)
    [answer] = talk.answers()
    assert code(answer) == ParseError.code
    assert "Send one message per line" in answer["error"]["message"]
    talk.send(PING + b"\n")
    assert talk.replies() == [PONG]


def test_a_batch_over_several_lines_gets_one_error_and_its_members() -> None:
    """Each member stands in one line; what is between them is no message."""
    talk = MemoryClient()
    talk.send(b"[\n " + PING + b",\n " + PING + b"\n]\n")
    [error, *answers] = talk.answers()
    assert "Send one message per line" in error["error"]["message"]
    assert answers == [json.loads(PONG)] * 2


# The time that a message may take


SLOW = pytest.mark.parametrize("begun", [b'{"jsonrpc"', b"10:{"], ids=["line", "netstring"])


@SLOW
def test_a_message_that_is_not_complete_in_time_ends_the_connection(begun: bytes) -> None:
    """The client gets one error, which states the limit."""
    talk = MemoryClient(factory=make_factory(message_timeout=5))
    talk.send(begun)
    talk.clock.advance(4.9)
    assert not talk.closing
    talk.clock.advance(0.2)
    [answer] = talk.answers()
    assert (code(answer), answer["error"]["data"]) == (TimedOut.code, {"message_timeout": 5})
    assert talk.closing


@SLOW
def test_a_pause_of_the_daemon_costs_no_message(begun: bytes) -> None:
    """After SIGSTOP the timer is due before the reactor has read the message's rest."""
    talk = MemoryClient(factory=make_factory(message_timeout=5))
    talk.send(begun)
    talk.clock.advance(5 + 12)
    assert not talk.closing
    talk.clock.advance(5)
    assert talk.closing


@SLOW
def test_dripping_does_not_help(begun: bytes) -> None:
    """The time counts from the first byte."""
    talk = MemoryClient(factory=make_factory(message_timeout=5))
    talk.send(begun)
    for _ in range(6):
        talk.clock.advance(1)
        talk.send(b" ")
    assert talk.closing


def test_a_request_under_way_does_not_stop_the_time() -> None:
    """A client that waits for an answer may begin another message, but must end it."""
    talk = MemoryClient(factory=make_factory([FakeMethod("wait", Pending())], message_timeout=5))
    talk.ask(request(1, "wait"))
    talk.send(b"{")
    talk.clock.pump([0.5] * 12)
    assert talk.closing


def test_an_idle_connection_has_all_the_time() -> None:
    """The timer stops after a message that came in two pieces."""
    talk = MemoryClient(factory=make_factory(message_timeout=5))
    talk.send(PING[:5], PING[5:] + b"\n")
    assert talk.replies() == [PONG]
    talk.clock.advance(1000)
    talk.send(PING + b"\n")
    assert talk.replies() == [PONG]


def test_each_message_has_its_own_time() -> None:
    """The second message begins just before the first one's time ends."""
    talk = MemoryClient(factory=make_factory(message_timeout=5))
    talk.send(PING[:5])
    talk.clock.advance(4)
    talk.send(PING[5:] + b"\n" + PING[:5])
    talk.clock.advance(4)
    talk.send(PING[5:] + b"\n")
    assert talk.replies() == [PONG, PONG]
    assert not talk.closing
